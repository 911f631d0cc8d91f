"""The sealer: committed events enter the log, and its heads are signed. One process at a time leads.

Two commits. *Integrate* gives pending events contiguous indices and writes the tree; *publish* signs the
head that is then durable. Nothing is signed inside a transaction that may still fail, and what a crash
leaves half done is finished by the next round. Pending rows are claimed, never skipped by a cursor: an
event whose transaction commits late simply enters later.
"""

import fcntl
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import structlog
from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Min

from exchange import keys, log, proofs, signer, waiting
from exchange.evidence import tiles
from exchange.evidence.checkpoint import verifier_key
from exchange.evidence.prove import Nodes
from exchange.models import Checkpoint, Event, Log, LogEntry, Pending, SealHeader, StoredReceipt, Tile
from exchange.signer import SignerRefused

BATCH = 20_000
RECEIPTS = 500
ROUND_SECONDS = 0.5
"""From one round to the next: each signs and stores a head, which costs as much for one event as for many."""
STANDBY_SECONDS = 1.0
REFUSED_SECONDS = 10.0
STREAM = uuid5(UUID(int=0), "log")
"""The stream of the log's own events."""
_LOCK = 0x6C6F67  # PostgreSQL advisory lock: any number that nothing else here uses

_NO_LIMIT = 2**63 - 1
_CLAIM = """
INSERT INTO exchange_logentry (log_id, "index", event_id)
SELECT %s, %s - 1 + ROW_NUMBER() OVER (ORDER BY event_id), event_id
FROM (
    SELECT event_id FROM exchange_pending WHERE event_id BETWEEN %s AND %s ORDER BY event_id LIMIT %s
) AS next
"""

_logger = structlog.get_logger(__name__)

Wait = Callable[[float], bool]  # waits so many seconds; True when asked to stop


class NotLeading(Exception):
    """Another process is the sealer."""


def run(wait: Wait) -> None:
    """Seal until `wait` says stop. Only the leader works; the others stand by."""
    seconds = 0.0
    while not wait(seconds):
        try:
            with leading():
                _lead(wait)
        except NotLeading:
            seconds = STANDBY_SECONDS
        except SignerRefused as error:
            _logger.error("signer_refused", error=str(error))
            seconds = REFUSED_SECONDS
        except keys.FAILURES as error:  # heads go on being signed in each round; receipts wait for the seal
            _logger.error("seal_away", error=str(error))
            seconds = REFUSED_SECONDS
        except (OperationalError, InterfaceError) as error:
            _logger.error("database_lost", error=str(error))
            connection.close()
            seconds = STANDBY_SECONDS


def _lead(wait: Wait) -> None:
    _logger.info("sealer_leads")
    pause = 0.0
    while not wait(pause):
        began = time.monotonic()
        seal(datetime.now(UTC))
        behind = store_receipts() == RECEIPTS
        pause = 0.0 if behind else max(0.0, began + ROUND_SECONDS - time.monotonic())


def seal(now: datetime) -> int:
    """Publish what is integrated, then integrate and publish all that is pending; returns how many events.

    Opens the next log when the year (UTC) or the log key has changed. Raises SignerRefused.
    """
    current, sealed = Log.objects.current(), 0
    if current is not None:
        publish(current, now)
    if not Pending.objects.exists():
        return 0
    if current is None or _ended(current, now):
        current, sealed = open_log(now), 1
    signer.check(proofs.head(current), _nodes(current))
    began = time.monotonic()
    while True:
        found = integrate(current)
        # Far behind, this goes on and on: each head says when it was signed, not when the first one was.
        publish(current, now + timedelta(seconds=time.monotonic() - began))
        sealed += found
        if found < BATCH:
            return sealed


def integrate(current: Log) -> int:
    """Commit 1: pending events, in the order of their rows, become the next entries of `current`."""
    with transaction.atomic(durable=True):
        return _enter(current)


def _enter(current: Log, only: Event | None = None) -> int:
    """Enter what is pending, or one event; in the caller's transaction, refused to a second sealer."""
    size = current.size
    end = size + _claim(current, only)
    if end == size:
        return 0
    if not Log.objects.filter(pk=current.pk, size=size).update(size=end):
        raise NotLeading(f"another sealer changed {current}")
    claimed = LogEntry.objects.filter(log=current, index__gte=size, index__lt=end)
    leaves = claimed.order_by("index").values_list("event__leaf", flat=True)
    _write_tiles(current, [bytes(leaf) for leaf in leaves])
    pending = Pending.objects.filter(event__in=claimed.values("event"))
    if pending._raw_delete(pending.db) != end - size:
        raise NotLeading("another sealer claimed the same events")
    current.size = end
    return end - size


def _claim(current: Log, only: Event | None) -> int:
    """Write the entries in one statement; returns how many. Raises NotLeading where an index is taken."""
    low, high = (only.pk, only.pk) if only else (0, _NO_LIMIT)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_CLAIM, [current.pk, current.size, low, high, BATCH])
            return int(cursor.rowcount)
    except IntegrityError as error:
        raise NotLeading(f"another sealer wrote to {current}") from error


def _write_tiles(current: Log, leaves: Sequence[bytes]) -> None:
    grown = tiles.extend(current.size, leaves, proofs.reader(current))
    Tile.objects.bulk_create(
        [Tile(log=current, level=t.level, index=t.index, width=t.width, data=data) for t, data in grown],
        update_conflicts=True,
        unique_fields=["log", "level", "index"],
        update_fields=["width", "data"],
    )


def publish(current: Log, now: datetime) -> None:
    """Commit 2: sign the durable head of `current` and store the checkpoint. Raises SignerRefused."""
    last = current.last_checkpoint()
    if current.size == (last.size if last else 0):
        return
    note = signer.sign(proofs.head(current), _nodes(current))
    Checkpoint.objects.create(log=current, size=current.size, note=note, signed_at=now)
    waiting.ring_after_commit([waiting.SEALED])


def _nodes(current: Log) -> Nodes:
    return tiles.nodes(current.size, proofs.reader(current))


# --- one log after the other --------------------------------------------------------------------------


def open_log(now: datetime, *, incident: str = "", actor: log.Actor = log.HUB) -> Log:
    """Open the next log; its first event carries the last checkpoint signed before.

    `incident`: an operator's words on why the present log cannot go on, for instance a restored backup;
    its salted digest stands in the event. Events that no signed head covers then enter the new log too.
    Raises SignerRefused.
    """
    previous = Log.objects.current()
    last = previous.last_checkpoint() if previous else None
    after = last.note if last else ""
    if incident:
        after = signer.last_note() or after
    year = max(now.astimezone(UTC).year, previous.year if previous else 0)
    origin = _origin(year)
    nodes = _nodes(previous) if previous else None
    key = signer.open_log(origin, at=now, after=after, nodes=nodes, forced=bool(incident))
    with transaction.atomic(durable=True):
        made = Log.objects.create(origin=origin, key=key, year=year, opened_at=now)
        event = log.note(
            STREAM,
            "NewLog",
            actor=actor,
            at=now,
            reason="operator.incident" if incident else "",
            text=incident,
            target=origin,
            checkpoint=after or None,
        )
        _enter(made, event)
        if incident and previous:
            _wait_again(previous, last.size if last else 0)
    publish(made, now)
    _logger.info("log_opened", origin=origin)
    return made


def _ended(current: Log, now: datetime) -> bool:
    key = str(verifier_key(current.origin, keys.log_key(now)))
    return now.astimezone(UTC).year > current.year or key != current.key


def _origin(year: int) -> str:
    """`<hub>/<year>`, and with a number where the year has more than one log."""
    base = f"{settings.ENVIRONMENT.code}/{year}"
    taken = {item.origin for item in signer.memory() if item.note}
    taken |= set(Log.objects.filter(year=year).values_list("origin", flat=True))
    number = 1
    while (origin := base if number == 1 else f"{base}/{number}") in taken:
        number += 1
    return origin


def _wait_again(previous: Log, signed: int) -> None:
    """Events in `previous` beyond its last signed head enter the new log as well."""
    behind = LogEntry.objects.filter(log=previous, index__gte=signed).values_list("event_id", flat=True)
    Pending.objects.bulk_create([Pending(event_id=key) for key in behind])


# --- receipts -----------------------------------------------------------------------------------------


def store_receipts() -> int:
    """Store the receipts of the next sealed events, so that they outlive the key; returns how many."""
    current = Log.objects.filter(receipts__lt=F("size")).order_by("id").first()
    if current is None:
        return 0
    end = min(current.receipts + RECEIPTS, current.size)
    places = LogEntry.objects.filter(log=current, index__gte=current.receipts, index__lt=end)
    found = Event.objects.filter(pk__in=places.values("event"), body__isnull=False).select_related("body")
    headers: dict[str, int] = {}
    made = [receipt for event in found if (receipt := _receipt(event, headers))]
    with transaction.atomic():
        StoredReceipt.objects.bulk_create(made, ignore_conflicts=True)
        Log.objects.filter(pk=current.pk).update(receipts=end)
    return end - current.receipts


def _receipt(event: Event, headers: dict[str, int]) -> StoredReceipt | None:
    try:
        header, _, signature = log.sign(event).split(".")
    except log.Altered as error:
        _logger.error("receipt_not_signed", error=str(error))
        return None
    if header not in headers:
        headers[header] = _header(header)
    return StoredReceipt(event=event, header_id=headers[header], signature=signature)


def _header(text: str) -> int:
    digest = hashlib.sha256(text.encode()).hexdigest()
    row, _ = SealHeader.objects.get_or_create(digest=digest, defaults={"text": text})
    return row.pk


# --- who leads ----------------------------------------------------------------------------------------


@contextmanager
def leading() -> Iterator[None]:
    """Be the only sealer of this database while the block runs; raises NotLeading when another one is."""
    with _postgresql_lock() if connection.vendor == "postgresql" else _file_lock():
        yield


@contextmanager
def _postgresql_lock() -> Iterator[None]:
    """A lock of the session: the server lets go of it however the process or the connection ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            raise NotLeading("another sealer holds the lock of the database")
    try:
        yield
    finally:
        if connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


@contextmanager
def _file_lock() -> Iterator[None]:
    """A lock on a file beside the SQLite database: the kernel lets go of it however the process ends."""
    with (settings.ENVIRONMENT.data_dir / "sealer.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise NotLeading("another sealer holds the lock of the data directory") from error
        yield


# --- for those who watch ------------------------------------------------------------------------------


def oldest_pending() -> datetime | None:
    """The time of the oldest event that is not yet in the log; None when all are."""
    first = Pending.objects.aggregate(first=Min("event"))["first"]
    return Event.objects.filter(pk=first).values_list("at", flat=True).first() if first else None
