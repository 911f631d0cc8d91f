"""Attachments: nothing declared is believed."""

import io
import time
import unicodedata
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.envelope.attachments import (
    BINARY,
    OOXML,
    BrokenAttachment,
    WrapperLimits,
    decode,
    encode,
    media_type,
    safe_name,
    unique_names,
    unwrap,
)

PDF = b"%PDF-1.4\n%%EOF\n"


def zipped(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name, (2026, 3, 2, 8, 0, 0)), content, method)
    return out.getvalue()


DOCX = zipped(("[Content_Types].xml", b"<Types/>"), ("word/document.xml", b"<w/>"))
ODT = zipped(("mimetype", b"application/vnd.oasis.opendocument.text"), ("content.xml", b"<o/>"))


# --- base64 -----------------------------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_base64_round_trip(content):
    assert decode(encode(content) or " ") == content if content else True


def test_base64_may_be_broken_into_lines():
    assert decode("\r\n SGVs\n\tbG8=  \n") == b"Hello"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "Placeholder",
        "SGVsbG8",
        "SGVsbG8==",
        "SGVs!bG8=",
        "SGVs-G8_",
        "QQ==QQ==",
        "QR==",
        "Ｑ===",
        "=",
    ],
)
def test_what_is_not_strict_base64_is_broken(text):
    with pytest.raises(BrokenAttachment):
        decode(text)


# --- types ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (PDF, "application/pdf"),
        (b"\xef\xbb\xbf\n" + PDF, "application/pdf"),
        (DOCX, OOXML.replace("package", "wordprocessingml.document")),
        (zipped(("xl/workbook.xml", b""), ("[Content_Types].xml", b"")), f"{OOXML[:-7]}spreadsheetml.sheet"),
        (
            zipped(("ppt/p.xml", b""), ("[Content_Types].xml", b"")),
            f"{OOXML[:-7]}presentationml.presentation",
        ),
        (ODT, "application/vnd.oasis.opendocument.text"),
        (zipped(("a", PDF), method=zipfile.ZIP_STORED), "application/zip"),
        (b"PK\x03\x04 broken", "application/zip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument\0".encode("utf-16-le"), "application/msword"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "Workbook\0".encode("utf-16-le"), "application/vnd.ms-excel"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"II*\x00", "image/tiff"),
        (b"Rar!\x1a\x07\x01", "application/vnd.rar"),
        (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
        ("Ghi chú: %PDF-1.4".encode(), "text/plain"),
        (("ế" * 3000).encode(), "text/plain"),
        (b'<?xml version="1.0"?><a/>', "application/xml"),
        (b'<edXML xmlns="x">', "application/edxml+xml"),
        (b"\x00\x01", BINARY),
        (b"\xff\xfe", BINARY),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_bytes_say_what_it_is(content, expected):
    assert media_type(content) == expected


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", DOCX, ODT, zipped(("a", PDF))]), st.integers(0, 400))
def test_any_bytes_have_a_type_and_open_stay_or_are_broken(noise, base, position):
    content = base[:position] + noise + base[position + len(noise) :]
    assert media_type(content)
    try:
        opened = unwrap(content, "a.pdf")
    except BrokenAttachment as error:
        assert error.vi
    else:
        assert opened.wrapped or opened.content is content


# --- wrappers ---------------------------------------------------------------------------------------------


def test_a_zip_with_one_entry_is_a_wrapper():
    opened = unwrap(zipped(("3f6c.bin", PDF)), "ke-hoach.pdf")
    assert (opened.content, opened.wrapped) == (PDF, True)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (PDF, "a.pdf"),
        (DOCX, "a.docx"),
        (ODT, "a.odt"),
        (zipped(("[Content_Types].xml", b"<Types/>")), "a.docx"),
        (zipped(("mimetype", b"application/vnd.oasis.opendocument.text")), "a.odt"),
        (zipped(("a.pdf", PDF)), "a.ZIP"),
        (zipped(("a", PDF), ("b", PDF)), "a.pdf"),
        (zipped(), "a.pdf"),
        (zipped(("folder/", b"")), "a.pdf"),
        (zipped(("a", PDF), method=zipfile.ZIP_BZIP2), "a.pdf"),
        (zipped(("a", PDF), method=zipfile.ZIP_LZMA), "a.pdf"),
    ],
)
def test_what_is_no_wrapper_stays_as_it_is(content, name):
    opened = unwrap(content, name)
    assert opened.content is content
    assert not opened.wrapped


def test_only_one_level_is_opened():
    inner = zipped(("a.pdf", PDF))
    assert unwrap(zipped(("x", inner)), "a.pdf").content == inner


@pytest.mark.parametrize(
    "content",
    [
        zipped(("a", PDF))[:-10],
        b"PK\x03\x04 nothing",
        zipped(("a", PDF), method=zipfile.ZIP_STORED).replace(b"%PDF-1.4", b"%PDF-1.5"),
    ],
    ids=["cut", "placeholder", "wrong-crc"],
)
def test_a_broken_zip_is_kept_and_marked(content):
    opened = unwrap(content, "a.docx")
    assert opened.content is content
    assert opened.broken_zip


LIMITS = WrapperLimits(max_bytes=100_000, ratio_from=1_000, max_ratio=50)


def test_a_bomb_is_refused_by_its_declared_size():
    with pytest.raises(BrokenAttachment, match="limit"):
        unwrap(zipped(("a", b"\0" * 200_000)), "a.pdf", LIMITS)


def test_a_bomb_that_lies_about_its_size_is_stopped_while_it_streams():
    honest = zipped(("a", b"\0" * 90_000))
    lying = honest.replace((90_000).to_bytes(4, "little"), (900).to_bytes(4, "little"))
    opened = unwrap(lying, "a.pdf", LIMITS)
    assert opened.broken_zip  # zipfile stops at the declared size, and the checksum then fails
    assert opened.content is lying


def test_the_ratio_is_bounded_but_small_files_are_exempt():
    with pytest.raises(BrokenAttachment):
        unwrap(zipped(("a", b"\0" * 80_000)), "a.txt", LIMITS)
    assert len(unwrap(zipped(("a", b"\0" * 900)), "a.txt", LIMITS).content) == 900


def test_a_bomb_is_refused_in_little_time():
    bomb = zipped(("a", b"\0" * 30_000_000))
    started = time.process_time()
    with pytest.raises(BrokenAttachment):
        unwrap(bomb, "a.pdf")
    assert time.process_time() - started < 1


def test_a_zip_with_too_many_entries_is_not_opened():
    assert media_type(b"PK\x03\x04" + b"PK\x01\x02" * 20_000) == "application/zip"
    assert unwrap(b"PK\x03\x04" + b"PK\x01\x02" * 20_000, "a.pdf").broken_zip is False


# --- names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Kế hoạch 626.pdf", "Kế hoạch 626.pdf"),
        (unicodedata.normalize("NFD", "Kế hoạch.pdf"), "Kế hoạch.pdf"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\win.ini", "win.ini"),
        ("C:\\x\\a.pdf", "a.pdf"),
        ("C:a.pdf", "C_a.pdf"),
        ("/", "tep-dinh-kem"),
        ("", "tep-dinh-kem"),
        ("..", "tep-dinh-kem"),
        ("  . ", "tep-dinh-kem"),
        (".htaccess", "htaccess"),
        ("a\u202efdp.exe", "afdp.exe"),
        ("a\r\nSet-Cookie: x.pdf", "aSet-Cookie_ x.pdf"),
        ("a\x00.pdf", "a.pdf"),
        ('a"<b>|?*.pdf', "a__b____.pdf"),
        ("con.pdf", "_con.pdf"),
        ("LPT1", "_LPT1"),
        ("COM1 .txt", "_COM1 .txt"),
        ("a.pdf. ", "a.pdf"),
    ],
)
def test_names_are_made_safe(name, expected):
    assert safe_name(name) == expected


def test_a_long_name_keeps_its_extension():
    name = safe_name("ế" * 300 + ".pdf")
    assert name.endswith("ế.pdf")
    assert 250 <= len(name.encode()) <= 255


def test_equal_names_are_told_apart():
    assert unique_names(["a.pdf", "A.pdf", "x/a.pdf", "a (2).pdf", "b"]) == (
        "a.pdf",
        "A (2).pdf",
        "a (3).pdf",
        "a (2) (2).pdf",
        "b",
    )


ALPHABET = st.characters(max_codepoint=0x24FF) | st.sampled_from("/\\. \u202e\u0301\u1ebf\uac00\U0001f600")


@settings(max_examples=60)
@given(st.text(alphabet=ALPHABET, max_size=300))
def test_every_name_becomes_safe_and_stays_so(name):
    safe = safe_name(name)
    assert safe
    assert len(safe.encode()) <= 255
    assert not set(safe) & set('/\\<>:"|?*\x00\r\n')
    assert not safe.startswith(".")
    assert unicodedata.is_normalized("NFC", safe)
    assert safe_name(safe) == safe


@given(st.lists(st.text(alphabet="aA./ \u1ebf", max_size=4), max_size=12))
def test_unique_names_are_unique_where_case_is_ignored(names):
    unique = unique_names(names)
    assert len({name.casefold() for name in unique}) == len(names)
