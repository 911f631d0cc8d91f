"""Changes of the registry: each with its event, and with what waits in the queue."""

from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.contrib.auth.models import User

from agencies.directory import Agency, Credential, System, agencies_of_user
from exchange import keys, registry
from exchange.evidence import events
from exchange.models import Delivery, Event
from exchange.registry import Change, EnrolmentError
from fixtures.pki import Revocation
from tests.world import ACTOR, NOW, World, answer_to

LATER = NOW + timedelta(hours=1)
BY = Change(ACTOR, LATER)


def noted(stream: UUID) -> list[events.Event]:
    """The events of one stream, oldest first."""
    return [events.decode(bytes(row.body.raw)) for row in Event.objects.filter(stream=stream).order_by("seq")]


def last(stream: UUID) -> events.Event:
    """The newest event of a stream."""
    return noted(stream)[-1]


def queued(sent_to: str) -> Delivery:
    """The one delivery that waits for this agency."""
    return Delivery.objects.queued().get(recipient__code=sent_to)


@pytest.mark.django_db
def test_a_registered_agency_has_an_event_in_its_stream() -> None:
    agency = registry.register_agency("H29.40", "Sở Nội vụ", by=BY)
    [event] = noted(agency.id)
    assert (event.event, event.what, event.target) == ("PolicyChange", "agency.registered", str(agency.id))
    assert event.time == LATER


def test_what_changes_nothing_makes_no_event(hub: World) -> None:
    agency, system = hub.agencies["H29.5"], hub.systems["transport"]
    certificate = hub.keys.identities["H29.5"].der
    before = Event.objects.count()
    registry.register_agency(agency.code, agency.name, by=BY, aliases=[("000.00.05.H29", None, None)])
    registry.add_certificate(agency, certificate, by=BY)
    registry.register_system(system.name, by=BY, agencies=[agency])
    registry.update_system(system, by=BY, delivery="pull")
    registry.update_agency(agency, by=BY, name=agency.name)
    assert Event.objects.count() == before


def test_a_refused_change_leaves_neither_change_nor_event(hub: World) -> None:
    before = Event.objects.count()
    with pytest.raises(EnrolmentError, match=r"agency\.connected-elsewhere"):
        registry.register_system("other", by=BY, agencies=[hub.agencies["H29.5"]])
    assert not System.objects.filter(name="other").exists()
    assert Event.objects.count() == before


def test_what_waits_for_an_agency_moves_with_it_to_its_new_system(hub: World) -> None:
    hub.send("H29", "H29.5", "H29.121")
    registry.move_agency(hub.agencies["H29.5"], hub.systems["health"], by=BY)
    moved, stayed = queued("H29.5"), queued("H29.121")
    assert (moved.system, moved.push, moved.due_at) == (hub.systems["health"], True, LATER)
    assert (stayed.system, stayed.push) == (hub.systems["district"], False)
    assert last(hub.agencies["H29.5"].id).what == "agency.moved"


def test_what_waits_for_a_system_follows_its_way_of_delivery(hub: World) -> None:
    hub.send("H29", "H29.5", "H29.121")
    registry.update_system(
        hub.systems["transport"], by=BY, delivery="push", callback_url="https://qlvb.example.vn/nhan"
    )
    assert (queued("H29.5").push, queued("H29.121").push) == (True, False)
    assert last(hub.systems["transport"].id).what == "system.changed"


def test_what_was_handed_over_stays_where_it_went(hub: World) -> None:
    sent = hub.send("H29", "H29.5")
    hub.accept(hub.status("H29.5", "03", answer_to(sent)), "H29.5")  # an answer proves the handover
    registry.move_agency(hub.agencies["H29.5"], hub.systems["health"], by=BY)
    assert Delivery.objects.get(pk=sent.deliveries[0].pk).system == hub.systems["transport"]


def test_secrets_are_given_once_and_stand_encrypted_in_the_database(hub: World) -> None:
    made = registry.register_system(
        "fresh", by=BY, delivery="push", callback_url="https://qlvb.example.vn/nhan", vxp_id="vxp.test"
    )
    stored = System.objects.get(name="fresh")
    assert keys.decrypt(bytes(stored.webhook_secrets)) == made.webhook_secret.encode()
    assert keys.decrypt(bytes(stored.vxp_secret)) == made.vxp_secret.encode()
    assert made.client_secret not in Credential.objects.get(client_id=made.client_id).client_secret
    again = registry.register_system("fresh", by=BY, delivery="push")
    assert (again.client_secret, again.webhook_secret, again.vxp_secret) == ("", "", "")


def test_a_replaced_secret_takes_the_place_of_the_old_one(hub: World) -> None:
    system = hub.systems["health"]
    webhook = registry.replace_webhook_secret(system, by=BY)
    vxp = registry.replace_vxp_secret(system, by=BY)
    stored = System.objects.get(pk=system.pk)
    assert keys.decrypt(bytes(stored.webhook_secrets)).decode() == webhook != hub.webhook_secrets["health"]
    assert keys.decrypt(bytes(stored.vxp_secret)).decode() == vxp
    assert [event.what for event in noted(system.id)][-2:] == [
        "webhook-secret.replaced",
        "vxp-secret.replaced",
    ]


def test_a_pause_is_noted_once_and_ends_with_a_try_at_once(hub: World) -> None:
    hub.send("H29", "H29.17")
    system = hub.systems["health"]
    registry.pause_gone(system.id, now=LATER)
    registry.pause_gone(system.id, now=LATER)
    paused = [event for event in noted(system.id) if event.what == "system.paused"]
    assert [(event.actor.kind, event.reason) for event in paused] == [
        ("hub", events.Reason("registry.endpoint-gone"))
    ]
    system.refresh_from_db()
    assert system.paused_at == LATER
    registry.resume(system, by=BY)
    assert (System.objects.get(pk=system.pk).paused_at, queued("H29.17").due_at) == (None, LATER)


def test_free_text_stays_out_of_the_event(hub: World) -> None:
    agency = hub.agencies["H29.5"]
    registry.suspend_agency(agency, by=Change(ACTOR, LATER, why="Theo yêu cầu của ông Nguyễn Văn A"))
    row = Event.objects.filter(stream=agency.id).latest("seq")
    assert "Nguyễn" not in bytes(row.body.raw).decode()
    assert row.text.text == "Theo yêu cầu của ông Nguyễn Văn A"


def test_a_certificate_is_noted_by_its_fingerprint_when_added_and_when_revoked(hub: World) -> None:
    agency = hub.agencies["H29.5"]
    certificate = registry.add_certificate(agency, hub.keys.authority.issue("New").der, by=BY)
    added = last(agency.id)
    registry.revoke_certificate(certificate, by=Change(ACTOR, LATER, why="mất khóa"))
    revoked = last(agency.id)
    assert (added.what, revoked.what) == ("certificate.added", "certificate.revoked")
    assert added.digest == revoked.digest == certificate.fingerprint


def test_only_a_newer_revocation_list_is_stored_and_noted(hub: World) -> None:
    authority = hub.keys.authority
    crl = authority.crl([Revocation(authority.issue("Gone").certificate, NOW)], this_update=NOW)
    issuer = authority.certificate.public_bytes(Encoding.DER)
    assert registry.store_crl(crl.public_bytes(Encoding.DER), issuer, by=BY)
    before = Event.objects.count()
    assert not registry.store_crl(
        crl.public_bytes(Encoding.DER), issuer, by=Change(ACTOR, LATER + timedelta(seconds=1))
    )
    assert Event.objects.count() == before
    assert last(registry.DIRECTORY_STREAM).what == "crl.stored"


def test_an_import_is_one_event_with_the_digest_of_the_file(hub: World) -> None:
    lines = ["code,name,parent\n", "H29.60,Sở Tư pháp,H29\n", "H29.61,Thanh tra Thành phố,H29\n"]
    report = registry.import_agencies(lines, by=BY)
    assert (report.created, report.errors) == (2, ())
    event = last(registry.DIRECTORY_STREAM)
    assert (event.what, event.digest) == ("directory.imported", sha256("".join(lines).encode()).hexdigest())


def test_an_import_with_a_mistake_changes_and_notes_nothing(hub: World) -> None:
    before = (Agency.objects.count(), Event.objects.count())
    report = registry.import_agencies(["code,name\n", "H29.60,Sở Tư pháp\n", "H29.61,\n"], by=BY)
    assert [line for line, _ in report.errors] == [3]
    assert (Agency.objects.count(), Event.objects.count()) == before


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("agency.changed", lambda a, s: registry.update_agency(a, by=BY, name="Sở Giao thông")),
        ("agency.renamed", lambda a, s: registry.rename_code(a, "H29.55", by=BY)),
        ("alias.added", lambda a, s: registry.add_alias(a, ("H29.56", None, None), by=BY)),
        ("alias.closed", lambda a, s: registry.close_alias(a, "000.00.05.H29", by=BY)),
        ("alias.repointed", lambda a, s: registry.repoint_code("000.00.10.H29", a, by=BY)),
        ("agency.suspended", lambda a, s: registry.suspend_agency(a, by=BY)),
        ("agency.resumed", lambda a, s: registry.resume_agency(a, by=BY)),
        ("system.suspended", lambda a, s: registry.suspend_system(s, by=BY)),
        ("system.resumed", lambda a, s: registry.resume_system(s, by=BY)),
        ("sending.permitted", lambda a, s: registry.permit_sending(s, a, by=BY)),
        ("sending.forbidden", lambda a, s: registry.forbid_sending(s, a, by=BY)),
        ("credential.issued", lambda a, s: registry.issue_credential(s, by=BY)),
        ("credential.rotated", lambda a, s: registry.rotate_credential(s, timedelta(days=1), by=BY)),
    ],
)
def test_every_change_appends_exactly_one_event(
    hub: World, what: str, change: Callable[[Agency, System], object]
) -> None:
    before = Event.objects.count()
    change(hub.agencies["H29.5"], hub.systems["transport"])
    assert Event.objects.count() == before + 1
    assert events.decode(bytes(Event.objects.latest("id").body.raw)).what == what


def test_a_person_joins_and_leaves_an_agency(hub: World) -> None:
    user = User.objects.create(username="vanthu")
    agency = hub.agencies["H29.5"]
    registry.join(user, agency, by=BY)
    assert list(agencies_of_user(user)) == [agency]
    assert (last(agency.id).what, last(agency.id).target) == ("member.joined", f"user:{user.pk}")
    registry.leave(user, agency, by=BY)
    assert not agencies_of_user(user).exists()
    assert last(agency.id).what == "member.left"
