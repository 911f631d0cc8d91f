"""Celery's scheduler, that a clock set back does not silence."""

from typing import Any

from celery.beat import PersistentScheduler


class Scheduler(PersistentScheduler):
    """The last run of an entry is never later than now, unless the clock was set back since.

    Celery would then wait until that time has come again, over restarts too, for it stands in a file; and
    with the sweep, everything that was forgotten would wait.
    """

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Count every entry from now on that ran later than now, then go on as Celery does."""
        ahead = [
            entry
            for entry in self.schedule.values()
            if entry.last_run_at is not None and entry.last_run_at > entry.default_now()
        ]
        for entry in ahead:
            entry.last_run_at = entry.default_now()
        if ahead:
            self.populate_heap()
        seconds: float = super().tick(*args, **kwargs)
        return seconds
