"""The original bytes of a package as an answer, read from the vault while they are sent."""

import re
from base64 import b64encode
from collections.abc import Iterator
from typing import BinaryIO

from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from exchange import retention
from exchange.api.endpoint import has_current
from exchange.models import Package

MEDIA_TYPE = "application/edxml+xml"
_BLOCK = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def answer_bytes(request: Request, package: Package) -> HttpResponseBase:
    """The bytes with their digest (RFC 9530), one range of them (RFC 9110, 14), or 304.

    The caller has asked whether they may be served. Raises Refused package.removed.
    """
    etag = f'"{package.sha256}"'
    digest = f"sha-256=:{b64encode(bytes.fromhex(package.sha256)).decode()}:"
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Repr-Digest": digest}
    if has_current(request, etag):
        return HttpResponse(status=304, headers=headers)
    asked = _asked(request, package.size, etag)
    if asked is None:
        return _sent(package, range(package.size), 200, {**headers, "Content-Digest": digest})
    where = f"bytes {asked.start}-{asked.stop - 1}/{package.size}"
    return _sent(package, asked, 206, {**headers, "Content-Range": where})


def _asked(request: Request, size: int, etag: str) -> range | None:
    """The bytes asked for, or None for all of them.

    What is not one simple range within the content, or belongs to another version (If-Range), is answered
    whole, as a server may.
    """
    found = _RANGE.fullmatch(request.headers.get("Range", ""))
    if found is None or request.headers.get("If-Range", etag) != etag:
        return None
    first, last = found.groups()
    if first:
        part = range(int(first), min(size, int(last) + 1 if last else size))
    else:
        part = range(max(0, size - int(last or 0)), size)
    return part if part else None


def _sent(package: Package, part: range, status: int, headers: dict[str, str]) -> HttpResponseBase:
    file = retention.open_content(package)
    whole = len(part) == package.size  # a whole file is sent by the server, without passing through here
    answer = FileResponse(file) if whole else StreamingHttpResponse(_blocks(file, part))
    told = {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(part)),
        "Content-Disposition": f'attachment; filename="{package.id}.edxml"',
    }
    for name, value in {**headers, **told}.items():
        answer[name] = value
    answer.status_code = status
    return answer


def _blocks(file: BinaryIO, part: range) -> Iterator[bytes]:
    with file:
        file.seek(part.start)
        left = len(part)
        while left and (block := file.read(min(_BLOCK, left))):
            left -= len(block)
            yield block
