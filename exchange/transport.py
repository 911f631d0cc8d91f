"""The only module that opens a connection to a party outside the installation.

Every socket goes through the guard: after the name was resolved, the very address that is about to be
connected to must be public, or lie in a network that the operator listed (`HUB_PUSH_NETWORKS`; plain http
only there). Redirects are never followed, answers are read up to a small limit, every wait has an end.
"""

import asyncio
import errno
import hmac
import ipaddress
import json
import os
import socket
import ssl
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from io import BytesIO
from queue import Empty, SimpleQueue
from typing import Any, BinaryIO, Self
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import structlog
from django.conf import settings

from exchange import axis, keys, vault
from exchange.models import Outcome

ANSWER_LIMIT = 64 * 1024
CONCURRENT = 256
PER_SYSTEM = 16
BLOCK = 256 * 1024
MISSING = "the bytes are missing in the vault"
LINGER_SECONDS = 0.05
CONNECT_SECONDS = 5
ASK_SECONDS = 300
FETCH_SECONDS = 60
FETCH_LIMIT = 32 * 1024 * 1024
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
    """One delivery to push: to which system and where, which bytes, signed with which secrets (as
    stored, encrypted), trusting which authority; `number` counts the attempts at it."""

    delivery: UUID
    number: int
    package: UUID
    sha256: str
    system: UUID
    url: str
    secrets: bytes
    ca_pem: str = ""
    relay: "Relay | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """How a shipment travels to another hub: as which system of it, for which sender, in which list."""

    systemid: str
    sender: str
    messagetype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Another hub as its client knows it; the secret as stored, encrypted."""

    url: str
    systemid: str
    secret: bytes
    ca_pem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one push: the outcome, what was answered, when to try again at the earliest.

    `relayed` to another hub, which may have refused for good: `refusal` is its error code.
    """

    delivery: UUID
    number: int
    system: UUID
    url: str
    outcome: Outcome
    http_status: int | None
    detail: str
    started_at: datetime
    finished_at: datetime
    retry_after: timedelta | None = None
    relayed: bool = False
    refusal: str = ""

    @property
    def handed_over(self) -> bool:
        """True when the recipient's system took the bytes."""
        return self.outcome in (Outcome.CONFIRMED, Outcome.UNCONFIRMED)

    @property
    def system_failed(self) -> bool:
        """True when the answer, or its want, speaks of the system and not of this delivery."""
        if self.outcome is Outcome.UNREACHABLE:
            return self.detail != MISSING
        return self.outcome is Outcome.REJECTED and self.http_status in (429, *range(500, 600))


Ended = tuple[Shipment, Result | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A thin notice for a system that wants them: JSON about a delivery, never its content."""

    id: str
    url: str
    secrets: bytes
    body: bytes
    ca_pem: str = ""


class Pusher:
    """POSTs shipments, many at once, on an event loop in a thread of its own; the caller's stays free.

    A context manager: at its end nothing more is sent, and what is under way is given up.
    """

    def __enter__(self) -> Self:
        self._ended: SimpleQueue[Ended] = SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._of_system: dict[UUID, asyncio.Semaphore] = {}
        self._sessions = AsyncExitStack()
        self._thread = threading.Thread(target=self._loop.run_forever, name="push", daemon=True)
        self._thread.start()
        opened = asyncio.run_coroutine_threadsafe(_open_sessions(self._sessions), self._loop)
        self._by_scheme = opened.result()
        return self

    def __exit__(self, *_error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def send(self, shipments: Sequence[Shipment]) -> None:
        """Begin to push `shipments`, each as soon as there is room for it."""
        begun_until = (
            time.monotonic() + settings.ENVIRONMENT.lease_seconds - settings.ENVIRONMENT.push_seconds
        )
        self._loop.call_soon_threadsafe(self._begin, shipments, begun_until)

    def ended(self, seconds: float) -> list[Ended]:
        """Whatever ends within a moment of the first that does; empty when none does for so long.

        A shipment that could no longer be finished within its lease was not begun and has no result: another
        worker may have it by then.
        """
        found: list[Ended] = []
        deadline = time.monotonic() + seconds
        try:
            while True:
                found.append(self._ended.get(timeout=max(0.0, deadline - time.monotonic())))
                if len(found) == 1:
                    deadline = time.monotonic() + LINGER_SECONDS
        except Empty:
            return found

    def _begin(self, shipments: Sequence[Shipment], begun_until: float) -> None:
        for shipment in shipments:
            task = self._loop.create_task(self._one(shipment, begun_until))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _one(self, shipment: Shipment, begun_until: float) -> None:
        of_system = self._of_system.setdefault(shipment.system, asyncio.Semaphore(PER_SYSTEM))
        result = None
        # Its own slot first, so that one slow receiver cannot hold all of the common ones.
        async with of_system, self._slots:
            if time.monotonic() <= begun_until:
                session = self._by_scheme.get(urlsplit(shipment.url).scheme, self._by_scheme["https"])
                result = await _attempt(session, shipment)
        self._ended.put((shipment, result))

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._sessions.aclose()


async def _open_sessions(stack: AsyncExitStack) -> dict[str, aiohttp.ClientSession]:
    return {
        "http": await stack.enter_async_context(_session(plain=True)),
        "https": await stack.enter_async_context(_session(plain=False)),
    }


def notify(notices: Sequence[Notice]) -> set[str]:
    """POST every thin notice once; returns the ids of those that were taken (2xx).

    Nothing is tried again: what a notice tells stands in the inbox and in the event feed anyway.
    """
    return asyncio.run(_notify(notices))


async def _notify(notices: Sequence[Notice]) -> set[str]:
    async with AsyncExitStack() as stack:
        sessions = await _open_sessions(stack)
        secure = sessions["https"]
        taken = await asyncio.gather(
            *(_tell(sessions.get(urlsplit(item.url).scheme, secure), item) for item in notices)
        )
    return {notice.id for notice, was_taken in zip(notices, taken, strict=True) if was_taken}


async def _tell(session: aiohttp.ClientSession, notice: Notice) -> bool:
    try:
        signed = _signed(notice.secrets, notice.id, datetime.now(UTC), BytesIO(notice.body))
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
    headers = {"Content-Type": content_type, "User-Agent": "document-exchange-hub"}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            return Submitted(response.status, await _body(response))
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
        _session(plain=False) as session,
        session.request(method, url, data=question, headers=headers, allow_redirects=False) as response,
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
    status, retry_after, refusal = None, None, ""
    tail = axis.TAIL if shipment.relay else b""
    try:
        body, headers = await asyncio.to_thread(_prepared, shipment, started_at)
        with body:
            async with session.post(
                f"{shipment.url.rstrip('/')}/sendEdoc" if shipment.relay else shipment.url,
                data=_blocks(body, tail) if int(headers["Content-Length"]) > BLOCK else body.read() + tail,
                headers=headers,
                allow_redirects=False,
                ssl=_trust(shipment.ca_pem),
            ) as response:
                status = response.status
                retry_after = _retry_after(response.headers.get("Retry-After"), started_at)
                answer = await _body(response)
        if shipment.relay:
            outcome, detail, refusal = _judge_relay(answer)
        else:
            outcome, detail = _judge(status, answer, shipment.sha256)
    except vault.Missing:
        outcome, detail = Outcome.UNREACHABLE, MISSING
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
        system=shipment.system,
        url=shipment.url,
        outcome=outcome,
        http_status=status,
        detail=_printable(detail),
        started_at=started_at,
        finished_at=datetime.now(UTC),
        retry_after=retry_after,
        relayed=shipment.relay is not None,
        refusal=refusal,
    )


async def _body(response: aiohttp.ClientResponse, limit: int = ANSWER_LIMIT) -> bytes:
    """The answer up to the limit; what a receiver sends beyond it is not read."""
    body = bytearray()
    while len(body) < limit and (chunk := await response.content.read(limit - len(body))):
        body += chunk
    return bytes(body)


async def _blocks(file: BinaryIO, tail: bytes) -> AsyncIterator[bytes]:
    """The bytes of `file`, a block at a time, however large the package, and `tail`."""
    while block := await asyncio.to_thread(file.read, BLOCK):
        yield block
    if tail:
        yield tail


def _prepared(shipment: Shipment, at: datetime) -> tuple[BinaryIO, dict[str, str]]:
    """The bytes, at their start, and the headers; a small package is read whole. Raises vault.Missing."""
    body, relay = vault.open_bytes(shipment.sha256), shipment.relay
    try:
        if body.seek(0, os.SEEK_END) <= BLOCK:
            body.seek(0)
            with body:
                body = BytesIO(body.read())
        headers = _relayed(shipment, relay, body, at) if relay else _headers(shipment, body, at)
        body.seek(0)
    except BaseException:
        body.close()
        raise
    return body, headers


def _headers(shipment: Shipment, body: BinaryIO, at: datetime) -> dict[str, str]:
    """The headers of the contract: length, digest (RFC 9530), ids, and Standard Webhooks signatures."""
    return {
        "Content-Type": "application/edxml+xml",
        "Content-Length": str(body.seek(0, os.SEEK_END)),
        "Content-Digest": f"sha-256=:{b64encode(bytes.fromhex(shipment.sha256)).decode()}:",
        "X-Exchange-Delivery": str(shipment.delivery),
        "X-Exchange-Package": str(shipment.package),
        **_signed(shipment.secrets, str(shipment.delivery), at, body),
    }


# --- another hub, as its client -----------------------------------------------------------------------


def _relayed(shipment: Shipment, relay: Relay, body: BinaryIO, at: datetime) -> dict[str, str]:
    """The headers of sendEdoc. Raises keys.Unreadable."""
    asked = {
        "systemid": relay.systemid,
        "timestamp": axis.stamp(at.astimezone()),
        "servicetype": "eDoc",
        "messagetype": relay.messagetype,
        "hash-file": axis.shortened(bytes.fromhex(shipment.sha256)),
        "from": relay.sender,
    }
    length = body.seek(0, os.SEEK_END) + len(axis.TAIL)
    signed = axis.headers(asked, keys.decrypt(shipment.secrets).decode(), "application/octet-stream")
    return {**signed, "Content-Length": str(length)}


def _judge_relay(body: bytes) -> tuple[Outcome, str, str]:
    """What the next hub's answer means, and its error code where it refused for good. Raises ValueError."""
    answer = axis.read_answer(body)
    if answer.good:
        return Outcome.UNCONFIRMED, f"DocId {answer.doc_id[:100]}", ""
    detail = f"{answer.code}: {answer.words[:300]}"
    return Outcome.REJECTED, detail, answer.code if answer.final else ""


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
        _session(plain=urlsplit(hub.url).scheme == "http") as session,
        session.post(
            f"{hub.url.rstrip('/')}/{name}",
            data=b"{}",
            headers=headers,
            allow_redirects=False,
            ssl=_trust(hub.ca_pem),
            timeout=aiohttp.ClientTimeout(total=ASK_SECONDS, sock_connect=CONNECT_SECONDS),
        ) as response,
    ):
        return axis.read_answer(await _body(response, limit))


# --- signatures and answers of a push -----------------------------------------------------------------


def _signed(stored: bytes, message: str, at: datetime, body: BinaryIO) -> dict[str, str]:
    """The Standard Webhooks headers: one signature for each live secret. Raises keys.Unreadable."""
    secrets = keys.decrypt(stored).decode().split() if stored else []
    seconds = str(int(at.timestamp()))
    made = [hmac.new(_secret(text), f"{message}.{seconds}.".encode(), "sha256") for text in secrets]
    body.seek(0)
    while made and (block := body.read(BLOCK)):
        for one in made:
            one.update(block)
    return {
        "webhook-id": message,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{b64encode(one.digest()).decode()}" for one in made),
        "User-Agent": "document-exchange-hub",
    }


def _secret(text: str) -> bytes:
    return b64decode(text.removeprefix("whsec_"))


@lru_cache(maxsize=256)
def _trust(ca_pem: str) -> ssl.SSLContext | bool:
    """Whom to trust: one context for each authority, since making one is slow."""
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
