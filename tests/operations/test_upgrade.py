"""First steps and upgrades: what the commands do, and where they stop."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from exchange.doctor import faults, run
from exchange.management.commands import smoke_test, upgrade

Patch = pytest.MonkeyPatch


def said(*words: str, **options: Any) -> str:
    """What a command prints."""
    out = StringIO()
    call_command(*words, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def steps(monkeypatch: Patch) -> list[str]:
    """The steps of an upgrade, noted and not done."""
    done: list[str] = []
    monkeypatch.setattr(run, "examine", dict)
    monkeypatch.setattr(upgrade, "call_command", lambda name, *args, **options: done.append(name))
    monkeypatch.setattr(upgrade, "_restart", done.append)
    return done


def test_an_upgrade_goes_from_preflight_to_smoke_test(db: None, steps: list[str], tmp_path: Path) -> None:
    text = said("upgrade", "--backup-to", str(tmp_path), "--restart", "systemctl restart hub.target")
    assert steps == ["backup", "migrate", "systemctl restart hub.target", "smoke_test"]
    assert "migrations: –" in text


def test_an_upgrade_does_not_begin_on_a_sick_hub(db: None, steps: list[str], monkeypatch: Patch) -> None:
    monkeypatch.setattr(run, "examine", lambda: {"machine": [faults.Finding("disk.low", "vault: 1 %")]})
    with pytest.raises(CommandError, match=r"disk\.low: vault: 1 %"):
        said("upgrade", "--no-backup")
    assert steps == []


def test_stopped_processes_and_waiting_migrations_are_no_reason_to_stop(
    db: None, steps: list[str], monkeypatch: Patch
) -> None:
    expected = [faults.Finding(code, "x") for code in upgrade._EXPECTED]
    monkeypatch.setattr(run, "examine", lambda: {"all": expected})
    said("upgrade", "--look")
    assert steps == []


def test_a_failed_restart_ends_the_upgrade() -> None:
    with pytest.raises(CommandError, match="ls"):
        upgrade._restart("ls /nowhere")


def test_the_smoke_test_wants_this_version(monkeypatch: Patch) -> None:
    answers = {"/healthz": (200, {"version": "0.0.1"}), "/readyz": (200, {})}
    monkeypatch.setattr(smoke_test, "_get", lambda path: answers[path])
    with pytest.raises(CommandError, match=r"version 0\.0\.1 answers"):
        said("smoke_test", "--seconds", "0")


def test_the_smoke_test_wants_a_hub_that_is_ready(monkeypatch: Patch, settings: Any) -> None:
    answers: dict[str, Any] = {
        "/healthz": (200, {"version": settings.VERSION}),
        "/readyz": (503, {"parts": {"vault": "failed"}}),
    }
    monkeypatch.setattr(smoke_test, "_get", lambda path: answers[path])
    with pytest.raises(CommandError, match="'vault': 'failed'"):
        said("smoke_test", "--seconds", "0")
    answers["/readyz"] = (200, {})
    assert "ready" in said("smoke_test", "--seconds", "0")


@pytest.mark.postgresql
def test_a_migration_waits_for_a_lock_five_seconds_and_no_more(db: None, monkeypatch: Patch) -> None:
    seen: list[str] = []

    def look(self: Any, *args: Any, **options: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            seen.append(cursor.fetchone()[0])

    monkeypatch.setattr("django.core.management.commands.migrate.Command.handle", look)
    said("migrate")
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        seen.append(cursor.fetchone()[0])
    assert seen == ["5s", "0"]


def test_the_first_steps_make_keys_and_three_accounts_once(hub: Any) -> None:
    first = json.loads(said("setup_hub", "--json"))
    people = {user.username: user for user in User.objects.all()}
    assert people.keys() == {"admin", "registrar", "operator"}
    assert [group.name for group in people["registrar"].groups.all()] == ["registrar"]
    name, _, password = first["operator"].partition(" ")
    assert people[name].check_password(password)
    assert [user.username for user in people.values() if user.is_superuser] == ["admin"]
    assert json.loads(said("setup_hub", "--json"))["operator"] == "operator (đã có / exists)"


def test_the_first_steps_name_what_is_still_wrong(hub: Any, settings: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, trust_dir=tmp_path)
    with pytest.raises(CommandError, match=r"trust\.empty"):
        said("setup_hub")


def test_the_version_stands_on_the_pages(db: None, admin_client: Client, settings: Any) -> None:
    assert f"v{settings.VERSION}" in admin_client.get("/admin/").content.decode()
