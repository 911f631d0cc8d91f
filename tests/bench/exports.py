"""Benches of exports: a trail in each form, beside a plain cursor over the same rows."""

import json

from tests import environment, live
from tests.bench import load
from tests.bench.accept import SMALL
from tests.bench.crowd import MANY
from tests.bench.exporting import Made
from tests.bench.rows import Row
from tests.bench.stage import Stage, connect

EVENTS, MILLION = 50_000, 1_000_000
# What a million events may take, in seconds; XLSX is offered for 100,000 rows only.
AIMS = {"jsonl": (MILLION, 10), "csv": (MILLION, 30), "xlsx": (100_000, 20)}


def trails(stage: Stage) -> list[Row]:
    """Every event of the hub, which are EVENTS and a few more."""
    if not environment.PRODUCTION:
        return []  # SQLite has no server-side cursor to compare with
    _fill(stage)
    floor = _made(stage, "floor")
    rows = []
    for form, (number, seconds) in AIMS.items():
        made = _made(stage, form)
        scaled = made.processor * number / made.rows
        rows += [
            Row(f"export {form}", made.rate, "rows/s", "", floor.rate),
            Row(f"{number:,} {form} (scaled), processor", scaled, "s", f"≤ {seconds} s"),
            Row(f"export {form}, memory above idle", made.memory, "MiB", "≤ 64 MiB"),
        ]
    return rows


def _fill(stage: Stage) -> None:
    """Copies of the hub's own events, each a stream of its own; the hub's sealer takes them into the log."""
    documents = stage.documents(10, SMALL, *MANY)
    url, headers = f"{stage.url}/api/v1/packages", stage.headers("office")
    load.closed(load.post(url, documents, headers, expect=201), len(documents), 4)
    connect(stage.hub)
    from django.db import connection, transaction

    from exchange.models import Event, Pending

    columns = [field.column for field in Event._meta.concrete_fields]
    copied = ", ".join({"id": "c.id", "stream": "gen_random_uuid()"}.get(c, f"e.{c}") for c in columns)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE copies ON COMMIT DROP AS "
            "SELECT nextval(pg_get_serial_sequence('exchange_event', 'id')) AS id, e.id AS sample "
            "FROM generate_series(1, %s) n, exchange_event e WHERE e.package IS NOT NULL LIMIT %s",
            [EVENTS, EVENTS],
        )
        of_sample = "FROM copies c JOIN {} ON {} = c.sample ORDER BY c.id"
        cursor.execute(
            f"INSERT INTO exchange_event ({', '.join(columns)}) "
            f"SELECT {copied} {of_sample.format('exchange_event e', 'e.id')}"
        )
        cursor.execute(
            "INSERT INTO exchange_eventbody (event_id, raw) "
            f"SELECT c.id, b.raw {of_sample.format('exchange_eventbody b', 'b.event_id')}"
        )
        cursor.execute("INSERT INTO exchange_pending (event_id) SELECT id FROM copies ORDER BY id")
    live.until(lambda: not Pending.objects.exists(), "the sealer")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _made(stage: Stage, form: str) -> Made:
    path = stage.directory / f"export.{form}"
    made = Made(**json.loads(live.run(stage.hub.environ, "-m", "tests.bench.exporting", form, str(path))))
    path.unlink()
    if made.rows < EVENTS:
        raise RuntimeError(f"{form}: {made.rows} rows, {EVENTS} are needed")
    return made
