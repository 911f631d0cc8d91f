"""Certificates: chain, validity at a time, usage, revocation, and what may be shown of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from agencies import certificates
from agencies.certificates import (
    CertificateProblem,
    Evidence,
    RevocationLists,
    check,
    describe,
    fingerprint,
    load,
    load_crl,
)
from fixtures.pki import Authority, Identity, Revocation, pem

BORN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 2, 1, 15, 30, tzinfo=UTC)
ENDS = datetime(2027, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Keys:
    root: Authority
    middle: Authority
    agency: Identity


@pytest.fixture(scope="session")
def keys() -> Keys:
    root = Authority.create("Test Root CA", not_before=BORN, not_after=ENDS + 365 * DAY)
    middle = root.intermediate("Test Issuing CA", not_before=BORN, not_after=ENDS + 300 * DAY)
    return Keys(root, middle, issued(middle))


def issued(by: Authority, **changes: object) -> Identity:
    dates = {"not_before": BORN, "not_after": ENDS}
    return by.issue("Agency A", organ="H29", **(dates | changes))  # type: ignore[arg-type]


def checked(
    keys: Keys,
    identity: Identity,
    *,
    at: datetime = NOW,
    now: datetime = NOW,
    roots: Sequence[x509.Certificate] | None = None,
    intermediates: Sequence[x509.Certificate] | None = None,
    crls: Sequence[x509.CertificateRevocationList] | RevocationLists = (),
) -> Evidence:
    return check(
        identity.certificate,
        at=at,
        now=now,
        roots=[keys.root.certificate] if roots is None else roots,
        intermediates=[keys.middle.certificate] if intermediates is None else intermediates,
        crls=crls if isinstance(crls, RevocationLists) else RevocationLists(crls),
    )


def problem(keys: Keys, identity: Identity, **changes: object) -> CertificateProblem:
    with pytest.raises(CertificateProblem) as caught:
        checked(keys, identity, **changes)  # type: ignore[arg-type]
    return caught.value


def why(found: CertificateProblem) -> str:
    assert found.kind == "untrusted"
    return str(found.facts["why"])


# --- chain ------------------------------------------------------------------------------------------------


def test_a_chain_over_an_intermediate_is_accepted_and_named(keys: Keys) -> None:
    evidence = checked(keys, keys.agency)
    path = (keys.agency.certificate, keys.middle.certificate, keys.root.certificate)
    assert evidence.chain == tuple(fingerprint(c) for c in path)
    assert evidence.no_crl
    assert not evidence.stale


def test_a_certificate_straight_under_the_root_is_accepted(keys: Keys) -> None:
    assert len(checked(keys, issued(keys.root), intermediates=[]).chain) == 2


def test_an_rsa_certificate_is_accepted(keys: Keys) -> None:
    checked(keys, issued(keys.middle, key="rsa"))


def test_a_registered_root_may_be_the_certificate_itself(keys: Keys) -> None:
    evidence = checked(keys, keys.agency, roots=[keys.agency.certificate], intermediates=[])
    assert evidence.chain == (fingerprint(keys.agency.certificate),)


def test_an_unknown_root_is_untrusted(keys: Keys) -> None:
    stranger = Authority.create("Test Root CA", not_before=BORN, not_after=ENDS)
    assert "no chain to a trusted root" in why(problem(keys, issued(stranger)))
    assert "no chain" in why(problem(keys, keys.agency, roots=[stranger.certificate]))


def test_a_missing_intermediate_is_untrusted_and_named(keys: Keys) -> None:
    assert "CN=Test Issuing CA" in why(problem(keys, keys.agency, intermediates=[]))


def test_an_agency_cannot_issue_certificates(keys: Keys) -> None:
    agency = keys.agency
    false = Authority(agency.key, agency.certificate, keys.root.certificate)
    found = problem(keys, issued(false), intermediates=[keys.middle.certificate, agency.certificate])
    assert "is not a CA" in why(found)


def test_the_path_length_is_respected(keys: Keys) -> None:
    narrow = keys.root.intermediate("Narrow CA", path_length=0, not_before=BORN, not_after=ENDS)
    checked(keys, issued(narrow), intermediates=[narrow.certificate])
    below = narrow.intermediate("Below CA", not_before=BORN, not_after=ENDS)
    found = problem(keys, issued(below), intermediates=[narrow.certificate, below.certificate])
    assert "pathLen 0" in why(found)


def test_one_good_path_among_bad_ones_is_enough(keys: Keys) -> None:
    expired = keys.root.intermediate("Test Issuing CA", not_before=BORN, not_after=BORN + DAY)
    both = [expired.certificate, keys.middle.certificate]
    checked(keys, keys.agency, intermediates=both)
    checked(keys, keys.agency, intermediates=both[::-1])


def test_authorities_that_certify_each_other_do_not_loop(keys: Keys) -> None:
    other = keys.middle.intermediate("Other CA", not_before=BORN, not_after=ENDS)
    circle = [keys.middle.certificate, other.certificate]
    assert "no chain" in why(problem(keys, issued(other), roots=[], intermediates=circle))


def test_a_signature_by_sha_1_is_untrusted(keys: Keys) -> None:
    """cryptography no longer makes such certificates, so the algorithm is exchanged in the bytes."""
    root = Authority.create("Old CA", key="rsa", not_before=BORN, not_after=ENDS)
    identity = issued(root)
    sha256_with_rsa, sha1_with_rsa = (bytes.fromhex(f"2a864886f70d0101{end}") for end in ("0b", "05"))
    der = identity.der.replace(sha256_with_rsa, sha1_with_rsa)
    content = x509.load_der_x509_certificate(der).tbs_certificate_bytes
    assert isinstance(root.key, rsa.RSAPrivateKey)
    der = der[:-256] + root.key.sign(content, padding.PKCS1v15(), hashes.SHA1())
    old = Identity(identity.key, x509.load_der_x509_certificate(der), ())
    assert "sha1" in why(problem(keys, old, roots=[root.certificate]))


# --- time -------------------------------------------------------------------------------------------------


def test_an_expired_certificate_is_refused_with_its_date(keys: Keys) -> None:
    found = problem(keys, keys.agency, at=ENDS + DAY, now=ENDS + DAY)
    assert (found.kind, found.facts) == ("expired", {"not_after": ENDS.isoformat()})


def test_a_certificate_that_expired_since_signing_is_refused(keys: Keys) -> None:
    assert problem(keys, keys.agency, at=NOW, now=ENDS + DAY).kind == "expired"


def test_a_certificate_not_yet_valid_is_refused_with_its_date(keys: Keys) -> None:
    found = problem(keys, keys.agency, at=BORN - DAY, now=NOW)
    assert (found.kind, found.facts) == ("not-yet-valid", {"not_before": BORN.isoformat()})


def test_both_ends_of_the_validity_count(keys: Keys) -> None:
    checked(keys, keys.agency, at=BORN, now=ENDS)


def test_an_expired_authority_makes_its_certificates_untrusted(keys: Keys) -> None:
    short = keys.root.intermediate("Short CA", not_before=BORN, not_after=NOW - DAY)
    assert "valid only" in why(problem(keys, issued(short), intermediates=[short.certificate]))


# --- key and usage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("usage", [("digital_signature",), ("content_commitment",), ()])
def test_signing_usages_are_accepted(keys: Keys, usage: tuple[str, ...]) -> None:
    checked(keys, issued(keys.middle, usage=usage))


@pytest.mark.parametrize("usage", [("key_encipherment",), ("key_agreement",), ("key_cert_sign", "crl_sign")])
def test_another_usage_is_untrusted(keys: Keys, usage: tuple[str, ...]) -> None:
    assert "keyUsage" in why(problem(keys, issued(keys.middle, usage=usage)))


def test_rsa_1024_is_untrusted(keys: Keys) -> None:
    assert "RSA 1024" in why(problem(keys, issued(keys.middle, key="rsa1024")))


def test_an_unknown_critical_extension_is_untrusted(keys: Keys) -> None:
    certificate = (
        x509.CertificateBuilder()
        .subject_name(keys.agency.certificate.subject)
        .issuer_name(keys.middle.certificate.subject)
        .public_key(keys.agency.key.public_key())
        .serial_number(77)
        .not_valid_before(BORN)
        .not_valid_after(ENDS)
        .add_extension(
            x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), critical=True
        )
        .sign(keys.middle.key, hashes.SHA256())
    )
    found = problem(keys, Identity(keys.agency.key, certificate, (certificate,)))
    assert "1.2.3.4" in why(found)


# --- revocation -------------------------------------------------------------------------------------------


def listed(
    by: Authority,
    who: x509.Certificate,
    *,
    at: datetime = NOW - DAY,
    reason: x509.ReasonFlags = x509.ReasonFlags.unspecified,
    this_update: datetime = NOW - DAY,
    number: int = 7,
) -> x509.CertificateRevocationList:
    return by.crl([Revocation(who, at, reason)], this_update=this_update, number=number)


@pytest.mark.parametrize(
    "reason",
    [
        x509.ReasonFlags.unspecified,
        x509.ReasonFlags.key_compromise,
        x509.ReasonFlags.superseded,
        x509.ReasonFlags.certificate_hold,
    ],
)
def test_a_revoked_or_held_certificate_is_refused(keys: Keys, reason: x509.ReasonFlags) -> None:
    crl = listed(keys.middle, keys.agency.certificate, reason=reason)
    found = problem(keys, keys.agency, crls=[crl])
    assert found.kind == "revoked"
    assert found.facts == {"revoked_at": (NOW - DAY).isoformat(), "reason": reason.value}


def test_a_list_without_the_certificate_is_evidence(keys: Keys) -> None:
    other = issued(keys.middle)
    crls = [listed(keys.middle, other.certificate), keys.root.crl(this_update=NOW - DAY)]
    evidence = checked(keys, keys.agency, crls=crls)
    assert evidence.crl_number == 7
    assert (evidence.this_update, evidence.next_update) == (NOW - DAY, NOW + 6 * DAY)
    assert not evidence.stale
    assert not evidence.no_crl


def test_a_missing_list_of_the_root_is_marked(keys: Keys) -> None:
    assert checked(keys, keys.agency, crls=[keys.middle.crl(this_update=NOW - DAY)]).no_crl


def test_a_stale_list_is_used_and_marked(keys: Keys) -> None:
    old = NOW - 30 * DAY
    crls = [keys.middle.crl(this_update=old), keys.root.crl(this_update=NOW - DAY)]
    assert checked(keys, keys.agency, crls=crls).stale
    still = listed(keys.middle, keys.agency.certificate, at=old, this_update=old)
    assert problem(keys, keys.agency, crls=[still]).kind == "revoked"


def test_the_newest_list_decides(keys: Keys) -> None:
    held = listed(
        keys.middle,
        keys.agency.certificate,
        reason=x509.ReasonFlags.certificate_hold,
        this_update=NOW - 3 * DAY,
        at=NOW - 3 * DAY,
    )
    released = keys.middle.crl(this_update=NOW - DAY, number=8)
    checked(keys, keys.agency, crls=[held, released])
    checked(keys, keys.agency, crls=[released, held])
    assert problem(keys, keys.agency, crls=[held]).kind == "revoked"


def test_a_revocation_in_the_future_does_not_count_yet(keys: Keys) -> None:
    crl = listed(keys.middle, keys.agency.certificate, at=NOW + DAY)
    checked(keys, keys.agency, crls=[crl])
    assert problem(keys, keys.agency, now=NOW + DAY, crls=[crl]).kind == "revoked"


def test_lists_are_searched_once_and_judged_by_the_time_of_each_check(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[x509.Certificate] = []
    usable = certificates._usable

    def counting(
        crl: x509.CertificateRevocationList, certificate: x509.Certificate, issuer: x509.Certificate
    ) -> bool:
        searched.append(certificate)
        return usable(crl, certificate, issuer)

    monkeypatch.setattr(certificates, "_usable", counting)
    crls = RevocationLists([listed(keys.middle, keys.agency.certificate, at=NOW + DAY)])
    assert not checked(keys, keys.agency, crls=crls).stale
    first = len(searched)
    assert problem(keys, keys.agency, now=NOW + DAY, crls=crls).kind == "revoked"
    assert checked(keys, keys.agency, crls=crls).kind == "crl"
    assert len(searched) == first == 2  # the agency's certificate, and that of its authority


def test_a_list_by_another_authority_is_ignored(keys: Keys) -> None:
    impostor = Authority.create("Test Issuing CA", not_before=BORN, not_after=ENDS)
    forged = listed(impostor, keys.agency.certificate)
    assert forged.issuer == keys.agency.certificate.issuer
    assert checked(keys, keys.agency, crls=[forged]).no_crl
    assert checked(keys, keys.agency, crls=[listed(keys.root, keys.agency.certificate)]).crl_number is None


def test_a_delta_list_does_not_prove_that_nothing_is_revoked(keys: Keys) -> None:
    delta = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(keys.middle.certificate.subject)
        .last_update(NOW - DAY)
        .next_update(NOW + DAY)
        .add_extension(x509.DeltaCRLIndicator(1), critical=True)
        .sign(keys.middle.key, hashes.SHA256())
    )
    assert checked(keys, keys.agency, crls=[delta]).no_crl


@pytest.mark.parametrize(("for_users", "used"), [(True, True), (False, False)])
def test_a_partial_list_counts_for_its_part(keys: Keys, for_users: bool, used: bool) -> None:
    part = x509.IssuingDistributionPoint(None, None, for_users, not for_users, None, False, False)
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(keys.middle.certificate.subject)
        .last_update(NOW - DAY)
        .next_update(NOW + DAY)
        .add_extension(part, critical=True)
        .add_extension(x509.CRLNumber(9), critical=False)
        .sign(keys.middle.key, hashes.SHA256())
    )
    assert checked(keys, keys.agency, crls=[crl]).crl_number == (9 if used else None)


def test_a_revoked_authority_makes_its_certificates_untrusted(keys: Keys) -> None:
    crl = listed(keys.root, keys.middle.certificate)
    assert "the authority is revoked" in why(problem(keys, keys.agency, crls=[crl]))


# --- reading and showing ----------------------------------------------------------------------------------


def test_certificates_load_from_pem_and_der(keys: Keys) -> None:
    assert load(pem(keys.agency.chain)) == list(keys.agency.chain)
    assert load(keys.agency.der) == [keys.agency.certificate]
    with pytest.raises(ValueError, match=r".+"):
        load(b"nothing")


def test_lists_load_from_pem_and_der(keys: Keys) -> None:
    crl = keys.root.crl(this_update=NOW)
    assert load_crl(crl.public_bytes(Encoding.PEM)) == crl
    assert load_crl(crl.public_bytes(Encoding.DER)) == crl


def test_a_description_names_the_organ_of_a_tax_code(keys: Keys) -> None:
    identity = issued(keys.middle, uid="MST:0312345678")
    found = describe(identity.der)
    assert found.organ_hint == "020312345678"
    assert "MST:0312345678" in found.subject
    assert found.issuer == "CN=Test Issuing CA"
    assert (found.not_before, found.not_after) == (BORN, ENDS)
    assert found.fingerprint == identity.certificate.fingerprint(hashes.SHA256()).hex()
    assert found.key == "EC secp256r1"


@pytest.mark.parametrize(
    "identifier",
    ["CCCD:079123456789", "cccd: 079123456789", "CMND:023456789", "HC:B1234567", "079123456789", "B1234567"],
)
def test_personal_identifiers_are_masked(keys: Keys, identifier: str) -> None:
    subject = describe(issued(keys.middle, uid=identifier).der).subject
    assert identifier.rpartition(":")[2].strip() not in subject
    assert "CN=Agency A" in subject


def test_a_citizen_id_is_masked_in_the_name_and_in_problems_too(keys: Keys) -> None:
    person = keys.middle.issue(
        "Nguyễn Văn A CCCD:079123456789", not_before=BORN, not_after=ENDS, usage=("key_agreement",)
    )
    assert "079123456789" not in describe(person.der).subject
    assert "079123456789" not in why(problem(keys, person))
