"""What operators and registrars ask of systems and certificates on the pages, and nobody else."""

import pytest
from django.test import Client
from django.urls import reverse

from exchange.models import Event
from tests.exchange.test_admin_documents import page, person
from tests.world import World


def ask(world: World, name: str) -> str:
    """The address of an action on the system "health", which is pushed to."""
    return reverse(f"admin:agencies_system_{name}", args=(world.systems["health"].pk,))


def changes() -> int:
    return Event.objects.filter(name="PolicyChange").count()


def test_an_operator_pauses_with_a_reason_and_resumes(hub: World) -> None:
    operator, system = person("operator"), hub.systems["health"]
    assert operator.post(ask(hub, "pause"), {"reason": ""}).status_code == 422
    assert operator.post(ask(hub, "pause"), {"reason": "bảo trì"}).status_code == 302
    system.refresh_from_db()
    assert system.paused_at
    assert "Tạm dừng giao" in page(operator, "/admin/health/")
    assert operator.post(ask(hub, "resume"), {"reason": ""}).status_code == 302
    system.refresh_from_db()
    assert system.paused_at is None


def test_a_test_of_a_silent_system_says_so_and_is_noted(hub: World) -> None:
    operator, before = person("operator"), changes()
    told = operator.post(ask(hub, "test"), follow=True).content.decode()
    assert "Hệ thống không nhận thông báo thử" in told
    assert changes() == before + 1


def test_new_credentials_are_shown_once_and_kept_nowhere(hub: World) -> None:
    registrar = person("registrar")
    response = registrar.post(ask(hub, "rotate"), {"reason": "lộ bí mật", "choice": "24"})
    told = response.content.decode()
    assert "Chỉ hiện một lần" in told
    assert "no-store" in response["Cache-Control"]
    assert "client_secret" in told
    assert hub.systems["health"].credentials.count() == 2
    assert registrar.post(ask(hub, "rotate"), {"reason": "lộ", "choice": "9"}).status_code == 422


def test_a_certificate_is_revoked_with_a_reason_once(hub: World) -> None:
    registrar = person("registrar")
    certificate = hub.agencies["H29"].certificates.get()
    url = reverse("admin:agencies_certificate_revoke", args=(certificate.pk,))
    assert registrar.post(url, {"reason": ""}).status_code == 422
    assert registrar.post(url, {"reason": "mất thiết bị ký"}).status_code == 302
    certificate.refresh_from_db()
    assert certificate.revocation_reason == "mất thiết bị ký"
    assert registrar.post(url, {"reason": "lần nữa"}).status_code == 404


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("clerk", "pause"),
        ("auditor", "pause"),
        ("registrar", "pause"),
        ("operator", "rotate"),
        ("clerk", "rotate"),
    ],
)
def test_each_action_is_for_its_role_only(hub: World, role: str, name: str) -> None:
    client: Client = person(role, hub.agencies["H29"])
    before = changes()
    for method in (client.get, client.post):
        assert method(ask(hub, name), {"reason": "x", "choice": "0"}).status_code == 403
    assert changes() == before
