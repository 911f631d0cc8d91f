"""Making a signature that every XMLDSig reader can check: the shape is that of `envelope.profile`.

Used for the packages that the hub writes itself, by `manage.py sign_package` and by the demo.
"""

import base64
import re
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from xml.parsers import expat

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod

from exchange.envelope.profile import ENVELOPED, EXCLUSIVE, PREFIXES, SIGNED_PROPERTIES, XADES
from exchange.envelope.xml import DS, NS, parse
from exchange.refusals import Refused

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_MAX_CERTIFICATES = 4
_TAG = re.compile(rb"""<(?:[^"'<>]|"[^"]*"|'[^']*')*>""")


def sign(
    raw: bytes,
    *,
    key: PrivateKey,
    certificate_chain: Sequence[x509.Certificate],
    xades: bool = False,
    at: datetime | None = None,
) -> bytes:
    """`raw` with a ds:Signature as the last child of edXMLHeader; every other byte stays as it is.

    RSA-SHA256 or ECDSA-SHA256 by the kind of `key`. `certificate_chain`: the signer's certificate first, at
    most four. `at` (aware): the XAdES signing time, needed with `xades`. An older signature or an empty
    DigitalSignature in the header is replaced. Raises Refused if `raw` does not pass the gate, ValueError for
    arguments that do not fit together.
    """
    _check_arguments(key, certificate_chain, xades=xades, at=at)
    parse(raw)
    bare, seam = _without_signature(raw)
    signature = _unsigned(_digest(parse(bare)), key, certificate_chain)
    if xades and at is not None:
        _add_properties(signature, certificate_chain[0], at)
    _add_value(signature, key)
    return bare[:seam] + etree.tostring(signature) + bare[seam:]


def read_identity(key_pem: bytes, chain_pem: bytes) -> tuple[PrivateKey, list[x509.Certificate]]:
    """The signer's key (PEM, no password) and certificate chain, as `sign` takes them. Raises ValueError."""
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except TypeError as error:
        raise ValueError("the private key is protected by a password; give it without") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError("the private key is neither RSA nor EC")
    return key, x509.load_pem_x509_certificates(chain_pem)


def _check_arguments(
    key: PrivateKey, chain: Sequence[x509.Certificate], *, xades: bool, at: datetime | None
) -> None:
    if not 1 <= len(chain) <= _MAX_CERTIFICATES:
        raise ValueError("one to four certificates")
    if key.public_key() != chain[0].public_key():
        raise ValueError("the first certificate is not that of the key")
    if xades and (at is None or at.tzinfo is None):
        raise ValueError("XAdES needs an aware signing time")


class _Seam:
    """Finds byte offsets in a package: where its signatures stand, and where its header ends.

    lxml does not tell offsets, and re-serialising would change bytes that are not ours.
    """

    def __init__(self, raw: bytes) -> None:
        self.spans: list[tuple[int, int]] = []
        self.header_end = 0
        self._raw = raw
        self._names: list[str] = []
        self._start = 0
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartElementHandler = self._open
        self._parser.EndElementHandler = self._close
        self._parser.Parse(raw, True)

    def _open(self, name: str, _attributes: dict[str, str]) -> None:
        self._names.append(name)
        if self._is_signature():
            self._start = self._parser.CurrentByteIndex

    def _close(self, _name: str) -> None:
        at = self._parser.CurrentByteIndex
        if self._is_signature():
            self.spans.append((self._start, self._end(at)))
        if len(self._names) == 3 and self._in_header():
            self.header_end = at
        self._names.pop()

    def _end(self, at: int) -> int:
        """Behind the element that began at `_start`: after its only tag if empty, else after its end tag."""
        first = _tag(self._raw, self._start)
        return first if self._raw.endswith(b"/>", 0, first) else _tag(self._raw, at)

    def _local(self, depth: int) -> str:
        namespace, _, local = self._names[depth].rpartition(" ")
        return local.lower() if namespace == NS else ""

    def _in_header(self) -> bool:
        return self._local(1) == "edxmlenvelope" and self._local(2) == "edxmlheader"

    def _is_signature(self) -> bool:
        if len(self._names) != 4 or not self._in_header():
            return False
        return self._names[3] == f"{DS} Signature" or self._local(3) in ("signature", "digitalsignature")


def _tag(raw: bytes, at: int) -> int:
    """The offset behind the tag that begins at `at`."""
    found = _TAG.match(raw, at)
    if found is None:
        raise ValueError(f"no tag at byte {at}")
    return found.end()


def _without_signature(raw: bytes) -> tuple[bytes, int]:
    """The package without any signature in its header, and the offset of the header's end tag in it."""
    seam = _Seam(raw)
    kept, done, removed = [], 0, 0
    for start, end in seam.spans:
        kept.append(raw[done:start])
        done, removed = end, removed + end - start
    return b"".join([*kept, raw[done:]]), seam.header_end - removed


def _digest(element: etree._Element) -> bytes:
    return sha256(_canonical(element)).digest()


def _canonical(element: etree._Element) -> bytes:
    try:
        return etree.tostring(element, method="c14n", exclusive=True, with_comments=False)
    except etree.C14NError as error:  # a relative namespace name, for one
        raise Refused("package.not-xml", why=f"no canonical form: {error}") from error


def _unsigned(
    digest: bytes, key: PrivateKey, certificate_chain: Sequence[x509.Certificate]
) -> etree._Element:
    """A ds:Signature of the package whose canonical form has this digest; its value is still empty."""
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    method = SignatureMethod.RSA_SHA256 if is_rsa else SignatureMethod.ECDSA_SHA256
    signature = etree.Element(f"{{{DS}}}Signature", nsmap={"ds": DS}, Id=f"signature-{digest.hex()[:16]}")
    info = _add(signature, "ds:SignedInfo")
    _add(info, "ds:CanonicalizationMethod", Algorithm=EXCLUSIVE)
    _add(info, "ds:SignatureMethod", Algorithm=method.value)
    _add_reference(info, digest, [ENVELOPED, EXCLUSIVE], URI="")
    _add(signature, "ds:SignatureValue")
    data = _add(_add(signature, "ds:KeyInfo"), "ds:X509Data")
    for certificate in certificate_chain:
        _add_bytes(data, "ds:X509Certificate", certificate.public_bytes(Encoding.DER))
    return signature


def _add_properties(signature: etree._Element, certificate: x509.Certificate, at: datetime) -> None:
    """XAdES-B-B (EN 319 132-1): signing time and signing certificate, signed by a second Reference."""
    identifier = signature.get("Id", "")
    qualifying = etree.SubElement(
        _add(signature, "ds:Object"),
        f"{{{XADES}}}QualifyingProperties",
        nsmap={"xades": XADES},
        Target=f"#{identifier}",
    )
    properties = _add(qualifying, "xades:SignedProperties", Id=f"{identifier}-properties")
    inner = _add(properties, "xades:SignedSignatureProperties")
    _add(inner, "xades:SigningTime").text = at.isoformat(timespec="seconds")
    digest = _add(_add(_add(inner, "xades:SigningCertificateV2"), "xades:Cert"), "xades:CertDigest")
    _add(digest, "ds:DigestMethod", Algorithm=DigestAlgorithm.SHA256.value)
    _add_bytes(digest, "ds:DigestValue", certificate.fingerprint(hashes.SHA256()))
    uri = f"#{identifier}-properties"
    _add_reference(signature[0], _digest(properties), [EXCLUSIVE], URI=uri, Type=SIGNED_PROPERTIES)


def _add_value(signature: etree._Element, key: PrivateKey) -> None:
    info = _canonical(signature[0])
    if isinstance(key, rsa.RSAPrivateKey):
        value = key.sign(info, padding.PKCS1v15(), hashes.SHA256())
    else:
        r, s = utils.decode_dss_signature(key.sign(info, ec.ECDSA(hashes.SHA256())))
        size = (key.key_size + 7) // 8
        value = r.to_bytes(size, "big") + s.to_bytes(size, "big")
    signature[1].text = base64.b64encode(value).decode()


def _add_reference(info: etree._Element, digest: bytes, transforms: list[str], **attributes: str) -> None:
    reference = _add(info, "ds:Reference", **attributes)
    listed = _add(reference, "ds:Transforms")
    for transform in transforms:
        _add(listed, "ds:Transform", Algorithm=transform)
    _add(reference, "ds:DigestMethod", Algorithm=DigestAlgorithm.SHA256.value)
    _add_bytes(reference, "ds:DigestValue", digest)


def _add(parent: etree._Element, name: str, **attributes: str) -> etree._Element:
    prefix, _, local = name.partition(":")
    return etree.SubElement(parent, f"{{{PREFIXES[prefix]}}}{local}", attributes)


def _add_bytes(parent: etree._Element, name: str, value: bytes) -> None:
    _add(parent, name).text = base64.b64encode(value).decode()
