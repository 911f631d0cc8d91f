"""A clock that is set back holds nothing; one that leaps forward gives nothing up at once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from exchange import facts, leaps, pushing, tasks
from exchange.celery import app
from exchange.models import Allowance, Circuit, Delivery, Fact, Lane, PdfReport
from exchange.scheduler import Scheduler
from tests.world import NOW, World

HOUR = timedelta(hours=1)
LEASE = timedelta(seconds=settings.ENVIRONMENT.lease_seconds)
SWEEP = timedelta(seconds=5)


@pytest.fixture(autouse=True)
def _looked(hub: World) -> None:
    """A hub that has looked at the clock."""
    assert leaps.look(NOW)


def send(hub: World, code: str = "H29.17") -> Delivery:
    return Delivery.objects.get(id=hub.send("H29", code, now=NOW).deliveries[0].id)


def wait_until(row: Delivery, at: datetime, **more: Any) -> None:
    Delivery.objects.filter(pk=row.pk).update(due_at=at, **more)


def due(row: Delivery) -> datetime:
    return Delivery.objects.get(pk=row.pk).due_at


@pytest.mark.parametrize("code", ["H29.17", "H29.5"])
def test_a_clock_set_back_holds_no_delivery(hub: World, code: str) -> None:
    row = send(hub, code)
    earlier = NOW - HOUR
    assert row not in Delivery.objects.waiting(earlier)
    leaps.look(earlier)
    assert row in Delivery.objects.waiting(earlier)


def test_what_was_tried_waits_one_lease_at_most_and_is_not_sent_twice_at_once(hub: World) -> None:
    row = send(hub)
    assert pushing.claim(Lane.NORMAL, now=NOW, limit=1)
    earlier = NOW - HOUR
    leaps.look(earlier)
    assert due(row) == earlier + LEASE
    assert pushing.claim(Lane.NORMAL, now=earlier, limit=1) == []
    assert pushing.claim(Lane.NORMAL, now=earlier + LEASE, limit=1)


def test_a_clock_that_leapt_forward_and_back_leaves_no_lease_and_no_retry_behind(hub: World) -> None:
    leased, retried = send(hub), send(hub)
    leaps.look(NOW + 24 * HOUR)
    wait_until(leased, NOW + 24 * HOUR + LEASE, served_at=NOW + 24 * HOUR)
    wait_until(retried, NOW + 30 * HOUR, served_at=NOW, attempts=9)
    leaps.look(NOW + SWEEP)
    assert {due(leased), due(retried)} == {NOW + SWEEP + LEASE}


def test_small_steps_change_nothing(hub: World) -> None:
    row = send(hub)
    wait_until(row, NOW + HOUR, served_at=NOW, attempts=5)
    assert leaps.look(NOW - leaps.TOLERATED)
    assert leaps.look(NOW + SWEEP)
    assert due(row) == NOW + HOUR, "a retry that the clock did not move keeps its time"


def test_what_was_committed_late_with_the_old_time_is_let_go_as_well(hub: World) -> None:
    earlier = NOW - HOUR
    leaps.look(earlier)
    row = send(hub)  # its request began before the leap
    leaps.look(earlier + SWEEP)
    assert due(row) == NOW
    leaps.look(earlier + leaps.TOLERATED)
    assert row in Delivery.objects.waiting(earlier + leaps.TOLERATED)
    wait_until(row, NOW + HOUR)
    leaps.look(earlier + leaps.TOLERATED + SWEEP)
    assert due(row) == NOW + HOUR, "and then no more"


def test_circuits_counts_words_and_background_work_do_not_wait_either(hub: World) -> None:
    Circuit.objects.create(system=hub.systems["health"], failures=9, probe_at=NOW + HOUR)
    Allowance.objects.create(key="system", window=int(NOW.timestamp()) // 60, used=600)
    facts.say("process.worker.bulk", NOW)
    row = send(hub)
    PdfReport.objects.create(package=row.package, due_at=NOW + HOUR, tries=1)
    earlier = NOW - HOUR
    leaps.look(earlier)
    assert Circuit.objects.get().probe_at == earlier
    assert not Allowance.objects.exists()
    assert facts.ages(earlier, "process.") == {"process.worker.bulk": timedelta()}
    assert PdfReport.objects.get().due_at == earlier + LEASE


def test_many_are_let_go_in_batches(hub: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaps, "BATCH", 2)
    rows = [send(hub) for _ in range(5)]
    assert leaps.let_go(NOW - HOUR) == 5
    assert {due(row) for row in rows} == {NOW - HOUR}


def test_a_leap_forward_gives_nothing_up_for_an_hour(hub: World) -> None:
    later = NOW + timedelta(days=400)
    assert not leaps.look(later)
    assert not leaps.look(later + leaps.EVEN - SWEEP)
    assert leaps.look(later + leaps.EVEN)


def test_after_a_leap_there_and_back_nothing_has_expired(hub: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = datetime.now(UTC)
    row = Delivery.objects.get(id=hub.send("H29", "H29.17", now=real).deliveries[0].id)
    Fact.objects.filter(name=leaps.FACT).delete()
    for days in (0, 400, 0):
        monkeypatch.setattr(tasks, "datetime", _clock(real + timedelta(days=days)))
        tasks.sweep()
        tasks.look_at_clocks()
        tasks.apply_retention()
        tasks.tidy()
    row.refresh_from_db()
    assert (row.state, row.reminded_at, row.warn_at is None) == ("queued", None, False)


def _clock(at: datetime) -> Any:
    class Stopped:
        @staticmethod
        def now(_zone: object) -> datetime:
            return at

    return Stopped


def test_the_scheduler_goes_on_when_the_clock_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scheduler, "apply_entry", lambda *_args, **_options: None)
    monkeypatch.setattr(Scheduler, "producer", None)
    scheduler = Scheduler(app, schedule_filename=str(tmp_path / "schedule"))
    try:
        scheduler.tick()
        for entry in scheduler.schedule.values():  # what stands in its file after a leap
            assert entry.last_run_at
            entry.last_run_at += HOUR
        scheduler.populate_heap()
        assert scheduler.tick() <= app.conf.beat_schedule["sweep"]["schedule"]
        runs = [entry.last_run_at for entry in scheduler.schedule.values()]
        assert all(at and at <= datetime.now(UTC) for at in runs)
    finally:
        scheduler.close()
