"""Who may call what."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from oauth2_provider.models import AccessToken

from agencies.models import Credential
from exchange import registry
from exchange.api import urls
from exchange.api.endpoint import Endpoint
from exchange.api.log import PublicEndpoint
from tests.api.conftest import Call, Caller, code_of
from tests.world import ACTOR, World

pytestmark = pytest.mark.django_db
SCOPES = {"send", "receive", "directory", "audit"}


def endpoints() -> list[type[Endpoint]]:
    classes = [getattr(pattern.callback, "cls", None) for pattern in urls.urlpatterns]
    return [found for found in classes if found and issubclass(found, Endpoint)]


@pytest.mark.parametrize("view", endpoints(), ids=lambda view: view.__name__)
def test_every_method_of_every_endpoint_asks_for_a_scope(view: type[Endpoint]) -> None:
    if issubclass(view, PublicEndpoint):
        assert (view.http_method_names, view.required_scope) == (["get", "post"], {})
        assert not hasattr(view, "post")
        return
    methods = {name.upper() for name in view.http_method_names if hasattr(view, name)}
    assert methods == set(view.required_scope)
    assert all(scopes and set(scopes) <= SCOPES for scopes in view.required_scope.values())


def test_a_request_without_a_token_is_refused(client: Client) -> None:
    answer = client.get("/api/v1/agencies")
    assert (answer.status_code, code_of(answer)) == (401, "auth.required")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="hub.test"'


@pytest.mark.parametrize("header", ["Bearer", "Bearer x", "bearer  ", "Basic eDp5", "Bearer é", "Token x"])
def test_a_token_that_the_hub_never_gave_is_refused(client: Client, header: str) -> None:
    answer = client.get("/api/v1/agencies", headers={"Authorization": header})
    assert (answer.status_code, code_of(answer)) == (401, "auth.required")


def test_an_expired_token_is_refused(sender: Caller) -> None:
    AccessToken.objects.update(expires=datetime.now(UTC) - timedelta(seconds=1))
    answer = sender.get("/agencies")
    assert (answer.status_code, code_of(answer)) == (401, "auth.expired")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_the_token_of_a_suspended_system_is_refused(sender: Caller, hub: World) -> None:
    registry.suspend_system(hub.systems["office"], by=registry.Change(ACTOR, datetime.now(UTC)))
    assert code_of(sender.get("/agencies")) == "sender.suspended"


def test_the_token_of_a_revoked_credential_is_refused(sender: Caller, hub: World) -> None:
    credential = Credential.objects.get(client_id=hub.clients["office"][0])
    registry.revoke_credential(credential, by=registry.Change(ACTOR, datetime.now(UTC)))
    assert code_of(sender.get("/agencies")) == "auth.required"


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        ("receive", "post", "/packages"),
        ("receive", "post", "/packages/validate"),
        ("directory", "get", "/packages"),
        ("send", "get", "/inbox"),
        ("send", "get", "/agencies"),
        ("send", "post", "/deliveries/018f0000-0000-7000-8000-000000000000/ack"),
        ("directory", "post", "/deliveries/018f0000-0000-7000-8000-000000000000/status"),
    ],
)
def test_a_token_without_the_scope_is_refused(caller: Call, scope: str, method: str, path: str) -> None:
    answer = getattr(caller("H29", scope=scope), method)(path)
    assert (answer.status_code, code_of(answer)) == (403, "auth.scope")


def test_authentication_costs_one_query(sender: Caller, django_assert_num_queries: Any) -> None:
    sender.get("/agencies/H29")
    with django_assert_num_queries(1):
        assert code_of(sender.get("/packages", limit="nonsense")) == "request.invalid"


def test_the_token_itself_is_not_needed_to_stand_in_the_database(sender: Caller) -> None:
    AccessToken.objects.update(token="")
    assert sender.get("/agencies").status_code == 200
