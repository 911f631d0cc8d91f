"""Which events a period can have, found by halving: events have no index on their times, which every event
would pay for, and rise in the order of their times but for transactions that commit late."""

from bisect import bisect_left
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db.models import Q

from exchange.exports.filters import Filter
from exchange.models import Event

# How much later an event may be written than its time says: longer than any request and any run of a rule.
MARGIN = timedelta(hours=1)

Time = Callable[[int], datetime]  # of the event at a place, or of the next one after it


def places(begin: datetime | None, end: datetime | None, size: int, time_of: Time) -> range:
    """The places below `size` outside of which no event is of `begin` or later and before `end`."""
    every = range(size)
    first = bisect_left(every, begin - MARGIN, key=time_of) if begin else 0
    after = bisect_left(every, end + MARGIN, key=time_of) if end else size
    return range(first, after)


def events(chosen: Filter, prefix: str = "") -> Q:
    """The condition of the period of `chosen` on events; `prefix` leads from other rows to their event.

    Exact by their times; by their keys only so that the database need not look at the others.
    """
    begin, end = chosen.begins, chosen.ends
    if not begin and not end:
        return Q()
    newest = Event.objects.order_by("-pk").values_list("pk", flat=True).first()
    keys = places(begin, end, newest + 1 if newest else 0, _time_from)
    said: dict[str, object] = {}
    if begin:
        said |= {"at__gte": begin, "pk__gte": keys.start}
    if end:
        said |= {"at__lt": end, "pk__lt": keys.stop}
    return Q(**{f"{prefix}{name}": value for name, value in said.items()})


def _time_from(key: int) -> datetime:
    """The time of the first event from `key` on: keys have gaps where transactions failed."""
    return Event.objects.filter(pk__gte=key).order_by("pk").values_list("at", flat=True)[0]
