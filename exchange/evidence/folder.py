"""Reading a trail: the files of a folder, or of a zip (docs/audit-log-format.md)."""

import zipfile
from collections.abc import Iterator
from hashlib import sha256
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import cast

from exchange.evidence.checkpoint import NOTE_LIMIT
from exchange.evidence.proof import parse_path_line
from exchange.evidence.tree import Broken

Folder = Path | zipfile.Path
BATCH = 1 << 18  # bytes of events in memory at once


def open_zip(path: Path) -> zipfile.ZipFile:
    """The zip at `path`. Broken if a name occurs twice: readers would disagree on what is in it."""
    zipped = zipfile.ZipFile(path)
    if len(names := zipped.namelist()) != len({*names}):
        raise Broken("a name occurs twice")
    return zipped


def open_member(member: Folder) -> BufferedReader:
    """A file of a trail; a zip member reads lines slowly by itself."""
    return BufferedReader(cast("RawIOBase", member.open("rb")))


def read(member: Folder) -> bytes:
    """A small file of a trail."""
    with open_member(member) as file:
        return file.read(NOTE_LIMIT)


def steps(folder: Folder) -> dict[int, list[bytes]]:
    """`consistency`: old size -> proof. Broken if it is malformed."""
    return dict(parse_path_line(line) for line in read(folder / "consistency").decode().splitlines())


def events(folder: Folder) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Events with their leaf hashes, batch by batch. The hot loop: it does nothing but hash."""
    rest = b""
    with open_member(folder / "events.jsonl") as file:
        while block := file.read(BATCH):
            *lines, rest = (rest + block).split(b"\n")
            yield lines, [sha256(b"\x00" + x).digest() if x[:1] != b'"' else _removed(x) for x in lines]
    if rest:
        raise Broken("the last event is cut off")


def _removed(line: bytes) -> bytes:
    """The leaf hash that stands, in hex and quotes, where a body was removed."""
    leaf = bytes.fromhex(line[1:65].decode())
    if line != b'"%s"' % leaf.hex().encode():
        raise Broken(f"not an event and not a leaf hash: {line[:80]!r}")
    return leaf
