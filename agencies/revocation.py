"""Where revocation can be asked for, and what an OCSP responder said. Pure: nothing here opens a connection.

RFC 5280, 4.2.1.13 (distribution points), RFC 6960 (OCSP). Answers are stored and used for a while, so no
nonce is asked for; what protects against an old one is its age.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

_SKEW = timedelta(minutes=5)
_WEAK = (hashes.MD5, hashes.SHA1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an authority said of one certificate: `revoked_at` is None for good. Fingerprint: SHA-256, hex."""

    fingerprint: str
    revoked_at: datetime | None
    reason: str
    this_update: datetime
    next_update: datetime | None


def crl_addresses(certificate: x509.Certificate) -> list[str]:
    """The http(s) addresses of the complete list that `certificate` names."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return []
    names = (
        name
        for point in points
        if not point.reasons and not point.crl_issuer
        for name in point.full_name or ()
    )
    return _addresses(names)


def ocsp_addresses(certificate: x509.Certificate) -> list[str]:
    """The http(s) addresses of the responder that `certificate` names."""
    try:
        entries = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return []
    return _addresses(
        e.access_location for e in entries if e.access_method == AuthorityInformationAccessOID.OCSP
    )


def _addresses(names: Iterator[x509.GeneralName]) -> list[str]:
    found = (name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
    return [value for value in found if value.lower().startswith(("http://", "https://"))]


def question(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """The OCSP request about `certificate`. SHA-1 only names the issuer; every responder knows it."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())  # noqa: S303
    return builder.build().public_bytes(Encoding.DER)


def read_answer(der: bytes, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> Answer:
    """The answer in an OCSP response about `certificate`, signed by `issuer` or whom it delegated to.

    Raises ValueError with the reason.
    """
    response = ocsp.load_der_ocsp_response(der)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise ValueError(f"the responder says {response.response_status.name.lower()}")
    _check_about(response, certificate, issuer)
    _check_signed(response, issuer, now)
    if response.this_update_utc > now + _SKEW:
        raise ValueError("the answer is of the future")
    if response.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        raise ValueError("the responder does not know the certificate")
    revoked = response.certificate_status is ocsp.OCSPCertStatus.REVOKED
    reason = response.revocation_reason
    return Answer(
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        revoked_at=response.revocation_time_utc if revoked else None,
        reason=reason.value if reason else "unspecified",
        this_update=response.this_update_utc,
        next_update=response.next_update_utc,
    )


def _check_about(
    response: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate
) -> None:
    asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, response.hash_algorithm).build()
    told = (response.serial_number, response.issuer_name_hash, response.issuer_key_hash)
    if told != (asked.serial_number, asked.issuer_name_hash, asked.issuer_key_hash):
        raise ValueError("the answer is about another certificate")


def _check_signed(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> None:
    algorithm = response.signature_hash_algorithm
    if algorithm is None or isinstance(algorithm, _WEAK):
        raise ValueError("the answer is signed with a weak algorithm")
    responders = [issuer, *(c for c in response.certificates if _is_responder(c, issuer, now))]
    if not any(_signed_by(response, responder, algorithm) for responder in responders):
        raise ValueError("the answer is not signed by the issuer or a responder that it named")


def _is_responder(certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    """RFC 6960, 4.2.2.2: issued directly by the authority, for this purpose, and valid."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    valid = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    return valid and ExtendedKeyUsageOID.OCSP_SIGNING in usage


def _signed_by(
    response: ocsp.OCSPResponse, responder: x509.Certificate, algorithm: hashes.HashAlgorithm
) -> bool:
    key, signed = responder.public_key(), response.tbs_response_bytes
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(response.signature, signed, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(response.signature, signed, ec.ECDSA(algorithm))
        else:
            return False
    except InvalidSignature:
        return False
    return True
