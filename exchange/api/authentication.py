"""Who is asking: a system, by the access token it got from /oauth/token."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, cast

from django.utils import timezone
from oauth2_provider.models import AccessToken
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from structlog import contextvars

from agencies import memory
from agencies.directory import Credential, System
from agencies.memory import Memory
from exchange import door, registry, waiting
from exchange.edge import CERTIFICATE
from exchange.log import Actor
from exchange.refusals import Refused

if TYPE_CHECKING:  # rest_framework.views itself imports this module, by way of the settings
    from rest_framework.views import APIView


@dataclass(frozen=True, slots=True)
class Principal:
    """The system behind a request, the scopes of its token, and the registry that it was looked up in."""

    system: System
    credential: Credential
    scopes: frozenset[str]
    memory: Memory
    credit: door.Credit | None = None
    is_authenticated: bool = True

    @property
    def actor(self) -> Actor:
        """The system as it is named in events."""
        return Actor(kind="system", id=str(self.system.id), auth="oauth2")

    def need(self, scope: str) -> None:
        """Raises Refused auth.scope when the token lacks `scope`, where a view alone cannot know it."""
        if scope not in self.scopes:
            raise Refused("auth.scope", scope=scope)


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>` (RFC 6750, 2.1). One query, now and then more.

    Raises Refused: auth.required (no such token, or its credential was revoked), auth.expired,
    sender.suspended, auth.origin, request.too-many.
    """

    def authenticate(self, request: Request) -> tuple[Principal, AccessToken]:
        """The principal and the token of `request`."""
        checksum, now = _checksum(get_authorization_header(request)), timezone.now()
        known = memory.current()
        token = known.token(checksum)
        if token is None:
            raise Refused("auth.required")
        principal = _principal(token, known, now)
        contextvars.bind_contextvars(system=str(principal.system.id))
        meta = request.META
        door.check_origin(principal.system, meta.get("REMOTE_ADDR", ""), meta.get(CERTIFICATE, ""))
        registry.saw(principal.system, now=now)
        credit = waiting.once("credit", lambda: door.count_request(principal.system, now))
        return replace(principal, credit=credit), token

    def authenticate_header(self, request: Request) -> str:
        """Makes an unauthenticated request a 401."""
        return "Bearer"


def _checksum(header: bytes) -> str:
    scheme, _, value = header.partition(b" ")
    if scheme.lower() != b"bearer":
        raise Refused("auth.required")
    return sha256(value.strip()).hexdigest()


def _principal(token: AccessToken, known: Memory, now: datetime) -> Principal:
    credential = cast("Credential", token.application)
    if credential.system.suspended_at is not None:
        raise Refused("sender.suspended", organ=credential.system.name)
    if not credential.is_live(now):
        raise Refused("auth.required")
    if token.expires <= now:
        raise Refused("auth.expired", expired_at=timezone.localtime(token.expires).isoformat("T", "seconds"))
    return Principal(credential.system, credential, frozenset(token.scope.split()), known)


class HasScope(BasePermission):
    """The token must have one of the scopes that the view names for the method in `required_scope`.

    A method without an entry is open to nobody. Raises Refused: auth.required, auth.scope.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """True, or Refused."""
        principal = request.user
        if not isinstance(principal, Principal):
            raise Refused("auth.required")
        method = "GET" if request.method == "HEAD" else str(request.method)
        if method.lower() not in view.http_method_names or not hasattr(view, method.lower()):
            return True  # the view answers 405
        wanted: Sequence[str] = getattr(view, "required_scope", {}).get(method, ())
        if not principal.scopes.intersection(wanted):
            raise Refused("auth.scope", scope=" | ".join(wanted))
        return True
