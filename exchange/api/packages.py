"""/packages: send, check, list, describe, fetch, and follow."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet, prefetch_related_objects
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agencies import directory
from exchange import delivery, intake, isolation, log, proofs
from exchange.api import paging, problems, representation, shapes
from exchange.api.content import answer_bytes
from exchange.api.endpoint import Endpoint, Input, conditional, read
from exchange.api.log import proved
from exchange.api.schema import CONTENT, IF_NONE_MATCH, OF_PACKAGES, PACKAGE_BODY, answers
from exchange.body import read_package, wait_for
from exchange.evidence.statements import TYPE
from exchange.evidence.tree import Broken
from exchange.matching import fold_code
from exchange.models import Delivery, Package, State
from exchange.refusals import Refused

REPLAYED = OpenApiParameter(
    "Idempotent-Replayed", bool, OpenApiParameter.HEADER, response=[200], description="The same bytes again"
)
LOCATION = OpenApiParameter("Location", str, OpenApiParameter.HEADER, response=[201])


class PackagesQuery(paging.PageQuery):
    """Filters of GET /packages."""

    direction = serializers.ChoiceField(["sent", "received"], required=False)
    document_id = serializers.CharField(max_length=500, required=False)
    code = serializers.CharField(max_length=200, required=False, help_text="Number/notation: 626/KH-UBND")
    state = shapes.NamedChoice(State, required=False, help_text="Of one of its deliveries")
    since = serializers.DateTimeField(required=False, help_text="Accepted at this time or later")


class ReceiptsQuery(Input):
    """What GET /packages/{id}/receipts takes."""

    wait = serializers.IntegerField(
        min_value=0, max_value=30, default=0, help_text="Seconds to wait until all have their proof"
    )


class PackagesView(Endpoint):
    """POST and GET /packages."""

    required_scope = {"POST": ("send",), "GET": ("send", "receive")}

    @extend_schema(
        operation_id="send_package",
        tags=["packages"],
        summary="Send a package",
        request=PACKAGE_BODY,
        responses=answers(
            {201: shapes.AcceptanceSerializer, 200: shapes.AcceptanceSerializer},
            "request.media-type",
            *OF_PACKAGES,
        ),
        parameters=[REPLAYED, LOCATION],
    )
    def post(self, request: Request) -> Response:
        """Send an edXML package, as it is. The same bytes from the same sender again are the same package."""
        principal, length = self.principal, wait_for(request._request)
        with isolation.room(length):
            raw = read_package(request._request, principal.system)
            accepted = intake.accept(
                raw,
                system=principal.system,
                actor=principal.actor,
                now=timezone.now(),
                # What arrives late is judged by the registry of then.
                known=principal.memory if isolation.is_small(length) else None,
            )
        return acceptance(accepted)

    @extend_schema(
        operation_id="list_packages",
        tags=["packages"],
        summary="Packages sent and received",
        parameters=[PackagesQuery],
        responses=answers({200: shapes.PackagesPage}, "request.invalid"),
    )
    def get(self, request: Request) -> Response:
        """Newest first. Only packages that one of the system's agencies sent or is a recipient of."""
        query = read(PackagesQuery, request.query_params)
        limit, cursor = query.pop("limit"), query.pop("cursor", "")
        rows = _chosen(visible(self.principal.system), self.principal.system, query)
        found = paging.page(rows, ("-accepted_at", "-id"), limit=limit, cursor=cursor)
        return paging.answer(
            request, found, lambda rows: representation.many(shapes.PackageWithDeliveriesSerializer, rows)
        )


class ValidateView(Endpoint):
    """POST /packages/validate."""

    required_scope = {"POST": ("send",)}

    @extend_schema(
        operation_id="validate_package",
        tags=["packages"],
        summary="Check a package without sending it",
        request=PACKAGE_BODY,
        responses=answers({200: shapes.ReportSerializer}, "package.too-large", "request.media-type"),
    )
    def post(self, request: Request) -> Response:
        """The rules of sending, and nothing is stored."""
        with isolation.room(wait_for(request._request)):
            raw = read_package(request._request, self.principal.system)
            report = intake.validate(
                raw, system=self.principal.system, actor=self.principal.actor, now=timezone.now()
            )
        chosen = problems.language()
        return Response(
            {
                "acceptable": not report.problems,
                "refusals": [problems.item(problem, chosen) for problem in report.problems],
                "warnings": representation.many(shapes.WarningSerializer, report.warnings),
                "recipients": representation.many(shapes.RecipientSerializer, report.recipients),
            }
        )


class PackageView(Endpoint):
    """GET /packages/{id}."""

    required_scope = {"GET": ("send", "receive")}

    @extend_schema(
        operation_id="get_package",
        tags=["packages"],
        summary="Describe a package",
        parameters=[IF_NONE_MATCH],
        responses=answers({200: shapes.DescribedPackageSerializer, 304: None}, "request.not-found"),
    )
    def get(self, request: Request, package_id: UUID) -> Response:
        """For its sender with all deliveries, for a recipient with its own; with the packages that it is
        about and that are about it, where the asking system is a party to those too."""
        found = one(self.principal.system, package_id, "pdf_report")
        _relate(self.principal.system, found)
        return conditional(request, shapes.DescribedPackageSerializer(found).data)


class PackageContentView(Endpoint):
    """GET /packages/{id}/content."""

    required_scope = {"GET": ("send", "receive")}

    @extend_schema(
        operation_id="get_package_content",
        tags=["packages"],
        summary="The bytes of a package",
        parameters=[IF_NONE_MATCH],
        responses=answers(CONTENT, "request.not-found", "delivery.withdrawn", "delivery.closed"),
    )
    def get(self, request: Request, package_id: UUID) -> HttpResponseBase:
        """Byte for byte as sent. To a recipient this is serving its delivery, which needs the scope
        `receive`; it is refused when that is withdrawn."""
        system, now = self.principal.system, timezone.now()
        found = one(system, package_id)
        if not directory.agencies_of(system).filter(pk=found.sender_id).exists():
            self.principal.need("receive")
            delivery.serve_to_agencies(found.pk, directory.receives_for(system), now)
        return answer_bytes(request, found)


class TrailView(Endpoint):
    """GET /packages/{id}/trail."""

    required_scope = {"GET": ("send", "receive")}

    @extend_schema(
        operation_id="get_package_trail",
        tags=["packages"],
        summary="What happened to a package",
        responses=answers({200: shapes.TrailSerializer}, "request.not-found"),
    )
    def get(self, request: Request, package_id: UUID) -> Response:
        """Every event that the asking system may see, oldest first: the exact texts that were signed."""
        found = one(self.principal.system, package_id)
        lines = log.trail(found, _streams(found))
        places = proofs.places([line.key for line in lines])
        items = representation.many(shapes.LineSerializer, lines)
        return Response({"items": proved(items, [places.get(line.key) for line in lines])})


class ReceiptsView(Endpoint):
    """GET /packages/{id}/receipts."""

    required_scope = {"GET": ("send", "receive")}

    @extend_schema(
        operation_id="get_package_receipts",
        tags=["packages"],
        summary="The receipts of a package",
        parameters=[ReceiptsQuery],
        responses=answers({200: shapes.ReceiptsSerializer}, "request.invalid", "request.not-found"),
    )
    def get(self, request: Request, package_id: UUID) -> Response:
        """A receipt for every event that the asking system may see, oldest first; with the proof that it
        stands in the log as soon as it does, which takes about a second."""
        query = read(ReceiptsQuery, request.query_params)
        found = one(self.principal.system, package_id)
        receipts = log.receipts_of(found, _streams(found))
        places = proofs.wait_for_places([item.key for item in receipts], timedelta(seconds=query["wait"]))
        items = representation.many(shapes.ReceiptSerializer, receipts)
        return Response({"items": proved(items, [places.get(item.key) for item in receipts])})


class StatementsView(Endpoint):
    """GET /packages/{id}/statements."""

    required_scope = {"GET": ("send", "receive")}

    @extend_schema(
        operation_id="get_package_statements",
        tags=["packages"],
        summary="How many events there are, sealed by the hub",
        responses=answers({200: shapes.StatementsSerializer}, "request.not-found"),
    )
    def get(self, request: Request, package_id: UUID) -> Response:
        """“This stream has n events at size N of the log”: whoever keeps it notices an event that is withheld
        later. 404 until something is sealed."""
        found, now = one(self.principal.system, package_id), timezone.now()
        try:
            lines = [bytes(proofs.statement(stream, now)) for stream in sorted(_streams(found))]
        except Broken as error:
            raise Refused("request.not-found") from error
        items = [{"statement": line.decode(), "jws": log.state(line, TYPE, now)} for line in lines]
        return Response({"items": items})


def acceptance(accepted: intake.Acceptance) -> Response:
    """201 for a new package, 200 for one that the hub already had."""
    body: dict[str, Any] = {
        **representation.one(shapes.PackageSerializer, accepted.package),
        "deliveries": representation.many(shapes.PackageDeliverySerializer, accepted.deliveries),
        "warnings": representation.many(shapes.WarningSerializer, accepted.warnings),
        "receipt": representation.one(shapes.ReceiptSerializer, accepted.receipt),
    }
    if accepted.replayed:
        return Response(body, status=200, headers={"Idempotent-Replayed": "true"})
    return Response(
        body, status=201, headers={"Location": reverse("api-package", args=[accepted.package.id])}
    )


def visible(system: directory.System) -> QuerySet[Package]:
    """The packages that `system` may see, with those of their deliveries that it may see."""
    agencies = directory.agencies_of(system)
    deliveries = Delivery.objects.visible_to(agencies).select_related("recipient").order_by("id")
    packages = Package.objects.visible_to(agencies).select_related("sender")
    return packages.prefetch_related(Prefetch("deliveries", deliveries))


def one(system: directory.System, package_id: UUID, *joined: str) -> Package:
    """One of them, with the rows `joined`; anything else does not exist for `system`. Raises Refused
    request.not-found."""
    found = visible(system).select_related("sender", *joined).filter(pk=package_id).first()
    if found is None:
        raise Refused("request.not-found")
    return found


def _relate(system: directory.System, package: Package) -> None:
    """Fetch the relations of `package` that `system` may see; an `about` that it may not see becomes None,
    and with it `in_time`, which would tell the day that it asked for."""
    # By id: `visible_to` joins and needs DISTINCT, which would sort whole rows.
    agencies = directory.agencies_of(system)
    seen = Package.objects.filter(pk__in=Package.objects.visible_to(agencies).order_by().values("pk"))
    prefetch_related_objects(
        [package],
        Prefetch("about", seen),
        Prefetch("answers", seen.order_by("accepted_at", "id")),
        Prefetch("deliveries__requested_by", Delivery.objects.visible_to(agencies)),
    )


def _chosen(rows: QuerySet[Package], system: directory.System, query: dict[str, Any]) -> QuerySet[Package]:
    agencies = directory.agencies_of(system)
    if query.get("direction") == "sent":
        rows = rows.filter(sender__in=agencies)
    if query.get("direction") == "received":
        rows = rows.filter(deliveries__recipient__in=agencies)
    if "document_id" in query:
        rows = rows.filter(document_id=query["document_id"])
    if "code" in query:
        rows = rows.filter(code_folded=fold_code(query["code"]))
    if "state" in query:
        rows = rows.filter(deliveries__in=Delivery.objects.visible_to(agencies).filter(state=query["state"]))
    if "since" in query:
        rows = rows.filter(accepted_at__gte=query["since"])
    return rows


def _streams(package: Package) -> set[UUID]:
    """The streams of events about `package` that the asking system may see."""
    return {package.stream, *(item.stream for item in package.deliveries.all())}
