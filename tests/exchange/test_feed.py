"""The event feed: complete, in order, resumable, and each agency sees its own."""

from datetime import timedelta
from threading import Thread

import pytest
from django.db import connection, transaction

from exchange import clocks, delivery, feed
from exchange.models import FeedEntry, FeedHead
from exchange.refusals import Refused
from tests.world import NOW, World, answer_to

LATER = NOW + timedelta(minutes=10)


def names(hub: World, *codes: str, after: int = 0, limit: int = 200) -> list[str]:
    """The names of the events that the agencies `codes` see."""
    return [item.event.name for item in seen(hub, *codes, after=after, limit=limit)]


def seen(hub: World, *codes: str, after: int = 0, limit: int = 200) -> list[feed.Item]:
    return feed.read([hub.agencies[code].pk for code in codes], after=after, limit=limit)


def answer(hub: World) -> None:
    """One document from H29 to H29.5 and H29.121; the first answers it."""
    sent = hub.send("H29", "H29.5", "H29.121")
    hub.accept(hub.status("H29.5", "03", answer_to(sent)), "H29.5", LATER)


def test_the_sender_sees_everything_and_a_recipient_its_own_delivery(hub: World) -> None:
    answer(hub)
    assert names(hub, "H29") == [
        "SubmissionAcceptance",
        "ContentConsignment",
        "ContentConsignment",
        "ContentHandoverUnconfirmed",
        "ConsignmentAcceptance",
        "ContentConsignment",  # of the status
    ]
    assert names(hub, "H29.121") == ["ContentConsignment"]
    assert {item.event.delivery for item in seen(hub, "H29.121")} == {
        item.event.delivery for item in seen(hub, "H29") if item.said.get("recipient") == "H29.121"
    }
    assert names(hub, "H29.17") == []


def test_an_event_between_two_of_my_agencies_comes_once(hub: World) -> None:
    hub.send("H29", "H29.10")
    assert names(hub, "H29", "H29.10") == ["SubmissionAcceptance", "ContentConsignment"]


def test_a_reminder_a_warning_and_the_expiry_are_in_the_feed(hub: World) -> None:
    hub.send("H29", "H29.5")
    clocks.remind(NOW + timedelta(days=1))
    clocks.warn(NOW + timedelta(days=28))
    delivery.expire(NOW + timedelta(days=31))
    assert names(hub, "H29")[2:] == ["Reminder", "ExpiresSoon", "AcceptanceRejectionExpiry"]
    assert names(hub, "H29.5")[1:] == ["Reminder", "ExpiresSoon", "AcceptanceRejectionExpiry"]


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_reading_on_from_the_last_position_gives_each_event_once(hub: World, limit: int) -> None:
    answer(hub)
    whole = [item.position for item in seen(hub, "H29")]
    read: list[int] = []
    while page := seen(hub, "H29", after=read[-1] if read else 0, limit=limit):
        read += [item.position for item in page]
    assert read == whole == sorted(set(whole))


def test_positions_are_contiguous_over_all_agencies_and_never_change(hub: World) -> None:
    answer(hub)
    first = [(item.position, item.event.pk) for item in seen(hub, "H29")]
    answer(hub)
    assert [(item.position, item.event.pk) for item in seen(hub, "H29")][: len(first)] == first
    positions = set(FeedEntry.objects.values_list("position", flat=True))
    assert positions == set(range(1, FeedHead.objects.get().position + 1))


def test_batches_give_the_same_order_as_one(hub: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "BATCH", 2)
    answer(hub)
    events = [item.event.pk for item in seen(hub, "H29")]
    assert events == sorted(events)
    assert not FeedEntry.objects.filter(position=None).exists()


def test_a_position_that_was_never_given_is_refused(hub: World) -> None:
    answer(hub)
    assert names(hub, "H29", after=feed.last()) == []
    with pytest.raises(Refused, match=r"request\.invalid"):
        seen(hub, "H29", after=feed.last() + 1)


def test_a_refused_package_is_not_in_the_feed(hub: World) -> None:
    with pytest.raises(Refused):
        hub.send("H29", "H29.404")
    assert feed.last() == 0


@pytest.mark.postgresql
def test_an_event_that_commits_late_comes_later_and_is_not_missed(live_hub: World) -> None:
    raw = live_hub.document("H29", "H29.5")
    other = live_hub.document("H29.5", "H29")
    first: list[str] = []

    def meanwhile() -> None:
        live_hub.accept(other, "H29.5")
        first.extend(names(live_hub, "H29"))
        connection.close()

    def hold() -> None:
        """Take event ids before `meanwhile` does, and commit after it has been read."""
        thread = Thread(target=meanwhile)
        thread.start()
        thread.join()

    transaction_held(live_hub, raw, hold)
    assert first == ["ContentConsignment"]
    items = seen(live_hub, "H29")
    assert [item.event.name for item in items] == [
        "ContentConsignment",
        "SubmissionAcceptance",
        "ContentConsignment",
    ]
    assert items[1].event.pk < items[0].event.pk, "its id is smaller, its position is not"


def transaction_held(hub: World, raw: bytes, before_commit: object) -> None:
    """Accept `raw`, calling `before_commit` when everything is written and nothing committed."""
    from exchange import wake

    original = wake.after_commit

    def held(lanes: object) -> None:
        original(lanes)  # type: ignore[arg-type]
        if not connection.in_atomic_block:
            raise AssertionError("not in the transaction")
        wake.after_commit = original
        before_commit()  # type: ignore[operator]

    wake.after_commit = held
    try:
        hub.accept(raw)
    finally:
        wake.after_commit = original


@pytest.mark.postgresql
def test_two_publishers_at_once_give_every_position_once(live_hub: World) -> None:
    for _ in range(3):
        live_hub.send("H29", "H29.5")

    def publisher() -> None:
        feed.publish()
        connection.close()

    with transaction.atomic():
        feed.publish()
        thread = Thread(target=publisher)
        thread.start()  # waits for the lock
    thread.join()
    places = list(FeedEntry.objects.values_list("position", "event_id").distinct().order_by("position"))
    assert [place for place, _ in places] == list(range(1, 7))


@pytest.mark.postgresql
def test_reading_and_publishing_look_into_an_index(hub: World) -> None:
    answer(hub)
    feed.publish()
    mine = FeedEntry.objects.filter(agency__in=[hub.agencies["H29"].pk], position__gt=3).order_by("position")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert "feed_position_once_per_agency" in mine.values_list("position", "event_id").distinct().explain()
    assert "feed_unplaced" in FeedEntry.objects.filter(position=None).order_by("event_id").explain()
