"""What a hostile or broken client sends is refused by name: never a 500, never more than its token allows."""

import base64
import json
from typing import Any

import pytest
from django.test import Client

from exchange.envelope import package as envelope
from exchange.envelope.codes import BusinessType
from exchange.models import Delivery, State
from tests.api.conftest import Call, Caller, code_of
from tests.world import World

pytestmark = pytest.mark.django_db


def sent(caller: Caller, raw: bytes) -> Any:
    answer = caller.send(raw)
    assert answer.status_code == 201, answer.content
    return answer.json()


def status_of(caller: Caller, hub: World) -> str:
    """The address for answers to a document sent to H29.5 by H29."""
    delivery = sent(caller, hub.document("H29", "H29.5"))["deliveries"][0]["id"]
    return f"/deliveries/{delivery}/status"


# --- the token endpoint -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [{"grant_type": "client_credentials"}, {}, {"client_secret": "x"}])
def test_a_token_request_without_client_id_is_refused(
    hub: World, client: Client, form: dict[str, str]
) -> None:
    answer = client.post("/oauth/token", form)
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] in ("invalid_client", "invalid_request")


@pytest.mark.parametrize("length", ["²", "٣x", "-1", "9" * 5000])
def test_a_content_length_that_is_no_number_is_refused(
    hub: World, client: Client, sender: Caller, length: str
) -> None:
    answer = client.post("/oauth/token", {"grant_type": "client_credentials"}, CONTENT_LENGTH=length)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    address = "/deliveries/018f0000-0000-7000-8000-000000000000/ack"
    assert code_of(sender.post(address, {}, CONTENT_LENGTH=length)) == "request.invalid"
    assert code_of(sender.send(b"<a/>", CONTENT_LENGTH=length)) == "request.invalid"


# --- scopes -------------------------------------------------------------------------------------------


def test_a_token_without_receive_gets_no_received_content(sender: Caller, caller: Call, hub: World) -> None:
    package = sent(sender, hub.document("H29", "H29.5"))["id"]
    answer = caller("H29.5", scope="send").get(f"/packages/{package}/content")
    assert (answer.status_code, code_of(answer)) == (403, "auth.scope")
    assert Delivery.objects.get().served_at is None
    assert caller("H29", scope="send").get(f"/packages/{package}/content").getvalue()
    assert caller("H29.5", scope="receive").get(f"/packages/{package}/content").getvalue()


@pytest.mark.parametrize("code", ["03", "3", "16", " 02 ", "99"])
def test_answers_of_a_recipient_need_the_scope_receive(
    sender: Caller, caller: Call, hub: World, code: str
) -> None:
    answer = caller("H29.5", scope="send").post(status_of(sender, hub), {"code": code})
    assert (answer.status_code, code_of(answer)) == (403, "auth.scope")


@pytest.mark.parametrize("code", ["13", " 13 "])
def test_taking_back_needs_the_scope_send(sender: Caller, caller: Call, hub: World, code: str) -> None:
    address = status_of(sender, hub)
    answer = caller("H29", scope="receive").post(address, {"code": code})
    assert (answer.status_code, code_of(answer)) == (403, "auth.scope")
    assert caller("H29", scope="send").post(address, {"code": code}).status_code == 201


# --- content for several recipients on one system -----------------------------------------------------


def test_content_is_given_while_one_delivery_of_the_system_is_open(
    sender: Caller, recipient: Caller, hub: World
) -> None:
    code = envelope.Code("9", "TB-TEST")
    package = sent(recipient, hub.document("H29.5", "H29", "H29.10", "H29.121", code=code))["id"]
    recall = envelope.Business(BusinessType.RECALL)
    sent(recipient, hub.document("H29.5", "H29", code=code, business=recall))
    assert sender.get(f"/packages/{package}/content").getvalue()
    marked = {
        row.recipient.code: row.served_at is not None for row in Delivery.objects.filter(package=package)
    }
    assert marked == {"H29": False, "H29.10": True, "H29.121": False}


def test_content_is_refused_when_no_delivery_of_the_system_is_open(
    sender: Caller, recipient: Caller, hub: World
) -> None:
    code = envelope.Code("9", "TB-TEST")
    package = sent(recipient, hub.document("H29.5", "H29", "H29.10", "H29.121", code=code))["id"]
    recall = envelope.Business(BusinessType.RECALL)
    sent(recipient, hub.document("H29.5", "H29", "H29.10", code=code, business=recall))
    assert code_of(sender.get(f"/packages/{package}/content")) == "delivery.withdrawn"
    assert Delivery.objects.filter(package=package, state=State.QUEUED).get().recipient.code == "H29.121"


def test_content_is_not_given_to_a_system_that_only_sends_for_the_recipient(
    sender: Caller, caller: Call, hub: World
) -> None:
    hub.systems["district"].sends_for.add(hub.agencies["H29.5"])
    package = sent(sender, hub.document("H29", "H29.5"))["id"]
    answer = caller("H29.121").get(f"/packages/{package}/content")
    assert (answer.status_code, code_of(answer)) == (404, "request.not-found")
    assert Delivery.objects.get().served_at is None


# --- JSON ---------------------------------------------------------------------------------------------

NOT_XML = ["a\u0001b", "a\u0000b", "a\ufffeb", "a\u001fb", "a\ud800b"]


@pytest.mark.parametrize("text", NOT_XML)
@pytest.mark.parametrize("name", ["description", "staff", "department_id", "email"])
def test_text_that_xml_cannot_hold_is_refused_by_its_pointer(
    sender: Caller, recipient: Caller, hub: World, name: str, text: str
) -> None:
    inside: dict[str, Any] = {"description": text} if name == "description" else {"staff": {name: text}}
    answer = recipient.post(status_of(sender, hub), json.dumps({"code": "03", **inside}).encode())
    assert (answer.status_code, code_of(answer)) == (400, "request.invalid")
    pointer = "/description" if name == "description" else f"/staff/{name}"
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_text_that_xml_can_hold_is_taken(sender: Caller, recipient: Caller, hub: World) -> None:
    body = {"code": "03", "description": "Đã nhận\tđủ\nhai trang 😀 \ue000"}
    assert recipient.post(status_of(sender, hub), body).status_code == 201


@pytest.mark.parametrize(
    "body",
    [b"[" * 60_000, b'{"a":' * 12_000, b'{"\\ud800": 1}', b'{"\\u0000": 1}', b'{"sha256": "\\ud800"}'],
    ids=["lists", "objects", "surrogate-name", "nul-name", "surrogate-value"],
)
def test_json_that_breaks_readers_is_refused(recipient: Caller, body: bytes) -> None:
    answer = recipient.post("/deliveries/018f0000-0000-7000-8000-000000000000/ack", body)
    assert (answer.status_code, code_of(answer)) == (400, "request.invalid")


# --- NUL: PostgreSQL cannot hold it -------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    ["packages?code=%00", "packages?document_id=a%00", "packages?cursor=%00", "packages?%00=1",
     "agencies?q=%00", "inbox?kind=%00", "statistics?agency=%00", "events?after=%00"],
)  # fmt: skip
def test_a_nul_in_a_query_is_a_wrong_request(sender: Caller, query: str) -> None:
    answer = sender.get(f"/{query}")
    assert (answer.status_code, code_of(answer)) == (400, "request.invalid")


@pytest.mark.parametrize("address", ["/admin/login/?next=%00", "/admin/exchange/package/?q=%00&state=%00"])
def test_a_nul_in_a_query_of_the_admin_is_a_wrong_request(client: Client, db: None, address: str) -> None:
    assert client.get(address).status_code == 400


def test_a_nul_in_a_cookie_is_a_wrong_request(client: Client, db: None) -> None:
    answer = client.get("/admin/", headers={"Cookie": 'sessionid="\\000abcdefgh"'})
    assert answer.status_code == 400


@pytest.mark.parametrize("code", ["\x00", "03\x00"])
def test_a_nul_in_a_body_is_a_wrong_request(sender: Caller, recipient: Caller, hub: World, code: str) -> None:
    answer = recipient.post(status_of(sender, hub), {"code": code})
    assert (answer.status_code, code_of(answer)) == (400, "request.invalid")


@pytest.mark.parametrize("field", ["client_id", "client_secret", "scope", "grant_type"])
def test_a_nul_in_a_token_request_is_no_error_of_the_hub(hub: World, client: Client, field: str) -> None:
    client_id, secret = hub.clients["office"]
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    assert client.post("/oauth/token", {**form, field: "a\x00b"}).status_code in (400, 401)


# --- cursors ------------------------------------------------------------------------------------------

ID = "018f0000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    "values",
    [
        ["0001-01-01T00:00:00+14:00", ID],
        ["9999-12-31T23:59:59-14:00", ID],
        ["2026-01-01T00:00:00", ID],
        ["2026-01-01", ID],
    ],
)
def test_a_cursor_with_a_moment_that_is_none_is_refused(sender: Caller, values: list[str]) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")
    assert code_of(sender.get("/packages", cursor=cursor)) == "request.invalid"


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00"])
def test_a_cursor_at_the_end_of_time_finds_what_lies_before_it(
    sender: Caller, hub: World, moment: str
) -> None:
    sent(sender, hub.document("H29", "H29.5"))
    cursor = base64.urlsafe_b64encode(json.dumps([moment, ID]).encode()).decode().rstrip("=")
    answer = sender.get("/packages", cursor=cursor)
    assert (answer.status_code, len(answer.json()["items"])) == (200, int(moment.startswith("9")))


def test_a_cursor_nested_too_deeply_is_refused(sender: Caller) -> None:
    cursor = base64.urlsafe_b64encode(b"[" * 700).decode()
    assert code_of(sender.get("/packages", cursor=cursor)) == "request.invalid"


@pytest.mark.parametrize(
    "since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00Z"]
)
def test_a_time_at_the_end_of_time_is_no_error_of_the_hub(sender: Caller, since: str) -> None:
    assert sender.get("/packages", since=since).status_code in (200, 400)
