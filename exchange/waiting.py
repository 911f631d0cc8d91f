"""Long polls: look again until something is there. A web process holds only so many (`HUB_MAX_WAITERS`)."""

import time
from collections.abc import Callable
from datetime import timedelta
from threading import BoundedSemaphore
from typing import TypeVar

from django.conf import settings
from django.db import close_old_connections

STEP = 0.25

Found = TypeVar("Found")
_waiters = BoundedSemaphore(settings.ENVIRONMENT.max_waiters)


def until_found(look: Callable[[], list[Found]], wait: timedelta) -> list[Found]:
    """What `look` finds, as soon as that is anything; empty after `wait`. One waiter too many is not held."""
    deadline = time.monotonic() + wait.total_seconds()
    found = look()
    if found or not wait or not _waiters.acquire(blocking=False):
        return found
    try:
        while not found and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(STEP, left))
            close_old_connections()
            found = look()
    finally:
        _waiters.release()
    return found
