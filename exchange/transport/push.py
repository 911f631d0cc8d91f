"""Push: packages on their way to the systems of their recipients, many at once on one event loop."""

import asyncio
import json
import os
import threading
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from queue import Empty, SimpleQueue
from typing import BinaryIO, Self
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import structlog
from django.conf import settings

from exchange import axis, keys, vault
from exchange.models import Outcome
from exchange.transport.connection import (
    BLOCK,
    open_sessions,
    printable,
    read_body,
    retry_after,
    sign,
    trust,
)

CONCURRENT = 256
PER_SYSTEM = 16
MISSING = "the bytes are missing in the vault"
LINGER_SECONDS = 0.05

_logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """One delivery to push: to which system and where, which bytes, signed with which secrets (as stored,
    encrypted), trusting which authority, showing which certificate (encrypted too); `number` counts the
    attempts at it."""

    delivery: UUID
    number: int
    package: UUID
    sha256: str
    system: UUID
    url: str
    secrets: bytes
    ca_pem: str = ""
    identity: bytes = b""
    relay: "Relay | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """How a shipment travels to another hub: as which system of it, for which sender, in which list."""

    systemid: str
    sender: str
    messagetype: str


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
        opened = asyncio.run_coroutine_threadsafe(open_sessions(self._sessions), self._loop)
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

    def ended(self, seconds: float, enough: int | None = None) -> list[Ended]:
        """Whatever ends within a moment of the first that does, or the first `enough`; empty when none does
        for so long.

        A shipment that could no longer be finished within its lease was not begun and has no result: another
        worker may have it by then.
        """
        found: list[Ended] = []
        deadline = time.monotonic() + seconds
        try:
            while enough is None or len(found) < enough:
                found.append(self._ended.get(timeout=max(0.0, deadline - time.monotonic())))
                if len(found) == 1:
                    deadline = time.monotonic() + LINGER_SECONDS
        except Empty:
            pass
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


async def _attempt(session: aiohttp.ClientSession, shipment: Shipment) -> Result:
    started_at = datetime.now(UTC)
    status, wait, refusal = None, None, ""
    tail = axis.TAIL if shipment.relay else b""
    try:
        body, headers = await asyncio.to_thread(_prepared, shipment, started_at)
        with body:
            async with session.post(
                f"{shipment.url.rstrip('/')}/sendEdoc" if shipment.relay else shipment.url,
                data=_blocks(body, tail) if int(headers["Content-Length"]) > BLOCK else body.read() + tail,
                headers=headers,
                allow_redirects=False,
                ssl=trust(shipment.ca_pem, shipment.identity),
            ) as response:
                status = response.status
                wait = retry_after(response.headers.get("Retry-After"), started_at)
                answer = await read_body(response)
        if shipment.relay:
            outcome, detail, refusal = _judge_relay(answer)
        else:
            outcome, detail = _judge(status, answer, shipment.sha256)
    except vault.Missing:
        outcome, detail = Outcome.UNREACHABLE, MISSING
    except aiohttp.SocketTimeoutError:
        outcome, detail = Outcome.UNREACHABLE, f"silent for {settings.ENVIRONMENT.push_read_seconds} s"
    except TimeoutError:
        outcome, detail = Outcome.UNREACHABLE, f"no answer within {settings.ENVIRONMENT.push_seconds} s"
    except keys.Unreadable:
        outcome, detail = (
            Outcome.UNREACHABLE,
            "the secrets of the system cannot be decrypted with this hub's key",
        )
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
        detail=printable(detail),
        started_at=started_at,
        finished_at=datetime.now(UTC),
        retry_after=wait,
        relayed=shipment.relay is not None,
        refusal=refusal,
    )


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
        **sign(shipment.secrets, str(shipment.delivery), at, body),
    }


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


# --- to another hub, as its client ----------------------------------------------------------------------


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
