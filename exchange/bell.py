"""The bell of a web process: one thread and one database connection wake all requests that wait in it.

On PostgreSQL it listens to what other processes ring, and passes on what its own one rings. On both it looks
now and then, for all that wait together, whether something is there: what nobody rang (a lease that ended, an
agency that changed its system), what a lost connection missed, and on SQLite what other processes did.
"""

import select
import socket
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import structlog
from django.db import DatabaseError, InterfaceError, connection

from exchange import delivery, feed, proofs, waiting

SWEEP_SECONDS = {"postgresql": 2.0, "sqlite": 0.5}
QUIET_SECONDS = 0.05  # under load, what is rung meanwhile goes out together
AGAIN_SECONDS = 1.0

if TYPE_CHECKING:
    import psycopg

_logger = structlog.get_logger(__name__)


class Bell(threading.Thread):
    """Started once in a web process; ends with it."""

    def __init__(self) -> None:
        super().__init__(name="bell", daemon=True)
        self._topics: SimpleQueue[Collection[str]] = SimpleQueue()
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._swept_at = self._sent_at = 0.0
        self._feed_seen: int | None = None
        self._head_seen: object = None

    def carry(self, topics: Collection[str]) -> None:
        """Tell the other processes; returns at once."""
        self._topics.put(topics)
        with suppress(BlockingIOError):  # it is awake already
            self._writer.send(b".")

    def run(self) -> None:
        """Until the process ends; a database that cannot be reached is tried again."""
        while True:
            try:
                self._listen()
                waiting.desk.ring_all()
                while True:
                    self._turn()
            except (DatabaseError, InterfaceError) as error:
                _logger.warning("bell_lost", error=type(error).__name__)
                connection.close()
                time.sleep(AGAIN_SECONDS)

    def _listen(self) -> None:
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute(f"LISTEN {waiting.CHANNEL}")

    def _turn(self) -> None:
        """Wait for something to pass on, or for the time of the next sweep."""
        listening = [connection.connection] if connection.vendor == "postgresql" else []
        left = self._swept_at + SWEEP_SECONDS[connection.vendor] - time.monotonic()
        ready, _, _ = select.select([self._reader, *listening], [], [], max(0.0, left))
        if self._reader in ready:
            self._reader.recv(4096)
            self._pass_on()
        if connection.vendor == "postgresql":
            self._hear(connection.connection)
        if left <= 0:
            self._swept_at = time.monotonic()
            self._sweep(waiting.desk.topics())

    def _hear(self, raw: "psycopg.Connection[Any]") -> None:
        for note in raw.notifies(timeout=0):
            if note.pid != raw.info.backend_pid:  # what this process rang was heard here at once
                waiting.desk.ring(note.payload.split())

    def _pass_on(self) -> None:
        if (early := self._sent_at + QUIET_SECONDS - time.monotonic()) > 0:
            time.sleep(early)
        topics: set[str] = set()
        with suppress(Empty):
            while True:
                topics.update(self._topics.get_nowait())
        if topics:
            waiting.notify(topics)
        self._sent_at = time.monotonic()

    def _sweep(self, topics: Collection[str]) -> None:
        """Ring what has come up without being heard; without waiters nothing is asked."""
        systems, agencies = _named(topics, "inbox"), _named(topics, "feed")
        if systems:
            waiting.desk.ring([waiting.inbox(key) for key in delivery.systems_with_something(systems)])
        if agencies:
            after, self._feed_seen = self._feed_seen, feed.last()
            told = agencies if after is None else feed.told(agencies, after=after)
            waiting.desk.ring([waiting.feed(key) for key in told])
        if waiting.SEALED in topics:
            before, self._head_seen = self._head_seen, proofs.newest_head()
            if before != self._head_seen:
                waiting.desk.ring([waiting.SEALED])


def _named(topics: Collection[str], kind: str) -> set[str]:
    pairs = (topic.split(":") for topic in topics if ":" in topic)
    return {name for prefix, name in pairs if prefix == kind}
