"""The forms of exports. Their fields are those of a filter, so that a link fills them in."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from exchange.admin.confirm import words_of
from exchange.admin.scope import READ_ALL, own_agencies
from exchange.envelope.codes import PRIORITIES
from exchange.exports.filters import Filter
from exchange.models import Answer, BusinessType, Every, ExportFormat, ExportKind, State
from exchange.refusals import Refused
from exchange.workdays import day_of

_ANY = [("", _("tất cả"))]
_PERIODS = [
    ("today", _("hôm nay")),
    ("yesterday", _("hôm qua")),
    ("this-week", _("tuần này")),
    ("last-week", _("tuần trước")),
    ("this-month", _("tháng này")),
    ("last-month", _("tháng trước")),
    ("this-year", _("năm nay")),
    ("last-year", _("năm trước")),
]
_PRIORITIES = [("", _("tất cả")), *((str(code), one.label.vi) for code, one in PRIORITIES.items() if code)]
_KINDS = [(kind.value, kind.label) for kind in (ExportKind.TRAIL, ExportKind.DELIVERIES)]
_DAYS = ["%d/%m/%Y", "%Y-%m-%d"]  # as people write them, and as links do


class FilterForm(forms.Form):
    """What both forms do with their fields."""

    not_of_filter = frozenset({"kind", "format", "insist", "every", "by_mail"})

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request = request

    def clean(self) -> dict[str, Any]:
        """The filter that the fields make."""
        cleaned: dict[str, Any] = super().clean() or {}
        given = {name: value for name, value in cleaned.items() if name not in self.not_of_filter and value}
        if given.keys() & {"since", "until"}:
            given.pop("period", None)
        try:
            self.chosen = Filter.read({name: str(value) for name, value in given.items()}, _today())
        except Refused as refused:
            raise forms.ValidationError(words_of(refused)) from refused
        return cleaned

    def wanted(self) -> dict[str, Any]:
        """What `jobs.ask` takes."""
        given = self.cleaned_data
        return {
            "kind": given["kind"],
            "format": given["format"],
            "chosen": self.chosen,
            "insist": given.get("insist", False),
        }


class ExportForm(FilterForm):
    """A trail or deliveries."""

    usual: Mapping[str, str] = {
        "kind": ExportKind.DELIVERIES,
        "format": ExportFormat.XLSX,
        "period": "this-month",
    }

    kind = forms.ChoiceField(label=_("Nội dung"), choices=_KINDS)
    format = forms.ChoiceField(label=_("Định dạng"), choices=ExportFormat.choices)
    period = forms.ChoiceField(label=_("Kỳ"), choices=[*_ANY, *_PERIODS], required=False)
    since = forms.DateField(label=_("hoặc từ ngày (ngày/tháng/năm)"), input_formats=_DAYS, required=False)
    until = forms.DateField(label=_("đến ngày"), input_formats=_DAYS, required=False)
    agency = forms.CharField(label=_("Mã cơ quan (một hoặc nhiều)"), max_length=2000, required=False)
    direction = forms.ChoiceField(
        label=_("Chiều"),
        choices=[*_ANY, ("sent", _("văn bản đi")), ("received", _("văn bản đến"))],
        required=False,
    )
    type = forms.ChoiceField(
        label=_("Nghiệp vụ"),
        choices=[*_ANY, *BusinessType.choices, ("status", _("Trạng thái"))],
        required=False,
    )
    priority = forms.ChoiceField(label=_("Độ khẩn từ"), choices=_PRIORITIES, required=False)
    state = forms.ChoiceField(label=_("Trạng thái chuyển"), choices=[*_ANY, *State.choices], required=False)
    answer = forms.ChoiceField(label=_("Trả lời"), choices=[*_ANY, *Answer.choices], required=False)
    trouble = forms.ChoiceField(
        label=_("Chỉ những lượt"),
        choices=[*_ANY, ("failed", _("lỗi")), ("late", _("quá hạn"))],
        required=False,
    )
    package = forms.UUIDField(required=False, widget=forms.HiddenInput)
    insist = forms.BooleanField(label=_("Excel cả khi trên 100.000 dòng"), required=False)
    every = forms.ChoiceField(label=_("Chu kỳ"), choices=Every.choices, required=False)
    by_mail = forms.BooleanField(
        label=_("Gửi tới thư điện tử của tôi (không chọn: vào thư mục của trục)"), required=False
    )

    def repeated(self) -> dict[str, Any]:
        """What a schedule takes besides."""
        given = self.cleaned_data
        return {"every": given["every"] or Every.MONTH, "by_mail": given["by_mail"]}


class RegisterForm(FilterForm):
    """A register of one agency and period."""

    kind = forms.ChoiceField(
        label=_("Sổ"),
        choices=[(kind.value, kind.label) for kind in (ExportKind.REGISTER_IN, ExportKind.REGISTER_OUT)],
    )
    agency = forms.CharField(label=_("Cơ quan"), max_length=64)
    period = forms.ChoiceField(label=_("Kỳ"), choices=_PERIODS, initial="this-month")
    format = forms.ChoiceField(choices=[("xlsx", "Excel"), ("pdf", "PDF")])

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        if not request.user.has_perm(READ_ALL):  # who reads everything types a code: there may be 100,000
            own = [(agency.code, agency.name) for agency in own_agencies(request).order_by("name")]
            self.fields["agency"] = forms.ChoiceField(label=_("Cơ quan"), choices=own)


def _today() -> Any:
    return day_of(datetime.now(UTC))
