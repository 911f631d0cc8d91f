"""POST /oauth/token."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from agencies.models import Credential
from exchange import registry
from tests.api.conftest import fetch_token
from tests.world import ACTOR, World

pytestmark = pytest.mark.django_db


def test_credentials_in_the_form_give_a_token_with_all_scopes_of_the_credential(
    hub: World, client: Client
) -> None:
    answer = fetch_token(client, hub.clients["office"]).json()
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 3600
    assert set(answer["scope"].split()) == {"send", "receive", "directory"}
    assert "refresh_token" not in answer


def test_credentials_by_http_basic_give_a_token(hub: World, client: Client) -> None:
    basic = b64encode(":".join(hub.clients["office"]).encode()).decode()
    answer = client.post(
        "/oauth/token", {"grant_type": "client_credentials"}, headers={"Authorization": f"Basic {basic}"}
    )
    assert answer.status_code == 200


def test_a_token_may_be_asked_for_with_fewer_scopes(hub: World, client: Client) -> None:
    assert fetch_token(client, hub.clients["office"], scope="send").json()["scope"] == "send"


@pytest.mark.parametrize("scope", ["audit", "send audit", "everything"])
def test_a_scope_that_the_credential_does_not_have_is_refused(hub: World, client: Client, scope: str) -> None:
    answer = fetch_token(client, hub.clients["office"], scope=scope)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


def test_a_credential_with_the_audit_scope_gets_it(hub: World, client: Client) -> None:
    by = registry.Change(ACTOR, datetime.now(UTC))
    auditor = registry.issue_credential(hub.systems["office"], by=by, scopes=["audit"])
    assert fetch_token(client, auditor).json()["scope"] == "audit"


def test_a_wrong_secret_gets_no_token(hub: World, client: Client) -> None:
    answer = fetch_token(client, (hub.clients["office"][0], "wrong"))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("client_id", ["nobody", "\x00nobody", ""])
def test_an_unknown_client_gets_no_token(hub: World, client: Client, client_id: str) -> None:
    assert fetch_token(client, (client_id, "wrong")).json()["error"] == "invalid_client"


def test_a_suspended_system_gets_no_token(hub: World, client: Client) -> None:
    registry.suspend_system(hub.systems["office"], by=registry.Change(ACTOR, datetime.now(UTC)))
    assert fetch_token(client, hub.clients["office"]).json()["error"] == "invalid_client"


def test_a_revoked_credential_gets_no_token(hub: World, client: Client) -> None:
    credential = Credential.objects.get(client_id=hub.clients["office"][0])
    registry.revoke_credential(credential, by=registry.Change(ACTOR, datetime.now(UTC)))
    assert fetch_token(client, hub.clients["office"]).json()["error"] == "invalid_client"


def test_a_rotated_credential_works_until_the_overlap_ends(hub: World, client: Client) -> None:
    by = registry.Change(ACTOR, datetime.now(UTC))
    fresh = registry.rotate_credential(hub.systems["office"], timedelta(hours=1), by=by)
    assert fetch_token(client, hub.clients["office"]).status_code == 200
    assert fetch_token(client, fresh).status_code == 200


@pytest.mark.parametrize(
    "grant",
    ["password", "refresh_token", "authorization_code", "urn:ietf:params:oauth:grant-type:device_code"],
)
def test_no_other_grant_is_offered(hub: World, client: Client, grant: str) -> None:
    answer = fetch_token(
        client, hub.clients["office"], grant_type=grant, username="a", password="b", code="c"
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


@pytest.mark.parametrize("path", ["authorize/", "applications/", "introspect/", "revoke_token/", "device/"])
def test_no_other_page_of_the_oauth_library_is_served(client: Client, path: str) -> None:
    assert client.get(f"/oauth/{path}").status_code == 404


def test_a_token_cannot_be_asked_for_by_get(client: Client) -> None:
    assert client.get("/oauth/token").status_code == 405


def test_a_form_too_long_for_a_token_request_is_refused_unread(hub: World, client: Client) -> None:
    assert fetch_token(client, hub.clients["office"], more="x" * 20_000).status_code == 413


def test_the_answer_with_a_token_is_kept_by_no_cache(hub: World, client: Client) -> None:
    assert fetch_token(client, hub.clients["office"]).headers["Cache-Control"] == "no-store"
