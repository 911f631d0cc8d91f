"""/packages: send, list, describe, fetch, follow."""

import json
from base64 import b64encode
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from django.urls import reverse

from agencies.models import System
from exchange import registry
from exchange.envelope import package as envelope
from exchange.envelope.codes import BusinessType
from exchange.evidence import events
from exchange.intake import Acceptance
from exchange.models import Delivery, Event, Package
from tests.api.conftest import Call, Caller, code_of
from tests.world import ACTOR, NOW, World, answer_to

pytestmark = pytest.mark.django_db
NOBODY = "018f0000-0000-7000-8000-000000000000"


def sent(caller: Caller, raw: bytes) -> Any:
    answer = caller.send(raw)
    assert answer.status_code == 201, answer.content
    return answer.json()


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [item["id"] for item in answer.json()["items"]]


# --- send ---------------------------------------------------------------------------------------------


def test_a_signed_document_is_accepted_with_a_receipt(sender: Caller, hub: World) -> None:
    raw = hub.document("H29", "H29.5", "H29.17")
    answer = sender.send(raw)
    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/v1/packages/{body['id']}"
    assert body["sha256"] == sha256(raw).hexdigest()
    assert (body["kind"], body["business_type"], body["sender"]) == ("document", "new", "H29")
    assert body["document_id"] == "H29,2026/11/20,101/KH-TEST"
    assert body["warnings"] == []
    assert body["signature"]["state"] == "valid"
    assert body["signature"]["fingerprint"]
    assert datetime.fromisoformat(body["accepted_at"]).tzinfo is not None
    assert [(item["recipient"], item["state"], item["answer"]) for item in body["deliveries"]] == [
        ("H29.5", "queued", "none"),
        ("H29.17", "queued", "none"),
    ]
    event = events.decode(body["receipt"]["event"].encode())
    assert (event.event, event.package) == ("SubmissionAcceptance", body["id"])
    assert body["receipt"]["jws"].count(".") == 2


def test_the_answer_has_everything_that_the_contract_names(sender: Caller, hub: World) -> None:
    body = sent(sender, hub.document("H29", "H29.5"))
    assert set(body) >= {
        "id", "kind", "business_type", "document_id", "sha256", "accepted_at", "sender", "deliveries",
        "warnings", "signature", "receipt",
    }  # fmt: skip
    assert set(body["deliveries"][0]) >= {
        "id", "recipient", "state", "answer", "request", "request_state",
    }  # fmt: skip


def test_the_same_bytes_again_are_the_same_package_with_the_same_receipt(sender: Caller, hub: World) -> None:
    raw = hub.document("H29", "H29.5")
    first, again = sender.send(raw), sender.send(raw)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert again.json()["id"] == first.json()["id"]
    assert again.json()["receipt"]["event"] == first.json()["receipt"]["event"]
    assert Package.objects.count() == 1


def test_a_recipient_named_twice_gets_one_delivery_and_the_sender_a_warning(
    sender: Caller, hub: World
) -> None:
    raw = hub.document("H29", "H29.5", "000.00.05.H29")
    vietnamese = sent(sender, raw)
    english = sender.send(hub.document("H29", "H29.5", "000.00.05.H29"), headers={"Accept-Language": "en"})
    assert len(vietnamese["deliveries"]) == 1
    assert [set(item) for item in vietnamese["warnings"]] == [{"code", "detail"}]
    assert vietnamese["warnings"][0]["detail"] != english.json()["warnings"][0]["detail"]


def tampered(hub: World) -> bytes:
    raw = hub.document("H29", "H29.5", subject="Nội dung thật")
    assert "Nội dung thật".encode() in raw
    return raw.replace("Nội dung thật".encode(), "Nội dung sửa".encode())


def signed_with_the_key_of_another(hub: World) -> bytes:
    return hub.sign("H29.5", hub.document("H29", "H29.5", signed=False))


REFUSED: dict[str, tuple[int, Any]] = {
    "signature.missing": (422, lambda hub: hub.document("H29", "H29.5", signed=False)),
    "certificate.unknown": (422, signed_with_the_key_of_another),
    "signature.digest-mismatch": (422, tampered),
    "recipient.unknown": (422, lambda hub: hub.document("H29", "H29.5", "H29.99")),
    "sender.not-yours": (403, lambda hub: hub.document("H29.5", "H29.17")),
    "package.not-xml": (400, lambda hub: b"<edXML"),
    "package.forbidden-construct": (400, lambda hub: b"<!DOCTYPE a><a/>"),
    "package.not-edxml": (400, lambda hub: b"<a/>"),
}


@pytest.mark.parametrize("code", REFUSED)
def test_a_package_that_breaks_a_rule_is_refused_and_leaves_only_an_event(
    sender: Caller, hub: World, code: str
) -> None:
    status, make = REFUSED[code]
    answer = sender.send(make(hub))
    assert (answer.status_code, code_of(answer)) == (status, code)
    assert (Package.objects.count(), Delivery.objects.count()) == (0, 0)
    assert Event.objects.filter(name="SubmissionRejection").count() == 1


def test_every_unknown_recipient_is_named_at_once(sender: Caller, hub: World) -> None:
    answer = sender.send(hub.document("H29", "H29.98", "H29.5", "H29.99"))
    named = [error["detail"] for error in answer.json()["errors"]]
    assert [("H29.98" in text, "H29.99" in text) for text in named] == [(True, False), (False, True)]


def test_a_document_id_used_again_with_other_content_is_refused(sender: Caller, hub: World) -> None:
    code = envelope.Code("7", "QĐ-TEST")
    sent(sender, hub.document("H29", "H29.5", code=code))
    answer = sender.send(hub.document("H29", "H29.5", code=code, subject="Khác"))
    assert (answer.status_code, code_of(answer)) == (409, "document.id-reused")


def test_an_agency_of_a_suspended_system_cannot_be_reached(sender: Caller, hub: World) -> None:
    registry.suspend_system(hub.systems["transport"], by=registry.Change(ACTOR, datetime.now(UTC)))
    assert code_of(sender.send(hub.document("H29", "H29.5"))) == "recipient.suspended"


# --- validate -----------------------------------------------------------------------------------------


def test_a_good_package_is_found_acceptable_and_nothing_is_stored(sender: Caller, hub: World) -> None:
    answer = sender.send(hub.document("H29", "H29.5"), "/packages/validate")
    assert answer.json() == {
        "acceptable": True,
        "refusals": [],
        "warnings": [],
        "recipients": [{"code": "H29.5", "name": "Sở Giao thông vận tải"}],
    }
    assert not Package.objects.exists()
    assert not Event.objects.filter(name="SubmissionAcceptance").exists()


@pytest.mark.parametrize("code", REFUSED)
def test_a_package_that_would_be_refused_is_found_unacceptable(sender: Caller, hub: World, code: str) -> None:
    answer = sender.send(REFUSED[code][1](hub), "/packages/validate")
    assert answer.status_code == 200
    assert answer.json()["acceptable"] is False
    assert [item["code"] for item in answer.json()["refusals"]] == [code]
    assert not Event.objects.filter(name="SubmissionRejection").exists()


# --- who sees what ------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", ["", "/content", "/trail", "/receipts"])
def test_a_package_of_others_does_not_exist(sender: Caller, caller: Call, hub: World, tail: str) -> None:
    package = sent(sender, hub.document("H29", "H29.5"))["id"]
    stranger = caller("H29.121")
    foreign, missing = stranger.get(f"/packages/{package}{tail}"), stranger.get(f"/packages/{NOBODY}{tail}")
    assert (foreign.status_code, code_of(foreign)) == (404, "request.not-found")
    assert {**foreign.json(), "request_id": ""} == {**missing.json(), "request_id": ""}


def test_a_recipient_sees_its_own_delivery_and_no_other(
    sender: Caller, recipient: Caller, hub: World
) -> None:
    package = sent(sender, hub.document("H29", "H29.5", "H29.121"))["id"]
    theirs = recipient.get(f"/packages/{package}").json()["deliveries"]
    ours = sender.get(f"/packages/{package}").json()["deliveries"]
    assert [item["recipient"] for item in theirs] == ["H29.5"]
    assert {item["recipient"] for item in ours} == {"H29.5", "H29.121"}


def test_a_recipient_sees_nothing_of_others_in_trail_and_receipts(
    sender: Caller, recipient: Caller, hub: World
) -> None:
    package = sent(sender, hub.document("H29", "H29.5", "H29.121"))["id"]
    for tail, count in (("trail", 2), ("receipts", 2)):
        items = recipient.get(f"/packages/{package}/{tail}").json()["items"]
        assert len(items) == count
        assert all(events.decode(item["event"].encode()).recipient != "H29.121" for item in items)
    assert len(sender.get(f"/packages/{package}/trail").json()["items"]) == 3


def test_the_trail_holds_the_exact_text_of_every_event(sender: Caller, hub: World) -> None:
    package = sent(sender, hub.document("H29", "H29.5"))["id"]
    trail = sender.get(f"/packages/{package}/trail").json()["items"]
    receipts = sender.get(f"/packages/{package}/receipts").json()["items"]
    assert [item["name"] for item in trail] == ["SubmissionAcceptance", "ContentConsignment"]
    assert [item["event"] for item in trail] == [item["event"] for item in receipts]
    assert all(json.loads(item["event"])["seq"] == item["seq"] for item in trail)
    assert all(set(item) == {"event", "jws"} for item in receipts)


# --- describe and fetch -------------------------------------------------------------------------------


def test_an_unchanged_description_is_not_sent_again(sender: Caller, recipient: Caller, hub: World) -> None:
    package = sent(sender, hub.document("H29", "H29.5"))
    first = sender.get(f"/packages/{package['id']}")
    fresh = {"If-None-Match": first.headers["ETag"]}
    unchanged = sender.get(f"/packages/{package['id']}", headers=fresh)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["ETag"] == first.headers["ETag"]
    delivery = package["deliveries"][0]["id"]
    assert recipient.post(f"/deliveries/{delivery}/ack", {"sha256": package["sha256"]}).status_code == 200
    changed = sender.get(f"/packages/{package['id']}", headers=fresh)
    assert changed.status_code == 200
    assert changed.json()["deliveries"][0]["state"] == "handed_over"


def test_the_content_is_byte_for_byte_what_was_sent(sender: Caller, recipient: Caller, hub: World) -> None:
    raw = hub.document("H29", "H29.5")
    package = sent(sender, raw)["id"]
    digest = b64encode(sha256(raw).digest()).decode()
    for who in (sender, recipient):
        answer = who.get(f"/packages/{package}/content")
        assert answer.getvalue() == raw
        assert answer.headers["Content-Type"] == "application/edxml+xml"
        assert answer.headers["Content-Digest"] == f"sha-256=:{digest}:"
        assert answer.headers["Content-Length"] == str(len(raw))


def test_content_that_the_client_has_is_not_sent_again(sender: Caller, hub: World) -> None:
    package = sent(sender, hub.document("H29", "H29.5"))
    etag = f'"{package["sha256"]}"'
    answer = sender.get(f"/packages/{package['id']}/content", headers={"If-None-Match": f'W/"x", {etag}'})
    assert (answer.status_code, answer.headers["ETag"]) == (304, etag)


def test_content_fetched_by_its_sender_is_not_served_to_its_recipient(sender: Caller, hub: World) -> None:
    package = sent(sender, hub.document("H29", "H29.5"))["id"]
    sender.get(f"/packages/{package}/content").getvalue()
    assert Delivery.objects.get().served_at is None


def test_content_fetched_by_its_recipient_counts_as_served(
    sender: Caller, recipient: Caller, hub: World
) -> None:
    package = sent(sender, hub.document("H29", "H29.5"))["id"]
    recipient.get(f"/packages/{package}/content").getvalue()
    assert Delivery.objects.get().served_at is not None


def test_content_withdrawn_is_served_to_its_sender_only(
    sender: Caller, recipient: Caller, hub: World
) -> None:
    code = envelope.Code("9", "TB-TEST")
    package = sent(sender, hub.document("H29", "H29.5", code=code))["id"]
    recall = hub.document("H29", "H29.5", code=code, business=envelope.Business(BusinessType.RECALL))
    assert sent(sender, recall)["business_type"] == "recall"
    answer = recipient.get(f"/packages/{package}/content")
    assert (answer.status_code, code_of(answer)) == (409, "delivery.withdrawn")
    assert sender.get(f"/packages/{package}/content").getvalue()


# --- relations ----------------------------------------------------------------------------------------

DUE = date(2026, 12, 1)
BEFORE_MIDNIGHT = datetime(2026, 12, 1, 16, 59, tzinfo=UTC)  # 23:59 in Vietnam
AFTER_MIDNIGHT = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)


def described(caller: Caller, package: Any) -> Any:
    answer = caller.get(f"/packages/{package}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def replied(hub: World, *recipients: str, now: datetime = BEFORE_MIDNIGHT) -> tuple[Package, Package]:
    """A document of H29 that asks H29.5 for a reply by DUE, and its reply to `recipients`."""
    asked = hub.send("H29", "H29.5", due_date=DUE)
    reply = hub.send("H29.5", *recipients, responses=[answer_to(asked)], now=now)
    return asked.package, reply.package


def recalled(hub: World, *recipients: str) -> tuple[Acceptance, Package]:
    """A document that its recipients may hold already, and the recall of it."""
    code = envelope.Code("9", "TB-TEST")
    document = hub.send("H29", *recipients, code=code)
    Delivery.objects.filter(package=document.package).update(served_at=NOW)
    business = envelope.Business(BusinessType.RECALL)
    return document, hub.send("H29", *recipients, code=code, business=business).package


def test_a_document_and_its_reply_name_each_other(sender: Caller, recipient: Caller, hub: World) -> None:
    asked, reply = replied(hub, "H29")
    for caller in (sender, recipient):
        document, answer = described(caller, asked.id), described(caller, reply.id)
        assert (document["about"], document["due_on"], document["in_time"]) == (None, "2026-12-01", None)
        (related,) = document["related"]
        assert datetime.fromisoformat(related.pop("accepted_at")) == BEFORE_MIDNIGHT
        assert related == {
            "id": str(reply.id),
            "kind": "document",
            "business_type": "new",
            "status_code": "",
            "sender": "H29.5",
            "document_id": reply.document_id,
            "code": reply.code,
            "in_time": True,
        }
        assert answer["about"] == {
            "id": str(asked.id),
            "kind": "document",
            "business_type": "new",
            "document_id": asked.document_id,
            "code": asked.code,
        }
        assert (answer["related"], answer["due_on"], answer["in_time"]) == ([], None, True)


def test_a_reply_after_the_day_asked_for_in_vietnam_is_late(sender: Caller, hub: World) -> None:
    asked, reply = replied(hub, "H29", now=AFTER_MIDNIGHT)
    assert described(sender, reply.id)["in_time"] is False
    assert described(sender, asked.id)["related"][0]["in_time"] is False


def test_a_reply_to_a_document_without_a_day_is_neither_late_nor_in_time(sender: Caller, hub: World) -> None:
    asked = hub.send("H29", "H29.5")
    reply = hub.send("H29.5", "H29", responses=[answer_to(asked)]).package
    assert described(sender, reply.id)["in_time"] is None
    assert described(sender, asked.package.id)["due_on"] is None


def test_who_gets_only_the_reply_learns_nothing_of_the_document(caller: Call, hub: World) -> None:
    _asked, reply = replied(hub, "H29", "H29.121")
    told = described(caller("H29.121"), reply.id)
    assert (told["about"], told["in_time"]) == (None, None)


def test_a_recipient_sees_its_own_answers_and_not_those_of_others(
    sender: Caller, recipient: Caller, caller: Call, hub: World
) -> None:
    document = hub.send("H29", "H29.5", "H29.121")
    for code in ("H29.5", "H29.121"):
        hub.accept(hub.status(code, "03", answer_to(document)), code)
    for asking, senders in (
        (sender, ["H29.5", "H29.121"]),
        (recipient, ["H29.5"]),
        (caller("H29.121"), ["H29.121"]),
    ):
        related = described(asking, document.package.id)["related"]
        assert [(item["sender"], item["status_code"]) for item in related] == [(one, "03") for one in senders]


def test_a_delivery_tells_who_asks_what_of_it_by_when(sender: Caller, recipient: Caller, hub: World) -> None:
    accepted, recall = recalled(hub, "H29.5")
    document = accepted.package
    row = Delivery.objects.get(package=document)
    assert row.request_due_at
    assert row.receipt_due_at
    for caller in (sender, recipient):
        (told,) = described(caller, document.id)["deliveries"]
        assert (told["request"], told["request_state"]) == ("recall", "open")
        assert told["requested_by"] == str(recall.id)
        assert datetime.fromisoformat(told["request_due_at"]) == row.request_due_at
        assert datetime.fromisoformat(told["receipt_due_at"]) == row.receipt_due_at
        assert (told["first_answered_at"], told["reminded_at"]) == (None, None)
        assert [item["business_type"] for item in described(caller, document.id)["related"]] == ["recall"]
        assert described(caller, recall.id)["about"]["id"] == str(document.id)
        alone = caller.get(f"/deliveries/{row.id}").json()
        assert (alone["requested_by"], alone["request_due_at"]) == (
            told["requested_by"],
            told["request_due_at"],
        )


def test_a_description_takes_the_same_queries_however_much_is_related(
    sender: Caller, hub: World, django_assert_max_num_queries: Any
) -> None:
    document, recall = recalled(hub, "H29.5", "H29.121", "H29.17")
    for code in ("H29.5", "H29.121", "H29.17"):
        hub.send(code, "H29", responses=[answer_to(document)])
    for package, related in ((document.package, 4), (recall, 0)):
        with django_assert_max_num_queries(6):
            assert len(described(sender, package.id)["related"]) == related


def test_a_list_does_not_tell_what_is_related(sender: Caller, hub: World) -> None:
    replied(hub, "H29")
    items = sender.get("/packages").json()["items"]
    assert len(items) == 2
    assert all("related" not in item for item in items)


# --- list ---------------------------------------------------------------------------------------------


def test_lists_hold_own_packages_newest_first(sender: Caller, recipient: Caller, hub: World) -> None:
    first = sent(sender, hub.document("H29", "H29.5"))["id"]
    second = sent(sender, hub.document("H29", "H29.121"))["id"]
    third = sent(recipient, hub.document("H29.5", "H29"))["id"]
    assert ids(sender.get("/packages")) == [third, second, first]
    assert ids(recipient.get("/packages")) == [third, first]
    assert ids(sender.get("/packages", direction="sent")) == [second, first]
    assert ids(sender.get("/packages", direction="received")) == [third]


def test_a_list_is_filtered_by_document_and_code(sender: Caller, hub: World) -> None:
    one = sent(sender, hub.document("H29", "H29.5", code=envelope.Code("626", "KH-UBND")))
    sent(sender, hub.document("H29", "H29.5"))
    assert ids(sender.get("/packages", document_id=one["document_id"])) == [one["id"]]
    assert ids(sender.get("/packages", code="626/kh-ubnd")) == [one["id"]]
    assert ids(sender.get("/packages", code="627/KH-UBND")) == []


def test_a_list_is_filtered_by_the_state_of_deliveries_that_the_client_may_see(
    sender: Caller, recipient: Caller, caller: Call, hub: World
) -> None:
    package = sent(sender, hub.document("H29", "H29.5", "H29.121"))
    delivery = package["deliveries"][0]["id"]
    recipient.post(f"/deliveries/{delivery}/ack", {"sha256": package["sha256"]})
    other = caller("H29.121")
    assert ids(sender.get("/packages", state="handed_over")) == [package["id"]]
    assert ids(recipient.get("/packages", state="queued")) == []
    assert ids(other.get("/packages", state="handed_over")) == []
    assert ids(other.get("/packages", state="queued")) == [package["id"]]


def test_a_list_is_filtered_by_time(sender: Caller, hub: World) -> None:
    package = sent(sender, hub.document("H29", "H29.5"))
    accepted = datetime.fromisoformat(package["accepted_at"])
    assert ids(sender.get("/packages", since=accepted.isoformat())) == [package["id"]]
    assert ids(sender.get("/packages", since=(accepted + timedelta(seconds=1)).isoformat())) == []


def test_pages_follow_each_other_without_gap_or_repetition_while_packages_arrive(
    sender: Caller, hub: World
) -> None:
    made = [sent(sender, hub.document("H29", "H29.5"))["id"] for _ in range(5)]
    page = sender.get("/packages", limit=2, direction="sent")
    seen = ids(page)
    while following := page.json()["next"]:
        sent(sender, hub.document("H29", "H29.5"))
        assert page.headers["Link"] == f'<{following}>; rel="next"'
        assert following.startswith("http://127.0.0.1:8000/api/v1/packages?")
        page = sender.get(following.removeprefix("http://127.0.0.1:8000/api/v1"))
        seen += ids(page)
    assert seen == made[::-1]
    assert "Link" not in page.headers


def test_packages_accepted_at_the_same_moment_are_all_shown(sender: Caller, hub: World) -> None:
    now = datetime.now(UTC)
    made = {str(hub.send("H29", "H29.5", now=now).package.id) for _ in range(3)}
    page = sender.get("/packages", limit=1)
    seen = ids(page)
    while following := page.json()["next"]:
        page = sender.get(following.removeprefix("http://127.0.0.1:8000/api/v1"))
        seen += ids(page)
    assert (len(seen), set(seen)) == (3, made)


@pytest.mark.parametrize(
    "cursor", ["x", "!!!!", "W10", "WyJ4IiwieSJd", "e30", "WyJcdTAwMDAiLCAiYSJd", "é", "WyJcdWQ4MDAiXQ"]
)
def test_a_cursor_that_the_hub_never_gave_is_refused(sender: Caller, cursor: str) -> None:
    assert code_of(sender.get("/packages", cursor=cursor)) == "request.invalid"


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 201}, {"direction": "up"}, {"state": "x"}, {"since": "now"}, {"code": "\x00"}],
)
def test_a_filter_with_a_wrong_value_is_refused(sender: Caller, query: dict[str, Any]) -> None:
    assert code_of(sender.get("/packages", **query)) == "request.invalid"


def test_a_list_takes_the_same_queries_however_long_it_is(
    sender: Caller, hub: World, django_assert_max_num_queries: Any
) -> None:
    for _ in range(4):
        sent(sender, hub.document("H29", "H29.5", "H29.121"))
    with django_assert_max_num_queries(4):
        assert len(ids(sender.get("/packages"))) == 4


def test_the_system_of_a_package_is_the_one_that_sent_it(sender: Caller, hub: World) -> None:
    package = sent(sender, hub.document("H29.10", "H29.5"))
    assert Package.objects.get(pk=package["id"]).system == System.objects.get(name="office")
    assert reverse("api-package", args=[package["id"]]) == f"/api/v1/packages/{package['id']}"


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-99", slice(0, 100)),
        ("bytes=100-", slice(100, None)),
        ("bytes=-10", slice(-10, None)),
        ("bytes=50-99999999", slice(50, None)),
    ],
)
def test_a_range_of_the_content_is_served_with_the_digest_of_the_whole(
    sender: Caller, hub: World, asked: str, part: slice
) -> None:
    raw = hub.document("H29", "H29.5")
    answer = sender.get(f"/packages/{sent(sender, raw)['id']}/content", headers={"Range": asked})
    assert (answer.status_code, answer.getvalue()) == (206, raw[part])
    first = range(len(raw))[part].start
    last = range(len(raw))[part].stop - 1
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(raw)}"
    assert answer.headers["Content-Length"] == str(len(raw[part]))
    digest = b64encode(sha256(raw).digest()).decode()
    assert answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert "Content-Digest" not in answer.headers


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "bytes=9-3", "bytes=99999999-", "lines=1-2", "bytes=-", "bytes=x"]
)
def test_what_is_no_single_range_is_answered_whole(sender: Caller, hub: World, asked: str) -> None:
    raw = hub.document("H29", "H29.5")
    answer = sender.get(f"/packages/{sent(sender, raw)['id']}/content", headers={"Range": asked})
    assert (answer.status_code, answer.getvalue()) == (200, raw)


def test_a_range_of_another_version_is_answered_whole(sender: Caller, hub: World) -> None:
    raw = hub.document("H29", "H29.5")
    other = sender.get(
        f"/packages/{sent(sender, raw)['id']}/content",
        headers={"Range": "bytes=0-9", "If-Range": '"another"'},
    )
    assert (other.status_code, other.getvalue()) == (200, raw)
