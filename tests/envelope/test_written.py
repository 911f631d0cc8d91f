"""What the hub writes: the shape that existing readers expect, and nothing that they cannot read."""

import base64
from dataclasses import replace
from datetime import date, datetime

import pytest

from exchange.envelope.package import (
    VIETNAM,
    Code,
    Organ,
    Package,
    Response,
    attach,
    build,
    document,
    document_id,
    status,
)
from exchange.envelope.xml import NS, parse
from tests.envelope.samples import (
    PDF,
    comparable,
    package,
    zipped,
)

AT = datetime(2026, 3, 2, 8, 0, tzinfo=VIETNAM)


def simple(**fields: object) -> Package:
    made = document(
        sender=Organ("H29", "Ủy ban nhân dân"),
        recipients=[Organ("H29.5")],
        code=Code("7", "UBND-VX"),
        day=date(2026, 3, 2),
        subject="Thử <&> kết nối ]]>",
        at=AT,
        attachments=[attach("a.pdf", PDF, content_id="1")],
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def test_a_written_package_has_the_shape_that_readers_expect():
    text = build(simple()).decode()
    lines = [line.strip() for line in text.splitlines()]
    assert lines[:5] == [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<edXML xmlns="{NS}">',
        f'<edXML:edXMLEnvelope xmlns:edXML="{NS}">',
        "<edXML:edXMLHeader>",
        "<edXML:MessageHeader>",
    ]
    assert '<edXML:edXMLManifest version="1.0">' in lines
    assert lines[-10:] == [
        "<AttachmentEncoded>",
        "<Attachment>",
        "<ContentId>cid:1</ContentId>",
        "<AttachmentName>a.pdf</AttachmentName>",
        "<Description>a.pdf</Description>",
        "<ContentType>application/pdf</ContentType>",
        f'<edXML:ContentTransferEncoded xmlns:edXML="{NS}">{base64.b64encode(PDF).decode()}'
        "</edXML:ContentTransferEncoded>",
        "</Attachment>",
        "</AttachmentEncoded>",
        "</edXML>",
    ]


def test_a_written_document_follows_the_order_of_the_regulation():
    head = parse(build(simple()))[0][0][0]
    assert [str(e.tag).partition("}")[2] for e in head] == [
        "From",
        "To",
        "Code",
        "PromulgationInfo",
        "DocumentType",
        "Subject",
        "Content",
        "DueDate",
        "OtherInfo",
        "DocumentId",
    ]


def test_a_written_document_reads_back_without_warnings():
    found = package(build(simple()))
    assert comparable(found) == comparable(simple())
    assert found.warnings == ()
    assert found.document_id == document_id("H29", date(2026, 3, 2), Code("7", "UBND-VX"))


def test_a_written_status_reads_back():
    made = status(
        "03",
        sender=Organ("H29.5"),
        answers=Response("H29", Code("626", "KH-UBND"), date(2026, 3, 2), "H29,2026/03/02,626/KH-UBND"),
        at=AT,
        description="Đã tiếp nhận",
    )
    text = build(made).decode()
    assert "<edXML:Code>626/KH-UBND</edXML:Code>" in text
    assert "TraceHeaderList" not in text
    assert "edXMLBody" not in text
    assert package(build(made)) == made


@pytest.mark.parametrize("inner", [zipped(PDF), zipped(zipped(PDF))])
def test_a_zip_that_looks_like_a_wrapper_is_delivered_as_the_same_file(inner):
    (found,) = package(build(simple(attachments=(attach("a.dat", inner),)))).attachments
    assert found.content == inner


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\ud800", "\ufffe"])
def test_characters_that_xml_cannot_hold_are_an_error(character):
    with pytest.raises(ValueError, match="U\\+"):
        build(simple(subject=f"a{character}b"))


@pytest.mark.parametrize(
    "fields", [{"sender": Organ("")}, {"recipients": ()}, {"document_id": ""}, {"kind": "status"}]
)
def test_an_incomplete_package_is_not_written(fields):
    with pytest.raises(ValueError, match="needs"):
        build(simple(**fields))


def test_constructors_check_codes():
    with pytest.raises(ValueError):
        status("99", sender=Organ("H29"), answers=Response(), at=AT)
    with pytest.raises(ValueError):
        status("03", sender=Organ(""), answers=Response(), at=AT)
