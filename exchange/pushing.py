"""Push: claim, send, settle. Each function owns its transactions.

The rows are the queue. A claim moves `due_at` forward and commits; then the bytes travel with no transaction
open; then one transaction writes the attempts, the new states and their events. A worker that dies in between
leaves rows that become due again: at least once on the wire, once in the books.

A claim goes from system to system, and takes only so many rows of each: a system that is slow, or dead with a
million rows waiting, holds nobody up. One that fails again and again gets no more than a probe now and then.
"""

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction

from agencies.models import System
from exchange import facts, lifecycle, log, metrics, mode, transport
from exchange.celery import LANES
from exchange.models import Attempt, Circuit, Delivery, Kind, Lane, Outcome, State, bulk, byhand
from exchange.models.circuit import LETS_THROUGH
from exchange.models.ids import uuid7

BATCH = 200
IN_FLIGHT = 2_000
PER_SYSTEM = 64
ROUND_SECONDS = 0.5
MAX_ATTEMPTS = 60
FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(hours=6)
_logger = structlog.get_logger(__name__)
_ATTEMPTED = (
    "id", "delivery_id", "number", "url", "outcome", "http_status", "detail", "started_at", "finished_at",
)  # fmt: skip
NOBODY: Mapping[UUID, int] = {}


def push_lane(lane: int) -> set[UUID]:
    """Push everything due in `lane`; returns the systems whose endpoint answered 410.

    New rows are claimed while slow receivers still have theirs, and on their way while the results of those
    before are written. After a failure the results come first: they may open a circuit.
    """
    gone: set[UUID] = set()
    busy: Counter[UUID] = Counter()
    results: list[transport.Result] = []
    with transport.Pusher() as pusher:
        while True:
            facts.beat(f"process.worker.{LANES[lane]}")
            room = min(BATCH, IN_FLIGHT - busy.total()) if mode.moving() else 0
            claimed = claim(lane, now=datetime.now(UTC), limit=room, busy=busy)
            pusher.send(claimed)
            busy.update(item.system for item in claimed)
            settle(results, now=datetime.now(UTC))
            if not busy.total():
                return gone
            ended = pusher.ended(ROUND_SECONDS, enough=PER_SYSTEM // 2)
            busy.subtract(shipment.system for shipment, _ in ended)
            results = [result for _, result in ended if result]
            gone |= {result.system for result in results if result.outcome is Outcome.GONE}
            if not all(result.handed_over for result in results):
                settle(results, now=datetime.now(UTC))
                results = []


# --- claim --------------------------------------------------------------------------------------------


def claim(
    lane: int, *, now: datetime, limit: int, busy: Mapping[UUID, int] = NOBODY
) -> list[transport.Shipment]:
    """Take up to `limit` due deliveries of `lane` for one lease; no other worker sees them meanwhile.

    `busy` says how many rows of each system the caller has already. From here on the recipient may hold the
    content: a later recall becomes a request.
    """
    ready = _ready(lane, now)
    if not ready or limit <= 0:
        return []
    claimed: list[transport.Shipment] = []
    with transaction.atomic():
        for system, circuit in ready:
            room = min(limit - len(claimed), PER_SYSTEM - busy.get(system.pk, 0))
            if room <= 0:  # before the circuit is asked: what it allows may be its only probe
                continue
            claimed += _claim(system, lane, now, min(room, _allowed(circuit, now)))
    return claimed


_READY = f"""
SELECT * FROM (
    SELECT {byhand.columns(System, "s")}, {byhand.columns(Circuit, "c")}, (
        SELECT d.due_at FROM exchange_delivery d
        WHERE d.system_id = s.id AND d.lane = %(lane)s AND d.push
            AND d.state = '{State.QUEUED}' AND d.due_at <= %(now)s AND NOT d.held
        ORDER BY d.due_at LIMIT 1
    ) AS waits_since
    FROM agencies_system s LEFT JOIN exchange_circuit c ON c.system_id = s.id
    WHERE s.delivery = '{System.Delivery.PUSH}' AND {LETS_THROUGH}
) AS found WHERE waits_since IS NOT NULL ORDER BY waits_since, id
"""  # noqa: S608


def _ready(lane: int, now: datetime) -> list[tuple[System, Circuit]]:
    """The systems that may be pushed to and for which something is due, whoever waits longest first.

    One look into an index for each system, however many rows wait. A circuit without a failure is empty.
    """
    values = {"lane": lane, "now": byhand.prepared(Delivery, due_at=now)["due_at"]}
    return byhand.fetch([_READY], values, System, Circuit)


def _allowed(circuit: Circuit, now: datetime) -> int:
    """How many rows the circuit lets through: all, or one for the worker that is first to probe."""
    if circuit.probe_at is None:
        return PER_SYSTEM
    later = now + timedelta(seconds=settings.ENVIRONMENT.lease_seconds)
    probing = Circuit.objects.filter(pk=circuit.pk, probe_at=circuit.probe_at)
    return probing.update(probe_at=later)


_CLAIMED = f"""
WITH chosen AS (
    SELECT id FROM exchange_delivery
    WHERE system_id = %(system_id)s AND lane = %(lane)s AND push
        AND state = '{State.QUEUED}' AND due_at <= %(served_at)s AND NOT held
    ORDER BY due_at, id LIMIT %(limit)s {{lock}}
)
UPDATE exchange_delivery SET due_at = %(due_at)s, attempts = attempts + 1,
    served_at = COALESCE(served_at, %(served_at)s)
WHERE id IN (SELECT id FROM chosen)
RETURNING id, attempts, package_id,
    (SELECT sha256 FROM exchange_package p WHERE p.id = package_id),
    (SELECT kind FROM exchange_package p WHERE p.id = package_id),
    (SELECT sender_code FROM exchange_package p WHERE p.id = package_id)
"""  # noqa: S608


def _claim(system: System, lane: int, now: datetime, limit: int) -> list[transport.Shipment]:
    until = now + timedelta(seconds=settings.ENVIRONMENT.lease_seconds)
    values = byhand.prepared(Delivery, system_id=system.pk, lane=lane, served_at=now, due_at=until)
    statement = _CLAIMED.format(lock=byhand.locking("FOR UPDATE SKIP LOCKED"))
    rows = byhand.ask([statement], values | {"limit": limit})
    return [_shipment(system, _Claimed._make(row)) for row in rows]


class _Claimed(NamedTuple):
    """A row that _CLAIMED gives; its ids are text on SQLite."""

    delivery: UUID | str
    attempts: int
    package: UUID | str
    sha256: str
    kind: str
    sender: str


def _shipment(system: System, row: _Claimed) -> transport.Shipment:
    above = system.kind == System.Kind.AXIS
    return transport.Shipment(
        delivery=UUID(str(row.delivery)),
        number=row.attempts,
        package=UUID(str(row.package)),
        sha256=row.sha256,
        system=system.pk,
        url=system.callback_url,
        secrets=bytes(system.vxp_secret if above else system.webhook_secrets),
        ca_pem=system.ca_pem,
        identity=bytes(system.push_identity),
        relay=_relay(system, row) if above else None,
    )


def _relay(system: System, row: _Claimed) -> transport.Relay:
    kind = "status" if row.kind == Kind.STATUS else "edoc"
    return transport.Relay(systemid=system.vxp_id or "", sender=row.sender, messagetype=kind)


def due_lanes(now: datetime) -> set[int]:
    """The lanes in which a push is due: whatever a lost wake-up, a crash or a retry left behind."""
    return {lane for lane in Lane.values if _ready(lane, now)}


# --- settle -------------------------------------------------------------------------------------------


def settle(results: Sequence[transport.Result], *, now: datetime) -> None:
    """Write what became of pushed deliveries, in one transaction: attempts, states, events, next times."""
    if not results:
        return
    by_id = {result.delivery: result for result in results}
    with transaction.atomic():
        rows = _locked(by_id)
        bulk.insert_all(bulk.Rows(Attempt, _ATTEMPTED, [_attempt(by_id[row.id]) for row in rows]))
        changes = [change for row in rows if (change := _outcome(row, by_id[row.id], now))]
        lifecycle.record(changes, at=now, actor=log.HUB)
        retries = [row for row in rows if row.state == State.QUEUED]
        bulk.update(Delivery, ["due_at"], retries)
        _note_circuits(results, now)
    _watch(rows, by_id)


def _locked(ids: Collection[UUID]) -> list[Delivery]:
    lock = byhand.locking("FOR UPDATE OF d")
    statement = f"{byhand.DELIVERIES} WHERE d.id {byhand.among('ids')} ORDER BY d.id {lock}"
    return byhand.deliveries([statement], {"ids": byhand.keys(ids)})


def _watch(rows: Sequence[Delivery], by_id: Mapping[UUID, transport.Result]) -> None:
    """Count the attempts; those that failed leave a line, the others have their row and their event."""
    for row in rows:
        result = by_id[row.id]
        metrics.ATTEMPTS.labels(result.outcome).inc()
        if result.handed_over:
            continue
        if row.state == State.QUEUED:
            metrics.RETRIES.labels(Lane(row.lane).name.lower()).inc()
        _logger.warning(
            "push_failed",
            delivery=str(row.id),
            package=str(row.package_id),
            system=str(row.system_id),
            agency=row.recipient_code,
            outcome=result.outcome,
            status=result.http_status,
            attempt=result.number,
        )


def _attempt(result: transport.Result) -> tuple[object, ...]:
    """A row of `_ATTEMPTED`."""
    return (
        uuid7(),
        result.delivery,
        result.number,
        result.url,
        str(result.outcome),
        result.http_status,
        result.detail,
        result.started_at,
        result.finished_at,
    )


def _outcome(row: Delivery, result: transport.Result, now: datetime) -> lifecycle.Change | None:
    """Change `row` (in memory) by the result of its push; None when no event comes of it.

    A recipient that took the bytes has them, even if the delivery expired meanwhile. A failure that comes
    after a newer attempt was claimed says nothing any more.
    """
    # The next hub answers for itself, not for the recipient: its answers are events of their own.
    target = {"target": str(row.system_id)} if result.relayed else {}
    if result.handed_over and row.state in lifecycle.NEVER_HANDED_OVER:
        confirmed = result.outcome is Outcome.CONFIRMED
        event = "ContentHandover" if confirmed else "ContentHandoverUnconfirmed"
        event = "RelayAcceptance" if result.relayed else event
        lifecycle.move(row, event, now)
        return lifecycle.Change(delivery=row, event=event, facts={"digest": row.package.sha256, **target})
    if result.handed_over or row.state != State.QUEUED or result.number < row.attempts:
        return None
    if result.refusal:
        lifecycle.move(row, "RelayRejection", now)
        reason = f"relay.{result.refusal.lower()}"
        return lifecycle.Change(delivery=row, event="RelayRejection", reason=reason, facts=target)
    if result.number % MAX_ATTEMPTS == 0:  # a resend has as many attempts again
        event = "RelayFailure" if result.relayed else "ContentHandoverFailure"
        lifecycle.move(row, event, now)
        return lifecycle.Change(delivery=row, event=event, reason=f"transport.{result.outcome}", facts=target)
    row.due_at = now + max(backoff(row.attempts), result.retry_after or timedelta())
    return None


def backoff(attempts: int) -> timedelta:
    """How long to wait after the `attempts`-th failure: exponential with full jitter, at most six hours."""
    ceiling = min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(attempts - 1, 20))
    return timedelta(seconds=ceiling.total_seconds() * random.uniform(0.1, 1))  # noqa: S311 - spreads load, keeps no secret


def _note_circuits(results: Sequence[transport.Result], now: datetime) -> None:
    """Count the failures of each system, and forget them when it answers well."""
    by_system: dict[UUID, list[transport.Result]] = {}
    for result in results:
        by_system.setdefault(result.system, []).append(result)
    well = [key for key, some in by_system.items() if not all(result.system_failed for result in some)]
    Circuit.objects.filter(pk__in=well).delete()
    for key in sorted(by_system.keys() - set(well)):
        Circuit.objects.note(key, [result.retry_after for result in by_system[key]], now)
