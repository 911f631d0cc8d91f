"""Single questions and notices to parties outside: each its own connection, one answer, nothing repeated."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Self
from urllib.parse import urlsplit

import aiohttp
import structlog
from django.conf import settings

from agencies.models import System
from exchange import axis, keys
from exchange.transport.connection import (
    AGENT,
    CONNECT_SECONDS,
    open_sessions,
    printable,
    read_body,
    retry_after,
    session,
    sign,
    trust,
)

ASK_SECONDS = 300
NOTICE_SECONDS = 10
FETCH_SECONDS = 60
FETCH_LIMIT = 32 * 1024 * 1024

_logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A thin notice for a system that wants them: JSON, never content. The secrets as stored, encrypted."""

    id: str
    url: str
    secrets: bytes
    body: bytes
    ca_pem: str = ""
    identity: bytes = b""

    @classmethod
    def to(cls, system: System, key: str, body: bytes) -> Self:
        """`body` for `system`; `key` is the same whenever the same is told."""
        return cls(
            id=key,
            url=system.callback_url,
            secrets=bytes(system.webhook_secrets),
            body=body,
            ca_pem=system.ca_pem,
            identity=bytes(system.push_identity),
        )


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a notice sent `at`: the status answered, if any, when to try again at the earliest."""

    at: datetime
    status: int | None
    detail: str
    retry_after: timedelta | None = None

    @property
    def taken(self) -> bool:
        """True when the receiver took it."""
        return self.status is not None and 200 <= self.status < 300


def notify(notices: Sequence[Notice]) -> set[str]:
    """POST every thin notice once; returns the ids of those that were taken (2xx).

    Nothing is tried again: what a notice tells stands in the inbox and in the event feed anyway.
    """
    return {key for key, told in tell(notices).items() if told.taken}


def tell(notices: Sequence[Notice]) -> dict[str, Told]:
    """POST every thin notice once; what became of each, by its id."""
    return asyncio.run(_tell(notices))


async def _tell(notices: Sequence[Notice]) -> dict[str, Told]:
    async with AsyncExitStack() as stack:
        sessions = await open_sessions(stack)
        secure = sessions["https"]
        told = await asyncio.gather(
            *(_tell_one(sessions.get(urlsplit(item.url).scheme, secure), item) for item in notices)
        )
    return {notice.id: answer for notice, answer in zip(notices, told, strict=True)}


async def _tell_one(opened: aiohttp.ClientSession, notice: Notice) -> Told:
    at, most = datetime.now(UTC), min(NOTICE_SECONDS, settings.ENVIRONMENT.push_seconds)
    try:
        signed = sign(notice.secrets, notice.id, at, BytesIO(notice.body))
        async with opened.post(
            notice.url,
            data=notice.body,
            headers={"Content-Type": "application/json", **signed},
            allow_redirects=False,
            ssl=trust(notice.ca_pem, notice.identity),
            timeout=aiohttp.ClientTimeout(total=most, sock_connect=CONNECT_SECONDS),
        ) as response:
            wait = retry_after(response.headers.get("Retry-After"), at)
            return Told(at, response.status, f"HTTP {response.status}", wait)
    except (aiohttp.ClientError, OSError, ValueError, keys.Unreadable) as error:
        _logger.info("notice_not_taken", id=notice.id, error=type(error).__name__)
        return Told(at, None, printable(f"{type(error).__name__}: {error}"))


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a party that the operator's settings name answered."""

    status: int
    body: bytes


def submit(url: str, body: bytes, content_type: str) -> Submitted:
    """POST `body` to an address of the operator's own settings, which may be private or plain http: what
    comes back is signed. Redirects are not followed. Raises OSError when there is no answer."""
    return asyncio.run(_submit(url, body, content_type))


async def _submit(url: str, body: bytes, content_type: str) -> Submitted:
    timeout = aiohttp.ClientTimeout(total=settings.ENVIRONMENT.push_seconds, sock_connect=CONNECT_SECONDS)
    headers = {"Content-Type": content_type, "User-Agent": AGENT}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as plain,
            plain.post(url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            return Submitted(response.status, await read_body(response))
    except (aiohttp.ClientError, ValueError) as error:
        raise OSError(f"{url}: {type(error).__name__}: {error}") from error


class Unfetched(Exception):
    """Nothing usable came from an address, and why."""


def fetch(url: str, question: bytes | None = None) -> bytes:
    """The body behind `url`: GET, or POST of an OCSP request. Raises Unfetched.

    The guard of addresses is the same as for pushes, but plain http may go to public addresses: what is
    fetched here is signed. At most FETCH_LIMIT bytes within FETCH_SECONDS, no redirects.
    """
    try:
        return asyncio.run(asyncio.wait_for(_fetch(url, question), FETCH_SECONDS))
    except TimeoutError as error:
        raise Unfetched(f"no answer within {FETCH_SECONDS} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Unfetched(f"{type(error).__name__}: {error}") from error


async def _fetch(url: str, question: bytes | None) -> bytes:
    if urlsplit(url).scheme not in ("http", "https"):
        raise Unfetched("neither http nor https")
    method, headers = (
        ("GET", {}) if question is None else ("POST", {"Content-Type": "application/ocsp-request"})
    )
    headers["Accept-Encoding"] = "identity"  # a limit on what is sent is one on what is kept
    async with (
        session(plain=False) as opened,
        opened.request(method, url, data=question, headers=headers, allow_redirects=False) as response,
    ):
        if response.status != 200:
            raise Unfetched(f"HTTP {response.status}")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Unfetched("a compressed answer that was not asked for")
        body = bytearray()
        async for chunk in response.content.iter_chunked(1 << 16):
            body += chunk
            if len(body) > FETCH_LIMIT:
                raise Unfetched(f"more than {FETCH_LIMIT} bytes")
        return bytes(body)


# --- another hub, as its client -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Another hub as its client knows it; the secret as stored, encrypted."""

    url: str
    systemid: str
    secret: bytes
    ca_pem: str = ""
    identity: bytes = b""


class Unanswered(Exception):
    """The other hub could not be reached, or did not answer in the protocol."""


def ask(hub: Upstream, name: str, parameters: dict[str, str], *, limit: int) -> axis.Answer:
    """One call of the axis' protocol to another hub, whose answer has at most `limit` bytes.

    Raises Unanswered.
    """
    try:
        return asyncio.run(_ask(hub, name, parameters, limit))
    except keys.Unreadable as error:
        raise Unanswered("the secret cannot be decrypted with this hub's key") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Unanswered(f"{type(error).__name__}: {error}") from error


async def _ask(hub: Upstream, name: str, parameters: dict[str, str], limit: int) -> axis.Answer:
    stamp = axis.stamp(datetime.now().astimezone())
    asked = {"systemid": hub.systemid, "timestamp": stamp, **parameters}
    headers = axis.headers(asked, keys.decrypt(hub.secret).decode(), "application/json")
    async with (
        session(plain=urlsplit(hub.url).scheme == "http") as opened,
        opened.post(
            f"{hub.url.rstrip('/')}/{name}",
            data=b"{}",
            headers=headers,
            allow_redirects=False,
            ssl=trust(hub.ca_pem, hub.identity),
            timeout=aiohttp.ClientTimeout(total=ASK_SECONDS, sock_connect=CONNECT_SECONDS),
        ) as response,
    ):
        return axis.read_answer(await read_body(response, limit))
