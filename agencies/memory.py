"""The registry as this process remembers it: what every package asks, without asking the database each time.

What is remembered counts as long as the stamp in the database is the one that it was read under
(stamps.py). `current` reads the stamp, so a change has effect with the next call after its commit; what
somebody might change behind the triggers' back has effect within SECONDS. Threads share the rows: they are
to be read, never changed. Whoever changes the registry reads and locks rows of its own.
"""

import time
from collections.abc import Iterable
from copy import copy
from datetime import datetime
from typing import Self
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection
from oauth2_provider.models import AccessToken

from agencies import directory, stamps
from agencies.models import Agency, Alias, Certificate, System

SECONDS = 60.0
_MOST = 100_000  # things remembered: strangers may name any number of codes


class Memory:
    """What was read under one stamp of the registry; `revocation` is the stamp of what is known of that."""

    def __init__(self, registry: str, revocation: str) -> None:
        self.registry, self.revocation = registry, revocation
        self._until = time.monotonic() + SECONDS
        self._codes: dict[str, list[Alias]] = {}
        self._senders: dict[tuple[UUID, UUID], bool] = {}
        self._certificates: dict[UUID, list[Certificate]] = {}
        self._tokens: dict[str, AccessToken] = {}
        self._uplinks: list[System] | None = None

    @property
    def fresh(self) -> bool:
        """Whether it may still be used under its stamp."""
        things = len(self._codes) + len(self._senders) + len(self._certificates) + len(self._tokens)
        return time.monotonic() < self._until and things < _MOST

    def with_revocation(self, stamp: str) -> Self:
        """The same under another stamp of what is known of revocations."""
        changed = copy(self)
        changed.revocation = stamp
        return changed

    def agency_by_code(self, code: str, at: datetime) -> Agency | None:
        """As `directory.agency_by_code`."""
        return self.agencies_by_codes([code], at).get(code)

    def agencies_by_codes(self, codes: Iterable[str], at: datetime) -> dict[str, Agency]:
        """As `directory.agencies_by_codes`; one query for all codes that are asked for the first time."""
        folded = {code: directory.fold(code) for code in dict.fromkeys(codes)}
        if new := set(folded.values()) - self._codes.keys():
            self._codes |= directory.aliases_of(new)
        meant = ((code, row) for code, name in folded.items() for row in self._codes[name])
        return {code: row.agency for code, row in meant if row.is_valid(at)}

    def may_send_for(self, system: System, agency: Agency) -> bool:
        """As `directory.may_send_for`."""
        key = (system.pk, agency.pk)
        if key not in self._senders:
            self._senders[key] = directory.may_send_for(system, agency)
        return self._senders[key]

    def signing_certificates(self, agency: Agency) -> list[Certificate]:
        """As `directory.signing_certificates`."""
        if agency.pk not in self._certificates:
            self._certificates[agency.pk] = directory.signing_certificates(agency)
        return self._certificates[agency.pk]

    def uplinks(self) -> list[System]:
        """As `directory.uplinks`."""
        if self._uplinks is None:
            self._uplinks = directory.uplinks()
        return self._uplinks

    def token(self, checksum: str) -> AccessToken | None:
        """As `directory.access_token`. Only what exists is remembered, so a new token works at once.

        Its end, and the state of credential and system, are for the caller to judge.
        """
        found = self._tokens.get(checksum) or directory.access_token(checksum)
        if found is not None:
            self._tokens[checksum] = found
        return found


_last = Memory("", "")


def current() -> Memory:
    """What this process remembers of the registry as the running transaction sees it. One query."""
    global _last  # noqa: PLW0603 - one for all threads; each of them goes on with the one it was given
    found = _stamps()
    registry, revocation = found.get(stamps.REGISTRY, ""), found.get(stamps.REVOCATION, "")
    memory = _last
    if not registry or memory.registry != registry or not memory.fresh:
        memory = _last = Memory(registry, revocation)
    elif memory.revocation != revocation:
        memory = _last = memory.with_revocation(revocation)
    return memory


def _stamps() -> dict[str, str]:
    """The stamps. The first statement of most requests: a connection that was lost since the last one shows
    here, and Django need not ask before whether it is there."""
    connection.health_check_done = True  # type: ignore[attr-defined]
    try:
        return _read_stamps()
    except (OperationalError, InterfaceError):
        if connection.in_atomic_block or connection.connection is None or connection.is_usable():
            raise
        connection.close()
        return _read_stamps()


def _read_stamps() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, value FROM agencies_stamp")
        return dict(cursor.fetchall())
