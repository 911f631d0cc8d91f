"""People and their roles: Django's own pages in unfold's dress, for superusers only."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from exchange import siem


class SuperuserOnly:
    """Every permission of a page is that of being a superuser."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether the section shows at all."""
        return _is_superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Looking."""
        return _is_superuser(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Adding."""
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Changing."""
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: a person who left is made inactive, the log still names the account."""
        return False

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """As Django does, and a line of the security stream."""
        _say(request, obj)
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The same; called when the roles of an account are already stored."""
        _say(request, obj)
        return super().log_change(request, obj, message)  # type: ignore[misc]


def _say(request: HttpRequest, obj: Any) -> None:
    by = request.user.get_username()
    if isinstance(obj, Group):
        rights = sorted(obj.permissions.values_list("codename", flat=True))
        siem.say("role.changed", role=obj.name, rights=rights, by=by)
        return
    roles = sorted(obj.groups.values_list("name", flat=True))
    state = {"active": obj.is_active, "superuser": obj.is_superuser}
    siem.say("person.changed", person=obj.get_username(), roles=roles, by=by, **state)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_superuser)


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class PersonAdmin(SuperuserOnly, UserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]  # unfold is not typed
    """Accounts."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_select_related = ()


@admin.register(Group)
class RoleAdmin(SuperuserOnly, GroupAdmin, ModelAdmin):  # type: ignore[misc]  # unfold is not typed
    """Roles: clerk, auditor, operator, registrar, and what the installation adds."""
