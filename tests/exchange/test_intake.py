"""The front door: what is accepted, what is refused with which code, and that a refusal changes nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from agencies.models import Agency, System
from exchange import intake, log, registry, vault
from exchange.envelope import package as envelope
from exchange.envelope.signing import sign
from exchange.evidence import events, receipts
from exchange.models import Delivery, Event, Package, SignatureState
from exchange.refusals import Refused
from fixtures.pki import Authority, Revocation
from tests.world import ACTOR, NOW, Keys, World, answer_to, at_once


def refused(hub: World, raw: bytes, sender: str = "H29") -> str:
    """The code with which intake refuses `raw`; nothing but the event of the refusal may be left."""
    before = (Package.objects.count(), Delivery.objects.count(), Event.objects.count())
    with pytest.raises(Refused) as caught:
        hub.accept(raw, sender)
    assert (Package.objects.count(), Delivery.objects.count()) == before[:2]
    [event] = Event.objects.order_by("id")[before[2] :]
    assert event.name == "SubmissionRejection"
    assert events.decode(bytes(event.body.raw)).reason == events.Reason(caught.value.code)
    return caught.value.code


def test_an_accepted_package_is_stored_as_it_came(hub: World) -> None:
    raw = hub.document("H29", "H29.5", "H29.17")
    made = hub.accept(raw)
    assert vault.get(made.package.sha256) == raw
    assert made.package.signature_state == SignatureState.VALID
    assert [item.state for item in made.deliveries] == ["queued", "queued"]


def test_the_receipt_is_an_event_signed_by_the_hub(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    event = events.decode(made.receipt.raw)
    assert (event.event, event.doc_sha256) == ("SubmissionAcceptance", made.package.sha256)
    assert event.deliveries == (str(made.deliveries[0].id),)
    assert receipts.verify(made.receipt.raw, made.receipt.jws, None, NOW)
    with pytest.raises(ValueError):
        receipts.verify(made.receipt.raw + b" ", made.receipt.jws, None, NOW)


def test_the_same_bytes_give_the_same_package_and_receipt(hub: World) -> None:
    raw = hub.document("H29", "H29.5")
    first, second = hub.accept(raw), hub.accept(raw, now=NOW + timedelta(days=400))
    assert second.replayed
    assert (second.package.id, second.receipt) == (first.package.id, first.receipt)
    assert Package.objects.count() == 1


def test_two_codes_of_one_agency_give_one_delivery_and_a_warning(hub: World) -> None:
    made = hub.send("H29", "H29.5", "000.00.05.H29")
    assert [item.recipient_code for item in made.deliveries] == ["H29.5"]
    assert [note.code for note in made.warnings] == ["recipient.repeated"]


def test_one_system_sends_for_several_agencies(hub: World) -> None:
    assert hub.send("H29.10", "H29.5").package.sender.code == "H29.10"


BAD: dict[str, Callable[[World], bytes]] = {
    "package.not-xml": lambda _: b"%PDF-1.4 not a package",
    "package.not-edxml": lambda _: b"<letter/>",
    "package.forbidden-construct": lambda hub: with_doctype(hub.document("H29", "H29.5")),
    "signature.missing": lambda hub: hub.document("H29", "H29.5", signed=False),
    "certificate.unknown": lambda hub: with_key_of(hub, "H29.5"),
    "signature.digest-mismatch": lambda hub: hub.document("H29", "H29.5").replace(
        b"2026</edXML:Subject>", b"2027</edXML:Subject>"
    ),
    "recipient.unknown": lambda hub: hub.document("H29", "H29.5", "H29.404"),
    "sender.not-registered": lambda hub: as_sender(hub, "H99"),
    "sender.not-yours": lambda hub: hub.document("H29.5", "H29.17"),
}


def with_doctype(raw: bytes) -> bytes:
    return raw.replace(b"<edXML ", b"<!DOCTYPE edXML><edXML ", 1)


def tampered(raw: bytes) -> bytes:
    changed = raw.replace(b"2026</edXML:Subject>", b"2027</edXML:Subject>")
    assert changed != raw
    return changed


def with_key_of(hub: World, code: str) -> bytes:
    identity = hub.keys.identities[code]
    raw = hub.document("H29", "H29.5", signed=False)
    return sign(raw, key=identity.key, certificate_chain=identity.chain)


def as_sender(hub: World, code: str) -> bytes:
    identity = hub.keys.identities["H29"]
    return sign(hub.document(code, "H29.5", signed=False), key=identity.key, certificate_chain=identity.chain)


@pytest.mark.parametrize("code", BAD)
def test_a_bad_package_is_refused_by_name_and_changes_nothing(hub: World, code: str) -> None:
    assert refused(hub, BAD[code](hub)) == code


def test_every_unknown_recipient_is_named_at_once(hub: World) -> None:
    with pytest.raises(Refused) as caught:
        hub.send("H29", "H29.404", "H29.405", "H29.5")
    assert [problem.facts["organ"] for problem in caught.value.problems] == ["H29.404", "H29.405"]


def test_a_package_over_the_systems_limit_is_refused(hub: World) -> None:
    System.objects.filter(name="office").update(max_bytes=1000)
    hub.systems["office"].refresh_from_db()
    assert refused(hub, hub.document("H29", "H29.5")) == "package.too-large"


def test_a_certificate_of_an_unknown_authority_is_refused(hub: World) -> None:
    stranger = Authority.create("Stranger", not_before=NOW).issue("Agency H29", not_before=NOW)
    registry.add_certificate(hub.agencies["H29"], stranger.der, by=registry.Change(ACTOR, NOW))
    raw = sign(hub.document("H29", "H29.5", signed=False), key=stranger.key, certificate_chain=stranger.chain)
    assert refused(hub, raw) == "certificate.untrusted"


def test_a_revoked_certificate_is_refused_at_once(hub: World) -> None:
    [certificate] = hub.agencies["H29"].certificates.all()
    registry.revoke_certificate(certificate, by=registry.Change(ACTOR, NOW, why="lost"))
    assert refused(hub, hub.document("H29", "H29.5")) == "certificate.revoked"


def test_a_certificate_on_the_stored_revocation_list_is_refused(hub: World, keys: Keys) -> None:
    identity = keys.authority.issue("Agency H29, second key", not_before=NOW - timedelta(days=60))
    by = registry.Change(ACTOR, NOW)
    registry.add_certificate(hub.agencies["H29"], identity.der, by=by)
    listed = keys.authority.crl([Revocation(identity.certificate, NOW - timedelta(days=1))], this_update=NOW)
    root = keys.authority.certificate.public_bytes(Encoding.DER)
    registry.store_crl(listed.public_bytes(Encoding.DER), root, by=by)
    raw = sign(hub.document("H29", "H29.5", signed=False), key=identity.key, certificate_chain=identity.chain)
    assert refused(hub, raw) == "certificate.revoked"
    assert hub.send("H29", "H29.5"), "the other certificate still serves"


@pytest.mark.parametrize(
    ("suspend", "code"),
    [("H29", "sender.suspended"), ("H29.5", "recipient.suspended")],
)
def test_a_suspended_agency_neither_sends_nor_receives(hub: World, suspend: str, code: str) -> None:
    registry.suspend_agency(hub.agencies[suspend], by=registry.Change(ACTOR, NOW))
    assert refused(hub, hub.document("H29", "H29.5")) == code


def test_an_agency_without_a_system_is_not_connected(hub: World) -> None:
    Agency.objects.filter(code="H29.5").update(receives_through=None)
    assert refused(hub, hub.document("H29", "H29.5")) == "recipient.not-connected"


def test_under_policy_report_an_unsigned_package_is_taken_and_marked(hub: World) -> None:
    Agency.objects.filter(code="H29").update(signature_policy="report")
    made = hub.send("H29", "H29.5", signed=False)
    assert made.package.signature_state == SignatureState.ABSENT
    broken = tampered(hub.document("H29", "H29.5"))
    marked = hub.accept(broken).package
    assert (marked.signature_state, marked.signature_problem) == ("invalid", "signature.digest-mismatch")


def test_a_document_id_used_with_other_bytes_is_refused_or_warned_of(hub: World) -> None:
    hub.send("H29", "H29.5", identifier="H29,2026,1")
    again = hub.document("H29", "H29.17", identifier="H29,2026,1")
    assert refused(hub, again) == "document.id-reused"
    Agency.objects.filter(code="H29").update(duplicate_policy="warn")
    assert "document.id-reused" in [note.code for note in hub.accept(again).warnings]


def test_a_number_used_twice_within_a_year_is_warned_of(hub: World) -> None:
    code = envelope.Code("7", "QĐ-UBND")
    hub.send("H29", "H29.5", code=code)
    again = hub.send("H29", "H29.5", code=code, identifier="other", now=NOW + timedelta(days=300))
    assert [note.code for note in again.warnings] == ["document.code-repeated"]
    late = hub.send("H29", "H29.5", code=code, identifier="third", now=NOW + timedelta(days=800))
    assert late.warnings == ()


def test_validate_reports_what_accept_would_say_and_stores_nothing(hub: World) -> None:
    system, actor = hub.system_of("H29"), hub.actor_of("H29")
    good = hub.document("H29", "H29.5", "000.00.05.H29")
    report = intake.validate(good, system=system, actor=actor, now=NOW)
    assert report.problems == ()
    assert [agency.code for agency in report.recipients] == ["H29.5"]
    assert [note.code for note in report.warnings] == ["recipient.repeated"]
    bad = intake.validate(hub.document("H29", "H29.404"), system=system, actor=actor, now=NOW)
    assert [problem.code for problem in bad.problems] == ["recipient.unknown"]
    assert not Package.objects.exists()
    assert not Event.objects.exclude(name="PolicyChange").exists()


def test_the_constraint_behind_idempotence_is_in_the_database(hub: World) -> None:
    package = hub.send("H29", "H29.5").package
    twin = Package.objects.get(id=package.id)
    twin.id = Package._meta.pk.get_default()
    log.append(
        [log.Entry(row=twin, event="SubmissionAcceptance", package=twin, facts={"deliveries": ()})],
        at=NOW,
        actor=ACTOR,
    )
    with pytest.raises(IntegrityError):
        twin.save(force_insert=True)


def test_the_same_bytes_twice_at_once_are_one_package(live_hub: World) -> None:
    raw = live_hub.document("H29", "H29.5")
    made: list[intake.Acceptance] = []
    at_once(*[lambda: made.append(live_hub.accept(raw))] * 4)
    assert len({item.package.id for item in made}) == 1
    assert sorted(item.replayed for item in made) == [False, True, True, True]
    assert not Event.objects.filter(name="SubmissionRejection").exists()


def test_of_different_bytes_with_one_document_id_at_once_one_is_taken(live_hub: World) -> None:
    made: list[str] = []

    def send(raw: bytes) -> None:
        try:
            made.append(str(live_hub.accept(raw).package.id))
        except Refused as problem:
            made.append(problem.code)

    copies = [live_hub.document("H29", "H29.5", identifier="H29,2026,1") for _ in range(4)]
    at_once(*[partial(send, raw) for raw in copies])
    assert Package.objects.count() == 1
    assert sorted(made)[1:] == ["document.id-reused"] * 3


@pytest.mark.parametrize("code", ["SỞ.YT", "A&B", "H29(1)", "-H29"])
def test_any_code_that_the_registry_takes_can_receive(hub: World, code: str) -> None:
    by = registry.Change(ACTOR, NOW)
    agency = registry.register_agency(code, "Cơ quan có mã lạ", by=by)
    registry.move_agency(agency, hub.systems["district"], by=by)
    [delivery] = hub.send("H29", code).deliveries
    assert delivery.recipient_code == code


def test_a_status_with_an_endless_document_id_is_stored(hub: World) -> None:
    sent = hub.send("H29", "H29.5")
    answers = replace(answer_to(sent), document_id="x" * 2_000)
    assert hub.accept(hub.status("H29.5", "03", answers), "H29.5").package.about == sent.package


def test_validate_says_of_an_accepted_package_that_it_is_acceptable(hub: World) -> None:
    raw = hub.document("H29", "H29.5")
    hub.accept(raw)
    report = intake.validate(raw, system=hub.system_of("H29"), actor=hub.actor_of("H29"), now=NOW)
    assert report.problems == ()
    assert [agency.code for agency in report.recipients] == ["H29.5"]


def test_a_stale_revocation_list_is_used_and_marked(hub: World, keys: Keys) -> None:
    listed = keys.authority.crl(
        [], this_update=NOW - timedelta(days=30), next_update=NOW - timedelta(days=20)
    )
    root = keys.authority.certificate.public_bytes(Encoding.DER)
    registry.store_crl(listed.public_bytes(Encoding.DER), root, by=registry.Change(ACTOR, NOW))
    assert [note.code for note in hub.send("H29", "H29.5").warnings] == ["certificate.revocation-stale"]


@pytest.mark.parametrize("recipients", [["H29.5"], ["H29.5", "H29.17", "H29.121", "H29.10"]])
def test_an_acceptance_is_written_in_three_round_trips_whatever_the_number_of_recipients(
    hub: World, recipients: list[str]
) -> None:
    raw = hub.document("H29", *recipients)
    with CaptureQueriesContext(connection) as queries:
        hub.accept(raw)
    written = [query["sql"] for query in queries if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    assert len(written) == (3 if connection.vendor == "postgresql" else 7), "SQLite takes one at a time"


def test_more_recipients_ask_the_database_no_more_often(hub: World) -> None:
    hub.send("H29", "H29.5", "H29.17", "H29.121", "H29.10")  # what is asked for the first time is read

    def statements(*recipients: str) -> int:
        raw = hub.document("H29", *recipients)
        with CaptureQueriesContext(connection) as queries:
            hub.accept(raw)
        # The mode of the hub is a fact that every process asks for once in two seconds.
        return len([query for query in queries if "exchange_fact" not in query["sql"]])

    assert statements("H29.5") == statements("H29.5", "H29.17", "H29.121", "H29.10")


def test_many_recipients_are_stored_as_few_are(hub: World) -> None:
    """More rows than are written one parameter at a time: each column as it was made, each event whole."""
    by = registry.Change(ACTOR, NOW)
    many = [registry.register_agency(f"M.{number}", f"Cơ quan {number}", by=by) for number in range(12)]
    registry.register_system("many", by=by, agencies=many)
    taken = hub.send("H29", *(agency.code for agency in many))
    stored = Delivery.objects.filter(package=taken.package).order_by("id")
    columns = [field.attname for field in Delivery._meta.concrete_fields if field.attname != "head"]
    assert [[getattr(row, name) for name in columns] for row in stored] == [
        [getattr(row, name) for name in columns] for row in taken.deliveries
    ]
    receipts = log.receipts_of(taken.package, [taken.package.id, *(row.id for row in stored)])
    assert len(receipts) == 13
