"""Removal by rule and by order: bodies go, proofs stay, and two persons stand behind an order."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import Error, IntegrityError, connection, transaction
from django.test import Client

from exchange import delivery, intake, log, proofs, retention, sealing, vault
from exchange.audit import run, store
from exchange.evidence import events, verify
from exchange.models import (
    Event,
    EventBody,
    EventText,
    Log,
    LogEntry,
    Redacted,
    RedactionOrder,
    StoredReceipt,
    guards,
)
from exchange.refusals import Refused
from tests.api.conftest import Caller, code_of, fetch_token
from tests.exchange.test_check_log import called
from tests.world import NOW, World

LATER = NOW.replace(year=2037)
FIRST, SECOND = (log.Actor("person", name, "session") for name in ("1", "2"))


def sealed() -> None:
    sealing.seal(NOW)
    while sealing.store_receipts():
        pass


@pytest.fixture
def rules(settings: Any) -> None:
    """Events and bytes of documents are kept for ten years."""
    ten = (("document", 10),)
    environment = replace(settings.ENVIRONMENT, keep_events=ten, keep_packages=ten)
    settings.ENVIRONMENT = environment


def deliver(hub: World, made: intake.Acceptance) -> None:
    """Every delivery of `made` acknowledged."""
    for row in made.deliveries:
        delivery.acknowledge(
            row.id,
            system=hub.system_of(row.recipient_code),
            sha256=made.package.sha256,
            actor=hub.actor_of(row.recipient_code),
            now=NOW,
        )


# --- by rule ------------------------------------------------------------------------------------------


def test_without_a_rule_nothing_is_ever_removed(hub: World) -> None:
    hub.send("H29", "H29.5")
    sealed()
    assert retention.apply_rules(LATER) == retention.Removed(0, 0)
    assert EventBody.objects.count() == Event.objects.count()


def test_a_rule_removes_bodies_and_bytes_and_the_proofs_stay(hub: World, rules: None) -> None:
    made = hub.send("H29", "H29.5")
    deliver(hub, made)
    sealed()
    before = {event.pk: proofs.places([event.pk]) for event in Event.objects.filter(package=made.package.id)}
    assert retention.apply_rules(LATER.replace(year=2036)) == retention.Removed(0, 0)
    assert retention.apply_rules(LATER, dry_run=True) == retention.Removed(3, 1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(transaction, "on_commit", lambda work: work())
        assert retention.apply_rules(LATER) == retention.Removed(3, 1)
    assert not EventBody.objects.filter(event__in=before).exists()
    [said] = Event.objects.filter(name="Redaction")
    event = events.decode(bytes(said.body.raw))
    entries = LogEntry.objects.filter(event__in=before).order_by("index")
    assert event.indices == tuple(entries.values_list("index", flat=True))
    assert (event.target, event.reason) == ("hub.test/2026", events.Reason("retention.document"))
    assert {pk: proofs.places([pk]) for pk in before} == before
    sealing.seal(LATER)
    assert run.check(LATER, full=True).findings == []
    with pytest.raises(vault.Missing):
        vault.get(made.package.sha256)
    assert (outcome := store.verify()).findings == []
    assert outcome.removed == 1


def test_what_is_not_yet_in_the_log_or_still_waits_is_not_removed(hub: World, rules: None) -> None:
    hub.send("H29", "H29.5")
    assert retention.apply_rules(LATER) == retention.Removed(0, 0)
    sealed()
    assert retention.apply_rules(LATER) == retention.Removed(2, 0)  # the delivery is queued: the bytes stay


def test_the_hubs_own_events_follow_a_rule_of_their_own_but_not_those_that_proofs_lean_on(
    hub: World, settings: Any
) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, keep_events=(("hub", 10),))
    hub.send("H29", "H29.5")
    sealed()
    count = Event.objects.filter(name="PolicyChange").count()
    assert retention.apply_rules(LATER).bodies == count
    kept = set(EventBody.objects.values_list("event__name", flat=True))
    assert {"NewLog", "Redaction", "SubmissionAcceptance"} <= kept
    assert "PolicyChange" not in kept
    sealing.seal(LATER)
    assert run.check(LATER, full=True).findings == []


def test_the_command_counts_and_removes(hub: World) -> None:
    assert json.loads(called("apply_retention", "--dry-run", "--json")[1]) == {"bodies": 0, "packages": 0}


# --- by order -----------------------------------------------------------------------------------------


def ordered(hub: World, content: bool = False) -> tuple[RedactionOrder, intake.Acceptance]:
    made = hub.send("H29", "H29.5")
    deliver(hub, made)
    sealed()
    order = retention.order(made.package, reason="Quyết định 12/QĐ", content=content, actor=FIRST, now=NOW)
    return order, made


def test_an_order_removes_nothing_until_another_person_confirms_it(hub: World) -> None:
    order, made = ordered(hub)
    assert EventBody.objects.filter(event__package=made.package.id).count() == 3
    with pytest.raises(retention.NotPossible, match="must not confirm"), transaction.atomic():
        retention.confirm(order, actor=FIRST, now=NOW)
    assert retention.confirm(order, actor=SECOND, now=NOW) == 3
    assert not EventBody.objects.filter(event__package=made.package.id).exists()
    said = Event.objects.get(name="Redaction")
    event = events.decode(bytes(said.body.raw))
    assert (event.actor.id, event.reason and event.reason.code) == ("2", "order.confirmed")
    assert EventText.objects.get(event=said).text == "Quyết định 12/QĐ"
    assert Event.objects.filter(name="PolicyChange", stream=retention.STREAM).count() == 1
    sealing.seal(NOW)
    assert run.check(NOW, full=True).findings == []
    with pytest.raises(retention.NotPossible, match="decided before"):
        retention.confirm(order, actor=SECOND, now=NOW)


def test_an_order_may_take_the_original_bytes_too(
    hub: World, django_capture_on_commit_callbacks: Any
) -> None:
    order, made = ordered(hub, content=True)
    with django_capture_on_commit_callbacks(execute=True):
        retention.confirm(order, actor=SECOND, now=NOW)
    with pytest.raises(Refused, match=r"package\.removed"):
        retention.open_content(made.package)
    with pytest.raises(Refused, match=r"package\.removed"):
        log.acceptance_receipt(made.package)
    sealing.seal(NOW)
    assert run.check(NOW, full=True).findings == []


def test_an_order_that_was_dropped_removes_nothing(hub: World) -> None:
    order, made = ordered(hub)
    retention.drop(order, actor=FIRST, now=NOW)
    with pytest.raises(retention.NotPossible, match="decided before"):
        retention.confirm(order, actor=SECOND, now=NOW)
    assert EventBody.objects.filter(event__package=made.package.id).count() == 3


def test_bytes_that_still_have_to_be_delivered_are_not_removed(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    sealed()
    order = retention.order(made.package, reason="x", content=True, actor=FIRST, now=NOW)
    with pytest.raises(retention.NotPossible, match="still waits"), transaction.atomic():
        retention.confirm(order, actor=SECOND, now=NOW)
    order.refresh_from_db()
    assert (order.decided_at, EventBody.objects.filter(event__package=made.package.id).count()) == (None, 2)


def test_the_database_wants_two_persons(hub: World) -> None:
    order, _ = ordered(hub)
    with pytest.raises(IntegrityError, match="two_persons"), transaction.atomic():
        RedactionOrder.objects.filter(pk=order.pk).update(decided_by="1", decided_at=NOW, carried_out=True)


# --- what the database refuses, and what the checks notice --------------------------------------------------


def test_a_body_goes_only_when_a_redaction_names_it(hub: World) -> None:
    order, made = ordered(hub)
    event = made.receipt.key
    with pytest.raises(Error, match="eventbody_never_deleted"), transaction.atomic():
        EventBody.objects.filter(event=event).delete()
    entry = LogEntry.objects.get(event=event)
    with pytest.raises(Error, match="redacted_by_redaction"), transaction.atomic():
        Redacted.objects.create(entry=entry, by=Event.objects.get(pk=event))
    retention.confirm(order, actor=SECOND, now=NOW)
    for attack in (
        lambda: Redacted.objects.all()._raw_delete(Redacted.objects.db),
        lambda: RedactionOrder.objects.all()._raw_delete(RedactionOrder.objects.db),
        lambda: RedactionOrder.objects.update(reason="another"),
    ):
        with pytest.raises(Error, match="redact"), transaction.atomic():
            attack()


def test_a_body_that_was_removed_without_its_event_is_noticed(hub: World) -> None:
    order, _ = ordered(hub)
    retention.confirm(order, actor=SECOND, now=NOW)
    sealing.seal(NOW)
    other = Event.objects.filter(name="NewLog")[0]
    guards.remove(connection)
    EventBody.objects.filter(event=other).delete()
    Redacted.objects.create(entry=LogEntry.objects.get(event=other), by=Event.objects.get(name="Redaction"))
    guards.install(connection)
    assert {(item["check"], item["where"]) for item in run.check(NOW, full=True).findings} >= {
        ("body", f"{other.stream}/{other.seq}")
    }


def test_receipts_stored_before_stay_and_no_new_one_is_given(hub: World) -> None:
    order, made = ordered(hub)
    count = StoredReceipt.objects.count()
    retention.confirm(order, actor=SECOND, now=NOW)
    assert StoredReceipt.objects.count() == count
    assert log.receipts_of(made.package, [made.package.id]) == []
    [line] = log.trail(made.package, [made.package.id])
    assert (line.raw, line.leaf) == (None, events.leaf_hash(made.receipt.raw))


def test_the_receipt_that_a_party_kept_still_verifies(hub: World, tmp_path: Path) -> None:
    order, made = ordered(hub)
    place = proofs.places([made.receipt.key])[made.receipt.key]
    kept = {"event": made.receipt.raw.decode(), "jws": made.receipt.jws, "proof": place.proof}
    retention.confirm(order, actor=SECOND, now=NOW)
    sealing.seal(NOW)
    (tmp_path / "kept.json").write_text(json.dumps(kept))
    current = Log.objects.current()
    assert current
    assert verify.main([str(tmp_path / "kept.json"), "--log-key", current.key]) == 0


# --- verify_store ---------------------------------------------------------------------------------------


def test_a_store_that_holds_ends_with_exit_code_0(hub: World) -> None:
    hub.send("H29", "H29.5")
    code, text = called("verify_store", "--json")
    answer = json.loads(text)
    assert (code, answer["packages"], answer["findings"]) == (0, 1, [])
    assert called("verify_store")[1].startswith("ĐÚNG / OK")


def test_missing_and_altered_bytes_end_with_exit_code_1(hub: World) -> None:
    gone, altered = hub.send("H29", "H29.5").package, hub.send("H29", "H29.5").package
    vault.delete(gone.sha256)
    path = vault.path_of(altered.sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    code, text = called("verify_store", "--json")
    assert code == 1
    assert {(item["package"], item["problem"]) for item in json.loads(text)["findings"]} == {
        (str(gone.pk), "missing"),
        (str(altered.pk), "altered"),
    }
    assert "thiếu trong kho / missing" in called("verify_store")[1]


def test_bytes_left_after_their_removal_are_noticed_and_removed_by_the_next_run(hub: World) -> None:
    order, _ = ordered(hub, content=True)
    retention.confirm(order, actor=SECOND, now=NOW)  # no commit here: as if the process had died before it
    assert [item.problem for item in store.verify().findings] == ["left"]
    retention.apply_rules(NOW + timedelta(days=1))
    assert store.verify().findings == []


# --- over the API -----------------------------------------------------------------------------------------


def test_what_was_removed_is_said_over_the_api(hub: World, client: Client) -> None:
    order, made = ordered(hub, content=True)
    retention.confirm(order, actor=SECOND, now=NOW)
    vault.delete(made.package.sha256)
    sender = Caller(client, fetch_token(client, hub.clients["office"]).json()["access_token"])
    items = sender.get(f"/packages/{made.package.id}/trail").json()["items"]
    assert [item["event"] is None for item in items] == [True, True, True, False]
    assert items[0]["leaf"] == events.leaf_hash(made.receipt.raw).hex()
    assert code_of(sender.get(f"/packages/{made.package.id}/content")) == "package.removed"
    [left] = sender.get(f"/packages/{made.package.id}/receipts").json()["items"]
    assert json.loads(left["event"])["event"] == "ContentRemoval"
