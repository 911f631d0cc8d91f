"""What operators and registrars ask of systems and certificates on the pages, and nobody else."""

import json
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from agencies.models import System
from exchange import keys, registry
from exchange.models import Circuit, Event
from tests.exchange.test_admin_documents import page, person
from tests.world import ACTOR, NOW, World


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


def broken(hub: World) -> None:
    """The system "health" failed five times in a row."""
    Circuit.objects.note(hub.systems["health"].pk, [None] * 5, datetime.now(UTC))


def test_a_system_that_fails_is_shown_with_its_next_try_and_tried_at_once_on_demand(hub: World) -> None:
    operator = person("operator")
    system = reverse("admin:agencies_system_change", args=(hub.systems["health"].pk,))
    assert "Không kết nối được" not in page(operator, system)
    broken(hub)
    for url in ("/admin/health/", system):
        told = page(operator, url)
        for words in ("Không kết nối được", "5 lần lỗi liên tiếp", "thử lại lúc", "Thử giao ngay"):
            assert words in told, (url, words)
    assert operator.post(ask(hub, "resume"), {"reason": "đã sửa"}).status_code == 302
    assert not Circuit.objects.exists()
    assert changed_last() == "system.tried-again"
    assert "Không kết nối được" not in page(operator, "/admin/health/")


def test_the_command_resumes_a_failing_system_too_and_refuses_one_that_is_well(hub: World) -> None:
    with pytest.raises(CommandError, match="neither paused nor failing"):
        call_command("resume_system", "health")
    broken(hub)
    call_command("resume_system", "health", stdout=StringIO())
    assert not Circuit.objects.exists()


def changed_last() -> str:
    event = Event.objects.filter(name="PolicyChange").select_related("body").order_by("-id")[0]
    return str(json.loads(bytes(event.body.raw))["what"])


def live(hub: World, name: str) -> list[str]:
    """The secrets of the system "health" that are good now, the newest first."""
    return keys.decrypt(bytes(getattr(System.objects.get(name="health"), name))).decode().split()


@pytest.mark.parametrize(("kind", "name"), [("webhook", "webhook_secrets"), ("vxp", "vxp_secret")])
def test_a_secret_is_renewed_beside_the_present_one_or_instead_and_shown_once(
    hub: World, kind: str, name: str
) -> None:
    registrar, system = person("registrar"), hub.systems["health"]
    if kind == "vxp":
        registry.update_system(system, by=registry.Change(ACTOR, NOW), kind="vxp", vxp_id="vxp.health")
        registry.replace_vxp_secret(system, by=registry.Change(ACTOR, NOW))
    [first] = live(hub, name)
    assert registrar.post(ask(hub, kind), {"reason": "", "choice": "beside"}).status_code == 422
    response = registrar.post(ask(hub, kind), {"reason": "định kỳ", "choice": "beside"})
    second, still = live(hub, name)
    assert still == first != second
    assert second in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    assert changed_last() == f"{kind}-secret.rotated"
    registrar.post(ask(hub, kind), {"reason": "lộ", "choice": "now"})
    assert len(live(hub, name)) == 1
    assert changed_last() == f"{kind}-secret.replaced"


def test_a_system_without_such_a_secret_has_no_page_for_it(hub: World) -> None:
    registrar = person("registrar")
    assert registrar.get(ask(hub, "vxp")).status_code == 404
    url = reverse("admin:agencies_system_webhook", args=(hub.systems["office"].pk,))
    assert registrar.get(url).status_code == 404


def test_the_command_renews_a_secret_too(hub: World) -> None:
    out = StringIO()
    call_command("rotate_webhook_secret", "health", "--json", stdout=out)
    assert json.loads(out.getvalue())["webhook_secret"] == live(hub, "webhook_secrets")[0]
    with pytest.raises(CommandError, match="no such secret"):
        call_command("rotate_webhook_secret", "health", "--vxp")


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
        ("operator", "webhook"),
        ("auditor", "vxp"),
    ],
)
def test_each_action_is_for_its_role_only(hub: World, role: str, name: str) -> None:
    client: Client = person(role, hub.agencies["H29"])
    before = changes()
    for method in (client.get, client.post):
        assert method(ask(hub, name), {"reason": "x", "choice": "0"}).status_code == 403
    assert changes() == before
