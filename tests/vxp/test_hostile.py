"""What must be refused, without a trace of which part was wrong beyond the code."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from exchange import axis, mode, registry
from exchange.models import Delivery, Package
from tests.vxp.conftest import Client, Connect
from tests.vxp.test_calls import good, refusal, send
from tests.world import ACTOR, World

JSON = "application/json"


def call(client: Client, name: str, headers: dict[str, str], body: bytes = b"") -> Any:
    """A call with headers that were tampered with."""
    return json.loads(client.exchange("POST", name, body, headers)[1])


def test_every_failure_of_authentication_gets_the_same_words(hub: World, connect: Connect) -> None:
    transport = connect("H29.5")
    wrong_secret = Client("http://127.0.0.1/vxp", "vxp.H29.5", "guess")
    unknown = Client("http://127.0.0.1/vxp", "vxp.nobody", "guess")
    wrong_secret.browser = unknown.browser = transport.browser
    answers = [wrong_secret.received(), unknown.received()]
    signed = transport.headers(JSON, {"servicetype": "eDoc", "messagetype": "edoc"})
    for change in (
        {"XroadVnpt-hash-header": "0" * 64},
        {"XroadVnpt-hash-header": ""},
        {"XroadVnpt-hash-header": "é" * 64},
        {"XroadVnpt-sign-header": "{}"},
        {"XroadVnpt-systemid": "vxp.nobody"},
        {"XroadVnpt-messagetype": "status"},
        {"XroadVnpt-messagetype": "edoc\r\nX: y"},
        {"XroadVnpt-fromDate": "2026/01/01"},
        {"XroadVnpt-timestamp": ""},
    ):
        answers.append(call(transport, "getReceivedEdocList", {**signed, **change}))
    missing = {name: value for name, value in signed.items() if name != "XroadVnpt-servicetype"}
    answers.append(call(transport, "getReceivedEdocList", missing))
    assert {refusal(answer) for answer in answers} == {"15"}
    assert len({json.dumps(answer) for answer in answers}) == 1
    assert good(call(transport, "getReceivedEdocList", signed)) == []


def test_during_a_rotation_both_secrets_are_taken_and_afterwards_the_new_one_only(
    hub: World, connect: Connect
) -> None:
    old, system = connect("H29.5"), hub.system_of("H29.5")
    by = registry.Change(ACTOR, timezone.now())
    new = connect("H29.5")
    new._secret = registry.rotate_vxp_secret(system, by=by)
    asked = {"servicetype": "eDoc", "messagetype": "edoc"}
    for client in (old, new):
        assert good(call(client, "getReceivedEdocList", client.headers(JSON, asked))) == []
    latest = connect("H29.5")
    latest._secret = registry.rotate_vxp_secret(system, by=by)
    assert good(call(latest, "getReceivedEdocList", latest.headers(JSON, asked))) == []
    assert refusal(call(old, "getReceivedEdocList", old.headers(JSON, asked))) == "15"


def test_a_signature_of_another_system_is_none(hub: World, connect: Connect) -> None:
    transport, district = connect("H29.5"), connect("H29.121")
    headers = transport.headers(JSON, {"messagetype": "edoc", "systemid": "vxp.H29.121"})
    assert refusal(call(transport, "getReceivedEdocList", headers)) == "15"
    assert good(district.received()) == []


@pytest.mark.parametrize(
    "text",
    ["[]", "null", "1", '"x"', "{", '{"systemid": null}', '{"systemid": {"a": "b"}}', "[" * 9000, "{}", ""],
)
def test_a_signed_text_that_is_no_object_of_strings_is_refused(
    hub: World, connect: Connect, text: str
) -> None:
    transport = connect("H29.5")
    headers = transport.headers(JSON, {"messagetype": "edoc"})
    headers["XroadVnpt-sign-header"] = text
    headers["XroadVnpt-hash-header"] = axis.sign(text.encode(), transport._secret)
    assert refusal(call(transport, "getReceivedEdocList", headers)) == "15"


def test_huge_headers_are_refused_before_they_are_read(hub: World, connect: Connect) -> None:
    transport = connect("H29.5")
    headers = transport.headers(JSON, {"messagetype": "edoc", "filePath": "x" * 100_000})
    assert refusal(call(transport, "getReceivedEdocList", headers)) == "15"


def test_an_unsigned_parameter_is_not_acted_on(hub: World, connect: Connect) -> None:
    transport = connect("H29.5")
    package = send(hub, "H29.5")
    headers = transport.headers(JSON, {"status": "done"})
    headers["XroadVnpt-docId"] = str(package.deliveries.get().id)
    assert refusal(call(transport, "updateStatus", headers)) == "15"
    assert package.deliveries.get().state == "queued"


def test_somebody_elses_document_does_not_exist(hub: World, connect: Connect) -> None:
    district = connect("H29.121")
    package = send(hub, "H29.5")
    row = package.deliveries.get()
    named = [str(row.id), str(package.id), str(uuid4())]
    for answer in (
        *(district.get(name) for name in named),
        *(district.update(name, status) for name in named for status in ("done", "fail", "processing", "03")),
        *(district.sent_list(name) for name in named),
        *(json.loads(district.download(name)) for name in named),
    ):
        assert refusal(answer) == "20"
        assert "[request.not-found]" in answer["ErrorDesc"]
    row.refresh_from_db()
    assert (row.state, row.served_at) == ("queued", None)


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "/etc/passwd",
        "C:\\x",
        "1",
        "",
        "a" * 5000,
        "{x}",
        "' or 1=1",
    ],
)
def test_a_document_id_that_is_a_path_names_nothing(hub: World, connect: Connect, name: str) -> None:
    transport = connect("H29.5")
    for answer in (transport.get(name), transport.update(name, "done"), transport.sent_list(name)):
        assert refusal(answer) == "20"
    assert refusal(json.loads(transport.download(name))) == "20"


@pytest.mark.parametrize("place", ["../../../etc", "/", "C:\\Văn bản đến\\", "%00", "${jndi:ldap://x}"])
def test_the_clients_own_path_is_never_used(hub: World, connect: Connect, place: str) -> None:
    transport = connect("H29.5")
    raw = hub.document("H29", "H29.5")
    hub.accept(raw, now=timezone.now())
    [item] = good(transport.received())
    good(transport.get(item["docId"], place))


def test_ids_are_safe_as_file_names(hub: World, connect: Connect) -> None:
    transport = connect("H29.5")
    send(hub, "H29.5")
    [item] = good(transport.received())
    assert set(item["docId"]) <= set("0123456789abcdef-")


def test_a_suspended_system_gets_nothing(hub: World, connect: Connect) -> None:
    transport = connect("H29.5")
    registry.suspend_system(hub.system_of("H29.5"), by=registry.Change(ACTOR, timezone.now()))
    assert refusal(transport.received()) == "23"
    assert refusal(transport.send(hub.document("H29.5", "H29"), "H29.5")) == "23"


def test_replayed_headers_do_no_more_than_the_system_may(hub: World, connect: Connect) -> None:
    transport = connect("H29.5")
    package = send(hub, "H29.5")
    doc_id = str(package.deliveries.get().id)
    good(transport.update(doc_id, "done"))
    old = transport.headers(JSON, {"docid": doc_id, "status": "done"})
    for name in (
        "updateStatus",
        "getEdoc",
        "getReceivedEdocList",
        "sendEdoc",
        "deleteAgency",
        "getSentEdocList",
    ):
        call(transport, name, old)
    assert Package.objects.count() == 1
    assert Delivery.objects.get().state == "handed_over"


def test_headers_that_leak_from_call_to_call_do_no_harm(hub: World, connect: Connect) -> None:
    for quirks in ({"docid": "docid"}, {"prefixed": False}, {}):
        transport = connect("H29.5", **quirks)
        made = [hub.send("H29", "H29.5", now=timezone.now()).package for _ in range(2)]
        for item in good(transport.received()):
            good(transport.get(item["docId"]))
            good(transport.update(item["docId"], "done"))
        assert good(transport.received()) == []
        good(transport.send(hub.document("H29.5", "H29", signed=False), "H29.5"))
        assert {package.deliveries.get().state for package in made} == {"handed_over"}


def test_a_body_that_is_too_large_or_packed_is_refused(hub: World, connect: Connect) -> None:
    transport = connect("H29.5")
    registry.update_system(hub.system_of("H29.5"), by=registry.Change(ACTOR, timezone.now()), max_bytes=100)
    assert refusal(transport.send(hub.document("H29.5", "H29"), "H29.5")) == "10"
    packed = {**transport.headers("application/octet-stream", {}), "Content-Encoding": "gzip"}
    assert refusal(call(transport, "sendEdoc", packed, b"x")) == "10"
    multipart = transport.headers("multipart/form-data; boundary=x", {})
    assert refusal(call(transport, "sendEdoc", multipart, b"--x--")) == "10"


def test_an_axis_above_cannot_sign_in_as_a_client(hub: World, connect: Connect) -> None:
    transport = connect("H29.5")
    hub.system_of("H29.5")
    type(hub.system_of("H29.5")).objects.filter(vxp_id="vxp.H29.5").update(kind="axis")
    assert refusal(transport.received()) == "15"


def test_in_read_only_mode_nothing_moves_and_the_lists_still_answer(hub: World, connect: Connect) -> None:
    transport = connect("H29.5")
    package = send(hub, "H29.5")
    [item] = good(transport.received())
    mode.switch(mode.Mode.READ_ONLY, seconds=60, by="test", at=timezone.now())
    try:
        answers = [
            transport.get(item["docId"]),
            transport.update(item["docId"], "done"),
            transport.send(hub.document("H29.5", "H29"), "H29.5"),
            transport.register(code="H29.5.1", name="Đơn vị"),
            json.loads(transport.download(item["docId"])),
        ]
        assert {refusal(answer) for answer in answers} == {"20"}
        assert [one["docId"] for one in good(transport.received())] == [item["docId"]]
    finally:
        mode.switch(mode.Mode.NORMAL, seconds=0, by="test", at=timezone.now())
    assert package.deliveries.get().served_at is None


def test_in_maintenance_nothing_is_taken_and_what_was_taken_is_fetched(hub: World, connect: Connect) -> None:
    transport = connect("H29.5")
    send(hub, "H29.5")
    [item] = good(transport.received())
    mode.switch(mode.Mode.MAINTENANCE, seconds=60, by="test", at=timezone.now())
    try:
        taken = Package.objects.count()
        refused = transport.send(hub.document("H29.5", "H29"), "H29.5")
        assert (refusal(refused), "60" in json.dumps(refused)) == ("20", True)
        assert Package.objects.count() == taken
        assert b"edXML" in transport.download(item["docId"])
        assert good(transport.update(item["docId"], "done")) is not None
    finally:
        mode.switch(mode.Mode.NORMAL, seconds=0, by="test", at=timezone.now())
    assert Delivery.objects.get(pk=item["docId"]).state == "handed_over"


def test_an_error_of_the_hub_is_an_answer_too(
    hub: World, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exchange import delivery

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret words")

    monkeypatch.setattr(delivery, "take", broken)
    answer = connect("H29.5").update(str(uuid4()), "done")
    assert refusal(answer) == "20"
    assert "secret words" not in answer["ErrorDesc"]
