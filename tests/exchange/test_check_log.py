"""The commands around the log: what they print, their exit codes, and a sealer that is killed for real."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from exchange import keys, log, sealing, signer, tasks
from exchange.audit import run
from exchange.evidence import events
from exchange.models import Event, EventBody, Log, LogCheck, LogEntry, Pending, guards
from fixtures.pki import Authority, pem, private_pem
from tests.exchange.test_sealing import check_head, current, forget_nothing
from tests.world import NOW, World


def called(*words: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    out = StringIO()
    try:
        call_command(*words, stdout=out, stderr=StringIO())
    except SystemExit as stop:
        return int(stop.code or 0), out.getvalue()
    return 0, out.getvalue()


def alter(event: Event) -> None:
    """Change the bytes of `event` as somebody who may drop triggers."""
    guards.remove(connection)
    raw = bytes(event.body.raw)
    EventBody.objects.filter(pk=event.pk).update(raw=raw.replace(b"hub.test", b"hub.best"))
    guards.install(connection)


# --- check_log ----------------------------------------------------------------------------------------


def test_a_log_that_holds_ends_with_exit_code_0(hub: World) -> None:
    hub.send("H29", "H29.5", now=datetime.now(UTC))
    called("seal_log", "--once")
    code, text = called("check_log", "--json")
    answer = json.loads(text)
    assert (code, answer["held"], answer["findings"]) == (0, True, [])
    assert answer["events"] == answer["size"] == current().size
    assert called("check_log")[1].startswith("ĐÚNG / OK")


def test_a_log_that_does_not_hold_ends_with_exit_code_1_and_says_why(hub: World) -> None:
    made = hub.send("H29", "H29.5", now=datetime.now(UTC))
    called("seal_log", "--once")
    event = Event.objects.get(pk=made.receipt.key)
    alter(event)
    code, text = called("check_log")
    assert code == 1
    assert (
        f"body: Nội dung sự kiện khớp mã băm / The bytes of an event give its leaf hash: {event.stream}/1"
        in text
    )
    code, text = called("check_log", "--json", "--recent", "--no-receipts")
    assert (code, json.loads(text)["held"]) == (1, False)


def test_an_empty_hub_holds(hub: World) -> None:
    sealing.seal(NOW)
    assert called("check_log")[0] == 0


def test_the_hub_checks_itself_and_keeps_the_result(hub: World) -> None:
    made = hub.send("H29", "H29.5", now=datetime.now(UTC))
    sealing.seal(datetime.now(UTC))
    alter(Event.objects.get(pk=made.receipt.key))
    tasks.check_log()
    [kept] = LogCheck.objects.all()
    assert (kept.held, kept.full) == (False, False)
    assert {finding.check for finding in run.alarms()} >= {"body", "root"}


# --- seal_log -----------------------------------------------------------------------------------------


def test_seal_log_once_seals_what_waits(hub: World) -> None:
    hub.send("H29", "H29.5")
    waiting = Pending.objects.count()
    assert json.loads(called("seal_log", "--once", "--json")[1]) == {"sealed": waiting + 1}
    forget_nothing()


def test_seal_log_once_says_when_the_signer_refuses(hub: World) -> None:
    hub.send("H29", "H29.5")
    called("seal_log", "--once")
    (settings.ENVIRONMENT.keys / "log.signed").unlink()
    hub.send("H29", "H29.5")
    with pytest.raises(CommandError, match="Nothing was sealed"):
        called("seal_log", "--once")


# --- rotate_keys, open_new_log --------------------------------------------------------------------------


def test_a_new_seal_is_an_event_and_old_receipts_stay(hub: World, tmp_path: Path) -> None:
    before = hub.send("H29", "H29.5")
    root = Authority.create("Seal Root", key="ec", not_before=NOW - timedelta(days=9))
    identity = root.issue("New seal", key="ec", not_before=NOW - timedelta(days=9))
    file = tmp_path / "seal.pem"
    file.write_bytes(private_pem(identity.key) + pem(identity.chain))
    _, text = called(
        "rotate_keys", "seal", "--pem", str(file), "--after", "60", "--reason", "Hết hạn", "--json"
    )
    answer = json.loads(text)
    event = Event.objects.get(name="KeyRotation")
    said = events.decode(bytes(event.body.raw))
    assert (said.what, said.target, said.digest) == ("seal", answer["file"], answer["sha256"])
    since = datetime.fromisoformat(answer["since"])
    assert keys.seal(since).certificates == identity.chain
    assert keys.seal(since - timedelta(seconds=1)).certificates != identity.chain
    assert log.acceptance_receipt(before.package) == before.receipt
    sealing.seal(NOW)
    while sealing.store_receipts():
        pass
    assert run.check(NOW, full=True).held


def test_a_seal_that_cannot_be_used_changes_nothing(hub: World, tmp_path: Path) -> None:
    identity = Authority.create("Root", key="ec").issue("RSA", key="rsa")
    file = tmp_path / "seal.pem"
    for content in (b"nothing", private_pem(identity.key) + pem(identity.chain)):
        file.write_bytes(content)
        with pytest.raises(CommandError, match="cannot be used"):
            called("rotate_keys", "seal", "--pem", str(file))
    assert not Event.objects.filter(name="KeyRotation").exists()
    assert not list(settings.ENVIRONMENT.keys.glob("seal-*"))


def test_a_new_log_key_closes_the_log_and_opens_the_next(hub: World) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    first = current()
    answer = json.loads(called("rotate_keys", "log", "--json")[1])
    sealing.seal(datetime.fromisoformat(answer["since"]))
    assert (current() != first, current().key != first.key) == (True, True)
    assert (
        events.decode(bytes(LogEntry.objects.get(log=current(), index=1).event.body.raw)).digest
        == answer["sha256"]
    )
    assert run.check(NOW, full=True).held


def test_open_new_log_goes_on_after_a_restored_backup(hub: World) -> None:
    hub.send("H29", "H29.5")
    called("seal_log", "--once")
    before = transaction.savepoint()
    hub.send("H29", "H29.5")
    called("seal_log", "--once")
    published = signer.last_note()
    transaction.savepoint_rollback(before)
    hub.send("H29", "H29.5")
    with pytest.raises(CommandError, match="Nothing was sealed"):
        called("seal_log", "--once")
    assert called("check_log")[0] == 1
    origin, key = called("open_new_log", "--incident", "Khôi phục bản sao lưu")[1].split()
    assert (origin, key) == (current().origin, current().key)
    first = events.decode(bytes(LogEntry.objects.get(log=current(), index=0).event.body.raw))
    assert first.checkpoint == published
    called("seal_log", "--once")
    check_head(current())
    assert not Pending.objects.exists()


def test_an_incident_needs_words(hub: World) -> None:
    with pytest.raises(CommandError, match="Say what happened"):
        called("open_new_log", "--incident", "  ")


# --- a process that is killed ---------------------------------------------------------------------------

KILLED = """
import os, signal, sys
import django
django.setup()
from exchange import sealing, signer
from exchange.models import Checkpoint
thing, name = {
    "inside the first commit": (sealing, "_write_tiles"),
    "between the commits": (sealing, "publish"),
    "before it remembers": (signer, "_remember"),
    "after it has signed": (Checkpoint.objects, "create"),
}[sys.argv[1]]
setattr(thing, name, lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL))
sealing.run(lambda seconds: False)
"""
STEPS = ["inside the first commit", "between the commits", "before it remembers", "after it has signed"]


def own_environment(folder: Path) -> dict[str, str]:
    """For a process of its own on the database and the keys of this test."""
    made = {**os.environ, "DJANGO_SETTINGS_MODULE": "exchange.settings"}
    made["HUB_KEYS_DIR"] = str(settings.ENVIRONMENT.keys)
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        made["HUB_DATA_DIR"] = str(folder)
        (folder / "hub.sqlite3").symlink_to(name)
    else:
        url = urlsplit(os.environ["HUB_DATABASE_URL"])
        made["HUB_DATABASE_URL"] = urlunsplit(url._replace(path=f"/{name}"))
    return made


def process(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = own_environment(folder)
    command: list[Any] = [sys.executable, *words]
    return subprocess.run(
        command,
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("first", [True, False], ids=["first log", "running log"])
@pytest.mark.parametrize("step", STEPS)
def test_a_sealer_killed_at_any_step_is_followed_by_one_that_goes_on(
    live_hub: World, tmp_path: Path, step: str, first: bool
) -> None:
    if not first:
        live_hub.send("H29", "H29.5")
        sealing.seal(datetime.now(UTC))
    live_hub.send("H29", "H29.17")
    ended = process(tmp_path, "-c", KILLED, step)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    (tmp_path / "hub.sqlite3").unlink(missing_ok=True)
    ended = process(tmp_path, "manage.py", "seal_log", "--once", "--json")
    assert ended.returncode == 0, ended.stderr
    check_head(current())
    forget_nothing()
    assert Log.objects.count() == 1
