"""Revocation: asked in the background, stored with its age, used at the door."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from agencies.models import Certificate, RevocationAnswer, RevocationList
from exchange import registry, revocation, transport
from exchange.evidence import events
from exchange.models import EventBody, Package
from fixtures.pki import Authority, Identity, Revocation
from tests.receiver import served
from tests.security.pki import revoke
from tests.world import ACTOR, NOW, World

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=2)
LIFE: Any = {"not_before": NOW - timedelta(days=60), "not_after": NOW + timedelta(days=7000)}
HOLD = x509.ReasonFlags.certificate_hold


@dataclass
class Site:
    """What an authority publishes: answers by path, and what was asked for."""

    url: str
    pages: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            page = made.pages.get(self.path)
            self.send_response(302 if page == b"moved" else 200 if page is not None else 404)
            self.send_header("Location", "/crl")
            self.end_headers()
            self.wfile.write(page or b"")

        do_POST = do_GET

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Site(f"http://127.0.0.1:{server.server_port}")
    with served(server):
        yield made


@pytest.fixture
def authority(tmp_path: Path, settings: Any, site: Site) -> Authority:
    """An intermediate of a trusted root that names its list; the only authority in the trust store."""
    root = Authority.create("Test Root", **LIFE)
    made = replace(root.intermediate("Issuing CA", **LIFE), crl_url=f"{site.url}/crl")
    (tmp_path / "trust").mkdir()
    for name, certificate in (("root", root.certificate), ("issuing", made.certificate)):
        (tmp_path / "trust" / f"{name}.der").write_bytes(certificate.public_bytes(Encoding.DER))
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, trust_dir=tmp_path / "trust")
    return made


def der(thing: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    return thing.public_bytes(Encoding.DER)


def enrol(hub: World, identity: Identity) -> None:
    """Make `identity` the only one with which H29 signs."""
    Certificate.objects.filter(agency=hub.agencies["H29"]).delete()
    registry.add_certificate(hub.agencies["H29"], identity.der, by=registry.Change(ACTOR, NOW))
    hub.keys.identities["H29"] = identity


def send(hub: World, now: datetime = LATER) -> Any:
    return hub.send("H29", "H29.5", now=now)


def refused(hub: World, now: datetime = LATER) -> str:
    with pytest.raises(Exception) as caught:
        send(hub, now)
    return str(getattr(caught.value, "code", caught.value))


# --- lists --------------------------------------------------------------------------------------------


def test_a_list_is_fetched_where_the_certificate_names_it_and_used(
    hub: World, authority: Authority, site: Site
) -> None:
    enrol(hub, authority.issue("Agency H29", **LIFE))
    assert [note.code for note in send(hub).warnings] == ["certificate.revocation-unknown"]
    site.pages["/crl"] = der(authority.crl(this_update=NOW))
    revocation.refresh(LATER)
    taken = send(hub)
    assert taken.warnings == ()
    evidence = json.loads(taken.package.signature_evidence)
    assert (evidence["revocation"], evidence["crl_number"], evidence["stale"]) == ("crl", 1, False)
    assert evidence["chain"][0] == evidence["certificate"]


@pytest.mark.parametrize("reason", [x509.ReasonFlags.key_compromise, HOLD])
def test_what_the_list_names_is_refused(hub: World, authority: Authority, site: Site, reason: Any) -> None:
    identity = authority.issue("Agency H29", **LIFE)
    enrol(hub, identity)
    site.pages["/crl"] = der(authority.crl([Revocation(identity.certificate, NOW, reason)], this_update=NOW))
    revocation.refresh(LATER)
    assert refused(hub) == "certificate.revoked"


def test_the_end_of_a_hold_is_seen_with_the_next_list(hub: World, authority: Authority, site: Site) -> None:
    identity = authority.issue("Agency H29", **LIFE)
    enrol(hub, identity)
    site.pages["/crl"] = der(authority.crl([Revocation(identity.certificate, NOW, HOLD)], this_update=NOW))
    revocation.refresh(LATER)
    site.pages["/crl"] = der(authority.crl(this_update=LATER, number=2))
    revocation.refresh(LATER + timedelta(hours=2))
    assert send(hub, LATER + timedelta(hours=3)).package.signature_state == "valid"


def test_a_list_signed_by_another_is_not_kept_and_alarmed(
    hub: World, authority: Authority, site: Site
) -> None:
    enrol(hub, authority.issue("Agency H29", **LIFE))
    site.pages["/crl"] = der(Authority.create("Issuing CA", **LIFE).crl(this_update=NOW))
    revocation.refresh(LATER)
    assert not RevocationList.objects.exists()
    [(address, problem)] = revocation.problems()
    assert address == f"{site.url}/crl"
    assert "crl.not-of-issuer" in problem


def test_a_stale_list_is_marked_or_refused_as_the_setting_says(
    hub: World, authority: Authority, site: Site, settings: Any
) -> None:
    enrol(hub, authority.issue("Agency H29", **LIFE))
    site.pages["/crl"] = der(authority.crl(this_update=NOW))
    revocation.refresh(LATER)
    late = NOW + timedelta(days=8)
    assert [note.code for note in send(hub, late).warnings] == ["certificate.revocation-stale"]
    assert [due for _, due in revocation.overdue(late)] == [NOW + timedelta(days=7)]
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, stale_revocation="refuse")
    assert refused(hub, late) == "certificate.revocation-unknown"
    assert send(hub, LATER).package.signature_state == "valid"


def test_an_authority_is_not_asked_more_often_than_the_setting_says(
    hub: World, authority: Authority, site: Site
) -> None:
    for _ in range(3):
        registry.add_certificate(
            hub.agencies["H29"], authority.issue("Agency H29", **LIFE).der, by=registry.Change(ACTOR, NOW)
        )
    site.pages["/crl"] = der(authority.crl(this_update=NOW))
    revocation.refresh(LATER)
    revocation.refresh(LATER + timedelta(minutes=59))
    assert site.asked == ["/crl"]
    revocation.refresh(LATER + timedelta(minutes=61))
    assert site.asked == ["/crl", "/crl"]


def test_what_failed_is_asked_again_the_next_time(hub: World, authority: Authority, site: Site) -> None:
    enrol(hub, authority.issue("Agency H29", **LIFE))
    revocation.refresh(LATER)
    assert revocation.problems() == [(f"{site.url}/crl", "HTTP 404")]
    site.pages["/crl"] = der(authority.crl(this_update=NOW))
    revocation.refresh(LATER + timedelta(minutes=5))
    assert revocation.problems() == []


# --- responders ---------------------------------------------------------------------------------------


def with_responder(authority: Authority, url: str) -> Identity:
    """A certificate that names a responder and no list."""
    plain = replace(authority, crl_url="").issue("Agency H29", **LIFE)
    entry = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
    old = plain.certificate
    builder = x509.CertificateBuilder(
        issuer_name=old.issuer,
        subject_name=old.subject,
        public_key=old.public_key(),
        serial_number=old.serial_number,
        not_valid_before=old.not_valid_before_utc,
        not_valid_after=old.not_valid_after_utc,
        extensions=list(old.extensions),
    ).add_extension(x509.AuthorityInformationAccess([entry]), critical=False)
    certificate = builder.sign(authority.key, hashes.SHA256())
    return replace(plain, certificate=certificate, chain=(certificate, *plain.chain[1:]))


def answer(
    authority: Authority,
    identity: Identity,
    *,
    revoked: bool = False,
    at: datetime = NOW,
    by: Identity | None = None,
) -> bytes:
    responder, key = (by.certificate, by.key) if by else (authority.certificate, authority.key)
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=identity.certificate,
        issuer=authority.certificate,
        algorithm=hashes.SHA1(),
        cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
        this_update=at,
        next_update=at + timedelta(days=1),
        revocation_time=at if revoked else None,
        revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, responder)
    if by:
        builder = builder.certificates([responder])
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def delegate(authority: Authority, purpose: x509.ObjectIdentifier) -> Identity:
    made = authority.issue("Responder", **LIFE)
    old = made.certificate
    certificate = (
        x509.CertificateBuilder(
            old.issuer,
            old.subject,
            old.public_key(),
            old.serial_number,
            old.not_valid_before_utc,
            old.not_valid_after_utc,
        )
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return replace(made, certificate=certificate)


@pytest.mark.parametrize("revoked", [False, True])
def test_a_responder_is_asked_where_there_is_no_list(
    hub: World, authority: Authority, site: Site, revoked: bool
) -> None:
    identity = with_responder(authority, f"{site.url}/ocsp")
    enrol(hub, identity)
    site.pages["/ocsp"] = answer(authority, identity, revoked=revoked)
    revocation.refresh(LATER)
    assert site.asked == ["/ocsp"]
    if revoked:
        assert refused(hub) == "certificate.revoked"
    else:
        assert json.loads(send(hub).package.signature_evidence)["revocation"] == "ocsp"


def test_an_answer_by_whom_the_authority_named_is_taken(hub: World, authority: Authority, site: Site) -> None:
    identity = with_responder(authority, f"{site.url}/ocsp")
    enrol(hub, identity)
    site.pages["/ocsp"] = answer(
        authority, identity, by=delegate(authority, ExtendedKeyUsageOID.OCSP_SIGNING)
    )
    revocation.refresh(LATER)
    assert RevocationAnswer.objects.get().revoked_at is None


@pytest.mark.parametrize(
    "make",
    [
        lambda a, i: answer(Authority.create("Issuing CA", **LIFE), i),
        lambda a, i: answer(a, i, by=delegate(a, ExtendedKeyUsageOID.CLIENT_AUTH)),
        lambda a, i: answer(
            a, i, by=delegate(Authority.create("Issuing CA", **LIFE), ExtendedKeyUsageOID.OCSP_SIGNING)
        ),
        lambda a, i: answer(a, a.issue("Another", **LIFE)),
        lambda a, i: answer(a, i, at=LATER + timedelta(days=1)),
        lambda a, i: ocsp.OCSPResponseBuilder.build_unsuccessful(
            ocsp.OCSPResponseStatus.TRY_LATER
        ).public_bytes(Encoding.DER),
        lambda a, i: b"nonsense",
    ],
    ids=[
        "another authority",
        "not a responder",
        "another's responder",
        "another certificate",
        "of the future",
        "try later",
        "nonsense",
    ],
)
def test_an_answer_that_cannot_be_trusted_is_not_kept(
    hub: World, authority: Authority, site: Site, make: Callable[[Authority, Identity], bytes]
) -> None:
    identity = with_responder(authority, f"{site.url}/ocsp")
    enrol(hub, identity)
    site.pages["/ocsp"] = make(authority, identity)
    revocation.refresh(LATER)
    assert not RevocationAnswer.objects.exists()
    assert "ocsp.unusable" in revocation.problems()[0][1]


def test_an_older_answer_does_not_replace_a_newer_one(hub: World, authority: Authority, site: Site) -> None:
    identity = with_responder(authority, f"{site.url}/ocsp")
    enrol(hub, identity)
    by = registry.Change(ACTOR, LATER)
    issuer = der(authority.certificate)
    registry.store_answer(answer(authority, identity, revoked=True), identity.der, issuer, by=by)
    registry.store_answer(
        answer(authority, identity, at=NOW - timedelta(hours=1)), identity.der, issuer, by=by
    )
    assert refused(hub) == "certificate.revoked"


def test_the_answer_of_openssl_is_understood(hub: World, authority: Authority, tmp_path: Path) -> None:
    identity = with_responder(authority, "http://127.0.0.1/")
    key, certificate = authority.save(tmp_path, "ca")
    serial = f"{identity.certificate.serial_number:X}"
    serial = serial if len(serial) % 2 == 0 else f"0{serial}"
    index = tmp_path / "index.txt"
    until = identity.certificate.not_valid_after_utc
    index.write_text(
        f"R\t{until:%Y%m%d%H%M%SZ}\t{NOW:%y%m%d%H%M%SZ},keyCompromise\t{serial}\tunknown\t/CN=x\n"
    )
    out = tmp_path / "answer.der"
    subprocess.run(
        ["openssl", "ocsp", "-index", index, "-rsigner", certificate, "-rkey", key, "-CA", certificate,
         "-issuer", certificate, "-serial", f"0x{serial}", "-respout", out, "-ndays", "1"],
        check=True, capture_output=True,
    )  # fmt: skip
    now = datetime.now(UTC)
    by = registry.Change(ACTOR, now)
    registry.store_answer(out.read_bytes(), identity.der, der(authority.certificate), by=by)
    stored = RevocationAnswer.objects.get()
    assert (stored.revoked_at, stored.reason) == (NOW, "keyCompromise")


# --- what was used, and who decides -------------------------------------------------------------------


def test_the_event_of_acceptance_holds_the_digest_of_the_evidence(hub: World) -> None:
    taken = send(hub)
    package = Package.objects.get()
    event = events.decode(taken.receipt.raw)
    assert event.digest == sha256(package.signature_evidence.encode()).hexdigest()
    assert EventBody.objects.exists()


def test_a_registrar_revokes_with_effect_at_once(hub: World) -> None:
    raw = hub.document("H29", "H29.5")
    revoke(hub, "H29")
    with pytest.raises(Exception, match=r"certificate\.revoked"):
        hub.accept(raw, now=datetime.now(UTC))


# --- the guard ----------------------------------------------------------------------------------------


def unfetched(url: str) -> str:
    with pytest.raises(transport.Unfetched) as caught:
        transport.fetch(url)
    return str(caught.value)


def test_only_listed_private_networks_are_asked(site: Site, settings: Any) -> None:
    site.pages["/crl"] = b"list"
    assert transport.fetch(f"{site.url}/crl") == b"list"
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, push_networks=())
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"):
        unfetched(f"http://{host}:{site.url.rpartition(':')[2]}/crl")
    assert site.asked == ["/crl"]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ldap://127.0.0.1/cn=x", "ftp://127.0.0.1/x", "//x", ""]
)
def test_only_http_is_spoken(url: str) -> None:
    assert unfetched(url) == "neither http nor https"


def test_a_redirect_is_not_followed(site: Site) -> None:
    site.pages |= {"/": b"moved", "/crl": b"list"}
    assert unfetched(f"{site.url}/") == "HTTP 302"
    assert site.asked == ["/"]


def test_an_answer_without_end_is_cut_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport.calls, "FETCH_LIMIT", 1000)
    site.pages["/crl"] = b"x" * 100_000
    assert unfetched(f"{site.url}/crl") == "more than 1000 bytes"
