"""The pages of exports, and the proofs that a document gives: clicks, scope, POST for what is issued."""

import io
import re
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from openpyxl.reader.excel import load_workbook

from exchange import intake, sealing, wake
from exchange.exports import jobs
from exchange.models import Event, Export, ExportSchedule, ExportState, ProofCode
from tests.exchange import parties
from tests.exchange.test_export_jobs import folder
from tests.exchange.test_exports import clerk, sent
from tests.world import World

__all__ = ["folder", "sent"]
HOME = "/admin/exchange/export/"


def person(hub: World, code: str = "H29", role: str = "clerk") -> Client:
    client = Client()
    client.force_login(_made(hub, code, role))
    return client


def _made(hub: World, code: str, role: str) -> Any:
    user = clerk(hub, code, role)
    user.is_staff = True
    user.save()
    return user


def text(answer: Any) -> str:
    assert answer.status_code == 200, answer
    return re.sub(r"\s+", " ", answer.content.decode())


def file(answer: Any) -> bytes:
    assert answer.status_code == 200, answer
    assert answer["Content-Disposition"].startswith("attachment")
    content = b"".join(answer.streaming_content)
    for close in answer._resource_closers:  # closing the answer would close the database of the test
        close()
    return content


def test_a_clerk_has_this_months_register_in_two_clicks(hub: World, sent: intake.Acceptance) -> None:
    client = person(hub)
    page = text(client.get(HOME))
    assert '<option value="H29" selected' in page or '<option value="H29"' in page
    assert "H29.5" not in page
    wanted = {"kind": "register-out", "agency": "H29", "period": "this-year", "format": "xlsx"}
    sheet = load_workbook(io.BytesIO(file(client.post(f"{HOME}register/", wanted)))).active
    assert sheet is not None
    assert sent.package.code in [cell for row in sheet.values for cell in row]


def test_a_register_of_another_agency_is_refused(hub: World, sent: intake.Acceptance) -> None:
    wanted = {"kind": "register-out", "agency": "H29.5", "period": "this-year", "format": "xlsx"}
    assert "H29.5" in text(person(hub).post(f"{HOME}register/", wanted))
    assert not Export.objects.exists()


def test_a_filter_is_a_link_and_the_export_of_it_is_the_file(hub: World, sent: intake.Acceptance) -> None:
    client = person(hub)
    page = text(client.get(f"{HOME}new/?kind=trail&format=csv&agency=H29.17&since=01/11/2026"))
    assert 'value="H29.17"' in page
    assert 'value="01/11/2026"' in page
    page = text(client.get(f"{HOME}new/?agency=H29.17&agency=H29.5"))
    assert 'value="H29.17, H29.5"' in page
    answer = client.post(f"{HOME}new/", {"kind": "trail", "format": "csv", "agency": "H29.17"})
    made = Export.objects.get()
    assert answer["Location"] == reverse("admin:exchange_export_change", args=(made.pk,))
    shown = text(client.get(answer["Location"]))
    assert made.sha256 in shown
    assert "cơ quan H29.17" in shown
    assert file(client.get(f"{HOME}{made.pk}/file/")).startswith(b"\xef\xbb\xbf")
    assert "2 / 2 dòng" in text(client.get(HOME))


def test_the_link_of_a_filter_is_only_its_fields(hub: World) -> None:
    filled = {"csrfmiddlewaretoken": "secret", "kind": "trail", "agency": "H29.5 H29.17", "every": "day"}
    answer = person(hub).get(f"{HOME}new/", {**filled, "since": ""})
    assert answer["Location"] == f"{HOME}new/?kind=trail&agency=H29.5+H29.17"


def test_a_form_says_what_is_wrong_and_asks_for_nothing(hub: World, sent: intake.Acceptance) -> None:
    client = person(hub)
    for wrong in ({"since": "2026-13-01"}, {"agency": "H99"}, {"kind": "deliveries", "format": "jsonl"}):
        page = text(client.post(f"{HOME}new/", {"kind": "trail", "format": "csv", **wrong}))
        assert "hub-why" in page or 'role="alert"' in page
    assert not Export.objects.exists()


def test_a_job_can_be_cancelled_and_made_again_by_post_only(
    hub: World, sent: intake.Acceptance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "DIRECT", 0)
    monkeypatch.setattr(wake, "for_exports", lambda keys: None)
    client = person(hub)
    page = text(client.post(f"{HOME}new/", {"kind": "trail", "format": "csv"}, follow=True))
    made = Export.objects.get()
    assert 'data-fresh="3"' in page
    for what in ("cancel", "again"):
        assert client.get(f"{HOME}{made.pk}/{what}/").status_code == 405
    client.post(f"{HOME}{made.pk}/cancel/")
    assert "Đã hủy" in text(client.get(f"{HOME}{made.pk}/change/"))
    assert client.get(f"{HOME}{made.pk}/file/").status_code == 409
    client.post(f"{HOME}{made.pk}/again/")
    assert Export.objects.filter(state=ExportState.WAITING).count() == 1


def test_exports_of_others_do_not_exist(hub: World, sent: intake.Acceptance) -> None:
    mine, other, auditor = person(hub), person(hub, "H29.5"), person(hub, role="auditor")
    mine.post(f"{HOME}new/", {"kind": "trail", "format": "csv"})
    made = Export.objects.get()
    for what in ("change", "file"):
        assert other.get(f"{HOME}{made.pk}/{what}/").status_code == 404
    assert file(auditor.get(f"{HOME}{made.pk}/file/"))
    assert other.post(f"{HOME}{made.pk}/cancel/").status_code == 404
    operator = person(hub, role="operator")
    assert operator.get(HOME).status_code == 403
    assert operator.post(f"{HOME}new/", {"kind": "trail", "format": "csv"}).status_code == 403


def test_a_schedule_is_made_and_ended(
    hub: World, sent: intake.Acceptance, settings: Any, tmp_path: Any
) -> None:
    client, other = person(hub), person(hub, "H29.5")
    wanted = {"kind": "trail", "format": "csv", "every": "week"}
    assert "HUB_EXPORT_FOLDER" in text(client.post(f"{HOME}schedule/", wanted))
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, export_folder=tmp_path)
    client.post(f"{HOME}schedule/", wanted)
    plan = ExportSchedule.objects.get()
    assert "Hằng tuần" in text(client.get(HOME))
    assert other.post(f"{HOME}schedule/{plan.pk}/end/").status_code == 404
    client.post(f"{HOME}schedule/{plan.pk}/end/")
    assert not ExportSchedule.objects.exists()


# --- proofs ---------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(hub: World) -> intake.Acceptance:
    now = datetime.now(UTC)
    made = hub.send("H29", "H29.5", "H29.17", now=now)
    sealing.seal(now)
    return made


def proof_of(client: Client, made: intake.Acceptance, form: str) -> Any:
    return client.post(f"{HOME}proof/{made.package.pk}/{form}/")


def test_the_proof_is_one_click_on_the_page_of_the_document(hub: World, fresh: intake.Acceptance) -> None:
    client = person(hub)
    page = text(client.get(reverse("admin:exchange_package_change", args=(fresh.package.pk,))))
    for form in ("pdf", "asice"):
        address = f"{HOME}proof/{fresh.package.pk}/{form}/"
        assert f'action="{address}"' in page
        assert client.get(address).status_code == 405
    assert not ProofCode.objects.exists()
    assert file(proof_of(client, fresh, "pdf")).startswith(b"%PDF")
    with zipfile.ZipFile(io.BytesIO(file(proof_of(client, fresh, "asice")))) as zipped:
        assert zipped.namelist()[0] == "mimetype"
    assert Event.objects.filter(name="ExportIssued", package=None).count() == 2


def test_a_bundle_serves_the_content_to_a_recipient_and_not_a_withdrawn_one(
    hub: World, fresh: intake.Acceptance
) -> None:
    recipient, stranger = person(hub, "H29.17"), person(hub, "H29.121")
    assert proof_of(stranger, fresh, "asice").status_code == 404
    file(proof_of(recipient, fresh, "asice"))
    assert parties.to(fresh, "H29.17").served_at
    intake.withdraw(
        parties.to(fresh, "H29.5"), reason="nhầm", actor=hub.actor_of("H29"), now=datetime.now(UTC)
    )
    assert proof_of(person(hub, "H29.5"), fresh, "asice").status_code == 409
