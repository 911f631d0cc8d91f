"""The directory in one unpaged answer: made once for every state of the registry, kept in a file.

A hundred thousand agencies are written to the file as they are read, and sent from it as the client takes
them; no process ever holds them.
"""

import secrets
from collections.abc import Callable, Iterator
from datetime import date, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Max
from django.utils import timezone

from agencies import directory
from agencies.directory import Agency, Alias
from exchange.refusals import Refused
from exchange.vxp import answers, items
from exchange.vxp.answers import Item

_CHUNK = 500
_READ = (
    "id", "code", "name", "email", "parent_id", "receives_through_id", "suspended_at", "updated_at",
)  # fmt: skip


def agencies(level: str = "") -> tuple[Path, str]:
    """The file of all agencies that documents can be sent to, and its version; `level` 1 is the top level.

    Raises Refused request.invalid.
    """
    if level and not (level.isascii() and level.isdigit() and len(level) == 1):
        raise Refused("request.invalid", why="level")
    return _kept(f"agencies{level}", lambda now: _reachable(level, now))


def changes() -> tuple[Path, str]:
    """The same of all agencies that ever were, with when they changed and whether they are closed."""
    return _kept("units", _units)


def _reachable(level: str, now: datetime) -> Iterator[Item]:
    above = directory.uplinks()
    for row, item in _rows(now, suspended_at=None, receives_through__suspended_at=None):
        routed = row.receives_through_id or directory.uplink_for(row.code, above)
        if routed and (not level or row.code.count(".") + 1 == int(level)):
            yield item


def _units(now: datetime) -> Iterator[Item]:
    for row, item in _rows(now):
        yield {
            **item,
            "version": str(int(row.updated_at.timestamp())),
            "centerCode": settings.ENVIRONMENT.code,
            "deleted": row.suspended_at is not None,
            "modifyDate": items.moment(row.updated_at),
            "isAgency": True,
        }


def _rows(now: datetime, **conditions: Any) -> Iterator[tuple[Any, Item]]:
    """Plain rows in order of code, some at a time: model instances would hold each other."""
    rows = Agency.objects.filter(**conditions).order_by("folded")
    rest = rows.values_list(*_READ, named=True).iterator(_CHUNK)
    while some := list(islice(rest, _CHUNK)):
        codes = Alias.objects.valid(now).filter(agency__in=[row.id for row in some])
        others: dict[UUID, str] = {}
        current = {row.id: row.code for row in some}
        for agency, code in codes.order_by("folded").values_list("agency_id", "code"):
            if code != current[agency]:
                others.setdefault(agency, code)
        for row in some:
            yield row, _item(row, others.get(row.id, ""))


def _item(row: Any, other_code: str) -> Item:
    found = {
        "id": str(row.id),
        "pid": str(row.parent_id or ""),
        "code": row.code,
        "name": row.name,
        "mail": row.email,
    }
    return found | {"oldCode": other_code, "code102": other_code} if other_code else found


def _kept(name: str, rows: Callable[[datetime], Iterator[Item]]) -> tuple[Path, str]:
    now = timezone.now()
    version = _version(timezone.localdate(now))
    folder = settings.ENVIRONMENT.data_dir / "directory"
    path = folder / f"{name}-{version}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        _write(path, answers.listing(rows(now)))
        for old in folder.glob(f"{name}-*.json"):
            if old != path:
                old.unlink(missing_ok=True)
    return path, version


def _version(day: date) -> str:
    """Changes with every change of the registry, and daily: codes have dates."""
    facts = Agency.objects.aggregate(Max("updated_at"), Count("id"))
    above = [(system.name, system.prefixes) for system in directory.uplinks()]
    return sha256(f"{day} {sorted(facts.items())} {above}".encode()).hexdigest()[:16]


def _write(path: Path, blocks: Iterator[bytes]) -> None:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with fresh.open("wb") as file:
            file.writelines(blocks)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
