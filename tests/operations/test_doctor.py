"""`manage.py doctor`: healthy where it is, and tried against every fault that it names."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from agencies.models import Certificate, RevocationList
from exchange import anchors, facts, mode
from exchange.celery import WATCHED
from exchange.doctor import database, faults, machine, processes, run
from exchange.models import Fact, LogCheck
from tests.receiver import served
from tests.world import World

Patch = pytest.MonkeyPatch


class _Healthz(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[int]:
    """A web process that answers; its port."""
    server = HTTPServer(("127.0.0.1", 0), _Healthz)
    with served(server):
        yield server.server_port


@pytest.fixture
def healthy(hub: World, monkeypatch: Patch, settings: Any, web: int) -> World:
    """A hub whose processes have just spoken, on a machine with nothing to complain of."""
    for name in (*(f"worker.{lane}" for lane in WATCHED), "sealer"):
        facts.say(f"process.{name}", datetime.now(UTC))
    facts.say("backup", datetime.now(UTC))
    monkeypatch.setattr(mode, "_seen", None)
    call_command("seal_log", "--once", stdout=StringIO())
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, port=web, base_url="https://hub.test")
    settings.ENVIRONMENT.keys.chmod(0o700)
    monkeypatch.setattr(machine, "_clock_state", lambda: 0)
    monkeypatch.setattr(machine, "_different_libraries", list)  # the tests run with more than the lock
    monkeypatch.setattr(machine, "LOW_BYTES", 0)
    return hub


def doctor() -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON answer."""
    out, code = StringIO(), 0
    try:
        call_command("doctor", "--json", stdout=out)
    except SystemExit as end:
        code = int(str(end.code))
    answer: dict[str, Any] = json.loads(out.getvalue())
    return code, answer


def test_a_healthy_hub_is_healthy(healthy: World) -> None:
    code, answer = doctor()
    assert answer["parts"] == {
        "machine": [], "database": [], "trust": [], "broker": [], "web": [], "workers": [], "sealer": [],
        "operation": [], "log": [],
    }  # fmt: skip
    assert (code, answer["state"]) == (0, "healthy")


# --- every fault, made ---------------------------------------------------------------------------------


def _change(settings: Any, **values: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, **values)


def _answers(monkeypatch: Patch, query: str, answer: Any) -> None:
    ask = database._one
    monkeypatch.setattr(database, "_one", lambda text: answer() if query in text else ask(text))


def _refuse() -> None:
    raise OperationalError("connection refused")


def _make_full(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    patch.setattr(machine, "LOW_BYTES", 1 << 60)


def _old_python(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    patch.setattr(machine, "LEAST_PYTHON", (99, 0))


def _other_libraries(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    patch.setattr(machine, "_different_libraries", lambda: ["django 1.0 ≠ 5.2"])


def _bad_settings(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    _change(settings, trust_dir=path / "nowhere")


def _doubtful_settings(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    _change(settings, trust_dir=None)


def _free_clock(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    patch.setattr(machine, "_clock_state", lambda: 5)


def _closed_vault(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    (path / "vault").write_text("a file where the directory should be")
    _change(settings, vault_dir=path / "vault")


def _no_fonts(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    patch.setattr(machine, "FONTS", str(path))


def _broken_key(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    path.chmod(0o700)
    (path / "seal.pem").write_text("not a key")
    (path / "seal.pem").chmod(0o600)
    _change(settings, keys_dir=path)


def _absent_module(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    path.chmod(0o700)
    _, begin, certificate = (settings.ENVIRONMENT.keys / "seal.pem").read_text().partition("-----BEGIN CERT")
    address = "pkcs11:token=hub;object=seal?module-path=/nowhere.so&pin-source=file:/dev/null\n"
    (path / "seal.pem").write_text(address + begin + certificate)
    (path / "seal.pem").chmod(0o600)
    _change(settings, keys_dir=path)


def _open_keys(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    settings.ENVIRONMENT.keys.chmod(0o755)


def _expiring(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    Certificate.objects.update(not_after=timezone.now() + timedelta(days=5))


def _expired(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    from exchange.doctor import trust

    patch.setattr(trust, "expiries", lambda now: {"seal": now - timedelta(days=1)})


def _empty_trust(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    _change(settings, trust_dir=path)


def _garbage_in_trust(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    (path / "garbage.pem").write_text("not a certificate")
    _change(settings, trust_dir=path)


def _late_crl(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    RevocationList.objects.create(
        issuer="CN=x", issuer_hash="0" * 64, der=b"", this_update=timezone.now() - timedelta(days=9),
        next_update=timezone.now() - timedelta(days=1),
    )  # fmt: skip


def _silent_authority(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    facts.say("revocation.x", timezone.now(), address="http://ca.example.test/crl", problem="HTTP 404")


def _no_database(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    _answers(patch, "SELECT 1", _refuse)


def _old_database(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    _answers(patch, "server_version_num", lambda: "140011")


def _latin_database(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    _answers(patch, "server_encoding", lambda: "LATIN1")


def _other_clock(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    _answers(patch, "clock_timestamp", lambda: datetime.now(UTC) - timedelta(seconds=30))


def _no_guard(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    table = " ON exchange_event" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER event_never_changed{table}")


def _old_schema(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    MigrationRecorder.Migration.objects.filter(app="exchange", name="0001_initial").delete()


def _newer_schema(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    MigrationRecorder(connection).record_applied("exchange", "9999_from_the_future")


def _no_broker(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    patch.setattr(processes, "app", Celery(broker="amqp://127.0.0.1:1//"))


def _no_web(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    _change(settings, port=1)


def _dead_worker(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    facts.say("process.worker.express", datetime.now(UTC) - timedelta(minutes=5))


def _dead_sealer(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    Fact.objects.filter(name="process.sealer").delete()


def _slow_sealer(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    hub.send("H29", "H29.5", now=timezone.now() - timedelta(minutes=2))


def _no_backup(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    facts.say("backup", datetime.now(UTC) - timedelta(days=3))


def _maintenance(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    mode.switch(mode.Mode.MAINTENANCE, seconds=60, by="test", at=datetime.now(UTC))


def _silent_witness(monkeypatch: Patch, settings: Any, hub: World, folder: Path) -> None:
    monkeypatch.setattr(anchors, "PATIENCE", timedelta(days=-1))
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, tsa_url="http://127.0.0.1:9/")


def _broken_log(patch: Patch, settings: Any, hub: World, path: Path) -> None:
    LogCheck.objects.create(
        at=timezone.now(), full=True, held=False, findings=[{"check": "root", "where": "x", "detail": ""}]
    )


Make = Callable[[Patch, Any, World, Path], None]
MADE: dict[str, Make] = {
    "python.old": _old_python,
    "libraries.differ": _other_libraries,
    "settings.mistake": _bad_settings,
    "settings.doubtful": _doubtful_settings,
    "clock.unsynchronised": _free_clock,
    "disk.low": _make_full,
    "vault.not-writable": _closed_vault,
    "fonts.missing": _no_fonts,
    "keys.missing": _broken_key,
    "keys.module": _absent_module,
    "keys.open": _open_keys,
    "certificate.expiring": _expiring,
    "certificate.expired": _expired,
    "trust.empty": _empty_trust,
    "trust.unreadable": _garbage_in_trust,
    "crl.overdue": _late_crl,
    "crl.unfetched": _silent_authority,
    "database.down": _no_database,
    "database.old": _old_database,
    "database.encoding": _latin_database,
    "database.clock": _other_clock,
    "database.guards": _no_guard,
    "migrations.missing": _old_schema,
    "migrations.unknown": _newer_schema,
    "broker.down": _no_broker,
    "web.silent": _no_web,
    "worker.silent": _dead_worker,
    "sealer.silent": _dead_sealer,
    "sealer.lags": _slow_sealer,
    "backup.old": _no_backup,
    "mode.on": _maintenance,
    "log.findings": _broken_log,
    "anchor.late": _silent_witness,
}
OF_POSTGRESQL = ("database.old", "database.encoding", "database.clock")


def test_every_fault_of_the_catalogue_is_tried() -> None:
    assert MADE.keys() == faults.FAULTS.keys()


@pytest.mark.parametrize(
    "code",
    [pytest.param(code, marks=[pytest.mark.postgresql] if code in OF_POSTGRESQL else []) for code in MADE],
)
def test_the_doctor_sees(
    healthy: World, monkeypatch: Patch, settings: Any, tmp_path: Path, code: str
) -> None:
    assert code not in _codes(doctor()[1])
    MADE[code](monkeypatch, settings, healthy, tmp_path)
    ended, answer = doctor()
    assert code in _codes(answer)
    assert ended == (1 if any(item["grave"] for item in _items(answer)) else 2)


def test_without_a_database_the_rest_is_still_looked_at(healthy: World, monkeypatch: Patch) -> None:
    _answers(monkeypatch, "SELECT 1", _refuse)
    assert doctor()[1]["parts"].keys() == {"database", "machine", "broker", "web"}


def test_a_table_that_a_migration_will_make_is_no_accident(healthy: World, monkeypatch: Patch) -> None:
    def look() -> Iterator[faults.Finding]:
        raise OperationalError("no such table: exchange_new")
        yield faults.Finding("log.findings", "")

    monkeypatch.setattr(run, "PARTS", {**run.PARTS, "log": look})
    MigrationRecorder.Migration.objects.filter(app="exchange", name="0001_initial").delete()
    assert doctor()[1]["parts"]["log"][0]["code"] == "migrations.missing"


def test_a_person_reads_what_was_seen_and_what_to_do(healthy: World) -> None:
    Fact.objects.filter(name="process.sealer").delete()
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", stdout=out)
    assert "✓ database" in out.getvalue()
    assert (
        "LỖI sealer.silent: Tiến trình ghi nhật ký không chạy / The sealer is not running" in out.getvalue()
    )
    assert "→ systemctl status hub-sealer" in out.getvalue()


def test_the_locked_libraries_are_compared_with_the_installed(monkeypatch: Patch) -> None:
    assert machine._different_libraries() == []
    monkeypatch.setattr(machine, "_installed", lambda name: "0")
    assert any(text.startswith("django 0 ≠ ") for text in machine._different_libraries())


def _codes(answer: dict[str, Any]) -> set[str]:
    return {item["code"] for item in _items(answer)}


def _items(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for findings in answer["parts"].values() for item in findings]
