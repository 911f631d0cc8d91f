"""Requests that are put aside: who is woken by what, in which order, and who is not held at all."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import InterfaceError, connection

from exchange import bell, delivery, feed, waiting
from exchange.waiting import Desk, Ticket
from tests.world import NOW, World

WAIT = timedelta(seconds=30)


class Waiter:
    """A ticket at a desk, and how often it was woken."""

    def __init__(self, desk: Desk, *topics: str, alone: bool = False) -> None:
        self.desk, self.woken = desk, 0
        self.ticket = Ticket(self.wake)
        self.held = desk.enter(self.ticket, topics, alone=alone)

    def wake(self) -> None:
        self.woken += 1


@pytest.fixture
def ticket() -> Any:
    """A ticket of a request that the process' own desk may hold."""
    made = Ticket(lambda: None)
    with waiting.asking(made):
        yield made
    waiting.desk.leave(made)


def test_a_ring_wakes_only_those_who_wait_for_it() -> None:
    desk = Desk()
    mine, other = Waiter(desk, "inbox:1", "feed:1"), Waiter(desk, "inbox:2")
    desk.ring(["inbox:1", "feed:9"])
    assert (mine.woken, other.woken) == (1, 0)


def test_of_leasing_pollers_the_first_is_woken_and_then_the_next() -> None:
    desk = Desk()
    first, second, looker = (Waiter(desk, "inbox:1", alone=alone) for alone in (True, True, False))
    desk.ring(["inbox:1"])
    assert (first.woken, second.woken, looker.woken) == (1, 0, 1)
    desk.ring(["inbox:1"])
    assert (first.woken, second.woken) == (1, 1), "the first has not looked yet, so this is for the second"


def test_a_poller_that_goes_away_when_it_was_woken_leaves_its_turn_to_the_next() -> None:
    desk = Desk()
    first, second = Waiter(desk, "inbox:1", alone=True), Waiter(desk, "inbox:1", alone=True)
    desk.ring(["inbox:1"])
    desk.leave(first.ticket)
    assert second.woken == 1
    desk.leave(second.ticket)
    assert not desk.topics()
    assert len(desk) == 0


def test_only_so_many_wait_and_none_when_the_process_stops(settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, max_waiters=2)
    desk = Desk()
    first, second, third = (Waiter(desk, "inbox:1") for _ in range(3))
    assert (first.held, second.held, third.held) == (True, True, False)
    desk.close()
    assert (first.woken, second.woken) == (1, 1)
    assert not desk.enter(first.ticket, ["inbox:1"], alone=False)


def test_what_is_found_at_once_is_not_put_aside(ticket: Ticket) -> None:
    assert waiting.until_found(lambda: ["there"], WAIT, ["inbox:1"]) == ["there"]
    assert not ticket.parked
    assert not waiting.desk.topics()


def test_what_happens_while_it_is_looked_for_wakes_the_request(ticket: Ticket) -> None:
    def look() -> list[str]:
        waiting.desk.ring(["inbox:1"])
        return []

    waiting.until_found(look, WAIT, ["inbox:1"])
    assert ticket.parked
    assert ticket.rung


def test_asked_again_a_request_waits_no_longer_and_keeps_what_it_made(ticket: Ticket) -> None:
    made = iter(range(9))
    waiting.until_found(list, WAIT, ["inbox:1"])
    until, first = ticket.until, waiting.once("after", lambda: next(made))
    with waiting.asking(ticket):
        waiting.until_found(list, WAIT, ["inbox:1"])
        assert (ticket.until, waiting.once("after", lambda: next(made))) == (until, first)


def test_without_a_server_that_can_put_requests_aside_the_answer_comes_at_once() -> None:
    assert waiting.until_found(list, WAIT, ["inbox:1"]) == []
    assert not waiting.desk.topics()


def test_accepting_a_document_rings_its_recipients_inbox_and_both_feeds(
    hub: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[set[str]] = []
    monkeypatch.setattr(waiting, "ring_after_commit", rung.append)
    accepted = hub.send("H29", "H29.5")
    [row] = accepted.deliveries
    inbox = {waiting.inbox(row.system_id), waiting.inbox(row.system_id, "document")}
    feeds = {waiting.feed(row.recipient_id), waiting.feed(accepted.package.sender_id)}
    assert set().union(*rung) == inbox | feeds


def test_a_pushed_document_rings_no_inbox(hub: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[set[str]] = []
    monkeypatch.setattr(waiting, "ring_after_commit", rung.append)
    hub.send("H29", "H29.17")
    assert not [topic for topic in set().union(*rung) if topic.startswith("inbox")]


def test_the_sweep_finds_whose_inbox_and_events_have_something(hub: World) -> None:
    before = feed.last()
    [row] = hub.send("H29", "H29.5", now=NOW).deliveries
    keys = {str(hub.systems["transport"].pk), str(hub.systems["office"].pk)}
    feed.publish()
    told = feed.told({str(row.recipient_id), str(hub.agencies["H29.17"].pk)}, after=before)
    assert told == [row.recipient_id]
    assert delivery.systems_with_something(keys) == [row.system_id]


@pytest.mark.postgresql
def test_another_process_hears_what_is_rung(live_hub: World) -> None:
    listener = connection.copy()
    with listener.cursor() as cursor:
        cursor.execute(f"LISTEN {waiting.CHANNEL}")
    topics = [waiting.inbox(number) for number in range(900)]  # more than one message holds
    waiting.notify(topics)
    raw: Any = listener.connection
    heard = [topic for note in raw.notifies(timeout=5, stop_after=2) for topic in note.payload.split()]
    assert sorted(heard) == sorted(topics)
    listener.close()


def test_the_bell_survives_a_database_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    class Done(Exception):
        pass

    lost = iter([InterfaceError("gone"), Done()])

    def turn() -> None:
        raise next(lost)

    rings: list[str] = []
    made = bell.Bell()
    monkeypatch.setattr(made, "_turn", turn)
    monkeypatch.setattr(made, "_listen", lambda: rings.append("listens"))
    monkeypatch.setattr("exchange.bell.connection.close", lambda: rings.append("closed"))
    monkeypatch.setattr("exchange.bell.time.sleep", lambda seconds: rings.append("paused"))
    monkeypatch.setattr(waiting.desk, "ring_all", lambda: rings.append("all look again"))
    with made._reader, made._writer, pytest.raises(Done):
        made.run()
    assert rings == ["listens", "all look again", "closed", "paused", "listens", "all look again"]
