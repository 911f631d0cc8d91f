"""The events in a log: bytes, rows, streams, and the packages and deliveries that they name."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery

from exchange.audit.report import Result
from exchange.evidence import events
from exchange.evidence.tree import leaf_hash
from exchange.models import Delivery, Event, Log, LogEntry, Package

BATCH = 2000

Named = dict[int, frozenset[int]]  # row of a Redaction event -> the indices that it names


@dataclass(frozen=True, slots=True)
class Line:
    """An entry of a log with its event as stored, and the leaf hash of the event before in its stream."""

    place: int
    leaf: bytes
    raw: bytes | None
    stream: UUID
    seq: int
    name: str
    at: datetime
    package: UUID | None
    delivery: UUID | None
    before: bytes | None
    removed_by: Event | None

    @property
    def where(self) -> str:
        """The event's place in its stream."""
        return f"{self.stream}/{self.seq}"


def batches(result: Result, log: Log, done: int, size: int) -> Iterator[list[bytes]]:
    """Check the entries [done, size) and give their leaf hashes, as their bytes have them."""
    named: Named = {}
    while done < size:
        found = _lines(LogEntry.objects.filter(log=log, index__gte=done, index__lt=size))
        if [line.place for line in found] != list(range(done, min(done + BATCH, size))):
            result.say("index", f"{log} {done}", "an entry, or the event of an entry, is missing")
            return
        result.events += len(found)
        _check_subjects(result, [event for line in found if (event := _check_line(result, log, line, named))])
        yield [leaf_hash(line.raw) if line.raw is not None else line.leaf for line in found]
        done += len(found)


def _lines(entries: QuerySet[LogEntry]) -> list[Line]:
    before = Event.objects.filter(stream=OuterRef("event__stream"), seq=OuterRef("event__seq") - 1)
    found = entries.annotate(before=Subquery(before.values("leaf")[:1])).select_related(
        "event__body", "redacted__by__body"
    )
    return [_line(entry, entry.before) for entry in found.order_by("index")[:BATCH]]


def _line(entry: LogEntry, before: bytes | None) -> Line:
    event = entry.event
    return Line(
        place=entry.index,
        leaf=bytes(event.leaf),
        raw=bytes(event.body.raw) if hasattr(event, "body") else None,
        stream=event.stream,
        seq=event.seq,
        name=event.name,
        at=event.at,
        package=event.package,
        delivery=event.delivery,
        before=bytes(before) if before else None,
        removed_by=entry.redacted.by if hasattr(entry, "redacted") else None,
    )


def _check_line(result: Result, log: Log, line: Line, named: Named) -> events.Event | None:
    """The event, when its bytes are those that were appended. Removed ones must be named by a Redaction."""
    if line.raw is None:
        if line.removed_by is None or line.place not in _named_by(line.removed_by, log, named):
            result.say("body", line.where, "removed, and no Redaction event names it")
        return None
    if leaf_hash(line.raw) != line.leaf:
        result.say("body", line.where, "altered")
        return None
    try:
        event = events.decode(line.raw)
    except ValueError as error:
        result.say("body", line.where, error)
        return None
    said = event.stream, event.seq, event.event, event.time, event.package, event.delivery
    kept = str(line.stream), line.seq, line.name, line.at, _text(line.package), _text(line.delivery)
    if said != kept:
        result.say("row", line.where, f"the event says {event.stream}/{event.seq} {event.event}")
    if event.prev != (line.before.hex() if line.before else None) or (event.seq > 1) != bool(line.before):
        result.say("stream", line.where, "the event before is another one, or missing")
    return event


def _named_by(redaction: Event, log: Log, named: Named) -> frozenset[int]:
    """The indices in `log` that the bytes of `redaction` name; none when those are not what was appended."""
    if redaction.pk not in named:
        raw = bytes(redaction.body.raw) if hasattr(redaction, "body") else b""
        said = events.decode(raw) if leaf_hash(raw) == bytes(redaction.leaf) else None
        fits = said is not None and (said.event, said.target) == ("Redaction", log.origin)
        named[redaction.pk] = frozenset(said.indices or ()) if said and fits else frozenset()
    return named[redaction.pk]


def _text(value: UUID | None) -> str | None:
    return str(value) if value else None


def _check_subjects(result: Result, made: Iterable[events.Event]) -> None:
    """The packages and deliveries that events name are there, and the packages have the digest named."""
    packages: dict[str, str] = {}
    deliveries: set[str] = set()
    for event in made:
        if event.package and event.doc_sha256 and event.event != "SubmissionRejection":
            packages[event.package] = event.doc_sha256
            deliveries |= {*(event.deliveries or ()), *([event.delivery] if event.delivery else [])}
    kept = dict(Package.objects.filter(pk__in=packages).values_list("pk", "sha256"))
    for key, digest in packages.items():
        if kept.get(UUID(key)) != digest:
            result.say("subject", f"package {key}", "missing, or its digest was changed")
    there = set(Delivery.objects.filter(pk__in=deliveries).values_list("pk", flat=True))
    for key in sorted(deliveries):
        if UUID(key) not in there:
            result.say("subject", f"delivery {key}", "missing")
