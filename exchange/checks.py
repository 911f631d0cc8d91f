"""System checks: what is wrong with the settings, the keys or the trust store, and what to do about it."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register


@register("hub")
def check_settings(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """A hub on PostgreSQL is in production: what may be made by itself in a demo must be given there."""
    environment = settings.ENVIRONMENT
    found: list[CheckMessage] = []
    if not environment.embedded and not environment.secret_key:
        found.append(
            Error(
                "HUB_SECRET_KEY is not set",
                hint="Give every process the same random text of 50 characters, or HUB_SECRET_KEY_FILE.",
                id="hub.E001",
            )
        )
    if environment.debug and not environment.embedded:
        found.append(Error("HUB_DEBUG is on", hint="Unset HUB_DEBUG in production.", id="hub.E002"))
    if environment.trust_dir is not None and not environment.trust_dir.is_dir():
        found.append(
            Error(
                f"HUB_TRUST_DIR: {environment.trust_dir} is not a directory",
                hint="Put the PEM files of the trusted authorities there.",
                id="hub.E003",
            )
        )
    if environment.trust_dir is None:
        found.append(
            Warning(
                "HUB_TRUST_DIR is not set: no certificate is trusted, so no signature is valid",
                hint="Name the directory with the PEM files of the trusted authorities.",
                id="hub.W001",
            )
        )
    return found
