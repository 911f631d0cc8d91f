"""`python -m tests.bench.exporting FORM PATH`: one export, measured, in a process of its own.

FORM `floor` is a plain server-side cursor over the same rows, written as they come.
"""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

KIBI = 1024


@dataclass(frozen=True, slots=True)
class Made:
    """What a process says of its export: wall and processor seconds, MiB above those before it began."""

    rows: int
    wall: float
    processor: float
    memory: float

    @property
    def rate(self) -> float:
        """Rows a second of the clock."""
        return self.rows / self.wall


def main(form: str, path: Path) -> Made:
    """Make it, measured from the first query to the closed file."""
    from exchange.exports import make
    from exchange.exports.filters import Filter
    from exchange.exports.readers import Reader
    from exchange.models import Event, ExportKind
    from tests.world import ACTOR, NOW

    reader = Reader(actor=ACTOR, agencies=None)
    wanted = make.Wanted(kind=ExportKind.TRAIL, format=form, chosen=Filter(), reader=reader, insist=True)
    Event.objects.first()  # connected
    before, began, busy = _memory(), time.perf_counter(), time.process_time()
    rows = _floor(path) if form == "floor" else make.write(path, wanted, lambda done, total: None, NOW)
    wall, processor = time.perf_counter() - began, time.process_time() - busy
    return Made(rows, wall, processor, _memory() - before)


def _floor(path: Path) -> int:
    """A server-side cursor reads what a row of the trail is made of, and writes it as it comes."""
    from django.db import connection, transaction

    columns = "e.at, e.name, e.package, e.delivery, b.raw, p.subject, l.index"
    with path.open("wb") as file, transaction.atomic():
        connection.ensure_connection()
        with connection.connection.cursor("floor") as cursor:
            cursor.itersize = 2_000
            cursor.execute(
                f"SELECT {columns} FROM exchange_event e JOIN exchange_eventbody b ON b.event_id = e.id "
                "LEFT JOIN exchange_package p ON p.id = e.package "
                "LEFT JOIN exchange_logentry l ON l.event_id = e.id ORDER BY e.id"
            )
            for row in cursor:
                file.write(b"%a\n" % (row,))
            rows: int = cursor.rownumber
    return rows


def _memory() -> float:
    """MiB at most until now. Not `ru_maxrss`: it begins with what the parent had at the fork."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) / KIBI


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "exchange.settings"
    import django

    django.setup()
    sys.stdout.write(json.dumps(asdict(main(sys.argv[1], Path(sys.argv[2])))))
