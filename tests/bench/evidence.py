"""Benches of the audit log: what an event costs, how soon it is sealed, how fast a stop is made up for, and
how fast an auditor verifies them."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

from tests import environment
from tests.bench import load
from tests.bench.crowd import PULLED
from tests.bench.rows import Row
from tests.bench.stage import Stage, connect
from tests.world import NOW

WRITERS = 32
HELD, HELD_RATE = 60, 10  # seconds, and packages a second
EACH = 12
WAITING = 60_000
VERIFIED = 300_000
SIZE = 20_000


def sealing_lag(stage: Stage) -> list[Row]:
    """From an event's own time (before its commit) to the signed head that covers it; and the same while a
    transaction that has taken an event's number is held open for HELD seconds (SQLite has one writer)."""
    connect(stage.hub)
    rows = _lags(stage, "event to signed checkpoint", 400, 40)
    if environment.PRODUCTION:
        with _held_open():
            rows += _lags(stage, f"the same beside {HELD} s in a transaction", HELD * HELD_RATE, HELD_RATE)
    return rows


@contextmanager
def _held_open() -> Iterator[None]:
    from django.db import transaction

    from exchange.models import Event, bulk

    names = ("stream", "seq", "name", "at", "state", "answer", "request", "request_state", "leaf")
    with transaction.atomic():
        bulk.insert(Event, names, [(uuid4(), 1, "Reminder", NOW, "", "", "", "", bytes(32))])
        yield
        transaction.set_rollback(True)


def _lags(stage: Stage, name: str, number: int, per_second: int) -> list[Row]:
    from exchange.models import Checkpoint, LogEntry

    documents = stage.documents(number, SIZE, PULLED)
    before = Checkpoint.objects.order_by("-size").values_list("size", flat=True).first() or 0
    call = load.post(f"{stage.url}/api/v1/packages", documents, stage.headers("office"), expect=201)
    load.paced(call, len(documents), per_second)
    time.sleep(2)
    heads = list(Checkpoint.objects.filter(size__gt=before).order_by("size").values_list("size", "signed_at"))
    entries = LogEntry.objects.filter(index__gte=before).order_by("index")
    lags, place = [], 0
    for index, at in entries.values_list("index", "event__at"):
        while place < len(heads) and heads[place][0] <= index:
            place += 1
        lags.append((heads[place][1] - at).total_seconds())
    lags.sort()
    return [
        Row(f"{name}, p50", lags[len(lags) // 2] * 1000, "ms"),
        Row(f"{name}, p95", lags[int(len(lags) * 0.95)] * 1000, "ms", "≤ 1,000 ms"),
    ]


def append_cost(stage: Stage) -> list[Row]:
    """Acceptances a second by 32 writers; the floor is the same without the rows of the log."""
    connect(stage.hub)
    if not environment.PRODUCTION:
        return []  # one writer at a time: nothing to compare
    rates: dict[bool, float] = {}
    for audited in (True, False):
        documents = stage.documents(WRITERS * EACH, SIZE, PULLED)
        with ExitStack() as stack:
            if not audited:
                stack.enter_context(_without_the_log())
            rates[audited] = _rate(stage, documents)
    return [Row("accept by 32 writers, with the log", rates[True], "/s", "≥ 90% of without", rates[False])]


def catch_up(stage: Stage) -> list[Row]:
    """Events that waited while no sealer ran."""
    command = (sys.executable, "-m", "tests.bench.backlog", str(WAITING))
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    return [Row("sealer catches up", json.loads(done.stdout.splitlines()[-1]), "/s", "≥ 20,000/s")]


def verifier(stage: Stage) -> list[Row]:
    """Many events of 4,096 deliveries at a time, in a process of its own; it knows no database."""
    if environment.PRODUCTION:
        return []
    with tempfile.TemporaryDirectory() as folder:
        key = make_trail(Path(folder), VERIFIED)
        bare, whole = (_verified(folder, key, *words) for words in (("--no-trails",), ()))
    return [
        Row(f"verify {VERIFIED:,}: bytes, tree, root", VERIFIED / bare[0], "/s", "≥ 300,000/s"),
        Row(f"verify {VERIFIED:,}: with every trail", VERIFIED / whole[0], "/s", "≥ 60,000/s"),
        Row(f"verify {VERIFIED:,}: memory", whole[1], "MiB", "≤ 64 MiB"),
    ]


# --- the log left out -----------------------------------------------------------------------------------


@contextmanager
def _without_the_log() -> Iterator[None]:
    """No event is encoded or stored; the database's guards are down. For the floor only."""
    from django.db import connection

    from exchange import feed, log
    from exchange.models import FeedEntry, bulk, guards

    guards.remove(connection)
    nothing = bulk.Rows(FeedEntry, ("event_id",), [])
    with (
        patch.object(log, "_number", _numbered),
        patch.object(log, "_beside", lambda rows, texts: []),
        patch.object(feed, "entries", lambda told: nothing),
    ):
        yield
    guards.install(connection)


def _numbered(rows: list[object]) -> None:
    for row in rows:
        vars(row)["id"] = 1


def _rate(stage: Stage, documents: list[bytes]) -> float:
    """Acceptances a second by 32 threads, each with a connection of its own."""
    from django.db import connections

    from agencies.models import System
    from exchange import intake, log

    system = System.objects.get(name="office")
    actor = log.Actor("system", str(system.pk), "oauth2")

    def write(part: list[bytes]) -> None:
        for raw in part:
            intake.accept(raw, system=system, actor=actor, now=NOW)
        connections.close_all()

    began = time.monotonic()
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, (documents[start::WRITERS] for start in range(WRITERS))))
    return len(documents) / (time.monotonic() - began)


# --- many events ----------------------------------------------------------------------------------------


def make_trail(folder: Path, number: int) -> str:
    """A trail of `number` events in `folder`, five to a delivery, many deliveries at once; the log's key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from exchange.evidence import checkpoint, events, tree

    key, grown = Ed25519PrivateKey.generate(), tree.Frontier()
    sample = json.loads(events.encode(events.example("Reminder")))
    open_: list[tuple[str, int, str]] = []
    with (folder / "events.jsonl").open("wb") as file:
        for count in range(number):
            slot = count * 7919 % 4096
            if slot >= len(open_):
                slot = len(open_)
                open_.append(("", 5, ""))
            stream, seq, prev = open_[slot]
            stream, seq = (str(UUID(int=count)), 1) if seq == 5 else (stream, seq + 1)
            said = {**sample, "stream": stream, "delivery": stream, "seq": seq, "id": str(count)}
            raw = json.dumps(said | ({"prev": prev} if seq > 1 else {}), **_FORM).encode()
            leaf = tree.leaf_hash(raw)
            grown.extend([leaf])
            open_[slot] = stream, seq, leaf.hex()
            file.write(raw + b"\n")
    head = checkpoint.Checkpoint("bench.example/log", number, grown.root())
    (folder / "checkpoint").write_bytes(checkpoint.sign(head, key))
    return str(checkpoint.verifier_key(head.origin, key))


_FORM: Any = {"sort_keys": True, "separators": (",", ":"), "ensure_ascii": False}


def _verified(folder: str, key: str, *words: str) -> tuple[float, float]:
    """Seconds, and MiB at most."""
    program = (
        "import sys; from exchange.evidence.verify import main; code = main(sys.argv[1:]);"
        # Not ru_maxrss: that of a new process begins with the memory of the one that started it.
        "peak = next(x for x in open('/proc/self/status') if x.startswith('VmHWM'));"
        "print(int(peak.split()[1]) / 1024); sys.exit(code)"
    )
    began = time.monotonic()
    command = (sys.executable, "-c", program, folder, "--log-key", key, *words)
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    return time.monotonic() - began, float(done.stdout.splitlines()[-1])
