"""What a small package may not hold: many look-ups, invisible keys, other instructions, inflated files."""

import random
import time

import pytest

from exchange.envelope import contents
from exchange.envelope.package import read
from exchange.envelope.xml import parse
from exchange.refusals import Refused
from tests.envelope.samples import NEW, changed, package, problems, sample, with_attachment, zipped

INVALID = "package.field-invalid"


def repeated(name: str, before: str, element: str, count: int) -> bytes:
    """A golden package with `element` (its `{i}` numbered) `count` times before the text `before`."""
    return changed(name, (before, "".join(element.format(i=i) for i in range(count)) + before))


def tos(count: int) -> str:
    return "".join(f"<edXML:To><edXML:OrganId>X{i}</edXML:OrganId></edXML:To>" for i in range(count))


RESPONSE = "<edXML:ResponseFor><edXML:DocumentId>D{i}</edXML:DocumentId></edXML:ResponseFor>"
REPLACEMENT = "<edXML:ReplacementInfo><edXML:DocumentId>D{i}</edXML:DocumentId></edXML:ReplacementInfo>"
ORGAN = "<edXML:OrganId>X{i}</edXML:OrganId>"
RECEIVER = (
    "<edXML:Receiver><edXML:ReceiverType>1</edXML:ReceiverType><edXML:OrganId>X{i}</edXML:OrganId>"
    "</edXML:Receiver>"
)
# Golden package, the place to repeat at, what, how many more are allowed, the element that is one too many.
LIMITS = [
    (NEW, "<edXML:DueDate>", RESPONSE, 50, "ResponseFor[51]"),
    ("document-replace", "</edXML:ReplacementInfoList>", REPLACEMENT, 49, "ReplacementInfo[51]"),
    ("document-replace", "</edXML:OrganIdList>", ORGAN, 1498, "OrganId[1501]"),
    ("document-update", "</edXML:ReceiverList>", RECEIVER, 1499, "Receiver[1501]"),
]


@pytest.mark.parametrize(
    ("name", "before", "element", "most", "named"), LIMITS, ids=lambda value: str(value)[:30]
)
def test_what_costs_a_look_up_is_counted(name: str, before: str, element: str, most: int, named: str) -> None:
    package(repeated(name, before, element, most))
    assert (INVALID, named) in problems(repeated(name, before, element, most + 1))


def test_recipients_and_those_added_by_an_update_count_together() -> None:
    added = RECEIVER.replace("Type>1<", "Type>0<").replace(">X", ">Y")
    inside = changed("document-update", ("<edXML:DueDate>", tos(1400) + "<edXML:DueDate>")).decode()

    def with_added(count: int) -> bytes:
        more = "".join(added.format(i=i) for i in range(count))
        return inside.replace("</edXML:ReceiverList>", more + "</edXML:ReceiverList>").encode()

    assert len(package(with_added(97)).recipients) == 1403
    assert problems(with_added(98)) == [(INVALID, "MessageHeader")]


def test_an_agency_that_is_added_and_addressed_counts_once() -> None:
    raw = changed("document-update", ("<edXML:DueDate>", tos(1497) + "<edXML:DueDate>"))
    assert len(package(raw).recipients) == 1500  # H29.121 stands in To and among the added


@pytest.mark.parametrize(
    "text", ["\u200b", "\u2060\u200d", "a\u00ad1", "\ue000", "a\u2028b", "a\u2029b", "\u0378"]
)
def test_an_invisible_document_id_is_refused(text: str) -> None:
    raw = changed(NEW, ("<edXML:DocumentId>H29,2026/03/02,626/KH-UBND<", f"<edXML:DocumentId>{text}.<"))
    assert problems(raw) == [(INVALID, "DocumentId")]


@pytest.mark.parametrize("start", [b'<?xml-stylesheet href="x"?>', b"<?xmlx?>", b"<?xml?>"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_only_the_declaration_may_open_a_file(mark: bytes, start: bytes) -> None:
    with pytest.raises(Refused, match=r"package\.forbidden-construct"):
        parse(mark + start + sample(NEW).partition(b"?>")[2])


# --- inflated attachments -----------------------------------------------------------------------------


def test_wrappers_of_one_package_grow_to_the_budget_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_BUDGET", 5_000_000)
    one = with_attachment(zipped(b"\0" * 2_000_000)).decode()
    start, end = one.index("    <Attachment>"), one.index("  </AttachmentEncoded>")

    def holding(count: int) -> bytes:
        return (one[:start] + one[start:end] * count + one[end:]).encode()

    assert [len(a.content) for a in package(holding(2)).attachments] == [2_000_000] * 2
    assert len(problems(holding(3))) == 1


def test_what_hardly_shrinks_may_grow_back_whatever_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_BUDGET", 1)
    noise = random.Random(1).randbytes(100_000)
    assert package(with_attachment(zipped(noise))).attachments[0].content == noise
    with pytest.raises(Refused):
        read(parse(with_attachment(zipped(b"\0" * 100_000))))


def test_the_longest_lists_are_read_in_little_time() -> None:
    raw = repeated("document-replace", "</edXML:ReplacementInfoList>", REPLACEMENT, 10_000)
    started = time.process_time()
    problems(raw)
    assert time.process_time() - started < 1
