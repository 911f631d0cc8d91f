"""The audit log on a page: each event in words, and its exact bytes made readable."""

import json
import re
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from agencies.models import System
from exchange.admin.base import RecordAdmin, RecordList
from exchange.admin.looks import NOTHING, Table, badge, first, link, shown, shows, table
from exchange.admin.scope import READ_ALL, visible
from exchange.evidence.catalogue import CATALOGUE
from exchange.models import Event, Outcome, Package
from exchange.refusals import CATALOGUE as REFUSALS

_REASONS = {  # of events that are no refusals
    "answer.refused": _("Nơi nhận từ chối"),
    "answer.declined": _("Nơi nhận không đồng ý"),
    "deadline.handover": _("Quá thời hạn giao"),
    "key.rotated": _("Thay khóa theo kế hoạch"),
    "operator.asked": _("Có người yêu cầu gửi lại"),
    "operator.incident": _("Có sự cố"),
    "operator.stated": _("Theo lý do người thực hiện nêu"),
    "order.confirmed": _("Theo lệnh đã được người thứ hai xác nhận"),
    "recipient.refuses-broken-pdf": _("Nơi nhận không nhận PDF có chữ ký hỏng"),
    "registry.endpoint-gone": _("Nơi nhận đóng địa chỉ (410)"),
    "retention.document": _("Hết thời hạn lưu văn bản"),
    "retention.hub": _("Hết thời hạn lưu sự kiện của trục"),
    "retention.status": _("Hết thời hạn lưu trạng thái"),
    "sender.asked": _("Nơi gửi đề nghị"),
    "transport.notice": _("Thông báo không tới được hệ thống nhận"),
    "transport.recipient-failed": _("Hệ thống nhận báo lỗi xử lý"),
}
LATEST = 100  # packages whose events the list shows to a clerk
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def language() -> str:
    """The language of the page: "en", else Vietnamese."""
    return "en" if (get_language() or "vi").startswith("en") else "vi"


def name_of(event: Event) -> str:
    """The event in words."""
    kind = CATALOGUE.get(event.name)
    if kind is None:
        return event.name
    return kind.label_en if language() == "en" else kind.label_vi


def tone_of(event: Event) -> str:
    """Red for an event that says no."""
    kind = CATALOGUE.get(event.name)
    return "danger" if kind is not None and kind.negative else "default"


def facts_of(event: Event) -> dict[str, Any]:
    """What the bytes of `event` say; empty once they were redacted."""
    body = getattr(event, "body", None)
    facts: dict[str, Any] = json.loads(bytes(body.raw)) if body else {}
    return facts


def reason_of(event: Event) -> str:
    """Why, in words: the title of the refusal, then what the person or system wrote."""
    code, text = facts_of(event).get("reason", {}).get("code", ""), written_in(event)
    if text and code not in REFUSALS:
        return text
    return ": ".join(part for part in (reason_words(code), text) if part)


def reason_words(code: str) -> str:
    """The title of a refusal by its code, what came of a push, words for any other; else the code itself."""
    family, _dot, outcome = code.partition(".")
    if family == "transport" and outcome in Outcome.values:
        return str(Outcome(outcome).label)
    if code in _REASONS:
        return str(_REASONS[code])
    reason = REFUSALS.get(code)
    if reason is None:
        return code
    return f"{reason.title_en if language() == 'en' else reason.title_vi} ({code})"


def written_in(event: Event) -> str:
    """The free text beside `event`, "" when there is none or it was deleted."""
    text = getattr(event, "text", None)
    return text.text if text else ""


def actor_of(event: Event) -> str:
    """Who caused it; a system by its name after `name_systems`."""
    actor = facts_of(event).get("actor")
    if actor is None:
        return NOTHING
    kinds = {"system": _("hệ thống"), "person": _("người dùng"), "hub": _("trục")}
    kind = str(kinds.get(actor["kind"], actor["kind"]))
    return kind if actor["kind"] == "hub" else f"{kind} {vars(event).get('system') or actor['id']}"


def name_systems(events: Sequence[Event]) -> None:
    """Give each event its `system`, the name of the one that caused it, with one query for all."""
    actors = {event.pk: facts_of(event).get("actor", {}).get("id", "") for event in events}
    ids = {actor for actor in actors.values() if _UUID.fullmatch(actor)}
    names = {str(key): name for key, name in System.objects.filter(pk__in=ids).values_list("pk", "name")}
    for event in events:
        vars(event)["system"] = names.get(actors[event.pk], "")


def timeline(request: HttpRequest, events: QuerySet[Event], more: str = "") -> Table:
    """The visible ones of `events`, oldest first."""
    rows = first(request, events.select_related("body", "text").order_by("id"))
    name_systems(rows)
    return table(
        _("Diễn biến"),
        rows,
        (
            (_("thời điểm"), lambda row: link(request, row, shown(row.at))),
            (_("sự kiện"), lambda row: badge(tone_of(row), name_of(row))),
            (_("nơi nhận"), lambda row: facts_of(row).get("recipient")),
            (_("lý do"), reason_of),
            (_("thực hiện"), actor_of),
        ),
        more,
    )


def about(request: HttpRequest) -> "Prefetch[Any]":
    """What packages are about, None where that does not exist for this person."""
    return Prefetch("about", visible(request, Package.objects.all()))


class NameFilter(admin.SimpleListFilter):
    """By type of event, from the catalogue: asking the table for its distinct names would read all of it."""

    title = _("sự kiện")
    parameter_name = "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Every type of event, in words."""
        english = language() == "en"
        return [(name, kind.label_en if english else kind.label_vi) for name, kind in CATALOGUE.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        """The events of the chosen type."""
        return queryset.filter(name=self.value()) if self.value() else queryset


class EventList(RecordList):
    """One page of events with the names of systems."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Event]:
        """Every event for who reads everything, else those of the latest packages that one may see.

        Of older packages the page of each shows them: one's own events among millions are no quick question.
        """
        rows: QuerySet[Event] = super().get_queryset(request, exclude_parameters)
        if request.user.has_perm(READ_ALL):
            return rows
        packages = visible(request, Package.objects.order_by("-accepted_at", "-id"))
        return rows.filter(package__in=list(packages.values_list("pk", flat=True)[:LATEST]))

    def get_results(self, request: HttpRequest) -> None:
        """The rows of the page, named by one query more."""
        super().get_results(request)
        self.result_list = list(self.result_list)
        name_systems(self.result_list)


@admin.register(Event)
class EventAdmin(RecordAdmin):
    """Events as they stand in the log."""

    list_display = ("at", "in_words", "recipient", "reason", "actor", "seq")
    list_before_template = "hub/events_note.html"  # type: ignore[assignment]  # unfold says None
    list_filter = (NameFilter,)
    list_select_related = ("body", "text")
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("in_words", "at", "actor", "recipient", "reason")}),
        (_("Vị trí trong sổ"), {"fields": ("stream", "seq", "package", "delivery", "leaf_hex")}),
        (_("Nội dung nguyên văn"), {"fields": ("pretty",)}),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """The list that names systems."""
        return EventList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Event | None:
        """The event with the name of its system, None when it does not exist for this person."""
        event: Event | None = super().get_object(request, object_id, from_field)
        if event is not None:
            name_systems([event])
        return event

    @shows(_("sự kiện"))
    def in_words(self, event: Event) -> str:
        """The event in words."""
        return badge(tone_of(event), name_of(event))

    @shows(_("nơi nhận"))
    def recipient(self, event: Event) -> str:
        """The code of the recipient that it is about."""
        return str(facts_of(event).get("recipient", NOTHING))

    @shows(_("lý do"))
    def reason(self, event: Event) -> str:
        """Why."""
        return reason_of(event) or NOTHING

    @shows(_("thực hiện"))
    def actor(self, event: Event) -> str:
        """Who."""
        return actor_of(event)

    @shows(_("giá trị băm"))
    def leaf_hex(self, event: Event) -> str:
        """The leaf hash."""
        return format_html('<span class="hub-hash">{}</span>', bytes(event.leaf).hex())

    @shows(_("JSON"))
    def pretty(self, event: Event) -> str:
        """The bytes, indented; what is hashed and signed has no spaces."""
        facts = facts_of(event)
        if not facts:
            return str(_("Nội dung đã được xóa theo quy định; giá trị băm vẫn còn."))
        text = json.dumps(facts, ensure_ascii=False, indent=2, sort_keys=True)
        return format_html('<pre class="hub-pre">{}</pre>', text)
