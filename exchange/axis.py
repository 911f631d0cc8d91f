"""The wire protocol of the national axis as text: signed headers, the shortened hash, times. Pure.

Both ends use it: the face that serves existing clients (`exchange.vxp`), and the uplink, which is such a
client itself. docs/vxp.md tells the quirks; the names in quotes here are those of the protocol.
"""

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import permutations
from typing import Any

PREFIX = "XroadVnpt-"
TAIL = b"\r\n"
"""What comes after the file in the body of sendEdoc."""
SIGNED_TEXT, SIGNED_NAMES = f"{PREFIX}sign-header", f"{PREFIX}sign-header-key"
SIGNATURE = f"{PREFIX}hash-header"
_LONGEST = 16 * 1024
_MOST_SPELLINGS = 3

Header = Callable[[str], str | None]
"""Looks a received header up; None when it is absent."""


class NotSigned(Exception):
    """The headers are not signed under this secret, or the signature does not cover what it must."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What was signed, in the order and the spellings of the sender: names without the prefix."""

    pairs: tuple[tuple[str, str], ...]

    def get(self, *spellings: str) -> str:
        """The value under the first of `spellings` that is there exactly, else in any case; empty if none.

        A client whose header map leaks may sign both `docid` and `docId`: the call's own spelling decides.
        """
        for name in spellings:
            for signed, value in self.pairs:
                if signed == name:
                    return value
        wanted = {name.lower() for name in spellings}
        return next((value for signed, value in self.pairs if signed.lower() in wanted), "")

    def __contains__(self, name: str) -> bool:
        return any(signed.lower() == name.lower() for signed, _ in self.pairs)


def verify(header: Header, secret: str) -> Parameters:
    """The parameters that were signed under `secret`; raises NotSigned.

    The signature is over the literal text of the header; then every name in it must say what the received
    header of that name says.
    """
    literal, given = header(SIGNED_TEXT) or "", header(SIGNATURE) or ""
    expected = sign(as_sent(literal), secret)
    genuine = hmac.compare_digest(expected.encode(), given.strip().encode("utf-8", "replace"))
    if not genuine or len(literal) > _LONGEST:
        raise NotSigned
    parameters = Parameters(_pairs(literal))
    for name in {signed.lower() for signed, _ in parameters.pairs}:
        values = [value for signed, value in parameters.pairs if signed.lower() == name]
        if not _says(readable(header(PREFIX + name) or ""), values):
            raise NotSigned
    return parameters


def _pairs(literal: str) -> tuple[tuple[str, str], ...]:
    try:
        pairs = json.loads(as_sent(literal), object_pairs_hook=tuple)
    except (ValueError, RecursionError) as error:
        raise NotSigned from error
    if not isinstance(pairs, tuple):
        raise NotSigned
    if not all(isinstance(pair, tuple) and isinstance(pair[1], str) for pair in pairs):
        raise NotSigned
    return tuple((name[len(PREFIX) :] if _prefixed(name) else name, value) for name, value in pairs)


def _prefixed(name: str) -> bool:
    return name.lower().startswith(PREFIX.lower())


def _says(received: str, values: list[str]) -> bool:
    """Whether a received header says `values`: headers whose names differ only in case arrive as one."""
    if len(values) > _MOST_SPELLINGS:
        return False
    orders = [list(order) for order in permutations(values)] + [[value] for value in values]
    plain = "".join(received.split())
    return any("".join(",".join(order).split()) == plain for order in orders)


def headers(parameters: Mapping[str, str], secret: str, content_type: str) -> dict[str, str]:
    """The headers of a request with `parameters`, signed; header values must be latin-1."""
    signed = {f"{PREFIX}{name}": value for name, value in parameters.items()}
    signed[f"{PREFIX}Content-Type"] = content_type
    literal = json.dumps(signed, separators=(",", ":"))
    return {
        **signed,
        "Content-Type": content_type,
        SIGNED_NAMES: ";".join(signed),
        SIGNED_TEXT: literal,
        SIGNATURE: sign(literal.encode(), secret),
        f"{PREFIX}version": "3.0.201608",
    }


def sign(literal: bytes, secret: str) -> str:
    """HMAC-SHA256 of the sign-header text under the secret, in lower-case hex."""
    return hmac.new(secret.encode(), literal, sha256).hexdigest()


def shortened(digest: bytes) -> str:
    """A digest as the clients write it: hex with the leading zero of every byte dropped."""
    return "".join(f"{byte:x}" for byte in digest)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side answered: `code` "0" is yes; `data` as it came."""

    code: str
    words: str
    doc_id: str
    data: Any

    @property
    def good(self) -> bool:
        """Whether it said yes."""
        return self.code == "0"

    @property
    def final(self) -> bool:
        """Whether it said no, and will say so again: not for a wrong secret or an error of its own."""
        return not self.good and self.code not in ("15", "20")


def read_answer(raw: bytes) -> Answer:
    """The answer in `raw`; raises ValueError when it is none of this protocol."""
    try:
        value = json.loads(raw)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict) or value.get("status") not in ("OK", "FAIL"):
        raise ValueError("no answer of this protocol")
    said = str(value.get("ErrorCode") or "0")[:20]
    code = "0" if value["status"] == "OK" else said if said.isalnum() and said != "0" else "20"
    return Answer(code, str(value.get("ErrorDesc") or ""), str(value.get("DocId") or ""), value.get("data"))


def stamp(at: datetime) -> str:
    """`ddMMyyyy'T'HHmmss+SSSS`: the last part are milliseconds, not a zone. `at` in local time."""
    return f"{at:%d%m%YT%H%M%S}+{at.microsecond // 1000:04d}"


def as_sent(text: str) -> bytes:
    """The bytes of a header; WSGI gives them one character each (PEP 3333)."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def readable(text: str) -> str:
    """A header as its sender meant it: UTF-8 where it is that."""
    raw = as_sent(text)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return text
