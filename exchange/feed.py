"""The event feed: everything that happened to an agency's packages and deliveries, in one order, resumable.

A transaction inserts an entry per event and agency, without a position. Ids are no order to read by: they
are given before the commit, and a reader that has passed one never sees what commits late under it. So
`publish` numbers what is committed, one writer at a time, and readers follow those numbers. They call it
themselves before they look: nobody waits for a clock, and no message is needed.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max

from exchange import waiting
from exchange.models import Delivery, Event, EventBody, FeedEntry, FeedHead, Package, State, bulk
from exchange.refusals import Refused

BATCH = 500
ROUNDS = 20
_PLACE = """
UPDATE exchange_feedentry SET position = placed.place
FROM (
    SELECT event_id AS id, %s + ROW_NUMBER() OVER (ORDER BY event_id) AS place
    FROM (
        SELECT DISTINCT event_id FROM exchange_feedentry WHERE position IS NULL ORDER BY event_id LIMIT %s
    ) AS unplaced
) AS placed
WHERE exchange_feedentry.event_id = placed.id AND exchange_feedentry.position IS NULL
RETURNING position
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One event as an agency sees it: what happened, to what, and the state after it.

    `said` is the event as it was logged; empty when its bytes were redacted.
    """

    position: int
    event: Event
    package: Package
    said: dict[str, Any]


def entries(events: Iterable[tuple[Event, Package | Delivery, Package]]) -> bulk.Rows:
    """What puts `events` (event, its row, its package) under sender and recipient; for their transaction."""
    return bulk.Rows(
        FeedEntry,
        ("position", "event_id", "agency_id"),
        [(None, event.pk, agency) for event, row, package in events for agency in _concerned(row, package)],
    )


def topics(events: Iterable[tuple[Event, Package | Delivery, Package]]) -> set[str]:
    """What to ring when `events` are committed: the feeds that they stand in, the inboxes that they fill."""
    found = set[str]()
    for _, row, package in events:
        found.update(map(waiting.feed, _concerned(row, package)))
        if isinstance(row, Delivery) and row.state == State.QUEUED and not row.push:
            found |= {waiting.inbox(row.system_id), waiting.inbox(row.system_id, package.kind)}
    return found


def publish() -> None:
    """Number what has been committed since, so many batches at most."""
    for _ in range(ROUNDS):
        if not FeedEntry.objects.filter(position=None).exists() or not _place_batch():
            return


def last() -> int:
    """The position of the last event committed so far; 0 before the first."""
    publish()
    return _head()


def read(agencies: Collection[UUID], *, after: int, limit: int) -> list[Item]:
    """The events after position `after` that concern `agencies`, in order; each once.

    Raises Refused (request.invalid) for a position that the feed never reached.
    """
    publish()
    entries = FeedEntry.objects.filter(agency__in=agencies, position__gt=after).order_by("position")
    found = entries.values_list("position", "event_id").distinct()[:limit]
    places = [(position, event) for position, event in found if position is not None]
    if not places and after > _head():
        # After a restored backup, waiting in silence would lose what gets these positions a second time.
        raise Refused("request.invalid", why=f"after: the feed ends at {_head()}")
    return _items(places)


def wait_for(agencies: Collection[UUID], *, after: int, limit: int, wait: timedelta) -> list[Item]:
    """The same, waiting for the first event up to `wait`."""
    topics = [waiting.feed(agency) for agency in agencies]
    return waiting.until_found(lambda: read(agencies, after=after, limit=limit), wait, topics)


def told(agencies: Collection[str], *, after: int) -> list[UUID]:
    """Those of `agencies` (keys) whom events after position `after` concern."""
    entries = FeedEntry.objects.filter(agency__in=agencies, position__gt=after)
    return list(entries.order_by().values_list("agency", flat=True).distinct())


def _head() -> int:
    return FeedHead.objects.aggregate(last=Max("position"))["last"] or 0


def _concerned(row: Package | Delivery, package: Package) -> set[UUID]:
    """The sender hears of everything, a recipient of its own delivery."""
    return {package.sender_id, row.recipient_id} if isinstance(row, Delivery) else {package.sender_id}


def _place_batch() -> int:
    """Number the oldest unnumbered events under the lock of the head; returns the new head, 0 for none."""
    with transaction.atomic():
        last, _ = FeedHead.objects.select_for_update().get_or_create(id=1)
        with connection.cursor() as cursor:
            cursor.execute(_PLACE, [last.position, BATCH])
            places = [row[0] for row in cursor.fetchall()]
        if not places:
            return 0
        last.position = max(places)
        last.save(update_fields=["position"])
    return last.position


def _items(places: list[tuple[int, int]]) -> list[Item]:
    keys = [event for _, event in places]
    events = Event.objects.in_bulk(keys)
    bodies = EventBody.objects.in_bulk(keys)
    packages = Package.objects.in_bulk({event.package for event in events.values() if event.package})
    return [
        Item(
            position=position,
            event=events[key],
            package=packages[events[key].package],
            said=json.loads(bytes(bodies[key].raw)) if key in bodies else {},
        )
        for position, key in places
    ]
