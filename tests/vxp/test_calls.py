"""Each call, as a real client sees it: shapes, quirks, and what stays until it is settled."""

import base64
import json
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agencies.models import Agency
from exchange import registry
from exchange.envelope import package as envelope
from exchange.envelope import xml
from exchange.models import Delivery, Event, Package
from fixtures.vxp import Client as Wire
from tests.vxp.conftest import Client, Connect
from tests.world import ACTOR, World

KEYS = {"status", "ErrorCode", "ErrorDesc", "DocId", "data"}


def good(answer: Any) -> Any:
    """The data of an answer that says yes, in the shape that every answer has."""
    assert answer["status"] == "OK", answer
    assert answer["ErrorCode"] == "0"
    assert set(answer) >= KEYS
    return answer["data"]


def refusal(answer: Any) -> str:
    """The error code of an answer that says no, in the same shape."""
    assert answer["status"] == "FAIL", answer
    assert set(answer) >= KEYS
    assert answer["ErrorDesc"]
    return str(answer["ErrorCode"])


def send(hub: World, *recipients: str, **facts: Any) -> Package:
    """A document from H29, accepted now by the native face."""
    return hub.send("H29", *recipients, now=timezone.now(), **facts).package


def nulls(value: Any) -> bool:
    """Whether a JSON null stands anywhere in `value`."""
    if isinstance(value, dict):
        return any(nulls(item) for item in value.values())
    return any(nulls(item) for item in value) if isinstance(value, list) else value is None


# --- receiving ----------------------------------------------------------------------------------------


def test_an_item_of_the_list_has_what_the_clients_read_and_no_null(hub: World, transport: Client) -> None:
    send(hub, "H29.5")
    [item] = good(transport.received())
    row = Delivery.objects.get()
    assert not nulls(item)
    assert item == {
        "docId": str(row.id),
        "serviceType": "eDoc",
        "messageType": "edoc",
        "created_time": item["created_time"],
        "updated_time": item["created_time"],
        "from": "H29",
        "to": "H29.5",
        "status": "initial",
        "status_desc": "Chờ gửi",
    }


def test_the_recipient_gets_the_original_bytes(hub: World, transport: Client, tmp_path: Path) -> None:
    raw = hub.document("H29", "H29.5")
    hub.accept(raw, now=timezone.now())
    [item] = good(transport.received())
    answer = transport.get(item["docId"])
    assert base64.b64decode(good(answer)) == raw
    assert answer["DocId"] == item["docId"]
    assert transport.download(item["docId"]) == raw
    assert transport.save(item["docId"], tmp_path).read_bytes() == raw


def test_an_item_stays_until_it_is_done(hub: World, transport: Client) -> None:
    send(hub, "H29.5")
    [item] = good(transport.received())
    good(transport.get(item["docId"]))
    assert [item["docId"]] == [one["docId"] for one in good(transport.received())]
    good(transport.update(item["docId"], "done"))
    assert good(transport.received()) == []
    assert Delivery.objects.get().state == "handed_over"


def test_done_twice_is_done_once(hub: World, transport: Client) -> None:
    send(hub, "H29.5")
    [item] = good(transport.received())
    for _ in range(2):
        assert transport.update(item["docId"], "done")["DocId"] == item["docId"]
    row = Delivery.objects.get()
    assert Event.objects.filter(stream=row.id, name="ContentHandoverUnconfirmed").count() == 1


def test_an_item_that_failed_leaves_the_list_and_its_sender_learns_it(hub: World, transport: Client) -> None:
    package = send(hub, "H29.5")
    [item] = good(transport.received())
    for _ in range(2):
        good(transport.update(item["docId"], "fail"))
    assert good(transport.received()) == []
    assert package.deliveries.get().state == "undeliverable"
    assert Event.objects.filter(stream=item["docId"], name="ContentHandoverFailure").count() == 1


def test_processing_leases_an_item_and_initial_gives_it_back(hub: World, transport: Client) -> None:
    send(hub, "H29.5")
    [item] = good(transport.received())
    good(transport.update(item["docId"], "processing"))
    assert good(transport.received()) == []
    assert transport.count() == 0
    good(transport.update(item["docId"], "initial"))
    assert transport.count() == 1


def test_a_lease_ends_by_itself(hub: World, transport: Client, settings: Any) -> None:
    send(hub, "H29.5")
    [item] = good(transport.received())
    good(transport.update(item["docId"], "processing"))
    row = Delivery.objects.get()
    seconds = settings.ENVIRONMENT.vxp_lease_seconds
    assert timedelta(seconds=seconds - 5) < row.due_at - timezone.now() <= timedelta(seconds=seconds)
    assert Delivery.objects.waiting(timezone.now() + timedelta(seconds=seconds)).count() == 1


def test_a_lease_after_done_does_not_bring_the_item_back(hub: World, transport: Client) -> None:
    send(hub, "H29.5")
    [item] = good(transport.received())
    good(transport.update(item["docId"], "done"))
    good(transport.update(item["docId"], "initial"))
    assert good(transport.received()) == []


def test_a_withdrawn_item_is_neither_listed_nor_served(hub: World, transport: Client) -> None:
    from tests.exchange import parties

    made = hub.send("H29", "H29.5", now=timezone.now())
    [item] = good(transport.received())
    parties.recall(hub, made, "H29.5", now=timezone.now())
    assert good(transport.received()) == []
    assert refusal(transport.get(item["docId"])) == "20"
    assert refusal(transport.update(item["docId"], "done")) == "20"


def test_documents_and_statuses_are_two_lists_with_two_counts(hub: World, connect: Connect) -> None:
    office, transport = connect("H29"), connect("H29.5")
    send(hub, "H29.5")
    [item] = good(transport.received())
    good(transport.update(item["docId"], "03"))  # one province's wrapper answers in this call
    assert (office.count("Edoc"), office.count("Status")) == (0, 1)
    assert good(office.received("edoc")) == []
    [status] = good(office.received("status"))
    assert (status["messageType"], status["from"], status["to"]) == ("status", "H29.5", "H29")
    assert Delivery.objects.get(id=item["docId"]).answer == "03"


def test_the_list_can_be_cut_by_dates_and_the_last_day_counts(hub: World, transport: Client) -> None:
    send(hub, "H29.5")
    today = timezone.localdate()
    yesterday = f"{today - timedelta(days=1):%Y/%m/%d}"
    assert len(good(transport.received(fromDate=f"{today:%Y/%m/%d}", toDate=f"{today:%d/%m/%Y}"))) == 1
    assert good(transport.received(fromDate=yesterday, toDate=yesterday)) == []
    assert refusal(transport.received(fromDate="yesterday")) == "20"


def test_a_wrong_message_type_is_refused_with_an_empty_list(transport: Client) -> None:
    answer = transport.received("letters")
    assert (refusal(answer), answer["data"]) == ("20", [])


def test_every_item_has_the_code_that_the_packet_used(hub: World, transport: Client) -> None:
    send(hub, "000.00.05.H29", "H29.5")
    [item] = good(transport.received())
    assert item["to"] == "000.00.05.H29"


def test_the_handed_out_copy_may_carry_our_trace_and_the_original_stays(
    hub: World, transport: Client, settings: Any
) -> None:
    from dataclasses import replace

    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, vxp_trace=True)
    raw = hub.document("H29", "H29.5")
    hub.accept(raw, now=timezone.now())
    [item] = good(transport.received())
    copy = base64.b64decode(good(transport.get(item["docId"])))
    traces = envelope.read(xml.parse(copy)).traces
    assert [trace.organ_id for trace in traces] == ["H29", "hub.test"]
    assert b"<edXML:TraceHeader><edXML:OrganId>hub.test</edXML:OrganId>" in copy
    assert transport.download(item["docId"]) == raw
    assert Package.objects.get().sha256 == sha256(raw).hexdigest()


# --- sending ------------------------------------------------------------------------------------------


def test_a_sent_document_is_taken_without_its_two_trailing_bytes(hub: World, transport: Client) -> None:
    raw = hub.document("H29.5", "H29")
    answer = transport.send(raw, "H29.5")
    good(answer)
    package = Package.objects.get()
    assert (answer["DocId"], package.sha256, package.size) == (
        str(package.id),
        sha256(raw).hexdigest(),
        len(raw),
    )


def test_a_file_that_ends_in_a_line_break_of_its_own_keeps_it(hub: World, transport: Client) -> None:
    raw = hub.document("H29.5", "H29", signed=False) + b"\r\n"
    good(transport.send(raw, "H29.5"))
    assert Package.objects.get().sha256 == sha256(raw).hexdigest()


def test_the_hash_without_leading_zeros_is_the_one_that_counts(hub: World, transport: Client) -> None:
    raw = hub.document("H29.5", "H29")
    good(transport.send(raw, "H29.5"))
    assert len(transport.sent["hash-file"]) <= 64
    assert refusal(transport.send(raw + b" ", "H29.5", **{"hash-file": transport.sent["hash-file"]})) == "10"


def test_the_same_file_again_is_the_same_document(hub: World, transport: Client) -> None:
    raw = hub.document("H29.5", "H29")
    assert transport.send(raw, "H29.5") == transport.send(raw, "H29.5")
    assert Package.objects.count() == 1


def test_unsigned_packages_are_taken_on_the_systems_word_and_marked(hub: World, transport: Client) -> None:
    good(transport.send(hub.document("H29.5", "H29", signed=False), "H29.5"))
    assert Package.objects.get().signature_state == "absent"


def test_a_dummy_signature_is_no_reason_to_refuse(hub: World, transport: Client) -> None:
    raw = hub.document("H29.5", "H29").replace(b"KH-TEST", b"KH-KHAC")
    good(transport.send(raw, "H29.5"))
    package = Package.objects.get()
    assert (package.signature_state, package.signature_problem) == ("invalid", "signature.digest-mismatch")


def test_one_agency_may_be_bound_to_sign(hub: World, transport: Client) -> None:
    by = registry.Change(ACTOR, timezone.now())
    registry.update_agency(hub.agencies["H29.5"], by=by, signature_policy="required")
    assert refusal(transport.send(hub.document("H29.5", "H29", signed=False), "H29.5")) == "22"
    good(transport.send(hub.document("H29.5", "H29"), "H29.5"))


def test_a_reused_document_id_is_taken_with_a_warning(hub: World, transport: Client) -> None:
    facts: dict[str, Any] = {"code": envelope.Code("7", "KH-TEST"), "signed": False}
    good(transport.send(hub.document("H29.5", "H29", **facts), "H29.5"))
    good(transport.send(hub.document("H29.5", "H29.121", **facts), "H29.5"))
    assert Package.objects.count() == 2


def test_the_sender_named_outside_must_be_the_one_inside(hub: World, connect: Connect) -> None:
    office = connect("H29")
    raw = hub.document("H29", "H29.5")
    assert refusal(office.send(raw, "H29.10")) == "19"
    assert refusal(office.send(raw, "H29.121")) == "19"
    assert refusal(office.send(raw, "nobody")) == "19"
    assert Package.objects.count() == 0
    good(office.send(raw, "000.00.00.H29"))


def test_a_refusal_names_the_documents_fault_and_has_a_doc_id(hub: World, transport: Client) -> None:
    answer = transport.send(hub.document("H29.5", "H29.404"), "H29.5")
    assert (refusal(answer), answer["DocId"]) == ("18", "")
    assert "[recipient.unknown]" in answer["ErrorDesc"]
    assert refusal(transport.send(b"<a", "H29.5")) == "22"


def test_the_sent_list_tells_what_became_of_a_document(hub: World, connect: Connect) -> None:
    transport, district = connect("H29.5"), connect("H29.121")
    sent = transport.send(hub.document("H29.5", "H29", "H29.121"), "H29.5")["DocId"]
    [item] = good(district.received())
    good(district.update(item["docId"], "done"))
    first, second = sorted(good(transport.sent_list(sent)), key=lambda one: one["toCode"])
    assert not nulls([first, second])
    assert (first["toCode"], first["sendStatus"]) == ("H29", "initial")
    assert "receivedTime" not in first
    assert (second["toCode"], second["sendStatus"], second["receiverDocId"]) == (
        "H29.121",
        "done",
        item["docId"],
    )
    good(district.update(item["docId"], "03"))
    assert [one.get("receiveStatus") for one in good(transport.sent_list(sent))].count("03") == 1


# --- the directory ------------------------------------------------------------------------------------


def test_the_directory_has_every_agency_that_can_be_written_to(hub: World, transport: Client) -> None:
    by = registry.Change(ACTOR, timezone.now())
    registry.register_agency("H29.77", "Chưa kết nối", by=by)
    found = good(transport.agencies())
    assert [one["code"] for one in found] == ["H29", "H29.10", "H29.121", "H29.17", "H29.5"]
    assert not nulls(found)
    assert found[0]["code102"] == found[0]["oldCode"] == "000.00.00.H29"


def test_a_level_of_the_directory_can_be_asked_for(transport: Client) -> None:
    assert [one["code"] for one in good(transport.agencies_of_level("1"))] == ["H29"]
    assert len(good(transport.agencies_of_level("2"))) == 4
    assert refusal(transport.agencies_of_level("../..")) == "20"


def test_a_change_of_the_registry_makes_a_new_directory(hub: World, transport: Client) -> None:
    before = good(transport.agencies())
    registry.suspend_agency(hub.agencies["H29.17"], by=registry.Change(ACTOR, timezone.now()))
    assert len(good(transport.agencies())) == len(before) - 1
    units = {one["code"]: one for one in good(transport.units())}
    assert units["H29.17"]["deleted"] is True
    assert units["H29"]["deleted"] is False
    assert set(units["H29"]) >= {"version", "centerCode", "deleted", "modifyDate", "isAgency"}


def test_an_unchanged_directory_need_not_be_sent_again(transport: Client) -> None:
    headers = transport.headers("application/json", {})
    answer = transport.browser.post("/vxp/getAgenciesList", headers=headers)
    again = transport.browser.post(
        "/vxp/getAgenciesList",
        headers={**headers, "If-None-Match": answer["ETag"]},
    )
    assert json.loads(b"".join(answer.streaming_content))["status"] == "OK"  # type: ignore[attr-defined]
    assert (answer.status_code, again.status_code) == (200, 304)


# --- units --------------------------------------------------------------------------------------------


def test_a_system_may_open_and_close_a_unit_below_its_own_agency(hub: World, transport: Client) -> None:
    unit = {"id": "1", "pcode": "H29.5", "code": "H29.5.1", "name": "Thanh tra Sở", "mail": "tt@example.vn"}
    for _ in range(2):
        good(transport.register(**unit))
    made = Agency.objects.get(code="H29.5.1")
    assert (made.parent, made.receives_through) == (hub.agencies["H29.5"], hub.system_of("H29.5"))
    good(transport.send(hub.document("H29.5", "H29", signed=False), "H29.5"))
    for _ in range(2):
        good(transport.delete("H29.5.1"))
    made.refresh_from_db()
    assert made.suspended_at is not None
    assert refusal(transport.register(**unit)) == "19"


@pytest.mark.parametrize("code", ["H29.6", "H29", "G22", "H29.17.1", "H29.5", ""])
def test_a_system_may_close_nothing_else(transport: Client, code: str) -> None:
    assert refusal(transport.delete(code)) == "19"


@pytest.mark.parametrize("code", ["H29.6", "G22", "H29.17.1", "H29.17", "X.5"])
def test_a_system_may_open_nothing_elsewhere(transport: Client, code: str) -> None:
    before = Agency.objects.count()
    assert refusal(transport.register(code=code, name="Đơn vị lạ")) == "19"
    assert Agency.objects.count() == before


def test_a_body_that_is_no_unit_is_refused(transport: Client) -> None:
    for body in (b"", b"[]", b"{", b'{"code": "H29.5.2"}', b"[" * 60_000):
        answer = json.loads(transport._call("POST", "registerAgency", body, "application/json", {}))
        assert refusal(answer) == "20"


# --- the paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/vxp", "/vxp/", "/vxp/XrdAdapter/adapter", "/XrdAdapter/adapter", "/XrdAdapter/adapter/"]
)
def test_the_endpoint_may_have_a_path_of_its_own(connect: Connect, path: str) -> None:
    assert good(connect("H29.5", f"http://127.0.0.1{path}").received()) == []


def test_calls_and_methods_that_are_none_get_json_too(transport: Client) -> None:
    assert refusal(transport._post("getEverything")) == "20"
    answer = json.loads(transport._call("GET", "sendEdoc", b"", "application/json", {}))
    assert refusal(answer) == "20"
    assert transport.status == 200


def test_the_client_of_the_tests_speaks_as_the_known_ones_do() -> None:
    client = Wire("http://127.0.0.1:1/", "id", "secret")
    headers = client.headers("application/json", {"docId": "1"})
    assert headers["XroadVnpt-sign-header-key"].count(";") == 3
    again = client.headers("application/json", {"docid": "2"})
    assert (again["XroadVnpt-docId"], again["XroadVnpt-docid"]) == ("1", "2")
    assert again["XroadVnpt-timestamp"] == headers["XroadVnpt-timestamp"]
