"""The attack table: every hostile package, how it is made, and the code under which it is refused.

`manage.py shell -c 'from tests.security.test_attacks import write; write()'` writes the table into
docs/security.md. Attacks on a good package come with
right mathematics wherever a deviation could hide behind a wrong digest.
"""

import base64
import hmac
import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import serialization
from lxml import etree

from exchange import registry
from exchange.envelope import package as envelope
from exchange.envelope.signing import sign
from exchange.envelope.xml import DS, NS
from fixtures.pki import Authority, Identity, Revocation
from tests.envelope.test_signature import (
    ECDSA_SHA256,
    ENVELOPED_TRANSFORM,
    REFERENCE,
    SHA256,
    TRANSFORM,
    element,
    replaced,
    resigned,
    value_of,
    with_digest,
    with_value,
)
from tests.security.pki import revoke
from tests.world import ACTOR, NOW, World

Make = Callable[[World], bytes]
PROFILE, MISMATCH, NOT_EDXML = "signature.profile", "signature.digest-mismatch", "package.not-edxml"
FORBIDDEN, NOT_XML, BROKEN = "package.forbidden-construct", "package.not-xml", "package.attachment-broken"
XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"


@dataclass(frozen=True, slots=True)
class Attack:
    """One hostile package of H29: its row of the table, its name within the row, the code it must get."""

    row: str
    name: str
    code: str
    make: Make


ATTACKS: list[Attack] = []


def attack(row: str, code: str, **cases: Make) -> None:
    """Add the cases of one row."""
    for name, make in cases.items():
        ATTACKS.append(Attack(row, name.replace("_", " "), code, make))


# --- how they are made --------------------------------------------------------------------------------


def good(hub: World, **facts: Any) -> bytes:
    """A good signed document of H29, its signature without Ids, so that no copy is refused for one."""
    facts.setdefault("attachments", [envelope.attach("a.txt", b"attached")])
    return re.sub(rb' Id="signature-[0-9a-f]+"', b"", hub.document("H29", "H29.5", **facts))


def changed(old: str, new: str) -> Make:
    """Changed after signing."""
    return lambda hub: replaced(good(hub), old, new)


def rightly(old: str, new: str) -> Make:
    """Changed in the signature, and signed again over what SignedInfo says now."""
    return lambda hub: resigned(replaced(good(hub), old, new), hub.keys.identities["H29"])


def unsigned(old: str, new: str | bytes) -> Make:
    """Changed in a package that carries no signature: the gates refuse it before one is looked for."""
    put = new if isinstance(new, bytes) else new.encode()

    def make(hub: World) -> bytes:
        raw = hub.document("H29", "H29.5", signed=False)
        assert old.encode() in raw
        return raw.replace(old.encode(), put, 1)

    return make


def subject(content: str | bytes) -> Make:
    """`content` before the subject of the document."""
    put = content if isinstance(content, bytes) else content.encode()
    return unsigned("<edXML:Subject>", b"<edXML:Subject>" + put)


def re_encoded(encoding: str, declared: str = "") -> Make:
    """The whole package in another encoding."""

    def make(hub: World) -> bytes:
        text = hub.document("H29", "H29.5", signed=False).decode()
        return text.replace("UTF-8", declared or encoding.upper(), 1).encode(encoding)

    return make


def with_dtd(declarations: str, use: str = "") -> Make:
    """A document type declaration, and what refers to it."""

    def make(hub: World) -> bytes:
        raw = subject(use)(hub)
        end = raw.index(b"?>") + 2
        return raw[:end] + f"<!DOCTYPE edXML {declarations}>".encode() + raw[end:]

    return make


def moved(target: str, *, keep: bool) -> Make:
    """The signature before the end of `target`, and where it was as well if `keep`."""

    def make(hub: World) -> bytes:
        raw = good(hub)
        signature = element(raw, "ds:Signature")
        raw = raw if keep else replaced(raw, signature, "")
        end = f"</{target}>"
        assert end.encode() in raw
        at = raw.rindex(end.encode())
        return raw[:at] + signature.encode() + raw[at:]

    return make


def doubled(name: str, old: str, new: str) -> Make:
    """A false twin of an element before the signed one."""

    def make(hub: World) -> bytes:
        raw = good(hub)
        original = element(raw, name)
        return replaced(raw, original, original.replace(old, new) + original)

    return make


def moved_body(hub: World) -> bytes:
    raw = good(hub)
    body = element(raw, "edXML:edXMLBody")
    raw = replaced(raw, body, "<edXML:edXMLBody/>")
    elsewhere = body.replace("<edXML:edXMLBody", f'<edXML:edXMLBody xmlns:edXML="{NS}"', 1)
    return replaced(raw, "</Attachment>", f"{elsewhere}</Attachment>")


def original_in_attachment(hub: World) -> bytes:
    """A false package with the signature of the true one, which lies in an attachment."""
    raw = good(hub)
    signature = element(raw, "ds:Signature")
    original = replaced(raw.split(b"?>", 1)[1], signature, "").decode()
    return replaced(
        replaced(raw, "Triển khai", "Giả mạo"), "</Attachment>", f"<X>{original}</X></Attachment>"
    )


def inside_signature(hub: World) -> bytes:
    """The signed content hidden where the enveloped transform looks away."""
    raw = good(hub)
    original = element(raw, "edXML:MessageHeader")
    return replaced(
        raw, "</ds:Signature>", f'<ds:Object xmlns:edXML="{NS}">{original}</ds:Object></ds:Signature>'
    )


def signature_in_signature(hub: World) -> bytes:
    raw = good(hub)
    return replaced(
        raw, "</ds:Signature>", f"<ds:Object>{element(raw, 'ds:Signature')}</ds:Object></ds:Signature>"
    )


def hmac_with_public_key(hub: World) -> bytes:
    public = hub.keys.identities["H29"].certificate.public_key()
    secret = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    raw = replaced(good(hub), ECDSA_SHA256, "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")
    info = etree.fromstring(raw).find(f".//{{{DS}}}SignedInfo")
    assert info is not None
    return with_value(raw, hmac.digest(secret, etree.tostring(info, method="c14n", exclusive=True), "sha256"))


def empty_signed_info(hub: World) -> bytes:
    raw = good(hub)
    return resigned(
        replaced(raw, element(raw, "ds:SignedInfo"), "<ds:SignedInfo/>"), hub.keys.identities["H29"]
    )


def void_canonical_form(hub: World) -> bytes:
    """A relative namespace name has no canonical form; some libraries then sign and accept nothing."""
    raw = replaced(good(hub), "<edXML xmlns", '<edXML xmlns:void="./relative" xmlns')
    key = hub.keys.identities["H29"].key
    return with_value(with_digest(raw, sha256(b"").digest()), value_of(key, b"", ""))


def digest_of_nothing(hub: World) -> bytes:
    return resigned(with_digest(good(hub), sha256(b"").digest()), hub.keys.identities["H29"])


# --- certificates -------------------------------------------------------------------------------------


def by(identity: Callable[[World], Identity], *, registered: bool = True) -> Make:
    """Signed by another identity, which is registered for H29 or not."""

    def make(hub: World) -> bytes:
        signer = identity(hub)
        if registered:
            change = registry.Change(ACTOR, NOW)
            registry.add_certificate(hub.agencies["H29"], signer.der, by=change)
        raw = hub.document("H29", "H29.5", signed=False)
        return sign(raw, key=signer.key, certificate_chain=signer.chain)

    return make


def issued(**facts: Any) -> Callable[[World], Identity]:
    """An identity of the trusted authority."""
    life = {"not_before": NOW - timedelta(days=60), "not_after": NOW + timedelta(days=7000)}
    return lambda hub: hub.keys.authority.issue("Agency H29", **{**life, **facts})


def stranger(hub: World) -> Identity:
    return Authority.create("Unknown Root").issue("Agency H29")


def attackers_key(hub: World) -> bytes:
    """The right certificate in KeyInfo, the attacker's key behind the value."""
    return resigned(good(hub), stranger(hub))


def key_value_only(hub: World) -> bytes:
    raw = good(hub)
    return replaced(raw, element(raw, "ds:KeyInfo"), "<ds:KeyInfo><ds:KeyValue/></ds:KeyInfo>")


def revoked_by_registrar(hub: World) -> bytes:
    raw = good(hub)
    revoke(hub, "H29")
    return raw


def revoked_by_authority(hub: World) -> bytes:
    authority = hub.keys.authority
    line = Revocation(hub.keys.identities["H29"].certificate, NOW)
    encoding = serialization.Encoding.DER
    registry.store_crl(
        authority.crl([line], this_update=NOW).public_bytes(encoding),
        authority.certificate.public_bytes(encoding),
        by=registry.Change(ACTOR, NOW),
    )
    return good(hub)


# --- attachments --------------------------------------------------------------------------------------


def bomb(hub: World) -> bytes:
    """Four hundred megabytes in one of four hundred kilobytes, rightly signed."""
    return _with_encoded(hub, base64.b64encode(zipped(b"\0" * 400_000_000)).decode())


def _with_encoded(hub: World, encoded: str) -> bytes:
    raw = hub.document("H29", "H29.5", signed=False, attachments=[envelope.attach("a.pdf", b"attached")])
    return hub.sign("H29", replaced(raw, base64.b64encode(b"attached").decode(), encoded))


def zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", content)
    return out.getvalue()


# --- the table ----------------------------------------------------------------------------------------

attack(
    "Signed content moved", MISMATCH, body_moved=moved_body, original_in_an_attachment=original_in_attachment
)
attack(
    "Containers doubled",
    NOT_EDXML,
    header=doubled("edXML:edXMLHeader", "Triển khai", "Giả mạo"),
    envelope=doubled("edXML:edXMLEnvelope", "Triển khai", "Giả mạo"),
    message_header=doubled("edXML:MessageHeader", "Triển khai", "Giả mạo"),
    body=doubled("edXML:edXMLBody", "edXMLManifest", "edXMLManifest"),
)
attack(
    "Signature moved, doubled or nested",
    PROFILE,
    copied_into_an_attachment=moved("Attachment", keep=True),
    moved_into_an_attachment=moved("Attachment", keep=False),
    moved_into_the_message_header=moved("edXML:MessageHeader", keep=False),
    content_inside_it=inside_signature,
    signature_inside_it=signature_in_signature,
)
attack(
    "Changed after signing",
    MISMATCH,
    value=changed("năm 2026", "năm 2027"),
    blank=changed("năm 2026", "năm  2026"),
    recipient=changed("<edXML:OrganId>H29.5<", "<edXML:OrganId>H29.17<"),
    prefix_bound_anew=changed("<edXML:Subject>", '<edXML:Subject xmlns:edXML="urn:x">'),
    attachment=changed(base64.b64encode(b"attached").decode(), base64.b64encode(b"exchange").decode()),
    digest_of_nothing=digest_of_nothing,
)
attack(
    "Id twice, in any letter case",
    FORBIDDEN,
    same=subject('<x Id="a"/><x Id="a"/>'),
    mixed=subject('<x Id="a"/><x iD="a"/>'),
)
attack(
    "Comments that split a value",
    FORBIDDEN,
    subject=changed("Triển khai", "Triển <!-- x -->khai"),
    digest=changed("<ds:DigestValue>", "<ds:DigestValue><!-- x -->"),
)
attack(
    "Transforms",
    PROFILE,
    XPath=rightly(TRANSFORM, f'<ds:Transform Algorithm="{XPATH}"><ds:XPath>1</ds:XPath></ds:Transform>'),
    XPath_Filter_2=rightly(
        TRANSFORM, '<ds:Transform Algorithm="http://www.w3.org/2002/06/xmldsig-filter2"/>'
    ),
    XSLT=rightly(TRANSFORM, '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/>'),
    unknown=rightly(TRANSFORM, '<ds:Transform Algorithm="urn:x"/>'),
    misspelt=rightly(TRANSFORM, '<ds:Transform Algorithm="http://www.w3.org/TR/xml-exc-c14n#"/>'),
    none=rightly(ENVELOPED_TRANSFORM + TRANSFORM, ""),
)
attack(
    "References",
    PROFILE,
    several=rightly("</ds:SignedInfo>", REFERENCE.format(uri="") + "</ds:SignedInfo>"),
    to_a_part=rightly('Reference URI=""', 'Reference URI="#body"'),
    external=rightly('Reference URI=""', 'Reference URI="cid:1"'),
    file=rightly('Reference URI=""', 'Reference URI="file:///etc/passwd"'),
    http=rightly('Reference URI=""', 'Reference URI="http://127.0.0.1/"'),
    empty_SignedInfo=empty_signed_info,
)
attack(
    "Weak or foreign algorithms",
    PROFILE,
    HMAC_with_the_public_key=hmac_with_public_key,
    SHA_1_signature=rightly(ECDSA_SHA256, "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1"),
    MD5_signature=rightly(ECDSA_SHA256, "http://www.w3.org/2001/04/xmldsig-more#rsa-md5"),
    SHA_1_digest=rightly(f'DigestMethod Algorithm="{SHA256}"', f'DigestMethod Algorithm="{DS}sha1"'),
    void_canonical_form=void_canonical_form,
)
attack("No signature", "signature.missing", none=lambda hub: hub.document("H29", "H29.5", signed=False))
attack("Another key than the certificate's", "signature.invalid", attacker=attackers_key)
attack(
    "Certificates that are not the sender's",
    "certificate.unknown",
    attacker=by(stranger, registered=False),
    of_another_agency=by(lambda hub: hub.keys.identities["H29.5"], registered=False),
    twin_of_the_same_key=by(lambda hub: issued(key=hub.keys.identities["H29"].key)(hub), registered=False),
)
attack("KeyInfo without a certificate", PROFILE, KeyValue=key_value_only)
attack("Weak key", PROFILE, RSA_1024=by(issued(key="rsa1024")))
attack(
    "Certificate out of its validity",
    "certificate.expired",
    expired=by(issued(not_after=NOW - timedelta(days=1))),
)
attack(
    "Certificate of the future",
    "certificate.not-yet-valid",
    not_yet=by(issued(not_before=NOW + timedelta(days=6000))),
)
attack(
    "Certificate revoked",
    "certificate.revoked",
    by_a_registrar=revoked_by_registrar,
    by_its_authority=revoked_by_authority,
)
attack(
    "Certificate not trusted",
    "certificate.untrusted",
    unknown_root=by(stranger),
    wrong_key_usage=by(issued(usage=("key_encipherment",))),
)
attack(
    "Entities and document types",
    FORBIDDEN,
    billion_laughs=with_dtd('[<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY c "&b;&b;">]', "&c;"),
    quadratic_blow_up=with_dtd(f'[<!ENTITY a "{"A" * 50_000}">]', "&a;" * 5_000),
    XXE=with_dtd('[<!ENTITY a SYSTEM "file:///etc/passwd">]', "&a;"),
    parameter_entities=with_dtd('[<!ENTITY % a SYSTEM "http://127.0.0.1/x"> %a;]'),
    default_attributes=with_dtd('[<!ATTLIST edXML Id ID "x">]'),
    external_DTD=with_dtd('SYSTEM "http://127.0.0.1/x.dtd"'),
    processing_instruction=subject("<?php x?>"),
)
attack(
    "Encodings",
    NOT_XML,
    UTF_7=re_encoded("utf-7"),
    UTF_16=re_encoded("utf-16"),
    UTF_32=re_encoded("utf-32"),
    Shift_JIS=unsigned("UTF-8", "Shift_JIS"),
    NUL=subject(b"\x00"),
    lone_surrogate=subject(b"\xed\xa0\x80"),
    overlong=subject(b"\xc0\xaf"),
    character_reference_to_NUL=subject("&#0;"),
)
attack(
    "Codes that only look alike",
    "sender.not-registered",
    full_width=unsigned("<edXML:OrganId>H29<", "<edXML:OrganId>Ｈ29．X<"),
    cyrillic=unsigned("<edXML:OrganId>H29<", "<edXML:OrganId>Н29<"),
    decomposed=unsigned("<edXML:OrganId>H29<", "<edXML:OrganId>H29\u0301<"),
)
attack(
    "Quantities",
    FORBIDDEN,
    namespaces_20_000=subject("<x " + " ".join(f'xmlns:a{i}="u"' for i in range(20_000)) + "/>"),
    attributes_100_000=subject("<x " + " ".join(f'a{i}=""' for i in range(100_000)) + "/>"),
    elements_2_500_000=subject("<x/>" * 2_500_000),
    comments_40_000=subject("<!---->" * 40_000),
    depth_41=subject("<x>" * 41 + "</x>" * 41),
)
attack("Depth 10,000", NOT_XML, depth=subject("<x>" * 10_000 + "</x>" * 10_000))
attack(
    "Quantities in the signature",
    PROFILE,
    children_40_000=rightly("</ds:SignedInfo>", "<ds:x/>" * 40_000 + "</ds:SignedInfo>"),
    references_1_000=rightly("</ds:SignedInfo>", REFERENCE.format(uri="#a") * 1_000 + "</ds:SignedInfo>"),
)
attack(
    "Quantities in the signature, beyond the gate",
    FORBIDDEN,
    references_3_000=rightly("</ds:SignedInfo>", REFERENCE.format(uri="#a") * 3_000 + "</ds:SignedInfo>"),
)
attack(
    "Attachments that inflate or break",
    BROKEN,
    zip_bomb=bomb,
    broken_base64=lambda hub: _with_encoded(hub, "YXR0YWNo*A=="),
)
attack("Another's name in From", "sender.not-yours", other_agency=lambda hub: hub.document("H29.5", "H29"))

ELSEWHERE: list[tuple[str, str, str]] = [
    ("Nested zips", "only one level is opened", "tests/envelope/test_attachments.py::test_only_one_level_is_opened"),
    ("Lying content types", "the bytes decide", "tests/envelope/test_attachments.py::test_the_bytes_say_what_it_is"),
    ("Path traversal, control and bidi characters in names", "made safe", "tests/envelope/test_attachments.py::test_names_are_made_safe"),
    ("Compressed body", "`request.media-type`", "tests/api/test_body.py::test_a_compressed_body_is_refused"),
    ("Chunked body that never ends", "`package.too-large`", "tests/api/test_body.py::test_a_chunked_body_that_never_ends_is_cut_off_at_the_limit"),
    ("Wrong Content-Length", "`request.invalid`", "tests/api/test_body.py::test_fewer_bytes_than_announced_are_refused"),
    ("Many large packages at once", "`hub.busy`", "tests/security/test_isolation.py::test_few_large_packages_are_in_work_at_once"),
    ("Package that costs too much", "`package.too-costly`", "tests/security/test_isolation.py::test_what_takes_too_much_processor_time_is_stopped_and_the_next_one_taken"),
    ("Slow bodies", "they hold no thread that others need, no place of a large package; then `hub.busy`", "tests/security/test_slow.py::test_slow_bodies_hold_neither_the_hub_nor_the_place_of_a_large_package"),
    ("Slow readers", "the rest of an answer stays in its file, no thread waits", "tests/security/test_slow.py::test_slow_readers_cost_no_memory"),
    ("Large body of somebody unknown", "`auth.required`, unread", "tests/security/test_slow.py::test_a_large_body_of_somebody_unknown_is_not_asked_for"),
    ("`Expect: 100-continue`", "asked for only what will be read", "tests/security/test_slow.py::test_a_body_is_asked_for_only_when_it_will_be_read"),
    ("Task of a worker that runs away with the memory", "it fails, the worker lives on", "tests/security/test_worker_memory.py::test_a_task_that_runs_away_fails_and_its_worker_lives_on"),
    ("Examiner taken over by what it reads", "`package.too-costly`, nothing is called", "tests/security/test_isolation.py::test_an_examiner_that_was_taken_over_makes_the_hub_call_nothing"),
    ("Replay of the same bytes", "200, nothing new", "tests/security/test_attacks.py::test_a_replay_is_the_same_package"),
    ("ECDSA twin (r, n−s)", "`document.id-reused`", "tests/security/test_attacks.py::test_the_other_value_of_an_ecdsa_signature_is_no_second_document"),
    ("Claimed signing time", "shown, never trusted", "tests/security/test_attacks.py::test_a_signing_time_of_the_future_changes_nothing"),
    ("Token unknown, expired, revoked, without scope", "`auth.required`, `auth.expired`, `auth.scope`", "tests/api/test_authentication.py::test_a_token_without_the_scope_is_refused"),
    ("Other OAuth pages and grants", "404, `unsupported_grant_type`", "tests/api/test_tokens.py::test_no_other_page_of_the_oauth_library_is_served"),
    ("Guessed secrets", "429", "tests/security/test_door.py::test_too_many_wrong_secrets_lock_the_client_at_that_address"),
    ("Call from elsewhere, forged proxy headers", "`auth.origin`", "tests/security/test_door.py::test_the_address_of_a_caller_is_what_the_nearest_proxy_saw"),
    ("Too many requests", "`request.too-many`", "tests/security/test_door.py::test_every_answer_tells_what_is_left"),
    ("Ids of others' packages", "`request.not-found`", "tests/security/test_attacks.py::test_what_is_not_yours_does_not_exist"),
    ("Private callback addresses, DNS rebinding", "not connected to", "tests/exchange/test_push.py::test_a_callback_into_a_private_network_is_refused_after_resolution"),
    ("Push answered by a redirect", "not followed", "tests/exchange/test_push.py::test_a_redirect_of_a_push_is_not_followed"),
    ("A clerk of another agency on the admin's pages", "404", "tests/exchange/test_admin.py::test_a_document_is_there_for_its_parties_and_not_found_for_others"),
    ("A clerk of another agency on every address of the admin", "shown nothing, changes nothing", "tests/exchange/test_admin.py::test_no_address_shows_a_clerk_the_document_of_others"),
    ("Authority revoked by the one above it", "`certificate.untrusted`", "tests/security/test_certomancer.py::test_a_revoked_intermediate_or_certificate_is_found_where_it_is_published"),
    ("State changes by GET or without CSRF token in the admin", "403, 405", "tests/security/test_attacks.py::test_the_admin_changes_nothing_without_its_token"),
    ("Formulas in cells of CSV and XLSX exports", "disarmed", "tests/exchange/test_exports.py::test_every_beginning_of_a_formula_is_disarmed"),
    ("Redirects of a revocation list's address", "not followed", "tests/security/test_revocation.py::test_a_redirect_is_not_followed"),
    ("Log lines through header fields", "another id is made", "tests/api/test_request_id.py::test_any_other_is_replaced"),
    ("PDF attachments: bombs, nesting, endless forms", "reported as `unreadable` or `too-costly`", "tests/exchange/test_pdf_reports.py::test_a_hostile_file_costs_no_more_than_the_limits_and_hides_no_other"),
    ("PDF attachments: content hidden in the gap of a signature", "reported as covering a part", "tests/exchange/test_pdf_reports.py::test_what_hides_in_the_gap_of_a_signature_is_not_covered"),
    ("PDF attachments: changed after signing", "reported as changed", "tests/exchange/test_pdf_reports.py::test_a_change_after_signing_is_not_a_further_signature"),
    ("Personal data in events and metrics", "absent", "tests/security/test_personal_data.py::test_neither_numbers_nor_names_of_persons_stand_in_events_or_metrics"),
    ("Secrets and personal numbers in logs", "masked", "tests/security/test_logs.py::test_what_must_not_be_logged_is_masked"),
]  # fmt: skip


def table() -> str:
    """The rows as Markdown, with the number of packages in each and where its tests are."""
    lines = ["| attack | packages | refused as | test |", "|---|---|---|---|"]
    rows: dict[str, list[Attack]] = {}
    for item in ATTACKS:
        rows.setdefault(item.row, []).append(item)
    for row, items in rows.items():
        names = ", ".join(item.name for item in items)
        where = "[attacks.py](../tests/security/attacks.py)"
        lines.append(f"| {row} | {names} | `{items[0].code}` | {where} |")
    for row, outcome, test in ELSEWHERE:
        file, _, name = test.partition("::")
        lines.append(f"| {row} | | {outcome} | [{name}](../{file}) |")
    return "\n".join(lines)


PLACE = re.compile(r"(<!-- attacks: [^>]*-->\n)(.*?)(\n<!-- end -->)", re.DOTALL)
