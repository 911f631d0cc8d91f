"""Deadlines that are measured and reminded of, never enforced: receipt of a document, and its expiry.

A recipient that has not confirmed the receipt in time is reminded once, the sender of a document about to
expire is warned once; each is an event, so both sides read it in the feed and the trail. No mail is dropped.
"""

import json
from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime
from functools import partial
from itertools import groupby
from uuid import UUID, uuid5

import structlog
from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.db.models import QuerySet

from exchange import lifecycle, log, transport
from exchange.models import Delivery, Holiday
from exchange.models.holiday import forget_calendar
from exchange.workdays import VIETNAM

BATCH = 200
ROUNDS = 10
CALENDAR_STREAM = uuid5(UUID(int=0), "working-day-calendar")

_logger = structlog.get_logger(__name__)


def remind(now: datetime) -> int:
    """Remind the recipients of documents whose receipt is overdue; returns how many deliveries."""
    return _in_batches(partial(_remind_batch, now))


@transaction.atomic
def remind_again(ids: Collection[UUID], *, actor: log.Actor, now: datetime) -> int:
    """A person reminds the recipients of those of the deliveries `ids` that are late; returns how many.

    Nobody is reminded of the same delivery twice within REMIND_EVERY.
    """
    rows = _locked(Delivery.objects.remindable(now).filter(id__in=ids))
    _remind(rows, now, actor)
    return len(rows)


def warn(now: datetime) -> int:
    """Warn the senders of documents that expire soon; returns how many deliveries."""
    return _in_batches(partial(_warn_batch, now))


@transaction.atomic
def set_days(
    days: Collection[date], name: str, *, working: bool, actor: log.Actor, now: datetime
) -> list[date]:
    """Enter `days` in the working-day calendar as days off, or as `working`; returns those that are new.

    Deadlines of deliveries that are on their way already stay as they were told.
    """
    known = set(
        Holiday.objects.filter(day__in=days, name=name, working=working).values_list("day", flat=True)
    )
    fresh = sorted(set(days) - known)
    for day in fresh:
        Holiday.objects.update_or_create(day=day, defaults={"name": name, "working": working})
        _note("workday.set" if working else "holiday.set", day, actor, now)
    return fresh


@transaction.atomic
def remove_days(days: Collection[date], *, actor: log.Actor, now: datetime) -> list[date]:
    """Take `days` out of the calendar: what weekdays say holds again; returns those that were in it."""
    rows = Holiday.objects.filter(day__in=days)
    gone = sorted(rows.values_list("day", flat=True))
    rows.delete()
    for day in gone:
        _note("holiday.removed", day, actor, now)
    return gone


def _note(what: str, day: date, actor: log.Actor, now: datetime) -> None:
    log.note(CALENDAR_STREAM, "PolicyChange", actor=actor, at=now, what=what, target=day.isoformat())
    transaction.on_commit(forget_calendar)


def _in_batches(batch: Callable[[], int]) -> int:
    """Bounded: what is left over comes with the next run."""
    total = 0
    for _ in range(ROUNDS):
        done = batch()
        total += done
        if done < BATCH:
            break
    return total


@transaction.atomic
def _remind_batch(now: datetime) -> int:
    rows = _locked(Delivery.objects.overdue(now))
    _remind(rows, now, log.HUB)
    return len(rows)


def _remind(rows: Sequence[Delivery], now: datetime, actor: log.Actor) -> None:
    # The event first: it still sees whether the row was reminded before, which is counted once as late.
    _record(rows, "Reminder", now, actor)
    for row in rows:
        row.reminded_at = now
    Delivery.objects.filter(id__in=[row.id for row in rows]).update(reminded_at=now)
    transaction.on_commit(partial(_send_reminders, rows))
    transaction.on_commit(partial(_push_notices, rows, now))


@transaction.atomic
def _warn_batch(now: datetime) -> int:
    rows = _locked(Delivery.objects.expiring(now))
    _record(rows, "ExpiresSoon", now, log.HUB)
    Delivery.objects.filter(id__in=[row.id for row in rows]).update(warn_at=None)
    return len(rows)


def _locked(deliveries: QuerySet[Delivery]) -> list[Delivery]:
    """A batch, locked in id order; rows that somebody else holds wait for the next run."""
    chosen = deliveries.select_related("package__sender", "recipient", "system").order_by("id")
    return list(chosen.select_for_update(of=("self",), skip_locked=True)[:BATCH])


def _record(rows: Sequence[Delivery], event: str, now: datetime, actor: log.Actor) -> None:
    changes = [lifecycle.Change(delivery=row, event=event) for row in rows]
    lifecycle.record(changes, at=now, actor=actor)


# --- thin notices ---------------------------------------------------------------------------------------


def _push_notices(rows: Sequence[Delivery], now: datetime) -> None:
    """Tell the systems that want notices, and record whether each was taken; no content travels."""
    wanting = [row for row in rows if row.system.notice and row.system.callback_url]
    if not wanting:
        return
    taken = transport.notify([_notice(row) for row in wanting])
    with transaction.atomic():
        ids = [row.id for row in wanting]
        changes = [
            lifecycle.Change(delivery=row, event="ConsignmentNotification")
            if str(row.id) in taken
            else lifecycle.Change(
                delivery=row, event="ConsignmentNotificationFailure", reason="transport.notice"
            )
            for row in _locked(Delivery.objects.filter(id__in=ids))
        ]
        lifecycle.record(changes, at=now, actor=log.HUB)


def _notice(row: Delivery) -> transport.Notice:
    """`webhook-id` is the delivery; `type` says what about it."""
    told = {
        "type": "reminder",
        "delivery": str(row.id),
        "package": str(row.package_id),
        "recipient": row.recipient_code,
        "receipt_due_at": row.receipt_due_at.isoformat() if row.receipt_due_at else None,
    }
    return transport.Notice.to(row.system, str(row.id), json.dumps(told).encode())


# --- e-mail ---------------------------------------------------------------------------------------------


def _send_reminders(rows: Sequence[Delivery]) -> None:
    """One message per agency with an address; what cannot be sent is logged, the event stands anyway."""
    addressed = [row for row in rows if row.recipient.email]
    ordered = sorted(addressed, key=lambda row: (row.recipient.code, row.id))
    mails = [_mail(list(group)) for _, group in groupby(ordered, key=lambda row: row.recipient.code)]
    if not mails:
        return
    try:
        with get_connection() as server:
            for mail in mails:
                mail.connection = server
                _send(mail)
    except OSError as error:
        _logger.warning("email_unreachable", messages=len(mails), error=str(error))


def _send(mail: EmailMessage) -> None:
    try:
        mail.send()
    except OSError as error:  # SMTPException is one
        _logger.warning("email_not_sent", to=mail.to, error=str(error))


def _mail(rows: Sequence[Delivery]) -> EmailMessage:
    """What waits, by number and sender; no subject of a document travels by e-mail."""
    listed = "\n".join(
        f"- {row.package.code or row.package.document_id or row.package_id} ({row.package.sender.name}), "
        f"hạn / due {_local(row.receipt_due_at)}"
        for row in rows
    )
    agency = rows[0].recipient
    return EmailMessage(
        subject=f"[{agency.code}] {len(rows)} văn bản quá hạn xác nhận tiếp nhận",
        body=(
            f"Các văn bản sau gửi tới {agency.name} chưa được xác nhận tiếp nhận đúng hạn "
            f"(Điều 21 Nghị định 30/2020/NĐ-CP):\n"
            f"The receipt of these documents sent to {agency.code} was not confirmed in time:\n\n{listed}\n"
        ),
        to=[agency.email],
    )


def _local(at: datetime | None) -> str:
    return f"{at.astimezone(VIETNAM):%d/%m/%Y %H:%M}" if at else ""
