"""GET /events."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from exchange import waiting
from tests.api.conftest import Call, Caller, code_of
from tests.world import NOW, World, answer_to


def after_of(body: dict[str, Any]) -> str:
    """The cursor inside `next`."""
    return str(parse_qs(urlsplit(body["next"]).query)["after"][0])


def test_the_sender_learns_of_an_answer(hub: World, sender: Caller) -> None:
    sent = hub.send("H29", "H29.5")
    at = NOW + timedelta(minutes=1)
    answered = hub.accept(hub.status("H29.5", "02", answer_to(sent), description="Sai nơi nhận"), "H29.5", at)
    items = sender.get("/events").json()["items"]
    [item] = [item for item in items if item["event"] == "ConsignmentRejection"]
    assert item == {
        "cursor": item["cursor"],
        "event": "ConsignmentRejection",
        "event_id": item["event_id"],
        "at": "2026-11-23T09:01:00+07:00",
        "package": str(sent.package.id),
        "kind": "document",
        "document_id": sent.package.document_id,
        "code": sent.package.code,
        "sender": "H29",
        "delivery": str(sent.deliveries[0].id),
        "recipient": "H29.5",
        "state": "handed_over",
        "answer": "02",
        "request": "none",
        "request_state": "none",
        "message": str(answered.package.id),
        "reason": "answer.refused",
        "by": {"kind": "system", "id": str(hub.system_of("H29.5").id)},
    }


def test_asking_on_gives_only_what_is_new(hub: World, sender: Caller) -> None:
    hub.send("H29", "H29.5")
    first = sender.get("/events", limit=1)
    assert [item["event"] for item in first.json()["items"]] == ["SubmissionAcceptance"]
    assert first.headers["Link"] == f'<{first.json()["next"]}>; rel="next"'
    second = sender.get("/events", after=after_of(first.json())).json()
    assert [item["event"] for item in second["items"]] == ["ContentConsignment"]
    assert after_of(second) == second["items"][-1]["cursor"]
    third = sender.get("/events", after=after_of(second)).json()
    assert (third["items"], after_of(third)) == ([], after_of(second))


def test_a_new_client_may_begin_with_what_comes(hub: World, sender: Caller) -> None:
    hub.send("H29", "H29.5")
    latest = sender.get("/events", after="latest").json()
    assert latest["items"] == []
    hub.send("H29", "H29.5")
    assert len(sender.get("/events", after=after_of(latest)).json()["items"]) == 2


def test_events_of_other_agencies_are_not_shown(hub: World, caller: Call) -> None:
    hub.send("H29", "H29.5")
    assert caller("H29.121").get("/events").json()["items"] == []
    assert [item["event"] for item in caller("H29.5").get("/events").json()["items"]] == [
        "ContentConsignment"
    ]


def test_an_event_of_the_package_itself_has_no_delivery_and_no_states(hub: World, sender: Caller) -> None:
    hub.send("H29", "H29.5")
    [item] = sender.get("/events", limit=1).json()["items"]
    assert (item["delivery"], item["recipient"], item["state"], item["answer"]) == (None, "", "", "")


@pytest.mark.parametrize(
    "query", [{"after": "x"}, {"after": "-1"}, {"after": "99"}, {"wait": 31}, {"limit": 0}]
)
def test_a_question_without_sense_is_refused(hub: World, sender: Caller, query: dict[str, Any]) -> None:
    answer = sender.get("/events", **query)
    assert (answer.status_code, code_of(answer)) == (400, "request.invalid")


def test_the_directory_scope_alone_does_not_open_the_feed(hub: World, caller: Call) -> None:
    assert code_of(caller("H29", scope="directory").get("/events")) == "auth.scope"


def test_a_poll_from_latest_on_misses_nothing_when_it_is_asked_again(
    hub: World, sender: Caller, ticket: waiting.Ticket
) -> None:
    with waiting.asking(ticket):
        assert sender.get("/events", after="latest", wait=30).json()["items"] == []
    assert ticket.parked
    hub.send("H29", "H29.5")
    with waiting.asking(ticket):
        answer = sender.get("/events", after="latest", wait=30)
    assert not ticket.parked
    assert [item["event"] for item in answer.json()["items"]] == [
        "SubmissionAcceptance",
        "ContentConsignment",
    ]


def test_a_request_asked_again_is_counted_once(sender: Caller, ticket: waiting.Ticket, settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, requests_per_minute=100)
    left = []
    for _ in range(2):
        with waiting.asking(ticket):
            left.append(sender.get("/events", after="latest", wait=30)["RateLimit-Remaining"])
    assert left[0] == left[1]
