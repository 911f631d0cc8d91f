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

from exchange.refusals import Problem

_BLOCK = 1 << 16
_RETRY_SECONDS = 10
_PLACE_SECONDS = 0.5  # many bodies that come quickly only look like too many for a moment


class Arriving:
    """`application`, called with bodies that are there: in memory, above `in_memory` bytes in a file.

    At most `places` bodies arrive at once; one more is refused with 503 hub.busy, unread. Of a body
    at most `limit` bytes are read, one more shows the application that it is too large.
    """

    def __init__(self, application: WSGIApplication, *, places: int, limit: int, in_memory: int) -> None:
        self._application, self._limit, self._in_memory = application, limit, in_memory
        self._places = BoundedSemaphore(places)

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """WSGI (PEP 3333)."""
        if not _has_body(environ):
            return self._application(environ, start)
        if not self._places.acquire(timeout=_PLACE_SECONDS):
            return _busy(start)
        try:
            environ["wsgi.input"] = self._arrived(environ["wsgi.input"], environ.get("CONTENT_LENGTH", ""))
        finally:
            self._places.release()
        return self._application(environ, start)

    def _arrived(self, stream: IO[bytes], announced: str) -> IO[bytes]:
        """The whole body. Nothing of one that is announced as too large: its length alone refuses it."""
        body = SpooledTemporaryFile(self._in_memory)  # noqa: SIM115 - it ends with the request
        left = 0 if announced.isdecimal() and int(announced) > self._limit else self._limit + 1
        while left and (block := stream.read(min(_BLOCK, left))):
            body.write(block)
            left -= len(block)
        body.seek(0)
        return body


def _has_body(environ: WSGIEnvironment) -> bool:
    return environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ


def _busy(start: StartResponse) -> Iterable[bytes]:
    problem = Problem("hub.busy", {"seconds": _RETRY_SECONDS})
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
