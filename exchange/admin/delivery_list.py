"""The list of deliveries, for operators first: what waits and fails, at which recipient, with which error."""

from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from agencies.models import Agency, System
from agencies.search import fold_text
from exchange.admin import saved_filters
from exchange.admin.actions import RESEND
from exchange.admin.lists import Chip, Choice, Narrow, Plan, page
from exchange.admin.looks import link, moment
from exchange.admin.scope import sees_content
from exchange.admin.standing import ICONS, Phase, standings, with_phase
from exchange.models import Attempt, Delivery, Outcome, Package, State
from exchange.models.delivery import FAILED, REFUSED, UNACCEPTED, DeliveryQuerySet

_FOUND = 500  # agencies that one question may mean


def show(request: HttpRequest, rows: QuerySet[Any]) -> TemplateResponse:
    """The page of the list that the address asks for; `rows` are those that exist for the person."""
    now = datetime.now(UTC)
    reads = sees_content(request)
    shown = page(request, rows.only("pk", "queued_at"), plan(request, rows))
    found = {
        item.pk: item
        for item in with_phase(Delivery.objects.filter(pk__in=[row.pk for row in shown.rows]), now)
    }
    ordered = standings([found[row.pk] for row in shown.rows], now)
    context = {
        **admin.site.each_context(request),
        "title": _("Lượt gửi"),
        "list": shown,
        "saved": saved_filters.offered(request, Delivery, shown),
        "list_hint": HINT_READERS if reads else HINT,
        "reads": reads,
        "deliveries": [
            {
                "row": item,
                "document": link(request, item.delivery.package) if reads else "",
                "when": moment(item.delivery.queued_at),
                "next": moment(item.next_at) if item.next_at else "",
            }
            for item in ordered
        ],
        "resend": _resend(request, shown.rows, reads=reads),
        "opts": Delivery._meta,
    }
    return TemplateResponse(request, "hub/deliveries.html", context)


HINT = _("Nơi nhận: tên hoặc mã, gõ không dấu cũng được")
HINT_READERS = _("Số/ký hiệu, trích yếu, cơ quan, mã văn bản – gõ không dấu cũng được")


def _resend(request: HttpRequest, rows: list[Any], *, reads: bool) -> str:
    """The address that sends what the list shows again, for whoever may send any delivery."""
    asked = request.GET
    if asked.get("show") != "failed" or not rows or reads or not request.user.has_perm(RESEND.permission):
        return ""
    query = QueryDict(mutable=True)
    for key in ("recipient", "system"):
        if value := asked.get(key):
            query[key] = value
    return f"{reverse('admin:exchange_delivery_resend')}?{query.urlencode()}"


def plan(request: HttpRequest, rows: QuerySet[Any]) -> Plan:
    """What can be asked of `rows`, the deliveries that exist for the person."""
    now = datetime.now(UTC)
    found = partial(_chip, rows)
    chips = [
        found("waiting", partial(_by, Q(state=State.QUEUED)), words=_("Chờ gửi"), tone=Phase.WAITING),
        found("failed", partial(_by, FAILED), words=_("Lỗi chuyển"), tone=Phase.FAILED),
        found("refused", partial(_by, REFUSED), words=_("Từ chối"), tone=Phase.REFUSED),
        found("late", partial(_late, now), words=_("Quá hạn"), tone=Phase.LATE),
        found("unaccepted", partial(_by, UNACCEPTED), words=_("Chưa tiếp nhận"), tone=Phase.HANDED_OVER),
    ]
    every = Chip(
        key="all",
        words=_("Tất cả"),
        icon="send",
        narrow=lambda found: found,
        counted=lambda: rows.values("package"),
    )
    return Plan(
        at="queued_at",
        chips=[every, *chips],
        choices=_choices(),
        search=_of_documents if sees_content(request) else _of_recipients,
        keys={"recipient": "recipient", "package": "package"},
    )


def _chip(rows: Any, key: str, narrow: Narrow, *, words: Any, tone: Phase) -> Chip:
    return Chip(
        key=key,
        words=words,
        icon=ICONS[tone],
        tone=tone,
        narrow=narrow,
        counted=lambda: narrow(rows).values("package"),
    )


def _late(now: datetime, rows: QuerySet[Any]) -> QuerySet[Any]:
    return cast("DeliveryQuerySet", rows).late(now)


def _by(condition: Q, rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.filter(condition)


def _choices() -> list[Choice]:
    systems = [(key, name) for key, name in System.objects.order_by("name").values_list("pk", "name")]
    return [
        Choice(
            key="system",
            words=_("Hệ thống nhận"),
            options=systems,
            narrow=lambda rows, value: rows.filter(system=value),
        ),
        Choice(
            key="state",
            words=_("Trạng thái chuyển"),
            options=State.choices,
            narrow=lambda rows, value: rows.filter(state=value),
        ),
        Choice(
            key="error",
            words=_("Kết quả lần gửi"),
            options=Outcome.choices,
            narrow=lambda rows, value: rows.filter(
                pk__in=Attempt.objects.filter(outcome=value).order_by().values("delivery")
            ),
        ),
    ]


def _of_documents(rows: QuerySet[Any], question: str) -> QuerySet[Any]:
    """Of the documents that the question finds: their text names the recipients too."""
    return rows.filter(package__in=Package.objects.search(question).order_by().values("pk"))


def _of_recipients(rows: QuerySet[Any], question: str) -> QuerySet[Any]:
    agencies = Agency.objects.all()
    for word in fold_text(question).split():
        agencies = agencies.filter(search_text__contains=word)
    return rows.filter(recipient__in=list(agencies.order_by().values_list("pk", flat=True)[:_FOUND]))
