"""The hub as the web process serves it: an event loop in front of the synchronous application.

Every request is answered by the WSGI application in one of HUB_WEB_THREADS threads. The loop does what would
hold a thread for nothing: it waits for bodies to arrive and for readers that take their time, and keeps the
requests that `exchange.waiting` puts aside. The server's interface is RSGI (see granian's documentation).
"""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from django.conf import settings
from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope  # type: ignore[attr-defined]

from exchange.wsgi import application as hub  # sets Django up, which the others need

# isort: split
from exchange import waiting
from exchange.arriving import BUSY_SECONDS, Arriving, LateBody
from exchange.bell import Bell
from exchange.refusals import Problem, Refused

SMALL_BODIES = 16  # that may arrive at once, for each thread
BLOCK = 256 * 1024
CLIENT_GONE = 499  # in log and metrics only
_SWITCH_SECONDS = 0.0005
_BASIC = {
    "SCRIPT_NAME": "",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": True,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}


@dataclass(slots=True)
class Answer:
    """What the application answered: the whole body, or its beginning and where the rest comes from."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    rest: Iterator[bytes] | None
    close: Callable[[], None]


class Application:
    """One for each web process."""

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called by the server before the first request."""
        # The loop must not wait long for a thread that computes; measured in docs/decisions/0403.
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._loop = loop
        threads = settings.ENVIRONMENT.web_threads
        limit = 2 * settings.ENVIRONMENT.max_package_bytes  # a packet of the national axis is larger
        self._small = Arriving(places=SMALL_BODIES * threads, limit=limit)
        self._large = Arriving(places=threads, limit=limit)
        self._threads = ThreadPoolExecutor(2 * threads, "web")  # half of them may wait for large bodies
        bell = Bell()
        waiting.carry_by(bell.carry)
        bell.start()
        # Beside the server's own handler on this loop, which waits until every request is answered.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(waiting.desk.close))
            signal.siginterrupt(number, False)

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one request."""
        environ = _environ(scope)
        try:
            await self._take_in(environ, protocol)
        except ProtocolClosed:  # the client went away before its body was here
            return
        except Refused as refused:
            await self._send(_busy(refused.problems[0]), protocol)
            return
        woken = asyncio.Event()
        ticket = waiting.Ticket(partial(self._loop.call_soon_threadsafe, woken.set))
        answer = await self._ask(environ, ticket)
        if ticket.parked:
            last = await self._put_aside(environ, ticket, woken, answer, protocol)
            if last is None:
                return
            answer = last
        await self._send(answer, protocol)

    async def _ask(self, environ: dict[str, Any], ticket: waiting.Ticket) -> Answer:
        return await self._loop.run_in_executor(self._threads, _answer, environ, ticket)

    async def _put_aside(
        self,
        environ: dict[str, Any],
        ticket: waiting.Ticket,
        woken: asyncio.Event,
        answer: Answer,
        protocol: HTTPProtocol,
    ) -> Answer | None:
        """The answer when there is something, the time is over or the hub stops; None: nobody listens."""
        gone = asyncio.ensure_future(protocol.client_disconnect())
        gone.add_done_callback(lambda _: woken.set())
        environ["HTTP_X_REQUEST_ID"] = dict(answer.headers).get("X-Request-Id", "")
        try:
            while ticket.parked and not waiting.desk.closed:
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, ticket.until - time.monotonic())):
                        await woken.wait()
                if gone.done() or not woken.is_set():
                    break
                woken.clear()
                answer = await self._ask(environ, ticket)
        finally:
            waiting.desk.leave(ticket)
            left = gone.done()
            gone.cancel()
        if ticket.parked and ticket.closing:
            ticket.closing(CLIENT_GONE if left else answer.status)
        return None if left else answer

    async def _take_in(self, environ: dict[str, Any], protocol: HTTPProtocol) -> None:
        """Let a small body arrive, and a larger one when it is wanted. Raises Refused, ProtocolClosed."""
        announced = environ.get("CONTENT_LENGTH", "")
        length = int(announced) if announced.isdecimal() else None
        if not length and "HTTP_TRANSFER_ENCODING" not in environ:
            environ["wsgi.input"] = BytesIO()
        elif length is not None and length <= settings.ENVIRONMENT.isolate_bytes:
            environ["wsgi.input"] = await self._small.body(protocol, length)
        else:
            environ["wsgi.input"] = LateBody(protocol, length, self._large, self._loop)

    async def _send(self, answer: Answer, protocol: HTTPProtocol) -> None:
        headers = [(name.lower(), value) for name, value in answer.headers]
        if answer.rest is None:
            protocol.response_bytes(answer.status, headers, answer.body)
            return
        try:
            with suppress(ProtocolClosed):  # the client went away
                transport = protocol.response_stream(answer.status, headers)
                block, more = answer.body, True
                while more:
                    await transport.send_bytes(block)
                    block, more = await self._loop.run_in_executor(self._threads, _gather, answer.rest)
                await transport.send_bytes(block)
        finally:
            await self._loop.run_in_executor(self._threads, answer.close)


def _environ(scope: Scope) -> dict[str, Any]:
    """The CGI variables of `scope`. A name with an underscore is left out: it could pass for a proxy's."""
    host, _, port = scope.server.rpartition(":")
    environ = {
        **_BASIC,
        "REQUEST_METHOD": scope.method,
        "PATH_INFO": unquote_to_bytes(scope.path).decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "SERVER_NAME": host.strip("[]"),
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "wsgi.url_scheme": scope.scheme,
    }
    for name, value in scope.headers.items():
        if "_" in name:
            continue
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        before = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}" if key in environ else ""
        environ[key] = before + value
    return environ


def _answer(environ: dict[str, Any], ticket: waiting.Ticket) -> Answer:
    """Ask the application, and read what it answers as far as one block."""
    begun: list[tuple[int, list[tuple[str, str]]]] = []

    def start(status: str, headers: list[tuple[str, str]], *_error: object) -> Callable[[bytes], object]:
        begun.append((int(status.partition(" ")[0]), headers))
        return _no_writing

    with waiting.asking(ticket):
        result = hub(dict(environ), start)
        close: Callable[[], None] = getattr(result, "close", lambda: None)
        rest = iter(result)
        try:
            body, more = _gather(rest)
        except BaseException:
            close()
            raise
    if not more:
        close()
    status, headers = begun[0]
    ticket.parked = ticket.parked and status == 200
    return Answer(status, headers, body, rest if more else None, close)


def _busy(problem: Problem) -> Answer:
    told = {"status": 503, "code": problem.code, "title": problem.title(), "detail": problem.detail()}
    headers = {
        "Content-Type": "application/problem+json",
        "Cache-Control": "no-store",
        "Retry-After": str(BUSY_SECONDS),
    }
    return Answer(
        503, list(headers.items()), json.dumps(told, ensure_ascii=False).encode(), None, lambda: None
    )


def _no_writing(_text: bytes) -> None:
    raise NotImplementedError("write() of PEP 3333 is for frameworks of before 2003")


def _gather(blocks: Iterator[bytes]) -> tuple[bytes, bool]:
    """About a block of what comes next, and whether more may come."""
    gathered, size = [], 0
    for block in blocks:
        gathered.append(block)
        size += len(block)
        if size >= BLOCK:
            return b"".join(gathered), True
    return b"".join(gathered), False


application = Application()
