"""Rows into tables without an object for each: one statement, whatever their number."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from typing import Any, Self, TypeAlias, TypeVar

from django.db import connection, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

_Row = TypeVar("_Row", bound=models.Model)
Column: TypeAlias = "models.Field[Any, Any]"
_FEW = 10  # rows, up to which single parameters cost less than arrays
_PARAMETERS = 30_000  # SQLite takes 32,766 in one statement, PostgreSQL 65,535


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows for the table of `model`: `values` of its columns `names`.

    Every column of the table must be named but one that the database numbers: defaults of the model are not
    applied.
    """

    model: type[models.Model]
    names: Sequence[str]
    values: Iterable[Sequence[Any]]

    @classmethod
    def of(cls, model: type[_Row], objects: Sequence[_Row]) -> Self:
        """All columns of `objects`, which count as saved from here on."""
        names = [field.attname for field in model._meta.concrete_fields]
        for one in objects:
            one._state.adding, one._state.db = False, connection.alias
        return cls(model, names, [[getattr(one, name) for name in names] for one in objects])

    def statements(self) -> Iterator[tuple[str, list[Any]]]:
        """One INSERT for as many rows as fit into one, with its parameters."""
        database = connections[connection.alias]  # not by the proxy: it is asked for each value
        fields, into, row = _words(self.model, tuple(self.names), database.vendor)
        given = iter(self.values)
        while batch := list(islice(given, _PARAMETERS // len(fields))):
            columns = [
                _Column.of(*pair, database) for pair in zip(fields, zip(*batch, strict=True), strict=True)
            ]
            if len(batch) > _FEW and database.vendor == "postgresql":
                source, values = _by_columns(columns)
                yield f"{into} {source}", values
            else:
                values = list(chain.from_iterable(zip(*(one.values for one in columns), strict=True)))
                yield f"{into} VALUES {', '.join([row] * len(batch))}", values


@dataclass(frozen=True, slots=True)
class _Column:
    """The values of one column, ready for the database; `same`: they are one and the same."""

    field: Column
    values: Sequence[Any]
    same: bool

    @classmethod
    def of(cls, field: Column, values: Sequence[Any], database: BaseDatabaseWrapper) -> Self:
        """What is the same for all rows, as most of a fan-out is, is prepared once."""
        same, prepare = values.count(values[0]) == len(values), field.get_db_prep_save
        if same:
            ready = [prepare(values[0], database)] * len(values)
        else:
            ready = [prepare(value, database) for value in values]
        return cls(field, ready, same)

    @property
    def type(self) -> str:
        """The database's name of what stands in it."""
        return self.field.db_type(connection) or ""


def _by_columns(columns: Sequence[_Column]) -> tuple[str, list[Any]]:
    """A SELECT that gives the rows of `columns` to an INSERT, with its parameters: an array for each column
    whose values differ, and one value for any other. psycopg takes its time over every single parameter."""
    differ = {n: one for n, one in enumerate(columns) if not one.same} or {0: columns[0]}
    alone = {n: one for n, one in enumerate(columns) if n not in differ}
    chosen = ", ".join(f"%s::{one.type}" if n in alone else f"new.c{n}" for n, one in enumerate(columns))
    arrays = ", ".join(f"%s::{one.type}[]" for one in differ.values())
    names = ", ".join(f"c{n}" for n in differ)
    values = [*(one.values[0] for one in alone.values()), *(list(one.values) for one in differ.values())]
    return f"SELECT {chosen} FROM unnest({arrays}) AS new ({names})", values  # noqa: S608


@lru_cache(maxsize=128)
def _words(
    model: type[models.Model], names: tuple[str, ...], _vendor: str
) -> tuple[tuple[Column, ...], str, str]:
    """The columns `names`, the beginning of an INSERT into them, and the place of one row in it."""
    known = {field.attname: field for field in model._meta.concrete_fields}
    fields, quote = tuple(known[name] for name in names), connection.ops.quote_name
    columns = ", ".join(quote(field.column) for field in fields)
    into = f"INSERT INTO {quote(model._meta.db_table)} ({columns})"
    return fields, into, f"({', '.join(['%s'] * len(fields))})"


def insert(model: type[models.Model], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Any]:
    """Insert `rows` (see Rows); returns their primary keys in the order of `rows`."""
    keys: list[Any] = []
    key = connection.ops.quote_name(model._meta.pk.column)
    with connection.cursor() as cursor:
        for statement, values in Rows(model, names, rows).statements():
            cursor.execute(f"{statement} RETURNING {key}", values)
            keys += chain.from_iterable(cursor.fetchall())
    return keys


def insert_all(*many: Rows) -> None:
    """Insert the rows of several tables, in this order; on PostgreSQL in one round trip."""
    statements = [one for rows in many for one in rows.statements()]
    if connection.vendor == "postgresql" and statements:
        together = "; ".join(statement for statement, _ in statements)
        statements = [(together, [value for _, values in statements for value in values])]
    with connection.cursor() as cursor:
        for statement, values in statements:
            cursor.execute(statement, values)


def update(model: type[models.Model], names: Sequence[str], rows: Sequence[models.Model]) -> None:
    """Write the columns `names` of `rows` as they stand in memory, in one statement for many rows."""
    key = model._meta.pk.attname
    known = {field.attname: field for field in model._meta.concrete_fields}
    fields = [known[name] for name in (key, *names)]
    given = iter(rows)
    while batch := list(islice(given, _PARAMETERS // len(fields))):
        database = connections[connection.alias]  # not by the proxy: it is asked for each value
        columns = [
            [field.get_db_prep_save(getattr(row, field.attname), database) for row in batch]
            for field in fields
        ]
        _update(model, fields, columns)


def _update(model: type[models.Model], fields: list[Column], values: list[list[Any]]) -> None:
    quote, table = connection.ops.quote_name, connection.ops.quote_name(model._meta.db_table)
    columns = [quote(field.column) for field in fields]
    number = len(values[0])
    if number > _FEW and connection.vendor == "postgresql":  # as in Rows.statements
        arrays = ", ".join(f"%s::{field.db_type(connection)}[]" for field in fields)
        source, given = f"SELECT * FROM unnest({arrays})", values  # noqa: S608
    else:
        row = f"({', '.join(['%s'] * len(columns))})"
        source, given = (
            f"VALUES {', '.join([row] * number)}",
            list(chain.from_iterable(zip(*values, strict=True))),
        )
    pairs = zip(fields[1:], columns[1:], strict=True)
    sets = ", ".join(f"{column} = {_typed(field, f'new.{column}')}" for field, column in pairs)
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH new ({', '.join(columns)}) AS ({source}) "  # noqa: S608
            f"UPDATE {table} SET {sets} FROM new "
            f"WHERE {table}.{columns[0]} = {_typed(fields[0], f'new.{columns[0]}')}",
            given,
        )


def _typed(field: Column, value: str) -> str:
    """PostgreSQL takes a column of nothing but NULL for text; SQLite would read a cast time as a number."""
    return f"CAST({value} AS {field.db_type(connection)})" if connection.vendor == "postgresql" else value
