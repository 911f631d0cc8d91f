"""The pages in a real browser: on which screens, for whom, with what they can do without."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from exchange.models import Delivery, State
from tests.browser.letters import troubled
from tests.exchange.test_admin_documents import person
from tests.world import World

LIST = "/admin/exchange/package/"


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
    clerk.sees("101/KH-TEST")
    clerk.click(".hub-rowlink")
    clerk.sees("0/4 đã tiếp nhận", "Gửi nhầm nơi")
    clerk.click("text=Xem tệp đính kèm")
    clerk.arrives(f"/{package.pk}/attachments/")


def test_a_document_is_opened_and_sent_again_by_keyboard_alone(live_hub: World, visit: Any) -> None:
    package = troubled(live_hub)
    clerk = visit(person("clerk", live_hub.agencies["H29"]))
    clerk.go(LIST)
    _tab_to(clerk, ".hub-rowlink")
    clerk.page.keyboard.press("Enter")
    clerk.arrives(f"/{package.pk}/change/")
    _tab_to(clerk, ".hub-state .hub-button.is-primary")
    clerk.page.keyboard.press("Enter")
    clerk.arrives("/resend/")
    _tab_to(clerk, "#hub-confirm button[type=submit]")
    clerk.page.keyboard.press("Enter")
    clerk.sees("Đã đưa 1 lượt trở lại hàng đợi")
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
            expect(visitor.page.locator("#nav-sidebar, #main").first).to_be_visible()
        assert visitor.page.get_attribute("html", "lang") == "vi"


def test_signing_in_and_out(live_hub: World, visit: Any) -> None:
    user = User.objects.create_user("van.thu", password="mot-mat-khau-dai-2026", is_staff=True)
    visitor = visit()
    visitor.go("/admin/")
    visitor.page.fill("[name=username]", user.username)
    visitor.page.fill("[name=password]", "mot-mat-khau-dai-2026")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_selector("#nav-sidebar")  # the address of the form ends with /admin/ too
    visitor.sees("Tổng quan")
