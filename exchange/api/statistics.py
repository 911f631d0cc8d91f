"""/statistics: counts and times of my agencies' traffic, as JSON or CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agencies import directory
from exchange import statistics
from exchange.api import shapes
from exchange.api.endpoint import Endpoint, Input, read
from exchange.api.schema import answers
from exchange.models import Direction, Measure
from exchange.refusals import Refused
from exchange.statistics import Line
from exchange.workdays import day_of

DAYS = 30
MOST_DAYS = 366
MOST_LINES = 20_000
TIMES = {"handover": Measure.HANDED_OVER, "acceptance": Measure.ANSWER_03, "completion": Measure.ANSWER_06}


class StatisticsQuery(Input):
    """What GET /statistics takes. `from` is a word of Python, so it is added below."""

    to = serializers.DateField(required=False, help_text="Last day, in Vietnam; today")
    agency = serializers.CharField(max_length=64, required=False, help_text="Code of one of my agencies")

    def get_fields(self) -> dict[str, Any]:
        """The fields with `from`."""
        first = serializers.DateField(
            required=False, help_text=f"First day; {DAYS} days to `to`, at most {MOST_DAYS}"
        )
        return {"from": first, **super().get_fields()}


class TimeSerializer(serializers.Serializer[Any]):
    """Seconds since the hub took the package, within 10 %; null when it did not happen."""

    median = serializers.FloatField(allow_null=True)
    p95 = serializers.FloatField(allow_null=True)


class TimesSerializer(serializers.Serializer[Any]):
    """To the recipient's system, to acceptance (03), to completion (06)."""

    handover = TimeSerializer()
    acceptance = TimeSerializer()
    completion = TimeSerializer()


class CountsSerializer(serializers.Serializer[Any]):
    """How often it happened on these days."""

    def get_fields(self) -> dict[str, Any]:
        """One number for each measure."""
        return {name.value: serializers.IntegerField(help_text=str(name.label)) for name in Measure}


class TotalSerializer(serializers.Serializer[Any]):
    """One agency and direction."""

    agency = serializers.CharField()
    agency_name = serializers.CharField()
    direction = shapes.NamedChoice(Direction)
    counts = CountsSerializer()
    in_time_share = serializers.FloatField(
        allow_null=True, help_text="in_time / (in_time + late): receipt confirmed within the working day"
    )
    times = TimesSerializer()


class StatisticsLineSerializer(TotalSerializer):
    """One day, agency, direction and type of package."""

    day = serializers.DateField()
    type = serializers.ChoiceField(["new", "recall", "update", "replace", "status"])


class StatisticsSerializer(serializers.Serializer[Any]):
    """Lines by day, and their sums."""

    to = serializers.DateField()
    items = StatisticsLineSerializer(many=True)
    totals = TotalSerializer(many=True)

    def get_fields(self) -> dict[str, Any]:
        """The fields with `from`."""
        return {"from": serializers.DateField(), **super().get_fields()}


class StatisticsView(Endpoint):
    """GET /statistics."""

    required_scope = {"GET": ("send", "receive")}

    @extend_schema(
        operation_id="get_statistics",
        tags=["statistics"],
        summary="Counts and times of my agencies",
        parameters=[StatisticsQuery],
        responses=answers(
            {(200, "application/json"): StatisticsSerializer, (200, "text/csv"): OpenApiTypes.STR},
            "request.invalid",
            "request.not-found",
        ),
    )
    def get(self, request: Request) -> HttpResponseBase:
        """Up to this moment. With `Accept: text/csv` the lines by day as CSV (UTF-8 with BOM)."""
        query = read(StatisticsQuery, request.query_params)
        first, last = _period(query)
        agencies = _agencies(self.principal.system, query.get("agency"))
        lines = statistics.lines(agencies.keys(), first, last)
        if len(lines) > MOST_LINES:
            raise Refused("request.invalid", why=f"from, to, agency: more than {MOST_LINES} lines")
        shown = [_shown(line, agencies) for line in lines]
        if "text/csv" in request.headers.get("Accept", ""):
            return _csv(shown, f"statistics-{first}-{last}.csv")
        totals = [_shown(line, agencies) for line in statistics.totals(lines)]
        return Response({"from": first, "to": last, "items": shown, "totals": totals})


def _period(query: Mapping[str, Any]) -> tuple[date, date]:
    last: date = query.get("to") or day_of(timezone.now())
    first: date = query.get("from") or last - timedelta(days=DAYS - 1)
    if not timedelta() <= last - first < timedelta(days=MOST_DAYS):
        raise Refused("request.invalid", why=f"from, to: 1 to {MOST_DAYS} days")
    return first, last


def _agencies(system: directory.System, code: str | None) -> dict[UUID, directory.Agency]:
    """The agencies of `system` by id, or the one that `code` means. Raises Refused request.not-found."""
    mine = {agency.pk: agency for agency in directory.agencies_of(system)}
    if code is None:
        return mine
    named = directory.agency_by_code(code, timezone.now())
    if named is None or named.pk not in mine:
        raise Refused("request.not-found")
    return {named.pk: named}


def _shown(line: Line, agencies: Mapping[UUID, directory.Agency]) -> dict[str, Any]:
    agency = agencies[line.agency]
    day = {} if line.day is None else {"day": line.day, "type": line.kind}
    return {
        **day,
        "agency": agency.code,
        "agency_name": agency.name,
        "direction": line.direction,
        "counts": {name.value: line.counts[name] for name in Measure},
        "in_time_share": line.in_time_share,
        "times": {
            name: {"median": line.seconds(measure, 0.5), "p95": line.seconds(measure, 0.95)}
            for name, measure in TIMES.items()
        },
    }


# --- CSV ------------------------------------------------------------------------------------------------


def _csv(shown: Sequence[Mapping[str, Any]], name: str) -> HttpResponse:
    """Lines for a spreadsheet: UTF-8 with BOM, and no cell that it would take for a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_columns())
    writer.writerows([_safe(value) for value in _cells(line)] for line in shown)
    return HttpResponse(
        "\ufeff" + text.getvalue(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _columns() -> list[str]:
    times = [f"{name}_{share}_seconds" for name in TIMES for share in ("median", "p95")]
    return [
        "day", "agency", "agency_name", "direction", "type",
        *(name.value for name in Measure), "in_time_share", *times,
    ]  # fmt: skip


def _cells(line: Mapping[str, Any]) -> Iterable[Any]:
    yield from (line[name] for name in ("day", "agency", "agency_name", "direction", "type"))
    yield from line["counts"].values()
    yield line["in_time_share"]
    for times in line["times"].values():
        yield from times.values()


def _safe(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
