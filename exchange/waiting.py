"""Long polls: a request that finds nothing is put aside, and asked again when there may be something.

A view calls `until_found` in the thread that serves it, and answers "nothing" when that finds nothing. Who
serves the request (`exchange.rsgi`) keeps this answer back, and with it neither a thread nor a database
connection, until one of the topics is rung or the time is over. Rung, the whole request is asked again: a
credential that was revoked meanwhile gets nothing. A server that cannot put requests aside answers at once.
"""

import random
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from threading import Lock
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection, transaction

CHANNEL = "hub_waiting"
SEALED = "sealed"
"""Rung when a new head of the log was published."""
_PAYLOAD = 7000  # PostgreSQL takes fewer than 8000 bytes

Found = TypeVar("Found")
Made = TypeVar("Made")


def inbox(system: object, kind: str = "") -> str:
    """The topic of a system's inbox, or of one kind of package in it."""
    return f"inbox-{kind}:{system}" if kind else f"inbox:{system}"


def feed(agency: object) -> str:
    """The topic of an agency's events."""
    return f"feed:{agency}"


class Ticket:
    """One request that may wait; `wake` is called, from any thread, when it should be asked again."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake
        self.parked = False
        self.until = 0.0
        self.topics: frozenset[str] = frozenset()
        self.alone = False
        self.rung = False
        self.closing: Callable[[int], None] | None = None
        self.kept: dict[str, Any] = {}


class Desk:
    """The requests of this process that wait, by topic. Every method may be called by any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_topic: dict[str, dict[Ticket, None]] = {}
        self._tickets: set[Ticket] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._tickets)

    def enter(self, ticket: Ticket, topics: Collection[str], *, alone: bool) -> bool:
        """Let `ticket` hear of `topics`; False when the hub stops or so many wait already."""
        with self._lock:
            ticket.rung = False
            if ticket in self._tickets:
                return not self._closed
            if self._closed or len(self._tickets) >= settings.ENVIRONMENT.max_waiters:
                return False
            ticket.topics, ticket.alone = frozenset(topics), alone
            self._tickets.add(ticket)
            for topic in ticket.topics:
                self._by_topic.setdefault(topic, {})[ticket] = None
            return True

    def leave(self, ticket: Ticket) -> None:
        """Forget `ticket`. Was it woken instead of others, it is the turn of the next."""
        with self._lock:
            if ticket not in self._tickets:
                return
            self._tickets.remove(ticket)
            for topic in ticket.topics:
                del self._by_topic[topic][ticket]
                if not self._by_topic[topic]:
                    del self._by_topic[topic]
        if ticket.alone and ticket.rung:
            self.ring(ticket.topics)

    def ring(self, topics: Collection[str]) -> None:
        """Wake who waits for one of `topics`; of those that would take it from each other, the first only."""
        with self._lock:
            woken = {ticket for topic in topics for ticket in self._heard(topic)}
            for ticket in woken:
                ticket.rung = True
        for ticket in woken:
            ticket.wake()

    def _heard(self, topic: str) -> Iterator[Ticket]:
        first = True
        for ticket in self._by_topic.get(topic, ()):
            if ticket.rung or (ticket.alone and not first):
                continue
            first = first and not ticket.alone
            yield ticket

    def ring_all(self) -> None:
        """Wake everybody: what was rung lately may not have been heard."""
        with self._lock:
            woken = set(self._tickets)
        for ticket in woken:
            ticket.wake()

    def topics(self) -> set[str]:
        """What somebody waits for."""
        with self._lock:
            return set(self._by_topic)

    @property
    def closed(self) -> bool:
        """Whether the process is about to stop."""
        return self._closed

    def close(self) -> None:
        """Nobody waits any more: everybody is answered with what there is."""
        self._closed = True
        self.ring_all()


desk = Desk()
_ticket: ContextVar[Ticket | None] = ContextVar("ticket", default=None)


@contextmanager
def asking(ticket: Ticket) -> Iterator[None]:
    """The request that this thread serves meanwhile may be put aside with `ticket`."""
    ticket.parked = False
    token = _ticket.set(ticket)
    try:
        yield
    finally:
        _ticket.reset(token)


def until_found(
    look: Callable[[], list[Found]], wait: timedelta, topics: Collection[str], *, alone: bool = False
) -> list[Found]:
    """What `look` finds; when that is nothing, the request is put aside for `wait`, if it can be.

    `alone`: who finds something takes it from the others, so that they are woken one after the other.
    """
    ticket = _ticket.get()
    if ticket is None or not wait:
        return look()
    held = desk.enter(ticket, topics, alone=alone)  # first: what happens after the look must be heard
    found = look()
    if found:
        ticket.rung = True  # there may be more than this one took
        desk.leave(ticket)
    elif held:
        # Those that came together, as all do after a restart, must not all come back together.
        share = random.uniform(0.9, 1)  # noqa: S311 - spreads load, keeps no secret
        ticket.until = ticket.until or time.monotonic() + share * wait.total_seconds()
        ticket.parked = True
    return found


def parked() -> Ticket | None:
    """The ticket of this thread's request, when it was put aside."""
    ticket = _ticket.get()
    return ticket if ticket is not None and ticket.parked else None


def once(name: str, make: Callable[[], Made]) -> Made:
    """What `make` made when the request was asked the first time."""
    ticket = _ticket.get()
    if ticket is None:
        return make()
    if name not in ticket.kept:
        ticket.kept[name] = make()
    made: Made = ticket.kept[name]
    return made


# --- between processes --------------------------------------------------------------------------------

Carry = Callable[[Collection[str]], None]
_carrier: Carry | None = None


def carry_by(carrier: Carry | None) -> None:
    """Let `carrier` tell the other processes what is rung in this one, instead of the ringing thread."""
    global _carrier  # noqa: PLW0603 - one for each process
    _carrier = carrier


def ring_after_commit(topics: Collection[str]) -> None:
    """When the running transaction has committed, ring `topics` in every process.

    Not within it: PostgreSQL lets only one transaction with a NOTIFY commit at a time.
    """
    if topics:
        transaction.on_commit(partial(ring, frozenset(topics)))


def ring(topics: Collection[str]) -> None:
    """Ring `topics` in every process. What is lost is found by the next sweep of `exchange.bell`."""
    desk.ring(topics)
    (_carrier or notify)(topics)


def notify(topics: Collection[str]) -> None:
    """Send `topics` to the processes that listen, over this thread's connection. SQLite has no such thing."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        # Nothing is lost with this commit, so it waits for no disk.
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'off', true), pg_notify(%s, payload) "
            "FROM unnest(%s::text[]) AS payload",
            [CHANNEL, _payloads(sorted(topics))],
        )


def _payloads(topics: list[str]) -> list[str]:
    """`topics` separated by spaces, in as few texts as PostgreSQL takes."""
    texts = [""]
    for topic in topics:
        if len(texts[-1]) + len(topic) >= _PAYLOAD:
            texts.append("")
        texts[-1] = f"{texts[-1]} {topic}".lstrip()
    return texts
