"""Rows in their shape (`exchange.api.shapes`): the framework's answer, found out once for each shape.

The framework finds out anew, for every field of every row, where its value comes from and how it looks.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from operator import attrgetter
from typing import Any

from rest_framework import serializers

Shape = type[serializers.Serializer[Any]]
Step = Callable[[Any], Any]


def one(shape: Shape, row: Any) -> dict[str, Any]:
    """`row` in `shape`."""
    if isinstance(row, Mapping):
        found: dict[str, Any] = _made(shape).to_representation(row)
        return found
    made = {}
    for name, source, look in _fields(shape):
        try:
            value = source(row)
        except serializers.SkipField:
            continue
        made[name] = None if value is None else look(value)
    return made


def many(shape: Shape, rows: Iterable[Any]) -> list[dict[str, Any]]:
    """`rows`, each in `shape`."""
    return [one(shape, row) for row in rows]


@cache
def _made(shape: Shape) -> serializers.Serializer[Any]:
    """A serializer that only writes keeps nothing of what it wrote; making one copies every field."""
    return shape()


@cache
def _fields(shape: Shape) -> list[tuple[str, Step, Step]]:
    """Of each field of `shape`: its name, where its value comes from, and how that looks."""
    return [(str(field.field_name), _source(field), _look(field)) for field in _made(shape)._readable_fields]


def _source(field: Any) -> Step:
    """The way to the value of `field`. What may be missing, end on the way or be a method is left to the
    framework."""
    nested = isinstance(field, serializers.BaseSerializer)
    if not field.source_attrs:
        return _itself
    sure = field.required and field.default is serializers.empty
    may_end = field.allow_null and (nested or len(field.source_attrs) > 1)
    if not sure or may_end or isinstance(field, serializers.ListSerializer):
        found: Step = field.get_attribute
        return found
    return attrgetter(field.source)


def _itself(row: Any) -> Any:
    return row


def _look(field: Any) -> Step:
    if isinstance(field, serializers.Serializer):
        return partial(one, type(field))
    look: Step = field.to_representation
    return look
