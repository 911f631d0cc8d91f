"""The registry: agencies with their codes, systems, certificates. Changed by commands, looked at here."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from agencies.models import Agency, Alias, Certificate, Credential, Membership, System
from agencies.search import fold_text
from exchange.admin import systems
from exchange.admin.base import RecordAdmin
from exchange.admin.document import Button
from exchange.admin.looks import Column, Table, badge, link, may_view, shows, table_of

_POLICIES = ("signature_policy", "duplicate_policy", "hub_may_sign", "refuses_broken_pdf")


@admin.register(Agency)
class AgencyAdmin(RecordAdmin):
    """Agencies, found by any of their codes or by name without accents."""

    list_display = ("name", "code", "parent_name", "system_name", "condition")
    list_select_related = ("parent", "receives_through")
    search_fields = ("search_text",)
    search_help_text = _("Tên hoặc mã, có dấu hay không dấu")
    fieldsets = (
        (None, {"fields": ("condition", "name", "name_en", "code", "parent_name", "email")}),
        (
            _("Liên thông"),
            {"fields": ("system_name", *_POLICIES)},
        ),
        (_("Thời gian"), {"fields": ("created_at", "updated_at", "suspended_at")}),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Agency], search_term: str
    ) -> tuple[QuerySet[Agency], bool]:
        """Every word must occur in the names or codes of the agency."""
        for word in fold_text(search_term).split():
            queryset = queryset.filter(search_text__contains=word)
        return queryset, False

    def tables(self, request: HttpRequest, obj: Agency) -> list[Table]:
        """Codes, certificates and members, each for those who may see that kind of record."""
        tables = []
        if may_view(request, Alias):
            tables.append(_aliases(request, obj))
        if may_view(request, Certificate):
            tables.append(_certificates(request, obj))
        if may_view(request, Membership):
            tables.append(_members(request, obj))
        return tables

    @shows(_("cơ quan cấp trên"))
    def parent_name(self, agency: Agency) -> str | None:
        """The name of the parent."""
        return agency.parent.name if agency.parent else None

    @shows(_("hệ thống nhận văn bản"))
    def system_name(self, agency: Agency) -> str | None:
        """The system through which it receives."""
        return agency.receives_through.name if agency.receives_through else None

    @shows(_("tình trạng"))
    def condition(self, agency: Agency) -> str:
        """Whether documents can be sent to it, and why not."""
        if agency.suspended_at:
            return badge("danger", _("Tạm ngừng"))
        if agency.receives_through is None:
            return badge("default", _("Chưa kết nối"))
        if not agency.reachable:
            return badge("danger", _("Hệ thống tạm ngừng"))
        return badge("success", _("Đang liên thông"))


@admin.register(System)
class SystemAdmin(RecordAdmin):
    """Connected systems. Secrets are not shown, not even encrypted."""

    list_display = ("name", "kind", "delivery", "condition", "last_seen_at")
    list_select_related = ("circuit",)
    list_filter = ("kind", "delivery")
    search_fields = ("name",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "condition",
                    "failing",
                    "name",
                    "kind",
                    "delivery",
                    "callback_url",
                    "notice",
                    "noticed",
                    "vxp_id",
                )
            },
        ),
        (_("Quy tắc"), {"fields": ("signature_policy", "duplicate_policy", "max_bytes")}),
        (_("Giới hạn kết nối"), {"fields": ("networks", "client_certificate", "requests_per_minute")}),
        (_("Thời gian"), {"fields": ("last_seen_at", "created_at", "paused_at", "suspended_at")}),
    )

    def get_urls(self) -> list[URLPattern]:
        """Django's, and what can be asked of a system."""
        view = self.admin_site.admin_view
        asked = {
            "pause": systems.pause,
            "resume": systems.resume,
            "test": systems.test,
            "rotate": systems.rotate,
            "webhook": systems.secret("webhook"),
            "vxp": systems.secret("vxp"),
        }
        own = [
            path(f"<uuid:key>/{name}/", view(page), name=f"agencies_system_{name}")
            for name, page in asked.items()
        ]
        return [*own, *super().get_urls()]

    def buttons(self, request: HttpRequest, obj: System) -> list[Button]:
        """What the person may ask of it."""
        return systems.buttons(request, obj)

    def tables(self, request: HttpRequest, obj: System) -> list[Table]:
        """For whom it receives and sends, and its credentials."""
        agencies: tuple[Column[Agency], ...] = (
            (_("mã định danh"), lambda row: row.code),
            (_("tên"), lambda row: link(request, row, row.name)),
        )
        tables = [
            table_of(request, _("Nhận văn bản cho"), Agency.objects.filter(receives_through=obj), agencies),
            table_of(request, _("Được gửi thay cho"), Agency.objects.filter(senders=obj), agencies),
        ]
        if may_view(request, Credential):
            tables.append(_credentials(request, obj))
        return tables

    @shows(_("tình trạng"))
    def condition(self, system: System) -> str:
        """Whether it works with the hub now."""
        if system.suspended_at:
            return badge("danger", _("Tạm ngừng"))
        if system.paused_at:
            return badge("warning", _("Tạm dừng giao"))
        if systems.broken(system):
            return badge("danger", _("Không kết nối được"))
        return badge("success", _("Đang hoạt động"))

    @shows(_("lỗi kết nối"))
    def failing(self, system: System) -> str | None:
        """Why nothing is pushed to it now, and when the next try is."""
        circuit = systems.broken(system)
        return systems.broken_words(circuit) if circuit else None

    @shows(_("thông báo hộp thư"))
    def noticed(self, system: System) -> str | None:
        """The last inbox notice, and whether it fails."""
        return systems.notice_words(system)


@admin.register(Certificate)
class CertificateAdmin(RecordAdmin):
    """Signing certificates; the registry stores their names with personal numbers hidden."""

    list_display = ("agency_name", "subject", "not_before", "not_after", "condition")
    list_select_related = ("agency",)
    search_fields = ("serial", "fingerprint", "agency__search_text")
    fieldsets = (
        (None, {"fields": ("condition", "agency_name", "subject", "issuer", "serial", "fingerprint")}),
        (_("Thời gian"), {"fields": ("not_before", "not_after", "registered_at", "revoked_at")}),
        (_("Thu hồi"), {"fields": ("revocation_reason",)}),
    )

    def get_urls(self) -> list[URLPattern]:
        """Django's, and revoking."""
        view = self.admin_site.admin_view(systems.revoke)
        return [path("<uuid:key>/revoke/", view, name="agencies_certificate_revoke"), *super().get_urls()]

    def buttons(self, request: HttpRequest, obj: Certificate) -> list[Button]:
        """What the person may ask of it."""
        return systems.certificate_buttons(request, obj)

    @shows(_("cơ quan"))
    def agency_name(self, certificate: Certificate) -> str:
        """The agency that signs with it."""
        return certificate.agency.name

    @shows(_("tình trạng"))
    def condition(self, certificate: Certificate) -> str:
        """Whether it can sign now."""
        return badge(*_condition(certificate))


def _condition(certificate: Certificate) -> tuple[str, str]:
    now = timezone.now()
    if certificate.revoked_at and certificate.revoked_at <= now:
        return "danger", str(_("Đã thu hồi"))
    if certificate.not_after < now:
        return "danger", str(_("Hết hiệu lực"))
    if certificate.not_before > now:
        return "warning", str(_("Chưa có hiệu lực"))
    return "success", str(_("Còn hiệu lực"))


def _aliases(request: HttpRequest, agency: Agency) -> Table:
    columns: tuple[Column[Alias], ...] = (
        (_("mã"), lambda row: row.code),
        (_("có hiệu lực từ"), lambda row: row.valid_from),
        (_("hết hiệu lực từ"), lambda row: row.valid_until),
    )
    return table_of(request, _("Mã cũ và mới"), Alias.objects.filter(agency=agency), columns)


def _certificates(request: HttpRequest, agency: Agency) -> Table:
    columns: tuple[Column[Certificate], ...] = (
        (_("số sê-ri"), lambda row: link(request, row, row.serial)),
        (_("chủ thể"), lambda row: row.subject),
        (_("hết hiệu lực lúc"), lambda row: row.not_after),
        (_("tình trạng"), lambda row: badge(*_condition(row))),
    )
    return table_of(request, _("Chứng thư số"), Certificate.objects.filter(agency=agency), columns)


def _members(request: HttpRequest, agency: Agency) -> Table:
    members = Membership.objects.filter(agency=agency).select_related("user").order_by("joined_at")
    columns: tuple[Column[Membership], ...] = (
        (_("người dùng"), lambda row: row.user.get_username()),
        (_("tham gia lúc"), lambda row: row.joined_at),
    )
    return table_of(request, _("Thành viên"), members, columns)


def _credentials(request: HttpRequest, system: System) -> Table:
    columns: tuple[Column[Any], ...] = (
        (_("client_id"), lambda row: row.client_id),
        (_("phạm vi được cấp"), lambda row: row.scopes),
        (_("tạo lúc"), lambda row: row.created),
        (_("dùng gần nhất"), lambda row: row.last_used_at),
        (_("thu hồi lúc"), lambda row: row.revoked_at),
    )
    credentials = Credential.objects.filter(system=system).order_by("created")
    return table_of(request, _("Thông tin xác thực"), credentials, columns)
