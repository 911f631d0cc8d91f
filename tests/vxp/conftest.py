"""Clients of the VXP face: real ones, whose requests go into the hub of the test instead of a socket."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from exchange import registry
from fixtures import vxp
from tests.world import ACTOR, World

ENDPOINT = "http://127.0.0.1/vxp"


class Client(vxp.Client):
    """The client, with the socket replaced: headers arrive as WSGI gives them (PEP 3333)."""

    browser: Browser

    def exchange(self, method: str, name: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """One request."""
        meta: dict[str, Any] = {}
        for key, value in headers.items():
            wsgi, text = "HTTP_" + key.upper().replace("-", "_"), value.encode().decode("latin-1")
            meta[wsgi] = f"{meta[wsgi]},{text}" if wsgi in meta else text
        content_type = meta.pop("HTTP_CONTENT_TYPE")
        path = f"{self._url.path}/{name}"
        answer = self.browser.generic(method, path, body, content_type=content_type, **meta)
        raw = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
        return answer.status_code, raw


Connect = Callable[..., Client]


def enrol(hub: World, code: str) -> tuple[str, str]:
    """Make the system of agency `code` one of the VXP face; its systemid and secret."""
    system, by = hub.system_of(code), registry.Change(ACTOR, timezone.now())
    named = f"vxp.{code}"
    registry.update_system(
        system, by=by, kind="vxp", vxp_id=named, signature_policy="report", duplicate_policy="warn"
    )
    return named, registry.replace_vxp_secret(system, by=by)


@pytest.fixture
def connect(hub: World, client: Browser) -> Connect:
    """`connect("H29.5")`: the system of that agency as a client of the VXP face."""
    secrets: dict[str, tuple[str, str]] = {}

    def make(code: str, endpoint: str = ENDPOINT, **quirks: Any) -> Client:
        if code not in secrets:
            secrets[code] = enrol(hub, code)
        made = Client(endpoint, *secrets[code], **quirks)
        made.browser = client
        return made

    return make


@pytest.fixture
def transport(connect: Connect) -> Client:
    """The system of H29.5."""
    return connect("H29.5")


@pytest.fixture
def district(connect: Connect) -> Client:
    """The system of H29.121."""
    return connect("H29.121")
