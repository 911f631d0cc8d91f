"""Exports and registers: what is asked for, how far it is, the file; and the schedules that ask again."""

from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from exchange.admin import proofs
from exchange.admin.base import RecordAdmin
from exchange.admin.confirm import words_of
from exchange.admin.events import reason_words
from exchange.admin.export_forms import ExportForm, RegisterForm
from exchange.admin.looks import size_of
from exchange.admin.scope import visible
from exchange.exports import jobs, schedules
from exchange.models import Export, ExportSchedule, ExportState
from exchange.models.export import OPEN
from exchange.refusals import Refused

LISTED = 50
_TOKEN = "csrfmiddlewaretoken"  # noqa: S105 (the name of a field)
_LIST = "admin:exchange_export_changelist"
_TONES = {
    ExportState.WAITING: ("waiting", "schedule"),
    ExportState.RUNNING: ("waiting", "progress_activity"),
    ExportState.DONE: ("accepted", "check_circle"),
    ExportState.FAILED: ("failed", "error"),
    ExportState.CANCELLED: ("ended", "cancel"),
}


@admin.register(Export)
class ExportAdmin(RecordAdmin):
    """Jobs of the person; auditors who read everything see those of others too."""

    def get_urls(self) -> list[URLPattern]:
        """Django's, and what can be done."""
        view = self.admin_site.admin_view
        return [
            path("proof/<uuid:package_id>/pdf/", view(proofs.view("pdf")), name="exchange_proof_pdf"),
            path("proof/<uuid:package_id>/asice/", view(proofs.view("asice")), name="exchange_proof_asice"),
            path("new/", view(self.new), name="exchange_export_new"),
            path("register/", view(require_POST(self.register)), name="exchange_export_register"),
            path("schedule/", view(require_POST(self.schedule)), name="exchange_export_schedule"),
            path(
                "schedule/<int:key>/end/",
                view(require_POST(self.end_schedule)),
                name="exchange_export_schedule_end",
            ),
            path("<uuid:key>/file/", view(self.file), name="exchange_export_file"),
            path("<uuid:key>/cancel/", view(require_POST(self.cancel)), name="exchange_export_cancel"),
            path("<uuid:key>/again/", view(require_POST(self.again)), name="exchange_export_again"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        """Registers at hand, the jobs, the schedules."""
        self._may(request)
        return self._home(request, RegisterForm(request))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> TemplateResponse:
        """One job; it refreshes itself while it is open."""
        if request.method != "GET":
            raise PermissionDenied
        export = self._one(request, object_id)
        return self._page(
            request, "hub/export.html", _("Bản xuất"), job=_shown(export), open=export.state in OPEN
        )

    def new(self, request: HttpRequest) -> HttpResponseBase:
        """The form; what stands in the query is filled in, so that a filter is a link."""
        self._may(request)
        if request.method != "POST":
            if _TOKEN in request.GET:  # the button that makes a link sends every field of the form
                return HttpResponseRedirect(f"{request.path}?{_link(request)}")
            form = ExportForm(request, initial={**ExportForm.usual, **_filled(request)})
            return self._form(request, form)
        form = ExportForm(request, request.POST)
        if not form.is_valid():
            return self._form(request, form)
        try:
            made = jobs.ask(**form.wanted(), user=_user(request), now=datetime.now(UTC))
        except Refused as refused:
            form.add_error(None, words_of(refused))
            return self._form(request, form)
        return HttpResponseRedirect(_page_of(made))

    def register(self, request: HttpRequest) -> HttpResponseBase:
        """A register at once: the file itself, or the page of its job when it is large."""
        self._may(request)
        form = RegisterForm(request, request.POST)
        if not form.is_valid():
            return self._home(request, form)
        now = datetime.now(UTC)
        try:
            made = jobs.ask(**form.wanted(), user=_user(request), now=now)
            if made.state != ExportState.DONE:
                return HttpResponseRedirect(_page_of(made))
            return FileResponse(jobs.open_file(made, now), as_attachment=True, filename=made.file_name)
        except Refused as refused:
            form.add_error(None, words_of(refused))
            return self._home(request, form)

    def schedule(self, request: HttpRequest) -> HttpResponseBase:
        """The same filter again and again."""
        self._may(request)
        form = ExportForm(request, request.POST)
        if not form.is_valid():
            return self._form(request, form)
        wanted = form.wanted()
        wanted.pop("insist")
        try:
            schedules.create(**wanted, **form.repeated(), user=_user(request), now=datetime.now(UTC))
        except Refused as refused:
            form.add_error(None, words_of(refused))
            return self._form(request, form)
        return HttpResponseRedirect(reverse(_LIST))

    def end_schedule(self, request: HttpRequest, key: int) -> HttpResponseBase:
        """No more of these."""
        self._may(request)
        gone, _by_model = visible(request, ExportSchedule.objects.filter(pk=key)).delete()
        if not gone:
            raise Http404
        return HttpResponseRedirect(reverse(_LIST))

    def file(self, request: HttpRequest, key: UUID) -> HttpResponseBase:
        """The finished file."""
        export = self._one(request, key)
        try:
            opened = jobs.open_file(export, datetime.now(UTC))
        except Refused as refused:
            words = words_of(refused)
            page = self._page(request, "hub/refusal.html", refused.problems[0].title("vi"), detail=words)
            page.status_code = refused.reason.status
            return page
        return FileResponse(opened, as_attachment=True, filename=export.file_name)

    def cancel(self, request: HttpRequest, key: UUID) -> HttpResponseBase:
        """Stop it."""
        export = self._one(request, key)
        if not jobs.cancel(export):
            messages.warning(request, _("Bản xuất đã kết thúc, không hủy được nữa."))
        return HttpResponseRedirect(_page_of(export))

    def again(self, request: HttpRequest, key: UUID) -> HttpResponseBase:
        """The same once more, for whom it was."""
        export = self._one(request, key)
        try:
            return HttpResponseRedirect(_page_of(jobs.again(export, datetime.now(UTC))))
        except Refused as refused:
            messages.error(request, words_of(refused))
            return HttpResponseRedirect(_page_of(export))

    # --- pieces ---------------------------------------------------------------------------------------

    def _may(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _one(self, request: HttpRequest, key: object) -> Export:
        self._may(request)
        export: Export | None = self.get_object(request, str(key))
        if export is None:
            raise Http404(_("Không tìm thấy, hoặc không thuộc cơ quan của bạn."))
        return export

    def _home(self, request: HttpRequest, form: RegisterForm) -> TemplateResponse:
        exports = self.get_queryset(request)[:LISTED]
        plans = visible(request, ExportSchedule.objects.select_related("user"))[:LISTED]
        context = {"form": form, "jobs": [_shown(export) for export in exports], "plans": plans}
        return self._page(request, "hub/exports.html", _("Sổ và bản xuất"), **context)

    def _form(self, request: HttpRequest, form: ExportForm) -> TemplateResponse:
        return self._page(request, "hub/export_form.html", _("Bản xuất mới"), form=form)

    def _page(self, request: HttpRequest, template: str, title: Any, **context: Any) -> TemplateResponse:
        return TemplateResponse(
            request, template, {**self.admin_site.each_context(request), "title": title, **context}
        )


def _link(request: HttpRequest) -> str:
    """What was filled in, without what only this form is for: the link goes to other people."""
    own = {_TOKEN, "every", "by_mail"}
    return urlencode([(name, text) for name, text in request.GET.items() if text and name not in own])


def _filled(request: HttpRequest) -> dict[str, str]:
    given = request.GET.dict()
    return {**given, "agency": ", ".join(request.GET.getlist("agency"))} if "agency" in given else given


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)


def _page_of(export: Export) -> str:
    return reverse("admin:exchange_export_change", args=(export.pk,))


def _shown(export: Export) -> dict[str, Any]:
    tone, icon = _TONES[ExportState(export.state)]
    same = f"kind={export.kind}&format={export.format}&{export.query}"
    return {
        "row": export,
        "tone": tone,
        "icon": icon,
        "why": reason_words(export.problem) if export.problem else "",
        "filter": jobs.filter_of(export).words,
        "size": size_of(export.size) if export.size is not None else "",
        "link": f"{reverse('admin:exchange_export_new')}?{same}",
    }
