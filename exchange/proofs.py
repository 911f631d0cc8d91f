"""What can be read from the sealed log: tiles, entries, heads, and the proof that an event stands in it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import OuterRef, Q, Subquery

from exchange import waiting
from exchange.evidence import prove, tiles
from exchange.evidence.checkpoint import Checkpoint, Note
from exchange.evidence.proof import Proof, path_line
from exchange.evidence.statements import Statement
from exchange.evidence.tree import HASH, Broken
from exchange.models import Checkpoint as SignedHead
from exchange.models import Log, LogEntry, Tile


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event stands: in which log, at which index, and the proof of that (c2sp.org/tlog-proof)."""

    origin: str
    index: int
    proof: str


def places(events: Collection[int]) -> dict[int, Place]:
    """The places of those of `events` (keys of their rows) that a signed checkpoint covers."""
    entries = LogEntry.objects.filter(event__in=events).select_related("log").order_by("log", "index")
    found: dict[int, Place] = {}
    by_log: dict[Log, list[LogEntry]] = {}
    for entry in entries:
        by_log.setdefault(entry.log, []).append(entry)
    for log, part in by_log.items():
        found |= _places(log, part)
    return found


def sealed(events: Collection[int]) -> set[int]:
    """Those of `events` for which `places` has a proof; none is made for this, it is one query."""
    signed = SignedHead.objects.filter(log=OuterRef("log")).order_by("-size").values("size")[:1]
    covered = LogEntry.objects.filter(event__in=events, index__lt=Subquery(signed))
    return set(covered.values_list("event", flat=True))


def _places(log: Log, entries: list[LogEntry]) -> dict[int, Place]:
    signed = log.last_checkpoint()
    if signed is None:
        return {}
    nodes, note = tiles.nodes(signed.size, reader(log)), signed.note.encode()
    return {
        entry.event_id: Place(
            log.origin,
            entry.index,
            str(Proof(entry.index, tuple(prove.inclusion(entry.index, signed.size, nodes)), note)),
        )
        for entry in entries
        if entry.index < signed.size
    }


def reader(log: Log) -> tiles.ReadTile:
    """Read tiles of `log`. Raises Broken where one is missing or too short."""

    def read(level: int, index: int, width: int) -> bytes:
        row = Tile.objects.filter(log=log, level=level, index=index).only("data").first()
        data = bytes(row.data)[: width * HASH] if row else b""
        if len(data) < width * HASH:
            raise Broken(f"the tile {level}/{index} of {log} is missing or cut short")
        return data

    return read


def head(log: Log) -> Checkpoint:
    """The head of everything that is integrated in `log`, signed or not. Raises Broken."""
    return Checkpoint(log.origin, log.size, tiles.frontier(log.size, reader(log)).root())


def tile(log: Log, size: int, path: str) -> bytes:
    """The tile or entry bundle at `path` (c2sp.org/tlog-tiles) of the log as it was at `size`.

    Raises ValueError for a path that is none, Broken for what the log did not have at that size.
    """
    level, index, width = tiles.parse_path(path)
    if width > tiles.width_of(0 if level == "entries" else int(level), index, size):
        raise Broken(f"{path} is beyond {size} events")
    return entries(log, index, width) if level == "entries" else reader(log)(int(level), index, width)


def entries(log: Log, index: int, width: int) -> bytes:
    """The entry bundle `index` with its first `width` events. Raises Broken where bytes are gone."""
    first = index * tiles.WIDTH
    rows = LogEntry.objects.filter(log=log, index__gte=first, index__lt=first + width).order_by("index")
    found = [bytes(raw) for raw in rows.values_list("event__body__raw", flat=True) if raw is not None]
    if len(found) != width:
        raise Broken(f"the bundle {index} of {log} is not complete")
    return tiles.bundle(found)


def statement(stream: UUID, now: datetime) -> Statement:
    """How many events of `stream` the signed head of the log covers, with the logs before it.

    Raises Broken when nothing was signed yet.
    """
    log = Log.objects.current()
    signed = log.last_checkpoint() if log else None
    if log is None or signed is None:
        raise Broken("nothing is sealed yet")
    covered = Q(log__lt=log.pk) | Q(log=log, index__lt=signed.size)
    entries = LogEntry.objects.filter(covered, event__stream=stream).order_by("-event__seq")
    last = entries.values_list("event__seq", "event__leaf").first()
    head = Checkpoint.parse(Note.parse(signed.note.encode()).text)
    return Statement(
        issuer=settings.ENVIRONMENT.code,
        stream=str(stream),
        events=last[0] if last else 0,
        head=bytes(last[1]).hex() if last else "",
        log=head.origin,
        size=head.size,
        root=head.root.hex(),
        time=now.astimezone(UTC).isoformat(timespec="seconds"),
    )


def consistency_line(log: Log, old: int, size: int) -> str:
    """The proof that the log at `size` extends it at `old`, as trails have it. Raises ValueError, Broken."""
    signed = log.last_checkpoint()
    if signed is None or size > signed.size:
        raise ValueError(f"the signed log has fewer than {size} events")
    nodes = tiles.nodes(signed.size, reader(log))
    return path_line(old, prove.consistency(old, size, nodes))


def newest_head() -> str:
    """The last signed checkpoint; empty before the first."""
    log = Log.objects.current()
    signed = log.last_checkpoint() if log else None
    return signed.note if signed else ""


def wait_for_places(events: Collection[int], wait: timedelta) -> dict[int, Place]:
    """`places` as soon as all of `events` have one, or what there is after `wait`."""

    def look() -> list[dict[int, Place]]:
        found = places(events)
        return [found] if len(found) == len(set(events)) else []

    ready = waiting.until_found(look, wait, [waiting.SEALED])
    return ready[0] if ready else places(events)
