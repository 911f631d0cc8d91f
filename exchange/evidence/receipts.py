"""Receipts: an event, the hub's seal over its exact bytes, and, once it is in the log, the proof of that.

A receipt file (`.json`) is one JSON object:

    {"event": "<the event's bytes, which are UTF-8 text>",
     "jws":   "<header>..<signature>",
     "proof": "<text of c2sp.org/tlog-proof@v1>"}        absent until the event is sealed into the log

`jws` is a detached JSON Web Signature (RFC 7515, appendix F): ES256, with the certificate of the seal and
those above it in `x5c`. To check it with any JOSE library, put base64url(event bytes) between the dots.
A key in a file signs deterministically (RFC 6979): the same event gives the same receipt. A hardware module
chooses random numbers of its own.
"""

import json
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from exchange.evidence import checkpoint as heads
from exchange.evidence.tree import Broken

TYPE = "receipt+jws"
LIMIT = 1 << 20  # bytes of a receipt file
_ALGORITHM = ec.ECDSA(SHA256(), deterministic_signing=True)
_COORDINATE = 32  # bytes of r and of s for P-256 (RFC 7518, 3.4)
_CHAIN_LIMIT = 8


@dataclass(frozen=True, slots=True)
class Receipt:
    """`event` is the event's bytes; `proof` the text of its tlog-proof, None while it waits for the log."""

    event: bytes
    jws: str
    proof: str | None = None

    def __bytes__(self) -> bytes:
        """The receipt file."""
        value = {"event": self.event.decode(), "jws": self.jws}
        if self.proof is not None:
            value["proof"] = self.proof
        return json.dumps(value, ensure_ascii=False).encode()

    @classmethod
    def parse(cls, raw: bytes) -> "Receipt":
        """Read a receipt file; nothing is verified yet. Broken if it is not one."""
        try:
            value = json.loads(raw) if len(raw) <= LIMIT else None
            if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
                raise Broken("expected a JSON object of texts")
            if not {"event", "jws"} <= value.keys() <= {"event", "jws", "proof"}:
                raise Broken("expected event, jws and perhaps proof")
            return cls(value["event"].encode(), value["jws"], value.get("proof"))
        except (ValueError, RecursionError) as error:
            raise Broken(f"not a receipt: {error}") from error


def sign(event: bytes, key: ec.EllipticCurvePrivateKey, chain: Sequence[bytes], typ: str = TYPE) -> str:
    """The detached JWS over `event` (its exact bytes). `chain`: DER certificates, that of `key` first; `typ`:
    what it is, in the header.

    ValueError if the key is not on P-256 or does not belong to the first certificate.
    """
    protected = _protected(key, tuple(chain), typ)
    r, s = decode_dss_signature(key.sign(_signing_input(protected, event), _ALGORITHM))
    signature = r.to_bytes(_COORDINATE, "big") + s.to_bytes(_COORDINATE, "big")
    return f"{protected}..{_b64url(signature)}"


@lru_cache(maxsize=16)
def _protected(key: ec.EllipticCurvePrivateKey, chain: tuple[bytes, ...], typ: str) -> str:
    """The header of every JWS that `key` makes. Raises ValueError."""
    if not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("the seal needs a key on P-256 (ES256)")
    if x509.load_der_x509_certificate(chain[0]).public_key() != key.public_key():
        raise ValueError("the first certificate does not belong to the key of the seal")
    header = {"alg": "ES256", "typ": typ, "x5c": [b64encode(der).decode() for der in chain]}
    return _b64url(json.dumps(header, sort_keys=True, separators=(",", ":")).encode())


def verify(
    event: bytes,
    jws: str,
    trusted: Collection[x509.Certificate] | None,
    at: datetime,
    *,
    typ: str = TYPE,
) -> x509.Certificate:
    """The certificate that sealed `event`. Broken if the signature does not hold, or the certificate, valid
    at `at` (the time in the event), does not lead to one of `trusted`: itself, or an authority above it.

    `trusted=None` leaves the certificate unjudged: the caller must say so. Revocation is not looked at.
    """
    try:
        chain = _check_seal(event, jws, typ)
        if trusted is not None:
            _check_chain(chain, trusted, at)
    except (ValueError, UnsupportedAlgorithm) as error:  # a certificate is parsed bit by bit as it is used
        raise error if isinstance(error, Broken) else Broken(f"unusable certificate: {error}") from error
    return chain[0]


def certificates(jws: str) -> list[bytes]:
    """The certificates in a receipt, PEM, that of its key first; nothing is verified. Raises Broken."""
    return [one.public_bytes(Encoding.PEM) for one in _chain(_split(jws)[0], TYPE)]


def _check_seal(event: bytes, jws: str, typ: str) -> list[x509.Certificate]:
    protected, payload, signature = _split(jws)
    chain = _chain(protected, typ)
    if payload or len(signature) != 2 * _COORDINATE:
        raise Broken("the receipt has no detached ES256 signature")
    r, s = (int.from_bytes(signature[i : i + _COORDINATE], "big") for i in (0, _COORDINATE))
    public = chain[0].public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise Broken("the certificate of the seal has no key on P-256")
    try:
        public.verify(encode_dss_signature(r, s), _signing_input(jws.partition(".")[0], event), _ALGORITHM)
    except InvalidSignature as error:
        raise Broken("the seal does not belong to this event: one of them was changed") from error
    return chain


def _b64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64url(text: str) -> bytes:
    try:
        data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except ValueError as error:
        raise Broken("the receipt's signature is not base64url") from error
    if _b64url(data) != text:
        raise Broken("the receipt's signature is not canonical base64url")
    return data


def _signing_input(protected: str, event: bytes) -> bytes:
    return f"{protected}.{_b64url(event)}".encode()


def _split(jws: str) -> tuple[bytes, bytes, bytes]:
    parts = jws.split(".")
    if len(parts) != 3:
        raise Broken("not a JWS in compact form")
    return _unb64url(parts[0]), _unb64url(parts[1]), _unb64url(parts[2])


def _chain(protected: bytes, typ: str) -> list[x509.Certificate]:
    """The certificates of the header, which says exactly what this hub writes: no `crit`, no other alg."""
    try:
        header = json.loads(protected)
        if not isinstance(header, dict) or header.keys() != {"alg", "typ", "x5c"}:
            raise Broken("the header of the receipt's signature is not that of a receipt")
        if (header["alg"], header["typ"]) != ("ES256", typ) or not isinstance(header["x5c"], list):
            raise Broken("the header of the receipt's signature is not that of a receipt")
        encoded = [str(item) for item in header["x5c"][:_CHAIN_LIMIT]]
        chain = [x509.load_der_x509_certificate(heads.decode_base64(item)) for item in encoded]
    except (ValueError, RecursionError) as error:
        raise Broken(str(error)) from error
    if not chain:
        raise Broken("the receipt names no certificate")
    return chain


def _check_chain(
    chain: Sequence[x509.Certificate], trusted: Collection[x509.Certificate], at: datetime
) -> None:
    current, *above = chain
    for step in range(_CHAIN_LIMIT):
        if not current.not_valid_before_utc <= at <= current.not_valid_after_utc:
            raise Broken(f"the certificate {current.subject.rfc4514_string()} was not valid at {at:%F %T}Z")
        if current in trusted:
            return
        issuer = next((c for c in (*trusted, *above) if _issued(c, current, step)), None)
        if issuer is None:
            break
        current = issuer
    raise Broken(f"nobody trusted issued the certificate {chain[0].subject.rfc4514_string()}")


def _issued(issuer: x509.Certificate, subject: x509.Certificate, below: int) -> bool:
    """Whether `issuer`, an authority allowed `below` authorities under it, signed `subject`."""
    try:
        limits = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        subject.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return limits.ca and (limits.path_length is None or below <= limits.path_length)
