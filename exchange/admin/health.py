"""Recipients at a glance: when each system was last heard, what waits for it, how it fared, what ends."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Count, Min
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

from agencies.models import Agency, Certificate, System
from exchange import statistics
from exchange.admin.confirm import require
from exchange.admin.looks import moment, until
from exchange.admin.standing import Phase
from exchange.admin.systems import broken, broken_words, buttons
from exchange.models import Delivery, Direction, Measure
from exchange.workdays import day_of

SILENT = timedelta(hours=24)
_BAD = (Measure.EXPIRED, Measure.UNDELIVERABLE)


def show(request: HttpRequest) -> HttpResponseBase:
    """Every connected system, those in trouble first."""
    require(request, "agencies.view_system")
    now = datetime.now(UTC)
    waiting, fared, ends = _waiting(), _fared(now), _certificates()
    rows = [
        {
            "system": system,
            "url": reverse("admin:agencies_system_change", args=(system.pk,)),
            "agencies": found["agencies"],
            "waiting": waiting.get(system.pk, (0, None))[0],
            "oldest": until(now - oldest) if (oldest := waiting.get(system.pk, (0, None))[1]) else "",
            "good": number_format(fared[system.pk, True], force_grouping=True),
            "bad": fared[system.pk, False],
            "seen": moment(system.last_seen_at) if system.last_seen_at else "",
            "ends": moment(ends[system.pk]) if system.pk in ends else "",
            "buttons": buttons(request, system),
            **_verdict(system, waiting.get(system.pk, (0, None))[0], now),
        }
        for system, found in _systems()
    ]
    rows.sort(key=lambda row: (list(Phase).index(row["tone"]), row["system"].name))
    context = {**admin.site.each_context(request), "title": _("Nơi nhận"), "rows": rows}
    return TemplateResponse(request, "hub/health.html", context)


def _verdict(system: System, waiting: int, now: datetime) -> dict[str, Any]:
    if system.suspended_at:
        return {"tone": Phase.FAILED, "icon": "block", "words": _("Bị tạm ngừng")}
    if system.paused_at:
        return {"tone": Phase.FAILED, "icon": "pause_circle", "words": _("Tạm dừng giao")}
    if circuit := broken(system):
        words = _("Không kết nối được")
        return {"tone": Phase.FAILED, "icon": "link_off", "words": words, "why": broken_words(circuit)}
    if system.last_seen_at is None:
        return {"tone": Phase.WAITING, "icon": "help", "words": _("Chưa kết nối lần nào")}
    if now - system.last_seen_at > SILENT and waiting:
        return {"tone": Phase.LATE, "icon": "alarm", "words": _("Im lặng, có văn bản chờ")}
    return {"tone": Phase.ACCEPTED, "icon": "check_circle", "words": _("Đang hoạt động")}


def _systems() -> list[tuple[System, dict[str, int]]]:
    counted = System.objects.select_related("circuit").annotate(agencies=Count("receives_for"))
    return [(system, {"agencies": vars(system)["agencies"]}) for system in counted.order_by("name")]


def _waiting() -> dict[UUID, tuple[int, datetime | None]]:
    rows = Delivery.objects.queued().order_by().values_list("system").annotate(Count("pk"), Min("queued_at"))
    return {system: (count, oldest) for system, count, oldest in rows}


def _fared(now: datetime) -> Counter[tuple[UUID, bool]]:
    """Deliveries handed over, and those that failed, today and yesterday, by the system of the recipient."""
    through = dict(Agency.objects.exclude(receives_through=None).values_list("pk", "receives_through"))
    today = day_of(now)
    found: Counter[tuple[UUID, bool]] = Counter()
    measures = (Measure.HANDED_OVER, *_BAD)
    for agency, measure, count in statistics.sums_by_agency(
        today - timedelta(days=1), today, Direction.RECEIVED, measures
    ):
        if agency in through:
            found[through[agency], measure == Measure.HANDED_OVER] += count
    return found


def _certificates() -> dict[UUID, datetime]:
    """When the first certificate of the agencies behind each system ends."""
    rows = (
        Certificate.objects.filter(revoked_at=None, agency__receives_through__isnull=False)
        .order_by()
        .values_list("agency__receives_through")
        .annotate(Min("not_after"))
    )
    return {system: ends for system, ends in rows if system}
