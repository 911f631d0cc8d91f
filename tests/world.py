"""A small city for tests: four agencies on four systems, a throw-away authority, and signed packages.

H29 and H29.10 share the system "office" (pull), H29.5 has "transport" (pull), H29.17 "health" (push) and
H29.121 "district" (pull).
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection

from agencies.models import Agency, System
from exchange import intake, log, registry
from exchange.envelope import package as envelope
from exchange.envelope import xml
from exchange.envelope.signing import sign
from fixtures.pki import Authority, Identity

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
DAY = date(2026, 11, 20)
ACTOR = log.Actor("hub", "test", "internal")

AGENCIES = {
    "H29": ("Ủy ban nhân dân Thành phố", "000.00.00.H29", "office"),
    "H29.10": ("Sở Thông tin và Truyền thông", "000.00.10.H29", "office"),
    "H29.5": ("Sở Giao thông vận tải", "000.00.05.H29", "transport"),
    "H29.17": ("Sở Y tế", "000.00.17.H29", "health"),
    "H29.121": ("Ủy ban nhân dân thành phố Thủ Đức", "000.21.00.H29", "district"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """What is slow to make, made once per run: an authority, and one identity per agency."""

    authority: Authority
    identities: dict[str, Identity]

    @classmethod
    def make(cls) -> "Keys":
        """Valid around `NOW` and at the real time of any run."""
        life: Any = {"not_before": NOW - timedelta(days=60), "not_after": NOW + timedelta(days=20 * 365)}
        authority = Authority.create("Test Root CA", key="ec", **life)
        return cls(authority, {code: authority.issue(f"Agency {code}", **life) for code in AGENCIES})


@dataclass(slots=True)
class Registered:
    """What the registry answered: rows and secrets."""

    agencies: dict[str, Agency] = field(default_factory=dict)
    systems: dict[str, System] = field(default_factory=dict)
    clients: dict[str, tuple[str, str]] = field(default_factory=dict)
    webhook_secrets: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class World:
    """The registry as it stands in the test database, and ways to act as an agency."""

    keys: Keys
    agencies: dict[str, Agency] = field(default_factory=dict)
    systems: dict[str, System] = field(default_factory=dict)
    clients: dict[str, tuple[str, str]] = field(default_factory=dict)
    webhook_secrets: dict[str, str] = field(default_factory=dict)
    number: int = 100

    def system_of(self, code: str) -> System:
        """The system that sends and receives for agency `code`."""
        return self.systems[AGENCIES[code][2]]

    def actor_of(self, code: str) -> log.Actor:
        """That system as an actor of events."""
        return log.Actor("system", str(self.system_of(code).id), "oauth2")

    def document(self, sender: str, *recipients: str, signed: bool = True, **facts: Any) -> bytes:
        """A signed document from `sender` to `recipients`; every call takes the next number."""
        self.number += 1
        facts.setdefault("code", envelope.Code(str(self.number), "KH-TEST"))
        facts.setdefault("subject", "Triển khai kế hoạch năm 2026")
        facts.setdefault("day", DAY)
        facts.setdefault("at", NOW)
        content = envelope.document(
            sender=envelope.Organ(sender, name=f"Cơ quan {sender}"),
            recipients=[envelope.Organ(code, name=f"Cơ quan {code}") for code in recipients],
            **facts,
        )
        return self.sign(sender, envelope.build(content)) if signed else envelope.build(content)

    def status(self, sender: str, code: str, answers: envelope.Response, **facts: Any) -> bytes:
        """A signed status message of `sender`."""
        facts.setdefault("at", NOW)
        content = envelope.status(code, sender=envelope.Organ(sender), answers=answers, **facts)
        return self.sign(sender, envelope.build(content))

    def sign(self, sender: str, raw: bytes) -> bytes:
        """`raw` signed with the key of agency `sender`."""
        identity = self.keys.identities[sender]
        return sign(raw, key=identity.key, certificate_chain=identity.chain)

    def accept(self, raw: bytes, sender: str = "H29", now: datetime = NOW) -> intake.Acceptance:
        """Give `raw` to intake as the system of `sender`."""
        return intake.accept(raw, system=self.system_of(sender), actor=self.actor_of(sender), now=now)

    def send(self, sender: str, *recipients: str, now: datetime = NOW, **facts: Any) -> intake.Acceptance:
        """Build, sign and accept a document."""
        return self.accept(self.document(sender, *recipients, **facts), sender, now)


def build(keys: Keys, callback_url: str = "http://127.0.0.1:9/") -> World:
    """The city in the test database, with the keys to act as its agencies."""
    made = register({code: identity.der for code, identity in keys.identities.items()}, callback_url)
    return World(keys, made.agencies, made.systems, made.clients, made.webhook_secrets)


def register(certificates: dict[str, bytes], callback_url: str) -> Registered:
    """Register everything through the registry stage, as an operator would."""
    made, by = Registered(), registry.Change(ACTOR, NOW)
    for code, (name, alias, _) in AGENCIES.items():
        made.agencies[code] = registry.register_agency(code, name, by=by, aliases=[(alias, None, None)])
    for name in dict.fromkeys(system for _, _, system in AGENCIES.values()):
        served = [made.agencies[code] for code, entry in AGENCIES.items() if entry[2] == name]
        way: dict[str, Any] = {"delivery": "push", "callback_url": callback_url} if name == "health" else {}
        registered = registry.register_system(name, by=by, agencies=served, **way)
        made.systems[name] = registered.system
        made.clients[name] = (registered.client_id, registered.client_secret)
        made.webhook_secrets[name] = registered.webhook_secret
    for code, der in certificates.items():
        registry.add_certificate(made.agencies[code], der, by=by)
    return made


def at_once(*work: Callable[[], object]) -> None:
    """Do all of `work` at the same moment, each in a thread with a database connection of its own."""
    start = threading.Barrier(len(work))

    def do(one: Callable[[], object]) -> None:
        start.wait()
        one()
        connection.close()

    threads = [threading.Thread(target=do, args=[one]) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def answer_to_file(raw: bytes) -> envelope.Response:
    """How a well-behaved status names the document in `raw`."""
    return response_to(envelope.read(xml.parse(raw)))


def response_to(raw_content: envelope.Package, organ: str | None = None) -> envelope.Response:
    """How a well-behaved status names the document `raw_content`."""
    return envelope.Response(
        organ_id=organ or raw_content.sender.organ_id,
        code=raw_content.code,
        promulgation_date=raw_content.promulgation_date,
        document_id=raw_content.document_id,
    )


def answer_to(acceptance: intake.Acceptance, organ: str | None = None) -> envelope.Response:
    """How a well-behaved status names an accepted document."""
    package = acceptance.package
    return envelope.Response(
        organ_id=organ or package.sender_code,
        code=envelope.Code(package.number, package.notation),
        promulgation_date=package.promulgated_on,
        document_id=package.document_id,
    )


__all__: Sequence[str] = (
    "AGENCIES",
    "DAY",
    "NOW",
    "Keys",
    "World",
    "answer_to",
    "at_once",
    "build",
    "response_to",
)
