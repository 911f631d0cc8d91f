"""Rows into a table without an object for each: one statement, whatever their number."""

from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any, TypeAlias

from django.db import connection, models

Column: TypeAlias = "models.Field[Any, Any]"
_PARAMETERS = 30_000  # SQLite takes 32,766 in one statement, PostgreSQL 65,535


def insert(model: type[models.Model], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Any]:
    """Insert `rows`, values of the columns `names`; returns their primary keys in the order of `rows`.

    Every column of the table must be named but one that the database numbers: defaults of the model are not
    applied.
    """
    known = {field.attname: field for field in model._meta.concrete_fields}
    fields = [known[name] for name in names]
    prepare = [field.get_db_prep_save for field in fields]
    given, keys = iter(rows), []
    while batch := list(islice(given, _PARAMETERS // len(names))):
        values = [prep(value, connection) for row in batch for prep, value in zip(prepare, row, strict=True)]
        keys += _insert(model, [field.column for field in fields], len(batch), values)
    return keys


def _insert(model: type[models.Model], columns: list[str], number: int, values: list[Any]) -> list[Any]:
    quote, table = connection.ops.quote_name, model._meta.db_table
    row = f"({', '.join(['%s'] * len(columns))})"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {quote(table)} ({', '.join(map(quote, columns))}) "  # noqa: S608
            f"VALUES {', '.join([row] * number)} RETURNING {quote(model._meta.pk.column)}",
            values,
        )
        return list(chain.from_iterable(cursor.fetchall()))


def update(model: type[models.Model], names: Sequence[str], rows: Sequence[models.Model]) -> None:
    """Write the columns `names` of `rows` as they stand in memory, in one statement for many rows."""
    key = model._meta.pk.attname
    known = {field.attname: field for field in model._meta.concrete_fields}
    fields = [known[name] for name in (key, *names)]
    given = iter(rows)
    while batch := list(islice(given, _PARAMETERS // len(fields))):
        pairs = [(field, getattr(row, field.attname)) for row in batch for field in fields]
        values = [field.get_db_prep_save(value, connection) for field, value in pairs]
        _update(model, fields, len(batch), values)


def _update(model: type[models.Model], fields: list[Column], number: int, values: list[Any]) -> None:
    quote, table = connection.ops.quote_name, connection.ops.quote_name(model._meta.db_table)
    columns = [quote(field.column) for field in fields]
    row = f"({', '.join(['%s'] * len(columns))})"
    pairs = zip(fields[1:], columns[1:], strict=True)
    sets = ", ".join(f"{column} = {_typed(field, f'new.{column}')}" for field, column in pairs)
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH new ({', '.join(columns)}) AS (VALUES {', '.join([row] * number)}) "  # noqa: S608
            f"UPDATE {table} SET {sets} FROM new "
            f"WHERE {table}.{columns[0]} = {_typed(fields[0], f'new.{columns[0]}')}",
            values,
        )


def _typed(field: Column, value: str) -> str:
    """PostgreSQL takes a column of nothing but NULL for text; SQLite would read a cast time as a number."""
    return f"CAST({value} AS {field.db_type(connection)})" if connection.vendor == "postgresql" else value
