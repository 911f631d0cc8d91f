"""`kill -9` of the worker in the middle of an export: another one makes it, whole, once in the books."""

import csv
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests import live
from tests.live import LiveHub, descendants, until
from tests.world import Keys

pytestmark = pytest.mark.postgresql

EVENTS = 24_000  # twelve pages, so that there is a middle


def test_an_export_whose_worker_is_killed_is_made_by_another(tmp_path: Path, keys: Keys) -> None:
    with live.running(tmp_path, keys, "http://127.0.0.1:9/") as hub:
        workers = [pid for pid, line in descendants(hub.supervisor.pid) if "worker --pool" in line]
        with ThreadPoolExecutor(1) as beside:
            asked = beside.submit(live.run, hub.environ, "-m", "tests.failures.asking", str(EVENTS))
            until(lambda: _job(hub)[1], "a worker to be in the middle")
            for pid in workers:
                os.kill(pid, signal.SIGSTOP)  # so that it does not get away meanwhile
            key = asked.result()
        state, done, total, *_ = _job(hub)
        assert state == "running"
        assert 0 < done < total
        assert hub.kill("worker")
        folder = Path(hub.environ["HUB_DATA_DIR"]) / "exports"
        [half] = folder.iterdir()
        assert half.stat().st_size > 0

        live.run(hub.environ, "-m", "tests.failures.asking", "--lease-ended")
        until(lambda: _job(hub)[0] == "done", "another worker to finish")
        _, done, total, digest, tries = _job(hub)
        assert (tries, done) == (2, total)
        assert [path.name for path in folder.iterdir()] == [key]  # nothing is left of the half
        raw = (folder / key).read_bytes()
        assert sha256(raw).hexdigest() == digest
        places = [row["Tên sự kiện"] for row in csv.DictReader(raw.decode("utf-8-sig").splitlines())]
        assert (len(places), places.count("AdminAccess")) == (total, EVENTS)
        assert hub.ask("SELECT count(*) FROM exchange_event WHERE name = 'ExportIssued'") == [(1,)]


def _job(hub: LiveHub) -> tuple[Any, ...]:
    found = hub.ask("SELECT state, done, total, sha256, tries FROM exchange_export")
    return found[0] if found else ("", 0, 0, "", 0)
