"""Changing the hub's own keys, with the event that says so."""

from datetime import datetime
from uuid import UUID, uuid5

from django.db import transaction

from exchange import keys, log

STREAM = uuid5(UUID(int=0), "keys")
"""The stream of key rotations."""


def rotate(
    which: str, *, since: datetime, pem: bytes = b"", actor: log.Actor, at: datetime, why: str = ""
) -> tuple[str, str]:
    """Put a new `which` ("seal" or "log") in force from `since` on, and append its KeyRotation event.

    Returns the name of the key file, and SHA-256 of the certificate (seal) or public key (log). A log key
    ends the log: the sealer opens the next one with it. Raises keys.KeyUnusable, keys.ModuleFailed; then
    nothing is changed.
    """
    with transaction.atomic():  # first: without a database there is no new key either
        name, digest = keys.add_seal(since, pem) if which == "seal" else keys.add_log_key(since)
        log.note(
            STREAM,
            "KeyRotation",
            actor=actor,
            at=at,
            reason="operator.stated" if why else "key.rotated",
            text=why,
            what=which,
            target=name,
            digest=digest,
        )
    return name, digest
