"""Questions that the hub may ask about agencies and systems. Nothing here changes anything."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Literal
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.db.models import QuerySet
from oauth2_provider.models import AccessToken

from agencies.models import (
    Agency,
    Alias,
    Certificate,
    Credential,
    Membership,
    RevocationList,
    System,
)
from agencies.search import fold, fold_text

__all__ = [
    "Agency",
    "Alias",
    "Certificate",
    "Credential",
    "Membership",
    "System",
    "access_token",
    "agencies_by_codes",
    "agencies_of",
    "agencies_of_user",
    "agency_by_code",
    "aliases_of",
    "duplicate_policy",
    "fold",
    "fold_text",
    "hold",
    "may_send_for",
    "receives_for",
    "revocation_lists",
    "search",
    "signature_policy",
    "signing_certificates",
    "system_by_vxp_id",
    "uplink_for",
    "uplinks",
]

_CODES_PER_QUERY = 5_000
_HOLD = "SELECT id, receives_through_id FROM agencies_agency WHERE id = ANY(%s) ORDER BY id FOR SHARE"
_MAX_FOLDED = 192
_MAX_WORDS = 12
_MAX_QUERY = 200


def agency_by_code(code: str, at: datetime) -> Agency | None:
    """The agency that `code`, current or old, means at `at`; its `receives_through` is loaded. One query."""
    return agencies_by_codes([code], at).get(code)


def agencies_by_codes(codes: Iterable[str], at: datetime) -> dict[str, Agency]:
    """The agencies that `codes` mean at `at`, by code as given; unknown codes are left out.

    One query (one per 5,000 codes). Two codes of one agency give equal instances.
    """
    given: dict[str, list[str]] = {}
    for code in dict.fromkeys(codes):
        folded = fold(code)
        if _can_exist(folded):
            given.setdefault(folded, []).append(code)
    found: dict[str, Agency] = {}
    for some in _batches(given):
        rows = Alias.objects.valid(at).filter(folded__in=some).select_related("agency__receives_through")
        found.update((code, row.agency) for row in rows for code in given[row.folded])
    return found


def aliases_of(folded: Iterable[str]) -> dict[str, list[Alias]]:
    """Every code, whatever its dates, of each of the `folded` ones, with its agency and that one's system."""
    found: dict[str, list[Alias]] = {name: [] for name in folded}
    for some in _batches(name for name in found if _can_exist(name)):
        for row in Alias.objects.filter(folded__in=some).select_related("agency__receives_through"):
            found[row.folded].append(row)
    return found


def access_token(checksum: str) -> AccessToken | None:
    """The access token whose SHA-256 (hex) is `checksum`, with its credential and system."""
    tokens = AccessToken.objects.select_related("application__system")
    return tokens.filter(token_checksum=checksum, application__isnull=False).first()


def _can_exist(folded: str) -> bool:
    """Codes come from strangers: NUL and lone surrogates would be errors of the database, not answers."""
    return 0 < len(folded) <= _MAX_FOLDED and folded.isprintable()


def _batches(codes: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(codes)
    while batch := list(islice(rest, _CODES_PER_QUERY)):
        yield batch


def hold(agencies: Collection[UUID]) -> dict[UUID, UUID | None]:
    """The ids of the systems that `agencies` receive through: nobody changes them until the transaction ends.

    Several transactions may hold an agency at once; only a change of its row waits for them. Empty on SQLite:
    it has one writer, so nothing has changed since the transaction began.
    """
    if not agencies or connection.vendor != "postgresql":
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_HOLD, [list(agencies)])
        return dict(cursor.fetchall())


def may_send_for(system: System, agency: Agency) -> bool:
    """Whether `system` may send packages whose `From` is `agency`; one above: for those not connected."""
    if system.kind == System.Kind.AXIS:
        return agency.receives_through_id is None
    return system.sends_for.filter(pk=agency.pk).exists()


def agencies_of(system: System) -> QuerySet[Agency]:
    """The agencies that `system` sends for or receives for."""
    sending = System.sends_for.through.objects.filter(system_id=system.pk).values("agency_id")
    receiving = Agency.objects.filter(receives_through=system).order_by().values("pk")
    # A union of two indexed lookups; an OR over the join would scan the directory.
    return Agency.objects.filter(pk__in=sending.union(receiving))


def receives_for(system: System) -> QuerySet[Agency]:
    """The agencies that receive through `system`."""
    return Agency.objects.filter(receives_through=system)


def uplinks() -> list[System]:
    """The systems above, which receive for agencies that no system here receives for."""
    return list(System.objects.filter(kind=System.Kind.AXIS, suspended_at=None).order_by("name"))


def uplink_for(code: str, above: Iterable[System]) -> System | None:
    """Of the systems `above`, the one with the longest prefix of `code`, else the one for all others."""
    folded = fold(code)
    routes = [(fold(prefix), system) for system in above for prefix in system.prefixes.split()]
    fitting = [(len(prefix), system) for prefix, system in routes if folded.startswith(prefix)]
    fitting += [(0, system) for prefix, system in routes if prefix == "*"]
    return max(fitting, key=lambda found: found[0], default=(0, None))[1]


def system_by_vxp_id(vxp_id: str) -> System | None:
    """The system that calls itself `vxp_id` (`systemid`) on the VXP face."""
    if not vxp_id or not vxp_id.isprintable():
        return None
    return System.objects.filter(vxp_id=vxp_id).first()


def signing_certificates(agency: Agency) -> list[Certificate]:
    """Every certificate ever registered for `agency`, newest first, revoked ones too.

    The caller looks at `revoked_at`: a signature with a revoked certificate gets a better answer than
    "unknown certificate".
    """
    return list(Certificate.objects.filter(agency=agency).order_by("-not_before", "fingerprint"))


def signature_policy(agency: Agency, system: System) -> Literal["required", "report"]:
    """The agency's own policy, else that of the system that sends for it."""
    return "report" if (agency.signature_policy or system.signature_policy) == "report" else "required"


def duplicate_policy(agency: Agency, system: System) -> Literal["refuse", "warn"]:
    """The agency's own policy, else that of the system that sends for it."""
    return "warn" if (agency.duplicate_policy or system.duplicate_policy) == "warn" else "refuse"


def revocation_lists() -> list[bytes]:
    """The stored revocation lists, DER."""
    return list(RevocationList.objects.values_list("der", flat=True))


def search(q: str = "", updated_since: datetime | None = None) -> QuerySet[Agency]:
    """Agencies whose codes and names hold every word of `q`, in order of code.

    Case and Vietnamese marks do not matter. Only the first 200 characters and 12 words of `q` count. Parent,
    system and codes are loaded.
    """
    found = Agency.objects.select_related("receives_through", "parent").prefetch_related("aliases")
    for word in fold_text(q[:_MAX_QUERY]).split()[:_MAX_WORDS]:
        found = found.filter(search_text__contains=word)
    if updated_since is not None:
        found = found.filter(updated_at__gte=updated_since)
    return found


def agencies_of_user(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Agency]:
    """The agencies that `user` works for; none for a visitor who has not signed in."""
    if user.pk is None:
        return Agency.objects.none()
    return Agency.objects.filter(memberships__user_id=user.pk)
