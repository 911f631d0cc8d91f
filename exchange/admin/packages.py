"""Packages: the list of documents, the page of each, its bytes and attachments."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import FileResponse, Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from exchange import delivery, log, retention
from exchange.admin import actions, document, documents, pdf_words, receipts, saved_filters
from exchange.admin.base import RecordAdmin
from exchange.admin.confirm import actor_of, words_of
from exchange.admin.events import language
from exchange.admin.looks import size_of
from exchange.admin.scope import READ_ALL, own_agencies
from exchange.envelope import package as envelope
from exchange.envelope import xml
from exchange.envelope.package import Attachment
from exchange.models import Package, PdfReport
from exchange.models.ids import uuid7
from exchange.refusals import Refused


@admin.register(Package)
class PackageAdmin(RecordAdmin):
    """Every package that was accepted."""

    list_select_related = ("sender",)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        """The list."""
        self._may_view(request)
        return documents.show(request, self.get_queryset(request))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> TemplateResponse:
        """The page of one package; it is not changed here."""
        if request.method != "GET":
            raise PermissionDenied
        return document.show(request, self._package(request, object_id))

    def get_urls(self) -> list[URLPattern]:
        """Django's, and what can be had or asked of a package."""
        view = self.admin_site.admin_view
        return [
            *saved_filters.urls(self, documents.plan),
            path("<uuid:package_id>/content/", view(self.content), name="exchange_package_content"),
            path(
                "<uuid:package_id>/attachments/", view(self.attachments), name="exchange_package_attachments"
            ),
            path(
                "<uuid:package_id>/attachments/<int:number>/",
                view(self.attachment),
                name="exchange_package_attachment",
            ),
            path("<uuid:package_id>/receipts/<int:event_id>/", view(receipts.give), name=receipts.ADDRESS),
            path("<uuid:package_id>/resend/", view(actions.resend), name=actions.RESEND.address),
            path("<uuid:package_id>/remind/", view(actions.remind), name=actions.REMIND.address),
            path("<uuid:package_id>/withdraw/", view(actions.withdraw), name=actions.WITHDRAW.address),
            *super().get_urls(),
        ]

    def _may_view(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _package(self, request: HttpRequest, key: object) -> Package:
        """The package, if it exists for the person. Raises PermissionDenied, Http404."""
        self._may_view(request)
        package: Package | None = self.get_object(request, str(key))
        if package is None:
            raise Http404(_("Không tìm thấy, hoặc không thuộc cơ quan của bạn."))
        return package

    def content(self, request: HttpRequest, package_id: UUID) -> HttpResponseBase:
        """The original bytes."""
        package = self._readable(request, package_id)
        return self._give(request, package, "package.content", lambda: _original(package))

    def attachments(self, request: HttpRequest, package_id: UUID) -> HttpResponseBase:
        """The attachments by name, type and size, as a piece of the page."""
        package = self._readable(request, package_id)
        try:
            files = _attachments(package)
        except Refused as refused:
            return TemplateResponse(request, "hub/attachments.html", {"problem": words_of(refused)})
        report = PdfReport.objects.filter(pk=package.pk).first()
        said = pdf_words.files_of(report)
        rows = [
            {"number": number, "file": file, "size": size_of(file.size), "pdf": said.get(number)}
            for number, file in enumerate(files, start=1)
        ]
        context = {"package": package, "rows": rows, "waiting": pdf_words.waiting(report)}
        return TemplateResponse(request, "hub/attachments.html", context)

    def attachment(self, request: HttpRequest, package_id: UUID, number: int) -> HttpResponseBase:
        """The bytes of one attachment, always as a download and never as what they claim to be."""
        package = self._readable(request, package_id)
        return self._give(
            request, package, "package.attachment", lambda: _file(_attachments(package), number)
        )

    def _readable(self, request: HttpRequest, key: UUID) -> Package:
        """Like `_package`, but also without the permission it is simply not there."""
        if not self.has_view_permission(request):
            raise Http404
        return self._package(request, key)

    def _give(
        self, request: HttpRequest, package: Package, what: str, response: Callable[[], FileResponse]
    ) -> HttpResponseBase:
        """Bytes of a package. Who opened them is an event, and to a recipient this is serving its delivery:
        the only things that a GET may write."""
        try:
            _serve(request, package)
            given = response()
        except Refused as refused:
            return self._refusal(request, refused)
        with transaction.atomic():
            # A stream of its own, without the field `package`: the parties' trails do not tell each other
            # who of them read what; auditors see it.
            log.note(
                uuid7(),
                "AdminAccess",
                actor=actor_of(request),
                at=datetime.now(UTC),
                what=what,
                target=str(package.id),
                digest=package.sha256,
            )
        return given

    def _refusal(self, request: HttpRequest, refused: Refused) -> TemplateResponse:
        """A page that says why there are no bytes."""
        chosen, problem = language(), refused.problems[0]
        context = {
            **self.admin_site.each_context(request),
            "title": problem.title(chosen),
            "detail": problem.detail(chosen),
        }
        return TemplateResponse(request, "hub/refusal.html", context, status=refused.reason.status)


def _serve(request: HttpRequest, package: Package) -> None:
    """Mark the delivery served, where the person is on a recipient's side only. Raises Refused."""
    own = own_agencies(request)
    if request.user.has_perm(READ_ALL) or own.filter(pk=package.sender_id).exists():
        return
    delivery.serve_to_agencies(package.pk, own, datetime.now(UTC))


def _original(package: Package) -> FileResponse:
    return FileResponse(
        retention.open_content(package),
        as_attachment=True,
        filename=f"{package.id}.edxml",
        content_type="application/octet-stream",
    )


def _file(files: Sequence[Attachment], number: int) -> FileResponse:
    if not 1 <= number <= len(files):
        raise Http404
    file = files[number - 1]
    return FileResponse(
        BytesIO(file.content), as_attachment=True, filename=file.name, content_type="application/octet-stream"
    )


def _attachments(package: Package) -> tuple[Attachment, ...]:
    with retention.open_content(package) as file:
        root = xml.parse(file.read())
    return envelope.read(root, today=date.max).attachments
