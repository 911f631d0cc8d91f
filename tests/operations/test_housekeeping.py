"""What is removed after its time, what stays, and how big everything is."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from oauth2_provider.models import AccessToken

from exchange import facts, housekeeping
from exchange.models import Attempt, Delivery, Outcome
from tests.world import World

NOW = datetime.now(UTC)


def attempt(delivery: Delivery, at: datetime) -> None:
    """An attempt made at `at`."""
    Attempt.objects.create(
        id=UUID(int=housekeeping._first_id(at).int | delivery.pk.int & 0xFFFF), delivery=delivery,
        number=delivery.attempt_rows.count() + 1, url="http://x/", outcome=Outcome.UNREACHABLE, started_at=at,
        finished_at=at,
    )  # fmt: skip


def test_old_attempts_of_finished_deliveries_go_and_the_others_stay(hub: World) -> None:
    waiting, done = hub.send("H29", "H29.5", "H29.121").deliveries
    Delivery.objects.filter(pk=done.pk).update(expires_at=NOW - timedelta(days=1))
    from exchange import delivery

    delivery.expire(NOW)
    for item in (waiting, done):
        attempt(item, NOW - timedelta(days=400))
        attempt(item, NOW - timedelta(days=300))
    assert housekeeping.tidy(NOW)["attempts"] == 1
    assert set(Attempt.objects.values_list("delivery", "number")) == {
        (waiting.pk, 1), (waiting.pk, 2), (done.pk, 2),
    }  # fmt: skip


def test_expired_sessions_and_tokens_go(hub: World) -> None:
    for name, age in (("old", 1), ("live", -1)):
        Session.objects.create(session_key=name, expire_date=timezone.now() - timedelta(hours=age))
    application = hub.systems["office"].credentials.get()
    for token, age in (("old", 30), ("just-expired", 2), ("live", -1)):
        expires = timezone.now() - timedelta(hours=age)
        AccessToken.objects.create(token=token, application=application, expires=expires, scope="send")
    removed = housekeeping.tidy(timezone.now())
    assert (removed["sessions"], removed["tokens"]) == (1, 1)
    assert Session.objects.filter(session_key="live").exists()
    assert AccessToken.objects.count() == 2


def test_many_rows_go_in_batches(hub: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(housekeeping, "BATCH", 3)
    old = timezone.now() - timedelta(days=1)
    Session.objects.bulk_create(Session(session_key=str(n), expire_date=old) for n in range(10))
    assert housekeeping.tidy(timezone.now())["sessions"] == 10


def test_the_command_looks_without_removing_and_shows_sizes(hub: World) -> None:
    Session.objects.create(session_key="old", expire_date=timezone.now() - timedelta(days=1))
    out = StringIO()
    call_command("housekeeping", "--look", "--json", stdout=out)
    answer = json.loads(out.getvalue())
    assert answer["removed"]["sessions"] == 1
    assert Session.objects.filter(session_key="old").exists()
    assert all(size > 0 for size in answer["bytes"].values())
    assert "exchange_event" in answer["bytes"] or "database" in answer["bytes"]


def test_the_size_of_the_vault_is_told(hub: World) -> None:
    size = hub.send("H29", "H29.5").package.size
    housekeeping.tidy(timezone.now())
    word = facts.found("housekeeping")
    assert word is not None
    assert word.value["vault_bytes"] == size


@pytest.mark.postgresql
def test_busy_tables_are_vacuumed_by_rows_and_not_by_a_fifth_of_years(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, reloptions FROM pg_class WHERE relkind = 'r' AND reloptions IS NOT NULL"
        )
        found = {name: dict(word.split("=") for word in words) for name, words in cursor.fetchall()}
    for large in ("exchange_delivery", "exchange_feedentry", "exchange_attempt"):
        assert found[large] == {
            "autovacuum_vacuum_scale_factor": "0.02", "autovacuum_analyze_scale_factor": "0.02",
        }  # fmt: skip
    for emptied in (
        "exchange_pending", "exchange_statisticsdelta", "django_session", "oauth2_provider_accesstoken",
    ):  # fmt: skip
        assert found[emptied] == {
            "autovacuum_vacuum_scale_factor": "0",
            "autovacuum_vacuum_threshold": "1000",
        }
    for rewritten in ("allowance", "circuit", "fact", "feedhead", "log"):
        assert found[f"exchange_{rewritten}"] == {
            "autovacuum_vacuum_scale_factor": "0", "autovacuum_vacuum_threshold": "200", "fillfactor": "50",
        }  # fmt: skip
