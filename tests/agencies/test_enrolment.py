"""How the registry changes, and what it refuses to become."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction
from django.http import HttpResponse
from django.test import RequestFactory
from oauth2_provider.views.base import TokenView

from agencies import directory, enrolment
from agencies.enrolment import EnrolmentError
from agencies.errors import TEXTS
from agencies.models import Agency, Alias, Certificate, Credential, Membership, RevocationList, System

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)


def refused(code: str) -> "pytest.RaisesExc[EnrolmentError]":
    return pytest.raises(EnrolmentError, match=f"^{code}:")


# --- agencies and codes -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_registering_the_same_agency_again_changes_nothing() -> None:
    first = enrolment.register_agency("H29.01", "Sở A", aliases=[("OLD", None, None)], email="a@example.vn")
    again = enrolment.register_agency("h29.01", " Sở  A ", aliases=[("OLD", None, None)])
    assert first == again
    assert Alias.objects.count() == 2
    with refused("agency.exists"):
        enrolment.register_agency("H29.01", "Sở B")


@pytest.mark.django_db
@pytest.mark.parametrize("code", ["", "  ", "a b", "a\x00", "x" * 65, "a\u200bb", "a\nb"])
def test_a_code_that_cannot_be_typed_is_refused(code: str) -> None:
    with refused("agency.code-invalid"):
        enrolment.register_agency(code, "Sở A")


@pytest.mark.django_db
def test_a_refused_registration_leaves_nothing_behind() -> None:
    enrolment.register_agency("A", "Sở A")
    with refused("alias.overlap"):
        enrolment.register_agency("B", "Sở B", aliases=[("B-OLD", None, None), ("a", None, None)])
    assert [agency.code for agency in Agency.objects.all()] == ["A"]
    assert Alias.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("start", "end", "fits"),
    [
        (None, NOW, True),
        (NOW + DAY, None, True),
        (NOW - DAY, NOW, True),
        (None, None, False),
        (None, NOW + DAY / 2, False),
        (NOW + DAY / 2, None, False),
        (NOW + DAY / 4, NOW + DAY / 2, False),
        (NOW - DAY, NOW + 2 * DAY, False),
    ],
)
def test_times_of_one_code_never_overlap(start: datetime | None, end: datetime | None, fits: bool) -> None:
    first, second = enrolment.register_agency("A", "Sở A"), enrolment.register_agency("B", "Sở B")
    enrolment.add_alias(first, "X", NOW, NOW + DAY)
    if fits:
        enrolment.add_alias(second, "x", start, end)
    else:
        with refused("alias.overlap"):
            enrolment.add_alias(second, "x", start, end)


@pytest.mark.django_db
def test_a_time_that_ends_before_it_starts_is_refused() -> None:
    with refused("alias.interval"):
        enrolment.add_alias(enrolment.register_agency("A", "Sở A"), "X", NOW, NOW)


@pytest.mark.django_db
def test_after_a_new_code_the_old_one_still_arrives() -> None:
    agency = enrolment.register_agency("000.00.01.H29", "Sở A")
    enrolment.rename_code(agency, "H29.01", NOW)
    enrolment.rename_code(agency, "H29.01", NOW)
    assert agency.code == "H29.01"
    assert directory.agency_by_code("000.00.01.H29", NOW + DAY) == agency
    assert directory.agency_by_code("H29.01", NOW) == agency
    assert directory.agency_by_code("H29.01", NOW - DAY) is None
    assert list(directory.search("h29.01 000.00")) == [agency]


@pytest.mark.django_db
def test_an_old_code_can_end_and_be_given_to_another_agency() -> None:
    agency, other = enrolment.register_agency("A", "Sở A"), enrolment.register_agency("B", "Sở B")
    enrolment.rename_code(agency, "A-2", NOW, old_until=NOW + DAY)
    with refused("alias.overlap"):
        enrolment.add_alias(other, "A", NOW, None)
    enrolment.add_alias(other, "A", NOW + DAY, None)
    assert directory.agency_by_code("A", NOW) == agency
    assert directory.agency_by_code("A", NOW + DAY) == other


@pytest.mark.django_db
def test_repointing_a_code_takes_it_from_its_holder() -> None:
    agency, other = enrolment.register_agency("A", "Sở A"), enrolment.register_agency("B", "Sở B")
    enrolment.add_alias(agency, "OLD")
    enrolment.repoint_code("old", other, NOW)
    enrolment.repoint_code("old", other, NOW + DAY)
    assert directory.agency_by_code("OLD", NOW - DAY) == agency
    assert directory.agency_by_code("OLD", NOW + 2 * DAY) == other
    assert Alias.objects.filter(folded="old").count() == 2


@pytest.mark.django_db
def test_the_current_code_of_another_agency_cannot_be_taken() -> None:
    agency, other = enrolment.register_agency("A", "Sở A"), enrolment.register_agency("B", "Sở B")
    enrolment.close_alias(other, "B", NOW)
    with refused("alias.overlap"):
        enrolment.rename_code(agency, "B", NOW + DAY)
    with refused("alias.unknown"):
        enrolment.close_alias(other, "A", NOW)


@pytest.mark.django_db
def test_what_is_said_of_an_agency_can_change() -> None:
    agency = enrolment.register_agency("A", "Sở A", at=NOW)
    enrolment.update_agency(agency, name="Sở Mới", hub_may_sign=False, at=NOW + DAY)
    assert list(directory.search("moi", NOW + DAY)) == [agency]
    assert not Agency.objects.get().hub_may_sign
    with refused("agency.policy-unknown"):
        enrolment.update_agency(agency, signature_policy="never")
    with refused("agency.email-invalid"):
        enrolment.update_agency(agency, email="nobody")
    with refused("agency.name-invalid"):
        enrolment.update_agency(agency, name="")


@pytest.mark.django_db
def test_no_agency_stands_above_itself() -> None:
    top = enrolment.register_agency("A", "Sở A")
    middle = enrolment.register_agency("B", "Phòng B", parent=top)
    low = enrolment.register_agency("C", "Tổ C", parent=middle)
    with refused("agency.parent-cycle"):
        enrolment.update_agency(top, parent=low)


@pytest.mark.django_db
def test_the_first_suspension_counts() -> None:
    agency = enrolment.register_agency("A", "Sở A", at=NOW)
    enrolment.suspend_agency(agency, NOW + DAY)
    enrolment.suspend_agency(agency, NOW + 2 * DAY)
    assert agency.suspended_at == agency.updated_at == NOW + DAY
    enrolment.resume_agency(agency)
    assert agency.suspended_at is None


@pytest.mark.django_db
def test_joining_twice_is_one_membership() -> None:
    user, agency = User.objects.create(username="vt1"), enrolment.register_agency("A", "Sở A")
    assert enrolment.join(user, agency) == enrolment.join(user, agency)
    enrolment.leave(user, agency)
    assert not Membership.objects.exists()


@pytest.mark.usefixtures("real_commits")
@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_nobody_claims_a_code_while_another_claim_is_open() -> None:
    first, second = enrolment.register_agency("A", "Sở A"), enrolment.register_agency("B", "Sở B")
    outcome: list[Exception] = []

    def rival() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '50ms'")
                enrolment.add_alias(second, "X", NOW, NOW + 2 * DAY)
        except OperationalError as error:
            outcome.append(error)
        finally:
            connection.close()

    with transaction.atomic():
        enrolment.add_alias(first, "X", NOW + DAY, None)
        thread = Thread(target=rival)
        thread.start()
        thread.join()
    assert len(outcome) == 1
    assert "lock timeout" in str(outcome[0])


# --- systems and credentials ------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_agency_receives_through_one_system_until_it_is_moved() -> None:
    agency = enrolment.register_agency("A", "Sở A")
    first, second = enrolment.register_system("1", agencies=[agency]), enrolment.register_system("2")
    with refused("agency.connected-elsewhere"):
        enrolment.connect_agency(agency, second)
    enrolment.move_agency(agency, second)
    assert list(directory.agencies_of(first)) == []
    assert list(directory.receives_for(second)) == [agency]
    assert directory.may_send_for(second, agency)
    enrolment.move_agency(agency, None, keep_sending=True)
    assert list(directory.receives_for(second)) == []
    assert directory.may_send_for(second, agency)


@pytest.mark.django_db
def test_registering_the_same_system_again_changes_nothing() -> None:
    agency = enrolment.register_agency("A", "Sở A")
    first = enrolment.register_system("QLVB", kind="vxp", vxp_id="x.1", agencies=[agency])
    assert enrolment.register_system("QLVB", kind="vxp", agencies=[agency]) == first
    with refused("system.exists"):
        enrolment.register_system("QLVB", kind="native")
    with refused("system.vxp-id-taken"):
        enrolment.register_system("Khác", kind="vxp", vxp_id="x.1")
    assert System.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "url",
    ["ftp://a.example/", "https:///x", "https://u:p@a.example/", "a.example", "https://a.example/#x",
     "https://a.example:99999/", "https://a b.example/", "https://[a/", "https://a.example/\n"],
)  # fmt: skip
def test_a_callback_address_that_cannot_be_called_is_refused(url: str) -> None:
    with refused("system.callback-invalid"):
        enrolment.register_system("QLVB", delivery="push", callback_url=url)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("code", "facts"),
    [
        ("system.callback-missing", {"delivery": "push"}),
        ("system.choice-unknown", {"kind": "other"}),
        ("system.choice-unknown", {"duplicate_policy": "perhaps"}),
        ("system.limit-invalid", {"max_bytes": 0}),
    ],
)
def test_a_system_that_cannot_work_is_refused(code: str, facts: dict[str, str]) -> None:
    with refused(code):
        enrolment.register_system("QLVB", **facts)  # type: ignore[arg-type]
    system = enrolment.register_system("QLVB", callback_url="")
    with refused(code):
        enrolment.update_system(system, **facts)  # type: ignore[arg-type]


@pytest.mark.django_db
def test_pausing_suspending_and_seeing_a_system() -> None:
    agency = enrolment.register_agency("A", "Sở A", at=NOW)
    system = enrolment.register_system("QLVB", agencies=[agency], at=NOW)
    enrolment.pause_system(system, NOW)
    enrolment.pause_system(system, NOW + DAY)
    assert system.paused_at == NOW
    enrolment.unpause_system(system)
    enrolment.suspend_system(system, NOW + DAY)
    enrolment.saw_system(system, NOW)
    enrolment.saw_system(system, NOW + timedelta(seconds=59))
    fresh = System.objects.get()
    assert (fresh.paused_at, fresh.suspended_at, fresh.last_seen_at) == (None, NOW + DAY, NOW)
    assert list(directory.search("", NOW + DAY)) == [agency]


def token(client_id: str, secret: str, scope: str = "send") -> int:
    basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    request = RequestFactory().post(
        "/oauth/token",
        {"grant_type": "client_credentials", "scope": scope},
        headers={"authorization": f"Basic {basic}"},
    )
    response = TokenView.as_view()(request)
    assert isinstance(response, HttpResponse)
    assert response.status_code != 200 or json.loads(response.content)["access_token"]
    return int(response.status_code)


@pytest.mark.django_db
def test_an_issued_credential_opens_the_token_endpoint_and_is_not_stored_readable() -> None:
    system = enrolment.register_system("QLVB")
    client_id, secret = enrolment.issue_credential(system, ["receive", "send"])
    assert token(client_id, secret) == 200
    assert token(client_id, secret[:-1]) == 401
    stored = Credential.objects.get()
    assert stored.client_secret.startswith("credential_hmac_sha256$")
    assert stored.scope_list == ["send", "receive"]
    assert len(base64.urlsafe_b64decode(secret + "=")) == 32


@pytest.mark.django_db
def test_revoking_a_credential_or_suspending_its_system_closes_the_token_endpoint() -> None:
    system = enrolment.register_system("QLVB")
    client_id, secret = enrolment.issue_credential(system)
    enrolment.suspend_system(system)
    assert token(client_id, secret) == 401
    enrolment.resume_system(system)
    assert token(client_id, secret) == 200
    enrolment.revoke_credential(Credential.objects.get())
    assert token(client_id, secret) == 401


@pytest.mark.django_db
def test_after_rotation_the_old_secret_works_for_the_overlap_only() -> None:
    system = enrolment.register_system("QLVB")
    client_id, secret = enrolment.issue_credential(system, ["audit"])
    new_id, new_secret = enrolment.rotate_credential(system, timedelta(hours=1), at=NOW)
    old = Credential.objects.get(client_id=client_id)
    assert old.is_live(NOW + timedelta(minutes=59))
    assert not old.is_live(NOW + timedelta(hours=1))
    assert Credential.objects.get(client_id=new_id).scope_list == ["audit"]
    assert secret != new_secret
    enrolment.revoke_credential(old, NOW + DAY)
    assert old.revoked_at == NOW + timedelta(hours=1)


@pytest.mark.django_db
def test_there_is_nothing_to_rotate_without_a_credential() -> None:
    system = enrolment.register_system("QLVB")
    with refused("credential.none"):
        enrolment.rotate_credential(system, DAY)
    with refused("credential.scope-unknown"):
        enrolment.issue_credential(system, ["send", "root"])


# --- certificates and revocation lists --------------------------------------------------------------------

Key = ec.EllipticCurvePrivateKey


@pytest.fixture(scope="module")
def authority() -> tuple[Key, x509.Certificate]:
    return _certificate("CA kiểm thử")


def _certificate(name: str) -> tuple[Key, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).serial_number(0xABC)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + 365 * DAY).public_key(key.public_key())
    return key, builder.sign(key, hashes.SHA256())


def _crl(authority: tuple[Key, x509.Certificate], this: datetime, *extensions: x509.ExtensionType) -> bytes:
    key, certificate = authority
    builder = x509.CertificateRevocationListBuilder().issuer_name(certificate.subject)
    builder = builder.last_update(this).next_update(this + DAY)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.django_db
def test_a_certificate_is_registered_once_whatever_its_form(authority: tuple[Key, x509.Certificate]) -> None:
    agency, certificate = enrolment.register_agency("A", "Sở A"), authority[1]
    row = enrolment.add_certificate(agency, certificate.public_bytes(Encoding.PEM))
    assert enrolment.add_certificate(agency, certificate.public_bytes(Encoding.DER)) == row
    assert directory.signing_certificates(agency) == [row]
    stored = Certificate.objects.get()
    assert stored.der == certificate.public_bytes(Encoding.DER)
    assert stored.fingerprint == certificate.fingerprint(hashes.SHA256()).hex()
    assert (stored.serial, stored.not_before, stored.subject) == ("abc", NOW, "CN=CA kiểm thử")


@pytest.mark.django_db
def test_a_revoked_certificate_stays_and_cannot_come_back(authority: tuple[Key, x509.Certificate]) -> None:
    agency, pem = enrolment.register_agency("A", "Sở A"), authority[1].public_bytes(Encoding.PEM)
    row = enrolment.add_certificate(agency, pem)
    with refused("certificate.reason-missing"):
        enrolment.revoke_certificate(row, NOW, " ")
    enrolment.revoke_certificate(row, NOW, "mất khóa")
    enrolment.revoke_certificate(row, NOW + DAY, "lần hai")
    assert (row.revoked_at, row.revocation_reason) == (NOW, "mất khóa")
    assert directory.signing_certificates(agency) == [row]
    with refused("certificate.revoked"):
        enrolment.add_certificate(agency, pem)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "data", [b"", b"\x30\x00", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_what_is_not_a_certificate_is_refused(data: bytes) -> None:
    with refused("certificate.unreadable"):
        enrolment.add_certificate(enrolment.register_agency("A", "Sở A"), data)


@pytest.mark.django_db
def test_a_bundle_is_refused_because_it_does_not_say_which_one_signs(
    authority: tuple[Key, x509.Certificate],
) -> None:
    pem = authority[1].public_bytes(Encoding.PEM)
    with refused("certificate.not-one"):
        enrolment.add_certificate(enrolment.register_agency("A", "Sở A"), pem + pem)


@pytest.mark.django_db
def test_the_newest_revocation_list_of_an_authority_is_kept(authority: tuple[Key, x509.Certificate]) -> None:
    issuer = authority[1].public_bytes(Encoding.PEM)
    old, new = _crl(authority, NOW), _crl(authority, NOW + DAY)
    for crl in (old, new, old, new):
        enrolment.store_crl(crl, issuer)
    assert directory.revocation_lists() == [new]
    assert RevocationList.objects.get().next_update == NOW + 2 * DAY


@pytest.mark.django_db
def test_the_parts_of_a_split_list_are_kept_side_by_side(authority: tuple[Key, x509.Certificate]) -> None:
    issuer = authority[1].public_bytes(Encoding.DER)
    for part in ("1", "2"):
        point = x509.IssuingDistributionPoint(
            full_name=[x509.UniformResourceIdentifier(f"http://ca.example/{part}.crl")],
            relative_name=None, only_contains_user_certs=False, only_contains_ca_certs=False,
            only_some_reasons=None, indirect_crl=False, only_contains_attribute_certs=False,
        )  # fmt: skip
        enrolment.store_crl(_crl(authority, NOW, point), issuer)
    assert len(directory.revocation_lists()) == 2


@pytest.mark.django_db
def test_a_false_list_does_not_push_out_the_true_one(authority: tuple[Key, x509.Certificate]) -> None:
    issuer, true = authority[1].public_bytes(Encoding.PEM), _crl(authority, NOW)
    enrolment.store_crl(true, issuer)
    with refused("crl.not-of-issuer"):
        enrolment.store_crl(_crl(_certificate("CA kiểm thử"), NOW + DAY), issuer)
    with refused("crl.partial"):
        enrolment.store_crl(_crl(authority, NOW + DAY, x509.DeltaCRLIndicator(1)), issuer)
    with refused("crl.unreadable"):
        enrolment.store_crl(b"<html>", issuer)
    assert directory.revocation_lists() == [true]


# --- whole directories ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_file_of_agencies_is_stored_with_parents_in_any_order() -> None:
    report = enrolment.import_csv(
        ["\ufeffcode,name,parent,aliases,email\n",
         'A.1,"Phòng 1, loại A",A,,\n',
         "A,Sở A,,000.A;OLD@..2025-07-01;NEW@2025-07-01..,a@example.vn\n",
         "\n",
         "A.2,Phòng 2,a,OLD@2025-07-01..,\n"]
    )  # fmt: skip
    assert report == enrolment.ImportReport(created=3)
    top = directory.agency_by_code("000.a", NOW)
    assert top is not None
    assert [child.code for child in top.children.order_by("code")] == ["A.1", "A.2"]
    found = directory.agency_by_code("OLD", datetime(2025, 6, 30, 16, 59, tzinfo=UTC))
    assert found == top
    later = directory.agency_by_code("OLD", datetime(2025, 6, 30, 17, tzinfo=UTC))
    assert later is not None
    assert later.code == "A.2"
    assert list(directory.search("000.a")) == [top]


@pytest.mark.django_db
def test_importing_again_changes_only_what_is_different() -> None:
    enrolment.import_csv(["code,name,parent,email", "A,Sở A,,a@example.vn", "B,Sở B,A,", "C,Sở C,A,"], at=NOW)
    report = enrolment.import_csv(
        ["code,name,parent,aliases", "A,Sở A,,A-2", "B,Sở B,A,", "C,Sở C mới,B,", "D,Sở D,C,"], at=NOW + DAY
    )
    assert report == enrolment.ImportReport(created=1, updated=2, unchanged=1)
    assert {a.code for a in directory.search("", NOW + DAY)} == {"A", "C", "D"}
    assert Agency.objects.get(code="A").email == "a@example.vn"
    moved = Agency.objects.get(code="C")
    assert (moved.name, moved.parent and moved.parent.code, moved.created_at) == ("Sở C mới", "B", NOW)
    assert list(directory.search("so c moi")) == [moved]


@pytest.mark.django_db
def test_one_bad_line_stores_nothing_and_every_bad_line_is_named() -> None:
    enrolment.register_agency("X", "Sở X", aliases=[("X-OLD", None, None)])
    report = enrolment.import_csv(
        ["code,name,parent,aliases", "A,Sở A,,", "a,Sở A,,", "B B,Sở B,,", "C,,,", "D,Sở D,NONE,",
         "E,Sở E,,X", "F,Sở F,,F-1@2025-13-01..", "G,Sở G,,G-1@2025", "H,Sở H,H,", "X-OLD,Sở K,,", "I,Sở I"]
    )  # fmt: skip
    assert [line for line, _ in report.errors] == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert "dòng 2" in report.errors[0][1]
    assert (report.created, [a.code for a in Agency.objects.all()]) == (0, ["X"])


@pytest.mark.django_db
def test_a_circle_of_parents_is_refused() -> None:
    enrolment.import_csv(["code,name,parent", "A,Sở A,", "B,Sở B,A"])
    report = enrolment.import_csv(["code,name,parent", "A,Sở A,C", "C,Sở C,B"])
    assert [line for line, _ in report.errors] == [2]
    assert Agency.objects.get(code="A").parent is None


@pytest.mark.django_db
@pytest.mark.parametrize("header", ["", "code", "code,name,phone", "code,name,name"])
def test_a_file_with_another_header_is_refused(header: str) -> None:
    report = enrolment.import_csv([header, "A,Sở A"])
    assert [line for line, _ in report.errors] == [1]


@pytest.mark.django_db
def test_a_file_is_read_once_and_stored_in_pieces() -> None:
    read: list[int] = []

    def lines() -> Iterator[str]:
        yield "code,name,parent"
        for n in range(2500):
            read.append(n)
            yield f"H{n},Cơ quan {n},{f'H{n + 1}' if n < 2499 else ''}"

    assert enrolment.import_csv(lines()) == enrolment.ImportReport(created=2500)
    assert len(read) == 2500
    assert Agency.objects.filter(parent=None).get().code == "H2499"


def test_every_refusal_speaks_both_languages() -> None:
    for vietnamese, english in TEXTS.values():
        assert vietnamese != english
        assert vietnamese.endswith(".")
        assert english.endswith(".")
