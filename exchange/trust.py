"""Is the signature of a package good for its sender? Policy, signature, certificate, chain (steps 5–7)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from agencies import authorities, directory
from agencies.directory import Agency, Certificate, System
from exchange.envelope.examine import Terms
from exchange.envelope.package import Note
from exchange.models import SignatureState
from exchange.refusals import Problem, Refused

_STALE = Note(
    "certificate.revocation-stale",
    "Danh sách thu hồi dùng để kiểm tra chứng thư ký đã quá hạn cập nhật.",
    "The revocation list against which the signing certificate was checked is past its next update.",
)

_UNKNOWN = Note(
    "certificate.revocation-unknown",
    "Chưa có dữ liệu thu hồi nào cho chứng thư ký hoặc cơ quan cấp nó.",
    "Nothing is stored yet that tells whether the signing certificate or its authority is revoked.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is known of a package's signature.

    `problem` is the code of the refusal that policy `report` recorded instead of raising. `evidence`: what a
    good verdict rested on, as JSON; its digest enters the event of acceptance, and so the receipt.
    """

    state: SignatureState
    problem: str = ""
    fingerprint: str = ""
    signer: str = ""
    notes: tuple[Note, ...] = ()
    evidence: str = ""


def terms(sender: Agency, system: System, registered: Iterable[Certificate]) -> Terms:
    """What holds for the signatures of `sender` in packages from `system`."""
    required = directory.signature_policy(sender, system) == "required"
    return Terms(
        organ=sender.code, certificates=tuple(bytes(item.der) for item in registered), required=required
    )


def vouch(certificate: Certificate, now: datetime, *, known: str) -> Verdict:
    """The verdict on a good signature with the registered `certificate`: may it sign at `now`?

    `known` is the stamp of what is stored about revocations (`agencies.memory`). The signing time inside the
    signature is the signer's claim: the hub's clock decides. Raises Refused: certificate.revoked,
    certificate.expired, certificate.not-yet-valid, certificate.untrusted.
    """
    if certificate.revoked_at is not None and certificate.revoked_at <= now:
        raise Refused("certificate.revoked", revoked_at=certificate.revoked_at.isoformat())
    evidence = _check_chain(bytes(certificate.der), now, known)
    if (evidence.stale or evidence.unknown) and settings.ENVIRONMENT.stale_revocation == "refuse":
        raise Refused("certificate.revocation-unknown")
    return Verdict(
        state=SignatureState.VALID,
        fingerprint=certificate.fingerprint,
        signer=certificate.subject,
        notes=(*([_STALE] if evidence.stale else []), *([_UNKNOWN] if evidence.unknown else [])),
        evidence=_told(certificate, evidence),
    )


def _told(certificate: Certificate, evidence: authorities.Evidence) -> str:
    """Chain and revocation data as one canonical JSON text: the same evidence gives the same bytes."""
    facts = {
        "certificate": certificate.fingerprint,
        "chain": list(evidence.chain),
        "revocation": evidence.kind or "none",
        "crl_number": evidence.crl_number,
        "this_update": evidence.this_update and evidence.this_update.isoformat(),
        "next_update": evidence.next_update and evidence.next_update.isoformat(),
        "stale": evidence.stale,
    }
    return json.dumps(facts, sort_keys=True, separators=(",", ":"))


def unsigned(problem: str) -> Verdict:
    """The verdict that policy `report` records in place of the refusal `problem`."""
    if problem == "signature.missing":
        return Verdict(state=SignatureState.ABSENT)
    return Verdict(state=SignatureState.INVALID, problem=problem)


def _check_chain(der: bytes, now: datetime, known: str) -> authorities.Evidence:
    trusted = settings.ENVIRONMENT.trust_dir
    try:
        return authorities.check_certificate(der, now=now, trust_dir=trusted, known=known)
    except authorities.CertificateProblem as problem:
        raise Refused([Problem(f"certificate.{problem.kind}", problem.facts)]) from problem
