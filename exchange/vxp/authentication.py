"""Who is asking: a system, by the HMAC over its own headers. The signature says who, never what it may do."""

import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest

from agencies import directory
from agencies.directory import System
from exchange import axis, door, keys, registry
from exchange.edge import CERTIFICATE
from exchange.log import Actor
from exchange.refusals import Refused

_NOBODY = secrets.token_urlsafe(32)
"""The secret against which an unknown systemid is checked, so that it takes as long as a known one."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The system behind a request, what it signed, and when it asks."""

    system: System
    parameters: axis.Parameters
    now: datetime

    @property
    def actor(self) -> Actor:
        """The system as it is named in events."""
        return Actor(kind="system", id=str(self.system.id), auth="vxp-hmac")


def authenticate(request: HttpRequest, acted_on: Iterable[str], now: datetime) -> Caller:
    """The caller, whose signature covers its systemid and every parameter in `acted_on` that came.

    Raises Refused: auth.vxp, whatever was wrong; then sender.suspended, auth.origin, request.too-many.
    """
    named = request.headers.get(f"{axis.PREFIX}systemid", "")
    system = directory.system_by_vxp_id(named)
    known = system is not None and system.kind != System.Kind.AXIS and bool(system.vxp_secret)
    live = keys.decrypt(system.vxp_secret).decode().split() if system and known else [_NOBODY]
    parameters = _verified(request, live)
    covered = all(name in parameters or f"{axis.PREFIX}{name}" not in request.headers for name in acted_on)
    if system is None or not known or parameters.get("systemid") != named or not covered:
        raise Refused("auth.vxp")
    if system.suspended_at is not None:
        raise Refused("sender.suspended", organ=system.name)
    door.check_origin(system, request.META.get("REMOTE_ADDR", ""), request.META.get(CERTIFICATE, ""))
    registry.saw(system, now=now)
    door.count_request(system, now)
    return Caller(system, parameters, now)


def _verified(request: HttpRequest, live: Sequence[str]) -> axis.Parameters:
    """What is signed under one of the `live` secrets: two during a rotation. Raises Refused: auth.vxp."""
    *others, last = live
    for secret in others:
        with suppress(axis.NotSigned):
            return axis.verify(request.headers.get, secret)
    try:
        return axis.verify(request.headers.get, last)
    except axis.NotSigned as error:
        raise Refused("auth.vxp") from error
