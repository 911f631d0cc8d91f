"""Cursor pagination by key: the next page starts right after the last row, whatever was added meanwhile."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from exchange.api.endpoint import Input
from exchange.refusals import Refused

Row = TypeVar("Row", bound=Model)
DEFAULT, MOST = 50, 200
_UNREADABLE = (ValueError, TypeError, OverflowError, RecursionError)


class PageQuery(Input):
    """What every list takes."""

    limit = serializers.IntegerField(min_value=1, max_value=MOST, default=DEFAULT)
    cursor = serializers.CharField(
        max_length=1000, required=False, help_text="From `next` of the page before"
    )


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, and the cursor of the page after them; empty at the end."""

    rows: list[Row]
    cursor: str


def page(rows: QuerySet[Row], order: Sequence[str], *, limit: int, cursor: str = "") -> Page[Row]:
    """The page of `rows` after `cursor`, in `order`, whose last field is unique ("-" for descending).

    Raises Refused request.invalid for a cursor that this list never gave.
    """
    if cursor:
        rows = rows.filter(_after(rows.model, order, _decode(rows.model, order, cursor)))
    found = list(rows.order_by(*order)[: limit + 1])
    shown = found[:limit]
    return Page(shown, _encode(order, shown[-1]) if len(found) > limit else "")


def answer(request: Request, found: Page[Row], show: Callable[[list[Row]], Any]) -> Response:
    """`{items, next}` with the address of the next page there and in `Link` (RFC 8288)."""
    following = _address(request, found.cursor) if found.cursor else None
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    return Response({"items": show(found.rows), "next": following}, headers=headers)


def _address(request: Request, cursor: str) -> str:
    query = {**request.query_params.dict(), "cursor": cursor}
    return f"{settings.ENVIRONMENT.base_url.rstrip('/')}{request.path}?{urlencode(query)}"


def _after(model: type[Model], order: Sequence[str], values: Sequence[Any]) -> Q:
    """Rows behind `values`: (a, b) > (x, y) as a > x or (a = x and b > y), for any number of fields."""
    first, rest = order[0], order[1:]
    name = first.removeprefix("-")
    beyond = Q(**{f"{name}__{'lt' if first.startswith('-') else 'gt'}": values[0]})
    return beyond | (Q(**{name: values[0]}) & _after(model, rest, values[1:])) if rest else beyond


def _encode(order: Sequence[str], row: Model) -> str:
    names = (name.removeprefix("-") for name in order)
    values = [row._meta.get_field(name).value_to_string(row) for name in names]  # type: ignore[union-attr]
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _decode(model: type[Model], order: Sequence[str], cursor: str) -> list[Any]:
    try:
        texts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(texts, list) or len(texts) != len(order) or not "".join(texts).isprintable():
            raise ValueError("not one value for each field")
        fields = (model._meta.get_field(name.removeprefix("-")) for name in order)
        return [_value(field, text) for field, text in zip(fields, texts, strict=True)]
    except (*_UNREADABLE, binascii.Error, ValidationError) as error:
        raise Refused("request.invalid", why="cursor") from error


def _value(field: Any, text: str) -> Any:
    """The value of a field. A moment must have its zone, and be one that the database can hold in UTC."""
    value = field.to_python(text)
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError("a moment without a zone")
    return value.astimezone(UTC)
