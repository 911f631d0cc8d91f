"""Many agencies from one CSV file: the part of `enrolment` for whole directories."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import DEFAULT_DB_ALIAS, connections, models, transaction
from django.utils import timezone

from agencies import aliases as codes
from agencies.errors import EnrolmentError
from agencies.models import Agency, Alias
from agencies.search import fold

_REQUIRED = ("code", "name")
_OPTIONAL = ("name_en", "parent", "aliases", "email")
_CHUNK = 1_000
_LOCAL = ZoneInfo("Asia/Ho_Chi_Minh")
_AS_IS = (models.CharField, models.TextField, models.BooleanField)
_STORED = ("name", "name_en", "email", "parent_id")


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did. With `errors` (line number, message in Vietnamese) nothing was stored."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    errors: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    code: str
    facts: dict[str, str]  # of name, name_en, email: the columns that the file has
    parent: str | None  # None: the file has no such column
    aliases: tuple[tuple[str, datetime | None, datetime | None], ...]


@dataclass(slots=True)
class _Import:
    """What one run keeps in memory: per agency of the file its id and line, never whole rows."""

    at: datetime
    ids: dict[str, UUID] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    awaited: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    errors: list[tuple[int, str]] = field(default_factory=list)
    created: int = 0
    updated: int = 0
    unchanged: int = 0

    def fail(self, line: int, error: EnrolmentError) -> None:
        self.errors.append((line, error.message_vi))


@transaction.atomic
def import_csv(lines: Iterable[str], *, at: datetime | None = None) -> ImportReport:
    """Register or update the agencies of a CSV file; all of it or, with any error, nothing.

    Header `code,name` and any of `name_en,parent,aliases,email`, in any order. `parent` is a code: of the
    file (any line) or registered; empty means none. `aliases` are separated by `;`, each `CODE` or
    `CODE@2016-01-01..2025-07-01` (either date may be missing; days begin at midnight in Vietnam; the last day
    is not included). Aliases are added, never removed; an absent column leaves its field as it is. `lines` is
    read once and not kept.
    """
    codes.lock()
    run = _Import(at or timezone.now())
    rows = _rows(run, lines)
    while chunk := list(islice(rows, _CHUNK)):
        _store(run, chunk)
    _check_parents(run)
    if run.errors:
        transaction.set_rollback(True)
        return ImportReport(errors=tuple(sorted(run.errors)))
    return ImportReport(run.created, run.updated, run.unchanged)


# --- reading ----------------------------------------------------------------------------------------------


def _rows(run: _Import, lines: Iterable[str]) -> Iterator[_Row]:
    reader = csv.reader(lines, strict=True)
    header = [name.strip().lower().lstrip("\ufeff") for name in next(reader, [])]
    unknown = sorted({name for name in header if name not in _REQUIRED + _OPTIONAL})
    if unknown or len(set(header)) != len(header) or not set(_REQUIRED) <= set(header):
        error = EnrolmentError("csv.header", known=", ".join(_OPTIONAL), unknown=", ".join(unknown) or "–")
        run.fail(1, error)
        return
    try:
        for cells in reader:
            if cells:
                yield from _row(run, reader.line_num, header, cells)
    except csv.Error:
        run.fail(reader.line_num, EnrolmentError("csv.row"))


def _row(run: _Import, line: int, header: list[str], cells: list[str]) -> Iterator[_Row]:
    """The row, or nothing and an error in `run`."""
    try:
        if len(cells) != len(header):
            raise EnrolmentError("csv.row")
        values = {name: " ".join(cell.split()) for name, cell in zip(header, cells, strict=True)}
        row = _parse(line, values)
        earlier = run.lines.setdefault(fold(row.code), line)
        if earlier != line:
            raise EnrolmentError("csv.twice", code=row.code, line=earlier)
    except EnrolmentError as error:
        run.fail(line, error)
    else:
        yield row


def _parse(line: int, values: dict[str, str]) -> _Row:
    code = codes.checked(values["code"])
    facts = {name: values[name] for name in ("name", "name_en", "email") if name in values}
    if not 0 < len(facts["name"]) <= 300 or len(facts.get("name_en", "")) > 300:
        raise EnrolmentError("agency.name-invalid", code=code)
    if any(not value.isprintable() for value in facts.values()):
        raise EnrolmentError("agency.name-invalid", code=code)
    _check_email(facts.get("email", ""))
    specs = tuple(_alias(text) for text in values.get("aliases", "").split(";") if text.strip())
    return _Row(line, code, facts, values.get("parent"), specs)


def _check_email(email: str) -> None:
    try:
        if email:
            validate_email(email)
    except ValidationError as error:
        raise EnrolmentError("agency.email-invalid", email=email) from error


def _alias(text: str) -> tuple[str, datetime | None, datetime | None]:
    code, at, dates = text.strip().partition("@")
    first, dots, last = dates.partition("..")
    if at and not dots:
        raise EnrolmentError("csv.alias", text=text.strip())
    try:
        begin, end = _midnight(first), _midnight(last)
    except ValueError as error:
        raise EnrolmentError("csv.alias", text=text.strip()) from error
    codes.check_interval(code, begin, end)
    return codes.checked(code), begin, end


def _midnight(day: str) -> datetime | None:
    if not day.strip():
        return None
    return datetime.strptime(day.strip(), "%Y-%m-%d").replace(tzinfo=_LOCAL).astimezone(UTC)


# --- storing ----------------------------------------------------------------------------------------------


class _Held(NamedTuple):
    """One row of Alias. Rows are read as plain tuples: instances would take most of the time."""

    folded: str
    code: str
    agency_id: UUID
    holder: str
    valid_from: datetime | None
    valid_until: datetime | None

    def means(self, at: datetime) -> bool:
        started = self.valid_from is None or self.valid_from <= at
        return started and (self.valid_until is None or at < self.valid_until)


@dataclass(slots=True)
class _Known:
    """What the database says about the codes of one chunk, and what the chunk adds."""

    agencies: dict[str, Agency]
    current: dict[str, UUID]
    held: dict[str, list[_Held]] = field(default_factory=dict)
    new: list[Alias] = field(default_factory=list)

    def note(self, held: _Held) -> None:
        self.held.setdefault(held.folded, []).append(held)


def _store(run: _Import, chunk: list[_Row]) -> None:
    known = _known(chunk)
    changed: list[Agency] = []
    for row in chunk:
        try:
            changed += _apply(run, known, row)
        except EnrolmentError as error:
            run.fail(row.line, error)
    if run.errors:
        return  # the rest is only read to list its errors; nothing will be kept
    _make_searchable(changed, known)
    _write(Agency, changed, update=("name", "name_en", "email", "parent_id", "search_text", "updated_at"))
    _write(Alias, known.new)


def _write(model: type[models.Model], rows: Sequence[models.Model], update: Sequence[str] = ()) -> None:
    """Insert `rows`; where the id exists already, set the columns `update`.

    Plain SQL that both databases know: bulk_create takes three times as long, most of it to compile.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    fields = [(f.attname, None if isinstance(f, _AS_IS) else f) for f in model._meta.concrete_fields]
    names = ", ".join(name for name, _ in fields)
    sets = ", ".join(f"{name} = excluded.{name}" for name in update)
    values = [
        [
            f.get_db_prep_save(getattr(row, name), connection) if f else getattr(row, name)
            for name, f in fields
        ]
        for row in rows
    ]
    with connection.cursor() as cursor:
        # All parts are names from the models, none comes from the file.
        cursor.executemany(
            f"INSERT INTO {model._meta.db_table} ({names}) VALUES ({', '.join(['%s'] * len(fields))})"  # noqa: S608
            + (f" ON CONFLICT (id) DO UPDATE SET {sets}" if sets else ""),
            values,
        )


def _known(chunk: list[_Row]) -> _Known:
    own = {fold(row.code) for row in chunk}
    parents = {fold(row.parent) for row in chunk if row.parent}
    named = own | parents | {fold(code) for row in chunk for code, _, _ in row.aliases}
    current = Agency.objects.filter(folded__in=parents).values_list("folded", "pk")
    known = _Known({a.folded: a for a in Agency.objects.filter(folded__in=own)}, dict(current))
    columns = ("folded", "code", "agency_id", "agency__code", "valid_from", "valid_until")
    for values in Alias.objects.filter(folded__in=named).values_list(*columns):
        known.note(_Held(*values))
    return known


def _make_searchable(changed: list[Agency], known: _Known) -> None:
    codes_of: dict[UUID, set[str]] = {agency.pk: set() for agency in changed}
    old = Alias.objects.filter(agency__in=[a.pk for a in changed if a.folded in known.agencies])
    for agency_id, code in old.values_list("agency_id", "code"):
        codes_of[agency_id].add(code)
    for alias in known.new:
        codes_of[alias.agency_id].add(alias.code)
    for agency in changed:
        agency.search_text = codes.search_text(agency, codes_of[agency.pk])


def _apply(run: _Import, known: _Known, row: _Row) -> list[Agency]:
    """Bring one row's agency and aliases up to date in memory; the agency comes back if it must be stored."""
    folded = fold(row.code)
    found = known.agencies.get(folded)
    agency = found or Agency(id=_reserve(run, folded), code=row.code, folded=folded, created_at=run.at)
    run.ids[folded] = agency.pk
    before = [getattr(agency, name) for name in _STORED]
    for name, value in row.facts.items():
        setattr(agency, name, value)
    if row.parent is not None:
        agency.parent_id = _parent(run, known, row)
    specs = row.aliases if found else ((row.code, None, None), *row.aliases)
    added = [_claim(known, agency, *spec) for spec in specs]
    if found and not any(added) and before == [getattr(agency, name) for name in _STORED]:
        run.unchanged += 1
        return []
    agency.updated_at = run.at
    run.created, run.updated = run.created + (found is None), run.updated + (found is not None)
    return [agency]


def _reserve(run: _Import, folded: str) -> UUID:
    """The id that children which stood higher up in the file already point at, or a new one."""
    return run.ids.get(folded) or uuid4()


def _parent(run: _Import, known: _Known, row: _Row) -> UUID | None:
    folded = fold(row.parent or "")
    if not folded:
        return None
    if folded == fold(row.code):
        raise EnrolmentError("agency.parent-cycle", code=row.code)
    if folded in run.ids:
        if folded in run.awaited:
            run.awaited[folded].append((row.line, row.parent or ""))
        return run.ids[folded]
    if folded in known.current:
        return known.current[folded]
    held = next((held for held in known.held.get(folded, []) if held.means(run.at)), None)
    if held is not None:
        return held.agency_id
    run.awaited[folded] = [(row.line, row.parent or "")]
    run.ids[folded] = uuid4()
    return run.ids[folded]


def _claim(
    known: _Known, agency: Agency, code: str, valid_from: datetime | None, valid_until: datetime | None
) -> bool:
    """The rules of `aliases.claim` on what is in memory; True if the alias is new."""
    folded = fold(code)
    for held in known.held.get(folded, []):
        if codes.is_same(held, agency, valid_from, valid_until):
            return False
        if codes.overlaps(held, valid_from, valid_until):
            kind = "csv.code-is-alias" if folded == agency.folded else "alias.overlap"
            raise EnrolmentError(kind, code=code, holder=held.holder)
    known.note(_Held(folded, code, agency.pk, agency.code, valid_from, valid_until))
    alias = Alias(agency_id=agency.pk, code=code, folded=folded, valid_from=valid_from)
    alias.valid_until = valid_until
    known.new.append(alias)
    return True


def _check_parents(run: _Import) -> None:
    for folded, children in run.awaited.items():
        if folded not in run.lines:
            for line, code in children:
                run.fail(line, EnrolmentError("agency.parent-unknown", code=code))
    if not run.errors:
        _check_cycles(run)


def _check_cycles(run: _Import) -> None:
    above = dict(Agency.objects.order_by().values_list("pk", "parent_id"))
    safe: set[UUID] = set()
    for folded, line in run.lines.items():
        path: list[UUID] = []
        seen: set[UUID] = set()
        step: UUID | None = run.ids[folded]
        while step is not None and step not in safe and step not in seen:
            path.append(step)
            seen.add(step)
            step = above[step]
        if step is not None and step in seen:
            run.fail(line, EnrolmentError("agency.parent-cycle", code=folded))
        safe.update(path)
