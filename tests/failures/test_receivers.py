"""Receivers that misbehave on the wire, and a vault that is full: an attempt is spent, nothing more."""

import errno
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from exchange import pushing, registry, vault
from exchange.models import Attempt, Delivery, Lane, Outcome, Package, State
from tests import receiver
from tests.world import ACTOR, World


@contextmanager
def wild(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that accepts and then does as it likes; its URL."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                threading.Thread(target=_alone, args=(behave, client), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
    finally:
        server.close()


def _alone(behave: Callable[[socket.socket], None], client: socket.socket) -> None:
    with suppress(OSError), client:
        behave(client)


def hangs(client: socket.socket) -> None:
    client.recv(65536)
    time.sleep(5)


def drips(client: socket.socket) -> None:
    client.recv(65536)
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(50):
        client.sendall(b"x")
        time.sleep(0.1)


def resets(client: socket.socket) -> None:
    client.recv(1024)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def floods(client: socket.socket) -> None:
    client.recv(65536)
    client.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 100000000\r\n\r\n")
    while True:
        client.sendall(b"x" * 65536)


@pytest.mark.parametrize("behave", [hangs, drips, resets, floods])
def test_a_wild_receiver_costs_one_attempt_within_the_time_limit(
    hub: World, settings: Any, behave: Callable[[socket.socket], None]
) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, push_seconds=1)
    with wild(behave) as url:
        row = sent_to(hub, url)
        began = time.monotonic()
        pushing.push_lane(Lane.NORMAL)
    assert time.monotonic() - began < 30, "the hub gave up, the receiver did not"
    row.refresh_from_db()
    assert (row.state, row.attempts) == (State.QUEUED, 1)
    assert row.due_at > row.queued_at
    assert Attempt.objects.get().outcome in (Outcome.UNREACHABLE, Outcome.REJECTED)


def test_500_then_200_and_a_lie_about_the_digest_end_in_one_handover(hub: World) -> None:
    answers = iter([receiver.status(500), receiver.status(200, b'{"sha256": "00"}'), receiver.acknowledge])

    def answer(request: receiver.Received) -> tuple[int, bytes, dict[str, str]]:
        return next(answers)(request)

    with receiver.running(answer) as endpoint:
        row = sent_to(hub, endpoint.url)
        for _ in range(3):
            Delivery.objects.update(due_at=datetime.now(UTC))
            pushing.push_lane(Lane.NORMAL)
    row.refresh_from_db()
    assert row.state == State.HANDED_OVER
    outcomes = Attempt.objects.order_by("number").values_list("outcome", flat=True)
    assert list(outcomes) == [Outcome.REJECTED, Outcome.MISMATCH, Outcome.CONFIRMED]


def test_a_full_disk_refuses_the_package_whole_and_takes_it_afterwards(
    hub: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = hub.document("H29", "H29.5")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            hub.accept(raw)
    assert not Package.objects.exists()
    assert not list(vault.path_of("0" * 64).parent.parent.parent.rglob(".*")), "nothing half written is left"
    assert vault.get(hub.accept(raw).package.sha256) == raw


def sent_to(hub: World, url: str) -> Delivery:
    """A delivery that waits for the health system at `url`."""
    by = registry.Change(ACTOR, datetime.now(UTC))
    registry.update_system(hub.systems["health"], by=by, callback_url=url)
    [row] = hub.send("H29", "H29.17", now=datetime.now(UTC)).deliveries
    return row
