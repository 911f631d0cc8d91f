"""Signatures: what is accepted, what another implementation says of ours, every attack of the table.

Keys are made when the tests run. `refused` reads a package as intake does: gate, then verify.
"""

import base64
import hmac
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, SignatureMethod
from signxml.signer import XMLSigner

from exchange.envelope.profile import DIGESTS, ENVELOPED, EXCLUSIVE, METHODS
from exchange.envelope.signature import Verified, find, leaf, sign, verify
from exchange.envelope.xml import DS, NS, parse
from exchange.refusals import Refused
from fixtures.pki import Authority, Identity, pem, private_pem

AT = datetime(2026, 3, 2, 1, 15, 30, tzinfo=UTC)
FIXTURES = Path(__file__).parents[2] / "fixtures"
ACCEPTED, REFUSED = FIXTURES / "accepted", FIXTURES / "refused"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
ECDSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"

PACKAGE = f"""<?xml version="1.0" encoding="UTF-8"?>
<edXML xmlns="{NS}">
  <edXML:edXMLEnvelope xmlns:edXML="{NS}">
    <edXML:edXMLHeader>
      <edXML:MessageHeader>
        <edXML:From><edXML:OrganId>H29</edXML:OrganId></edXML:From>
        <edXML:To><edXML:OrganId>H29.5</edXML:OrganId></edXML:To>
        <edXML:Subject>Kế hoạch năm 2026</edXML:Subject>
      </edXML:MessageHeader>
    </edXML:edXMLHeader>
    <edXML:edXMLBody>
      <edXML:edXMLManifest version="1.0"/>
    </edXML:edXMLBody>
  </edXML:edXMLEnvelope>
  <AttachmentEncoded><Attachment><ContentId>cid:1</ContentId></Attachment></AttachmentEncoded>
</edXML>
""".encode()


# --- keys, made once --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Keys:
    root: Authority
    authority: Authority
    ec: Identity
    rsa: Identity
    weak: Identity
    other: Identity


@pytest.fixture(scope="session")
def keys() -> Keys:
    root = Authority.create("Test Root CA")
    authority = root.intermediate("Test Issuing CA")
    return Keys(
        root=root,
        authority=authority,
        ec=authority.issue("Agency A", organ="H29"),
        rsa=authority.issue("Agency A", organ="H29", key="rsa"),
        weak=authority.issue("Agency A", organ="H29", key="rsa1024"),
        other=authority.issue("Agency B", organ="H29.5"),
    )


@pytest.fixture(scope="session")
def plain(keys: Keys) -> bytes:
    return signed(keys.ec)


@pytest.fixture(scope="session")
def xades(keys: Keys) -> bytes:
    return signed(keys.ec, xades=True)


def signed(by: Identity, raw: bytes = PACKAGE, *, xades: bool = False) -> bytes:
    return sign(raw, key=by.key, certificate_chain=by.chain, xades=xades, at=AT)


def accepted(raw: bytes, by: Identity) -> Verified:
    return verify(parse(raw), [by.der], organ="H29")


def refused(raw: bytes, *registered: Identity) -> Refused:
    """The refusal of a package whose sender has registered these certificates."""
    with pytest.raises(Refused) as caught:
        verify(parse(raw), [identity.der for identity in registered], organ="H29")
    return caught.value


def why(refusal: Refused) -> str:
    return str(refusal.problems[0].facts["why"])


# --- signatures made by hand, so that a deviation comes with right mathematics ---------------------------


def replaced(raw: bytes, old: str, new: str) -> bytes:
    """`raw` with the first `old` replaced; a test whose `old` is not there tests nothing."""
    assert old.encode() in raw, old
    return raw.replace(old.encode(), new.encode(), 1)


def resigned(raw: bytes, by: Identity, method: str = "") -> bytes:
    """`raw` with a right SignatureValue for whatever its SignedInfo says now."""
    root = etree.fromstring(raw)
    info = root.find(f".//{{{DS}}}SignedInfo")
    assert info is not None
    content = etree.tostring(info, method="c14n", exclusive=True)
    return with_value(raw, value_of(by.key, content, method))


def value_of(key: object, content: bytes, method: str) -> bytes:
    algorithm = next((h for n, h in HASHES.items() if n in method.lower()), hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = utils.decode_dss_signature(key.sign(content, ec.ECDSA(algorithm)))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert isinstance(key, rsa.RSAPrivateKey)
    if "MGF1" in method:
        salted = padding.PSS(mgf=padding.MGF1(algorithm), salt_length=algorithm.digest_size)
        return key.sign(content, salted, algorithm)
    return key.sign(content, padding.PKCS1v15(), algorithm)


HASHES: dict[str, hashes.HashAlgorithm] = {"sha384": hashes.SHA384(), "sha512": hashes.SHA512()}


def canonical(raw: bytes) -> bytes:
    return etree.tostring(etree.fromstring(raw), method="c14n", exclusive=True, with_comments=False)


def digest_of(found: Verified) -> str:
    """Of what was signed: equal for two copies that differ only in the signature."""
    return sha256(etree.tostring(found.signed, method="c14n", exclusive=True)).hexdigest()


def with_value(raw: bytes, value: bytes) -> bytes:
    text = base64.b64encode(value)
    return re.sub(rb"(<ds:SignatureValue>)[^<]*", rb"\g<1>" + text, raw, count=1)


def with_digest(raw: bytes, value: bytes) -> bytes:
    text = base64.b64encode(value)
    return re.sub(rb"(<ds:DigestValue>)[^<]*", rb"\g<1>" + text, raw, count=1)


# --- what is accepted -------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_properties", [False, True])
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_what_we_sign_verifies(keys: Keys, kind: str, with_properties: bool) -> None:
    by: Identity = getattr(keys, kind)
    found = accepted(signed(by, xades=with_properties), by)
    assert found.certificate_der == by.der
    assert found.fingerprint == sha256(by.der).hexdigest()
    assert found.signing_time == (AT if with_properties else None)
    assert found.algorithm == {"ec": "ecdsa-sha256", "rsa": "rsa-sha256"}[kind]
    assert digest_of(found) == sha256(canonical(PACKAGE)).hexdigest()


def test_what_was_signed_is_the_whole_package_without_the_signature(keys: Keys, plain: bytes) -> None:
    found = accepted(plain, keys.ec)
    assert etree.tostring(found.signed, method="c14n", exclusive=True) == canonical(PACKAGE)


def test_signing_changes_no_other_byte(plain: bytes) -> None:
    signature = re.search(rb"<ds:Signature .*</ds:Signature>", plain, re.DOTALL)
    assert signature is not None
    assert plain.replace(signature[0], b"") == PACKAGE
    assert plain[signature.end() :].startswith(b"</edXML:edXMLHeader>")


def test_a_byte_order_mark_survives_signing(keys: Keys) -> None:
    raw = signed(keys.ec, b"\xef\xbb\xbf" + PACKAGE)
    assert raw.startswith(b"\xef\xbb\xbf<?xml")
    accepted(raw, keys.ec)


@pytest.mark.parametrize(
    "older",
    [
        "<edXML:DigitalSignature/>",
        "<edXML:DigitalSignature></edXML:DigitalSignature>",
        """<edXML:DigitalSignature note=">" other='"/>'/>""",
        "<edXML:Signature><edXML:SignedInfo/></edXML:Signature>",
        '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/>',
        '<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/><edXML:DigitalSignature />',
    ],
)
def test_signing_replaces_an_older_or_dummy_signature(keys: Keys, plain: bytes, older: str) -> None:
    raw = replaced(PACKAGE, "</edXML:edXMLHeader>", f"{older}</edXML:edXMLHeader>")
    found = accepted(signed(keys.ec, raw), keys.ec)
    assert digest_of(found) == digest_of(accepted(plain, keys.ec))


def test_signing_again_replaces_the_signature(keys: Keys, plain: bytes) -> None:
    again = signed(keys.rsa, plain)
    assert again.count(b"<ds:Signature ") == 1
    accepted(again, keys.rsa)


def test_text_that_looks_like_a_header_end_does_not_move_the_signature(keys: Keys) -> None:
    decoy = "<![CDATA[</edXML:edXMLHeader><edXML:DigitalSignature/>]]>"
    raw = replaced(PACKAGE, "Kế hoạch", f"{decoy}Kế hoạch")
    found = accepted(signed(keys.ec, raw), keys.ec)
    assert decoy[9:-3] in str(etree.tostring(found.signed, method="text", encoding="unicode"))


def test_a_header_inside_an_attachment_does_not_move_the_signature(keys: Keys) -> None:
    decoy = "<edXMLHeader><DigitalSignature/></edXMLHeader>"
    raw = signed(keys.ec, replaced(PACKAGE, "</AttachmentEncoded>", f"{decoy}</AttachmentEncoded>"))
    accepted(raw, keys.ec)
    assert decoy.encode() in raw


@pytest.mark.parametrize("prefix", ["x:", ""])
def test_any_prefix_can_be_signed(keys: Keys, prefix: str) -> None:
    raw = PACKAGE.replace(b"edXML:", prefix.encode()).replace(b"xmlns:edXML=", b"xmlns:x=")
    accepted(signed(keys.ec, raw), keys.ec)


def test_every_golden_package_can_be_signed_and_verified(keys: Keys) -> None:
    files = [file for file in ACCEPTED.rglob("*") if file.suffix in (".xml", ".edxml")]
    assert files
    for file in files:
        accepted(signed(keys.ec, file.read_bytes(), xades=True), keys.ec)


@pytest.mark.parametrize("digest", list(DIGESTS))
@pytest.mark.parametrize("method", list(METHODS))
def test_every_algorithm_of_the_profile_is_accepted(keys: Keys, method: str, digest: str) -> None:
    by = keys.ec if "ecdsa" in method else keys.rsa
    raw = replaced(signed(by), by_default(by), method)
    raw = replaced(raw, f'DigestMethod Algorithm="{SHA256}"', f'DigestMethod Algorithm="{digest}"')
    hasher = hashes.Hash(DIGESTS[digest].implementation())
    hasher.update(canonical(PACKAGE))
    raw = resigned(with_digest(raw, hasher.finalize()), by, method)
    assert accepted(raw, by).algorithm == method.rpartition("#")[2]


def by_default(by: Identity) -> str:
    return RSA_SHA256 if isinstance(by.key, rsa.RSAPrivateKey) else ECDSA_SHA256


@pytest.mark.parametrize("method", [SignatureMethod.RSA_SHA256, SignatureMethod.SHA256_RSA_MGF1])
def test_a_signature_by_signxml_itself_is_accepted(keys: Keys, method: SignatureMethod) -> None:
    raw = replaced(
        PACKAGE,
        "</edXML:edXMLHeader>",
        f'<ds:Signature xmlns:ds="{DS}" Id="placeholder"/></edXML:edXMLHeader>',
    )
    signer = XMLSigner(
        signature_algorithm=method,
        c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    )
    tree = signer.sign(etree.fromstring(raw), key=keys.rsa.key, cert=list(keys.rsa.chain))
    accepted(etree.tostring(tree), keys.rsa)


def test_line_breaks_in_base64_are_accepted(keys: Keys, plain: bytes) -> None:
    value = re.search(rb"<ds:SignatureValue>([^<]*)", plain)
    assert value is not None
    wrapped = plain.replace(value[1], value[1][:40] + b"\n" + value[1][40:])
    assert digest_of(accepted(wrapped, keys.ec)) == digest_of(accepted(plain, keys.ec))


def test_the_other_ecdsa_value_is_the_same_signed_content(keys: Keys, plain: bytes) -> None:
    """(r, n−s) verifies too, so a replay key must rest on what was signed."""
    value = re.search(rb"<ds:SignatureValue>([^<]*)", plain)
    assert value is not None
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    pair = base64.b64decode(value[1])
    twin = pair[:32] + (order - int.from_bytes(pair[32:], "big")).to_bytes(32, "big")
    raw = plain.replace(value[1], base64.b64encode(twin))
    assert raw != plain
    assert digest_of(accepted(raw, keys.ec)) == digest_of(accepted(plain, keys.ec))


def test_comments_between_elements_are_neither_signed_nor_returned(keys: Keys, plain: bytes) -> None:
    raw = replaced(plain, "<edXML:MessageHeader>", "<!-- unsigned --><edXML:MessageHeader>")
    found = accepted(raw, keys.ec)
    assert not list(found.signed.iter(etree.Comment))
    assert digest_of(found) == digest_of(accepted(plain, keys.ec))


def test_the_leaf_is_found_wherever_it_stands_in_the_chain(keys: Keys, plain: bytes) -> None:
    first, second = (m[0] for m in re.finditer(rb"<ds:X509Certificate>.*?</ds:X509Certificate>", plain))
    swapped = plain.replace(first + second, second + first)
    assert swapped != plain
    accepted(swapped, keys.ec)
    signature = find(parse(swapped))
    assert signature is not None
    assert leaf(signature) == keys.ec.certificate


def test_signing_refuses_arguments_that_do_not_fit(keys: Keys) -> None:
    for chain in ((), keys.other.chain, keys.ec.chain * 3):
        with pytest.raises(ValueError, match="certificate"):
            sign(PACKAGE, key=keys.ec.key, certificate_chain=chain)
    with pytest.raises(ValueError, match="signing time"):
        sign(PACKAGE, key=keys.ec.key, certificate_chain=keys.ec.chain, xades=True)


# --- another implementation -------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def xmlsec1() -> str:
    found = shutil.which("xmlsec1")
    if found is None and os.environ.get("HUB_TEST_REQUIRE_ALL") == "1":
        pytest.fail("xmlsec1 is not installed (Debian package xmlsec1), and HUB_TEST_REQUIRE_ALL=1")
    if found is None:
        pytest.skip("NOT CHECKED: xmlsec1 is not installed, so nobody else has read our signatures")
    return found


@pytest.mark.parametrize("with_properties", [False, True])
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_xmlsec1_accepts_what_we_sign(
    keys: Keys, xmlsec1: str, tmp_path: Path, kind: str, with_properties: bool
) -> None:
    by: Identity = getattr(keys, kind)
    raw = signed(by, xades=with_properties)
    assert run_verify(xmlsec1, tmp_path, by, raw).returncode == 0
    tampered = replaced(raw, "năm 2026", "năm 2027")
    assert run_verify(xmlsec1, tmp_path, by, tampered).returncode != 0


@pytest.mark.parametrize(("kind", "method"), [("rsa", RSA_SHA256), ("ec", ECDSA_SHA256)])
def test_we_accept_what_xmlsec1_signs(
    keys: Keys, xmlsec1: str, tmp_path: Path, kind: str, method: str
) -> None:
    by: Identity = getattr(keys, kind)
    raw = run_sign(xmlsec1, tmp_path, by, template(method))
    assert accepted(raw, by).algorithm == method.rpartition("#")[2]
    assert refused(replaced(raw, "năm 2026", "năm 2027"), by).code == "signature.digest-mismatch"


def run_verify(xmlsec1: str, directory: Path, by: Identity, raw: bytes) -> subprocess.CompletedProcess[bytes]:
    _, certificate = by.save(directory, "signer")
    file = directory / "signed.xml"
    file.write_bytes(raw)
    properties = ["--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties"]
    options = ["--enabled-key-data", "key-name,rsa,ecdsa", "--pubkey-cert-pem", str(certificate)]
    return subprocess.run(
        [xmlsec1, "--verify", *options, *properties, str(file)], check=False, capture_output=True
    )


def run_sign(xmlsec1: str, directory: Path, by: Identity, raw: bytes) -> bytes:
    key, certificate = by.save(directory, "signer")
    certificate.write_bytes(pem([by.certificate]))
    file, result = directory / "template.xml", directory / "result.xml"
    file.write_bytes(raw)
    command = [xmlsec1, "--sign", "--privkey-pem", f"{key},{certificate}", "--output", str(result), str(file)]
    subprocess.run(command, check=True, capture_output=True)
    return result.read_bytes()


def template(method: str) -> bytes:
    transforms = "".join(f'<ds:Transform Algorithm="{a}"/>' for a in (ENVELOPED, EXCLUSIVE))
    signature = (
        f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}"/>'
        f'<ds:SignatureMethod Algorithm="{method}"/>'
        f'<ds:Reference URI=""><ds:Transforms>{transforms}</ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{SHA256}"/><ds:DigestValue/></ds:Reference></ds:SignedInfo>'
        "<ds:SignatureValue/><ds:KeyInfo><ds:X509Data/></ds:KeyInfo></ds:Signature>"
    )
    return replaced(PACKAGE, "</edXML:edXMLHeader>", f"{signature}</edXML:edXMLHeader>")


# --- refused files, named after their code; those that need keys are made by the tests below ---------------


@pytest.mark.parametrize("file", sorted(REFUSED.glob("signature.*.xml")), ids=lambda file: str(file.name))
def test_a_refused_file_is_refused_under_its_name(file: Path) -> None:
    assert refused(file.read_bytes()).code == file.stem


# --- no signature -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "instead",
    [
        "",
        "<edXML:DigitalSignature/>",
        "<edXML:Signature><edXML:SignedInfo/><edXML:SignatureValue>x</edXML:SignatureValue></edXML:Signature>",
        f'<ds:signature xmlns:ds="{DS}"/>',
        '<Signature xmlns="http://www.w3.org/2000/09/xmldsig"/>',
    ],
)
def test_nothing_empty_or_a_dummy_counts_as_not_signed(keys: Keys, instead: str) -> None:
    raw = replaced(PACKAGE, "</edXML:edXMLHeader>", f"{instead}</edXML:edXMLHeader>")
    assert find(parse(raw)) is None
    assert refused(raw, keys.ec).code == "signature.missing"


# --- wrapping: signed content moved, doubled or hidden ----------------------------------------------------


def element(raw: bytes, name: str) -> str:
    found = re.search(rf"<{name}[ >].*?</{name}>".encode(), raw, re.DOTALL)
    assert found is not None, name
    return found[0].decode()


def moved_body(raw: bytes) -> bytes:
    body = element(raw, "edXML:edXMLBody")
    raw = replaced(raw, body, "<edXML:edXMLBody/>")
    elsewhere = body.replace("<edXML:edXMLBody", f'<edXML:edXMLBody xmlns:edXML="{NS}"')
    return replaced(raw, "</Attachment>", f"{elsewhere}</Attachment>")


def doubled_header(raw: bytes) -> bytes:
    header = element(raw, "edXML:edXMLHeader")
    return replaced(raw, header, element(PACKAGE, "edXML:edXMLHeader") + header)


def second_envelope(raw: bytes) -> bytes:
    envelope = element(raw, "edXML:edXMLEnvelope")
    return replaced(raw, envelope, element(PACKAGE, "edXML:edXMLEnvelope") + envelope)


def second_message_header(raw: bytes) -> bytes:
    header = element(raw, "edXML:MessageHeader")
    return replaced(raw, header, header.replace("H29.5", "H29.9") + header)


def copied_into_attachment(raw: bytes) -> bytes:
    return replaced(raw, "</Attachment>", element(raw, "ds:Signature") + "</Attachment>")


def moved_into_attachment(raw: bytes) -> bytes:
    signature = element(raw, "ds:Signature")
    return replaced(replaced(raw, signature, ""), "</Attachment>", f"{signature}</Attachment>")


def moved_into_message_header(raw: bytes) -> bytes:
    signature = element(raw, "ds:Signature")
    return replaced(
        replaced(raw, signature, ""), "</edXML:MessageHeader>", f"{signature}</edXML:MessageHeader>"
    )


def original_in_attachment(raw: bytes) -> bytes:
    """A false package carries the signed one inside an attachment, and its signature in the false header."""
    signature = element(raw, "ds:Signature")
    original = replaced(raw.split(b"?>", 1)[1], signature, "").decode()
    false = replaced(PACKAGE, "năm 2026", "giả")
    false = replaced(false, "</edXML:edXMLHeader>", f"{signature}</edXML:edXMLHeader>")
    return replaced(false, "</Attachment>", f"<Content>{original}</Content></Attachment>")


def original_in_object(raw: bytes) -> bytes:
    """The signed content hidden inside the signature, where the enveloped transform looks away."""
    original = element(raw, "edXML:MessageHeader")
    inside = f'<ds:Object xmlns:edXML="{NS}">{original}</ds:Object></ds:Signature>'
    return replaced(raw, "</ds:Signature>", inside)


def original_in_properties(raw: bytes) -> bytes:
    return replaced(raw, "</xades:SignedProperties>", "</xades:SignedProperties><edXML:From/>")


def signature_in_signature(raw: bytes) -> bytes:
    return replaced(
        raw, "</ds:Signature>", f"<ds:Object>{element(raw, 'ds:Signature')}</ds:Object></ds:Signature>"
    )


@pytest.mark.parametrize(
    ("wrap", "code"),
    [
        (moved_body, "signature.digest-mismatch"),
        (doubled_header, "package.not-edxml"),
        (second_envelope, "package.not-edxml"),
        (second_message_header, "package.not-edxml"),
        (copied_into_attachment, "signature.profile"),
        (moved_into_attachment, "signature.profile"),
        (moved_into_message_header, "signature.profile"),
        (original_in_attachment, "signature.digest-mismatch"),
        (original_in_object, "signature.profile"),
        (signature_in_signature, "signature.profile"),
    ],
)
def test_wrapping_is_refused(keys: Keys, plain: bytes, wrap: Callable[[bytes], bytes], code: str) -> None:
    # Ids stand aside, so that it is not the gate that refuses a copy for them.
    raw = re.sub(rb' Id="signature-[0-9a-f]+"', b"", plain)
    accepted(raw, keys.ec)
    assert refused(wrap(raw), keys.ec).code == code


@pytest.mark.parametrize("wrap", [moved_into_attachment, moved_into_message_header])
def test_a_misplaced_signature_is_told_its_place(
    keys: Keys, plain: bytes, wrap: Callable[[bytes], bytes]
) -> None:
    assert "expected as a child of edXMLHeader" in why(refused(wrap(plain), keys.ec))


@pytest.mark.parametrize(
    ("wrap", "code"),
    [
        (original_in_properties, "signature.profile"),
        (copied_into_attachment, "package.forbidden-construct"),
    ],
)
def test_wrapping_around_xades_is_refused(
    keys: Keys, xades: bytes, wrap: Callable[[bytes], bytes], code: str
) -> None:
    assert refused(wrap(xades), keys.ec).code == code


@pytest.mark.parametrize("name", ["Id", "ID", "id"])
def test_a_second_element_with_the_id_of_the_properties_is_refused(
    keys: Keys, xades: bytes, name: str
) -> None:
    identifier = re.search(rb'xades:SignedProperties Id="([^"]+)"', xades)
    assert identifier is not None
    raw = replaced(xades, "<Attachment>", f'<Attachment {name}="{identifier[1].decode()}">')
    assert refused(raw, keys.ec).code == "package.forbidden-construct"


# --- tampering --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("năm 2026", "năm 2027"),
        ("năm 2026", "năm  2026"),
        ('version="1.0"/>', 'version="1.1"/>'),
        ('version="1.0"/>', 'version="1.0" extra="1"/>'),
        ("<edXML:OrganId>H29.5</edXML:OrganId>", "<edXML:OrganId>H29.6</edXML:OrganId>"),
        ("</edXML:To>", '</edXML:To><edXML:To xmlns:edXML="urn:x"/>'),
        ("cid:1", "cid:2"),
        ("</edXML:MessageHeader>\n", "</edXML:MessageHeader>\n\n"),
    ],
)
def test_any_change_after_signing_is_a_digest_mismatch(keys: Keys, xades: bytes, old: str, new: str) -> None:
    assert refused(replaced(xades, old, new), keys.ec).code == "signature.digest-mismatch"


def test_a_changed_signing_time_is_a_digest_mismatch(keys: Keys, xades: bytes) -> None:
    raw = replaced(xades, "2026-03-02T", "2026-03-01T")
    assert refused(raw, keys.ec).code == "signature.digest-mismatch"


def test_a_changed_value_or_signed_info_is_invalid(keys: Keys, plain: bytes) -> None:
    value = element(plain, "ds:SignatureValue")
    other = element(signed(keys.ec), "ds:SignatureValue")
    assert value != other, "ECDSA is randomised here; two values never coincide"
    changed = replaced(plain, value, value.replace(value[20:24], "AAAA"))
    assert refused(changed, keys.ec).code == "signature.invalid"
    raw = with_digest(replaced(plain, "năm 2026", "năm 2027"), b"\x01" * 32)
    assert refused(raw, keys.ec).code == "signature.invalid"


def test_a_value_of_wrong_length_is_invalid(keys: Keys, plain: bytes) -> None:
    raw = replaced(plain, element(plain, "ds:SignatureValue"), "<ds:SignatureValue>AAAA</ds:SignatureValue>")
    assert refused(raw, keys.ec).code == "signature.invalid"


# --- algorithms, transforms, references: right mathematics, wrong form ------------------------------------

TRANSFORM = f'<ds:Transform Algorithm="{EXCLUSIVE}"/>'
ENVELOPED_TRANSFORM = f'<ds:Transform Algorithm="{ENVELOPED}"/>'
XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"
REFERENCE = (
    '<ds:Reference URI="{uri}"><ds:Transforms>' + ENVELOPED_TRANSFORM + TRANSFORM + "</ds:Transforms>"
    f'<ds:DigestMethod Algorithm="{SHA256}"/><ds:DigestValue>{"A" * 43}=</ds:DigestValue></ds:Reference>'
)

DEVIATIONS = {
    "xpath transform": (TRANSFORM, f'<ds:Transform Algorithm="{XPATH}"/>', "xpath"),
    "xpath transform with expression": (
        TRANSFORM,
        f'<ds:Transform Algorithm="{XPATH}"><ds:XPath>not(ancestor::x)</ds:XPath></ds:Transform>',
        "Transform holds [XPath]",
    ),
    "xpath filter 2": (
        TRANSFORM,
        '<ds:Transform Algorithm="http://www.w3.org/2002/06/xmldsig-filter2"/>',
        "filter2",
    ),
    "xslt": (TRANSFORM, '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/>', "xslt"),
    "base64 transform": (TRANSFORM, f'<ds:Transform Algorithm="{DS}base64"/>', "base64"),
    "misspelt exclusive c14n": (
        TRANSFORM,
        '<ds:Transform Algorithm="http://www.w3.org/TR/xml-exc-c14n#"/>',
        "TR/xml-exc",
    ),
    "inclusive c14n": (
        TRANSFORM,
        '<ds:Transform Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>',
        "REC-xml-c14n",
    ),
    "c14n with comments": (TRANSFORM, f'<ds:Transform Algorithm="{EXCLUSIVE}WithComments"/>', "WithComments"),
    "transforms in another order": (
        ENVELOPED_TRANSFORM + TRANSFORM,
        TRANSFORM + ENVELOPED_TRANSFORM,
        "in this order",
    ),
    "no enveloped transform": (ENVELOPED_TRANSFORM, "", "in this order"),
    "no c14n transform": (TRANSFORM, "", "in this order"),
    "three transforms": (TRANSFORM, TRANSFORM * 2, "Transforms holds"),
    "no transforms": (
        f"<ds:Transforms>{ENVELOPED_TRANSFORM}{TRANSFORM}</ds:Transforms>",
        "",
        "Reference holds",
    ),
    "inclusive namespaces": (
        TRANSFORM,
        f'<ds:Transform Algorithm="{EXCLUSIVE}">'
        f'<x:InclusiveNamespaces xmlns:x="{EXCLUSIVE}" PrefixList="edXML"/></ds:Transform>',
        "InclusiveNamespaces",
    ),
    "transform without algorithm": (TRANSFORM, "<ds:Transform/>", "in this order"),
    "canonicalization with comments": (
        f'CanonicalizationMethod Algorithm="{EXCLUSIVE}"',
        f'CanonicalizationMethod Algorithm="{EXCLUSIVE}WithComments"',
        "CanonicalizationMethod",
    ),
    "inclusive canonicalization": (
        f'CanonicalizationMethod Algorithm="{EXCLUSIVE}"',
        'CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"',
        "CanonicalizationMethod",
    ),
    "sha-1 signature": (ECDSA_SHA256, "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1", "ecdsa-sha1"),
    "rsa-sha1 of the sdk": (ECDSA_SHA256, f"{DS}rsa-sha1", "rsa-sha1; expected RSA or ECDSA with SHA-256"),
    "md5 signature": (ECDSA_SHA256, "http://www.w3.org/2001/04/xmldsig-more#rsa-md5", "rsa-md5"),
    "hmac": (ECDSA_SHA256, "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", "hmac-sha256"),
    "dsa": (ECDSA_SHA256, "http://www.w3.org/2009/xmldsig11#dsa-sha256", "dsa-sha256"),
    "rsa method for an ec key": (ECDSA_SHA256, RSA_SHA256, "does not fit the key"),
    "no signature method": (f'<ds:SignatureMethod Algorithm="{ECDSA_SHA256}"/>', "", "SignedInfo holds"),
    "hmac output length": (
        f'<ds:SignatureMethod Algorithm="{ECDSA_SHA256}"/>',
        f'<ds:SignatureMethod Algorithm="{ECDSA_SHA256}"><ds:HMACOutputLength>8</ds:HMACOutputLength>'
        "</ds:SignatureMethod>",
        "HMACOutputLength",
    ),
    "sha-1 digest": (
        f'DigestMethod Algorithm="{SHA256}"',
        f'DigestMethod Algorithm="{DS}sha1"',
        "sha1; expected",
    ),
    "md5 digest": (
        f'DigestMethod Algorithm="{SHA256}"',
        'DigestMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#md5"',
        "md5",
    ),
    "reference to a part": ('Reference URI=""', 'Reference URI="#body"', "#body"),
    "xpointer": ('Reference URI=""', 'Reference URI="#xpointer(/)"', "xpointer"),
    "attachment reference": ('Reference URI=""', 'Reference URI="cid:1"', "cid:1"),
    "file reference": ('Reference URI=""', 'Reference URI="file:///etc/passwd"', "file:"),
    "http reference": ('Reference URI=""', 'Reference URI="http://127.0.0.1/x"', "http://127"),
    "reference without uri": ('Reference URI=""', "Reference", "None"),
    "typed reference": ('Reference URI=""', f'Reference URI="" Type="{DS}Object"', "Type"),
    "two references to the whole": (
        "</ds:SignedInfo>",
        REFERENCE.format(uri="") + "</ds:SignedInfo>",
        "Reference URI",
    ),
    "reference to an attachment beside": (
        "</ds:SignedInfo>",
        REFERENCE.format(uri="cid:1") + "</ds:SignedInfo>",
        "cid:1",
    ),
    "three references": (
        "</ds:SignedInfo>",
        REFERENCE.format(uri="#a") * 2 + "</ds:SignedInfo>",
        "SignedInfo holds",
    ),
    "a thousand references": (
        "</ds:SignedInfo>",
        REFERENCE.format(uri="#a") * 1000 + "</ds:SignedInfo>",
        "SignedInfo holds",
    ),
    "forty thousand strangers": (
        "</ds:SignedInfo>",
        "<ds:x/>" * 40_000 + "</ds:SignedInfo>",
        "SignedInfo holds",
    ),
    "unknown child": ("</ds:Signature>", "<x/></ds:Signature>", "Signature holds"),
    "foreign namespace child": ("</ds:Signature>", '<Object xmlns="urn:x"/></ds:Signature>', "{urn:x}Object"),
    "unknown attribute": ("<ds:SignedInfo>", '<ds:SignedInfo extra="1">', "extra"),
    "comment inside": ("<ds:SignedInfo>", "<!-- c --><ds:SignedInfo>", "comment"),
    "stray text": ("<ds:KeyInfo>", "<ds:KeyInfo>text", "text inside"),
    "empty object": ("</ds:Signature>", "<ds:Object/></ds:Signature>", "Object holds"),
    "manifest object": (
        "</ds:Signature>",
        "<ds:Object><ds:Manifest/></ds:Object></ds:Signature>",
        "Manifest",
    ),
    "text beside the signature": ("</ds:Signature>", "</ds:Signature>text", "text beside"),
}


@pytest.mark.parametrize("case", list(DEVIATIONS))
def test_a_deviating_form_is_refused_even_when_rightly_signed(keys: Keys, plain: bytes, case: str) -> None:
    old, new, said = DEVIATIONS[case]
    refusal = refused(resigned(replaced(plain, old, new), keys.ec), keys.ec)
    assert refusal.code == "signature.profile"
    assert said in why(refusal)
    assert len(why(refusal)) < 400


def test_an_empty_signed_info_is_refused(keys: Keys, plain: bytes) -> None:
    raw = replaced(plain, element(plain, "ds:SignedInfo"), "<ds:SignedInfo/>")
    assert refused(resigned(raw, keys.ec), keys.ec).code == "signature.profile"


def test_an_hmac_with_the_public_key_is_refused(keys: Keys, plain: bytes) -> None:
    public = keys.ec.certificate.public_key()
    secret = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    raw = replaced(plain, ECDSA_SHA256, "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")
    info = etree.tostring(etree.fromstring(raw).find(f".//{{{DS}}}SignedInfo"), method="c14n", exclusive=True)  # type: ignore[arg-type]
    value = base64.b64encode(hmac.digest(secret, info, "sha256")).decode()
    raw = replaced(raw, element(raw, "ds:SignatureValue"), f"<ds:SignatureValue>{value}</ds:SignatureValue>")
    assert refused(raw, keys.ec).code == "signature.profile"


@pytest.mark.parametrize("name", ["SignatureValue", "DigestValue", "X509Certificate"])
@pytest.mark.parametrize("damage", ["!", "=", "AA==A", "\u00c0"])
def test_sloppy_base64_is_refused(keys: Keys, plain: bytes, name: str, damage: str) -> None:
    raw = replaced(plain, f"</ds:{name}>", f"{damage}</ds:{name}>")
    refusal = refused(raw, keys.ec)
    assert refusal.code == "signature.profile"
    assert f"{name} is not" in why(refusal)


def test_base64_with_spare_bits_is_refused(keys: Keys, plain: bytes) -> None:
    value = re.search(rb"<ds:DigestValue>([^<]*)=<", plain)
    assert value is not None
    last = value[1][-1:]
    twin = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    spare = value[1][:-1] + twin[twin.index(last) + 1 :][:1]
    assert base64.b64decode(spare + b"=") == base64.b64decode(value[1] + b"=")
    assert "canonical" in why(refused(plain.replace(value[1], spare), keys.ec))


def test_void_canonicalisation_is_refused(keys: Keys, plain: bytes) -> None:
    """A relative namespace name has no canonical form; some libraries then sign and accept nothing at all."""
    raw = replaced(plain, "<edXML xmlns=", '<edXML xmlns:void="./relative" xmlns=')
    raw = with_value(with_digest(raw, sha256(b"").digest()), value_of(keys.ec.key, b"", ""))
    refusal = refused(raw, keys.ec)
    assert refusal.code == "signature.profile"
    with pytest.raises(Refused):
        signed(keys.ec, raw)


def test_the_digest_of_nothing_is_a_mismatch(keys: Keys, plain: bytes) -> None:
    raw = resigned(with_digest(plain, sha256(b"").digest()), keys.ec)
    assert refused(raw, keys.ec).code == "signature.digest-mismatch"


# --- XAdES ------------------------------------------------------------------------------------------------

XADES_DEVIATIONS = {
    "properties not signed": (r'<ds:Reference URI="#.*?</ds:Reference>', "", "Reference URI"),
    "wrong type": ('Type="http://uri.etsi.org/01903#SignedProperties"', 'Type="urn:x"', "urn:x"),
    "no type": (' Type="http://uri.etsi.org/01903#SignedProperties"', "", "Type"),
    "other target": ('Target="#signature-', 'Target="#other-', "Target"),
    "other reference": ('Reference URI="#signature-', 'Reference URI="#other-', "#other-"),
    "unsigned properties": (
        "</xades:SignedProperties>",
        "</xades:SignedProperties><xades:UnsignedProperties/>",
        "UnsignedProperties",
    ),
    "older namespace": ("http://uri.etsi.org/01903/v1.3.2#", "http://uri.etsi.org/01903/v1.1.1#", "v1.1.1"),
    "properties of the attacker beside": ("</ds:Object>", "</ds:Object><ds:Object/>", "Signature holds"),
}


@pytest.mark.parametrize("case", list(XADES_DEVIATIONS))
def test_deviating_xades_is_refused_even_when_rightly_signed(keys: Keys, xades: bytes, case: str) -> None:
    old, new, said = XADES_DEVIATIONS[case]
    raw = re.sub(old.encode(), new.encode(), xades, count=1)
    assert raw != xades
    refusal = refused(resigned(raw, keys.ec), keys.ec)
    assert refusal.code == "signature.profile"
    assert said in why(refusal)


def test_xades_that_names_another_certificate_is_refused(keys: Keys) -> None:
    twin = keys.authority.issue("Agency A", organ="H29", key=keys.ec.key)
    raw = signed(keys.ec, xades=True)
    swapped = replaced(raw, base64.b64encode(keys.ec.der).decode(), base64.b64encode(twin.der).decode())
    refusal = refused(swapped, keys.ec, twin)
    assert refusal.code == "signature.profile"
    assert "another certificate" in why(refusal)


# --- certificates in KeyInfo ------------------------------------------------------------------------------


def test_an_unregistered_certificate_is_unknown(keys: Keys) -> None:
    attacker = Authority.create("Attacker CA").issue("Agency A", organ="H29")
    refusal = refused(signed(attacker), keys.ec)
    assert refusal.code == "certificate.unknown"
    assert refusal.problems[0].facts == {"fingerprint": sha256(attacker.der).hexdigest(), "organ": "H29"}


def test_a_valid_certificate_of_another_agency_is_unknown(keys: Keys) -> None:
    assert refused(signed(keys.other), keys.ec).code == "certificate.unknown"
    assert refused(signed(keys.other)).code == "certificate.unknown"


def test_a_twin_certificate_for_the_same_key_is_unknown(keys: Keys) -> None:
    twin = keys.authority.issue("Agency A", organ="H29", key=keys.ec.key)
    assert refused(signed(twin), keys.ec).code == "certificate.unknown"


def test_the_right_certificate_over_the_attackers_signature_is_invalid(keys: Keys) -> None:
    raw = replaced(
        signed(keys.other), base64.b64encode(keys.other.der).decode(), base64.b64encode(keys.ec.der).decode()
    )
    assert refused(raw, keys.ec).code == "signature.invalid"


def test_two_leaves_in_key_info_are_refused(keys: Keys) -> None:
    own, more = (base64.b64encode(i.der).decode() for i in (keys.other, keys.ec))
    both = f"{own}</ds:X509Certificate><ds:X509Certificate>{more}"
    assert "leaf" in why(refused(replaced(signed(keys.other), own, both), keys.ec))


def key_info(content: str) -> Callable[[bytes], bytes]:
    return lambda raw: replaced(raw, element(raw, "ds:KeyInfo"), content)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<ds:KeyInfo/>",
        "<ds:KeyInfo><ds:X509Data/></ds:KeyInfo>",
        "<ds:KeyInfo><ds:X509Data><ds:X509SubjectName>CN=A</ds:X509SubjectName></ds:X509Data></ds:KeyInfo>",
        "<ds:KeyInfo><ds:KeyName>A</ds:KeyName></ds:KeyInfo>",
        "<ds:KeyInfo><ds:KeyValue><ds:RSAKeyValue/></ds:KeyValue></ds:KeyInfo>",
        '<ds:KeyInfo><ds:RetrievalMethod URI="http://127.0.0.1/"/></ds:KeyInfo>',
        "<ds:KeyInfo><ds:X509Data><ds:X509Certificate>AAAA</ds:X509Certificate></ds:X509Data></ds:KeyInfo>",
        "<ds:KeyInfo><ds:X509Data>"
        + "<ds:X509Certificate>AAAA</ds:X509Certificate>" * 5
        + "</ds:X509Data></ds:KeyInfo>",
    ],
)
def test_key_info_without_a_readable_chain_is_refused(keys: Keys, plain: bytes, content: str) -> None:
    assert refused(key_info(content)(plain), keys.ec).code == "signature.profile"


def test_a_weak_key_is_refused_even_when_registered(keys: Keys) -> None:
    refusal = refused(signed(keys.weak), keys.weak)
    assert refusal.code == "signature.profile"
    assert "RSA 1024" in why(refusal)


def test_comments_that_split_a_value_are_refused(keys: Keys, plain: bytes) -> None:
    for old, new in (
        ("Kế hoạch", "Kế<!-- x --> hoạch"),
        ("<ds:DigestValue>", "<ds:DigestValue><!-- x -->"),
        ("</ds:SignatureValue>", "<!-- x --></ds:SignatureValue>"),
    ):
        assert refused(replaced(plain, old, new), keys.ec).code == "package.forbidden-construct"


# --- anything else ----------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_mutation_is_accepted_unless_the_same_was_signed(
    keys: Keys, plain: bytes, xades: bytes, data: st.DataObject
) -> None:
    original = data.draw(st.sampled_from([plain, xades]))
    start = data.draw(st.integers(0, len(original) - 1))
    end = data.draw(st.integers(start, min(len(original), start + 60)))
    new = data.draw(st.one_of(st.binary(max_size=4), st.just(original[start:end] * 2)))
    mutated = original[:start] + new + original[end:]
    try:
        found = accepted(mutated, keys.ec)
    except Refused:
        return
    assert digest_of(found) == sha256(canonical(PACKAGE)).hexdigest()
    assert found.certificate_der == keys.ec.der


def test_private_keys_are_written_for_their_owner_only(keys: Keys, tmp_path: Path) -> None:
    key, certificate = keys.ec.save(tmp_path, "agency")
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_bytes() == private_pem(keys.ec.key)
    assert certificate.read_bytes() == pem(keys.ec.chain)


def test_a_signing_time_before_all_days_is_no_signing_time(keys: Keys) -> None:
    at = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
    raw = sign(PACKAGE, key=keys.ec.key, certificate_chain=keys.ec.chain, xades=True, at=at)
    assert b"0001-01-01T00:00:00+14:00" in raw
    assert accepted(raw, keys.ec).signing_time is None
