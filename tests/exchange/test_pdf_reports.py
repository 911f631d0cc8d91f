"""Signatures inside PDF attachments: sent through the front door, reported on in the background, shown."""

import re
import subprocess
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from django.urls import reverse
from pyhanko.pdf_utils import generic

from exchange import pdfreports, registry, retention, tasks
from exchange.envelope import package as envelope
from exchange.evidence import events
from exchange.models import Event, Package, PdfReport
from fixtures.pki import Authority, Identity, Revocation
from tests import pdfs
from tests.api.conftest import Caller, caller, recipient, sender
from tests.exchange.test_admin_documents import page
from tests.exchange.test_admin_documents import person as account
from tests.exchange.test_retention import FIRST, SECOND, sealed
from tests.world import ACTOR, NOW, World

__all__ = ["caller", "recipient", "sender"]
pytestmark = [pytest.mark.once, pytest.mark.django_db]
LIFE: Any = {"not_before": NOW - timedelta(days=60), "not_after": NOW + timedelta(days=20 * 365)}
Facts = dict[str, Any]


@pytest.fixture
def authority(hub: World) -> Authority:
    """Below the root that the hub trusts, and itself unknown to the hub: signatures bring it along."""
    return hub.keys.authority.intermediate("Test Signing CA", **LIFE)


@pytest.fixture
def person(authority: Authority) -> Identity:
    return authority.issue("Nguyễn Văn A", key="rsa", uid="CCCD:079123456789", **LIFE)


@pytest.fixture
def organ(authority: Authority) -> Identity:
    return authority.issue("Ủy ban nhân dân Thành phố", uid="MST:0123456789", organ="Văn phòng", **LIFE)


@pytest.fixture
def three(person: Identity, organ: Identity) -> bytes:
    """A department head, a chairman, then the organisation: as real documents are signed."""
    once = pdfs.sign(pdfs.page(), person)
    return pdfs.sign(pdfs.sign(once, person, field="S2"), organ, field="S3", pades=True)


def send(sender: Caller, hub: World, *files: bytes) -> str:
    """Send a document with these attachments, and let the task run; the id of the package."""
    attached = [envelope.attach(f"tep-{number}.pdf", raw) for number, raw in enumerate(files, 1)]
    answer = sender.send(hub.document("H29", "H29.5", attachments=attached))
    assert answer.status_code == 201, answer.content
    tasks.report_pdf_signatures()
    return str(answer.json()["id"])


def report_of(caller: Caller, package: str) -> Facts:
    report: Facts = caller.get(f"/packages/{package}").json()["pdf_report"]
    return report


def reported(sender: Caller, hub: World, *files: bytes) -> Facts:
    return report_of(sender, send(sender, hub, *files))


def one_of(report: Facts) -> Facts:
    """Its only signature."""
    [file] = report["files"]
    [signature] = file["signatures"]
    found: Facts = signature
    return found


def states(report: Facts, number: int = 1) -> list[str]:
    [file] = [file for file in report["files"] if file["number"] == number]
    return [signature["state"] for signature in file["signatures"]]


def spoilt(raw: bytes, after: bytes, *, last: bool = True) -> bytes:
    """`raw` with one bit of the byte behind the last (or first) `after` turned."""
    place = (raw.rindex(after) if last else raw.index(after)) + len(after)
    return raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]


# --- what a report says -------------------------------------------------------------------------------


def test_several_good_signatures_of_rsa_and_ecdsa_are_told_apart(
    sender: Caller, recipient: Caller, hub: World, three: bytes
) -> None:
    package = send(sender, hub, b"no pdf", three)
    report = report_of(recipient, package)
    [file] = report["files"]
    assert (report["verdict"], file["number"], file["state"], file["revisions"]) == ("good", 2, "read", 4)
    first, second, third = file["signatures"]
    assert [one["revision"] for one in (first, second, third)] == [2, 3, 4]
    assert [(one["covers"], one["later"]) for one in (first, second, third)] == [
        ("revision", "allowed"),
        ("revision", "allowed"),
        ("file", "none"),
    ]
    assert (first["signer"]["kind"], third["signer"]["kind"]) == ("person", "organisation")
    assert (first["signer"]["name"], third["signer"]["organisation"]) == ("Nguyễn Văn A", "Văn phòng")
    assert {one["signer"]["trust"] for one in (first, second, third)} == {"trusted"}
    assert "079123456789" not in report["text"]


def test_the_event_holds_the_digest_of_the_report(sender: Caller, hub: World, three: bytes) -> None:
    package = send(sender, hub, three)
    report = report_of(sender, package)
    [line] = [
        item
        for item in sender.get(f"/packages/{package}/trail").json()["items"]
        if item["name"] == "SignatureReport"
    ]
    said = events.decode(line["event"].encode())
    assert said.digest == report["sha256"] == sha256(report["text"].encode()).hexdigest()
    assert "Nguyễn" not in line["event"]


def test_of_three_signatures_exactly_the_broken_one_is_shown(
    sender: Caller, hub: World, three: bytes
) -> None:
    broken = spoilt(three, rb"/M (D\07220")
    package = send(sender, hub, broken)
    report = report_of(sender, package)
    assert (report["verdict"], states(report)) == ("broken", ["intact", "intact", "broken"])
    shown = attachments_page(hub, package)
    assert "1 trong 3 chữ ký bị hỏng" in shown
    assert shown.count("Chữ ký bị hỏng: nội dung đã đổi sau khi ký") == 1
    assert "CCCD:079" not in shown


def test_a_value_that_is_not_the_signers_breaks_one_and_not_those_after_it(
    sender: Caller, hub: World, person: Identity, organ: Identity
) -> None:
    first = pdfs.sign(pdfs.page(), person, value=lambda made: spoilt(made, b"", last=False))
    report = reported(sender, hub, pdfs.sign(first, organ, field="S2"))
    assert (report["verdict"], states(report)) == ("broken", ["broken", "intact"])


def test_a_byte_that_all_signatures_cover_breaks_all(sender: Caller, hub: World, three: bytes) -> None:
    assert states(reported(sender, hub, spoilt(three, b"%PDF-", last=False))) == ["broken"] * 3


def test_an_unreadable_signature_does_not_hide_the_others(sender: Caller, hub: World, three: bytes) -> None:
    *_, value = re.finditer(rb"/Contents <([0-9a-fA-F]+)>", three)
    spoiled = three[: value.start(1)] + b"0" * len(value[1]) + three[value.end(1) :]
    report = reported(sender, hub, spoiled)
    assert (report["verdict"], states(report)) == ("doubtful", ["intact", "intact", "unreadable"])


def test_a_change_after_signing_is_not_a_further_signature(
    sender: Caller, hub: World, person: Identity
) -> None:
    def write_over(writer: Any) -> None:
        stream = generic.StreamObject(stream_data=b"BT /F1 20 Tf 72 600 Td (Khac) Tj ET")
        writer.add_stream_to_page(0, writer.add_object(stream))

    report = reported(sender, hub, pdfs.revise(pdfs.sign(pdfs.page(), person), write_over))
    found = one_of(report)
    assert (found["state"], found["covers"], found["later"]) == ("intact", "revision", "changed")
    assert report["verdict"] == "doubtful"


def test_what_hides_in_the_gap_of_a_signature_is_not_covered(
    sender: Caller, hub: World, organ: Identity
) -> None:
    """What is covered has right mathematics; readers also see what stands in the gap beside the value."""
    found = one_of(reported(sender, hub, pdfs.wrapped(organ, b"/Evil (read me)")))
    assert (found["state"], found["covers"]) == ("intact", "part")
    found = one_of(reported(sender, hub, pdfs.wrapped(organ, b"")))
    assert (found["state"], found["covers"]) == ("intact", "file")


def test_a_file_without_a_signature_is_an_answer(sender: Caller, hub: World) -> None:
    report = reported(sender, hub, pdfs.page())
    assert (report["verdict"], report["files"][0]["state"], states(report)) == ("unsigned", "read", [])


def test_a_package_without_a_pdf_has_no_report(sender: Caller, hub: World) -> None:
    assert reported(sender, hub, b"text") is None
    assert not PdfReport.objects.exists()


def test_an_old_digest_is_not_good(sender: Caller, hub: World, person: Identity) -> None:
    report = reported(sender, hub, pdfs.sign(pdfs.page(), person, digest="sha1"))
    assert (report["verdict"], states(report)) == ("doubtful", ["weak"])


# --- certificates and time ----------------------------------------------------------------------------


def test_an_unknown_root_is_not_trusted(sender: Caller, hub: World) -> None:
    stranger = Authority.create("Unknown Root", **LIFE).issue("Ai đó", **LIFE)
    report = reported(sender, hub, pdfs.sign(pdfs.page(), stranger))
    found = one_of(report)
    assert (found["state"], found["signer"]["trust"], report["verdict"]) == (
        "intact",
        "untrusted",
        "doubtful",
    )
    assert found["signer"]["kind"] == "unknown"


def test_a_revoked_certificate_is_found_in_the_stored_list(
    sender: Caller, hub: World, authority: Authority, person: Identity
) -> None:
    by = registry.Change(ACTOR, datetime.now(UTC))
    when = datetime.now(UTC) - timedelta(days=2)
    listed = authority.crl([Revocation(person.certificate, when)], this_update=when)
    der = authority.certificate.public_bytes(pdfs.DER)
    registry.store_crl(listed.public_bytes(pdfs.DER), der, by=by)
    report = reported(sender, hub, pdfs.sign(pdfs.page(), person))
    assert (one_of(report)["signer"]["trust"], report["verdict"]) == ("revoked", "doubtful")


def stamping(authority: Authority, *purposes: x509.ObjectIdentifier, **life: Any) -> Identity:
    return authority.issue("Dấu thời gian", key="rsa", purposes=purposes, **(life or LIFE))


def test_a_trusted_time_stamp_keeps_an_expired_certificate_good(
    sender: Caller, hub: World, authority: Authority
) -> None:
    now = datetime.now(UTC)
    expired = authority.issue("Cũ", not_before=now - timedelta(days=50), not_after=now - timedelta(days=10))
    stamper = stamping(authority, ExtendedKeyUsageOID.TIME_STAMPING)
    at = (now - timedelta(days=20)).replace(microsecond=0)
    stamped = pdfs.sign(pdfs.page(), expired, stamp=stamper, stamped_at=at)
    found = one_of(reported(sender, hub, stamped))
    assert (found["stamp"]["state"], found["stamp"]["signer"]["trust"]) == ("intact", "trusted")
    assert datetime.fromisoformat(found["stamp"]["at"]) == at
    assert found["signer"]["trust"] == "trusted"
    found = one_of(reported(sender, hub, pdfs.sign(pdfs.page(), expired)))
    assert (found["stamp"], found["signer"]["trust"]) == (None, "expired")


def test_a_time_stamp_of_a_stranger_proves_nothing(sender: Caller, hub: World, authority: Authority) -> None:
    now = datetime.now(UTC)
    expired = authority.issue("Cũ", not_before=now - timedelta(days=50), not_after=now - timedelta(days=10))
    strangers = (
        stamping(Authority.create("Unknown", **LIFE), ExtendedKeyUsageOID.TIME_STAMPING),
        stamping(authority),  # trusted, but not for this purpose
    )
    for stranger in strangers:
        stamped = pdfs.sign(pdfs.page(), expired, stamp=stranger, stamped_at=now - timedelta(days=20))
        found = one_of(reported(sender, hub, stamped))
        assert found["signer"]["trust"] == "expired"
        assert (found["stamp"]["state"] == "intact") != (found["stamp"]["signer"]["trust"] == "trusted")


# --- hostile files ------------------------------------------------------------------------------------


def bomb() -> bytes:
    """Objects in a stream that grows from 0.1 MB to 128 MB."""
    packed = zlib.compress(b"0 " * (1 << 30 >> 4), 9)
    stream = b"1 0 obj <</Type/ObjStm/N 9/First 9/Filter/FlateDecode/Length %d>> stream\n" % len(packed)
    return b"%PDF-1.5\n" + stream + packed + b"\nendstream endobj\nstartxref\n9\n%%EOF"


def page_tree() -> bytes:
    """200,000 pages in one node, signed by nobody."""
    return pdfs.raw([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[%s]>>" % (b"3 0 R " * 200_000)])


def field_maze() -> bytes:
    """A form in which forty levels of two fields lead to 2^40 signatures."""
    form = b"<</Type/Catalog/AcroForm<</Fields[2 0 R 3 0 R]>>>>"
    fields = [
        b"<</T(%d)/Kids[%d 0 R %d 0 R]>>" % (number, 4 + number // 2 * 2, 5 + number // 2 * 2)
        for number in range(80)
    ]
    return pdfs.raw([form, *fields, b"<</T(a)>>", b"<</T(b)>>"])


HOSTILE: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    "junk": (lambda: b"%PDF-1.7 junk", {"unreadable"}),
    "2 MB of nesting": (lambda: b"%PDF-1.7\n" + b"[" * 2_000_000, {"unreadable"}),
    "nested objects": (lambda: pdfs.raw([b"[" * 1_000_000]), {"unreadable"}),
    "bomb": (bomb, {"unreadable", "too-costly"}),
    "huge page tree": (page_tree, {"read"}),
    "form that never ends": (field_maze, {"too-costly"}),
    "too large": (lambda: b"%PDF-1.7\n" + bytes((32 << 20) + 1), {"too-large"}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_costs_no_more_than_the_limits_and_hides_no_other(
    sender: Caller, hub: World, three: bytes, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    make, allowed = HOSTILE[name]
    monkeypatch.setattr(pdfreports, "FILE_SECONDS", 2)
    report = reported(sender, hub, make(), three)
    assert report["files"][0]["state"] in allowed
    assert states(report, 2) == ["intact"] * 3
    assert report["verdict"] == ("good" if allowed == {"read"} else "unreadable")


def test_a_file_with_a_password_is_an_answer(sender: Caller, hub: World) -> None:
    report = reported(sender, hub, pdfs.page(encrypt="bi-mat"))
    assert (report["verdict"], report["files"][0]["state"]) == ("unreadable", "encrypted")


def test_a_package_that_takes_too_long_keeps_what_was_found(
    sender: Caller, hub: World, three: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = subprocess.run

    def stopped(*words: Any, **how: Any) -> Any:
        """What is heard of a child that is killed when it has read one file and a half."""
        heard = run(*words, **how).stdout
        raise subprocess.TimeoutExpired("child", 60, output=heard[: heard.index(b'[2, "state"') + 9])

    monkeypatch.setattr(subprocess, "run", stopped)
    report = reported(sender, hub, three, three, pdfs.page())
    assert [file["state"] for file in report["files"]] == ["read", "too-costly", "too-costly"]
    assert [len(states(report, number)) for number in (1, 2, 3)] == [3, 3, 0]
    assert report["verdict"] == "unreadable"


# --- the stage ----------------------------------------------------------------------------------------


def test_a_report_whose_worker_dies_each_time_is_given_up(sender: Caller, hub: World, three: bytes) -> None:
    answer = sender.send(hub.document("H29", "H29.5", attachments=[envelope.attach("a.pdf", three)]))
    now, package = datetime.now(UTC), answer.json()["id"]
    assert report_of(sender, package)["verdict"] == "waiting"
    for _ in range(pdfreports.MOST_TRIES):
        assert pdfreports._claim(now) is not None
        assert pdfreports._claim(now) is None  # somebody works on it
        now += pdfreports.LEASE
    assert pdfreports.make_next(now)
    report = report_of(sender, package)
    assert (report["verdict"], report["files"]) == ("unreadable", [])
    assert Event.objects.filter(name="SignatureReport").count() == 1
    assert not pdfreports.make_next(now + pdfreports.LEASE)


@pytest.mark.parametrize("content", [True, False])
def test_the_words_of_a_report_go_with_what_else_is_said_of_a_package(
    sender: Caller, recipient: Caller, hub: World, three: bytes, content: bool
) -> None:
    package = Package.objects.get(pk=UUID(send(sender, hub, three)))
    [delivery] = package.deliveries.all()
    recipient.post(f"/deliveries/{delivery.pk}/ack", {"sha256": package.sha256})
    sealed()
    order = retention.order(package, reason="NĐ 13", content=content, actor=FIRST, now=NOW)
    retention.confirm(order, actor=SECOND, now=NOW)
    assert report_of(sender, str(package.pk)) is None
    assert Event.objects.filter(name="SignatureReport", body=None).count() == 1


def test_content_removed_meanwhile_gets_no_report(sender: Caller, hub: World, three: bytes) -> None:
    sender.send(hub.document("H29", "H29.5", attachments=[envelope.attach("a.pdf", three)]))
    report = pdfreports._claim(datetime.now(UTC))
    assert report is not None
    PdfReport.objects.all().delete()
    pdfreports._make(report, datetime.now(UTC))
    assert not Event.objects.filter(name="SignatureReport").exists()


# --- the page -----------------------------------------------------------------------------------------


def attachments_page(hub: World, package: str) -> str:
    clerk = account("clerk", hub.agencies["H29"], name=str(uuid4()))
    return page(clerk, reverse("admin:exchange_package_attachments", args=(package,)))


def test_the_page_says_that_a_report_is_to_come_and_then_who_signed(
    sender: Caller, hub: World, three: bytes
) -> None:
    answer = sender.send(hub.document("H29", "H29.5", attachments=[envelope.attach("a.pdf", three)]))
    package = answer.json()["id"]
    assert "đang được kiểm tra" in attachments_page(hub, package)
    tasks.report_pdf_signatures()
    shown = attachments_page(hub, package)
    assert "3 chữ ký, tất cả hợp lệ" in shown
    assert "Nguyễn Văn A · cá nhân" in shown
    assert "Ủy ban nhân dân Thành phố · Văn phòng · cơ quan, tổ chức" in shown
    assert "đang được kiểm tra" not in shown
