"""An export holds nothing of the database: not for a slow client, not between pages, not once cancelled."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from exchange.exports import jobs, make, readers
from exchange.exports.cells import in_pages
from exchange.exports.filters import Filter
from exchange.exports.rows import Events
from exchange.models import Event, Export, ExportState
from tests import services
from tests.exchange.test_admin_exports import HOME, person
from tests.exchange.test_export_jobs import folder
from tests.exchange.test_exports import clerk
from tests.world import ACTOR, World

__all__ = ["folder"]
pytestmark = pytest.mark.postgresql


class Watcher:
    """Looks at the hub's session from a session of its own."""

    def __init__(self, own: psycopg.Connection[Any]) -> None:
        self._own = own

    def held(self) -> tuple[str, int]:
        """The state of the hub's session, and how many locks it has."""
        [pid] = connection.cursor().execute("SELECT pg_backend_pid()").fetchone()
        state = "SELECT state, (SELECT count(*) FROM pg_locks WHERE pid = %(pid)s) FROM pg_stat_activity"
        found = self._own.execute(f"{state} WHERE pid = %(pid)s", {"pid": pid}).fetchone()
        assert found
        return found[0], found[1]


@pytest.fixture
def watcher(live_hub: World) -> Iterator[Watcher]:
    live_hub.send("H29", "H29.5", "H29.17")
    with psycopg.connect(services.database_url(), autocommit=True) as own:
        yield Watcher(own)


def test_a_transaction_left_open_would_be_seen(watcher: Watcher) -> None:
    with transaction.atomic():
        assert Event.objects.exists()
        state, locks = watcher.held()
    assert state == "idle in transaction"
    assert locks > 0
    assert watcher.held() == ("idle", 0)


def test_nothing_is_held_between_two_pages(watcher: Watcher) -> None:
    source = Events(Filter(), readers.Reader(actor=ACTOR, agencies=None))
    keys = source.keys()
    assert watcher.held() == ("idle", 0)
    pages = 0
    for page in in_pages(source, keys, lambda done: None, 1):
        assert len(page) == 1
        assert watcher.held() == ("idle", 0)
        pages += 1
    assert pages == Event.objects.count()


def test_a_client_that_stops_reading_holds_nothing(live_hub: World, watcher: Watcher) -> None:
    client = person(live_hub)
    client.post(f"{HOME}new/", {"kind": "trail", "format": "csv"})
    answer = client.get(f"{HOME}{Export.objects.get().pk}/file/")
    first = next(iter(answer.streaming_content))  # type: ignore[attr-defined]
    assert first
    assert watcher.held() == ("idle", 0)
    answer.close()  # the client goes away in the middle
    assert watcher.held() == ("idle", 0)


def test_a_cancelled_job_holds_nothing(
    live_hub: World, watcher: Watcher, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(make, "PAGE", 1)
    monkeypatch.setattr(jobs, "STEP_SECONDS", 0)
    monkeypatch.setattr(jobs, "DIRECT", 0)
    monkeypatch.setattr("exchange.wake.for_exports", lambda keys: None)
    made = jobs.ask("trail", "csv", Filter(), now=datetime.now(UTC), user=clerk(live_hub, role="auditor"))
    renew, seen = jobs._Hold.renew, list[tuple[str, int]]()

    def cancel(self: jobs._Hold, done: int, total: int) -> None:
        seen.append(watcher.held())
        assert jobs.cancel(self.export)
        renew(self, done, total)

    monkeypatch.setattr(jobs._Hold, "renew", cancel)
    assert jobs.run(made.pk) is None
    made.refresh_from_db()
    assert (made.state, seen) == (ExportState.CANCELLED, [("idle", 0)])
    assert watcher.held() == ("idle", 0)
    assert list(folder.iterdir()) == []
