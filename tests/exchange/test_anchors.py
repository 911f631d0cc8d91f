"""Anchors outside the hub: a time-stamp authority made with openssl, witnesses in both directions."""

import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import Error, connection, transaction
from django.test import Client

from exchange import anchors, keys, sealing, transport
from exchange.audit import run
from exchange.evidence import checkpoint, prove, verify, witness
from exchange.evidence.checkpoint import VerifierKey
from exchange.models import Anchor, Checkpoint, Log, WitnessedLog, guards
from tests.evidence.samples import LOG, OTHER_LOG_KEY, memory, small_log
from tests.evidence.samples import Log as OtherLog
from tests.receiver import served
from tests.tsa import TimeStampAuthority
from tests.world import NOW, World

OUTSIDE = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
OUTSIDE_KEY = checkpoint.verifier_key("witness.example", OUTSIDE, checkpoint.WITNESS)
Answer = Callable[[str, bytes], tuple[int, str, bytes]]


@pytest.fixture
def outside() -> Iterator[tuple[str, list[Answer]]]:
    """A server of somebody else; what it answers is the last function in the list."""
    answers: list[Answer] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, kind, content = answers[-1](self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    with served(server):
        yield f"http://127.0.0.1:{server.server_port}", answers


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TimeStampAuthority:
    return TimeStampAuthority.make(tmp_path_factory.mktemp("tsa"))


def configured(settings: Any, **values: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, **values)


def current() -> Log:
    found = Log.objects.current()
    assert found
    return found


# --- off by default -----------------------------------------------------------------------------------


def test_everything_is_off_by_default_and_shown_as_off(hub: World, client: Client) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    assert anchors.anchor(NOW) == 0
    assert list(anchors.late(NOW + timedelta(days=1))) == []
    assert client.get("/api/v1/log/anchors").json() == {"on": [], "items": [], "witness_key": None}
    answer = client.post("/api/v1/witness/add-checkpoint", submission(small_log(), 0), "text/plain")
    assert answer.status_code == 404


# --- time stamps --------------------------------------------------------------------------------------


@pytest.fixture
def stamping(settings: Any, outside: tuple[str, list[Answer]], authority: TimeStampAuthority) -> list[Answer]:
    url, answers = outside
    answers.append(lambda path, body: (200, "application/timestamp-reply", authority.respond(body)))
    configured(settings, tsa_url=f"{url}/tsa", tsa_ca=authority.root)
    return answers


def test_a_head_is_stamped_and_openssl_verifies_the_token(
    hub: World, client: Client, stamping: list[Answer], authority: TimeStampAuthority, tmp_path: Path
) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    assert anchors.anchor(NOW) == 1
    listed = client.get("/api/v1/log/anchors").json()
    assert [item["kind"] for item in listed["on"]] == ["time-stamp"]
    [item] = listed["items"]
    (tmp_path / "checkpoint").write_text(item["checkpoint"])
    (tmp_path / "checkpoint.tst").write_bytes(b64decode(item["token"]))
    command = ["openssl", "ts", "-verify", "-token_in", "-in", "checkpoint.tst", "-data", "checkpoint"]
    done = subprocess.run(
        [*command, "-CAfile", str(authority.root)], cwd=tmp_path, capture_output=True, check=False
    )
    assert b"Verification: OK" in done.stdout + done.stderr


def test_a_head_is_stamped_again_after_the_interval_and_only_when_the_log_grew(
    hub: World, stamping: list[Answer]
) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    assert anchors.anchor(NOW) == 1
    assert anchors.anchor(NOW + timedelta(days=1)) == 0
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    assert anchors.anchor(NOW + timedelta(minutes=9)) == 0
    assert anchors.anchor(NOW + timedelta(minutes=11)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda path, body: (500, "text/plain", b"sorry"),
        lambda path, body: (200, "application/timestamp-reply", b"\x30\x00"),
        lambda path, body: (200, "application/timestamp-reply", b""),
    ],
)
def test_an_answer_that_does_not_hold_is_not_kept_and_becomes_an_alarm(
    hub: World, stamping: list[Answer], wrong: Answer
) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    stamping.append(wrong)
    assert anchors.anchor(NOW) == 0
    assert not Anchor.objects.exists()
    assert list(anchors.late(NOW + timedelta(minutes=19))) == []
    assert len(list(anchors.late(NOW + timedelta(minutes=21)))) == 1


def test_a_token_over_something_else_or_of_another_authority_is_refused(
    hub: World, stamping: list[Answer], settings: Any, tmp_path: Path, authority: TimeStampAuthority
) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    first: list[bytes] = []

    def replay(path: str, body: bytes) -> tuple[int, str, bytes]:
        first.append(authority.respond(body))
        return 200, "application/timestamp-reply", first[0]

    stamping.append(replay)
    assert anchors.anchor(NOW) == 1
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    assert anchors.anchor(NOW + timedelta(days=1000)) == 0
    configured(settings, tsa_ca=TimeStampAuthority.make(tmp_path / "other").root)
    stamping.pop()
    assert anchors.anchor(NOW + timedelta(days=1000)) == 0


# --- this hub asks witnesses --------------------------------------------------------------------------


class Outside:
    """A witness that keeps what it cosigned last, as the specification says."""

    def __init__(self, keys: list[VerifierKey]) -> None:
        self.keys, self.asked = keys, 0
        self.last: checkpoint.Checkpoint | None = None

    def __call__(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        assert path == "/w/add-checkpoint"
        self.asked += 1
        request = witness.Request.parse(body)
        try:
            self.last = witness.judge(request, self.keys, self.last)
        except witness.Declined as declined:
            return declined.status, witness.SIZE_TYPE, f"{declined.size}\n".encode()
        line = checkpoint.cosign(request.note, OUTSIDE, OUTSIDE_KEY.name, int(NOW.timestamp())).line()
        other = checkpoint.cosign(request.note, OTHER_LOG_KEY, "unknown.example", 1).line()
        return 200, "text/plain", (other + line).encode()


@pytest.fixture
def witnessing(settings: Any, outside: tuple[str, list[Answer]], tmp_path: Path) -> list[Answer]:
    url, answers = outside
    (tmp_path / "witnesses").write_text(f"{OUTSIDE_KEY} {url}/w\n\n")
    configured(settings, witnesses=tmp_path / "witnesses")
    return answers


def test_a_witness_cosigns_every_head_that_it_is_shown(
    hub: World, client: Client, witnessing: list[Answer], tmp_path: Path
) -> None:
    for _ in range(3):
        hub.send("H29", "H29.5")
        sealing.seal(NOW)
        if not witnessing:
            witnessing.append(Outside([VerifierKey.parse(current().key)]))
        assert (anchors.anchor(NOW), anchors.anchor(NOW)) == (1, 0)
    listed = client.get("/api/v1/log/anchors").json()
    assert [item["name"] for item in listed["on"]] == [str(OUTSIDE_KEY)]
    assert len(listed["items"]) == 3
    for item in listed["items"]:
        raw = item["checkpoint"].encode()
        opened = checkpoint.verify(raw, [VerifierKey.parse(current().key)], [OUTSIDE_KEY])
        assert opened.witnesses == {OUTSIDE_KEY.name: int(NOW.timestamp())}
    (tmp_path / "cosigned").write_bytes(raw)
    arguments = [str(tmp_path / "cosigned"), "--log-key", current().key, "--witness", str(OUTSIDE_KEY)]
    assert verify.main(arguments) == 0


def found() -> list[str]:
    """The names of the checks of the whole log that do not hold."""
    return [finding["check"] for finding in run.check(NOW, full=True).findings]


def test_a_stored_cosignature_is_verified_again(hub: World, witnessing: list[Answer]) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    witnessing.append(Outside([VerifierKey.parse(current().key)]))
    anchors.anchor(NOW)
    assert found() == []
    made = Anchor.objects.get()
    name, line = bytes(made.value).rsplit(b" ", 1)
    value = bytearray(b64decode(line))
    value[-1] ^= 1
    guards.remove(connection)
    Anchor.objects.update(value=name + b" " + b64encode(value) + b"\n")
    assert found() == ["anchor"]


def test_a_stored_token_is_verified_again(hub: World, stamping: list[Answer]) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    anchors.anchor(NOW)
    assert found() == []
    first = Anchor.objects.get()
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    guards.remove(connection)
    first.checkpoint = current().last_checkpoint() or first.checkpoint
    first.save()  # the token of an older head in the place of a newer one
    assert found() == ["anchor"]


def test_a_witness_that_knows_more_than_this_hub_remembers_is_asked_again(
    hub: World, witnessing: list[Answer]
) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    knows = Outside([VerifierKey.parse(current().key)])
    first = Checkpoint.objects.latest("size")
    knows.last = checkpoint.Checkpoint.parse(checkpoint.Note.parse(first.note.encode()).text)
    witnessing.append(knows)
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    assert (anchors.anchor(NOW), knows.asked) == (1, 2)


def test_a_witness_of_another_history_does_not_cosign(hub: World, witnessing: list[Answer]) -> None:
    """What a log that was rewritten with the stolen key meets."""
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    knows = Outside([VerifierKey.parse(current().key)])
    knows.last = checkpoint.Checkpoint(current().origin, 3, b"\1" * 32)
    witnessing.append(knows)
    assert anchors.anchor(NOW) == 0
    knows.last = checkpoint.Checkpoint(current().origin, 10_000, b"\1" * 32)
    assert anchors.anchor(NOW) == 0
    assert len(list(anchors.late(NOW + timedelta(minutes=11)))) == 1


def test_an_answer_without_the_signature_of_the_witness_is_not_kept(
    hub: World, witnessing: list[Answer]
) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    other, elsewhere = (OTHER_LOG_KEY, "unknown.example"), small_log().checkpoint()

    def forged(note: bytes) -> list[bytes]:
        stranger = checkpoint.cosign(note, *other, 1).line().encode()
        return [
            stranger,
            checkpoint.cosign(elsewhere, OUTSIDE, OUTSIDE_KEY.name, 1).line().encode(),
            b"x",
            b"",
        ]

    for number in range(4):
        witnessing.append(
            lambda path, body, number=number: (  # type: ignore[misc]
                200,
                "text/plain",
                forged(witness.Request.parse(body).note)[number],
            )
        )
        assert anchors.anchor(NOW) == 0
    assert not Anchor.objects.exists()


def test_a_witness_that_cannot_be_reached_holds_up_nothing(hub: World, settings: Any, tmp_path: Path) -> None:
    (tmp_path / "witnesses").write_text(f"{OUTSIDE_KEY} http://127.0.0.1:9/\n")
    configured(settings, witnesses=tmp_path / "witnesses")
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    assert anchors.anchor(NOW) == 0
    hub.send("H29", "H29.5")
    assert sealing.seal(NOW)


# --- this hub is a witness ----------------------------------------------------------------------------


def submission(log: OtherLog, old: int, size: int | None = None, **changes: Any) -> bytes:
    """What another hub submits: its head at `size`, and the proof from `old`."""
    new = size or len(log.lines)
    proof = tuple(prove.consistency(old, new, memory(log.leaves)))
    request = witness.Request(old, proof, log.checkpoint(new))
    return bytes(replace(request, **changes))


@pytest.fixture
def vouching(hub: World, settings: Any, tmp_path: Path) -> None:
    (tmp_path / "witnessed").write_text(f"{LOG}\n")
    configured(settings, witnessed=tmp_path / "witnessed")


def submit(client: Client, raw: bytes) -> tuple[int, bytes]:
    answer = client.post("/api/v1/witness/add-checkpoint", raw, "text/plain")
    if answer.status_code == 409:
        assert answer.headers["Content-Type"] == witness.SIZE_TYPE
    return answer.status_code, answer.content


def test_this_hub_cosigns_the_growing_log_of_another(client: Client, vouching: None) -> None:
    log = small_log()
    key = VerifierKey.parse(client.get("/api/v1/log/anchors").json()["witness_key"])
    for old, size in ((0, 3), (3, 5), (5, 5), (5, 7)):
        status, line = submit(client, submission(log, old, size))
        assert status == 200
        note = checkpoint.Note.parse(log.checkpoint(size))
        signed = (note.text + "\n").encode() + b"".join(s.line().encode() for s in note.signatures) + line
        assert set(checkpoint.verify(signed, [LOG], [key]).witnesses) == {key.name}
    assert WitnessedLog.objects.get().size == 7


def test_this_hub_says_what_the_specification_says(client: Client, vouching: None) -> None:
    log, fork = small_log(), OtherLog([*small_log().lines[:4], *small_log().lines[:3]])
    stranger = OtherLog(log.lines, origin="other.example/log")
    assert submit(client, submission(log, 0, 5))[0] == 200
    for expected, raw in {
        400: b"nonsense",
        404: submission(stranger, 0),
        403: submission(log, 5, note=log.checkpoint(key=OTHER_LOG_KEY)),
        422: submission(log, 5, proof=(b"\0" * 32,)),
    }.items():
        assert submit(client, raw)[0] == expected
    assert submit(client, submission(log, 6, note=log.checkpoint(5)))[0] == 400
    assert submit(client, submission(log, 0)) == (409, b"5\n")
    assert submit(client, submission(log, 3)) == (409, b"5\n")
    assert submit(client, submission(fork, 5, 5)) == (409, b"5\n")
    assert submit(client, submission(fork, 5))[0] == 422
    assert submit(client, b"old 0\n\n" + b"x" * witness.LIMIT)[0] == 400
    assert WitnessedLog.objects.get().size == 5
    assert client.get("/api/v1/witness/add-checkpoint").status_code == 405


def test_what_this_hub_vouched_for_never_shrinks(client: Client, vouching: None) -> None:
    submit(client, submission(small_log(), 0))
    with pytest.raises(Error, match="witnessedlog_only_grows"), transaction.atomic():
        WitnessedLog.objects.update(size=1)


def test_two_hubs_vouch_for_each_other_through_their_front_doors(
    hub: World, client: Client, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This hub in both roles: its request is what its own witness takes."""

    def ask(url: str, body: bytes, content_type: str) -> transport.Submitted:
        answer = client.post(url, body, content_type)
        return transport.Submitted(answer.status_code, answer.content)

    monkeypatch.setattr(transport, "submit", ask)
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    (tmp_path / "witnessed").write_text(f"{current().key}\n")
    key = checkpoint.verifier_key("hub.test/witness", keys.witness_key(), checkpoint.WITNESS)
    (tmp_path / "witnesses").write_text(f"{key} /api/v1/witness\n")
    configured(settings, witnesses=tmp_path / "witnesses", witnessed=tmp_path / "witnessed")
    assert anchors.anchor(NOW) == 1
    hub.send("H29", "H29.17")
    sealing.seal(NOW)
    assert anchors.anchor(NOW) == 1
