"""How things look on every page: badges, times, sizes, links, tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar, cast

from django.contrib.auth import get_permission_codename
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext, gettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.utils import display_for_label

from exchange.admin.scope import visible
from exchange.models import Answer, Delivery, Outcome, Request, RequestState, SignatureState, State

NOTHING = "–"
LONGEST_TABLE = 200
_LINK = "font-medium text-primary-600 dark:text-primary-500"

# Taken by the hub, handed to a system, handled by a person: three levels, three colours. Red is trouble.
STATE_TONES: Mapping[str, str] = {
    State.QUEUED: "warning",
    State.HANDED_OVER: "info",
    State.WITHDRAWN: "default",
    State.SUPERSEDED: "default",
    State.EXPIRED: "danger",
    State.UNDELIVERABLE: "danger",
}
ANSWER_TONES: Mapping[str, str] = {
    Answer.NONE: "default",
    Answer.ARRIVED: "default",
    Answer.REFUSED: "danger",
    Answer.ACCEPTED: "success",
    Answer.ASSIGNED: "success",
    Answer.IN_WORK: "success",
    Answer.DONE: "success",
}
REQUEST_TONES: Mapping[str, str] = {
    RequestState.NONE: "default",
    RequestState.OPEN: "warning",
    RequestState.AGREED: "success",
    RequestState.DECLINED: "danger",
}
OUTCOME_TONES: Mapping[str, str] = {
    Outcome.CONFIRMED: "info",
    Outcome.UNCONFIRMED: "info",
    Outcome.REJECTED: "danger",
    Outcome.GONE: "danger",
    Outcome.UNREACHABLE: "danger",
    Outcome.MISMATCH: "danger",
}
SIGNATURE_TONES: Mapping[str, str] = {
    SignatureState.VALID: "success",
    SignatureState.ABSENT: "warning",
    SignatureState.INVALID: "danger",
    SignatureState.BY_HUB: "info",
}
# For words whose colour is computed: the value is the tone itself.
TONES: Mapping[str, str] = {
    tone: tone for tone in ("default", "info", "success", "warning", "danger", "primary")
}

Row = TypeVar("Row", bound=Model)
Method = TypeVar("Method", bound=Callable[..., object])
Column = tuple[Any, Callable[[Row], object]]


@dataclass(frozen=True, slots=True)
class Table:
    """One table below the fields of a record, as unfold's table component wants it."""

    title: Any
    table: Mapping[str, Any]
    note: Any = ""


def table_of(
    request: HttpRequest,
    title: Any,
    queryset: QuerySet[Row],
    columns: Sequence[Column[Row]],
    more: str = "",
) -> Table:
    """The visible rows of `queryset`, at most LONGEST_TABLE; `more` is the list that shows all of them."""
    return table(title, first(request, queryset), columns, more)


def first(request: HttpRequest, queryset: QuerySet[Row]) -> list[Row]:
    """The visible rows of `queryset` that fit a table, and one more if there are more."""
    return list(visible(request, queryset)[: LONGEST_TABLE + 1])


def table(title: Any, rows: Sequence[Row], columns: Sequence[Column[Row]], more: str = "") -> Table:
    """The table of `rows` as `first` gives them."""
    cells = [[shown(cell(row)) for _header, cell in columns] for row in rows[:LONGEST_TABLE]]
    headers = [header for header, _cell in columns]
    return Table(title, {"headers": headers, "rows": cells}, _note(len(rows), more))


def shows(words: Any, tones: Mapping[Any, str] | None = None) -> Callable[[Method], Method]:
    """unfold's `display`: the heading of a column, and the colours if it shows badges of (value, words)."""
    made = display(description=words, label=dict(tones) if tones else None)
    return cast("Callable[[Method], Method]", made)


def badge(value: str, words: Any, tones: Mapping[str, str] = TONES) -> SafeString:
    """`words` in the colour that `tones` gives to `value`."""
    return SafeString(display_for_label((value, str(words)), NOTHING, tones))


def request_badge(delivery: Delivery) -> SafeString:
    """What the sender asks of `delivery`, and what became of it."""
    asked, became = delivery.get_request_display(), delivery.get_request_state_display()
    told = asked if delivery.request == Request.NONE else f"{asked}: {became}"
    return badge(delivery.request_state, told, REQUEST_TONES)


def shown(value: object) -> str:
    """A cell as text: times in local time, a dash for nothing, markup only if it is marked safe."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, datetime):
        return date_format(localtime(value), "DATETIME_FORMAT")
    if isinstance(value, date):
        return date_format(value, "DATE_FORMAT")
    return value if isinstance(value, SafeString) else str(value)


_UNITS = (
    (60 * 60 * 24, gettext_lazy("%(count)s ngày")),
    (60 * 60, gettext_lazy("%(count)s giờ")),
    (60, gettext_lazy("%(count)s phút")),
)


def until(time: timedelta) -> str:
    """A length of time in its largest unit: “3 ngày”, “5 phút”, “chưa đầy 1 phút”."""
    seconds = int(abs(time.total_seconds()))
    for size, words in _UNITS:
        if seconds >= size:
            return str(words) % {"count": number_format(seconds // size, force_grouping=True)}
    return gettext("chưa đầy 1 phút")


def moment(at: datetime | None) -> SafeString:
    """A time exactly and relatively: “22/11/2026 09:03 · 3 ngày trước”."""
    if at is None:
        return SafeString(NOTHING)
    apart = timezone.now() - at
    words = gettext("%(time)s trước") if apart >= timedelta() else gettext("còn %(time)s")
    return format_html(
        '<time datetime="{}">{} <span class="hub-sub">{}</span></time>',
        at.isoformat(),
        shown(at),
        words % {"time": until(apart)},
    )


def size_of(size: int) -> str:
    """`size` in bytes, in groups of three digits."""
    return f"{number_format(size, force_grouping=True)} byte"


def may_view(request: HttpRequest, model: type[Model]) -> bool:
    """Whether the person may open pages of this kind of record."""
    codename = get_permission_codename("view", model._meta)
    return request.user.has_perm(f"{model._meta.app_label}.{codename}")


def link(request: HttpRequest, row: Model, text: object = "") -> str:
    """A link to the page of `row`, or only its text for a person who may not open that kind of record."""
    words = str(text or row)
    if not may_view(request, type(row)):
        return words
    options = row._meta
    url = reverse(f"admin:{options.app_label}_{options.model_name}_change", args=(row.pk,))
    return anchor(url, words)


def anchor(url: str, text: object) -> SafeString:
    """A link in the colour of links."""
    return format_html('<a href="{}" class="{}">{}</a>', url, _LINK, text)


def _note(found: int, more: str) -> Any:
    if found <= LONGEST_TABLE:
        return ""
    words = _("Chỉ hiện %(count)s dòng đầu.") % {"count": LONGEST_TABLE}
    return format_html("{} {}", words, anchor(more, _("Xem tất cả"))) if more else words
