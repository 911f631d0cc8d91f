"""The exact shape of an acceptable ds:Signature: XMLDSig with exclusive C14N, optionally XAdES-B-B.

Checked before any cryptography, and narrower than the schemas: what is not listed here is refused, so nothing
in a signature can mean something to one reader and nothing to another. Every refusal is `signature.profile`
and says what was found and what was expected, for the developer of the sending system.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence

from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod

from exchange.envelope.xml import DS, line, path
from exchange.refusals import Refused

XADES = "http://uri.etsi.org/01903/v1.3.2#"
SIGNED_PROPERTIES = "http://uri.etsi.org/01903#SignedProperties"
ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
PREFIXES = {"ds": DS, "xades": XADES}

DIGESTS: Mapping[str, DigestAlgorithm] = {
    algorithm.value: algorithm
    for algorithm in (DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512)
}
METHODS: Mapping[str, SignatureMethod] = {
    method.value: method
    for method in (
        SignatureMethod.RSA_SHA256,
        SignatureMethod.RSA_SHA384,
        SignatureMethod.RSA_SHA512,
        SignatureMethod.SHA256_RSA_MGF1,
        SignatureMethod.SHA384_RSA_MGF1,
        SignatureMethod.SHA512_RSA_MGF1,
        SignatureMethod.ECDSA_SHA256,
        SignatureMethod.ECDSA_SHA384,
        SignatureMethod.ECDSA_SHA512,
    )
}

# Every element that may stand in a signature: its children in order, and its attributes. What is inside
# xades:SignedProperties is signed and only shown, so it is not listed further.
_SHAPES: Mapping[str, tuple[str, str]] = {
    "Signature": ("SignedInfo SignatureValue KeyInfo Object?", "Id"),
    "SignedInfo": ("CanonicalizationMethod SignatureMethod Reference{1,2}", "Id"),
    "CanonicalizationMethod": ("", "Algorithm"),
    "SignatureMethod": ("", "Algorithm"),
    "Reference": ("Transforms DigestMethod DigestValue", "Id URI Type"),
    "Transforms": ("Transform{1,2}", ""),
    "Transform": ("", "Algorithm"),
    "DigestMethod": ("", "Algorithm"),
    "DigestValue": ("", ""),
    "SignatureValue": ("", "Id"),
    "KeyInfo": ("X509Data", "Id"),
    "X509Data": (
        "X509IssuerSerial? X509SubjectName? X509Certificate{1,4} X509SubjectName? X509IssuerSerial?",
        "",
    ),
    "X509IssuerSerial": ("X509IssuerName X509SerialNumber", ""),
    "X509IssuerName": ("", ""),
    "X509SerialNumber": ("", ""),
    "X509SubjectName": ("", ""),
    "X509Certificate": ("", ""),
    "Object": ("xades:QualifyingProperties", "Id"),
    "xades:QualifyingProperties": ("xades:SignedProperties", "Id Target"),
    "xades:SignedProperties": ("xades:SignedSignatureProperties xades:SignedDataObjectProperties?", "Id"),
}
_TEXTS = frozenset(
    {
        "DigestValue",
        "SignatureValue",
        "X509Certificate",
        "X509SubjectName",
        "X509IssuerName",
        "X509SerialNumber",
    }
)
_IN_DS, _IN_XADES = f"{{{DS}}}", f"{{{XADES}}}"
_BLANKS = str.maketrans("", "", " \t\r\n")
_SHOWN = 160


def check(signature: etree._Element) -> SignatureMethod:
    """Accept the form of a signature and return the algorithm that it names.

    Raises Refused signature.profile.
    """
    _check_shape(signature)
    _check_algorithm(_part(signature, "ds:SignedInfo/ds:CanonicalizationMethod"), (EXCLUSIVE,))
    _check_references(signature)
    base64_of(_part(signature, "ds:SignatureValue"))
    method = _part(signature, "ds:SignedInfo/ds:SignatureMethod")
    return METHODS[_check_algorithm(method, METHODS, "RSA or ECDSA with SHA-256, SHA-384 or SHA-512")]


def wrong(element: etree._Element, why: str) -> Refused:
    """The refusal of one element; `why` may quote the sender, so it is cut and made printable."""
    shown = "".join(c if c.isprintable() else " " for c in why)
    shown = shown if len(shown) <= 2 * _SHOWN else shown[: 2 * _SHOWN] + "…"
    return Refused("signature.profile", xpath=path(element), line=line(element), why=shown)


def base64_of(element: etree._Element) -> bytes:
    """The bytes that an element holds as canonical base64, line breaks allowed. Raises Refused."""
    text = (element.text or "").translate(_BLANKS)
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise wrong(element, f"{name_of(element)} is not base64: {error}") from error
    if not value or base64.b64encode(value).decode() != text:
        raise wrong(element, f"{name_of(element)} is not canonical base64")
    return value


def name_of(element: etree._Element) -> str:
    """A short name that is unique to one namespace: ds names bare, xades with its prefix, others in full."""
    if not isinstance(element.tag, str):
        return "<!--comment-->"
    if element.tag.startswith(_IN_DS):
        return element.tag[len(_IN_DS) :]
    if element.tag.startswith(_IN_XADES):
        return f"xades:{element.tag[len(_IN_XADES) :]}"
    return element.tag if element.tag.startswith("{") else f"{{}}{element.tag}"


# --- shape ------------------------------------------------------------------------------------------------


def _check_shape(element: etree._Element) -> None:
    name = name_of(element)
    children, attributes = _SHAPES[name]
    found = [name_of(child) for child in element]
    if not _PATTERNS[name].fullmatch("".join(f"{child} " for child in found)):
        raise wrong(element, f"{name} holds [{_cut(' '.join(found))}]; expected [{children}]")
    extra = [str(key) for key in element.attrib if key not in attributes.split()]
    if extra:
        raise wrong(element, f"{name} has the attribute {_cut(extra[0])}; expected [{attributes}]")
    if name not in _TEXTS and any(_texts(element)):
        raise wrong(element, f"text inside {name}")
    for child, child_name in zip(element, found, strict=True):
        if child_name in _SHAPES:
            _check_shape(child)


def _texts(element: etree._Element) -> list[str]:
    return [(text or "").strip() for text in (element.text, *(child.tail for child in element))]


def _pattern(children: str) -> re.Pattern[str]:
    """`A B? C{1,2}` as a pattern over names that are each followed by a space."""
    parts = (re.fullmatch(r"([\w:]+)(\S*)", child) for child in children.split())
    return re.compile("".join(f"(?:{part[1]} ){part[2]}" for part in parts if part))


_PATTERNS = {name: _pattern(children) for name, (children, _) in _SHAPES.items()}


# --- algorithms and references ----------------------------------------------------------------------------


def _check_algorithm(
    element: etree._Element, allowed: Mapping[str, object] | Sequence[str], wanted: str = ""
) -> str:
    algorithm = element.get("Algorithm", "")
    if algorithm not in allowed:
        wanted = wanted or " or ".join(allowed)
        raise wrong(element, f"{name_of(element)} {_cut(algorithm)}; expected {wanted}")
    return algorithm


def _check_references(signature: etree._Element) -> None:
    """The whole package once, and the signature's own SignedProperties exactly if it has them."""
    properties = signature.find("ds:Object/xades:QualifyingProperties/xades:SignedProperties", PREFIXES)
    references = signature.findall("ds:SignedInfo/ds:Reference", PREFIXES)
    own = None if properties is None else f"#{properties.get('Id', '')}"
    uris = [reference.get("URI") for reference in references]
    if sorted(str(uri) for uri in uris) != sorted([""] if own is None else ["", own]) or own == "#":
        raise wrong(
            references[0],
            f"Reference URI {_cut(str(uris))}; expected '' (the whole package)"
            + (" only" if own is None else f" and '{_cut(own)}' (SignedProperties)"),
        )
    for reference in references:
        _check_reference(reference, whole=reference.get("URI") == "")
    _check_target(signature)


def _check_reference(reference: etree._Element, *, whole: bool) -> None:
    transforms = _part(reference, "ds:Transforms")
    found = [transform.get("Algorithm", "") for transform in transforms]
    expected = [ENVELOPED, EXCLUSIVE] if whole else [EXCLUSIVE]
    if found != expected:
        raise wrong(transforms, f"Transforms {_cut(str(found))}; expected {expected} in this order")
    kind, wanted = reference.get("Type"), None if whole else SIGNED_PROPERTIES
    if kind != wanted:
        raise wrong(reference, f"Reference Type {_cut(str(kind))}; expected {wanted or 'none'}")
    _check_algorithm(_part(reference, "ds:DigestMethod"), DIGESTS)
    base64_of(_part(reference, "ds:DigestValue"))


def _check_target(signature: etree._Element) -> None:
    qualifying = signature.find("ds:Object/xades:QualifyingProperties", PREFIXES)
    if qualifying is None:
        return
    identifier, target = signature.get("Id"), qualifying.get("Target")
    if not identifier or target != f"#{identifier}":
        raise wrong(qualifying, f"Target {_cut(str(target))}; expected # and the Id of its Signature")


def _part(parent: etree._Element, names: str) -> etree._Element:
    """A descendant that the shape has promised."""
    found = parent.find(names, PREFIXES)
    if found is None:
        raise wrong(parent, f"{names} is missing")
    return found


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
