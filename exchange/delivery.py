"""The way out for systems that pull, and the clock of deliveries: list, serve, acknowledge, expire, resend.

Each function owns its transactions. How packages are pushed stands in `pushing.py`.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from agencies.models import Agency, System
from exchange import lifecycle, log, routing, waiting, wake
from exchange.models import Delivery, Event, InboxNotice, State
from exchange.refusals import Refused

BATCH = 200
_OPEN = (State.QUEUED, State.HANDED_OVER)


# --- pull ---------------------------------------------------------------------------------------------


def inbox(system: System, *, limit: int, kind: str = "", lease: timedelta, now: datetime) -> list[Delivery]:
    """What waits for the agencies of `system`, most urgent first; `lease` hides it from other pollers."""
    note_question(system, now=now, lease=lease)
    rows = Delivery.objects.waiting(now).filter(system=system).in_order()
    if kind:
        rows = rows.filter(package__kind=kind)
    if not lease:
        return list(rows.select_related("package", "package__sender")[:limit])
    with transaction.atomic():
        locked = rows.select_for_update(skip_locked=True, of=("self",))
        ids = list(locked.values_list("id", flat=True)[:limit])
        Delivery.objects.filter(id__in=ids).update(due_at=now + lease)
    leased = Delivery.objects.filter(id__in=ids).in_order()
    return list(leased.select_related("package", "package__sender"))


def note_question(system: System, *, now: datetime, lease: timedelta = timedelta()) -> None:
    """`system` is about to look into its inbox, so it need not be told what is there."""
    if system.wants_notices:
        InboxNotice.objects.asked(system.pk, now, lease)


def wait_for_inbox(
    system: System, *, wait: timedelta, limit: int, kind: str = "", lease: timedelta
) -> list[Delivery]:
    """The inbox as soon as something is in it, or empty after `wait`."""

    def look() -> list[Delivery]:
        return inbox(system, limit=limit, kind=kind, lease=lease, now=datetime.now(UTC))

    return waiting.until_found(look, wait, [waiting.inbox(system.pk, kind)], alone=bool(lease))


def systems_with_something(systems: Collection[str]) -> list[UUID]:
    """Those of `systems` (keys) in whose inbox something is. One look into an index for each."""
    there = Delivery.objects.waiting(datetime.now(UTC)).filter(system=OuterRef("pk"))
    return list(System.objects.filter(Exists(there), pk__in=systems).values_list("pk", flat=True))


def serve(delivery_id: UUID, *, system: System, now: datetime) -> Delivery:
    """Note that the content is about to be served to its recipient's system, and return the delivery.

    From here on a recall becomes a request. Raises Refused: request.not-found when the delivery is not
    for this system, delivery.withdrawn, delivery.closed, delivery.held.
    """
    return _serve(Delivery.objects.filter(id=delivery_id, recipient__receives_through=system), now)


def serve_to_agencies(package_id: UUID, agencies: QuerySet[Agency], now: datetime) -> Delivery:
    """The same for a package and whoever acts for `agencies`: one open delivery to one of them is enough.

    Raises Refused: request.not-found when none of them is a recipient, delivery.withdrawn, delivery.closed,
    delivery.held.
    """
    return _serve(Delivery.objects.filter(package=package_id, recipient__in=agencies), now)


def _serve(mine: QuerySet[Delivery], now: datetime) -> Delivery:
    mine.filter(state=State.QUEUED, held=False, served_at=None).update(served_at=now)
    found = list(mine.select_related("package").order_by("id"))
    if not found:
        raise Refused("request.not-found")
    chosen = next((row for row in found if row.state in _OPEN and not row.awaits_report), found[0])
    _refuse_closed(chosen)
    return chosen


def acknowledge(
    delivery_id: UUID, *, system: System, sha256: str, actor: log.Actor, now: datetime
) -> log.Receipt:
    """The recipient says what it received: hand over, when its own digest is that of the package.

    Again: the same receipt. Raises Refused: request.not-found, delivery.digest-mismatch,
    delivery.withdrawn, delivery.closed, delivery.held; nothing changes then.
    """
    with transaction.atomic():
        rows = _locked(Delivery.objects.filter(id=delivery_id, recipient__receives_through=system))
        if not rows:
            raise Refused("request.not-found")
        row = rows[0]
        _refuse_closed(row)
        if sha256.lower() != row.package.sha256:
            raise Refused("delivery.digest-mismatch", given=sha256[:64], expected=row.package.sha256)
        event = _confirm(row, sha256.lower(), actor, now)
    return log.new_receipt(event) if event else log.handover_receipt(row)


def _confirm(row: Delivery, sha256: str, actor: log.Actor, now: datetime) -> Event | None:
    """The event of the handover; None when it was confirmed before, which takes more than one event."""
    if row.seq > 1 and Event.objects.filter(stream=row.id, name="ContentHandover").exists():
        return None
    lifecycle.move(row, "ContentHandover", now)
    change = lifecycle.Change(delivery=row, event="ContentHandover", facts={"digest": sha256})
    [event] = lifecycle.record([change], at=now, actor=actor)
    return event


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

    Raises Refused: request.not-found, delivery.withdrawn, delivery.closed, delivery.held.
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
        if row.state not in rule.before or row.awaits_report:
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
    if row.awaits_report:
        raise Refused("delivery.held")


# --- clock --------------------------------------------------------------------------------------------


def expire(now: datetime) -> int:
    """Close what was not handed over in time, with an event for its sender; returns how many."""
    total = 0
    while expired := _expire_batch(now):
        total += expired
    return total


def _expire_batch(now: datetime) -> int:
    with transaction.atomic():
        late = Delivery.objects.out_of_time(now).select_for_update(skip_locked=True)[:BATCH]
        rows = _locked(Delivery.objects.filter(id__in=[row.id for row in late]))
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
    status.not-allowed from another state, recipient.not-connected, recipient.suspended,
    recipient.refuses-broken-pdf.
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
        row.save(update_fields=["system", "push", "held", "queued_at", "warn_at", "receipt_due_at"])
        wake.after_commit([row.lane] if row.push else [])
        wake.for_inboxes([] if row.held else [row.system])
    return row


def _locked(deliveries: QuerySet[Delivery]) -> list[Delivery]:
    """The rows, locked in id order, so that two transactions never wait for each other in a circle."""
    chosen = deliveries.select_related("package").order_by("id")
    return list(chosen.select_for_update(of=("self",)))
