"""Bodies arrive before anything works on them, and few of those that come slowly hold a thread.

Granian gives a thread to a request as soon as it has the headers. Without this, as many callers as there are
threads, sending their bodies slowly or never, would keep out everybody, and two of them every large package.
"""

import json
from collections.abc import Iterable
from tempfile import SpooledTemporaryFile
from threading import BoundedSemaphore
from typing import IO
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from exchange.refusals import Problem, Refused

_BLOCK = 1 << 16
_RETRY_SECONDS = 10
_PLACE_SECONDS = 0.5  # many bodies that come quickly only look like too many for a moment


class Arriving:
    """`application`, whose requests bring their bodies into memory, above `small` bytes into a file.

    At most `places` bodies arrive at once; one more is refused with 503 hub.busy, unread. A small body is
    there before the application is called. Another one arrives when the application first wants it, so after
    it knows who sends it. At most `limit` bytes are read, one more shows that it is too large.
    """

    def __init__(self, application: WSGIApplication, *, places: int, limit: int, small: int) -> None:
        self._application, self._limit, self._small = application, limit, small
        self._places = BoundedSemaphore(places)

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """WSGI (PEP 3333)."""
        announced = environ.get("CONTENT_LENGTH", "")
        length = int(announced) if announced.isdecimal() else None
        if length or "HTTP_TRANSFER_ENCODING" in environ:
            # Nothing is read of what is announced as too large: its length alone refuses it.
            left = 0 if (length or 0) > self._limit else self._limit + 1
            body = _Body(environ["wsgi.input"], left, self._small, self._places)
            environ["wsgi.input"] = body
            try:
                if length is not None and length <= self._small:
                    body.arrive()
            except Refused as refused:
                return _busy(refused.problems[0], start)
        return self._application(environ, start)


class _Body:
    """`wsgi.input`: what arrived of `stream`, at most `left` bytes."""

    def __init__(self, stream: IO[bytes], left: int, small: int, places: BoundedSemaphore) -> None:
        self._stream, self._left, self._small, self._places = stream, left, small, places
        self._arrived: IO[bytes] | None = None

    def arrive(self) -> IO[bytes]:
        """All of it, from its beginning. Raises Refused hub.busy."""
        if self._arrived is None:
            if not self._places.acquire(timeout=_PLACE_SECONDS):
                raise Refused("hub.busy", seconds=_RETRY_SECONDS)
            try:
                self._arrived = self._kept()
            finally:
                self._places.release()
        return self._arrived

    def read(self, size: int = -1) -> bytes:
        """As of a file. Raises Refused hub.busy."""
        return self.arrive().read(size)

    def readline(self, size: int = -1) -> bytes:
        """As of a file. Raises Refused hub.busy."""
        return self.arrive().readline(size)

    def _kept(self) -> IO[bytes]:
        body = SpooledTemporaryFile(self._small)  # noqa: SIM115 - it ends with the request
        while self._left and (block := self._stream.read(min(_BLOCK, self._left))):
            body.write(block)
            self._left -= len(block)
        body.seek(0)
        return body


def _busy(problem: Problem, start: StartResponse) -> Iterable[bytes]:
    told = {"status": 503, "code": problem.code, "title": problem.title(), "detail": problem.detail()}
    body = json.dumps(told, ensure_ascii=False).encode()
    headers = [
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Retry-After", str(_RETRY_SECONDS)),
    ]
    start("503 Service Unavailable", headers)
    return [body]
