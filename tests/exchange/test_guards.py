"""The database refuses what the code must never do, on PostgreSQL and on SQLite."""

from datetime import date

import pytest
from django.db import Error, connection, transaction

from exchange.models import Delivery, Event, EventBody, Package, guards
from tests.world import World


def _triggers() -> set[str]:
    query = (
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
        if connection.vendor == "postgresql"
        else "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        return {row[0] for row in cursor.fetchall()}


def test_every_guard_stands_after_all_migrations(db: None) -> None:
    assert guards.names() <= _triggers()


@pytest.mark.parametrize(
    "change",
    [{"state": "expired"}, {"answer": "03"}, {"seq": 7}, {"request": "recall", "request_state": "open"}],
)
def test_a_state_change_without_an_event_is_refused(hub: World, change: dict[str, str]) -> None:
    [delivery] = hub.send("H29", "H29.5").deliveries
    with pytest.raises(Error, match="delivery_update_has_event"), transaction.atomic():
        Delivery.objects.filter(id=delivery.id).update(**change)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.answer, delivery.seq) == ("queued", "none", 1)


def test_a_delivery_without_an_event_is_refused(hub: World) -> None:
    [delivery] = hub.send("H29", "H29.5").deliveries
    delivery.pk, delivery.recipient = None, hub.agencies["H29.17"]
    with pytest.raises(Error, match="delivery_insert_has_event"), transaction.atomic():
        delivery.save(force_insert=True)


def test_events_cannot_be_changed_or_deleted(hub: World) -> None:
    hub.send("H29", "H29.5")
    with pytest.raises(Error, match="event_never_changed"), transaction.atomic():
        Event.objects.update(name="Arrival")
    with pytest.raises(Error, match="eventbody_never_changed"), transaction.atomic():
        EventBody.objects.update(raw=b"{}")
    with pytest.raises(Error, match="eventbody_never_deleted"), transaction.atomic():
        EventBody.objects.all()._raw_delete(EventBody.objects.db)


def test_what_a_package_says_cannot_be_changed(hub: World) -> None:
    package = hub.send("H29", "H29.5").package
    with pytest.raises(Error, match="package_is_fixed"), transaction.atomic():
        Package.objects.filter(id=package.id).update(subject="another")
    with pytest.raises(Error, match="_never_deleted"), transaction.atomic():
        Package.objects.filter(id=package.id)._raw_delete(Package.objects.db)


@pytest.mark.parametrize(
    "change",
    [
        {"signer": "another"},
        {"signer_fingerprint": "0" * 64},
        {"signature_problem": "signature.invalid"},
        {"priority": 4},
        {"due_on": date(2026, 12, 1)},
        {"type_name": "another"},
        {"code_folded": "1/XX"},
    ],
)
def test_what_is_shown_and_searched_of_a_package_cannot_be_changed(
    hub: World, change: dict[str, object]
) -> None:
    package = hub.send("H29", "H29.5").package
    with pytest.raises(Error, match="package_is_fixed"), transaction.atomic():
        Package.objects.filter(id=package.id).update(**change)


@pytest.mark.parametrize("column", ["package", "recipient", "recipient_code"])
def test_where_a_delivery_goes_cannot_be_changed(hub: World, column: str) -> None:
    [delivery] = hub.send("H29", "H29.5").deliveries
    other = hub.send("H29", "H29.17").package
    values = {"package": other, "recipient": hub.agencies["H29.17"], "recipient_code": "H29.17"}
    with pytest.raises(Error, match="delivery_is_fixed"), transaction.atomic():
        Delivery.objects.filter(id=delivery.id).update(**{column: values[column]})


def test_the_rest_of_a_delivery_may_be_written(hub: World) -> None:
    [delivery] = hub.send("H29", "H29.5").deliveries
    delivery.attempts = 3
    delivery.save()
    delivery.refresh_from_db()
    assert delivery.attempts == 3
