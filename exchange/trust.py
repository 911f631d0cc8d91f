"""Is the signature of a package good for its sender? Policy, signature, certificate, chain (steps 5–7)."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is known of a package's signature.

    `problem` is the code of the refusal that policy `report` recorded instead of raising.
    """

    state: SignatureState
    problem: str = ""
    fingerprint: str = ""
    signer: str = ""
    notes: tuple[Note, ...] = ()


def terms(sender: Agency, system: System, registered: Iterable[Certificate]) -> Terms:
    """What holds for the signatures of `sender` in packages from `system`."""
    required = directory.signature_policy(sender, system) == "required"
    return Terms(
        organ=sender.code, certificates=tuple(bytes(item.der) for item in registered), required=required
    )


def vouch(certificate: Certificate, now: datetime) -> Verdict:
    """The verdict on a good signature with the registered `certificate`: may it sign at `now`?

    The signing time inside the signature is the signer's claim: the hub's clock decides. Raises Refused:
    certificate.revoked, certificate.expired, certificate.not-yet-valid, certificate.untrusted.
    """
    if certificate.revoked_at is not None and certificate.revoked_at <= now:
        raise Refused("certificate.revoked", revoked_at=certificate.revoked_at.isoformat())
    evidence = _check_chain(bytes(certificate.der), now)
    return Verdict(
        state=SignatureState.VALID,
        fingerprint=certificate.fingerprint,
        signer=certificate.subject,
        notes=(_STALE,) if evidence.stale else (),
    )


def unsigned(problem: str) -> Verdict:
    """The verdict that policy `report` records in place of the refusal `problem`."""
    if problem == "signature.missing":
        return Verdict(state=SignatureState.ABSENT)
    return Verdict(state=SignatureState.INVALID, problem=problem)


def _check_chain(der: bytes, now: datetime) -> authorities.Evidence:
    try:
        return authorities.check_certificate(der, now=now, trust_dir=settings.ENVIRONMENT.trust_dir)
    except authorities.CertificateProblem as problem:
        raise Refused([Problem(f"certificate.{problem.kind}", problem.facts)]) from problem
