"""Export jobs: at once or in the background, stopped, taken up again, kept for a week; and schedules."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail

from agencies.models import Membership
from exchange import intake, tasks, wake
from exchange.exports import jobs, make, schedules
from exchange.exports.filters import Filter
from exchange.models import Event, Every, Export, ExportSchedule, ExportState
from exchange.refusals import Refused
from tests.exchange.test_exports import TODAY, clerk, rows_of, sent, verified
from tests.world import NOW, World

__all__ = ["sent"]
ALL = Filter()


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    """Exports of their own for every test."""
    settings.ENVIRONMENT = _with(settings.ENVIRONMENT, exports_dir=tmp_path / "exports")
    return tmp_path / "exports"


def _with(environment: Any, **values: Any) -> Any:
    return replace(environment, **values)


@pytest.fixture
def auditor(hub: World) -> User:
    return clerk(hub, role="auditor")


@pytest.fixture
def background(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every job is large; the list gets the keys that workers are woken for."""
    woken: list[Any] = []
    monkeypatch.setattr(jobs, "DIRECT", 0)
    monkeypatch.setattr(wake, "for_exports", woken.extend)
    return woken


def ask(user: User, form: str = "csv", kind: str = "trail", **more: Any) -> Export:
    return jobs.ask(kind, form, more.pop("chosen", ALL), now=datetime.now(UTC), user=user, **more)


def issued() -> list[dict[str, Any]]:
    found = Event.objects.filter(name="ExportIssued").order_by("id")
    return [json.loads(bytes(event.body.raw)) for event in found]


def test_a_small_export_is_made_at_once_and_is_an_event(sent: intake.Acceptance, auditor: User) -> None:
    chosen = Filter.of_query("agency=H29.17", TODAY)
    made = ask(auditor, chosen=chosen)
    assert (made.state, made.done, made.total) == (ExportState.DONE, 2, 2)
    [event] = issued()
    assert (event["rows"], event["digest"], event["what"]) == (2, made.sha256, "trail.csv")
    assert event["actor"]["id"] == str(auditor.pk)
    assert event["stream"] == event["target"] == str(made.pk)
    with jobs.open_file(made, datetime.now(UTC)) as file:
        assert file.read().count(b"\r\n") == 3
    assert make.digest_of(jobs.path_of(made)) == made.sha256


def test_a_large_export_waits_for_a_worker(
    sent: intake.Acceptance, auditor: User, background: list[Any]
) -> None:
    made = ask(auditor, "jsonl")
    assert (made.state, background) == (ExportState.WAITING, [made.pk])
    with pytest.raises(Refused, match=r"export\.not-ready"):
        jobs.open_file(made, NOW)
    tasks.export(str(made.pk))
    made.refresh_from_db()
    assert (made.state, made.percent) == (ExportState.DONE, 100)
    assert "failed" not in verified(jobs.path_of(made).rename(jobs.path_of(made).with_suffix(".zip")))
    assert jobs.run(made.pk) is None  # a second message finds nothing to do
    assert len(issued()) == 1


def test_a_pdf_of_many_rows_is_not_made_while_somebody_waits(
    sent: intake.Acceptance, auditor: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "DIRECT_PDF", 2)
    monkeypatch.setattr(wake, "for_exports", lambda keys: None)
    assert [ask(auditor, form).state for form in ("pdf", "csv")] == [ExportState.WAITING, ExportState.DONE]


def test_a_job_of_a_dead_worker_is_made_anew_and_the_dead_one_cannot_finish_it(
    sent: intake.Acceptance, auditor: User, background: list[Any], folder: Path
) -> None:
    made = ask(auditor)
    now = datetime.now(UTC)
    first = jobs._claim(made.pk, now)
    assert first
    assert jobs._claim(made.pk, now) is None  # held
    later = now + jobs.LEASE
    assert jobs.due(later) == [made.pk]
    second = jobs._claim(made.pk, later)
    assert second
    assert jobs._make(first) is False
    assert jobs._make(second) is True
    assert [path.name for path in folder.iterdir()] == [str(made.pk)]
    assert len(issued()) == 1


def test_a_worker_that_wakes_after_another_finished_leaves_the_file_alone(
    sent: intake.Acceptance, auditor: User, background: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ask(auditor)
    now = datetime.now(UTC)
    first, second = jobs._claim(made.pk, now), jobs._claim(made.pk, now + jobs.LEASE)
    assert first
    assert second
    assert jobs._make(second)
    monkeypatch.setattr(jobs._Hold, "renew", lambda *args: None)  # it does not look before it is ready
    assert jobs._make(first) is False
    made.refresh_from_db()
    assert make.digest_of(jobs.path_of(made)) == made.sha256
    assert len(issued()) == 1


def test_a_job_that_kills_every_worker_is_given_up(
    sent: intake.Acceptance, auditor: User, background: list[Any]
) -> None:
    made = ask(auditor)
    now = datetime.now(UTC)
    for attempt in range(jobs.MOST_TRIES):
        assert jobs._claim(made.pk, now + attempt * jobs.LEASE)
    assert jobs._claim(made.pk, now + jobs.MOST_TRIES * jobs.LEASE) is None
    made.refresh_from_db()
    assert (made.state, made.problem) == (ExportState.FAILED, "hub.error")


@pytest.mark.usefixtures("sent")
@pytest.mark.parametrize("form", ["csv", "xlsx", "jsonl"])
def test_a_cancelled_job_stops_and_leaves_nothing(
    auditor: User, background: list[Any], folder: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(make, "PAGE", 1)
    monkeypatch.setattr(jobs, "STEP_SECONDS", 0)
    steps: list[int] = []
    advance = jobs._Hold.advance

    def cancel_after_two(self: jobs._Hold, done: int, total: int) -> None:
        steps.append(done)
        if len(steps) == 2:
            assert jobs.cancel(self.export)
        advance(self, done, total)

    monkeypatch.setattr(jobs._Hold, "advance", cancel_after_two)
    made = ask(auditor, form)
    assert jobs.run(made.pk) is None
    made.refresh_from_db()
    assert (made.state, made.done, steps) == (ExportState.CANCELLED, 1, [1, 2])
    assert list(folder.iterdir()) == []
    assert issued() == []
    assert not jobs.cancel(made)


def test_scope_is_asked_again_when_the_job_runs(
    hub: World, sent: intake.Acceptance, background: list[Any]
) -> None:
    user = clerk(hub, "H29")
    gone, moved = ask(user), ask(user)
    Membership.objects.filter(user=user).update(agency=hub.agencies["H29.17"])
    jobs.run(moved.pk)
    assert {row["Mã nơi nhận"] for row in rows_of(jobs.path_of(moved))} == {"", "H29.17"}
    user.groups.clear()
    jobs.run(gone.pk)
    gone.refresh_from_db()
    assert (gone.state, gone.problem) == (ExportState.FAILED, "export.not-allowed")


def test_an_export_can_be_made_again(sent: intake.Acceptance, auditor: User, background: list[Any]) -> None:
    made = ask(auditor, chosen=Filter.of_query("agency=H29.17", TODAY))
    jobs.cancel(made)
    second = jobs.again(made, datetime.now(UTC))
    assert second.pk != made.pk
    assert jobs.run(second.pk)
    second.refresh_from_db()
    assert (second.query, second.done) == (made.query, 2)


def test_files_go_after_a_week_and_events_stay(sent: intake.Acceptance, auditor: User, folder: Path) -> None:
    made = ask(auditor)
    assert made.finished_at
    end = made.finished_at + timedelta(days=7)
    assert jobs.purge(end - timedelta(seconds=1)) == 0
    with pytest.raises(Refused, match=r"export\.gone"):
        jobs.open_file(made, end)
    assert jobs.purge(end) == 1
    assert (list(folder.iterdir()), Export.objects.count(), len(issued())) == ([], 0, 1)
    with pytest.raises(Refused, match=r"export\.gone"):
        jobs.open_file(made, NOW)


# --- schedules ------------------------------------------------------------------------------------------

MONDAY = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)  # nine in the morning in Vietnam


@pytest.mark.parametrize(
    ("every", "expected"), [("day", "2026-11-24"), ("week", "2026-11-30"), ("month", "2026-12-01")]
)
def test_a_schedule_is_next_due_at_six_when_its_period_has_ended(every: str, expected: str) -> None:
    due = schedules.next_after(every, MONDAY)
    assert due.isoformat() == f"{expected}T06:00:00+07:00"
    assert schedules.next_after(every, due) > due
    early = datetime(2026, 11, 29, 22, 0, tzinfo=UTC)  # five in the morning of Monday
    assert schedules.next_after("week", early).isoformat() == "2026-11-30T06:00:00+07:00"


def _schedule(user: User, now: datetime, **more: Any) -> ExportSchedule:
    chosen = Filter.of_query("agency=H29", TODAY)
    return schedules.create(
        "trail", "csv", chosen, **{"every": Every.DAY, "by_mail": False, **more}, user=user, now=now
    )


def test_a_scheduled_export_is_put_into_the_folder(
    sent: intake.Acceptance, auditor: User, background: list[Any], settings: Any, tmp_path: Path
) -> None:
    settings.ENVIRONMENT = _with(settings.ENVIRONMENT, export_folder=tmp_path / "out")
    schedule = _schedule(auditor, NOW)
    assert schedules.ask(schedule.next_at - timedelta(seconds=1)) == 0
    assert schedules.ask(schedule.next_at) == 1
    assert schedules.ask(schedule.next_at) == 0
    [key] = background
    tasks.export(str(key))
    made = Export.objects.get()
    assert made.query == "agency=H29&since=2026-11-23&until=2026-11-23"
    [file] = (tmp_path / "out").iterdir()
    assert len(rows_of(file)) == made.done > 0
    assert issued()[0]["actor"]["auth"] == "schedule"


@pytest.mark.usefixtures("sent")
def test_a_scheduled_export_is_mailed_or_its_address_is(
    auditor: User, background: list[Any], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ENVIRONMENT = _with(settings.ENVIRONMENT, email_url="smtp://mail.test")
    schedule = _schedule(auditor, NOW, by_mail=True)
    schedules.ask(schedule.next_at)
    tasks.export(str(background[0]))
    monkeypatch.setattr(schedules, "MAIL_BYTES", 10)
    schedules.hand_out(Export.objects.get())
    whole, link = mail.outbox
    assert (whole.to, len(whole.attachments), len(link.attachments)) == ([auditor.email], 1, 0)
    assert f"/admin/exchange/export/{Export.objects.get().pk}/change/" in str(link.body)


def test_a_schedule_that_could_not_hand_out_is_refused(hub: World, auditor: User) -> None:
    for by_mail in (True, False):
        with pytest.raises(Refused, match=r"request\.invalid"):
            _schedule(auditor, NOW, by_mail=by_mail)


def test_a_schedule_of_somebody_who_may_no_longer_read_makes_nothing(
    hub: World, auditor: User, background: list[Any], settings: Any, tmp_path: Path
) -> None:
    settings.ENVIRONMENT = _with(settings.ENVIRONMENT, export_folder=tmp_path / "out")
    schedule = _schedule(auditor, NOW)
    auditor.groups.clear()
    assert schedules.ask(schedule.next_at) == 0
    assert not Export.objects.exists()
