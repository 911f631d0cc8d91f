"""What a process remembers of the registry is never older than the registry."""

import time
from collections.abc import Callable
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import OperationalError, connection, transaction

from agencies import memory, stamps
from exchange import registry, vault
from exchange.refusals import Refused
from fixtures.pki import Revocation
from tests.world import ACTOR, NOW, Keys, World

DAY, DER = timedelta(days=1), Encoding.DER
BY = registry.Change(ACTOR, NOW, "a test")


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refused:
        call()
    return refused.value.code


def elsewhere(change: Callable[[], object]) -> None:
    """Make and commit `change` over another connection."""

    def run() -> None:
        try:
            change()
        finally:
            connection.close()

    thread = Thread(target=run)
    thread.start()
    thread.join()


def store_list(keys: Keys, *revoked: Revocation) -> None:
    listed = keys.authority.crl(revoked, this_update=NOW - DAY).public_bytes(DER)
    registry.store_crl(listed, keys.authority.certificate.public_bytes(DER), by=BY)


def stamp_of(name: str) -> str:
    found = memory.current()
    return {stamps.REGISTRY: found.registry, stamps.REVOCATION: found.revocation}[name]


def test_every_trigger_of_a_stamp_stands_after_all_migrations(db: None) -> None:
    postgresql = "SELECT tgname FROM pg_trigger"
    sqlite = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    with connection.cursor() as cursor:
        cursor.execute(postgresql if connection.vendor == "postgresql" else sqlite)
        assert stamps.names() <= {name for (name,) in cursor.fetchall()}


@pytest.mark.parametrize("table", stamps.TABLES)
def test_any_written_row_replaces_the_stamp_but_when_somebody_called(
    hub: World, keys: Keys, table: str
) -> None:
    store_list(keys)
    stamp, silent = stamps.TABLES[table]
    with connection.cursor() as cursor:
        for column in connection.introspection.get_table_description(cursor, table):
            before = stamp_of(stamp)
            cursor.execute(f'UPDATE {table} SET "{column.name}" = "{column.name}"')
            moved = cursor.rowcount > 0 or connection.vendor == "postgresql"
            assert (stamp_of(stamp) != before) == (moved and column.name not in silent), column.name


def test_nothing_is_asked_again_while_nothing_changes(hub: World, django_assert_num_queries: Any) -> None:
    hub.send("H29", "H29.5")
    memory.current().may_send_for(hub.system_of("H29"), hub.agencies["H29"])
    memory.current().agency_by_code("000.00.05.H29", NOW)
    with django_assert_num_queries(1):
        found = memory.current()
        assert found.agency_by_code("000.00.05.H29", NOW) == hub.agencies["H29.5"]
        assert found.may_send_for(hub.system_of("H29"), hub.agencies["H29"])
        assert len(found.signing_certificates(hub.agencies["H29"])) == 1


def test_a_code_is_remembered_with_its_dates(hub: World) -> None:
    registry.add_alias(hub.agencies["H29.5"], ("OLD", NOW, NOW + DAY), by=BY)
    found = memory.current()
    named = [found.agency_by_code("old", NOW + days * DAY) for days in (-1, 0, 1)]
    assert named == [None, hub.agencies["H29.5"], None]


def test_a_change_that_is_taken_back_is_not_remembered(hub: World) -> None:
    before = transaction.savepoint()
    registry.suspend_agency(hub.agencies["H29.5"], by=BY)
    assert refusal(lambda: hub.send("H29", "H29.5")) == "recipient.suspended"
    transaction.savepoint_rollback(before)
    assert hub.send("H29", "H29.5").deliveries


def test_a_revocation_has_effect_with_the_next_package(hub: World, keys: Keys) -> None:
    hub.send("H29", "H29.5")
    store_list(keys, Revocation(keys.identities["H29"].certificate, NOW - DAY))
    assert refusal(lambda: hub.send("H29", "H29.5")) == "certificate.revoked"


def test_memory_ends_after_a_minute_whatever_the_stamps_say(
    hub: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = memory.current()
    later = time.monotonic() + memory.SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert memory.current() is not found


@pytest.mark.postgresql
def test_a_change_of_another_connection_counts_from_its_commit_on(live_hub: World) -> None:
    """Remembered before, asked for while the change is open, and after."""
    live_hub.send("H29", "H29.5")
    code, seen = "H29.5", list[bool]()

    def look() -> None:
        found = memory.current().agency_by_code(code, NOW)
        seen.append(found is not None and found.reachable)

    with transaction.atomic():
        registry.suspend_agency(live_hub.agencies[code], by=BY)
        look()
        elsewhere(look)
    elsewhere(look)
    assert seen == [False, True, False]


@pytest.mark.postgresql
def test_a_change_between_check_and_transaction_counts(
    live_hub: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each way: a recipient suspended, and one resumed, while the bytes were being stored."""
    put, agency = vault.put, live_hub.agencies["H29.5"]
    for change, outcome in ((registry.suspend_agency, "recipient.suspended"), (registry.resume_agency, "")):
        raw = live_hub.document("H29", "H29.5")

        def then(raw: bytes, change: Any = change) -> str:
            elsewhere(lambda: change(agency, by=BY))
            return put(raw)

        monkeypatch.setattr(vault, "put", then)
        code = refusal(lambda raw=raw: live_hub.accept(raw)) if outcome else ""  # type: ignore[misc]
        assert code == outcome
        assert outcome or live_hub.accept(raw).deliveries


@pytest.mark.postgresql
def test_a_connection_that_was_lost_meanwhile_is_opened_again(live_hub: World) -> None:
    before = memory.current()
    lost = connection.connection.info.backend_pid

    def end() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [lost])

    elsewhere(end)
    assert memory.current() is before
    assert connection.connection.info.backend_pid != lost


@pytest.mark.postgresql
def test_within_a_transaction_a_lost_connection_is_an_error(live_hub: World) -> None:
    def end() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [lost])

    with pytest.raises(OperationalError), transaction.atomic():
        memory.current()
        lost = connection.connection.info.backend_pid
        elsewhere(end)
        memory.current()
    connection.close()
