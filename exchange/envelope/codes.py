"""Code lists of edXML and the rules for organ codes (QCVN 102:2016, NĐ 30/2020, QĐ 20/2020)."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType

ORGAN_CODE_MAX = 64


@dataclass(frozen=True, slots=True)
class Label:
    """What a code means, for a person."""

    vi: str
    en: str


class BusinessType(StrEnum):
    """What a document does to an earlier one (QCVN 102, 2.2.1)."""

    NEW = "new"
    RECALL = "recall"
    UPDATE = "update"
    REPLACE = "replace"

    @property
    def wire(self) -> str:
        """The digit written in BussinessDocType."""
        return str(list(BusinessType).index(self))

    @property
    def label(self) -> Label:
        """The name of the business type for a person."""
        return _BUSINESS_LABELS[self]

    @classmethod
    def from_wire(cls, text: str) -> "BusinessType":
        """The type of the digit in BussinessDocType; ValueError when it is none of 0–3."""
        if not text.isascii() or not text.isdigit() or int(text[:4]) > 3:
            raise ValueError(text)
        return list(cls)[int(text[:4])]


_BUSINESS_LABELS = {
    BusinessType.NEW: Label("Văn bản mới", "New document"),
    BusinessType.RECALL: Label("Thu hồi", "Recall"),
    BusinessType.UPDATE: Label("Cập nhật", "Update"),
    BusinessType.REPLACE: Label("Thay thế", "Replacement"),
}


class Side(Enum):
    """Which party of a delivery writes a status."""

    RECIPIENT = "recipient"
    SENDER = "sender"


@dataclass(frozen=True, slots=True)
class StatusCode:
    """One two-digit status code; `by` is the party that sends it."""

    code: str
    label: Label
    by: Side


STATUS_CODES: Mapping[str, StatusCode] = MappingProxyType(
    {
        code: StatusCode(code, Label(vi, en), by)
        for code, vi, en, by in (
            ("01", "Đã đến", "Arrived", Side.RECIPIENT),
            ("02", "Từ chối tiếp nhận", "Refused", Side.RECIPIENT),
            ("03", "Đã tiếp nhận", "Accepted", Side.RECIPIENT),
            ("04", "Phân công", "Assigned", Side.RECIPIENT),
            ("05", "Đang xử lý", "In progress", Side.RECIPIENT),
            ("06", "Hoàn thành", "Done", Side.RECIPIENT),
            ("13", "Yêu cầu lấy lại", "Take-back requested", Side.SENDER),
            ("15", "Đồng ý cập nhật/lấy lại", "Update or take-back agreed", Side.RECIPIENT),
            ("16", "Từ chối cập nhật/lấy lại", "Update or take-back declined", Side.RECIPIENT),
        )
    }
)


def read_status(text: str) -> str:
    """The status code meant by `text`: one digit is padded, 14 is read as 15; ValueError when unknown."""
    code = text.strip().zfill(2)
    code = "15" if code == "14" else code
    if code not in STATUS_CODES:
        raise ValueError(text)
    return code


@dataclass(frozen=True, slots=True)
class Priority:
    """One urgency (edXML OtherInfo/Priority); a lower `rank` goes first in every queue."""

    value: int
    label: Label
    rank: int


PRIORITIES: Mapping[int, Priority] = MappingProxyType(
    {
        value: Priority(value, Label(vi, en), rank)
        for value, vi, en, rank in (
            (0, "Thường", "Normal", 3),
            (1, "Khẩn", "Urgent", 2),
            (2, "Thượng khẩn", "Very urgent", 1),
            (3, "Hỏa tốc", "Express", 0),
            (4, "Hỏa tốc hẹn giờ", "Express at a set hour", 0),
        )
    }
)


@dataclass(frozen=True, slots=True)
class DocumentKind:
    """An administrative kind of document by NĐ 30/2020, Điều 7; two kinds have no abbreviation."""

    name: str
    abbreviation: str


DOCUMENT_KINDS: tuple[DocumentKind, ...] = tuple(
    DocumentKind(name, abbreviation)
    for name, abbreviation in (
        ("Nghị quyết", "NQ"),
        ("Quyết định", "QĐ"),
        ("Chỉ thị", "CT"),
        ("Quy chế", "QC"),
        ("Quy định", "QyĐ"),
        ("Thông cáo", "TC"),
        ("Thông báo", "TB"),
        ("Hướng dẫn", "HD"),
        ("Chương trình", "CTr"),
        ("Kế hoạch", "KH"),
        ("Phương án", "PA"),
        ("Đề án", "ĐA"),
        ("Dự án", "DA"),
        ("Báo cáo", "BC"),
        ("Biên bản", "BB"),
        ("Tờ trình", "TTr"),
        ("Hợp đồng", "HĐ"),
        ("Công văn", ""),
        ("Công điện", "CĐ"),
        ("Bản ghi nhớ", "BGN"),
        ("Bản thỏa thuận", "BTT"),
        ("Giấy ủy quyền", "GUQ"),
        ("Giấy mời", "GM"),
        ("Giấy giới thiệu", "GGT"),
        ("Giấy nghỉ phép", "GNP"),
        ("Phiếu gửi", "PG"),
        ("Phiếu chuyển", "PC"),
        ("Phiếu báo", "PB"),
        ("Thư công", ""),
    )
)


def kind_of(type_name: str) -> DocumentKind | None:
    """The kind that a free TypeName begins with ("Kế hoạch tuần 3" is a Kế hoạch), None when none fits.

    DocumentType/Type cannot be trusted (edXML quirk 10), so kinds are mapped softly by name only.
    """
    wanted = _plain(type_name)
    fitting = [kind for kind in DOCUMENT_KINDS if f"{wanted} ".startswith(f"{_plain(kind.name)} ")]
    return max(fitting, key=lambda kind: len(kind.name), default=None)


def _plain(text: str) -> str:
    """Case, spacing, tone placement (hoà/hòa) and Unicode form do not distinguish kinds."""
    decomposed = unicodedata.normalize("NFD", " ".join(text.split()).casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def check_organ(code: str) -> str:
    """The organ code stripped, otherwise as written; codes are opaque (edXML 2.6).

    ValueError when it is empty, longer than 64 characters, or holds a space, control or bidi character.
    """
    stripped = code.strip()
    if not stripped:
        raise ValueError("empty")
    if len(stripped) > ORGAN_CODE_MAX:
        raise ValueError("longer than 64 characters")
    if any(unicodedata.category(c)[0] in "CZ" for c in stripped):
        raise ValueError("space, control or direction character")
    return stripped


def fold_organ(code: str) -> str:
    """The form in which organ codes are compared: stripped, NFC, upper case."""
    return unicodedata.normalize("NFC", code.strip()).upper()
