"""What Prometheus reads: counters of every process, gauges of the whole hub."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from exchange import facts, gauges, housekeeping, metrics
from exchange.gauges import GAUGES, Gauges
from exchange.models import Delivery
from tests.api.conftest import fetch_token
from tests.world import World


def counted(name: str, **labels: str) -> float:
    """The present value of a counter of this process."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def gauge(name: str, **labels: str) -> float | None:
    """The present value of a gauge."""
    registry = CollectorRegistry()
    registry.register(Gauges())
    return registry.get_sample_value(name, labels)


@pytest.fixture(autouse=True)
def kept_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape closes its connection; here that would be the connection of the test."""
    monkeypatch.setattr(connection, "close", lambda: None)


def test_a_request_is_counted_by_its_route_and_not_by_its_address(hub: World, client: Client) -> None:
    labels = {"method": "GET", "route": "api/v1/packages/<uuid:package_id>", "status": "401"}
    before = counted("hub_requests_total", **labels)
    client.get("/api/v1/packages/0191d2a0-0000-7000-8000-000000000000")
    assert counted("hub_requests_total", **labels) == before + 1
    assert counted("hub_request_seconds_count", route=labels["route"]) >= 1


def test_addresses_that_do_not_exist_are_one_route(client: Client) -> None:
    before = counted("hub_requests_total", method="GET", route="unknown", status="404")
    for number in range(3):
        client.get(f"/nowhere/{number}")
    assert counted("hub_requests_total", method="GET", route="unknown", status="404") == before + 3


def test_a_refusal_is_counted_by_its_code(hub: World, client: Client) -> None:
    before = counted("hub_refusals_total", code="package.not-xml")
    token = fetch_token(client, hub.clients["office"]).json()["access_token"]
    client.post(
        "/api/v1/packages",
        b"no",
        content_type="application/xml",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert counted("hub_refusals_total", code="package.not-xml") == before + 1


def test_what_is_accepted_is_counted_once_it_is_committed(
    hub: World, django_capture_on_commit_callbacks: Any
) -> None:
    packages = {"kind": "document", "signature": "valid"}
    before = (
        counted("hub_packages_total", **packages),
        counted("hub_events_total", event="SubmissionAcceptance"),
    )
    with django_capture_on_commit_callbacks(execute=True):
        hub.send("H29", "H29.5")
    after = (
        counted("hub_packages_total", **packages),
        counted("hub_events_total", event="SubmissionAcceptance"),
    )
    assert after == (before[0] + 1, before[1] + 1)


def test_every_gauge_has_a_number_on_a_hub_at_work(hub: World, settings: Any) -> None:
    settings.ENVIRONMENT.vault.mkdir(exist_ok=True)
    facts.say("process.sealer", datetime.now(UTC))
    facts.say("backup", datetime.now(UTC))
    housekeeping.tidy(datetime.now(UTC))
    hub.send("H29", "H29.5")
    registry = CollectorRegistry()
    registry.register(Gauges())
    shown = {family.name for family in registry.collect() if family.samples}
    assert shown == GAUGES.keys() - {"hub_crl_overdue_seconds"}  # this city has no revocation list


def test_the_queue_is_shown_by_lane_and_by_the_systems_that_wait_longest(hub: World) -> None:
    hub.send("H29", "H29.5", "H29.121", now=timezone.now() - timedelta(minutes=10))
    hub.send("H29", "H29.17", now=timezone.now())
    assert gauge("hub_queue_depth", lane="normal", way="pull") == 2
    assert gauge("hub_queue_depth", lane="normal", way="push") == 1
    assert gauge("hub_queue_oldest_seconds", lane="normal", way="pull") == pytest.approx(600, abs=30)
    assert gauge("hub_system_queue_oldest_seconds", system="transport") == pytest.approx(600, abs=30)
    assert gauge("hub_system_queue_depth", system="health") == 1


def test_only_the_worst_systems_are_named(hub: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauges, "WORST", 1)
    hub.send("H29", "H29.5", now=timezone.now() - timedelta(minutes=10))
    hub.send("H29", "H29.121", now=timezone.now())
    assert gauge("hub_system_queue_depth", system="transport") == 1
    assert gauge("hub_system_queue_depth", system="district") is None


def test_a_heartbeat_is_as_old_as_the_last_word(hub: World) -> None:
    facts.say("process.worker.express", datetime.now(UTC) - timedelta(minutes=3))
    assert gauge("hub_heartbeat_age_seconds", process="worker.express") == pytest.approx(180, abs=20)


def test_a_database_that_is_down_is_a_number_too(hub: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(now: datetime) -> gauges.Reading:
        raise OperationalError("connection refused")
        yield "hub_database_up", (), 1

    monkeypatch.setattr(gauges, "READERS", (gauges._installation, down))
    assert gauge("hub_database_up") == 0
    assert Delivery.objects.count() == 0  # the connection of the test is still good


def test_forgetting_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "counter_1.db").write_bytes(b"x")
    metrics.forget(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_processes_of_a_machine_are_added_up(tmp_path: Path) -> None:
    count = "from exchange import metrics; metrics.REFUSALS.labels('auth.required').inc()"
    _python(tmp_path, count)
    _python(tmp_path, count)
    show = (
        "from prometheus_client import CollectorRegistry, generate_latest;"
        "from prometheus_client.multiprocess import MultiProcessCollector;"
        "r = CollectorRegistry(); MultiProcessCollector(r); print(generate_latest(r).decode())"
    )
    families = text_string_to_metric_families(_python(tmp_path, show))
    samples = {sample.name: sample.value for family in families for sample in family.samples}
    assert samples == {"hub_refusals_total": 2.0}


def test_a_command_that_counts_nothing_leaves_no_file(tmp_path: Path) -> None:
    _python(tmp_path, "import exchange.metrics")
    assert list((tmp_path / "metrics").iterdir()) == []


def _python(directory: Path, program: str) -> str:
    """What `program` prints in a process of its own, with metrics on."""
    environ = {**os.environ, "HUB_DATA_DIR": str(directory), "HUB_METRICS_PORT": "9"}
    words = (sys.executable, "-c", f"import exchange.settings; {program}")
    return subprocess.run(words, env=environ, check=True, capture_output=True, text=True).stdout
