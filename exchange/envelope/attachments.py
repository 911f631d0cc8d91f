"""Attachments: base64, ZIP wrappers, media type by magic bytes, safe names (edXML 1.5).

Nothing a sender declares about an attachment is believed: the bytes decide what it is, and the name is made
safe for every file system and header it may meet.
"""

import base64
import binascii
import io
import re
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

ZIP: Final = "application/zip"
BINARY: Final = "application/octet-stream"
TEXT: Final = "text/plain"
PDF: Final = "application/pdf"

NAME_MAX_BYTES: Final = 255
_WHITESPACE = b" \t\r\n"
_CHUNK = 1 << 16
_DEFAULT_NAME = "tep-dinh-kem"


@dataclass(frozen=True, slots=True)
class WrapperLimits:
    """Bounds for opening a ZIP wrapper: bytes out, and bytes out per byte in (small files are exempt)."""

    max_bytes: int = 200 * 1024 * 1024
    max_ratio: int = 200
    ratio_from: int = 4 * 1024 * 1024
    max_entries: int = 10_000


WRAPPER_LIMITS = WrapperLimits()


class BrokenAttachment(ValueError):
    """The bytes of an attachment cannot be had; `vi` and `en` say why."""

    def __init__(self, vi: str, en: str) -> None:
        super().__init__(en)
        self.vi = vi
        self.en = en


@dataclass(frozen=True, slots=True)
class Opened:
    """The real bytes of an attachment, and whether they stood in a wrapper or are a broken ZIP."""

    content: bytes
    wrapped: bool = False
    broken_zip: bool = False


# --- base64 -----------------------------------------------------------------------------------------------


def decode(text: str) -> bytes:
    """The bytes of RFC 4648 base64 in which white space is allowed and nothing else is.

    Raises BrokenAttachment for empty text, a placeholder, foreign characters, or wrong or missing padding.
    """
    try:
        packed = text.encode("ascii").strip()
        if len(packed.split(None, 1)) > 1:
            packed = packed.translate(None, _WHITESPACE)
        if not packed:
            raise BrokenAttachment("nội dung rỗng", "its content is empty")
        content = base64.b64decode(packed, validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise BrokenAttachment("nội dung không phải base64", "its content is not base64") from error
    # "QQ==QQ==" and stray bits after the last byte decode without complaint but are not what was encoded.
    if len(content) != len(packed) // 4 * 3 - packed[-2:].count(b"=") or not _canonical_end(packed):
        raise BrokenAttachment("nội dung base64 không chuẩn", "its base64 is not canonical")
    return content


def _canonical_end(packed: bytes) -> bool:
    last = packed[-4:]
    return base64.b64encode(base64.b64decode(last)) == last


def encode(content: bytes) -> str:
    """Base64 on one line, as the readers of the national axis expect."""
    return base64.b64encode(content).decode("ascii")


# --- media type by magic bytes ----------------------------------------------------------------------------

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"{\\rtf", "application/rtf"),
)
# Everything that zipfile raises on bytes that are not a sound archive (its own readers included).
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    OverflowError,
    RuntimeError,
)
_ZIP_DIRECTORY = b"PK\x01\x02"  # one per entry: counted before zipfile makes an object of each
# bzip2 and LZMA streams cannot be bounded while they are read, so they are never opened.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BEFORE_PDF = b"\xef\xbb\xbf\x00 \t\r\n"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_STREAMS = (
    ("WordDocument", "application/msword"),
    ("Workbook", "application/vnd.ms-excel"),
    ("Book", "application/vnd.ms-excel"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
)
_OOXML = "application/vnd.openxmlformats-officedocument."
OOXML: Final = _OOXML + "package"
_OOXML_FOLDERS = (
    ("word/", _OOXML + "wordprocessingml.document"),
    ("xl/", _OOXML + "spreadsheetml.sheet"),
    ("ppt/", _OOXML + "presentationml.presentation"),
)
_ODF = re.compile(r"application/vnd\.oasis\.opendocument\.[a-z-]{1,40}")
_EDXML_ROOT = re.compile(rb"<(?:[A-Za-z][\w.-]*:)?edXML[\s>]")


def media_type(content: bytes) -> str:
    """The media type that the bytes show; application/octet-stream when they show none."""
    if content.startswith(_OLE):
        return _ole_type(content)
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_type(content)
    for magic, name in _MAGIC:
        if content.startswith(magic):
            return name
    if content[:1024].lstrip(_BEFORE_PDF).startswith(b"%PDF-"):
        return PDF
    return _text_type(content)


def _ole_type(content: bytes) -> str:
    for stream, name in _OLE_STREAMS:
        # Directory entries name their streams in UTF-16 with a closing NUL character.
        if (stream + "\x00").encode("utf-16-le") in content:
            return name
    return "application/x-ole-storage"


def _zip_type(content: bytes) -> str:
    if content.count(_ZIP_DIRECTORY) > WRAPPER_LIMITS.max_entries:
        return ZIP
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _office_type(archive) or ZIP
    except _ZIP_ERRORS:
        return ZIP


def _office_type(archive: zipfile.ZipFile) -> str | None:
    """The type of a ZIP that is itself an office file (OOXML or ODF), None for any other ZIP."""
    names = archive.namelist()
    if "mimetype" in names and _small(archive.getinfo("mimetype")):
        declared = archive.read("mimetype").decode("ascii", "replace").strip()
        if _ODF.fullmatch(declared):
            return declared
    if "[Content_Types].xml" not in names:
        return None
    for folder, name in _OOXML_FOLDERS:
        if any(entry.startswith(folder) for entry in names):
            return name
    return OOXML


def _small(entry: zipfile.ZipInfo) -> bool:
    return entry.file_size <= 100 and entry.compress_type in _COMPRESSIONS


def _text_type(content: bytes) -> str:
    head = content[:4096]
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(head) < 4096 or error.start < len(head) - 4:
            return BINARY
        text = head[: error.start].decode("utf-8-sig")
    if any(ord(c) < 32 and c not in "\t\r\n\f" for c in text):
        return BINARY
    if _EDXML_ROOT.search(head):
        return "application/edxml+xml"
    return "application/xml" if text.lstrip().startswith("<?xml") else TEXT


# --- ZIP wrapper ------------------------------------------------------------------------------------------


def unwrap(content: bytes, name: str, limits: WrapperLimits = WRAPPER_LIMITS) -> Opened:
    """The attachment itself: the only entry of a ZIP wrapper, or the bytes as they are (edXML 1.5).

    A ZIP with `[Content_Types].xml` or an ODF `mimetype` is the office file; otherwise a ZIP with exactly one
    entry under a name that does not end in .zip is a wrapper. One level is opened, never two. A ZIP that
    cannot be read stays as it is (`broken_zip`). Raises BrokenAttachment for a wrapper beyond the limits.
    """
    if not content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return Opened(content)
    if content.count(_ZIP_DIRECTORY) > limits.max_entries:
        return Opened(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entry = _wrapped_entry(archive, name)
            if entry is None:
                return Opened(content)
            return Opened(_inflate(archive, entry, limits), wrapped=True)
    except BrokenAttachment:
        raise
    except _ZIP_ERRORS:
        return Opened(content, broken_zip=True)


def _wrapped_entry(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo | None:
    entries = archive.infolist()
    if len(entries) != 1 or entries[0].is_dir() or name.lower().endswith(".zip"):
        return None
    if entries[0].compress_type not in _COMPRESSIONS or _office_type(archive):
        return None
    return entries[0]


def _inflate(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limits: WrapperLimits) -> bytes:
    """Both the declared and the actual size are bounded, the latter while it streams out."""
    allowed = min(limits.max_bytes, max(limits.ratio_from, entry.compress_size * limits.max_ratio))
    if entry.file_size > allowed:
        raise _bomb()
    out = io.BytesIO()
    with archive.open(entry) as stream:
        while chunk := stream.read(_CHUNK):
            if out.tell() + len(chunk) > allowed:
                raise _bomb()
            out.write(chunk)
    return out.getvalue()


def _bomb() -> BrokenAttachment:
    return BrokenAttachment("tệp nén phình quá giới hạn (bom ZIP)", "the ZIP expands beyond the limit")


# --- names ------------------------------------------------------------------------------------------------

_RESERVED = re.compile(r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|COM[0-9¹²³]|LPT[0-9¹²³])", re.IGNORECASE)
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_UNSAFE = re.compile(r'[<>:"|?*]')


def safe_name(name: str) -> str:
    """A file name that is safe on every file system and in headers: last path part, NFC, ≤ 255 bytes.

    Control and direction characters go, characters that some system forbids become `_`, reserved names get a
    leading `_`; never empty, never hidden.
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rstrip("/ ").rpartition("/")[2]
    visible = "".join(
        c for c in last if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    )
    clean = " ".join(_UNSAFE.sub("_", visible).split()).strip(". ")
    if not clean:
        return _DEFAULT_NAME
    if _RESERVED.fullmatch(clean.partition(".")[0].rstrip()):
        clean = f"_{clean}"
    return _shorten(clean, "")


def unique_names(names: Iterable[str]) -> tuple[str, ...]:
    """Safe names, no two equal even where letter case is ignored: `a.pdf`, `a (2).pdf`, …"""
    taken: set[str] = set()
    counts: dict[str, int] = {}
    result: list[str] = []
    for name in names:
        first = candidate = safe_name(name)
        while candidate.casefold() in taken:
            number = counts[first.casefold()] = counts.get(first.casefold(), 1) + 1
            candidate = _shorten(first, f" ({number})")
        taken.add(candidate.casefold())
        result.append(candidate)
    return tuple(result)


def _shorten(name: str, mark: str) -> str:
    """`name` with `mark` before its extension, cut to 255 bytes at a character of the stem."""
    if not mark and len(name.encode()) <= NAME_MAX_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem or len(extension.encode()) > 16:
        stem, extension = name, ""
    tail = mark + (f".{extension}" if extension else "")
    room = NAME_MAX_BYTES - len(tail.encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(" .") + tail
