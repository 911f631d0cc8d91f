"""From where a system may call, and how often; what the proxy may say and nobody else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.test import Client

from agencies.directory import Credential, System
from exchange import door, registry
from exchange.models import Allowance
from exchange.refusals import Refused
from fixtures.pki import pem
from tests.api.conftest import Caller, code_of, fetch_token
from tests.world import ACTOR, World, at_once

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 25, 2, 0, 12, tzinfo=UTC)
OUTSIDE = "198.51.100.7"


def restrict(system: System, **facts: Any) -> None:
    registry.update_system(system, by=registry.Change(ACTOR, datetime.now(UTC)), **facts)


def spend(limit: int, now: datetime = NOW) -> door.Credit:
    return door.spend("one", limit=limit, seconds=60, now=now)


# --- how often ----------------------------------------------------------------------------------------


def test_a_limit_is_given_out_to_the_last_request_and_no_further() -> None:
    left = [spend(47).left for _ in range(47)]
    assert left == list(range(46, -1, -1))
    with pytest.raises(door.TooMany) as caught:
        spend(47)
    assert (caught.value.credit.left, caught.value.credit.seconds) == (0, 48)


def test_the_next_minute_begins_anew() -> None:
    spend(1)
    with pytest.raises(door.TooMany):
        spend(1)
    assert spend(1, NOW + timedelta(minutes=1)).left == 0


def test_processes_share_one_limit() -> None:
    """Another process is one that remembers nothing of what this one drew."""
    taken = 0
    for _process in range(5):
        door.forget()
        for _request in range(30):
            try:
                spend(100)
            except door.TooMany:
                break
            taken += 1
    assert 80 <= taken <= 100


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_processes_at_once_are_never_granted_more_than_the_limit(real_commits: None) -> None:
    granted: list[int] = []

    def draw() -> None:
        for _ in range(10):
            granted.append(Allowance.objects.draw("k", window=1, wanted=7, limit=200)[0])

    at_once(*[draw] * 8)
    assert sum(granted) == 200


def test_counting_writes_for_one_request_in_many(django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(60):
        for _ in range(300):
            spend(600)


def test_a_limit_used_up_costs_the_database_nothing(django_assert_num_queries: Any) -> None:
    spend(1)
    with pytest.raises(door.TooMany):
        spend(1)
    with django_assert_num_queries(0), pytest.raises(door.TooMany):
        spend(1)


def test_every_answer_tells_what_is_left(sender: Caller, hub: World) -> None:
    restrict(hub.systems["office"], requests_per_minute=3)
    answers = [sender.get("/agencies") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert {answer.headers["RateLimit-Limit"] for answer in answers} == {"3"}
    assert code_of(answers[3]) == "request.too-many"
    assert answers[3].headers["Retry-After"] == answers[3].headers["RateLimit-Reset"]
    assert 0 < int(answers[3].headers["Retry-After"]) <= 60


def test_the_limit_of_one_system_is_not_that_of_another(
    sender: Caller, recipient: Caller, hub: World
) -> None:
    restrict(hub.systems["office"], requests_per_minute=1)
    assert [sender.get("/agencies").status_code for _ in range(2)] == [200, 429]
    assert recipient.get("/agencies").status_code == 200


def test_a_system_without_a_limit_is_not_counted(sender: Caller, hub: World) -> None:
    restrict(hub.systems["office"], requests_per_minute=0)
    assert "RateLimit-Limit" not in sender.get("/agencies").headers
    assert not Allowance.objects.filter(key__startswith="system:").exists()


# --- from where ---------------------------------------------------------------------------------------


def test_a_system_is_taken_from_its_networks_only(sender: Caller, hub: World) -> None:
    restrict(hub.systems["office"], networks="203.0.113.0/24, 10.1.0.0/16")
    assert code_of(sender.get("/agencies")) == "auth.origin"
    through = {"headers": {"X-Forwarded-For": "203.0.113.9"}}
    assert sender.get("/agencies", **through).status_code == 200


def test_a_token_is_given_to_its_networks_only(hub: World, client: Client) -> None:
    restrict(hub.systems["office"], networks="203.0.113.0/24")
    assert fetch_token(client, hub.clients["office"]).status_code == 401


@pytest.mark.parametrize(
    ("peer", "forwarded", "status"),
    [
        (OUTSIDE, "203.0.113.9", 403),  # not a proxy: its word counts for nothing
        ("127.0.0.1", f"203.0.113.9, {OUTSIDE}", 403),  # the caller's own word stands left
        ("127.0.0.1", f"{OUTSIDE}, 203.0.113.9", 200),
        ("127.0.0.1", "203.0.113.9, 127.0.0.1", 200),  # two proxies in a row
        ("127.0.0.1", "203.0.113.9, nonsense", 403),
        ("127.0.0.1", "", 403),
        ("203.0.113.9", OUTSIDE, 200),
    ],
)
def test_the_address_of_a_caller_is_what_the_nearest_proxy_saw(
    sender: Caller, hub: World, peer: str, forwarded: str, status: int
) -> None:
    restrict(hub.systems["office"], networks="203.0.113.0/24")
    answer = sender.client.get(
        "/api/v1/agencies",
        headers={"Authorization": f"Bearer {sender.token}", "X-Forwarded-For": forwarded},
        REMOTE_ADDR=peer,
    )
    assert answer.status_code == status


def test_a_registered_tls_certificate_must_be_shown_by_the_proxy(sender: Caller, hub: World) -> None:
    own, other = hub.keys.identities["H29"], hub.keys.identities["H29.5"]
    restrict(hub.systems["office"], client_certificate=own.certificate.fingerprint(_sha256()).hex())

    def call(certificate: str, peer: str = "127.0.0.1") -> int:
        headers = {"Authorization": f"Bearer {sender.token}", "X-SSL-Client-Cert": certificate}
        answer: Any = sender.client.get("/api/v1/agencies", headers=headers, REMOTE_ADDR=peer)
        return int(answer.status_code)

    shown = quote(pem([own.certificate]).decode())
    assert call(shown) == 200
    assert [call(""), call("nonsense"), call(quote(pem([other.certificate]).decode()))] == [403] * 3
    assert call(shown, peer=OUTSIDE) == 403


def _sha256() -> Any:
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA256()


def test_https_is_believed_of_the_proxy_only(client: Client, settings: Any) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_HSTS_SECONDS = 60
    said = {"X-Forwarded-Proto": "https"}
    assert "Strict-Transport-Security" in client.get("/healthz", headers=said).headers
    told = client.get("/healthz", headers=said, REMOTE_ADDR=OUTSIDE)
    assert "Strict-Transport-Security" not in told.headers


@pytest.mark.parametrize("networks", ["10.0.0.0/33", "10.0.0.1/8", "example.test"])
def test_a_network_that_is_none_is_refused(hub: World, networks: str) -> None:
    with pytest.raises(registry.EnrolmentError, match=r"system\.network-invalid"):
        restrict(hub.systems["office"], networks=networks)


def test_the_operator_restricts_a_system_by_command(hub: World, tmp_path: Path) -> None:
    from tests.exchange.test_commands import run_json

    path = tmp_path / "client.pem"
    path.write_bytes(pem([hub.keys.identities["H29"].certificate]))
    words = ("--networks", "10.0.0.0/8", "--client-certificate", str(path), "--requests-per-minute", "60")
    shown = run_json("restrict_system", "office", *words)
    assert (shown["networks"], shown["requests_per_minute"]) == ("10.0.0.0/8", 60)
    assert shown["client_certificate"] == hub.keys.identities["H29"].certificate.fingerprint(_sha256()).hex()
    lifted = run_json("restrict_system", "office", "--networks", "", "--requests-per-minute", "")
    assert (lifted["networks"], lifted["requests_per_minute"]) == ("", None)


# --- secrets and their use ----------------------------------------------------------------------------


def test_too_many_wrong_secrets_lock_the_client_at_that_address(hub: World, client: Client) -> None:
    client_id, secret = hub.clients["office"]
    wrong = [fetch_token(client, (client_id, "wrong")).status_code for _ in range(door.WRONG_SECRETS)]
    assert set(wrong) == {401}
    locked = fetch_token(client, (client_id, secret))
    assert (locked.status_code, locked.json()["error"]) == (429, "temporarily_unavailable")
    assert 0 < int(locked.headers["Retry-After"]) <= door.LOCK_SECONDS
    elsewhere = client.post(
        "/oauth/token",
        {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret},
        REMOTE_ADDR=OUTSIDE,
    )
    assert elsewhere.status_code == 200
    assert fetch_token(client, hub.clients["transport"]).status_code == 200


def test_names_that_nobody_registered_fill_no_table(hub: World, client: Client) -> None:
    for number in range(12):
        fetch_token(client, (f"nobody-{number}", "wrong"))
    assert Allowance.objects.filter(key__startswith="secret:").count() == 1


def test_the_use_of_a_credential_and_the_call_of_a_system_are_remembered(sender: Caller, hub: World) -> None:
    assert Credential.objects.get(client_id=hub.clients["office"][0]).last_used_at is not None
    assert Credential.objects.get(client_id=hub.clients["transport"][0]).last_used_at is None
    System.objects.update(last_seen_at=None)
    sender.get("/agencies")
    assert System.objects.get(name="office").last_seen_at is not None


# --- browsers -----------------------------------------------------------------------------------------


def policy(client: Client, path: str, **headers: str) -> str:
    return client.get(path, headers=headers).headers["Content-Security-Policy"]


def test_what_is_no_page_may_do_nothing_in_a_browser(sender: Caller, client: Client) -> None:
    assert policy(client, "/healthz").startswith("default-src 'none'; frame-ancestors 'none'")
    assert "script-src" not in sender.get("/agencies").headers["Content-Security-Policy"]


def test_only_the_admin_may_evaluate_expressions(client: Client) -> None:
    assert "'unsafe-eval'" in policy(client, "/admin/login/")
    assert "unsafe" not in policy(client, "/api/v1/problems/hub.error", Accept="text/html")
    assert "'unsafe-eval'" not in policy(client, "/api/v1/docs/")
    for path in ("/admin/login/", "/api/v1/docs/"):
        assert "script-src 'self' 'unsafe-inline'" not in policy(client, path)


@pytest.mark.parametrize("path", ["/admin/login/", "/api/v1/docs/"])
def test_no_page_has_a_script_inside(client: Client, path: str) -> None:
    text = client.get(path).content.decode()
    assert "<script>" not in text
    assert " onclick=" not in text


def test_a_code_has_a_page_for_people(client: Client) -> None:
    page = client.get("/api/v1/problems/certificate.revoked", headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.headers["Content-Type"].startswith("text/html")
    for words in ("Chứng thư đã bị thu hồi", "The certificate is revoked", "certificate.revoked"):
        assert words in page.content.decode()
    assert client.get("/api/v1/problems/certificate.revoked").json()["code"] == "certificate.revoked"


def test_the_settings_of_a_hub_behind_https_pass_the_deployment_check(tmp_path: Path) -> None:
    import os
    import subprocess
    import sys

    (tmp_path / "trust").mkdir()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("HUB_", "DJANGO_"))}
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=settings.BASE_DIR,
        env=environ
        | {
            "HUB_DATA_DIR": str(tmp_path),
            "HUB_TRUST_DIR": str(tmp_path / "trust"),
            "HUB_SECRET_KEY": "a-long-random-text-for-one-test-0123456789-abcdefghijklmnop",
            "HUB_BASE_URL": "https://hub.example.test",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_origins_are_compared_without_a_name_service() -> None:
    system = System(name="x", networks="203.0.113.0/24")
    for address in ("", "localhost", "203.0.113.9.example.test"):
        with pytest.raises(Refused):
            door.check_origin(system, address, "")
    door.check_origin(replace_networks(system, "2001:db8::/32"), "2001:db8::9", "")


def replace_networks(system: System, networks: str) -> System:
    system.networks = networks
    return system


def test_the_trusted_proxies_can_be_named(sender: Caller, hub: World, settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, trusted_proxies=("192.0.2.0/24",))
    restrict(hub.systems["office"], networks="203.0.113.0/24")
    headers = {"Authorization": f"Bearer {sender.token}", "X-Forwarded-For": "203.0.113.9"}
    taken = sender.client.get("/api/v1/agencies", headers=headers, REMOTE_ADDR="192.0.2.4")
    assert taken.status_code == 200
    assert sender.client.get("/api/v1/agencies", headers=headers).status_code == 403
