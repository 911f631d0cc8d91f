"""The auditor's verifier: what it must find, and what it must not promise."""

import json
import subprocess
import sys
import zipfile
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from shutil import which

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from exchange.evidence import checkpoint, events, folder, proof, prove, receipts, trails, verify
from exchange.evidence.report import FAILED, OK, UNCHECKED, WARNING, Check
from exchange.evidence.verify import Trust, Verifier
from tests.tsa import TimeStampAuthority

from .samples import (
    CHAIN,
    LOG,
    LOG_KEY,
    NOW,
    ORIGIN,
    OTHER_LOG_KEY,
    ROOT,
    SEAL,
    SEAL_KEY,
    WITNESS,
    WITNESS_KEY,
    Log,
    memory,
    small_log,
)

KEYS = Trust(log_keys=[LOG], seals=[ROOT])
HERE = Path(verify.__file__).parent


@pytest.fixture
def log() -> Log:
    return small_log()


def verified(*paths: Path, trust: Trust = KEYS) -> list[Check]:
    verifier = Verifier(trust)
    verifier.paths(paths)
    return verifier.report.checks


def of(status: str, checks: list[Check]) -> list[Check]:
    return [check for check in checks if check.status == status]


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in sorted(folder.iterdir()):
            archive.write(member, member.name)
    return path


# --- trails -----------------------------------------------------------------------------------------------


def test_a_full_trail_holds_and_is_complete(log: Log, tmp_path: Path) -> None:
    checks = verified(log.export(tmp_path / "trail"))
    assert {c.status for c in checks} == {OK}
    assert verify.COMPLETE[1] in {c.en for c in checks}


def test_a_zipped_trail_is_the_same(log: Log, tmp_path: Path) -> None:
    folder = log.export(tmp_path / "trail")
    archive = verified(zipped(folder, tmp_path / "trail.zip"))
    assert [c.en for c in archive if "zip" not in c.en] == [c.en for c in verified(folder)]


TAMPERED: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "edit": lambda lines: [*lines[:3], lines[3].replace(b"H29.2", b"H29.3"), *lines[4:]],
    "delete": lambda lines: [*lines[:3], *lines[4:]],
    "delete the last": lambda lines: lines[:-1],
    "insert": lambda lines: [*lines[:3], lines[0].replace(b'"e0"', b'"e9"'), *lines[3:]],
    "reorder": lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]],
    "duplicate": lambda lines: [*lines[:4], lines[3], *lines[4:]],
    "append": lambda lines: [*lines, lines[-1]],
    "add a space": lambda lines: [lines[0] + b" ", *lines[1:]],
    "nothing left": lambda lines: [b""],
    "hide a body": lambda lines: [b'"%s"' % events.leaf_hash(lines[0]).hex().encode(), *lines[1:]],
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_tampering_with_a_trail_is_found(log: Log, tmp_path: Path, kind: str) -> None:
    folder = log.export(tmp_path / "trail", TAMPERED[kind](log.lines))
    assert of(FAILED, verified(folder))
    assert of(FAILED, verified(zipped(folder, tmp_path / "trail.zip")))


_UNLINKED = {"delete the last", "hide a body", "add a space", "nothing left"}
REWRITTEN: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    name: change for name, change in TAMPERED.items() if name not in _UNLINKED
}


@pytest.mark.parametrize("kind", REWRITTEN)
def test_even_with_the_key_of_the_log_a_rewritten_stream_breaks(log: Log, tmp_path: Path, kind: str) -> None:
    """Leaves, tree and checkpoint were made anew with the stolen key; `seq` and `prev` still tell."""
    forged = Log(REWRITTEN[kind](log.lines))
    checks = verified(forged.export(tmp_path / "trail"))
    assert [c.en for c in of(FAILED, checks)] == [verify.STREAMS[1]]


def test_a_stolen_key_cannot_rewrite_what_somebody_remembers(log: Log, tmp_path: Path) -> None:
    """A full rewrite, streams and all, contradicts the checkpoint that a client kept."""
    old = tmp_path / "old-checkpoint"
    old.write_bytes(log.checkpoint(5))
    forged = Log()
    forged.add("SubmissionAcceptance", "p1", deliveries=())
    for number in range(6):
        forged.add("SubmissionAcceptance", f"p{number + 2}", deliveries=())
    folder = forged.export(tmp_path / "trail")
    assert not of(FAILED, verified(folder))
    assert [c.en for c in of(FAILED, verified(folder, old))] == [verify.CONSISTENT[1]]
    assert not of(FAILED, verified(log.export(tmp_path / "true"), old))


def test_a_shrunk_log_is_not_called_consistent(log: Log, tmp_path: Path) -> None:
    old = tmp_path / "old-checkpoint"
    old.write_bytes(log.checkpoint())
    short = Log(log.lines[:4])
    checks = of(UNCHECKED, verified(short.export(tmp_path / "trail"), old))
    assert [(c.where, c.en) for c in checks] == [(f"{ORIGIN} 7", verify.CONSISTENT[1])]


def test_two_checkpoints_of_one_size_are_a_fork(log: Log, tmp_path: Path) -> None:
    other = replace(log, lines=[*log.lines[:-1], log.lines[0]])
    for name, source in (("a", log), ("b", other)):
        (tmp_path / name).write_bytes(source.checkpoint())
    checks = verified(tmp_path / "a", tmp_path / "b")
    assert [c.en for c in of(FAILED, checks)] == [verify.CONSISTENT[1]]


def test_a_checkpoint_of_another_key_fails(log: Log, tmp_path: Path) -> None:
    folder = log.export(tmp_path / "trail")
    (folder / "checkpoint").write_bytes(log.checkpoint(key=OTHER_LOG_KEY))
    assert of(FAILED, verified(folder))


def test_without_the_key_the_signature_is_not_called_checked(log: Log, tmp_path: Path) -> None:
    checks = verified(log.export(tmp_path / "trail"), trust=Trust())
    assert [c.en for c in of(UNCHECKED, checks)] == [verify.CHECKPOINT[1]]
    assert not of(FAILED, checks)


def test_witnesses_are_named_when_they_signed_and_when_not(log: Log, tmp_path: Path) -> None:
    trust = replace(KEYS, witnesses=[WITNESS])
    raw = log.checkpoint()
    signature = checkpoint.cosign(raw, WITNESS_KEY, WITNESS.name, 1)
    (tmp_path / "with").write_bytes(bytes(checkpoint.Note.parse(raw).added(signature)))
    (tmp_path / "without").write_bytes(raw)
    assert not of(UNCHECKED, verified(tmp_path / "with", trust=trust))
    assert [c.detail for c in of(UNCHECKED, verified(tmp_path / "without", trust=trust))] == [WITNESS.name]


def test_consistency_is_proven_without_the_events_between(log: Log, tmp_path: Path) -> None:
    folder, old = log.extract(tmp_path / "trail", [1, 3]), tmp_path / "old"
    old.write_bytes(log.checkpoint(5))
    assert verify.CONSISTENT[1] in {c.en for c in of(UNCHECKED, verified(folder, old))}
    path = prove.consistency(5, 7, memory(log.leaves))
    (folder / "consistency").write_text(proof.path_line(5, path))
    assert verify.CONSISTENT[1] in {c.en for c in of(OK, verified(folder, old))}
    (folder / "consistency").write_text(proof.path_line(5, path[::-1]))
    assert verify.CONSISTENT[1] in {c.en for c in of(FAILED, verified(folder, old))}


@pytest.mark.parametrize("places", [[0], [1, 3], [0, 6], list(range(7))])
def test_an_extract_proves_what_it_shows_and_says_no_more(
    log: Log, tmp_path: Path, places: list[int]
) -> None:
    checks = verified(log.extract(tmp_path / "trail", places))
    assert not of(FAILED, checks)
    assert verify.COMPLETE[1] in {c.en for c in of(UNCHECKED, checks)}


def test_an_extract_cannot_show_an_event_twice_or_another_one(log: Log, tmp_path: Path) -> None:
    folder = log.extract(tmp_path / "trail", [1, 3])
    lines, paths = (folder / "events.jsonl").read_bytes(), (folder / "proofs").read_text()
    for new_lines, new_paths in (
        (lines.replace(b"H29.2", b"H29.3"), paths),
        (lines + lines, paths + paths),
        (lines, paths + paths),
        (lines, paths.splitlines()[0] + "\n"),
        (lines[:-1], paths),
    ):
        (folder / "events.jsonl").write_bytes(new_lines)
        (folder / "proofs").write_text(new_paths)
        assert of(FAILED, verified(folder))


def test_every_index_range_is_complete_by_itself(log: Log, tmp_path: Path) -> None:
    for first in range(8):
        for end in range(first, 8):
            checks = verified(log.part(tmp_path / f"{first}-{end}", first, end))
            assert not of(FAILED, checks)
            assert verify.COMPLETE[1] in {c.en for c in of(OK, checks)}


def test_a_range_with_a_missing_event_fails(log: Log, tmp_path: Path) -> None:
    folder = log.part(tmp_path / "part", 2, 6)
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "events.jsonl").write_bytes(b"".join(lines[:-1]))
    assert of(FAILED, verified(folder))


def test_removed_bodies_are_fine_once_an_event_says_so(log: Log, tmp_path: Path) -> None:
    reason = events.Reason("retention.rule")
    log.add("Redaction", "hub", indices=(1, 3), target=ORIGIN, reason=reason)
    removed = [b'"%s"' % leaf.hex().encode() if i in {1, 3} else line
               for i, (line, leaf) in enumerate(zip(log.lines, log.leaves, strict=True))]  # fmt: skip
    checks = verified(log.export(tmp_path / "trail", removed))
    assert not of(FAILED, checks)
    assert any("2; not named: []" in c.detail for c in of(OK, checks))


def test_bodies_may_be_removed_by_an_event_in_a_later_log(log: Log, tmp_path: Path) -> None:
    removed = [b'"%s"' % leaf.hex().encode() for leaf in log.leaves]
    old = log.export(tmp_path / "old", removed)
    assert any("in a later log" in c.detail for c in of(FAILED, verified(old)))
    later = Log(origin="hub.example/log2027")
    later.add("NewLog", "log2027", checkpoint=log.checkpoint().decode())
    reason = events.Reason("retention.document")
    later.add("Redaction", "hub", indices=tuple(range(len(removed))), target=ORIGIN, reason=reason)
    trust = replace(KEYS, log_keys=[LOG, checkpoint.verifier_key(later.origin, LOG_KEY)])
    checks = verified(old, later.export(tmp_path / "new"), trust=trust)
    assert not of(FAILED, checks)
    assert (ORIGIN, f"{len(removed)}; not named: []") in {(c.where, c.detail) for c in of(OK, checks)}


def test_a_redaction_that_comes_before_does_not_cover(log: Log, tmp_path: Path) -> None:
    reason = events.Reason("retention.rule")
    log.add("Redaction", "hub", indices=(9,), target=ORIGIN, reason=reason)
    log.add("Reminder", "d1", delivery="d1")
    log.add("Reminder", "d1", delivery="d1")
    removed = [*log.lines[:-1], b'"%s"' % log.leaves[-1].hex().encode()]
    assert of(FAILED, verified(log.export(tmp_path / "trail", removed)))


def test_a_time_stamp_beside_the_checkpoint_of_a_trail_is_checked(log: Log, tmp_path: Path) -> None:
    authority, trail = TimeStampAuthority.make(tmp_path / "tsa"), log.export(tmp_path / "trail")
    (trail / "checkpoint.tst").write_bytes(authority.token(log.checkpoint()))
    trust = replace(KEYS, tsa=str(authority.root))
    assert "Time stamp" in {c.en for c in of(OK, verified(trail, trust=trust))}
    assert "Time stamp" in {c.en for c in of(UNCHECKED, verified(trail))}
    (trail / "checkpoint.tst").write_bytes(authority.token(log.checkpoint(3)))
    assert "Time stamp" in {c.en for c in of(FAILED, verified(trail, trust=trust))}


def test_a_missing_stream_shows(log: Log, tmp_path: Path) -> None:
    log.add("SubmissionAcceptance", "p2", deliveries=("d3",))
    assert any("d3" in c.detail for c in of(WARNING, verified(log.export(tmp_path / "trail"))))


def test_a_clock_set_back_shows(log: Log, tmp_path: Path) -> None:
    log.add("Reminder", "d1", delivery="d1", time=NOW - timedelta(hours=1))
    assert [c.detail for c in of(WARNING, verified(log.export(tmp_path / "trail")))] == ["1"]


def test_streams_may_go_on_from_the_log_of_the_year_before(log: Log, tmp_path: Path) -> None:
    new = Log(heads=dict(log.heads))
    new.add("NewLog", "log2027", checkpoint=log.checkpoint().decode())
    new.add("Reminder", "d1", delivery="d1")
    checks = verified(new.export(tmp_path / "trail"))
    assert not of(FAILED, checks)
    assert [c.detail for c in of(UNCHECKED, checks)] == ["1"]
    bare = Log(heads=dict(log.heads))
    bare.add("Reminder", "d1", delivery="d1")
    assert of(FAILED, verified(bare.export(tmp_path / "bare")))


def test_more_streams_than_fit_in_memory_are_followed(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trails, "RECENT", 2)
    monkeypatch.setattr(folder, "BATCH", 700)
    for stream in ("d3", "d4", "d1", "d5", "d3", "d6", "d2"):
        log.add("Reminder", stream, delivery=stream)
    assert not of(FAILED, verified(log.export(tmp_path / "trail")))
    again = Log([*log.lines, log.lines[1].replace(b'"e1"', b'"e99"')])
    assert any("twice" in c.detail for c in of(FAILED, verified(again.export(tmp_path / "again"))))


def test_hostile_lines_are_failures_and_not_crashes(log: Log, tmp_path: Path) -> None:
    for number, line in enumerate((b"[]", b"{}", b"7", b"\xff", b'"x"', b"[" * 9999, b'{"event":[]}', b'"')):
        forged = Log([*log.lines, line])
        assert of(FAILED, verified(forged.export(tmp_path / str(number))))
    assert of(FAILED, verified(tmp_path))


# --- receipts ---------------------------------------------------------------------------------------------


def test_every_receipt_of_a_log_holds(log: Log, tmp_path: Path) -> None:
    for index in range(len(log.lines)):
        path = tmp_path / f"{index}.json"
        path.write_bytes(log.receipt(index))
        checks = verified(path)
        assert not of(FAILED, checks)
        assert {verify.SEALED[1], verify.INCLUDED[1]} <= {c.en for c in of(OK, checks)}


def test_a_changed_receipt_fails(log: Log, tmp_path: Path) -> None:
    good = receipts.Receipt.parse(log.receipt(3))
    wrong = [
        replace(good, event=good.event.replace(b"H29.2", b"H29.3")),
        replace(good, event=log.lines[4]),
        replace(good, jws=receipts.sign(log.lines[4], SEAL_KEY, CHAIN)),
        replace(good, proof=log.proof(4)),
        replace(good, proof="nothing"),
        replace(good, event=b"{}"),
    ]
    for number, receipt in enumerate(wrong):
        path = tmp_path / f"{number}.json"
        path.write_bytes(bytes(receipt))
        assert of(FAILED, verified(path)), number


def test_what_a_receipt_does_not_prove_is_said(log: Log, tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    path.write_bytes(bytes(replace(receipts.Receipt.parse(log.receipt(3)), proof=None)))
    said = {c.en for c in of(UNCHECKED, verified(path, trust=Trust(log_keys=[LOG])))}
    assert {verify.INCLUDED[1], "Whose certificate the seal has"} <= said
    assert any("revoked" in text for text in said)


def test_receipts_are_compared_with_the_trail(log: Log, tmp_path: Path) -> None:
    """A receipt from a fork holds by itself, and not beside the events that everybody else sees."""
    fork = Log([*log.lines[:4], log.lines[0], log.lines[1]])
    path, folder = tmp_path / "receipt.json", log.export(tmp_path / "trail")
    path.write_bytes(fork.receipt(4, 5))
    assert not of(FAILED, verified(path))
    assert [c.en for c in of(FAILED, verified(path, folder))] == [verify.CONSISTENT[1]]
    path.write_bytes(log.receipt(4, 5))
    assert not of(FAILED, verified(path, folder))


# --- bundles ----------------------------------------------------------------------------------------------


def manifest(files: dict[str, bytes]) -> bytes:
    references = "".join(
        f'<asic:DataObjectReference URI="{name}"><ds:DigestMethod'
        f' Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
        f"<ds:DigestValue>{b64encode(sha256(data).digest()).decode()}</ds:DigestValue></asic:DataObjectReference>"
        for name, data in files.items()
    )
    return (
        '<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#"'
        ' xmlns:ds="http://www.w3.org/2000/09/xmldsig#">'
        f'<asic:SigReference URI="META-INF/signature001.p7s"/>{references}</asic:ASiCManifest>'
    ).encode()


def signature(content: bytes, folder: Path) -> bytes:
    """A CAdES signature by the seal, made by openssl."""
    key, cert, data = folder / "key.pem", folder / "seal.pem", folder / "content"
    key.write_bytes(SEAL_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    cert.write_bytes(SEAL.public_bytes(Encoding.PEM))
    data.write_bytes(content)
    command = ["openssl", "cms", "-sign", "-binary", "-cades", "-outform", "DER", "-md", "sha256"]
    command += ["-signer", str(cert), "-inkey", str(key), "-in", str(data)]
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.fixture
def parts(log: Log, tmp_path: Path) -> dict[str, bytes]:
    """What is in a bundle, by name."""
    folder = log.export(tmp_path / "trail")
    files = {
        "package.edxml": b"<edXML/>",
        "receipts/0.json": log.receipt(0),
        "events.jsonl": (folder / "events.jsonl").read_bytes(),
        "checkpoint": (folder / "checkpoint").read_bytes(),
    }
    covering = manifest(files)
    signed = signature(covering, tmp_path) if which("openssl") else b"?"
    extra = {"META-INF/ASiCManifest001.xml": covering, "META-INF/signature001.p7s": signed}
    return {"mimetype": b"application/vnd.etsi.asic-e+zip", **files, **extra}


def bundled(parts: dict[str, bytes], path: Path, *again: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
        for name in again:
            archive.writestr(zipfile.ZipInfo(name), b"other")
    return path


def test_a_bundle_holds(parts: dict[str, bytes], tmp_path: Path) -> None:
    checks = verified(bundled(parts, tmp_path / "b.asice"))
    assert not of(FAILED, checks)
    assert {c.en for c in of(UNCHECKED, checks)} >= {"CAdES signature of the manifest"}
    assert verify.COMPLETE[1] in {c.en for c in of(OK, checks)}


@pytest.mark.parametrize("name", ["planted.txt", "META-INF/planted.xml", "receipts/9.json"])
def test_a_planted_file_is_named(parts: dict[str, bytes], tmp_path: Path, name: str) -> None:
    checks = of(FAILED, verified(bundled({**parts, name: b"x"}, tmp_path / "b.asice")))
    assert [c for c in checks if c.where.endswith(name) and "Planted" in c.en]


@pytest.mark.parametrize(
    "name", ["package.edxml", "receipts/0.json", "checkpoint", "META-INF/signature001.p7s"]
)
def test_a_missing_or_changed_part_is_named(parts: dict[str, bytes], tmp_path: Path, name: str) -> None:
    less = {key: value for key, value in parts.items() if key != name}
    assert [c for c in of(FAILED, verified(bundled(less, tmp_path / "a"))) if c.where.endswith(name)]
    if not name.startswith("META-INF"):
        other = {**parts, name: parts[name] + b" "}
        assert [c for c in of(FAILED, verified(bundled(other, tmp_path / "b"))) if c.where.endswith(name)]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice_is_refused(parts: dict[str, bytes], tmp_path: Path) -> None:
    assert of(FAILED, verified(bundled(parts, tmp_path / "b.asice", "package.edxml")))


def test_a_manifest_with_a_document_type_is_refused(parts: dict[str, bytes], tmp_path: Path) -> None:
    name = "META-INF/ASiCManifest001.xml"
    parts[name] = b'<!DOCTYPE a [<!ENTITY b "c">]>' + parts[name]
    assert any("document type" in c.detail for c in of(FAILED, verified(bundled(parts, tmp_path / "b"))))


@pytest.mark.skipif(which("openssl") is None, reason="this machine has no openssl")
def test_openssl_judges_the_signature_of_the_bundle(parts: dict[str, bytes], tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    root.write_bytes(ROOT.public_bytes(Encoding.PEM))
    trust = replace(KEYS, seal=str(root))
    words = "CAdES signature of the manifest"
    assert words in {c.en for c in of(OK, verified(bundled(parts, tmp_path / "a"), trust=trust))}
    parts["META-INF/signature001.p7s"] = signature(b"something else", tmp_path)
    assert words in {c.en for c in of(FAILED, verified(bundled(parts, tmp_path / "b"), trust=trust))}


# --- the command ------------------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path: Path) -> list[str]:
    (tmp_path / "log.keys").write_text(f"{LOG}\n{WITNESS}\n")
    (tmp_path / "seal.pem").write_bytes(ROOT.public_bytes(Encoding.PEM))
    return ["--log-key", str(tmp_path / "log.keys"), "--seal", str(tmp_path / "seal.pem")]


def test_the_exit_code_tells(
    log: Log, tmp_path: Path, keys: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    trail = str(log.export(tmp_path / "trail"))
    assert verify.main([trail, *keys]) == 0
    assert "KẾT LUẬN: ĐÚNG" in capsys.readouterr().out
    assert verify.main([trail, "--log-key", str(LOG), "--lang", "en"]) == 0
    assert "ĐÚNG" not in capsys.readouterr().out
    bad = str(log.export(tmp_path / "bad", log.lines[1:]))
    assert verify.main([bad, *keys, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert {check["status"] for check in report["checks"]} >= {"ok", "failed"}
    assert verify.main([trail, *keys, "--no-trails"]) == 0
    assert "--no-trails" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [
    [], ["/nowhere", "--without-keys"], ["."], [".", "--log-key", "nonsense"], [".", "--seal", "/nowhere"],
])  # fmt: skip
def test_a_wrong_command_is_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        verify.main(arguments)
    assert stopped.value.code == 2


def test_it_runs_without_django_database_or_network(log: Log, tmp_path: Path, keys: list[str]) -> None:
    """As an auditor starts it, with everything that the hub itself needs made impossible to import."""
    blocked = (
        "('django','rest_framework','celery','lxml','signxml','psycopg','aiohttp','http','urllib.request')"
    )
    program = (
        "import sys, runpy\n"
        f"for name in {blocked}: sys.modules[name] = None\n"
        "sys.argv[0] = 'verify'\n"
        "runpy.run_module('exchange.evidence.verify', run_name='__main__')\n"
    )
    (tmp_path / "receipt.json").write_bytes(log.receipt(2))
    paths = [str(log.export(tmp_path / "trail")), str(tmp_path / "receipt.json")]
    command = [sys.executable, "-W", "error", "-c", program, *paths, *keys]
    done = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{ORIGIN} 7: ĐÚNG" in done.stdout


def test_every_module_of_the_core_is_pure() -> None:
    names = sorted(f"exchange.evidence.{path.stem}" for path in HERE.glob("*.py") if path.stem != "__init__")
    program = (
        "import sys\n"
        "for name in ('django','rest_framework','celery','lxml','pyhanko'): sys.modules[name] = None\n"
        f"import importlib\nfor name in {names}: importlib.import_module(name)\n"
        "allowed = {'exchange', 'cryptography', '_cffi_backend', '_openssl'} | sys.stdlib_module_names\n"
        "foreign = {name.partition('.')[0] for name, module in sys.modules.items() if module}\n"
        "print(sorted(foreign - allowed - {'__main__'}))\n"
    )
    command = [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path[1:]!r}\n{program}"]
    done = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_verifier_stays_short_enough_to_read() -> None:
    assert sum(len((HERE / name).read_text().splitlines()) for name in ("verify.py", "tree.py")) <= 500
