"""Changes of the registry. Every function is one transaction, and refuses with EnrolmentError.

Doing the same again is harmless. `at` is the time of the change (aware); without it, now. Instances that are
passed in show the change afterwards.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict, Unpack

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from agencies import aliases as codes
from agencies.aliases import lock
from agencies.bulk import ImportReport, import_csv
from agencies.connections import (
    connect_agency,
    forbid_sending,
    issue_credential,
    move_agency,
    pause_system,
    permit_sending,
    register_system,
    resume_system,
    revoke_credential,
    rotate_credential,
    saw_system,
    suspend_system,
    unpause_system,
    update_system,
    used_credential,
)
from agencies.errors import EnrolmentError
from agencies.models import Agency, Alias, DuplicatePolicy, Membership, SignaturePolicy
from agencies.search import fold
from agencies.trust import add_certificate, revoke_certificate, store_answer, store_crl

__all__ = [
    "AgencyFacts",
    "AliasSpec",
    "EnrolmentError",
    "ImportReport",
    "add_alias",
    "add_certificate",
    "close_alias",
    "connect_agency",
    "forbid_sending",
    "import_csv",
    "issue_credential",
    "join",
    "leave",
    "lock",
    "move_agency",
    "pause_system",
    "permit_sending",
    "register_agency",
    "register_system",
    "rename_code",
    "repoint_code",
    "resume_agency",
    "resume_system",
    "revoke_certificate",
    "revoke_credential",
    "rotate_credential",
    "saw_system",
    "store_answer",
    "store_crl",
    "suspend_agency",
    "suspend_system",
    "unpause_system",
    "update_agency",
    "update_system",
    "used_credential",
]

MAX_NAME = 300
AliasSpec = tuple[str, datetime | None, datetime | None]


class AgencyFacts(TypedDict, total=False):
    """What may be said of an agency besides its codes. Policies: "" inherits from the sending system."""

    name: str
    name_en: str
    parent: Agency | None
    email: str
    signature_policy: str
    duplicate_policy: str
    hub_may_sign: bool
    refuses_broken_pdf: bool


class OptionalFacts(TypedDict, total=False):
    """AgencyFacts without the name, which registration asks for by itself."""

    name_en: str
    parent: Agency | None
    email: str
    signature_policy: str
    duplicate_policy: str
    hub_may_sign: bool
    refuses_broken_pdf: bool


@transaction.atomic
def register_agency(
    code: str,
    name: str,
    *,
    aliases: Iterable[AliasSpec] = (),
    at: datetime | None = None,
    **facts: Unpack[OptionalFacts],
) -> Agency:
    """Register an agency under its current `code` (valid without dates) and `aliases` (code, from, until).

    The same facts again add what aliases are missing. Raises EnrolmentError: agency.exists, agency.*-invalid,
    agency.policy-unknown, alias.overlap, alias.interval.
    """
    code = codes.checked(code)
    codes.lock()
    at = at or timezone.now()
    wanted: AgencyFacts = {"name": " ".join(name.split()), **facts}
    _check_facts(code, wanted)
    agency = Agency.objects.filter(folded=fold(code)).first()
    if agency is None:
        agency = Agency.objects.create(
            code=code, folded=fold(code), search_text="", created_at=at, updated_at=at, **wanted
        )
        codes.claim(agency, code, None, None)
    elif any(getattr(agency, field) != value for field, value in wanted.items()):
        raise EnrolmentError("agency.exists", code=code)
    for alias in aliases:
        codes.claim(agency, *alias)
    _refresh(agency, at)
    return agency


@transaction.atomic
def update_agency(agency: Agency, *, at: datetime | None = None, **facts: Unpack[AgencyFacts]) -> Agency:
    """Change what is said of `agency`. Raises EnrolmentError: agency.*-invalid, agency.parent-cycle."""
    codes.lock()  # also so that no two changes of parents make a circle together
    _hold(agency)
    _check_facts(agency.code, facts)
    _check_parent(agency, facts.get("parent"))
    changed = [field for field, value in facts.items() if getattr(agency, field) != value]
    for field in changed:
        setattr(agency, field, facts[field])  # type: ignore[literal-required]
    if changed:
        agency.save(update_fields=changed)
        _refresh(agency, at or timezone.now())
    return agency


@transaction.atomic
def rename_code(agency: Agency, new_code: str, at: datetime, *, old_until: datetime | None = None) -> Agency:
    """Make `new_code` the current code from `at`. The old one stays a valid alias, or until `old_until`.

    Raises EnrolmentError: agency.code-invalid, alias.overlap (also if it is another's current code).
    """
    new_code = codes.checked(new_code)
    codes.lock()
    _hold(agency)
    taken = Agency.objects.filter(folded=fold(new_code)).exclude(pk=agency.pk).first()
    if taken is not None:
        raise EnrolmentError("alias.overlap", code=new_code, holder=taken.code)
    if not agency.aliases.get_queryset().filter(folded=fold(new_code), valid_until=None).exists():
        codes.claim(agency, new_code, at, None)
    if old_until is not None and fold(new_code) != agency.folded:
        codes.close(agency, agency.code, old_until)
    agency.code, agency.folded = new_code, fold(new_code)
    agency.save(update_fields=["code", "folded"])
    _refresh(agency, at)
    return agency


@transaction.atomic
def add_alias(
    agency: Agency,
    code: str,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    *,
    at: datetime | None = None,
) -> Alias:
    """Let `code` mean `agency` during [valid_from, valid_until). Raises EnrolmentError: alias.*."""
    alias = codes.claim(agency, code, valid_from, valid_until)
    _refresh(agency, at or timezone.now())
    return alias


@transaction.atomic
def close_alias(agency: Agency, code: str, at: datetime) -> Alias:
    """Let `code` stop meaning `agency` at `at`. Raises EnrolmentError(alias.unknown).

    Closing the current code is allowed (an agency that is dissolved): it can then be reached by no code.
    """
    alias = codes.close(agency, code, at)
    _refresh(agency, at)
    return alias


@transaction.atomic
def repoint_code(code: str, agency: Agency, at: datetime) -> Alias:
    """Let `code` mean `agency` from `at`, whoever had it before. Raises EnrolmentError: alias.*."""
    codes.lock()
    held = Alias.objects.valid(at).filter(folded=fold(code)).select_related("agency").first()
    if held is not None and held.agency_id == agency.pk:
        return held
    if held is not None:
        close_alias(held.agency, code, at)
    return add_alias(agency, code, at, None, at=at)


@transaction.atomic
def suspend_agency(agency: Agency, at: datetime | None = None) -> None:
    """Neither send for nor deliver to `agency`; the time of the first suspension stays."""
    _set_suspended(agency, at or timezone.now(), suspended=True)


@transaction.atomic
def resume_agency(agency: Agency, at: datetime | None = None) -> None:
    """End a suspension."""
    _set_suspended(agency, at or timezone.now(), suspended=False)


@transaction.atomic
def join(user: AbstractBaseUser, agency: Agency) -> Membership:
    """Let a user see and act for `agency`."""
    return Membership.objects.get_or_create(user_id=user.pk, agency=agency)[0]


@transaction.atomic
def leave(user: AbstractBaseUser, agency: Agency) -> None:
    """End that."""
    Membership.objects.filter(user_id=user.pk, agency=agency).delete()


def _set_suspended(agency: Agency, at: datetime, *, suspended: bool) -> None:
    changes = Agency.objects.filter(Q(pk=agency.pk), Q(suspended_at__isnull=suspended))
    changes.update(suspended_at=at if suspended else None, updated_at=at)
    agency.refresh_from_db(fields=["suspended_at", "updated_at"])


def _hold(agency: Agency) -> None:
    """Read the row again and keep others from changing it until the transaction ends."""
    agency.refresh_from_db(from_queryset=Agency.objects.select_for_update(no_key=True))


def _refresh(agency: Agency, at: datetime) -> None:
    agency.search_text = codes.search_text(agency, agency.aliases.values_list("code", flat=True))
    agency.updated_at = at
    agency.save(update_fields=["search_text", "updated_at"])


def _check_facts(code: str, facts: AgencyFacts) -> None:
    name = facts.get("name", code)
    if not 0 < len(name) <= MAX_NAME or len(facts.get("name_en", "")) > MAX_NAME:
        raise EnrolmentError("agency.name-invalid", code=code)
    _check_email(facts.get("email", ""))
    for field, known in (("signature_policy", SignaturePolicy), ("duplicate_policy", DuplicatePolicy)):
        value = facts.get(field, "")
        if value not in ("", *known.values):
            raise EnrolmentError("agency.policy-unknown", field=field, value=value)


def _check_email(email: str) -> None:
    try:
        if email:
            validate_email(email)
    except ValidationError as error:
        raise EnrolmentError("agency.email-invalid", email=email) from error


def _check_parent(agency: Agency, parent: Agency | None) -> None:
    above = parent
    while above is not None:
        if above.pk == agency.pk:
            raise EnrolmentError("agency.parent-cycle", code=agency.code)
        above = above.parent
