"""The commands of operators: what they store, what they print, how they fail."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from agencies.directory import Credential, System, agency_by_code, signing_certificates
from exchange import keys as hub_keys
from exchange import registry
from exchange.envelope import package as envelope
from exchange.envelope import signature, xml
from exchange.models import Event, Package
from fixtures.pki import Revocation, pem
from tests.world import World


def run(*words: str) -> str:
    """What a command prints."""
    out = StringIO()
    call_command(*words, stdout=out, stderr=StringIO())
    return out.getvalue()


def run_json(*words: str) -> dict[str, Any]:
    """What a command answers to a machine."""
    answer: dict[str, Any] = json.loads(run(*words, "--json"))
    return answer


def test_enrol_agency_registers_it_under_all_its_codes(hub: World) -> None:
    answer = run_json("enrol_agency", "H29.77", "Sở Nội vụ", "--alias", "000.00.77.H29", "--parent", "H29")
    agency = agency_by_code("000.00.77.H29", timezone.now())
    assert agency is not None
    assert (str(agency.id), agency.parent) == (answer["id"], hub.agencies["H29"])
    assert Event.objects.filter(stream=agency.id).count() == 1


def test_enrol_agency_says_in_two_languages_why_not(hub: World) -> None:
    with pytest.raises(CommandError, match=r"đã đăng ký với thông tin khác.* / .*already registered"):
        run("enrol_agency", "H29", "Tên khác")


def test_enrol_agency_wants_a_name_or_a_file_not_both(hub: World, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="CODE NAME"):
        run("enrol_agency", "H29.77")
    with pytest.raises(CommandError, match="CODE NAME"):
        run("enrol_agency", "H29.77", "Sở Nội vụ", "--csv", str(tmp_path / "a.csv"))


def test_enrol_agency_imports_a_file_with_a_byte_order_mark(hub: World, tmp_path: Path) -> None:
    file = tmp_path / "agencies.csv"
    file.write_text("code,name,aliases\nH29.77,Sở Nội vụ,000.00.77.H29\n", encoding="utf-8-sig")
    assert run_json("enrol_agency", "--csv", str(file)) == {"created": 1, "updated": 0, "unchanged": 0}
    assert agency_by_code("000.00.77.H29", timezone.now())


def test_enrol_agency_names_the_line_of_a_mistake(hub: World, tmp_path: Path) -> None:
    file = tmp_path / "agencies.csv"
    file.write_text("code,name\nH29.77,Sở Nội vụ\nH29.78,\n", encoding="utf-8")
    with pytest.raises(CommandError, match=r"agencies\.csv:3: "):
        run("enrol_agency", "--csv", str(file))
    assert agency_by_code("H29.77", timezone.now()) is None


def test_enrol_system_prints_secrets_once(hub: World) -> None:
    run("enrol_agency", "H29.77", "Sở Nội vụ")
    words = ("enrol_system", "noi-vu", "--agency", "H29.77", "--deliver", "push")
    made = run_json(*words, "--callback-url", "https://qlvb.example.vn/nhan", "--scopes", "send,receive")
    system = System.objects.get(name="noi-vu")
    credential = Credential.objects.get(client_id=made["client_id"])
    assert (credential.system, credential.scope_list) == (system, ["send", "receive"])
    assert hub_keys.decrypt(bytes(system.webhook_secrets)).decode() == made["webhook_secret"]
    again = run_json(*words, "--callback-url", "https://qlvb.example.vn/nhan")
    assert "client_secret" not in again
    assert Credential.objects.filter(system=system).count() == 1


def test_enrol_system_refuses_an_unknown_agency_and_a_push_without_address(hub: World) -> None:
    with pytest.raises(CommandError, match=r"no agency with code H29\.404"):
        run("enrol_system", "x", "--agency", "H29.404")
    with pytest.raises(CommandError, match="must have a callback address"):
        run("enrol_system", "x", "--deliver", "push")
    assert not System.objects.filter(name="x").exists()


def test_add_certificate_registers_the_signer(hub: World, tmp_path: Path) -> None:
    identity = hub.keys.authority.issue("New key")
    _, path = identity.save(tmp_path, "new")
    answer = run_json("add_certificate", "000.00.05.H29", str(path))
    registered = signing_certificates(hub.agencies["H29.5"])
    assert answer["fingerprint"] in [row.fingerprint for row in registered]


def test_add_certificate_refuses_what_is_none(hub: World, tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("not a certificate")
    with pytest.raises(CommandError, match="cannot be read"):
        run("add_certificate", "H29.5", str(tmp_path / "x.pem"))
    with pytest.raises(CommandError, match="No such file"):
        run("add_certificate", "H29.5", str(tmp_path / "absent.pem"))


def test_add_crl_stores_the_list_of_an_authority(hub: World, tmp_path: Path) -> None:
    authority = hub.keys.authority
    gone = authority.issue("Gone").certificate
    crl, issuer = tmp_path / "list.crl", tmp_path / "ca.pem"
    listed = authority.crl([Revocation(gone, timezone.now())])
    crl.write_bytes(listed.public_bytes(Encoding.DER))
    issuer.write_bytes(pem([authority.certificate]))
    assert "Stored" in run("add_crl", str(crl), "--issuer", str(issuer))
    assert "Not newer" in run("add_crl", str(crl), "--issuer", str(issuer))


@pytest.mark.parametrize("more", [[], ["--xades"]])
def test_sign_package_makes_a_signature_that_verifies(hub: World, tmp_path: Path, more: list[str]) -> None:
    identity = hub.keys.identities["H29"]
    key, certificate = identity.save(tmp_path, "h29")
    plain, signed = tmp_path / "plain.edxml", tmp_path / "signed.edxml"
    plain.write_bytes(hub.document("H29", "H29.5", signed=False))
    run("sign_package", str(plain), str(signed), "--key", str(key), "--certificate", str(certificate), *more)
    root = xml.parse(signed.read_bytes())
    assert signature.verify(root, [identity.der], organ="H29").certificate_der == identity.der


def test_sign_package_refuses_a_key_of_another_and_what_is_not_edxml(hub: World, tmp_path: Path) -> None:
    key, own = hub.keys.identities["H29"].save(tmp_path, "h29")
    _, other = hub.keys.identities["H29.5"].save(tmp_path, "h29.5")
    plain, out = tmp_path / "plain.edxml", tmp_path / "out.edxml"
    plain.write_bytes(hub.document("H29", "H29.5", signed=False))
    with pytest.raises(CommandError, match="not that of the key"):
        run("sign_package", str(plain), str(out), "--key", str(key), "--certificate", str(other))
    plain.write_bytes(b"no xml")
    with pytest.raises(CommandError, match="XML"):
        run("sign_package", str(plain), str(out), "--key", str(key), "--certificate", str(own))
    assert not out.exists()


def test_send_package_hands_a_file_over_as_a_system_would(
    live_hub: World, live_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "signed.edxml"
    file.write_bytes(live_hub.document("H29", "H29.5", at=timezone.now()))
    client_id, secret = live_hub.clients["office"]
    monkeypatch.setenv("SEND_SECRET", secret)
    words = ("send_package", str(file), "--base-url", live_server.url, "--client-id", client_id)
    assert json.loads(run(*words, "--validate"))["acceptable"]
    assert not Package.objects.exists()
    answer = json.loads(run(*words))
    assert envelope.read(xml.parse(file.read_bytes())).document_id == answer["document_id"]
    assert str(Package.objects.get().id) == answer["id"]


def test_send_package_fails_with_the_words_of_the_hub(
    live_hub: World, live_server: LiveServer, tmp_path: Path
) -> None:
    file = tmp_path / "unsigned.edxml"
    file.write_bytes(live_hub.document("H29", "H29.5", signed=False, at=timezone.now()))
    client_id, secret = live_hub.clients["office"]
    words = ("send_package", str(file), "--client-id", client_id)
    with pytest.raises(CommandError, match=r"signature\.missing"):
        run(*words, f"--client-secret={secret}", "--base-url", live_server.url)  # it may begin with "-"
    with pytest.raises(CommandError, match="HTTP 401"):
        run(*words, "--client-secret=wrong", "--base-url", live_server.url)
    with pytest.raises(CommandError, match="not an http"):
        run(*words, f"--client-secret={secret}", "--base-url", "ftp://127.0.0.1")


def test_make_keys_leaves_present_keys_alone(keys: object) -> None:
    folder = Path(run("make_keys").strip())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    run("make_keys")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert {"seal.pem", "secrets.key"} <= before.keys()


def test_a_paused_system_is_resumed_once(hub: World) -> None:
    registry.pause_gone(hub.systems["health"].id, now=timezone.now())
    assert "delivering again" in run("resume_system", "health")
    assert System.objects.get(name="health").paused_at is None
    with pytest.raises(CommandError, match="neither paused nor failing"):
        run("resume_system", "health")
    with pytest.raises(CommandError, match="no such system"):
        run("resume_system", "nobody")
