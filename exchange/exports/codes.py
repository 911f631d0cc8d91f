"""What the public page answers: a code from a printed proof, or the digest of a file somebody holds.

It names agencies, times and results, and nothing else of a document. Who holds a file knows what it says;
who holds a code was given it by a party of the document.
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from agencies.directory import Agency
from exchange.models import AttachedFile, Delivery, Kind, Package, ProofCode

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: nothing that is misread on paper
LENGTH = 26  # of 5 bits each: 130
MOST_DOCUMENTS = 20
MOST_RECIPIENTS = 200
_CODE = re.compile(f"[{ALPHABET}]{{{LENGTH}}}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MISREAD = str.maketrans("OIL", "011")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the page says of one document: its sender, when the hub took it, and what became of it."""

    sender: str
    taken_at: datetime
    recipients: list[Delivery]
    others: int = 0


def code_for(package: Package, recipient: Agency | None, now: datetime) -> str:
    """The code for the printed proof of `package`, always the same; of one `recipient` if it asks."""
    known = ProofCode.objects.filter(package=package, recipient=recipient).first()
    if known:
        return known.code
    code = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    try:
        with transaction.atomic():
            return ProofCode.objects.create(code=code, package=package, recipient=recipient, made_at=now).code
    except IntegrityError:  # somebody else printed the same proof at the same time
        return ProofCode.objects.get(package=package, recipient=recipient).code


def spaced(code: str) -> str:
    """A code in groups, as it is printed."""
    return "-".join(code[place : place + 5] for place in range(0, LENGTH, 5))


def find(text: str) -> list[Shown] | None:
    """What `text`, a code or a SHA-256 in hex, is known for; None when it is neither."""
    plain = re.sub(r"[\s.:-]", "", text)
    if _DIGEST.fullmatch(plain.lower()):
        return _of_digest(plain.lower())
    code = plain.upper().translate(_MISREAD)
    return _of_code(code) if _CODE.fullmatch(code) else None


def _of_code(code: str) -> list[Shown]:
    found = ProofCode.objects.filter(code=code).select_related("package__sender").first()
    return [_shown(found.package, found.recipient_id)] if found else []


def _of_digest(digest: str) -> list[Shown]:
    inside = AttachedFile.objects.filter(sha256=bytes.fromhex(digest)).values("package")
    packages: Iterable[Package] = (
        Package.objects.filter(Q(sha256=digest) | Q(pk__in=inside), kind=Kind.DOCUMENT)
        .select_related("sender")
        .order_by("-accepted_at")[:MOST_DOCUMENTS]
    )
    return [_shown(package, None) for package in packages]


def _shown(package: Package, recipient: UUID | None) -> Shown:
    rows = Delivery.objects.filter(package=package).select_related("recipient").order_by("pk")
    if recipient:
        rows = rows.filter(recipient=recipient)
    found = list(rows[:MOST_RECIPIENTS])
    others = rows.count() - len(found) if len(found) == MOST_RECIPIENTS else 0
    return Shown(sender=package.sender.name, taken_at=package.accepted_at, recipients=found, others=others)
