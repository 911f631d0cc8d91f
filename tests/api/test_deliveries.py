"""/inbox and /deliveries: fetch, acknowledge, answer."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from exchange import metrics
from exchange.envelope import package as envelope
from exchange.envelope import xml
from exchange.envelope.codes import BusinessType
from exchange.evidence import events
from exchange.models import Attempt, Delivery, Event, EventBody, Outcome, State, guards
from tests.api.conftest import Call, Caller, code_of
from tests.world import World

pytestmark = pytest.mark.django_db
NOBODY = "018f0000-0000-7000-8000-000000000000"


def sent(caller: Caller, raw: bytes) -> Any:
    answer = caller.send(raw)
    assert answer.status_code == 201, answer.content
    return answer.json()


def inbox(caller: Caller, **query: Any) -> list[Any]:
    answer = caller.get("/inbox", **query)
    assert answer.status_code == 200, answer.content
    items: list[Any] = answer.json()["items"]
    return items


def acknowledged(caller: Caller, item: Any, digest: str = "") -> Any:
    return caller.post(f"/deliveries/{item['delivery']}/ack", {"sha256": digest or item["sha256"]})


# --- inbox --------------------------------------------------------------------------------------------


def test_an_accepted_document_waits_in_the_inbox_of_its_recipient_only(
    sender: Caller, recipient: Caller, caller: Call, hub: World
) -> None:
    raw = hub.document("H29", "H29.5")
    package = sent(sender, raw)
    assert inbox(sender) == inbox(caller("H29.121")) == []
    (item,) = inbox(recipient)
    assert set(item) >= {
        "delivery", "package", "kind", "sender", "document_id", "code", "subject", "priority", "sha256",
        "size", "queued_at", "expires_at",
    }  # fmt: skip
    assert item["delivery"] == package["deliveries"][0]["id"]
    assert (item["package"], item["sha256"], item["size"]) == (package["id"], package["sha256"], len(raw))
    assert (item["kind"], item["sender"], item["code"]) == ("document", "H29", "101/KH-TEST")


def test_the_most_urgent_comes_first_then_the_oldest(sender: Caller, recipient: Caller, hub: World) -> None:
    sent_ids = {}
    for name, priority in (("old", 0), ("young", 0), ("urgent", 1), ("express", 4)):
        raw = hub.document("H29", "H29.5", priority=priority)
        sent_ids[name] = sent(sender, raw)["id"]
    found = [item["package"] for item in inbox(recipient)]
    assert found == [sent_ids[name] for name in ("express", "urgent", "old", "young")]


def test_a_full_inbox_says_where_to_ask_again(sender: Caller, recipient: Caller, hub: World) -> None:
    for _ in range(2):
        sent(sender, hub.document("H29", "H29.5"))
    full = recipient.get("/inbox", limit=2, lease=60).json()
    assert full["next"] == "http://127.0.0.1:8000/api/v1/inbox?limit=2&lease=60"
    assert recipient.get("/inbox", limit=2, lease=60).json() == {"items": [], "next": None}


def test_a_lease_hides_items_from_other_pollers(sender: Caller, recipient: Caller, hub: World) -> None:
    sent(sender, hub.document("H29", "H29.5"))
    assert len(inbox(recipient, lease=600)) == 1
    assert inbox(recipient) == []
    Delivery.objects.update(due_at=datetime.now(UTC) - timedelta(seconds=1))
    assert len(inbox(recipient)) == 1


def test_the_inbox_can_be_asked_for_one_kind(sender: Caller, recipient: Caller, hub: World) -> None:
    sent(sender, hub.document("H29", "H29.5"))
    assert len(inbox(recipient, kind="document")) == 1
    assert inbox(recipient, kind="status") == []


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 201}, {"wait": 31}, {"wait": -1}, {"lease": 601}, {"kind": "x"}, {"q": 1}],
)
def test_a_wrong_query_is_refused(recipient: Caller, query: dict[str, Any]) -> None:
    assert code_of(recipient.get("/inbox", **query)) == "request.invalid"


def test_a_long_poll_with_something_waiting_is_answered_at_once(
    sender: Caller, recipient: Caller, hub: World
) -> None:
    sent(sender, hub.document("H29", "H29.5"))
    assert len(inbox(recipient, wait=30)) == 1


# --- who sees what ------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["H29", "H29.121"])
@pytest.mark.parametrize(("method", "tail"), [("get", "/content"), ("post", "/ack")])
def test_only_the_recipient_may_fetch_and_acknowledge(  # noqa: PLR0917
    sender: Caller, caller: Call, hub: World, who: str, method: str, tail: str
) -> None:
    package = sent(sender, hub.document("H29", "H29.5"))
    body = {"sha256": package["sha256"]} if method == "post" else {}
    path = f"/deliveries/{package['deliveries'][0]['id']}{tail}"
    answer = caller(who).post(path, body) if method == "post" else caller(who).get(path)
    assert (answer.status_code, code_of(answer)) == (404, "request.not-found")
    assert Delivery.objects.get().state == State.QUEUED


def test_a_delivery_of_others_does_not_exist(sender: Caller, caller: Call, hub: World) -> None:
    delivery = sent(sender, hub.document("H29", "H29.5"))["deliveries"][0]["id"]
    stranger = caller("H29.121")
    for found in (delivery, NOBODY):
        assert code_of(stranger.get(f"/deliveries/{found}")) == "request.not-found"
        assert code_of(stranger.post(f"/deliveries/{found}/status", {"code": "03"})) == "request.not-found"


def test_sender_and_recipient_see_the_delivery_with_its_attempts(
    sender: Caller, recipient: Caller, hub: World
) -> None:
    delivery = sent(sender, hub.document("H29", "H29.5"))["deliveries"][0]["id"]
    Attempt.objects.create(
        delivery_id=delivery,
        number=1,
        url="https://inside.example/secret",
        outcome=Outcome.UNREACHABLE,
        detail="inside",
        started_at=datetime.now(UTC),
        finished_at=datetime.now(UTC),
    )
    for who in (sender, recipient):
        answer = who.get(f"/deliveries/{delivery}")
        assert (answer.json()["state"], answer.json()["sender"]) == ("queued", "H29")
        assert [item["outcome"] for item in answer.json()["attempts"]] == ["unreachable"]
        assert b"inside" not in answer.content
        fresh = {"If-None-Match": answer.headers["ETag"]}
        assert who.get(f"/deliveries/{delivery}", headers=fresh).status_code == 304


# --- fetch and acknowledge ----------------------------------------------------------------------------


def test_a_document_is_fetched_and_acknowledged(sender: Caller, recipient: Caller, hub: World) -> None:
    raw = hub.document("H29", "H29.5")
    package = sent(sender, raw)
    (item,) = inbox(recipient)
    content = recipient.get(f"/deliveries/{item['delivery']}/content")
    assert content.getvalue() == raw
    assert content.headers["Content-Type"] == "application/edxml+xml"
    answer = acknowledged(recipient, item, sha256(raw).hexdigest().upper())
    assert answer.status_code == 200
    event = events.decode(answer.json()["receipt"]["event"].encode())
    assert (event.event, event.delivery) == ("ContentHandover", item["delivery"])
    assert inbox(recipient) == []
    (delivery,) = sender.get(f"/packages/{package['id']}").json()["deliveries"]
    assert (delivery["state"], delivery["answer"]) == ("handed_over", "none")


def test_acknowledging_again_gives_the_same_receipt(sender: Caller, recipient: Caller, hub: World) -> None:
    sent(sender, hub.document("H29", "H29.5"))
    (item,) = inbox(recipient)
    first, again = acknowledged(recipient, item), acknowledged(recipient, item)
    assert first.status_code == again.status_code == 200
    assert first.json()["receipt"]["event"] == again.json()["receipt"]["event"]
    assert Event.objects.filter(name="ContentHandover").count() == 1


@pytest.mark.parametrize("wrong", ["0" * 64, "0" * 63, "not a digest"])
def test_a_wrong_digest_is_refused_and_changes_nothing(
    sender: Caller, recipient: Caller, hub: World, wrong: str
) -> None:
    sent(sender, hub.document("H29", "H29.5"))
    (item,) = inbox(recipient)
    answer = acknowledged(recipient, item, wrong)
    assert (answer.status_code, code_of(answer)) == (409, "delivery.digest-mismatch")
    assert (Delivery.objects.get().state, Event.objects.filter(name="ContentHandover").exists()) == (
        State.QUEUED,
        False,
    )
    assert len(inbox(recipient)) == 1


@pytest.mark.parametrize("body", [{}, {"sha256": ""}, {"sha256": None}, {"sha256": "0" * 300}])
def test_an_acknowledgement_without_a_digest_is_refused(recipient: Caller, body: dict[str, Any]) -> None:
    assert code_of(recipient.post(f"/deliveries/{NOBODY}/ack", body)) == "request.invalid"


def test_several_are_acknowledged_at_once_each_with_an_outcome_of_its_own(
    sender: Caller, recipient: Caller, hub: World
) -> None:
    for _ in range(4):
        sent(sender, hub.document("H29", "H29.5"))
    good, known, wrong, withdrawn = inbox(recipient)
    receipt = acknowledged(recipient, known).json()["receipt"]
    code = envelope.Code.from_text(withdrawn["code"])
    sent(sender, hub.document("H29", "H29.5", code=code, business=envelope.Business(BusinessType.RECALL)))
    named = [good["delivery"], NOBODY, known["delivery"], wrong["delivery"], withdrawn["delivery"]]
    digests = [good["sha256"].upper(), "0" * 64, known["sha256"], "0" * 64, withdrawn["sha256"]]
    body = [{"delivery": one, "sha256": digest} for one, digest in zip(named, digests, strict=True)]
    answer = recipient.post("/deliveries/ack", {"deliveries": body})
    assert answer.status_code == 200, answer.content
    items = answer.json()["items"]
    assert [item["delivery"] for item in items] == named
    assert [item["refusal"] and item["refusal"]["code"] for item in items] == [
        None, "request.not-found", None, "delivery.digest-mismatch", "delivery.withdrawn",
    ]  # fmt: skip
    assert [bool(item["receipt"]) for item in items] == [True, False, True, False, False]
    assert items[2]["receipt"] == receipt
    handed_over = events.decode(items[0]["receipt"]["event"].encode())
    assert (handed_over.event, handed_over.delivery) == ("ContentHandover", good["delivery"])
    assert handed_over.digest == good["sha256"]
    states = {str(row.id): row.state for row in Delivery.objects.filter(id__in=[*named])}
    assert [states.get(one) for one in named] == [
        State.HANDED_OVER, None, State.HANDED_OVER, State.QUEUED, State.WITHDRAWN,
    ]  # fmt: skip
    again = recipient.post("/deliveries/ack", {"deliveries": body[:1]}).json()["items"]
    assert again[0] == items[0]


def test_a_removed_receipt_among_several_holds_up_no_other(
    sender: Caller, recipient: Caller, hub: World
) -> None:
    for _ in range(2):
        sent(sender, hub.document("H29", "H29.5"))
    known, fresh = inbox(recipient)
    acknowledged(recipient, known)
    guards.remove(connection)  # the event is too young for a rule to remove it
    EventBody.objects.filter(event__stream=known["delivery"], event__name="ContentHandover").delete()
    guards.install(connection)
    body = [{"delivery": one["delivery"], "sha256": one["sha256"]} for one in (known, fresh)]
    first, second = recipient.post("/deliveries/ack", {"deliveries": body}).json()["items"]
    assert (first["refusal"]["code"], second["refusal"]) == ("package.removed", None)
    assert second["receipt"]


def test_refusals_among_several_are_counted(recipient: Caller, hub: World) -> None:
    counted = metrics.REFUSALS.labels("request.not-found")
    before = counted._value.get()
    recipient.post("/deliveries/ack", {"deliveries": [{"delivery": NOBODY, "sha256": "0" * 64}]})
    assert counted._value.get() == before + 1


def test_only_the_recipient_may_acknowledge_among_several(
    sender: Caller, recipient: Caller, caller: Call, hub: World
) -> None:
    sent(sender, hub.document("H29", "H29.5"))
    [item] = inbox(recipient)
    body = {"deliveries": [{"delivery": item["delivery"], "sha256": item["sha256"]}]}
    [outcome] = caller("H29.121").post("/deliveries/ack", body).json()["items"]
    assert outcome["refusal"]["code"] == "request.not-found"
    assert Delivery.objects.get().state == State.QUEUED


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"deliveries": []},
        {"deliveries": [{"delivery": NOBODY}]},
        {"deliveries": [{"delivery": "x", "sha256": "0" * 64}]},
        {"deliveries": [{"delivery": NOBODY, "sha256": "0" * 64, "digest": ""}]},
        {"deliveries": [{"delivery": NOBODY, "sha256": "0" * 64}] * 2},
        {"deliveries": [{"delivery": str(uuid4()), "sha256": "0" * 64} for _ in range(201)]},
    ],
)
def test_several_acknowledgements_that_cannot_be_read_are_refused(
    recipient: Caller, body: dict[str, Any]
) -> None:
    assert code_of(recipient.post("/deliveries/ack", body)) == "request.invalid"


def test_a_withdrawn_delivery_is_neither_served_nor_acknowledged(
    sender: Caller, recipient: Caller, hub: World
) -> None:
    code = envelope.Code("9", "TB-TEST")
    sent(sender, hub.document("H29", "H29.5", code=code))
    (item,) = inbox(recipient)
    sent(sender, hub.document("H29", "H29.5", code=code, business=envelope.Business(BusinessType.RECALL)))
    assert inbox(recipient, kind="document") == []
    content = recipient.get(f"/deliveries/{item['delivery']}/content")
    assert (content.status_code, code_of(content)) == (409, "delivery.withdrawn")
    answer = acknowledged(recipient, item)
    assert (answer.status_code, code_of(answer)) == (409, "delivery.withdrawn")


# --- answer -------------------------------------------------------------------------------------------


def test_an_answer_becomes_a_status_message_in_the_inbox_of_the_sender(
    sender: Caller, recipient: Caller, hub: World
) -> None:
    package = sent(sender, hub.document("H29", "H29.5"))
    (item,) = inbox(recipient)
    body = {
        "code": "03",
        "description": "Đã tiếp nhận",
        "staff": {"department": "Văn phòng", "staff": "Người trực", "email": "vp@example.vn"},
        "at": datetime.now(UTC).isoformat(),
    }
    answer = recipient.post(f"/deliveries/{item['delivery']}/status", body)
    status = answer.json()
    assert answer.status_code == 201, answer.content
    assert answer.headers["Location"] == f"/api/v1/packages/{status['id']}"
    assert (status["kind"], status["status_code"], status["about"]) == ("status", "03", package["id"])
    assert (status["sender"], status["signature"]["state"]) == ("H29.5", "by-hub")
    (arrived,) = inbox(sender)
    assert (arrived["kind"], arrived["package"]) == ("status", status["id"])
    written = sender.get(f"/deliveries/{arrived['delivery']}/content").getvalue()
    read = envelope.read(xml.parse(written))
    assert (read.status_code, read.description, read.staff and read.staff.staff) == (
        "03",
        "Đã tiếp nhận",
        "Người trực",
    )
    (delivery,) = sender.get(f"/packages/{package['id']}").json()["deliveries"]
    assert (delivery["answer"], delivery["state"]) == ("03", "handed_over")


def test_an_unknown_status_code_is_refused(sender: Caller, recipient: Caller, hub: World) -> None:
    delivery = sent(sender, hub.document("H29", "H29.5"))["deliveries"][0]["id"]
    answer = recipient.post(f"/deliveries/{delivery}/status", {"code": "99"})
    assert (answer.status_code, code_of(answer)) == (422, "status.unknown-code")


def test_an_answer_that_goes_backwards_is_refused(sender: Caller, recipient: Caller, hub: World) -> None:
    delivery = sent(sender, hub.document("H29", "H29.5"))["deliveries"][0]["id"]
    assert recipient.post(f"/deliveries/{delivery}/status", {"code": "02"}).status_code == 201
    answer = recipient.post(f"/deliveries/{delivery}/status", {"code": "03"})
    assert (answer.status_code, code_of(answer)) == (409, "status.not-allowed")


def test_the_sender_cannot_answer_for_the_recipient(sender: Caller, hub: World) -> None:
    delivery = sent(sender, hub.document("H29", "H29.5"))["deliveries"][0]["id"]
    answer = sender.post(f"/deliveries/{delivery}/status", {"code": "03"})
    assert (answer.status_code, code_of(answer)) == (404, "request.not-found")


def test_the_sender_may_take_a_document_back(sender: Caller, recipient: Caller, hub: World) -> None:
    delivery = sent(sender, hub.document("H29", "H29.5"))["deliveries"][0]["id"]
    assert sender.post(f"/deliveries/{delivery}/status", {"code": "13"}).status_code == 201
    assert sender.get(f"/deliveries/{delivery}").json()["state"] == "withdrawn"
    assert inbox(recipient, kind="document") == []
