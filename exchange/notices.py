"""Inbox notices: a system that pulls is told that something waits, so that it need not ask again and again.

Nothing depends on them: a notice that is lost costs time. Whether one is due says the row of the system
(InboxNotice) together with its inbox; a message of Celery only says that it is worth looking.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce

from exchange import metrics, transport
from exchange.models import Circuit, InboxNotice
from exchange.models.circuit import pause
from exchange.models.inbox_notice import TELL_AGAIN

BATCH = 100
GONE = 410

_logger = structlog.get_logger(__name__)


def are_due(now: datetime) -> bool:
    """Whether a system is to be told: what a lost wake-up, a dead worker or a retry left behind."""
    InboxNotice.objects.make_missing(now)
    return InboxNotice.objects.due(now).exists()


def send() -> set[UUID]:
    """Send every notice that is due; returns the systems whose endpoint answered 410."""
    gone: set[UUID] = set()
    while claimed := claim(datetime.now(UTC)):
        answers = transport.tell([_notice(row) for row in claimed])
        settle(claimed, answers, datetime.now(UTC))
        gone |= {row.pk for row in claimed if answers[_id(row)].status == GONE}
    return gone


def claim(now: datetime) -> list[InboxNotice]:
    """Take notices that are due for one lease; no other worker sends them meanwhile."""
    with transaction.atomic():
        locked = InboxNotice.objects.due(now).order_by("due_at").select_for_update(skip_locked=True)
        mine = InboxNotice.objects.filter(pk__in=list(locked.values_list("pk", flat=True)[:BATCH]))
        lease = timedelta(seconds=settings.ENVIRONMENT.lease_seconds)
        mine.update(wanted_at=Coalesce("wanted_at", Value(now)), due_at=now + lease)
        return list(mine.select_related("system"))


def settle(claimed: Sequence[InboxNotice], answers: Mapping[str, transport.Told], now: datetime) -> None:
    """Write what became of notices: when the next is due, and what it says of the system."""
    with transaction.atomic():
        for row in sorted(claimed, key=lambda row: row.pk):
            _settle(row, answers[_id(row)], now)


def _settle(row: InboxNotice, answer: transport.Told, now: datetime) -> None:
    # A system that asked in the meantime, as many do before they answer, has moved `due_at`.
    same = InboxNotice.objects.filter(pk=row.pk, due_at=row.due_at)
    metrics.NOTICES.labels("taken" if answer.taken else "failed").inc()
    if answer.taken:
        same.update(due_at=now + TELL_AGAIN, failures=0)
        InboxNotice.objects.filter(pk=row.pk).update(told_at=answer.at)
        Circuit.objects.filter(pk=row.pk).delete()
        return
    wait = max(pause(row.failures + 1), answer.retry_after or timedelta())
    same.update(due_at=now + wait, failures=F("failures") + 1)
    if answer.status != GONE:  # for that the system is paused
        Circuit.objects.note(row.pk, [answer.retry_after], now)
    _logger.warning("notice_failed", system=str(row.pk), status=answer.status, detail=answer.detail)


def _id(row: InboxNotice) -> str:
    """The same for every try at one notice, another for the next."""
    return str(uuid5(row.pk, f"{row.wanted_at} {row.told_at}"))


def _notice(row: InboxNotice) -> transport.Notice:
    """No content, no number: who wants to know asks for the inbox."""
    since = row.wanted_at.isoformat() if row.wanted_at else None
    told = {"type": "inbox", "system": str(row.pk), "since": since}
    return transport.Notice.to(row.system, _id(row), json.dumps(told).encode())
