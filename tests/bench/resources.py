"""Benches of memory, of a large package beside small ones, and of a queue that grows."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from statistics import median

from tests import environment, live
from tests.bench import load
from tests.bench.accept import SMALL
from tests.bench.crowd import PULLED, PUSHED
from tests.bench.rows import Row
from tests.bench.stage import Stage, connect

MEGABYTE = 1 << 20
BEFORE, BESIDE, LARGE = 400, 2_000, 3
# BENCH_QUEUED=5000000 asks for the whole target, which takes some twenty minutes to fill.
QUEUES = (
    1_000,
    100_000,
    *([int(os.environ.get("BENCH_QUEUED") or 200_000)] if environment.PRODUCTION else []),
)


def memory(stage: Stage) -> list[Row]:
    """Of the hub that has just started, all processes together."""
    time.sleep(3)
    return [
        Row("memory of the idle hub (PSS)", sum(stage.pss().values()) / MEGABYTE, "MB", "≤ 400 MB (embedded)")
    ]


def demo(stage: Stage) -> list[Row]:
    """From `make demo` in a new folder, with a built environment, to its first page."""
    if environment.PRODUCTION:
        return []
    folder, port = stage.directory / "demo", live.free_port()
    mine = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    began = time.monotonic()
    started = subprocess.Popen(
        (sys.executable, "-m", "fixtures.demo"),
        cwd=live.ROOT,
        env={**mine, "DEMO_FOLDER": str(folder), "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        live.until(lambda: _answers(f"http://127.0.0.1:{port}/admin/login/"), "the first page")
        return [Row("start of the demo to its first page", time.monotonic() - began, "s", "≤ 10 s")]
    finally:
        started.send_signal(signal.SIGINT)
        started.wait(60)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def large(stage: Stage) -> list[Row]:
    """Packages of 50 MB are taken, one after the other, while small ones go on coming."""
    small = stage.documents(BEFORE + BESIDE, SMALL, PULLED)
    large = stage.documents(LARGE, 50_000_000, PULLED)
    url, headers = f"{stage.url}/api/v1/packages", stage.headers("office")
    before = load.closed(load.post(url, small[:BEFORE], headers, expect=201), BEFORE, 4)
    idle, peak, took = sum(stage.pss().values()), [0], [0.0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], sum(stage.pss().values()))

    def send() -> None:
        try:
            took[0] = median(load.closed(load.post(url, large, headers, expect=201), LARGE, 1).each)
        finally:
            done.set()

    threads = [threading.Thread(target=watch), threading.Thread(target=send)]
    for thread in threads:
        thread.start()
    beside = load.closed(load.post(url, small[BEFORE:], headers, expect=201), BESIDE, 4, done.is_set)
    for thread in threads:
        thread.join()
    if not took[0]:
        raise RuntimeError("a package of 50 MB was not taken")
    return [
        Row("accept 50 MB", took[0], "s", "≤ 3 s"),
        Row("accept 50 MB, memory above idle", (peak[0] - idle) / MEGABYTE, "MB", "≤ 400 MB"),
        Row("small ones beside it, p99 ÷ before", beside.share(0.99) / before.share(0.99), "×", "≤ 2 ×"),
    ]


def pages(stage: Stage) -> list[Row]:
    """The slowest page of a hub with many deliveries; `make bench SIZE=1000000` shows each, at the target's
    size. On a database of its own, while this hub idles."""
    if not environment.PRODUCTION:
        return []  # who has so many runs PostgreSQL
    number = int(os.environ.get("BENCH_DELIVERIES") or 50_000)
    words = (sys.executable, "-m", "tests.bench.pages", "--deliveries", str(number))
    told = live.ROOT / "var" / "bench" / "pages.json"
    told.unlink(missing_ok=True)
    done = subprocess.run(words, cwd=live.ROOT, stdout=sys.stderr, check=False)
    found = json.loads(told.read_text())
    slowest = max(found, key=lambda page: page["value"])
    late = [page["name"] for page in found if page["failed"]]
    failed = f"{len(late)} of {len(found)}: {late[0]}" if late else ""
    if done.returncode and not late:
        failed = f"exit code {done.returncode}"
    return [Row(f"slowest page, {number:,} deliveries", slowest["value"], "ms", "≤ 300 ms", failed=failed)]


def claims(stage: Stage) -> list[Row]:
    """What a claim costs while more and more waits for another, dead system. The hub is stopped first."""
    stage.hub.send(stage.tokens["office"], stage.documents(1, SMALL, PULLED)[0])  # of which copies are made
    stage.hub.supervisor.terminate()
    stage.hub.supervisor.wait(30)
    connect(stage.hub)
    from django.db import connection

    from agencies.models import System
    from exchange import pushing
    from exchange.models import Circuit, guards

    guards.remove(connection)
    dead = System.objects.get(name="pushed")
    Circuit.objects.create(pk=dead.pk, failures=9, probe_at="2100-01-01T00:00Z")
    _multiply("health", "H29.17", 200)
    costs, queued = [], 0
    for number in QUEUES:
        _multiply("pushed", PUSHED, number - queued)
        queued = number
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        costs.append(_claim())
    return [
        Row(f"claim of {pushing.PER_SYSTEM} rows beside 1,000 of a dead system", costs[0], "ms", ""),
        *(
            Row(f"the same beside {number:,} ÷ beside 1,000", cost / costs[0], "×", "≤ 1.05 ×")
            for number, cost in zip(QUEUES[1:], costs[1:], strict=True)
        ),
    ]


def _claim() -> float:
    """Milliseconds of a claim, the median of 21; each is undone."""
    from django.db import transaction
    from django.utils import timezone

    from exchange import pushing
    from exchange.models import Lane

    times = []
    for _ in range(21):
        with transaction.atomic():
            began = time.perf_counter()
            claimed = pushing.claim(Lane.NORMAL, now=timezone.now(), limit=200)
            times.append((time.perf_counter() - began) * 1000)
            transaction.set_rollback(True)
        assert len(claimed) == pushing.PER_SYSTEM, len(claimed)
    return median(times)


def _multiply(system: str, code: str, number: int) -> None:
    """`number` packages and due deliveries to agency `code`, copied from any that the hub has."""
    from django.db import connection
    from django.utils import timezone

    from agencies.models import Agency, System
    from exchange.models import Delivery, Package

    sample = Delivery.objects.filter(package__kind="document").latest("queued_at")
    new_id = "gen_random_uuid()" if environment.PRODUCTION else "lower(hex(randomblob(16)))"
    hexed = (
        "md5(n::text || random()::text) || md5(n::text)" if environment.PRODUCTION else "hex(randomblob(32))"
    )
    packages = [field.column for field in Package._meta.concrete_fields]
    deliveries = [field.column for field in Delivery._meta.concrete_fields]
    agency, receiver = Agency.objects.get(code=code), System.objects.get(name=system)
    adapt = Delivery._meta.pk.get_db_prep_save
    fixed = {
        "state": "queued", "push": True, "lane": 3, "handed_over_at": None, "due_at": timezone.now(),
        "recipient_id": adapt(agency.pk, connection), "system_id": adapt(receiver.pk, connection),
    }  # fmt: skip
    copied = ", ".join(
        {"id": new_id, "sha256": hexed, "document_id": f"'{code}-' || n"}.get(c, c) for c in packages
    )
    given = [
        f"%({c})s" if c in fixed else {"id": new_id, "package_id": "p.id"}.get(c, f"d.{c}")
        for c in deliveries
    ]
    numbers = (
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %(number)s)"
    )
    with connection.cursor() as cursor:
        if environment.PRODUCTION:
            cursor.execute("SET session_replication_role = replica")  # no foreign keys to check
        mark = f"bench {system} {number} {time.time()}"
        cursor.execute(
            f"{numbers} INSERT INTO exchange_package ({', '.join(packages)}) "
            f"SELECT {copied.replace('subject', '%(mark)s')} FROM exchange_package, numbers "
            "WHERE id = %(sample)s",
            {"number": number, "sample": adapt(sample.package_id, connection), "mark": mark},
        )
        cursor.execute(
            f"INSERT INTO exchange_delivery ({', '.join(deliveries)}) SELECT {', '.join(given)} "
            "FROM exchange_package p, exchange_delivery d WHERE p.subject = %(mark)s AND d.id = %(sample)s",
            {**fixed, "mark": mark, "sample": adapt(sample.pk, connection)},
        )
