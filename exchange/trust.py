"""Is the signature of a package good for its sender? Policy, signature, certificate, chain (steps 5–7)."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from agencies import authorities, directory
from agencies.models import Agency, System
from exchange.envelope import signature, xml
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
    """What is known of a package's signature, and `content`: the only tree to read from here on.

    `problem` is the code of the refusal that policy `report` recorded instead of raising.
    """

    state: SignatureState
    content: xml.Element
    problem: str = ""
    fingerprint: str = ""
    signer: str = ""
    notes: tuple[Note, ...] = ()


def judge(root: xml.Element, sender: Agency, system: System, now: datetime) -> Verdict:
    """The verdict on the signature of `root` for `sender`.

    Under policy `required` any failure raises Refused and only signed content is returned; under `report`
    the failure is recorded and the package is read on the authenticated system's word.
    """
    try:
        return _verified(root, sender, now)
    except Refused as refused:
        if directory.signature_policy(sender, system) == "required":
            raise
        missing = refused.code == "signature.missing"
        state = SignatureState.ABSENT if missing else SignatureState.INVALID
        return Verdict(state=state, content=root, problem="" if missing else refused.code)


def _verified(root: xml.Element, sender: Agency, now: datetime) -> Verdict:
    registered = {bytes(item.der): item for item in directory.signing_certificates(sender)}
    found = signature.verify(root, list(registered), organ=sender.code)
    certificate = registered[found.certificate_der]
    if certificate.revoked_at is not None and certificate.revoked_at <= now:
        raise Refused("certificate.revoked", revoked_at=certificate.revoked_at.isoformat())
    evidence = _check_chain(found, now)
    return Verdict(
        notes=(_STALE,) if evidence.stale else (),
        state=SignatureState.VALID,
        content=found.signed,
        fingerprint=found.fingerprint,
        signer=certificate.subject,
    )


def _check_chain(found: signature.Verified, now: datetime) -> authorities.Evidence:
    """The signing time inside the signature is the signer's claim: the hub's clock decides."""
    try:
        return authorities.check_certificate(
            found.certificate_der, now=now, trust_dir=settings.ENVIRONMENT.trust_dir
        )
    except authorities.CertificateProblem as problem:
        raise Refused([Problem(f"certificate.{problem.kind}", problem.facts)]) from problem
