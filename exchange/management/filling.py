"""Fill an empty hub with documents, deliveries and their events, in bulk: to see how pages bear it.

Everything that the database guards holds: each delivery has the chain of events that led to its state, hashed
and waiting for the sealer, and the statistics count them. What is left out, because no list reads it: the
bytes of the packages (their digests are of nothing), attempts, and entries of the feed.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, models, transaction
from django.utils.text import slugify

from agencies.directory import Agency
from exchange import log, registry, statistics
from exchange.evidence import events
from exchange.models import Answer, Delivery, Event, EventBody, Holiday, Kind, Lane, Package, Pending, State
from exchange.models.delivery import Rank
from exchange.workdays import receipt_due

AGENCIES, SYSTEMS = 200, 20
BATCH = 1000  # documents in one transaction
DAYS = 60
_SUBJECTS = (
    "Kế hoạch triển khai nhiệm vụ chuyển đổi số",
    "Báo cáo kết quả giải ngân vốn đầu tư công",
    "Triệu tập cuộc họp giao ban",
    "Góp ý dự thảo quy chế phối hợp",
    "Phê duyệt chủ trương đầu tư hạ tầng",
    "Xử lý kiến nghị của cử tri",
    "Công bố thủ tục hành chính",
    "Tăng cường phòng cháy, chữa cháy",
)
_KINDS = ("Công văn", "Kế hoạch", "Báo cáo", "Quyết định", "Thông báo")
_PLACES = ("phường", "xã", "quận", "huyện", "sở", "trung tâm")


@dataclass(frozen=True, slots=True)
class Step:
    """One event in the life of a delivery: its name, how long after the last one, what it makes of it."""

    event: str
    after: timedelta
    facts: dict[str, str] = field(default_factory=dict)
    reason: str = ""


_HOUR = timedelta(hours=1)
_QUEUED = Step("ContentConsignment", timedelta(), {"state": State.QUEUED})
_GIVEN = Step("ContentHandover", timedelta(seconds=9), {"state": State.HANDED_OVER})
_ACCEPTED = Step("ConsignmentAcceptance", 3 * _HOUR, {"answer": Answer.ACCEPTED})
_DONE = Step("Processing", 20 * _HOUR, {"answer": Answer.DONE})
_REFUSED = Step("ConsignmentRejection", 2 * _HOUR, {"answer": Answer.REFUSED}, "answer.refused")
_EXPIRED = Step("AcceptanceRejectionExpiry", 24 * _HOUR, {"state": State.EXPIRED}, "deadline.handover")
_FAILED = Step("ContentHandoverFailure", 24 * _HOUR, {"state": State.UNDELIVERABLE}, "transport.unreachable")
_RECALLED = Step("Recalled", _HOUR, {"state": State.WITHDRAWN}, "sender.asked")

# How deliveries end, in a thousand.
STORIES: tuple[tuple[int, tuple[Step, ...]], ...] = (
    (640, (_QUEUED, _GIVEN, _ACCEPTED)),
    (240, (_QUEUED, _GIVEN, _ACCEPTED, _DONE)),
    (70, (_QUEUED, _GIVEN)),
    (20, (_QUEUED, _GIVEN, _REFUSED)),
    (12, (_QUEUED,)),
    (8, (_QUEUED, _RECALLED)),
    (6, (_QUEUED, _EXPIRED)),
    (4, (_QUEUED, _FAILED)),
)


@dataclass(slots=True)
class Filler:
    """What one run of the command needs to know, and the numbers that it gives out itself."""

    agencies: Sequence[Agency]
    now: datetime
    chance: random.Random
    event: int = 0
    number: int = 0

    def packages(self, documents: int, deliveries: int) -> Iterator[tuple[Package, list[Delivery]]]:
        """`documents` packages with `deliveries` deliveries between them, oldest first."""
        for index in range(documents):
            at = self.now - timedelta(days=DAYS) * (1 - index / documents) - timedelta(minutes=1)
            wanted = deliveries * (index + 1) // documents - deliveries * index // documents
            yield self._package(at, max(1, wanted))

    def _package(self, at: datetime, fan_out: int) -> tuple[Package, list[Delivery]]:
        self.number += 1
        # Some agencies send most: the first of a skewed choice.
        sender = self.agencies[int(len(self.agencies) * self.chance.random() ** 3)]
        others = [item for item in self.chance.sample(self.agencies, fan_out + 1) if item != sender][:fan_out]
        package = Package(
            id=self.uuid(at),
            sha256=sha256(f"filled {self.number}".encode()).hexdigest(),
            size=self.chance.randrange(20_000, 2_000_000),
            kind=Kind.DOCUMENT,
            business_type="new",
            sender=sender,
            sender_code=sender.code,
            document_id=f"{sender.code},{at:%Y/%m/%d},{self.number}/{sender.code}-VP",
            number=str(self.number),
            notation=f"{sender.code}-VP",
            code_folded=f"{self.number}/{sender.code}-VP".casefold(),
            promulgated_on=at.date(),
            subject=f"{self.chance.choice(_SUBJECTS)} đợt {self.chance.randrange(1, 400)}",
            type_name=self.chance.choice(_KINDS),
            priority=self.chance.choices((0, 1, 2, 3), (90, 7, 2, 1))[0],
            signature_state="valid",
            signer=sender.name,
            accepted_at=at,
        )
        package.search_text = package.searched([sender, *others])
        return package, [self._delivery(package, agency) for agency in others]

    def _delivery(self, package: Package, agency: Agency) -> Delivery:
        rank = (Rank.ORDINARY, Rank.URGENT, Rank.VERY_URGENT, Rank.EXPRESS)[package.priority]
        at, system = package.accepted_at, agency.receives_through
        return Delivery(
            id=self.uuid(at),
            package=package,
            recipient=agency,
            recipient_code=agency.code,
            system=system,
            push=False,
            rank=rank,
            lane=Lane.NORMAL,
            queued_at=at,
            due_at=at,
            expires_at=at + timedelta(days=DAYS + 30),
            receipt_due_at=receipt_due(at, Holiday.objects.calendar()),
        )

    def uuid(self, at: datetime) -> UUID:
        """A UUIDv7 of the time `at`."""
        high = int(at.timestamp() * 1000) << 80 | 0x7 << 76 | self.chance.getrandbits(12) << 64
        return UUID(int=high | 0x2 << 62 | self.chance.getrandbits(62))

    def story(self) -> tuple[Step, ...]:
        """How one delivery goes."""
        weights = [weight for weight, _steps in STORIES]
        return self.chance.choices([steps for _weight, steps in STORIES], weights)[0]

    def next_event(self) -> int:
        """The id of the next event's row."""
        self.event += 1
        return self.event


@dataclass(slots=True)
class Batch:
    """The rows of one transaction."""

    packages: list[Package] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    bodies: list[EventBody] = field(default_factory=list)
    happened: list[statistics.Happening] = field(default_factory=list)


def fill(documents: int, deliveries: int, *, now: datetime, tell: Any) -> None:
    """Fill the hub, calling `tell` with the number of documents so far. ValueError when it has some."""
    if Package.objects.exists():
        raise ValueError("the hub has packages already")
    agencies = _agencies(now)
    if deliveries > documents * (len(agencies) - 2):
        raise ValueError(f"at most {len(agencies) - 2} recipients for one document")
    filler = Filler(agencies, now, random.Random(2026), event=_last_event())  # noqa: S311 - the same hub every time
    batch, written = Batch(), 0
    for package, rows in filler.packages(documents, deliveries):
        _tell_story(filler, batch, package, rows)
        if len(batch.packages) == BATCH or package.number == str(documents):
            _write(batch)
            written += len(batch.packages)
            batch = Batch()
            tell(written)
    _finish()


def _agencies(now: datetime) -> list[Agency]:
    """The agencies and systems of the filled hub, registered as always."""
    by, made = registry.Change(log.HUB, now), []
    for number in range(1, AGENCIES + 1):
        place = _PLACES[number % len(_PLACES)]
        name = (
            f"Ủy ban nhân dân {place} số {number}" if number % 6 < 4 else f"{place.capitalize()} số {number}"
        )
        made.append(registry.register_agency(f"H99.{number}", name, by=by))
    for number in range(SYSTEMS):
        served = made[number::SYSTEMS]
        registry.register_system(f"{slugify('Hệ thống')} {number + 1}", by=by, agencies=served)
    return list(
        Agency.objects.filter(code__startswith="H99.")
        .select_related("receives_through")
        .order_by("created_at", "code")
    )


# --- events ---------------------------------------------------------------------------------------------


def _tell_story(filler: Filler, batch: Batch, package: Package, rows: list[Delivery]) -> None:
    batch.packages.append(package)
    named = tuple(str(row.id) for row in rows)
    taken = Step("SubmissionAcceptance", timedelta())
    _append(filler, batch, package, taken, package.accepted_at, deliveries=named)
    for row in rows:
        batch.deliveries.append(row)
        at = package.accepted_at
        for step in filler.story():
            at += step.after
            if at > filler.now:
                break
            _apply(row, step, at)
            _append(filler, batch, row, step, at, **_facts(package, step))


def _facts(package: Package, step: Step) -> dict[str, str]:
    if step.event == "ContentHandover":
        return {"digest": package.sha256}
    return {"status": step.facts["answer"]} if "answer" in step.facts else {}


def _apply(row: Delivery, step: Step, at: datetime) -> None:
    for name, value in step.facts.items():
        setattr(row, name, value)
    if step.event == "ContentHandover":
        row.served_at = row.handed_over_at = at
    if "answer" in step.facts:
        row.answered_at, row.first_answered_at = at, row.first_answered_at or at


def _append(
    filler: Filler, batch: Batch, row: Package | Delivery, step: Step, at: datetime, **facts: Any
) -> None:
    delivery = row if isinstance(row, Delivery) else None
    package = batch.packages[-1]
    made = events.Event(
        id=str(filler.uuid(at)),
        event=step.event,
        time=at,
        actor=events.Actor("hub", "fill_hub", "internal"),
        issuer=settings.ENVIRONMENT.code,
        policy=f"{settings.ENVIRONMENT.code}/evidence-policy/1",
        stream=str(row.id),
        seq=row.seq + 1,
        prev=row.head.hex() if row.head else None,
        doc=package.document_id,
        doc_no=package.code,
        doc_sha256=package.sha256,
        package=str(package.id),
        delivery=str(delivery.id) if delivery else None,
        sender=package.sender_code,
        recipient=delivery.recipient_code if delivery else None,
        reason=events.Reason(step.reason) if step.reason else None,
        **facts,
    )
    raw = events.encode(made)
    row.seq, row.head = row.seq + 1, events.leaf_hash(raw)
    key = filler.next_event()
    stored = Event(
        id=key, stream=row.id, seq=row.seq, name=step.event, at=at, package=package.id, leaf=row.head
    )
    if delivery:
        stored.delivery, stored.state, stored.answer = delivery.id, delivery.state, delivery.answer
        stored.request, stored.request_state = delivery.request, delivery.request_state
    batch.events.append(stored)
    batch.bodies.append(EventBody(event_id=key, raw=raw))
    batch.happened.append(statistics.Happening.of(row, package, step.event, at))
    if delivery:
        delivery.note_recorded()


# --- writing --------------------------------------------------------------------------------------------


@transaction.atomic
def _write(batch: Batch) -> None:
    """Events before the rows that need them."""
    pending = [Pending(event_id=event.id) for event in batch.events]
    for rows in (batch.events, batch.bodies, pending, batch.packages, batch.deliveries):
        _insert(rows)
    statistics.add_to_days(statistics.count(batch.happened))


def _insert(rows: Sequence[models.Model]) -> None:
    """By COPY where the database has it."""
    fields = rows[0]._meta.concrete_fields
    columns = ", ".join(f'"{item.column}"' for item in fields)
    values = _values(rows, fields)
    table = rows[0]._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in values:
                    copy.write_row(row)
        else:
            marks = ", ".join(["%s"] * len(fields))
            cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(values))  # noqa: S608


def _values(rows: Iterable[models.Model], fields: Sequence[Any]) -> Iterator[list[Any]]:
    copying = connection.vendor == "postgresql"
    for row in rows:
        given = [getattr(row, item.attname) for item in fields]
        yield (
            given
            if copying
            else [item.get_db_prep_save(value, connection) for item, value in zip(fields, given, strict=True)]
        )


def _last_event() -> int:
    return Event.objects.order_by("-id").values_list("id", flat=True).first() or 0


def _finish() -> None:
    """Let the database number events from here, and know how much it holds."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT setval(pg_get_serial_sequence('exchange_event', 'id'), max(id)) FROM exchange_event"
            )
            cursor.execute("ANALYZE")
        else:
            cursor.execute("ANALYZE")
