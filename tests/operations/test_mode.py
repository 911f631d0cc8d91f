"""Maintenance and read-only mode: what clients are told, and what keeps moving."""

from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from exchange import facts, mode, tasks
from exchange.models import Delivery, Event
from tests.api.conftest import Caller, code_of, fetch_token
from tests.world import World


@pytest.fixture(autouse=True)
def normal(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No memory of another test's mode."""
    monkeypatch.setattr(mode, "_seen", None)


def switch(word: str) -> str:
    """Switch as an operator does."""
    out = StringIO()
    call_command("mode", word, "--retry-after", "120", stdout=out)
    return out.getvalue().strip()


@pytest.fixture
def office(hub: World, client: Client) -> Caller:
    """The system of H29."""
    return Caller(client, fetch_token(client, hub.clients["office"]).json()["access_token"])


@pytest.fixture
def transport(hub: World, client: Client) -> Caller:
    """The system of H29.5, which fetches."""
    return Caller(client, fetch_token(client, hub.clients["transport"]).json()["access_token"])


def test_maintenance_takes_nothing_and_keeps_delivering(
    hub: World, office: Caller, transport: Caller
) -> None:
    delivery = office.send(hub.document("H29", "H29.5")).json()["deliveries"][0]["id"]
    assert switch("maintenance") == "maintenance"
    events = Event.objects.count()
    refused = office.send(hub.document("H29", "H29.5"))
    assert (code_of(refused), refused.status_code, refused["Retry-After"]) == ("hub.maintenance", 503, "120")
    assert Event.objects.count() == events
    item = transport.get("/inbox").json()["items"][0]
    assert item["delivery"] == delivery
    content = transport.get(f"/deliveries/{delivery}/content")
    assert content.status_code == 200
    assert b"".join(content)
    assert transport.post(f"/deliveries/{delivery}/ack", {"sha256": item["sha256"]}).status_code == 200
    answered = transport.post(f"/deliveries/{delivery}/status", {"code": "03"})
    assert code_of(answered) == "hub.maintenance"


def test_read_only_moves_nothing_and_lets_people_look(hub: World, office: Caller, transport: Caller) -> None:
    sent = office.send(hub.document("H29", "H29.5")).json()
    delivery = sent["deliveries"][0]["id"]
    switch("read-only")
    for refused in (
        office.send(hub.document("H29", "H29.5")),
        transport.get("/inbox"),
        transport.get(f"/deliveries/{delivery}/content"),
        transport.post(f"/deliveries/{delivery}/ack", {"sha256": sent["sha256"]}),
        transport.post(f"/deliveries/{delivery}/status", {"code": "03"}),
    ):
        assert (code_of(refused), refused["Retry-After"]) == ("hub.read-only", "120")
    assert Delivery.objects.get(pk=delivery).served_at is None
    assert office.get(f"/packages/{sent['id']}").status_code == 200
    assert office.get(f"/packages/{sent['id']}/trail").status_code == 200


def test_in_read_only_mode_one_can_still_sign_in(hub: World, client: Client) -> None:
    User.objects.create_user("an", password="right-0123456789", is_staff=True)
    switch("read-only")
    assert fetch_token(client, hub.clients["office"]).status_code == 200
    signed_in = client.post("/admin/login/?next=/admin/", {"username": "an", "password": "right-0123456789"})
    assert signed_in.status_code == 302


def test_in_read_only_mode_the_workers_rest(hub: World) -> None:
    late = hub.send("H29", "H29.5").deliveries[0]
    Delivery.objects.filter(pk=late.pk).update(expires_at=timezone.now())
    switch("read-only")
    tasks.sweep()
    assert Delivery.objects.get(pk=late.pk).state == "queued"
    switch("normal")
    tasks.sweep()
    assert Delivery.objects.get(pk=late.pk).state == "expired"


def test_back_to_normal_everything_is_taken_again(hub: World, office: Caller) -> None:
    switch("read-only")
    switch("normal")
    assert office.send(hub.document("H29", "H29.5")).status_code == 201


def test_a_switch_in_another_process_is_seen(hub: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mode.standing().mode is mode.Mode.NORMAL
    facts.say(mode.FACT, timezone.now(), mode="maintenance", seconds=5)
    monkeypatch.setattr(mode, "SECONDS", 0.0)
    assert mode.standing() == mode.Standing(mode.Mode.MAINTENANCE, 5)


def test_the_language_of_the_answer_is_the_clients(hub: World, office: Caller) -> None:
    switch("maintenance")
    told: Any = office.send(hub.document("H29", "H29.5"), headers={"Accept-Language": "en"}).json()
    assert told["detail"].startswith("The hub is under maintenance")
