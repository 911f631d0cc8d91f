"""Filters kept above the lists: found again by their owner alone, never more than a query of that list."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from exchange.admin import saved_filters
from exchange.models import SavedFilter
from tests.exchange.test_admin_documents import LIST, page, person
from tests.world import World

DELIVERIES = "/admin/exchange/delivery/"


@pytest.fixture
def clerk(hub: World) -> Client:
    return person("clerk", hub.agencies["H29"])


def keep(client: Client, query: str, name: str, of: str = LIST) -> Any:
    return client.post(f"{of}saved/?{query}", {"name": name}, follow=True)


def test_a_filter_is_kept_under_a_name_and_opened_again_by_its_link(hub: World, clerk: Client) -> None:
    hub.send("H29", "H29.5", subject="Đề án đô thị")
    hub.send("H29", "H29.121", subject="Việc khác")
    filtered = "q=do+thi&show=all&priority=&from=01%2F11%2F2026"
    assert "Lưu bộ lọc này" in page(clerk, f"{LIST}?{filtered}")
    said = keep(clerk, filtered + "&after=20261123T020000.000000_x", "  Đô   thị <b> ").content.decode()
    assert "Đã lưu bộ lọc “Đô thị &lt;b&gt;”." in said
    assert "<b> " not in said
    row = SavedFilter.objects.get()
    assert (row.name, row.query) == ("Đô thị <b>", "from=01%2F11%2F2026&q=do+thi")
    assert f'href="?{row.query.replace("&", "&amp;")}"' in page(clerk, LIST)
    opened = clerk.get(f"{LIST}?{row.query}")
    assert [item["package"].subject for item in opened.context["documents"]] == ["Đề án đô thị"]
    assert "Lưu bộ lọc này" not in opened.content.decode()


def test_a_filter_belongs_to_one_person_and_one_list(hub: World, clerk: Client) -> None:
    keep(clerk, "show=failed", "Của tôi")
    row = SavedFilter.objects.get()
    colleague, auditor = person("clerk", hub.agencies["H29"], "colleague"), person("auditor")
    for other in (colleague, auditor):
        assert "Của tôi" not in page(other, LIST)
        assert other.post(f"{LIST}saved/{row.pk}/drop/").status_code == 404
    assert "Của tôi" not in page(clerk, DELIVERIES)
    assert clerk.post(f"{DELIVERIES}saved/{row.pk}/drop/").status_code == 404
    keep(colleague, "show=late", "Của tôi")
    keep(clerk, "state=expired", "Của tôi", DELIVERIES)
    assert SavedFilter.objects.count() == 3


def test_a_filter_is_dropped_by_its_owner(clerk: Client) -> None:
    keep(clerk, "show=failed", "Bỏ đi")
    address = reverse("admin:exchange_package_filter_drop", args=(SavedFilter.objects.get().pk,))
    assert clerk.get(address).status_code == 405
    assert "Đã xóa bộ lọc “Bỏ đi”." in clerk.post(address, follow=True).content.decode()
    assert not SavedFilter.objects.exists()


@pytest.mark.parametrize(
    "query",
    [
        "next=//evil.example",
        "show=none",
        "q=a&package__subject=b",
        "from=2026-13-01",
        "kind=https://evil.example",
    ],
)
def test_what_no_list_has_is_not_kept(clerk: Client, query: str) -> None:
    assert keep(clerk, query, "x").status_code == 400
    assert keep(clerk, "recipient=//evil.example", "x", DELIVERIES).status_code == 400
    assert not SavedFilter.objects.exists()


def test_a_search_that_looks_like_an_address_stays_a_word_in_the_query(clerk: Client) -> None:
    answer = clerk.post(f"{LIST}saved/?q=//evil.example%26x%3D%22%3E", {"name": "x"})
    assert answer["Location"] == f"{LIST}?q=%2F%2Fevil.example%26x%3D%22%3E"
    assert clerk.get(answer["Location"]).status_code == 200


@pytest.mark.parametrize(
    ("query", "name", "words"),
    [
        ("show=all&after=", "Tên", "Danh sách chưa được lọc"),
        ("q=a", " \n ", "Tên bộ lọc cần từ 1 đến 60 ký tự"),
        ("q=a", "a" * 61, "Tên bộ lọc cần từ 1 đến 60 ký tự"),
        ("q=a", "a\u202eb\x00", "Tên bộ lọc cần từ 1 đến 60 ký tự"),
        ("q=" + "a" * 1000, "Tên", "Bộ lọc quá dài"),
    ],
)
def test_what_cannot_be_kept_is_said(clerk: Client, query: str, name: str, words: str) -> None:
    assert words in keep(clerk, query, name).content.decode()
    assert not SavedFilter.objects.exists()


def test_a_name_is_taken_once_and_a_list_keeps_no_more_than_the_most(
    clerk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_filters, "MOST", 2)
    keep(clerk, "show=failed", "Một")
    assert "Đã có bộ lọc “Một”" in keep(clerk, "show=late", "Một").content.decode()
    keep(clerk, "show=late", "Hai")
    assert "nhiều nhất 2 bộ lọc" in keep(clerk, "show=ended", "Ba").content.decode()
    assert dict(SavedFilter.objects.values_list("name", "query")) == {
        "Một": "show=failed",
        "Hai": "show=late",
    }


def test_keeping_wants_the_token_the_method_and_the_right(hub: World, clerk: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="clerk-H29"))
    assert strict.post(f"{LIST}saved/?show=failed", {"name": "x"}).status_code == 403
    assert clerk.get(f"{LIST}saved/?show=failed").status_code == 405
    assert keep(person("operator"), "show=failed", "x").status_code == 403
    assert not SavedFilter.objects.exists()
