"""Events as bytes: one form, one schema for every type."""

import json
import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.evidence import events
from exchange.evidence.catalogue import COMMON
from exchange.evidence.events import CATALOGUE, FIELDS, Actor, Reason, decode, encode, example

EVERY = pytest.mark.parametrize("name", CATALOGUE)
NEGATIVE = [name for name, kind in CATALOGUE.items() if kind.negative]


def raw_of(**changes: object) -> bytes:
    """The bytes of a handover with some fields changed (None: left out), in the form of the log."""
    value = {**json.loads(encode(example("ContentHandover"))), **changes}
    value = {key: item for key, item in value.items() if item is not None}
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


@EVERY
def test_the_example_of_every_type_is_read_back_as_it_is(name: str) -> None:
    event = example(name)
    assert decode(encode(event)) == event


@EVERY
def test_no_required_field_may_be_missing(name: str) -> None:
    value = json.loads(encode(example(name)))
    for key in CATALOGUE[name].required - {"event"}:
        less = {k: v for k, v in value.items() if k != key}
        raw = json.dumps(less, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        with pytest.raises(ValueError, match=f"{name}: .*{key} is missing"):
            decode(raw)


@EVERY
def test_no_foreign_field_may_be_present(name: str) -> None:
    foreign = set(FIELDS) - CATALOGUE[name].allowed
    assert foreign
    for key in foreign - {"reason", "status"}:
        donor = next(n for n, kind in CATALOGUE.items() if key in kind.allowed)
        event = replace(example(name), **{key: getattr(example(donor), key)})
        with pytest.raises(ValueError, match=f"{name}: {key} does not belong here"):
            encode(event)


@pytest.mark.parametrize("name", NEGATIVE)
def test_a_no_needs_a_reason_that_fits(name: str) -> None:
    with pytest.raises(ValueError, match="reason is missing"):
        encode(replace(example(name), reason=None))
    with pytest.raises(ValueError, match="reason does not fit"):
        encode(replace(example(name), reason=Reason("weather.rain")))


@EVERY
def test_a_status_code_belongs_to_its_event(name: str) -> None:
    if "status" in CATALOGUE[name].allowed:
        for code in {"01", "02", "03", "04", "05", "06", "13", "15", "16"} - {*CATALOGUE[name].statuses}:
            with pytest.raises(ValueError, match="status does not fit"):
                encode(replace(example(name), status=code))


@EVERY
def test_every_type_is_described_in_both_languages(name: str) -> None:
    kind = CATALOGUE[name]
    texts = (kind.label_vi, kind.label_en, kind.meaning_vi, kind.meaning_en)
    assert all(texts)
    assert len(set(texts)) == 4
    assert kind.allowed <= FIELDS.keys()
    assert kind.required >= COMMON
    assert len(encode(example(name))) < 1000


def test_the_words_of_the_standard_are_there() -> None:
    assert set(CATALOGUE) >= {
        "SubmissionAcceptance", "SubmissionRejection", "ContentConsignment", "ConsignmentNotification",
        "ConsignmentNotificationFailure", "ContentHandover", "ContentHandoverUnconfirmed",
        "ContentHandoverFailure", "ConsignmentAcceptance", "ConsignmentRejection",
        "AcceptanceRejectionExpiry", "RelayAcceptance", "RelayRejection", "RelayFailure", "Arrival",
        "Processing", "RecallRequested", "RecallAgreed", "RecallRefused", "Recalled", "ChangeRequested",
        "ChangeAgreed", "ChangeRefused", "Superseded", "Requeued", "Reminder", "ExpiresSoon", "Redaction",
        "KeyRotation", "PolicyChange", "AdminAccess", "ExportIssued", "NewLog",
    }  # fmt: skip


def test_the_bytes_are_sorted_compact_utf8_on_one_line() -> None:
    raw = encode(replace(example("ContentHandover"), doc_no="12/QĐ-UBND"))
    assert "QĐ".encode() in raw
    assert b"\n" not in raw
    assert b", " not in raw
    assert list(json.loads(raw)) == sorted(json.loads(raw))
    assert b"null" not in raw


def test_times_are_utc_with_microseconds() -> None:
    hanoi = timezone(timedelta(hours=7))
    event = replace(example("Recalled"), time=datetime(2026, 11, 23, 8, 2, 3, 4, tzinfo=hanoi))
    assert b'"time":"2026-11-23T01:02:03.000004Z"' in encode(event)
    assert decode(encode(event)).time == datetime(2026, 11, 23, 1, 2, 3, 4, tzinfo=UTC)
    with pytest.raises(ValueError, match="zone"):
        encode(replace(event, time=event.time.replace(tzinfo=None)))


def test_a_leaf_is_the_hash_of_the_exact_bytes() -> None:
    raw = encode(example("Recalled"))
    assert events.leaf_hash(raw) == sha256(b"\x00" + raw).digest()


def test_free_text_is_only_a_salted_digest() -> None:
    assert events.text_digest(b"salt", "vì sao") == sha256(b"salt" + "vì sao".encode()).hexdigest()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"event":7}',
        b"\xff",
        b"[" * 60_000,
        raw_of().replace(b'":', b'": ', 1),
        raw_of() + b"\n",
        raw_of()[:-1] + b',"v":1}',  # a key twice
        raw_of(event="Handover"),
        raw_of(event=["ContentHandover"]),
        raw_of(v=2),
        raw_of(v=True),
        raw_of(seq=0),
        raw_of(seq=1.0),
        raw_of(seq="1"),
        raw_of(seq=2),
        raw_of(prev="ab" * 32),
        raw_of(seq=2, prev="AB" * 32),
        raw_of(time="2026-11-23T01:02:03Z"),
        raw_of(time="2026-11-31T01:02:03.000004Z"),
        raw_of(time="2026-11-23T01:02:03.000004+00:00"),
        raw_of(digest="cd" * 32),  # not the digest of what was handed over
        raw_of(doc="a\tb"),
        raw_of(doc="a\u2028b"),
        raw_of(doc="x" * 501),
        raw_of(doc=""),
        raw_of(actor={"kind": "god", "id": "x"}),
        raw_of(actor={"kind": "system"}),
        raw_of(actor={"kind": "system", "id": "x", "name": "y"}),
        raw_of(sender="H 29"),
    ],
)
def test_anything_else_is_not_an_event(raw: bytes) -> None:
    with pytest.raises(
        ValueError, match=r"not an event|event|seq|prev|time|doc|actor|sender|digest|malformed"
    ):
        decode(raw)


def test_escaped_bytes_are_another_form_of_the_same_event() -> None:
    """The log has one form: the same JSON value in other bytes is refused."""
    raw = raw_of(doc="QĐ")
    assert decode(raw).doc == "QĐ"
    with pytest.raises(ValueError, match="one form"):
        decode(json.dumps(json.loads(raw), sort_keys=True, separators=(",", ":")).encode())


def test_an_event_too_long_for_the_log_is_refused() -> None:
    many = tuple(f"{number:036d}" for number in range(1700))
    with pytest.raises(ValueError, match="65535"):
        encode(replace(example("SubmissionAcceptance"), deliveries=many))


def test_a_list_names_everything_once() -> None:
    with pytest.raises(ValueError, match="deliveries"):
        encode(replace(example("SubmissionAcceptance"), deliveries=("d1", "d1")))
    with pytest.raises(ValueError, match="indices"):
        encode(replace(example("Redaction"), indices=(8, 7)))


words = st.text(string.ascii_letters + "ĐđÁốợ /-,.'\"\\", min_size=1, max_size=60)


@given(doc=words, number=words, seq=st.integers(1, 2**53 - 1), at=st.datetimes(timezones=st.just(UTC)))
def test_what_is_encoded_is_read_back(doc: str, number: str, seq: int, at: datetime) -> None:
    event = replace(
        example("ContentConsignment"), doc=doc, doc_no=number, seq=seq, prev=None if seq == 1 else "ef" * 32
    )
    event = replace(event, time=at, actor=Actor("hub", "hub"))
    assert decode(encode(event)) == event
