"""Certificates of agencies and revocation lists of authorities: the part of `enrolment` about keys."""

import base64
import hashlib
import re
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from agencies import certificates, revocation
from agencies.errors import EnrolmentError
from agencies.models import Agency, Certificate, RevocationAnswer, RevocationList

_PEM_BODY = re.compile(rb"-----BEGIN [^-]+-----(.*?)-----END ", re.DOTALL)
_ISSUING_DISTRIBUTION_POINT = "2.5.29.28"
_DELTA_CRL_INDICATOR = "2.5.29.27"


@transaction.atomic
def add_certificate(agency: Agency, pem_or_der: bytes, *, at: datetime | None = None) -> Certificate:
    """Register one signing certificate for `agency`; the same again returns its row.

    Whether it can be trusted is not asked here but at every signature. Raises EnrolmentError:
    certificate.unreadable, certificate.not-one, certificate.revoked.
    """
    try:
        count = len(certificates.load(pem_or_der))
        if count != 1:
            raise EnrolmentError("certificate.not-one", count=count)
        der = _der(pem_or_der)
        facts = certificates.describe(der)
    except ValueError as error:
        raise EnrolmentError("certificate.unreadable", why=error) from error
    row, _created = Certificate.objects.get_or_create(
        agency=agency,
        fingerprint=facts.fingerprint,
        defaults={
            "der": der,
            "subject": facts.subject,
            "issuer": facts.issuer,
            "serial": facts.serial,
            "not_before": facts.not_before,
            "not_after": facts.not_after,
            "registered_at": at or timezone.now(),
        },
    )
    if row.revoked_at is not None:
        raise EnrolmentError("certificate.revoked", fingerprint=row.fingerprint)
    return row


@transaction.atomic
def revoke_certificate(certificate: Certificate, at: datetime, reason: str) -> None:
    """Accept no signature of `certificate` from `at`; the first revocation stays.

    Raises EnrolmentError(certificate.reason-missing).
    """
    reason = " ".join(reason.split())[:200]
    if not reason:
        raise EnrolmentError("certificate.reason-missing")
    standing = Certificate.objects.filter(pk=certificate.pk, revoked_at=None)
    standing.update(revoked_at=at, revocation_reason=reason)
    certificate.refresh_from_db(fields=["revoked_at", "revocation_reason"])


@transaction.atomic
def store_crl(crl: bytes, issuer: bytes, *, at: datetime | None = None) -> RevocationList:
    """Keep the revocation list `crl` (PEM or DER) of the authority whose certificate is `issuer`.

    It replaces an older list of that authority; an older one than the stored changes nothing. The signature
    is checked first: lists come over plain HTTP, and a false one must not push out the true one. Raises
    EnrolmentError: crl.unreadable, crl.not-of-issuer, crl.partial.
    """
    try:
        authority, listed = certificates.load(issuer)[0], certificates.load_crl(crl)
        name = certificates.describe(_der(issuer)).subject
        extensions = {e.oid.dotted_string: e.value for e in listed.extensions}
        key = authority.public_key()
        signed = listed.issuer == authority.subject and listed.is_signature_valid(key)  # type: ignore[arg-type]
    except (ValueError, IndexError, TypeError) as error:
        raise EnrolmentError("crl.unreadable", why=error) from error
    if not signed:
        raise EnrolmentError("crl.not-of-issuer", issuer=name)
    if _DELTA_CRL_INDICATOR in extensions:
        raise EnrolmentError("crl.partial")
    part = extensions.get(_ISSUING_DISTRIBUTION_POINT)
    identity = certificates.fingerprint(authority).encode() + (part.public_bytes() if part else b"")
    return _keep_newest(
        RevocationList(
            issuer=name,
            issuer_hash=hashlib.sha256(identity).hexdigest(),
            der=_der(crl),
            this_update=listed.last_update_utc,
            next_update=listed.next_update_utc,
            stored_at=at or timezone.now(),
        )
    )


@transaction.atomic
def store_answer(
    answer: bytes, certificate: bytes, issuer: bytes, *, at: datetime
) -> tuple[RevocationAnswer, bool]:
    """Keep what an OCSP responder said of `certificate` (DER), and whether it says something new.

    An older answer than the stored one changes nothing. Raises EnrolmentError(ocsp.unusable).
    """
    try:
        [about], [authority] = certificates.load(certificate), certificates.load(issuer)
        said = revocation.read_answer(answer, about, authority, at)
    except (ValueError, TypeError) as error:
        raise EnrolmentError("ocsp.unusable", why=error) from error
    rows = RevocationAnswer.objects.select_for_update()
    stored = rows.filter(pk=said.fingerprint).first()
    if stored is not None and stored.this_update >= said.this_update:
        return stored, False
    fresh = RevocationAnswer(
        fingerprint=said.fingerprint,
        der=answer,
        revoked_at=said.revoked_at,
        reason=said.reason if said.revoked_at else "",
        this_update=said.this_update,
        next_update=said.next_update,
        stored_at=at,
    )
    fresh.save(force_insert=stored is None, force_update=stored is not None)
    return fresh, stored is None or stored.revoked_at != fresh.revoked_at


def _keep_newest(fresh: RevocationList) -> RevocationList:
    rows = RevocationList.objects.select_for_update()
    stored = rows.filter(issuer_hash=fresh.issuer_hash).first()
    if stored is not None and stored.this_update >= fresh.this_update:
        return stored
    if stored is not None:
        fresh.pk = stored.pk
    fresh.save(force_insert=stored is None, force_update=stored is not None)
    return fresh


def _der(pem_or_der: bytes) -> bytes:
    """The first DER object of a file that `certificates` could read."""
    body = _PEM_BODY.search(pem_or_der)
    return pem_or_der if body is None else base64.b64decode(body[1])
