"""The hub as the web process serves it: an event loop in front of the synchronous application.

Every request is answered by the WSGI application in a thread: twice HUB_WEB_THREADS, so that half may
wait for large bodies. The loop does what would hold a thread for nothing: it waits for small bodies to arrive
and for readers that take their time, and keeps the requests that `exchange.waiting` puts aside. The server's
interface is RSGI (see granian's documentation).
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from io import SEEK_END, BufferedReader, BytesIO
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from django.conf import settings
from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope  # type: ignore[attr-defined]

from exchange.wsgi import application as hub  # sets Django up, which the others need

# isort: split
from exchange import waiting
from exchange.arriving import BUSY_SECONDS, IN_MEMORY, Arriving, LateBody
from exchange.bell import Bell
from exchange.refusals import Problem, Refused

SMALL_BODIES = 16  # that may arrive at once, for each thread
CLIENT_GONE = 499  # in log and metrics only
_SWITCH_SECONDS = 0.0005
_OPENED_SECONDS = 10  # within which the server has opened a file itself; it takes milliseconds
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
    """What the application answered, whole: a body above IN_MEMORY bytes lies in a file."""

    status: int
    headers: list[tuple[str, str]]
    body: IO[bytes]


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
            self._send(_busy(refused.problems[0]), protocol)
            return
        woken = asyncio.Event()
        ticket = waiting.Ticket(partial(self._loop.call_soon_threadsafe, woken.set))
        answer = await self._ask(environ, ticket)
        if ticket.parked:
            last = await self._put_aside(environ, ticket, woken, answer, protocol)
            if last is None:
                return
            answer = last
        self._send(answer, protocol)

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

    def _send(self, answer: Answer, protocol: HTTPProtocol) -> None:
        """Leave the answer to the server. It reads a file as fast as the client takes it, with no thread of
        ours; what is handed to it in pieces it would keep in memory for a client that reads slowly."""
        headers = [(name.lower(), value) for name, value in answer.headers]
        body = answer.body
        if body.seek(0, SEEK_END) <= IN_MEMORY:
            body.seek(0)
            protocol.response_bytes(answer.status, headers, body.read())
            body.close()
            return
        protocol.response_file(answer.status, headers, f"/dev/fd/{body.fileno()}")
        self._loop.call_later(_OPENED_SECONDS, body.close)


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
    """Ask the application, and take all that it answers."""
    begun: list[tuple[int, list[tuple[str, str]]]] = []

    def start(status: str, headers: list[tuple[str, str]], *_error: object) -> Callable[[bytes], object]:
        begun.append((int(status.partition(" ")[0]), headers))
        return _no_writing

    with waiting.asking(ticket):
        body = _whole(hub({**environ, "wsgi.file_wrapper": _File}, start))
    status, headers = begun[0]
    ticket.parked = ticket.parked and status == 200
    return Answer(status, headers, body)


class _File:
    """A file that the application answers with: `wsgi.file_wrapper` of PEP 3333."""

    def __init__(self, file: IO[bytes], block: int = IN_MEMORY) -> None:
        self.file, self._block = file, block

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.file.read(self._block), b"")

    def close(self) -> None:
        self.file.close()


def _whole(result: Iterable[bytes]) -> IO[bytes]:
    """The body of an answer; a file that is sent from its beginning is not copied."""
    try:
        if isinstance(result, _File) and isinstance(result.file, BufferedReader) and not result.file.tell():
            return os.fdopen(os.dup(result.file.fileno()), "rb")
        body = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - it ends when it was sent
        body.writelines(result)
        return body
    finally:
        getattr(result, "close", lambda: None)()


def _busy(problem: Problem) -> Answer:
    told = {"status": 503, "code": problem.code, "title": problem.title(), "detail": problem.detail()}
    headers = {
        "Content-Type": "application/problem+json",
        "Cache-Control": "no-store",
        "Retry-After": str(BUSY_SECONDS),
    }
    return Answer(503, list(headers.items()), BytesIO(json.dumps(told, ensure_ascii=False).encode()))


def _no_writing(_text: bytes) -> None:
    raise NotImplementedError("write() of PEP 3333 is for frameworks of before 2003")


application = Application()
