"""The guarded connection to a party outside the installation, and what every request over it shares.

After the name was resolved, the very address that is about to be connected to must be public, or lie in a
network that the operator listed (`HUB_PUSH_NETWORKS`; plain http only there).
"""

import errno
import hmac
import ipaddress
import os
import socket
import ssl
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, BinaryIO

import aiohttp
from django.conf import settings

from exchange import keys

ANSWER_LIMIT = 64 * 1024
BLOCK = 256 * 1024
CONNECT_SECONDS = 5
RETRY_AFTER_LIMIT = timedelta(days=1)
AGENT = "document-exchange-hub"

# IANA's registries of special addresses, as far as Python's `is_global` lets them through: translation and
# tunnel prefixes (6to4, Teredo), documentation, protocol assignments.
_UNICAST_V6 = ipaddress.ip_network("2000::/3")
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "2001:db8::/32", "3fff::/20")
)

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, Any]


class AddressRefused(OSError):
    """The address is private and not in the operator's list, or plain http is not allowed there."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EACCES, why)


@asynccontextmanager
async def session(*, plain: bool) -> AsyncIterator[aiohttp.ClientSession]:
    """A session whose every socket goes through the guard; `plain` is http without TLS."""
    networks = [ipaddress.ip_network(text) for text in settings.ENVIRONMENT.push_networks]

    def guarded_socket(info: AddressInfo) -> socket.socket:
        check_address(info[4][0], networks, plain=plain)
        return socket.socket(info[0], info[1], info[2])

    # No limit here: waiting for a slot must not count as waiting for the receiver.
    connector = aiohttp.TCPConnector(limit=0, socket_factory=guarded_socket, ttl_dns_cache=30)
    timeout = aiohttp.ClientTimeout(
        total=settings.ENVIRONMENT.push_seconds,
        sock_connect=CONNECT_SECONDS,
        sock_read=settings.ENVIRONMENT.push_read_seconds,
    )
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as opened:
        yield opened


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


async def read_body(response: aiohttp.ClientResponse, limit: int = ANSWER_LIMIT) -> bytes:
    """The answer up to the limit; what a receiver sends beyond it is not read."""
    body = bytearray()
    while len(body) < limit and (chunk := await response.content.read(limit - len(body))):
        body += chunk
    return bytes(body)


def sign(stored: bytes, message: str, at: datetime, body: BinaryIO) -> dict[str, str]:
    """The Standard Webhooks headers: one signature for each live secret. Raises keys.Unreadable."""
    secrets = _secrets(stored) if stored else []
    seconds = str(int(at.timestamp()))
    made = [hmac.new(secret, f"{message}.{seconds}.".encode(), "sha256") for secret in secrets]
    body.seek(0)
    while made and (block := body.read(BLOCK)):
        for one in made:
            one.update(block)
    return {
        "webhook-id": message,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{b64encode(one.digest()).decode()}" for one in made),
        "User-Agent": AGENT,
    }


@lru_cache(maxsize=256)
def _secrets(stored: bytes) -> list[bytes]:
    """Deciphered once for each system, not for each request. Raises keys.Unreadable."""
    return [b64decode(text.removeprefix("whsec_")) for text in keys.decrypt(stored).decode().split()]


@lru_cache(maxsize=256)
def trust(ca_pem: str, identity: bytes = b"") -> ssl.SSLContext | bool:
    """Whom to trust, and which certificate to show (key and chain as PEM, encrypted); made once for each.

    Raises keys.Unreadable.
    """
    if not ca_pem and not identity:
        return True
    context = ssl.create_default_context(cadata=ca_pem or None)
    if identity:
        _show(context, keys.decrypt(identity))
    return context


def check_identity(pem: bytes) -> None:
    """Raise ValueError unless `pem`, when it is not empty, is a private key without a password and its
    certificate."""
    if pem:
        _show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), pem)


def _show(context: ssl.SSLContext, pem: bytes) -> None:
    """Python takes key and certificate from a file only; this one is memory, which no disk keeps."""
    handle = os.memfd_create("identity")
    try:
        with os.fdopen(os.dup(handle), "wb") as file:
            file.write(pem)
        path = f"/proc/self/fd/{handle}"
        context.load_cert_chain(path, password=_no_password)
    except ssl.SSLError as error:
        raise ValueError(error.reason or "unreadable") from error
    finally:
        os.close(handle)


def _no_password() -> str:
    raise ValueError("the key has a password")


async def open_sessions(stack: AsyncExitStack) -> dict[str, aiohttp.ClientSession]:
    """A session for each scheme, closed with `stack`."""
    return {
        "http": await stack.enter_async_context(session(plain=True)),
        "https": await stack.enter_async_context(session(plain=False)),
    }


def printable(text: str) -> str:
    """What a stranger wrote, fit for the database and a screen."""
    return "".join(char if char.isprintable() else " " for char in text)[:500]


def retry_after(header: str | None, now: datetime) -> timedelta | None:
    """The wait asked for by a Retry-After header (RFC 9110, 10.2.3), at most a day."""
    if not header:
        return None
    try:
        wait = timedelta(seconds=int(header)) if header.isdigit() else parsedate_to_datetime(header) - now
    except (ValueError, TypeError, OverflowError):
        return None
    return max(timedelta(), min(wait, RETRY_AFTER_LIMIT))
