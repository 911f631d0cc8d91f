"""Answers as the clients read them: one JSON object, ASCII only, no null, HTTP 200 whatever it says.

`DocId` and `data` stand in every answer: old clients look them up without asking whether they are there.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO

from django.http import FileResponse, HttpResponse, StreamingHttpResponse

from exchange.refusals import Refused

_JSON = "application/json"
_BLOCK = 3 * 256 * 1024  # a multiple of three: base64 of the blocks is base64 of the whole
_ITEMS = 500
Item = dict[str, Any]


def ok(data: Any = "", **more: Any) -> HttpResponse:
    """Done."""
    return HttpResponse(_text("OK", "0", "", {"data": data, **more}), content_type=_JSON)


def refused(why: Refused, data: Any = "") -> HttpResponse:
    """The refusal: the code that clients know, and every problem found, in words."""
    words = "; ".join(f"[{problem.code}] {problem.detail()}" for problem in why.problems)
    return HttpResponse(_text("FAIL", why.reason.vxp, words, {"data": data}), content_type=_JSON)


def listed(items: Iterable[Item]) -> StreamingHttpResponse:
    """All `items` in one answer, written as they are read: ten thousand of them cost no memory."""
    return StreamingHttpResponse(listing(items), content_type=_JSON)


def listing(items: Iterable[Item]) -> Iterator[bytes]:
    """The bytes of that answer."""
    head, tail = _around("[", "]")
    yield head
    rest, comma = iter(items), ""
    while block := list(islice(rest, _ITEMS)):
        yield (comma + ",".join(_compact(item) for item in block)).encode()
        comma = ","
    yield tail


def encoded(content: BinaryIO, size: int, doc_id: str) -> StreamingHttpResponse:
    """A package of `size` bytes as base64 in `data`, encoded while it is sent."""
    head, tail = _around('"', '"', DocId=doc_id)
    response = StreamingHttpResponse(_base64(head, content, tail), content_type=_JSON)
    response["Content-Length"] = str(len(head) + (size + 2) // 3 * 4 + len(tail))
    return response


def stored(file: BinaryIO, etag: str) -> FileResponse:
    """An answer that was made before and lies in a file."""
    return FileResponse(file, content_type=_JSON, headers={"ETag": f'"{etag}"'})


def _base64(head: bytes, content: BinaryIO, tail: bytes) -> Iterator[bytes]:
    with content:
        yield head
        while block := content.read(_BLOCK):
            yield b64encode(block)
        yield tail


def _around(before: str, after: str, **more: Any) -> tuple[bytes, bytes]:
    """What stands before and after the value of `data`, which comes last."""
    text = _text("OK", "0", "", {**more, "data": ""})
    return text[: -len('""}')] + before.encode(), after.encode() + b"}"


def _text(status: str, code: str, words: str, more: dict[str, Any]) -> bytes:
    answer = {"status": status, "ErrorCode": code, "ErrorDesc": words, "DocId": "", **more}
    answer["data"] = answer.pop("data")
    return _compact(answer).encode("ascii")


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
