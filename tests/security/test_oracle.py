"""A second implementation judges thousands of changed packages: what the hub accepts, xmlsec1 accepts too.

`HUB_TEST_MUTANTS=20000` for a long run; the default takes a few seconds. Every accepted mutant also has the
very content that was signed.
"""

import os
import random
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from lxml import etree

from exchange.envelope.signature import verify
from exchange.envelope.xml import parse
from exchange.refusals import Refused
from fixtures.pki import Authority, Identity, pem
from tests.envelope.test_signature import signed
from tests.security.conftest import needs

pytestmark = pytest.mark.once

MUTANTS = int(os.environ.get("HUB_TEST_MUTANTS", "250"))
SEED = int(os.environ.get("HUB_TEST_SEED", "9"))


def mutant(raw: bytes, chance: random.Random) -> bytes:
    """One small change: a byte, a cut, a doubling, a swap of neighbours, or blanks where they may stand."""
    start = chance.randrange(len(raw))
    end = min(len(raw), start + chance.randrange(1, 40))
    piece = raw[start:end]
    choices = (
        lambda: bytes([chance.randrange(32, 127)]),
        lambda: b"",
        lambda: piece * 2,
        lambda: piece[::-1],
        lambda: piece.replace(b'"', b"'"),
        lambda: piece.replace(b">", b" >"),
        lambda: piece.replace(b"\n", b"\r\n"),
        lambda: piece.replace(b" ", b"  "),
        lambda: piece.replace(b"=", b"= "),
        lambda: piece.replace(b"a", b"&#97;"),
        lambda: b"<!-- -->" + piece,
    )
    return raw[:start] + chance.choice(choices)() + raw[end if end > start else start :]


def accepted_by_us(raw: bytes, by: Identity) -> str | None:
    """The digest of what was signed, or None for a refusal."""
    try:
        signed = verify(parse(raw), [by.der], organ="H29").signed
    except Refused:
        return None
    return sha256(etree.tostring(signed, method="c14n", exclusive=True)).hexdigest()


def accepted_by_xmlsec1(file: Path, certificate: Path) -> bool:
    command = ["xmlsec1", "--verify", "--enabled-key-data", "key-name,rsa,ecdsa"]
    command += ["--pubkey-cert-pem", str(certificate)]
    command += ["--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties", str(file)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("xades", [False, True])
def test_no_mutant_is_accepted_that_another_implementation_refuses(tmp_path: Path, xades: bool) -> None:
    needs("xmlsec1")
    by = Authority.create("Root").issue("Agency A", organ="H29")
    certificate, file = tmp_path / "signer.pem", tmp_path / "mutant.xml"
    certificate.write_bytes(pem([by.certificate]))
    good, chance = signed(by, xades=xades), random.Random(SEED)
    meant, taken = accepted_by_us(good, by), 0
    assert meant
    for number in range(MUTANTS):
        raw = mutant(good, chance)
        ours = accepted_by_us(raw, by)
        if ours is None:
            continue
        taken += 1
        file.write_bytes(raw)
        assert ours == meant, (number, raw)
        assert accepted_by_xmlsec1(file, certificate), (number, raw)
    assert 0 < taken < MUTANTS


def test_the_oracle_tells_good_from_bad(tmp_path: Path) -> None:
    needs("xmlsec1")
    by = Authority.create("Root").issue("Agency A", organ="H29")
    certificate, file = tmp_path / "signer.pem", tmp_path / "file.xml"
    certificate.write_bytes(pem([by.certificate]))
    file.write_bytes(signed(by))
    assert accepted_by_xmlsec1(file, certificate)
    file.write_bytes(signed(by).replace(b"2026", b"2027", 1))
    assert not accepted_by_xmlsec1(file, certificate)
