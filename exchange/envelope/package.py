"""Packages: what they hold, how they are read and written. The parts live in parts.py, the work in reader.py
and writer.py; everybody else imports from here.
"""

from collections.abc import Sequence
from datetime import date, datetime
from hashlib import sha256

from exchange.envelope.attachments import media_type, safe_name
from exchange.envelope.codes import check_organ, read_status
from exchange.envelope.parts import (
    VIETNAM,
    Attachment,
    AttachmentRef,
    Business,
    Code,
    DocumentType,
    Kind,
    Note,
    Organ,
    OtherInfo,
    Package,
    Receiver,
    Replacement,
    Response,
    Signer,
    Staff,
    Trace,
)
from exchange.envelope.reader import read, read_sender
from exchange.envelope.writer import build

__all__ = [
    "VIETNAM",
    "Attachment",
    "AttachmentRef",
    "Business",
    "Code",
    "DocumentType",
    "Kind",
    "Note",
    "Organ",
    "OtherInfo",
    "Package",
    "Receiver",
    "Replacement",
    "Response",
    "Signer",
    "Staff",
    "Trace",
    "attach",
    "build",
    "document",
    "document_id",
    "read",
    "read_sender",
    "status",
]


def document_id(organ_id: str, day: date, code: Code) -> str:
    """The official form `{OrganId},{yyyy/MM/dd},{number}/{notation}` (edXML 1.4)."""
    return f"{organ_id},{day:%Y/%m/%d},{code.text}"


def attach(name: str, content: bytes, *, content_id: str = "", description: str = "") -> Attachment:
    """An attachment made from a file; its type is read from its bytes, its name made safe."""
    safe = safe_name(name)
    return Attachment(
        content_id=content_id,
        name=safe,
        original_name=name,
        description=description or safe,
        media_type=media_type(content),
        declared_type="",
        size=len(content),
        sha256=sha256(content).hexdigest(),
        content=content,
    )


def document(
    *,
    sender: Organ,
    recipients: Sequence[Organ],
    code: Code,
    day: date,
    subject: str,
    at: datetime,
    identifier: str = "",
    type_name: str = "Công văn",
    place: str = "",
    priority: int = 0,
    due_date: date | None = None,
    signer: Signer | None = None,
    business: Business | None = None,
    responses: Sequence[Response] = (),
    attachments: Sequence[Attachment] = (),
) -> Package:
    """A simple document, sent by `sender` at `at`. `day` is its promulgation date.

    `identifier` is its DocumentId, by default the official form. Raises ValueError for a bad organ code.
    """
    for organ in (sender, *recipients):
        check_organ(organ.organ_id)
    return Package(
        kind="document",
        sender=sender,
        recipients=tuple(recipients),
        document_id=identifier or document_id(sender.organ_id, day, code),
        code=code,
        place=place,
        promulgation_date=day,
        document_type=DocumentType(type="2", name=type_name),
        subject=subject,
        content=subject,
        signer=signer,
        due_date=due_date,
        other=OtherInfo(priority=priority),
        responses=tuple(responses),
        traces=(Trace(sender.organ_id, at),),
        business=business or Business(reason="Văn bản điện tử mới"),
        attachments=tuple(attachments),
    )


def status(
    code: str,
    *,
    sender: Organ,
    answers: Response,
    at: datetime,
    description: str = "",
    staff: Staff | None = None,
) -> Package:
    """A status message (edXML 1.7): `sender` says `code` about the document named by `answers`.

    Code 13 is written by the document's sender, with the recipient's code in `answers.organ_id`. The code of
    the document is written as one string. Raises ValueError for an unknown status or a bad organ code.
    """
    check_organ(sender.organ_id)
    named = answers.code
    text = None if named is None else Code.from_text(named.text)
    return Package(
        kind="status",
        sender=sender,
        responses=(Response(answers.organ_id, text, answers.promulgation_date, answers.document_id),),
        status_code=read_status(code),
        description=description,
        staff=staff,
        at=at,
    )
