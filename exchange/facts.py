"""What the processes of the hub tell each other and whoever watches: one row per name, the newest word wins.

Nothing that a document's way depends on stands here. A process that is alive says so (`beat`); commands say
when they last did their work (`say`).
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, connection

from exchange.models import Fact

EVERY_SECONDS = 10.0
SILENT_AFTER = timedelta(seconds=90)
"""A process that has said nothing for so long is taken for dead."""

_logger = structlog.get_logger(__name__)
_spoken: dict[str, float] = {}


def say(name: str, at: datetime, **value: Any) -> None:
    """Put `value` under `name`, in place of whatever stood there."""
    Fact.objects.bulk_create(
        [Fact(name=name, at=at, value=value)],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["at", "value"],
    )


def beat(name: str) -> None:
    """Say that the process `name` is alive: at most every ten seconds, and never at the cost of its work."""
    now = time.monotonic()
    if now - _spoken.get(name, -EVERY_SECONDS) < EVERY_SECONDS:
        return
    _spoken[name] = now
    try:
        say(name, datetime.now(UTC))
    except (OperationalError, InterfaceError) as error:
        connection.close()
        _logger.warning("heartbeat_lost", process=name, error=str(error))


def found(name: str) -> Fact | None:
    """The newest word under `name`."""
    return Fact.objects.filter(name=name).first()


def ages(now: datetime, prefix: str = "") -> dict[str, timedelta]:
    """How long ago each name that starts with `prefix` was last heard."""
    rows = Fact.objects.filter(name__startswith=prefix).values_list("name", "at")
    return {name: now - at for name, at in rows}
