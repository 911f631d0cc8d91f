"""Long polls on the real web process: hundreds wait, with no thread for any of them."""

import asyncio
import json
import socket
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp

from tests import live
from tests.live import LiveHub, descendants, until
from tests.world import Keys, World

WAITERS = 300
DOCUMENTS = 12


def web_process(hub: LiveHub) -> int:
    """The serving process: the last child of the supervisor's web child."""
    return max(pid for pid, line in descendants(hub.supervisor.pid) if "exchange.management.web" in line)


def sockets(pid: int) -> int:
    links = [path.readlink() for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()]
    return sum(str(link).startswith("socket:") for link in links)


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


class Pollers:
    """Clients of one system that poll with leases, and what each delivery was handed out how often."""

    def __init__(self, hub: LiveHub, token: str) -> None:
        self.url = f"http://127.0.0.1:{hub.port}/api/v1/inbox?wait=30&lease=300&limit=1"
        self.headers = {"Authorization": f"Bearer {token}"}
        self.seen: Counter[str] = Counter()

    async def poll(self, session: aiohttp.ClientSession) -> None:
        while True:
            async with session.get(self.url, headers=self.headers) as response:
                assert response.status == 200
                self.seen.update(item["delivery"] for item in (await response.json())["items"])


def test_hundreds_of_waiters_hold_no_thread_and_get_each_delivery_once(tmp_path: Path, keys: Keys) -> None:
    city = World(keys)
    with live.running(tmp_path, keys, "http://127.0.0.1:9/", HUB_REQUESTS_PER_MINUTE="0") as hub:
        office, transport = hub.token("office"), hub.token("transport")
        pid = web_process(hub)
        idle = sockets(pid)

        async def scene() -> Counter[str]:
            pollers = Pollers(hub, transport)
            timeout = aiohttp.ClientTimeout(total=90)
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
                tasks = [asyncio.create_task(pollers.poll(session)) for _ in range(WAITERS)]
                await asyncio.to_thread(until, lambda: sockets(pid) >= idle + WAITERS, "all to wait")
                assert threads(pid) < 40, "a thread for each request at work, none for one that waits"
                for _ in range(DOCUMENTS):
                    raw = city.document("H29", "H29.5")
                    assert (await asyncio.to_thread(hub.send, office, raw))[0] == 201
                await asyncio.to_thread(until, lambda: len(pollers.seen) == DOCUMENTS, "every document")
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(error, asyncio.CancelledError) for error in ended)
            return pollers.seen

        assert set(asyncio.run(scene()).values()) == {1}, "no two pollers got the same delivery"
        until(lambda: sockets(pid) < idle + 40, "those that went away to be forgotten")


def test_bodies_come_in_chunks_or_break_off(tmp_path: Path, keys: Keys) -> None:
    raw = World(keys).document("H29", "H29.5")
    with live.running(tmp_path, keys, "http://127.0.0.1:9/") as hub:
        head = (
            f"POST /api/v1/packages HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Authorization: Bearer {hub.token('office')}\r\nContent-Type: application/edxml+xml\r\n"
        )
        for length in (1_000, 1_000_000):  # read before a thread is asked, and by the thread
            with socket.create_connection(("127.0.0.1", hub.port)) as client:
                client.sendall(f"{head}Content-Length: {length}\r\n\r\n<x>".encode())
        chunks = b"".join(
            b"%x\r\n%b\r\n" % (len(part), part) for part in (raw[:100], raw[100:2000], raw[2000:], b"")
        )
        with socket.create_connection(("127.0.0.1", hub.port), timeout=60) as client:
            client.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks)
            said, accepted = answer(client)
        assert "201 created" in said, accepted
    assert "Traceback" not in (tmp_path / "hub.log").read_text()


def ask(hub: LiveHub, token: str) -> socket.socket:
    """A waiting poll on a connection of its own."""
    client = socket.create_connection(("127.0.0.1", hub.port), timeout=60)
    client.sendall(
        f"GET /api/v1/inbox?wait=30&lease=300 HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: poll-1\r\n"
        f"Authorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode()
    )
    return client


def answer(client: socket.socket) -> tuple[str, Any]:
    """Head and JSON body of what comes until the server closes."""
    raw = b""
    while block := client.recv(65536):
        raw += block
    head, _, body = raw.partition(b"\r\n\r\n")
    return head.decode().lower(), json.loads(body)


def test_who_went_away_gets_nothing_and_who_waits_at_the_end_is_answered(tmp_path: Path, keys: Keys) -> None:
    city = World(keys)
    with live.running(tmp_path, keys, "http://127.0.0.1:9/") as hub:
        office, transport = hub.token("office"), hub.token("transport")
        pid = web_process(hub)
        idle = sockets(pid)
        ask(hub, transport).close()
        until(lambda: sockets(pid) <= idle, "the poll that went away to be forgotten")
        with closing(ask(hub, transport)) as first:
            until(lambda: sockets(pid) > idle, "the poll to wait")
            assert hub.send(office, city.document("H29", "H29.5"))[0] == 201
            head, page = answer(first)
        assert len(page["items"]) == 1, "nothing was leased to the one that went away"
        assert "x-request-id: poll-1" in head
        assert "ratelimit-remaining" in head

        with closing(ask(hub, transport)) as last:
            until(lambda: sockets(pid) > idle, "the poll to wait")
            hub.supervisor.terminate()
            head, page = answer(last)
        assert head.startswith("http/1.1 200")
        assert page["items"] == [], "answered, not reset"
