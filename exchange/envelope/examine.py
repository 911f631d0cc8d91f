"""One package from bytes to content: gates, sender, signature, reading (steps 2–8 of docs/security.md).

What only the registry knows is asked of a judge, in the order in which it may be known: first who the sender
is, then, once the signature has proved good, whether its certificate is. Pure, so it can run in a process of
its own, with the judge in another one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Protocol

from exchange.envelope import signature, xml
from exchange.envelope.package import Package, read, read_sender
from exchange.refusals import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the registry says of a sender: its code, its certificates (DER), and whether it must sign."""

    organ: str
    certificates: tuple[bytes, ...]
    required: bool


class Judge(Protocol):
    """Who answers for the registry. What it raises ends the examination."""

    def terms(self, organ: str) -> Terms:
        """The terms for the sender named `organ` in the package, of which nothing is trusted yet."""

    def certificate(self, der: bytes) -> None:
        """Returns if the certificate that signed may sign now. Raises Refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What a package says; its attachments without their bytes.

    `certificate`: DER of the one whose signature covers all that `package` says; b"" when there is none, and
    `problem` is the code of the refusal that policy `report` recorded instead of raising.
    """

    package: Package
    certificate: bytes = b""
    problem: str = ""


Examine = Callable[[bytes, Judge, date], Examined]


def examine(raw: bytes, judge: Judge, today: date) -> Examined:
    """The content of `raw`. Raises Refused, or what the judge raises.

    Where the sender must sign, only what was signed is read after the signature was looked at.
    """
    root = xml.parse(raw)
    terms = judge.terms(read_sender(root))
    content, certificate, problem = root, b"", ""
    try:
        found = signature.verify(root, terms.certificates, organ=terms.organ)
        judge.certificate(found.certificate_der)
        content, certificate = found.signed, found.certificate_der
    except Refused as refused:
        if terms.required:
            raise
        problem = refused.code
    package = read(content, today=today)
    bare = tuple(replace(attachment, content=b"") for attachment in package.attachments)
    return Examined(package=replace(package, attachments=bare), certificate=certificate, problem=problem)
