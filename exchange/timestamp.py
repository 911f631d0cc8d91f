"""RFC 3161 time stamps: the one module that uses `rfc3161_client`. The offline verifier does without it and
gives tokens to `openssl ts`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from exchange.evidence.tree import Broken

REQUEST_TYPE = "application/timestamp-query"
ANSWER_TYPE = "application/timestamp-reply"
_GRANTED = bytes.fromhex("3003020100")  # a status of a response (RFC 3161, 2.4.2): the token follows


@dataclass(frozen=True, slots=True)
class Query:
    """A request over some data, in DER, and the nonce that the answer must repeat."""

    raw: bytes
    nonce: int


@dataclass(frozen=True, slots=True)
class Token:
    """A token (DER) that was checked, and the time in it."""

    raw: bytes
    at: datetime


def query(data: bytes) -> Query:
    """Ask for a time stamp over the SHA-256 of `data`, with the authority's certificates."""
    made = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
    if made.nonce is None:
        raise ValueError("the request has no nonce")
    return Query(made.as_bytes(), made.nonce)


def accept(answer: bytes, data: bytes, asked: Query, roots: Sequence[x509.Certificate]) -> Token:
    """The token in `answer`. Broken unless it was granted, is over `data`, repeats the nonce, and is signed
    by an authority under one of `roots`."""
    return _verified(VerifierBuilder().nonce(asked.nonce), answer, data, roots)


def verify(token: bytes, data: bytes, roots: Sequence[x509.Certificate]) -> Token:
    """The stored `token`, checked again. Broken unless it is over `data` and signed under one of `roots`."""
    granted = _GRANTED + token  # two octets of length in DER: a token has some thousand bytes
    if not 0x100 <= len(granted) <= 0xFFFF:
        raise Broken("not a time stamp")
    return _verified(VerifierBuilder(), b"\x30\x82" + len(granted).to_bytes(2, "big") + granted, data, roots)


def _verified(
    builder: VerifierBuilder, answer: bytes, data: bytes, roots: Sequence[x509.Certificate]
) -> Token:
    for root in roots:
        builder = builder.add_root_certificate(root)
    try:
        response = decode_timestamp_response(answer)
        builder.build().verify_message(response, data)
    except (VerificationError, ValueError) as error:
        raise Broken(f"the time stamp does not hold: {error}") from error
    return Token(response.time_stamp_token(), response.tst_info.gen_time)
