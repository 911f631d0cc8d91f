"""An agency may refuse documents with broken PDF signatures: its deliveries wait for the report."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from django.core.management import call_command

from exchange import delivery, pushing, registry, retention, tasks, wake
from exchange.envelope import package as envelope
from exchange.models import Delivery, Event, Lane, State
from exchange.refusals import Refused
from tests import pdfs
from tests.api.conftest import Caller, caller, code_of, recipient, sender
from tests.exchange.test_admin_documents import page
from tests.exchange.test_admin_documents import person as account
from tests.exchange.test_pdf_reports import authority, organ, person, spoilt, three
from tests.exchange.test_retention import FIRST, SECOND, sealed
from tests.world import ACTOR, NOW, World

__all__ = ["authority", "caller", "organ", "person", "recipient", "sender", "three"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def broken(three: bytes) -> bytes:
    return spoilt(three, rb"/M (D\07220")


@pytest.fixture(autouse=True)
def refusing(hub: World) -> None:
    """H29.5 and H29.17 refuse broken signatures; H29.121 does not."""
    for code in ("H29.5", "H29.17"):
        by = registry.Change(ACTOR, NOW)
        registry.update_agency(hub.agencies[code], by=by, refuses_broken_pdf=True)


def send(sender: Caller, hub: World, raw: bytes, *to: str) -> dict[str, Delivery]:
    """A document with this attachment; its deliveries by recipient."""
    attached = [envelope.attach("a.pdf", raw)]
    answer = sender.send(hub.document("H29", *(to or ("H29.5", "H29.121")), attachments=attached))
    assert answer.status_code == 201, answer.content
    rows = Delivery.objects.filter(package=answer.json()["id"])
    return {row.recipient_code: row for row in rows}


def waiting(caller: Caller) -> list[str]:
    return [item["delivery"] for item in caller.get("/inbox").json()["items"]]


def test_a_delivery_waits_for_the_report_and_is_then_there(
    sender: Caller, recipient: Caller, caller: Any, hub: World, three: bytes
) -> None:
    rows = send(sender, hub, three)
    row = rows["H29.5"]
    assert waiting(recipient) == []
    assert waiting(caller("H29.121")) == [str(rows["H29.121"].pk)]
    assert code_of(recipient.get(f"/packages/{row.package_id}/content")) == "delivery.held"
    assert code_of(recipient.get(f"/deliveries/{row.pk}/content")) == "delivery.held"
    ack = {"sha256": row.package.sha256}
    assert code_of(recipient.post(f"/deliveries/{row.pk}/ack", ack)) == "delivery.held"
    row.refresh_from_db()
    assert (row.served_at, row.state) == (None, State.QUEUED)
    told = {
        item["id"]: item["held"] for item in sender.get(f"/packages/{row.package_id}").json()["deliveries"]
    }
    assert told == {str(row.pk): True, str(rows["H29.121"].pk): False}
    tasks.report_pdf_signatures()
    assert waiting(recipient) == [str(row.pk)]
    content = recipient.get(f"/deliveries/{row.pk}/content")
    assert sha256(b"".join(content.streaming_content)).hexdigest() == ack["sha256"]
    assert recipient.post(f"/deliveries/{row.pk}/ack", ack).status_code == 200


def test_a_broken_signature_fails_the_delivery_to_who_refuses_it_and_to_nobody_else(
    sender: Caller, recipient: Caller, caller: Any, hub: World, broken: bytes
) -> None:
    rows = send(sender, hub, broken)
    tasks.report_pdf_signatures()
    row = rows["H29.5"]
    row.refresh_from_db()
    assert row.state == State.UNDELIVERABLE
    assert waiting(recipient) == []
    assert waiting(caller("H29.121")) == [str(rows["H29.121"].pk)]
    assert code_of(recipient.get(f"/packages/{row.package_id}/content")) == "delivery.closed"
    [item] = [
        one
        for one in sender.get("/events?after=0").json()["items"]
        if one["event"] == "ContentHandoverFailure"
    ]
    assert (item["delivery"], item["reason"]) == (str(row.pk), "recipient.refuses-broken-pdf")
    shown = page(account("clerk", hub.agencies["H29"]), f"/admin/exchange/package/{row.package_id}/change/")
    assert "Nơi nhận không nhận văn bản có chữ ký PDF bị hỏng" in shown


def test_sending_it_again_is_refused_as_long_as_the_agency_refuses_it(
    sender: Caller, recipient: Caller, hub: World, broken: bytes
) -> None:
    row = send(sender, hub, broken)["H29.5"]
    tasks.report_pdf_signatures()
    with pytest.raises(Refused) as refused:
        delivery.resend(row.pk, actor=ACTOR, now=datetime.now(UTC), reason="xin gửi lại")
    assert refused.value.code == "recipient.refuses-broken-pdf"
    by = registry.Change(ACTOR, NOW)
    registry.update_agency(hub.agencies["H29.5"], by=by, refuses_broken_pdf=False)
    delivery.resend(row.pk, actor=ACTOR, now=datetime.now(UTC), reason="nơi nhận đồng ý")
    assert waiting(recipient) == [str(row.pk)]


def test_only_a_broken_signature_is_refused(sender: Caller, recipient: Caller, hub: World) -> None:
    rows = [send(sender, hub, raw, "H29.5")["H29.5"] for raw in (pdfs.page(), b"%PDF-1.7 junk")]
    rows.append(send(sender, hub, b"text", "H29.5")["H29.5"])
    assert waiting(recipient) == [str(rows[2].pk)]  # no PDF, no report
    tasks.report_pdf_signatures()
    assert sorted(waiting(recipient)) == sorted(str(row.pk) for row in rows)


def test_a_held_delivery_is_not_pushed_and_its_lane_is_woken_by_the_report(
    sender: Caller,
    hub: World,
    three: bytes,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    woken: list[str] = []
    monkeypatch.setattr(wake, "lanes_now", lambda lanes: woken.extend(map(str, lanes)))
    monkeypatch.setattr(wake, "_pdf_reports_now", lambda: woken.append("report"))
    with django_capture_on_commit_callbacks(execute=True):
        row = send(sender, hub, three, "H29.17")["H29.17"]
    assert "report" in woken
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert pushing.claim(Lane.NORMAL, now=later, limit=10) == []
    woken.clear()
    with django_capture_on_commit_callbacks(execute=True):
        tasks.report_pdf_signatures()
    assert woken == [str(int(Lane.NORMAL))]
    assert [item.delivery for item in pushing.claim(Lane.NORMAL, now=later, limit=10)] == [row.pk]


def test_what_is_removed_of_the_evidence_lets_no_delivery_wait_for_ever(
    sender: Caller, recipient: Caller, hub: World, three: bytes
) -> None:
    row = send(sender, hub, three, "H29.5")["H29.5"]
    sealed()
    order = retention.order(row.package, reason="NĐ 13", content=False, actor=FIRST, now=NOW)
    retention.confirm(order, actor=SECOND, now=NOW)
    tasks.report_pdf_signatures()
    assert waiting(recipient) == [str(row.pk)]


def test_a_registrar_sets_what_an_agency_refuses(hub: World, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("restrict_agency", "H29.121", "--broken-pdf", "refuse", "--json")
    assert '"broken_pdf": "refuse"' in capsys.readouterr().out
    agency = hub.agencies["H29.121"]
    agency.refresh_from_db()
    assert agency.refuses_broken_pdf
    assert (
        Event.objects.filter(stream=agency.id, name="PolicyChange").order_by("-id")[0].at >= agency.created_at
    )
    call_command("restrict_agency", "H29.121", "--broken-pdf", "accept")
    agency.refresh_from_db()
    assert not agency.refuses_broken_pdf
