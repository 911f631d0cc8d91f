"""Reading a proof bundle: an ASiC-E zip (ETSI EN 319 162-1) whose manifest covers every file in it.

Digests are checked here. The CAdES signature of the manifest and RFC 3161 tokens (`<file>.tst` over `<file>`)
are given to `openssl`; where it, or the certificate to trust, is missing they are reported as not checked.
"""

import subprocess
import tempfile
import zipfile
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import file_digest
from io import BufferedReader
from pathlib import Path
from shutil import which
from typing import cast
from urllib.parse import unquote
from xml.etree import ElementTree

from exchange.evidence.report import FAILED, OK, UNCHECKED, Report, Words
from exchange.evidence.tree import Broken

_ASIC = "{http://uri.etsi.org/02918/v1.2.1#}"
_DSIG = "{http://www.w3.org/2000/09/xmldsig#}"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"

# The certificate is judged by the auditor; here it must only lead to the one given, whenever it expired.
_CMS = ["cms", "-verify", "-binary", "-inform", "DER", "-cades", "-no_check_time", "-partial_chain"]
_CMS += ["-purpose", "any"]
_TS = ["ts", "-verify", "-token_in"]


def manifests(names: Sequence[str]) -> list[str]:
    """The members that are ASiC manifests; a zip without one is not a proof bundle."""
    return [name for name in names if name.startswith("META-INF/ASiCManifest") and name.endswith(".xml")]


def check(report: Report, where: str, zipped: zipfile.ZipFile, *, seal: str = "", tsa: str = "") -> None:
    """Check that the manifests cover every member and that all digests and signatures hold.

    `seal`, `tsa`: PEM files with the certificates that signatures and tokens must lead to; "" for none.
    """
    names = [name for name in zipped.namelist() if not name.endswith("/")]
    covered = {"mimetype"}
    for name in manifests(names):
        covered |= {name, *_manifest(report, where, zipped, name, seal)}
    for name in sorted({*names} - covered):
        words = ("Tệp lạ, không manifest nào nêu", "Planted: no manifest covers it")
        report.say(FAILED, f"{where}/{name}", words)
    for name in sorted(name for name in names if name.endswith(".tst")):
        check_token(report, f"{where}/{name}", zipped.read(name), zipped.read(name.removesuffix(".tst")), tsa)


def check_token(report: Report, where: str, token: bytes, data: bytes, tsa: str) -> None:
    """Check an RFC 3161 token over `data` with `openssl`, against the authority in the PEM file `tsa`."""
    words = ("Dấu thời gian", "Time stamp")
    _openssl(report, where, words, _Question(_TS, {"-in": token, "-data": data}, tsa))


def _manifest(report: Report, where: str, zipped: zipfile.ZipFile, name: str, seal: str) -> set[str]:
    """Check one manifest; the names that it covers, with its signature."""
    words = ("Manifest đọc được", "The manifest can be read")
    read = report.run(f"{where}/{name}", words, lambda: parse_manifest(zipped.read(name)))
    if read is None:
        return set()
    signature, digests = read
    for member, digest in digests.items():
        words = ("Mã băm khớp manifest", "Digest as in the manifest")
        report.run(f"{where}/{member}", words, lambda m=member, d=digest: _digest(zipped, m, d))  # type: ignore[misc]
    words = ("Chữ ký CAdES trên manifest", "CAdES signature of the manifest")
    if signature in zipped.namelist():
        files = {"-in": zipped.read(signature), "-content": zipped.read(name)}
        _openssl(report, f"{where}/{signature}", words, _Question(_CMS, files, seal))
    else:
        report.say(FAILED, f"{where}/{signature}", words, "missing")
    return {signature, *digests}


def parse_manifest(raw: bytes) -> tuple[str, dict[str, bytes]]:
    """The signature's name, and name -> SHA-256 of everything covered. Broken if it is not a manifest."""
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise Broken("the manifest has a document type")
    tree = ElementTree.fromstring(raw)  # noqa: S314 (no document type: nothing to expand or fetch)
    signature = tree.find(f"{_ASIC}SigReference")
    if tree.tag != f"{_ASIC}ASiCManifest" or signature is None:
        raise Broken("not an ASiC manifest with a signature")
    digests: dict[str, bytes] = {}
    for reference in tree.iter(f"{_ASIC}DataObjectReference"):
        method, value = reference.find(f"{_DSIG}DigestMethod"), reference.findtext(f"{_DSIG}DigestValue", "")
        name = unquote(reference.get("URI", ""))
        if method is None or method.get("Algorithm") != _SHA256 or name in digests:
            raise Broken(f"the manifest gives no single SHA-256 digest for {name}")
        digests[name] = b64decode(value)
    return unquote(signature.get("URI", "")), digests


def _digest(zipped: zipfile.ZipFile, name: str, digest: bytes) -> None:
    if name not in zipped.namelist():
        raise Broken("missing")
    with zipped.open(name) as member:
        if file_digest(cast("BufferedReader", member), "sha256").digest() != digest:
            raise Broken("changed")


@dataclass(frozen=True, slots=True)
class _Question:
    """A command of `openssl`, its options with the content of their files, and the PEM file to trust."""

    command: Sequence[str]
    files: Mapping[str, bytes]
    trusted: str


def _openssl(report: Report, where: str, words: Words, asked: _Question) -> None:
    """Let `openssl` check a signature; not checked where it, or what to trust, is missing."""
    program = which("openssl")
    if not program or not asked.trusted:
        report.say(UNCHECKED, where, words, "no certificate given" if program else "openssl not installed")
        return
    with tempfile.TemporaryDirectory() as scratch:
        command = [program, *asked.command, "-CAfile", asked.trusted]
        for number, (option, content) in enumerate(asked.files.items()):
            copy = Path(scratch) / str(number)
            copy.write_bytes(content)
            command += [option, str(copy)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    detail = "openssl" if done.returncode == 0 else done.stderr.decode(errors="replace").strip()[-300:]
    report.say(FAILED if done.returncode else OK, where, words, detail)
