"""PDF files for tests: made by reportlab, signed by pyHanko with throw-away keys, and spoilt on purpose."""

import asyncio
import io
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from asn1crypto import keys, pem, x509
from cryptography import x509 as cx509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import signers
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

from fixtures.pki import Identity, private_pem

DER = Encoding.DER


def page(text: str = "Kế hoạch năm 2026", **options: Any) -> bytes:
    """A PDF of one page, not signed."""
    out = io.BytesIO()
    canvas = Canvas(out, pageCompression=0, **options)
    canvas.drawString(72, 720, text.encode("ascii", "ignore").decode())
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def sign(
    pdf: bytes,
    identity: Identity,
    *,
    field: str = "Signature1",
    stamp: Identity | None = None,
    stamped_at: datetime | None = None,
    pades: bool = False,
    value: Callable[[bytes], bytes] | None = None,
    digest: str = "sha256",
) -> bytes:
    """`pdf` with one more signature; `stamp` is a time-stamp authority, `value` spoils the value."""
    kind = SigSeedSubFilter.PADES if pades else SigSeedSubFilter.ADOBE_PKCS7_DETACHED
    metadata = signers.PdfSignatureMetadata(field_name=field, md_algorithm=digest, subfilter=kind)
    signer = _Signer(identity, value)
    stamper = _stamper(stamp, stamped_at) if stamp else None
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf), strict=False)
    signed: bytes = signers.sign_pdf(writer, metadata, signer=signer, timestamper=stamper).getvalue()
    return signed


def raw(objects: Sequence[bytes]) -> bytes:
    """A PDF of these objects, numbered from 1; the first is its catalogue."""
    out, places = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    table = b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
    return out + table + b"trailer <</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (size, len(out))


def wrapped(identity: Identity, hidden: bytes) -> bytes:
    """A PDF written by hand, with `hidden` in the gap of what its signature covers."""
    room = 8192
    value = b"<" + b"0" * room + b">" + hidden
    form = b"<</Type/Catalog/AcroForm<</SigFlags 3/Fields[2 0 R]>>>>"
    field = b"<</FT/Sig/T(S)/V 3 0 R>>"
    head = (
        b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/adbe.pkcs7.detached"
        b"/ByteRange[0 %010d %010d %010d]/Contents"
    )
    made = raw([form, field, head % (0, 0, 0) + value + b">>"])
    start = made.index(value)
    end = start + len(value)
    made = made.replace(head % (0, 0, 0), head % (start, end, len(made) - end))
    signer = _Signer(identity, None)
    signed = asyncio.run(signer.async_sign_general_data(made[:start] + made[end:], "sha256", detached=True))
    digits: bytes = signed.dump().hex().encode()
    return made[: start + 1] + digits.ljust(room, b"0") + made[start + 1 + room :]


def revise(pdf: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    """`pdf` with one more revision."""
    out, writer = io.BytesIO(), IncrementalPdfFileWriter(io.BytesIO(pdf), strict=False)
    change(writer)
    writer.write(out)
    return out.getvalue()


class _Signer(signers.SimpleSigner):
    def __init__(self, identity: Identity, value: Callable[[bytes], bytes] | None) -> None:
        store = _store(identity)
        super().__init__(
            signing_cert=_certificate(identity.certificate), signing_key=_key(identity), cert_registry=store
        )
        self._spoil = value or (lambda made: made)

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        made = await super().async_sign_raw(data, digest_algorithm, dry_run)
        return made if dry_run else self._spoil(made)


def _stamper(identity: Identity, at: datetime | None) -> DummyTimeStamper:
    store = _store(identity)
    return DummyTimeStamper(
        _certificate(identity.certificate), _key(identity), certs_to_embed=store, fixed_dt=at
    )


def _store(identity: Identity) -> SimpleCertificateStore:
    store = SimpleCertificateStore()
    store.register_multiple(_certificate(one) for one in identity.chain[1:])
    return store


def _certificate(certificate: cx509.Certificate) -> x509.Certificate:
    made: x509.Certificate = x509.Certificate.load(certificate.public_bytes(DER))
    return made


def _key(identity: Identity) -> keys.PrivateKeyInfo:
    made: keys.PrivateKeyInfo = keys.PrivateKeyInfo.load(pem.unarmor(private_pem(identity.key))[2])
    return made
