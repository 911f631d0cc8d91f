"""The only module that opens a connection to a party outside the installation.

Every socket goes through the guard: after the name was resolved, the very address that is about to be
connected to must be public, or lie in a network that the operator listed (`HUB_PUSH_NETWORKS`; plain http
only there). Redirects are never followed, answers are read up to a small limit, every wait has an end.
"""

import asyncio
import errno
import ipaddress
import json
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import structlog
from django.conf import settings
from standardwebhooks.webhooks import Webhook

from exchange import keys, vault
from exchange.models import Outcome

ANSWER_LIMIT = 64 * 1024
CONCURRENT = 64
PER_HOST = 16
LINGER_SECONDS = 0.05
CONNECT_SECONDS = 5
RETRY_AFTER_LIMIT = timedelta(days=1)

# IANA's registries of special addresses, as far as Python's `is_global` lets them through: translation and
# tunnel prefixes (6to4, Teredo), documentation, protocol assignments.
_UNICAST_V6 = ipaddress.ip_network("2000::/3")
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "2001:db8::/32", "3fff::/20")
)

_logger = structlog.get_logger(__name__)
AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, Any]


class AddressRefused(OSError):
    """The address is private and not in the operator's list, or plain http is not allowed there."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EACCES, why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """One delivery to push: where to, which bytes, signed with which secrets (as stored, encrypted),
    trusting which authority; `number` counts the attempts at it."""

    delivery: UUID
    number: int
    package: UUID
    sha256: str
    url: str
    secrets: bytes
    ca_pem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one push: the outcome, what was answered, when to try again at the earliest."""

    delivery: UUID
    number: int
    url: str
    outcome: Outcome
    http_status: int | None
    detail: str
    started_at: datetime
    finished_at: datetime
    retry_after: timedelta | None = None

    @property
    def handed_over(self) -> bool:
        """True when the recipient's system took the bytes."""
        return self.outcome in (Outcome.CONFIRMED, Outcome.UNCONFIRMED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A thin notice for a system that wants them: JSON about a delivery, never its content."""

    id: str
    url: str
    secrets: bytes
    body: bytes
    ca_pem: str = ""


def push(shipments: Sequence[Shipment]) -> Iterator[list[Result]]:
    """POST every shipment, many at once on one event loop, and yield the results in groups as they come.

    A shipment that can no longer be finished within its lease is not begun and has no result: another
    worker may have it by then. The caller's thread stays free to write results while others are under way.
    """
    done: SimpleQueue[Result | None] = SimpleQueue()
    begun_until = time.monotonic() + settings.ENVIRONMENT.lease_seconds - settings.ENVIRONMENT.push_seconds

    def run() -> None:
        try:
            asyncio.run(_push(shipments, done.put, begun_until))
        finally:
            done.put(None)

    thread = threading.Thread(target=run, name="push")
    thread.start()
    yield from _groups(done)
    thread.join()


def _groups(done: SimpleQueue[Result | None]) -> Iterator[list[Result]]:
    """The results in groups: whatever came within a moment of the first, until None ends them."""
    result = done.get()
    while result is not None:
        group, deadline = [result], time.monotonic() + LINGER_SECONDS
        try:
            while (result := done.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
                group.append(result)
        except Empty:
            yield group
            result = done.get()
        else:
            yield group


async def _push(shipments: Sequence[Shipment], done: Callable[[Result], None], begun_until: float) -> None:
    slots = asyncio.Semaphore(CONCURRENT)
    # Taken before the common slot, so that one slow receiver cannot hold all of them.
    hosts = {urlsplit(item.url).netloc: asyncio.Semaphore(PER_HOST) for item in shipments}

    async def one(shipment: Shipment, session: aiohttp.ClientSession) -> None:
        async with hosts[urlsplit(shipment.url).netloc], slots:
            if time.monotonic() <= begun_until:
                done(await _attempt(session, shipment))

    async with _session(plain=True) as plain, _session(plain=False) as secure:
        await asyncio.gather(
            *(one(item, plain if urlsplit(item.url).scheme == "http" else secure) for item in shipments)
        )


def notify(notices: Sequence[Notice]) -> set[str]:
    """POST every thin notice once; returns the ids of those that were taken (2xx).

    Nothing is tried again: what a notice tells stands in the inbox and in the event feed anyway.
    """
    return asyncio.run(_notify(notices))


async def _notify(notices: Sequence[Notice]) -> set[str]:
    async with _session(plain=True) as plain, _session(plain=False) as secure:
        sessions = {"http": plain, "https": secure}
        taken = await asyncio.gather(
            *(_tell(sessions.get(urlsplit(item.url).scheme, secure), item) for item in notices)
        )
    return {notice.id for notice, was_taken in zip(notices, taken, strict=True) if was_taken}


async def _tell(session: aiohttp.ClientSession, notice: Notice) -> bool:
    try:
        signed = _signed(notice.secrets, notice.id, datetime.now(UTC), notice.body)
        async with session.post(
            notice.url,
            data=notice.body,
            headers={"Content-Type": "application/json", **signed},
            allow_redirects=False,
            ssl=_trust(notice.ca_pem),
        ) as response:
            return 200 <= response.status < 300
    except (aiohttp.ClientError, OSError, ValueError, keys.Unreadable) as error:
        _logger.info("notice_not_taken", id=notice.id, error=type(error).__name__)
        return False


@asynccontextmanager
async def _session(*, plain: bool) -> AsyncIterator[aiohttp.ClientSession]:
    networks = [ipaddress.ip_network(text) for text in settings.ENVIRONMENT.push_networks]

    def guarded_socket(info: AddressInfo) -> socket.socket:
        check_address(info[4][0], networks, plain=plain)
        return socket.socket(info[0], info[1], info[2])

    # No limit here: waiting for a slot must not count as waiting for the receiver.
    connector = aiohttp.TCPConnector(limit=0, socket_factory=guarded_socket, ttl_dns_cache=30)
    timeout = aiohttp.ClientTimeout(total=settings.ENVIRONMENT.push_seconds, sock_connect=CONNECT_SECONDS)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield session


def check_address(
    address: str, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network], *, plain: bool
) -> None:
    """Raise AddressRefused unless `address` may be connected to; `plain` is http without TLS."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    if any(found in network for network in networks):
        return
    if plain:
        raise AddressRefused(f"plain http to {found} is not allowed; use https")
    if not _is_public(found):
        raise AddressRefused(f"{found} is not a public address and not in HUB_PUSH_NETWORKS")


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """A unicast address of the public internet; forms that carry another address inside are not."""
    if address.is_multicast or not address.is_global:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address not in _UNICAST_V6:
        return False
    return not any(address in network for network in _NOT_PUBLIC)


async def _attempt(session: aiohttp.ClientSession, shipment: Shipment) -> Result:
    started_at = datetime.now(UTC)
    status, retry_after = None, None
    try:
        raw = await asyncio.to_thread(vault.get, shipment.sha256)
        async with session.post(
            shipment.url,
            data=raw,
            headers=_headers(shipment, raw, started_at),
            allow_redirects=False,
            ssl=_trust(shipment.ca_pem),
        ) as response:
            status = response.status
            retry_after = _retry_after(response.headers.get("Retry-After"), started_at)
            body = await _body(response)
        outcome, detail = _judge(status, body, shipment.sha256)
    except vault.Missing:
        outcome, detail = Outcome.UNREACHABLE, "the bytes are missing in the vault"
    except TimeoutError:
        outcome, detail = Outcome.UNREACHABLE, f"no answer within {settings.ENVIRONMENT.push_seconds} s"
    except keys.Unreadable:
        outcome, detail = Outcome.UNREACHABLE, "the webhook secrets cannot be decrypted with this hub's key"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        outcome, detail = Outcome.UNREACHABLE, f"{type(error).__name__}: {error}"
    except Exception as error:
        _logger.exception("push_failed", delivery=str(shipment.delivery))
        outcome, detail = Outcome.UNREACHABLE, f"{type(error).__name__}"
    return Result(
        delivery=shipment.delivery,
        number=shipment.number,
        url=shipment.url,
        outcome=outcome,
        http_status=status,
        detail=_printable(detail),
        started_at=started_at,
        finished_at=datetime.now(UTC),
        retry_after=retry_after,
    )


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The answer up to the limit; what a receiver sends beyond it is not read."""
    body = b""
    while len(body) < ANSWER_LIMIT and (chunk := await response.content.read(ANSWER_LIMIT - len(body))):
        body += chunk
    return body


def _headers(shipment: Shipment, raw: bytes, at: datetime) -> dict[str, str]:
    """The headers of the contract: digest (RFC 9530), ids, and Standard Webhooks signatures."""
    return {
        "Content-Type": "application/edxml+xml",
        "Content-Digest": f"sha-256=:{b64encode(bytes.fromhex(shipment.sha256)).decode()}:",
        "X-Exchange-Delivery": str(shipment.delivery),
        "X-Exchange-Package": str(shipment.package),
        **_signed(shipment.secrets, str(shipment.delivery), at, raw),
    }


def _signed(stored: bytes, message: str, at: datetime, raw: bytes) -> dict[str, str]:
    """The Standard Webhooks headers: one signature for each live secret. Raises keys.Unreadable."""
    secrets = keys.decrypt(stored).decode().split() if stored else []
    signatures = [Webhook(secret).sign(message, at, raw.decode()) for secret in secrets]
    return {
        "webhook-id": message,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
        "User-Agent": "document-exchange-hub",
    }


def _trust(ca_pem: str) -> ssl.SSLContext | bool:
    return ssl.create_default_context(cadata=ca_pem) if ca_pem else True


def _judge(status: int, body: bytes, sha256: str) -> tuple[Outcome, str]:
    """What the answer means: 2xx with the digest is the acknowledgement, 2xx without it is "taken"."""
    if status == 410:
        return Outcome.GONE, "410: the endpoint is gone"
    if not 200 <= status < 300:
        return Outcome.REJECTED, f"HTTP {status}: {body[:300].decode('utf-8', 'replace')}"
    digest = _digest(body)
    if digest is None:
        return Outcome.UNCONFIRMED, "taken, digest not confirmed"
    if digest != sha256:
        return Outcome.MISMATCH, f"the recipient computed {digest[:64]}"
    return Outcome.CONFIRMED, ""


def _digest(body: bytes) -> str | None:
    """The `sha256` of a JSON answer, in lower case; None when the answer names none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    digest = answer.get("sha256") if isinstance(answer, dict) else None
    return digest.lower() if isinstance(digest, str) else None


def _printable(text: str) -> str:
    """What a stranger wrote, fit for the database and a screen."""
    return "".join(char if char.isprintable() else " " for char in text)[:500]


def _retry_after(header: str | None, now: datetime) -> timedelta | None:
    """The wait asked for by a Retry-After header (RFC 9110, 10.2.3), at most a day."""
    if not header:
        return None
    try:
        wait = timedelta(seconds=int(header)) if header.isdigit() else parsedate_to_datetime(header) - now
    except (ValueError, TypeError, OverflowError):
        return None
    return max(timedelta(), min(wait, RETRY_AFTER_LIMIT))
