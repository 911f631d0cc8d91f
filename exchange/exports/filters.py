"""Which rows an export shows. A filter is a link: it is read from, and written as, a query string."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, time, timedelta
from typing import Self
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from django.db.models import F, Q, QuerySet

from agencies import directory
from exchange.envelope import codes
from exchange.envelope.codes import PRIORITIES
from exchange.models import Answer, BusinessType, Delivery, Kind, State
from exchange.refusals import Refused
from exchange.workdays import VIETNAM

MOST_AGENCIES = 100
_DAY = timedelta(days=1)
DIRECTIONS = ("", "sent", "received")
TROUBLES = ("", "failed", "late")
TYPES = ("", *BusinessType.values, "status")
FAILED = Q(state__in=[State.EXPIRED, State.UNDELIVERABLE]) | Q(answer=Answer.REFUSED)


def _month(day: date, ago: int) -> date:
    months = day.year * 12 + day.month - 1 - ago
    return date(months // 12, months % 12 + 1, 1)


Span = tuple[date, date]  # first day, and the day after the last
PERIODS: Mapping[str, Callable[[date], Span]] = {
    "today": lambda day: (day, day + _DAY),
    "yesterday": lambda day: (day - _DAY, day),
    "this-week": lambda day: (monday := day - day.weekday() * _DAY, monday + 7 * _DAY),
    "last-week": lambda day: (monday := day - (day.weekday() + 7) * _DAY, monday + 7 * _DAY),
    "this-month": lambda day: (_month(day, 0), _month(day, -1)),
    "last-month": lambda day: (_month(day, 1), _month(day, 0)),
    "this-year": lambda day: (date(day.year, 1, 1), date(day.year + 1, 1, 1)),
    "last-year": lambda day: (date(day.year - 1, 1, 1), date(day.year, 1, 1)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Every field narrows; "" or None leaves open. Days are days in Vietnam, both ends included.

    `agency` holds codes: what concerns any of them is shown. `direction` is as seen from these agencies, or
    from the reader's own.
    """

    since: date | None = None
    until: date | None = None
    agency: tuple[str, ...] = ()
    direction: str = ""
    state: str = ""
    answer: str = ""
    type: str = ""
    priority: int = 0
    trouble: str = ""
    package: UUID | None = None

    @classmethod
    def read(cls, given: Mapping[str, str], today: date) -> Self:
        """The filter in `given`; `period` names one of PERIODS, counted from `today`. Raises Refused
        request.invalid, naming what cannot be read; an unknown name too: a misspelt filter must not answer
        another question. Several agencies stand in one text, between commas or spaces."""
        values = {name: text.strip() for name, text in given.items() if text.strip()}
        span = _span(values, today)
        unknown = values.keys() - {item.name for item in fields(cls)}
        if unknown:
            raise Refused("request.invalid", why=", ".join(sorted(unknown)))
        read = {name: _parse(name, text) for name, text in values.items()}
        return cls(**{**read, **span})  # type: ignore[arg-type]

    @classmethod
    def of_query(cls, query: str, today: date, **over: str) -> Self:
        """The filter that `query` wrote down; fields in `over` replace its own. Raises Refused."""
        return cls.read({**fields_of(query), **over}, today)

    @property
    def query(self) -> str:
        """The filter as a query string, the same for equal filters."""
        said = {item.name: getattr(self, item.name) for item in fields(self)}
        return urlencode({name: value for name, value in sorted(said.items()) if value}, doseq=True)

    @property
    def words(self) -> str:
        """The filter for a person, in Vietnamese."""
        first, last = (f"{day:%d/%m/%Y}" if day else "" for day in (self.since, self.until))
        parts = [
            f"từ ngày {first}" if first else "",
            f"đến ngày {last}" if last else "",
            f"cơ quan {', '.join(self.agency)}" if self.agency else "",
            _WORDS.get(self.direction, ""),
            str(State(self.state).label) if self.state else "",
            str(Answer(self.answer).label) if self.answer else "",
            _TYPE_WORDS.get(self.type, ""),
            f"độ khẩn từ {PRIORITIES[self.priority].label.vi}" if self.priority else "",
            _WORDS.get(self.trouble, ""),
            f"gói tin {self.package}" if self.package else "",
        ]
        return ", ".join(filter(None, parts)) or "toàn bộ"

    @property
    def begins(self) -> datetime | None:
        """The first moment of the period."""
        return _midnight(self.since) if self.since else None

    @property
    def ends(self) -> datetime | None:
        """The moment after the period."""
        return _midnight(self.until + _DAY) if self.until else None

    @property
    def whole(self) -> bool:
        """Whether it narrows nothing but the period."""
        return replace(self, since=None, until=None) == Filter()

    def deliveries(
        self, rows: QuerySet[Delivery], own: "QuerySet[directory.Agency] | None"
    ) -> QuerySet[Delivery]:
        """Those of `rows` that it shows; `own` are the reader's agencies, None for a reader of everything."""
        rows = _in_period(rows, "package__accepted_at", self)
        parties = self._parties(own)
        if parties is not None:
            sent, received = Q(package__sender__in=parties), Q(recipient__in=parties)
            rows = rows.filter({"sent": sent, "received": received}.get(self.direction, sent | received))
        if self.package:
            rows = rows.filter(package=self.package)
        if self.state:
            rows = rows.filter(state=self.state)
        if self.answer:
            rows = rows.filter(answer=self.answer)
        if self.type:
            rows = rows.filter(
                Q(package__kind=Kind.STATUS) if self.type == "status" else Q(package__business_type=self.type)
            )
        if self.priority:
            rows = rows.filter(package__priority__gte=self.priority)
        return rows.filter(_TROUBLE[self.trouble])

    def _parties(self, own: "QuerySet[directory.Agency] | None") -> "QuerySet[directory.Agency] | None":
        if not self.agency:
            return own if self.direction else None
        return directory.Agency.objects.filter(pk__in=[agency_of(code).pk for code in self.agency])


def agency_of(code: str) -> directory.Agency:
    """The agency that has this code now. Raises Refused recipient.unknown."""
    found = directory.agency_by_code(code, datetime.now(VIETNAM))
    if found is None:
        raise Refused("recipient.unknown", organ=code)
    return found


def fields_of(query: str) -> dict[str, str]:
    """The fields that a link names, for `Filter.read`. Raises Refused for one that says two things."""
    said: dict[str, str] = {}
    for name, text in parse_qsl(query):
        if name in said and name != "agency":
            raise Refused("request.invalid", why=f"{name}: {said[name]}, {text}"[:100])
        said[name] = f"{said[name]},{text}" if name in said else text
    return said


_WORDS = {"sent": "văn bản đi", "received": "văn bản đến", "failed": "chỉ lỗi", "late": "chỉ quá hạn"}
_TYPE_WORDS = {**{kind.value: kind.label.vi for kind in codes.BusinessType}, "status": "Trạng thái"}
_LATE = Q(receipt_due_at__lt=F("first_answered_at")) | Q(
    receipt_due_at__isnull=False, first_answered_at__isnull=True, reminded_at__isnull=False
)
_TROUBLE = {"": Q(), "failed": FAILED, "late": _LATE}


def _in_period(rows: QuerySet[Delivery], name: str, chosen: Filter) -> QuerySet[Delivery]:
    if chosen.begins:
        rows = rows.filter(**{f"{name}__gte": chosen.begins})
    if chosen.ends:
        rows = rows.filter(**{f"{name}__lt": chosen.ends})
    return rows


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=VIETNAM)


def _span(values: dict[str, str], today: date) -> dict[str, date]:
    """The days that `period` means; the name is taken out of `values`."""
    name = values.pop("period", "")
    if not name or name == "all":
        return {}
    if name not in PERIODS:
        raise Refused("request.invalid", why=f"period: {', '.join(PERIODS)}")
    first, after = PERIODS[name](today)
    return {"since": first, "until": after - _DAY}


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "direction": DIRECTIONS,
    "state": tuple(State.values),
    "answer": tuple(Answer.values),
    "type": TYPES,
    "trouble": TROUBLES,
}


def _parse(name: str, text: str) -> object:
    try:
        if name in ("since", "until"):
            return date.fromisoformat(text)
        if name == "package":
            return UUID(text)
        if name == "priority":
            return range(5)[int(text)]
        if name == "agency":
            return _codes(text)
    except (ValueError, IndexError) as error:
        raise Refused("request.invalid", why=f"{name}: {text[:50]}") from error
    if name in _CHOICES and text not in _CHOICES[name]:
        raise Refused("request.invalid", why=f"{name}: {', '.join(filter(None, _CHOICES[name]))}")
    return text


def _codes(text: str) -> tuple[str, ...]:
    codes = sorted({code[:64] for code in re.split(r"[\s,;]+", text) if code})
    if len(codes) > MOST_AGENCIES:
        raise ValueError(f"more than {MOST_AGENCIES}")
    return tuple(codes)
