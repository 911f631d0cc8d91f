"""Wake the delivery workers by task name, so that the stages need not know the tasks.

A wake-up that is lost costs seconds, never a delivery: the sweep finds whatever was forgotten. That is
why a broker that cannot be reached is logged here and refuses nothing.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from kombu.exceptions import OperationalError

from agencies.models import System
from exchange.celery import EXPORTS, HOUSEKEEPING, LANES, app, queue
from exchange.models import InboxNotice

_logger = structlog.get_logger(__name__)


def after_commit(lanes: Iterable[int]) -> None:
    """When the running transaction has committed, wake the workers of `lanes`."""
    transaction.on_commit(partial(lanes_now, frozenset(lanes)))


def lanes_now(lanes: Iterable[int]) -> None:
    """Wake the workers of `lanes` now."""
    for lane in sorted(lanes):
        _wake("deliver", lane, queue_of=LANES[lane], expires=60)


def for_inboxes(systems: Iterable[System]) -> None:
    """When the running transaction has committed, have those of `systems` told that want to hear of what it
    put into their inboxes."""
    keys = {system.pk for system in systems if system.wants_notices}
    if keys:
        transaction.on_commit(partial(_inboxes_now, keys))


def _inboxes_now(systems: Collection[UUID]) -> None:
    if InboxNotice.objects.want(systems, datetime.now(UTC)):
        notices_now()


def for_notices() -> None:
    """When the running transaction has committed, have the notices sent that are due."""
    transaction.on_commit(notices_now)


def notices_now() -> None:
    """Have the notices sent that are due."""
    _wake("send_notices", queue_of=HOUSEKEEPING, expires=60)


def for_exports(keys: Iterable[UUID]) -> None:
    """When the running transaction has committed, wake a worker for each of these jobs."""
    transaction.on_commit(partial(_exports_now, tuple(keys)))


def _exports_now(keys: Iterable[UUID]) -> None:
    for key in keys:
        _wake("export", str(key), queue_of=EXPORTS)


def for_pdf_reports() -> None:
    """When the running transaction has committed, wake a worker for the report that a delivery waits for."""
    transaction.on_commit(_pdf_reports_now)


def _pdf_reports_now() -> None:
    _wake("report_pdf_signatures", queue_of=EXPORTS, expires=20)


def _wake(task: str, *args: Any, queue_of: str, expires: int | None = None) -> None:
    try:
        app.send_task(
            f"exchange.tasks.{task}", args=args, queue=queue(queue_of), retry=False, expires=expires
        )
    except (OperationalError, OSError) as error:
        _logger.warning("wake_up_lost", task=task, queue=queue_of, error=str(error))
