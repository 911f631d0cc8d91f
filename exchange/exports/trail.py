"""Trails in JSON Lines with their checkpoint: what the offline verifier takes (docs/audit-log-format.md).

Only the period narrows: a range of the log, complete by itself. Anything else narrows: an extract, every
event with its inclusion path. A period over several logs gives one folder for each.
"""

import zipfile
from array import array
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from django.db.models import Q

from exchange import proofs
from exchange.evidence import prove, tiles
from exchange.evidence.checkpoint import Checkpoint as Head
from exchange.evidence.checkpoint import Note
from exchange.evidence.proof import path_line
from exchange.evidence.tree import node_hash
from exchange.exports import period
from exchange.exports.cells import KEYS_AT_ONCE
from exchange.exports.filters import Filter
from exchange.exports.readers import Reader
from exchange.exports.rows import streams
from exchange.models import Log, LogEntry
from exchange.refusals import Refused

COMPRESSION = 1  # of nine: three times as fast as the default for a file a fifth larger


@dataclass(frozen=True, slots=True)
class Part:
    """What an export shows of one log: `places` are indices below the size of `head`."""

    log: Log
    head: Head
    note: bytes
    places: Sequence[int]

    @property
    def complete(self) -> bool:
        """Whether nothing is left out between the first and the last."""
        return isinstance(self.places, range)


def parts(chosen: Filter, reader: Reader) -> list[Part]:
    """The logs with something to show. Raises Refused export.not-sealed where nothing was signed yet."""
    found = [part for log in Log.objects.order_by("id") if (part := _part(log, chosen, reader))]
    if not found:
        raise Refused("export.not-sealed")
    shown = [part for part in found if part.places]
    return shown or found[-1:]


def _part(log: Log, chosen: Filter, reader: Reader) -> Part | None:
    signed = log.last_checkpoint()
    if signed is None:
        return None
    head = Head.parse(Note.parse(signed.note.encode()).text)
    if chosen.whole and reader.reads_all:
        places: Sequence[int] = _range(log, head.size, chosen)
    else:
        places = _extract(log, head.size, streams(chosen, reader, "event__"))
    return Part(log, head, signed.note.encode(), places)


def _range(log: Log, size: int, chosen: Filter) -> range:
    times = LogEntry.objects.filter(log=log).values_list("event__at", flat=True)
    return period.places(chosen.begins, chosen.ends, size, lambda index: times.get(index=index))


def _extract(log: Log, size: int, conditions: list[Q]) -> Sequence[int]:
    found = array("q")
    for some in conditions:
        rows = LogEntry.objects.filter(some, log=log, index__lt=size).values_list("index", flat=True)
        found.extend(rows.iterator(KEYS_AT_ONCE))
    return array("q", sorted(found))


def write(path: Path, shown: Sequence[Part], readme: str, advance: Callable[[int], None], page: int) -> None:
    """The zip of `shown`; `advance` is told how many events are written."""
    done = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION) as zipped:
        for number, part in enumerate(shown, 1):
            folder = "" if len(shown) == 1 else f"{number}/"
            _write_part(zipped, folder, part, partial(_add, advance, done), page)
            done += len(part.places)
        zipped.writestr("HUONG-DAN.txt", readme)


def _add(advance: Callable[[int], None], before: int, done: int) -> None:
    advance(before + done)


def _write_part(
    zipped: zipfile.ZipFile, folder: str, part: Part, advance: Callable[[int], None], page: int
) -> None:
    with zipped.open(f"{folder}events.jsonl", "w", force_zip64=True) as file:
        for start in range(0, len(part.places), page):
            some = part.places[start : start + page]
            file.write(b"".join(lines(part.log, some)))
            advance(start + len(some))
    zipped.writestr(f"{folder}checkpoint", part.note)
    if part.complete:
        _write_range(zipped, folder, part)
    else:
        with zipped.open(f"{folder}proofs", "w", force_zip64=True) as file:
            for line in Paths(part.log, part.head.size).lines(part.places):
                file.write(line.encode())


def _write_range(zipped: zipfile.ZipFile, folder: str, part: Part) -> None:
    places = part.places
    assert isinstance(places, range)  # noqa: S101 (what `complete` says)
    if len(places) == part.head.size:
        return
    nodes = tiles.nodes(part.head.size, proofs.reader(part.log))
    hashes = prove.range_proof(places.start, places.stop, part.head.size, nodes)
    zipped.writestr(f"{folder}range", path_line(places.start, hashes))


def lines(log: Log, places: Sequence[int]) -> Iterator[bytes]:
    """The events as they stand in a trail; for one whose body was removed, its leaf hash."""
    rows = LogEntry.objects.filter(log=log).order_by("index")
    if isinstance(places, range):
        rows = rows.filter(index__gte=places.start, index__lt=places.stop)
    else:
        rows = rows.filter(index__in=list(places))
    for raw, leaf in rows.values_list("event__body__raw", "event__leaf"):
        yield (b'"%s"' % bytes(leaf).hex().encode() if raw is None else bytes(raw)) + b"\n"


@dataclass(slots=True)
class Paths:
    """Inclusion paths for many rising indices: what all leaves of a tile share is computed once."""

    log: Log
    size: int
    _tile: int = -1
    _levels: list[list[str]] = field(default_factory=list)
    _above: str = ""

    def lines(self, places: Sequence[int]) -> Iterator[str]:
        """A line of `proofs` for each of `places`."""
        nodes = tiles.nodes(self.size, proofs.reader(self.log))
        for place in places:
            tile = place // tiles.WIDTH
            if (tile + 1) * tiles.WIDTH > self.size:  # the tile at the right edge is not full
                yield path_line(place, prove.inclusion(place, self.size, nodes))
                continue
            if tile != self._tile:
                self._enter(tile, nodes)
            inside = [
                level[(place >> height & 0xFF >> height) ^ 1] for height, level in enumerate(self._levels)
            ]
            yield f"{place} {' '.join(inside)}{self._above}\n"

    def _enter(self, tile: int, nodes: prove.Nodes) -> None:
        level = tiles.split(proofs.reader(self.log)(0, tile, tiles.WIDTH))
        self._tile, self._levels = tile, []
        while len(level) > 1:
            self._levels.append([b64encode(one).decode() for one in level])
            level = [node_hash(a, b) for a, b in zip(level[::2], level[1::2], strict=True)]
        above = prove.inclusion(tile * tiles.WIDTH, self.size, nodes)[tiles.LEVELS :]
        self._above = "".join(f" {b64encode(one).decode()}" for one in above)
