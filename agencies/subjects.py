"""Whom the names in a certificate mean, without personal identifiers. Pure.

Vietnamese authorities write the identifier of the holder into the UID: `MST:` the tax code of an
organisation, which is public; `CCCD:`, `CMND:` or a passport's number of a person, which is masked wherever
it is shown.
"""

import re
from dataclasses import dataclass
from typing import Literal

from cryptography import x509
from cryptography.x509.oid import NameOID

_NUMBERED = re.compile(r"\b(CCCD|CMND|CMT|HC|PID)\s*:\s*[^,+]*", re.IGNORECASE)
# Citizen ids have 12 digits, older ones 9; tax codes have 10 or 13 and are public.
_CITIZEN = re.compile(r"(?<!\d)(?:\d{12}|\d{9})(?!\d)")
_TAX_CODE = re.compile(r"MST\s*:\s*([0-9][0-9-]{8,14})", re.IGNORECASE)
_UID = re.compile(r"\b(UID=)((?:\\.|[^,+])*)")
_MASK = "***"
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a certificate: its common name, the organisation named beside it, and which of both it is."""

    name: str
    organisation: str
    kind: Literal["organisation", "person", "unknown"]


def holder(subject: x509.Name) -> Holder:
    """The holder named by `subject`; "unknown" where no identifier tells whether it is a person."""
    texts = [str(attribute.value) for attribute in subject]
    kind: Literal["organisation", "person", "unknown"] = "unknown"
    if any(_NUMBERED.search(text) for text in texts):
        kind = "person"
    elif any(_TAX_CODE.search(text) for text in texts):
        kind = "organisation"
    organisation = _text(subject, NameOID.ORGANIZATION_NAME) or _text(
        subject, NameOID.ORGANIZATIONAL_UNIT_NAME
    )
    return Holder(_text(subject, NameOID.COMMON_NAME), organisation, kind)


def masked(name: x509.Name) -> str:
    """The name in RFC 4514 form without personal identifiers: citizen ids, and any UID but a tax code."""
    text = _UID.sub(lambda m: m[0] if _TAX_CODE.match(m[2]) else f"{m[1]}{_MASK}", name.rfc4514_string())
    return _without_numbers(text)


def organ_hint(subject: x509.Name) -> str:
    """The organ code that a tax code in the subject suggests ("02" + MST), "" without one."""
    for attribute in subject:
        found = _TAX_CODE.search(str(attribute.value))
        if found:
            return "02" + found[1].replace("-", "")
    return ""


def _text(subject: x509.Name, oid: x509.ObjectIdentifier) -> str:
    text = ", ".join(str(one.value) for one in subject.get_attributes_for_oid(oid))
    printable = "".join(char if char.isprintable() else " " for char in text)
    return _without_numbers(" ".join(printable.split()))[:_LONGEST]


def _without_numbers(text: str) -> str:
    return _CITIZEN.sub(_MASK, _NUMBERED.sub(lambda m: f"{m[1]}:{_MASK}", text))
