"""The trails inside a log: the history of every package and delivery, checked over millions of events.

What grows with the log waits in temporary files that go away by themselves, so memory stays small.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from exchange.evidence.tree import Broken

RECENT = 20_000  # streams in memory; the others wait in a temporary file

Last = tuple[int, str, str]  # of a stream's newest event: seq, leaf hash, time


def _file(*tables: str) -> sqlite3.Connection:
    made = sqlite3.connect("", isolation_level=None)  # "": a file that goes away by itself
    made.execute("PRAGMA journal_mode=OFF")
    for table in tables:
        made.execute(f"CREATE TABLE {table} WITHOUT ROWID")
    return made


class Removals:
    """Bodies that were removed, and the `Redaction` events that name them, over all the logs given: the
    bodies of one year are removed by an event in the log of a later one."""

    def __init__(self) -> None:
        self._file = _file(
            "removed (leaf PRIMARY KEY, log, place)",
            "named (log, place, by_log, by_place, PRIMARY KEY (log, place, by_log, by_place))",
        )
        self._any = False

    def add(self, leaf: str, log: str, place: int) -> None:
        """Of the event at `place` in `log` only the leaf hash is left."""
        self._any = True
        self._file.execute("INSERT OR IGNORE INTO removed VALUES (?,?,?)", [leaf, log, place])

    def name(self, log: str, places: Iterable[int], by_log: str, by_place: int) -> None:
        """The event at `by_place` in `by_log` says that the bodies at `places` in `log` were removed."""
        rows = ((log, place, by_log, by_place) for place in places)
        self._file.executemany("INSERT OR IGNORE INTO named VALUES (?,?,?,?)", rows)

    def __contains__(self, leaf: object) -> bool:
        query = "SELECT 1 FROM removed WHERE leaf = ?"
        return self._any and self._file.execute(query, [leaf]).fetchone() is not None

    def found(self) -> Iterator[tuple[str, int, list[int]]]:
        """For each log: how many bodies were removed, and the first places that no later event names."""
        silent = """
            SELECT place FROM removed r WHERE log = ? AND NOT EXISTS (
                SELECT 1 FROM named n WHERE n.log = r.log AND n.place = r.place
                AND (n.by_log <> n.log OR n.by_place > n.place)
            ) ORDER BY place LIMIT 5"""
        counted = self._file.execute("SELECT log, count(*) FROM removed GROUP BY log").fetchall()
        for log, count in counted:
            yield log, count, [place for (place,) in self._file.execute(silent, [log])]


class Streams:
    """Follows every stream: `seq` must count from 1, and `prev` be the leaf hash of the event before.

    Where events may be missing by design they are counted instead: `filtered` exports, a log that begins
    `later` than at index 0 or continues an older one, removed bodies.
    """

    def __init__(self, log: str, removals: Removals, filtered: bool = False) -> None:
        self.log, self.removals = log, removals
        self.filtered, self.later = filtered, filtered
        self.found: Counter[str] = Counter(streams=0)
        self.broken = ""
        self.named: set[str] = set()  # deliveries that an acceptance names, without an event so far
        self._recent: dict[str, Last] = {}
        self._older = _file("older (stream PRIMARY KEY, seq, leaf, time)")

    def add(self, places: Iterable[int], lines: Sequence[bytes], leaves: Sequence[bytes]) -> None:
        """Follow these events. Broken if a line is not an event; a stream that breaks is kept for `check`."""
        scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # json.loads costs half as much again
        try:
            for place, line, leaf in zip(places, lines, leaves, strict=True):
                if line[:1] == b'"':  # not an event: the leaf hash of a body that was removed
                    self.removals.add(leaf.hex(), self.log, place)
                    continue
                text = line.decode()
                event, end = scan(text, 0)
                if end != len(text):
                    raise Broken(f"index {place}: more than an event")
                self._follow(place, event, leaf.hex())
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, StopIteration) as error:
            raise Broken(f"a line is not an event: {error!r}") from error
        if len(self._recent) > RECENT:
            self._put_away(len(self._recent) - RECENT // 2)

    def _follow(self, place: int, event: Mapping[str, object], leaf: str) -> None:
        stream, seq, time = str(event["stream"]), event["seq"], str(event["time"])
        if type(seq) is not int:
            raise Broken(f"index {place}: seq is not a number")
        before = self._recent.pop(stream, None)
        if before is None and seq > 1:
            before = self._fetch(stream)
        if before is None:
            self._begin(place, event, stream, seq)
        elif (seq, event.get("prev")) == (before[0] + 1, before[1]) or event.get("prev") in self.removals:
            self.found["backwards"] += time < before[2]
        elif self.filtered and seq > before[0] + 1:
            self.found["gaps"] += 1
        else:
            self._break(place, stream, seq)
        self._recent[stream] = seq, leaf, time
        if event["event"] in {"SubmissionAcceptance", "Redaction", "NewLog"}:
            self.named.update(map(str, event.get("deliveries", ())))  # type: ignore[call-overload]
            if indices := event.get("indices"):
                self.removals.name(str(event["target"]), indices, self.log, place)  # type: ignore[arg-type]
            self.later |= place == 0 and "checkpoint" in event

    def _begin(self, place: int, event: Mapping[str, object], stream: str, seq: int) -> None:
        self.named.discard(str(event.get("delivery")))
        self.found["streams"] += 1
        if seq > 1 and self.later:
            self.found["elsewhere"] += 1
        elif (seq != 1 or "prev" in event) and event.get("prev") not in self.removals:
            self._break(place, stream, seq)

    def _break(self, place: int, stream: str, seq: int) -> None:
        self.broken = self.broken or f"stream {stream} breaks at index {place}, seq {seq}"

    def _fetch(self, stream: str) -> Last | None:
        row: Last | None
        row = self._older.execute("SELECT seq, leaf, time FROM older WHERE stream = ?", [stream]).fetchone()
        if row:
            self._older.execute("DELETE FROM older WHERE stream = ?", [stream])
        return row

    def _put_away(self, count: int) -> None:
        """Move the streams that rested longest to the file. One that is there already began a second time."""
        gone = [(stream, *self._recent.pop(stream)) for stream in list(self._recent)[:count]]
        self._older.execute("BEGIN")
        try:
            self._older.executemany("INSERT INTO older VALUES (?,?,?,?)", gone)
        except sqlite3.IntegrityError:
            self.broken = self.broken or "a stream begins twice"
        self._older.execute("COMMIT")

    def check(self) -> Counter[str]:
        """What was found, once everything is added. Broken if a stream breaks."""
        self._put_away(len(self._recent))
        if self.broken:
            raise Broken(self.broken)
        return self.found
