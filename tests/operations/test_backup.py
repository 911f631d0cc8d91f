"""Backups: what is in them, what is not, and what a restore refuses. The drill is in tests/failures."""

import json
import subprocess
import tarfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from exchange import facts, vault
from exchange.management import backup
from exchange.management.backup import BackupError
from tests.world import World

NOW = datetime.now(UTC)


@pytest.fixture
def own_vault(hub: World, tmp_path: Path, settings: Any) -> World:
    """The small city with a vault of its own."""
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, vault_dir=tmp_path / "vault")
    return hub


@pytest.fixture
def no_dump(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database of a test cannot be seen from outside its transaction: dump a word instead."""
    monkeypatch.setattr(backup, "_dump", lambda file: file.write(b"rows"))


def names(path: Path) -> set[str]:
    """The files in a tar."""
    with tarfile.open(path) as tar:
        return {Path(name).name for name in tar.getnames()}


def test_the_first_backup_is_full_and_the_next_holds_what_is_new(
    own_vault: World, no_dump: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "MARGIN", timedelta())
    old, new = vault.put(b"old"), vault.put(b"new")
    _age(old, hours=5)
    first = backup.make(tmp_path / "to", now=NOW - timedelta(hours=2))
    second = backup.make(tmp_path / "to", now=NOW)
    assert (first.previous, second.previous) == ("", first.stamp)
    assert names(tmp_path / "to" / first.stamp / "vault.tar") == {old, new}
    assert names(tmp_path / "to" / second.stamp / "vault.tar") == {new}
    third = backup.make(tmp_path / "to", full=True, now=NOW + timedelta(hours=1))
    assert (third.previous, third.vault_files) == ("", 2)


def test_a_file_that_is_being_written_is_left_out(own_vault: World, no_dump: None, tmp_path: Path) -> None:
    stored = vault.put(b"whole")
    (vault.path_of(stored).parent / f".{stored}.half").write_bytes(b"wh")
    made = backup.make(tmp_path / "to", now=NOW)
    assert names(tmp_path / "to" / made.stamp / "vault.tar") == {stored}


def test_keys_and_secrets_are_named_and_not_kept(
    own_vault: World, no_dump: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_BROKER_URL", "amqp://hub:very-secret@host//")
    made = backup.make(tmp_path / "to", now=NOW)
    assert {"seal.pem", "log.key", "secrets.key"} <= made.keys.keys()
    assert made.settings["HUB_BROKER_URL"] == "amqp://hub:***@host//"
    assert made.settings["HUB_SECRET_KEY"] == "***"
    whole = b"".join(path.read_bytes() for path in (tmp_path / "to").rglob("*") if path.is_file())
    for secret in (b"PRIVATE KEY", b"very-secret", b"only-for-tests-and-never"):
        assert secret not in whole


def test_an_encrypted_backup_holds_nothing_readable(
    own_vault: World, no_dump: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    generate = ("--passphrase", "", "--quick-generate-key", "backup@hub.test", "default", "encr", "never")
    _gpg(*generate)
    public = tmp_path / "public.asc"
    public.write_bytes(_gpg("--armor", "--export"))
    vault.put(b"content of a letter")
    made = backup.make(tmp_path / "to", recipient=public, now=NOW)
    assert {path.name for path in (tmp_path / "to" / made.stamp).iterdir()} == {
        "database.gpg", "vault.tar.gpg", "manifest.json",
    }  # fmt: skip
    for path in (tmp_path / "to" / made.stamp).glob("*.gpg"):
        assert b"content of a letter" not in path.read_bytes()
    with backup._source(tmp_path / "to" / made.stamp / "database", made) as file:
        assert file.read() == b"rows"
    _gpg_end()


def test_a_part_that_was_altered_stops_the_restore_before_it_begins(
    own_vault: World, no_dump: None, tmp_path: Path
) -> None:
    made = backup.make(tmp_path / "to", now=NOW)
    (tmp_path / "to" / made.stamp / "vault.tar").write_bytes(b"other")
    with pytest.raises(BackupError, match=r"vault\.tar is missing or was altered"):
        backup.restore(tmp_path / "to")


def test_a_broken_chain_is_no_backup(own_vault: World, no_dump: None, tmp_path: Path) -> None:
    first = backup.make(tmp_path / "to", now=NOW - timedelta(hours=1))
    backup.make(tmp_path / "to", now=NOW)
    (tmp_path / "to" / first.stamp / "manifest.json").unlink()
    with pytest.raises(BackupError, match=f"{first.stamp}: there is no such backup"):
        backup.restore(tmp_path / "to")


def test_a_restore_overwrites_no_vault(own_vault: World, no_dump: None, tmp_path: Path) -> None:
    vault.put(b"x")
    backup.make(tmp_path / "to", now=NOW)
    with pytest.raises(BackupError, match="is not empty"):
        backup.restore(tmp_path / "to")


def test_a_backup_that_fails_is_not_taken_for_one(
    own_vault: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file: object) -> None:
        with backup._running(("sh", "-c", "echo disk on fire >&2; exit 3")):
            pass

    monkeypatch.setattr(backup, "_dump", fail)
    with pytest.raises(CommandError, match="sh: disk on fire"):
        call_command("backup", str(tmp_path / "to"), stdout=StringIO())
    assert backup.manifests(tmp_path / "to") == []
    assert facts.found("backup") is None


def test_the_time_of_the_last_backup_is_known(own_vault: World, no_dump: None, tmp_path: Path) -> None:
    out = StringIO()
    call_command("backup", str(tmp_path / "to"), "--json", stdout=out)
    word = facts.found("backup")
    assert word is not None
    assert word.value["stamp"] == json.loads(out.getvalue())["stamp"]


def _age(sha256: str, *, hours: int) -> None:
    import os

    at = (datetime.now(UTC) - timedelta(hours=hours)).timestamp()
    os.utime(vault.path_of(sha256), (at, at))


def _gpg(*words: str) -> bytes:
    return subprocess.run(("gpg", "--batch", "--quiet", *words), check=True, capture_output=True).stdout


def _gpg_end() -> None:
    subprocess.run(("gpgconf", "--kill", "gpg-agent"), check=True)
