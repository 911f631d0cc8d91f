"""The manifest and the attachments of a package tree, read and opened (edXML 1.5)."""

from dataclasses import dataclass, replace
from hashlib import sha256

from lxml import etree

from exchange.envelope.attachments import (
    OOXML,
    WRAPPER_LIMITS,
    BrokenAttachment,
    Opened,
    decode,
    media_type,
    unique_names,
    unwrap,
)
from exchange.envelope.fields import Fields, Findings
from exchange.envelope.parts import Attachment, AttachmentRef
from exchange.envelope.xml import envelope

# All wrappers of one package together may grow to this many bytes, or to this many per byte sent if that
# is more.
_BUDGET = 64 * 1024 * 1024
_BUDGET_RATIO = 4

_EXPECTED = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "doc": "application/msword",
    "xls": "application/vnd.ms-excel",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "zip": "application/zip",
}


@dataclass(slots=True)
class _Budget:
    left: int

    def open(self, packed: bytes, name: str) -> Opened:
        """Unwrap within what is left, so that many small bombs are one bomb. Raises BrokenAttachment."""
        limits = replace(WRAPPER_LIMITS, max_bytes=min(WRAPPER_LIMITS.max_bytes, self.left))
        opened = unwrap(packed, name, limits)
        if opened.wrapped:
            self.left -= len(opened.content)
        return opened


def read_manifest(root: etree._Element, findings: Findings) -> tuple[AttachmentRef, ...]:
    """The References of edXMLBody/edXMLManifest as declared; empty where there is none."""
    body = Fields(envelope(root), findings).group("edXMLBody")
    found = body.groups("edXMLManifest", "Reference") if body else []
    return tuple(
        AttachmentRef(_content_id(f), f.text("ContentType"), f.text("Description"), f.text("AttachmentName"))
        for f in found
    )


def read_attachments(
    root: etree._Element, manifest: tuple[AttachmentRef, ...], findings: Findings
) -> tuple[Attachment, ...]:
    """Every attachment, decoded and unwrapped. What cannot be had is a problem, package.attachment-broken."""
    declared = {ref.content_id: ref for ref in manifest if ref.content_id}
    groups = Fields(root, findings).groups("AttachmentEncoded", "Attachment")
    budget = _Budget(max(_BUDGET, _BUDGET_RATIO * sum(len(_encoded(fields)) for fields in groups)))
    found: list[Attachment] = []
    for fields in groups:
        if len(fields.element):
            ref = declared.pop(_content_id(fields), AttachmentRef())
            attachment = _attachment(fields, ref, budget)
            found.extend([attachment] if attachment else [])
    for ref in declared.values():
        _note_absent(root, ref, findings)
    names = unique_names(attachment.original_name for attachment in found)
    return tuple(replace(attachment, name=name) for attachment, name in zip(found, names, strict=True))


def _attachment(fields: Fields, ref: AttachmentRef, budget: _Budget) -> Attachment | None:
    name = fields.text("AttachmentName") or ref.name
    encoded = fields.one("ContentTransferEncoded")
    try:
        opened = budget.open(decode(_encoded(fields)), name)
    except BrokenAttachment as error:
        at = fields.element if encoded is None else encoded
        fields.findings.refuse(
            at, "package.attachment-broken", name=name or ref.content_id, why=error.vi, why_en=error.en
        )
        return None
    attachment = Attachment(
        content_id=_content_id(fields),
        name=name,
        original_name=name,
        description=fields.text("Description") or ref.description,
        declared_type=fields.text("ContentType") or ref.content_type,
        media_type=media_type(opened.content),
        size=len(opened.content),
        sha256=sha256(opened.content).hexdigest(),
        content=opened.content,
    )
    _note_doubts(fields, attachment, opened)
    return attachment


def _encoded(fields: Fields) -> str:
    """The base64 text; "" where it is absent or holds elements."""
    element = fields.one("ContentTransferEncoded")
    return "" if element is None or len(element) else element.text or ""


def _content_id(fields: Fields) -> str:
    """The content id without `cid:`, which senders write or leave out at will (quirk 12)."""
    text = fields.text("ContentId")
    return text[4:].strip() if text[:4].lower() == "cid:" else text


def _note_doubts(fields: Fields, attachment: Attachment, opened: Opened) -> None:
    name = attachment.original_name
    if opened.broken_zip:
        vi, en = f"Tệp ZIP “{name}” bị hỏng, giữ nguyên", f"The ZIP “{name}” is broken and was kept as it is"
        fields.findings.note(fields.element, "attachment.zip-broken", vi, en)
        return
    kind = attachment.media_type
    expected = _EXPECTED.get(name.rpartition(".")[2].lower(), kind)
    # An office file that does not show which one it is (`OOXML`) may be any of them.
    if expected != kind and not (kind == OOXML and expected.startswith(kind.removesuffix("package"))):
        vi = f"Nội dung “{name}” không đúng phần mở rộng: thực tế là {kind}"
        en = f"The content of “{name}” does not fit its extension: it is {kind}"
        fields.findings.note(fields.element, "attachment.type-differs", vi, en)


def _note_absent(root: etree._Element, ref: AttachmentRef, findings: Findings) -> None:
    vi = f"Danh mục có tệp “{ref.name or ref.content_id}” nhưng gói tin không kèm tệp này"
    en = f"The manifest names “{ref.name or ref.content_id}”, which the package does not hold"
    findings.note(root, "attachment.absent", vi, en)
