"""What every face asks of a caller before it reads more than who it says it is: from where, and how often.

Counting is exact over any number of processes and costs no write per request: a process draws a handful from
the shared count (`models.allowance`) and spends it in memory. What it does not spend by the end of the window
is lost, so a system may get a little less than its limit, never more.
"""

import ipaddress
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from django.conf import settings
from django.http import HttpResponseBase

from agencies.directory import System
from exchange.models import Allowance
from exchange.refusals import Refused

MINUTE = 60
LOCK_SECONDS = 15 * MINUTE
WRONG_SECRETS = 10
VISITS = 30  # questions of one address to the public page in a minute
_SHARES = 20  # a window's limit is drawn in about so many parts
_KEPT = 10_000  # purses of past windows are dropped when there are more


@dataclass(frozen=True, slots=True)
class Credit:
    """What is left of a limit: `left` of `limit` requests for `seconds` more."""

    limit: int
    left: int
    seconds: int

    def tell(self, response: HttpResponseBase) -> None:
        """Set the three fields that many services use (draft-ietf-httpapi-ratelimit-headers-07)."""
        response["RateLimit-Limit"] = str(self.limit)
        response["RateLimit-Remaining"] = str(self.left)
        response["RateLimit-Reset"] = str(self.seconds)


class TooMany(Refused):
    """The limit is used up: 429, with when to come back."""

    def __init__(self, credit: Credit) -> None:
        super().__init__("request.too-many", seconds=credit.seconds)
        self.credit = credit


def check_origin(system: System, address: str, certificate: str) -> None:
    """`address` is in one of the system's networks, `certificate` (SHA-256, hex) the one it must show.

    Both are what `exchange.edge` found out. Raises Refused auth.origin.
    """
    if system.networks and not _inside(address, system.networks.split()):
        raise Refused("auth.origin", why=f"địa chỉ {address}", why_en=f"the address {address}")
    if system.client_certificate and certificate != system.client_certificate:
        raise Refused("auth.origin", why="chứng thư TLS của máy gọi", why_en="the TLS client certificate")


def _inside(address: str, networks: list[str]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in ipaddress.ip_network(network) for network in networks)


def count_request(system: System, now: datetime) -> Credit | None:
    """Count one request of `system`; None when it has no limit. Raises TooMany."""
    limit = settings.ENVIRONMENT.requests_per_minute
    if system.requests_per_minute is not None:
        limit = system.requests_per_minute
    return spend(f"system:{system.pk}", limit=limit, seconds=MINUTE, now=now) if limit else None


def check_not_locked(client: str, address: str, now: datetime) -> None:
    """`client` may try its secret from `address`: not too many wrong ones came from there. Raises TooMany.

    By address too: who knows a client id, which is no secret, must not be able to lock its owner out.
    """
    key = _attempts(client, address)
    row = Allowance.objects.filter(key=key, window=_window(now, LOCK_SECONDS)).first()
    if row is not None and row.used >= WRONG_SECRETS:
        raise TooMany(Credit(WRONG_SECRETS, 0, _rest(now, LOCK_SECONDS)))


def count_wrong_secret(client: str, address: str, now: datetime) -> bool:
    """Count one wrong secret; True when it was the one that locks."""
    window = _window(now, LOCK_SECONDS)
    granted, left = Allowance.objects.draw(
        _attempts(client, address), window=window, wanted=1, limit=WRONG_SECRETS
    )
    return granted == 1 and left == 0


def count_visitor(address: str, now: datetime) -> Credit:
    """Count one question of somebody who does not say who it is. Raises TooMany."""
    return spend(f"visitor:{_place(address)}", limit=VISITS, seconds=MINUTE, now=now)


def _attempts(client: str, address: str) -> str:
    return f"secret:{client}:{_place(address)}"


def _place(address: str) -> str:
    """IPv6 callers own a whole /64, so that is what counts as one address; empty for what is none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 64), strict=False))
    return address


# --- counting -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Purse:
    """What this process has drawn and not spent yet in `window`; `rest`: what was left for all after that."""

    window: int
    mine: int = 0
    rest: int = 0
    empty: bool = False


_purses: dict[str, _Purse] = {}
_lock = Lock()


def spend(key: str, *, limit: int, seconds: int, now: datetime) -> Credit:
    """Spend one of the `limit` that `key` has in every window of `seconds`. Raises TooMany."""
    window = _window(now, seconds)
    while True:
        with _lock:
            purse = _purse(key, window)
            if purse.mine:
                purse.mine -= 1
                return Credit(limit, purse.mine + purse.rest, _rest(now, seconds))
            if purse.empty:
                raise TooMany(Credit(limit, 0, _rest(now, seconds)))
        # Not under the lock: other systems must not wait for this one's row.
        wanted = max(1, limit // _SHARES)
        granted, rest = Allowance.objects.draw(key, window=window, wanted=wanted, limit=limit)
        with _lock:
            purse = _purse(key, window)
            purse.mine, purse.rest, purse.empty = purse.mine + granted, rest, granted == 0


def _purse(key: str, window: int) -> _Purse:
    if len(_purses) > _KEPT:
        for other in [name for name, purse in _purses.items() if purse.window < window]:
            del _purses[other]
    purse = _purses.get(key)
    if purse is None or purse.window != window:
        purse = _purses[key] = _Purse(window)
    return purse


def forget() -> None:
    """Let this process draw anew."""
    with _lock:
        _purses.clear()


def _window(now: datetime, seconds: int) -> int:
    return int(now.timestamp()) // seconds


def _rest(now: datetime, seconds: int) -> int:
    return seconds - int(now.timestamp()) % seconds
