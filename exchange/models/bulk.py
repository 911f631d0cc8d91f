"""Rows into a table without an object for each: one statement, whatever their number."""

from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any

from django.db import connection, models

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
