"""Rows into tables without an object for each: one statement, whatever their number."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Self, TypeAlias, TypeVar

from django.db import connection, connections, models

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
        known = {field.attname: field for field in self.model._meta.concrete_fields}
        fields, quote = [known[name] for name in self.names], connection.ops.quote_name
        prepare = [field.get_db_prep_save for field in fields]
        database = connections[connection.alias]  # not by the proxy: it is asked for each value
        columns = ", ".join(quote(field.column) for field in fields)
        into = f"INSERT INTO {quote(self.model._meta.db_table)} ({columns})"
        row, given = f"({', '.join(['%s'] * len(fields))})", iter(self.values)
        while batch := list(islice(given, _PARAMETERS // len(fields))):
            made = [
                [prep(value, database) for prep, value in zip(prepare, one, strict=True)] for one in batch
            ]
            if len(batch) > _FEW and database.vendor == "postgresql":
                # An array for each column: psycopg takes its time over every single parameter.
                arrays = ", ".join(f"%s::{field.db_type(database)}[]" for field in fields)
                source = f"SELECT * FROM unnest({arrays})"  # noqa: S608
                yield f"{into} {source}", [list(column) for column in zip(*made, strict=True)]
            else:
                yield f"{into} VALUES {', '.join([row] * len(batch))}", list(chain.from_iterable(made))


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


def prepared(model: type[models.Model], **values: Any) -> dict[str, Any]:
    """`values` of columns of `model` as parameters of a statement written by hand."""
    known = {field.attname: field for field in model._meta.concrete_fields}
    return {name: known[name].get_db_prep_value(value, connection) for name, value in values.items()}


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
