"""Slow callers at the real web process: granian as `runhub` starts it, few threads, no proxy in front."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from pathlib import Path

import pytest

from exchange.envelope import package as envelope
from tests.live import LiveHub, descendants, running
from tests.world import Keys, World

pytestmark = [pytest.mark.once, pytest.mark.xdist_group("slow callers")]  # one hub for all of them

THREADS = 4
PLACES = 16 * THREADS
LARGE = 8 * 1024 * 1024
READERS = 100


@pytest.fixture(scope="module")
def slow_hub(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Iterator[LiveHub]:
    limits = {"HUB_WEB_THREADS": str(THREADS), "HUB_LARGE_AT_ONCE": "1", "HUB_ISOLATE_BYTES": "20000"}
    with running(tmp_path_factory.mktemp("hub"), keys, "http://127.0.0.1:9/", **limits) as hub:
        yield hub


def head(token: str, length: int, *more: str) -> bytes:
    """The head of a request that sends a package of `length` bytes."""
    lines = (
        "POST /api/v1/packages HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token}",
        "Content-Type: application/edxml+xml",
        f"Content-Length: {length}",
        *more,
    )
    return "\r\n".join((*lines, "", "")).encode()


def opened(hub: LiveHub, sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", hub.port), timeout=60)
    connection.sendall(sent)
    return connection


def answer(connection: socket.socket) -> HTTPResponse:
    response = HTTPResponse(connection)
    response.begin()
    return response


def memory(hub: LiveHub) -> int:
    """Bytes that the web processes have of their own (not of files)."""
    web = [pid for pid, line in descendants(hub.supervisor.pid) if "exchange.management.web" in line]
    told = [Path(f"/proc/{pid}/status").read_text() for pid in web]
    return 1024 * sum(int(number) for one in told for number in re.findall(r"RssAnon:\s+(\d+)", one))


@contextmanager
def slow_senders(hub: LiveHub, token: str, count: int, length: int) -> Iterator[list[socket.socket]]:
    """Connections whose bodies have begun and do not go on; the hub has seen that each one waits.

    It says so itself: to `Expect: 100-continue` it answers only when it begins to wait for the body.
    """
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            one = stack.enter_context(opened(hub, head(token, length, "Expect: 100-continue")))
            assert one.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            one.sendall(b"<")
            found.append(one)
        yield found


def test_slow_bodies_hold_neither_the_hub_nor_the_place_of_a_large_package(
    slow_hub: LiveHub, hub: World
) -> None:
    token = slow_hub.token("office")
    large = hub.document("H29", "H29.5", attachments=[envelope.attach("a.txt", b"x" * 40_000)])
    with slow_senders(slow_hub, token, THREADS - 1, len(large)):
        # Large bodies wait, and the one place for large packages is free: this one is taken.
        status, taken = slow_hub.send(token, large)
        assert status == 201, taken
    with slow_senders(slow_hub, token, THREADS, len(large)) as waiting:
        # As many bodies wait as may: the next one is refused, and whatever has no body is answered.
        status, refused = slow_hub.send(token, large)
        assert (status, refused["code"]) == (503, "hub.busy")
        assert slow_hub.request("GET", "/healthz")[0] == 200
        assert slow_hub.call(token, "GET", f"packages/{taken['id']}")[0] == 200
        waiting[0].close()
        # One sender hung up, and its place is free again.
        waiting[1].sendall(large[1:])
        assert answer(waiting[1]).status == 200  # slow, not lost: the same package again
    assert slow_hub.send(token, large)[0] == 200


def test_a_body_is_asked_for_only_when_it_will_be_read(slow_hub: LiveHub, hub: World) -> None:
    token = slow_hub.token("office")
    hub.number = 200
    raw = hub.document("H29", "H29.5")
    with opened(slow_hub, head(token, len(raw), "Expect: 100-continue")) as polite:
        assert polite.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        polite.sendall(raw)
        assert answer(polite).status == 201
    with opened(slow_hub, head(token, 10**12, "Expect: 100-continue")) as greedy:
        assert answer(greedy).status == 413  # no 100 Continue before it


def test_a_large_body_of_somebody_unknown_is_not_asked_for(slow_hub: LiveHub) -> None:
    with opened(slow_hub, head("no-token", 10**6, "Expect: 100-continue")) as unknown:
        assert answer(unknown).status == 401  # no 100 Continue before it


def test_slow_small_bodies_leave_room_for_whoever_sends_none(slow_hub: LiveHub) -> None:
    with slow_senders(slow_hub, "no-token", PLACES, 1000) as waiting:
        status, refused = slow_hub.request("POST", "/oauth/token", b"grant_type=client_credentials")
        assert (status, refused["code"]) == (503, "hub.busy")
        assert slow_hub.request("GET", "/healthz")[0] == 200
        waiting[0].sendall(b" " * 999)
        assert answer(waiting[0]).status == 401


def test_slow_readers_cost_no_memory(slow_hub: LiveHub, hub: World) -> None:
    """They take the head of a large answer and then nothing; one goes on and gets every byte."""
    hub.number = 300
    raw = hub.document("H29", "H29.5", attachments=[envelope.attach("plan.bin", os.urandom(LARGE))])
    token = slow_hub.token("office")
    status, told = slow_hub.send(token, raw)
    assert status == 201, told
    lines = (
        f"GET /api/v1/packages/{told['id']}/content HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token}",
    )
    before = memory(slow_hub)
    with ExitStack() as stack:
        asked = "\r\n".join((*lines, "", "")).encode()
        readers = [stack.enter_context(opened(slow_hub, asked)) for _ in range(READERS)]
        assert all(one.recv(12, socket.MSG_WAITALL | socket.MSG_PEEK) == b"HTTP/1.1 200" for one in readers)
        assert slow_hub.request("GET", "/healthz")[0] == 200
        assert memory(slow_hub) - before < READERS * LARGE / 4
        assert answer(readers[0]).read() == raw


@pytest.mark.parametrize("length", ["-1", "1, 2", "0x10", "9" * 30])
def test_a_length_that_is_none_ends_the_request(slow_hub: LiveHub, length: str) -> None:
    sent = head("none", 0).replace(b"Content-Length: 0", b"Content-Length: " + length.encode())
    with opened(slow_hub, sent) as odd:
        assert answer(odd).status in (400, 401, 413)
