"""The bytes of a package from the body of a request, as they came and never more than allowed."""

from typing import BinaryIO

from django.conf import settings
from django.http import HttpRequest

from agencies.directory import System
from exchange.refusals import Refused

MEDIA_TYPES = ("application/edxml+xml", "application/xml", "text/xml", "application/octet-stream")
_BLOCK = 1 << 20
_DIGITS = 18  # of a length that any machine could hold


def read_package(request: HttpRequest, system: System) -> bytes:
    """The body of `request`; at most one byte more than allowed is ever read.

    Raises Refused: request.media-type (also for multipart and any Content-Encoding), package.too-large,
    request.invalid (fewer bytes than announced).
    """
    _check_type(request)
    limit = min(
        settings.ENVIRONMENT.max_package_bytes, system.max_bytes or settings.ENVIRONMENT.max_package_bytes
    )
    length = announced(request)
    if length is not None and length > limit:
        raise Refused("package.too-large", size=length, limit=limit)
    raw = _read(_stream(request, length), limit)
    if length is not None and len(raw) < length:
        raise Refused("request.invalid", why=f"Content-Length {length}, {len(raw)} bytes received")
    return raw


def wait_for(request: HttpRequest) -> int | None:
    """Let the whole body arrive (see exchange.arriving), before it takes a place among large packages.

    Returns its announced length. Raises Refused: hub.busy, request.invalid.
    """
    length = announced(request)
    if arrive := getattr(request.META.get("wsgi.input"), "arrive", None):
        arrive()
    return length


def read_at_most(request: HttpRequest, limit: int) -> bytes:
    """The body of `request`, whatever its type. Raises Refused: package.too-large, request.invalid."""
    return _read(_stream(request, announced(request)), limit)


def _check_type(request: HttpRequest) -> None:
    expected = ", ".join(MEDIA_TYPES)
    media_type = (request.content_type or "").lower()
    if media_type not in MEDIA_TYPES:
        raise Refused("request.media-type", media_type=media_type, expected=expected)
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise Refused("request.media-type", media_type=f"{media_type}; {encoding}", expected=expected)


def announced(request: HttpRequest) -> int | None:
    """The Content-Length; None for a chunked body. Raises Refused request.invalid for what is no number."""
    text = str(request.META.get("CONTENT_LENGTH") or "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise Refused("request.invalid", why="Content-Length")
    return int(text)


def _stream(request: HttpRequest, length: int | None) -> BinaryIO:
    """Django reads nothing of a body without a length; the server's own stream ends where the body ends."""
    if length is None and request.META.get("wsgi.input_terminated"):
        stream: BinaryIO = request.META["wsgi.input"]
        return stream
    return request  # type: ignore[return-value]


def _read(stream: BinaryIO, limit: int) -> bytes:
    raw = bytearray()
    while len(raw) <= limit and (block := stream.read(min(_BLOCK, limit + 1 - len(raw)))):
        raw += block
    if len(raw) > limit:
        raise Refused("package.too-large", size=len(raw), limit=limit)
    return bytes(raw)
