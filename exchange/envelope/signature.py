"""Signatures of packages: what the hub accepts as one (XMLDSig, XAdES-B-B). `sign` makes one.

`verify` is steps 5 to 7 of the intake recipe in docs/security.md, in this order; each step raises on its own:

1. There is one ds:Signature in the tree, a child of the one edXMLHeader.
2. Its form is exactly that of `envelope.profile`: elements, attributes, algorithms, references, base64.
3. One certificate of KeyInfo is the leaf; its key is strong enough and of the kind that the algorithm names.
4. The leaf is registered for the sender, byte for byte.
5. signxml verifies with the registered certificate alone, and with a new verifier for every package.
6. What signxml returns as signed is the whole package; under policy `required` only that may be read.
7. The XAdES properties, if any, name the same certificate.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from signxml.algorithms import SignatureMethod
from signxml.exceptions import InvalidDigest, InvalidSignature, SignXMLException
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from exchange.envelope import profile
from exchange.envelope.profile import PREFIXES, XADES, wrong
from exchange.envelope.signing import PrivateKey, sign
from exchange.envelope.xml import DS, envelope, header, path
from exchange.refusals import Refused

__all__ = ["PrivateKey", "Verified", "find", "leaf", "sign", "verify"]

_MIN_RSA_BITS = 2048
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


@dataclass(frozen=True, slots=True)
class Verified:
    """What a good signature proves.

    `signed`: root of the package as it was signed, without Signature and comments; under policy `required`
    the only thing to read. `signing_time`: claimed by the signer (XAdES), in UTC; shown, never trusted.
    `algorithm`: such as "rsa-sha256".
    """

    signed: etree._Element
    certificate_der: bytes
    fingerprint: str
    signing_time: datetime | None
    algorithm: str


class _Verifier(XMLVerifier):
    """signxml with one copy of the package, as a tree, where it makes three by way of text.

    It writes an element and parses it again to have the namespaces declared above it on its copy. Above a
    root there is nothing: that of the package is copied as it is, and its copy, which is ours to change, no
    more. An element with a parent is copied as ever.
    """

    _package: etree._Element

    def get_root(self, data: etree._Element) -> etree._Element:
        self._package = data
        return data

    def _tostring(self, xml_node: etree._Element, **kwargs: Any) -> Any:
        if xml_node is self._package:
            return deepcopy(xml_node)
        if xml_node.getparent() is None:
            return xml_node
        return super()._tostring(xml_node, **kwargs)  # type: ignore[no-untyped-call]

    def _fromstring(self, xml_string: Any, **kwargs: Any) -> Any:
        if isinstance(xml_string, etree._Element):
            return xml_string
        return super()._fromstring(xml_string, **kwargs)  # type: ignore[no-untyped-call]


def verify(root: etree._Element, registered: Sequence[bytes], *, organ: str) -> Verified:
    """Check the signature of a package that has passed the gate, with the certificates of its sender.

    `registered`: DER certificates of agency `organ`. Validity, chain and revocation are not checked here.
    Raises Refused: signature.missing, signature.profile, certificate.unknown, signature.invalid,
    signature.digest-mismatch.
    """
    signature = find(root)
    if signature is None:
        raise Refused("signature.missing")
    method = profile.check(signature)
    certificate = leaf(signature)
    _check_key(signature, certificate, method)
    der = certificate.public_bytes(Encoding.DER)
    fingerprint = sha256(der).hexdigest()
    if der not in registered:
        raise Refused("certificate.unknown", fingerprint=fingerprint, organ=organ)
    whole, properties = _verify(root, signature, certificate, method)
    return Verified(
        signed=_whole_package(root, signature, whole),
        certificate_der=der,
        fingerprint=fingerprint,
        signing_time=_signing_time(signature, properties, certificate),
        algorithm=method.value.rpartition("#")[2],
    )


def find(root: etree._Element) -> etree._Element | None:
    """The signature of a package, or None where there is none.

    An empty `<edXML:DigitalSignature/>` and the dummy that an SDK writes into the edXML namespace are none.
    Raises Refused signature.profile for several or for a misplaced one.
    """
    found = list(root.iter(f"{{{DS}}}Signature"))
    if not found:
        return None
    if len(found) > 1:
        raise wrong(found[1], f"{len(found)} ds:Signature elements; expected one")
    if found[0].getparent() is not header(root):
        raise wrong(found[0], f"ds:Signature at {path(found[0])}; expected as a child of edXMLHeader")
    if (found[0].tail or "").strip():
        raise wrong(found[0], "text beside ds:Signature")
    return found[0]


def leaf(signature: etree._Element) -> x509.Certificate:
    """The signer's certificate among the one to four of KeyInfo: the one that issued no other.

    KeyInfo is not signed, so this only names a candidate; it counts if it is registered and its key fits.
    Raises Refused signature.profile.
    """
    elements = signature.findall("ds:KeyInfo/ds:X509Data/ds:X509Certificate", PREFIXES)
    loaded = [_certificate(element) for element in elements]
    ends = [c for c in loaded if not any(c.subject == o.issuer for o in loaded if o != c)]
    if len(set(ends)) != 1:
        raise wrong(signature, f"KeyInfo holds {len(set(ends))} leaf certificates; expected one chain")
    return ends[0]


def _certificate(element: etree._Element) -> x509.Certificate:
    der = profile.base64_of(element)
    try:
        certificate = x509.load_der_x509_certificate(der)
        # cryptography reads lazily: what is used below must be readable now.
        _ = certificate.public_key(), certificate.subject, certificate.issuer
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise wrong(element, f"X509Certificate cannot be read: {error}") from error
    return certificate


def _check_key(signature: etree._Element, certificate: x509.Certificate, method: SignatureMethod) -> None:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        fits, strong, name = "RSA" in method.name, key.key_size >= _MIN_RSA_BITS, f"RSA {key.key_size}"
    elif isinstance(key, ec.EllipticCurvePublicKey):
        fits, strong, name = "ECDSA" in method.name, isinstance(key.curve, _CURVES), f"EC {key.curve.name}"
    else:
        fits, strong, name = False, False, type(key).__name__
    if not strong:
        raise wrong(signature, f"the key is {name}; expected RSA of 2048 bits or EC P-256, P-384 or P-521")
    if not fits:
        raise wrong(signature, f"SignatureMethod {method.value} does not fit the key, {name}")


# --- cryptography -----------------------------------------------------------------------------------------


def _verify(
    root: etree._Element, signature: etree._Element, certificate: x509.Certificate, method: SignatureMethod
) -> tuple[VerifyResult, etree._Element | None]:
    """What the signature covers: the package, and the SignedProperties if it has them."""
    uris = [r.get("URI") for r in signature.findall("ds:SignedInfo/ds:Reference", PREFIXES)]
    configuration = SignatureConfiguration(
        location=f"./{envelope(root).tag}/{header(root).tag}/",
        expect_references=len(uris),
        signature_methods=frozenset({method}),
        digest_algorithms=frozenset(profile.DIGESTS.values()),
    )
    # The profile is narrower than the schema, so validating against that too would only cost time. The gate
    # has bounded the input; huge_tree only lifts libxml2's limit of 10 MB for one attachment.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True, collect_ids=False)
    try:
        found = _Verifier().verify(
            root, x509_cert=certificate, parser=parser, validate_schema=False, expect_config=configuration
        )
    except InvalidDigest as error:
        raise Refused("signature.digest-mismatch", xpath=path(signature)) from error
    except InvalidSignature as error:
        raise Refused("signature.invalid", xpath=path(signature)) from error
    except (SignXMLException, etree.LxmlError) as error:
        raise wrong(signature, f"cannot be verified: {error}") from error
    results = dict(zip(uris, found if isinstance(found, list) else [found], strict=True))
    whole = results.pop("")
    return whole, next((result.signed_xml for result in results.values()), None)


def _whole_package(root: etree._Element, signature: etree._Element, result: VerifyResult) -> etree._Element:
    """The tree that was signed; canonicalisation that fails must not end as a signature of nothing."""
    signed = result.signed_xml
    if signed is None or signed.tag != root.tag or find(signed) is not None:
        raise wrong(signature, "what was signed is not the whole package")
    return signed


def _signing_time(
    signature: etree._Element, properties: etree._Element | None, certificate: x509.Certificate
) -> datetime | None:
    """The claimed time of signing, after the certificate named beside it has been compared."""
    if properties is None:
        return None
    if properties.tag != f"{{{XADES}}}SignedProperties":
        raise wrong(signature, "the second Reference is not to SignedProperties")
    _check_named_certificate(signature, properties, certificate)
    text = properties.findtext("xades:SignedSignatureProperties/xades:SigningTime", "", PREFIXES)
    try:
        time = datetime.fromisoformat(text.strip())
        return time.astimezone(UTC) if time.tzinfo else None
    except (ValueError, OverflowError):  # the first day of year 1 with +14:00 lies before all days
        return None


def _check_named_certificate(
    signature: etree._Element, properties: etree._Element, certificate: x509.Certificate
) -> None:
    """XAdES (EN 319 132-1, 5.2.2): the first certificate in SigningCertificate is the signer's."""
    for name in ("SigningCertificateV2", "SigningCertificate"):
        places = f"xades:SignedSignatureProperties/xades:{name}/xades:Cert/xades:CertDigest"
        named = properties.find(places, PREFIXES)
        if named is None:
            continue
        method = named.find("ds:DigestMethod", PREFIXES)
        value = named.find("ds:DigestValue", PREFIXES)
        algorithm = None if method is None else profile.DIGESTS.get(method.get("Algorithm", ""))
        if algorithm is None or value is None:
            raise wrong(signature, f"{name} has no digest by SHA-256, SHA-384 or SHA-512")
        if profile.base64_of(value) != certificate.fingerprint(algorithm.implementation()):
            raise wrong(signature, f"{name} names another certificate than KeyInfo")
