"""The way out: claim, push, serve, acknowledge, expire. Each function owns its transactions.

The rows are the queue. A claim moves `due_at` forward and commits; then the bytes travel with no
transaction open; then one transaction writes the attempts, the new states and their events. A worker
that dies in between leaves rows that become due again: at least once on the wire, once in the books.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce

from agencies.models import Agency, System
from exchange import lifecycle, log, metrics, routing, transport, waiting, wake
from exchange.models import Attempt, Delivery, Event, Lane, Outcome, State
from exchange.refusals import Refused

_logger = structlog.get_logger(__name__)

BATCH = 200
MAX_ATTEMPTS = 60
FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(hours=6)
_OPEN = (State.QUEUED, State.HANDED_OVER)


# --- push ---------------------------------------------------------------------------------------------


def push_lane(lane: int) -> set[UUID]:
    """Push everything due in `lane`, batch by batch; returns the systems whose endpoint answered 410."""
    gone: set[UUID] = set()
    while claimed := claim(lane, now=datetime.now(UTC), limit=BATCH):
        systems = {item.id: item.system_id for item in claimed}
        for results in transport.push([shipment(item) for item in claimed]):
            settle(results, now=datetime.now(UTC))
            gone |= {systems[result.delivery] for result in results if result.outcome is Outcome.GONE}
    return gone


def claim(lane: int, *, now: datetime, limit: int) -> list[Delivery]:
    """Take up to `limit` due push deliveries of `lane` for one lease; no other worker sees them meanwhile.

    From here on the recipient may hold the content: a later recall becomes a request.
    """
    due = Delivery.objects.waiting(now).filter(
        lane=lane, push=True, system__paused_at=None, system__suspended_at=None
    )
    with transaction.atomic():
        locked = due.select_for_update(skip_locked=True, of=("self",)).order_by("due_at", "id")
        ids = list(locked.values_list("id", flat=True)[:limit])
        if not ids:
            return []
        Delivery.objects.filter(id__in=ids).update(
            due_at=now + timedelta(seconds=settings.ENVIRONMENT.lease_seconds),
            served_at=Coalesce("served_at", now),
            attempts=F("attempts") + 1,
        )
        return list(Delivery.objects.filter(id__in=ids).select_related("package", "system"))


def shipment(item: Delivery) -> transport.Shipment:
    """`item` as the transport sends it; its package and system are loaded."""
    return transport.Shipment(
        delivery=item.id,
        number=item.attempts,
        package=item.package_id,
        sha256=item.package.sha256,
        url=item.system.callback_url,
        secrets=bytes(item.system.webhook_secrets),
        ca_pem=item.system.ca_pem,
    )


def settle(results: Sequence[transport.Result], *, now: datetime) -> None:
    """Write what became of pushed deliveries, in one transaction: attempts, states, events, next times."""
    by_id = {result.delivery: result for result in results}
    with transaction.atomic():
        rows = _locked(Delivery.objects.filter(id__in=by_id))
        Attempt.objects.bulk_create([_attempt(row, by_id[row.id]) for row in rows])
        changes = [change for row in rows if (change := _outcome(row, by_id[row.id], now))]
        lifecycle.record(changes, at=now, actor=log.HUB)
        retries = [row for row in rows if row.state == State.QUEUED]
        Delivery.objects.bulk_update(retries, ["due_at"])
    _watch(rows, by_id)


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


def _attempt(row: Delivery, result: transport.Result) -> Attempt:
    return Attempt(
        delivery=row,
        number=result.number,
        url=result.url,
        outcome=result.outcome,
        http_status=result.http_status,
        detail=result.detail,
        started_at=result.started_at,
        finished_at=result.finished_at,
    )


def _outcome(row: Delivery, result: transport.Result, now: datetime) -> lifecycle.Change | None:
    """Change `row` (in memory) by the result of its push; None when no event comes of it.

    A recipient that took the bytes has them, even if the delivery expired meanwhile. A failure that comes
    after a newer attempt was claimed says nothing any more.
    """
    if result.handed_over and row.state in lifecycle.NEVER_HANDED_OVER:
        confirmed = result.outcome is Outcome.CONFIRMED
        event = "ContentHandover" if confirmed else "ContentHandoverUnconfirmed"
        lifecycle.move(row, event, now)
        return lifecycle.Change(delivery=row, event=event, facts={"digest": row.package.sha256})
    if result.handed_over or row.state != State.QUEUED or result.number < row.attempts:
        return None
    if result.number % MAX_ATTEMPTS == 0:  # a resend has as many attempts again
        lifecycle.move(row, "ContentHandoverFailure", now)
        return lifecycle.Change(
            delivery=row, event="ContentHandoverFailure", reason=f"transport.{result.outcome}"
        )
    row.due_at = now + max(backoff(row.attempts), result.retry_after or timedelta())
    return None


def backoff(attempts: int) -> timedelta:
    """How long to wait after the `attempts`-th failure: exponential with full jitter, at most six hours."""
    ceiling = min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(attempts - 1, 20))
    return timedelta(seconds=ceiling.total_seconds() * random.uniform(0.1, 1))  # noqa: S311 - spreads load, keeps no secret


# --- pull ---------------------------------------------------------------------------------------------


def inbox(system: System, *, limit: int, kind: str = "", lease: timedelta, now: datetime) -> list[Delivery]:
    """What waits for the agencies of `system`, most urgent first; `lease` hides it from other pollers."""
    waiting = Delivery.objects.waiting(now).filter(system=system).in_order()
    if kind:
        waiting = waiting.filter(package__kind=kind)
    if not lease:
        return list(waiting.select_related("package", "package__sender")[:limit])
    with transaction.atomic():
        locked = waiting.select_for_update(skip_locked=True, of=("self",))
        ids = list(locked.values_list("id", flat=True)[:limit])
        Delivery.objects.filter(id__in=ids).update(due_at=now + lease)
    leased = Delivery.objects.filter(id__in=ids).in_order()
    return list(leased.select_related("package", "package__sender"))


def wait_for_inbox(
    system: System, *, wait: timedelta, limit: int, kind: str = "", lease: timedelta
) -> list[Delivery]:
    """The inbox as soon as something is in it, or empty after `wait`.

    A web process holds only so many waiters (`HUB_MAX_WAITERS`); one more is answered at once.
    """

    def look() -> list[Delivery]:
        return inbox(system, limit=limit, kind=kind, lease=lease, now=datetime.now(UTC))

    return waiting.until_found(look, wait)


def serve(delivery_id: UUID, *, system: System, now: datetime) -> Delivery:
    """Note that the content is about to be served to its recipient's system, and return the delivery.

    From here on a recall becomes a request. Raises Refused: request.not-found when the delivery is not
    for this system, delivery.withdrawn, delivery.closed.
    """
    return _serve(Delivery.objects.filter(id=delivery_id, recipient__receives_through=system), now)


def serve_to_agencies(package_id: UUID, agencies: QuerySet[Agency], now: datetime) -> Delivery:
    """The same for a package and whoever acts for `agencies`: one open delivery to one of them is enough.

    Raises Refused: request.not-found when none of them is a recipient, delivery.withdrawn, delivery.closed.
    """
    return _serve(Delivery.objects.filter(package=package_id, recipient__in=agencies), now)


def _serve(mine: QuerySet[Delivery], now: datetime) -> Delivery:
    mine.filter(state=State.QUEUED, served_at=None).update(served_at=now)
    found = list(mine.select_related("package").order_by("id"))
    if not found:
        raise Refused("request.not-found")
    chosen = next((row for row in found if row.state in _OPEN), found[0])
    _refuse_closed(chosen)
    return chosen


def acknowledge(
    delivery_id: UUID, *, system: System, sha256: str, actor: log.Actor, now: datetime
) -> log.Receipt:
    """The recipient says what it received: hand over, when its own digest is that of the package.

    Again: the same receipt. Raises Refused: request.not-found, delivery.digest-mismatch,
    delivery.withdrawn, delivery.closed; nothing changes then.
    """
    with transaction.atomic():
        rows = _locked(Delivery.objects.filter(id=delivery_id, recipient__receives_through=system))
        if not rows:
            raise Refused("request.not-found")
        row = rows[0]
        _refuse_closed(row)
        if sha256.lower() != row.package.sha256:
            raise Refused("delivery.digest-mismatch", given=sha256[:64], expected=row.package.sha256)
        _confirm(row, sha256.lower(), actor, now)
    return log.handover_receipt(row)


def _confirm(row: Delivery, sha256: str, actor: log.Actor, now: datetime) -> None:
    if Event.objects.filter(stream=row.id, name="ContentHandover").exists():
        return
    lifecycle.move(row, "ContentHandover", now)
    change = lifecycle.Change(delivery=row, event="ContentHandover", facts={"digest": sha256})
    lifecycle.record([change], at=now, actor=actor)


def lease(delivery_id: UUID, *, system: System, for_: timedelta, now: datetime) -> None:
    """The recipient's system works on an item: hide it from the other pollers `for_` so long.

    Nothing happens to what is no longer queued. Raises Refused request.not-found.
    """
    mine = Delivery.objects.filter(id=delivery_id, recipient__receives_through=system)
    if not mine.exists():
        raise Refused("request.not-found")
    mine.queued().update(due_at=now + for_)


def take(delivery_id: UUID, *, system: System, actor: log.Actor, now: datetime) -> None:
    """The recipient's system says that it has the content, without a digest. Again: nothing changes.

    Raises Refused: request.not-found, delivery.withdrawn, delivery.closed.
    """
    _pulled(delivery_id, "ContentHandoverUnconfirmed", "", system=system, actor=actor, now=now)


def give_up(delivery_id: UUID, *, system: System, actor: log.Actor, now: datetime) -> None:
    """The recipient's system says that it cannot use the content: it leaves the inbox, its sender learns it.

    Again: nothing changes. Raises Refused as `take`.
    """
    reason = "transport.recipient-failed"
    _pulled(delivery_id, "ContentHandoverFailure", reason, system=system, actor=actor, now=now)


def _pulled(
    delivery_id: UUID, event: str, reason: str, *, system: System, actor: log.Actor, now: datetime
) -> None:
    with transaction.atomic():
        rows = _locked(Delivery.objects.filter(id=delivery_id, recipient__receives_through=system))
        if not rows:
            raise Refused("request.not-found")
        row, rule = rows[0], lifecycle.MOVES[event]
        if row.state not in rule.before:
            if row.state in (rule.after, State.HANDED_OVER):
                return
            _refuse_closed(row)
        facts = {} if reason else {"digest": row.package.sha256}
        lifecycle.move(row, event, now)
        change = lifecycle.Change(delivery=row, event=event, reason=reason, facts=facts)
        lifecycle.record([change], at=now, actor=actor)


def _refuse_closed(row: Delivery) -> None:
    if row.state == State.WITHDRAWN:
        raise Refused("delivery.withdrawn")
    if row.state not in _OPEN:
        raise Refused("delivery.closed", current=row.state)


# --- clock --------------------------------------------------------------------------------------------


def expire(now: datetime) -> int:
    """Close what was not handed over in time, with an event for its sender; returns how many."""
    total = 0
    while expired := _expire_batch(now):
        total += expired
    return total


def _expire_batch(now: datetime) -> int:
    with transaction.atomic():
        late = Delivery.objects.queued().filter(expires_at__lte=now)
        rows = _locked(late, limit=BATCH, skip_locked=True)
        for row in rows:
            lifecycle.move(row, "AcceptanceRejectionExpiry", now)
        changes = [
            lifecycle.Change(delivery=row, event="AcceptanceRejectionExpiry", reason="deadline.handover")
            for row in rows
        ]
        lifecycle.record(changes, at=now, actor=log.HUB)
    return len(rows)


def resend(delivery_id: UUID, *, actor: log.Actor, now: datetime, reason: str) -> Delivery:
    """Put an expired or undeliverable delivery back in its recipient's queue, with a new time to expire.

    `reason` are a person's words. The old receipt stays true. Raises Refused: request.not-found,
    status.not-allowed from another state, recipient.not-connected, recipient.suspended.
    """
    with transaction.atomic():
        rows = _locked(Delivery.objects.filter(id=delivery_id))
        if not rows:
            raise Refused("request.not-found")
        row = rows[0]
        lifecycle.move(row, "Requeued", now)
        routing.queue_again(row, now)
        change = lifecycle.Change(delivery=row, event="Requeued", reason="operator.asked", text=reason)
        lifecycle.record([change], at=now, actor=actor)
        row.save(update_fields=["system", "push", "queued_at", "warn_at", "receipt_due_at"])
        wake.after_commit([row.lane] if row.push else [])
    return row


def due_lanes(now: datetime) -> set[int]:
    """The lanes in which a push is due: whatever a lost wake-up, a crash or a retry left behind."""
    return set(
        Delivery.objects.waiting(now)
        .filter(push=True, system__paused_at=None, system__suspended_at=None)
        .order_by()
        .values_list("lane", flat=True)
        .distinct()
    )


def _locked(
    deliveries: QuerySet[Delivery], *, limit: int | None = None, skip_locked: bool = False
) -> list[Delivery]:
    """The rows, locked in id order, so that two transactions never wait for each other in a circle."""
    chosen = deliveries.select_related("package").order_by("id")
    return list(chosen.select_for_update(of=("self",), skip_locked=skip_locked)[:limit])
