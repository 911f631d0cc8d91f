"""The golden packages, and small changes to them."""

import base64
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.envelope.package import Package, read
from exchange.envelope.xml import parse
from exchange.refusals import Refused

FIXTURES = Path(__file__).parents[2] / "fixtures"
ACCEPTED = sorted((FIXTURES / "accepted").glob("*.edxml"))
NEW = "document-new"
STATUS = "status-03-accepted"
PDF_NAME = "ke-hoach-626.pdf"
PDF = b"%PDF-1.4\n%%EOF\n"


def sample(name: str) -> bytes:
    """The bytes of one accepted golden package."""
    return (FIXTURES / "accepted" / f"{name}.edxml").read_bytes()


def changed(name: str, *changes: tuple[str, str]) -> bytes:
    """A golden package with each text replaced everywhere; every change must find something."""
    text = sample(name).decode()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text.encode()


def cut(name: str, element: str) -> bytes:
    """A golden package without the first element called `element`."""
    text = sample(name).decode()
    start = text.index(f"<edXML:{element}>")
    end = text.index(f"</edXML:{element}>") + len(f"</edXML:{element}>")
    return (text[:start] + text[end:]).encode()


def package(raw: bytes) -> Package:
    """Parsed and read."""
    return read(parse(raw))


def notes(raw: bytes) -> list[str]:
    """The codes of the warnings that a package gives."""
    return [note.code for note in package(raw).warnings]


def problems(raw: bytes) -> list[tuple[str, str]]:
    """Code and last path step of everything that is wrong with a refused package."""
    with pytest.raises(Refused) as caught:
        package(raw)
    return [(problem.code, problem.xpath.rpartition("/")[2]) for problem in caught.value.problems]


def comparable(found: Package) -> Package:
    """A package without what only says how it was transferred."""
    plain = tuple(replace(a, declared_type="", original_name="") for a in found.attachments)
    return replace(found, attachments=plain, manifest=(), warnings=())


def with_attachment(content: bytes | str, name: str = PDF_NAME, kind: str = "application/pdf") -> bytes:
    """The golden document with another attachment; text stands for what is not base64."""
    text = sample(NEW).decode()
    start, end = text.index("JVBERi0"), text.index("</edXML:ContentTransferEncoded>")
    encoded = content if isinstance(content, str) else base64.b64encode(content).decode()
    text = text[:start] + encoded + text[end:]
    return text.replace(PDF_NAME, name).replace("application/pdf", kind).encode()


def doubled(name: str, element: str) -> bytes:
    """A golden package with the first element called `element` standing twice."""
    text = sample(name).decode()
    start = text.index(f"<edXML:{element}>")
    end = text.index(f"</edXML:{element}>") + len(f"</edXML:{element}>")
    return (text[:end] + text[start:end] + text[end:]).encode()


def zipped(content: bytes) -> bytes:
    """A one-entry ZIP, as the wrappers of real senders are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo("3f6c.bin", (2026, 3, 2, 8, 0, 0))
        archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
