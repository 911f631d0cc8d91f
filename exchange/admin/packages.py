"""Packages: what was sent, to whom, and how far it came."""

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import (
    Case,
    IntegerField,
    Prefetch,
    Q,
    QuerySet,
    Value,
    When,
    prefetch_related_objects,
)
from django.http import FileResponse, Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _

from agencies.search import fold_text
from exchange import delivery, log, retention
from exchange.admin import progress
from exchange.admin.base import RecordAdmin, RecordList
from exchange.admin.events import language, reason_words, timeline
from exchange.admin.looks import (
    ANSWER_TONES,
    NOTHING,
    SIGNATURE_TONES,
    STATE_TONES,
    Table,
    anchor,
    badge,
    link,
    request_badge,
    shown,
    shows,
    size_of,
    table_of,
)
from exchange.admin.scope import READ_ALL, own_agencies, visible
from exchange.envelope.codes import PRIORITIES
from exchange.matching import fold_code
from exchange.models import Answer, Delivery, Event, Package, SignatureState, State
from exchange.models.ids import uuid7
from exchange.refusals import Refused

_PRIORITY_TONES = {0: "default", 1: "warning", 2: "danger", 3: "danger", 4: "danger"}
_TROUBLE_FIRST = Case(
    When(state__in=(State.UNDELIVERABLE, State.EXPIRED), then=Value(0)),
    When(answer=Answer.REFUSED, then=Value(1)),
    When(state=State.QUEUED, then=Value(2)),
    When(answer=Answer.NONE, then=Value(3)),
    default=Value(4),
    output_field=IntegerField(),
)


class PackageList(RecordList):
    """One page of packages with their progress."""

    def get_results(self, request: HttpRequest) -> None:
        """The rows of the page, counted by one query more."""
        super().get_results(request)
        self.result_list = list(self.result_list)
        progress.attach(request, self.result_list)


@admin.register(Package)
class PackageAdmin(RecordAdmin):
    """Every package that was accepted."""

    list_display = ("title", "subject", "sender_name", "urgency", "progress", "accepted_at")
    list_filter = ("kind", "business_type", "priority", "signature_state")
    list_select_related = ("sender",)
    search_fields = ("code_folded",)
    search_help_text = _("Số/ký hiệu, trích yếu, nơi gửi, mã văn bản")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "progress",
                    "title",
                    "subject",
                    "about_link",
                    "sender_name",
                    "urgency",
                    "promulgated_on",
                    "due_on",
                    "timeliness",
                    "accepted_at",
                )
            },
        ),
        (_("Chữ ký số"), {"fields": ("signature_words", "signer", "signer_fingerprint")}),
        (
            _("Gói tin gốc"),
            {"fields": ("original", "kind", "business_type", "document_id", "sha256", "bytes_long")},
        ),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """The list that counts deliveries."""
        return PackageList

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Package | None:
        """The package with its progress, None when it does not exist for this person."""
        package: Package | None = super().get_object(request, object_id, from_field)
        if package is not None:
            progress.attach(request, [package])
            prefetch_related_objects([package], _about(request))
        return package

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Package], search_term: str
    ) -> tuple[QuerySet[Package], bool]:
        """By code as people type it, subject, sending agency or DocumentId."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = (
            Q(code_folded__contains=fold_code(term))
            | Q(subject__icontains=term)
            | Q(document_id__icontains=term)
            | Q(sender__search_text__contains=fold_text(term))
        )
        return queryset.filter(found), False

    def get_urls(self) -> list[URLPattern]:
        """Django's, and the download of the original."""
        content = self.admin_site.admin_view(self.content)
        own = path("<uuid:package_id>/content/", content, name="exchange_package_content")
        return [own, *super().get_urls()]

    def content(self, request: HttpRequest, package_id: Any) -> HttpResponseBase:
        """The original bytes. Who opened them is an event, and to a recipient this is serving its delivery:
        the only things that a GET may write."""
        package = self.get_object(request, str(package_id)) if self.has_view_permission(request) else None
        if package is None:
            raise Http404
        try:
            _serve(request, package)
            file = retention.open_content(package)
        except Refused as refused:
            return self._refusal(request, refused)
        with transaction.atomic():
            # A stream of its own, without the field `package`: the parties' trails do not tell each other
            # who of them read what; auditors see it.
            log.note(
                uuid7(),
                "AdminAccess",
                actor=log.Actor("person", str(request.user.pk), "session"),
                at=datetime.now(UTC),
                what="package.content",
                target=str(package.id),
                digest=package.sha256,
            )
        return FileResponse(
            file,
            as_attachment=True,
            filename=f"{package.id}.edxml",
            content_type="application/octet-stream",
        )

    def _refusal(self, request: HttpRequest, refused: Refused) -> TemplateResponse:
        """A page that says why there are no bytes."""
        chosen, problem = language(), refused.problems[0]
        context = {
            **self.admin_site.each_context(request),
            "title": problem.title(chosen),
            "detail": problem.detail(chosen),
        }
        return TemplateResponse(request, "hub/refusal.html", context, status=refused.reason.status)

    def tables(self, request: HttpRequest, obj: Package) -> list[Table]:
        """Recipients with trouble first, everything that happened, and what belongs to it."""
        return [_recipients(request, obj), _events(request, obj), _related(request, obj)]

    @shows(_("số/ký hiệu"))
    def title(self, package: Package) -> str:
        """`626/KH-UBND · Kế hoạch`."""
        kind = package.type_name or package.get_kind_display()
        return f"{package} · {kind}"

    @shows(_("về văn bản"))
    def about_link(self, package: Package) -> str:
        """The link to what it answers or acts on, where that exists for this person."""
        about = package.about
        return anchor(reverse("admin:exchange_package_change", args=(about.pk,)), about) if about else NOTHING

    @shows(_("trả lời đúng hạn"))
    def timeliness(self, package: Package) -> str:
        """For a reply: the day asked for, and whether it came by then."""
        return _timeliness(package) or NOTHING

    @shows(_("nơi gửi"))
    def sender_name(self, package: Package) -> str:
        """The name of the sending agency."""
        return package.sender.name

    @shows(_("độ khẩn"))
    def urgency(self, package: Package) -> str:
        """The priority in words."""
        label = PRIORITIES[package.priority].label
        tone = _PRIORITY_TONES[package.priority]
        return badge(tone, label.en if language() == "en" else label.vi)

    @shows(_("tiến độ"))
    def progress(self, package: Package) -> str:
        """How many accepted, refused, failed."""
        found = progress.of(package)
        return badge(found.tone, found.words)

    @shows(_("kết quả kiểm tra"))
    def signature_words(self, package: Package) -> str:
        """The verdict, and what is wrong."""
        problem = reason_words(package.signature_problem)
        words = _SIGNATURE_WORDS[SignatureState(package.signature_state)]
        told = f"{words}: {problem}" if problem else words
        return badge(package.signature_state, told, SIGNATURE_TONES)

    @shows(_("bản gốc"))
    def original(self, package: Package) -> str:
        """The link to the bytes."""
        return anchor(reverse("admin:exchange_package_content", args=(package.pk,)), _("Tải gói tin gốc"))

    @shows(_("dung lượng"))
    def bytes_long(self, package: Package) -> str:
        """The size in bytes."""
        return size_of(package.size)


_SIGNATURE_WORDS = {
    SignatureState.VALID: _("Chữ ký hợp lệ, chứng thư đã đăng ký của nơi gửi"),
    SignatureState.ABSENT: _("Cảnh báo: gói tin không có chữ ký số"),
    SignatureState.INVALID: _("Cảnh báo: chữ ký không hợp lệ"),
    SignatureState.BY_HUB: _("Trục ký thay nơi gửi"),
}


def _serve(request: HttpRequest, package: Package) -> None:
    """Mark the delivery served, where the person is on a recipient's side only. Raises Refused."""
    own = own_agencies(request)
    if request.user.has_perm(READ_ALL) or own.filter(pk=package.sender_id).exists():
        return
    delivery.serve_to_agencies(package.pk, own, datetime.now(UTC))


def _recipients(request: HttpRequest, package: Package) -> Table:
    deliveries = Delivery.objects.filter(package=package).select_related("recipient", "system")
    return table_of(
        request,
        _("Nơi nhận"),
        deliveries.order_by(_TROUBLE_FIRST, "recipient_code"),
        (
            (_("nơi nhận"), lambda row: link(request, row, row.recipient.name)),
            (_("trạng thái chuyển"), lambda row: badge(row.state, row.get_state_display(), STATE_TONES)),
            (_("trả lời"), lambda row: badge(row.answer, row.get_answer_display(), ANSWER_TONES)),
            (_("hệ thống"), lambda row: row.system.name),
            (_("giao lúc"), lambda row: row.handed_over_at),
            (_("trả lời lúc"), lambda row: row.answered_at),
            (_("hạn xác nhận tiếp nhận"), lambda row: row.receipt_due_at),
            (_("đề nghị của nơi gửi"), request_badge),
            (_("hạn trả lời đề nghị"), lambda row: row.request_due_at),
            (_("lần gửi tới"), lambda row: row.due_at if row.state == State.QUEUED else None),
        ),
        reverse("admin:exchange_delivery_changelist") + f"?package__id__exact={package.pk}",
    )


def _events(request: HttpRequest, package: Package) -> Table:
    more = reverse("admin:exchange_event_changelist") + f"?package__exact={package.pk}"
    return timeline(request, Event.objects.filter(package=package.pk), more)


def _about(request: HttpRequest) -> "Prefetch[Any]":
    """What packages are about, None where that does not exist for this person."""
    return Prefetch("about", visible(request, Package.objects.all()))


def _timeliness(package: Package) -> str:
    """`Đúng hạn (20/11/2026)` for a reply to a document that asked for one by then, else nothing."""
    if package.about is None or package.in_time is None:
        return ""
    day = shown(package.about.due_on)
    if package.in_time:
        return badge("success", _("Đúng hạn (%(day)s)") % {"day": day})
    return badge("danger", _("Trễ hạn (%(day)s)") % {"day": day})


def _related(request: HttpRequest, package: Package) -> Table:
    related = Q(about=package.pk) | Q(pk=package.about_id)
    packages = Package.objects.filter(related).select_related("sender").prefetch_related(_about(request))
    return table_of(
        request,
        _("Gói tin liên quan"),
        packages.order_by("accepted_at", "id"),
        (
            (_("thời điểm"), lambda row: link(request, row, shown(row.accepted_at))),
            (_("nội dung"), _what),
            (_("số/ký hiệu"), str),
            (_("nơi gửi"), lambda row: row.sender.name),
            (_("hạn trả lời"), lambda row: row.due_on),
            (_("trả lời đúng hạn"), _timeliness),
        ),
    )


def _what(package: Package) -> str:
    if package.business_type:
        return package.get_business_type_display()
    answer = dict(Answer.choices).get(package.status_code, package.get_kind_display())
    return f"{answer} ({package.status_code})"
