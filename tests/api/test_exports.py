"""/exports and /packages/{id}/proof, as a system calls them."""

import csv
import io
import zipfile
from datetime import UTC, datetime
from typing import Any

import pytest

from exchange import sealing, wake
from exchange.exports import jobs
from exchange.models import Event
from tests.api.conftest import Call, Caller, code_of
from tests.exchange import parties
from tests.exchange.test_export_jobs import folder
from tests.world import World

__all__ = ["folder"]
WANTED = {"kind": "deliveries", "format": "csv", "filter": {"period": "all"}}


def content_of(answer: Any) -> bytes:
    content = b"".join(answer.streaming_content)
    for close in answer._resource_closers:  # closing the answer would close the database of the test
        close()
    return content


def test_a_system_gets_the_deliveries_of_its_agencies(hub: World, recipient: Caller, caller: Call) -> None:
    made = hub.send("H29", "H29.5", "H29.17")
    hub.send("H29", "H29.121")
    answer = recipient.post("/exports", WANTED)
    assert answer.status_code == 201, answer.content
    job = recipient.get(f"/exports/{answer.json()['id']}").json()
    assert answer["Location"] == f"/api/v1/exports/{job['id']}"
    assert (job["state"], job["rows_done"], job["rows_total"]) == ("done", 1, 1)
    content = content_of(recipient.get(f"/exports/{job['id']}/content"))
    [row] = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    assert (row["Số, ký hiệu"], row["Mã nơi nhận"]) == (made.package.code, "H29.5")
    assert code_of(caller("H29.121").get(f"/exports/{job['id']}")) == "request.not-found"


def test_a_large_export_is_asked_for_and_fetched_later(
    hub: World, recipient: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "DIRECT", 0)
    monkeypatch.setattr(wake, "for_exports", lambda keys: None)
    hub.send("H29", "H29.5")
    job = recipient.post("/exports", WANTED).json()
    assert (job["state"], job["sha256"]) == ("waiting", "")
    assert code_of(recipient.get(f"/exports/{job['id']}/content")) == "export.not-ready"
    assert jobs.run(job["id"])
    assert recipient.get(f"/exports/{job['id']}").json()["state"] == "done"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({**WANTED, "filter": {"perod": "all"}}, "request.invalid"),
        ({**WANTED, "format": "jsonl"}, "request.invalid"),
        ({**WANTED, "kind": "everything"}, "request.invalid"),
        (
            {**WANTED, "kind": "register-out", "format": "pdf", "filter": {"agency": "H29"}},
            "export.not-allowed",
        ),
        ({**WANTED, "filter": {"agency": "H29.99"}}, "recipient.unknown"),
    ],
)
def test_what_cannot_be_exported_is_refused(hub: World, recipient: Caller, body: object, code: str) -> None:
    assert code_of(recipient.post("/exports", body)) == code


def test_both_sides_fetch_the_proof_bundle_and_a_stranger_does_not(
    hub: World, sender: Caller, recipient: Caller, caller: Call
) -> None:
    now = datetime.now(UTC)
    made = hub.send("H29", "H29.5", "H29.17", now=now)
    sealing.seal(now)
    path = f"/packages/{made.package.pk}/proof"
    for who, receipts in ((sender, 3), (recipient, 2)):
        answer = who.get(path)
        assert answer["Content-Type"] == "application/vnd.etsi.asic-e+zip"
        with zipfile.ZipFile(io.BytesIO(content_of(answer))) as zipped:
            assert sum(name.startswith("receipts/") for name in zipped.namelist()) == receipts
    assert parties.to(made, "H29.5").served_at
    assert code_of(caller("H29.121").get(path)) == "request.not-found"
    assert code_of(caller("H29.5", scope="send").get(path)) == "auth.scope"
    assert Event.objects.filter(name="ExportIssued").count() == 2
