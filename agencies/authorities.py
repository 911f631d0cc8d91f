"""Whom the hub trusts to issue certificates, and the question whether a certificate serves now.

The authorities are PEM or DER files in one directory: self-signed ones are roots, the others intermediates.
Revocation lists come from the registry. No connection is ever opened here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from agencies import certificates
from agencies.certificates import CertificateProblem, Evidence
from agencies.models import RevocationAnswer, RevocationList
from agencies.revocation import Answer, crl_addresses, ocsp_addresses, question

__all__ = [
    "CertificateProblem",
    "Evidence",
    "TrustStore",
    "check_certificate",
    "intermediates",
    "sources",
    "trust_store",
]


@dataclass(frozen=True, slots=True)
class TrustStore:
    """The authorities of one directory."""

    roots: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Who issued a certificate (both DER), and where to ask whether it is revoked: lists, else responders."""

    certificate: bytes
    issuer: bytes
    crls: tuple[str, ...]
    responders: tuple[str, ...]
    question: bytes


def trust_store(directory: Path | None) -> TrustStore:
    """The authorities in `directory`, read again only when a file changed. ValueError names a bad file."""
    if directory is None or not directory.is_dir():
        return TrustStore((), ())
    files = sorted(path for path in directory.iterdir() if path.suffix in (".pem", ".crt", ".cer", ".der"))
    return _read(tuple((path, path.stat().st_mtime_ns) for path in files))


@lru_cache(maxsize=4)
def _read(files: tuple[tuple[Path, int], ...]) -> TrustStore:
    found = [item for path, _ in files for item in _certificates(path)]
    roots = tuple(item for item in found if item.subject == item.issuer)
    return TrustStore(roots, tuple(item for item in found if item not in roots))


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return certificates.load(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: not a certificate: {error}") from error


def check_certificate(
    der: bytes, *, now: datetime, trust_dir: Path | None, brought: Sequence[bytes] = (), known: str = ""
) -> Evidence:
    """Accept the signing certificate `der` at `now`, or raise CertificateProblem.

    The hub's clock decides: the time inside a signature is its signer's claim. `brought` are authorities
    that came with the signature (DER, few: every path is tried): never roots. Raises ValueError where one of
    them is no certificate. `known` is the stamp of what is stored about revocations (see memory.py): what was
    read under the same one is not read again; without it everything is.
    """
    store, known = trust_store(trust_dir), known or uuid4().hex
    return certificates.check(
        certificates.load(der)[0] if brought else _leaf(der),
        at=now,
        now=now,
        roots=store.roots,
        intermediates=(*store.intermediates, *(certificates.load(one)[0] for one in brought)),
        crls=_revocation_lists(known),
        answer_of=partial(_answer_of, known),
    )


@lru_cache(maxsize=1024)
def _leaf(der: bytes) -> x509.Certificate:
    """A registered certificate; those that strangers bring are not kept."""
    return certificates.load(der)[0]


@lru_cache(maxsize=8192)
def _answer_of(_known: str, fingerprint: str) -> Answer | None:
    columns = ("fingerprint", "revoked_at", "reason", "this_update", "next_update")
    row = RevocationAnswer.objects.filter(pk=fingerprint).values_list(*columns).first()
    return Answer(*row) if row else None


def intermediates(trust_dir: Path | None) -> list[bytes]:
    """The authorities below the roots, DER: they can be revoked too."""
    return [item.public_bytes(Encoding.DER) for item in trust_store(trust_dir).intermediates]


def sources(der: bytes, trust_dir: Path | None) -> Iterator[Source]:
    """Where to ask about the certificate `der` and the authorities above it."""
    store = trust_store(trust_dir)
    certificate = certificates.load(der)[0]
    for issuer in (*store.roots, *store.intermediates):
        if certificate == issuer or not certificates.issued(issuer, certificate):
            continue
        yield Source(
            certificate=certificate.public_bytes(Encoding.DER),
            issuer=issuer.public_bytes(Encoding.DER),
            crls=tuple(crl_addresses(certificate)),
            responders=tuple(ocsp_addresses(certificate)),
            question=question(certificate, issuer),
        )


@lru_cache(maxsize=2)
def _revocation_lists(_known: str) -> certificates.RevocationLists:
    stored = RevocationList.objects.values_list("der", flat=True)
    return certificates.RevocationLists(certificates.load_crl(bytes(der)) for der in stored)
