"""The drill: a backup under load, everything destroyed, a restore, and what the log says of the gap."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import psycopg

from tests import environment, live, receiver
from tests.live import ROOT, LiveHub, until
from tests.world import Keys, World

BEFORE, DURING, AFTER = 20, 20, 10


def _command(hub: LiveHub, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        (sys.executable, "manage.py", *words), cwd=ROOT, env=hub.environ, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def _stop(hub: LiveHub) -> None:
    hub.supervisor.terminate()
    hub.supervisor.wait(30)


def _destroy(hub: LiveHub) -> None:
    """The disk of database and vault is gone; the keys and the signer's memory lay elsewhere."""
    data = Path(hub.environ["HUB_DATA_DIR"])
    for path in data.iterdir():
        if path.name != "keys":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if environment.PRODUCTION:
        base, _, name = hub.environ["HUB_DATABASE_URL"].rpartition("/")
        with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
            connection.execute(f'CREATE DATABASE "{name}"')


def test_a_backup_under_load_comes_back_and_the_gap_is_proved(tmp_path: Path, keys: Keys) -> None:
    city, target = World(keys), str(tmp_path / "backups")
    packages = [city.document("H29", "H29.5", "H29.17") for _ in range(BEFORE + DURING + AFTER)]
    accepted: list[str] = []
    with receiver.running() as endpoint, live.running(tmp_path, keys, endpoint.url) as hub:
        token = hub.token("office")

        def send(some: list[bytes]) -> None:
            for raw in some:
                status, answer = hub.send(token, raw)
                assert status == 201, answer
                accepted.append(answer["id"])

        send(packages[:BEFORE])
        first = json.loads(hub.manage("backup", target, "--full", "--json"))
        load = threading.Thread(target=send, args=(packages[BEFORE : BEFORE + DURING],))
        load.start()
        sure = len(accepted)  # accepted before the second backup began
        second = json.loads(hub.manage("backup", target, "--json"))
        load.join()
        send(packages[BEFORE + DURING :])
        _sealed(hub)
        _stop(hub)
        _destroy(hub)

        told = json.loads(hub.manage("restore", target, "--json"))
        assert (second["previous"], told["stamp"]) == (first["stamp"], second["stamp"])
        assert (told["bytes_missing"], told["keys_missing"]) == (0, [])
        assert sure <= told["packages"] < len(accepted)
        assert 0 < told["log_restored"] < told["log_signed"]
        assert told["events_lost"] == told["log_signed"] - told["log_restored"]

        checked = _command(hub, "check_log", "--json")
        findings = {item["check"] for item in json.loads(checked.stdout)["findings"]}
        assert "signer" in findings, "the signer remembers more than this database"
        assert findings <= {"signer", "waiting"}, "what is there holds"
        hub.manage("enrol_agency", "H29.99", "Sở Nội vụ")  # something to seal
        sealed = _command(hub, "seal_log", "--once")
        assert sealed.returncode == 1
        assert "Nothing was sealed" in sealed.stderr

        hub.manage("open_new_log", "--incident", "Phục hồi từ bản sao lưu")
        hub.manage("seal_log", "--once")
        checked = _command(hub, "check_log", "--json")
        (gap,) = json.loads(checked.stdout)["findings"]
        assert gap["check"] == "signer"
        assert f"shrank from {told['log_signed']} to {told['log_restored']} events" in gap["detail"]
        _lives(hub, city, accepted[:sure])


def _sealed(hub: LiveHub) -> None:
    """Everything that happened is signed; the sealer of the hub may be at it, then this one waits."""
    until(lambda: _command(hub, "check_log", "--recent", "--json").returncode == 0, "a log that holds")
    token = hub.token("office")
    until(lambda: _all_proved(hub, token), "every event in the log")


def _all_proved(hub: LiveHub, token: str) -> bool:
    newest = hub.call(token, "GET", "packages?limit=1")[1]["items"][0]["id"]
    trail = hub.call(token, "GET", f"packages/{newest}/trail")[1]["items"]
    return all(item.get("proof") for item in trail)


def _lives(hub: LiveHub, city: World, accepted: list[str]) -> None:
    """The restored hub knows what was accepted before the backup, and takes new documents."""
    with (Path(hub.environ["HUB_DATA_DIR"]) / "again.log").open("wb") as log:
        supervisor = subprocess.Popen(
            (sys.executable, "manage.py", "runhub"), cwd=ROOT, env=hub.environ, stdout=log, stderr=log
        )
    try:
        until(lambda: hub.request("GET", "/healthz")[0] == 200, "the restored hub")
        token = hub.token("office")
        for package in accepted:
            assert hub.call(token, "GET", f"packages/{package}")[0] == 200
        status, answer = hub.send(token, city.document("H29", "H29.5"))
        assert status == 201, answer
        until(lambda: _all_proved(hub, token), "the new log")
    finally:
        supervisor.terminate()
        supervisor.wait(30)
