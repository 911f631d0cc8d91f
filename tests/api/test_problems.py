"""Every error is a problem document."""

import json
from typing import Any

import pytest
from django.core.exceptions import SuspiciousOperation
from django.db import OperationalError
from django.http import Http404
from django.test import Client, RequestFactory
from rest_framework.request import Request

from exchange import door, vault
from exchange.api import problems
from exchange.refusals import CATALOGUE
from tests.api.conftest import Caller, code_of
from tests.world import World

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["", "nothing", "packages/", "packages/not-an-id", "inbox/", "a/b/c?x=y"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_an_unknown_address_is_not_found(client: Client, method: str, path: str) -> None:
    answer = getattr(client, method)(f"/api/v1/{path}")
    assert (answer.status_code, code_of(answer)) == (404, "request.not-found")


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options"])
def test_a_method_that_is_not_offered_is_refused(sender: Caller, method: str) -> None:
    answer = getattr(sender.client, method)(
        "/api/v1/packages", headers={"Authorization": f"Bearer {sender.token}"}
    )
    assert (answer.status_code, code_of(answer)) == (405, "request.method")
    assert answer.headers["Allow"] == "GET, POST"


def test_a_body_that_is_not_json_is_refused_as_media_type(recipient: Caller) -> None:
    answer = recipient.post("/deliveries/018f0000-0000-7000-8000-000000000000/ack", b"x=y", "text/plain")
    assert (answer.status_code, code_of(answer)) == (415, "request.media-type")
    assert "text/plain" in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"sha256": NaN}', b"[]", b"1", b'"text"', b"null"])
def test_broken_json_is_refused(recipient: Caller, body: bytes) -> None:
    answer = recipient.post("/deliveries/018f0000-0000-7000-8000-000000000000/ack", body)
    assert (answer.status_code, code_of(answer)) == (400, "request.invalid")


def test_a_long_json_body_is_refused_before_it_is_read(recipient: Caller) -> None:
    answer = recipient.post(
        "/deliveries/018f0000-0000-7000-8000-000000000000/ack", b'"' + b"x" * 70_000 + b'"'
    )
    assert (answer.status_code, code_of(answer)) == (413, "package.too-large")


def test_a_wrong_value_is_named_by_its_pointer(recipient: Caller) -> None:
    answer = recipient.post("/deliveries/018f0000-0000-7000-8000-000000000000/ack", {"sha256": ""})
    assert code_of(answer) == "request.invalid"
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/sha256"]


def test_a_wrong_value_inside_another_is_named_by_its_pointer(sender: Caller, hub: World) -> None:
    delivery = sender.send(hub.document("H29", "H29.5")).json()["deliveries"][0]["id"]
    answer = sender.post(f"/deliveries/{delivery}/status", {"code": "13", "staff": {"email": []}})
    assert code_of(answer) == "request.invalid"
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/staff/email"]


def test_an_unknown_name_inside_another_value_is_refused(sender: Caller, hub: World) -> None:
    delivery = sender.send(hub.document("H29", "H29.5")).json()["deliveries"][0]["id"]
    answer = sender.post(f"/deliveries/{delivery}/status", {"code": "13", "staff": {"nick": "x"}})
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/staff/nick"]


def test_an_unknown_name_in_a_query_is_refused_not_ignored(sender: Caller) -> None:
    answer = sender.get("/packages", directon="sent")
    assert code_of(answer) == "request.invalid"
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/directon"]


@pytest.mark.parametrize(
    ("language", "title"), [("en", "Not found"), ("vi", "Không tìm thấy"), ("fr", "Không")]
)
def test_texts_are_vietnamese_unless_english_is_asked_for(client: Client, language: str, title: str) -> None:
    answer = client.get("/api/v1/nothing", headers={"Accept-Language": language})
    assert answer.json()["title"].startswith(title)


def test_accept_never_changes_the_form_of_an_answer(sender: Caller) -> None:
    assert (
        sender.get("/agencies", headers={"Accept": "text/html"}).headers["Content-Type"] == "application/json"
    )


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_code_has_its_page(client: Client, code: str) -> None:
    answer = client.get(f"/api/v1/problems/{code}")
    assert answer.status_code == 200
    assert answer.json()["detail"] == {"vi": CATALOGUE[code].vi, "en": CATALOGUE[code].en}


def test_a_code_that_does_not_exist_has_no_page(client: Client) -> None:
    assert code_of(client.get("/api/v1/problems/nothing")) == "request.not-found"


def test_a_fault_of_the_hub_is_a_problem_too_and_tells_nothing_of_its_inside(
    sender: Caller, hub: World
) -> None:
    sent = sender.send(hub.document("H29", "H29.5")).json()
    vault.path_of(sent["sha256"]).unlink()
    answer = sender.get(f"/packages/{sent['id']}/content")
    assert (answer.status_code, code_of(answer)) == (500, "hub.error")
    assert sent["sha256"] not in answer.content.decode()


def handled(rf: RequestFactory, error: Exception) -> Any:
    return problems.exception_handler(error, {"request": Request(rf.get("/api/v1/packages"))})


def test_a_database_that_is_away_is_a_503(rf: RequestFactory) -> None:
    answer = handled(rf, OperationalError("gone"))
    assert (answer.status_code, json.loads(answer.content)["code"]) == (503, "hub.unavailable")


def test_a_throttled_client_is_told_when_to_come_back(rf: RequestFactory) -> None:
    answer = handled(rf, door.TooMany(door.Credit(limit=600, left=0, seconds=7)))
    assert (answer.status_code, answer["Retry-After"], answer["RateLimit-Limit"]) == (429, "7", "600")


@pytest.mark.parametrize(
    ("handler", "arguments", "status"),
    [
        (problems.bad_request, (SuspiciousOperation("x"),), 400),
        (problems.permission_denied, (Exception("x"),), 401),
        (problems.not_found, (Http404("x"),), 404),
        (problems.server_error, (), 500),
    ],
)
def test_the_handlers_of_django_answer_with_a_problem_only_under_api(
    rf: RequestFactory, handler: Any, arguments: tuple[Exception, ...], status: int
) -> None:
    of_api = handler(rf.get("/api/v1/x"), *arguments)
    assert (of_api.status_code, of_api["Content-Type"]) == (status, problems.MEDIA_TYPE)
    assert handler(rf.get("/kiem-tra"), *arguments)["Content-Type"].startswith("text/html")
