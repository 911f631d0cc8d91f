"""The uplink against a hub above that is played by the test: routing, refusals, and strange answers."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from agencies import memory
from agencies.models import Agency, System
from exchange import pushing, registry, routing, tasks, transport, uplink
from exchange.axis import SIGNED_TEXT
from exchange.models import Attempt, Delivery, Event, Lane, Package
from exchange.refusals import Refused
from tests import receiver
from tests.exchange.parties import events_of, last_event
from tests.receiver import Received, Receiver
from tests.world import ACTOR, World


@dataclass(slots=True)
class Above:
    """The hub above: what waits there, what it answers to sendEdoc, and what it was told."""

    receiver: Receiver
    waiting: dict[str, bytes] = field(default_factory=dict)
    sender: str = "G22"
    answer: Any = field(default_factory=lambda: {"status": "OK", "ErrorCode": "0", "DocId": "above-1"})
    listed: Any = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)

    def respond(self, request: Received) -> tuple[int, bytes, dict[str, str]]:
        """Play the calls that the uplink makes."""
        signed, call = json.loads(request.headers[SIGNED_TEXT.lower()]), request.path.rpartition("/")[2]
        said = {name.removeprefix("XroadVnpt-"): value for name, value in signed.items()}
        ok: dict[str, Any] = {"status": "OK", "ErrorCode": "0", "ErrorDesc": "", "DocId": ""}
        if call == "sendEdoc":
            ok = self.answer
        elif call == "getReceivedEdocList":
            kind = said["messagetype"]
            ok |= {"data": [self.item(name) for name in self.waiting] if kind == "edoc" else []}
        elif call == "getEdoc":
            ok |= {"data": base64.b64encode(self.waiting[said["docId"]]).decode()}
        elif call == "updateStatus":
            self.told.append((said["docId"], said["status"]))
        elif call == "getAgenciesList":
            ok |= {"data": self.listed}
        return 200, json.dumps(ok).encode(), {}

    def item(self, name: str) -> dict[str, str]:
        """One line of the received list."""
        return {"docId": name, "messageType": "edoc", "from": self.sender, "to": "H29"}


@pytest.fixture
def above() -> Iterator[Above]:
    with receiver.running() as made:
        played = Above(made)
        made.answer = played.respond
        yield played


@pytest.fixture
def axis(hub: World, above: Above) -> System:
    """The hub above, registered as the default."""
    return register(above, "trục quốc gia", "*")


def register(above: Above, name: str, *prefixes: str) -> System:
    return registry.register_uplink(
        name,
        url=above.receiver.url,
        systemid=f"vxp.{name}",
        secret="a secret of theirs",
        prefixes=prefixes,
        by=registry.Change(ACTOR, now()),
    )


def now() -> datetime:
    return datetime.now(UTC)


def agency(code: str) -> Agency:
    """An agency that is not connected here."""
    return registry.register_agency(code, f"Cơ quan {code}", by=registry.Change(ACTOR, now()))


def send_up(hub: World, *recipients: str) -> Delivery:
    made = hub.send("H29", *recipients, now=now())
    pushing.push_lane(Lane.NORMAL)
    return Delivery.objects.get(package=made.package, recipient__code=recipients[0])


def unsigned(hub: World, sender: str, *recipients: str) -> bytes:
    return hub.document(sender, *recipients, signed=False)


# --- up -----------------------------------------------------------------------------------------------


def test_the_longest_prefix_decides_then_the_default(hub: World, above: Above) -> None:
    names = {"": "*", "bộ": "G", "chính phủ": "G22 000.00.00.G22"}
    systems = {name: register(above, f"trục {name}", *prefixes.split()) for name, prefixes in names.items()}
    codes = {"H30": "", "G01": "bộ", "G22": "chính phủ", "G22.1": "chính phủ", "g221": "chính phủ"}
    for code in codes:
        agency(code)
    routes = routing.recipients([*codes, "H29.5"], memory.current(), now()).routes
    assert [route.system for route in routes[:-1]] == [systems[name] for name in codes.values()]
    assert routes[-1].system == hub.system_of("H29.5")


def test_without_a_hub_above_an_agency_that_is_not_connected_is_refused(hub: World) -> None:
    agency("G22")
    with pytest.raises(Refused) as refused:
        routing.recipients(["G22"], memory.current(), now())
    assert refused.value.code == "recipient.not-connected"


def test_a_relayed_document_is_signed_as_a_client_does_and_its_taking_is_an_event(
    hub: World, above: Above, axis: System
) -> None:
    agency("G22")
    row = send_up(hub, "G22")
    [request] = above.receiver.received
    package = Package.objects.get()
    assert request.path.endswith("/sendEdoc")
    assert request.body.endswith(b"</edXML>\r\n") or request.body.endswith(b"\r\n")
    assert request.headers["xroadvnpt-from"] == "H29"
    row.refresh_from_db()
    assert (row.state, events_of(row)) == ("handed_over", ["ContentConsignment", "RelayAcceptance"])
    event = last_event(row)
    assert (event.target, event.digest) == (str(axis.id), package.sha256)
    assert Attempt.objects.get().detail == "DocId above-1"


@pytest.mark.parametrize("code", ["10", "18", "19", "21", "22", "23"])
def test_a_refusal_for_good_is_a_relay_rejection(hub: World, above: Above, axis: System, code: str) -> None:
    agency("G22")
    above.answer = {"status": "FAIL", "ErrorCode": code, "ErrorDesc": "khong", "DocId": ""}
    row = send_up(hub, "G22")
    row.refresh_from_db()
    assert (row.state, events_of(row)[-1]) == ("undeliverable", "RelayRejection")
    reason = last_event(row).reason
    assert reason is not None
    assert reason.code == f"relay.{code}"


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "FAIL", "ErrorCode": "20", "DocId": ""},
        {"status": "FAIL", "ErrorCode": "15", "DocId": ""},
        {"status": "FAIL"},
        {"status": "FAIL", "ErrorCode": "../x"},
        {},
        [],
        "mail",
    ],
)
def test_anything_else_is_tried_again(hub: World, above: Above, axis: System, answer: Any) -> None:
    agency("G22")
    above.answer = answer
    row = send_up(hub, "G22")
    row.refresh_from_db()
    assert (row.state, events_of(row)) == ("queued", ["ContentConsignment"])
    assert row.due_at > now()


def test_the_last_failure_is_a_relay_failure(hub: World, above: Above, axis: System) -> None:
    agency("G22")
    above.answer = {"status": "FAIL", "ErrorCode": "20", "DocId": ""}
    row = send_up(hub, "G22")
    Delivery.objects.filter(id=row.id).update(attempts=pushing.MAX_ATTEMPTS - 1, due_at=now())
    pushing.push_lane(Lane.NORMAL)
    row.refresh_from_db()
    assert (row.state, events_of(row)[-1]) == ("undeliverable", "RelayFailure")


def test_an_agency_that_connects_here_takes_what_waited_for_it(
    hub: World, above: Above, axis: System
) -> None:
    made = agency("G22")
    above.answer = {"status": "FAIL", "ErrorCode": "20", "DocId": ""}
    row = send_up(hub, "G22")
    registry.move_agency(made, hub.system_of("H29.5"), by=registry.Change(ACTOR, now()))
    row.refresh_from_db()
    assert (row.system, row.push) == (hub.system_of("H29.5"), False)


# --- down ---------------------------------------------------------------------------------------------


def test_what_waits_above_enters_through_intake(hub: World, above: Above, axis: System) -> None:
    above.waiting["d1"] = unsigned(hub, "G22", "H29", "H29.5", "X.unknown")
    tasks.collect_from_above()
    package = Package.objects.get()
    assert (package.system, package.sender.code, package.signature_state) == (axis, "G22", "absent")
    recipients = package.deliveries.order_by("recipient__code").values_list("recipient__code", flat=True)
    assert list(recipients) == ["H29", "H29.5"]
    assert above.told == [("d1", "processing"), ("d1", "done")]


def test_an_item_that_comes_again_is_settled_and_not_taken_again(
    hub: World, above: Above, axis: System
) -> None:
    above.waiting["d1"] = unsigned(hub, "G22", "H29")
    for _ in range(2):
        uplink.collect_all()
    assert Package.objects.count() == 1
    assert above.told[-1] == ("d1", "done")


def test_our_own_document_that_comes_back_is_settled(hub: World, above: Above, axis: System) -> None:
    agency("G22")
    raw = unsigned(hub, "H29", "G22", "H29.5")
    registry.update_agency(hub.agencies["H29"], by=registry.Change(ACTOR, now()), signature_policy="report")
    hub.accept(raw, now=now())
    above.waiting["d1"] = raw
    uplink.collect_all()
    assert above.told[-1] == ("d1", "done")
    assert Package.objects.count() == 1


def test_the_hub_above_cannot_speak_for_an_agency_of_ours(hub: World, above: Above, axis: System) -> None:
    above.waiting["d1"], above.sender = unsigned(hub, "H29.5", "H29"), "H29.5"
    uplink.collect_all()
    assert Package.objects.count() == 0
    assert above.told[-1] == ("d1", "fail")
    assert Event.objects.filter(name="SubmissionRejection").count() == 1


def test_what_is_for_nobody_here_is_refused_and_never_sent_up_again(
    hub: World, above: Above, axis: System
) -> None:
    agency("G01")
    above.waiting["d1"] = unsigned(hub, "G22", "G01")
    uplink.collect_all()
    assert above.told[-1] == ("d1", "fail")
    assert not Delivery.objects.exists()


def test_what_cannot_be_taken_now_is_left_there(
    hub: World, above: Above, axis: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any, **__: Any) -> None:
        raise Refused("hub.unavailable", why="x")

    monkeypatch.setattr("exchange.intake.accept", busy)
    above.waiting["d1"] = unsigned(hub, "G22", "H29")
    assert uplink.collect_all() == 0
    assert above.told == [("d1", "processing")]


@pytest.mark.parametrize("name", ["", "đ1", "a\r\nX: y"])
def test_an_item_with_an_id_that_no_header_can_hold_is_passed_over(
    hub: World, above: Above, axis: System, name: str
) -> None:
    above.waiting[name] = b""
    above.waiting["d2"] = unsigned(hub, "G22", "H29")
    assert uplink.collect_all() == 1
    assert Package.objects.count() == 1


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"status": "OK", "data": {}}', b""])
def test_a_broken_server_above_is_not_an_empty_list(
    hub: World, above: Above, axis: System, answer: bytes
) -> None:
    above.receiver.answer = receiver.status(200, answer)
    with pytest.raises(transport.Unanswered):
        uplink.collect(axis)
    assert uplink.collect_all() == 0


def test_the_directory_above_tells_who_can_be_written_to(hub: World, above: Above, axis: System) -> None:
    above.listed = [
        {"code": "G22", "name": "Văn phòng", "oldCode": "000.00.00.G22"},
        {"code": "H29", "name": "Tên khác"},
        {"code": "G23", "name": "x" * 2000},
        {"code": "", "name": "không mã"},
    ]
    assert uplink.read_directories() == 1
    assert Agency.objects.get(aliases__code="000.00.00.G22").code == "G22"
    assert Agency.objects.get(code="H29").name != "Tên khác"
    assert uplink.read_directories() == 0
