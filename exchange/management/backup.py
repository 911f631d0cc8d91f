"""A backup that a running hub does not notice, and the way back.

First the database, in one snapshot; then the files that came into the vault since the last backup. Bytes are
in the vault before the commit that names them, so whatever the snapshot names is copied. Each backup is a
directory `<UTC time>/` with `database`, `vault.tar` and `manifest.json`; a full one holds the whole vault,
the others what is new. The hub's keys and the signer's memory are not in it: a thief of the backup must not
be able to sign, and a restored signer must remember more than the database. Only their names and digests are.
Bytes in an S3 store (HUB_VAULT_BUCKET) are not in it either: the store's own copy, made after this one, is.
"""

import gzip
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db.migrations.recorder import MigrationRecorder

MARGIN = timedelta(hours=1)  # files are looked for from before the last backup began: clocks are not exact
DATABASE, VAULT, MANIFEST = "database", "vault.tar", "manifest.json"
_BLOCK = 1 << 20
_STAMP = "%Y%m%dT%H%M%SZ"


class BackupError(Exception):
    """What could not be done, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What one backup holds. `previous` is the backup whose vault it continues; empty for a full one."""

    stamp: str
    previous: str
    version: str
    database: str
    encrypted: bool
    digests: dict[str, str]
    sizes: dict[str, int]
    vault_files: int
    migrations: list[str]
    settings: dict[str, str]
    keys: dict[str, str]
    seconds: float
    bucket: str = ""  # where the bytes lie that are not in this backup


# --- out ----------------------------------------------------------------------------------------------


def make(target: Path, *, recipient: Path | None = None, full: bool = False, now: datetime) -> Manifest:
    """Write the next backup under `target`, encrypted to the OpenPGP key in `recipient`.

    Raises BackupError.
    """
    known = manifests(target)
    bucket = settings.ENVIRONMENT.vault_bucket
    previous = None if full or bucket or not known or known[-1].bucket else known[-1]
    stamp = now.astimezone(UTC).strftime(_STAMP)
    if any(item.stamp == stamp for item in known):
        raise BackupError(f"{target / stamp} is there already")
    directory = target / f".{stamp}"
    directory.mkdir(parents=True, mode=0o700)
    started = datetime.now(UTC)
    with _sink(directory / DATABASE, recipient) as file:
        _dump(file)
    files = 0
    if not bucket:
        with _sink(directory / VAULT, recipient) as file:
            files = _pack(file, since=_parse(previous.stamp) - MARGIN if previous else None)
    parts = sorted(path for path in directory.iterdir())
    manifest = Manifest(
        stamp=stamp,
        previous=previous.stamp if previous else "",
        version=settings.VERSION,
        database="sqlite" if settings.ENVIRONMENT.embedded else "postgresql",
        encrypted=recipient is not None,
        digests={path.name: _digest(path) for path in parts},
        sizes={path.name: path.stat().st_size for path in parts},
        vault_files=files,
        migrations=_migrations(),
        settings=_settings(),
        keys=key_list(),
        seconds=round((datetime.now(UTC) - started).total_seconds(), 2),
        bucket=bucket,
    )
    _write_manifest(directory / MANIFEST, manifest)
    directory.rename(target / stamp)
    return manifest


def manifests(target: Path) -> list[Manifest]:
    """The finished backups under `target`, oldest first."""
    found = sorted(target.glob(f"[0-9]*/{MANIFEST}"))
    return [Manifest(**json.loads(path.read_text(encoding="utf-8"))) for path in found]


def key_list() -> dict[str, str]:
    """The files of the hub's keys with the SHA-256 of each, to know whether the right ones are back."""
    directory = settings.ENVIRONMENT.keys
    files = [*directory.glob("*.pem"), *directory.glob("*.key"), *directory.glob("django-secret-key")]
    return {path.name: _digest(path) for path in sorted(files)}


@contextmanager
def _sink(path: Path, recipient: Path | None) -> Iterator[IO[bytes]]:
    """A file to write to, through gpg where there is a recipient; on the disk when the block ends."""
    if recipient is None:
        with path.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        return
    with tempfile.TemporaryDirectory() as home:
        words = (
            "gpg", "--batch", "--quiet", "--no-tty", "--homedir", home, "--trust-model", "always",
            "--recipient-file", str(recipient), "--output", f"{path}.gpg", "--encrypt",
        )  # fmt: skip
        with _running(words, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None  # noqa: S101 - asked for above
            yield process.stdin
            process.stdin.close()


def _dump(file: IO[bytes]) -> None:
    if not settings.ENVIRONMENT.embedded:
        with _running(
            ("pg_dump", "--format=custom", "--no-owner"), stdout=subprocess.PIPE, env=_pg()
        ) as process:
            assert process.stdout is not None  # noqa: S101
            shutil.copyfileobj(process.stdout, file, _BLOCK)
        return
    with tempfile.TemporaryDirectory(dir=settings.ENVIRONMENT.data_dir) as directory:
        copy = Path(directory) / "copy"
        source, target = sqlite3.connect(_sqlite()), sqlite3.connect(copy)
        source.backup(target)
        target.close()
        source.close()
        with copy.open("rb") as made, gzip.open(file, "wb", compresslevel=1) as packed:
            shutil.copyfileobj(made, packed, _BLOCK)


def _pack(file: IO[bytes], *, since: datetime | None) -> int:
    """Write the vault's files that are not older than `since` into a tar; returns how many."""
    root, count = settings.ENVIRONMENT.vault, 0
    with tarfile.open(fileobj=file, mode="w|") as tar:
        for path in _fresh(root, since.timestamp() if since else 0.0):
            tar.add(path, arcname=str(path.relative_to(root)), recursive=False)
            count += 1
    return count


def _fresh(root: Path, since: float) -> Iterator[Path]:
    """The vault's files not older than `since`. A new name makes its directory young, so of the two levels
    of directories (see vault.py) only those where something was added are read."""
    for directory in sorted(root.glob("*/*")):
        if directory.stat().st_mtime < since:
            continue
        for path in sorted(directory.iterdir()):
            if not path.name.startswith(".") and path.stat().st_mtime >= since:
                yield path


def _settings() -> dict[str, str]:
    """The HUB_* variables; secrets are named and not kept."""
    given = {name: value for name, value in os.environ.items() if name.startswith("HUB_")}
    return {
        name: _public(name, value)
        for name, value in sorted(given.items())
        if not name.startswith("HUB_TEST_")
    }


def _public(name: str, value: str) -> str:
    if name.endswith("SECRET_KEY"):
        return "***"
    password = urlsplit(value).password if "://" in value else None
    return value.replace(f":{password}@", ":***@") if password else value


def _migrations() -> list[str]:
    from django.db import connection  # noqa: PLC0415 - a restore must not open the database it replaces

    applied = MigrationRecorder(connection).applied_migrations()
    return sorted(f"{app}.{name}" for app, name in applied if app in ("exchange", "agencies"))


def _write_manifest(path: Path, manifest: Manifest) -> None:
    with path.open("x", encoding="utf-8") as file:
        json.dump(asdict(manifest), file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())


# --- back ---------------------------------------------------------------------------------------------


def restore(source: Path, *, stamp: str = "") -> Manifest:
    """Bring the backup `stamp` (the newest without one) back, into an empty database and vault.

    Every part is compared with its digest before anything is written. Raises BackupError.
    """
    chain = _chain(source, stamp)
    last = chain[-1]
    if last.database != ("sqlite" if settings.ENVIRONMENT.embedded else "postgresql"):
        raise BackupError(f"this backup is of a {last.database} database")
    if bool(last.bucket) != bool(settings.ENVIRONMENT.vault_bucket):
        raise BackupError(
            f"the packages of this backup lie in the bucket {last.bucket}: set HUB_VAULT_BUCKET"
            if last.bucket
            else "this backup holds the packages as files: restore without HUB_VAULT_BUCKET"
        )
    _check_parts(source, chain)
    _check_empty()
    with _source(source / last.stamp / DATABASE, last) as file:
        _load(file)
    for item in chain if not last.bucket else ():
        with _source(source / item.stamp / VAULT, item) as file:
            _unpack(file)
    return last


def _chain(source: Path, stamp: str) -> list[Manifest]:
    """The backups to take files from, oldest first: from the last full one to the one asked for."""
    known = {item.stamp: item for item in manifests(source)}
    wanted = stamp or max(known, default="")
    found: list[Manifest] = []
    while not found or found[-1].previous:
        name = found[-1].previous if found else wanted
        if name not in known:
            raise BackupError(f"{source / (name or '…')}: there is no such backup")
        found.append(known[name])
    return found[::-1]


def _check_parts(source: Path, chain: list[Manifest]) -> None:
    for item in chain:
        for name, digest in item.digests.items():
            path = source / item.stamp / name
            if not path.exists() or _digest(path) != digest:
                raise BackupError(f"{path} is missing or was altered")


def _check_empty() -> None:
    vault = settings.ENVIRONMENT.vault
    if vault.is_dir() and any(vault.iterdir()):
        raise BackupError(f"the vault {vault} is not empty")
    if settings.ENVIRONMENT.embedded:
        if _sqlite().exists():
            raise BackupError(f"the database {_sqlite()} is there already")
        return
    query = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
    words = ("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", query)
    with _running(words, stdout=subprocess.PIPE, env=_pg()) as process:
        count = process.stdout.read().strip() if process.stdout else b""
    if count != b"0":
        raise BackupError(f"the database has {count.decode()} tables: give an empty one")


@contextmanager
def _source(path: Path, manifest: Manifest) -> Iterator[IO[bytes]]:
    """The part as it was before encryption; gpg finds the private key in the operator's own keyring."""
    if not manifest.encrypted:
        with path.open("rb") as file:
            yield file
        return
    words = ("gpg", "--batch", "--quiet", "--decrypt", f"{path}.gpg")
    with _running(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101
        yield process.stdout
        process.stdout.read()  # padding of a tar: gpg must be let to its end, where it checks the whole


def _load(file: IO[bytes]) -> None:
    if settings.ENVIRONMENT.embedded:
        settings.ENVIRONMENT.data_dir.mkdir(parents=True, exist_ok=True)
        with gzip.open(file) as packed, _sqlite().open("xb") as made:
            shutil.copyfileobj(packed, made, _BLOCK)
        return
    database = _pg()["PGDATABASE"]
    words = ("pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--dbname", database)
    with _running(words, stdin=subprocess.PIPE, env=_pg()) as process:
        assert process.stdin is not None  # noqa: S101
        shutil.copyfileobj(file, process.stdin, _BLOCK)
        process.stdin.close()


def _unpack(file: IO[bytes]) -> None:
    root = settings.ENVIRONMENT.vault
    root.mkdir(parents=True, exist_ok=True, mode=0o750)
    with tarfile.open(fileobj=file, mode="r|") as tar:
        tar.extractall(root, filter="data")


# --- tools --------------------------------------------------------------------------------------------


@contextmanager
def _running(words: tuple[str, ...], **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A program that must end well when the block does. Raises BackupError with what it said."""
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(words, stderr=said, **options)
        except FileNotFoundError as error:
            raise BackupError(f"{words[0]} is not installed") from error
        with process, suppress(BrokenPipeError):  # it ended early, and says below why
            yield process
        if process.returncode:
            said.seek(0)
            raise BackupError(f"{words[0]}: {said.read().decode(errors='replace').strip()[-500:]}")


def _pg() -> dict[str, str]:
    """The environment of PostgreSQL's programs: a password on a command line could be read by others."""
    url = urlsplit(settings.ENVIRONMENT.database_url)
    named = {
        "PGHOST": url.hostname,
        "PGPORT": str(url.port) if url.port else None,
        "PGUSER": unquote(url.username) if url.username else None,
        "PGPASSWORD": unquote(url.password) if url.password else None,
        "PGDATABASE": url.path.lstrip("/"),
    }
    return os.environ | {name: value for name, value in named.items() if value}


def _sqlite() -> Path:
    directory: Path = settings.ENVIRONMENT.data_dir
    return directory / "hub.sqlite3"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parse(stamp: str) -> datetime:
    return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
