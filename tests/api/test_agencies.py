"""/agencies: the directory."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from exchange import registry
from tests.api.conftest import Caller, code_of
from tests.world import ACTOR, NOW, World

pytestmark = pytest.mark.django_db


def codes(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [item["code"] for item in answer.json()["items"]]


def by() -> registry.Change:
    return registry.Change(ACTOR, datetime.now(UTC))


def test_the_directory_lists_every_agency_in_order_of_code(sender: Caller) -> None:
    assert codes(sender.get("/agencies")) == ["H29", "H29.10", "H29.121", "H29.17", "H29.5"]


def test_an_agency_is_described_in_full(sender: Caller, hub: World) -> None:
    agency = sender.get("/agencies/H29.5").json()
    updated = agency.pop("updated_at")
    assert datetime.fromisoformat(updated).tzinfo is not None
    assert agency == {
        "code": "H29.5",
        "aliases": ["000.00.05.H29"],
        "name": "Sở Giao thông vận tải",
        "name_en": "",
        "parent": None,
        "validity": [
            {"code": "000.00.05.H29", "valid_from": None, "valid_until": None},
            {"code": "H29.5", "valid_from": None, "valid_until": None},
        ],
        "reachable": True,
    }


def test_the_parent_is_named_by_its_code(sender: Caller, hub: World) -> None:
    registry.update_agency(hub.agencies["H29.5"], by=by(), parent=hub.agencies["H29"])
    assert sender.get("/agencies/H29.5").json()["parent"] == "H29"
    assert {item["code"]: item["parent"] for item in sender.get("/agencies").json()["items"]}[
        "H29.5"
    ] == "H29"


@pytest.mark.parametrize("code", ["H29.5", "h29.5", "000.00.05.H29", "000.00.05.h29"])
def test_an_agency_is_found_by_any_of_its_codes(sender: Caller, code: str) -> None:
    assert sender.get(f"/agencies/{code}").json()["code"] == "H29.5"


@pytest.mark.parametrize("code", ["H29.99", "H", "\x00", "H29.5\x00", "x" * 500, "🏛", "%2e%2e"])
def test_an_unknown_code_is_not_found(sender: Caller, code: str) -> None:
    assert code_of(sender.get(f"/agencies/{quote(code)}")) == "request.not-found"


@pytest.mark.parametrize("q", ["giao thong", "GIAO THÔNG", "sở giao", "h29.5", "000.00.05"])
def test_search_ignores_case_and_marks(sender: Caller, q: str) -> None:
    assert codes(sender.get("/agencies", q=q)) == ["H29.5"]


def test_an_empty_search_finds_everything(sender: Caller) -> None:
    assert len(codes(sender.get("/agencies", q=""))) == 5


def test_a_copy_of_the_directory_is_kept_fresh_by_time_of_change(sender: Caller, hub: World) -> None:
    registry.update_agency(
        hub.agencies["H29.5"], by=registry.Change(ACTOR, NOW + timedelta(1)), name="Sở mới"
    )
    since = (NOW + timedelta(hours=1)).isoformat()
    assert codes(sender.get("/agencies", updated_since=since)) == ["H29.5"]


def test_an_agency_whose_system_is_suspended_is_not_reachable(sender: Caller, hub: World) -> None:
    registry.suspend_system(hub.systems["transport"], by=by())
    assert sender.get("/agencies/H29.5").json()["reachable"] is False


def test_an_unchanged_entry_is_not_sent_again(sender: Caller, hub: World) -> None:
    for path in ("/agencies/H29.5", "/agencies"):
        fresh = {"If-None-Match": sender.get(path).headers["ETag"]}
        assert sender.get(path, headers=fresh).status_code == 304
        registry.update_agency(hub.agencies["H29.5"], by=by(), name=f"Tên mới {path}")
        assert sender.get(path, headers=fresh).status_code == 200


def test_pages_follow_each_other(sender: Caller) -> None:
    page = sender.get("/agencies", limit=2, q="h29")
    seen = codes(page)
    while following := page.json()["next"]:
        assert page.headers["Link"] == f'<{following}>; rel="next"'
        page = sender.get(following.removeprefix("http://127.0.0.1:8000/api/v1"))
        seen += codes(page)
    assert seen == ["H29", "H29.10", "H29.121", "H29.17", "H29.5"]


def test_a_list_takes_the_same_queries_however_long_it_is(
    sender: Caller, django_assert_max_num_queries: Any
) -> None:
    sender.get("/agencies")  # the process remembers the token
    with django_assert_max_num_queries(3):
        sender.get("/agencies")


@pytest.mark.parametrize("cursor", ["WyJcdTAwMDAiXQ", "WyJcdWQ4MDAiXQ", "W10", "WzFd", "bnVsbA"])
def test_a_cursor_that_the_hub_never_gave_is_refused(sender: Caller, cursor: str) -> None:
    assert code_of(sender.get("/agencies", cursor=cursor)) == "request.invalid"
