"""From a Package to bytes: QCVN order, and exactly the prefixes that existing readers demand (edXML 1.1).

Written by hand because XML libraries choose prefixes themselves when two stand for one namespace.
"""

import io
import re
import zipfile
from collections.abc import Iterable
from datetime import date, datetime

from exchange.envelope.attachments import ZIP, encode, unwrap
from exchange.envelope.parts import (
    VIETNAM,
    Attachment,
    Business,
    Code,
    Organ,
    OtherInfo,
    Package,
    Response,
    Staff,
)
from exchange.envelope.xml import NS

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_STEP = "  "

Lines = list[str]


def build(package: Package) -> bytes:
    """The edXML file of `package`, unsigned, UTF-8.

    Raises ValueError when the sender, the recipients or what a status answers is missing, or for characters
    that XML cannot hold.
    """
    if not package.sender.organ_id:
        raise ValueError("a package needs a sender")
    head = _status(package) if package.kind == "status" else _document(package)
    header = _tag("MessageHeader", head)
    parts = _tag("edXMLHeader", header if package.kind == "status" else header + _trace_list(package))
    if package.kind == "document" or package.attachments:
        parts += _body(package.attachments)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<edXML xmlns="{NS}">',
        *_indent(_tag("edXMLEnvelope", parts, f' xmlns:edXML="{NS}"')),
        *_indent(_encoded(package.attachments)),
        "</edXML>",
        "",
    ]
    return "\n".join(lines).encode()


# --- the message header -----------------------------------------------------------------------------------


def _document(package: Package) -> Lines:
    if not package.recipients or not package.document_id:
        raise ValueError("a document needs recipients and a DocumentId")
    kind, signer = package.document_type, package.signer
    return [
        *_organ("From", package.sender),
        *_each(_organ("To", recipient) for recipient in package.recipients),
        *(_code(package.code) if package.code else []),
        *_tag(
            "PromulgationInfo",
            _leaf("Place", package.place) + _leaf("PromulgationDate", _day(package.promulgation_date)),
        ),
        *_tag(
            "DocumentType",
            _leaf("Type", kind.type) + _some("TypeDetail", kind.detail) + _leaf("TypeName", kind.name),
        ),
        *_leaf("Subject", package.subject),
        *_some("Content", package.content),
        *(
            _tag(
                "SignerInfo",
                _leaf("Competence", signer.competence)
                + _leaf("Position", signer.position)
                + _leaf("FullName", signer.full_name),
            )
            if signer
            else []
        ),
        *_leaf("DueDate", _day(package.due_date)),
        *_list("ToPlaces", "Place", package.to_places),
        *_other_info(package.other),
        *_each(_response(response) for response in package.responses),
        *_some("SteeringType", package.steering_type),
        *_leaf("DocumentId", package.document_id),
        *_list("ResponseForTask", "TaskCode", package.task_codes),
        *_some("ApplicationType", package.application_type),
    ]


def _status(package: Package) -> Lines:
    if not package.status_code or not package.responses:
        raise ValueError("a status needs its code and what it answers")
    return [
        *_organ("From", package.sender),
        *_response(package.response),
        *_staff(package.staff or Staff()),
        *_leaf("StatusCode", package.status_code),
        *_leaf("Description", package.description),
        *_leaf("Timestamp", _moment(package.at)),
    ]


def _organ(name: str, organ: Organ) -> Lines:
    return _tag(
        name,
        [
            *_leaf("OrganId", organ.organ_id),
            *_leaf("OrganizationInCharge", organ.in_charge),
            *_leaf("OrganName", organ.name),
            *_leaf("OrganAdd", organ.address),
            *_leaf("Email", organ.email),
            *_leaf("Telephone", organ.telephone),
            *_leaf("Fax", organ.fax),
            *_leaf("Website", organ.website),
        ],
    )


def _code(code: Code) -> Lines:
    if code.raw:
        return _leaf("Code", code.raw)
    return _tag("Code", _leaf("CodeNumber", code.number) + _leaf("CodeNotation", code.notation))


def _other_info(other: OtherInfo) -> Lines:
    return _tag(
        "OtherInfo",
        [
            *_leaf("Priority", str(other.priority)),
            *_some("SphereOfPromulgation", other.sphere),
            *_some("TyperNotation", other.typist),
            *_some("PromulgationAmount", _number(other.copies)),
            *_some("PageAmount", _number(other.pages)),
            *_some("Direction", "" if other.direction is None else str(other.direction).lower()),
            *_list("ReplyFors", "ReplyFor", other.reply_fors),
            *_list("ReferenceCodes", "ReferenceCode", other.reference_codes),
            *_list("Appendixes", "Appendix", other.appendixes),
        ],
    )


def _response(response: Response) -> Lines:
    return _tag(
        "ResponseFor",
        [
            *_leaf("OrganId", response.organ_id),
            *(_code(response.code) if response.code else []),
            *_leaf("PromulgationDate", _day(response.promulgation_date)),
            *_leaf("DocumentId", response.document_id),
        ],
    )


def _staff(staff: Staff) -> Lines:
    return _tag(
        "StaffInfo",
        [
            *_leaf("Department", staff.department),
            *_some("DepartmentId", staff.department_id),
            *_leaf("Staff", staff.staff),
            *_some("StaffId", staff.staff_id),
            *_leaf("Mobile", staff.mobile),
            *_leaf("Email", staff.email),
        ],
    )


# --- traces and business ----------------------------------------------------------------------------------


def _trace_list(package: Package) -> Lines:
    traces = (
        _tag("TraceHeader", _leaf("OrganId", trace.organ_id) + _leaf("Timestamp", _moment(trace.at)))
        for trace in package.traces
    )
    return _tag("TraceHeaderList", [*_each(traces), *_business(package.business)])


def _business(business: Business) -> Lines:
    return _tag(
        "Bussiness",
        [
            *_leaf("BussinessDocType", business.type.wire),
            *_leaf("BussinessDocReason", business.reason),
            *_document_info(business),
            *_some("DocumentId", business.document_id),
            *(_staff(business.staff) if business.staff else []),
            *_some("Paper", _flag(business.paper)),
            *_replacements(business),
        ],
    )


def _document_info(business: Business) -> Lines:
    receivers = _each(
        _tag("Receiver", _leaf("ReceiverType", change.type) + _leaf("OrganId", change.organ_id))
        for change in business.receivers
    )
    inner = [
        *_some("DocumentInfo", _flag(business.document_info)),
        *_some("DocumentReceiver", _flag(business.document_receiver)),
        *(_tag("ReceiverList", receivers) if receivers else []),
    ]
    return _tag("BussinessDocumentInfo", inner) if inner else []


def _replacements(business: Business) -> Lines:
    replaced = _each(
        _tag(
            "ReplacementInfo",
            _leaf("DocumentId", one.document_id) + _list("OrganIdList", "OrganId", one.organ_ids),
        )
        for one in business.replacements
    )
    return _tag("ReplacementInfoList", replaced) if replaced else []


# --- attachments ------------------------------------------------------------------------------------------


def _body(attachments: tuple[Attachment, ...]) -> Lines:
    references = _each(
        _tag(
            "Reference",
            [
                *_leaf("ContentId", _cid(attachment, index)),
                *_leaf("ContentType", attachment.media_type),
                *_leaf("Description", attachment.description or attachment.name),
                *_leaf("AttachmentName", attachment.name),
            ],
        )
        for index, attachment in enumerate(attachments)
    )
    return _tag("edXMLBody", _tag("edXMLManifest", references, ' version="1.0"'))


def _encoded(attachments: tuple[Attachment, ...]) -> Lines:
    lines: Lines = []
    for index, attachment in enumerate(attachments):
        content_type, content = _transfer(attachment)
        plain = (
            ("ContentId", _cid(attachment, index)),
            ("AttachmentName", attachment.name),
            ("Description", attachment.description or attachment.name),
            ("ContentType", content_type),
        )
        lines += [
            "<Attachment>",
            *(f"{_STEP}<{name}>{_escape(text)}</{name}>" for name, text in plain),
            f'{_STEP}<edXML:ContentTransferEncoded xmlns:edXML="{NS}">{encode(content)}'
            "</edXML:ContentTransferEncoded>",
            "</Attachment>",
        ]
    return ["<AttachmentEncoded>", *_indent(lines), "</AttachmentEncoded>"] if lines else []


def _transfer(attachment: Attachment) -> tuple[str, bytes]:
    """Type and bytes on the wire: raw, except for a file that readers would take for a wrapper."""
    content = attachment.content
    if not unwrap(content, attachment.name).wrapped:
        return attachment.media_type, content
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("tep.zip", (1980, 1, 1, 0, 0, 0)), content)
    return ZIP, out.getvalue()


def _cid(attachment: Attachment, index: int) -> str:
    return f"cid:{attachment.content_id or index + 1}"


# --- elements ---------------------------------------------------------------------------------------------


def _leaf(name: str, text: str) -> Lines:
    return [f"<edXML:{name}>{_escape(text)}</edXML:{name}>"]


def _some(name: str, text: str) -> Lines:
    return _leaf(name, text) if text else []


def _tag(name: str, inner: Lines, attributes: str = "") -> Lines:
    return [f"<edXML:{name}{attributes}>", *_indent(inner), f"</edXML:{name}>"]


def _list(name: str, inner: str, values: Iterable[str]) -> Lines:
    lines = _each(_leaf(inner, value) for value in values)
    return _tag(name, lines) if lines else []


def _each(parts: Iterable[Lines]) -> Lines:
    return [line for part in parts for line in part]


def _indent(lines: Lines) -> Lines:
    return [_STEP + line for line in lines]


def _escape(text: str) -> str:
    found = _NOT_XML.search(text)
    if found is not None:
        raise ValueError(f"XML cannot hold the character U+{ord(found[0]):04X}")
    return text.translate(_ESCAPES)


def _day(value: date | None) -> str:
    return "" if value is None else f"{value:%Y/%m/%d}"


def _moment(value: datetime | None) -> str:
    return "" if value is None else f"{value.astimezone(VIETNAM):%Y/%m/%d %H:%M:%S}"


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _flag(value: bool | None) -> str:
    return "" if value is None else str(int(value))
