"""Callers of the API: a system of the small city with a token that it fetched itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from exchange import waiting
from tests.world import World

Call = Callable[..., "Caller"]
EDXML = "application/edxml+xml"


@dataclass(frozen=True, slots=True)
class Caller:
    """A system that calls the API with its token."""

    client: Client
    token: str

    def get(self, path: str, **query: Any) -> Any:
        """GET /api/v1{path}."""
        headers = query.pop("headers", {})
        return self.client.get(f"/api/v1{path}", query, headers=self._headers(headers))

    def post(self, path: str, body: Any = None, content_type: str = "application/json", **extra: Any) -> Any:
        """POST /api/v1{path}."""
        headers = self._headers(extra.pop("headers", {}))
        return self.client.post(f"/api/v1{path}", body, content_type=content_type, headers=headers, **extra)

    def send(self, raw: bytes, path: str = "/packages", **extra: Any) -> Any:
        """POST the bytes of a package."""
        return self.post(path, raw, content_type=EDXML, **extra)

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", **more}


def fetch_token(client: Client, credentials: tuple[str, str], **form: str) -> Any:
    """POST /oauth/token with the client's credentials in the form."""
    client_id, secret = credentials
    body = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret, **form}
    return client.post("/oauth/token", body)


@pytest.fixture
def caller(hub: World, client: Client) -> Call:
    """`caller("H29.5")`: the system of that agency with all its scopes, or with those named."""

    def make(code: str, **form: str) -> Caller:
        name = hub.system_of(code).name
        return Caller(client, fetch_token(client, hub.clients[name], **form).json()["access_token"])

    return make


@pytest.fixture
def sender(caller: Call) -> Caller:
    """The system of H29 and H29.10."""
    return caller("H29")


@pytest.fixture
def recipient(caller: Call) -> Caller:
    """The system of H29.5, which fetches."""
    return caller("H29.5")


def code_of(response: Any) -> str:
    """The code of a problem; fails when the answer is not a problem document with the right status."""
    assert response.headers["Content-Type"] == "application/problem+json", response.content
    body = response.json()
    assert body["status"] == response.status_code
    assert body["type"] == f"http://127.0.0.1:8000/api/v1/problems/{body['code']}"
    assert body["request_id"] == response.headers["X-Request-Id"]
    assert body["title"]
    assert body["detail"]
    assert body["errors"]
    return str(body["code"])


@pytest.fixture
def ticket() -> Iterator[waiting.Ticket]:
    """A request that can be put aside; use it with `waiting.asking`."""
    made = waiting.Ticket(lambda: None)
    yield made
    waiting.desk.leave(made)
