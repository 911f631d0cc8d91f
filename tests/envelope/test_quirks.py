"""Every quirk of real senders, by its number in the list of edXML quirks (docs), is read leniently."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from exchange.envelope.codes import BusinessType
from exchange.envelope.fields import parse_date, parse_moment
from exchange.envelope.package import (
    VIETNAM,
    Code,
    read,
)
from exchange.envelope.xml import parse
from tests.envelope.samples import (
    NEW,
    PDF,
    PDF_NAME,
    STATUS,
    changed,
    cut,
    notes,
    package,
    problems,
    sample,
    with_attachment,
    zipped,
)


def test_quirk_1_what_is_not_well_formed_is_refused_by_name():
    for raw in (
        changed(NEW, ("<edXML:Reference>", '<edXML:Reference xlink:href="cid:201">')),
        b"text " + sample(NEW),
        changed(NEW, ("</edXML:From>", "")),
    ):
        assert problems(raw) == [("package.not-xml", "")]


def test_quirk_2_order_does_not_matter():
    root = parse(sample(NEW))
    head, traces = root[0][0][0], root[0][0][1]
    for element in (*head, head, *traces, traces):
        element[:] = element[::-1]
    expected = package(sample(NEW))
    found = read(root)
    assert found.recipients == expected.recipients[::-1]
    assert found.to_places == expected.to_places[::-1]
    assert replace(found, recipients=(), to_places=()) == replace(expected, recipients=(), to_places=())


def test_quirk_3_business_may_be_spelt_right_and_in_any_letter_case():
    raw = changed(
        "document-recall", ("Bussiness", "Business"), ("DocumentId", "documentID"), ("OrganId", "OrganID")
    )
    found = package(raw)
    assert found.business_type is BusinessType.RECALL
    assert found.document_id == "H29,2026/03/02,626/KH-UBND"
    assert found.sender.organ_id == "H29"


@pytest.mark.parametrize(
    "text", ["02/03/2026", "2026-03-02", "2026/3/2", "2026-03-02T00:00:00+07:00", " 2026/03/02 "]
)
def test_quirk_4_other_forms_of_a_date_are_read(text):
    raw = changed(NEW, ("<edXML:PromulgationDate>2026/03/02<", f"<edXML:PromulgationDate>{text}<"))
    assert package(raw).promulgation_date == date(2026, 3, 2)


def test_quirk_4_an_impossible_required_date_is_refused():
    raw = changed(NEW, ("<edXML:PromulgationDate>2026/03/02<", "<edXML:PromulgationDate>2014/02/30<"))
    assert problems(raw) == [("package.field-invalid", "PromulgationDate")]


def test_quirk_4_an_impossible_optional_date_is_noted():
    raw = changed(NEW, ("<edXML:DueDate>", "<edXML:DueDate>2014/02/30"))
    assert package(raw).due_date is None
    assert notes(raw) == ["field.unreadable"]


def test_quirk_4_the_empty_date_of_net_is_absent():
    raw = changed(NEW, ("<edXML:DueDate>", "<edXML:DueDate>0001/01/01"))
    assert package(raw).due_date is None
    assert notes(raw) == []


def test_quirk_4_a_trace_may_be_stamped_day_first():
    raw = changed(NEW, ("2026/03/02 08:15:30", "02/03/2026 08:15:30"))
    assert package(raw).traces == package(sample(NEW)).traces


@pytest.mark.parametrize("filler", ["", " \n ", "null", "NULL", "N/A"])
def test_quirk_5_fillers_are_absent_values(filler):
    raw = changed(
        NEW,
        ("<edXML:DueDate>", f"<edXML:DueDate>{filler}"),
        ("<edXML:Telephone>", f"<edXML:Telephone>{filler}"),
        ("<edXML:SteeringType>1", f"<edXML:SteeringType>{filler}"),
        ("<edXML:PageAmount>4", f"<edXML:PageAmount>{filler}"),
    )
    found = package(raw)
    assert (found.due_date, found.sender.telephone, found.steering_type) == (None, "", "")
    assert found.other.pages is None
    assert found.warnings == ()


def test_quirk_5_an_empty_response_is_none():
    empty = "<edXML:ResponseFor><edXML:OrganId/><edXML:Code/><edXML:DocumentId/></edXML:ResponseFor>"
    raw = changed(
        NEW,
        (
            "<edXML:DueDate>",
            f"{empty}<edXML:StatusCode/><edXML:To><edXML:OrganId/></edXML:To><edXML:DueDate>",
        ),
    )
    found = package(raw)
    assert (found.kind, found.responses, len(found.recipients)) == ("document", (), 2)


@pytest.mark.parametrize("organ", ["", "null", "02.29.W00"])
def test_quirk_6_a_trace_may_name_nobody_or_somebody_else(organ):
    trace = "<edXML:TraceHeader>\n          <edXML:OrganId>"
    raw = changed(NEW, (f"{trace}H29<", f"{trace}{organ}<"))
    found = package(raw)
    assert found.traces[0].organ_id == ("" if organ == "null" else organ)
    assert found.sender.organ_id == "H29"


def test_quirk_7_a_stale_document_id_in_a_new_package_is_ignored():
    stale = "<edXML:DocumentId>H29,2020/01/01,1/X</edXML:DocumentId><edXML:Paper>"
    found = package(changed(NEW, ("<edXML:Paper>", stale)))
    assert found.business.document_id == ""
    assert found.document_id == "H29,2026/03/02,626/KH-UBND"


@pytest.mark.parametrize(
    "name", ["6f1f0c4e-8c56-4c43-8c1b-3f5b7d6e4a11", "53234", "GW-20260302-7", "G22,2026/03/02,1/X"]
)
def test_quirk_8_any_document_id_is_kept_as_written(name):
    raw = changed(NEW, ("H29,2026/03/02,626/KH-UBND", name))
    assert package(raw).document_id == name


@pytest.mark.parametrize(
    ("number", "notation", "text"),
    [
        ("20251017160055", "KH-UBND", "20251017160055/KH-UBND"),
        ("74fass22", "KH-UBND", "74fass22/KH-UBND"),
        ("12", "12/ABC", "12/ABC"),
    ],
)
def test_quirk_9_odd_numbers_and_notations_are_kept(number, notation, text):
    raw = changed(
        NEW,
        ("<edXML:CodeNumber>626", f"<edXML:CodeNumber>{number}"),
        ("<edXML:CodeNotation>KH-UBND", f"<edXML:CodeNotation>{notation}"),
    )
    found = package(raw)
    assert found.code == Code(number, notation)
    assert found.code.text == text
    assert notes(raw) == (["field.too-long"] if len(number) > 11 else [])


@pytest.mark.parametrize("kind", ["1", "2", "18", "71", ""])
def test_quirk_10_any_document_type_is_kept_as_text(kind):
    sentence = "Công văn về việc " + "rất dài " * 20
    raw = cut(NEW, "TypeDetail").decode().replace("<edXML:Type>2", f"<edXML:Type>{kind}")
    found = package(raw.replace("<edXML:TypeName>Kế hoạch", f"<edXML:TypeName>{sentence}").encode())
    assert (found.document_type.type, found.document_type.detail) == (kind, "")
    assert found.document_type.name == sentence.strip()
    assert [note.code for note in found.warnings] == ["field.too-long"]


def test_quirk_11_an_organ_addressed_twice_is_read_twice():
    found = package(sample("document-new-recipient-twice"))
    assert [organ.organ_id for organ in found.recipients] == ["H29.5", "000.00.05.H29"]


def test_quirk_11_many_recipients_are_read():
    to = "<edXML:To><edXML:OrganId>H29.{}</edXML:OrganId></edXML:To>"
    many = "".join(to.format(i) for i in range(1000, 1700))
    assert (
        len(package(changed(NEW, ("<edXML:DocumentId>H29", f"{many}<edXML:DocumentId>H29"))).recipients)
        == 702
    )


@pytest.mark.parametrize("content", [PDF, zipped(PDF)], ids=["raw", "wrapped"])
@pytest.mark.parametrize("kind", ["application/pdf", "application/zip", "application/docx", ""])
def test_quirk_12_a_lying_content_type_does_not_matter(content, kind):
    (attachment,) = package(with_attachment(content, kind=kind)).attachments
    assert (attachment.content, attachment.media_type) == (PDF, "application/pdf")
    assert attachment.name == PDF_NAME


def test_quirk_12_cid_may_be_left_out():
    raw = changed(NEW, ("<ContentId>cid:201", "<ContentId>201"))
    assert package(raw).attachments == package(sample(NEW)).attachments
    assert notes(raw) == []


def test_quirk_12_a_nameless_attachment_takes_its_name_from_the_manifest():
    raw = changed(NEW, (f"<AttachmentName>{PDF_NAME}", "<AttachmentName>"))
    assert package(raw).attachments[0].name == PDF_NAME


def test_quirk_12_a_doc_that_is_an_edxml_is_noted():
    raw = with_attachment(b'<edXML xmlns="x"/>', name="a.doc")
    assert package(raw).attachments[0].media_type == "application/edxml+xml"
    assert notes(raw) == ["attachment.type-differs"]


def test_quirk_12_a_pdf_ruined_by_text_conversion_is_delivered_as_it_is():
    ruined = b"%PDF-1.4\n" + b"\xef\xbf\xbd" * 20
    assert package(with_attachment(ruined)).attachments[0].content == ruined


@pytest.mark.parametrize("text", ["[nội dung]", "base64 here", "", "JVBERi0xLjQ"])
def test_quirk_12_a_placeholder_is_refused(text):
    assert problems(with_attachment(text)) == [("package.attachment-broken", "ContentTransferEncoded")]


def test_quirk_12_a_broken_zip_is_kept_and_noted():
    raw = with_attachment(zipped(PDF)[:-9], name="a.docx")
    assert package(raw).attachments[0].content == zipped(PDF)[:-9]
    assert notes(raw) == ["attachment.zip-broken"]


def test_a_zip_bomb_is_refused():
    raw = with_attachment(zipped(b"\0" * 20_000_000))
    assert problems(raw) == [("package.attachment-broken", "ContentTransferEncoded")]


def test_many_small_bombs_are_one_bomb():
    one = with_attachment(zipped(b"\0" * 4_000_000)).decode()
    start, end = one.index("    <Attachment>"), one.index("  </AttachmentEncoded>")
    raw = (one[:start] + one[start:end] * 30 + one[end:]).encode()
    found = problems(raw)
    assert 0 < len(found) < 30
    assert {code for code, _ in found} == {"package.attachment-broken"}


def test_an_attachment_of_the_manifest_that_is_absent_is_noted():
    text = sample(NEW).decode()
    start, end = text.index("  <AttachmentEncoded>"), text.index("</edXML>")
    raw = (text[:start] + text[end:]).encode()
    assert package(raw).attachments == ()
    assert notes(raw) == ["attachment.absent"]


def test_attachment_names_are_safe_and_unique():
    one = with_attachment(PDF, name="../../a.pdf").decode()
    start, end = one.index("    <Attachment>"), one.index("  </AttachmentEncoded>")
    found = package((one[:end] + one[start:end].replace("cid:201", "cid:9") + one[end:]).encode()).attachments
    assert [attachment.name for attachment in found] == ["a.pdf", "a (2).pdf"]
    assert found[0].original_name == "../../a.pdf"


def test_quirk_13_without_trace_list_a_document_is_new():
    found = package(cut("document-recall", "TraceHeaderList"))
    assert (found.traces, found.business_type) == ((), BusinessType.NEW)


def test_quirk_13_without_bussiness_a_document_is_new():
    assert package(cut("document-recall", "Bussiness")).business_type is BusinessType.NEW


def test_quirk_13_without_code_a_document_with_an_id_is_accepted():
    raw = cut(NEW, "Code")
    assert package(raw).code is None
    assert notes(raw) == ["code.missing"]


def test_quirk_13_with_half_a_code_it_is_noted():
    assert notes(cut(NEW, "CodeNotation")) == ["code.incomplete"]


def test_quirk_13_without_code_and_id_it_is_refused():
    raw = changed(
        NEW, ("626", ""), ("KH-UBND", ""), ("<edXML:DocumentId>H29,2026/03/02,/<", "<edXML:DocumentId><")
    )
    assert problems(raw) == [("package.field-missing", "DocumentId"), ("package.field-missing", "Code")]


def test_quirk_13_without_names_organs_are_read():
    assert package(cut(NEW, "OrganName")).sender.name == ""


@pytest.mark.parametrize(
    "block",
    [
        "<edXML:DigitalSignature/>",
        '<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo/></Signature>',
        "<Signature><SignedInfo><Subject>x</Subject></SignedInfo></Signature>",
    ],
)
def test_quirk_14_a_dummy_signature_does_not_disturb_reading(block):
    raw = changed(NEW, ("</edXML:edXMLHeader>", f"{block}</edXML:edXMLHeader>"))
    assert package(raw) == package(sample(NEW))


def test_quirk_15_a_swapped_status_13_is_read_as_it_stands():
    raw = changed(
        "status-13-take-back",
        ("<edXML:OrganId>H29.5</edXML:OrganId>", "<edXML:OrganId>KH UBND</edXML:OrganId>"),
        ("<edXML:Code>626/KH-UBND<", "<edXML:Code>H29.5<"),
    )
    response = package(raw).response
    assert (response.organ_id, response.code) == ("KH UBND", Code("", "H29.5", raw="H29.5"))


def test_quirk_15_status_14_is_read_as_15():
    assert (
        package(changed("status-15-agreed", ("<edXML:StatusCode>15", "<edXML:StatusCode>14"))).status_code
        == "15"
    )


def test_quirk_16_a_resend_marked_as_update_is_read_as_update():
    raw = changed(NEW, ("<edXML:BussinessDocType>0", "<edXML:BussinessDocType>2"))
    assert package(raw).business_type is BusinessType.UPDATE


def test_quirks_17_and_18_line_ends_tabs_and_trailing_bytes_do_not_matter():
    raw = sample(NEW).replace(b"\n", b"\r\n").replace(b"  ", b"\t") + b"\r\n"
    assert package(raw) == package(sample(NEW))


def test_a_code_may_stand_in_one_string_or_two_elements():
    pair = "<edXML:CodeNumber>626</edXML:CodeNumber><edXML:CodeNotation>KH-UBND</edXML:CodeNotation>"
    raw = changed(STATUS, ("<edXML:Code>626/KH-UBND<", f"<edXML:Code>{pair}<"))
    assert package(raw).response.code == Code("626", "KH-UBND")
    raw = changed("document-reply", ("<edXML:Code>626/KH-UBND<", f"<edXML:Code>{pair}<"))
    assert package(raw).response.code == Code("626", "KH-UBND")


def test_a_promulgation_date_in_the_future_is_noted():
    root = parse(sample(NEW))
    assert [note.code for note in read(root, today=date(2026, 3, 1)).warnings] == ["date.future"]
    assert read(root, today=date(2026, 3, 2)).warnings == ()


def test_a_long_subject_is_noted_and_kept():
    raw = changed(NEW, ("<edXML:Subject>", "<edXML:Subject>" + "ă" * 500))
    assert len(package(raw).subject) > 500
    assert notes(raw) == ["field.too-long"]


@pytest.mark.parametrize("text", ["5", "x", "-1", "²"])
def test_an_unknown_priority_is_normal_and_noted(text):
    raw = changed(NEW, ("<edXML:Priority>0", f"<edXML:Priority>{text}"))
    assert package(raw).priority == 0
    assert notes(raw) == ["field.unreadable"]


# --- dates ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026/03/02", date(2026, 3, 2)),
        ("30/10/2020", date(2020, 10, 30)),
        ("2026-03-02", date(2026, 3, 2)),
        ("2026/03/02 08:15:30", date(2026, 3, 2)),
        ("2014/02/30", None),
        ("0036/10/30", None),
        ("2026/03-02", None),
        ("2026/03/02x", None),
        ("٢٠٢٦/03/02", None),
        ("20260302", None),
        ("", None),
    ],
)
def test_dates(text, expected):
    assert parse_date(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026/03/02 08:15:30", datetime(2026, 3, 2, 1, 15, 30, tzinfo=UTC)),
        ("02/03/2026 08:15:30", datetime(2026, 3, 2, 1, 15, 30, tzinfo=UTC)),
        ("2026-03-02T08:15:30.123Z", datetime(2026, 3, 2, 8, 15, 30, tzinfo=UTC)),
        ("2026-03-02T08:15:30-02:30", datetime(2026, 3, 2, 10, 45, 30, tzinfo=UTC)),
        ("2026/03/02", datetime(2026, 3, 2, tzinfo=VIETNAM)),
        ("2026/03/02 25:00:00", None),
        ("2026-03-02T08:15:30+99:00", None),
        ("soon", None),
    ],
)
def test_times_are_of_vietnam_unless_they_say_otherwise(text, expected):
    assert parse_moment(text) == expected
