"""Packages signed by other software: taken when they follow the profile, else told what to change."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, SignatureMethod
from signxml.signer import XMLSigner
from signxml.xades.xades import XAdESSigner

from exchange import registry
from exchange.envelope.profile import ENVELOPED, EXCLUSIVE
from exchange.envelope.xml import DS
from fixtures.pki import Identity, pem
from tests.api.conftest import Caller, code_of
from tests.envelope.test_signature import ECDSA_SHA256, RSA_SHA256, SHA256, replaced
from tests.security.conftest import needs
from tests.world import ACTOR, NOW, World

pytestmark = [pytest.mark.once, pytest.mark.django_db]
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE_C14N = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0


def identity(hub: World, kind: str) -> Identity:
    """A registered identity of H29 with an "ec" or "rsa" key."""
    if kind == "ec":
        return hub.keys.identities["H29"]
    made = hub.keys.authority.issue("Agency H29", key="rsa", not_before=NOW, not_after=None)
    registry.add_certificate(hub.agencies["H29"], made.der, by=registry.Change(ACTOR, NOW))
    return made


def unsigned(hub: World, place: str) -> bytes:
    raw = hub.document("H29", "H29.5", signed=False)
    return replaced(raw, "</edXML:edXMLHeader>", f"{place}</edXML:edXMLHeader>")


def by_signxml(hub: World, by: Identity, method: SignatureMethod, signer: Any, **options: Any) -> bytes:
    """Signed by signxml, in the place that a placeholder marks."""
    raw = unsigned(hub, f'<ds:Signature xmlns:ds="{DS}" Id="placeholder"/>')
    made = signer(signature_algorithm=method, c14n_algorithm=EXCLUSIVE_C14N, **options)
    return etree.tostring(made.sign(etree.fromstring(raw), key=by.key, cert=list(by.chain)))


SIGNXML = [
    ("rsa", SignatureMethod.RSA_SHA256),
    ("rsa", SignatureMethod.RSA_SHA512),
    ("rsa", SignatureMethod.SHA256_RSA_MGF1),
    ("ec", SignatureMethod.ECDSA_SHA256),
]


@pytest.mark.parametrize(("kind", "method"), SIGNXML, ids=lambda value: str(getattr(value, "name", value)))
def test_what_signxml_signs_is_taken(sender: Caller, hub: World, kind: str, method: SignatureMethod) -> None:
    answer = sender.send(by_signxml(hub, identity(hub, kind), method, XMLSigner))
    assert answer.status_code == 201, answer.content.decode()
    assert answer.json()["signature"]["state"] == "valid"


def test_the_key_info_that_signxml_signs_with_xades_is_one_reference_too_many(
    sender: Caller, hub: World
) -> None:
    raw = by_signxml(hub, identity(hub, "ec"), SignatureMethod.ECDSA_SHA256, XAdESSigner)
    answer = sender.send(raw, headers={"Accept-Language": "en"})
    assert code_of(answer) == "signature.profile"
    assert "expected [CanonicalizationMethod SignatureMethod Reference{1,2}]" in answer.json()["detail"]


@pytest.fixture(scope="session")
def xml_crypto(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which node finds xml-crypto, installed for this run."""
    needs("node", "npm")
    directory = tmp_path_factory.mktemp("node")
    command = [
        "npm",
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "xml-crypto@6.1.2",
    ]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    return directory


XML_CRYPTO = """
const fs = require('fs'), {SignedXml} = require('xml-crypto');
const [raw, key, certificate, algorithm, canonical, out] = process.argv.slice(2);
const signer = new SignedXml({
  privateKey: fs.readFileSync(key), publicCert: fs.readFileSync(certificate),
  signatureAlgorithm: algorithm, canonicalizationAlgorithm: canonical,
});
signer.addReference({
  xpath: '/*', uri: '', isEmptyUri: true, digestAlgorithm: 'http://www.w3.org/2001/04/xmlenc#sha256',
  transforms: ['http://www.w3.org/2000/09/xmldsig#enveloped-signature', canonical],
});
signer.computeSignature(fs.readFileSync(raw, 'utf8'), {
  prefix: 'ds', location: {reference: "//*[local-name(.)='edXMLHeader']", action: 'append'},
});
fs.writeFileSync(out, signer.getSignedXml());
"""


def by_xml_crypto(hub: World, by: Identity, home: Path, directory: Path, canonical: str) -> bytes:
    key, certificate = by.save(directory, "signer")
    certificate.write_bytes(pem([by.certificate]))
    source, script, out = directory / "in.xml", home / "sign.js", directory / "out.xml"
    source.write_bytes(hub.document("H29", "H29.5", signed=False))
    script.write_text(XML_CRYPTO)
    command: list[str | Path] = ["node", script, source, key, certificate, RSA_SHA256, canonical, out]
    subprocess.run(command, check=True, capture_output=True)
    return out.read_bytes()


def test_what_xml_crypto_signs_is_taken(sender: Caller, hub: World, xml_crypto: Path, tmp_path: Path) -> None:
    answer = sender.send(by_xml_crypto(hub, identity(hub, "rsa"), xml_crypto, tmp_path, EXCLUSIVE))
    assert answer.status_code == 201, answer.content.decode()


def test_xml_crypto_with_its_inclusive_canonical_form_is_told_the_other(
    sender: Caller, hub: World, xml_crypto: Path, tmp_path: Path
) -> None:
    raw = by_xml_crypto(hub, identity(hub, "rsa"), xml_crypto, tmp_path, INCLUSIVE)
    answer = sender.send(raw, headers={"Accept-Language": "en"})
    assert code_of(answer) == "signature.profile"
    assert EXCLUSIVE in answer.json()["detail"]


def template(method: str, *, c14n: str = EXCLUSIVE, digest: str = SHA256) -> str:
    transforms = "".join(f'<ds:Transform Algorithm="{name}"/>' for name in (ENVELOPED, c14n))
    return (
        f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{c14n}"/>'
        f'<ds:SignatureMethod Algorithm="{method}"/><ds:Reference URI="">'
        f'<ds:Transforms>{transforms}</ds:Transforms><ds:DigestMethod Algorithm="{digest}"/><ds:DigestValue/>'
        "</ds:Reference></ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><ds:X509Data/></ds:KeyInfo></ds:Signature>"
    )


def by_xmlsec1(hub: World, by: Identity, directory: Path, made: str) -> bytes:
    needs("xmlsec1")
    key, certificate = by.save(directory, "signer")
    certificate.write_bytes(pem([by.certificate]))
    source, result = directory / "template.xml", directory / "signed.xml"
    source.write_bytes(unsigned(hub, made))
    command: list[str | Path] = [
        "xmlsec1",
        "--sign",
        "--privkey-pem",
        f"{key},{certificate}",
        "--output",
        result,
        source,
    ]
    subprocess.run(command, check=True, capture_output=True)
    return result.read_bytes()


@pytest.mark.parametrize(("kind", "method"), [("rsa", RSA_SHA256), ("ec", ECDSA_SHA256)])
def test_what_xmlsec1_signs_is_taken(
    sender: Caller, hub: World, tmp_path: Path, kind: str, method: str
) -> None:
    answer = sender.send(by_xmlsec1(hub, identity(hub, kind), tmp_path, template(method)))
    assert answer.status_code == 201, answer.content.decode()


HABITS = {
    "inclusive canonicalisation": (template(RSA_SHA256, c14n=INCLUSIVE), "CanonicalizationMethod", EXCLUSIVE),
    "SHA-1 digest": (template(RSA_SHA256, digest=f"{DS}sha1"), "sha1", SHA256),
    "RSA-SHA1": (template(f"{DS}rsa-sha1"), "rsa-sha1", "RSA or ECDSA with SHA-256"),
}


@pytest.mark.parametrize("habit", HABITS)
def test_the_refusal_of_a_common_habit_says_what_was_found_and_what_is_expected(
    sender: Caller, hub: World, tmp_path: Path, habit: str
) -> None:
    made, found, expected = HABITS[habit]
    by = identity(hub, "rsa")
    try:
        raw = by_xmlsec1(hub, by, tmp_path, made)
    except subprocess.CalledProcessError:  # OpenSSL of some systems no longer makes SHA-1 signatures
        raw = unsigned(hub, re.sub(r"<ds:(DigestValue|SignatureValue)/>", r"<ds:\1>AA==</ds:\1>", made))
    answer = sender.send(raw, headers={"Accept-Language": "en"})
    assert code_of(answer) == "signature.profile"
    detail = answer.json()["detail"]
    assert found in detail
    assert expected in detail
