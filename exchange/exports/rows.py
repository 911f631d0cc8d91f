"""The rows of trails and of deliveries, page by page."""

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from agencies import directory
from exchange.envelope.codes import PRIORITIES
from exchange.evidence.catalogue import CATALOGUE
from exchange.exports import period
from exchange.exports.cells import KEYS_AT_ONCE, Cell, Column, Source
from exchange.exports.filters import Filter
from exchange.exports.readers import Reader
from exchange.models import (
    Answer,
    BusinessType,
    Delivery,
    Event,
    LogEntry,
    Package,
    Request,
    RequestState,
    SignatureState,
    State,
)
from exchange.refusals import CATALOGUE as REFUSALS

# An event is one JSON value and nothing around it, so nothing is looked for there: a quarter faster.
_decode = json.JSONDecoder().raw_decode
ACTORS = {"system": "hệ thống", "person": "người dùng", "hub": "trục"}


@dataclass(slots=True)
class Events(Source):
    """One row for every event, in the order in which they were written."""

    chosen: Filter
    reader: Reader
    columns: Sequence[Column] = (
        Column("Thời điểm", 22),
        Column("Sự kiện", 34),
        Column("Số, ký hiệu", 24),
        Column("Trích yếu", 50),
        Column("Mã nơi gửi", 16),
        Column("Nơi gửi", 30, printed=False),
        Column("Mã nơi nhận", 16),
        Column("Nơi nhận", 30, printed=False),
        Column("Lý do", 34),
        Column("Thực hiện", 28, printed=False),
        Column("Nhật ký", 20, printed=False),
        Column("Chỉ số", 12),
        Column("Tên sự kiện", 24, printed=False),
        Column("SHA-256 gói tin", 66, printed=False),
        Column("Gói tin", 38, printed=False),
        Column("Lượt gửi", 38, printed=False),
    )
    _names: dict[str, str] = field(default_factory=dict)

    def found(self) -> Sequence[QuerySet[Event]]:
        """The streams of deliveries and those of packages."""
        return [Event.objects.filter(some) for some in streams(self.chosen, self.reader)]

    def keys(self) -> Sequence[int]:
        """Event ids, in one order whatever the streams."""
        sets = self.found()
        found = array("q")
        for rows in sets:
            found.extend(rows.order_by("pk").values_list("pk", flat=True).iterator(KEYS_AT_ONCE))
        return found if len(sets) == 1 else array("q", sorted(found))

    def rows(self, keys: Sequence[int]) -> list[list[Cell]]:
        """Three queries for a page."""
        columns = ("pk", "name", "at", "package", "delivery", "body__raw", "text__text")
        events = Event.objects.filter(_any_of("pk", keys)).order_by("pk")
        found = list(events.values_list(*columns))
        packages = {row[3] for row in found if row[3]}
        subjects = dict(Package.objects.filter(pk__in=packages).values_list("pk", "subject"))
        entries = LogEntry.objects.filter(_any_of("event", keys)).order_by("log")
        places = {
            key: (origin, index)
            for key, origin, index in entries.values_list("event", "log__origin", "index")
        }
        return [self._row(row, subjects.get(row[3], ""), places.get(row[0], ("", None))) for row in found]

    def _row(self, row: tuple[Any, ...], subject: str, place: tuple[str, int | None]) -> list[Cell]:
        _, name, at, package, delivery, raw, text = row
        facts = _decode(str(raw, "utf-8"))[0] if raw is not None else {}
        sender, recipient = facts.get("sender", ""), facts.get("recipient", "")
        return [
            at,
            CATALOGUE[name].label_vi if name in CATALOGUE else name,
            facts.get("doc_no", ""),
            subject,
            sender,
            self._name(sender),
            recipient,
            self._name(recipient),
            reason_of(facts, text or ""),
            _actor(facts),
            *place,
            name,
            facts.get("doc_sha256", ""),
            facts.get("package") or str(package or ""),
            facts.get("delivery") or str(delivery or ""),
        ]

    def _name(self, code: str) -> str:
        if code not in self._names:
            found = directory.agency_by_code(code, datetime.now(UTC)) if code else None
            self._names[code] = found.name if found else ""
        return self._names[code]


def _any_of(name: str, keys: Sequence[int]) -> Q:
    """The rows with these keys; a run without gaps needs no list."""
    if keys and keys[-1] - keys[0] + 1 == len(keys):
        return Q(**{f"{name}__gte": keys[0], f"{name}__lte": keys[-1]})
    return Q(**{f"{name}__in": list(keys)})


def streams(chosen: Filter, reader: Reader, prefix: str = "") -> list[Q]:
    """Conditions on events that together give those chosen, no event by two of them. `prefix` leads from
    other rows to their event."""
    within = period.events(chosen, prefix)
    if chosen.whole and reader.reads_all:
        return [within]
    # The period is that of the events; a document taken before it may be answered in it.
    unbounded = replace(chosen, since=None, until=None)
    deliveries = unbounded.deliveries(reader.deliveries(), reader.agencies).order_by()
    return [
        within & Q(**{f"{prefix}stream__in": deliveries.values(name)})  # each an index look-up
        for name in ("pk", "package")
    ]


def reason_of(facts: Mapping[str, Any], text: str) -> str:
    """Why, in words: the title of the refusal, then what was written."""
    if "reason" not in facts:
        return text
    code = facts["reason"].get("code", "")
    known = REFUSALS.get(code)
    return ": ".join(part for part in (known.title_vi if known else code, text) if part)


def _actor(facts: Mapping[str, Any]) -> str:
    actor = facts.get("actor")
    if not actor:
        return ""
    kind = ACTORS.get(actor["kind"], actor["kind"])
    return kind if actor["kind"] == "hub" else f"{kind} {actor['id']}"


@dataclass(slots=True)
class Deliveries(Source):
    """One row for every delivery, in the order in which the hub took the documents."""

    chosen: Filter
    reader: Reader
    columns: Sequence[Column] = (
        Column("Số, ký hiệu", 24),
        Column("Ngày văn bản", 13),
        Column("Tên loại", 16, printed=False),
        Column("Trích yếu", 50),
        Column("Độ khẩn", 12),
        Column("Nghiệp vụ", 14, printed=False),
        Column("Mã nơi gửi", 16, printed=False),
        Column("Nơi gửi", 30),
        Column("Mã nơi nhận", 16, printed=False),
        Column("Nơi nhận", 30),
        Column("Trục nhận lúc", 21),
        Column("Trạng thái chuyển", 18),
        Column("Giao lúc", 20, printed=False),
        Column("Trả lời", 18),
        Column("Trả lời lúc", 20, printed=False),
        Column("Hạn xác nhận tiếp nhận", 20, printed=False),
        Column("Xác nhận lần đầu lúc", 20, printed=False),
        Column("Đề nghị của nơi gửi", 16, printed=False),
        Column("Kết quả đề nghị", 16, printed=False),
        Column("Chữ ký", 18, printed=False),
        Column("Số lần gửi", 10, printed=False),
        Column("Mã văn bản", 36, printed=False),
        Column("SHA-256 gói tin", 66, printed=False),
        Column("Gói tin", 38, printed=False),
        Column("Lượt gửi", 38, printed=False),
    )

    def found(self) -> Sequence[QuerySet[Delivery]]:
        """By the time at which the hub took the document."""
        rows = self.chosen.deliveries(self.reader.deliveries(), self.reader.agencies)
        return [rows.order_by("package__accepted_at", "pk")]

    def rows(self, keys: Sequence[UUID]) -> list[list[Cell]]:
        """One query for a page."""
        columns = (
            "pk", "package__number", "package__notation", "package__promulgated_on", "package__type_name",
            "package__subject", "package__priority", "package__business_type", "package__sender_code",
            "package__sender__name", "recipient_code", "recipient__name", "package__accepted_at", "state",
            "handed_over_at", "answer", "answered_at", "receipt_due_at", "first_answered_at", "request",
            "request_state", "package__signature_state", "attempts", "package__document_id",
            "package__sha256", "package_id",
        )  # fmt: skip
        found = {row[0]: row for row in Delivery.objects.filter(pk__in=list(keys)).values_list(*columns)}
        words = {
            choices: {code: str(label) for code, label in choices.choices} for choices in _CHOICES
        }  # a page at a time: each costs a look into the catalogue of translations
        return [_delivery(found[key], words) for key in keys if key in found]


_CHOICES = (BusinessType, State, Answer, Request, RequestState, SignatureState)
_Words = Mapping[Any, Mapping[str, str]]


def _delivery(row: tuple[Any, ...], words: _Words) -> list[Cell]:
    (
        key, number, notation, day, type_name, subject, priority, business, sender_code, sender,
        recipient_code, recipient, accepted_at, state, handed_over_at, answer, answered_at, receipt_due_at,
        first_answered_at, request, request_state, signature, attempts, document_id, sha256, package,
    ) = row  # fmt: skip
    return [
        "/".join(part for part in (number, notation) if part),
        day,
        type_name,
        subject,
        PRIORITIES[priority].label.vi,
        words[BusinessType].get(business, "Trạng thái"),
        sender_code,
        sender,
        recipient_code,
        recipient,
        accepted_at,
        words[State][state],
        handed_over_at,
        words[Answer][answer],
        answered_at,
        receipt_due_at,
        first_answered_at,
        words[Request][request],
        words[RequestState][request_state],
        words[SignatureState][signature],
        attempts,
        document_id,
        sha256,
        str(package),
        str(key),
    ]
