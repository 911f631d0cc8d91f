"""/log: signed heads for everybody, tiles and entries for auditors; receipts and trails with their proofs."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from exchange import keys, registry, sealing, waiting
from exchange.evidence import checkpoint, tiles, tree, verify
from exchange.evidence.checkpoint import VerifierKey
from exchange.evidence.events import leaf_hash
from exchange.evidence.proof import Proof
from exchange.models import Log
from fixtures.pki import Authority, pem, private_pem
from tests.api.conftest import Caller, code_of, fetch_token
from tests.world import ACTOR, NOW, World


@pytest.fixture
def auditor(hub: World, client: Client) -> Caller:
    """A system with the scope `audit` only."""
    by = registry.Change(ACTOR, NOW)
    credential = registry.issue_credential(hub.systems["office"], by=by, scopes=["audit"])
    return Caller(client, fetch_token(client, credential).json()["access_token"])


def current() -> Log:
    found = Log.objects.current()
    assert found
    return found


def log_key() -> VerifierKey:
    return VerifierKey.parse(current().key)


def test_the_head_is_public_and_signed(hub: World, client: Client) -> None:
    assert code_of(client.get("/api/v1/log/checkpoint")) == "request.not-found"
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    answer = client.get("/api/v1/log/checkpoint")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    head = checkpoint.verify(answer.content, [log_key()]).checkpoint
    assert (head.origin, head.size) == ("hub.test/2026", current().size)


def test_every_log_and_its_key_is_listed(hub: World, client: Client) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    hub.send("H29", "H29.5")
    sealing.seal(NOW + timedelta(days=400))
    listed = client.get("/api/v1/logs").json()["items"]
    assert [item["origin"] for item in listed] == ["hub.test/2026", "hub.test/2027"]
    for item in listed:
        raw = client.get(f"/api/v1/logs/{item['id']}/checkpoint").content
        assert checkpoint.verify(raw, [VerifierKey.parse(item["key"])]).checkpoint.origin == item["origin"]
    assert client.get("/api/v1/log/checkpoint").content == raw


def test_tiles_and_entries_rebuild_the_head(hub: World, auditor: Caller, client: Client) -> None:
    hub.send("H29", "H29.5", "H29.17")
    sealing.seal(NOW)
    size = current().size
    hashes = tiles.split(auditor.get(f"/log/tile/0/000.p/{size}").content)
    bundle = auditor.get(f"/log/tile/entries/000.p/{size}").content
    assert bundle == auditor.get(f"/log/entries/000.p/{size}").content
    assert bundle == auditor.get(f"/logs/{current().pk}/tile/entries/000.p/{size}").content
    assert [leaf_hash(raw) for raw in tiles.parse_bundle(bundle)] == hashes
    head = checkpoint.verify(client.get("/api/v1/log/checkpoint").content, [log_key()]).checkpoint
    assert head.root == tree.root(hashes)


def test_only_what_the_signed_head_covers_is_served(hub: World, auditor: Caller) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    size = current().size
    hub.send("H29", "H29.5")
    sealing.integrate(current())
    assert auditor.get(f"/log/tile/0/000.p/{size}").status_code == 200
    for place in (f"tile/0/000.p/{size + 1}", "tile/0/000", "tile/0/001.p/1", "tile/1/000", "tile/0/0", "x"):
        assert code_of(auditor.get(f"/log/{place}")) == "request.not-found", place


def test_tiles_and_entries_are_for_auditors(hub: World, sender: Caller, client: Client) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    assert code_of(sender.get("/log/tile/0/000.p/1")) == "auth.scope"
    assert code_of(sender.get("/log/entries/000.p/1")) == "auth.scope"
    assert code_of(client.get("/api/v1/log/tile/0/000.p/1")) == "auth.required"


def test_a_receipt_gets_its_proof_as_soon_as_it_is_sealed(hub: World, sender: Caller) -> None:
    made = sender.send(hub.document("H29", "H29.5")).json()
    [first, _] = sender.get(f"/packages/{made['id']}/receipts").json()["items"]
    assert first == made["receipt"]
    sealing.seal(NOW)
    [first, second] = sender.get(f"/packages/{made['id']}/receipts", wait=1).json()["items"]
    assert {key: first[key] for key in ("event", "jws")} == made["receipt"]
    for item in (first, second):
        Proof.parse(item["proof"]).verify(leaf_hash(item["event"].encode()), [log_key()])


def test_a_new_head_of_the_log_wakes_who_waits_for_a_proof(
    hub: World, sender: Caller, ticket: waiting.Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sender.send(hub.document("H29", "H29.5")).json()
    rung: list[str] = []
    monkeypatch.setattr(waiting, "ring_after_commit", rung.extend)
    with waiting.asking(ticket):
        items = sender.get(f"/packages/{made['id']}/receipts", wait=30).json()["items"]
    assert ticket.parked
    assert not any("proof" in item for item in items), "what is answered if nothing comes"
    sealing.seal(NOW)
    assert ticket.topics <= set(rung)
    with waiting.asking(ticket):
        items = sender.get(f"/packages/{made['id']}/receipts", wait=30).json()["items"]
    assert not ticket.parked
    assert all("proof" in item for item in items)


def test_every_line_of_a_trail_has_its_proof(hub: World, sender: Caller) -> None:
    made = hub.send("H29", "H29.5", "H29.17")
    sealing.seal(NOW)
    items = sender.get(f"/packages/{made.package.id}/trail").json()["items"]
    assert [item["name"] for item in items] == ["SubmissionAcceptance", *["ContentConsignment"] * 2]
    for item in items:
        proof = Proof.parse(item["proof"])
        proof.verify(leaf_hash(item["event"].encode()), [log_key()])
        assert (proof.index, item["log"]) == (item["index"], "hub.test/2026")


def test_a_recipient_gets_proofs_of_its_own_events_only(hub: World, recipient: Caller) -> None:
    made = hub.send("H29", "H29.5", "H29.17")
    sealing.seal(NOW)
    items = recipient.get(f"/packages/{made.package.id}/receipts").json()["items"]
    assert {json.loads(item["event"]).get("recipient") for item in items} == {None, "H29.5"}


def test_what_the_api_gives_verifies_offline(hub: World, sender: Caller, tmp_path: Path) -> None:
    """The auditor's verifier on a receipt as fetched, with the log key and the authority of the seal."""
    root = Authority.create("Seal Root", key="ec", not_before=NOW - timedelta(days=9))
    seal = root.issue("Hub seal", key="ec", not_before=NOW - timedelta(days=9))
    keys.add_seal(NOW - timedelta(days=8), private_pem(seal.key) + pem(seal.chain))
    (tmp_path / "seal.pem").write_bytes(pem([root.certificate]))
    made = hub.send("H29", "H29.5")
    sealing.seal(NOW)
    [item, _] = sender.get(f"/packages/{made.package.id}/receipts").json()["items"]
    receipt = {key: item[key] for key in ("event", "jws", "proof")}
    assert run_verifier(tmp_path, receipt) == 0
    receipt["event"] = receipt["event"].replace("H29", "H28")
    assert run_verifier(tmp_path, receipt) == 1


def run_verifier(folder: Path, receipt: dict[str, Any]) -> int:
    file = folder / "receipt.json"
    file.write_text(json.dumps(receipt, ensure_ascii=False))
    return verify.main([str(file), "--log-key", current().key, "--seal", str(folder / "seal.pem")])


# --- clients that remember ------------------------------------------------------------------------------


def look_again(client: Client, folder: Path) -> int:
    """The worked example of docs/audit-log.md: fetch, demand the proof, verify, and keep the newer head."""
    kept, newer = folder / "kept", folder / "newer"
    newer.mkdir(exist_ok=True)
    (newer / "checkpoint").write_bytes(client.get("/api/v1/log/checkpoint").content)
    sizes = [file.read_text().split("\n")[1] for file in (kept, newer / "checkpoint")]
    answer = client.get("/api/v1/log/consistency", {"old": sizes[0], "size": sizes[1]})
    (newer / "consistency").write_bytes(answer.content)
    code = verify.main([str(kept), str(newer), "--log-key", (folder / "key").read_text()])
    if code == 0:
        kept.write_bytes((newer / "checkpoint").read_bytes())
    return code


def test_a_client_that_keeps_its_last_checkpoint_sees_that_the_log_only_grew(
    hub: World, client: Client, tmp_path: Path
) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    (tmp_path / "kept").write_bytes(client.get("/api/v1/log/checkpoint").content)
    (tmp_path / "key").write_text(current().key)
    for _ in range(3):
        hub.send("H29", "H29.5")
        sealing.seal(NOW)
        assert look_again(client, tmp_path) == 0
    assert look_again(client, tmp_path) == 0
    other = checkpoint.Checkpoint(current().origin, 5, b"\1" * 32)
    (tmp_path / "kept").write_bytes(checkpoint.sign(other, keys.log_key(NOW)))
    assert look_again(client, tmp_path) == 1


def test_a_proof_of_consistency_is_only_of_what_is_signed(hub: World, client: Client) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    size = current().size
    of_it = f"/api/v1/logs/{current().pk}/consistency"
    assert client.get(of_it, {"old": 1, "size": size}).content.startswith(b"1 ")
    for old, new in ((2, 1), (0, size + 1)):
        assert (
            code_of(client.get("/api/v1/log/consistency", {"old": old, "size": new})) == "request.not-found"
        )
    assert code_of(client.get("/api/v1/log/consistency", {"old": "x"})) == "request.invalid"


def test_the_hub_states_how_many_events_a_stream_has(hub: World, sender: Caller, tmp_path: Path) -> None:
    root = Authority.create("Seal Root", key="ec", not_before=NOW - timedelta(days=9))
    seal = root.issue("Hub seal", key="ec", not_before=NOW - timedelta(days=9))
    keys.add_seal(NOW - timedelta(days=8), private_pem(seal.key) + pem(seal.chain))
    (tmp_path / "seal.pem").write_bytes(pem([root.certificate]))
    made = hub.send("H29", "H29.5")
    assert code_of(sender.get(f"/packages/{made.package.id}/statements")) == "request.not-found"
    sealing.seal(NOW)
    items = sender.get(f"/packages/{made.package.id}/statements").json()["items"]
    said = [json.loads(item["statement"]) for item in items]
    assert {item["stream"]: item["events"] for item in said} == {
        str(made.package.id): 1,
        str(made.deliveries[0].id): 1,
    }
    [first] = [item for item in said if item["stream"] == str(made.package.id)]
    assert first["head"] == leaf_hash(made.receipt.raw).hex()
    head = checkpoint.verify(sender.client.get("/api/v1/log/checkpoint").content, [log_key()]).checkpoint
    assert (first["log"], first["size"], first["root"]) == (head.origin, head.size, head.root.hex())
    arguments = [
        str(tmp_path / "said.json"),
        "--seal",
        str(tmp_path / "seal.pem"),
        "--log-key",
        current().key,
    ]
    (tmp_path / "said.json").write_text(json.dumps(items[0]))
    assert verify.main(arguments) == 0
    (tmp_path / "said.json").write_text(json.dumps(items[0]).replace('\\"events\\":1', '\\"events\\":0'))
    assert verify.main(arguments) == 1


def test_a_statement_on_another_history_of_the_log_is_noticed(
    hub: World, sender: Caller, tmp_path: Path
) -> None:
    made = hub.send("H29", "H29.5")
    sealing.seal(NOW)
    [item, _] = sender.get(f"/packages/{made.package.id}/statements").json()["items"]
    (tmp_path / "said.json").write_text(json.dumps(item))
    other = checkpoint.Checkpoint(current().origin, current().size, b"\1" * 32)
    (tmp_path / "head").write_bytes(checkpoint.sign(other, keys.log_key(NOW)))
    assert verify.main([str(tmp_path / "said.json"), str(tmp_path / "head"), "--log-key", current().key]) == 1
