"""The list of documents and what can be asked of one: chips, search, pages, resend, remind, withdraw."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from agencies.models import Membership
from exchange import clocks, delivery, log
from exchange.admin import lists
from exchange.envelope.package import attach
from exchange.models import Answer, Delivery, Event, Measure, Package, State
from exchange.statistics import lines
from tests.exchange.test_statistics import recount_agrees
from tests.world import NOW, World, answer_to

LIST = "/admin/exchange/package/"


def person(role: str, agency: Any = None, name: str = "") -> Client:
    """A browser in which somebody of that role, of `agency`, is signed in."""
    user = User.objects.create(username=name or f"{role}-{agency and agency.code}", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    if agency:
        Membership.objects.create(user=user, agency=agency)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def clerk(hub: World) -> Client:
    return person("clerk", hub.agencies["H29"])


def page(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, (url, response.status_code)
    return response.content.decode()


def listed(client: Client, question: str) -> list[str]:
    """The codes of the documents that the list shows."""
    return [row["package"].code for row in client.get(LIST + question).context["documents"]]


def address(package: Package, action: str) -> str:
    return reverse(f"admin:exchange_package_{action}", args=(package.pk,))


def expired(hub: World, *recipients: str) -> Package:
    """A document of H29 that nobody fetched in time."""
    package = hub.send("H29", *recipients).package
    Delivery.objects.filter(package=package).update(expires_at=NOW)
    delivery.expire(NOW + timedelta(days=1))
    return package


# --- the list -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "question",
    [
        "THONG MINH",
        "thông  minh",
        "do thi",
        "101/kh-test",
        "101 kh",
        "giao thong van tai",
        "h29.5",
        "H29,2026",
    ],
)
def test_a_document_is_found_by_any_of_its_words_without_accents_or_case(
    hub: World, clerk: Client, question: str
) -> None:
    hub.send("H29", "H29.5", subject="Đề án đô thị thông minh")
    hub.send("H29", "H29.121", subject="Việc khác")
    found = [code for code in listed(clerk, f"?q={question}") if code == "101/KH-TEST"]
    assert found == ["101/KH-TEST"]
    assert listed(clerk, "?q=khong co chu nay") == []


def test_every_word_must_occur(hub: World, clerk: Client) -> None:
    hub.send("H29", "H29.5", subject="Đề án đô thị")
    assert listed(clerk, "?q=an+do+thi") == ["101/KH-TEST"]
    assert listed(clerk, "?q=an+nong+thon") == []


def test_chips_count_and_list_the_documents_that_have_such_a_delivery(hub: World, clerk: Client) -> None:
    failed = expired(hub, "H29.5", "H29.121")
    refused = hub.send("H29", "H29.5")
    hub.accept(hub.status("H29.5", "02", answer_to(refused), description="Sai nơi"), "H29.5")
    hub.send("H29", "H29.5")
    chips = {
        chip["words"]: chip["count"]
        for chip in clerk.get(LIST, headers={"Hub-Counts": "1"}).context["list"].chips
    }
    assert {str(words): count for words, count in chips.items()} == {
        "Tất cả": "3",
        "Lỗi": "1",
        "Từ chối": "1",
        "Quá hạn": "1",
        "Chưa tiếp nhận": "1",
        "Đã thu hồi": "0",
    }
    assert listed(clerk, "?show=failed") == [failed.code]
    assert listed(clerk, "?show=refused") == [refused.package.code]


def test_pages_follow_each_other_without_gap_or_repetition(
    hub: World, clerk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "PAGE", 2)
    sent = [hub.send("H29", "H29.5").package.code for _ in range(5)]
    found, url = [], LIST
    while url:
        response = clerk.get(url)
        found += [row["package"].code for row in response.context["documents"]]
        older = response.context["list"].older
        url = LIST + older if older else ""
    assert found == sent[::-1]


@pytest.mark.parametrize(
    "question", ["?show=none", "?x=1", "?priority=9", "?after=x", "?package__subject__contains=a"]
)
def test_a_filter_that_no_list_has_is_refused(clerk: Client, question: str) -> None:
    assert clerk.get(LIST + question).status_code == 400


def test_days_are_read_day_first_and_what_is_no_day_is_said(hub: World, clerk: Client) -> None:
    hub.send("H29", "H29.5")
    assert listed(clerk, "?from=23/11/2026&to=23/11/2026") == ["101/KH-TEST"]
    assert listed(clerk, "?from=24/11/2026") == []
    assert "hãy gõ như 22/11/2026" in page(clerk, LIST + "?from=11/23/2026")


def test_ctrl_k_finds_what_the_person_may_see_and_nothing_else(hub: World, clerk: Client) -> None:
    ours = hub.send("H29", "H29.5").package
    theirs = hub.send("H29.5", "H29.121").package
    text = page(clerk, "/admin/quick/?q=kh-test")
    assert str(ours.pk) in text
    assert str(theirs.pk) not in text


# --- what can be asked ----------------------------------------------------------------------------------


def test_resending_shows_the_count_and_the_reasons_first_and_then_queues_again(
    hub: World, clerk: Client
) -> None:
    package = expired(hub, "H29.5", "H29.121")
    before = Event.objects.count()
    asked = page(clerk, address(package, "resend"))
    assert "Gửi lại 2 lượt" in asked
    assert "không đến lấy văn bản" in asked
    assert Event.objects.count() == before
    assert clerk.post(address(package, "resend"), {"reason": "thử lại"}).status_code == 302
    rows = Delivery.objects.filter(package=package)
    assert set(rows.values_list("state", flat=True)) == {State.QUEUED}
    events = Event.objects.filter(name="Requeued", package=package.pk)
    assert {event.text.text for event in events} == {"thử lại"}
    assert clerk.get(address(package, "resend")).status_code == 404


def test_one_failed_delivery_is_sent_again_alone(hub: World, clerk: Client) -> None:
    package = expired(hub, "H29.5", "H29.121")
    row = Delivery.objects.get(package=package, recipient__code="H29.5")
    clerk.post(address(package, "resend") + f"?delivery={row.pk}")
    states = dict(Delivery.objects.filter(package=package).values_list("recipient__code", "state"))
    assert states == {"H29.5": State.QUEUED, "H29.121": State.EXPIRED}


def test_withdrawing_wants_a_reason_and_reaches_only_the_chosen(hub: World, clerk: Client) -> None:
    package = hub.send("H29", "H29.5", "H29.121").package
    row = Delivery.objects.get(package=package, recipient__code="H29.5")
    url = address(package, "withdraw")
    assert clerk.post(url, {"line": [str(row.pk)], "reason": "  "}).status_code == 422
    assert clerk.post(url, {"reason": "sai phụ lục"}).status_code == 422
    assert not Event.objects.filter(name="Recalled").exists()
    assert clerk.post(url, {"line": [str(row.pk)], "reason": "sai phụ lục"}).status_code == 302
    states = dict(Delivery.objects.filter(package=package).values_list("recipient__code", "state"))
    assert states == {"H29.5": State.WITHDRAWN, "H29.121": State.QUEUED}


def late(hub: World) -> Package:
    """A document whose receipt was due long ago, handed over and of which the recipient was reminded once."""
    package = hub.send("H29", "H29.5").package
    clocks.remind(NOW + timedelta(days=10))
    return package


def test_reminding_is_an_event_of_the_person_and_not_done_twice_in_an_hour(hub: World, clerk: Client) -> None:
    package = late(hub)
    Delivery.objects.filter(package=package).update(
        receipt_due_at=datetime.now(UTC) - timedelta(days=1),
        reminded_at=datetime.now(UTC) - timedelta(hours=2),
    )
    assert "Nhắc 1 nơi" in page(clerk, address(package, "remind"))
    assert clerk.post(address(package, "remind")).status_code == 302
    assert Event.objects.filter(name="Reminder", package=package.pk).count() == 2
    assert clerk.post(address(package, "remind")).status_code == 404


def test_a_second_reminder_is_not_a_second_lateness(hub: World) -> None:
    package = late(hub)
    row = Delivery.objects.get(package=package)
    again = clocks.remind_again([row.pk], actor=log.HUB, now=NOW + timedelta(days=10, hours=2))
    assert again == 1
    assert clocks.remind_again([row.pk], actor=log.HUB, now=NOW + timedelta(days=10, hours=2)) == 0
    day = (NOW + timedelta(days=10)).date()
    (sent,) = lines([hub.agencies["H29"].pk], day, day)
    assert (sent.counts[Measure.REMINDERS], sent.counts[Measure.LATE]) == (2, 1)
    assert recount_agrees()


@pytest.mark.parametrize("action", ["resend", "remind", "withdraw"])
def test_only_the_sender_may_ask(hub: World, action: str) -> None:
    package = expired(hub, "H29.5")
    recipient = person("clerk", hub.agencies["H29.5"])
    stranger = person("clerk", hub.agencies["H29.121"])
    auditor = person("auditor", name="looks-only")
    before = Event.objects.count()
    for client, status in ((recipient, 404), (stranger, 404), (auditor, 403)):
        assert client.post(address(package, action), {"reason": "x"}).status_code == status
    assert Event.objects.count() == before


def test_what_comes_after_a_withdrawal_leaves_the_buttons_away(hub: World, clerk: Client) -> None:
    package = hub.send("H29", "H29.5").package
    Delivery.objects.filter(package=package, answer=Answer.NONE).update(served_at=NOW)
    url = reverse("admin:exchange_package_change", args=(package.pk,))
    assert address(package, "withdraw") in page(clerk, url)
    row = Delivery.objects.get(package=package)
    clerk.post(address(package, "withdraw"), {"line": [str(row.pk)], "reason": "nhầm"})
    assert address(package, "withdraw") not in page(clerk, url)


# --- attachments ----------------------------------------------------------------------------------------


def test_an_attachment_is_listed_and_given_as_a_download_with_an_event(hub: World, clerk: Client) -> None:
    package = hub.send("H29", "H29.5", attachments=[attach("báo cáo.txt", b"xin chao")]).package
    url = reverse("admin:exchange_package_attachments", args=(package.pk,))
    assert "text/plain · 8 byte" in page(clerk, url)
    response = clerk.get(url + "1/")
    assert b"".join(response.streaming_content) == b"xin chao"  # type: ignore[attr-defined]
    assert response["Content-Disposition"].startswith("attachment")
    assert response["Content-Type"] == "application/octet-stream"
    assert Event.objects.filter(name="AdminAccess").count() == 1
    assert clerk.get(url + "2/").status_code == 404
    assert person("clerk", hub.agencies["H29.121"]).get(url).status_code == 404
