"""Inbox notices: one for whatever came, none more until the system asks; nothing depends on them."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from standardwebhooks.webhooks import Webhook

from agencies.models import System
from exchange import celery, delivery, intake, notices, registry, tasks, transport, wake
from exchange.models import Circuit, Delivery, Event, InboxNotice
from exchange.models.inbox_notice import LOOK_AGAIN, TELL_AGAIN
from tests import receiver
from tests.api.conftest import Caller, fetch_token
from tests.exchange.test_admin_documents import page, person
from tests.operations.test_metrics import counted
from tests.receiver import Receiver
from tests.vxp.conftest import Connect, connect
from tests.world import ACTOR, World, at_once

__all__ = ["connect"]
OK = receiver.status(200)
NOTHING = timedelta()


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def endpoint() -> Iterator[Receiver]:
    with receiver.running(OK) as running:
        yield running


def enrol(hub: World, url: str, *names: str) -> None:
    """Let these systems want notices at `url`."""
    for name in names:
        by = registry.Change(ACTOR, now())
        registry.update_system(hub.systems[name], by=by, notice=True, callback_url=url)
    InboxNotice.objects.make_missing(now())


@pytest.fixture
def city(hub: World, endpoint: Receiver, django_capture_on_commit_callbacks: Any) -> World:
    """The small city, in which the transport system wants notices; it has just asked for its inbox."""
    enrol(hub, endpoint.url, "transport")
    asked(hub)
    return hub


def asked(hub: World, lease: timedelta = NOTHING) -> list[Delivery]:
    """The transport system asks for its inbox."""
    return delivery.inbox(hub.systems["transport"], limit=50, lease=lease, now=now())


@pytest.fixture
def accept(city: World, django_capture_on_commit_callbacks: Any) -> Any:
    """Accept so many documents for the transport system, each with what follows its commit."""

    def accept(number: int = 1, *recipients: str) -> None:
        for _ in range(number):
            with django_capture_on_commit_callbacks(execute=True):
                city.send("H29", *(recipients or ("H29.5",)), now=now())

    return accept


def row() -> InboxNotice:
    return InboxNotice.objects.get(system__name="transport")


def let_it_be_due() -> None:
    """Time passes."""
    InboxNotice.objects.update(due_at=now())
    Circuit.objects.update(probe_at=now())


# --- once, until the system asks ----------------------------------------------------------------------


def test_a_hundred_packages_are_one_notice(accept: Any, endpoint: Receiver) -> None:
    accept(100)
    assert notices.are_due(now())
    notices.send()
    accept()
    notices.send()
    assert len(endpoint.received) == 1
    assert row().unanswered


def test_a_notice_is_signed_with_every_live_secret_and_carries_no_content(
    city: World, accept: Any, endpoint: Receiver
) -> None:
    system, by = city.systems["transport"], registry.Change(ACTOR, now())
    old, new = registry.replace_webhook_secret(system, by=by), registry.rotate_webhook_secret(system, by=by)
    accept()
    notices.send()
    [told] = endpoint.received
    body = json.loads(told.body)
    assert body == {
        "type": "inbox",
        "system": str(city.systems["transport"].pk),
        "since": body["since"],
    }
    assert datetime.fromisoformat(body["since"]).tzinfo is not None
    assert told.headers["content-type"] == "application/json"
    for secret in (old, new):
        assert Webhook(secret).verify(told.body, told.headers)


def test_the_next_package_after_the_system_asked_is_another_notice(
    city: World, accept: Any, endpoint: Receiver
) -> None:
    accept()
    notices.send()
    assert len(asked(city)) == 1
    accept()
    notices.send()
    first, second = endpoint.received
    assert first.headers["webhook-id"] != second.headers["webhook-id"]


def test_an_inbox_that_was_fetched_before_the_notice_went_out_needs_none(
    city: World, accept: Any, endpoint: Receiver
) -> None:
    accept()
    asked(city, lease=timedelta(minutes=1))
    notices.send()
    assert endpoint.received == []


def test_a_system_that_asks_before_it_answers_is_told_of_what_comes_next(
    city: World, accept: Any, endpoint: Receiver
) -> None:
    accept()
    claimed = notices.claim(now())
    answers = transport.tell([notices._notice(one) for one in claimed])
    asked(city)
    accept()
    notices.settle(claimed, answers, now())
    assert row().told_at
    assert not row().unanswered
    notices.send()
    assert len(endpoint.received) == 2


def test_what_a_system_left_in_its_inbox_is_told_again_later(
    city: World, accept: Any, endpoint: Receiver
) -> None:
    accept()
    asked(city)
    assert not notices.are_due(now())
    assert notices.are_due(now() + LOOK_AGAIN)
    asked(city, lease=timedelta(minutes=10))
    assert not notices.are_due(now() + timedelta(minutes=9))
    assert notices.are_due(now() + timedelta(minutes=11))


def test_a_notice_that_was_taken_and_forgotten_comes_again_as_another(
    accept: Any, endpoint: Receiver
) -> None:
    accept()
    notices.send()
    assert not notices.are_due(now() + TELL_AGAIN / 2)
    assert notices.are_due(now() + TELL_AGAIN)
    let_it_be_due()
    notices.send()
    assert len({told.headers["webhook-id"] for told in endpoint.received}) == 2


def test_an_empty_inbox_is_no_news(city: World, endpoint: Receiver) -> None:
    let_it_be_due()
    notices.send()
    assert endpoint.received == []


@pytest.mark.parametrize("what", [{"notice": False}, {"delivery": "push"}, {"callback_url": ""}])
def test_only_a_pulling_system_that_wants_it_is_told(
    city: World, accept: Any, endpoint: Receiver, what: dict[str, Any]
) -> None:
    accept()
    registry.update_system(city.systems["transport"], by=registry.Change(ACTOR, now()), **what)
    notices.send()
    assert endpoint.received == []
    assert not System.objects.get(name="transport").wants_notices


def test_a_list_of_the_vxp_face_is_a_question_too(
    city: World, accept: Any, endpoint: Receiver, connect: Connect
) -> None:
    client = connect("H29.5")
    accept()
    notices.send()
    assert row().unanswered
    client.received()
    assert not row().unanswered
    accept()
    notices.send()
    assert len(endpoint.received) == 2


# --- what brings something into an inbox --------------------------------------------------------------


def test_a_resent_delivery_and_an_agency_that_moves_are_news(
    city: World, endpoint: Receiver, django_capture_on_commit_callbacks: Any
) -> None:
    sent = city.send("H29", "H29.5", "H29.121", now=now())
    late = sent.deliveries[0]
    delivery.expire(now() + timedelta(days=400))
    with django_capture_on_commit_callbacks(execute=True):
        delivery.resend(late.id, actor=ACTOR, now=now(), reason="thử lại")
    notices.send()
    assert len(endpoint.received) == 1
    asked(city)
    delivery.resend(sent.deliveries[1].id, actor=ACTOR, now=now(), reason="thử lại")
    with django_capture_on_commit_callbacks(execute=True):
        registry.move_agency(
            city.agencies["H29.121"], city.systems["transport"], by=registry.Change(ACTOR, now())
        )
    notices.send()
    assert len(endpoint.received) == 2


def test_a_wish_that_was_lost_with_its_process_is_found(city: World, endpoint: Receiver) -> None:
    city.send("H29", "H29.5", now=now())  # and nothing of what follows its commit
    assert not notices.are_due(now())
    assert notices.are_due(now() + LOOK_AGAIN)


def test_the_sweep_wakes_who_sends(
    city: World, accept: Any, endpoint: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    monkeypatch.setattr(celery.app, "send_task", lambda name, **_options: woken.append(name))
    tasks.sweep()
    assert woken == []
    accept(2)
    assert woken == ["exchange.tasks.send_notices"], "for the first of them"
    tasks.sweep()
    assert woken == ["exchange.tasks.send_notices"] * 2
    tasks.send_notices()
    tasks.sweep()
    assert len(woken) == 2
    assert len(endpoint.received) == 1


# --- what it costs ------------------------------------------------------------------------------------


def statements(world: World, callbacks: Any, *recipients: str) -> int:
    raw = world.document("H29", *recipients)
    with CaptureQueriesContext(connection) as queries, callbacks(execute=True):
        intake.accept(raw, system=world.systems["office"], actor=ACTOR, now=now())
    # The mode of the hub is a fact that every process asks for once in two seconds.
    return len([query for query in queries if "exchange_fact" not in query["sql"]])


def test_an_acceptance_costs_one_statement_more_and_nothing_without_notices(
    hub: World, endpoint: Receiver, django_capture_on_commit_callbacks: Any
) -> None:
    many = ("H29.5", "H29.121", "H29.10")
    statements(hub, django_capture_on_commit_callbacks, *many)
    before = statements(hub, django_capture_on_commit_callbacks, *many)
    enrol(hub, endpoint.url, "transport", "district", "office")
    statements(hub, django_capture_on_commit_callbacks, *many, "H29.17")  # makes the notices wanted
    assert statements(hub, django_capture_on_commit_callbacks, *many) == before + 1
    assert statements(hub, django_capture_on_commit_callbacks, "H29.17") == before


def test_who_asks_often_is_written_down_once_in_a_while(city: World) -> None:
    before, question = row().due_at, InboxNotice.objects.asked
    question(city.systems["transport"].pk, now() + LOOK_AGAIN / 4, NOTHING)
    assert row().due_at == before
    question(city.systems["transport"].pk, now() + LOOK_AGAIN, NOTHING)
    assert row().due_at > before


# --- what fails ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [receiver.status(500), receiver.status(404), receiver.status(429)])
def test_a_receiver_that_says_no_is_tried_again_with_the_same_id(
    accept: Any, endpoint: Receiver, answer: receiver.Answer
) -> None:
    failed, taken = (counted("hub_notices_total", result=result) for result in ("failed", "taken"))
    endpoint.answer = answer
    accept()
    notices.send()
    assert (row().failures, row().told_at) == (1, None)
    assert row().due_at > now()
    notices.send()
    assert len(endpoint.received) == 1, "not before its time"

    endpoint.answer = OK
    let_it_be_due()
    notices.send()
    first, second = endpoint.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert (row().failures, row().unanswered) == (0, True)
    assert not Circuit.objects.exists()
    assert counted("hub_notices_total", result="failed") == failed + 1
    assert counted("hub_notices_total", result="taken") == taken + 1


def test_a_receiver_that_is_down_opens_the_circuit_and_closes_it_when_it_is_back(
    city: World, accept: Any
) -> None:
    with receiver.running(OK) as gone:
        url = gone.url
    registry.update_system(city.systems["transport"], by=registry.Change(ACTOR, now()), callback_url=url)
    accept()
    for _ in range(5):
        let_it_be_due()
        notices.send()
    circuit = Circuit.objects.get()
    assert circuit.opened_at
    assert circuit.probe_at
    InboxNotice.objects.update(due_at=now())
    assert not notices.are_due(now())
    assert notices.are_due(circuit.probe_at)

    with receiver.running(OK) as back:
        registry.update_system(
            city.systems["transport"], by=registry.Change(ACTOR, now()), callback_url=back.url
        )
        registry.resume(city.systems["transport"], by=registry.Change(ACTOR, now()))
        notices.send()
        assert len(back.received) == 1
    assert not Circuit.objects.exists()


def test_retry_after_is_obeyed(accept: Any, endpoint: Receiver) -> None:
    endpoint.answer = receiver.status(503, Retry_After="3600")
    accept()
    notices.send()
    InboxNotice.objects.update(due_at=now())
    assert not notices.are_due(now() + timedelta(minutes=59))
    assert notices.are_due(now() + timedelta(minutes=61))


def test_a_redirect_is_not_followed(accept: Any, endpoint: Receiver) -> None:
    endpoint.answer = receiver.status(307, Location=f"{endpoint.url}/elsewhere")
    accept()
    notices.send()
    assert [told.path for told in endpoint.received] == ["/edxml"]
    assert row().failures == 1


def test_a_private_address_is_not_called(city: World, accept: Any, endpoint: Receiver) -> None:
    url = endpoint.url.replace("127.0.0.1", "[::1]")  # HUB_PUSH_NETWORKS names 127.0.0.0/8 alone
    registry.update_system(city.systems["transport"], by=registry.Change(ACTOR, now()), callback_url=url)
    accept()
    notices.send()
    assert endpoint.received == []
    assert row().failures == 1


def test_410_pauses_the_system_which_may_still_pull(city: World, accept: Any, endpoint: Receiver) -> None:
    endpoint.answer = receiver.status(410)
    accept()
    tasks.send_notices()
    system = System.objects.get(name="transport")
    assert system.paused_at
    event = Event.objects.filter(stream=system.pk).order_by("-id")[0]
    assert json.loads(bytes(event.body.raw))["what"] == "system.paused"
    let_it_be_due()
    tasks.send_notices()
    assert len(endpoint.received) == 1
    assert len(asked(city)) == 1

    endpoint.answer = OK
    registry.resume(system, by=registry.Change(ACTOR, now()))
    tasks.send_notices()
    assert len(endpoint.received) == 2


def test_a_notice_whose_worker_died_is_sent_again_after_its_lease(accept: Any, endpoint: Receiver) -> None:
    accept()
    [lost] = notices.claim(now())
    assert notices.claim(now()) == []
    later = now() + timedelta(seconds=settings.ENVIRONMENT.lease_seconds)
    [again] = notices.claim(later)
    assert notices._id(again) == notices._id(lost)


def test_one_dead_receiver_keeps_no_other_from_being_told(
    hub: World, accept: Any, endpoint: Receiver
) -> None:
    enrol(hub, "http://127.0.0.1:9/closed", "district")
    accept(1, "H29.5", "H29.121")
    notices.send()
    assert len(endpoint.received) == 1


# --- races --------------------------------------------------------------------------------------------


@pytest.mark.postgresql
def test_a_package_that_is_committed_just_after_the_system_looked_is_told(
    live_hub: World, endpoint: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The acceptance is older than the question, and its commit is younger."""
    enrol(live_hub, endpoint.url, "transport")
    raw, written, looked = live_hub.document("H29", "H29.5"), threading.Event(), threading.Event()
    registered = wake.for_inboxes

    def hold(systems: Any) -> None:
        registered(systems)
        written.set()
        assert looked.wait(30)

    monkeypatch.setattr(wake, "for_inboxes", hold)

    def send() -> None:
        live_hub.accept(raw, now=now())
        connection.close()

    sender = threading.Thread(target=send)
    sender.start()
    assert written.wait(30)
    assert asked(live_hub) == []
    looked.set()
    sender.join()
    notices.send()
    assert len(endpoint.received) == 1
    assert len(asked(live_hub)) == 1


@pytest.mark.postgresql
def test_an_acceptance_does_not_wait_for_a_question_under_way(live_hub: World, endpoint: Receiver) -> None:
    enrol(live_hub, endpoint.url, "transport")
    finished = threading.Event()

    def send() -> None:
        live_hub.send("H29", "H29.5", now=now())
        finished.set()
        connection.close()

    sender = threading.Thread(target=send)
    with transaction.atomic():
        InboxNotice.objects.asked(live_hub.systems["transport"].pk, now(), NOTHING)
        InboxNotice.objects.select_for_update().get()
        sender.start()
        assert finished.wait(30)
        assert len(asked(live_hub)) == 1, "what it did not wait for is found by the look that follows"
    sender.join()


@pytest.mark.postgresql
def test_of_two_workers_one_sends(live_hub: World, endpoint: Receiver) -> None:
    enrol(live_hub, endpoint.url, "transport")
    live_hub.send("H29", "H29.5", now=now())
    at_once(*[notices.send] * 4)
    assert len(endpoint.received) == 1


# --- what is seen of it -------------------------------------------------------------------------------


def test_an_operator_sees_the_last_notice_and_a_failure(city: World, accept: Any, endpoint: Receiver) -> None:
    operator = person("operator")
    address = reverse("admin:agencies_system_change", args=(city.systems["transport"].pk,))
    assert "chưa gửi lần nào" in page(operator, address)
    endpoint.answer = receiver.status(500)
    accept()
    notices.send()
    assert "1 lần không gửi được; chờ báo từ" in page(operator, address)
    endpoint.answer = OK
    let_it_be_due()
    notices.send()
    told = page(operator, address)
    assert "hệ thống nhận gần nhất lúc" in told
    assert "từ đó chưa hỏi hộp thư" in told
    asked(city)
    assert "từ đó chưa hỏi hộp thư" not in page(operator, address)


def test_a_poll_over_http_is_the_question(
    city: World, accept: Any, endpoint: Receiver, client: Client
) -> None:
    token = fetch_token(client, city.clients["transport"]).json()["access_token"]
    accept()
    notices.send()
    assert row().unanswered
    assert len(Caller(client, token).get("/inbox", wait=1).json()["items"]) == 1
    assert not row().unanswered
