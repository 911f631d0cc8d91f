"""Dashboard and alerts name metrics that exist, and every alert fires when its fault is made.

The numbers come from the hub itself: it is scraped healthy, the fault is made in its database, its disk or at
its front door, it is scraped again, and promtool (of Debian's `prometheus`) says which alerts fire.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agencies.models import Certificate, RevocationList
from exchange import anchors, facts, gauges, housekeeping, intake, mode, pushing
from exchange.gauges import GAUGES, Gauges
from exchange.models import Lane, LogCheck
from tests.api.conftest import Caller, fetch_token
from tests.world import World

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent.parent
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "hub.json"
Samples = dict[str, float]
Patch = pytest.MonkeyPatch


# --- every name exists ---------------------------------------------------------------------------------


def _names(text: str) -> set[str]:
    return set(re.findall(r"\bhub_[a-z_]+\b", text))


def _counters() -> set[str]:
    """The series of the processes' own metrics."""
    found: set[str] = set()
    for family in REGISTRY.collect():
        if family.name.startswith("hub_"):
            suffixes = ("_bucket", "_count", "_sum") if family.type == "histogram" else ("_total",)
            found |= {family.name + suffix for suffix in suffixes}
    return found


def test_dashboard_and_alerts_name_only_metrics_that_exist() -> None:
    exprs = [
        target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]
    ]
    rules = [line for line in RULES.read_text().splitlines() if "expr:" in line]
    assert _names(" ".join(exprs + rules)) <= GAUGES.keys() | _counters()


def test_the_dashboard_shows_every_metric() -> None:
    shown = _names(DASHBOARD.read_text())
    histogram = {"hub_request_seconds_count", "hub_request_seconds_sum"}
    assert (GAUGES.keys() | _counters()) - histogram <= shown


# --- every alert fires ---------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def kept_connection(monkeypatch: Patch) -> None:
    """A scrape closes its connection; here that would be the connection of the test."""
    monkeypatch.setattr(connection, "close", lambda: None)


@pytest.fixture
def healthy(hub: World, client: Client, monkeypatch: Patch) -> World:
    """A hub with nothing to alarm about, which has done a little of everything."""
    monkeypatch.setattr(mode, "_seen", None)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=100, free=50))
    for name in ("worker.express", "sealer"):
        facts.say(f"process.{name}", datetime.now(UTC))
    facts.say("backup", datetime.now(UTC))
    _call(hub, client).send(hub.document("H29", "H29.5"))
    call_command("seal_log", "--once", verbosity=0)
    housekeeping.tidy(datetime.now(UTC))
    return hub


def _call(hub: World, client: Client) -> Caller:
    return Caller(client, fetch_token(client, hub.clients["office"]).json()["access_token"])


def scrape() -> Samples:
    """Every series of the hub, as Prometheus would read it now."""
    registry = CollectorRegistry()
    registry.register(Gauges())
    text = generate_latest(registry).decode() + generate_latest(REGISTRY).decode()
    return {
        _series(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("hub_") and not sample.name.endswith("_created")
    }


def _series(name: str, labels: dict[str, str]) -> str:
    inside = ", ".join(f"{key}={json.dumps(value)}" for key, value in sorted(labels.items()))
    return f"{name}{{{inside}}}"


def firing(before: Samples, after: Samples, path: Path) -> set[str]:
    """The alerts that fire when `after` lasts for three hours; what counters gained comes every minute."""
    series = []
    for name, value in after.items():
        gained = value - before.get(name, 0.0)
        counter = re.match(r"hub_[a-z_]+(_total|_bucket|_count|_sum)\{", name)
        series.append({"series": name, "values": f"0+{gained}x180" if counter else f"{value}x180"})
    alerts = re.findall(r"alert: (\w+)", RULES.read_text())
    tests = [
        {
            "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
            "eval_time": "3h",
            "exp_samples": [],
        }
        for alert in alerts
    ]
    file = path / "test.json"  # JSON is YAML
    body: dict[str, Any] = {"rule_files": [str(RULES)], "evaluation_interval": "1m"}
    body["tests"] = [{"interval": "1m", "input_series": series, "promql_expr_test": tests}]
    file.write_text(json.dumps(body))
    done = subprocess.run(
        ("promtool", "test", "rules", str(file)), capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert "parse error" not in said, said
    return set(re.findall(r'expr: "count\(ALERTS\{alertname=\\"(\w+)\\"', said))


def test_a_healthy_hub_alarms_nobody(healthy: World, tmp_path: Path) -> None:
    found = scrape()
    assert len(found) > 40
    assert firing(found, found, tmp_path) == set()


def _no_metrics(hub: World, client: Client, patch: Patch) -> Samples:
    return {"up{}": 0.0}


def _no_database(hub: World, client: Client, patch: Patch) -> None:
    def down(now: datetime) -> gauges.Reading:
        raise OperationalError("connection refused")
        yield "hub_database_up", (), 1

    patch.setattr(gauges, "READERS", (gauges._installation, down))


def _silent(hub: World, client: Client, patch: Patch) -> None:
    facts.say("process.worker.express", datetime.now(UTC) - timedelta(minutes=5))


def _errors(hub: World, client: Client, patch: Patch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("a defect")

    patch.setattr(intake, "accept", fail)
    assert _call(hub, client).send(hub.document("H29", "H29.5")).status_code == 500


def _slow(hub: World, client: Client, patch: Patch) -> None:
    ticks = iter(range(0, 10_000, 5))
    patch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    _call(hub, client).send(hub.document("H29", "H29.5"))


def _urgent(hub: World, client: Client, patch: Patch) -> None:
    hub.send("H29", "H29.17", priority=3, now=timezone.now() - timedelta(minutes=20))


def _behind(hub: World, client: Client, patch: Patch) -> None:
    hub.send("H29", "H29.5", now=timezone.now() - timedelta(days=2))


def _push_fails(hub: World, client: Client, patch: Patch) -> None:
    hub.send("H29", "H29.17", now=timezone.now())  # its address is a closed port
    pushing.push_lane(Lane.NORMAL)


def _seal_lag(hub: World, client: Client, patch: Patch) -> None:
    hub.send("H29", "H29.5", now=timezone.now() - timedelta(minutes=5))


def _log_broken(hub: World, client: Client, patch: Patch) -> None:
    finding = {"check": "root", "where": "x", "detail": ""}
    LogCheck.objects.create(at=timezone.now(), full=True, held=False, findings=[finding])


def _anchor(hub: World, client: Client, patch: Patch) -> None:
    patch.setattr(anchors, "late", lambda now: iter(["witness https://w: 2026-11-20"]))


def _disk(hub: World, client: Client, patch: Patch) -> None:
    patch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=100, free=5))


def _certificate(hub: World, client: Client, patch: Patch) -> None:
    Certificate.objects.update(not_after=timezone.now() + timedelta(days=5))


def _crl(hub: World, client: Client, patch: Patch) -> None:
    past = timezone.now() - timedelta(days=1)
    RevocationList.objects.create(
        issuer="CN=x", issuer_hash="0" * 64, der=b"", this_update=past, next_update=past
    )


def _backup(hub: World, client: Client, patch: Patch) -> None:
    facts.say("backup", datetime.now(UTC) - timedelta(days=3))


def _sign_ins(hub: World, client: Client, patch: Patch) -> None:
    for number in range(5):  # every minute
        client.post("/admin/login/", {"username": f"nobody{number}", "password": "wrong"})


def _signatures(hub: World, client: Client, patch: Patch) -> None:
    office = _call(hub, client)
    for _ in range(2):  # every minute
        assert office.send(hub.document("H29", "H29.5", signed=False)).status_code == 422


def _not_normal(hub: World, client: Client, patch: Patch) -> None:
    mode.switch(mode.Mode.READ_ONLY, seconds=60, by="test", at=datetime.now(UTC))


Make = Callable[[World, Client, Patch], Samples | None]
FAULTS: dict[str, Make] = {
    "HubMetricsAbsent": _no_metrics,
    "HubDatabaseDown": _no_database,
    "HubProcessSilent": _silent,
    "HubErrors": _errors,
    "HubSlow": _slow,
    "HubUrgentWaits": _urgent,
    "HubSystemBehind": _behind,
    "HubPushFails": _push_fails,
    "HubSealLag": _seal_lag,
    "HubLogBroken": _log_broken,
    "HubAnchorLate": _anchor,
    "HubDiskLow": _disk,
    "HubCertificateExpires": _certificate,
    "HubRevocationListOverdue": _crl,
    "HubBackupOld": _backup,
    "HubSignInsRefused": _sign_ins,
    "HubSignaturesRefused": _signatures,
    "HubNotNormal": _not_normal,
}


def test_every_alert_is_tried() -> None:
    assert set(re.findall(r"alert: (\w+)", RULES.read_text())) == FAULTS.keys()


@pytest.fixture
def raising(client: Client) -> Iterator[Client]:
    """A client to which errors of the hub are answers."""
    client.raise_request_exception = False
    yield client


@pytest.mark.parametrize("alert", FAULTS)
def test_the_alert_fires(
    healthy: World, raising: Client, monkeypatch: Patch, tmp_path: Path, alert: str
) -> None:
    before: Any = scrape()
    after = FAULTS[alert](healthy, raising, monkeypatch) or scrape()
    assert alert in firing(before, after, tmp_path)
