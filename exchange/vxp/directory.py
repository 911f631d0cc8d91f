"""The directory in one unpaged answer: made once for every state of the registry, kept in a file.

A hundred thousand agencies are written to the file as they are read, and sent from it as the client takes
them; no process ever holds them.
"""

import secrets
from collections.abc import Callable, Iterator
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path

from django.conf import settings
from django.db.models import Count, Max, Prefetch, QuerySet
from django.utils import timezone

from agencies import directory
from agencies.directory import Agency, Alias
from exchange.refusals import Refused
from exchange.vxp import answers, items
from exchange.vxp.answers import Item

_CHUNK = 2_000


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
    for agency in _rows(now).filter(suspended_at=None, receives_through__suspended_at=None).iterator(_CHUNK):
        routed = agency.receives_through_id or directory.uplink_for(agency.code, above)
        if routed and (not level or agency.code.count(".") + 1 == int(level)):
            yield _agency(agency)


def _units(now: datetime) -> Iterator[Item]:
    for agency in _rows(now).iterator(_CHUNK):
        yield {
            **_agency(agency),
            "version": str(int(agency.updated_at.timestamp())),
            "centerCode": settings.ENVIRONMENT.code,
            "deleted": agency.suspended_at is not None,
            "modifyDate": items.moment(agency.updated_at),
            "isAgency": True,
        }


def _rows(now: datetime) -> QuerySet[Agency]:
    valid = Prefetch("aliases", Alias.objects.valid(now).order_by("folded"), to_attr="codes")
    return Agency.objects.prefetch_related(valid).order_by("folded")


def _agency(agency: Agency) -> Item:
    found = {
        "id": str(agency.id),
        "pid": str(agency.parent_id or ""),
        "code": agency.code,
        "name": agency.name,
        "mail": agency.email,
    }
    old = [alias.code for alias in agency.codes if alias.code != agency.code]  # type: ignore[attr-defined]
    if old:
        found |= {"oldCode": old[0], "code102": old[0]}
    return found


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
