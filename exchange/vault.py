"""The bytes of packages: content-addressed by SHA-256, durable before the commit that names them.

A file is written under a temporary name, flushed to the disk, renamed, and its directory flushed; so a
name in the vault always stands for complete bytes, and a crash leaves at most an unnamed leftover. With
HUB_VAULT_BUCKET the bytes are objects of an S3-compatible store, which promises the same of an object (see
bucket.py).
"""

import hashlib
import os
import re
import secrets
import tempfile
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from exchange import bucket

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Missing(Exception):
    """The vault has no bytes under a digest that a row names: an incident for the operator."""


def path_of(sha256: str) -> Path:
    """Where the bytes of `sha256` (lower-case hex) stand; two levels keep directories small."""
    root: Path = settings.ENVIRONMENT.vault
    return root / name_of(sha256)


def name_of(sha256: str) -> str:
    """The name of the bytes of `sha256` within the vault. Raises ValueError for what is no digest."""
    if not _DIGEST.fullmatch(sha256):
        raise ValueError(f"not a SHA-256 in hex: {sha256!r}")
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"


def put(raw: bytes) -> str:
    """Store `raw` durably and return its SHA-256 in hex; storing the same bytes again costs nothing."""
    sha256 = hashlib.sha256(raw).hexdigest()
    if settings.ENVIRONMENT.vault_bucket:
        bucket.put(name_of(sha256), raw)
        return sha256
    path = path_of(sha256)
    if not _complete(path, len(raw)):
        _write(path, raw)
    return sha256


def open_bytes(sha256: str) -> BinaryIO:
    """The bytes of `sha256` as a readable file; raises Missing."""
    try:
        if settings.ENVIRONMENT.vault_bucket:
            return bucket.open_object(name_of(sha256))
        return path_of(sha256).open("rb")
    except FileNotFoundError as error:
        raise Missing(sha256) from error


def holds(sha256: str) -> bool:
    """Whether the bytes of `sha256` are there; nothing is read."""
    if settings.ENVIRONMENT.vault_bucket:
        return bucket.exists(name_of(sha256))
    return path_of(sha256).exists()


def get(sha256: str) -> bytes:
    """The bytes of `sha256`; raises Missing."""
    with open_bytes(sha256) as file:
        return file.read()


def delete(sha256: str) -> None:
    """Remove the bytes of `sha256`, if they are there; the caller knows that nobody needs them."""
    if settings.ENVIRONMENT.vault_bucket:
        bucket.delete(name_of(sha256))
    else:
        path_of(sha256).unlink(missing_ok=True)


def check() -> None:
    """Whether the vault takes bytes now; raises OSError."""
    if settings.ENVIRONMENT.vault_bucket:
        bucket.check()
        return
    settings.ENVIRONMENT.vault.mkdir(parents=True, exist_ok=True, mode=0o750)
    with tempfile.TemporaryFile(dir=settings.ENVIRONMENT.vault) as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())


def _complete(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _write(path: Path, raw: bytes) -> None:
    created = _make_directories(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    for directory in (path.parent, *created):
        _flush_directory(directory)


def _make_directories(directory: Path) -> list[Path]:
    """Create `directory`; returns the directories that got a new entry and must be flushed too."""
    missing = list(takewhile(lambda parent: not parent.exists(), (directory, *directory.parents)))
    directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    return [path.parent for path in missing]


def _flush_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
