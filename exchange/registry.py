"""Changes of the registry: the one place that calls `agencies.enrolment`.

Each function is one transaction: the change, its event (`PolicyChange` in the stream of the agency or
system), and whatever waits in the queue and follows the change. A change that is refused raises
`EnrolmentError`, which speaks Vietnamese and English. `by` says who changes, when and why.
"""

import secrets
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from hashlib import sha256
from typing import Any, ParamSpec, TypeVar, Unpack
from uuid import UUID, uuid4, uuid5

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction

from agencies import enrolment
from agencies.connections import SystemFacts
from agencies.directory import Agency, Alias, Certificate, Credential, System, fold
from agencies.enrolment import AgencyFacts, AliasSpec, EnrolmentError, ImportReport
from exchange import keys, log, transport, wake
from exchange.models import Circuit, Delivery, InboxNotice, Lane

__all__ = ["Change", "EnrolmentError", "ImportReport", "Registration", "SystemFacts"]

DIRECTORY_STREAM = uuid5(UUID(int=0), "registry")
"""The stream of changes that concern no single agency or system."""
SCOPES = ("send", "receive", "directory")


_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


def _alone(change: Callable[_Given, _Made]) -> Callable[_Given, _Made]:
    """`change` as one transaction, and one change of the registry at a time.

    Every change replaces the registry's stamp (agencies/stamps.py): two that had taken other rows first could
    wait for each other. Packages never wait for the stamp.
    """

    @wraps(change)
    def alone(*args: _Given.args, **kwargs: _Given.kwargs) -> _Made:
        with transaction.atomic():
            enrolment.lock()
            return change(*args, **kwargs)

    return alone


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes the registry and when (aware); `why` is free text, kept apart from the event."""

    actor: log.Actor
    at: datetime
    why: str = ""

    def note(self, stream: UUID, what: str, *, reason: str = "", **facts: Any) -> None:
        """Append the event that `what` was changed in the agency or system whose id is `stream`."""
        code = reason or ("operator.stated" if self.why else "")
        log.note(
            stream,
            "PolicyChange",
            actor=self.actor,
            at=self.at,
            reason=code,
            text=self.why,
            what=what,
            **{"target": str(stream), **facts},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A registered system, and its secrets, readable this once; empty if it was registered already."""

    system: System
    client_id: str = ""
    client_secret: str = ""
    webhook_secret: str = ""
    vxp_secret: str = ""


# --- agencies -----------------------------------------------------------------------------------------


@_alone
def register_agency(
    code: str, name: str, *, by: Change, aliases: Iterable[AliasSpec] = (), **facts: Any
) -> Agency:
    """Register an agency; the same facts again add the aliases that are missing. `facts`: AgencyFacts."""
    known = Alias.objects.filter(agency__folded=fold(code)).count()
    agency = enrolment.register_agency(code, name, aliases=aliases, at=by.at, **facts)
    if agency.aliases.count() > known:
        by.note(agency.id, "alias.added" if known else "agency.registered")
    return agency


@_alone
def register_unit(
    code: str, name: str, *, parent: Agency, system: System, by: Change, email: str = ""
) -> Agency:
    """Register an agency below `parent` that sends and receives through `system`."""
    unit = register_agency(code, name, by=by, parent=parent, email=email)
    _connect([unit], system, by)
    return unit


@_alone
def update_agency(agency: Agency, *, by: Change, **facts: Unpack[AgencyFacts]) -> None:
    """Change what is said of `agency`."""
    before = agency.updated_at
    if enrolment.update_agency(agency, at=by.at, **facts).updated_at != before:
        by.note(agency.id, "agency.changed")


@_alone
def rename_code(agency: Agency, code: str, *, by: Change, old_until: datetime | None = None) -> None:
    """Make `code` the current code from now; the old one stays an alias, or until `old_until`."""
    enrolment.rename_code(agency, code, by.at, old_until=old_until)
    by.note(agency.id, "agency.renamed")


@_alone
def add_alias(agency: Agency, alias: AliasSpec, *, by: Change) -> None:
    """Let the code in `alias` (code, from, until) mean `agency` too."""
    enrolment.add_alias(agency, *alias, at=by.at)
    by.note(agency.id, "alias.added")


@_alone
def close_alias(agency: Agency, code: str, *, by: Change) -> None:
    """Let `code` stop meaning `agency`."""
    enrolment.close_alias(agency, code, by.at)
    by.note(agency.id, "alias.closed")


@_alone
def repoint_code(code: str, agency: Agency, *, by: Change) -> None:
    """Let `code` mean `agency` from now, whoever had it before."""
    enrolment.repoint_code(code, agency, by.at)
    by.note(agency.id, "alias.repointed")


@_alone
def suspend_agency(agency: Agency, *, by: Change) -> None:
    """Neither send for nor deliver to `agency`."""
    enrolment.suspend_agency(agency, by.at)
    by.note(agency.id, "agency.suspended")


@_alone
def resume_agency(agency: Agency, *, by: Change) -> None:
    """End that."""
    enrolment.resume_agency(agency, by.at)
    by.note(agency.id, "agency.resumed")


@_alone
def move_agency(agency: Agency, system: System, *, by: Change, keep_sending: bool = False) -> None:
    """Let `agency` receive through `system`; what waits for it goes along."""
    enrolment.move_agency(agency, system, keep_sending=keep_sending, at=by.at)
    by.note(agency.id, "agency.moved")
    _redirect(agency, system, by.at)


def import_agencies(lines: Iterable[str], *, by: Change) -> ImportReport:
    """Register or update the agencies of a CSV file, all or none (see `enrolment.import_csv`).

    One event for the whole file, with the SHA-256 of its lines.
    """
    digest = sha256()

    def hashed() -> Iterator[str]:
        for line in lines:
            digest.update(line.encode())
            yield line

    with transaction.atomic():
        report = enrolment.import_csv(hashed(), at=by.at)
        if not report.errors and (report.created or report.updated):
            by.note(DIRECTORY_STREAM, "directory.imported", digest=digest.hexdigest())
    return report


@_alone
def join(user: AbstractBaseUser, agency: Agency, *, by: Change) -> None:
    """Let `user` see and act for `agency`."""
    if not agency.memberships.filter(user_id=user.pk).exists():
        enrolment.join(user, agency)
        by.note(agency.id, "member.joined", target=f"user:{user.pk}")


@_alone
def leave(user: AbstractBaseUser, agency: Agency, *, by: Change) -> None:
    """End that."""
    enrolment.leave(user, agency)
    by.note(agency.id, "member.left", target=f"user:{user.pk}")


# --- systems ------------------------------------------------------------------------------------------


@_alone
def register_system(
    name: str,
    *,
    by: Change,
    agencies: Iterable[Agency] = (),
    scopes: Iterable[str] = SCOPES,
    **facts: Unpack[SystemFacts],
) -> Registration:
    """Register a system that sends and receives for `agencies`, and issue its credential and secrets.

    The same facts again return the system without secrets. Raises EnrolmentError: system.*,
    agency.connected-elsewhere, credential.scope-unknown.
    """
    if System.objects.filter(name=" ".join(name.split())).exists():
        known = enrolment.register_system(name, at=by.at, **facts)
        _connect(agencies, known, by)
        return Registration(system=known)
    webhook = new_webhook_secret() if facts.get("callback_url") else ""
    vxp = secrets.token_urlsafe(32) if facts.get("vxp_id") else ""
    facts["webhook_secrets"], facts["vxp_secret"] = _encrypted(webhook), _encrypted(vxp)
    system = enrolment.register_system(name, at=by.at, **facts)
    client_id, client_secret = enrolment.issue_credential(system, scopes)
    by.note(system.id, "system.registered")
    _connect(agencies, system, by)
    return Registration(
        system=system,
        client_id=client_id,
        client_secret=client_secret,
        webhook_secret=webhook,
        vxp_secret=vxp,
    )


@_alone
def register_uplink(
    name: str, *, url: str, systemid: str, secret: str, prefixes: Iterable[str], by: Change, ca_pem: str = ""
) -> System:
    """Register a hub above, toward which this one is the client `systemid` with `secret`.

    It receives for agencies that are not connected here, by the longest of `prefixes` of their codes (`*`:
    all others). The same facts again change nothing but the secret. Raises EnrolmentError.
    """
    facts: SystemFacts = {"kind": System.Kind.AXIS, "delivery": System.Delivery.PUSH, "callback_url": url}
    facts |= {"vxp_id": systemid, "prefixes": " ".join(prefixes), "ca_pem": ca_pem}
    known = System.objects.filter(name=" ".join(name.split())).exists()
    system = enrolment.register_system(name, at=by.at, **facts)
    if not known:
        by.note(system.id, "system.registered")
    enrolment.update_system(system, vxp_secret=_encrypted(secret))
    return system


@_alone
def update_system(system: System, *, by: Change, **facts: Unpack[SystemFacts]) -> None:
    """Change what is said of `system`; with the way of delivery, what waits for it changes its way too."""
    changed = [name for name, value in facts.items() if getattr(system, name) != value]
    if not changed:
        return
    enrolment.update_system(system, **facts)
    by.note(system.id, "system.changed")
    if "delivery" in changed:
        waiting = Delivery.objects.queued().filter(system=system)
        if waiting.update(push=_pushed(system), due_at=by.at):
            wake.after_commit(Lane.values)


def saw(system: System, *, now: datetime) -> None:
    """`system` called. No event: it is no change that anybody made; at most one write a minute."""
    enrolment.saw_system(system, now)


def used(credential: Credential, *, now: datetime) -> None:
    """A token was given for `credential`, so its system called. No event, for the same reason."""
    enrolment.used_credential(credential, now)
    enrolment.saw_system(credential.system, now)


@_alone
def permit_sending(system: System, agency: Agency, *, by: Change) -> None:
    """Let `system` send for `agency`, besides the systems that already do."""
    enrolment.permit_sending(system, agency)
    by.note(system.id, "sending.permitted", target=str(agency.id))


@_alone
def forbid_sending(system: System, agency: Agency, *, by: Change) -> None:
    """End that."""
    enrolment.forbid_sending(system, agency)
    by.note(system.id, "sending.forbidden", target=str(agency.id))


@_alone
def suspend_system(system: System, *, by: Change) -> None:
    """Take nothing from and hand nothing to `system`."""
    enrolment.suspend_system(system, by.at)
    by.note(system.id, "system.suspended")


@_alone
def resume_system(system: System, *, by: Change) -> None:
    """End a suspension."""
    enrolment.resume_system(system, by.at)
    by.note(system.id, "system.resumed")
    wake.after_commit(Lane.values)


@_alone
def pause(system: System, *, by: Change, reason: str = "") -> None:
    """Push nothing to `system` for now; `reason` is a code of the families operator and registry."""
    if system.paused_at is None:
        enrolment.pause_system(system, by.at)
        by.note(system.id, "system.paused", reason=reason)


@_alone
def resume(system: System, *, by: Change) -> None:
    """End a pause, and forget the failures of the past; what waited is tried at once.

    Of a system that is not paused, but whose circuit is open, this is a try before its time.
    """
    paused = system.paused_at is not None
    enrolment.unpause_system(system)
    by.note(system.id, "system.unpaused" if paused else "system.tried-again")
    Circuit.objects.filter(pk=system.pk).delete()
    Delivery.objects.queued().filter(system=system, push=True).update(due_at=by.at)
    InboxNotice.objects.filter(pk=system.pk).update(due_at=by.at, failures=0)
    wake.after_commit(Lane.values)
    wake.for_notices()


def test_connection(system: System, *, by: Change) -> bool:
    """Send `system` a signed notice without content; whether it was taken is returned and noted."""
    notice = transport.Notice.to(system, str(uuid4()), b'{"type": "test"}')
    taken = bool(transport.notify([notice]))
    by.note(system.id, "system.reached" if taken else "system.not-reached")
    return taken


def pause_gone(system: UUID, *, now: datetime) -> None:
    """Pause the system with this id, because its endpoint answered 410 Gone."""
    pause(System.objects.get(pk=system), by=Change(log.HUB, now), reason="registry.endpoint-gone")


# --- secrets and certificates -------------------------------------------------------------------------


@_alone
def issue_credential(system: System, *, by: Change, scopes: Iterable[str] = SCOPES) -> tuple[str, str]:
    """One more (client id, secret) of `system`; the secret can be read only here."""
    issued = enrolment.issue_credential(system, scopes)
    by.note(system.id, "credential.issued", target=issued[0])
    return issued


@_alone
def rotate_credential(system: System, overlap: timedelta, *, by: Change) -> tuple[str, str]:
    """A new credential; the present ones work for `overlap` longer."""
    issued = enrolment.rotate_credential(system, overlap, at=by.at)
    by.note(system.id, "credential.rotated", target=issued[0])
    return issued


@_alone
def revoke_credential(credential: Credential, *, by: Change) -> None:
    """End a credential and its tokens."""
    enrolment.revoke_credential(credential, by.at)
    by.note(credential.system_id, "credential.revoked", target=credential.client_id)


@_alone
def replace_webhook_secret(system: System, *, by: Change) -> str:
    """A new key under which pushes are signed, instead of all present ones."""
    secret = new_webhook_secret()
    enrolment.update_system(system, webhook_secrets=_encrypted(secret))
    by.note(system.id, "webhook-secret.replaced")
    return secret


@_alone
def rotate_webhook_secret(system: System, *, by: Change) -> str:
    """A new key that signs pushes beside the newest present one, until the next rotation or replacement."""
    secret = new_webhook_secret()
    enrolment.update_system(system, webhook_secrets=_beside(secret, system.webhook_secrets))
    by.note(system.id, "webhook-secret.rotated")
    return secret


@_alone
def show_when_pushing(system: System, identity: bytes, *, by: Change) -> None:
    """Show a TLS certificate to `system` when the hub calls it: `identity` is its private key without a
    password, itself and those above it, as PEM; empty: none. Kept encrypted. Raises EnrolmentError.
    """
    try:
        transport.check_identity(identity)
    except ValueError as error:
        raise EnrolmentError("system.identity-invalid", why=error) from error
    enrolment.update_system(system, push_identity=_encrypted(identity.decode()))
    by.note(system.id, "push-identity.changed" if identity else "push-identity.removed")


@_alone
def replace_vxp_secret(system: System, *, by: Change) -> str:
    """A new secret of the system's account on the VXP face, instead of all present ones."""
    secret = secrets.token_urlsafe(32)
    enrolment.update_system(system, vxp_secret=_encrypted(secret))
    by.note(system.id, "vxp-secret.replaced")
    return secret


@_alone
def rotate_vxp_secret(system: System, *, by: Change) -> str:
    """A new secret that is taken beside the newest present one, until the next rotation or replacement."""
    secret = secrets.token_urlsafe(32)
    enrolment.update_system(system, vxp_secret=_beside(secret, system.vxp_secret))
    by.note(system.id, "vxp-secret.rotated")
    return secret


@_alone
def add_certificate(agency: Agency, pem_or_der: bytes, *, by: Change) -> Certificate:
    """Register one signing certificate for `agency`; the same again changes nothing."""
    certificate = enrolment.add_certificate(agency, pem_or_der, at=by.at)
    if certificate.registered_at == by.at:
        by.note(agency.id, "certificate.added", digest=certificate.fingerprint)
    return certificate


@_alone
def revoke_certificate(certificate: Certificate, *, by: Change) -> None:
    """Accept no signature of `certificate` from now; `by.why` is the reason and must be given."""
    enrolment.revoke_certificate(certificate, by.at, by.why)
    by.note(
        certificate.agency_id,
        "certificate.revoked",
        reason="certificate.revoked",
        digest=certificate.fingerprint,
    )


@_alone
def store_crl(crl: bytes, issuer: bytes, *, by: Change) -> bool:
    """Keep the revocation list `crl` of the authority with certificate `issuer`; False if it is not newer."""
    stored = enrolment.store_crl(crl, issuer, at=by.at)
    if stored.stored_at != by.at:
        return False
    by.note(DIRECTORY_STREAM, "crl.stored", digest=sha256(bytes(stored.der)).hexdigest())
    return True


@_alone
def store_answer(answer: bytes, certificate: bytes, issuer: bytes, *, by: Change) -> None:
    """Keep what an OCSP responder said of a certificate; an event only when that is something new."""
    stored, news = enrolment.store_answer(answer, certificate, issuer, at=by.at)
    if news:
        by.note(DIRECTORY_STREAM, "ocsp.stored", digest=sha256(bytes(stored.der)).hexdigest())


def new_webhook_secret() -> str:
    """A random key in the form of Standard Webhooks."""
    return f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"


def has_secret(system: System, kind: str) -> bool:
    """Whether `system` uses a secret of that kind: `webhook` signs what is pushed, `vxp` what it asks."""
    if kind == "vxp":
        return system.kind == System.Kind.VXP and bool(system.vxp_id)
    return system.kind != System.Kind.AXIS and bool(system.callback_url)


SECRETS = {
    ("webhook", False): rotate_webhook_secret,
    ("webhook", True): replace_webhook_secret,
    ("vxp", False): rotate_vxp_secret,
    ("vxp", True): replace_vxp_secret,
}
"""How a secret of a kind is renewed: beside the present one, or (True) ending it at once."""


def _encrypted(secret: str) -> bytes:
    return keys.encrypt(secret.encode()) if secret else b""


def _beside(secret: str, stored: bytes) -> bytes:
    """`secret` and the newest one of `stored`, as they are stored."""
    present = keys.decrypt(stored).decode().split() if stored else []
    return _encrypted(" ".join([secret, *present[:1]]))


def _pushed(system: System) -> bool:
    return system.delivery == System.Delivery.PUSH


def _connect(agencies: Iterable[Agency], system: System, by: Change) -> None:
    for agency in agencies:
        connected = agency.receives_through_id == system.id
        enrolment.connect_agency(agency, system, at=by.at)
        if not connected:
            by.note(agency.id, "agency.connected")
            _redirect(agency, system, by.at)


def _redirect(agency: Agency, system: System, at: datetime) -> None:
    """Let what waits for `agency` wait for `system`: deliveries belong to the agency."""
    waiting = Delivery.objects.queued().filter(recipient=agency).exclude(system=system)
    if waiting.update(system=system, push=_pushed(system), due_at=at):
        wake.after_commit(Lane.values)
        wake.for_inboxes([system])
