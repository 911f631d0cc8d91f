"""registerAgency and deleteAgency: a system may open and close units below the agencies that it serves.

Everything else in the registry is the registrar's. The body of registerAgency is not signed, so it can do no
more than this: add a unit, below the caller's own agency, that receives through the caller.
"""

import json
from typing import Any

from django.http import HttpRequest

from agencies import directory
from agencies.directory import Agency
from exchange import registry
from exchange.body import read_at_most
from exchange.refusals import Refused
from exchange.vxp.authentication import Caller

_MAX_BODY = 64 * 1024


def register(caller: Caller, request: HttpRequest) -> None:
    """Register the unit that the body describes; one that the caller serves already stays as it is.

    Raises Refused: request.invalid, registration.not-allowed.
    """
    facts = _facts(request)
    code = facts["code"]
    known = directory.agency_by_code(code, caller.now)
    if known is not None:
        if known.receives_through_id != caller.system.pk or known.suspended_at is not None:
            raise Refused("registration.not-allowed", organ=code)
        return
    by = registry.Change(caller.actor, caller.now)
    try:
        registry.register_unit(
            code,
            facts["name"],
            parent=_parent(caller, code),
            system=caller.system,
            email=facts["mail"],
            by=by,
        )
    except registry.EnrolmentError as error:
        raise Refused("request.invalid", why=error.message_vi, why_en=error.message_en) from error


def close(caller: Caller, code: str) -> None:
    """Suspend the unit `code`; only a registrar opens it again. Raises Refused registration.not-allowed."""
    unit = directory.agency_by_code(code, caller.now)
    if unit is None or unit.receives_through_id != caller.system.pk:
        raise Refused("registration.not-allowed", organ=code[:64])
    _parent(caller, unit.code)
    registry.suspend_agency(unit, by=registry.Change(caller.actor, caller.now))


def _parent(caller: Caller, code: str) -> Agency:
    """The caller's agency right above `code` (QĐ 20/2020: groups from the top). Raises Refused."""
    mine = directory.receives_for(caller.system)
    above = directory.agency_by_code(code.rpartition(".")[0], caller.now)
    if above is None or not mine.filter(pk=above.pk).exists():
        raise Refused("registration.not-allowed", organ=code[:64])
    return above


def _facts(request: HttpRequest) -> dict[str, str]:
    try:
        value: Any = json.loads(read_at_most(request, _MAX_BODY))
    except (ValueError, RecursionError) as error:
        raise Refused("request.invalid", why="JSON") from error
    if not isinstance(value, dict):
        raise Refused("request.invalid", why="JSON")
    facts = {name: str(value.get(name) or "").strip() for name in ("code", "name", "mail")}
    if not facts["code"] or not facts["name"]:
        raise Refused("request.invalid", why="code, name")
    return facts
