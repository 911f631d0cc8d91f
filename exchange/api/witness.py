"""/witness and /log/anchors: this hub as a witness for the logs of others, and who vouches for its own."""

from base64 import b64encode
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from exchange import anchors
from exchange.api import representation
from exchange.api.log import PublicEndpoint
from exchange.api.schema import answers
from exchange.evidence import witness
from exchange.models import Anchor, AnchorKind, Log

NEWEST = 50


class PartySerializer(serializers.Serializer[anchors.Party]):
    """Somebody outside who is asked to vouch for the log."""

    kind = serializers.CharField()
    name = serializers.CharField(help_text="Verifier key of a witness, address of a time-stamp authority")


class AnchorSerializer(serializers.Serializer[Anchor]):
    """A checkpoint that somebody outside vouched for."""

    kind = serializers.CharField()
    by = serializers.CharField()
    at = serializers.DateTimeField(help_text="By the clock of who vouches")
    log = serializers.CharField(source="checkpoint.log.origin")
    size = serializers.IntegerField(source="checkpoint.size")
    checkpoint = serializers.SerializerMethodField(
        help_text="The signed head; with the cosignature, where a witness vouched"
    )
    token = serializers.SerializerMethodField(
        help_text="RFC 3161 token in DER, base64, over the bytes of `checkpoint`; null for a witness"
    )

    def get_checkpoint(self, anchor: Anchor) -> str:
        """A note: one more signature line is appended to it."""
        line = bytes(anchor.value).decode() if anchor.kind == AnchorKind.WITNESS else ""
        return anchor.checkpoint.note + line

    def get_token(self, anchor: Anchor) -> str | None:
        """For `openssl ts -verify -token_in`."""
        stamped = anchor.kind == AnchorKind.TIME_STAMP
        return b64encode(bytes(anchor.value)).decode() if stamped else None


class AnchorsSerializer(serializers.Serializer[Any]):
    """Who vouches for the logs of this hub; nobody, unless the operator named somebody."""

    on = PartySerializer(many=True)
    items = AnchorSerializer(many=True)
    witness_key = serializers.CharField(
        allow_null=True, help_text="The key of this hub as a witness for others; null when it is none"
    )


class AnchorsView(PublicEndpoint):
    """GET /log/anchors."""

    @extend_schema(
        operation_id="list_anchors",
        tags=["log"],
        summary="Who outside the hub vouches for its log",
        responses=answers({200: AnchorsSerializer}),
    )
    def get(self, request: Request) -> Response:
        """The newest anchors of the log that is being written, and which are on."""
        made = Anchor.objects.filter(checkpoint__log=Log.objects.current())
        body = {
            "on": representation.many(PartySerializer, anchors.parties()),
            "items": representation.many(AnchorSerializer, made.select_related("checkpoint__log")[:NEWEST]),
            "witness_key": str(anchors.own_witness_key()) if anchors.witnessed() else None,
        }
        return Response(body)


@csrf_exempt
@require_POST
def add_checkpoint(request: HttpRequest) -> HttpResponse:
    """POST /witness/add-checkpoint (c2sp.org/tlog-witness): statuses and bodies are those of the
    specification, so errors are plain text here."""
    raw = request.read(witness.LIMIT + 1)
    try:
        if len(raw) > witness.LIMIT:
            raise witness.Declined(400, "the request is too long")
        return HttpResponse(anchors.cosign(raw, timezone.now()), content_type="text/plain; charset=utf-8")
    except witness.Declined as declined:
        if declined.size is not None:
            return HttpResponse(f"{declined.size}\n", status=409, content_type=witness.SIZE_TYPE)
        return HttpResponse(f"{declined}\n", status=declined.status, content_type="text/plain; charset=utf-8")
