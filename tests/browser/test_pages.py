"""The pages in a real browser: how many clicks the tasks of a clerk take, on which screens, and for whom."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from exchange import delivery
from exchange.models import Delivery, Package, State
from tests.exchange.test_admin_documents import person
from tests.world import World, answer_to

LIST = "/admin/exchange/package/"


def troubled(hub: World) -> Package:
    """A document to four agencies: expired, refused, late, and one that still waits."""
    now = datetime.now(UTC)
    sent = hub.send(
        "H29", "H29.5", "H29.10", "H29.17", "H29.121", subject="Kế hoạch ứng phó ngập lụt", now=now, at=now
    )
    hub.accept(hub.status("H29.10", "02", answer_to(sent), description="Gửi nhầm nơi"), "H29.10", now)
    rows = Delivery.objects.filter(package=sent.package)
    rows.filter(recipient__code="H29.5").update(expires_at=now)
    rows.filter(recipient__code="H29.121").update(
        receipt_due_at=now - timedelta(days=2), reminded_at=now - timedelta(days=1)
    )
    delivery.expire(datetime.now(UTC))
    return sent.package


def test_the_tasks_of_a_clerk_take_the_clicks_that_were_promised(live_hub: World, visit: Any) -> None:
    package = troubled(live_hub)
    clerk = visit(person("clerk", live_hub.agencies["H29"]))
    page = clerk.page

    # Found by its code without a click: Ctrl-K, type, Enter.
    clerk.go("/admin/")
    page.keyboard.press("Control+k")
    page.keyboard.type("101/kh")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{package.pk}/change/")
    assert clerk.clicks == 0

    # Who has not received it, and why: one click in the list; why it was refused: none more.
    clerk.go(LIST)
    clerk.click(".hub-rowlink")
    assert clerk.clicks == 1
    text = clerk.text()
    for words in (
        "0/4 đã tiếp nhận, 1 từ chối, 1 lỗi, 1 quá hạn",
        "không đến lấy văn bản",
        "Lý do: “Gửi nhầm nơi”",
        "Đã trễ hạn xác nhận 2 ngày",
    ):
        assert words in text, words
    order = [
        text.index(name)
        for name in ("Sở Giao thông vận tải\n", "Sở Thông tin và Truyền thông\n", "Sở Y tế\n")
    ]
    assert order == sorted(order)

    # Sent again in two, with the count and the reason in between.
    clerk.clicks = 0
    clerk.click(".hub-state .hub-button.is-primary")
    assert clerk.says("Gửi lại 1 lượt")
    assert clerk.says("không đến lấy văn bản")
    clerk.click("#hub-confirm button[type=submit]")
    assert clerk.clicks == 2
    assert clerk.says("Đã đưa 1 lượt trở lại hàng đợi")
    assert Delivery.objects.get(package=package, recipient__code="H29.5").state == State.QUEUED

    # What is overdue: one click from the overview. Reminded in two.
    clerk.go("/admin/")
    clerk.clicks = 0
    clerk.click(".hub-number-card:has-text('Quá hạn')")
    assert clerk.clicks == 1
    assert clerk.says("101/KH-TEST")
    clerk.go(f"{LIST}{package.pk}/change/")
    clerk.clicks = 0
    clerk.click("text=Nhắc 1 nơi quá hạn")
    clerk.click("#hub-confirm button[type=submit]")
    assert clerk.clicks == 2
    assert clerk.says("Đã nhắc 1 nơi nhận")

    # Withdrawn in two, with a reason typed in between.
    clerk.clicks = 0
    clerk.click(".hub-state .hub-button:has-text('Thu hồi')")
    page.keyboard.type("Sai phụ lục")
    clerk.click("#hub-confirm button[type=submit]")
    assert clerk.clicks == 2
    assert clerk.says("Đã thu hồi")
    assert Delivery.objects.filter(package=package, state=State.WITHDRAWN).exists()


@pytest.mark.parametrize(
    ("width", "height", "dark"), [(390, 844, False), (1366, 768, True)], ids=["phone", "dark"]
)
def test_pages_fit_the_screen_and_axe_finds_no_serious_fault(
    live_hub: World, visit: Any, width: int, height: int, dark: bool
) -> None:
    package = troubled(live_hub)
    clerk = visit(person("clerk", live_hub.agencies["H29"]), width=width, height=height, dark=dark)
    for path in (
        "/admin/",
        LIST,
        f"{LIST}{package.pk}/change/",
        f"{LIST}{package.pk}/withdraw/",
        "/admin/exchange/delivery/",
    ):
        clerk.go(path)
        wide = clerk.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{path} is {wide} px too wide"
        assert ("dark" in (clerk.page.get_attribute("html", "class") or "")) == dark
        assert clerk.faults() == [], path


def test_lists_and_documents_can_be_read_without_javascript(live_hub: World, visit: Any) -> None:
    package = troubled(live_hub)
    clerk = visit(person("clerk", live_hub.agencies["H29"]), scripts=False)
    clerk.go(LIST + "?q=ngap+lut")
    assert clerk.page.locator("text=101/KH-TEST").first.is_visible()
    clerk.click(".hub-rowlink")
    for words in ("0/4 đã tiếp nhận", "Gửi nhầm nơi"):
        assert clerk.page.locator(f"text={words}").first.is_visible()
    clerk.click("text=Xem tệp đính kèm")
    assert str(package.pk) in clerk.page.url


def test_a_document_is_opened_and_sent_again_by_keyboard_alone(live_hub: World, visit: Any) -> None:
    package = troubled(live_hub)
    clerk = visit(person("clerk", live_hub.agencies["H29"]))
    clerk.go(LIST)
    _tab_to(clerk, ".hub-rowlink")
    clerk.page.keyboard.press("Enter")
    clerk.page.wait_for_url(f"**/{package.pk}/change/")
    _tab_to(clerk, ".hub-state .hub-button.is-primary")
    clerk.page.keyboard.press("Enter")
    clerk.page.wait_for_url("**/resend/")
    _tab_to(clerk, "#hub-confirm button[type=submit]")
    clerk.page.keyboard.press("Enter")
    clerk.page.wait_for_url(f"**/{package.pk}/change/")
    assert Delivery.objects.get(package=package, recipient__code="H29.5").state == State.QUEUED


def _tab_to(visitor: Any, selector: str) -> None:
    for _ in range(60):
        visitor.page.keyboard.press("Tab")
        if visitor.page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} cannot be reached by Tab")


ROLE_PAGES = {
    "auditor": ("/admin/", LIST, "/admin/exchange/event/", "/admin/agencies/agency/"),
    "operator": ("/admin/", "/admin/exchange/delivery/?show=failed", "/admin/health/"),
    "registrar": ("/admin/", "/admin/agencies/system/", "/admin/agencies/certificate/"),
}


def test_every_role_finds_its_pages_in_its_own_language(live_hub: World, visit: Any) -> None:
    troubled(live_hub)
    for role, paths in ROLE_PAGES.items():
        visitor = visit(person(role))
        for path in paths:
            visitor.go(path)
            assert visitor.page.locator("#nav-sidebar, #main").first.is_visible(), (role, path)
        assert visitor.page.get_attribute("html", "lang") == "vi"


def test_signing_in_and_out(live_hub: World, visit: Any) -> None:
    user = User.objects.create_user("van.thu", password="mot-mat-khau-dai-2026", is_staff=True)
    visitor = visit()
    visitor.go("/admin/")
    visitor.page.fill("[name=username]", user.username)
    visitor.page.fill("[name=password]", "mot-mat-khau-dai-2026")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_selector("#nav-sidebar")  # the address of the form ends with /admin/ too
    assert visitor.says("Tổng quan")
