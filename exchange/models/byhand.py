"""Statements written by hand, for what every request asks, and objects from the rows that they give.

Django takes longer to write such a statement than PostgreSQL to run it.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate
from typing import Any, Self
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, connections, models

from exchange.models.delivery import Delivery
from exchange.models.package import Package

Converter = Callable[[Any], Any]


def columns(model: type[models.Model], alias: str) -> str:
    """The columns of `model`, of the table called `alias`, as `fetch` wants them."""
    return ", ".join(f'{alias}."{field.column}"' for field in model._meta.concrete_fields)


def among(name: str) -> str:
    """`IN` so many keys as there are in the parameter `name`, which `keys` makes."""
    if connection.vendor == "postgresql":
        return f"= ANY(%({name})s)"
    return f"IN (SELECT value FROM json_each(%({name})s))"  # noqa: S608


def locking(words: str) -> str:
    """`words` such as FOR UPDATE; nothing on SQLite, which has one writer."""
    return words if connection.vendor == "postgresql" else ""


def keys(ids: Iterable[UUID]) -> list[UUID] | str:
    """`ids` as one parameter."""
    return list(ids) if connection.vendor == "postgresql" else json.dumps([key.hex for key in ids])


def prepared(model: type[models.Model], **values: Any) -> dict[str, Any]:
    """`values` of columns of `model` as parameters."""
    known = {field.attname: field for field in model._meta.concrete_fields}
    return {name: known[name].get_db_prep_value(value, connection) for name, value in values.items()}


def ask(statements: Sequence[str], values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Run `statements` in this order; the rows of the last. On PostgreSQL in one round trip."""
    database = connections[DEFAULT_DB_ALIAS]  # not by the proxy, which looks it up for each use
    with database.cursor() as cursor:
        if database.vendor == "postgresql":
            cursor.execute("; ".join(statements), values)
            for _ in statements[1:]:
                cursor.nextset()
        else:
            for statement in statements:
                cursor.execute(statement, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def fetch(
    statements: Sequence[str], values: dict[str, Any], *kinds: type[models.Model]
) -> list[tuple[Any, ...]]:
    """For each row of the last of `statements`, which gives the `columns` of `kinds`, an object of each."""
    rows, vendor = ask(statements, values), connection.vendor
    readings = [_Reading.of(kind, vendor) for kind in kinds]
    ends = list(accumulate(len(one.names) for one in readings))
    parts = list(zip(readings, [0, *ends], ends, strict=False))
    return [tuple(reading.read(row[start:end]) for reading, start, end in parts) for row in rows]


DELIVERIES = f"""
SELECT {columns(Delivery, "d")}, {columns(Package, "p")}
FROM exchange_delivery d JOIN exchange_package p ON p.id = d.package_id
"""  # noqa: S608


def deliveries(statements: Sequence[str], values: dict[str, Any]) -> list[Delivery]:
    """Deliveries with their packages: what the last of `statements` gives, which begins with DELIVERIES."""
    found = []
    for row, package in fetch(statements, values, Delivery, Package):
        row.package = package
        found.append(row)
    return found


@dataclass(frozen=True, slots=True)
class _Reading:
    """How a row becomes an object: the names of its columns, and what some of their values go through."""

    model: type[models.Model]
    names: list[str]
    converters: Sequence[tuple[int, Converter]]

    @classmethod
    @lru_cache(maxsize=32)
    def of(cls, model: type[models.Model], _vendor: str) -> Self:
        """That of `model` on this kind of database."""
        # Never opened: what is kept here must hold no thread's connection.
        fields, database = model._meta.concrete_fields, connections.create_connection(DEFAULT_DB_ALIAS)
        converters = []
        for place, field in enumerate(fields):
            column = field.get_col(model._meta.db_table)
            for convert in (*database.ops.get_db_converters(column), *column.get_db_converters(database)):
                converters.append((place, partial(convert, expression=column, connection=database)))
        return cls(model, [field.attname for field in fields], converters)

    def read(self, row: Sequence[Any]) -> models.Model:
        """The object in `row`."""
        values = list(row)
        for place, convert in self.converters:
            values[place] = convert(values[place])
        return self.model.from_db(DEFAULT_DB_ALIAS, self.names, values)
