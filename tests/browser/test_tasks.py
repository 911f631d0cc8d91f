"""The tasks of a clerk in a real browser take the clicks that the design promises, from after sign-in."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from exchange.models import Delivery, Package, State
from tests.browser.conftest import Visitor
from tests.browser.letters import troubled, wide
from tests.exchange.test_admin_documents import person
from tests.world import World

LIST = "/admin/exchange/package/"


@pytest.fixture
def package(live_hub: World) -> Package:
    return troubled(live_hub)


@pytest.fixture
def clerk(live_hub: World, visit: Any) -> Visitor:
    visitor: Visitor = visit(person("clerk", live_hub.agencies["H29"]))
    return visitor


def page_of(package: Package) -> str:
    return f"{LIST}{package.pk}/change/"


def state_of(package: Package, code: str) -> str:
    return Delivery.objects.get(package=package, recipient__code=code).state


def test_a_document_is_found_by_its_code_without_a_click(package: Package, clerk: Visitor) -> None:
    clerk.go("/admin/")
    clerk.page.keyboard.press("Control+k")
    clerk.page.keyboard.type("101/kh")
    clerk.page.keyboard.press("Enter")
    clerk.arrives(page_of(package))
    assert clerk.clicks == 0


def test_a_document_is_found_by_mouse_in_two(package: Package, clerk: Visitor) -> None:
    clerk.go("/admin/")
    clerk.click("#nav-sidebar a[href$='/exchange/package/']")
    clerk.arrives(LIST)
    clerk.click(".hub-rowlink")
    clerk.arrives(page_of(package))
    assert clerk.clicks == 2


def test_which_of_24_recipients_has_not_received_it_and_why_takes_one(
    live_hub: World, clerk: Visitor
) -> None:
    package = wide(live_hub)
    clerk.go(LIST)
    clerk.click(".hub-rowlink")
    clerk.arrives(page_of(package))
    clerk.sees(
        "0/24 đã tiếp nhận, 1 từ chối, 1 lỗi, 1 quá hạn",
        "3 nơi cần xem lại, nêu ở đầu danh sách; 1 nơi đang chờ giao; 20 nơi đã nhận vào hệ thống",
        "Hết thời hạn giao mà hệ thống “transport” không đến lấy văn bản",
        "Lý do: “Gửi nhầm nơi”",
        "Đã trễ hạn xác nhận 2 ngày",
        "Lần gửi cuối: Không kết nối được",
    )
    assert clerk.clicks == 1
    expect(clerk.page.locator(".is-recipients tbody tr")).to_have_count(24)
    names = clerk.page.locator(".is-recipients tbody th > a").all_inner_texts()
    assert names[:4] == [
        "Sở Giao thông vận tải",
        "Sở Thông tin và Truyền thông",
        "Ủy ban nhân dân thành phố Thủ Đức",
        "Sở Y tế",
    ]


def test_one_failed_delivery_is_sent_again_in_two(package: Package, clerk: Visitor) -> None:
    clerk.go(page_of(package))
    clerk.click(".is-recipients a:has-text('Gửi lại')")
    clerk.sees("Gửi lại 1 lượt", "Sở Giao thông vận tải", "không đến lấy văn bản")
    clerk.click("#hub-confirm button[type=submit]")
    clerk.sees("Đã đưa 1 lượt trở lại hàng đợi")
    assert clerk.clicks == 2
    assert state_of(package, "H29.5") == State.QUEUED


def test_all_failed_ones_are_sent_again_in_two_with_count_and_reasons_between(
    package: Package, clerk: Visitor
) -> None:
    clerk.go(page_of(package))
    clerk.click(".hub-state .hub-button.is-primary")
    clerk.sees("Gửi lại 1 lượt", "không đến lấy văn bản")
    clerk.click("#hub-confirm button[type=submit]")
    clerk.sees("Đã đưa 1 lượt trở lại hàng đợi")
    assert clerk.clicks == 2
    assert state_of(package, "H29.5") == State.QUEUED


def test_what_is_overdue_is_seen_in_one_and_reminded_in_two(package: Package, clerk: Visitor) -> None:
    clerk.go("/admin/")
    clerk.click(".hub-number-card:has-text('Quá hạn')")
    clerk.arrives(f"{LIST}?show=late")
    clerk.sees("101/KH-TEST")
    assert clerk.clicks == 1
    clerk.go(page_of(package))
    clerk.click("text=Nhắc 1 nơi quá hạn")
    clerk.sees("Nhắc nơi nhận quá hạn")
    clerk.click("#hub-confirm button[type=submit]")
    clerk.sees("Đã nhắc 1 nơi nhận")
    assert clerk.clicks == 3


def test_a_document_is_withdrawn_in_two_with_a_reason_typed_between(package: Package, clerk: Visitor) -> None:
    clerk.go(page_of(package))
    clerk.click(".hub-state .hub-button:has-text('Thu hồi')")
    expect(clerk.page.locator("textarea[name=reason]")).to_be_focused()
    clerk.page.keyboard.type("Sai phụ lục")
    clerk.click("#hub-confirm button[type=submit]")
    clerk.sees("Đã thu hồi, hoặc đã gửi yêu cầu lấy lại")
    assert clerk.clicks == 2
    assert state_of(package, "H29.17") == State.WITHDRAWN


def test_the_delivery_proof_is_printed_in_one(package: Package, clerk: Visitor) -> None:
    clerk.go(page_of(package))
    file = clerk.fetch("button:has-text('In xác nhận gửi, nhận')")
    assert clerk.clicks == 1
    assert Path(file.path()).read_bytes().startswith(b"%PDF-")


def test_the_register_of_this_month_is_had_in_two(package: Package, clerk: Visitor) -> None:
    clerk.go("/admin/")
    clerk.click("#nav-sidebar a[href$='/exchange/export/']")
    clerk.sees("Sổ đăng ký văn bản")
    expect(clerk.page.locator("select[name=period]")).to_have_value("this-month")
    file = clerk.fetch("button:has-text('Tải sổ (Excel)')")
    assert clerk.clicks == 2
    assert file.suggested_filename.endswith(".xlsx")
    assert Path(file.path()).read_bytes().startswith(b"PK")
