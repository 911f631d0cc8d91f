"""Receipts: the seal over the exact bytes of an event."""

import json
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from jwcrypto import jwk, jws  # type: ignore[import-untyped]

from exchange.evidence import receipts
from exchange.evidence.checkpoint import Checkpoint, sign
from exchange.evidence.events import encode, example
from exchange.evidence.proof import Proof
from exchange.evidence.receipts import Receipt
from exchange.evidence.tree import Broken

from .samples import CHAIN, LOG_KEY, NOW, ORIGIN, OTHER_KEY, ROOT, ROOT_KEY, SEAL, SEAL_KEY, certificate

EVENT = encode(example("ContentHandover"))
JWS = receipts.sign(EVENT, SEAL_KEY, CHAIN)


def with_header(**changes: object) -> str:
    """JWS with another protected header, properly signed by the seal's key."""
    head, _, _ = JWS.split(".")
    header = {**json.loads(urlsafe_b64decode(head + "==")), **changes}
    token = jws.JWS(EVENT)
    key = jwk.JWK.from_pyca(SEAL_KEY)
    token.allowed_algs = ["ES256", "ES384"]
    token.add_signature(key, protected=json.dumps({k: v for k, v in header.items() if v is not None}))
    protected, _, signature = token.serialize(compact=True).split(".")
    return f"{protected}..{signature}"


def test_the_seal_on_a_receipt_holds() -> None:
    assert receipts.verify(EVENT, JWS, [ROOT], NOW) == SEAL
    assert receipts.verify(EVENT, JWS, [SEAL], NOW) == SEAL
    assert receipts.verify(EVENT, JWS, None, NOW) == SEAL


def test_a_second_implementation_agrees() -> None:
    token = jws.JWS()
    token.deserialize(JWS)
    x5c = json.loads(urlsafe_b64decode(JWS.split(".")[0] + "=="))["x5c"]
    public = x509.load_der_x509_certificate(b64decode(x5c[0])).public_key()
    token.verify(jwk.JWK.from_pyca(public), detached_payload=EVENT)
    with pytest.raises(jws.InvalidJWSSignature):
        token.verify(jwk.JWK.from_pyca(public), detached_payload=EVENT + b" ")


def test_receipts_of_a_second_implementation_are_understood() -> None:
    assert receipts.verify(EVENT, with_header(), [ROOT], NOW) == SEAL


def test_the_same_event_gives_the_same_receipt() -> None:
    assert receipts.sign(EVENT, SEAL_KEY, CHAIN) == JWS
    assert receipts.sign(EVENT + b" ", SEAL_KEY, CHAIN) != JWS


@pytest.mark.parametrize("event", [EVENT + b"\n", EVENT[:-1], EVENT.replace(b"Handover", b"handover"), b""])
def test_the_seal_is_of_these_exact_bytes(event: bytes) -> None:
    with pytest.raises(Broken, match="changed"):
        receipts.verify(event, JWS, [ROOT], NOW)


def test_no_character_of_the_signature_may_change() -> None:
    for place in range(0, len(JWS), 7):
        changed = JWS[:place] + ("A" if JWS[place] != "A" else "B") + JWS[place + 1 :]
        with pytest.raises(Broken):
            receipts.verify(EVENT, changed, [ROOT], NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"typ": "JWT"},
        {"typ": None},
        {"x5c": []},
        {"x5c": "AA=="},
        {"x5c": ["AA=="]},
        {"x5c": None},
        {"kid": "1"},
    ],
)
def test_only_the_header_of_a_receipt_is_accepted(changes: dict[str, object]) -> None:
    with pytest.raises(Broken):
        receipts.verify(EVENT, with_header(**changes), [ROOT], NOW)


@pytest.mark.parametrize("alg", ["none", "HS256", "RS256", "ES384"])
def test_no_other_algorithm_is_accepted(alg: str) -> None:
    header = json.dumps({"alg": alg, "typ": receipts.TYPE, "x5c": ["AA=="]}).encode()
    head = urlsafe_b64encode(header).rstrip(b"=").decode()
    with pytest.raises(Broken, match="header"):
        receipts.verify(EVENT, f"{head}..{JWS.split('.')[2]}", None, NOW)


def test_the_payload_stays_outside() -> None:
    head, _, signature = JWS.split(".")
    payload = urlsafe_b64encode(EVENT).rstrip(b"=").decode()
    for wrong in (
        f"{head}.{payload}.{signature}",
        f"{head}.{signature}",
        "",
        "..",
        f"{head}..{signature[:-2]}",
    ):
        with pytest.raises(Broken):
            receipts.verify(EVENT, wrong, [ROOT], NOW)


def test_a_stranger_is_not_the_hub() -> None:
    stranger = certificate("Example Hub Seal", OTHER_KEY, "Example Root", OTHER_KEY)
    forged = receipts.sign(EVENT, OTHER_KEY, [stranger.public_bytes(Encoding.DER)])
    assert receipts.verify(EVENT, forged, None, NOW) == stranger
    for trusted in ([ROOT], [SEAL], []):
        with pytest.raises(Broken, match="nobody trusted"):
            receipts.verify(EVENT, forged, trusted, NOW)


def test_a_seal_is_not_an_authority() -> None:
    """Whoever holds a sealing certificate cannot issue another one."""
    below = certificate("Below", OTHER_KEY, "Example Hub Seal", SEAL_KEY)
    chain = [below.public_bytes(Encoding.DER), *CHAIN]
    with pytest.raises(Broken, match="nobody trusted"):
        receipts.verify(EVENT, receipts.sign(EVENT, OTHER_KEY, chain), [ROOT], NOW)


def test_a_chain_of_authorities_is_followed() -> None:
    middle = certificate("Middle", OTHER_KEY, "Example Root", ROOT_KEY, ca=True)
    leaf = certificate("Leaf", SEAL_KEY, "Middle", OTHER_KEY)
    chain = [c.public_bytes(Encoding.DER) for c in (leaf, middle)]
    token = receipts.sign(EVENT, SEAL_KEY, chain)
    assert receipts.verify(EVENT, token, [ROOT], NOW) == leaf
    with pytest.raises(Broken, match="nobody trusted"):
        receipts.verify(EVENT, receipts.sign(EVENT, SEAL_KEY, chain[:1]), [ROOT], NOW)


@pytest.mark.parametrize("days", [-366, 366])
def test_the_certificate_was_valid_at_the_time_of_the_event(days: int) -> None:
    with pytest.raises(Broken, match="not valid"):
        receipts.verify(EVENT, JWS, [ROOT], NOW + timedelta(days=days))


def test_a_wrong_key_does_not_seal() -> None:
    with pytest.raises(ValueError, match="belong"):
        receipts.sign(EVENT, OTHER_KEY, CHAIN)
    with pytest.raises(ValueError, match="P-256"):
        receipts.sign(EVENT, ec.derive_private_key(7, ec.SECP384R1()), CHAIN)


def test_a_receipt_file_is_read_back() -> None:
    for receipt in (Receipt(EVENT, JWS), Receipt(EVENT, JWS, "c2sp.org/tlog-proof@v1\n…")):
        assert Receipt.parse(bytes(receipt)) == receipt


def test_a_receipt_stays_small() -> None:
    """Under 2.5 kB besides its certificate, with the 27 hashes of a path among 100 million events."""
    head = Checkpoint(ORIGIN, 100_000_000, bytes(32))
    proof = Proof(99_999_999, (bytes(32),) * 27, sign(head, LOG_KEY))
    in_header = len(b64encode(b64encode(CHAIN[0])))
    assert len(bytes(Receipt(EVENT, JWS, str(proof)))) - in_header < 2500


@pytest.mark.parametrize("raw", [
    b"", b"[]", b"{}", b'"x"', b"\xff", b"[" * 9999, b'{"event":"x"}', b'{"event":"x","jws":7}',
    b'{"event":"x","jws":"y","more":"z"}', b'{"event":"\\ud800","jws":"y"}', b" " * (1 << 20) + b"{}",
])  # fmt: skip
def test_other_files_are_not_receipts(raw: bytes) -> None:
    with pytest.raises(Broken, match="not a receipt"):
        Receipt.parse(raw)
