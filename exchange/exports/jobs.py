"""Export jobs: asked for, made in the background, kept for seven days. The rows are the queue.

    waiting -> running -> done | failed | cancelled

A job is held by a lease that every step of progress renews. When its worker dies the lease ends and another
worker begins anew (docs/decisions/0701-begin-anew.md). What is small is made at once, by whoever asks.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, QuerySet

from agencies.directory import System
from exchange import wake
from exchange.exports import make, readers
from exchange.exports.filters import Filter
from exchange.exports.make import Wanted
from exchange.models import Export, ExportFormat, ExportSchedule, ExportState
from exchange.models.export import OPEN
from exchange.refusals import Refused
from exchange.workdays import day_of

DIRECT = 5_000  # rows; more are made in the background
DIRECT_PDF = 1_000  # a row of a PDF costs 1.5 ms, and whoever asked waits for them in the web process
KEPT = timedelta(days=7)
LEASE = timedelta(seconds=120)  # longer than any stretch without progress, such as closing a large XLSX
STEP_SECONDS = 0.5
MOST_TRIES = 3

_logger = structlog.get_logger(__name__)


class Stopped(Exception):
    """The job was cancelled, or another worker has it."""


def ask(
    kind: str,
    format: str,
    chosen: Filter,
    *,
    now: datetime,
    user: User | None = None,
    system: System | None = None,
    schedule: ExportSchedule | None = None,
    insist: bool = False,
) -> Export:
    """A new job, made at once when it is small. Raises Refused: export.not-allowed, export.too-many,
    export.not-sealed, request.invalid, recipient.unknown."""
    made = Export(
        kind=kind,
        format=format,
        query=chosen.query,
        user=user,
        system=system,
        schedule=schedule,
        insist=insist,
        created_at=now,
        due_at=now,
        expires_at=now + KEPT,
    )
    wanted = _wanted(made)
    rows = wanted.source().count(max(DIRECT, wanted.limit or 0) + 1)
    wanted.check(rows)
    most = min(DIRECT, DIRECT_PDF) if format == ExportFormat.PDF else DIRECT
    small = rows <= most and schedule is None
    if small:
        made.due_at = now + LEASE  # nobody else takes it meanwhile
    made.save(force_insert=True)
    if small:
        _make(made)
    else:
        wake.for_exports([made.pk])
    made.refresh_from_db()
    return made


def again(export: Export, now: datetime) -> Export:
    """The same once more, for one that failed, was cancelled, or is old. Raises Refused."""
    return ask(
        export.kind,
        export.format,
        filter_of(export),
        now=now,
        user=export.user,
        system=export.system,
        insist=export.insist,
    )


def cancel(export: Export) -> bool:
    """Stop a job that is not finished; its worker notices at its next step. False when there is none."""
    moved = Export.objects.filter(pk=export.pk, state__in=OPEN).update(state=ExportState.CANCELLED)
    return moved == 1


def due(now: datetime) -> list[UUID]:
    """Jobs that nobody works on: never started, or left by a worker that died."""
    return list(Export.objects.due(now).values_list("pk", flat=True)[:100])


def run(key: UUID) -> Export | None:
    """Make the job `key` if it waits or was left behind; None when it does not, or was stopped."""
    claimed = _claim(key, datetime.now(UTC))
    return claimed if claimed is not None and _make(claimed) else None


def purge(now: datetime) -> int:
    """Drop jobs and files that were kept long enough; the events stay. Returns how many."""
    gone = list(Export.objects.filter(expires_at__lte=now)[:500])
    for export in gone:
        path_of(export).unlink(missing_ok=True)
        _drop_parts(export)
    Export.objects.filter(pk__in=[export.pk for export in gone]).delete()
    return len(gone)


def open_file(export: Export, now: datetime) -> BinaryIO:
    """The finished file. Raises Refused: export.not-ready, export.gone."""
    if export.state != ExportState.DONE:
        raise Refused("export.not-ready", state=export.get_state_display())
    try:
        if export.expires_at > now:
            return path_of(export).open("rb")
    except FileNotFoundError as error:
        raise Refused("export.gone") from error
    raise Refused("export.gone")


def path_of(export: Export) -> Path:
    """Where the finished file stands."""
    folder: Path = settings.ENVIRONMENT.exports
    return folder / f"{export.pk}"


# --- making -------------------------------------------------------------------------------------------


def _claim(key: UUID, now: datetime) -> Export | None:
    taken = Export.objects.due(now).filter(pk=key, tries__lt=MOST_TRIES)
    if taken.update(state=ExportState.RUNNING, due_at=now + LEASE, tries=F("tries") + 1):
        return Export.objects.select_related("user", "system", "schedule").get(pk=key)
    if Export.objects.due(now).filter(pk=key).update(state=ExportState.FAILED, problem="hub.error"):
        _logger.error("export_given_up", export=str(key), tries=MOST_TRIES)
    return None


def _make(export: Export) -> bool:
    """Write the file and finish; False when it was refused or stopped."""
    hold = _Hold(export)
    part = path_of(export).with_suffix(f".{export.tries}.part")
    part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        wanted = _wanted(export)
        rows = make.write(part, wanted, hold.advance, datetime.now(UTC))
        _finish(hold, part, wanted, rows)
    except Stopped:
        _logger.info("export_stopped", export=str(export.pk))
        return False
    except Refused as refused:
        hold.mine().update(state=ExportState.FAILED, problem=refused.code)
        return False
    finally:
        part.unlink(missing_ok=True)
    return True


def _finish(hold: "_Hold", part: Path, wanted: Wanted, rows: int) -> None:
    hold.renew(rows, rows)
    export, now, digest = hold.export, datetime.now(UTC), make.digest_of(part)
    size = part.stat().st_size
    with transaction.atomic():
        moved = hold.mine().update(
            state=ExportState.DONE,
            done=rows,
            total=rows,
            sha256=digest,
            size=size,
            finished_at=now,
            expires_at=now + KEPT,
        )
        if not moved:
            raise Stopped
        make.note(wanted, export.stream, rows=rows, digest=digest, now=now)
        part.rename(
            path_of(export)
        )  # under the lock of the row: the file is that of the worker that finished
    _drop_parts(export)
    _logger.info("export_done", export=str(export.pk), rows=rows, bytes=size)


def _drop_parts(export: Export) -> None:
    """What workers that died had written so far."""
    for part in path_of(export).parent.glob(f"{export.pk}.*.part"):
        part.unlink(missing_ok=True)


def filter_of(export: Export) -> Filter:
    """The filter of a job. Raises Refused for one that an older version wrote and this one does not know."""
    return Filter.of_query(export.query, day_of(export.created_at))


def _wanted(export: Export) -> Wanted:
    """What a job is to show, for its reader as things are now. Raises Refused."""
    return Wanted(
        kind=export.kind,
        format=export.format,
        chosen=filter_of(export),
        reader=readers.of_order(export, "schedule" if export.schedule_id else "session"),
        insist=export.insist,
    )


@dataclass(slots=True)
class _Hold:
    """A worker's hold on a job."""

    export: Export
    clock: Callable[[], float] = time.monotonic
    _next: float = field(default=0.0)

    def mine(self) -> QuerySet[Export]:
        """The row, as long as it is this worker's to change."""
        return Export.objects.filter(pk=self.export.pk, state__in=OPEN, tries=self.export.tries)

    def advance(self, done: int, total: int) -> None:
        """Say how far it is, and renew the lease. Raises Stopped."""
        if (now := self.clock()) < self._next:
            return
        self._next = now + STEP_SECONDS
        self.renew(done, total)

    def renew(self, done: int, total: int) -> None:
        """The same at once."""
        lease = datetime.now(UTC) + LEASE
        if not self.mine().update(done=done, total=total, due_at=lease):
            raise Stopped
