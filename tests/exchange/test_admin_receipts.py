"""Receipts on the page of a document, and what the overview says of anchors and processes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse

from exchange import anchors, facts, sealing
from exchange.evidence import receipts
from exchange.models import Event, Package
from tests.exchange.test_admin_documents import page, person
from tests.exchange.test_anchors import authority, outside, stamping
from tests.tsa import TimeStampAuthority
from tests.world import NOW, World, answer_to

__all__ = ["authority", "outside", "stamping"]


def sent(hub: World) -> Package:
    """A document to two agencies, one of which refused it."""
    now = datetime.now(UTC)  # the seal of a new hub is valid from now on
    made = hub.send("H29", "H29.5", "H29.17", now=now)
    hub.accept(hub.status("H29.5", "02", answer_to(made), description="Gửi nhầm nơi"), "H29.5", now)
    return made.package


def address(package: Package, event: Event) -> str:
    return reverse("admin:exchange_package_receipt", args=(package.pk, event.pk))


def page_of(package: Package) -> str:
    return reverse("admin:exchange_package_change", args=(package.pk,))


def test_the_page_lists_receipts_and_says_which_the_log_proves(hub: World) -> None:
    package, clerk = sent(hub), person("clerk", hub.agencies["H29"])
    before = page(clerk, page_of(package))
    count = Event.objects.filter(package=package.pk).count()
    assert f"Trục đã ký {count} biên nhận. {count} đang chờ niêm phong." in before
    sealing.seal(datetime.now(UTC))
    after = page(clerk, page_of(package))
    assert f"Trục đã ký {count} biên nhận. {count} đã có bằng chứng nằm trong nhật ký niêm phong." in after
    for event in Event.objects.filter(package=package.pk):
        assert address(package, event) in after


def test_a_receipt_is_a_file_that_verifies_and_has_its_proof_once_sealed(hub: World) -> None:
    package, clerk = sent(hub), person("clerk", hub.agencies["H29"])
    event = Event.objects.get(stream=package.pk, seq=1)
    first = receipts.Receipt.parse(clerk.get(address(package, event)).content)
    receipts.verify(first.event, first.jws, None, event.at)
    assert first.proof is None
    sealing.seal(datetime.now(UTC))
    before = Event.objects.count()
    response = clerk.get(address(package, event))
    later = receipts.Receipt.parse(response.content)
    assert (later.event, later.jws) == (first.event, first.jws)
    assert later.proof
    assert response["Content-Disposition"] == f'attachment; filename="bien-nhan-{event.pk}-{event.name}.json"'
    assert Event.objects.count() == before


def test_a_recipient_gets_receipts_of_its_own_delivery_only(hub: World) -> None:
    package = sent(hub)
    refusal = Event.objects.get(package=package.pk, name="ConsignmentRejection")
    other, stranger = person("clerk", hub.agencies["H29.17"]), person("clerk", hub.agencies["H29.121"])
    assert person("clerk", hub.agencies["H29.5"]).get(address(package, refusal)).status_code == 200
    assert other.get(address(package, refusal)).status_code == 404
    assert address(package, refusal) not in page(other, page_of(package))
    acceptance = Event.objects.get(stream=package.pk, seq=1)
    assert other.get(address(package, acceptance)).status_code == 200
    assert stranger.get(address(package, acceptance)).status_code == 404
    assert person("operator").get(address(package, acceptance)).status_code == 403


# --- the overview ---------------------------------------------------------------------------------------


def test_anchors_that_are_off_are_shown_as_off(hub: World) -> None:
    sealing.seal(NOW)
    assert "Chưa bật: chưa có bên ngoài nào xác nhận nhật ký" in page(person("auditor"), "/admin/")


def test_the_overview_says_who_vouched_for_the_log_and_when(
    hub: World, stamping: Any, authority: TimeStampAuthority
) -> None:
    auditor = person("auditor")
    hub.send("H29", "H29.5")
    assert "chưa xác nhận lần nào" in page(auditor, "/admin/")
    now = datetime.now(UTC)
    sealing.seal(now)
    anchors.anchor(now)
    told = page(auditor, "/admin/")
    assert "Dấu thời gian (RFC 3161) – http://127.0.0.1" in told
    assert "xác nhận gần nhất" in told
    assert "chậm: hãy kiểm tra" not in told


def test_settings_that_cannot_be_read_do_not_take_the_overview_down(
    hub: World, settings: Any, tmp_path: Any
) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, witnesses=tmp_path / "none")
    assert "Không đọc được thiết lập" in page(person("auditor"), "/admin/")


@pytest.mark.parametrize(
    ("name", "words"),
    [("worker.express", "Hỏa tốc"), ("worker.exports", "Bản xuất"), ("sealer", "Niêm phong nhật ký")],
)
def test_processes_are_named_in_words_and_a_silent_one_stands_out(hub: World, name: str, words: str) -> None:
    operator, now = person("operator"), datetime.now(UTC)
    facts.say(f"process.{name}", now)
    told = page(operator, "/admin/")
    assert f'<span class="hub-sub">{words}</span>' in told
    facts.say(f"process.{name}", now - timedelta(minutes=5))
    told = page(operator, "/admin/")
    assert f"<dt>{words}</dt>" in told
    assert "Im lặng đã 5 phút" in told
    assert name not in told
