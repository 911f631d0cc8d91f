"""Certificates of agencies: what they say, and whether they can be trusted at a time. Pure.

Why a path builder of our own: `cryptography.x509.verification` knows the profile of TLS servers and clients
(alternative names, server or client key purposes), which certificates for signing documents do not follow;
and it does not look at revocation. The rules here are those of RFC 5280, 6.1, that apply: names, signatures,
validity, basicConstraints, pathLen, keyUsage, and no unknown critical extension. Name constraints are not
processed; a critical one is therefore refused as unknown.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from itertools import pairwise
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtensionOID

from agencies.revocation import Answer, crl_addresses, ocsp_addresses
from agencies.subjects import Holder, holder, masked, organ_hint

Fact = str | int
Answers = Callable[[str], Answer | None]
"""What a responder said of the certificate with this fingerprint."""
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

MIN_RSA_BITS = 2048
MIN_EC_BITS = 256
_MAX_PATH = 6
_WEAK_HASHES = (hashes.MD5, hashes.SHA1)
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)


class CertificateProblem(Exception):
    """Why a certificate does not serve: `kind` is "expired", "not-yet-valid", "revoked" or "untrusted".

    Facts: `not_after`, `not_before`, `revoked_at` (ISO 8601, UTC) with `reason`, or `why`.
    """

    def __init__(self, kind: str, **facts: Fact) -> None:
        self.kind = kind
        self.facts = facts
        super().__init__(f"{kind}: {facts}")


@dataclass(frozen=True, slots=True)
class Description:
    """What a certificate says, fit for a screen or a log: personal identifiers are masked."""

    subject: str
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    fingerprint: str
    key: str
    organ_hint: str
    holder: Holder


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a decision rested on: `chain` holds SHA-256 fingerprints from the leaf to the root.

    `kind` is "crl", "ocsp" or "" for what the leaf was checked against, and the facts after it are those of
    that list or answer. `stale`: a list or answer that was used is past its next update. `no_crl`: some
    certificate of the chain (the root aside) had neither; `unknown`: one of them names where to ask.
    """

    chain: tuple[str, ...]
    crl_number: int | None
    this_update: datetime | None
    next_update: datetime | None
    stale: bool
    no_crl: bool
    kind: str = ""
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class _Proof:
    kind: str
    this_update: datetime
    next_update: datetime | None
    crl_number: int | None = None


@dataclass(frozen=True, slots=True)
class _Told:
    """What the newest list of its issuer says of a certificate; `revoked_at` is None when it is not on it."""

    proof: _Proof
    revoked_at: datetime | None = None
    reason: str = ""


class RevocationLists:
    """Revocation lists that verify and search themselves once for each certificate: they may be long.

    What is remembered depends on no time: whether a revocation counts yet is judged with every check.
    """

    def __init__(self, crls: Iterable[x509.CertificateRevocationList]) -> None:
        self.told = lru_cache(maxsize=1024)(partial(_newest, crls=tuple(crls)))


def load(pem_or_der: bytes) -> list[x509.Certificate]:
    """The certificates of one PEM file (in its order) or of one DER file. Raises ValueError."""
    if b"-----BEGIN" in pem_or_der:
        return x509.load_pem_x509_certificates(pem_or_der)
    return [x509.load_der_x509_certificate(pem_or_der)]


def load_crl(pem_or_der: bytes) -> x509.CertificateRevocationList:
    """A revocation list in either form. Raises ValueError."""
    if b"-----BEGIN" in pem_or_der:
        return x509.load_pem_x509_crl(pem_or_der)
    return x509.load_der_x509_crl(pem_or_der)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER form, lower-case hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def describe(der: bytes) -> Description:
    """What a DER certificate says. Raises ValueError if it is not one."""
    certificate = x509.load_der_x509_certificate(der)
    return Description(
        subject=masked(certificate.subject),
        issuer=masked(certificate.issuer),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=fingerprint(certificate),
        key=_key_text(certificate),
        organ_hint=organ_hint(certificate.subject),
        holder=holder(certificate.subject),
    )


def check(
    leaf: x509.Certificate,
    *,
    at: datetime,
    now: datetime,
    roots: Sequence[x509.Certificate],
    intermediates: Sequence[x509.Certificate],
    crls: RevocationLists,
    answer_of: Answers = lambda fingerprint: None,
) -> Evidence:
    """Accept the signing certificate `leaf` at the moment of signing `at` and at `now` (aware), or raise.

    Any chain that leads to one of `roots` and passes will do. Where there is no list, the OCSP answer (by
    fingerprint) counts. A list or answer past its next update is used and marked.
    Raises CertificateProblem.
    """
    _check_dates(leaf, at, now)
    _check_leaf(leaf)
    problems: list[CertificateProblem] = []
    for path in _paths((leaf,), roots, intermediates):
        try:
            return _check_path(path, at=at, now=now, crls=crls, answer_of=answer_of)
        except CertificateProblem as problem:
            problems.append(problem)
    if problems:
        raise problems[0]
    raise _untrusted(leaf, f"no chain to a trusted root; issuer {masked(leaf.issuer)}")


# --- the leaf ---------------------------------------------------------------------------------------------


def _check_dates(leaf: x509.Certificate, at: datetime, now: datetime) -> None:
    if min(at, now) < leaf.not_valid_before_utc:
        raise CertificateProblem("not-yet-valid", not_before=leaf.not_valid_before_utc.isoformat())
    if max(at, now) > leaf.not_valid_after_utc:
        raise CertificateProblem("expired", not_after=leaf.not_valid_after_utc.isoformat())


def _check_leaf(leaf: x509.Certificate) -> None:
    _check_form(leaf)
    _check_issued_with(leaf)
    usage = _key_usage(leaf)
    # RFC 5280, 4.2.1.3: without the extension the key is not restricted.
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        raise _untrusted(leaf, "keyUsage allows neither digitalSignature nor nonRepudiation")


def _check_form(certificate: x509.Certificate) -> None:
    """Key strength and extensions, the same for every certificate of a path."""
    try:
        key, extensions = certificate.public_key(), certificate.extensions
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _untrusted(certificate, f"malformed: {error}") from error
    if isinstance(key, rsa.RSAPublicKey):
        strong = key.key_size >= MIN_RSA_BITS
    else:
        strong = isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= MIN_EC_BITS
    if not strong:
        wanted = f"expected RSA ≥ {MIN_RSA_BITS} or EC ≥ {MIN_EC_BITS}"
        raise _untrusted(certificate, f"key {_key_text(certificate)}; {wanted}")
    unknown = [e.oid.dotted_string for e in extensions if e.critical and e.oid not in _UNDERSTOOD]
    if unknown:
        raise _untrusted(certificate, f"critical extension not understood: {unknown[0]}")


def _check_issued_with(certificate: x509.Certificate) -> None:
    """Not for roots, whose own signature proves nothing."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm as error:
        raise _untrusted(certificate, f"issued with {error}") from error
    if isinstance(algorithm, _WEAK_HASHES):
        raise _untrusted(certificate, f"issued with {algorithm.name}")


# --- the path ---------------------------------------------------------------------------------------------


def _paths(
    path: tuple[x509.Certificate, ...],
    roots: Sequence[x509.Certificate],
    intermediates: Sequence[x509.Certificate],
) -> Iterator[tuple[x509.Certificate, ...]]:
    """Every chain by names and signatures from the leaf to a root; roots are tried first."""
    last = path[-1]
    if last in roots:
        yield path
        return
    if len(path) == _MAX_PATH:
        return
    for issuer in (*roots, *intermediates):
        if issuer not in path and issued(issuer, last):
            yield from _paths((*path, issuer), roots, intermediates)


@lru_cache(maxsize=256)
def issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether `issuer` signed `certificate`, by name and signature."""
    if issuer.subject != certificate.issuer:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _check_path(
    path: tuple[x509.Certificate, ...],
    *,
    at: datetime,
    now: datetime,
    crls: RevocationLists,
    answer_of: Answers,
) -> Evidence:
    for below, issuer in enumerate(path[1:]):
        _check_issuer(issuer, below, at, now)
    for certificate in path[1:-1]:
        _check_issued_with(certificate)
    listed = [_check_revocation(c, issuer, now, crls) for c, issuer in pairwise(path)]
    proofs = [proof or _answered(c, answer_of, now) for c, proof in zip(path, listed, strict=False)]
    silent = [c for c, proof in zip(path, proofs, strict=False) if proof is None]
    own = proofs[0] if proofs else None
    return Evidence(
        chain=tuple(fingerprint(c) for c in path),
        crl_number=own.crl_number if own else None,
        this_update=own.this_update if own else None,
        next_update=own.next_update if own else None,
        stale=any(proof is not None and _is_stale(proof.next_update, now) for proof in proofs),
        no_crl=bool(silent),
        kind=own.kind if own else "",
        unknown=any(crl_addresses(c) or ocsp_addresses(c) for c in silent),
    )


def _is_stale(next_update: datetime | None, now: datetime) -> bool:
    return next_update is None or next_update < now


def _answered(certificate: x509.Certificate, answer_of: Answers, now: datetime) -> _Proof | None:
    answer = answer_of(fingerprint(certificate))
    if answer is None:
        return None
    if answer.revoked_at is not None and answer.revoked_at <= now:
        raise _revoked(certificate, answer.revoked_at, answer.reason)
    return _Proof("ocsp", answer.this_update, answer.next_update)


def _revoked(certificate: x509.Certificate, since: datetime, reason: str) -> CertificateProblem:
    if _is_ca(certificate):
        return _untrusted(certificate, f"the authority is revoked since {since.isoformat()}")
    return CertificateProblem("revoked", revoked_at=since.isoformat(), reason=reason)


def _check_issuer(issuer: x509.Certificate, below: int, at: datetime, now: datetime) -> None:
    """`issuer` is an authority with `below` other authorities between it and the leaf."""
    _check_form(issuer)
    constraints = _extension(issuer, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise _untrusted(issuer, "issues certificates but is not a CA")
    if constraints.path_length is not None and below > constraints.path_length:
        raise _untrusted(issuer, f"pathLen {constraints.path_length} is exceeded")
    usage = _key_usage(issuer)
    if usage is not None and not usage.key_cert_sign:
        raise _untrusted(issuer, "keyUsage does not allow keyCertSign")
    if min(at, now) < issuer.not_valid_before_utc or max(at, now) > issuer.not_valid_after_utc:
        until = f"{issuer.not_valid_before_utc.isoformat()} – {issuer.not_valid_after_utc.isoformat()}"
        raise _untrusted(issuer, f"the authority is valid only {until}")


# --- revocation -------------------------------------------------------------------------------------------


def _check_revocation(
    certificate: x509.Certificate, issuer: x509.Certificate, now: datetime, crls: RevocationLists
) -> _Proof | None:
    """What the newest usable list of `issuer` says; raises if it names `certificate` as revoked by `now`."""
    told = crls.told(certificate, issuer)
    if told is None:
        return None
    if told.revoked_at is not None and told.revoked_at <= now:
        raise _revoked(certificate, told.revoked_at, told.reason)
    return told.proof


def _newest(
    certificate: x509.Certificate, issuer: x509.Certificate, crls: Iterable[x509.CertificateRevocationList]
) -> _Told | None:
    usable = [crl for crl in crls if _usable(crl, certificate, issuer)]
    if not usable:
        return None
    newest = max(usable, key=lambda crl: (crl.last_update_utc, _crl_number(crl) or 0))
    proof = _Proof("crl", newest.last_update_utc, newest.next_update_utc, _crl_number(newest))
    entry = newest.get_revoked_certificate_by_serial_number(certificate.serial_number)
    if entry is None or (reason := _reason(entry)) is x509.ReasonFlags.remove_from_crl:
        return _Told(proof)
    return _Told(proof, _revoked_at(entry), reason.value)


def _usable(
    crl: x509.CertificateRevocationList, certificate: x509.Certificate, issuer: x509.Certificate
) -> bool:
    """A complete list signed by the issuer itself, neither indirect nor a delta (RFC 5280, 6.3.3)."""
    if crl.issuer != issuer.subject:
        return False
    usage = _key_usage(issuer)
    if usage is not None and not usage.crl_sign:
        return False
    try:
        signed = crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
        return signed and all(_extension_serves(e, certificate) for e in crl.extensions if e.critical)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False


def _extension_serves(extension: x509.Extension[x509.ExtensionType], certificate: x509.Certificate) -> bool:
    value = extension.value
    if not isinstance(value, x509.IssuingDistributionPoint):
        return False
    if value.indirect_crl or value.only_some_reasons or value.only_contains_attribute_certs:
        return False
    return not (value.only_contains_user_certs if _is_ca(certificate) else value.only_contains_ca_certs)


def _reason(entry: x509.RevokedCertificate) -> x509.ReasonFlags:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return x509.ReasonFlags.unspecified


def _revoked_at(entry: x509.RevokedCertificate) -> datetime:
    """From when the key is not to be trusted: the invalidity date, if the authority gave an earlier one."""
    try:
        invalid = entry.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc
    except x509.ExtensionNotFound:
        return entry.revocation_date_utc
    return min(invalid, entry.revocation_date_utc)


def _crl_number(crl: x509.CertificateRevocationList) -> int | None:
    try:
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return None


# --- reading one certificate ------------------------------------------------------------------------------


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    return _extension(certificate, x509.KeyUsage)


def _is_ca(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _key_text(certificate: x509.Certificate) -> str:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "unknown"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    return type(key).__name__


def _untrusted(certificate: x509.Certificate, why: str) -> CertificateProblem:
    return CertificateProblem("untrusted", why=f"{why} ({masked(certificate.subject)})")
