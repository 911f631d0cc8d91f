"""Where a package goes: every recipient code resolved to an agency that is connected, or a refusal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from agencies import directory, memory
from agencies.memory import Memory
from agencies.models import Agency, System
from exchange import workdays
from exchange.models import Delivery, Holiday, Lane, Package, PdfReport, PdfVerdict
from exchange.models.delivery import Rank
from exchange.refusals import Problem, Refused

FAN_OUT = 50  # an ordinary document to more recipients than this goes to the lane of its own
_RANKS = {0: Rank.ORDINARY, 1: Rank.URGENT, 2: Rank.VERY_URGENT, 3: Rank.EXPRESS, 4: Rank.EXPRESS}
_LANES = {
    Rank.STATUS: Lane.STATUS,
    Rank.EXPRESS: Lane.EXPRESS,
    Rank.VERY_URGENT: Lane.URGENT,
    Rank.URGENT: Lane.URGENT,
    Rank.ORDINARY: Lane.NORMAL,
}


@dataclass(frozen=True, slots=True)
class Route:
    """One recipient agency: the code it was addressed by, and the system that receives for it."""

    agency: Agency
    code: str
    system: System


@dataclass(frozen=True, slots=True)
class Routes:
    """Every recipient once, and the codes that named an agency a second time."""

    routes: tuple[Route, ...]
    repeated: tuple[str, ...]


def recipients(codes: Sequence[str], memory: Memory, at: datetime) -> Routes:
    """One route per recipient agency of `codes` at time `at`.

    Two codes of one agency give one route. Raises Refused with a problem for every code that is unknown,
    suspended or not connected: one bad recipient refuses the whole package.
    """
    found = memory.agencies_by_codes(codes, at)
    above = _above(found.values(), memory)
    routes: dict[object, Route] = {}
    problems, repeated = [], []
    for code in dict.fromkeys(codes):
        agency = found.get(code)
        system = _receiver(agency, above)
        problem = _problem(code, agency, system)
        if problem:
            problems.append(problem)
        elif agency and system:
            if agency.pk in routes:
                repeated.append(code)
            routes.setdefault(agency.pk, Route(agency, code, system))
    if problems:
        raise Refused(problems)
    return Routes(tuple(routes.values()), tuple(repeated))


def to_agency(agency: Agency, memory: Memory) -> Route | None:
    """The route to a party of an earlier document; None when no system receives for it any more."""
    system = _receiver(agency, _above([agency], memory))
    return Route(agency, agency.code, system) if system else None


def new_deliveries(package: Package, routes: Sequence[Route], now: datetime) -> list[Delivery]:
    """Queued deliveries of `package` along `routes`, which are all that it has (not saved)."""
    rank = Rank.STATUS if package.kind == "status" else _RANKS.get(package.priority, Rank.ORDINARY)
    lane = Lane.BULK if rank == Rank.ORDINARY and len(routes) > FAN_OUT else _LANES[rank]
    clocks = _clocks(rank, now)
    return [
        Delivery(
            package=package,
            recipient=route.agency,
            recipient_code=route.code,
            system=route.system,
            push=route.system.delivery == System.Delivery.PUSH,
            rank=rank,
            lane=lane,
            queued_at=now,
            due_at=now,
            **clocks,
        )
        for route in routes
    ]


def _clocks(rank: Rank, now: datetime) -> dict[str, datetime]:
    """The deadlines of a delivery; only documents have one for the receipt, and a warning before expiry."""
    hub = settings.ENVIRONMENT
    days = {
        Rank.EXPRESS: hub.expiry_days_express,
        Rank.VERY_URGENT: hub.expiry_days_very_urgent,
        Rank.URGENT: hub.expiry_days_urgent,
    }
    life = timedelta(days=days.get(rank, hub.expiry_days))
    if rank == Rank.STATUS:
        return {"expires_at": now + life}
    urgent = timedelta(minutes=hub.urgent_minutes) if rank < Rank.ORDINARY else None
    return {
        "expires_at": now + life,
        "warn_at": now + life - min(timedelta(days=hub.expiry_warning_days), life / 2),
        "receipt_due_at": workdays.receipt_due(now, Holiday.objects.calendar(), urgent_within=urgent),
    }


def queue_again(delivery: Delivery, now: datetime) -> None:
    """Queue `delivery` anew (in memory), along its recipient's present route.

    Raises Refused: recipient.not-connected, recipient.suspended, recipient.refuses-broken-pdf.
    """
    route = to_agency(delivery.recipient, memory.current())
    problem = _problem(delivery.recipient_code, delivery.recipient, route.system if route else None)
    if problem or not route:
        raise Refused([problem or Problem("recipient.not-connected", {"organ": delivery.recipient_code})])
    delivery.system, delivery.push = route.system, route.system.delivery == System.Delivery.PUSH
    delivery.held = _held(delivery)
    delivery.queued_at = delivery.due_at = now
    for name, moment in _clocks(Rank(delivery.rank), now).items():
        setattr(delivery, name, moment)


def _held(delivery: Delivery) -> bool:
    """Whether it waits for the report on PDF signatures. Raises Refused recipient.refuses-broken-pdf."""
    if not delivery.recipient.refuses_broken_pdf:
        return False
    verdicts = PdfReport.objects.filter(pk=delivery.package_id).values_list("verdict", flat=True)
    if PdfVerdict.BROKEN in verdicts:
        raise Refused("recipient.refuses-broken-pdf", organ=delivery.recipient_code)
    return PdfVerdict.WAITING in verdicts


def hold(deliveries: Sequence[Delivery]) -> None:
    """Keep the recipients with the systems they receive through until the commit, and follow a change.

    An agency may have moved to another system since its route was found; its new system gets the delivery.
    """
    systems = directory.hold({item.recipient_id for item in deliveries})
    for item in deliveries:
        system = systems.get(item.recipient_id)
        if system is not None and system != item.system_id:
            item.system = System.objects.get(pk=system)
            item.push = item.system.delivery == System.Delivery.PUSH


def ours(codes: Sequence[str], memory: Memory, at: datetime) -> list[str]:
    """Those of `codes` that mean agencies connected here: what came from above does not go up again.

    Raises Refused recipient.not-connected when none does.
    """
    found = memory.agencies_by_codes(codes, at)
    here = [code for code in codes if (agency := found.get(code)) and agency.receives_through_id]
    if codes and not here:
        raise Refused([Problem("recipient.not-connected", {"organ": code}) for code in codes])
    return here


def _above(agencies: Iterable[Agency], memory: Memory) -> list[System]:
    """The systems above; not asked for when every one of `agencies` is connected here."""
    return memory.uplinks() if any(item.receives_through_id is None for item in agencies) else []


def _receiver(agency: Agency | None, above: Sequence[System]) -> System | None:
    """The system that receives for `agency`: its own, else one above."""
    if agency is None:
        return None
    return agency.receives_through or directory.uplink_for(agency.code, above)


def _problem(code: str, agency: Agency | None, system: System | None) -> Problem | None:
    if agency is None:
        return Problem("recipient.unknown", {"organ": code})
    if system is None:
        return Problem("recipient.not-connected", {"organ": code})
    if agency.suspended_at or system.suspended_at:
        return Problem("recipient.suspended", {"organ": code})
    return None
