"""/healthz and /readyz."""

import tomllib
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.utils import timezone

from exchange import facts
from exchange.celery import WATCHED
from exchange.models import Fact, LogCheck
from tests.world import World

pytestmark = pytest.mark.django_db
ALL_WELL = {
    "database": "ok", "migrations": "ok", "vault": "ok", "broker": "ok", "workers": "ok", "sealer": "ok",
    "log": "ok",
}  # fmt: skip


@pytest.fixture(autouse=True)
def at_work(db: None) -> None:
    """The processes have just said that they are alive."""
    for name in (*(f"worker.{lane}" for lane in WATCHED), "sealer"):
        facts.say(f"process.{name}", timezone.now())


def test_a_living_process_says_so(client: Client) -> None:
    answer = client.get("/healthz")
    version = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["project"]["version"]
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "version": version})


def test_a_hub_that_can_work_is_ready(client: Client) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.json()["parts"] == ALL_WELL


def test_a_hub_whose_migrations_are_not_applied_is_not_ready(client: Client) -> None:
    MigrationRecorder.Migration.objects.filter(app="exchange", name="0001_initial").delete()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "failed")
    assert answer.json()["parts"] == ALL_WELL | {"migrations": "failed"}


def test_a_hub_that_cannot_write_to_its_vault_is_not_ready(client: Client) -> None:
    vault = settings.ENVIRONMENT.vault
    aside = vault.with_name("vault-aside")
    vault.mkdir(exist_ok=True)
    vault.rename(aside)
    vault.write_text("a file where the directory should be")
    try:
        answer = client.get("/readyz")
    finally:
        vault.unlink()
        aside.rename(vault)
    assert (answer.status_code, answer.json()["parts"]["vault"]) == (503, "failed")


def test_no_cache_keeps_the_state(client: Client) -> None:
    assert client.get("/readyz").headers["Cache-Control"] == "no-store"


def test_a_sealer_that_does_not_keep_up_is_shown_and_keeps_nothing_out(hub: World, client: Client) -> None:
    hub.send("H29", "H29.5", now=timezone.now() - timedelta(minutes=2))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["parts"]["sealer"] == "failed"


def test_a_log_that_does_not_hold_is_shown(hub: World, client: Client) -> None:
    LogCheck.objects.create(
        at=timezone.now(), full=True, held=False, findings=[{"check": "root", "where": "x", "detail": ""}]
    )
    answer = client.get("/readyz")
    assert (answer.json()["status"], answer.json()["parts"]["log"]) == ("degraded", "failed")


def test_a_lane_without_a_worker_is_shown_and_keeps_nothing_out(client: Client) -> None:
    Fact.objects.filter(name="process.worker.express").update(at=timezone.now() - timedelta(minutes=5))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["parts"] == ALL_WELL | {"workers": "failed"}


def test_only_an_operator_reads_what_exactly_was_seen(client: Client) -> None:
    Fact.objects.filter(name="process.worker.express").delete()
    assert "detail" not in client.get("/readyz").json()
    for role, told in (("clerk", False), ("operator", True)):
        person = User.objects.create_user(role, is_staff=True)
        person.groups.add(Group.objects.get(name=role))
        client.force_login(person)
        assert ("detail" in client.get("/readyz").json()) is told, role
    assert client.get("/readyz").json()["detail"] == {"workers": ["worker.silent: express: –"]}
