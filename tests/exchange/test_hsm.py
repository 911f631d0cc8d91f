"""The seal inside a hardware module, tried with SoftHSM: what it signs, and what happens while it is away."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management import CommandError, call_command

from exchange import hsm, keys, log, sealing
from exchange.doctor.trust import own_keys
from exchange.evidence import receipts, verify
from exchange.models import Event, Log, Package, StoredReceipt
from tests.api.conftest import Caller, caller, code_of, sender  # noqa: F401 - fixtures
from tests.security.conftest import needs
from tests.world import Keys, World

pytestmark = pytest.mark.once

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "2468"
_ECDSA = ec.ECDSA(hashes.SHA256())


@dataclass(slots=True)
class Token:
    """A token of SoftHSM with the key of a certificate, and the hub's key directory that names it."""

    directory: Path
    keys: Path
    certificate: bytes

    @property
    def address(self) -> str:
        return (
            f"pkcs11:token=hub;object=seal%20of%20the%20hub;id=%01?module-path={MODULE}"
            f"&pin-source=file:{self.directory / 'pin'}"
        )

    def write(self, address: str = "", certificate: bytes = b"") -> None:
        """The file of the seal."""
        (self.keys / "seal.pem").write_bytes(
            f"{address or self.address}\n".encode() + (certificate or self.certificate)
        )

    def away(self) -> None:
        """As if the device were unplugged: its sessions die, and nobody finds it."""
        (self.directory / "tokens").rename(self.directory / "unplugged")
        (self.directory / "tokens").mkdir()
        hsm._open._forget(str(MODULE))

    def back(self) -> None:
        (self.directory / "tokens").rmdir()
        (self.directory / "unplugged").rename(self.directory / "tokens")


def made() -> tuple[bytes, bytes]:
    """A key as SoftHSM imports it, and a certificate for it."""
    pem = keys._new_seal()
    key = serialization.load_pem_private_key(pem, None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key, x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.PEM)


def softhsm(*arguments: str) -> None:
    subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True)


@pytest.fixture
def token(keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Token]:
    needs("softhsm2-util")
    found = Token(tmp_path, tmp_path / "keys", b"")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "c").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "c"))
    softhsm("--init-token", "--free", "--label", "hub", "--pin", PIN, "--so-pin", "13579135")
    key, found.certificate = made()
    (tmp_path / "key").write_bytes(key)
    softhsm(
        *("--import", str(tmp_path / "key"), "--token", "hub"),
        *("--label", "seal of the hub", "--id", "01", "--pin", PIN),
    )
    (tmp_path / "key").unlink()
    (tmp_path / "pin").write_text(f"{PIN}\n")
    shutil.copytree(settings.ENVIRONMENT.keys, found.keys)
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, keys_dir=found.keys)
    found.write()
    hsm._open = hsm._Open()
    yield found
    hsm._open = hsm._Open()


# --- what it signs ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_receipt_sealed_in_the_module_is_verified_offline(
    token: Token,
    hub: World,
    sender: Caller,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    taken = sender.send(hub.document("H29", "H29.5"))
    assert taken.status_code == 201, taken.content
    sealing.seal(datetime.now(UTC))
    one = sender.get(f"/packages/{taken.json()['id']}/receipts", wait=5).json()["items"][0]
    receipt = receipts.Receipt(one["event"].encode(), one["jws"], one["proof"])
    (tmp_path / "receipt.json").write_bytes(bytes(receipt))
    (tmp_path / "seal").write_bytes(token.certificate)
    found = Log.objects.current()
    assert found
    told = [str(tmp_path / "receipt.json"), "--seal", str(tmp_path / "seal"), "--log-key", found.key]
    assert verify.main(told) == 0, capsys.readouterr().out


def test_it_signs_any_buffer_and_gives_nothing_else_away(token: Token) -> None:
    key = keys.seal().key
    for data in (b"words", bytearray(b"words"), memoryview(b"words")):
        key.public_key().verify(key.sign(data, _ECDSA), b"words", _ECDSA)
    assert key.sign(b"words", _ECDSA) != key.sign(b"words", _ECDSA)
    with pytest.raises(ValueError, match="SHA-256"):
        key.sign(b"words", ec.ECDSA(hashes.SHA512()))
    with pytest.raises(TypeError, match="lies in a module"):
        key.private_numbers()


@pytest.mark.django_db
def test_a_receipt_made_again_is_another_signature_until_it_is_stored(token: Token, hub: World) -> None:
    now = datetime.now(UTC)
    package = hub.send("H29", "H29.5", now=now).package
    event = Event.objects.select_related("body").get(stream=package.id, seq=1)
    first, second = log.sign(event), log.sign(event)
    assert first != second
    trusted = x509.load_pem_x509_certificates(token.certificate)
    for jws in (first, second):
        receipts.verify(bytes(event.body.raw), jws, trusted, event.at)
    sealing.seal(now)
    while sealing.store_receipts():
        pass
    stored = StoredReceipt.objects.get(event=event).jws
    fresh = Event.objects.select_related("body", "stored_receipt__header").get(pk=event.pk)
    assert log.receipt(fresh).jws == log.receipt(fresh).jws == stored


def test_a_child_of_a_fork_opens_its_own_session(token: Token) -> None:
    seal = keys.seal()
    seal.sign(b"parent")
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writes, seal.sign(b"child"))
        finally:
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        signature = pipe.read()
    os.waitpid(child, 0)
    seal.key.public_key().verify(signature, b"child", _ECDSA)
    seal.key.public_key().verify(seal.sign(b"parent again"), b"parent again", _ECDSA)


# --- what does not fit --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("token=hub;", ""), "needs token"),
        (("object=", "serial="), "not 'serial'"),
        (("&pin-source=file:", "&pin-value="), "not 'pin-value'"),
        (("object=seal%20of%20the%20hub;id=%01", "type=private"), "needs object or id"),
        (("token=hub", "token=hub;token=hub"), "each once"),
    ],
)
def test_an_address_that_is_not_understood_is_refused(
    token: Token, change: tuple[str, str], words: str
) -> None:
    token.write(token.address.replace(*change))
    with pytest.raises(keys.KeyUnusable, match=words):
        keys.seal()


def test_a_key_that_is_not_the_certificates_is_refused_at_the_start(token: Token) -> None:
    token.write(certificate=made()[1])
    with pytest.raises(keys.KeyUnusable, match="does not belong to its key"):
        keys.seal()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("token=hub", "token=other"), "NoSuchToken"),
        (("id=%01", "id=%02"), "NoSuchKey"),
        ((str(MODULE), "/nowhere.so"), "nowhere.so"),
        (("/pin", "/no-pin"), "the PIN cannot be read"),
    ],
)
def test_what_is_not_there_is_named(token: Token, change: tuple[str, str], words: str) -> None:
    token.write(token.address.replace(*change))
    with pytest.raises(keys.ModuleFailed) as failed:
        keys.seal()
    assert words in str(failed.value)
    [finding] = [one for one in own_keys(datetime.now(UTC)) if one.code == "keys.module"]
    assert words in finding.seen


def test_a_refused_pin_is_not_tried_again_until_its_file_changes(
    token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    (token.directory / "pin").write_text("1111")
    with pytest.raises(keys.ModuleFailed, match="PinIncorrect"):
        keys.seal()
    hsm._begin_in_child()  # nor by a child
    with monkeypatch.context() as none, pytest.raises(keys.ModuleFailed, match="is not tried again"):
        none.setattr(hsm._Open, "_module", None)
        keys.seal()
    (token.directory / "pin").write_text(PIN)
    assert keys.seal().sign(b"words")


# --- while it is away ---------------------------------------------------------------------------------


@pytest.mark.django_db
def test_while_the_module_is_away_documents_are_taken_and_their_receipts_wait(
    token: Token,
    hub: World,
    sender: Caller,  # noqa: F811
) -> None:
    raw = hub.document("H29", "H29.5")
    assert sender.send(hub.document("H29", "H29.5")).status_code == 201
    token.away()
    for _ in range(2):
        refused = sender.send(raw)
        assert (refused.status_code, code_of(refused)) == (503, "hub.seal-away")
        assert refused.headers["Retry-After"] == "60"
    assert not Event.objects.filter(name="SubmissionRejection").exists()
    taken = Package.objects.get(sha256=sha256(raw).hexdigest())
    assert taken.deliveries.get().state == "queued"
    token.back()
    again = sender.send(raw)
    assert again.status_code == 200, again.content
    assert again.json()["id"] == str(taken.id)
    trusted = x509.load_pem_x509_certificates(token.certificate)
    event = Event.objects.select_related("body").get(stream=taken.id, seq=1)
    receipts.verify(bytes(event.body.raw), again.json()["receipt"]["jws"], trusted, event.at)


@pytest.mark.django_db
def test_a_rotation_moves_the_seal_into_the_module(token: Token, hub: World, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes((token.keys / "seal.pem").read_bytes())
    (token.keys / "seal.pem").write_bytes(keys._new_seal())
    assert not isinstance(keys.seal().key, hsm.ModuleKey)
    call_command("rotate_keys", "seal", "--pem", str(tmp_path / "new"), "--after", "1")
    assert isinstance(keys.seal(datetime.now(UTC) + timedelta(minutes=1)).key, hsm.ModuleKey)
    token.away()
    (tmp_path / "new").write_bytes((tmp_path / "new").read_bytes() + b"\n")
    with pytest.raises(CommandError, match="NoSuchToken"):
        call_command("rotate_keys", "seal", "--pem", str(tmp_path / "new"), "--after", "30")
