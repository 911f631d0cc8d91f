"""/exports: extracts of my agencies' traffic in the background; and the proof bundle of one package."""

from typing import Any
from uuid import UUID

from django.http import FileResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agencies import directory
from exchange import delivery
from exchange.api import packages, shapes
from exchange.api.endpoint import Endpoint, Input, posted
from exchange.api.schema import answers
from exchange.exports import issue, jobs, readers
from exchange.exports.bundle import MIMETYPE
from exchange.exports.filters import Filter
from exchange.models import Export, ExportFormat, ExportKind, ExportState
from exchange.refusals import Refused
from exchange.workdays import day_of

_READERS = ("send", "receive")
_FILE = {(200, "application/octet-stream"): OpenApiTypes.BINARY}
_BUNDLE = {(200, MIMETYPE): OpenApiTypes.BINARY}
LOCATION = OpenApiParameter("Location", str, OpenApiParameter.HEADER, response=[201])


class ExportInput(Input):
    """What POST /exports takes."""

    kind = shapes.NamedChoice(ExportKind)
    format = shapes.NamedChoice(ExportFormat)
    filter = serializers.DictField(
        child=serializers.CharField(max_length=2000),
        required=False,
        help_text="period or since, until; agency (one or more, between commas) direction state answer type "
        "priority trouble package",
    )
    insist = serializers.BooleanField(default=False, help_text="XLSX also beyond 100,000 rows")


class ExportSerializer(serializers.Serializer[Export]):
    """A job: how far it is, and what came of it."""

    id = serializers.UUIDField()
    kind = shapes.NamedChoice(ExportKind)
    format = shapes.NamedChoice(ExportFormat)
    filter = serializers.CharField(source="query", help_text="As a query string, periods as days")
    state = shapes.NamedChoice(ExportState)
    problem = serializers.CharField(help_text="Code of the refusal when it failed, else empty")
    rows_done = serializers.IntegerField(source="done")
    rows_total = serializers.IntegerField(source="total", allow_null=True)
    sha256 = serializers.CharField(help_text="Of the file; empty until it is done")
    size = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(help_text="When the file goes")


class ExportsView(Endpoint):
    """POST /exports."""

    required_scope = {"POST": _READERS}

    @extend_schema(
        operation_id="ask_for_export",
        tags=["exports"],
        summary="Ask for an export",
        request=ExportInput,
        responses=answers(
            {201: ExportSerializer},
            "request.invalid",
            "request.media-type",
            "package.too-large",
            "recipient.unknown",
            "export.too-many",
            "export.not-allowed",
        ),
        parameters=[LOCATION],
    )
    def post(self, request: Request) -> Response:
        """What concerns the system's agencies. Up to 5,000 rows are there at once (state `done`); for more,
        look again until they are."""
        given, now = posted(ExportInput, request), timezone.now()
        made = jobs.ask(
            given["kind"],
            given["format"],
            Filter.read(given.get("filter", {}), day_of(now)),
            insist=given["insist"],
            system=self.principal.system,
            now=now,
        )
        headers = {"Location": reverse("api-export", args=[made.pk])}
        return Response(ExportSerializer(made).data, status=201, headers=headers)


class ExportView(Endpoint):
    """GET /exports/{id}."""

    required_scope = {"GET": _READERS}

    @extend_schema(
        operation_id="get_export",
        tags=["exports"],
        summary="How far an export is",
        responses=answers({200: ExportSerializer}, "request.not-found"),
    )
    def get(self, request: Request, export_id: UUID) -> Response:
        """Of the asking system only."""
        return Response(ExportSerializer(_one(self.principal.system, export_id)).data)


class ExportContentView(Endpoint):
    """GET /exports/{id}/content."""

    required_scope = {"GET": _READERS}

    @extend_schema(
        operation_id="get_export_content",
        tags=["exports"],
        summary="The file of an export",
        responses=answers(_FILE, "request.not-found", "export.not-ready", "export.gone"),
    )
    def get(self, request: Request, export_id: UUID) -> HttpResponseBase:
        """Kept for seven days."""
        export = _one(self.principal.system, export_id)
        opened = jobs.open_file(export, timezone.now())
        return FileResponse(
            opened, as_attachment=True, filename=export.file_name, content_type="application/octet-stream"
        )


class ProofView(Endpoint):
    """GET /packages/{id}/proof."""

    required_scope = {"GET": _READERS}

    @extend_schema(
        operation_id="get_package_proof",
        tags=["packages"],
        summary="The proof bundle of a package",
        responses=answers(
            _BUNDLE, "request.not-found", "delivery.withdrawn", "delivery.closed", "export.not-sealed"
        ),
    )
    def get(self, request: Request, package_id: UUID) -> HttpResponseBase:
        """ASiC-E: the original, the events and receipts that the system may see, certificates, and how to
        check them offline. To a recipient this is serving its delivery, which needs the scope `receive`."""
        system, now = self.principal.system, timezone.now()
        package = packages.one(system, package_id)
        if not directory.agencies_of(system).filter(pk=package.sender_id).exists():
            self.principal.need("receive")
            delivery.serve_to_agencies(package.pk, directory.receives_for(system), now)
        opened = issue.issue("asice", package, readers.of_system(system), now)
        return FileResponse(
            opened, as_attachment=True, filename=issue.file_name("asice", package), content_type=MIMETYPE
        )


def _one(system: directory.System, export_id: UUID) -> Any:
    found = Export.objects.filter(system=system, pk=export_id).first()
    if found is None:
        raise Refused("request.not-found")
    return found
