"""The proof of the statistics: every event counted again, and compared with the counters."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from django.db import connection, transaction

from exchange import statistics
from exchange.models import Delivery, Event, Kind, Package
from exchange.models import StatisticsDay as Day
from exchange.models import StatisticsDelta as Delta
from exchange.statistics import Happening, Key, Sums


@dataclass(frozen=True, slots=True)
class Difference:
    """A number that the counters and the events do not agree on."""

    key: Key
    stored: int
    counted: int


def recount(*, fix: bool = False) -> list[Difference]:
    """Count every event again and compare with the counters, in one snapshot; `fix` puts the count in place.

    Reads the whole history. An embedded hub takes nothing in meanwhile.
    """
    with _alone():
        stored, counted = statistics.sums_of(Day.objects.all(), Delta.objects.all()), count_history()
        found = [
            Difference(key, stored[key], counted[key])
            for key in sorted(stored.keys() | counted.keys())
            if stored[key] != counted[key]
        ]
        if fix and found:
            Delta.objects.all().delete()
            Day.objects.all().delete()
            statistics.add_to_days(counted)
    return found


@contextmanager
def _alone() -> Iterator[None]:
    """A transaction with one view of everything, while no roll-up runs."""
    if connection.vendor != "postgresql":
        with transaction.atomic():
            yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [statistics.LEADER])
        try:
            with transaction.atomic(durable=True):
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [statistics.LEADER])


def count_history() -> Sums:
    """What every event adds, by the same rule as when it happened."""
    sums: Sums = Counter()
    packages = Package.objects.order_by("id").iterator(chunk_size=statistics.BATCH)
    while some := list(islice(packages, statistics.BATCH)):
        sums.update(statistics.count(_history({item.id: item for item in some})))
    return sums


def _history(packages: Mapping[UUID, Package]) -> Iterator[Happening]:
    """Every event of `packages` and their deliveries, from what the events themselves say of the state."""
    found = Delivery.objects.filter(package__in=packages)
    due = dict(found.values_list("id", "receipt_due_at"))
    recipients = dict(found.values_list("id", "recipient_id"))
    before, reminded = statistics.NOTHING, False
    for event in Event.objects.filter(package__in=packages).order_by("stream", "seq"):
        if event.stream not in recipients and event.stream not in packages:
            continue  # about the package, but of a stream that has no state (an access, an export)
        if event.seq == 1:
            before, reminded = statistics.NOTHING, False
        package = packages[event.package]  # type: ignore[index]
        recipient = recipients.get(event.stream)
        after = statistics.Recorded(event.state, event.answer) if recipient else statistics.NOTHING
        yield Happening(
            event=event.name,
            at=event.at,
            kind=package.business_type or Kind.STATUS,
            sender=package.sender_id,
            taken_at=package.accepted_at,
            recipient=recipient,
            before=before,
            after=after,
            receipt_due_at=due.get(event.stream),
            reminded=reminded,
        )
        before, reminded = after, reminded or event.name == "Reminder"
