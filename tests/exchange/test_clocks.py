"""Deadlines per delivery: what is due when, who is reminded of it, and that nothing is dropped."""

import json
from datetime import date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from agencies.models import Agency, System
from exchange import clocks, delivery, tasks, workdays
from exchange.evidence import events
from exchange.models import Delivery, Event, Holiday, holiday
from exchange.workdays import VIETNAM
from tests import receiver
from tests.world import ACTOR, NOW, World, answer_to

TODAY = date(2026, 11, 23)  # a Monday
OVERDUE = NOW + timedelta(days=1)


@pytest.fixture(autouse=True)
def _fresh_calendar() -> None:
    holiday.forget_calendar()


def send(hub: World, *recipients: str, now: datetime = NOW, **facts: Any) -> Delivery:
    [made, *_] = hub.send("H29", *(recipients or ("H29.5",)), now=now, **facts).deliveries
    return Delivery.objects.get(id=made.id)


def due_day(row: Delivery) -> date:
    assert row.receipt_due_at
    return workdays.day_of(row.receipt_due_at)


def reminders() -> list[str]:
    return [event.name for event in Event.objects.filter(name="Reminder")]


def test_receipt_is_due_on_the_same_working_day(hub: World) -> None:
    assert due_day(send(hub)) == TODAY


def test_what_comes_on_sunday_is_due_on_monday(hub: World) -> None:
    assert due_day(send(hub, now=NOW + timedelta(days=6))) == TODAY + timedelta(days=7)


def test_a_holiday_moves_the_deadline(hub: World) -> None:
    clocks.set_days([TODAY], "Ngày thử", working=False, actor=ACTOR, now=NOW)
    holiday.forget_calendar()
    assert due_day(send(hub)) == TODAY + timedelta(days=1)


def test_the_holidays_that_the_law_fixes_are_there(db: None) -> None:
    days = {
        (day.month, day.day) for day in Holiday.objects.filter(day__year=2027).values_list("day", flat=True)
    }
    assert {(1, 1), (4, 30), (5, 1), (9, 2)} <= days


@pytest.mark.parametrize(("priority", "days"), [(0, 30), (1, 14), (2, 7), (3, 3), (4, 3)])
def test_priority_decides_expiry_and_urgent_receipt_is_due_at_once(
    hub: World, priority: int, days: int
) -> None:
    row = send(hub, priority=priority)
    assert row.expires_at == NOW + timedelta(days=days)
    if priority:
        assert row.receipt_due_at == NOW + timedelta(minutes=30)


def test_a_status_has_no_clock(hub: World) -> None:
    sent = hub.send("H29", "H29.5")
    [answer] = hub.accept(hub.status("H29.5", "03", answer_to(sent)), "H29.5").deliveries
    assert (answer.receipt_due_at, answer.warn_at) == (None, None)


def test_an_overdue_recipient_is_reminded_once(hub: World) -> None:
    row = send(hub)
    assert clocks.remind(NOW + timedelta(hours=1)) == 0
    assert clocks.remind(OVERDUE) == 1
    assert clocks.remind(OVERDUE + timedelta(days=1)) == 0
    row.refresh_from_db()
    assert (row.reminded_at, row.state) == (OVERDUE, "queued")
    assert reminders() == ["Reminder"]


def test_who_confirmed_is_not_reminded(hub: World) -> None:
    sent = hub.send("H29", "H29.5")
    hub.accept(hub.status("H29.5", "01", answer_to(sent)), "H29.5", NOW + timedelta(minutes=5))
    hub.accept(hub.status("H29.5", "03", answer_to(sent)), "H29.5", NOW + timedelta(minutes=9))
    assert clocks.remind(OVERDUE) == 0
    row = Delivery.objects.get(id=sent.deliveries[0].id)
    assert row.first_answered_at == NOW + timedelta(minutes=5)
    assert row.answered_at == NOW + timedelta(minutes=9)


def test_handover_alone_is_no_confirmation(hub: World) -> None:
    row = send(hub)
    delivery.acknowledge(
        row.id, system=hub.system_of("H29.5"), sha256=row.package.sha256, actor=hub.actor_of("H29.5"), now=NOW
    )
    assert clocks.remind(OVERDUE) == 1


def test_what_was_withdrawn_or_expired_is_not_reminded_of(hub: World) -> None:
    sent = hub.send("H29", "H29.5")
    hub.accept(hub.status("H29", "13", answer_to(sent, "H29.5")), "H29")
    send(hub, "H29.121", priority=4)
    delivery.expire(NOW + timedelta(days=4))
    assert clocks.remind(NOW + timedelta(days=5)) == 0


def test_who_answered_the_request_is_not_reminded_of_its_carrier(hub: World) -> None:
    sent = hub.send("H29", "H29.5")
    system = hub.system_of("H29.5")
    delivery.serve(sent.deliveries[0].id, system=system, now=NOW)
    hub.accept(hub.status("H29.5", "01", answer_to(sent)), "H29.5", NOW)
    hub.accept(hub.status("H29", "13", answer_to(sent, "H29.5")), "H29")
    hub.accept(hub.status("H29.5", "15", answer_to(sent), at=NOW + timedelta(minutes=1)), "H29.5")
    assert Delivery.objects.get(id=sent.deliveries[0].id).state == "withdrawn"
    assert clocks.remind(OVERDUE) == 0


def test_batches_go_on_where_the_one_before_ended(hub: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "BATCH", 2)
    for _ in range(5):
        send(hub)
    assert clocks.remind(OVERDUE) == 5
    assert len(reminders()) == 5


def test_the_sender_is_warned_once_before_expiry(hub: World) -> None:
    row = send(hub)
    assert clocks.warn(row.expires_at - timedelta(days=3, minutes=1)) == 0
    assert clocks.warn(row.expires_at - timedelta(days=3)) == 1
    assert clocks.warn(row.expires_at - timedelta(days=1)) == 0
    assert Event.objects.filter(name="ExpiresSoon").count() == 1


def test_a_short_life_is_warned_of_at_its_half(hub: World) -> None:
    row = send(hub, priority=4)
    assert row.warn_at == NOW + timedelta(days=1.5)


def test_what_was_handed_over_does_not_expire_soon(hub: World) -> None:
    sent = hub.send("H29", "H29.5")
    hub.accept(hub.status("H29.5", "01", answer_to(sent)), "H29.5")
    assert clocks.warn(NOW + timedelta(days=29)) == 0


@pytest.mark.postgresql
def test_both_clocks_look_into_an_index(hub: World) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert "delivery_receipt_due" in Delivery.objects.overdue(NOW).order_by("receipt_due_at").explain()
    assert "delivery_expiry_warning" in Delivery.objects.expiring(NOW).order_by("warn_at").explain()


# --- thin notices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "event"),
    [
        (receiver.acknowledge, "ConsignmentNotification"),
        (receiver.status(500), "ConsignmentNotificationFailure"),
    ],
)
def test_a_system_that_wants_notices_is_told_of_a_reminder(
    hub: World, django_capture_on_commit_callbacks: Any, answer: receiver.Answer, event: str
) -> None:
    row = send(hub)
    with receiver.running(answer) as endpoint:
        System.objects.filter(name="transport").update(notice=True, callback_url=endpoint.url)
        with django_capture_on_commit_callbacks(execute=True):
            clocks.remind(OVERDUE)
    [told] = endpoint.received
    body = json.loads(told.body)
    assert (body["type"], body["delivery"]) == ("reminder", str(row.id))
    assert told.headers["webhook-id"] == str(row.id)
    names = Event.objects.filter(stream=row.id).order_by("seq").values_list("name", flat=True)
    assert list(names) == ["ContentConsignment", "Reminder", event]


def test_a_system_that_wants_no_notices_gets_none(
    hub: World, django_capture_on_commit_callbacks: Any
) -> None:
    send(hub)
    with receiver.running() as endpoint:
        System.objects.filter(name="transport").update(callback_url=endpoint.url)
        with django_capture_on_commit_callbacks(execute=True):
            clocks.remind(OVERDUE)
    assert endpoint.received == []


# --- e-mail -------------------------------------------------------------------------------------------


def test_one_message_per_agency_goes_out_after_the_commit(
    hub: World, mailoutbox: list[EmailMessage], django_capture_on_commit_callbacks: Any
) -> None:
    Agency.objects.filter(code__in=["H29.5", "H29.17"]).update(email="vanthu@example.test")
    for recipients in (("H29.5", "H29.17", "H29.121"), ("H29.5",)):
        send(hub, *recipients, subject="Nội dung không được gửi qua thư điện tử")
    with django_capture_on_commit_callbacks() as callbacks:
        clocks.remind(OVERDUE)
        assert mailoutbox == []
    for callback in callbacks:
        callback()
    assert sorted(mail.subject[:9] for mail in mailoutbox) == ["[H29.17] ", "[H29.5] 2"]
    assert "KH-TEST" in mailoutbox[0].body
    assert "23/11/2026 23:59" in mailoutbox[0].body
    assert not any("Nội dung" in mail.body for mail in mailoutbox)


def test_a_mail_server_that_is_away_is_logged_and_the_reminder_stands(
    hub: World, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    Agency.objects.update(email="vanthu@example.test")
    send(hub)
    with django_capture_on_commit_callbacks(execute=True):
        assert clocks.remind(OVERDUE) == 1
    assert reminders() == ["Reminder"]


def test_the_task_looks_at_both_clocks(hub: World) -> None:
    row = send(hub)
    long_ago, far = datetime(2020, 1, 1, tzinfo=VIETNAM), datetime(2200, 1, 1, tzinfo=VIETNAM)
    Delivery.objects.filter(id=row.id).update(receipt_due_at=long_ago, warn_at=long_ago, expires_at=far)
    tasks.look_at_clocks()
    names = set(Event.objects.filter(name__in=["Reminder", "ExpiresSoon"]).values_list("name", flat=True))
    assert names == {"Reminder", "ExpiresSoon"}


# --- the calendar -------------------------------------------------------------------------------------


def test_the_command_enters_days_with_an_event_each(db: None) -> None:
    shown = StringIO()
    for _ in range(2):
        call_command("add_holidays", "2027-02-08", "2027-02-09", "--name", "Tết Nguyên đán", stdout=shown)
    assert shown.getvalue().splitlines()[:2] == ["2027-02-08", "2027-02-09"]
    noted = [events.decode(bytes(event.body.raw)) for event in Event.objects.order_by("id")]
    assert [(event.what, event.target) for event in noted] == [
        ("holiday.set", "2027-02-08"),
        ("holiday.set", "2027-02-09"),
    ]
    assert not Holiday.objects.get(day=date(2027, 2, 8)).working


def test_the_command_enters_worked_days_and_removes_days(db: None) -> None:
    call_command("add_holidays", "2027-02-13", "--name", "Làm bù", "--working", stdout=StringIO())
    holiday.forget_calendar()
    assert workdays.is_working_day(date(2027, 2, 13), Holiday.objects.calendar())
    call_command("add_holidays", "2027-02-13", "--remove", stdout=StringIO())
    assert not Holiday.objects.filter(day=date(2027, 2, 13)).exists()
    with pytest.raises(CommandError, match="--name"):
        call_command("add_holidays", "2027-02-13", stdout=StringIO())
