"""The logs: their entries, tiles, signed heads, and what the signer remembers of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from django.db.models import Q

from exchange import anchors, proofs, signer
from exchange.audit import lines
from exchange.audit.report import Result
from exchange.evidence import checkpoint as heads
from exchange.evidence import events, tiles
from exchange.evidence.checkpoint import VerifierKey
from exchange.evidence.tree import Broken, Frontier
from exchange.models import Anchor, Checkpoint, Log, LogCheck, LogEntry, Tile


def check(result: Result, last: LogCheck | None) -> tuple[Log, int] | None:
    """Check every log from where `last` ended; returns the signed head that was reached."""
    reached: tuple[Log, int] | None = None
    known = _memory(result)
    previous: Log | None = None
    for log in Log.objects.order_by("id"):
        done = last.size if last and last.log_id == log.pk else 0
        if last is None or last.log_id is None or log.pk >= last.log_id:
            _check_log(result, log, done, known.pop(log.origin, None))
            _begin(result, log, previous)
            _anchored(result, log, done)
            signed = log.last_checkpoint()
            reached = (log, signed.size if signed else 0)
        known.pop(log.origin, None)
        previous = log
    for origin, remembered in known.items():
        if remembered.note:
            result.say("signer", origin, "the signer remembers a log that the database does not have")
    return reached


def _memory(result: Result) -> dict[str, signer.Signed]:
    try:
        return {item.origin: item for item in signer.memory()}
    except signer.SignerRefused as error:
        result.say("signer", "log.signed", error)
        return {}


def _check_log(result: Result, log: Log, done: int, known: signer.Signed | None) -> None:
    size = log.size
    expected = _expected(result, log, done, known)
    tree, recomputed = Frontier(), _Tiles(result, log, done)
    if done:
        # What was checked before is not read again; its signed root says whether the tiles still give it.
        good = result.expect("tile", f"{log} {done}", lambda: _resume(tree, log, done))
        if not good or tree.root() != expected.get(done, tree.root()):
            result.say("tile", f"{log} {done}", "the tiles do not give the root that was signed")
            return
    for leaves in lines.batches(result, log, done, size):
        begin, used = tree.size, 0
        for place in sorted(place for place in expected if begin < place <= begin + len(leaves)):
            tree.extend(leaves[used : place - begin])
            used = place - begin
            if tree.root() != expected.pop(place):
                result.say("root", f"{log} {place}", "the events give another root than was signed")
        tree.extend(leaves[used:])
        recomputed.grow(leaves)
    if tree.size != size:
        result.say("index", log, f"{tree.size} entries, {size} expected")
    for place in expected:
        if place > size:
            result.say("root", f"{log} {place}", f"signed, but the log has only {size} events")


def _resume(tree: Frontier, log: Log, done: int) -> None:
    found = tiles.frontier(done, proofs.reader(log))
    tree.size, tree.hashes = found.size, found.hashes


def _expected(result: Result, log: Log, done: int, known: signer.Signed | None) -> dict[int, bytes]:
    """Size -> root as signed: by every checkpoint from `done` on, and by the signer's memory."""
    expected: dict[int, bytes] = {}
    key = VerifierKey.parse(log.key)
    for row in Checkpoint.objects.filter(log=log, size__gte=done).order_by("size").iterator():
        head = _head(result, row.note, key, f"{log} {row.size}")
        if head and (head.origin, head.size) != (log.origin, row.size):
            result.say("signature", f"{log} {row.size}", f"the checkpoint is of {head.origin} {head.size}")
        elif head:
            expected[row.size] = head.root
    if known is None:
        result.say("signer", log, "the signer does not know this log")
        return expected
    if known.key != log.key:
        result.say("signer", log, "the signer remembers another key")
    head = _head(result, known.note, VerifierKey.parse(known.key), "log.signed") if known.note else None
    if head and head.size >= done and expected.setdefault(head.size, head.root) != head.root:
        result.say("signer", f"{log} {head.size}", "another head was signed for this size")
    if head and head.size > log.size:
        result.say("signer", log, f"shrank from {head.size} to {log.size} events")
        expected.pop(head.size)
    return expected


def _head(result: Result, note: str, key: VerifierKey, where: str) -> heads.Checkpoint | None:
    try:
        return heads.verify(note.encode(), [key]).checkpoint
    except Broken as error:
        result.say("signature", where, error)
        return None


def _anchored(result: Result, log: Log, done: int) -> None:
    made = Anchor.objects.filter(checkpoint__log=log, checkpoint__size__gte=done).select_related("checkpoint")
    for one in made.order_by("pk").iterator():
        where = f"{log} {one.checkpoint.size}, {one.kind} {one.by}"
        result.expect("anchor", where, partial(anchors.verify, one))


@dataclass(slots=True)
class _Tiles:
    """The tiles as the events give them, compared with those stored."""

    result: Result
    log: Log
    size: int
    edge: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def grow(self, leaves: Sequence[bytes]) -> None:
        """Go on with `leaves` and compare every tile that grew."""
        made = list(tiles.extend(self.size, leaves, self._read))
        self.size += len(leaves)
        self.edge = {(tile.level, tile.index): data for tile, data in made if tile.width < tiles.WIDTH}
        stored = self._stored(made)
        for tile, data in made:
            if not stored.get((tile.level, tile.index), b"").startswith(data):
                self.result.say("tile", f"{self.log} {tile.path}", "missing, or not that of the events")

    def _read(self, level: int, index: int, width: int) -> bytes:
        found = self.edge.get((level, index))
        return found if found is not None else proofs.reader(self.log)(level, index, width)

    def _stored(self, made: Iterable[tuple[tiles.Tile, bytes]]) -> dict[tuple[int, int], bytes]:
        wanted = Q(pk=None)
        for tile, _ in made:
            wanted |= Q(level=tile.level, index=tile.index)
        rows = Tile.objects.filter(wanted, log=self.log).values_list("level", "index", "data")
        return {(level, index): bytes(data) for level, index, data in rows}


def _begin(result: Result, log: Log, previous: Log | None) -> None:
    """The first event of a log names it, and carries the last head signed before."""
    entry = LogEntry.objects.filter(log=log, index=0).select_related("event__body").first()
    if entry is None:
        return  # `index` says so
    try:
        event = events.decode(bytes(entry.event.body.raw) if hasattr(entry.event, "body") else b"")
    except ValueError as error:
        result.say("begin", log, error)
        return
    if (event.event, event.target) != ("NewLog", log.origin):
        result.say("begin", log, "the first event does not open this log")
    last = previous.last_checkpoint() if previous else None
    if event.checkpoint == (last.note if last else None):
        return
    incident = event.reason is not None and event.reason.code == "operator.incident"
    if not incident:
        result.say("begin", log, "it does not carry the last checkpoint of the log before")
