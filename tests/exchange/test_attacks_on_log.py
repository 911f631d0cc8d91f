"""Attacks on the log by somebody who may do everything to the database, and the check that notices each.

Where the database itself refuses (triggers up), tests/exchange/test_sealing.py and test_guards.py show it.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, ForeignObjectRel, QuerySet

from exchange import keys, log, proofs, sealing, signer
from exchange.audit import run
from exchange.evidence import checkpoint, events, tiles, tree
from exchange.evidence.checkpoint import VerifierKey
from exchange.evidence.proof import Proof
from exchange.evidence.prove import consistency
from exchange.evidence.tree import Broken
from exchange.models import (
    Checkpoint,
    Delivery,
    Event,
    EventBody,
    Log,
    LogCheck,
    LogEntry,
    Package,
    Pending,
    StoredReceipt,
    Tile,
    guards,
)
from exchange.refusals import Refused
from tests.world import NOW, World

LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def sealed(hub: World) -> World:
    """A small log: several documents, all sealed and with stored receipts."""
    for _ in range(3):
        hub.send("H29", "H29.5", "H29.17")
        sealing.seal(NOW)
    while sealing.store_receipts():
        pass
    assert run.check(NOW, full=True).findings == []
    return hub


@pytest.fixture
def superuser(sealed: World) -> Iterator[World]:
    """The attacker may drop triggers and constraints."""
    guards.remove(connection)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA defer_foreign_keys = ON")
    yield sealed
    guards.install(connection)


def current() -> Log:
    found = Log.objects.current()
    assert found
    return found


def middle() -> LogEntry:
    """An entry in the middle of the log: a consignment."""
    return LogEntry.objects.filter(event__name="ContentConsignment").order_by("index")[2]


def its_delivery() -> QuerySet[Delivery]:
    """The delivery of that consignment, as rows to change."""
    return Delivery.objects.filter(pk=str(middle().event.delivery))


def delete(rows: Any) -> None:
    rows._raw_delete(rows.db)


# --- the attacks: each changes the database as a superuser can -------------------------------------------


def edit_bytes(world: World) -> None:
    body = middle().event.body
    EventBody.objects.filter(pk=body.pk).update(raw=bytes(body.raw).replace(b"H29.", b"H30."))


def rewrite_event(world: World) -> None:
    """The bytes and the leaf hash beside them."""
    event = middle().event
    raw = events.encode(replace(events.decode(bytes(event.body.raw)), recipient="H29.99"))
    EventBody.objects.filter(pk=event.pk).update(raw=raw)
    Event.objects.filter(pk=event.pk).update(leaf=events.leaf_hash(raw))
    its_delivery().update(head=events.leaf_hash(raw))


def rewrite_event_and_tile(world: World) -> None:
    """The bytes, the leaf hash, the tile: everything but the signature."""
    rewrite_event(world)
    rebuild_tiles()


def rebuild_tiles() -> None:
    hashes = [
        events.leaf_hash(bytes(raw))
        for raw in LogEntry.objects.order_by("index").values_list("event__body__raw", flat=True)
    ]
    for tile, data in tiles.extend(0, hashes, proofs.reader(current())):
        Tile.objects.filter(level=tile.level, index=tile.index).update(data=data, width=tile.width)


def delete_event(world: World) -> None:
    event = middle().event_id
    for field in Event._meta.get_fields(include_hidden=True):
        if isinstance(field, ForeignObjectRel):
            related: Any = field.related_model
            delete(related._base_manager.filter(**{field.field.name: event}))
    delete(Event.objects.filter(pk=event))


def delete_event_and_close_the_gap(world: World) -> None:
    index = middle().index
    delete_event(world)
    for entry in LogEntry.objects.filter(index__gt=index).order_by("index"):
        LogEntry.objects.filter(pk=entry.pk).update(index=F("index") - 1)
    Log.objects.update(size=F("size") - 1)
    rebuild_tiles()


def cut_off_the_end(world: World) -> None:
    """The last round of the sealer undone: entries, tiles, size and checkpoint."""
    last, before = Checkpoint.objects.order_by("-size")[:2]
    behind = LogEntry.objects.filter(index__gte=before.size)
    Pending.objects.bulk_create([Pending(event_id=entry.event_id) for entry in behind])
    delete(behind)
    delete(Checkpoint.objects.filter(pk=last.pk))
    Log.objects.update(size=before.size, receipts=0)
    rebuild_tiles()


def swap_two(world: World) -> None:
    first, second = LogEntry.objects.filter(index__in=(5, 6)).order_by("index")
    LogEntry.objects.filter(pk=first.pk).update(index=10_000)
    LogEntry.objects.filter(pk=second.pk).update(index=5)
    LogEntry.objects.filter(pk=first.pk).update(index=6)


def insert_event(world: World) -> None:
    """A forged event in a stream of its own, entered between two others."""
    forged = log.note(sealing.STREAM, "AdminAccess", actor=log.HUB, at=NOW, what="content")
    delete(Pending.objects.filter(event=forged))
    for entry in LogEntry.objects.filter(index__gte=5).order_by("-index"):
        LogEntry.objects.filter(pk=entry.pk).update(index=F("index") + 1)
    LogEntry.objects.create(log=current(), index=5, event=forged)
    Log.objects.update(size=F("size") + 1)
    rebuild_tiles()


def duplicate_event(world: World) -> None:
    """The same bytes again, as another event of the stream."""
    event = middle().event
    raw = bytes(event.body.raw)
    again = Event.objects.create(
        stream=event.stream,
        seq=2,
        name=event.name,
        at=event.at,
        package=event.package,
        delivery=event.delivery,
        state=event.state,
        answer=event.answer,
        request=event.request,
        request_state=event.request_state,
        leaf=event.leaf,
    )
    EventBody.objects.create(event=again, raw=raw)
    Pending.objects.create(event=again)
    its_delivery().update(seq=2)
    sealing.seal(LATER)


def edit_row(world: World) -> None:
    Event.objects.filter(pk=middle().event_id).update(name="ContentHandover")


def edit_tile(world: World) -> None:
    tile = Tile.objects.get(level=0, index=0)
    Tile.objects.filter(pk=tile.pk).update(data=b"\0" * 32 + bytes(tile.data)[32:])


def delete_tile(world: World) -> None:
    delete(Tile.objects.all())


def edit_checkpoint(world: World) -> None:
    row = Checkpoint.objects.order_by("-size")[0]
    Checkpoint.objects.filter(pk=row.pk).update(
        note=row.note.replace(f"\n{row.size}\n", f"\n{row.size - 1}\n")
    )


def rewrite_with_another_key(world: World) -> None:
    """Events, leaves, tiles, checkpoints and the key of the log, all rewritten and signed anew."""
    rewrite_event_and_tile(world)
    key = Ed25519PrivateKey.generate()
    Log.objects.update(key=str(checkpoint.verifier_key(current().origin, key)))
    sign_all(key)


def rewrite_with_the_stolen_key(world: World) -> None:
    """The same with the true key: only what others have seen before tells."""
    rewrite_event_and_tile(world)
    sign_all(keys.log_key(NOW))


def sign_all(key: Ed25519PrivateKey) -> None:
    hashes = [
        bytes(leaf) for leaf in LogEntry.objects.order_by("index").values_list("event__leaf", flat=True)
    ]
    for row in Checkpoint.objects.all():
        head = checkpoint.Checkpoint(current().origin, row.size, tree.root(hashes[: row.size]))
        Checkpoint.objects.filter(pk=row.pk).update(note=checkpoint.sign(head, key).decode())


def delete_pending(world: World) -> None:
    made = world.send("H29", "H29.5")
    delete(Pending.objects.filter(event=made.receipt.key))


def stop_the_sealer(world: World) -> None:
    world.send("H29", "H29.5", now=NOW - timedelta(minutes=5))


def change_a_state(world: World) -> None:
    its_delivery().update(state="withdrawn")


def undo_a_state(world: World) -> None:
    """The last event of a delivery is passed over: its row says what it said before."""
    row = its_delivery().get()
    first = bytes(row.head or b"")
    row.state = "withdrawn"
    log.append([log.Entry(row=row, event="Recalled", package=row.package)], at=NOW, actor=log.HUB)
    Delivery.objects.filter(pk=row.pk).update(state="queued", seq=1, head=first)


def delete_a_delivery(world: World) -> None:
    delete(its_delivery())


def exchange_the_package(world: World) -> None:
    Package.objects.filter(pk=str(middle().event.package)).update(sha256="0" * 64)


def edit_a_receipt(world: World) -> None:
    one, other = StoredReceipt.objects.order_by("pk")[:2]
    StoredReceipt.objects.filter(pk=one.pk).update(signature=other.signature)


def delete_the_log(world: World) -> None:
    """All of it, so that the hub would begin anew."""
    for event in Event.objects.exclude(name="NewLog"):
        Pending.objects.create(event=event)
    for model in (Tile, Checkpoint, LogEntry):
        delete(model.objects.all())
    LogCheck.objects.all().delete()
    delete(Log.objects.all())


def forge_the_first_event(world: World) -> None:
    """The next year's log begins without the last checkpoint of this one."""
    keys_at = NOW + timedelta(days=400)
    origin = "hub.test/2027"
    signer.open_log(origin, at=keys_at, after=signer.last_note(), nodes=None)
    made = Log.objects.create(
        origin=origin,
        year=2027,
        opened_at=keys_at,
        key=str(checkpoint.verifier_key(origin, keys.log_key(keys_at))),
    )
    event = log.note(sealing.STREAM, "NewLog", actor=log.HUB, at=keys_at, target=origin)
    sealing._enter(made, event)
    sealing.publish(made, keys_at)


def unpickle_event(world: World) -> None:
    """Bytes that are no event at all, with their true hash."""
    event = middle().event
    raw = json.dumps({"event": "ContentHandover"}).encode()
    EventBody.objects.filter(pk=event.pk).update(raw=raw)
    Event.objects.filter(pk=event.pk).update(leaf=events.leaf_hash(raw))


@dataclass(frozen=True, slots=True)
class Attack:
    """What is done, and which check of `check_log` must notice it (others may, too)."""

    do: Callable[[World], None]
    noticed_by: str


ATTACKS: dict[str, Attack] = {
    "edit the bytes of an event": Attack(edit_bytes, "body"),
    "edit an event and its leaf hash": Attack(rewrite_event, "root"),
    "edit an event, its leaf hash and the tiles": Attack(rewrite_event_and_tile, "root"),
    "replace an event by other bytes": Attack(unpickle_event, "body"),
    "delete an event": Attack(delete_event, "index"),
    "delete an event and close the gap": Attack(delete_event_and_close_the_gap, "root"),
    "cut off the end of the log": Attack(cut_off_the_end, "signer"),
    "insert an event": Attack(insert_event, "root"),
    "swap two events": Attack(swap_two, "root"),
    "duplicate an event": Attack(duplicate_event, "row"),
    "edit the row of an event": Attack(edit_row, "row"),
    "edit a tile": Attack(edit_tile, "tile"),
    "delete the tiles": Attack(delete_tile, "tile"),
    "edit a checkpoint": Attack(edit_checkpoint, "signature"),
    "rewrite everything, signed with another key": Attack(rewrite_with_another_key, "signer"),
    "rewrite everything, signed with the stolen key": Attack(rewrite_with_the_stolen_key, "signer"),
    "delete a pending row": Attack(delete_pending, "lost"),
    "keep the sealer from working": Attack(stop_the_sealer, "waiting"),
    "change the state of a delivery": Attack(change_a_state, "state"),
    "undo the state of a delivery": Attack(undo_a_state, "state"),
    "delete a delivery": Attack(delete_a_delivery, "subject"),
    "exchange the digest of a package": Attack(exchange_the_package, "subject"),
    "exchange a stored receipt": Attack(edit_a_receipt, "receipt"),
    "delete the whole log": Attack(delete_the_log, "signer"),
    "begin a log without the one before": Attack(forge_the_first_event, "begin"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_the_attack_is_noticed(superuser: World, name: str) -> None:
    ATTACKS[name].do(superuser)
    found = run.check(NOW, full=True)
    assert ATTACKS[name].noticed_by in {item["check"] for item in found.findings}, found.findings
    assert not found.held
    assert run.alarms()


def test_a_client_with_an_older_checkpoint_notices_a_log_rewritten_with_the_stolen_key(
    superuser: World,
) -> None:
    """The worked example of docs/audit-log.md: without any help from the hub's own memory."""
    seen = checkpoint.verify(
        Checkpoint.objects.latest("size").note.encode(), [VerifierKey.parse(current().key)]
    ).checkpoint
    rewrite_with_the_stolen_key(superuser)
    nodes = tiles.nodes(current().size, proofs.reader(current()))
    head = proofs.head(current())
    proof = consistency(seen.size, head.size, nodes)
    with pytest.raises(Broken):
        tree.check_consistency(seen.size, seen.root, head.size, head.root, proof)


@pytest.mark.parametrize("name", ["edit an event and its leaf hash", "cut off the end of the log"])
def test_the_signer_does_not_go_on_after_the_attack(superuser: World, name: str) -> None:
    rebuilt = rewrite_event_and_tile if "edit" in name else cut_off_the_end
    rebuilt(superuser)
    Pending.objects.all().delete()
    superuser.send("H29", "H29.5")
    with pytest.raises(signer.SignerRefused):
        sealing.seal(LATER)


def test_a_receipt_with_its_proof_tells_that_its_event_was_rewritten(superuser: World) -> None:
    """Whoever holds the receipt needs no database: the proof leads to another root than the hub's."""
    event = middle().event
    held, proof = log.receipt(event), proofs.places([event.pk])[event.pk].proof
    rewrite_with_another_key(superuser)
    old_key = VerifierKey.parse(signer.memory()[-1].key)
    assert Proof.parse(proof).verify(events.leaf_hash(held.raw), [old_key])
    with pytest.raises(Broken):
        checkpoint.verify(Checkpoint.objects.order_by("-size")[0].note.encode(), [old_key])


def test_without_the_memory_of_the_signer_nothing_is_signed(sealed: World) -> None:
    (settings.ENVIRONMENT.keys / "log.signed").unlink()
    sealed.send("H29", "H29.5")
    with pytest.raises(signer.SignerRefused):
        sealing.seal(LATER)
    assert "signer" in {item["check"] for item in run.check(NOW, full=True).findings}


def test_a_clock_set_back_is_seen_in_the_events_and_breaks_nothing(sealed: World) -> None:
    sealed.send("H29", "H29.5", now=NOW - timedelta(hours=2))
    sealing.seal(NOW - timedelta(days=800))
    assert current().origin == "hub.test/2026"
    assert run.check(NOW, full=True).findings == []


def test_a_wrong_digest_in_an_acknowledgement_writes_no_event(sealed: World) -> None:
    from exchange import delivery

    count = Event.objects.count()
    row = Delivery.objects.filter(recipient_code="H29.5")[0]
    with pytest.raises(Refused), transaction.atomic():
        delivery.acknowledge(
            row.id,
            system=sealed.system_of("H29.5"),
            sha256="0" * 64,
            actor=sealed.actor_of("H29.5"),
            now=NOW,
        )
    assert Event.objects.count() == count


def test_an_incident_is_told_from_a_log_that_lost_its_past(sealed: World) -> None:
    sealing.open_log(LATER, incident="Khôi phục bản sao lưu", actor=log.HUB)
    assert run.check(LATER, full=True).findings == []


# --- the incremental check ------------------------------------------------------------------------------


def test_an_incremental_check_reads_only_what_is_new(sealed: World) -> None:
    first = run.check(NOW, full=False)
    sealed.send("H29", "H29.5")
    sealing.seal(LATER)
    second = run.check(LATER, full=False)
    assert second.held
    assert (second.events, second.size) == (current().size - first.size, current().size)


@pytest.mark.parametrize("name", ["edit a tile", "delete a pending row", "keep the sealer from working"])
def test_an_incremental_check_notices_what_is_fresh(superuser: World, name: str) -> None:
    run.check(NOW, full=False)
    ATTACKS[name].do(superuser)
    superuser.send("H29", "H29.5")
    found = run.check(NOW, full=False)
    assert ATTACKS[name].noticed_by in {item["check"] for item in found.findings}


def test_an_incremental_check_follows_the_log_into_the_next_year(sealed: World) -> None:
    run.check(NOW, full=False)
    sealed.send("H29", "H29.5")
    sealing.seal(NOW + timedelta(days=400))
    found = run.check(NOW, full=False)
    assert (found.held, found.log) == (True, current())


def test_results_do_not_pile_up(superuser: World) -> None:
    for _ in range(3):
        run.check(NOW, full=False)
    assert LogCheck.objects.filter(full=False).count() == 1
    edit_tile(superuser)
    for _ in range(3):
        run.check(NOW, full=False)
    assert LogCheck.objects.filter(full=False, held=False).count() == 1
