"""Delivery proofs, proof bundles and the public page: what a counterparty, a court or a citizen can check."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import StringIO
from pathlib import Path
from shutil import which

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from exchange import anchors, door, intake, keys, sealing, vault
from exchange.envelope import package as envelope
from exchange.evidence import verify
from exchange.exports import attached, bundle, codes, proof, readers
from exchange.models import AttachedFile, Delivery, Log, Package, ProofCode, State
from exchange.refusals import Refused
from tests.exchange import parties
from tests.exchange.test_anchors import authority, outside, stamping
from tests.exchange.test_exports import EVERYTHING, clerk, text_of_pdf
from tests.tsa import TimeStampAuthority
from tests.world import NOW, World, answer_to

__all__ = ["authority", "outside", "stamping"]

LETTER = b"%PDF-1.7 the letter that people hold"
SUBJECT = "Triển khai kế hoạch <b>năm</b> 2026 & phần còn lại"


@pytest.fixture
def sent(hub: World) -> intake.Acceptance:
    now = datetime.now(UTC)  # the seal of a new hub is valid from now on
    letter = envelope.attach("cong-van.pdf", LETTER)
    made = hub.send("H29", "H29.5", "H29.17", subject=SUBJECT, attachments=[letter], now=now)
    parties.hand_over(hub, parties.to(made, "H29.5"), now)
    hub.accept(hub.status("H29.5", "03", answer_to(made)), "H29.5", now)
    sealing.seal(datetime.now(UTC))
    sealing.store_receipts()
    return made


def reader(hub: World, code: str) -> readers.Reader:
    return readers.of_user(clerk(hub, code))


# --- the page -------------------------------------------------------------------------------------------


def test_the_delivery_proof_is_one_page_with_everything_a_clerk_must_show(
    hub: World, sent: intake.Acceptance, tmp_path: Path
) -> None:
    made = proof.of(sent.package, reader(hub, "H29"), NOW)
    proof.write(tmp_path / "a.pdf", made)
    text = " ".join(text_of_pdf(tmp_path / "a.pdf").split())
    for words in (
        "XÁC NHẬN GỬI, NHẬN VĂN BẢN ĐIỆN TỬ", "ngày 23 tháng 11 năm 2026", sent.package.code, SUBJECT,
        "Sở Giao thông vận tải", "Sở Y tế", "Đã tiếp nhận", "Chờ gửi", codes.spaced(made.code),
    ):  # fmt: skip
        assert words in text
    assert sent.package.sha256 in re.sub(r"\s", "", text)
    info = subprocess.run(["pdfinfo", tmp_path / "a.pdf"], check=True, capture_output=True).stdout.decode()
    assert re.search(r"Pages:\s+1\n", info)


def test_a_time_is_that_of_the_handover_whatever_happened_since(hub: World, sent: intake.Acceptance) -> None:
    row = parties.to(sent, "H29.5")
    assert row.handed_over_at
    handed = f"Đã giao, {timezone.localtime(row.handed_over_at):%d/%m/%Y %H:%M:%S}"
    row.state = State.SUPERSEDED  # only in memory: the database would ask for the event
    [shown] = proof._sheet(proof.Proof(sent.package, [row], "0" * 26, NOW)).rows
    assert shown[1] == f"{handed}; nay: đã được thay thế"


def test_many_recipients_and_a_long_subject_still_make_one_page(hub: World, tmp_path: Path) -> None:
    made = hub.send("H29", "H29.5", "H29.17", "H29.121", "H29.10", subject="Rất dài " * 60)
    rows = list(Delivery.objects.filter(package=made.package).select_related("recipient")) * 30
    proof.write(tmp_path / "a.pdf", proof.Proof(made.package, rows, "0" * 26, NOW))
    info = subprocess.run(["pdfinfo", tmp_path / "a.pdf"], check=True, capture_output=True).stdout.decode()
    assert re.search(r"Pages:\s+1\n", info)
    assert "và 102 cơ quan nhận khác" in text_of_pdf(tmp_path / "a.pdf")


def test_a_recipient_proves_its_own_delivery_only(
    hub: World, sent: intake.Acceptance, tmp_path: Path
) -> None:
    mine = proof.of(sent.package, reader(hub, "H29.17"), NOW)
    assert [row.recipient.code for row in mine.deliveries] == ["H29.17"]
    [shown] = codes.find(mine.code) or []
    assert [row.recipient.code for row in shown.recipients] == ["H29.17"]
    whole = proof.of(sent.package, reader(hub, "H29"), NOW)
    assert whole.code != mine.code
    assert proof.of(sent.package, EVERYTHING, NOW).code == whole.code


def test_codes_are_random_and_130_bits_long(hub: World) -> None:
    made = {codes.code_for(hub.send("H29", "H29.5").package, None, NOW) for _ in range(5)}
    assert len(made) == 5
    assert all(len(code) == 26 and set(code) <= set(codes.ALPHABET) for code in made)
    assert len(codes.ALPHABET) == 32


# --- the bundle -----------------------------------------------------------------------------------------


@pytest.fixture
def bundled(hub: World, sent: intake.Acceptance, tmp_path: Path) -> Path:
    bundle.write(tmp_path / "proof.asice", sent.package, reader(hub, "H29"), datetime.now(UTC))
    return tmp_path / "proof.asice"


@pytest.fixture
def trusted(bundled: Path, tmp_path: Path) -> list[str]:
    """Keys that the auditor has from elsewhere; here they are those of this hub."""
    with zipfile.ZipFile(bundled) as zipped:
        (tmp_path / "seal.pem").write_bytes(zipped.read("certificates/seal.pem"))
    (tmp_path / "log.keys").write_text("".join(f"{log.key}\n" for log in Log.objects.all()))
    return ["--log-key", str(tmp_path / "log.keys"), "--seal", str(tmp_path / "seal.pem")]


def checked(path: Path, trusted: list[str]) -> tuple[int, str]:
    """The auditor's own process: no Django, no database."""
    command = [sys.executable, "-m", "exchange.evidence.verify", str(path), *trusted, "--lang", "en"]
    done = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_bundle_verifies_offline_with_its_signature(
    bundled: Path, trusted: list[str], sent: intake.Acceptance
) -> None:
    code, said = checked(bundled, trusted)
    assert code == 0, said
    assert "OK: CAdES signature of the manifest (openssl)" in said
    assert "OK: Every event shown stands in the log" in said
    assert said.count("OK: Seal of the hub on the event") == 5
    with zipfile.ZipFile(bundled) as zipped:
        first = zipped.infolist()[0]
        assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
        assert zipped.read("goi-tin.edxml").count(b"<") > 10
        assert zipped.read("xac-nhan.pdf").startswith(b"%PDF")


def test_openssl_alone_verifies_the_signature_of_the_manifest(
    bundled: Path, trusted: list[str], tmp_path: Path
) -> None:
    with zipfile.ZipFile(bundled) as zipped:
        zipped.extractall(tmp_path / "out")
    command = ["openssl", "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", bundle.SIGNATURE]
    command += ["-content", bundle.MANIFEST, "-CAfile", str(tmp_path / "seal.pem"), "-partial_chain"]
    command += ["-purpose", "any", "-out", "/dev/null"]
    assert which("openssl")
    done = subprocess.run(command, cwd=tmp_path / "out", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    manifest = tmp_path / "out" / bundle.MANIFEST
    manifest.write_bytes(
        manifest.read_bytes().replace(b"asic:ASiCManifest xmlns", b"asic:ASiCManifest  xmlns")
    )
    done = subprocess.run(command, cwd=tmp_path / "out", capture_output=True, text=True, check=False)
    assert done.returncode != 0


PARTS = ["goi-tin.edxml", "events.jsonl", "proofs", "checkpoint", "xac-nhan.pdf", "HUONG-DAN.txt",
         "certificates/seal.pem", "receipts/001-SubmissionAcceptance.json"]  # fmt: skip
Files = dict[str, bytes]


def _plant(name: str) -> Callable[[Files], None]:
    return lambda files: files.update({"la.txt": b"x"})


def _change(name: str) -> Callable[[Files], None]:
    def apply(files: Files) -> None:
        files[name] = bytes([files[name][0] ^ 1]) + files[name][1:]

    return apply


def _drop(name: str) -> Callable[[Files], None]:
    def apply(files: Files) -> None:
        del files[name]

    return apply


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        (_plant, "la.txt"),
        *((_change, name) for name in (*PARTS, bundle.SIGNATURE, bundle.MANIFEST)),
        *((_drop, name) for name in (*PARTS, bundle.SIGNATURE)),
    ],
)
def test_whatever_was_tampered_with_fails_by_name(
    bundled: Path,
    trusted: list[str],
    tmp_path: Path,
    tamper: Callable[[str], Callable[[Files], None]],
    named: str,
) -> None:
    with zipfile.ZipFile(bundled) as zipped:
        content = {name: zipped.read(name) for name in zipped.namelist()}
    tamper(named)(content)
    with zipfile.ZipFile(tmp_path / "bad.asice", "w") as zipped:
        for name, data in content.items():
            zipped.writestr(name, data)
    verifier = verify.Verifier(verify._trust(verify._parser().parse_args([str(tmp_path), *trusted])))
    verifier.paths([tmp_path / "bad.asice"])
    failed = [check.where for check in verifier.report.checks if check.status == "failed"]
    assert any(where.endswith(named) for where in failed), failed


def test_a_recipient_gets_no_events_of_other_recipients(
    hub: World, sent: intake.Acceptance, tmp_path: Path
) -> None:
    bundle.write(tmp_path / "b.asice", sent.package, reader(hub, "H29.17"), datetime.now(UTC))
    with zipfile.ZipFile(tmp_path / "b.asice") as zipped:
        names = [name for name in zipped.namelist() if name.startswith("receipts/")]
        events = zipped.read("events.jsonl").decode()
    assert names == ["receipts/001-SubmissionAcceptance.json", "receipts/002-ContentConsignment.json"]
    assert "H29.5" not in events


def test_events_in_two_logs_give_two_trails(hub: World, tmp_path: Path, trusted: list[str]) -> None:
    made = hub.send("H29", "H29.5", now=datetime.now(UTC))
    sealing.seal(datetime.now(UTC))
    later = datetime.now(UTC) + timedelta(seconds=1)
    keys.add_log_key(later)
    parties.hand_over(hub, parties.to(made, "H29.5"), later)
    sealing.seal(later + timedelta(seconds=1))
    assert Log.objects.count() == 2
    (tmp_path / "log.keys").write_text("".join(f"{log.key}\n" for log in Log.objects.all()))
    bundle.write(tmp_path / "b.asice", made.package, EVERYTHING, datetime.now(UTC))
    code, said = checked(tmp_path / "b.asice", trusted)
    assert code == 0, said
    assert said.count("OK: Every event shown stands in the log") == 2


@pytest.mark.usefixtures("stamping")
def test_the_bundle_brings_the_time_stamp_of_its_checkpoint(
    hub: World, sent: intake.Acceptance, authority: TimeStampAuthority, trusted: list[str], tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    assert anchors.anchor(now) == 1
    hub.send("H29", "H29.5", now=now)
    sealing.seal(now)  # a newer head, without a time stamp
    bundle.write(tmp_path / "b.asice", sent.package, EVERYTHING, now)
    code, said = checked(tmp_path / "b.asice", [*trusted, "--tsa", str(authority.root)])
    assert code == 0, said
    assert "OK: Time stamp (openssl)" in said


def test_an_event_that_is_not_sealed_yet_gives_no_bundle(
    hub: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "PATIENCE", timedelta())
    made = hub.send("H29", "H29.5")
    with pytest.raises(Refused, match=r"export\.not-sealed"):
        bundle.write(tmp_path / "b.asice", made.package, EVERYTHING, NOW)


# --- the public page ------------------------------------------------------------------------------------


def ask(client: Client, text: str) -> tuple[int, str]:
    answer = client.get("/kiem-tra", {"q": text})
    return answer.status_code, answer.content.decode()


@pytest.fixture(autouse=True)
def _fresh_door() -> None:
    door.forget()


def test_anybody_with_the_code_sees_agencies_times_and_results_only(
    hub: World, sent: intake.Acceptance, client: Client
) -> None:
    code = codes.code_for(sent.package, None, NOW)
    taken = f"{timezone.localtime(sent.package.accepted_at):%d/%m/%Y %H:%M}"
    for typed in (code, codes.spaced(code), f" {code.lower()} ", code.replace("0", "O").replace("1", "l")):
        status, page = ask(client, typed)
        assert status == 200
        for words in ("Ủy ban nhân dân Thành phố", taken, "Sở Giao thông vận tải", "Đã tiếp nhận"):
            assert words in page
    without_input = page.replace(typed, "")
    for secret in (sent.package.code, "Triển khai", sent.package.sha256, str(sent.package.pk), "KH-TEST"):
        assert secret not in without_input


def test_the_package_or_any_of_its_attachments_finds_it(
    hub: World, sent: intake.Acceptance, client: Client
) -> None:
    for digest in (sent.package.sha256, sha256(LETTER).hexdigest().upper()):
        status, page = ask(client, digest)
        assert (status, "Sở Y tế" in page) == (200, True)
    assert AttachedFile.objects.count() == 1


def test_files_of_packages_from_before_the_page_are_indexed_once(
    hub: World, sent: intake.Acceptance, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attached, "BATCH", 1)
    letters = [envelope.attach(f"{number}.txt", b"letter %d" % number) for number in (1, 1, 2)]
    hub.send("H29", "H29.5", attachments=letters)
    gone = hub.send("H29", "H29.5", attachments=[envelope.attach("gone.txt", b"gone")]).package
    hub.send("H29", "H29.5")
    known = set(AttachedFile.objects.values_list("package", "sha256"))
    AttachedFile.objects.exclude(package=sent.package).delete()
    vault.delete(gone.sha256)
    told: list[int] = []
    assert attached.index(told.append) == attached.Outcome(packages=3, files=2, unread=1)
    assert told == [1, 2, 3]
    left = [row for row in AttachedFile.objects.values_list("package", "sha256") if row[0] != gone.pk]
    assert set(left) == {row for row in known if row[0] != gone.pk}
    assert len(left) == 3
    assert ask(client, sha256(b"letter 2").hexdigest())[0] == 200
    said = StringIO()
    call_command("index_attachments", stdout=said)  # the ones without files are read again, nothing is added
    assert said.getvalue().startswith("2 văn bản, 0 tệp, 1 không đọc được.")
    assert AttachedFile.objects.count() == 3


def test_a_changed_file_an_unknown_code_and_nonsense_are_told_apart(
    hub: World, sent: intake.Acceptance, client: Client
) -> None:
    assert ask(client, "0" * 64)[0] == 404
    assert ask(client, "0" * 26)[0] == 404
    assert ask(client, "<script>alert(1)</script>") == (400, ask(client, "<script>alert(1)</script>")[1])
    assert "<script>alert" not in ask(client, "<script>alert(1)</script>")[1]
    assert client.get("/kiem-tra").status_code == 200
    assert client.post("/kiem-tra").status_code == 405


def test_statuses_are_nobodys_business(hub: World, sent: intake.Acceptance, client: Client) -> None:
    status = Package.objects.get(kind="status")
    assert ask(client, status.sha256)[0] == 404


def test_the_page_is_strict_and_names_no_foreign_host(hub: World, client: Client) -> None:
    answer = client.get("/kiem-tra", headers={"Accept-Language": "en"})
    policy = answer["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    page = answer.content.decode()
    assert "Kiểm tra văn bản điện tử" in page
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w+", page)
    assert not re.findall(r"\bon\w+=|style=", page)
    assert re.findall(r"<script[^>]*>", page) == ['<script defer src="/static/hub/check.js">']


def test_one_address_may_not_ask_for_ever(
    hub: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "VISITS", 2)
    assert [ask(client, "0" * 26)[0] for _ in range(3)] == [404, 404, 429]
    answer = client.get("/kiem-tra", {"q": "0" * 26})
    assert 0 < int(answer["Retry-After"]) <= 60
    assert client.get("/kiem-tra").status_code == 200
    assert client.get("/kiem-tra", {"q": "0" * 26}, REMOTE_ADDR="192.0.2.7").status_code == 404


def test_asking_leaves_nothing_behind(hub: World, sent: intake.Acceptance, client: Client) -> None:
    before = ProofCode.objects.count(), Delivery.objects.count()
    ask(client, sent.package.sha256)
    assert (ProofCode.objects.count(), Delivery.objects.count()) == before
