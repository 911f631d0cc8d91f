"""Properties: what is written is read back, and no change of bytes does anything but read or refuse."""

from datetime import UTC, date, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.envelope.codes import STATUS_CODES, BusinessType
from exchange.envelope.package import (
    Business,
    Code,
    DocumentType,
    Organ,
    OtherInfo,
    Package,
    Receiver,
    Replacement,
    Response,
    Signer,
    Staff,
    Trace,
    attach,
    build,
)
from exchange.refusals import Refused
from tests.envelope.samples import NEW, comparable, package, sample

CHARACTERS = st.sampled_from("aB1/,.-_ <>&'\"]\r\n\tđĐếỨ\u0301\ufeff😀")
TEXT = (
    st.text(CHARACTERS, max_size=12).map(str.strip).filter(lambda text: text.lower() not in ("null", "n/a"))
)
FILLED = TEXT.filter(bool)
CODE_TEXT = st.text("H29.GWabc", min_size=1, max_size=64)
DAYS = st.dates(date(1900, 1, 1), date(2999, 12, 30))
TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2990, 1, 1), timezones=st.just(UTC)).map(
    lambda at: at.replace(microsecond=0)
)
SMALL = st.none() | st.integers(0, 999)
FLAGS = st.sampled_from([None, True, False])
STAFF = st.none() | st.builds(Staff, FILLED, TEXT, TEXT, TEXT, TEXT, TEXT)
ORGANS = st.builds(Organ, CODE_TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT)
PAIRS = st.builds(Code, FILLED, FILLED)
RESPONSES = st.builds(
    Response, TEXT, PAIRS | FILLED.map(Code.from_text), st.none() | DAYS, st.text("GW,/12", max_size=9)
)
NAMES = st.text("aB1.", min_size=1, max_size=8).map(lambda name: f"x{name}z.bin")


def lists(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(values, max_size=2).map(tuple)


BUSINESS = st.builds(
    Business,
    type=st.sampled_from([BusinessType.RECALL, BusinessType.UPDATE, BusinessType.REPLACE]),
    reason=TEXT,
    document_info=FLAGS,
    document_receiver=FLAGS,
    receivers=lists(st.builds(Receiver, st.sampled_from("01"), FILLED)),
    document_id=FILLED,
    staff=STAFF,
    paper=FLAGS,
    replacements=lists(st.builds(Replacement, FILLED, lists(FILLED))),
)
DOCUMENTS = st.builds(
    Package,
    kind=st.just("document"),
    sender=ORGANS,
    recipients=st.lists(ORGANS, min_size=1, max_size=3).map(tuple),
    document_id=st.text("GWđ,/ 12", max_size=20).map(lambda text: f"G{text}1"),
    code=st.none() | PAIRS,
    place=TEXT,
    promulgation_date=DAYS,
    document_type=st.builds(DocumentType, TEXT, TEXT, TEXT),
    subject=FILLED,
    content=TEXT,
    signer=st.none() | st.builds(Signer, TEXT, TEXT, FILLED),
    due_date=st.none() | DAYS,
    other=st.builds(
        OtherInfo,
        st.integers(0, 4),
        TEXT,
        TEXT,
        SMALL,
        SMALL,
        FLAGS,
        lists(FILLED),
        lists(FILLED),
        lists(FILLED),
    ),
    responses=lists(RESPONSES),
    steering_type=TEXT,
    to_places=lists(FILLED),
    task_codes=lists(FILLED),
    application_type=TEXT,
    traces=lists(st.builds(Trace, TEXT, st.none() | TIMES)),
    business=st.just(Business()) | BUSINESS,
    attachments=st.lists(
        st.tuples(NAMES, st.binary(min_size=1, max_size=40)),
        max_size=2,
        unique_by=lambda pair: pair[0].casefold(),
    ).map(lambda pairs: tuple(attach(n, c, content_id=str(i)) for i, (n, c) in enumerate(pairs))),
)
STATUSES = st.builds(
    Package,
    kind=st.just("status"),
    sender=ORGANS,
    responses=st.tuples(RESPONSES),
    status_code=st.sampled_from(sorted(STATUS_CODES)),
    description=TEXT,
    staff=STAFF,
    at=st.none() | TIMES,
)


@settings(max_examples=30, deadline=None)
@given(DOCUMENTS)
def test_every_document_is_read_as_it_was_written(made):
    assert comparable(package(build(made))) == comparable(made)


@settings(max_examples=30, deadline=None)
@given(STATUSES)
def test_every_status_is_read_as_it_was_written(made):
    assert comparable(package(build(made))) == made


BASES = tuple(sample(name) for name in (NEW, "document-new-attachments", "status-13-take-back"))
PIECES = st.binary(max_size=4) | st.sampled_from(
    [
        b"<",
        b">",
        b"/",
        b"&",
        b"<!--",
        b"]]>",
        b"<edXML:To/>",
        b"</edXML:To>",
        b"xmlns=''",
        b"\xff",
        b"\x00",
        b"null",
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(BASES),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 30), PIECES), min_size=1, max_size=3),
)
def test_changed_bytes_are_read_or_refused_and_nothing_else(raw, edits):
    for position, dropped, piece in edits:
        start = int(position * len(raw))
        raw = raw[:start] + piece + raw[start + dropped :]
    try:
        found = package(raw)
    except Refused as refusal:
        assert refusal.problems
    else:
        assert found.sender.organ_id
