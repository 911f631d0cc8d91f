"""Systems and their credentials: the part of `enrolment` about who may connect, and how."""

import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import TypedDict, Unpack
from urllib.parse import urlsplit

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from agencies.errors import EnrolmentError
from agencies.hashers import CredentialHasher
from agencies.models import Agency, Credential, DuplicatePolicy, SignaturePolicy, System

SCOPES = ("send", "receive", "directory", "audit")
_SEEN_EVERY = timedelta(minutes=1)
_CHOICES: dict[str, list[str]] = {
    "kind": System.Kind.values,
    "delivery": System.Delivery.values,
    "signature_policy": SignaturePolicy.values,
    "duplicate_policy": DuplicatePolicy.values,
}


class SystemFacts(TypedDict, total=False):
    """What may be said of a system. The secrets are ciphertexts of the hub; `max_bytes` and
    `requests_per_minute` None: its defaults; `networks`: CIDRs, empty: from anywhere; `client_certificate`:
    SHA-256 of the TLS certificate to show, empty: none."""

    kind: str
    delivery: str
    notice: bool
    prefixes: str
    callback_url: str
    vxp_id: str | None
    vxp_secret: bytes
    webhook_secrets: bytes
    push_identity: bytes
    ca_pem: str
    signature_policy: str
    duplicate_policy: str
    max_bytes: int | None
    networks: str
    client_certificate: str
    requests_per_minute: int | None


@transaction.atomic
def register_system(
    name: str,
    *,
    agencies: Iterable[Agency] = (),
    sends_only: Iterable[Agency] = (),
    at: datetime | None = None,
    **facts: Unpack[SystemFacts],
) -> System:
    """Register a system that sends and receives for `agencies`, and only sends for `sends_only`.

    Policies default by kind: systems of the VXP face report and warn, others require and refuse. The same
    facts again return the system. Raises EnrolmentError: system.*, agency.connected-elsewhere.
    """
    name = " ".join(name.split())
    if not 0 < len(name) <= 200:
        raise EnrolmentError("system.name-invalid")
    at = at or timezone.now()
    system = System.objects.filter(name=name).first()
    if system is None:
        system = System(name=name, created_at=at, **_with_defaults(facts))
        _check(system)
        system.save(force_insert=True)
    elif any(getattr(system, field) != value for field, value in facts.items()):
        raise EnrolmentError("system.exists", name=name)
    for agency in agencies:
        connect_agency(agency, system, at=at)
    system.sends_for.add(*sends_only)
    return system


@transaction.atomic
def update_system(system: System, **facts: Unpack[SystemFacts]) -> System:
    """Change what is said of `system`. Raises EnrolmentError: system.*."""
    system.refresh_from_db(from_queryset=System.objects.select_for_update(no_key=True))
    for field, value in facts.items():
        setattr(system, field, value)
    _check(system)
    if facts:
        system.save(update_fields=list(facts))
    return system


@transaction.atomic
def connect_agency(agency: Agency, system: System, *, at: datetime | None = None) -> None:
    """Let `agency` send and receive through `system`. Raises EnrolmentError(agency.connected-elsewhere)."""
    agency.refresh_from_db(from_queryset=Agency.objects.select_for_update(no_key=True))
    current = agency.receives_through
    if current is not None and current.pk != system.pk:
        raise EnrolmentError("agency.connected-elsewhere", code=agency.code, system=current.name)
    move_agency(agency, system, at=at)


@transaction.atomic
def move_agency(
    agency: Agency, system: System | None, *, keep_sending: bool = False, at: datetime | None = None
) -> None:
    """Let `agency` receive and send through `system` from now on (None: through no system).

    The system that it received through may no longer send for it, unless `keep_sending`; other systems that
    only send for it are not touched. Deliveries that wait go to the new system: they belong to the agency.
    """
    agency.refresh_from_db(from_queryset=Agency.objects.select_for_update(no_key=True))
    before = agency.receives_through
    if system is not None:
        system.sends_for.add(agency)
    if before == system:
        return
    if before is not None and not keep_sending:
        before.sends_for.remove(agency)
    agency.receives_through, agency.updated_at = system, at or timezone.now()
    agency.save(update_fields=["receives_through", "updated_at"])


@transaction.atomic
def permit_sending(system: System, agency: Agency) -> None:
    """Let `system` send for `agency`, besides the systems that already do."""
    system.sends_for.add(agency)


@transaction.atomic
def forbid_sending(system: System, agency: Agency) -> None:
    """End that."""
    system.sends_for.remove(agency)


@transaction.atomic
def suspend_system(system: System, at: datetime | None = None) -> None:
    """Take nothing from and hand nothing to `system`; its tokens stop working at once."""
    _set_suspended(system, at or timezone.now(), suspended=True)


@transaction.atomic
def resume_system(system: System, at: datetime | None = None) -> None:
    """End a suspension."""
    _set_suspended(system, at or timezone.now(), suspended=False)


@transaction.atomic
def pause_system(system: System, at: datetime | None = None) -> None:
    """Hand nothing over for now, and go on taking; the time of the first pause stays."""
    System.objects.filter(pk=system.pk, paused_at=None).update(paused_at=at or timezone.now())
    system.refresh_from_db(fields=["paused_at"])


@transaction.atomic
def unpause_system(system: System) -> None:
    """End a pause."""
    System.objects.filter(pk=system.pk).update(paused_at=None)
    system.paused_at = None


def saw_system(system: System, at: datetime) -> None:
    """Remember that `system` called at `at`; at most one write a minute."""
    if system.last_seen_at is None or system.last_seen_at < at - _SEEN_EVERY:
        earlier = Q(last_seen_at=None) | Q(last_seen_at__lt=at)
        System.objects.filter(earlier, pk=system.pk).update(last_seen_at=at)
        system.last_seen_at = at


def used_credential(credential: Credential, at: datetime) -> None:
    """Remember that a token was given for `credential` at `at`."""
    Credential.objects.filter(pk=credential.pk).update(last_used_at=at)


@transaction.atomic
def issue_credential(
    system: System, scopes: Iterable[str] = ("send", "receive", "directory")
) -> tuple[str, str]:
    """A new (client id, secret) of `system`. The secret is 256 random bits and can be read only here.

    Raises EnrolmentError(credential.scope-unknown).
    """
    wanted = set(scopes)
    for scope in wanted.difference(SCOPES):
        raise EnrolmentError("credential.scope-unknown", scope=scope, known=" ".join(SCOPES))
    secret = secrets.token_urlsafe(32)
    credential = Credential.objects.create(
        system=system,
        name=system.name,
        client_id=secrets.token_hex(16),
        client_secret=make_password(secret, hasher=CredentialHasher.algorithm),
        client_type=Credential.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Credential.GRANT_CLIENT_CREDENTIALS,
        scopes=" ".join(scope for scope in SCOPES if scope in wanted),
    )
    return credential.client_id, secret


@transaction.atomic
def rotate_credential(system: System, overlap: timedelta, *, at: datetime | None = None) -> tuple[str, str]:
    """A new credential with the scopes of the present ones, which work for `overlap` longer.

    Raises EnrolmentError(credential.none).
    """
    at = at or timezone.now()
    System.objects.select_for_update(no_key=True).get(pk=system.pk)
    present = list(Credential.objects.filter(system=system, revoked_at=None))
    if not present:
        raise EnrolmentError("credential.none", system=system.name)
    Credential.objects.filter(pk__in=[old.pk for old in present]).update(revoked_at=at + overlap)
    return issue_credential(system, {scope for old in present for scope in old.scope_list})


@transaction.atomic
def revoke_credential(credential: Credential, at: datetime | None = None) -> None:
    """End a credential and its tokens; the earliest end stays."""
    at = at or timezone.now()
    still = Credential.objects.filter(Q(revoked_at=None) | Q(revoked_at__gt=at), pk=credential.pk)
    still.update(revoked_at=at)
    credential.refresh_from_db(fields=["revoked_at"])


def _set_suspended(system: System, at: datetime, *, suspended: bool) -> None:
    changes = System.objects.filter(pk=system.pk, suspended_at__isnull=suspended)
    if changes.update(suspended_at=at if suspended else None):
        # Whether its agencies can be reached is part of the directory that others keep copies of.
        Agency.objects.filter(receives_through=system).update(updated_at=at)
    system.refresh_from_db(fields=["suspended_at"])


def _with_defaults(facts: SystemFacts) -> SystemFacts:
    lenient = facts.get("kind") in (System.Kind.VXP, System.Kind.AXIS)
    given = facts.copy()
    given["signature_policy"] = facts.get("signature_policy") or ("report" if lenient else "required")
    given["duplicate_policy"] = facts.get("duplicate_policy") or ("warn" if lenient else "refuse")
    return given


def _check(system: System) -> None:
    for field, known in _CHOICES.items():
        value = getattr(system, field)
        if value not in known:
            raise EnrolmentError("system.choice-unknown", field=field, value=value)
    if system.callback_url:
        _check_url(system.callback_url)
    elif system.delivery == System.Delivery.PUSH:
        raise EnrolmentError("system.callback-missing")
    if system.max_bytes is not None and system.max_bytes <= 0:
        raise EnrolmentError("system.limit-invalid")
    system.networks = _networks(system.networks)
    if not re.fullmatch(r"([0-9a-f]{64})?", system.client_certificate):
        raise EnrolmentError("system.client-certificate-invalid")
    others = System.objects.exclude(pk=system.pk)
    if system.vxp_id and others.filter(vxp_id=system.vxp_id).exists():
        raise EnrolmentError("system.vxp-id-taken", vxp_id=system.vxp_id)
    system.vxp_id = system.vxp_id or None


def _networks(text: str) -> str:
    words = text.replace(",", " ").split()
    try:
        return " ".join(str(ip_network(word)) for word in words)
    except ValueError as error:
        raise EnrolmentError("system.network-invalid", why=error) from error


def _check_url(url: str) -> None:
    """Form only: which hosts may be called is decided where connections are opened."""
    try:
        parts = urlsplit(url)
        well_formed = bool(parts.hostname) and parts.port != 0
    except ValueError:
        well_formed = False
        parts = urlsplit("")
    if (
        not well_formed
        or parts.scheme not in ("http", "https")
        or "@" in parts.netloc
        or parts.fragment
        or len(url) > 500
        or not url.isprintable()
        or " " in url
    ):
        raise EnrolmentError("system.callback-invalid", url=url[:200])
