"""/healthz and /readyz."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.utils import timezone

from exchange.models import LogCheck
from tests.world import World

pytestmark = pytest.mark.django_db


def test_a_living_process_says_so(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_hub_that_can_work_is_ready(client: Client) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.json()["parts"] == {
        "database": "ok", "migrations": "ok", "vault": "ok", "sealer": "ok", "log": "ok",
    }  # fmt: skip


def test_a_hub_whose_migrations_are_not_applied_is_not_ready(client: Client) -> None:
    MigrationRecorder.Migration.objects.filter(app="exchange", name="0001_initial").delete()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "failed")
    assert answer.json()["parts"] == {
        "database": "ok", "migrations": "failed", "vault": "ok", "sealer": "ok", "log": "ok",
    }  # fmt: skip


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
