"""The audit log: append() in the caller's transaction, and what can be read back from it.

Every state change has exactly one event, appended before the row is written; the database refuses the
row otherwise (see models/guards.py). The caller holds the rows' locks, so `seq` and `prev` cost nothing.
"""

import json
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from exchange import feed, keys, metrics, siem, statistics, waiting
from exchange.evidence import events, receipts
from exchange.models import Delivery, Event, EventBody, EventText, Package, Pending, bulk, guards
from exchange.models.ids import uuid7
from exchange.refusals import Refused
from exchange.statistics import Happening

_COLUMNS = ("stream", "seq", "name", "at", "package", "delivery", *guards.STATE, "leaf")
HANDOVERS = ("ContentHandover", "ContentHandoverUnconfirmed", "RelayAcceptance")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who caused an event: `kind` (system, person, hub), its id, and how it was authenticated."""

    kind: str
    id: str
    auth: str
    cert_sha256: str = ""


class Altered(Exception):
    """The stored bytes of an event do not give its leaf hash: the hub does not sign them."""


HUB = Actor("hub", "hub", "internal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event to append to the stream of `row`, which already holds its new state in memory.

    `reason` is a code, `text` free text: only its salted digest enters the event. `facts` are further
    fields of the event (see evidence/events.py).
    """

    row: Package | Delivery
    event: str
    package: Package
    reason: str = ""
    text: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SaltedText:
    """Free text kept beside an event, and the salt that its digest in the event was made with."""

    salt: bytes
    text: str


@dataclass(frozen=True, slots=True)
class _Place:
    """The end of a stream: the number and leaf hash of its last event, 0 and None when it has none."""

    stream: UUID
    seq: int
    head: bytes | None


@dataclass(frozen=True, slots=True)
class Line:
    """One event as it was appended: the exact bytes and its place. `key` is that of the event's row.

    `raw` is None once the bytes were removed by rule or order; `leaf` is still their hash.
    """

    key: int
    name: str
    at: datetime
    stream: UUID
    seq: int
    leaf: bytes
    raw: bytes | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """An event signed by the hub's seal: exact bytes and detached JWS. Made anew, it is the same.

    `key` is that of the event's row.
    """

    key: int
    event_id: str
    name: str
    at: datetime
    raw: bytes
    jws: str


def append(entries: Sequence[Entry], *, at: datetime, actor: Actor) -> list[Event]:
    """Append one event for each entry and move `seq` and `head` of its row (in memory; the caller writes it).

    Must run in the transaction of the state change, with the rows locked or new. Raises ValueError when
    an event does not fit its schema.
    """
    made = [_about(entry, at, actor) for entry in entries]
    stored = [_row(event, entry.row) for (event, _), entry in zip(made, entries, strict=True)]
    _number(stored)
    told = [(event, entry.row, entry.package) for event, entry in zip(stored, entries, strict=True)]
    happened = (Happening.of(entry.row, entry.package, entry.event, at) for entry in entries)
    texts = [text for _, text in made]
    bulk.insert_all(*_beside(stored, texts), feed.entries(told), statistics.deltas(happened))
    waiting.ring_after_commit(feed.topics(told))
    for row, entry in zip(stored, entries, strict=True):
        entry.row.seq, entry.row.head = row.seq, row.leaf
        if isinstance(entry.row, Delivery):
            entry.row.note_recorded()
    return stored


def note(
    stream: UUID, event: str, *, actor: Actor, at: datetime, reason: str = "", text: str = "", **facts: Any
) -> Event:
    """Append an event to a stream without a row of its own (a refusal, an agency, a system)."""
    last = Event.objects.filter(stream=stream).order_by("-seq").first()
    place = _Place(stream, last.seq if last else 0, bytes(last.leaf) if last else None)
    reasons, salted = _reason(reason, text)
    made = _event(event, at, actor, place, reason=reasons, **facts)
    stored = _row(made, None)
    _number([stored])
    bulk.insert_all(*_beside([stored], [salted]))
    said = {"actor": actor.id, "kind": actor.kind, "reason": reasons.code if reasons else "", **facts}
    transaction.on_commit(partial(siem.say, f"{siem.AUDIT}{event}", **said))
    return stored


def trail(package: Package, streams: Collection[UUID]) -> list[Line]:
    """The events about `package` in those `streams` that the reader may see, oldest first."""
    return [_line(event) for event in _events_of(package, streams)]


def receipts_of(package: Package, streams: Collection[UUID]) -> list[Receipt]:
    """The receipts of what happened to `package` in `streams`, oldest first; none of removed events."""
    return [receipt(event) for event in _events_of(package, streams) if hasattr(event, "body")]


def acceptance_receipt(package: Package) -> Receipt:
    """The receipt of the package's acceptance: the first event of its stream. Raises Refused."""
    return receipt(_whole().get(stream=package.id, seq=1))


def handover_receipts(deliveries: Collection[UUID]) -> dict[UUID, Receipt | Refused]:
    """The receipt of each delivery's (last) handover event, or Refused package.removed. Raises Altered."""
    events = _whole().filter(stream__in=deliveries, name__in=HANDOVERS).order_by("seq")
    last = {event.stream: event for event in events}
    return {key: receipt(event) if hasattr(event, "body") else _removed() for key, event in last.items()}


def _removed() -> Refused:
    return Refused("package.removed")


def receipt(event: Event) -> Receipt:
    """The hub's signed statement of `event` (RFC 7515, appendix F: detached content).

    Raises Altered; Refused package.removed when its bytes are gone by rule or order.
    """
    if not hasattr(event, "body"):
        raise _removed()
    return _receipt(event, event.stored_receipt.jws if hasattr(event, "stored_receipt") else sign(event))


def new_receipts(events: Sequence[Event]) -> list[Receipt]:
    """The same for events that were appended together just now: nothing is read again. Raises Altered."""
    if not events:
        return []
    seal = keys.seal(events[0].at)
    return [
        Receipt(one.pk, json.loads(one.raw)["id"], one.name, one.at, one.raw, _sign(one, one.raw, seal))
        for one in events
    ]


def _receipt(event: Event, jws: str) -> Receipt:
    line, raw = _line(event), bytes(event.body.raw)
    return Receipt(event.pk, events.decode(raw).id, line.name, line.at, raw, jws)


def sign(event: Event) -> str:
    """The detached JWS over `event` by the seal that was in force at its time; raises Altered.

    The same whenever it is made, as long as the key of that time is there, in a file. Raises keys.FAILURES.
    """
    return _sign(event, bytes(event.body.raw), keys.seal(event.at))


def _sign(event: Event, raw: bytes, seal: keys.Seal) -> str:
    if events.leaf_hash(raw) != bytes(event.leaf):
        raise Altered(f"the bytes of event {event.stream}/{event.seq} are not those that were appended")
    return receipts.sign(raw, seal.key, seal.chain)


def state(line: bytes, typ: str, at: datetime) -> str:
    """The seal in force at `at` on a statement of the hub that is no event."""
    seal = keys.seal(at)
    return receipts.sign(line, seal.key, seal.chain, typ)


def _whole() -> QuerySet[Event]:
    """Events with their bytes, and their stored receipts where they have one."""
    return Event.objects.select_related("body", "stored_receipt__header")


def _events_of(package: Package, streams: Collection[UUID]) -> QuerySet[Event]:
    return _whole().filter(package=package.id, stream__in=streams).order_by("id")


def _line(event: Event) -> Line:
    raw = bytes(event.body.raw) if hasattr(event, "body") else None
    return Line(event.pk, event.name, event.at, event.stream, event.seq, bytes(event.leaf), raw)


def _about(entry: Entry, at: datetime, actor: Actor) -> tuple[events.Event, SaltedText | None]:
    row, package = entry.row, entry.package
    delivery = row if isinstance(row, Delivery) else None
    reason, salted = _reason(entry.reason, entry.text)
    made = _event(
        entry.event,
        at,
        actor,
        _Place(row.stream, row.seq, bytes(row.head) if row.head else None),
        doc=_printable(package.document_id),
        doc_no=_printable(package.code),
        doc_sha256=package.sha256,
        package=str(package.id),
        delivery=str(delivery.id) if delivery else None,
        sender=package.sender_code,
        recipient=delivery.recipient_code if delivery else None,
        reason=reason,
        **entry.facts,
    )
    return made, salted


def _event(name: str, at: datetime, actor: Actor, after: _Place, **facts: Any) -> events.Event:
    return events.Event(
        id=str(uuid7()),
        event=name,
        time=at,
        actor=events.Actor(actor.kind, actor.id, actor.auth, actor.cert_sha256 or None),
        issuer=settings.ENVIRONMENT.code,
        policy=f"{settings.ENVIRONMENT.code}/evidence-policy/1",
        stream=str(after.stream),
        seq=after.seq + 1,
        prev=after.head.hex() if after.head else None,
        **facts,
    )


def _reason(code: str, text: str) -> tuple[events.Reason | None, SaltedText | None]:
    """The reason that stands in the event, and the salted text that stands beside it."""
    if not code:
        return None, None
    if not text:
        return events.Reason(code), None
    salted = SaltedText(secrets.token_bytes(16), text)
    return events.Reason(code, events.text_digest(salted.salt, text)), salted


def _printable(text: str) -> str | None:
    """`text` as an event may hold it: one line of at most 500 printable characters; None for none."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    line = " ".join(text.split())
    return line[:500] or None


def _row(event: events.Event, row: Package | Delivery | None) -> Event:
    raw = events.encode(event)
    stored = Event(
        stream=UUID(event.stream),
        seq=event.seq,
        name=event.event,
        at=event.time,
        package=UUID(event.package) if event.package else None,
        delivery=UUID(event.delivery) if event.delivery else None,
        leaf=events.leaf_hash(raw),
    )
    stored.raw = raw
    if isinstance(row, Delivery):
        for name in guards.STATE:
            setattr(stored, name, getattr(row, name))
    return stored


def _number(rows: Sequence[Event]) -> None:
    """Insert `rows`; what stands beside them needs the numbers that the database gives."""
    numbers = bulk.insert(Event, _COLUMNS, [[getattr(row, name) for name in _COLUMNS] for row in rows])
    for row, number in zip(rows, numbers, strict=True):
        row.pk = number
    transaction.on_commit(partial(_count, [row.name for row in rows]))


def _beside(rows: Sequence[Event], texts: Sequence[SaltedText | None]) -> list[bulk.Rows]:
    """The bytes of `rows`, their places in the queue of the sealer, and the free texts."""
    spoken = [(row.pk, text.salt, text.text) for row, text in zip(rows, texts, strict=True) if text]
    return [
        bulk.Rows(EventBody, ("event_id", "raw"), [(row.pk, row.raw) for row in rows]),
        bulk.Rows(Pending, ("event_id",), [(row.pk,) for row in rows]),
        bulk.Rows(EventText, ("event_id", "salt", "text"), spoken),
    ]


def _count(names: Iterable[str]) -> None:
    for name in names:
        metrics.EVENTS.labels(name).inc()
