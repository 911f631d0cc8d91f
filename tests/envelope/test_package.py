"""Packages: golden files, what is read, what is refused."""

import time
from datetime import UTC, date, datetime

import pytest

from exchange.envelope.codes import BusinessType
from exchange.envelope.package import (
    VIETNAM,
    Code,
    Receiver,
    Replacement,
    build,
    read_sender,
)
from exchange.envelope.xml import parse
from exchange.refusals import Refused
from tests.envelope.samples import (
    ACCEPTED,
    FIXTURES,
    NEW,
    PDF_NAME,
    STATUS,
    changed,
    comparable,
    cut,
    doubled,
    notes,
    package,
    problems,
    sample,
)

REFUSED = sorted(
    [*(FIXTURES / "refused").glob("package.*.xml"), FIXTURES / "refused" / "status.unknown-code.xml"]
)


@pytest.mark.parametrize("file", ACCEPTED, ids=lambda file: file.stem)
def test_read_build_read_gives_the_same_package(file):
    first = package(file.read_bytes())
    assert comparable(package(build(first))) == comparable(first)


@pytest.mark.parametrize("file", ACCEPTED, ids=lambda file: file.stem)
def test_accepted_packages_give_no_warning(file):
    assert notes(file.read_bytes()) == []


@pytest.mark.parametrize("file", REFUSED, ids=lambda file: file.stem)
def test_a_refused_file_is_refused_under_its_name(file):
    with pytest.raises(Refused) as caught:
        package(file.read_bytes())
    assert {problem.code for problem in caught.value.problems} == {file.stem}
    assert all("<name>" not in problem.detail() and problem.facts for problem in caught.value.problems)


def test_every_refusal_of_the_format_has_a_file():
    names = {file.stem for file in REFUSED}
    assert names >= {
        "package.not-xml",
        "package.forbidden-construct",
        "package.not-edxml",
        "package.field-missing",
        "package.field-invalid",
        "package.attachment-broken",
    }


def test_all_problems_are_reported_at_once_with_path_and_line():
    with pytest.raises(Refused) as caught:
        package((FIXTURES / "refused" / "package.field-missing.xml").read_bytes())
    head = "/edXML/edXMLEnvelope/edXMLHeader/MessageHeader"
    found = {problem.xpath: problem.line for problem in caught.value.problems}
    assert set(found) == {f"{head}/DocumentId", f"{head}/To[2]/OrganId", f"{head}/Subject"}
    assert all(line > 0 for line in found.values())


# --- what is read -----------------------------------------------------------------------------------------


def test_a_document_is_read_in_full():
    found = package(sample(NEW))
    assert found.kind == "document"
    assert found.sender.organ_id == "H29"
    assert [organ.organ_id for organ in found.recipients] == ["H29.5", "H29.17"]
    assert found.code == Code("626", "KH-UBND")
    assert found.document_id == "H29,2026/03/02,626/KH-UBND"
    assert found.promulgation_date == date(2026, 3, 2)
    assert found.document_type.name == "Kế hoạch"
    assert found.signer is not None
    assert found.signer.competence == "TM. ỦY BAN NHÂN DÂN"
    assert found.due_date is None
    assert (found.priority, found.other.copies, found.other.pages) == (0, 1, 4)
    assert found.to_places == ("Như trên", "Lưu: VT")
    assert found.business_type is BusinessType.NEW
    assert found.business.paper is False
    assert found.traces[0].at == datetime(2026, 3, 2, 1, 15, 30, tzinfo=UTC)
    assert [ref.name for ref in found.manifest] == [PDF_NAME]


def test_an_update_names_what_changed():
    business = package(sample("document-update")).business
    assert business.type is BusinessType.UPDATE
    assert (business.document_info, business.document_receiver) == (True, True)
    assert business.receivers == (Receiver("0", "H29.121"),)
    assert business.document_id == "H29,2026/03/02,626/KH-UBND"


def test_a_replacement_names_the_replaced_documents():
    business = package(sample("document-replace")).business
    assert business.replacements == (Replacement("H29,2026/03/02,626/KH-UBND", ("H29.5", "H29.17")),)


def test_attachments_are_opened_whatever_was_declared():
    found = {a.name: a for a in package(sample("document-new-attachments")).attachments}
    assert list(found) == ["bao-cao.pdf", "phu-luc.docx", "so-lieu.xlsx", "ghi-chu.txt"]
    assert found["bao-cao.pdf"].content.startswith(b"%PDF")
    assert found["so-lieu.xlsx"].content.startswith(b"PK")
    assert found["ghi-chu.txt"].media_type == "text/plain"
    assert all(a.size == len(a.content) for a in found.values())


def test_a_status_names_its_document_as_text_and_as_pair():
    found = package(sample(STATUS))
    assert (found.kind, found.status_code) == ("status", "03")
    assert found.response.code == Code("626", "KH-UBND", raw="626/KH-UBND")
    assert found.response.promulgation_date == date(2026, 3, 2)
    assert found.at == datetime(2026, 3, 2, 9, 20, 11, tzinfo=VIETNAM)
    assert found.staff is not None


def test_the_sender_is_read_alone():
    assert read_sender(parse(sample(STATUS))) == "H29.5"


@pytest.mark.parametrize("name", [NEW, STATUS])
def test_a_package_without_sender_is_refused_by_both_readers(name):
    raw = cut(name, "From")
    assert problems(raw) == [("package.field-missing", "OrganId")]
    with pytest.raises(Refused) as caught:
        read_sender(parse(raw))
    assert caught.value.code == "package.field-missing"


def test_elements_of_other_namespaces_are_not_read():
    raw = changed(NEW, ("<edXML:Subject>", '<x:Subject xmlns:x="urn:x">other</x:Subject><edXML:Subject>'))
    assert package(raw).subject == package(sample(NEW)).subject


def test_vendor_extras_are_read():
    extras = (
        "<edXML:Direction>true</edXML:Direction>"
        "<edXML:ReplyFors><edXML:ReplyFor>12/UBND</edXML:ReplyFor></edXML:ReplyFors>"
        "<edXML:ReferenceCodes><edXML:Code><edXML:A>1</edXML:A><edXML:B>X</edXML:B></edXML:Code></edXML:ReferenceCodes>"
        "<edXML:Appendixes>"
    )
    task = "<edXML:ResponseForTask><edXML:TaskCode>T1</edXML:TaskCode></edXML:ResponseForTask>"
    raw = changed(
        NEW,
        ("<edXML:Appendixes>", extras),
        ("<edXML:DueDate>", f"{task}<edXML:ApplicationType>MCDT_DT</edXML:ApplicationType><edXML:DueDate>"),
    )
    found = package(raw)
    assert (found.other.direction, found.other.reply_fors) == (True, ("12/UBND",))
    assert found.other.reference_codes == ("1/X",)
    assert (found.task_codes, found.application_type) == (("T1",), "MCDT_DT")
    assert comparable(package(build(found))) == comparable(found)


# --- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "element", ["DocumentId", "Subject", "PromulgationInfo", "Code", "OtherInfo", "DocumentType"]
)
def test_a_doubled_element_is_refused(element):
    raw = doubled(NEW, element)
    assert problems(raw) == [("package.field-invalid", f"{element}[2]")]


def test_a_doubled_element_in_another_letter_case_is_refused():
    raw = changed(NEW, ("<edXML:Subject>", "<edXML:SUBJECT>x</edXML:SUBJECT><edXML:Subject>"))
    assert [code for code, _ in problems(raw)] == ["package.field-invalid"]


def test_a_doubled_sender_is_refused_by_both_readers():
    raw = doubled(NEW, "From")
    assert problems(raw) == [("package.not-edxml", "From[2]")]
    with pytest.raises(Refused) as caught:
        read_sender(parse(raw))
    assert caught.value.code == "package.not-edxml"


def test_moved_elements_are_not_found():
    text = sample(NEW).decode()
    start, end = text.index("<edXML:Subject>"), text.index("</edXML:Subject>") + len("</edXML:Subject>")
    moved = text[:start] + "<edXML:X>" + text[start:end] + "</edXML:X>" + text[end:]
    assert problems(moved.encode()) == [("package.field-missing", "Subject")]


def test_elements_inside_a_value_are_refused():
    raw = changed(NEW, ("<edXML:OrganId>H29<", "<edXML:OrganId>H29<edXML:x/>.5<"))
    assert ("package.field-invalid", "OrganId") in problems(raw)


def test_a_document_that_is_also_a_status_is_refused():
    raw = changed(NEW, ("<edXML:DueDate>", "<edXML:StatusCode>03</edXML:StatusCode><edXML:DueDate>"))
    assert ("package.field-invalid", "StatusCode") in problems(raw)


@pytest.mark.parametrize("organ", ["A" * 65, "H29\u202e5", "H29 5", "H\u200b29"])
def test_a_misleading_organ_code_is_refused(organ):
    raw = changed(NEW, ("<edXML:OrganId>H29.17<", f"<edXML:OrganId>{organ}<"))
    assert problems(raw) == [("package.field-invalid", "OrganId")]


@pytest.mark.parametrize("name", ["A" * 256, "H29\u202e,1", "H29\n,1"])
def test_a_misleading_document_id_is_refused(name):
    raw = changed(NEW, ("<edXML:DocumentId>H29,2026/03/02,626/KH-UBND<", f"<edXML:DocumentId>{name}<"))
    assert problems(raw) == [("package.field-invalid", "DocumentId")]


def test_a_value_without_measure_is_refused():
    raw = changed(NEW, ("<edXML:Subject>", "<edXML:Subject>" + "a" * 20_000))
    assert problems(raw) == [("package.field-invalid", "Subject")]


def test_a_document_without_recipients_is_refused():
    text = sample(NEW).decode()
    start, end = text.index("<edXML:To>"), text.rindex("</edXML:To>") + len("</edXML:To>")
    assert problems((text[:start] + text[end:]).encode()) == [("package.field-missing", "OrganId")]


def test_a_replacement_that_replaces_nothing_is_refused():
    raw = cut("document-replace", "ReplacementInfoList")
    assert problems(raw) == [("package.field-missing", "DocumentId")]


def test_a_status_without_document_is_refused():
    assert problems(cut(STATUS, "ResponseFor")) == [("package.field-missing", "DocumentId")]


def test_a_status_without_code_is_refused():
    raw = changed(STATUS, ("<edXML:StatusCode>03", "<edXML:StatusCode>"))
    assert problems(raw) == [("package.field-missing", "StatusCode")]


def test_an_unknown_status_code_is_refused():
    raw = changed(STATUS, ("<edXML:StatusCode>03", "<edXML:StatusCode>77"))
    assert problems(raw) == [("status.unknown-code", "StatusCode")]


def test_two_documents_in_one_status_are_refused():
    raw = doubled(STATUS, "ResponseFor")
    assert problems(raw) == [("package.field-invalid", "ResponseFor[2]")]


def test_problems_are_reported_in_bounded_number():
    to = "<edXML:To><edXML:OrganId></edXML:OrganId><edXML:Email>x</edXML:Email></edXML:To>"
    raw = changed(NEW, ("<edXML:DueDate>", to * 500 + "<edXML:DueDate>"))
    assert len(problems(raw)) == 100


def test_a_megabyte_of_recipients_costs_as_much_for_each_as_few_do():
    def cost(recipients: int) -> float:
        to = "<edXML:To><edXML:Fax>x</edXML:Fax></edXML:To>" * recipients
        raw = changed(NEW, ("<edXML:DueDate>", to + "<edXML:DueDate>"))
        started = time.process_time()
        assert problems(raw) == [("package.field-invalid", "To[1501]")]
        return time.process_time() - started

    little = min(cost(1_600) for _ in range(3))
    assert cost(22_000) < 80 * little, "about fourteen times as much, and not 190 times"
