"""What stands in the signatures of PDF attachments, read where it can be killed.

`python -m exchange.pdfsignatures SECONDS MEGABYTES`: of processor time and of memory for one file.

A package comes in on standard input; one JSON array per finding goes out at once, so that what was found
stays when a limit ends the work. Every PDF is read by a process of its own, forked here, with limits of the
kernel. Knows no Django, no database and no secret; judges no certificate (`exchange.pdfreports` does).
Home of pyHanko for PDF (ISO 32000-2, 12.8; ETSI EN 319 142-1).
"""

import asyncio
import json
import os
import resource
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any, TypeVar

from asn1crypto import cms, x509
from pyhanko.pdf_utils.crypt import AuthStatus
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DEFAULT_DIFF_POLICY, DiffResult, ModificationLevel
from pyhanko.sign.fields import enumerate_sig_fields
from pyhanko.sign.validation.generic_cms import (
    extract_certs_for_validation,
    extract_tst_data_iter,
    message_imprint_checker,
    validate_sig_integrity,
    validate_tst_signed_data,
)
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from exchange.envelope import package as envelope
from exchange.envelope import xml
from exchange.envelope.attachments import PDF
from exchange.envelope.parts import Attachment

FILE_BYTES = 32 << 20
PACKAGE_SECONDS = 30
"""Processor time for taking the package apart, as at intake."""
MOST_SIGNATURES = 100
_CERTIFICATE_BYTES = 64 << 10
_MOST_ISSUERS = 4
_WEAK = ("md5", "sha1")
_TIMESTAMPING = "time_stamping"

Facts = dict[str, Any]
Say = Callable[[str, object], None]
_Read = TypeVar("_Read")


def read(content: bytes, say: Say) -> None:
    """Say what is in the PDF `content`: `revisions`, `signature` once for each in order, `state` at the end.

    The state is "read", "encrypted", "too-large" or "unreadable". Raises MemoryError.
    """
    if len(content) > FILE_BYTES:
        say("state", "too-large")
        return
    say("state", _attempt(lambda: _read(content, say), "unreadable"))


def _read(content: bytes, say: Say) -> str:
    reader = PdfFileReader(BytesIO(content), strict=False)
    # A password only against changes leaves reading open to all: its user password is empty.
    if (
        reader.encrypted
        and _attempt(lambda: reader.decrypt("").status, AuthStatus.FAILED) == AuthStatus.FAILED
    ):
        return "encrypted"
    say("revisions", reader.xrefs.total_revisions)
    for signature in _signatures(reader):
        facts = {"state": "unreadable"}
        say("signature", facts if signature is None else _attempt(lambda: _facts(signature, content), facts))  # noqa: B023
    return "read"


def _signatures(reader: PdfFileReader) -> list[EmbeddedPdfSignature | None]:
    """The signatures in the order of their revisions; None for each that has no sound form, last."""
    found: list[EmbeddedPdfSignature | None] = []
    for name, _, field in enumerate_sig_fields(reader, filled_status=True):
        found.append(_attempt(lambda: EmbeddedPdfSignature(reader, field, name), None))  # noqa: B023
        if len(found) == MOST_SIGNATURES:
            break
    return sorted(found, key=lambda one: one.signed_revision if one else sys.maxsize)


def _attempt(work: Callable[[], _Read], otherwise: _Read) -> _Read:
    """What `work` gives, or `otherwise`: on what anybody may send, the library may trip over anything."""
    try:
        return work()
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - see above; that it did is the answer
        return otherwise


# --- one signature ------------------------------------------------------------------------------------


def _facts(signature: EmbeddedPdfSignature, content: bytes) -> Facts:
    covers = _covers(signature, content)
    facts: Facts = {
        "revision": signature.signed_revision + 1,
        "covers": covers,
        "later": "none" if covers == "file" else _attempt(lambda: _later(signature), "unknown"),
        "algorithm": signature.external_md_algorithm,
    }
    if signature.sig_object_type == "/DocTimeStamp":
        stamp = _stamp(signature.signed_data, signature.compute_digest)
        return {**facts, **stamp, "type": "timestamp"}
    return {
        **facts,
        **_signer(signature.signed_data),
        "type": "signature",
        "state": _state(signature),
        "claimed_at": _attempt(lambda: _moment(signature.self_reported_timestamp), None),
        "stamp": _signature_stamp(signature),
    }


def _state(signature: EmbeddedPdfSignature) -> str:
    digest_fits, value_fits = validate_sig_integrity(
        signature.signer_info, signature.signer_cert, "data", signature.compute_digest()
    )
    if not (digest_fits and value_fits):
        return "broken"
    return "weak" if signature.md_algorithm in _WEAK else "intact"


def _covers(signature: EmbeddedPdfSignature, content: bytes) -> str:
    """ "file", "revision" (the whole file as it was when it was signed), or only a "part" of that.

    The gap in what is signed must be the signature value itself: anything else could hide in it.
    """
    if len(signature.byte_range) != 4:
        return "part"
    start, end, after, length = map(int, signature.byte_range)
    gap = content[end:after]
    if start or after + length > len(content) or gap[:1] + gap[-1:] != b"<>":
        return "part"
    if bytes.fromhex(gap[1:-1].decode("ascii")) != signature.pkcs7_content:
        return "part"
    level = signature.evaluate_signature_coverage()
    signature.coverage = level  # type: ignore[assignment]  # where pyHanko looks for it later
    names = {SignatureCoverageLevel.ENTIRE_FILE: "file", SignatureCoverageLevel.ENTIRE_REVISION: "revision"}
    return names.get(level, "part")


def _later(signature: EmbeddedPdfSignature) -> str:
    """What came after: "allowed" (further signatures, form fields, their proofs) or "changed" (the rest)."""
    found = signature.evaluate_modifications(DEFAULT_DIFF_POLICY)
    allowed = signature.docmdp_level or ModificationLevel.FORM_FILLING
    if not isinstance(found, DiffResult) or found.modification_level.value > allowed.value:
        return "changed"
    return "allowed"


def _signature_stamp(signature: EmbeddedPdfSignature) -> Facts | None:
    """The first time-stamp token on the signature value (RFC 3161), None without one."""
    tokens = list(extract_tst_data_iter(signature.signer_info, signed=False))
    if not tokens:
        return None
    digest = message_imprint_checker(signature.signer_info)
    return _attempt(lambda: _stamp(tokens[0], digest), {"state": "unreadable"})


def _stamp(token: cms.SignedData, digest: Callable[[str], bytes]) -> Facts:
    # The chain is judged elsewhere: no roots here. Nothing is fetched.
    context = ValidationContext(trust_roots=[], allow_fetching=False)
    found = asyncio.run(validate_tst_signed_data(token, context, digest))
    sound = found["intact"] and found["valid"] and _may_stamp(found["signing_cert"])
    return {
        **_signer(token),
        "state": "intact" if sound else "broken",
        "stamped_at": _moment(found["timestamp"]),
    }


def _may_stamp(certificate: x509.Certificate) -> bool:
    """RFC 3161, 2.3: for this purpose and no other."""
    purposes = certificate.extended_key_usage_value
    return purposes is not None and purposes.native == [_TIMESTAMPING]


def _signer(signed: cms.SignedData) -> Facts:
    """The signer's certificate, then those of its authorities that came along, nearest first; DER, base64."""
    certificates = extract_certs_for_validation(signed)
    issuers = {one.subject.hashable: one for one in certificates.other_certs}
    chain = [certificates.signer_cert]
    while len(chain) <= _MOST_ISSUERS and (above := issuers.pop(chain[-1].issuer.hashable, None)):
        chain.append(above)
    return {"chain": [_printed(one) for one in chain]}


def _printed(certificate: x509.Certificate) -> str:
    der = certificate.dump()
    if len(der) > _CERTIFICATE_BYTES:
        raise ValueError("a certificate of this size is no certificate")
    return b64encode(der).decode()


def _moment(at: datetime | None) -> str | None:
    """In UTC; a time without a zone says nothing."""
    return None if at is None or at.tzinfo is None else at.astimezone(UTC).isoformat()


# --- the process --------------------------------------------------------------------------------------


def pdfs(raw: bytes) -> Iterator[tuple[int, Attachment]]:
    """The PDF attachments of the package `raw`, which was accepted before, with their numbers from 1."""
    package = envelope.read(xml.parse(raw), today=date.max)
    numbered = enumerate(package.attachments, start=1)
    return ((number, file) for number, file in numbered if file.media_type == PDF)


def _say(number: int, word: str, value: object) -> None:
    os.write(sys.stdout.fileno(), json.dumps([number, word, value]).encode() + b"\n")


def _read_apart(number: int, content: bytes, seconds: int) -> None:
    """Read one file in a process of its own; what the kernel ends was too costly."""
    child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
            read(content, lambda word, value: _say(number, word, value))
        except MemoryError:
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        _say(number, "state", "too-costly")


def main() -> None:
    """Name every PDF of the package first, then read one after the other."""
    seconds, megabytes = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (PACKAGE_SECONDS, PACKAGE_SECONDS + 1))
    found = list(pdfs(sys.stdin.buffer.read()))
    for number, file in found:
        _say(number, "file", {"name": file.name, "sha256": file.sha256, "size": file.size})
    for number, file in found:
        _read_apart(number, file.content, seconds)


if __name__ == "__main__":
    main()
