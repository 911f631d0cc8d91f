"""The sealer: every event enters the log once, heads are signed once, and a crash anywhere loses nothing."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import Error, connection, transaction

from exchange import delivery, keys, log, proofs, sealing, signer
from exchange.evidence import checkpoint, events, tiles, tree
from exchange.evidence.checkpoint import VerifierKey
from exchange.evidence.proof import Proof
from exchange.evidence.prove import Nodes
from exchange.models import (
    Checkpoint,
    Delivery,
    Event,
    EventText,
    Log,
    LogEntry,
    Pending,
    StoredReceipt,
    Tile,
)
from exchange.signer import SignerRefused
from tests.world import ACTOR, NOW, World

LATER = NOW + timedelta(minutes=1)


def current() -> Log:
    log_ = Log.objects.current()
    assert log_
    return log_


def opened(row: Checkpoint) -> checkpoint.Checkpoint:
    """What a stored checkpoint says, after its signature was checked with the key of its log."""
    return checkpoint.verify(row.note.encode(), [VerifierKey.parse(row.log.key)]).checkpoint


def leaves(log_: Log) -> list[bytes]:
    """The leaf hashes from the stored bytes of the events, in the order of the log."""
    rows = LogEntry.objects.filter(log=log_).order_by("index").values_list("event__body__raw", flat=True)
    return [tree.leaf_hash(bytes(raw)) for raw in rows]


def check_head(log_: Log) -> None:
    """The last checkpoint covers everything, and its root is that of the stored bytes."""
    last = log_.last_checkpoint()
    assert last
    head = opened(last)
    assert (head.origin, head.size, head.root) == (log_.origin, log_.size, tree.root(leaves(log_)))
    assert head.size == LogEntry.objects.filter(log=log_).count()


def forget_nothing() -> None:
    """Every event stands in a log, exactly once; nothing waits."""
    assert not Pending.objects.exists()
    assert (
        LogEntry.objects.count() == Event.objects.count() == len(set(LogEntry.objects.values_list("event")))
    )


# --- the way into the log -----------------------------------------------------------------------------


def test_every_event_waits_for_the_sealer_from_its_own_transaction_on(hub: World) -> None:
    hub.send("H29", "H29.5", "H29.17")
    assert Pending.objects.count() == Event.objects.count()


def test_sealed_events_stand_in_a_signed_log_that_begins_with_new_log(hub: World) -> None:
    hub.send("H29", "H29.5", "H29.17")
    count = Event.objects.count()
    assert sealing.seal(NOW) == count + 1
    first = LogEntry.objects.get(log=current(), index=0).event
    assert events.decode(bytes(first.body.raw)).target == current().origin == "hub.test/2026"
    check_head(current())
    forget_nothing()


def test_nothing_to_seal_signs_nothing(hub: World) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    assert sealing.seal(LATER) == 0
    assert Checkpoint.objects.count() == 2


def test_an_event_that_commits_late_enters_later(hub: World) -> None:
    hub.send("H29", "H29.5")
    late = Pending.objects.earliest("event").event_id
    unguarded(Pending.objects.filter(event=late).delete)  # as if its transaction were still open
    sealing.seal(NOW)
    Pending.objects.create(event_id=late)
    assert sealing.seal(LATER) == 1
    assert LogEntry.objects.get(event=late).index == current().size - 1
    check_head(current())


def test_the_log_grows_over_many_batches_and_tiles(hub: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BATCH", 100)
    for number in range(600):
        log.note(sealing.STREAM, "AdminAccess", actor=ACTOR, at=NOW, what=f"test.{number}")
    sealing.seal(NOW)
    check_head(current())
    assert sorted(Tile.objects.values_list("level", "index", "width")) == [
        (0, 0, 256),
        (0, 1, 256),
        (0, 2, current().size - 512),
        (1, 0, 2),
    ]
    for row in Checkpoint.objects.filter(log=current()):
        assert opened(row).root == tree.root(leaves(current())[: row.size])


def test_the_year_ends_the_log_and_the_next_one_carries_its_last_checkpoint(hub: World) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    last = current().last_checkpoint()
    assert last
    hub.send("H29", "H29.5", now=NOW)
    new_year = datetime.fromisoformat("2027-01-01T00:00:00+00:00")
    sealing.seal(new_year)
    first = events.decode(bytes(LogEntry.objects.get(log=current(), index=0).event.body.raw))
    assert (current().origin, first.checkpoint) == ("hub.test/2027", last.note)
    check_head(current())
    forget_nothing()
    hub.send("H29", "H29.5")
    sealing.seal(NOW)  # the clock is set back: the log goes on
    assert current().origin == "hub.test/2027"
    check_head(current())


# --- proofs -------------------------------------------------------------------------------------------


def test_a_sealed_event_has_a_proof_that_verifies_offline(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    [receipt] = [made.receipt]
    assert proofs.places([receipt.key]) == {}
    sealing.seal(NOW)
    place = proofs.places([receipt.key])[receipt.key]
    head = Proof.parse(place.proof).verify(events.leaf_hash(receipt.raw), [VerifierKey.parse(current().key)])
    assert (head.checkpoint.origin, place.index) == (current().origin, Proof.parse(place.proof).index)


def test_entries_that_are_integrated_but_not_signed_have_no_proof_yet(hub: World) -> None:
    sealing.seal(NOW)
    receipt = hub.send("H29", "H29.5").receipt
    sealing.integrate(current())
    assert proofs.places([receipt.key]) == {}
    sealing.publish(current(), LATER)
    assert proofs.places([receipt.key])


def test_entry_bundles_give_the_leaves_of_the_tiles(hub: World) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    bundle = proofs.entries(current(), 0, current().size)
    assert [tree.leaf_hash(raw) for raw in tiles.parse_bundle(bundle)] == tiles.split(
        proofs.reader(current())(0, 0, current().size)
    )
    with pytest.raises(tree.Broken):
        proofs.entries(current(), 0, current().size + 1)


# --- receipts -----------------------------------------------------------------------------------------


def test_a_stored_receipt_is_the_one_that_was_given(hub: World) -> None:
    given = hub.send("H29", "H29.5")
    sealing.seal(NOW)
    while sealing.store_receipts():
        pass
    assert StoredReceipt.objects.count() == Event.objects.count()
    assert log.acceptance_receipt(given.package) == given.receipt


def test_a_receipt_stays_the_same_when_the_seal_is_changed(hub: World) -> None:
    given = hub.send("H29", "H29.5")
    _, digest = keys.add_seal(NOW + timedelta(hours=1))
    assert log.acceptance_receipt(given.package) == given.receipt, "not stored yet: the seal of its time"
    sealing.seal(NOW)
    sealing.store_receipts()
    assert log.acceptance_receipt(given.package) == given.receipt
    later = hub.send("H29", "H29.5", now=NOW + timedelta(hours=2))
    assert keys.fingerprint(keys.seal(NOW + timedelta(hours=2)).certificates[0]) == digest
    assert later.receipt.jws.split(".")[0] != given.receipt.jws.split(".")[0]


def test_bytes_that_were_altered_are_not_signed(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    event = Event.objects.get(pk=made.receipt.key)
    alter_body(event, lambda raw: raw.replace(b"H29.5", b"H29.6").replace(b"H29,", b"H30,"))
    with pytest.raises(log.Altered):
        log.acceptance_receipt(made.package)
    sealing.seal(NOW)
    sealing.store_receipts()
    assert not StoredReceipt.objects.filter(event=event).exists()


# --- the guarded signer -------------------------------------------------------------------------------


def test_the_signer_remembers_before_it_gives_the_signature(hub: World) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    last = current().last_checkpoint()
    assert last
    [known] = signer.memory()
    assert (known.origin, known.note) == (current().origin, last.note)
    path = settings.ENVIRONMENT.keys / "log.signed"
    assert path.stat().st_mode & 0o777 == 0o600


def head_of(count: int, fork: bool = False) -> tuple[checkpoint.Checkpoint, Nodes]:
    hashes = [tree.leaf_hash(f"{number}{fork and number > 2}".encode()) for number in range(count)]
    return checkpoint.Checkpoint("hub.test/2026", count, tree.root(hashes)), memory_nodes(hashes)


def memory_nodes(hashes: list[bytes]) -> Nodes:
    return lambda level, index: tree.root(hashes[index << level : (index + 1) << level])


@pytest.fixture
def signing(fresh_signer: None) -> None:
    signer.open_log("hub.test/2026", at=NOW, after="", nodes=None)
    signer.sign(*head_of(5))


def test_the_signer_signs_what_extends_and_the_same_again(signing: None) -> None:
    assert signer.sign(*head_of(5)) == signer.sign(*head_of(5))
    assert signer.sign(*head_of(9))


@pytest.mark.parametrize(("size", "fork"), [(4, False), (0, False), (5, True), (6, True), (9, True)])
def test_the_signer_refuses_what_does_not_extend(signing: None, size: int, fork: bool) -> None:
    before = signer.memory()
    with pytest.raises(SignerRefused):
        signer.sign(*head_of(size, fork))
    assert signer.memory() == before


def test_the_signer_refuses_a_log_it_did_not_open(signing: None) -> None:
    head, nodes = head_of(9)
    with pytest.raises(SignerRefused):
        signer.sign(checkpoint.Checkpoint("hub.test/2027", 9, head.root), nodes)


def test_the_signer_opens_a_log_only_after_what_it_signed_last(signing: None) -> None:
    head, nodes = head_of(5, fork=True)
    forged = checkpoint.sign(head, Ed25519PrivateKey.generate()).decode()
    for after in ("", forged, forged.replace("2026", "2025")):
        with pytest.raises(SignerRefused):
            signer.open_log("hub.test/2027", at=NOW, after=after, nodes=nodes)
    assert signer.open_log("hub.test/2027", at=NOW, after=signer.last_note(), nodes=nodes)
    with pytest.raises(SignerRefused):
        signer.sign(*head_of(9))  # the old log is closed


def test_an_altered_memory_stops_the_signer(signing: None) -> None:
    path = settings.ENVIRONMENT.keys / "log.signed"
    good = path.read_text()
    known = json.loads(good)
    known[0]["note"] = known[0]["note"].replace("\n5\n", "\n4\n")
    for broken in (good[:-5], json.dumps(known), "{}"):
        path.write_text(broken)
        with pytest.raises(SignerRefused):
            signer.sign(*head_of(9))


# --- rollback and incident ----------------------------------------------------------------------------


@contextmanager
def rolled_back() -> Iterator[None]:
    """What happens inside is undone in the database, as by restoring a backup; files stay as they are."""
    before = transaction.savepoint()
    yield
    transaction.savepoint_rollback(before)


def test_a_rolled_back_database_stops_the_log_before_anything_enters(hub: World) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    with rolled_back():
        hub.send("H29", "H29.5")
        sealing.seal(LATER)
    size = current().size
    hub.send("H29", "H29.17")
    with pytest.raises(SignerRefused, match="shrank"):
        sealing.seal(LATER)
    assert current().size == size
    hub.send("H29", "H29.17", "H29.5")
    with pytest.raises(SignerRefused):
        sealing.seal(LATER)


def test_after_an_incident_a_new_log_goes_on_from_the_last_published_checkpoint(hub: World) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    hub.send("H29", "H29.5")
    sealing.integrate(current())  # the backup is taken between the two commits
    with rolled_back():
        hub.send("H29", "H29.5")
        sealing.seal(LATER)
        published = signer.last_note()
    hub.send("H29", "H29.17")
    with pytest.raises(SignerRefused):
        sealing.seal(LATER)
    sealing.open_log(LATER, incident="Khôi phục bản sao lưu đêm 22/11", actor=ACTOR)
    sealing.seal(LATER)
    first = LogEntry.objects.get(log=current(), index=0).event
    event = events.decode(bytes(first.body.raw))
    assert (current().origin, event.checkpoint) == ("hub.test/2026/2", published)
    salted = EventText.objects.get(event=first)
    assert event.reason
    assert event.reason.text_sha256 == events.text_digest(bytes(salted.salt), salted.text)
    check_head(current())
    assert not Pending.objects.exists()
    assert len(proofs.places(list(Event.objects.values_list("pk", flat=True)))) == Event.objects.count()


def test_a_new_log_key_means_a_new_log(hub: World) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    first = current()
    keys.add_log_key(LATER)
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    assert current() == first, "not in force yet"
    hub.send("H29", "H29.5")
    sealing.seal(LATER)
    assert (current().origin, current().key != first.key) == ("hub.test/2026/2", True)
    first.refresh_from_db()
    check_head(first)
    check_head(current())


# --- crashes ------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


CRASHES: dict[str, tuple[object, str]] = {
    "before the entries are written": (sealing, "_claim"),
    "before the tiles are written": (Tile.objects, "bulk_create"),
    "before the first commit": (sealing, "_write_tiles"),
    "between the two commits": (sealing, "publish"),
    "before the head is signed": (signer, "sign"),
    "before the signer remembers": (signer, "_remember"),
    "after signing, before the checkpoint is stored": (Checkpoint.objects, "create"),
    "when the log was opened but not written": (Log.objects, "create"),
    "when the log was opened but its first event was not": (log, "note"),
    "before receipts are stored": (StoredReceipt.objects, "bulk_create"),
}


@pytest.mark.parametrize("before", [False, True], ids=["first log", "running log"])
@pytest.mark.parametrize("where", CRASHES)
def test_a_crash_anywhere_loses_nothing_and_signs_nothing_twice(
    hub: World, monkeypatch: pytest.MonkeyPatch, where: str, before: bool
) -> None:
    if before:
        hub.send("H29", "H29.17")
        sealing.seal(NOW)
    hub.send("H29", "H29.5")
    at = NOW + timedelta(days=400) if "opened" in where else NOW  # a running log ends with the year
    thing, name = CRASHES[where]
    with monkeypatch.context() as patched:
        patched.setattr(thing, name, _die)
        with pytest.raises(Killed):
            sealing.seal(at)
            sealing.store_receipts()
    sealing.seal(at)
    while sealing.store_receipts():
        pass
    check_head(current())
    forget_nothing()
    assert StoredReceipt.objects.count() == Event.objects.count()


def _die(*args: object, **kwargs: object) -> None:
    raise Killed


# --- what the database refuses ------------------------------------------------------------------------


def unguarded(work: Callable[[], object]) -> None:
    """Do `work` as somebody who may drop triggers."""
    from exchange.models import guards

    guards.remove(connection)
    work()
    guards.install(connection)


def alter_body(event: Event, change: Callable[[bytes], bytes]) -> None:
    """Change the stored bytes of `event` behind the guards."""
    raw = bytes(event.body.raw)
    assert change(raw) != raw
    unguarded(lambda: type(event.body).objects.filter(pk=event.pk).update(raw=change(raw)))


@pytest.mark.parametrize(
    ("guard", "attack"),
    {
        "pending_until_in_log": lambda: _raw_delete(Pending),
        "logentry_never_changed": lambda: LogEntry.objects.filter(index=1).update(index=99),
        "logentry_never_deleted": lambda: _raw_delete(LogEntry),
        "checkpoint_never_changed": lambda: Checkpoint.objects.update(note="x"),
        "checkpoint_never_deleted": lambda: _raw_delete(Checkpoint),
        "tile_only_grows": lambda: Tile.objects.update(data=b"\0" * 32),
        "tile_never_deleted": lambda: _raw_delete(Tile),
        "log_only_grows": lambda: Log.objects.update(size=1),
        "log_never_deleted": lambda: _raw_delete(Log),
        "storedreceipt_never_changed": lambda: StoredReceipt.objects.update(signature="x"),
    }.items(),
)
def test_the_database_keeps_the_log_as_it_was_written(
    hub: World, guard: str, attack: Callable[[], object]
) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    sealing.store_receipts()
    hub.send("H29", "H29.5")
    with pytest.raises(Error, match=guard), transaction.atomic():
        attack()


def test_the_key_of_a_log_cannot_be_exchanged(hub: World) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    with pytest.raises(Error, match="log_only_grows"), transaction.atomic():
        Log.objects.update(key="another")


def test_a_full_tile_is_never_written_again(hub: World) -> None:
    for number in range(300):
        log.note(sealing.STREAM, "AdminAccess", actor=ACTOR, at=NOW, what=f"test.{number}")
    sealing.seal(NOW)
    tile = Tile.objects.get(level=0, index=0)
    with pytest.raises(Error, match="tile_only_grows"), transaction.atomic():
        Tile.objects.filter(pk=tile.pk).update(data=bytes(tile.data) + b"\0" * 32)


def _raw_delete(model: type[Pending | LogEntry | Checkpoint | Tile | Log]) -> None:
    rows = model.objects.all()
    rows._raw_delete(rows.db)


# --- who leads ----------------------------------------------------------------------------------------


def test_only_one_process_leads(live_hub: World, tmp_path: Path) -> None:
    import threading

    from django.db import connections

    outcome: list[str] = []

    def second() -> None:
        try:
            with sealing.leading():
                outcome.append("leads")
        except sealing.NotLeading:
            outcome.append("stands by")
        finally:
            connections.close_all()

    for holding, expected in ((True, "stands by"), (False, "leads")):
        with sealing.leading() if holding else transaction.atomic():
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()
        assert outcome.pop() == expected


def test_a_second_sealer_that_does_not_ask_changes_nothing(hub: World) -> None:
    hub.send("H29", "H29.5")
    sealing.seal(NOW)
    stale = Log.objects.get(pk=current().pk)
    hub.send("H29", "H29.5")
    sealing.integrate(current())
    hub.send("H29", "H29.5")
    with pytest.raises(sealing.NotLeading):
        sealing.integrate(stale)
    sealing.seal(LATER)
    check_head(current())


def test_the_loop_seals_until_it_is_stopped(hub: World) -> None:
    hub.send("H29", "H29.5")
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) >= 3

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sealing, "datetime", type("Clock", (), {"now": staticmethod(lambda zone: NOW)}))
        sealing.run(wait)
    assert 0 < waits[2] <= sealing.ROUND_SECONDS, "a round for what came meanwhile, not for each event"
    forget_nothing()
    check_head(current())
    assert sealing.oldest_pending() is None


def test_who_is_behind_goes_on_without_a_pause(hub: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BATCH", 2)
    monkeypatch.setattr(sealing, "RECEIPTS", 1)
    hub.send("H29", "H29.5")
    hub.send("H29", "H29.5")
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) >= 4

    sealing.run(wait)
    assert sealing.oldest_pending() is None
    assert waits[:4] == [0.0] * 4


def test_the_oldest_event_that_waits_is_known(hub: World) -> None:
    assert sealing.oldest_pending() == NOW
    [row] = hub.send("H29", "H29.5").deliveries
    sealing.seal(NOW)
    delivery.acknowledge(
        row.id,
        system=hub.system_of("H29.5"),
        sha256=Delivery.objects.get(pk=row.pk).package.sha256,
        actor=hub.actor_of("H29.5"),
        now=LATER,
    )
    assert sealing.oldest_pending() == LATER
