"""The OpenAPI description, and the page that shows it."""

import json
import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema

from exchange.api import urls
from exchange.api.endpoint import Endpoint

pytestmark = pytest.mark.once

PUBLIC = {"list_logs", "get_checkpoint", "get_checkpoint_of", "get_consistency", "get_consistency_of"} | {
    "list_anchors"
}
NOT_DESCRIBED = {
    "api-problem",
    "api-schema",
    "api-docs",
    "api-add-checkpoint",
}  # the last: c2sp.org/tlog-witness


@pytest.fixture
def schema(client: Client) -> Any:
    """As a client fetches it."""
    GENERATOR_STATS.reset()
    return json.loads(client.get("/api/v1/schema/?format=json").content)


def operations(schema: Any) -> list[tuple[str, str, Any]]:
    return [(path, method, item) for path, by in schema["paths"].items() for method, item in by.items()]


def test_the_description_is_valid_openapi_and_made_without_a_warning(schema: Any) -> None:
    assert not GENERATOR_STATS
    assert schema["openapi"].startswith("3.1")
    validate_schema(schema)


def test_every_endpoint_is_described_with_every_method(schema: Any) -> None:
    described = {(path, method) for path, method, _ in operations(schema)}
    views = [pattern for pattern in urls.urlpatterns if pattern.name and pattern.name not in NOT_DESCRIBED]
    real = {
        ("/api/v1/" + re.sub(r"<\w+:(\w+)>", r"{\1}", str(pattern.pattern)), method)
        for pattern in views
        for method in Endpoint.http_method_names
        if hasattr(pattern.callback.cls, method)  # type: ignore[attr-defined]
    }
    assert described == real


def test_every_operation_names_its_scopes_and_its_problems(schema: Any) -> None:
    for path, method, operation in operations(schema):
        public = operation["operationId"] in PUBLIC
        assert all(len(choice["oauth2"]) == 1 for choice in operation.get("security", ())), path
        assert bool(operation.get("security")) is not public, path
        assert {"401", "403", "503"} <= set(operation["responses"]), (path, method)
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                content = response["content"]["application/problem+json"]
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                assert content["examples"]


def test_the_body_of_a_package_is_described_as_bytes(schema: Any) -> None:
    content = schema["paths"]["/api/v1/packages"]["post"]["requestBody"]["content"]
    assert set(content) >= {"application/edxml+xml", "application/xml", "application/octet-stream"}


def test_the_description_can_be_fetched_as_yaml_too(client: Client) -> None:
    assert client.get("/api/v1/schema/").content.startswith(b"openapi: 3.1")


SCRIPT = "/api/v1/docs/?script="


def test_the_page_names_no_foreign_host(client: Client) -> None:
    page = client.get("/api/v1/docs/").content.decode()
    foreign = [url for url in re.findall(r"(?:https?:)?//[\w.-]+\.\w+", page) if "127.0.0.1" not in url]
    assert foreign == []
    assert '"validatorUrl": null' in client.get(SCRIPT).content.decode()


def test_everything_that_the_page_loads_is_a_file_of_this_hub(client: Client) -> None:
    page = client.get("/api/v1/docs/").content.decode()
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) >= 4
    for address in loaded:
        if address == SCRIPT:
            continue
        assert address.startswith(f"/{settings.STATIC_URL.strip('/')}/"), address
        assert finders.find(address.removeprefix("/static/")), address
    assert reverse("api-schema").endswith("/schema/")
