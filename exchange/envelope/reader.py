"""From a safe tree to a Package: fixed paths only, quirks read leniently, all problems at once."""

from datetime import date

from lxml import etree

from exchange.envelope.codes import BusinessType, check_organ, read_status
from exchange.envelope.contents import read_attachments, read_manifest
from exchange.envelope.fields import Fields, Findings
from exchange.envelope.parts import (
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
)
from exchange.envelope.xml import children, header, line, message_header, path
from exchange.refusals import Refused

RECIPIENTS_MAX = 1_500  # the acceptance event names every delivery and must fit a log entry (64 KiB)
"""More recipients than agencies of the city; beyond it one package would flood the queue."""
_REFERENCES_MAX = 50  # each is looked up while the package holds a transaction
_ADDED = "0"  # ReceiverType of who gets the document too, as in `plan`


def read(root: etree._Element, *, today: date | None = None) -> Package:
    """The package in a tree that has passed `xml.parse` (or is what a signature covers).

    `today` (of Vietnam) lets a promulgation date in the future be noted. Raises Refused with every problem:
    package.field-missing, package.field-invalid, package.attachment-broken, package.not-edxml,
    status.unknown-code.
    """
    findings = Findings()
    head = Fields(message_header(root), findings)
    read_one = _status if _is_status(head) else _document
    package = read_one(root, head, today)
    findings.raise_any()
    return package


def read_sender(root: etree._Element) -> str:
    """From/OrganId, untrusted: it only chooses whose certificates to try. Raises Refused."""
    head = message_header(root)
    senders = children(head, "From")
    if len(senders) > 1:
        raise _second_sender(senders[1])
    findings = Findings()
    organ = _organ_id(Fields(senders[0], findings)) if senders else ""
    if not senders:
        findings.missing(head, "From/OrganId")
    findings.raise_any()
    return organ


def _second_sender(element: etree._Element) -> Refused:
    vi, en = "có nhiều hơn một From", "more than one From"
    return Refused("package.not-edxml", xpath=path(element), line=line(element), why=vi, why_en=en)


def _is_status(head: Fields) -> bool:
    """A StatusCode makes a status; an empty one beside a Subject is only an empty element (quirk 5)."""
    code = head.one("StatusCode")
    if code is None:
        return False
    is_document = bool(head.all("Subject") or head.all("To"))
    filled = bool(head.text("StatusCode"))
    if filled and is_document:
        vi, en = "vừa là văn bản vừa là trạng thái", "the package is both a document and a status"
        head.findings.invalid(code, "StatusCode", vi, en)
    return filled or not is_document


# --- documents --------------------------------------------------------------------------------------------


def _document(root: etree._Element, head: Fields, today: date | None) -> Package:
    promulgation = head.group("PromulgationInfo")
    document_id = head.identifier("DocumentId")
    manifest = read_manifest(root, head.findings)
    recipients, business = _recipients(head), _business(root, head.findings)
    _check_added(head, recipients, business)
    return Package(
        kind="document",
        sender=_sender(head),
        recipients=recipients,
        document_id=document_id,
        code=_code(head, document_id),
        place=promulgation.text("Place", 50) if promulgation else "",
        promulgation_date=_promulgation_date(head, promulgation, today),
        document_type=_document_type(head),
        subject=head.required("Subject", 500),
        content=head.text("Content", 500),
        signer=_signer(head),
        due_date=head.day("DueDate"),
        other=_other_info(head),
        responses=_responses(head),
        steering_type=head.text("SteeringType"),
        to_places=head.texts("ToPlaces", "Place", 150),
        task_codes=head.texts("ResponseForTask", "TaskCode"),
        application_type=head.text("ApplicationType"),
        traces=_traces(root, head.findings),
        business=business,
        manifest=manifest,
        attachments=read_attachments(root, manifest, head.findings),
        warnings=tuple(head.findings.notes),
    )


def _sender(head: Fields) -> Organ:
    senders = head.all("From")
    if not senders:
        head.findings.missing(head.element, "From/OrganId")
        return Organ("")
    if len(senders) > 1:
        vi, en = "có nhiều hơn một From", "more than one From"
        head.findings.refuse(senders[1], "package.not-edxml", why=vi, why_en=en)
    return _organ(Fields(senders[0], head.findings))


def _recipients(head: Fields) -> tuple[Organ, ...]:
    elements = head.all("To")
    found = _at_most(RECIPIENTS_MAX, "To", [Fields(e, head.findings) for e in elements])
    if elements and not found:
        return ()
    filled = [fields for fields in found if _has_text(fields.element)]
    if not filled:
        head.findings.missing(head.element, "To/OrganId")
    return tuple(_organ(fields) for fields in filled)


def _at_most(most: int, name: str, found: list[Fields]) -> list[Fields]:
    """`found`, or nothing and a problem when there are more than `most`: each costs a look-up."""
    if len(found) <= most:
        return found
    first = found[most]
    first.findings.invalid(first.element, name, f"có quá {most} {name}", f"more than {most} {name}")
    return []


def _check_added(head: Fields, recipients: tuple[Organ, ...], business: Business) -> None:
    """Those added by an update count too, each once: real updates repeat them in To."""
    added = {one.organ_id for one in business.receivers if one.type == _ADDED}
    if len(added.union(one.organ_id for one in recipients)) > RECIPIENTS_MAX:
        vi, en = f"quá {RECIPIENTS_MAX} nơi nhận", f"more than {RECIPIENTS_MAX} recipients"
        head.findings.invalid(head.element, "To", f"{vi} kể cả nơi được thêm", f"{en} with those added")


def _organ(fields: Fields) -> Organ:
    return Organ(
        organ_id=_organ_id(fields),
        name=fields.text("OrganName", 200),
        in_charge=fields.text("OrganizationInCharge", 500),
        address=fields.text("OrganAdd", 500),
        email=fields.text("Email", 100),
        telephone=fields.text("Telephone", 20),
        fax=fields.text("Fax", 20),
        website=fields.text("Website", 200),
    )


def _organ_id(fields: Fields) -> str:
    text = fields.required("OrganId")
    element = fields.one("OrganId") if text else None
    if element is None:
        return text
    try:
        return check_organ(text)
    except ValueError:
        vi = "mã định danh dài quá 64 ký tự hoặc chứa khoảng trắng, ký tự điều khiển"
        en = "an organ code has at most 64 characters and no spaces or control characters"
        fields.findings.invalid(element, "OrganId", vi, en)
        return ""


def _code(head: Fields, document_id: str) -> Code | None:
    """Number and notation; absent ones are noted where the DocumentId still names the document (quirk 13)."""
    group = head.group("Code")
    code = _pair(group) if group else None
    if code and (code.raw or (code.number and code.notation)):
        return code
    if not code and not document_id:
        head.findings.missing(head.element, "Code")
    elif code:
        vi, en = "Thiếu số hoặc ký hiệu văn bản", "The number or the notation of the document is missing"
        head.findings.note(head.element, "code.incomplete", vi, en)
    else:
        vi, en = "Thiếu số, ký hiệu văn bản", "Number and notation of the document are missing"
        head.findings.note(head.element, "code.missing", vi, en)
    return code


def _pair(group: Fields) -> Code | None:
    """CodeNumber and CodeNotation, or `number/notation` in one string."""
    if not (group.all("CodeNumber") or group.all("CodeNotation")):
        text = group.value(group.element, "Code")
        return Code.from_text(text) if text else None
    number, notation = group.text("CodeNumber", 11), group.text("CodeNotation", 30)
    return Code(number, notation) if number or notation else None


def _promulgation_date(head: Fields, group: Fields | None, today: date | None) -> date | None:
    if group is None:
        head.findings.missing(head.element, "PromulgationInfo/PromulgationDate")
        return None
    found = group.required_day("PromulgationDate")
    if found and today and found > today:
        vi, en = "Ngày ban hành ở tương lai", "The promulgation date is in the future"
        head.findings.note(group.element, "date.future", vi, en)
    return found


def _document_type(head: Fields) -> DocumentType:
    group = head.group("DocumentType")
    if group is None:
        return DocumentType()
    return DocumentType(group.text("Type"), group.text("TypeDetail"), group.text("TypeName", 100))


def _signer(head: Fields) -> Signer | None:
    group = head.group("SignerInfo")
    if group is None:
        return None
    signer = Signer(group.text("Competence"), group.text("Position", 100), group.text("FullName", 50))
    return signer if signer != Signer() else None


def _other_info(head: Fields) -> OtherInfo:
    group = head.group("OtherInfo")
    if group is None:
        return OtherInfo()
    return OtherInfo(
        priority=_priority(group),
        sphere=group.text("SphereOfPromulgation", 100),
        typist=group.text("TyperNotation"),
        copies=group.number("PromulgationAmount"),
        pages=group.number("PageAmount"),
        direction=group.flag("Direction"),
        reply_fors=_extras(group, "ReplyFors"),
        reference_codes=_extras(group, "ReferenceCodes"),
        appendixes=group.texts("Appendixes", "Appendix"),
    )


def _priority(group: Fields) -> int:
    found = group.number("Priority") or 0
    if found <= 4:
        return found
    group.unreadable("Priority", str(found))
    return 0


def _extras(group: Fields, name: str) -> tuple[str, ...]:
    """A vendor list whose inner names are not known: one line per child, its own children joined."""
    outer = group.group(name)
    if outer is None:
        return ()
    lines = []
    for item in outer.element.iterchildren(etree.Element):
        texts = ((e.text or "").strip() for e in item.iter(etree.Element))
        lines.append("/".join(text for text in texts if text)[:500])
    if not lines:
        lines.append(outer.value(outer.element, name, 500))
    return tuple(text for text in lines if text)


def _responses(head: Fields) -> tuple[Response, ...]:
    elements = head.all("ResponseFor")
    found = _at_most(_REFERENCES_MAX, "ResponseFor", [Fields(e, head.findings) for e in elements])
    return tuple(response for response in map(_response, found) if response != Response())


def _response(fields: Fields) -> Response:
    code = fields.group("Code")
    return Response(
        organ_id=fields.text("OrganId"),
        code=_pair(code) if code else None,
        promulgation_date=fields.day("PromulgationDate"),
        document_id=fields.text("DocumentId"),
    )


def _has_text(element: etree._Element) -> bool:
    return any((text or "").strip() for text in element.itertext())


# --- trace list and business ------------------------------------------------------------------------------


def _traces(root: etree._Element, findings: Findings) -> tuple[Trace, ...]:
    found = Fields(header(root), findings).groups("TraceHeaderList", "TraceHeader")
    return tuple(Trace(fields.text("OrganId"), fields.moment("Timestamp")) for fields in found)


def _business(root: etree._Element, findings: Findings) -> Business:
    """Bussiness; without one the document is new (quirk 13)."""
    traces = Fields(header(root), findings).group("TraceHeaderList")
    group = traces.group("Business") if traces else None
    if group is None:
        return Business()
    kind = _business_type(group)
    info = group.group("BusinessDocumentInfo")
    business = Business(
        type=kind,
        reason=group.text("BusinessDocReason"),
        document_info=info.flag("DocumentInfo") if info else None,
        document_receiver=info.flag("DocumentReceiver") if info else None,
        receivers=_receivers(info) if info else (),
        document_id="" if kind is BusinessType.NEW else group.text("DocumentId"),
        staff=_staff(group),
        paper=group.flag("Paper"),
        replacements=_replacements(group),
    )
    if kind is BusinessType.REPLACE and not (business.replacements or business.document_id):
        findings.missing(group.element, "ReplacementInfoList/ReplacementInfo/DocumentId")
    return business


def _business_type(group: Fields) -> BusinessType:
    text = group.text("BusinessDocType")
    try:
        return BusinessType.from_wire(text) if text else BusinessType.NEW
    except ValueError:
        element = group.all("BusinessDocType")[0]
        group.findings.invalid(
            element, "BussinessDocType", "phải là 0, 1, 2 hoặc 3", "it must be 0, 1, 2 or 3"
        )
        return BusinessType.NEW


def _receivers(info: Fields) -> tuple[Receiver, ...]:
    found = _at_most(RECIPIENTS_MAX, "Receiver", info.groups("ReceiverList", "Receiver"))
    changes = (Receiver(fields.text("ReceiverType"), fields.text("OrganId")) for fields in found)
    return tuple(change for change in changes if change.organ_id)


def _replacements(group: Fields) -> tuple[Replacement, ...]:
    found = group.groups("ReplacementInfoList", "ReplacementInfo")
    some = _at_most(_REFERENCES_MAX, "ReplacementInfo", found)
    replaced = (Replacement(fields.text("DocumentId"), _replaced_at(fields)) for fields in some)
    return tuple(one for one in replaced if one.document_id)


def _replaced_at(fields: Fields) -> tuple[str, ...]:
    outer = fields.group("OrganIdList")
    if outer is None:
        return ()
    organs = _at_most(RECIPIENTS_MAX, "OrganId", [Fields(e, fields.findings) for e in outer.all("OrganId")])
    values = (outer.value(one.element, "OrganId") for one in organs)
    return tuple(value for value in values if value)


def _staff(parent: Fields) -> Staff | None:
    group = parent.group("StaffInfo")
    if group is None:
        return None
    names = ("Department", "DepartmentId", "Staff", "StaffId", "Mobile", "Email")
    staff = Staff(*(group.text(name) for name in names))
    return staff if staff != Staff() else None


# --- statuses ---------------------------------------------------------------------------------------------


def _status(root: etree._Element, head: Fields, _today: date | None) -> Package:
    manifest = read_manifest(root, head.findings)
    return Package(
        kind="status",
        sender=_sender(head),
        responses=_answered(head),
        status_code=_status_code(head),
        description=head.text("Description"),
        staff=_staff(head),
        at=head.moment("Timestamp"),
        manifest=manifest,
        attachments=read_attachments(root, manifest, head.findings),
        warnings=tuple(head.findings.notes),
    )


def _answered(head: Fields) -> tuple[Response, ...]:
    """A status answers exactly one document and names it by DocumentId or Code at least."""
    group = head.group("ResponseFor")
    response = _response(group) if group else Response()
    if not (response.document_id or response.code):
        head.findings.missing(head.element, "ResponseFor/DocumentId")
    return (response,)


def _status_code(head: Fields) -> str:
    text = head.required("StatusCode")
    try:
        return read_status(text) if text else ""
    except ValueError:
        head.findings.refuse(head.all("StatusCode")[0], "status.unknown-code", status=text[:40])
        return ""
