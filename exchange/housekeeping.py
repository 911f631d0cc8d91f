"""What is kept for a time only, and how big everything is. Evidence is not touched here."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import Model, QuerySet, Sum
from oauth2_provider.models import AccessToken

from exchange import facts, statistics
from exchange.models import Attempt, Package, State

BATCH = 1000
FACT = "housekeeping"
TOKEN_GRACE = timedelta(days=1)  # an expired token is answered as expired for a while, not as unknown

_logger = structlog.get_logger(__name__)


def tidy(now: datetime) -> dict[str, int]:
    """Delete what has had its time, in small transactions; returns how many rows of each kind."""
    removed = {name: _delete(rows) for name, rows in overdue(now).items()}
    statistics.fold()
    vault = Package.objects.aggregate(bytes=Sum("size"))["bytes"] or 0
    facts.say(FACT, now, removed=removed, vault_bytes=vault)
    _logger.info("tidied", **removed)
    return removed


def overdue(now: datetime) -> dict[str, "QuerySet[Any]"]:
    """The rows that have had their time."""
    attempts = now - timedelta(days=settings.ENVIRONMENT.keep_attempts_days)
    return {
        # The ids carry the time they were made at and are indexed; an index on the time itself is not needed.
        "attempts": Attempt.objects.filter(pk__lt=_first_id(attempts)).exclude(delivery__state=State.QUEUED),
        "sessions": Session.objects.filter(expire_date__lt=now),
        "tokens": AccessToken.objects.filter(expires__lt=now - TOKEN_GRACE),
    }


def _delete(rows: "QuerySet[Any]") -> int:
    """In batches, each a transaction of its own: no long lock, and vacuum can follow."""
    model: type[Model] = rows.model
    total = 0
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        model._base_manager.filter(pk__in=keys).delete()
        total += len(keys)
    return total


def _first_id(at: datetime) -> UUID:
    """The lowest UUIDv7 that can have been made at `at`."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def sizes() -> dict[str, int]:
    """Bytes of each table with its indexes, the largest first; on SQLite of the whole database."""
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            cursor.execute("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
            return {"database": int(cursor.fetchone()[0])}
        cursor.execute(
            "SELECT relname, pg_total_relation_size(oid) AS bytes FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY bytes DESC, relname"
        )
        return {name: int(size) for name, size in cursor.fetchall()}
