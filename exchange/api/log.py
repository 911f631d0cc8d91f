"""/log and /logs: signed heads for everybody, tiles and entries for auditors (c2sp.org/tlog-tiles)."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from exchange import proofs
from exchange.api import representation
from exchange.api.endpoint import Endpoint, Input, read
from exchange.api.schema import answers
from exchange.evidence.tree import Broken
from exchange.models import Checkpoint, Log
from exchange.refusals import Refused

_NOTE = {(200, "text/plain"): OpenApiTypes.STR}
_TILE = {(200, "application/octet-stream"): OpenApiTypes.BINARY}
_PATH = "`tile/<level>/<index>`, `tile/entries/<index>` or `entries/<index>`, with `.p/<width>` for a part"


class LogSerializer(serializers.Serializer[Log]):
    """One log: what a verifier must know of it."""

    id = serializers.IntegerField(help_text="As in /logs/{number}/")
    origin = serializers.CharField()
    key = serializers.CharField(
        help_text="Verifier key (c2sp.org/signed-note): compare it with the one you have"
    )
    opened_at = serializers.DateTimeField()


class LogsSerializer(serializers.Serializer[Any]):
    """Every log of this hub, the oldest first; the last one is being written."""

    items = LogSerializer(many=True)


class PublicEndpoint(Endpoint):
    """Heads and keys are worth more the more people keep them: no token is asked for."""

    authentication_classes: Sequence[Any] = []
    permission_classes: Sequence[Any] = []


class LogsView(PublicEndpoint):
    """GET /logs."""

    @extend_schema(
        operation_id="list_logs",
        tags=["log"],
        summary="The logs of this hub and their keys",
        responses=answers({200: LogsSerializer}),
    )
    def get(self, request: Request) -> Response:
        """One for each calendar year, and after a change of the log key or an incident."""
        return Response({"items": representation.many(LogSerializer, Log.objects.order_by("id"))})


class CheckpointView(PublicEndpoint):
    """GET /log/checkpoint."""

    @extend_schema(
        operation_id="get_checkpoint",
        tags=["log"],
        summary="The signed head of the log",
        responses=answers(_NOTE, "request.not-found"),
    )
    def get(self, request: Request) -> HttpResponse:
        """c2sp.org/tlog-checkpoint. Keep it: a later head must extend it."""
        return _note(_signed(_log(None)))


class OldCheckpointView(PublicEndpoint):
    """GET /logs/{number}/checkpoint."""

    @extend_schema(
        operation_id="get_checkpoint_of",
        tags=["log"],
        summary="The signed head of one of the logs",
        responses=answers(_NOTE, "request.not-found"),
    )
    def get(self, request: Request, number: int) -> HttpResponse:
        """The last one, when that log is closed."""
        return _note(_signed(_log(number)))


class ConsistencyQuery(Input):
    """Two sizes of a log."""

    old = serializers.IntegerField(min_value=0, help_text="The size of the checkpoint that you kept")
    size = serializers.IntegerField(min_value=0, help_text="The size of the newer one")


class ConsistencyView(PublicEndpoint):
    """GET /log/consistency."""

    @extend_schema(
        operation_id="get_consistency",
        tags=["log"],
        summary="The proof that the log only grew",
        parameters=[ConsistencyQuery],
        responses=answers(_NOTE, "request.invalid", "request.not-found"),
    )
    def get(self, request: Request) -> HttpResponse:
        """RFC 6962, 2.1.2, as the file `consistency` of a trail: the old size, then the hashes."""
        return _consistency(_log(None), read(ConsistencyQuery, request.query_params))


class OldConsistencyView(PublicEndpoint):
    """GET /logs/{number}/consistency."""

    @extend_schema(
        operation_id="get_consistency_of",
        tags=["log"],
        summary="The proof that one of the logs only grew",
        parameters=[ConsistencyQuery],
        responses=answers(_NOTE, "request.invalid", "request.not-found"),
    )
    def get(self, request: Request, number: int) -> HttpResponse:
        """The same for one of the logs."""
        return _consistency(_log(number), read(ConsistencyQuery, request.query_params))


class TileView(Endpoint):
    """GET /log/tile/…"""

    required_scope = {"GET": ("audit",)}

    @extend_schema(
        operation_id="get_tile",
        tags=["log"],
        summary="A tile or an entry bundle of the log",
        description=_PATH,
        responses=answers(_TILE, "request.not-found"),
    )
    def get(self, request: Request, place: str) -> HttpResponse:
        """c2sp.org/tlog-tiles; only what the signed head covers."""
        return _tile(_log(None), place)


class OldTileView(Endpoint):
    """GET /logs/{number}/tile/…"""

    required_scope = {"GET": ("audit",)}

    @extend_schema(
        operation_id="get_tile_of",
        tags=["log"],
        summary="A tile or an entry bundle of one of the logs",
        description=_PATH,
        responses=answers(_TILE, "request.not-found"),
    )
    def get(self, request: Request, number: int, place: str) -> HttpResponse:
        """c2sp.org/tlog-tiles; only what the signed head covers."""
        return _tile(_log(number), place)


def proved(items: Sequence[Mapping[str, Any]], places: Sequence[proofs.Place | None]) -> list[dict[str, Any]]:
    """`items`, each with its place in the log and the proof of that, where it has one."""
    return [
        {**item, "log": place.origin, "index": place.index, "proof": place.proof} if place else {**item}
        for item, place in zip(items, places, strict=True)
    ]


def _log(number: int | None) -> Log:
    found = Log.objects.current() if number is None else Log.objects.filter(pk=number).first()
    if found is None:
        raise Refused("request.not-found")
    return found


def _signed(log: Log) -> Checkpoint:
    found = log.last_checkpoint()
    if found is None:
        raise Refused("request.not-found")
    return found


def _note(signed: Checkpoint) -> HttpResponse:
    return HttpResponse(signed.note, content_type="text/plain; charset=utf-8")


def _consistency(log: Log, query: Mapping[str, int]) -> HttpResponse:
    try:
        line = proofs.consistency_line(log, query["old"], query["size"])
    except (ValueError, Broken) as error:
        raise Refused("request.not-found") from error
    return HttpResponse(line, content_type="text/plain; charset=utf-8")


def _tile(log: Log, place: str) -> HttpResponse:
    """A tile never changes once the signed head covers it."""
    try:
        data = proofs.tile(log, _signed(log).size, place if place.startswith("tile/") else f"tile/{place}")
    except (ValueError, Broken) as error:
        raise Refused("request.not-found") from error
    headers = {"Cache-Control": "private, max-age=31536000, immutable"}
    return HttpResponse(data, content_type="application/octet-stream", headers=headers)
