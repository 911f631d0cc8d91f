"""Rows into tables without an object for each: one statement, whatever their number.

PostgreSQL is given the rows as one parameter, in JSON: the statement stays the same, and the driver looks at
no single value. SQLite is given them one by one.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import chain, islice
from typing import Any, Self, TypeAlias, TypeVar
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, connections, models

_Row = TypeVar("_Row", bound=models.Model)
Column: TypeAlias = "models.Field[Any, Any]"
_ROWS = 10_000  # in one statement: some megabytes of JSON
_PARAMETERS = 30_000  # SQLite takes 32,766 in one statement


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
            one._state.adding, one._state.db = False, DEFAULT_DB_ALIAS
        return cls(model, names, [[getattr(one, name) for name in names] for one in objects])

    def statements(self) -> Iterator[tuple[str, list[Any]]]:
        """One INSERT for as many rows as fit into one, with its parameters."""
        table = _Table.of(self.model, tuple(self.names))
        for source, values in table.given(self.values):
            yield f"INSERT INTO {table.name} ({', '.join(table.columns)}) {source}", values


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
    names = (model._meta.pk.attname, *names)
    table = _Table.of(model, names)
    key, *others = table.columns
    sets = ", ".join(f"{column} = new.{column}" for column in others)
    with connection.cursor() as cursor:
        for source, values in table.given([getattr(row, name) for name in names] for row in rows):
            cursor.execute(
                f"WITH new ({', '.join(table.columns)}) AS ({source}) "  # noqa: S608
                f"UPDATE {table.name} SET {sets} FROM new WHERE {table.name}.{key} = new.{key}",
                values,
            )


@dataclass(frozen=True, slots=True)
class _Table:
    """Some columns of a table, by their quoted names."""

    name: str
    columns: Sequence[str]
    fields: Sequence[Column]

    @classmethod
    @lru_cache(maxsize=128)
    def of(cls, model: type[models.Model], names: tuple[str, ...]) -> Self:
        """The columns `names` of `model`."""
        known = {field.attname: field for field in model._meta.concrete_fields}
        fields, quote = [known[name] for name in names], connection.ops.quote_name
        return cls(quote(model._meta.db_table), [quote(field.column) for field in fields], fields)

    def given(self, rows: Iterable[Sequence[Any]]) -> Iterator[tuple[str, list[Any]]]:
        """What gives `rows` to a statement, as many as fit into one, with its parameters."""
        database, rows = connections[DEFAULT_DB_ALIAS], iter(rows)  # not by the proxy: asked for each value
        if database.vendor == "postgresql":
            source = f"SELECT {', '.join(self.columns)} FROM json_populate_recordset(NULL::{self.name}, %s)"  # noqa: S608
            while batch := list(islice(rows, _ROWS)):
                yield source, [self._json(batch)]
            return
        places = f"({', '.join(['%s'] * len(self.fields))})"
        while batch := list(islice(rows, _PARAMETERS // len(self.fields))):
            prepared = (
                field.get_db_prep_save(value, database)
                for row in batch
                for field, value in zip(self.fields, row, strict=True)
            )
            yield f"VALUES {', '.join([places] * len(batch))}", list(prepared)

    def _json(self, rows: Sequence[Sequence[Any]]) -> str:
        names = [field.column for field in self.fields]
        return json.dumps([dict(zip(names, row, strict=True)) for row in rows], default=_word)


def _word(value: object) -> str:
    """What JSON has no form for, as PostgreSQL reads it. Raises TypeError."""
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, date):  # or a time
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return f"\\x{value.hex()}"
    raise TypeError(f"no value of a column: {value!r}")
