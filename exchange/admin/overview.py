"""The first page: what needs somebody now, how the last two weeks went, and whether the hub itself is well.

Every number is a link to the list that explains it. Sums come from the statistics, counts stop at 10,000.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Min
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import date_format, number_format
from django.utils.timezone import localdate
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agencies.models import Certificate
from exchange import anchors, facts, statistics
from exchange.admin.lists import bounded
from exchange.admin.looks import may_view, moment, until
from exchange.admin.pictures import Column, columns
from exchange.admin.scope import READ_ALL, WATCH_DELIVERIES, own_ids, sees_content, visible
from exchange.admin.standing import Phase
from exchange.celery import EXPORTS, HOUSEKEEPING, LANES
from exchange.evidence.tree import Broken
from exchange.models import Anchor, Delivery, Direction, Kind, Lane, Log, LogCheck, Measure, Package, State
from exchange.models.delivery import FAILED, REFUSED
from exchange.workdays import VIETNAM, day_of

DAYS = 14
OLDEST = 8  # agencies with something waiting that are listed
SOON = timedelta(days=30)  # a certificate that ends so soon is told of
# Steps of the scale of times to acceptance, in seconds.
_STEPS = (
    (600, "10’"),
    (3600, "1 h"),
    (4 * 3600, "4 h"),
    (8 * 3600, "8 h"),
    (24 * 3600, "1 d"),
    (72 * 3600, "3 d"),
)


_PROCESSES = {
    **{f"process.worker.{name}": Lane(lane).label for lane, name in enumerate(LANES)},
    f"process.worker.{HOUSEKEEPING}": gettext_lazy("Việc định kỳ"),
    f"process.worker.{EXPORTS}": gettext_lazy("Bản xuất"),
    "process.sealer": gettext_lazy("Niêm phong nhật ký"),
}


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """unfold's DASHBOARD_CALLBACK: `context` with what this person may see of the hub's state."""
    now = datetime.now(UTC)
    context["title"] = _("Tổng quan")
    if may_view(request, Delivery):
        context |= {
            "cards": _cards(request, now),
            "waiting": _oldest(request, now),
            **_pictures(request, now),
        }
    context["certificates"] = _certificates(request, now)
    if request.user.has_perm(READ_ALL) or request.user.has_perm(WATCH_DELIVERIES):
        context |= {"log": _log(now), "anchors": _anchors(now), "processes": _processes(now)}
    return context


# --- cards ----------------------------------------------------------------------------------------------


def _cards(request: HttpRequest, now: datetime) -> list[dict[str, Any]]:
    deliveries = visible(request, Delivery.objects.all())
    reads = sees_content(request)
    today = localdate()
    start = datetime.combine(today, datetime.min.time(), tzinfo=VIETNAM)
    cards: list[tuple[str, str, Phase, Any, str]] = [
        (
            _("Chờ gửi"),
            "schedule",
            Phase.WAITING,
            deliveries.filter(state=State.QUEUED),
            _of_deliveries("waiting"),
        ),
        (_("Lỗi chuyển"), "error", Phase.FAILED, deliveries.filter(FAILED), _listed(reads, "failed")),
        (_("Từ chối"), "block", Phase.REFUSED, deliveries.filter(REFUSED), _listed(reads, "refused")),
        (_("Quá hạn"), "alarm", Phase.LATE, deliveries.late(now), _listed(reads, "late")),
    ]
    # `package`, as the indexes have it: the rows themselves are not read.
    cards = [(words, icon, tone, rows.values("package"), url) for words, icon, tone, rows, url in cards]
    if reads:
        sent = visible(
            request, Package.objects.filter(kind=Kind.DOCUMENT, accepted_at__gte=start).values("pk")
        )
        url = f"{reverse('admin:exchange_package_changelist')}?from={today:%d/%m/%Y}"
        cards.insert(0, (_("Văn bản hôm nay"), "description", Phase.HANDED_OVER, sent, url))
    return [
        {"words": words, "icon": icon, "tone": tone.value, "count": bounded(rows), "url": url}
        for words, icon, tone, rows, url in cards
    ]


def _listed(reads: bool, show: str) -> str:
    return f"{reverse('admin:exchange_package_changelist')}?show={show}" if reads else _of_deliveries(show)


def _of_deliveries(show: str) -> str:
    return f"{reverse('admin:exchange_delivery_changelist')}?show={show}"


def _oldest(request: HttpRequest, now: datetime) -> list[dict[str, Any]]:
    """The recipients for whom something waits, those that wait longest first."""
    rows = (
        visible(request, Delivery.objects.queued())
        .order_by()
        .values("recipient", "recipient__name", "system__name", "system__paused_at", "system__suspended_at")
        .annotate(count=Count("*"), oldest=Min("queued_at"))
        .order_by("oldest")[:OLDEST]
    )
    found = [
        {
            "name": row["recipient__name"],
            "system": row["system__name"],
            "held": bool(row["system__paused_at"] or row["system__suspended_at"]),
            "count": row["count"],
            "age": until(now - row["oldest"]),
            "seconds": (now - row["oldest"]).total_seconds(),
            "url": f"{_of_deliveries('waiting')}&recipient={row['recipient']}",
        }
        for row in rows
    ]
    longest = max((row["seconds"] for row in found), default=0) or 1
    for row in found:
        row["share"] = max(1, round(100 * row["seconds"] / longest))
    return found


# --- pictures -------------------------------------------------------------------------------------------


def _pictures(request: HttpRequest, now: datetime) -> dict[str, Any]:
    last = day_of(now)
    sums = statistics.sums_by_day(_counted_for(request), last - timedelta(days=DAYS - 1), last)
    return {"traffic": _traffic(sums, last), "acceptance": _acceptance(sums), "numbers": _numbers(sums, last)}


def _counted_for(request: HttpRequest) -> list[UUID] | None:
    """The agencies whose numbers the person may see; None for all."""
    all_of_them = request.user.has_perm(READ_ALL) or (
        request.user.has_perm(WATCH_DELIVERIES) and not sees_content(request)
    )
    return None if all_of_them else own_ids(request)


def _two_weeks(last: date) -> list[date]:
    return [last - timedelta(days=DAYS - 1 - number) for number in range(DAYS)]


def _on(sums: Mapping[statistics.DaySum, int], day: date, direction: str) -> int:
    wanted = {Direction.SENT: Measure.TAKEN, Direction.RECEIVED: Measure.DELIVERIES}[Direction(direction)]
    return sum(
        count
        for key, count in sums.items()
        if key.day == day and key.direction == direction and key.measure == wanted
    )


def _numbers(sums: Mapping[statistics.DaySum, int], last: date) -> list[tuple[str, int, int]]:
    return [
        (date_format(day, "d/m"), _on(sums, day, Direction.SENT), _on(sums, day, Direction.RECEIVED))
        for day in _two_weeks(last)
    ]


def _traffic(sums: Mapping[statistics.DaySum, int], last: date) -> str:
    series = (_("Gói tin trục nhận"), _("Lượt tới nơi nhận"))
    found = [
        Column(day, (sent, received), f"{day}: {series[0]} {sent}, {series[1]} {received}")
        for day, sent, received in _numbers(sums, last)
    ]
    return columns(_("Lưu lượng 14 ngày qua"), found, series)


def _acceptance(sums: Mapping[statistics.DaySum, int]) -> str:
    """How long recipients took to accept (03), from taking by the hub, in steps that people think in."""
    steps: Counter[int] = Counter()
    for key, count in sums.items():
        if key.measure == Measure.ANSWER_03 and key.direction == Direction.RECEIVED and key.bucket >= 0:
            took = statistics.seconds_of(key.bucket)
            steps[
                next((place for place, (limit, _words) in enumerate(_STEPS) if took <= limit), len(_STEPS))
            ] += count
    if not steps:
        return ""
    labels = [f"≤ {words}" for _limit, words in _STEPS] + [f"> {_STEPS[-1][1]}"]
    found = [Column(label, (steps[place],)) for place, label in enumerate(labels)]
    return columns(_("Thời gian từ lúc trục nhận tới lúc nơi nhận tiếp nhận"), found, (_("Lượt gửi"),))


# --- the hub itself -------------------------------------------------------------------------------------


def _log(now: datetime) -> dict[str, Any] | None:
    log = Log.objects.order_by("-id").first()
    head = log.last_checkpoint() if log else None
    if log is None or head is None:
        return None
    check = LogCheck.objects.order_by("-id").first()
    return {
        "origin": log.origin,
        "size": number_format(head.size, force_grouping=True),
        "signed_at": moment(head.signed_at),
        "late": now - head.signed_at > timedelta(hours=1),
        "check": check,
        "checked_at": moment(check.at) if check else "",
    }


def _anchors(now: datetime) -> dict[str, Any]:
    """Who outside the hub vouches for the log: nobody by default, else each party with when it last did."""
    try:
        parties, late = anchors.parties(), list(anchors.late(now))
    except (Broken, OSError) as error:
        return {"problem": str(error)}
    made = Anchor.objects.order_by("-id")
    return {
        "parties": [
            {
                "name": f"{party.kind.label} – {party.key.name if party.key else party.url}",
                "at": moment(last.at)
                if (last := made.filter(kind=party.kind, by=party.name).first())
                else "",
                "late": any(words.startswith(f"{party.kind} {party.url}:") for words in late),
            }
            for party in parties
        ]
    }


def _processes(now: datetime) -> dict[str, Any]:
    """Every process that ever said that it lives: the silent ones each for itself, the others by name."""
    ages = sorted(facts.ages(now, "process.").items(), key=lambda item: -item[1])
    names = [(str(_PROCESSES.get(name, name.partition(".")[2])), age) for name, age in ages]
    return {
        "silent": [{"name": name, "age": until(age)} for name, age in names if age > facts.SILENT_AFTER],
        "alive": ", ".join(name for name, age in names if age <= facts.SILENT_AFTER),
    }


def _certificates(request: HttpRequest, now: datetime) -> list[dict[str, Any]]:
    """Signing certificates in use that end soon: of all agencies, or of one's own."""
    rows = Certificate.objects.filter(revoked_at=None, not_after__range=(now - SOON, now + SOON))
    if not may_view(request, Certificate):
        rows = rows.filter(agency__in=own_ids(request))
    return [
        {"agency": row.agency.name, "ends": moment(row.not_after), "ended": row.not_after < now}
        for row in rows.select_related("agency").order_by("not_after")[:OLDEST]
    ]
