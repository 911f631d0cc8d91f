"""The clock of the machine may leap: set by hand, corrected at last, wrong after a start.

Set back, it would make everything wait for a time that was there already: a queued delivery, a lease, a
retry, an open circuit. Set forward, it would expire, remind of and remove what has time left. So every sweep
leaves the time where the next one finds it. A time that is still to come says that the clock went back: what
waits is let go, for a delivery that is tried early does no harm, and one that is held does. A time long past
says that it went forward, or that the hub stood still: what cannot be undone waits until the clock has gone
on evenly for an hour.
"""

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Case, Q, QuerySet, When

from exchange import facts
from exchange.models import Allowance, Circuit, Delivery, Export, Fact, PdfReport
from exchange.models.export import OPEN

FACT = "clock"
TOLERATED = timedelta(minutes=1)
"""So much the clocks of the machines of one hub may differ, and so long one set back may hold something."""
LEAP = timedelta(hours=1)
EVEN = timedelta(hours=1)
BATCH = 10_000
_logger = structlog.get_logger(__name__)


def look(now: datetime) -> bool:
    """Note that it is `now`, and let go of what waits when it was later before.

    Whether the clock has gone on evenly for an hour, and what is too late by it may be given up.
    """
    last = facts.found(FACT)
    told = dict(last.value) if last else {}
    step = now - last.at if last else timedelta()
    if step < -TOLERATED:
        _logger.error("clock_set_back", seconds=-step.total_seconds(), let_go=let_go(now))
        told = {"leapt_at": now.isoformat(), "again": True}
    elif step > LEAP:
        _logger.warning("clock_leapt_forward_or_hub_stood_still", seconds=step.total_seconds())
        told = {"leapt_at": now.isoformat()}
    elif told.get("again") and now - _leapt_at(told) >= TOLERATED:
        let_go(now)  # what began before the leap and was committed after it
        told["again"] = False
    facts.say(FACT, now, **told)
    return not told or now - _leapt_at(told) >= EVEN


def let_go(now: datetime) -> int:
    """What was tried before waits one lease from `now` at most, the rest not at all; returns how many did.

    What somebody works on keeps its lease that way, and is not sent twice.
    """
    lease = timedelta(seconds=settings.ENVIRONMENT.lease_seconds)
    changed = (
        _bring_down(Delivery.objects.queued(), Q(served_at=None), now, lease)
        + _bring_down(Export.objects.filter(state__in=OPEN), Q(tries=0), now, lease)
        + _bring_down(PdfReport.objects.filter(checked_at=None), Q(tries=0), now, lease)
    )
    Circuit.objects.filter(probe_at__gt=now).update(probe_at=now)
    Fact.objects.filter(at__gt=now).update(at=now)
    Allowance.objects.all().delete()  # windows of time that are still to come
    return changed


def _bring_down(rows: QuerySet[Any], untried: Q, now: datetime, lease: timedelta) -> int:
    """In batches: there may be millions, and others write meanwhile. What somebody has locked gets its time
    from there."""
    total = 0
    late = rows.filter(due_at__gt=now + lease).order_by()
    while True:
        with transaction.atomic():
            keys = list(late.select_for_update(skip_locked=True).values_list("pk", flat=True)[:BATCH])
            rows.filter(pk__in=keys).update(due_at=Case(When(untried, then=now), default=now + lease))
        total += len(keys)
        if len(keys) < BATCH:
            return total


def _leapt_at(told: dict[str, str]) -> datetime:
    return datetime.fromisoformat(told["leapt_at"])
