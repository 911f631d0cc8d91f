"""Documents, statuses and recalls cross between the faces: native to VXP and back."""

import base64
from datetime import timedelta
from typing import Any

from django.utils import timezone

from exchange import delivery
from exchange.envelope import package as envelope
from exchange.envelope import xml
from exchange.models import Delivery, Package
from tests.exchange import parties
from tests.vxp.conftest import Client, Connect
from tests.vxp.test_calls import good
from tests.world import World, answer_to, answer_to_file


def take(client: Client, kind: str = "edoc") -> list[envelope.Package]:
    """One turn of a client's loop: fetch, settle, and read what came."""
    found = []
    for item in good(client.received(kind)):
        found.append(envelope.read(xml.parse(base64.b64decode(good(client.get(item["docId"]))))))
        good(client.update(item["docId"], "done"))
    return found


def inbox(hub: World, code: str) -> list[Delivery]:
    """What waits now for a native system."""
    system = hub.system_of(code)
    return delivery.inbox(system, limit=50, lease=timedelta(), now=timezone.now())


def say(hub: World, client: Client, speaker: str, code: str, raw: bytes) -> None:
    """A status message of a client about the document in `raw`, unsigned as theirs are."""
    content = envelope.status(
        code, sender=envelope.Organ(speaker), answers=answer_to_file(raw), at=timezone.now()
    )
    good(client.send(envelope.build(content), speaker, "status"))


def test_native_to_vxp_and_the_status_back(hub: World, transport: Client) -> None:
    raw = hub.document("H29", "H29.5")
    made = hub.accept(raw, now=timezone.now())
    [letter] = take(transport)
    assert letter.document_id == made.package.document_id
    for code in ("01", "03", "06"):
        say(hub, transport, "H29.5", code, raw)
    assert parties.look(parties.to(made, "H29.5"))[:2] == ("handed_over", "06")
    waiting = inbox(hub, "H29")
    assert sorted(row.package.status_code for row in waiting) == ["01", "03", "06"]
    assert {row.package.signature_state for row in waiting} == {"absent"}


def test_vxp_to_native_and_the_status_back(hub: World, transport: Client) -> None:
    raw = hub.document("H29.5", "H29", signed=False)
    good(transport.send(raw, "H29.5"))
    [row] = inbox(hub, "H29")
    parties.hand_over(hub, row, timezone.now())
    parties.say_json(hub, row, "03", timezone.now())
    [status] = take(transport, "status")
    assert (status.status_code, status.sender.organ_id) == ("03", "H29")
    [item] = good(transport.sent_list(str(row.package_id)))
    assert (item["sendStatus"], item["receiveStatus"]) == ("done", "03")


def test_vxp_to_vxp(hub: World, connect: Connect) -> None:
    transport, district = connect("H29.5"), connect("H29.121")
    raw = hub.document("H29.5", "H29.121", signed=False)
    good(transport.send(raw, "H29.5"))
    assert [letter.sender.organ_id for letter in take(district)] == ["H29.5"]
    say(hub, district, "H29.121", "03", raw)
    assert [status.status_code for status in take(transport, "status")] == ["03"]


def test_a_native_recall_reaches_a_vxp_recipient_who_agrees(hub: World, transport: Client) -> None:
    raw = hub.document("H29", "H29.5")
    made = hub.accept(raw, now=timezone.now())
    take(transport)
    parties.recall(hub, made, "H29.5", now=timezone.now())
    [recall] = take(transport)
    assert recall.business_type == envelope.Business(type=recall.business_type).type
    assert recall.document_id == made.package.document_id
    say(hub, transport, "H29.5", "15", raw)
    assert parties.look(parties.to(made, "H29.5")) == ("withdrawn", "none", "recall", "agreed")


def test_a_vxp_recall_of_what_nobody_fetched_is_settled_at_once(hub: World, connect: Connect) -> None:
    transport = connect("H29.5")
    raw = hub.document("H29.5", "H29", signed=False)
    good(transport.send(raw, "H29.5"))
    recall = raw.replace(b"<edXML:BussinessDocType>0<", b"<edXML:BussinessDocType>1<")
    assert recall != raw
    good(transport.send(recall, "H29.5"))
    assert Delivery.objects.get().state == "withdrawn"
    assert inbox(hub, "H29") == []


def test_a_vxp_recall_of_what_was_fetched_asks_the_native_recipient(hub: World, transport: Client) -> None:
    raw = hub.document("H29.5", "H29", signed=False)
    good(transport.send(raw, "H29.5"))
    [row] = inbox(hub, "H29")
    parties.hand_over(hub, row, timezone.now())
    good(transport.send(raw.replace(b"DocType>0<", b"DocType>1<"), "H29.5"))
    assert parties.look(row)[2:] == ("recall", "open")
    [asked] = inbox(hub, "H29")
    parties.say_json(hub, asked, "16", timezone.now())
    assert [status.status_code for status in take(transport, "status")] == ["16"]
    assert parties.look(row)[2:] == ("recall", "declined")


def test_a_swapped_take_back_of_a_net_client_is_understood(hub: World, connect: Connect) -> None:
    transport, district = connect("H29.5"), connect("H29.121")
    raw = hub.document("H29.5", "H29.121", signed=False)
    good(transport.send(raw, "H29.5"))
    take(district)
    letter = envelope.read(xml.parse(raw))
    assert letter.code is not None
    assert letter.promulgation_date is not None
    swapped = envelope.Response(
        letter.code.text,
        envelope.Code.from_text("H29.121"),
        letter.promulgation_date,
        envelope.document_id("H29.121", letter.promulgation_date, letter.code),
    )
    content = envelope.status("13", sender=envelope.Organ("H29.5"), answers=swapped, at=timezone.now())
    good(transport.send(envelope.build(content), "H29.5", "status"))
    assert [status.status_code for status in take(district, "status")] == ["13"]


def test_a_status_under_fourteen_is_read_as_fifteen(hub: World, transport: Client) -> None:
    made = hub.send("H29", "H29.5", now=timezone.now())
    take(transport)
    parties.recall(hub, made, "H29.5", now=timezone.now())
    take(transport)
    content = envelope.status(
        "15", sender=envelope.Organ("H29.5"), answers=answer_to(made), at=timezone.now()
    )
    raw = envelope.build(content).replace(b"StatusCode>15<", b"StatusCode>14<")
    good(transport.send(raw, "H29.5", "status"))
    assert parties.look(parties.to(made, "H29.5"))[3] == "agreed"


def test_one_packet_per_recipient_is_one_document(hub: World, connect: Connect) -> None:
    transport, district = connect("H29.5"), connect("H29.121")
    facts: dict[str, Any] = {"code": envelope.Code("9", "KH-TEST"), "signed": False}
    for recipient in ("H29", "H29.121"):
        good(transport.send(hub.document("H29.5", recipient, **facts), "H29.5", to=recipient))
    assert Package.objects.count() == 2
    [row] = inbox(hub, "H29")
    assert len(take(district)) == 1
    parties.hand_over(hub, row, timezone.now())
    parties.say_json(hub, row, "03", timezone.now())
    assert [status.sender.organ_id for status in take(transport, "status")] == ["H29"]
