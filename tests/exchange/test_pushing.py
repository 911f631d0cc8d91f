"""The queue of pushes: fair between systems, patient with those that fail, and looked up by index."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Self
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from agencies.models import System
from exchange import delivery, pushing, registry
from exchange.models import Circuit, Delivery, Event, Lane, Outcome
from exchange.transport import MISSING, Result, Shipment
from tests.world import ACTOR, World

WHILE = timedelta(seconds=1)
LATER = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def two(hub: World) -> World:
    """The small city, in which the district is pushed to as well as the health system."""
    registry.update_system(
        hub.systems["district"],
        by=registry.Change(ACTOR, now()),
        delivery="push",
        callback_url="http://127.0.0.1:9/",
    )
    return hub


def wait_for(hub: World, code: str, number: int) -> list[UUID]:
    """So many deliveries that wait for `code`."""
    return [hub.send("H29", code, now=now()).deliveries[0].id for _ in range(number)]


def end(claimed: Sequence[Shipment], outcome: Outcome, **facts: object) -> None:
    """Every push of `claimed` ends like this."""
    pushing.settle(ended(claimed, outcome, **facts), now=now())


def ended(claimed: Sequence[Shipment], outcome: Outcome, **facts: object) -> list[Result]:
    """What becomes of `claimed`."""
    given: dict[str, object] = {"http_status": None, "detail": "", **facts}
    return [
        Result(
            delivery=one.delivery,
            number=one.number,
            system=one.system,
            url=one.url,
            outcome=outcome,
            started_at=now(),
            finished_at=now(),
            **given,  # type: ignore[arg-type]
        )
        for one in claimed
    ]


def claim(limit: int = 200, at: datetime | None = None, lane: Lane = Lane.NORMAL) -> list[Shipment]:
    return pushing.claim(lane, now=at or now(), limit=limit)


def due_again() -> datetime:
    """Everything is due again."""
    Delivery.objects.update(due_at=now())
    return now()


def test_one_system_with_many_rows_leaves_room_for_the_others(two: World) -> None:
    wait_for(two, "H29.17", pushing.PER_SYSTEM + 5)
    [other] = wait_for(two, "H29.121", 1)
    claimed = claim()
    assert other in {one.delivery for one in claimed}
    assert Counter(one.system for one in claimed)[two.systems["health"].pk] == pushing.PER_SYSTEM


def test_a_system_that_has_its_share_under_way_gets_no_more(two: World) -> None:
    wait_for(two, "H29.17", 2)
    busy = {two.systems["health"].pk: pushing.PER_SYSTEM}
    assert pushing.claim(Lane.NORMAL, now=now(), limit=200, busy=busy) == []


def test_five_failures_in_a_row_open_the_circuit_and_one_probe_at_a_time_goes_through(two: World) -> None:
    wait_for(two, "H29.17", 7)
    [other] = wait_for(two, "H29.121", 1)
    end([one for one in claim() if one.delivery != other][:5], Outcome.UNREACHABLE, detail="refused")
    circuit = Circuit.objects.get(pk=two.systems["health"].pk)
    assert (circuit.failures, circuit.opened_at is not None) == (5, True)
    assert circuit.probe_at is not None

    at = due_again()
    assert [one.delivery for one in claim()] == [other], "the others are not held up"
    probe = claim(at=circuit.probe_at + WHILE)
    assert len(probe) == 1
    assert claim(at=circuit.probe_at + WHILE) == [], "another worker does not probe as well"
    assert pushing.due_lanes(at) == set()

    end(probe, Outcome.CONFIRMED, http_status=200)
    assert not Circuit.objects.exists()
    due_again()
    assert len(claim()) == 7


def test_a_failed_probe_makes_the_next_pause_longer(two: World) -> None:
    wait_for(two, "H29.17", 5)
    end(claim(), Outcome.UNREACHABLE)
    pauses = []
    for _ in range(6):
        due_again()
        circuit = Circuit.objects.get()
        assert circuit.probe_at is not None
        pauses.append(circuit.probe_at - now())
        end(claim(at=circuit.probe_at + WHILE), Outcome.REJECTED, http_status=500)
    assert pauses[-1] > 4 * pauses[0]
    assert Circuit.objects.get().pauses == 7


def test_a_system_that_asks_to_wait_is_left_alone_with_all_its_deliveries(two: World) -> None:
    wait_for(two, "H29.17", 2)
    end(claim(limit=1), Outcome.REJECTED, http_status=429, retry_after=timedelta(minutes=30))
    due_again()
    assert claim() == []
    assert len(claim(at=now() + LATER)) == 1


@pytest.mark.parametrize(
    ("outcome", "facts"),
    [
        (Outcome.REJECTED, {"http_status": 422}),
        (Outcome.MISMATCH, {"http_status": 200}),
        (Outcome.UNREACHABLE, {"detail": MISSING}),
    ],
)
def test_what_is_wrong_with_one_delivery_says_nothing_of_the_system(
    two: World, outcome: Outcome, facts: dict[str, object]
) -> None:
    wait_for(two, "H29.17", 6)
    end(claim(), outcome, **facts)
    assert not Circuit.objects.exists()


def test_an_operator_pauses_and_resumes_with_an_event_and_the_failures_are_forgotten(two: World) -> None:
    health = two.systems["health"]
    wait_for(two, "H29.17", 5)
    end(claim(), Outcome.UNREACHABLE)
    call_command("pause_system", "health")
    assert claim(at=now() + LATER) == []
    with pytest.raises(CommandError, match="already"):
        call_command("pause_system", "health")
    call_command("resume_system", "health")
    assert not Circuit.objects.exists()
    assert len(claim()) == 5
    names = Event.objects.filter(stream=health.pk).order_by("id").values_list("name", flat=True)
    assert list(names)[-2:] == ["PolicyChange", "PolicyChange"]


# --- every hot question has its index -------------------------------------------------------------------


_MANY = """
INSERT INTO exchange_delivery SELECT (jsonb_populate_record(one, jsonb_build_object(
    'id', gen_random_uuid(), 'package_id', gen_random_uuid(), 'rank', n % 5, 'lane', n % 5,
    'queued_at', one.queued_at + n * interval '1 second', 'due_at', one.due_at + n * interval '1 second',
    'expires_at', one.expires_at + n * interval '1 second'))).*
FROM exchange_delivery one, generate_series(1, 2000) n
"""


def plan_of(hub: World, ask: Callable[[World], object]) -> str:
    """How the database answers `ask`; PostgreSQL chooses by what lies there, so it is given some."""
    if connection.vendor == "postgresql":
        hub.send("H29", "H29.17", "H29.5", "H29.10", "H29.121")
        with connection.cursor() as cursor:
            cursor.execute(
                "SET LOCAL session_replication_role = replica"
            )  # no guards: these are no deliveries
            cursor.execute(_MANY)
            cursor.execute("ANALYZE exchange_delivery")
            cursor.execute("SET LOCAL enable_seqscan = off")
    with CaptureQueriesContext(connection) as asked:
        found = ask(hub)
        if isinstance(found, QuerySet):
            list(found)
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    plans = []
    with connection.cursor() as cursor:
        for question in asked:
            if question["sql"].lstrip().startswith(("SELECT", "WITH")):
                cursor.execute(f"{explain} {question['sql']}")
                plans += [str(row[-1]) for row in cursor.fetchall()]
    return "\n".join(plans)


def an_inbox(hub: World, lease: timedelta) -> object:
    return delivery.inbox(hub.systems["office"], limit=50, lease=lease, now=now())


HOT: dict[str, tuple[Callable[[World], object], str]] = {
    "who is to be pushed to": (lambda hub: pushing._ready(Lane.NORMAL, now()), "delivery_due_by_system"),
    "what is due for one system": (
        lambda hub: pushing._claim(hub.systems["health"], Lane.NORMAL, now(), 64),
        "delivery_due_by_system",
    ),
    "an inbox": (lambda hub: an_inbox(hub, timedelta()), "delivery_inbox"),
    "an inbox that is leased": (lambda hub: an_inbox(hub, timedelta(seconds=60)), "delivery_inbox"),
    "what expires": (
        lambda hub: Delivery.objects.out_of_time(now())[:200],
        "delivery_expiry",
    ),
    "the trail of a package": (
        lambda hub: Event.objects.filter(package=UUID(int=1)).order_by("id"),
        "event_of_package",
    ),
}


@pytest.mark.parametrize("question", HOT)
def test_a_hot_question_is_answered_from_its_index(hub: World, question: str) -> None:
    ask, index = HOT[question]
    plan = plan_of(hub, ask)
    assert index in plan, plan
    for table in ("exchange_delivery", "exchange_event"):
        assert f"Seq Scan on {table}" not in plan, plan
        assert f"SCAN {table} " not in plan or f"USING INDEX {index}" in plan, plan


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("suspended", [False, True])
@pytest.mark.parametrize("probe", [None, -WHILE, WHILE])
@pytest.mark.parametrize("circuit", [False, True])
def test_the_two_words_for_what_a_circuit_lets_through_say_the_same(
    hub: World, paused: bool, suspended: bool, probe: timedelta | None, circuit: bool
) -> None:
    at, system = now(), System.objects.filter(pk=hub.systems["health"].pk)
    hub.send("H29", "H29.17")
    system.update(paused_at=at if paused else None, suspended_at=at if suspended else None)
    if circuit:
        Circuit.objects.create(system=system.get(), probe_at=None if probe is None else at + probe)
    by_hand = [found.pk for found, _ in pushing._ready(Lane.NORMAL, at + WHILE / 2)]
    by_queryset = system.filter(Circuit.lets_through(at + WHILE / 2)).values_list("pk", flat=True)
    assert by_hand == list(by_queryset)


def test_a_delivery_is_pushed_until_it_is_said_to_be_expired(two: World) -> None:
    wait_for(two, "H29.17", 2)
    late = now() + timedelta(days=400)
    assert len(claim(at=late, limit=1)) == 1
    assert delivery.expire(late) == 2
    assert claim(at=late + timedelta(days=1)) == []


class _Pusher:
    """Ends what it is given in the order of a list of outcomes, one batch for each; notes who does what."""

    outcomes: ClassVar[list[Outcome]] = []
    done: ClassVar[list[str]] = []

    def __enter__(self) -> Self:
        self._sent: list[Shipment] = []
        return self

    def __exit__(self, *_error: object) -> None:
        return

    def send(self, shipments: Sequence[Shipment]) -> None:
        self._sent += shipments
        self.done.extend(["sent"] if shipments else [])

    def ended(self, _seconds: float, enough: int) -> list[tuple[Shipment, Result]]:
        batch, self._sent = self._sent, []
        return list(zip(batch, ended(batch, self.outcomes.pop(0)), strict=True))


@pytest.mark.parametrize(
    ("first", "order"),
    [
        (Outcome.CONFIRMED, ["sent", "sent", "written", "written"]),
        (Outcome.MISMATCH, ["sent", "written", "sent", "written"]),
    ],
)
def test_the_next_ones_travel_while_results_are_written_unless_something_failed(
    two: World, monkeypatch: pytest.MonkeyPatch, first: Outcome, order: list[str]
) -> None:
    wait_for(two, "H29.17", 2)
    settle, done = pushing.settle, list[str]()

    def noted(results: Sequence[Result], *, now: datetime) -> None:
        done.extend(["written"] if results else [])
        settle(results, now=now)

    monkeypatch.setattr(_Pusher, "done", done)
    monkeypatch.setattr(_Pusher, "outcomes", [first, Outcome.CONFIRMED])
    monkeypatch.setattr("exchange.transport.Pusher", _Pusher)
    monkeypatch.setattr(pushing, "settle", noted)
    monkeypatch.setattr(pushing, "PER_SYSTEM", 1)
    pushing.push_lane(Lane.NORMAL)
    assert done == order
