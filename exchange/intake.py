"""The front door: a package is checked, stored and given its deliveries, or refused and nothing changes.

The order of the steps is that of docs/security.md; each line of `_check` is one of them.
"""

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Self

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from structlog import contextvars

from agencies import directory, memory
from agencies.directory import Agency, Certificate, System
from agencies.memory import Memory
from exchange import (
    isolation,
    keys,
    lifecycle,
    log,
    matching,
    metrics,
    mode,
    plan,
    routing,
    trust,
    vault,
    wake,
)
from exchange.envelope import package as envelope
from exchange.envelope import signing
from exchange.envelope.attachments import PDF
from exchange.envelope.codes import STATUS_CODES, Side
from exchange.envelope.examine import Terms
from exchange.models import (
    AttachedFile,
    Delivery,
    Event,
    Kind,
    Package,
    PdfReport,
    SignatureState,
    bulk,
    byhand,
)
from exchange.models.ids import uuid7
from exchange.refusals import Problem, Refused

_logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What the sender gets: the package with its deliveries, warnings, and the signed receipt."""

    package: Package
    deliveries: list[Delivery]
    warnings: tuple[envelope.Note, ...]
    receipt: log.Receipt
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What intake would say to a package: every problem found, the warnings, the recipients."""

    problems: tuple[Problem, ...]
    warnings: tuple[envelope.Note, ...]
    recipients: list[Agency]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Bytes at the door: from which system (none when a person acts), on whose behalf, when.

    `claimed` is the sender's code as the transport names it, where it does.
    """

    raw: bytes
    sha256: str
    system: System | None
    actor: log.Actor
    now: datetime
    claimed: str = ""

    @classmethod
    def of(
        cls, raw: bytes, *, system: System | None, actor: log.Actor, now: datetime, claimed: str = ""
    ) -> Self:
        """`raw` with its digest."""
        digest = sha256(raw).hexdigest()
        return cls(raw=raw, sha256=digest, system=system, actor=actor, now=now, claimed=claimed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A package that passed steps 0–8: who sent it, what the signature is worth, what it says.

    `memory` is the registry that it was judged by; its recipients are looked up in the same.
    """

    arrival: Arrival
    memory: Memory
    sender: Agency
    verdict: trust.Verdict
    content: envelope.Package


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What an acceptance wrote, with its event; not yet committed."""

    package: Package
    deliveries: list[Delivery]
    warnings: tuple[envelope.Note, ...]
    event: Event


def accept(
    raw: bytes,
    *,
    system: System,
    actor: log.Actor,
    now: datetime,
    claimed: str = "",
    known: Memory | None = None,
) -> Acceptance:
    """Take the package `raw` from `system`; the same bytes again give the stored acceptance.

    `claimed` is the sender's code as the transport names it, which must mean the sender inside. `known` is
    the registry, where the caller has read it since it had `raw`.
    Raises Refused with every problem found together; then nothing is stored but an event of the refusal.
    Raises keys.ModuleFailed when the package is taken but its receipt cannot be sealed now.
    """
    mode.check_taking()
    arrival = Arrival.of(raw, system=system, actor=actor, now=now, claimed=claimed)
    try:
        return _admit(_check(arrival, system, known or memory.current()))
    except _Known as replay:
        return replay.acceptance
    except keys.ModuleFailed:  # no refusal: the package is taken, and its receipt waits
        raise
    except Refused as refused:
        _note_refusal(refused, arrival)
        raise


def validate(raw: bytes, *, system: System, actor: log.Actor, now: datetime) -> Report:
    """What `accept` would say, by the same rules; nothing is stored."""
    arrival = Arrival.of(raw, system=system, actor=actor, now=now)
    try:
        checked = _check(arrival, system, memory.current())
        with transaction.atomic():
            written = _write(checked)
            transaction.set_rollback(True)
    except _Known as known:
        recipients = [item.recipient for item in known.acceptance.deliveries]
        return Report(problems=(), warnings=(), recipients=recipients)
    except Refused as refused:
        return Report(problems=refused.problems, warnings=(), recipients=[])
    recipients = [item.recipient for item in written.deliveries]
    return Report(problems=(), warnings=written.warnings, recipients=recipients)


def answer(
    delivery: Delivery,
    *,
    code: str,
    description: str,
    staff: envelope.Staff | None,
    at: datetime | None,
    system: System,
    actor: log.Actor,
    now: datetime,
) -> Acceptance:
    """Build, seal and admit the status message `code` about `delivery`, for an agency that `system` serves.

    The recipient answers (01–06, 15, 16); the sender takes back (13). Raises Refused.
    """
    meaning = STATUS_CODES.get(code)
    if meaning is None:
        raise Refused("status.unknown-code", status=code)
    document = _document_of(delivery, code)
    speaker = delivery.recipient if meaning.by is Side.RECIPIENT else document.sender
    if not directory.may_send_for(system, speaker):
        raise Refused("request.not-found")
    concerned = document.sender_code if meaning.by is Side.RECIPIENT else delivery.recipient_code
    content = envelope.status(
        code,
        sender=envelope.Organ(speaker.code, name=speaker.name),
        answers=_response(document, concerned),
        description=description,
        staff=staff,
        at=at or now,
    )
    return _speak_for(speaker, content, delivery, system=system, actor=actor, now=now)


def withdraw(delivery: Delivery, *, reason: str, actor: log.Actor, now: datetime) -> Acceptance:
    """A clerk of the sending agency takes `delivery` back: status 13, written and sealed by the hub.

    The caller has checked that the clerk works for that agency. Raises Refused: status.not-allowed when
    there is nothing to take back, signature.missing when the agency forbids that the hub signs for it.
    """
    document = _document_of(delivery, plan.TAKE_BACK)
    content = envelope.status(
        plan.TAKE_BACK,
        sender=envelope.Organ(document.sender.code, name=document.sender.name),
        answers=_response(document, delivery.recipient_code),
        description=reason,
        at=now,
    )
    return _speak_for(document.sender, content, delivery, system=None, actor=actor, now=now)


def _document_of(delivery: Delivery, code: str) -> Package:
    """What status `code` about `delivery` answers: its own document, or the one that it asks to give back."""
    package = delivery.package
    if package.kind == Kind.DOCUMENT:
        return package
    if package.status_code == plan.TAKE_BACK and package.about:
        return package.about
    raise Refused("status.not-allowed", status=code, current=f"a status ({package.status_code})")


def _response(document: Package, organ: str) -> envelope.Response:
    return envelope.Response(
        organ_id=organ,
        code=envelope.Code(document.number, document.notation),
        promulgation_date=document.promulgated_on,
        document_id=document.document_id,
    )


def _speak_for(
    speaker: Agency,
    content: envelope.Package,
    about: Delivery,
    *,
    system: System | None,
    actor: log.Actor,
    now: datetime,
) -> Acceptance:
    """Write `content` for agency `speaker`, under the hub's own seal, and admit it."""
    mode.check_taking()
    if speaker.suspended_at:
        raise Refused("sender.suspended", organ=speaker.code)
    if not speaker.hub_may_sign:
        raise Refused("signature.missing")
    seal = keys.seal()
    raw = signing.sign(envelope.build(content), key=seal.key, certificate_chain=list(seal.certificates))
    verdict = trust.Verdict(
        state=SignatureState.BY_HUB,
        fingerprint=keys.fingerprint(seal.certificates[0]),
        signer=settings.ENVIRONMENT.name,
    )
    arrival = Arrival.of(raw, system=system, actor=actor, now=now)
    checked = Checked(
        arrival=arrival, memory=memory.current(), sender=speaker, verdict=verdict, content=content
    )
    return _replay(speaker, arrival.sha256) or _admit(checked, about=about)


# --- the steps ----------------------------------------------------------------------------------------


class _Known(Exception):
    """The same bytes came from the same sender before: nothing more is looked at."""

    def __init__(self, acceptance: Acceptance) -> None:
        self.acceptance = acceptance
        super().__init__()


@dataclass(slots=True)
class _Registry:
    """The judge of an examination: what the registry says to its two questions, and what came of them."""

    arrival: Arrival
    system: System
    memory: Memory
    organ: str = ""
    sender: Agency | None = None
    registered: dict[bytes, Certificate] = field(default_factory=dict)
    verdict: trust.Verdict | None = None

    def terms(self, organ: str) -> Terms:
        """The agency that `From` names must be one of this system. Raises Refused, _Known."""
        self.organ, self.sender = organ, self._sender(organ)
        if known := _replay(self.sender, self.arrival.sha256):
            raise _Known(known)
        self.registered = {bytes(row.der): row for row in self.memory.signing_certificates(self.sender)}
        return trust.terms(self.sender, self.system, self.registered.values())

    def named(self, organ: str) -> Agency | None:
        """The agency of `organ`, looked up once for the same words."""
        return self.sender if organ == self.organ else self.memory.agency_by_code(organ, self.arrival.now)

    def certificate(self, der: bytes) -> None:
        """Raises Refused certificate.*."""
        self.verdict = trust.vouch(self.registered[der], self.arrival.now, known=self.memory.revocation)

    def _sender(self, code: str) -> Agency:
        arrival, memory = self.arrival, self.memory
        agency = memory.agency_by_code(code, arrival.now)
        if agency is None:
            raise Refused("sender.not-registered", organ=code)
        if not memory.may_send_for(self.system, agency):
            raise Refused("sender.not-yours", organ=code)
        if agency.suspended_at or self.system.suspended_at:
            raise Refused("sender.suspended", organ=code)
        if arrival.claimed and memory.agency_by_code(arrival.claimed, arrival.now) != agency:
            raise Refused("sender.mismatch", claimed=arrival.claimed[:64], organ=code)
        contextvars.bind_contextvars(agency=code)
        return agency


_SAME_BYTES = "SELECT id FROM exchange_package WHERE sender_id = %(sender_id)s AND sha256 = %(sha256)s"


def _replay(sender: Agency, digest: str) -> Acceptance | None:
    """The stored acceptance of the same bytes from the same sender."""
    known = byhand.ask([_SAME_BYTES], byhand.prepared(Package, sender_id=sender.pk, sha256=digest))
    if not known:
        return None
    package = Package.objects.select_related("sender").get(pk=known[0][0])
    return Acceptance(
        package=package,
        deliveries=list(package.deliveries.select_related("recipient").order_by("id")),
        warnings=(),
        receipt=log.acceptance_receipt(package),
        replayed=True,
    )


def _check(arrival: Arrival, system: System, known: Memory) -> Checked:
    """Steps 1–8: size, gates, sender, signature, content, and that who signed is who is named inside."""
    limit = system.max_bytes or settings.ENVIRONMENT.max_package_bytes
    if len(arrival.raw) > limit:
        raise Refused("package.too-large", size=len(arrival.raw), limit=limit)
    registry = _Registry(arrival, system, known)
    today = arrival.now.astimezone(envelope.VIETNAM).date()
    examined = isolation.examine(arrival.raw, registry, today)
    sender = registry.named(examined.package.sender.organ_id)
    if sender is None or sender != registry.sender:
        raise Refused("sender.not-yours", organ=examined.package.sender.organ_id)
    vouched = registry.verdict if examined.certificate else None
    verdict = vouched or trust.unsigned(examined.problem)
    return Checked(
        arrival=arrival, memory=registry.memory, sender=sender, verdict=verdict, content=examined.package
    )


def _admit(checked: Checked, about: Delivery | None = None) -> Acceptance:
    """Make the bytes durable, then write everything in one transaction and wake the workers."""
    vault.put(checked.arrival.raw)
    try:
        with transaction.atomic(durable=True):
            written = _write(checked, about)
            wake.after_commit(item.lane for item in written.deliveries if item.push)
            wake.for_inboxes(item.system for item in written.deliveries if not item.held)
    except (IntegrityError, Refused):
        # The same bytes may have come twice at once, and the other one was first.
        if replayed := _replay(checked.sender, checked.arrival.sha256):
            return replayed
        raise
    metrics.PACKAGES.labels(written.package.kind, written.package.signature_state).inc()
    contextvars.bind_contextvars(package=str(written.package.id))
    _logger.info("package_accepted", kind=written.package.kind, bytes=written.package.size)
    return Acceptance(
        package=written.package,
        deliveries=written.deliveries,
        warnings=written.warnings,
        receipt=log.new_receipts([written.event])[0],
    )


def _write(checked: Checked, about: Delivery | None = None) -> Written:
    """Everything that acceptance writes; runs in the caller's transaction."""
    arrival, content = checked.arrival, checked.content
    package = _package(checked)
    made = plan.make(
        plan.Incoming(
            package=package,
            content=content,
            memory=checked.memory,
            cause=lifecycle.Cause(
                message=str(package.id), actor=arrival.actor, now=arrival.now, text=_words(content)
            ),
            about=about,
        )
    )
    package.about = made.about
    routing.hold(made.deliveries)
    has_pdf = any(file.media_type == PDF for file in content.attachments)
    for item in made.deliveries:
        item.held = has_pdf and item.recipient.refuses_broken_pdf
    package.search_text = package.searched([checked.sender, *(item.recipient for item in made.deliveries)])
    named = tuple(str(item.id) for item in made.deliveries)
    facts: dict[str, Any] = {"deliveries": named}
    if package.signature_evidence:
        facts["digest"] = sha256(package.signature_evidence.encode()).hexdigest()
    entry = log.Entry(row=package, event="SubmissionAcceptance", package=package, facts=facts)
    consigned = [log.Entry(row=item, event="ContentConsignment", package=package) for item in made.deliveries]
    taken, *_ = log.append([entry, *consigned], at=arrival.now, actor=arrival.actor)
    digests = {bytes.fromhex(item.sha256) for item in content.attachments}
    bulk.insert_all(
        bulk.Rows.of(Package, [package]),
        bulk.Rows.of(Delivery, made.deliveries),
        bulk.Rows.of(PdfReport, [PdfReport(package=package, due_at=arrival.now)] if has_pdf else []),
        bulk.Rows(AttachedFile, ("package_id", "sha256"), [(package.id, digest) for digest in digests]),
    )
    if any(item.held for item in made.deliveries):
        wake.for_pdf_reports()  # nobody else waits for the report
    warnings = (*checked.verdict.notes, *content.warnings, *made.warnings)
    return Written(package=package, deliveries=made.deliveries, warnings=warnings, event=taken)


def _package(checked: Checked) -> Package:
    """The row of a checked package (not saved)."""
    content, verdict = checked.content, checked.verdict
    status = content.kind == "status"
    code = content.response.code if status else content.code
    return Package(
        sha256=checked.arrival.sha256,
        size=len(checked.arrival.raw),
        kind=content.kind,
        business_type="" if status else content.business_type,
        status_code=content.status_code,
        sender=checked.sender,
        sender_code=content.sender.organ_id,
        system=checked.arrival.system,
        document_id=content.response.document_id[:500] if status else content.document_id,
        number=code.number[:100] if code else "",
        notation=code.notation[:100] if code else "",
        code_folded=matching.fold_code(code.text)[:201] if code else "",
        promulgated_on=content.response.promulgation_date if status else content.promulgation_date,
        subject=content.description if status else content.subject,
        type_name=content.document_type.name[:500],
        priority=content.priority,
        due_on=content.due_date,
        signature_state=verdict.state,
        signature_problem=verdict.problem,
        signer_fingerprint=verdict.fingerprint,
        signer=verdict.signer[:500],
        signature_evidence=verdict.evidence,
        signed_by=content.signer.full_name[:200] if content.signer else "",
        copies=content.other.copies,
        accepted_at=checked.arrival.now,
    )


def _words(content: envelope.Package) -> str:
    """What the sender says about it: the description of a status, the reason of a recall."""
    return content.description if content.kind == "status" else content.business.reason


def _note_refusal(refused: Refused, arrival: Arrival) -> None:
    """A refusal is an event in a stream of its own, with the digest of the refused bytes."""
    with transaction.atomic():
        log.note(
            uuid7(),
            "SubmissionRejection",
            actor=arrival.actor,
            at=arrival.now,
            reason=refused.code,
            doc_sha256=arrival.sha256,
        )
    _logger.info("package_refused", code=refused.code, system=arrival.actor.id, sha256=arrival.sha256)
