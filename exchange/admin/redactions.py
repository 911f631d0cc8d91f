"""Orders to remove evidence: one person enters, another one confirms or drops. Nothing else is edited."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from exchange import log, retention
from exchange.admin.base import RecordAdmin
from exchange.admin.looks import NOTHING, badge, shown, shows
from exchange.admin.scope import visible
from exchange.models import Package, RedactionOrder

MAY_ORDER = "exchange.order_redaction"


class OrderForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """What is ordered, by the id of the package."""

    request: HttpRequest
    package_id = forms.UUIDField(label=_("Mã gói tin trong trục"), widget=UnfoldAdminTextInputWidget)

    def clean_package_id(self) -> Any:
        """A package that the person may see."""
        key = self.cleaned_data["package_id"]
        if not visible(self.request, Package.objects.filter(pk=key)).exists():
            raise ValidationError(_("Không có gói tin này, hoặc bạn không được xem nó."))
        return key


class DecisionForm(forms.ModelForm):  # type: ignore[type-arg]
    """What is decided about an order."""

    request: HttpRequest
    decision = forms.ChoiceField(
        label=_("Quyết định"),
        choices=[("", "—"), ("confirm", _("Xác nhận và xóa ngay")), ("drop", _("Bỏ lệnh này"))],
        widget=UnfoldAdminSelectWidget,
    )

    def clean(self) -> dict[str, Any]:
        """Whoever entered the order may only drop it."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("decision") == "confirm" and self.instance.entered_by == str(self.request.user.pk):
            raise ValidationError(_("Người lập lệnh không được tự xác nhận."))
        return cleaned


@admin.register(RedactionOrder)
class RedactionOrderAdmin(RecordAdmin):
    """Orders and what became of them."""

    list_display = (
        "pk",
        "package",
        "reason",
        "who_entered",
        "entered_at",
        "became",
        "who_decided",
        "decided_at",
    )
    list_select_related = ("package",)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Those who may order."""
        return self._may(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The same."""
        return self._may(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The same."""
        return self._may(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """An open order waits for a decision; a decided one never changes."""
        return self._may(request) and (obj is None or obj.decided_at is None)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The form to enter, or to decide."""
        kwargs["form"] = DecisionForm if obj else OrderForm
        made = super().get_form(request, obj, change, **kwargs)
        return type(made.__name__, (made,), {"request": request})

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """What was ordered stays as it was entered."""
        return [name for name in self._fields(obj) if name != "decision"] if obj else []

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The fields of the form, after what is known."""
        return ((None, {"fields": self._fields(obj)}),)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Ask the stage."""
        actor = log.Actor("person", str(request.user.pk), "session")
        now, said = timezone.now(), form.cleaned_data
        if not change:
            package = Package.objects.get(pk=said["package_id"])
            made = retention.order(
                package, reason=said["reason"], content=said["content"], actor=actor, now=now
            )
            obj.pk = made.pk
            return
        decide = retention.confirm if said["decision"] == "confirm" else retention.drop
        try:
            decide(obj, actor=actor, now=now)
        except retention.NotPossible as error:
            self.message_user(request, str(error), "ERROR")

    def heading(self, obj: Any) -> str:
        """Its number."""
        return str(
            _("Lệnh xóa nội dung số %(number)s") % {"number": obj.pk} if obj else _("Lập lệnh xóa nội dung")
        )

    @shows(_("người lập"))
    def who_entered(self, order: RedactionOrder) -> str:
        """The account."""
        return _account(order.entered_by)

    @shows(_("người quyết định"))
    def who_decided(self, order: RedactionOrder) -> str:
        """The account."""
        return _account(order.decided_by)

    @shows(_("kết quả"))
    def became(self, order: RedactionOrder) -> str:
        """Open, carried out or dropped."""
        if order.decided_at is None:
            return badge("warning", _("Chờ người thứ hai xác nhận"))
        return badge(
            "success" if order.carried_out else "default", _("Đã xóa") if order.carried_out else _("Đã bỏ")
        )

    @shows(_("xóa cả bản gốc"))
    def with_content(self, order: RedactionOrder) -> str:
        """Whether the original bytes go too."""
        return str(_("Có") if order.content else _("Không"))

    @shows(_("lập lúc"))
    def when_entered(self, order: RedactionOrder) -> str:
        """The time."""
        return shown(order.entered_at)

    @staticmethod
    def _fields(obj: Any) -> list[str]:
        if obj is None:
            return ["package_id", "content", "reason"]
        decided = ["who_decided", "decided_at"] if obj.decided_at else ["decision"]
        return ["package", "with_content", "reason", "who_entered", "when_entered", "became", *decided]

    @staticmethod
    def _may(request: HttpRequest) -> bool:
        return request.user.has_perm(MAY_ORDER)


def _account(key: str) -> str:
    user = User.objects.filter(pk=key).first() if key.isdecimal() else None
    return user.get_username() if user else key or NOTHING
