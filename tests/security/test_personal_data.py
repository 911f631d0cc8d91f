"""Personal numbers stand where people must read them, and nowhere in events or metrics."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from exchange import registry, tasks
from exchange.envelope import package as envelope
from exchange.envelope import xml
from exchange.gauges import Gauges
from exchange.models import Event, EventBody, PdfReport
from fixtures.pki import Identity
from tests import pdfs
from tests.api.conftest import Caller
from tests.exchange.test_pdf_reports import LIFE
from tests.world import ACTOR, World, response_to

pytestmark = pytest.mark.django_db
NUMBER, NAME = "079123456789", "Nguyễn Thị Bí Mật"


@pytest.fixture
def clerk(hub: World) -> Identity:
    """Somebody who signs for H29 with a certificate of her own."""
    made = hub.keys.authority.issue(NAME, uid=f"CCCD:{NUMBER}", **LIFE)
    registry.add_certificate(hub.agencies["H29"], made.der, by=registry.Change(ACTOR, datetime.now(UTC)))
    hub.keys = type(hub.keys)(hub.keys.authority, {**hub.keys.identities, "H29": made})
    return made


def scraped(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(connection, "close", lambda: None)  # that of the test
    gauges = CollectorRegistry()
    gauges.register(Gauges())
    return (generate_latest(REGISTRY) + generate_latest(gauges)).decode()


def test_neither_numbers_nor_names_of_persons_stand_in_events_or_metrics(
    sender: Caller, recipient: Caller, hub: World, clerk: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: Any = {"subject": f"Xác minh {NAME}, CCCD {NUMBER}"}
    attached = [envelope.attach(f"CCCD {NUMBER}.pdf", pdfs.sign(pdfs.page(), clerk))]
    raw = hub.document("H29", "H29.5", attachments=attached, **words)
    sent = sender.send(raw)
    assert (sent.status_code, sent.json()["signature"]["state"]) == (201, "valid")
    tasks.report_pdf_signatures()
    no = hub.status(
        "H29.5", "02", response_to(envelope.read(xml.parse(raw))), description=f"Sai người: {NAME}, {NUMBER}"
    )
    assert recipient.send(no).status_code == 201
    broken = hub.document("H29", "H29.5", **words).replace(b"2026", b"2027", 1)
    assert sender.send(broken).status_code == 422
    names = set(Event.objects.values_list("name", flat=True))
    assert {"SignatureReport", "ConsignmentRejection", "SubmissionRejection", "PolicyChange"} <= names
    said = "\n".join(bytes(body).decode() for body in EventBody.objects.values_list("raw", flat=True))
    for where in (said, scraped(monkeypatch)):
        assert NUMBER not in where
        assert NAME not in where
    report = PdfReport.objects.get()
    assert NAME in report.text  # who signed is what people ask
    assert NUMBER not in report.text.replace(f"CCCD {NUMBER}.pdf", "")
