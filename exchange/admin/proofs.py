"""The proof of one document: a page to print, a bundle to hand over. Each is issued, so each is a POST."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

from django.contrib import admin
from django.contrib.auth.models import User
from django.http import FileResponse, Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from exchange import delivery
from exchange.admin.confirm import words_of
from exchange.admin.document import BUTTONS, Button
from exchange.admin.scope import own_agencies, visible
from exchange.exports import issue, readers
from exchange.exports.issue import Form
from exchange.exports.readers import Reader
from exchange.models import Kind, Package
from exchange.refusals import Refused

ADDRESS = "exchange_proof_{}"


def view(form: Form) -> Callable[[HttpRequest, UUID], HttpResponseBase]:
    """The view that issues `form`."""

    def give(request: HttpRequest, package_id: UUID) -> HttpResponseBase:
        package = visible(request, Package.objects.select_related("sender")).filter(pk=package_id).first()
        if package is None:
            raise Http404
        now = datetime.now(UTC)
        try:
            reader = readers.of_user(cast("User", request.user), "trail")
            if form == "asice":
                _serve(request, package, reader, now)
            opened = issue.issue(form, package, reader, now)
        except Refused as refused:
            title, detail = refused.problems[0].title("vi"), words_of(refused)
            page = {**admin.site.each_context(request), "title": title, "detail": detail}
            return TemplateResponse(request, "hub/refusal.html", page, status=refused.reason.status)
        return FileResponse(opened, as_attachment=True, filename=issue.file_name(form, package))

    return require_POST(give)


def _serve(request: HttpRequest, package: Package, reader: Reader, now: datetime) -> None:
    """A bundle holds the content: to a recipient that is serving its delivery. Raises Refused."""
    own = own_agencies(request)
    if not reader.reads_all and not own.filter(pk=package.sender_id).exists():
        delivery.serve_to_agencies(package.pk, own, now)


def _button(form: Form, icon: str) -> Callable[[HttpRequest, Package], Button | None]:
    def make(request: HttpRequest, package: Package) -> Button | None:
        if package.kind != Kind.DOCUMENT or not request.user.has_perm("exchange.view_event"):
            return None
        url = reverse(f"admin:{ADDRESS.format(form)}", args=(package.pk,))
        words = _("Tải gói bằng chứng") if form == "asice" else _("In xác nhận gửi, nhận")
        return Button(words=words, icon=icon, url=url, post=True)

    return make


BUTTONS += [_button("pdf", "print"), _button("asice", "verified")]
