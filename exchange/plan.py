"""What accepting a package does: who gets it, and what happens to the deliveries it is about.

Runs inside the transaction of intake, with the rows it changes locked. Each kind of package has one function.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from agencies import directory
from agencies.memory import Memory
from agencies.models import Agency, System
from exchange import lifecycle, matching, routing
from exchange.envelope.package import Note, Replacement, Response
from exchange.envelope.package import Package as Content
from exchange.lifecycle import Cause, Verdict
from exchange.matching import Found, Reference
from exchange.models import BusinessType, Delivery, Kind, Package, Request, RequestState, State, byhand
from exchange.refusals import Problem, Refused

TAKE_BACK = "13"
ADDED, REMOVED = "0", "1"  # ReceiverType: no text says which is which; real updates name added ones with 0


@dataclass(slots=True)
class Plan:
    """The deliveries to make (not saved), the document it is about, and what its sender should know."""

    deliveries: list[Delivery] = field(default_factory=list)
    about: Package | None = None
    warnings: list[Note] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A checked package about to be admitted: its row (not saved), its content, and why things change.

    `memory`: the registry as the transaction sees it. `about` is the delivery that a status is about, when it
    is known and need not be searched for.
    """

    package: Package
    content: Content
    memory: Memory
    cause: Cause
    about: Delivery | None = None


def make(incoming: Incoming) -> Plan:
    """Decide and carry out what `incoming` does to earlier deliveries; raises Refused."""
    if incoming.package.kind == Kind.STATUS:
        return _take_back(incoming) if incoming.content.status_code == TAKE_BACK else _status(incoming)
    return _DOCUMENTS[BusinessType(incoming.package.business_type)](incoming)


# --- statuses -----------------------------------------------------------------------------------------


def _status(incoming: Incoming) -> Plan:
    """An answer of the recipient (01–06, 15, 16), on its way to the document's sender."""
    code, cause = incoming.content.status_code, incoming.cause
    found = _answered_document(incoming)
    asked = _replied_to(found, code)
    own = code in lifecycle.FOLLOWS
    if not own and not asked:
        raise lifecycle.not_allowed(code, found.deliveries[-1])
    target = lifecycle.answered(found.deliveries, code) if own else asked[-1]
    verdicts = [lifecycle.settle(request, code, cause) for request in asked]
    if own and (not asked or (target not in asked and lifecycle.answerable(target))):
        verdicts.append(lifecycle.answer(target, code, cause))
    plan = Plan(about=target.package)
    if Verdict.ADVANCES not in verdicts:
        plan.warnings.append(_changes_nothing(code, target))
    _send(plan, incoming, target.package.sender)
    return plan


def _answered_document(incoming: Incoming) -> Found:
    if incoming.about is None:
        reference = _reference(incoming.content.response)
        return matching.received(incoming.package.sender, reference, incoming.cause.now)
    return matching.at_hand(incoming.about)


def _replied_to(found: Found, code: str) -> list[Delivery]:
    """The requests that `code` answers: 15 and 16 all open ones, 02 and 03 those the recipient could see.

    With none open, 15 and 16 once more mean those that they settled before.
    """
    if code not in lifecycle.REPLIES:
        return []
    waiting = [row for row in found.requests if row.request_state == RequestState.OPEN]
    if code in lifecycle.FOLLOWS:
        return [row for row in waiting if row.requested_by and row.requested_by.begun]
    return waiting or [row for row in found.requests if row.request_state == lifecycle.REPLIES[code]]


def _take_back(incoming: Incoming) -> Plan:
    """Status 13: the sender asks one recipient to give a document back."""
    if incoming.about is None:
        reference = _reference(incoming.content.response)
        family = matching.sent(incoming.package.sender, [reference], incoming.cause.now)
    else:
        family = matching.versions(incoming.about)
    if len(_by_recipient(family)) > 1:
        codes = sorted({row.recipient_code for row in family})
        raise Refused("document.ambiguous", candidates=", ".join(codes))
    plan = Plan(about=family[0].package)
    _withdraw(plan, incoming, family, Request.TAKE_BACK)
    return plan


# --- documents ----------------------------------------------------------------------------------------


def _new(incoming: Incoming) -> Plan:
    """A new document to every agency in To; its id and number are looked up for duplicates."""
    plan = Plan()
    _warn_of_duplicates(plan, incoming)
    _link_reply(plan, incoming)
    _address(plan, incoming, _to(incoming))
    return plan


def _recall(incoming: Incoming) -> Plan:
    """Type 1: withdraw an earlier document from every agency in To (the packet repeats its header)."""
    family = _own_document(incoming, _header(incoming), _business(incoming))
    plan, agencies = Plan(about=family[0].package), _agencies(_to(incoming), incoming)
    problems = _withdraw_from(plan, incoming, agencies, family)
    if len(problems) == len(agencies):
        raise Refused(problems)
    plan.warnings += [_as_note(problem) for problem in problems]
    return plan


def _update(incoming: Incoming) -> Plan:
    """Type 2: new content and/or a changed list of receivers, always delivered."""
    family = _own_document(incoming, _business(incoming), _header(incoming))
    plan = Plan(about=family[0].package)
    receivers = incoming.content.business.receivers
    added = [one.organ_id for one in receivers if one.type == ADDED]
    if _from_above(incoming):
        added = [code for code in added if code in _to(incoming)]
    removed = _agencies([one.organ_id for one in receivers if one.type == REMOVED], incoming)
    known = incoming.memory.agencies_by_codes(_to(incoming), incoming.cause.now)
    kept = [code for code in _to(incoming) if known.get(code) not in removed]
    _address(plan, incoming, kept, more=added)
    held = _by_recipient(family)
    _ask(incoming, Request.UPDATE, [(new, held.get(new.recipient_id, [])) for new in plan.deliveries])
    problems = _withdraw_from(plan, incoming, removed, family)
    plan.warnings += [_as_note(problem) for problem in problems]
    return plan


def _replace(incoming: Incoming) -> Plan:
    """Type 3: a new document in the place of earlier ones, for each recipient that gets it."""
    plan = Plan()
    _address(plan, incoming, _to(incoming))
    replaced = incoming.content.business.replacements
    for one in replaced or [Replacement(incoming.content.business.document_id)]:
        family = _own_document(incoming, Reference(document_id=one.document_id))
        plan.about = plan.about or family[0].package
        held = _by_recipient(family)
        concerned = _concerned(plan, incoming, one.organ_ids) if one.organ_ids else plan.deliveries
        _ask(incoming, Request.REPLACE, [(new, held.get(new.recipient_id, [])) for new in concerned])
    return plan


_DOCUMENTS: Mapping[BusinessType, Callable[[Incoming], Plan]] = {
    BusinessType.NEW: _new,
    BusinessType.RECALL: _recall,
    BusinessType.UPDATE: _update,
    BusinessType.REPLACE: _replace,
}


# --- how a package names an earlier document ----------------------------------------------------------


def _own_document(incoming: Incoming, *references: Reference) -> list[Delivery]:
    """The deliveries of the sender's document that the first fitting reference names."""
    named = [one for one in references if one != Reference()]
    return matching.sent(incoming.package.sender, named, incoming.cause.now)


def _header(incoming: Incoming) -> Reference:
    """The document of the package's own header."""
    content = incoming.content
    return Reference(
        document_id=content.document_id,
        code=content.code.text if content.code else "",
        date=content.promulgation_date,
    )


def _business(incoming: Incoming) -> Reference:
    """The document acted on (edXML 2.2.4)."""
    return Reference(document_id=incoming.content.business.document_id)


def _reference(response: Response) -> Reference:
    return Reference(
        organ=response.organ_id,
        code=response.code.text if response.code else "",
        date=response.promulgation_date,
        document_id=response.document_id,
    )


def _link_reply(plan: Plan, incoming: Incoming) -> None:
    """Link a document to the one that it answers (ResponseFor); a warning when that is not found."""
    sender, now = incoming.package.sender, incoming.cause.now
    for response in incoming.content.responses:
        try:
            found = matching.received_ids(sender, _reference(response), now)
        except Refused as refused:
            plan.warnings += [_as_note(problem) for problem in refused.problems]
        else:
            plan.about = plan.about or Package.objects.filter(deliveries=found[0]).get()


# --- deliveries to make -------------------------------------------------------------------------------


def _to(incoming: Incoming) -> list[str]:
    """The codes in To; of a package from above those that are connected here: it delivers to the others."""
    codes = [organ.organ_id for organ in incoming.content.recipients]
    return routing.ours(codes, incoming.memory, incoming.cause.now) if _from_above(incoming) else codes


def _from_above(incoming: Incoming) -> bool:
    system = incoming.package.system
    return system is not None and system.kind == System.Kind.AXIS


def _agencies(codes: Sequence[str], incoming: Incoming) -> list[Agency]:
    """The agencies of `codes`, each once. Raises Refused with a problem for every unknown code."""
    known = incoming.memory.agencies_by_codes(codes, incoming.cause.now)
    if unknown := [code for code in codes if code not in known]:
        raise Refused([Problem("recipient.unknown", {"organ": code}) for code in unknown])
    return list(dict.fromkeys(known[code] for code in codes))


def _address(plan: Plan, incoming: Incoming, codes: Sequence[str], more: Iterable[str] = ()) -> None:
    """One delivery for every agency in `codes` and `more`, which may name an agency once more."""
    found = routing.recipients([*codes, *more], incoming.memory, incoming.cause.now)
    now, package = incoming.cause.now, incoming.package
    plan.deliveries += routing.new_deliveries(package, found.routes, now)
    plan.warnings += [_repeated(code) for code in found.repeated if code in codes]


def _send(plan: Plan, incoming: Incoming, agency: Agency) -> Delivery | None:
    """A delivery to a party of an earlier document; one that receives nowhere any more is a warning."""
    route = routing.to_agency(agency, incoming.memory)
    if route is None:
        plan.warnings.append(_unreachable(agency))
        return None
    [made] = routing.new_deliveries(incoming.package, [route], incoming.cause.now)
    plan.deliveries.append(made)
    return made


# --- what is asked of earlier deliveries --------------------------------------------------------------


def _by_recipient(family: Iterable[Delivery]) -> dict[UUID, list[Delivery]]:
    """What each recipient holds of one document, oldest first."""
    held: dict[UUID, list[Delivery]] = {}
    for delivery in family:
        held.setdefault(delivery.recipient_id, []).append(delivery)
    return held


def _ask(
    incoming: Incoming, request: Request, pairs: Iterable[tuple[Delivery | None, list[Delivery]]]
) -> None:
    """Make `request` of what still stands of each pair's earlier deliveries; the new one carries it."""
    cause = incoming.cause
    changes = [
        lifecycle.ask(old, request, cause, by=new) for new, olds in pairs for old in lifecycle.standing(olds)
    ]
    lifecycle.record(changes, at=cause.now, actor=cause.actor)


def _withdraw_from(
    plan: Plan, incoming: Incoming, agencies: Iterable[Agency], family: list[Delivery]
) -> list[Problem]:
    """Recall from each of `agencies`; returns why that cannot be for those of which nothing can be asked."""
    held, problems = _by_recipient(family), list[Problem]()
    for agency in agencies:
        try:
            _withdraw(plan, incoming, held.get(agency.pk) or _never_sent(agency, family), Request.RECALL)
        except Refused as refused:
            problems += refused.problems
    return problems


def _withdraw(plan: Plan, incoming: Incoming, held: list[Delivery], request: Request) -> None:
    """Ask one recipient for all it holds of a document; nothing travels to whom it was never served.

    Raises Refused, before anything changes, when nothing is left to ask for or a request is already open.
    """
    alive = lifecycle.standing(held)
    for old in alive or held[-1:]:
        lifecycle.check_may_ask(old, request)
    begun = [old for old in alive if old.begun]
    notice = _send(plan, incoming, held[0].recipient) if begun else None
    _ask(incoming, request, [(notice, begun), (None, [old for old in alive if not old.begun])])


def _never_sent(agency: Agency, family: list[Delivery]) -> list[Delivery]:
    raise Refused("document.not-found", searched=f"{family[0].package} → {agency.code}")


def _concerned(plan: Plan, incoming: Incoming, codes: Sequence[str]) -> list[Delivery]:
    """Those of the new deliveries that go to agencies of `codes`; a warning for each of the others."""
    known = incoming.memory.agencies_by_codes(codes, incoming.cause.now)
    new = {delivery.recipient_id: delivery for delivery in plan.deliveries}
    wanted = {code: new.get(known[code].pk) if code in known else None for code in codes}
    plan.warnings += [_not_addressed(code) for code, delivery in wanted.items() if delivery is None]
    return list({delivery.id: delivery for delivery in wanted.values() if delivery}.values())


# --- duplicates ---------------------------------------------------------------------------------------

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%(name)s, 0))"
"""Lets one transaction at a time judge a document id. The statement after it sees what the last one wrote."""
_DUPLICATES = f"""
SELECT (
    SELECT p.id FROM exchange_package p
    WHERE p.sender_id = %(sender_id)s AND p.document_id = %(document_id)s
        AND p.kind = '{Kind.DOCUMENT}' AND p.business_type <> '{BusinessType.RECALL}'
        AND EXISTS (
            SELECT 1 FROM exchange_delivery d WHERE d.package_id = p.id AND d.state <> '{State.WITHDRAWN}'
        )
    ORDER BY p.accepted_at LIMIT 1
), EXISTS (
    SELECT 1 FROM exchange_package p
    WHERE p.sender_id = %(sender_id)s AND p.code_folded = %(code_folded)s AND p.code_folded <> ''
        AND p.kind = '{Kind.DOCUMENT}' AND p.accepted_at >= %(accepted_at)s
        AND p.document_id <> %(document_id)s
)
"""  # noqa: S608


def _warn_of_duplicates(plan: Plan, incoming: Incoming) -> None:
    """The same DocumentId with other bytes is refused or noted; the same number within a year is noted."""
    package = incoming.package
    earlier, repeated = _duplicates(package, incoming.cause.now - timedelta(days=365))
    if earlier is not None:
        sent_at = earlier.accepted_at.isoformat(timespec="minutes")
        problem = Problem("document.id-reused", {"document_id": package.document_id, "sent_at": sent_at})
        if package.system and directory.duplicate_policy(package.sender, package.system) == "refuse":
            raise Refused([problem])
        plan.warnings.append(_as_note(problem))
    if repeated:
        plan.warnings.append(_same_code(package))


def _duplicates(package: Package, since: datetime) -> tuple[Package | None, bool]:
    """The first package with the same DocumentId that still stands, and whether another document bears the
    same number since then. In one go, and no queryset: asked for every document."""
    values = byhand.prepared(
        Package,
        sender_id=package.sender_id,
        document_id=package.document_id,
        code_folded=package.code_folded,
        accepted_at=since,
    )
    lock = [_LOCK] if connection.vendor == "postgresql" else []  # SQLite has one writer
    name = f"{package.sender_id}:{package.document_id}"
    [(first, repeated)] = byhand.ask([*lock, _DUPLICATES], values | {"name": name})
    return Package.objects.get(pk=first) if first else None, bool(repeated)


# --- warnings -----------------------------------------------------------------------------------------


def _as_note(problem: Problem) -> Note:
    return Note(problem.code, problem.detail("vi"), problem.detail("en"))


def _repeated(code: str) -> Note:
    return Note(
        "recipient.repeated",
        f"Mã nơi nhận “{code}” là của một cơ quan đã có trong danh sách; cơ quan này chỉ nhận một lượt gửi.",
        f"The recipient code “{code}” belongs to an agency already listed; it gets one delivery.",
    )


def _unreachable(agency: Agency) -> Note:
    return Note(
        "recipient.not-connected",
        f"Cơ quan “{agency.code}” hiện không nhận qua hệ thống nào; thông tin đã được ghi nhận tại trục.",
        f"Agency “{agency.code}” receives through no system now; the hub has recorded this.",
    )


def _changes_nothing(code: str, target: Delivery) -> Note:
    return Note(
        "status.no-change",
        f"Trạng thái {code} đã được ghi nhận trước đó hoặc đến muộn; văn bản giữ trạng thái {target.answer}.",
        f"Status {code} was recorded before, or came late; the document stays at {target.answer}.",
    )


def _not_addressed(code: str) -> Note:
    return Note(
        "replacement.not-addressed",
        f"Cơ quan “{code}” được nêu là nơi có văn bản bị thay thế nhưng không có trong nơi nhận văn bản mới;"
        " văn bản cũ tại đó không thay đổi.",
        f"Agency “{code}” is named for the replacement but does not get the new document; its old one stays.",
    )


def _same_code(package: Package) -> Note:
    return Note(
        "document.code-repeated",
        f"Số/ký hiệu “{package.code}” đã được cơ quan này dùng trong vòng một năm.",
        f"Number/notation “{package.code}” was used by this agency within a year.",
    )
