"""Which code means which agency, and when: the rules behind `enrolment`. Callers hold a transaction."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.db import connection

from agencies.errors import EnrolmentError
from agencies.models import Agency, Alias
from agencies.search import fold, fold_text

MAX_CODE = 64
_SPACE = re.compile(r"\s")


class Held(Protocol):
    """Who holds a code, and during which time: an Alias, or what an import remembers of one."""

    @property
    def agency_id(self) -> UUID: ...
    @property
    def valid_from(self) -> datetime | None: ...
    @property
    def valid_until(self) -> datetime | None: ...


def checked(code: str) -> str:
    """`code` without outer spaces. Raises EnrolmentError(agency.code-invalid)."""
    code = code.strip()
    if not 0 < len(code) <= MAX_CODE or not code.isprintable() or _SPACE.search(code):
        raise EnrolmentError("agency.code-invalid", code=code[:80])
    return code


def check_interval(code: str, valid_from: datetime | None, valid_until: datetime | None) -> None:
    """[valid_from, valid_until) must not be empty. Raises EnrolmentError(alias.interval)."""
    if valid_from is not None and valid_until is not None and valid_from >= valid_until:
        raise EnrolmentError("alias.interval", code=code)


def overlaps(held: Held, valid_from: datetime | None, valid_until: datetime | None) -> bool:
    """Whether `held` shares a moment with [valid_from, valid_until); None is without end."""
    begins_before = held.valid_from is None or valid_until is None or held.valid_from < valid_until
    ends_after = held.valid_until is None or valid_from is None or valid_from < held.valid_until
    return begins_before and ends_after


def is_same(held: Held, agency: Agency, valid_from: datetime | None, valid_until: datetime | None) -> bool:
    """Whether `held` already says exactly that."""
    return (held.agency_id, held.valid_from, held.valid_until) == (agency.pk, valid_from, valid_until)


def lock() -> None:
    """Let nobody else change codes until the transaction ends; readers are not held up.

    Two writers could otherwise insert overlapping intervals that neither sees. Locked as a whole because
    changes are rare, and because rows that do not exist yet cannot be locked. SQLite has one writer anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE agencies_alias IN SHARE ROW EXCLUSIVE MODE")


def claim(agency: Agency, code: str, valid_from: datetime | None, valid_until: datetime | None) -> Alias:
    """Let `code` mean `agency` during [valid_from, valid_until); the same claim again changes nothing.

    Raises EnrolmentError: agency.code-invalid, alias.interval, alias.overlap.
    """
    code = checked(code)
    check_interval(code, valid_from, valid_until)
    lock()
    for held in Alias.objects.filter(folded=fold(code)).select_related("agency"):
        if is_same(held, agency, valid_from, valid_until):
            return held
        if overlaps(held, valid_from, valid_until):
            raise EnrolmentError("alias.overlap", code=code, holder=held.agency.code)
    return Alias.objects.create(
        agency=agency, code=code, folded=fold(code), valid_from=valid_from, valid_until=valid_until
    )


def close(agency: Agency, code: str, at: datetime) -> Alias:
    """Let `code` stop meaning `agency` at `at`. Raises EnrolmentError(alias.unknown)."""
    lock()
    held = Alias.objects.valid(at).filter(agency=agency, folded=fold(code)).first()
    if held is None or held.valid_from == at:
        raise EnrolmentError("alias.unknown", code=code)
    held.valid_until = at
    held.save(update_fields=["valid_until"])
    return held


def search_text(agency: Agency, codes: Iterable[str]) -> str:
    """What the directory's search looks through: all codes and names."""
    return fold_text(" ".join((agency.code, *sorted(codes), agency.name, agency.name_en)))
