"""The pages in a real browser: on which screens, for whom, with what they can do without."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from exchange.models import Delivery, Event, Package, State
from tests.browser.letters import troubled
from tests.exchange.test_admin_documents import person
from tests.world import World

LIST = "/admin/exchange/package/"


def pages_of(hub: World, package: Package) -> dict[str, tuple[str, ...]]:
    """The pages that people of each role work with."""
    document, event = f"{LIST}{package.pk}/", Event.objects.filter(package=package.pk)[0]
    agency, system = hub.agencies["H29.17"], hub.systems["health"]
    row = Delivery.objects.get(package=package, recipient=agency)
    sent = f"/admin/exchange/delivery/{row.pk}/change/"
    registered = f"/admin/agencies/system/{system.pk}/"
    return {
        "clerk": (
            *("/admin/", LIST, f"{document}change/", f"{document}withdraw/", "/admin/exchange/delivery/"),
            *(f"{LIST}?show=refused", sent),
            *("/admin/exchange/export/", "/admin/exchange/export/new/", "/admin/second-factor/"),
        ),
        "auditor": (
            *("/admin/", LIST, "/admin/exchange/event/", f"/admin/exchange/event/{event.pk}/change/"),
            *("/admin/agencies/agency/", f"/admin/agencies/agency/{agency.pk}/change/", "/admin/health/"),
        ),
        "operator": (
            *("/admin/", "/admin/exchange/delivery/?show=failed", sent, "/admin/health/"),
            *(f"{registered}change/", f"{registered}pause/"),
        ),
        "registrar": (
            *("/admin/", "/admin/agencies/system/", f"{registered}change/", f"{registered}webhook/"),
            *("/admin/agencies/certificate/", "/admin/agencies/agency/"),
        ),
    }


@pytest.mark.parametrize("role", ["clerk", "auditor", "operator", "registrar"])
@pytest.mark.parametrize(
    "screen",
    [{"width": 390, "height": 844}, {"width": 1366, "height": 768, "dark": True}],
    ids=["phone", "dark"],
)
def test_pages_fit_the_screen_and_axe_finds_no_serious_fault(
    live_hub: World, visit: Any, role: str, screen: dict[str, Any]
) -> None:
    package = troubled(live_hub)
    client = person(role, live_hub.agencies["H29"] if role == "clerk" else None)
    client.post(f"{LIST}saved/?show=failed", {"name": "Lỗi chuyển của phòng chúng tôi từ đầu năm đến nay"})
    visitor = visit(client, **screen)
    for path in pages_of(live_hub, package)[role]:
        visitor.go(path)
        wide = visitor.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{path} is {wide} px too wide"
        assert ("dark" in (visitor.page.get_attribute("html", "class") or "")) == screen.get("dark", False)
        assert visitor.faults() == [], path


def test_lists_and_documents_can_be_read_without_javascript(live_hub: World, visit: Any) -> None:
    package = troubled(live_hub)
    clerk = visit(person("clerk", live_hub.agencies["H29"]), scripts=False)
    clerk.go(LIST + "?q=ngap+lut")
    clerk.sees("101/KH-TEST")
    clerk.click(".hub-rowlink")
    clerk.sees("0/4 đã tiếp nhận", "Gửi nhầm nơi")
    clerk.click("text=Xem tệp đính kèm")
    clerk.arrives(f"/{package.pk}/attachments/")


def test_a_filter_is_kept_and_dropped_without_javascript(live_hub: World, visit: Any) -> None:
    clerk = visit(person("clerk", live_hub.agencies["H29"]), scripts=False)
    clerk.go(LIST + "?show=refused")
    clerk.click("summary:has-text('Lưu bộ lọc này')")
    clerk.page.fill("[name=name]", "Bị từ chối")
    clerk.click("button:text-is('Lưu')")
    clerk.sees("Đã lưu bộ lọc “Bị từ chối”.")
    clerk.go(LIST)
    clerk.click("a:has-text('Bị từ chối')")
    clerk.arrives("?show=refused")
    clerk.click("button[aria-label='Xóa bộ lọc đã lưu: Bị từ chối']")
    clerk.sees("Đã xóa bộ lọc “Bị từ chối”.")


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


def test_signing_in_and_out(live_hub: World, visit: Any) -> None:
    user = User.objects.create_user("van.thu", password="mot-mat-khau-dai-2026", is_staff=True)
    visitor = visit()
    visitor.go("/admin/")
    visitor.page.fill("[name=username]", user.username)
    visitor.page.fill("[name=password]", "mot-mat-khau-dai-2026")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_selector("#nav-sidebar")  # the address of the form ends with /admin/ too
    visitor.sees("Tổng quan")
