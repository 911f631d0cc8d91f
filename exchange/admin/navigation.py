"""The sidebar: what a person may open, in groups."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """unfold's SIDEBAR navigation; each entry asks for the permission to view its kind of record."""
    return [
        {"items": [_item(_("Tổng quan"), "dashboard", "admin:index")]},
        _group(
            _("Theo dõi"),
            _records(_("Văn bản"), "description", "exchange", "package"),
            _records(_("Lượt gửi"), "send", "exchange", "delivery"),
            _records(_("Sự kiện"), "history", "exchange", "event"),
            _item(_("Nơi nhận"), "monitor_heart", "admin:hub_health", _may("agencies.view_system")),
            _records(_("Sổ và bản xuất"), "menu_book", "exchange", "export"),
        ),
        _group(
            _("Danh bạ"),
            _records(_("Cơ quan"), "account_balance", "agencies", "agency"),
            _records(_("Hệ thống kết nối"), "hub", "agencies", "system"),
            _records(_("Chứng thư số"), "verified_user", "agencies", "certificate"),
        ),
        _group(
            _("Quản trị"),
            _item(
                _("Lệnh xóa nội dung"),
                "delete_sweep",
                "admin:exchange_redactionorder_changelist",
                _may("exchange.order_redaction"),
            ),
            _item(_("Người dùng"), "person", "admin:auth_user_changelist", _is_superuser),
            _item(_("Vai trò"), "group", "admin:auth_group_changelist", _is_superuser),
        ),
    ]


def account(request: HttpRequest) -> list[dict[str, Any]]:
    """unfold's ACCOUNT navigation: what a person sets for itself."""
    return [{"title": _("Xác thực hai bước"), "link": reverse_lazy("admin:hub_second_factor")}]


def _group(title: Any, *items: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "separator": True, "items": list(items)}


def _records(title: Any, icon: str, app: str, model: str) -> dict[str, Any]:
    return _item(title, icon, f"admin:{app}_{model}_changelist", _may(f"{app}.view_{model}"))


def _item(
    title: Any, icon: str, address: str, permission: Callable[[HttpRequest], bool] | None = None
) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(address), "permission": permission}


def _may(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: request.user.has_perm(permission)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_superuser)
