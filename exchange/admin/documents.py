"""The list of documents: which failed, were refused, are late, and every document by any word of it."""

from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from exchange.admin import progress, saved_filters
from exchange.admin.events import language
from exchange.admin.lists import Chip, Choice, Plan, page
from exchange.admin.looks import moment
from exchange.admin.pictures import bar
from exchange.admin.scope import READ_ALL, own_ids, visible
from exchange.admin.standing import Phase
from exchange.envelope.codes import PRIORITIES
from exchange.models import BusinessType, Delivery, Direction, Kind, Package, SignatureState
from exchange.models.delivery import ENDED, FAILED, REFUSED, UNACCEPTED, Rank
from exchange.models.package import PackageQuerySet

HINT = _("Số/ký hiệu, trích yếu, cơ quan, mã văn bản – gõ không dấu cũng được")


def show(request: HttpRequest, rows: QuerySet[Any]) -> TemplateResponse:
    """The page of the list that the address asks for; `rows` are those that exist for the person."""
    if not request.GET.get("kind"):
        rows = rows.filter(kind=Kind.DOCUMENT)
    shown = page(request, rows.select_related("sender").defer("search_text", "head"), plan(request, rows))
    progress.attach(request, shown.rows)
    context = {
        **admin.site.each_context(request),
        "title": _("Văn bản"),
        "list": shown,
        "saved": saved_filters.offered(request, Package, shown),
        "list_hint": HINT,
        "documents": [_row(request, package) for package in shown.rows],
        "opts": Package._meta,
    }
    return TemplateResponse(request, "hub/documents.html", context)


def _row(request: HttpRequest, package: Package) -> dict[str, Any]:
    found = progress.of(package)
    label = PRIORITIES[package.priority].label
    return {
        "package": package,
        "kind": package.type_name or package.get_kind_display(),
        "sent": package.sender_id in own_ids(request),
        "priority": label.en if language() == "en" else label.vi,
        "progress": found,
        "bar": bar(found.parts),
        "when": moment(package.accepted_at),
    }


# --- what the list offers -------------------------------------------------------------------------------


def plan(request: HttpRequest, rows: QuerySet[Any]) -> Plan:
    """What can be asked of `rows`, the packages that exist for the person."""
    now = datetime.now(UTC)
    deliveries = visible(request, Delivery.objects.all())
    documents = deliveries.exclude(rank=Rank.STATUS)
    unaccepted = deliveries.filter(UNACCEPTED)
    troubles = (
        ("failed", _("Lỗi"), "error", Phase.FAILED, documents.filter(FAILED)),
        ("refused", _("Từ chối"), "block", Phase.REFUSED, deliveries.filter(REFUSED)),
        ("late", _("Quá hạn"), "alarm", Phase.LATE, deliveries.late(now)),
        ("unaccepted", _("Chưa tiếp nhận"), "inbox", Phase.HANDED_OVER, unaccepted),
        ("ended", _("Đã thu hồi"), "undo", Phase.ENDED, documents.filter(ENDED)),
    )
    every = Chip(
        key="all",
        words=_("Tất cả"),
        icon="description",
        narrow=lambda found: found,
        counted=lambda: rows,
    )
    chips = [every, *(_trouble(*trouble) for trouble in troubles)]
    return Plan(
        at="accepted_at",
        chips=chips,
        choices=_choices(request),
        search=_search,
    )


def _search(rows: QuerySet[Any], question: str) -> QuerySet[Any]:
    return cast("PackageQuerySet", rows).search(question)


def _trouble(key: str, words: Any, icon: str, tone: Phase, deliveries: QuerySet[Delivery]) -> Chip:
    """A chip for the packages that have one of `deliveries`."""
    packages = deliveries.order_by().values("package")
    return Chip(
        key=key,
        words=words,
        icon=icon,
        tone=tone,
        narrow=lambda found: found.filter(pk__in=packages),
        counted=packages.distinct,
    )


def _choices(request: HttpRequest) -> list[Choice]:
    english = language() == "en"
    priorities = [(key, level.label.en if english else level.label.vi) for key, level in PRIORITIES.items()]
    kinds = [*BusinessType.choices, (Kind.STATUS.value, Kind.STATUS.label), ("any", _("Mọi loại gói tin"))]
    choices = [
        Choice(key="kind", words=_("Nghiệp vụ"), options=kinds, narrow=_of_kind),
        Choice(key="priority", words=_("Độ khẩn"), options=priorities, narrow=partial(_by, "priority")),
        Choice(
            key="signature",
            words=_("Chữ ký"),
            options=SignatureState.choices,
            narrow=partial(_by, "signature_state"),
        ),
    ]
    if not request.user.has_perm(READ_ALL):
        narrow = partial(_of_direction, own_ids(request))
        choices.insert(0, Choice(key="direction", words=_("Chiều"), options=Direction.choices, narrow=narrow))
    return choices


def _by(name: str, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
    return rows.filter(**{name: value})


def _of_kind(rows: QuerySet[Any], value: str) -> QuerySet[Any]:
    if value == "any":
        return rows
    return rows.filter(kind=Kind.STATUS) if value == Kind.STATUS else rows.filter(business_type=value)


def _of_direction(own: list[Any], rows: QuerySet[Any], value: str) -> QuerySet[Any]:
    if value == Direction.SENT:
        return rows.filter(sender__in=own)
    received = Delivery.objects.filter(recipient__in=own).order_by().values("package")
    return rows.filter(~Q(sender__in=own), pk__in=received)
