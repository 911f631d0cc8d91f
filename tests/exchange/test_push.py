"""Push through a real HTTP receiver: the contract's headers, retries, and who may be reached."""

import ipaddress
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from agencies.models import System
from exchange import delivery, log, pushing, registry, routing, tasks, transport
from exchange.models import Attempt, Delivery, Event, Lane, Outcome, Package, State
from tests import receiver, world
from tests.receiver import Receiver
from tests.world import World


@pytest.fixture
def endpoint() -> Iterator[Receiver]:
    with receiver.running() as made:
        yield made


@pytest.fixture
def city(db: None, keys: world.Keys, endpoint: Receiver) -> World:
    """The small city, whose health system receives at `endpoint`."""
    return world.build(keys, callback_url=endpoint.url)


def now() -> datetime:
    return datetime.now(UTC)


def send(city: World) -> Delivery:
    [made] = city.send("H29", "H29.17", now=now()).deliveries
    return made


def events_of(row: Delivery) -> list[str]:
    return list(Event.objects.filter(stream=row.id).order_by("seq").values_list("name", flat=True))


def test_the_receiver_gets_the_bytes_with_the_headers_of_the_contract(
    city: World, endpoint: Receiver
) -> None:
    row = send(city)
    pushing.push_lane(Lane.NORMAL)
    [request] = endpoint.received
    package = Package.objects.get(id=row.package_id)
    assert sha256(request.body).hexdigest() == package.sha256
    digest = b64encode(sha256(request.body).digest()).decode()
    assert request.headers["content-digest"] == f"sha-256=:{digest}:"
    assert request.headers["x-exchange-delivery"] == str(row.id)
    assert request.headers["x-exchange-package"] == str(package.id)
    Webhook(city.webhook_secrets["health"]).verify(request.body, request.headers, json_parse=False)


def test_during_a_rotation_both_webhook_secrets_sign(city: World, endpoint: Receiver) -> None:
    by = registry.Change(world.ACTOR, now())
    new = registry.rotate_webhook_secret(city.systems["health"], by=by)
    send(city)
    pushing.push_lane(Lane.NORMAL)
    [request] = endpoint.received
    for secret in (new, city.webhook_secrets["health"]):
        Webhook(secret).verify(request.body, request.headers, json_parse=False)
    assert len(request.headers["webhook-signature"].split()) == 2


def test_an_answer_with_the_digest_is_the_acknowledgement(city: World) -> None:
    row = send(city)
    pushing.push_lane(Lane.NORMAL)
    row.refresh_from_db()
    assert row.state == State.HANDED_OVER
    assert events_of(row) == ["ContentConsignment", "ContentHandover"]
    [attempt] = Attempt.objects.all()
    assert (attempt.number, attempt.outcome, attempt.http_status) == (1, Outcome.CONFIRMED, 200)


def test_a_bare_2xx_is_recorded_as_unconfirmed(city: World, endpoint: Receiver) -> None:
    endpoint.answer = receiver.status(204)
    row = send(city)
    pushing.push_lane(Lane.NORMAL)
    row.refresh_from_db()
    assert row.state == State.HANDED_OVER
    assert events_of(row) == ["ContentConsignment", "ContentHandoverUnconfirmed"]


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("guarded", [False, True])
def test_a_redirect_of_a_push_is_not_followed(
    city: World, endpoint: Receiver, monkeypatch: pytest.MonkeyPatch, code: int, guarded: bool
) -> None:
    """Neither to an address that is allowed nor to one that the guard keeps from us."""
    asked: list[str] = []

    def noted(address: str, *words: Any, **more: Any) -> None:
        asked.append(address)
        check_address(address, *words, **more)

    check_address = transport.connection.check_address
    monkeypatch.setattr(transport.connection, "check_address", noted)
    with receiver.running() as elsewhere:
        target = "http://169.254.169.254/latest" if guarded else f"{elsewhere.url}/x"
        endpoint.answer = receiver.status(code, Location=target)
        row = send(city)
        pushing.push_lane(Lane.NORMAL)
        assert elsewhere.received == []
    row.refresh_from_db()
    assert (row.state, Attempt.objects.get().outcome) == (State.QUEUED, Outcome.REJECTED)
    assert len(endpoint.received) == 1
    assert asked == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (receiver.status(500, b"down"), Outcome.REJECTED),
        (receiver.status(302, Location="http://127.0.0.1:1/"), Outcome.REJECTED),
        (receiver.status(200, b'{"sha256": "00"}'), Outcome.MISMATCH),
    ],
)
def test_a_failure_is_recorded_and_tried_again_later(
    city: World, endpoint: Receiver, answer: receiver.Answer, outcome: Outcome
) -> None:
    endpoint.answer = answer
    row = send(city)
    pushing.push_lane(Lane.NORMAL)
    row.refresh_from_db()
    assert (row.state, row.attempts) == (State.QUEUED, 1)
    assert row.due_at > now()
    assert Attempt.objects.get().outcome == outcome
    assert events_of(row) == ["ContentConsignment"]

    endpoint.answer = receiver.acknowledge
    pushing.push_lane(Lane.NORMAL)
    assert len(endpoint.received) == 1, "not before it is due"
    Delivery.objects.filter(id=row.id).update(due_at=now())
    pushing.push_lane(Lane.NORMAL)
    row.refresh_from_db()
    assert row.state == State.HANDED_OVER


def test_retry_after_is_obeyed(city: World, endpoint: Receiver) -> None:
    endpoint.answer = receiver.status(503, Retry_After="3600")
    row = send(city)
    pushing.push_lane(Lane.NORMAL)
    row.refresh_from_db()
    assert row.due_at > now() + timedelta(minutes=59)


def test_410_pauses_the_system_and_keeps_the_delivery(city: World, endpoint: Receiver) -> None:
    endpoint.answer = receiver.status(410)
    row = send(city)
    tasks.deliver(Lane.NORMAL)
    row.refresh_from_db()
    assert row.state == State.QUEUED
    assert System.objects.get(name="health").paused_at is not None
    Delivery.objects.filter(id=row.id).update(due_at=now())
    tasks.deliver(Lane.NORMAL)
    assert len(endpoint.received) == 1, "nothing is pushed to a paused system"

    endpoint.answer = receiver.acknowledge
    registry.resume(System.objects.get(name="health"), by=registry.Change(world.ACTOR, now()))
    Delivery.objects.filter(id=row.id).update(due_at=now())
    tasks.deliver(Lane.NORMAL)
    row.refresh_from_db()
    assert row.state == State.HANDED_OVER


def test_an_endpoint_that_cannot_be_reached_costs_an_attempt_only(db: None, keys: world.Keys) -> None:
    city = world.build(keys, callback_url="http://127.0.0.1:9/closed")
    row = send(city)
    pushing.push_lane(Lane.NORMAL)
    row.refresh_from_db()
    assert row.state == State.QUEUED
    assert Attempt.objects.get().outcome == Outcome.UNREACHABLE


def test_after_the_last_attempt_the_delivery_is_undeliverable(city: World, endpoint: Receiver) -> None:
    endpoint.answer = receiver.status(500)
    row = send(city)
    Delivery.objects.filter(id=row.id).update(attempts=pushing.MAX_ATTEMPTS - 1)
    pushing.push_lane(Lane.NORMAL)
    row.refresh_from_db()
    assert row.state == State.UNDELIVERABLE
    assert events_of(row) == ["ContentConsignment", "ContentHandoverFailure"]


def pushed(claimed: list[transport.Shipment]) -> list[transport.Result]:
    """The results of pushing what was claimed, all of them."""
    ended: list[transport.Ended] = []
    with transport.Pusher() as pusher:
        pusher.send(claimed)
        while len(ended) < len(claimed):
            ended += pusher.ended(10)
    return [result for _, result in ended if result]


def test_a_delivery_acknowledged_while_it_was_pushed_is_handed_over_once(city: World) -> None:
    row = send(city)
    results = pushed(pushing.claim(Lane.NORMAL, now=now(), limit=10))
    package = Package.objects.get(id=row.package_id)
    actor = log.Actor("system", str(city.system_of("H29.17").id), "oauth2")
    delivery.acknowledge(
        row.id, system=city.system_of("H29.17"), sha256=package.sha256, actor=actor, now=now()
    )
    pushing.settle(results, now=now())
    assert events_of(row) == ["ContentConsignment", "ContentHandover"]


def test_a_push_confirmed_after_the_delivery_expired_is_still_a_handover(city: World) -> None:
    row = send(city)
    results = pushed(pushing.claim(Lane.NORMAL, now=now(), limit=10))
    delivery.expire(now() + timedelta(days=400))
    pushing.settle(results, now=now())
    row.refresh_from_db()
    assert row.state == State.HANDED_OVER
    assert events_of(row)[-2:] == ["AcceptanceRejectionExpiry", "ContentHandover"]


def test_a_failure_that_comes_after_a_newer_attempt_changes_nothing(city: World, endpoint: Receiver) -> None:
    endpoint.answer = receiver.status(500)
    row = send(city)
    Delivery.objects.filter(id=row.id).update(attempts=pushing.MAX_ATTEMPTS - 2)
    first = pushed(pushing.claim(Lane.NORMAL, now=now(), limit=10))
    Delivery.objects.filter(id=row.id).update(due_at=now())
    [second] = pushing.claim(Lane.NORMAL, now=now(), limit=10)
    leased_until = Delivery.objects.get(id=row.id).due_at
    pushing.settle(first, now=now())
    row.refresh_from_db()
    assert (row.state, row.due_at) == (State.QUEUED, leased_until)
    endpoint.answer = receiver.acknowledge
    pushing.settle(pushed([second]), now=now())
    row.refresh_from_db()
    assert row.state == State.HANDED_OVER


HOSTILE = {
    "deep JSON": (200, b"[" * 60_000),
    "a lone surrogate": (200, b'{"sha256": "\\ud800"}'),
    "NUL in the digest": (200, b'{"sha256": "\\u0000"}'),
    "NUL in an error": (500, b"down\x00\xff"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_one_receiver_answers_does_not_stop_the_others(
    city: World, endpoint: Receiver, kind: str
) -> None:
    rows = [send(city) for _ in range(3)]
    hostile = str(rows[1].id)

    def answer(request: receiver.Received) -> tuple[int, bytes, dict[str, str]]:
        if request.headers["x-exchange-delivery"] == hostile:
            return (*HOSTILE[kind], {})
        return receiver.acknowledge(request)

    endpoint.answer = answer
    pushing.push_lane(Lane.NORMAL)
    for row in rows:
        row.refresh_from_db()
    assert [row.state for row in (rows[0], rows[2])] == [State.HANDED_OVER] * 2
    first = Attempt.objects.filter(number=1)  # the next may follow at once: its pause is a random one
    assert first.count() == 3
    assert first.get(delivery=rows[1]).detail.isprintable()


def test_what_cannot_be_finished_within_its_lease_is_not_begun(
    city: World, endpoint: Receiver, settings: Any
) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, lease_seconds=1, push_seconds=5)
    row = send(city)
    assert pushed(pushing.claim(Lane.NORMAL, now=now(), limit=10)) == []
    assert endpoint.received == []
    row.refresh_from_db()
    assert row.state == State.QUEUED


@pytest.mark.postgresql  # SQLite has one writer: nobody moves it meanwhile
def test_an_agency_that_moved_since_its_route_was_found_is_reached_where_it_is(
    city: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = routing.recipients

    def then_it_moves(*args: Any, **kwargs: Any) -> routing.Routes:
        routes = found(*args, **kwargs)
        by = registry.Change(world.ACTOR, now())
        registry.move_agency(city.agencies["H29.17"], city.systems["district"], by=by)
        return routes

    monkeypatch.setattr(routing, "recipients", then_it_moves)
    row = send(city)
    row.refresh_from_db()
    assert (row.system.name, row.push) == ("district", False)


def test_a_claimed_delivery_is_seen_again_when_its_worker_died(city: World) -> None:
    row = send(city)
    at = now()
    assert [item.delivery for item in pushing.claim(Lane.NORMAL, now=at, limit=10)] == [row.id]
    assert pushing.claim(Lane.NORMAL, now=at, limit=10) == []
    assert pushing.due_lanes(at) == set()
    later = at + timedelta(minutes=5)
    assert pushing.due_lanes(later) == {Lane.NORMAL}
    assert [item.delivery for item in pushing.claim(Lane.NORMAL, now=later, limit=10)] == [row.id]


def test_retries_wait_longer_and_longer_and_never_more_than_six_hours() -> None:
    assert pushing.backoff(1) <= timedelta(seconds=5)
    assert max(pushing.backoff(n) for n in range(1, 61)) <= timedelta(hours=6)
    assert min(pushing.backoff(30) for _ in range(20)) >= timedelta(minutes=36)


LISTED = [ipaddress.ip_network("10.1.0.0/16")]


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("192.168.1.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:127.0.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("100.64.0.1", False),
        ("8.8.8.8", True),
        ("64:ff9b::a00:1", False),
        ("64:ff9b:1::1", False),
        ("2002:a00:1::1", False),
        ("2001:0:a00:1::1", False),
        ("::7f00:1", False),
        ("::ffff:0:10.0.0.1", False),
        ("fec0::1", False),
        ("3fff::1", False),
        ("5f00::1", False),
        ("192.0.0.8", False),
        ("192.88.99.1", False),
    ],
)
def test_private_addresses_and_plain_http_are_refused(address: str, plain: bool) -> None:
    with pytest.raises(transport.AddressRefused):
        transport.check_address(address, LISTED, plain=plain)


@pytest.mark.parametrize(
    ("address", "plain"),
    [("10.1.2.3", True), ("10.1.2.3", False), ("8.8.8.8", False), ("2606:4700::1111", False)],
)
def test_listed_networks_and_public_https_are_allowed(address: str, plain: bool) -> None:
    transport.check_address(address, LISTED, plain=plain)


def test_a_callback_into_a_private_network_is_refused_after_resolution(
    db: None, keys: world.Keys, endpoint: Receiver, settings: Any
) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, push_networks=())
    city = world.build(keys, callback_url=endpoint.url.replace("127.0.0.1", "localhost"))
    send(city)
    pushing.push_lane(Lane.NORMAL)
    assert endpoint.received == []
    assert "not allowed" in Attempt.objects.get().detail
