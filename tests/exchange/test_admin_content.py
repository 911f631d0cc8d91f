"""The original in the admin: a recipient's clerk gets it while its delivery is open, and that is serving."""

import re
from contextlib import closing
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from agencies.models import Agency, Membership
from exchange import delivery
from exchange.models import Attempt, Delivery, Event, Outcome, State
from tests.exchange.parties import look, recall, to
from tests.world import NOW, World


def person(*roles: str, agency: Agency | None = None) -> Client:
    """Somebody with these roles, who works for `agency`."""
    user = User.objects.create(username="-".join(roles) + str(agency), is_staff=True)
    user.groups.set(Group.objects.filter(name__in=roles))
    if agency:
        Membership.objects.create(user=user, agency=agency)
    client = Client()
    client.force_login(user)
    return client


def opened(client: Client, package: Any) -> Any:
    """The answer to a download of the original, read to its end."""
    answer: Any = client.get(reverse("admin:exchange_package_content", args=(package.pk,)))
    return answer, b"".join(answer.streaming_content) if answer.streaming else b""


def test_a_download_by_a_recipients_clerk_is_serving_so_a_recall_becomes_a_request(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    answer, raw = opened(person("clerk", agency=hub.agencies["H29.5"]), made.package)
    assert (answer.status_code, len(raw)) == (200, made.package.size)
    assert to(made, "H29.5").served_at is not None
    recall(hub, made, "H29.5")
    assert look(to(made, "H29.5")) == ("queued", "none", "recall", "open")


@pytest.mark.parametrize("roles", [("clerk",), ("clerk", "operator")])
def test_a_withdrawn_document_stays_in_the_list_of_its_recipient_but_is_not_given(
    hub: World, roles: tuple[str, ...]
) -> None:
    made = hub.send("H29", "H29.5", "H29.17")
    recall(hub, made, "H29.5")
    clerk, before = person(*roles, agency=hub.agencies["H29.5"]), Event.objects.count()
    answer, raw = opened(clerk, made.package)
    assert (answer.status_code, raw) == (409, b"")
    assert "thu hồi" in answer.content.decode()
    assert to(made, "H29.5").served_at is None
    assert Event.objects.count() == before
    page = reverse("admin:exchange_package_change", args=(made.package.pk,))
    assert clerk.get(page).status_code == 200


def test_an_expired_document_is_not_given_to_its_recipient(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    delivery.expire(to(made, "H29.5").expires_at)
    answer, _ = opened(person("clerk", agency=hub.agencies["H29.5"]), made.package)
    assert answer.status_code == 409


def test_a_download_by_the_sender_or_an_auditor_serves_nobody_and_is_never_refused(hub: World) -> None:
    made = hub.send("H29", "H29.5", "H29.17")
    recall(hub, made, "H29.5")
    for client in (person("clerk", agency=hub.agencies["H29"]), person("auditor")):
        answer, raw = opened(client, made.package)
        assert (answer.status_code, len(raw)) == (200, made.package.size)
    assert not Delivery.objects.filter(served_at__isnull=False).exists()


def test_a_download_serves_no_delivery_to_others(hub: World) -> None:
    made = hub.send("H29", "H29.5", "H29.17")
    opened(person("clerk", agency=hub.agencies["H29.5"]), made.package)
    assert to(made, "H29.17").served_at is None
    assert to(made, "H29.17").state == State.QUEUED


@pytest.mark.parametrize(
    ("who", "shown"), [("H29", False), ("H29.17", True), ("operator", True), ("auditor", True)]
)
def test_where_a_recipients_system_stands_is_not_told_to_the_sender(
    hub: World, who: str, shown: bool
) -> None:
    row = to(hub.send("H29", "H29.17"), "H29.17")
    Attempt.objects.create(
        delivery=row, number=1, url="https://inside.test/hook", outcome=Outcome.REJECTED, http_status=500,
        detail="stack trace of theirs", started_at=NOW, finished_at=NOW,
    )  # fmt: skip
    client = person("clerk", agency=hub.agencies[who]) if who in hub.agencies else person(who)
    answer = client.get(reverse("admin:exchange_delivery_change", args=(row.pk,)))
    text = re.sub(r"\s+", " ", answer.content.decode())
    assert answer.status_code == 200
    assert ("inside.test" in text, "stack trace" in text) == (shown, shown)
    assert str(Outcome.REJECTED.label) in text


def test_the_icon_is_found_by_pages_that_cannot_name_one(db: None, client: Client) -> None:
    with closing(client.get("/favicon.ico", follow=True)) as answer:  # it holds the file open
        assert answer.status_code == 200
        assert answer["Content-Type"] == "image/svg+xml"
