"""The parts of a package as frozen dataclasses; the numbers are those of QCVN 102:2016 (edXML 1.2–1.7).

Text is kept as written, only stripped; "" stands for absent text, None for any other absent value.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Literal

from exchange.envelope.codes import BusinessType

VIETNAM = timezone(timedelta(hours=7))
"""The zone of every time in a package, which names none."""

Kind = Literal["document", "status"]


@dataclass(frozen=True, slots=True)
class Note:
    """Something read leniently that its sender should know: a warning, never a refusal."""

    code: str
    detail_vi: str
    detail_en: str
    xpath: str = ""


@dataclass(frozen=True, slots=True)
class Organ:
    """From and To (1.1, 1.2)."""

    organ_id: str
    name: str = ""
    in_charge: str = ""
    address: str = ""
    email: str = ""
    telephone: str = ""
    fax: str = ""
    website: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """Number and notation (1.3); `raw` is the one string that some elements hold instead of the two."""

    number: str
    notation: str
    raw: str = ""

    @property
    def text(self) -> str:
        """`number/notation` for a person; a notation that already holds the number is not doubled."""
        if self.raw:
            return self.raw
        if not self.number or self.notation.startswith(f"{self.number}/"):
            return self.notation
        return f"{self.number}/{self.notation}" if self.notation else self.number

    @classmethod
    def from_text(cls, text: str) -> "Code":
        """The pair inside `number/notation`; text without a slash is a number only if it is digits."""
        number, slash, notation = text.partition("/")
        if slash:
            return cls(number.strip(), notation.strip(), raw=text)
        return cls(text, "", raw=text) if text.isdigit() else cls("", text, raw=text)


@dataclass(frozen=True, slots=True)
class DocumentType:
    """1.5. `type` and `detail` cannot be trusted; `name` is what a person should see."""

    type: str = ""
    detail: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Signer:
    """1.8."""

    competence: str = ""
    position: str = ""
    full_name: str = ""


@dataclass(frozen=True, slots=True)
class OtherInfo:
    """1.11. `priority` is 0..4; `direction`, `reply_fors` and `reference_codes` are vendor extras."""

    priority: int = 0
    sphere: str = ""
    typist: str = ""
    copies: int | None = None
    pages: int | None = None
    direction: bool | None = None
    reply_fors: tuple[str, ...] = ()
    reference_codes: tuple[str, ...] = ()
    appendixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Response:
    """ResponseFor (1.12): which document this package answers. Any field may be wrong (quirk 15)."""

    organ_id: str = ""
    code: Code | None = None
    promulgation_date: date | None = None
    document_id: str = ""


@dataclass(frozen=True, slots=True)
class Staff:
    """2.2.5, and the person behind a status."""

    department: str = ""
    department_id: str = ""
    staff: str = ""
    staff_id: str = ""
    mobile: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """One hop (2.1). `organ_id` may be empty or somebody else than the sender (quirk 6)."""

    organ_id: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Receiver:
    """A change of the receiver list (2.2.3); `type` is 0 or 1, which is which is not stated anywhere."""

    type: str
    organ_id: str


@dataclass(frozen=True, slots=True)
class Replacement:
    """A replaced document and the organs concerned (2.2.8)."""

    document_id: str
    organ_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Business:
    """2.2. `document_id` is empty for type `new`, where senders leave stale ids (quirk 7)."""

    type: BusinessType = BusinessType.NEW
    reason: str = ""
    document_info: bool | None = None
    document_receiver: bool | None = None
    receivers: tuple[Receiver, ...] = ()
    document_id: str = ""
    staff: Staff | None = None
    paper: bool | None = None
    replacements: tuple[Replacement, ...] = ()


@dataclass(frozen=True, slots=True)
class AttachmentRef:
    """One Reference of the manifest, as declared; `content_id` without `cid:`."""

    content_id: str = ""
    content_type: str = ""
    description: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """One attachment, opened: `content` are the bytes of the file itself, `media_type` what they show.

    `name` is safe and unique within the package; `original_name` is as sent. `size` in bytes, `sha256` hex.
    """

    content_id: str
    name: str
    media_type: str
    size: int
    sha256: str
    content: bytes = field(repr=False)
    original_name: str = ""
    description: str = ""
    declared_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One edXML message; the fields that only the other kind has are empty."""

    kind: Kind
    sender: Organ
    recipients: tuple[Organ, ...] = ()
    document_id: str = ""
    code: Code | None = None
    place: str = ""
    promulgation_date: date | None = None
    document_type: DocumentType = DocumentType()
    subject: str = ""
    content: str = ""
    signer: Signer | None = None
    due_date: date | None = None
    other: OtherInfo = OtherInfo()
    responses: tuple[Response, ...] = ()
    steering_type: str = ""
    to_places: tuple[str, ...] = ()
    task_codes: tuple[str, ...] = ()
    application_type: str = ""
    traces: tuple[Trace, ...] = ()
    business: Business = Business()
    status_code: str = ""
    description: str = ""
    staff: Staff | None = None
    at: datetime | None = None
    manifest: tuple[AttachmentRef, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    warnings: tuple[Note, ...] = ()

    @property
    def business_type(self) -> BusinessType:
        """What a document does to an earlier one."""
        return self.business.type

    @property
    def priority(self) -> int:
        """0..4, see codes.PRIORITIES."""
        return self.other.priority

    @property
    def response(self) -> Response:
        """What a status answers; empty when the package answers nothing."""
        return self.responses[0] if self.responses else Response()
