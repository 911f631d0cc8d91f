"""The security stream: who signed in, who was refused, what was changed in roles, registry and keys.

One JSON object per line for the information-security centre (docs/operations.md), to a file and to syslog
as the settings say, and into the ordinary log. Every event of the audit log that is not about a single
document's way is here too, as `audit.<event>`. Never a secret, never free text.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import structlog
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest

from exchange import metrics

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "session.opened": "A person signed in",
        "session.refused": "A sign-in failed",
        "session.closed": "A person signed out",
        "token.issued": "A system got an access token",
        "token.refused": "A system did not get one",
        "request.refused": "A request was refused for who asked: no or old token, scope, origin, too many",
        "person.changed": "An account or its roles were added or changed",
        "person.second-factor": "The second factor of an account was switched on or off",
        "role.changed": "What a role may do was changed",
        "mode.changed": "Maintenance or read-only mode was switched",
    }
)
AUDIT = "audit."
_WARNINGS = ("session.refused", "token.refused", "request.refused", "audit.SubmissionRejection")

_logger = structlog.get_logger("hub.security")


def say(name: str, **facts: Any) -> None:
    """Write one line; what is bound to the request (its id, source, system) stands in it by itself."""
    if not name.startswith(AUDIT):
        NAMES[name]
    metrics.SECURITY_EVENTS.labels(name).inc()
    (_logger.warning if name in _WARNINGS else _logger.info)(name, **facts)


def listen() -> None:
    """Hear of people's sessions from Django, which has no other way to tell."""
    user_logged_in.connect(_opened, dispatch_uid="hub.security")
    user_login_failed.connect(_refused, dispatch_uid="hub.security")
    user_logged_out.connect(_closed, dispatch_uid="hub.security")


def _opened(sender: object, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    say("session.opened", person=user.get_username())


def _refused(sender: object, credentials: Mapping[str, Any], **kwargs: Any) -> None:
    say("session.refused", person=str(credentials.get("username", ""))[:150])


def _closed(sender: object, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    say("session.closed", person=user.get_username() if user else "")
