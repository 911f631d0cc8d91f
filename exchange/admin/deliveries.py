"""Deliveries: one package on its way to one recipient, with every attempt."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

from exchange.admin import actions, delivery_list, saved_filters
from exchange.admin.base import RecordAdmin
from exchange.admin.events import timeline
from exchange.admin.looks import (
    ANSWER_TONES,
    LONGEST_TABLE,
    OUTCOME_TONES,
    STATE_TONES,
    Table,
    badge,
    first,
    link,
    may_view,
    request_badge,
    shown,
    shows,
    table_of,
)
from exchange.admin.scope import sees_connection, sees_content
from exchange.models import Attempt, Delivery, Event, Package


@admin.register(Delivery)
class DeliveryAdmin(RecordAdmin):
    """Deliveries; what the document says is shown only to those who read documents."""

    list_select_related = ("recipient", "system", "package__sender")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        """The list."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return delivery_list.show(request, self.get_queryset(request))

    def get_urls(self) -> list[URLPattern]:
        """Django's, sending again, and the filters that are kept."""
        view = self.admin_site.admin_view(actions.resend_any)
        return [
            path("resend/", view, name="exchange_delivery_resend"),
            *saved_filters.urls(self, delivery_list.plan),
            *super().get_urls(),
        ]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The fields that fit the person."""
        content = ("document", "sender_name") if sees_content(request) else ()
        times = ("queued_at", "due_at", "served_at", "handed_over_at", "answered_at", "expires_at")
        return (
            (None, {"fields": ("state_words", "answer_words", "request_words", "recipient_name", *content)}),
            (_("Thời gian"), {"fields": times}),
            (
                _("Cách giao"),
                {"fields": ("system_name", "push", "recipient_code", "rank", "lane", "attempts")},
            ),
        )

    def heading(self, obj: Delivery) -> str:
        """Named by its recipient."""
        return str(_("Lượt gửi tới %(name)s") % {"name": obj.recipient.name})

    def tables(self, request: HttpRequest, obj: Delivery) -> list[Table]:
        """The document for its readers, and for readers of the log what happened."""
        tables = []
        if may_view(request, Package):
            tables.append(_document(request, obj))
        if may_view(request, Event):
            tables.append(timeline(request, Event.objects.filter(stream=obj.stream)))
        return tables

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """The page, with its attempts side by side."""
        context["attempts"] = _attempts(request, kwargs["obj"])
        return super().render_change_form(request, context, *args, **kwargs)

    @shows(_("nơi nhận"))
    def recipient_name(self, delivery: Delivery) -> str:
        """The name of the recipient."""
        return delivery.recipient.name

    @shows(_("văn bản"))
    def document(self, delivery: Delivery) -> str:
        """Number and notation of the document."""
        return str(delivery.package)

    @shows(_("nơi gửi"))
    def sender_name(self, delivery: Delivery) -> str:
        """The name of the sender."""
        return delivery.package.sender.name

    @shows(_("trạng thái chuyển"))
    def state_words(self, delivery: Delivery) -> str:
        """Where the bytes are."""
        return badge(delivery.state, delivery.get_state_display(), STATE_TONES)

    @shows(_("trả lời"))
    def answer_words(self, delivery: Delivery) -> str:
        """What the recipient said."""
        return badge(delivery.answer, delivery.get_answer_display(), ANSWER_TONES)

    @shows(_("đề nghị của nơi gửi"))
    def request_words(self, delivery: Delivery) -> str:
        """What the sender asks, and what became of it."""
        return request_badge(delivery)

    @shows(_("hệ thống"))
    def system_name(self, delivery: Delivery) -> str:
        """The system that receives for the recipient."""
        return delivery.system.name


def _document(request: HttpRequest, delivery: Delivery) -> Table:
    return table_of(
        request,
        _("Văn bản"),
        Package.objects.filter(pk=delivery.package_id).select_related("sender"),
        (
            (_("số/ký hiệu"), lambda row: link(request, row)),
            (_("trích yếu"), lambda row: row.subject),
            (_("nơi gửi"), lambda row: row.sender.name),
            (_("trục nhận lúc"), lambda row: row.accepted_at),
        ),
    )


def _attempts(request: HttpRequest, delivery: Delivery) -> dict[str, Any]:
    """Every attempt, the newest first, and the one that the address asks for, else the newest.

    Where it went and what was answered only for who may see the connection.
    """
    rows = first(request, Attempt.objects.filter(delivery=delivery).order_by("-number"))[:LONGEST_TABLE]
    asked = request.GET.get("attempt", "")
    chosen = next((row for row in rows if str(row.number) == asked), rows[0] if rows else None)
    connection = sees_connection(request, delivery)
    return {
        "chosen": chosen,
        "rows": [
            {"row": row, "outcome": badge(row.outcome, row.get_outcome_display(), OUTCOME_TONES)}
            for row in rows
        ],
        "request": _request(delivery, chosen, connection=connection) if chosen else [],
        "answer": _answer(chosen, connection=connection) if chosen else [],
    }


def _request(delivery: Delivery, attempt: Attempt, *, connection: bool) -> list[tuple[Any, str]]:
    facts = [
        (_("gửi tới"), f"POST {attempt.url}" if connection else ""),
        (_("bắt đầu"), shown(attempt.started_at)),
        ("webhook-id", str(delivery.pk)),
        ("SHA-256", delivery.package.sha256),
    ]
    return [(words, value) for words, value in facts if value]


def _answer(attempt: Attempt, *, connection: bool) -> list[tuple[Any, str]]:
    took = (attempt.finished_at - attempt.started_at).total_seconds()
    facts = [
        (_("kết quả"), badge(attempt.outcome, attempt.get_outcome_display(), OUTCOME_TONES)),
        (_("mã HTTP"), str(attempt.http_status or "")),
        (_("sau"), _("%(seconds)s giây") % {"seconds": number_format(took, 1)}),
        (_("nơi nhận trả lời"), attempt.detail if connection else ""),
    ]
    return [(words, value) for words, value in facts if value]
