"""Orders to remove evidence, through the pages: two persons, and nobody without the permission."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from exchange import delivery, sealing
from exchange.models import EventBody, LogEntry, Package, RedactionOrder
from tests.world import NOW, World

LIST = reverse("admin:exchange_redactionorder_changelist")
ADD = reverse("admin:exchange_redactionorder_add")


def person(name: str, *permissions: str) -> Client:
    """A signed-in auditor with more permissions."""
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name="auditor"))
    user.user_permissions.add(*Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def package(hub: World) -> Package:
    """Delivered and in the log."""
    made = hub.send("H29", "H29.5")
    [row] = made.deliveries
    delivery.acknowledge(
        row.id,
        system=hub.system_of("H29.5"),
        sha256=made.package.sha256,
        actor=hub.actor_of("H29.5"),
        now=NOW,
    )
    sealing.seal(NOW)
    return made.package


def test_one_person_orders_and_another_confirms(package: Package) -> None:
    first, second = person("first", "order_redaction"), person("second", "order_redaction")
    answer = first.post(ADD, {"package_id": str(package.id), "reason": "Quyết định 12/QĐ"})
    assert answer.status_code == 302, answer.content.decode()
    order = RedactionOrder.objects.get()
    page = reverse("admin:exchange_redactionorder_change", args=[order.pk])
    assert "Chờ người thứ hai xác nhận" in first.get(LIST).content.decode()
    refused = first.post(page, {"decision": "confirm"})
    assert "Người lập lệnh không được tự xác nhận" in refused.content.decode()
    assert EventBody.objects.filter(event__package=package.id).count() == 3
    assert second.post(page, {"decision": "confirm"}).status_code == 302
    assert not EventBody.objects.filter(event__package=package.id).exists()
    order.refresh_from_db()
    assert order.carried_out
    shown = second.get(page).content.decode()
    assert ("second" in shown, "decision" in shown) == (True, False)
    assert second.post(page, {"decision": "drop"}).status_code == 403


def test_an_order_may_be_dropped(package: Package) -> None:
    first = person("first", "order_redaction")
    first.post(ADD, {"package_id": str(package.id), "reason": "Nhầm", "content": "on"})
    order = RedactionOrder.objects.get()
    page = reverse("admin:exchange_redactionorder_change", args=[order.pk])
    assert first.post(page, {"decision": ""}).status_code == 200
    assert first.post(page, {"decision": "drop"}).status_code == 302
    order.refresh_from_db()
    assert (order.content, order.carried_out, bool(order.decided_at)) == (True, False, True)
    assert EventBody.objects.filter(event__package=package.id).count() == 3


def test_what_cannot_be_done_is_said(package: Package, hub: World) -> None:
    first, second = person("first", "order_redaction"), person("second", "order_redaction")
    waiting = hub.send("H29", "H29.5").package
    first.post(ADD, {"package_id": str(waiting.id), "reason": "Sớm quá"})
    order = RedactionOrder.objects.get()
    page = reverse("admin:exchange_redactionorder_change", args=[order.pk])
    said = second.post(page, {"decision": "confirm"}, follow=True).content.decode()
    assert "Có sự kiện chưa vào nhật ký" in said
    order.refresh_from_db()
    assert order.decided_at is None
    assert not LogEntry.objects.filter(event__package=waiting.id).exists()


def test_only_those_who_may_order_see_orders(package: Package) -> None:
    other = person("other")
    assert [other.get(url).status_code for url in (LIST, ADD)] == [403, 403]
    answer = person("first", "order_redaction").post(ADD, {"package_id": "x", "reason": ""})
    assert (answer.status_code, RedactionOrder.objects.count()) == (200, 0)
