"""The way out for systems that pull, and the clock of deliveries: list, serve, acknowledge, expire, resend.

What every pull asks is written by hand (models/byhand.py). Each function owns its transactions. How packages
are pushed stands in `pushing.py`.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from agencies.models import Agency, System
from exchange import lifecycle, log, routing, waiting, wake
from exchange.models import Delivery, Event, InboxNotice, State, byhand
from exchange.refusals import Refused

BATCH = 200
_OPEN = (State.QUEUED, State.HANDED_OVER)

_MINE = f"""{byhand.DELIVERIES}
JOIN agencies_agency a ON a.id = d.recipient_id
WHERE d.id {{among}} AND a.receives_through_id = %(system_id)s
"""
_WAITING = f"""
SELECT d.id FROM exchange_delivery d
WHERE d.system_id = %(system_id)s AND d.state = '{State.QUEUED}' AND d.due_at <= %(due_at)s AND NOT d.held
"""  # noqa: S608
_OF_KIND = "AND (SELECT p.kind FROM exchange_package p WHERE p.id = d.package_id) = %(kind)s"
_FIRST = "ORDER BY d.rank, d.queued_at, d.id LIMIT %(limit)s"
_LEASED = """
WITH chosen AS ({}) UPDATE exchange_delivery SET due_at = %(until)s
WHERE id IN (SELECT id FROM chosen) RETURNING id
"""
_SERVED = f"""
UPDATE exchange_delivery SET served_at = %(served_at)s
WHERE id {{among}} AND state = '{State.QUEUED}' AND NOT held AND served_at IS NULL
    AND recipient_id IN (SELECT id FROM agencies_agency WHERE receives_through_id = %(system_id)s)
"""  # noqa: S608


# --- pull ---------------------------------------------------------------------------------------------


def inbox(system: System, *, limit: int, kind: str = "", lease: timedelta, now: datetime) -> list[Delivery]:
    """What waits for the agencies of `system`, most urgent first; `lease` hides it from other pollers."""
    note_question(system, now=now, lease=lease)
    values = byhand.prepared(Delivery, system_id=system.pk, due_at=now)
    statement = f"{_WAITING} {_OF_KIND if kind else ''} {_FIRST}"
    if lease:
        statement = _LEASED.format(f"{statement} {byhand.locking('FOR UPDATE SKIP LOCKED')}")
        values |= {"until": byhand.prepared(Delivery, due_at=now + lease)["due_at"]}
    ids = [row[0] for row in byhand.ask([statement], values | {"kind": kind, "limit": limit})]
    if not ids:
        return []
    found = Delivery.objects.filter(id__in=ids).in_order()
    return list(found.select_related("package", "package__sender"))


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
    return _open(_mine([delivery_id], system, [_SERVED, _MINE], served_at=now))


def serve_to_agencies(package_id: UUID, agencies: QuerySet[Agency], now: datetime) -> Delivery:
    """The same for a package and whoever acts for `agencies`: one open delivery to one of them is enough.

    Raises Refused: request.not-found when none of them is a recipient, delivery.withdrawn, delivery.closed,
    delivery.held.
    """
    theirs = Delivery.objects.filter(package=package_id, recipient__in=agencies)
    theirs.filter(state=State.QUEUED, held=False, served_at=None).update(served_at=now)
    return _open(list(theirs.select_related("package").order_by("id")))


def _open(found: Sequence[Delivery]) -> Delivery:
    """The first of `found` whose content may be had."""
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
    outcome = acknowledge_all({delivery_id: sha256}, system=system, actor=actor, now=now)[delivery_id]
    if isinstance(outcome, Refused):
        raise outcome
    return outcome


def acknowledge_all(
    received: Mapping[UUID, str], *, system: System, actor: log.Actor, now: datetime
) -> dict[UUID, log.Receipt | Refused]:
    """The same for several deliveries in one transaction: the digest that the recipient computed of each.

    Each has an outcome of its own, in the order of `received`: one that is refused changes nothing.
    """
    with transaction.atomic():
        rows = {row.id: row for row in _mine_locked(received, system)}
        refused = _refusals(received, rows)
        good = [row for key, row in rows.items() if key not in refused]
        known = _confirmed(good)
        fresh = [row for row in good if row.id not in known]
        for row in fresh:
            lifecycle.move(row, "ContentHandover", now)
        events = lifecycle.record([_handover(row) for row in fresh], at=now, actor=actor) if fresh else []
    fresh_ones = zip((event.stream for event in events), log.new_receipts(events), strict=True)
    outcomes = refused | log.handover_receipts(known) | dict(fresh_ones)
    return {key: outcomes[key] for key in received}


def _refusals(received: Mapping[UUID, str], rows: Mapping[UUID, Delivery]) -> dict[UUID, Refused]:
    """Why some of what was `received` is not handed over."""
    refused = {}
    for key, sha256 in received.items():
        try:
            _check_received(rows.get(key), sha256)
        except Refused as error:
            refused[key] = error
    return refused


def _check_received(row: Delivery | None, sha256: str) -> None:
    if row is None:
        raise Refused("request.not-found")
    _refuse_closed(row)
    if sha256.lower() != row.package.sha256:
        raise Refused("delivery.digest-mismatch", given=sha256[:64], expected=row.package.sha256)


def _confirmed(rows: Sequence[Delivery]) -> set[UUID]:
    """Those of `rows` that were acknowledged before, which takes more than one event."""
    keys = [row.id for row in rows if row.seq > 1]
    if not keys:
        return set()
    return set(Event.objects.filter(stream__in=keys, name="ContentHandover").values_list("stream", flat=True))


def _handover(row: Delivery) -> lifecycle.Change:
    return lifecycle.Change(delivery=row, event="ContentHandover", facts={"digest": row.package.sha256})


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
        rows, rule = _mine_locked([delivery_id], system), lifecycle.MOVES[event]
        if not rows:
            raise Refused("request.not-found")
        row = rows[0]
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


def _mine_locked(ids: Collection[UUID], system: System) -> list[Delivery]:
    """Those of the deliveries whose recipient receives through `system`, locked in id order."""
    return _mine(ids, system, [f"{_MINE} ORDER BY d.id {byhand.locking('FOR UPDATE OF d')}"])


def _mine(ids: Collection[UUID], system: System, statements: Sequence[str], **values: Any) -> list[Delivery]:
    """What the last of `statements` gives: of the deliveries, those whose recipient receives through
    `system`."""
    given = byhand.prepared(Delivery, system_id=system.pk, **values) | {"ids": byhand.keys(ids)}
    return byhand.deliveries([one.format(among=byhand.among("ids")) for one in statements], given)


def _locked(deliveries: QuerySet[Delivery]) -> list[Delivery]:
    """The rows, locked in id order, so that two transactions never wait for each other in a circle."""
    chosen = deliveries.select_related("package").order_by("id")
    return list(chosen.select_for_update(of=("self",)))
