"""Counters: every transaction that appends events inserts what they add; one roll-up folds that into sums.

No transaction updates a row that another one waits for, and nothing is counted over history: a reader adds
the deltas that are not folded yet. The counters say nothing that the events do not: recount.py proves it.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet, Sum

from exchange.models import Answer, Delivery, Direction, Kind, Measure, Package, State, bulk
from exchange.models import StatisticsDay as Day
from exchange.models import StatisticsDelta as Delta
from exchange.workdays import day_of

BATCH = 1000
ROUNDS = 20
UNTIMED = -1
LEADER = 0x53544154  # one roll-up or recount at a time (PostgreSQL's advisory lock)

# Times are counted in steps of a fourth of a doubling, from an eighth of a second: right within 10 %.
_LEAST = 0.125
_STEPS = 4
_LAST = 127  # more than 20 years

_STATES = {
    State.QUEUED: Measure.REQUEUED,
    State.HANDED_OVER: Measure.HANDED_OVER,
    State.WITHDRAWN: Measure.WITHDRAWN,
    State.SUPERSEDED: Measure.SUPERSEDED,
    State.EXPIRED: Measure.EXPIRED,
    State.UNDELIVERABLE: Measure.UNDELIVERABLE,
}
TIMED = (Measure.HANDED_OVER, Measure.ANSWER_03, Measure.ANSWER_06)


class Key(NamedTuple):
    """What one number is about; the fields of models.Counted."""

    day: date
    agency_id: UUID
    direction: str
    kind: str
    measure: str
    bucket: int


Sums = Counter[Key]


class Recorded(NamedTuple):
    """State and answer of a delivery after an event; empty and none before its first."""

    state: str
    answer: str


NOTHING = Recorded("", Answer.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One event as the counters see it; `recipient` and what follows only for events of a delivery."""

    event: str
    at: datetime
    kind: str
    sender: UUID
    taken_at: datetime
    recipient: UUID | None = None
    before: Recorded = NOTHING
    after: Recorded = NOTHING
    receipt_due_at: datetime | None = None
    reminded: bool = False

    @classmethod
    def of(cls, row: Package | Delivery, package: Package, event: str, at: datetime) -> "Happening":
        """The event `event` of `row`, which holds its new state in memory and remembers the recorded one."""
        facts: dict[str, Any] = {"event": event, "at": at, "kind": package.business_type or Kind.STATUS}
        facts |= {"sender": package.sender_id, "taken_at": package.accepted_at}
        if isinstance(row, Package):
            return cls(**facts)
        return cls(
            **facts,
            recipient=row.recipient_id,
            before=Recorded(*row.recorded),
            after=Recorded(row.state, row.answer),
            receipt_due_at=row.receipt_due_at,
            reminded=row.reminded_at is not None,
        )


# --- what an event adds -------------------------------------------------------------------------------


def deltas(happenings: Iterable[Happening]) -> bulk.Rows:
    """What `happenings` add; for the transaction of their events."""
    sums = count(happenings)
    return bulk.Rows(Delta, (*Key._fields, "count"), [(*key, number) for key, number in sums.items()])


def count(happenings: Iterable[Happening]) -> Sums:
    """What `happenings` add: for the sender under `sent`, for the recipient under `received`."""
    sums: Sums = Counter()
    for item in happenings:
        for measure in _measures(item):
            bucket = bucket_of(item.at - item.taken_at) if measure in TIMED else UNTIMED
            rest = (item.kind, str(measure), bucket)
            sums[Key(day_of(item.at), item.sender, str(Direction.SENT), *rest)] += 1
            if item.recipient:
                sums[Key(day_of(item.at), item.recipient, str(Direction.RECEIVED), *rest)] += 1
    return sums


def _measures(item: Happening) -> list[Measure]:
    if item.recipient is None:
        return [Measure.TAKEN] if item.event == "SubmissionAcceptance" else []
    found = _named(item)
    if item.after.state != item.before.state:
        found.append(_STATES[State(item.after.state)] if item.before.state else Measure.DELIVERIES)
    if item.after.answer != item.before.answer:
        found.append(Measure(f"answer_{item.after.answer}"))
        found += _receipt(item)
    return found


def _named(item: Happening) -> list[Measure]:
    """Events that change no state. The first reminder says that the receipt was not confirmed in time."""
    if item.event == "Reminder":
        return [Measure.REMINDERS] if item.reminded else [Measure.REMINDERS, Measure.LATE]
    return [Measure.EXPIRY_WARNINGS] if item.event == "ExpiresSoon" else []


def _receipt(item: Happening) -> list[Measure]:
    """The first answer confirms the receipt, in time or not; who was reminded is counted as late already."""
    if item.before.answer != Answer.NONE or item.receipt_due_at is None:
        return []
    if item.at <= item.receipt_due_at:
        return [Measure.IN_TIME]
    return [] if item.reminded else [Measure.LATE]


def bucket_of(took: timedelta) -> int:
    """The step of the time scale in which `took` lies."""
    steps = math.log2(max(took.total_seconds(), _LEAST) / _LEAST) * _STEPS
    return min(_LAST, int(steps))


def seconds_of(bucket: int) -> float:
    """The middle of a step, in seconds."""
    return float(_LEAST * 2 ** ((bucket + 0.5) / _STEPS))


# --- the roll-up --------------------------------------------------------------------------------------


def fold() -> int:
    """Fold waiting deltas into the sums, so many batches at most; returns how many rows were folded.

    Does nothing while another process does it.
    """
    total = 0
    for _ in range(ROUNDS):
        folded = _fold_batch()
        total += folded
        if folded < BATCH:
            break
    return total


@transaction.atomic
def _fold_batch() -> int:
    if not _lead():
        return 0
    # Exactly the rows that were read are deleted: one that commits late, with a smaller id, waits its turn.
    rows = list(Delta.objects.order_by("id").values_list("id", *Key._fields, "count")[:BATCH])
    sums: Sums = Counter()
    for _, *key, number in rows:
        sums[Key(*key)] += number
    add_to_days(sums)
    Delta.objects.filter(id__in=[row[0] for row in rows]).delete()
    return len(rows)


def _lead() -> bool:
    """Whether this transaction may fold; SQLite has one writer anyway."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LEADER])
        return bool(cursor.fetchone()[0])


def add_to_days(sums: Sums) -> None:
    """Add `sums` to their rows; a new key gets a row."""
    columns, table = (*Key._fields, "count"), Day._meta.db_table
    kinds = {field.attname: field for field in Day._meta.concrete_fields}
    rows = [
        [
            kinds[name].get_db_prep_save(value, connection)
            for name, value in {**key._asdict(), "count": number}.items()
        ]
        for key, number in sorted(sums.items())
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))}) "  # noqa: S608
            f"ON CONFLICT ({', '.join(columns[:-1])}) DO UPDATE SET count = {table}.count + excluded.count",
            rows,
        )


# --- reading ------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Line:
    """The numbers of one agency and direction: of one day and type of package, or of all of them (None)."""

    agency: UUID
    direction: str
    day: date | None = None
    kind: str | None = None
    counts: Counter[str] = field(default_factory=Counter)
    times: dict[str, Counter[int]] = field(default_factory=dict)

    def add(self, measure: str, bucket: int, number: int) -> None:
        """Count `number` more."""
        self.counts[measure] += number
        if bucket != UNTIMED:
            self.times.setdefault(measure, Counter())[bucket] += number

    @property
    def in_time_share(self) -> float | None:
        """The share confirmed in time of all receipts confirmed or overdue (NĐ 30/2020, Điều 21.2)."""
        judged = self.counts[Measure.IN_TIME] + self.counts[Measure.LATE]
        return self.counts[Measure.IN_TIME] / judged if judged else None

    def seconds(self, measure: Measure, share: float) -> float | None:
        """The time within which `share` of the timed `measure` happened, within 10 %; None for nothing."""
        found = self.times.get(measure)
        if not found:
            return None
        rank, seen = math.ceil(share * found.total()), 0
        for bucket in sorted(found):
            seen += found[bucket]
            if seen >= rank:
                return seconds_of(bucket)
        raise AssertionError("a rank beyond the total")


def lines(agencies: Collection[UUID], first: date, last: date) -> list[Line]:
    """The numbers of `agencies` from `first` to `last`, by day, agency, direction and type of package."""
    found: dict[tuple[Any, ...], Line] = {}
    for key, number in sorted(_read(agencies, first, last).items()):
        names = key[: Key._fields.index("measure")]
        if names not in found:
            found[names] = Line(day=key.day, agency=key.agency_id, direction=key.direction, kind=key.kind)
        found[names].add(key.measure, key.bucket, number)
    return list(found.values())


class DaySum(NamedTuple):
    """What one number of `sums_by_day` is about."""

    day: date
    direction: str
    measure: str
    bucket: int


def sums_by_day(agencies: Collection[UUID] | None, first: date, last: date) -> Counter[DaySum]:
    """The numbers of `agencies` (None: all of them) from `first` to `last` together; the database adds up."""
    chosen: dict[str, Any] = {"day__range": (first, last)}
    if agencies is not None:
        chosen["agency__in"] = agencies
    tables: tuple[QuerySet[Any], ...] = (Day.objects.filter(**chosen), Delta.objects.filter(**chosen))
    summed = [
        rows.order_by()
        .values(*DaySum._fields)
        .annotate(number=Sum("count"))
        .values_list(*DaySum._fields, "number")
        for rows in tables
    ]
    found: Counter[DaySum] = Counter()
    for *key, number in summed[0].union(summed[1], all=True):
        found[DaySum(*key)] += int(number)
    return found


def sums_by_agency(
    first: date, last: date, direction: str, measures: Collection[str]
) -> list[tuple[UUID, str, int]]:
    """The numbers of `measures` from `first` to `last`: agency, measure, count; a pair may come twice."""
    chosen = {"day__range": (first, last), "direction": direction, "measure__in": measures}
    return [
        (agency, measure, int(count))
        for table in (Day.objects, Delta.objects)
        for agency, measure, count in table.filter(**chosen)
        .order_by()
        .values_list("agency", "measure")
        .annotate(Sum("count"))
    ]


def totals(some: Iterable[Line]) -> list[Line]:
    """`some` added up over days and types."""
    found: dict[tuple[UUID, str], Line] = {}
    for line in some:
        total = found.setdefault(
            (line.agency, line.direction), Line(agency=line.agency, direction=line.direction)
        )
        total.counts += line.counts
        for measure, times in line.times.items():
            total.times[measure] = total.times.get(measure, Counter()) + times
    return [found[key] for key in sorted(found)]


def _read(agencies: Collection[UUID], first: date, last: date) -> Sums:
    chosen = {"agency__in": agencies, "day__range": (first, last)}
    return sums_of(Day.objects.filter(**chosen), Delta.objects.filter(**chosen))


def sums_of(days: QuerySet[Day], deltas: QuerySet[Delta]) -> Sums:
    """Both added up, by one statement: a roll-up between two would lose or double what it moves."""
    waiting = deltas.order_by().values(*Key._fields).annotate(number=Sum("count"))
    folded = days.order_by().values_list(*Key._fields, "count")
    sums: Sums = Counter()
    for *key, number in folded.union(waiting.values_list(*Key._fields, "number"), all=True):
        sums[Key(*key)] += int(number)  # PostgreSQL adds bigints up to a numeric
    return sums
