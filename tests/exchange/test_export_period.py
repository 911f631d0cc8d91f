"""The events of a period are found without looking at the others, and none of them is missed."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from exchange.exports import period, readers
from exchange.exports.filters import Filter
from exchange.exports.rows import Events
from exchange.models import Event
from exchange.workdays import VIETNAM
from tests.world import ACTOR

EVERYTHING = readers.Reader(actor=ACTOR, agencies=None)
DAY = date(2026, 3, 5)
BEGINS = datetime.combine(DAY, time.min, tzinfo=VIETNAM)
ENDS = BEGINS + timedelta(days=1)
INSTANT, LATE = timedelta(microseconds=1), timedelta(minutes=9)


def write(times: Iterable[datetime], *, gap: int = 1) -> None:
    """Events of these times, in the order in which they were written."""
    last = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    Event.objects.bulk_create(
        (
            Event(pk=last + gap * number, stream=uuid4(), seq=1, name="AdminAccess", at=at, leaf=bytes(32))
            for number, at in enumerate(times, 1)
        ),
        batch_size=1000,
    )


def found(chosen: Filter) -> list[datetime]:
    keys = Events(chosen, EVERYTHING).keys()
    return [at for _, at in sorted(Event.objects.filter(pk__in=list(keys)).values_list("pk", "at"))]


def of_day(first: date | None = DAY, last: date | None = DAY) -> Filter:
    return Filter(since=first, until=last)


@pytest.mark.django_db
@pytest.mark.parametrize("gap", [1, 7], ids=["every key", "keys with gaps"])
def test_both_edges_of_a_period_are_exact(gap: int) -> None:
    inside = [BEGINS, BEGINS, BEGINS + timedelta(hours=9), ENDS - INSTANT, ENDS - INSTANT]
    before, after = [BEGINS - INSTANT] * 3, [ENDS] * 3
    write([*before, *inside, *after], gap=gap)
    assert found(of_day()) == inside
    assert found(of_day(None)) == [*before, *inside]
    assert found(of_day(last=None)) == [*inside, *after]
    assert found(of_day(None, None)) == [*before, *inside, *after]


@pytest.mark.django_db
def test_an_event_that_was_committed_late_is_in_its_period() -> None:
    hour = timedelta(hours=1)
    late = [ENDS - INSTANT, BEGINS - INSTANT, BEGINS]
    write([BEGINS - hour, BEGINS + LATE - INSTANT, late[1], late[2], ENDS + LATE, late[0], ENDS + hour])
    assert found(of_day()) == [BEGINS + LATE - INSTANT, BEGINS, ENDS - INSTANT]


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(8))
def test_halving_finds_what_looking_at_every_event_finds(seed: int) -> None:
    """Times in no order within the margin, thick around midnight, many of them equal."""
    random = Random(seed)
    hours = sorted(random.choice((-30, -24, -1, 0, 0, 0, 5, 23, 24, 24, 25, 60)) for _ in range(300))
    write([BEGINS + timedelta(hours=hour) - random.choice((0, 0, 1, 9)) * LATE / 9 for hour in hours], gap=3)
    for first, last in ((DAY, DAY), (None, DAY), (DAY, None), (DAY - timedelta(days=1), DAY)):
        chosen = of_day(first, last)
        every = Event.objects.order_by("pk").values_list("at", flat=True)
        within = [
            at
            for at in every
            if (not chosen.begins or at >= chosen.begins) and (not chosen.ends or at < chosen.ends)
        ]
        assert within
        assert found(chosen) == within


@pytest.mark.django_db
def test_a_period_of_an_empty_hub_and_one_without_events_give_nothing() -> None:
    assert found(of_day()) == []
    write([ENDS + timedelta(days=3)] * 4)
    assert found(of_day()) == []
    assert found(Filter(since=date(2027, 1, 1))) == []


def test_places_look_at_a_few_of_a_million() -> None:
    asked: list[int] = []

    def time_of(place: int) -> datetime:
        asked.append(place)
        return datetime(2026, 1, 1, tzinfo=UTC) + place * timedelta(seconds=20)

    made = period.places(BEGINS, ENDS, 1_000_000, time_of)
    assert time_of(made.start) == BEGINS - period.MARGIN
    assert time_of(made.stop) == ENDS + period.MARGIN
    assert len(asked) < 45


@pytest.mark.postgresql
@pytest.mark.django_db
def test_a_week_of_events_is_read_without_a_sequential_scan() -> None:
    year = 365 * 24
    write(BEGINS - timedelta(hours=hour) for hour in reversed(range(year)))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE exchange_event")
    week = of_day(DAY - timedelta(days=13), DAY - timedelta(days=7))
    source = Events(week, EVERYTHING)
    assert source.count(10_000) == len(source.keys()) == 7 * 24
    for rows in source.found():
        for question in (rows.order_by("pk").values("pk"), rows.order_by().values("pk")):
            plan = json.loads(question.explain(format="json", analyze=True))[0]["Plan"]
            scans = list(_scans(plan))  # the innermost first
            assert [scan["Node Type"] for scan in scans] in (
                ["Index Scan"],
                ["Bitmap Index Scan", "Bitmap Heap Scan"],
            )
            assert "id >=" in scans[0]["Index Cond"]
            assert "id <" in scans[0]["Index Cond"]
            assert sum(scan.get("Rows Removed by Filter", 0) for scan in scans) <= 2  # in the margins


def _scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for child in plan.get("Plans", []):
        yield from _scans(child)
    if "Scan" in plan["Node Type"]:
        yield plan
