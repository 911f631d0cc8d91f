"""Lists of what the hub carries: chips that count, filters in the address, pages by key and not by number.

Everything a list shows is in its address, so it can be kept and passed on. Nothing counts a whole table: a
chip counts at most COUNTED rows, and the next page starts behind the last row of this one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.core.exceptions import BadRequest
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.formats import get_format, number_format
from django.utils.timezone import make_aware
from django.utils.translation import gettext as _

COUNTED = 10_000
COUNTS = "Hub-Counts"  # the header of a request that wants the chips counted
PAGE = 50
Narrow = Callable[[QuerySet[Any]], QuerySet[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One question that people ask of the list every day: its name in the address, words, icon, answer.

    `counted` are the rows that are counted for it, fewer columns than the list; `tone` a phase.
    """

    key: str
    words: Any
    icon: str
    narrow: Narrow
    counted: Callable[[], QuerySet[Any]]
    tone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A filter by one of a few values: its name in the address, words, the values with their words."""

    key: str
    words: Any
    options: Sequence[tuple[Any, Any]]
    narrow: Callable[[QuerySet[Any], str], QuerySet[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one list offers; `at` is the time by which it is sorted, newest first."""

    at: str
    chips: Sequence[Chip]
    choices: Sequence[Choice]
    search: Callable[[QuerySet[Any], str], QuerySet[Any]]
    keys: Mapping[str, str] = field(default_factory=dict)  # ids in the address: name there, and of the column


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One page of a list, ready for its template."""

    rows: list[Any]
    question: str
    chips: list[Mapping[str, Any]]
    choices: list[Mapping[str, Any]]
    days: Mapping[str, str]
    problems: list[str] = field(default_factory=list)
    narrowed: bool = False
    filters: int = 0
    kept: list[tuple[str, str]] = field(default_factory=list)
    query: str = ""  # the filter alone, as in a link
    older: str = ""
    paged: bool = False
    first: str = ""


def page(request: HttpRequest, rows: QuerySet[Any], plan: Plan) -> Shown:
    """The page of `rows` that the address asks for. Raises BadRequest for what no list has.

    The chips' counts cost more than the rows: the page's script asks for them once the rows are there.
    """
    asked, counted = request.GET, COUNTS in request.headers
    _refuse_unknown(asked, plan)
    question = asked.get("q", "").strip()
    chip = next(item for item in plan.chips if item.key == asked.get("show", plan.chips[0].key))
    rows = chip.narrow(rows)
    for choice in plan.choices:
        if value := asked.get(choice.key, ""):
            rows = choice.narrow(rows, value)
    for name, column in plan.keys.items():
        if value := asked.get(name, ""):
            rows = rows.filter(**{column: _id(value)})
    rows, problems = _within_days(rows, asked, plan.at)
    if question:
        rows = plan.search(rows, question)
    found, older = _slice(rows, asked, plan.at)
    names = (*(item.key for item in plan.choices), *plan.keys, "from", "to")
    filters = sum(bool(asked.get(key)) for key in names)
    return Shown(
        rows=found,
        question=question,
        chips=[_chip(item, item is chip, asked, counted=counted) for item in plan.chips],
        choices=[_choice(item, asked.get(item.key, "")) for item in plan.choices],
        days={"from": asked.get("from", ""), "to": asked.get("to", "")},
        problems=problems,
        narrowed=bool(question or filters or chip is not plan.chips[0]),
        filters=filters,
        kept=[(name, asked.get(name, "")) for name in ("show", *plan.keys) if asked.get(name)],
        query=_query(asked, plan),
        older=older,
        paged="after" in asked,
        first=_address(asked, after=None),
    )


def checked(asked: QueryDict, plan: Plan) -> str:
    """The filter in `asked` as a query of this list, "" for none. Raises BadRequest for what no list has."""
    _refuse_unknown(asked, plan)
    for name in plan.keys:
        if value := asked.get(name, ""):
            _id(value)
    for name in ("from", "to"):
        if (text := asked.get(name, "").strip()) and _day(text) is None:
            raise BadRequest(_no_day(text))
    return _query(asked, plan)


def bounded(rows: QuerySet[Any]) -> str:
    """How many `rows` there are, “trên 10.000” for more than COUNTED.

    Ask for no more columns than an index has (`values`): then the database counts without reading the rows.
    """
    count = rows.order_by()[: COUNTED + 1].count()
    shown = number_format(min(count, COUNTED), force_grouping=True)
    return _("trên %(count)s") % {"count": shown} if count > COUNTED else shown


def _query(asked: QueryDict, plan: Plan) -> str:
    """Always the same for the same filter: sorted, without page, empty fields and the first chip."""
    named = {(key, value) for key in asked if key != "after" and (value := asked.get(key, "").strip())}
    return urlencode(sorted(named - {("show", plan.chips[0].key)}))


def _refuse_unknown(asked: QueryDict, plan: Plan) -> None:
    known: dict[str, set[str] | None] = {"q": None, "from": None, "to": None, "after": None}
    known |= dict.fromkeys(plan.keys)
    known["show"] = {item.key for item in plan.chips}
    known |= {item.key: {str(value) for value, _words in item.options} | {""} for item in plan.choices}
    for key, value in asked.items():
        values = known.get(key, set())
        if values is not None and value not in values:
            raise BadRequest(
                _("Danh sách này không có bộ lọc “%(key)s=%(value)s”.") % {"key": key, "value": value}
            )


# --- days -----------------------------------------------------------------------------------------------


def _within_days(rows: QuerySet[Any], asked: QueryDict, at: str) -> tuple[QuerySet[Any], list[str]]:
    problems = []
    for key, lookup, end in (("from", "gte", datetime.min.time()), ("to", "lte", datetime.max.time())):
        text = asked.get(key, "").strip()
        if not text:
            continue
        day = _day(text)
        if day is None:
            problems.append(_no_day(text))
        else:
            rows = rows.filter(**{f"{at}__{lookup}": make_aware(datetime.combine(day, end))})
    return rows, problems


def _no_day(text: str) -> str:
    return _("“%(text)s” không phải một ngày; hãy gõ như 22/11/2026.") % {"text": text}


def _day(text: str) -> date | None:
    """The day in `text`, written day first; None for none."""
    try:
        day: date | None = forms.DateField(input_formats=get_format("DATE_INPUT_FORMATS", "vi")).clean(text)
    except forms.ValidationError:
        return None
    return day


# --- paging ---------------------------------------------------------------------------------------------


def _slice(rows: QuerySet[Any], asked: QueryDict, at: str) -> tuple[list[Any], str]:
    """The rows behind the key in the address, and the address of the page that follows, if one does."""
    if "after" in asked:
        moment, key = _key(asked.get("after", ""))
        rows = rows.filter(
            Q(**{f"{at}__lt": moment}) | Q(**{at: moment, "pk__lt": key}), **{f"{at}__lte": moment}
        )
    found = list(rows.order_by(f"-{at}", "-pk")[: PAGE + 1])
    if len(found) <= PAGE:
        return found, ""
    last: Model = found[PAGE - 1]
    return found[:PAGE], _address(
        asked, after=f"{getattr(last, at).astimezone(UTC):%Y%m%dT%H%M%S.%f}_{last.pk}"
    )


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise BadRequest(_("“%(text)s” không phải một mã định danh.") % {"text": text}) from error


def _key(text: str) -> tuple[datetime, UUID]:
    moment, _sep, key = text.partition("_")
    try:
        return datetime.strptime(moment, "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC), UUID(key)
    except ValueError as error:
        raise BadRequest(_("Địa chỉ trang không đúng; hãy mở lại danh sách.")) from error


def _address(asked: QueryDict, **changed: str | None) -> str:
    query = asked.copy()
    for key, value in changed.items():
        query.pop(key, None)
        if value:
            query[key] = value
    return f"?{query.urlencode()}"


def _chip(item: Chip, active: bool, asked: QueryDict, *, counted: bool) -> Mapping[str, Any]:
    return {
        "words": item.words,
        "icon": item.icon,
        "tone": item.tone,
        "count": bounded(item.counted()) if counted else "",
        "active": active,
        "url": _address(asked, show=item.key, after=None),
    }


def _choice(item: Choice, chosen: str) -> Mapping[str, Any]:
    options = [(str(value), words, str(value) == chosen) for value, words in item.options]
    return {"key": item.key, "words": item.words, "options": options, "chosen": chosen}
