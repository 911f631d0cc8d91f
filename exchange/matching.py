"""Find the document that a status or a business message names, however badly it names it.

By (agency, DocumentId); else by (agency, number/notation, date) through aliases, in the spellings that real
senders produce (edXML reference 1.4, 1.7): number and notation in one string, swapped, or organ and code in
each other's place. A document is a package and its updates; what could mean two of them is refused.
"""

import datetime as dt
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn
from uuid import UUID

from django.db.models import Q

from agencies import directory
from agencies.models import Agency
from exchange.envelope.package import VIETNAM
from exchange.models import BusinessType, Delivery, Package, Request
from exchange.models.delivery import GIVE_BACK, DeliveryQuerySet
from exchange.refusals import Refused

_NOTHING = Q(pk__in=())
_LONGEST_CODE = 201  # as the column holds it
_MOST_PARTS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """How a message names a document: organ code, number/notation as one text, date, DocumentId."""

    organ: str = ""
    code: str = ""
    date: dt.date | None = None
    document_id: str = ""

    @property
    def searched(self) -> str:
        """What was searched for, for a person."""
        parts = {
            "OrganId": self.organ,
            "Code": self.code,
            "PromulgationDate": self.date,
            "DocumentId": self.document_id,
        }
        return ", ".join(f"{name} “{value}”" for name, value in parts.items() if value) or "(—)"

    @property
    def texts(self) -> list[str]:
        """Every text that may be the organ or the code, likeliest organ first: senders swap them."""
        organ, _, code = self._inside
        return [text for text in (self.organ, self.code, organ, code) if text]

    @property
    def dates(self) -> list[dt.date]:
        """The promulgation date as written, and the one inside a DocumentId of the official form."""
        return list(dict.fromkeys(day for day in (self.date, _date(self._inside[1])) if day))

    @property
    def _inside(self) -> tuple[str, str, str]:
        """Organ, date and code inside a DocumentId of the official form, empty in any other."""
        parts = [part.strip() for part in self.document_id.split(",", 2)]
        return (parts[0], parts[1], parts[2]) if len(parts) == 3 else ("", "", "")


@dataclass(frozen=True, slots=True)
class Found:
    """A document as one recipient has it, locked: the deliveries that carry it, oldest first, and of those
    and of the deliveries that they replace, the ones of which the sender asked something."""

    deliveries: list[Delivery]
    requests: list[Delivery]


# --- the questions ----------------------------------------------------------------------------------------


def received(recipient: Agency, reference: Reference, at: dt.datetime) -> Found:
    """The one document sent to `recipient` that `reference` names; its organ is the issuer.

    Raises Refused: document.not-found, or document.ambiguous with the candidates.
    """
    return _with_requests(received_ids(recipient, reference, at))


def received_ids(recipient: Agency, reference: Reference, at: dt.datetime) -> list[UUID]:
    """The deliveries of `received`, not locked, oldest first."""
    mine = Delivery.objects.filter(recipient=recipient)
    issuers = _organs(reference, recipient, at)
    scope = Q(package__sender__in=issuers) if issuers else Q()
    tries = [*_tries(reference, scope), _by_both(reference)]
    return _one_document(mine, tries) or _refuse_unknown([reference])


def sent(sender: Agency, references: Sequence[Reference], at: dt.datetime) -> list[Delivery]:
    """The deliveries of the one document of `sender` that the first fitting reference names, locked.

    The organ of a reference, where it has one, is the recipient concerned; deliveries to others are left
    out. Raises Refused as `received`.
    """
    for reference in references:
        concerned = _organs(reference, sender, at)
        scope = Q(recipient__in=concerned) if concerned else Q()
        mine = Delivery.objects.filter(scope, package__sender=sender)
        if ids := _one_document(mine, _tries(reference, scope)):
            return _locked(ids)
    return _refuse_unknown(references)


def at_hand(delivery: Delivery) -> Found:
    """The document that `delivery` itself brought, or that it asks, or asked, to give back."""
    asked = delivery.requests.filter(request__in=GIVE_BACK).order_by("id").values_list("id", flat=True)
    brought = Delivery.objects.carrying().filter(id=delivery.id).values_list("id", flat=True)
    return _with_requests(list(asked) or list(brought) or _versions(delivery))


def versions(delivery: Delivery) -> list[Delivery]:
    """The deliveries of that document, updates included, to that recipient; locked."""
    return _locked(_versions(delivery))


def _versions(delivery: Delivery) -> list[UUID]:
    mine = Delivery.objects.filter(recipient=delivery.recipient)
    return _family(mine, {delivery.package.root_id})


# --- spellings --------------------------------------------------------------------------------------------


def fold_code(text: str) -> str:
    """Number/notation for comparison: NFC, capitals, no spaces, a part written twice counts once."""
    folded = "".join(unicodedata.normalize("NFC", text).upper().split())
    return "/".join(dict.fromkeys(part for part in folded.split("/") if part))


def _spellings(text: str) -> set[str]:
    """`text` folded, and the same with its parts in the wrong order: `KH-UBND/626` for `626/KH-UBND`."""
    folded = fold_code(text)
    parts = folded.split("/")
    if len(folded) > _LONGEST_CODE or len(parts) > _MOST_PARTS:
        return set()  # no code is like that, and its rotations would be as long as the square of it
    return {"/".join(parts[cut:] + parts[:cut]) for cut in range(len(parts))} - {""}


def _date(text: str) -> dt.date | None:
    try:
        return dt.datetime.strptime(text.strip(), "%Y/%m/%d").replace(tzinfo=VIETNAM).date()
    except ValueError:
        return None


# --- the search -------------------------------------------------------------------------------------------


def _organs(reference: Reference, other_than: Agency, at: dt.datetime) -> list[Agency]:
    """The agencies that the organ of `reference` means: now, and when the document was promulgated.

    Where the organ is none, a swapped code or the head of the DocumentId may be; `other_than` is who speaks.
    """
    if not reference.organ:
        return []
    noons = [dt.datetime.combine(day, dt.time(12), VIETNAM) for day in reference.dates]
    found: list[Agency] = []
    for moment in (at, *noons):
        known = directory.agencies_by_codes(reference.texts, moment)
        named = [known[text] for text in reference.texts if known.get(text, other_than) != other_than]
        found += [agency for agency in named[:1] if agency not in found]
    return found


def _tries(reference: Reference, scope: Q) -> Iterator[Q]:
    """The ways to look a document up, best first: the first that finds anything decides."""
    named, coded = _named(reference), _coded(reference)
    dated = Q(package__promulgated_on__in=reference.dates)
    yield scope & named & coded
    # A DocumentId that means one document, and code and date that mean another, is ambiguous.
    yield scope & (named | coded & dated)
    if reference.dates:
        # Number and notation are unique within a year of an agency (NĐ 30/2020, Điều 15).
        years = [Q(package__promulgated_on__year=day.year) for day in reference.dates]
        yield scope & coded & _any(years)
        yield scope & dated & _half(reference)
    elif scope:
        yield scope & coded


def _by_both(reference: Reference) -> Q:
    """DocumentId and code together, whoever the organ that is named may be."""
    return _named(reference) & _coded(reference)


def _named(reference: Reference) -> Q:
    return Q(package__document_id=reference.document_id) if reference.document_id else _NOTHING


def _coded(reference: Reference) -> Q:
    spellings = {spelling for text in reference.texts for spelling in _spellings(text)}
    return Q(package__code_folded__in=sorted(spellings))


def _half(reference: Reference) -> Q:
    """Only the number, or only the notation, stands where the code should (quirk 15)."""
    folded = [fold_code(text) for text in reference.texts]
    if any("/" in text for text in folded):
        return _NOTHING
    ends = [Q(package__code_folded__endswith=f"/{text}") for text in folded]
    return _any(ends + [Q(package__code_folded__startswith=f"{text}/") for text in folded])


def _any(conditions: Iterable[Q]) -> Q:
    found = _NOTHING
    for condition in conditions:
        found |= condition
    return found


def _one_document(mine: DeliveryQuerySet, tries: Iterable[Q]) -> list[UUID]:
    """The deliveries in `mine` of the one document that the first fruitful of `tries` finds; may be none."""
    for names in tries:
        if roots := _roots(mine.carrying().filter(names)):
            _refuse_several(roots)
            return _family(mine, roots)
    return []


def _refuse_unknown(references: Sequence[Reference]) -> NoReturn:
    raise Refused("document.not-found", searched="; ".join(one.searched for one in references))


def _roots(deliveries: DeliveryQuerySet) -> set[UUID]:
    """The packages that `deliveries` carry, with the updated one in the place of an update."""
    packages = Package.objects.filter(deliveries__in=deliveries.order_by())
    return {package.root_id for package in packages.only("id", "business_type", "about_id").distinct()}


def _refuse_several(roots: set[UUID]) -> None:
    """Packages with one id and one number are one document: some clients send a packet per recipient."""
    if len(roots) < 2:
        return
    packages = Package.objects.filter(id__in=roots).order_by("document_id", "number")
    documents = {(one.sender_id, one.document_id, one.code_folded): one for one in packages}
    if len(documents) > 1:
        named = [f"{one.document_id} ({one.code}, {one.sender_code})" for one in documents.values()]
        raise Refused("document.ambiguous", candidates="; ".join(named[:10]))


def _family(mine: DeliveryQuerySet, roots: set[UUID]) -> list[UUID]:
    """The deliveries of the packages `roots` and of their updates, oldest first."""
    updates = Q(package__about__in=roots, package__business_type=BusinessType.UPDATE)
    family = mine.carrying().filter(Q(package__in=roots) | updates)
    return list(family.order_by("id").values_list("id", flat=True))


def _with_requests(ids: list[UUID]) -> Found:
    """Lock the deliveries with all that requests tie them to, so that each row is one object."""
    tied = Delivery.objects.filter(Q(requested_by__in=ids) | Q(requests__in=ids))
    rows = {row.id: row for row in _locked({*ids, *tied.order_by().values_list("id", flat=True)})}
    for row in rows.values():
        if row.requested_by_id in rows:
            row.requested_by = rows[row.requested_by_id]
    asked = [row for row in rows.values() if row.request != Request.NONE]
    concerned = [row for row in asked if row.id in ids or row.requested_by_id in ids]
    return Found([rows[id_] for id_ in ids], concerned)


def _locked(ids: Iterable[UUID]) -> list[Delivery]:
    """The rows, locked in id order, so that two transactions never wait for each other in a circle."""
    rows = Delivery.objects.filter(id__in=list(ids)).select_related("package__sender", "recipient")
    return list(rows.select_for_update(of=("self",)).order_by("id"))
