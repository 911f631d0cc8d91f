"""The vault in an S3-compatible store: a server of its own (moto) on the loopback interface."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.core.management import call_command
from moto.server import ThreadedMotoServer

from exchange import bucket, vault
from exchange.management import backup
from tests.world import World


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    made = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    made.start()
    host, port = made.get_host_and_port()
    url = f"http://{host}:{port}"
    boto3.client(
        "s3", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
    ).create_bucket(Bucket="packages")
    yield url
    made.stop()


@pytest.fixture
def store(server: str, settings: Any) -> Iterator[str]:
    """A hub whose vault is that bucket."""
    settings.ENVIRONMENT = replace(
        settings.ENVIRONMENT,
        vault_bucket="packages",
        vault_endpoint=server,
        vault_access_key="a",
        vault_secret_key="b",
    )
    bucket._storage.cache_clear()
    yield server
    bucket._storage.cache_clear()


def test_bytes_come_back_as_they_were_put(store: str) -> None:
    raw = b"edxml" * 1000
    sha256 = vault.put(raw)
    assert sha256 == hashlib.sha256(raw).hexdigest()
    assert vault.get(sha256) == raw
    assert not vault.path_of(sha256).exists(), "nothing is written to the disk"
    assert vault.put(raw) == sha256


def test_a_large_object_can_be_read_from_anywhere(store: str) -> None:
    raw = bytes(range(256)) * 50_000
    with vault.open_bytes(vault.put(raw)) as file:
        file.seek(12_345_678)
        assert file.read(100) == raw[12_345_678:12_345_778]


def test_what_is_not_there_is_missing_and_may_be_deleted_twice(store: str) -> None:
    sha256 = vault.put(b"gone")
    vault.delete(sha256)
    vault.delete(sha256)
    with pytest.raises(vault.Missing):
        vault.get(sha256)


def test_a_package_is_taken_and_served_from_the_store(store: str, hub: World) -> None:
    raw = hub.document("H29", "H29.5")
    made = hub.accept(raw)
    assert vault.get(made.package.sha256) == raw


def test_a_backup_leaves_the_packages_to_the_store_and_says_so(
    store: str, hub: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(backup, "_dump", lambda file: file.write(b"rows"))
    monkeypatch.setenv("HUB_VAULT_SECRET_KEY", "very-secret")
    stored, out = hub.accept(hub.document("H29", "H29.5")).package.sha256, StringIO()
    call_command("backup", str(tmp_path), stdout=out)
    assert "copy the bucket packages now" in out.getvalue()
    [made] = backup.manifests(tmp_path)
    assert (made.bucket, made.previous, made.vault_files) == ("packages", "", 0)
    assert set(made.digests) == {"database"}
    assert made.settings["HUB_VAULT_SECRET_KEY"] == "***"
    assert vault.holds(stored)
    vault.delete(stored)
    assert not vault.holds(stored)
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, vault_bucket="")
    with pytest.raises(backup.BackupError, match="in the bucket packages: set HUB_VAULT_BUCKET"):
        backup.restore(tmp_path)


def test_a_store_that_refuses_is_an_error_of_the_hub_and_nothing_is_accepted(
    store: str, hub: World, settings: Any
) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, vault_bucket="no-such-bucket")
    bucket._storage.cache_clear()
    with pytest.raises(OSError, match="no-such-bucket"):
        hub.accept(hub.document("H29", "H29.5"))
    with pytest.raises(OSError, match="no-such-bucket"):
        vault.check()
