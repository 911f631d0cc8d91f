"""Reading single values out of a tree, with every problem collected instead of stopping at the first."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone

from lxml import etree

from exchange.envelope.parts import VIETNAM, Note
from exchange.envelope.xml import line, local, path
from exchange.refusals import Fact, Problem, Refused

VALUE_MAX = 10_000
"""No single value of a header is longer; beyond it the field is refused, whatever its own limit."""

_FILLERS = frozenset({"null", "n/a"})
_REPORTED = 100
_DATE = (
    re.compile(r"(?P<y>[0-9]{4})(?P<s>[/-])(?P<m>[0-9]{1,2})(?P=s)(?P<d>[0-9]{1,2})"),
    re.compile(r"(?P<d>[0-9]{1,2})(?P<s>[/-])(?P<m>[0-9]{1,2})(?P=s)(?P<y>[0-9]{4})"),
)
_TIME = re.compile(
    r"[T ]+(?P<h>[0-9]{1,2}):(?P<n>[0-9]{2})(?::(?P<s>[0-9]{2})(?:\.[0-9]{1,9})?)?"
    r" ?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?"
)


@dataclass(slots=True)
class Findings:
    """What is wrong (`problems`, they refuse) and what was read leniently (`notes`) in one package."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def missing(self, parent: etree._Element, name: str) -> None:
        """A required element is not there or holds nothing."""
        self._add("package.field-missing", parent, f"/{name}", {"name": name})

    def invalid(self, element: etree._Element, name: str, vi: str, en: str) -> None:
        """A field holds something that cannot be used."""
        self._add("package.field-invalid", element, "", {"name": name, "why": vi, "why_en": en})

    def refuse(self, element: etree._Element, code: str, **facts: Fact) -> None:
        """Any other reason, at `element`."""
        self._add(code, element, "", facts)

    def note(self, element: etree._Element, code: str, vi: str, en: str) -> None:
        """Something the sender should know, which does not refuse."""
        if len(self.notes) < _REPORTED:
            self.notes.append(Note(code, vi, en, path(element)))

    def raise_any(self) -> None:
        """Raise Refused with all problems, if there is one."""
        if self.problems:
            raise Refused(self.problems)

    def _add(self, code: str, element: etree._Element, below: str, facts: Mapping[str, Fact]) -> None:
        # A path costs a look at every sibling, so it is made only while there is room for the problem.
        if len(self.problems) >= _REPORTED:
            return
        xpath = path(element) + below
        if not any(p.code == code and p.xpath == xpath for p in self.problems):
            self.problems.append(Problem(code, facts, xpath, line(element)))


class Fields:
    """The direct children of one element by name: case, prefix, order and Bussiness/Business do not matter.

    A value that stands twice is a problem: two readers could pick different ones.
    """

    __slots__ = ("_children", "element", "findings")

    def __init__(self, element: etree._Element, findings: Findings) -> None:
        self.element = element
        self.findings = findings
        self._children: dict[str, list[etree._Element]] = {}
        for child in element:
            name = local(child).replace("bussiness", "business")
            if name:
                self._children.setdefault(name, []).append(child)

    def all(self, name: str) -> list[etree._Element]:
        """Every child called `name`."""
        return self._children.get(name.lower(), [])

    def one(self, name: str) -> etree._Element | None:
        """The child called `name`; a second one is a problem."""
        found = self.all(name)
        if len(found) > 1:
            self.findings.invalid(found[1], name, "có nhiều hơn một", "there is more than one")
        return found[0] if found else None

    def group(self, name: str) -> "Fields | None":
        """The fields of the child called `name`, None where it is absent."""
        element = self.one(name)
        return None if element is None else Fields(element, self.findings)

    def groups(self, name: str, inner: str) -> list["Fields"]:
        """The fields of every `inner` in the list element `name`."""
        outer = self.group(name)
        return [] if outer is None else [Fields(e, self.findings) for e in outer.all(inner)]

    def texts(self, name: str, inner: str, limit: int = VALUE_MAX) -> tuple[str, ...]:
        """The values of every `inner` in the list element `name`, without absent ones."""
        outer = self.group(name)
        if outer is None:
            return ()
        values = (self.value(element, inner, limit) for element in outer.all(inner))
        return tuple(value for value in values if value)

    def text(self, name: str, limit: int = VALUE_MAX) -> str:
        """The stripped value of `name`; "" where it is absent, empty, `null` or `N/A`.

        A value longer than `limit` characters is noted: real senders exceed the limits of the QCVN.
        """
        if name.lower() not in self._children:  # as most fields of most packages
            return ""
        element = self.one(name)
        return "" if element is None else self.value(element, name, limit)

    def value(self, element: etree._Element, name: str, limit: int = VALUE_MAX) -> str:
        """The stripped value of one element, see `text`."""
        if any(isinstance(child.tag, str) for child in element):
            self.findings.invalid(element, name, "chứa phần tử con", "it holds elements")
            return ""
        text = (element.text or "").strip()
        if len(text) > VALUE_MAX:
            self.findings.invalid(element, name, f"dài quá {VALUE_MAX} ký tự", f"over {VALUE_MAX} characters")
            return ""
        if len(text) > limit:
            self.findings.note(
                element,
                "field.too-long",
                f"{name} dài {len(text)} ký tự, quá {limit} ký tự theo quy chuẩn",
                f"{name} has {len(text)} characters, more than the {limit} of the regulation",
            )
        return "" if text.lower() in _FILLERS else text

    def required(self, name: str, limit: int = VALUE_MAX) -> str:
        """Like `text`, but an absent value is a problem."""
        count = len(self.findings.problems)
        text = self.text(name, limit)
        if not text and len(self.findings.problems) == count:
            self.findings.missing(self.element, name)
        return text

    def identifier(self, name: str, limit: int = 255) -> str:
        """A required value that is a key: at most `limit` characters, none of them invisible."""
        text = self.required(name)
        at = self.one(name) if text else None
        if at is None:
            return text
        if len(text) > limit:
            self.findings.invalid(at, name, f"dài quá {limit} ký tự", f"over {limit} characters")
        elif any(_is_invisible(c) for c in text):
            vi, en = "chứa ký tự điều khiển hoặc ký tự ẩn", "it holds a control or invisible character"
            self.findings.invalid(at, name, vi, en)
        return text

    def number(self, name: str) -> int | None:
        """A whole number; None where it is absent or is not one (noted)."""
        text = self.text(name)
        if text and not (text.isascii() and text.isdigit() and len(text) <= 9):
            self.unreadable(name, text)
            return None
        return int(text) if text else None

    def flag(self, name: str) -> bool | None:
        """0/1 or true/false; None where it is absent or something else (noted)."""
        text = self.text(name)
        found = {"1": True, "true": True, "0": False, "false": False}.get(text.lower())
        if text and found is None:
            self.unreadable(name, text)
        return found

    def day(self, name: str) -> date | None:
        """An optional date; None where it is absent or is none (noted)."""
        text = self.text(name)
        found = parse_date(text)
        # 0001/01/01 is how .NET writers say "no date".
        if text and found is None and not text.startswith("0001"):
            self.unreadable(name, text)
        return found

    def required_day(self, name: str) -> date | None:
        """A required date; an absent or impossible one is a problem."""
        text = self.required(name)
        found = parse_date(text)
        element = self.one(name) if text and found is None else None
        if element is not None:
            vi, en = f"“{_short(text)}” không phải ngày yyyy/MM/dd", f"“{_short(text)}” is no date yyyy/MM/dd"
            self.findings.invalid(element, name, vi, en)
        return found

    def moment(self, name: str) -> datetime | None:
        """An optional time, of Vietnam where it names no zone; None where it is absent or is none (noted)."""
        text = self.text(name)
        found = parse_moment(text)
        if text and found is None:
            self.unreadable(name, text)
        return found

    def unreadable(self, name: str, text: str) -> None:
        """Note that an optional value was left out because it cannot be understood."""
        vi = f"{name} “{_short(text)}” không đọc được nên bỏ qua"
        en = f"{name} “{_short(text)}” cannot be read and was left out"
        self.findings.note(self._children[name.lower()][0], "field.unreadable", vi, en)


def parse_date(text: str) -> date | None:
    """The date in `yyyy/MM/dd`, `dd/MM/yyyy` or ISO form (a time after it is dropped), else None."""
    found = _split(text)
    return None if found is None else found[0]


def parse_moment(text: str) -> datetime | None:
    """The time in `yyyy/MM/dd HH:mm:ss`, `dd/MM/yyyy HH:mm:ss` or ISO form, aware; None for other text."""
    found = _split(text)
    if found is None:
        return None
    day, time = found
    if time is None:
        return datetime(day.year, day.month, day.day, tzinfo=VIETNAM)
    try:
        zone = _zone(time["zone"])
        hour, minute, second = int(time["h"]), int(time["n"]), int(time["s"] or 0)
        return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return None


def _split(text: str) -> tuple[date, re.Match[str] | None] | None:
    for pattern in _DATE:
        found = pattern.match(text)
        if found is None:
            continue
        rest = text[found.end() :]
        time = _TIME.fullmatch(rest)
        if rest and time is None:
            continue
        year = int(found["y"])
        try:
            return (date(year, int(found["m"]), int(found["d"])), time) if 1900 <= year < 3000 else None
        except ValueError:
            return None
    return None


def _zone(text: str | None) -> timezone:
    if not text:
        return VIETNAM
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)


def _is_invisible(char: str) -> bool:
    """Control, format (direction, zero width), surrogate, private and unassigned characters, line breaks."""
    category = unicodedata.category(char)
    return category.startswith("C") or category in ("Zl", "Zp")


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
