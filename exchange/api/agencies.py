"""/agencies: the directory."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agencies import directory
from exchange.api import paging, representation, shapes
from exchange.api.endpoint import Endpoint, conditional, read
from exchange.api.schema import IF_NONE_MATCH, answers
from exchange.refusals import Refused


class AgenciesQuery(paging.PageQuery):
    """Filters of GET /agencies."""

    q = serializers.CharField(
        max_length=200,
        required=False,
        allow_blank=True,
        help_text="Words of codes and names, without regard to case and Vietnamese marks",
    )
    updated_since = serializers.DateTimeField(required=False)


class AgenciesView(Endpoint):
    """GET /agencies."""

    required_scope = {"GET": ("directory",)}

    @extend_schema(
        operation_id="list_agencies",
        tags=["directory"],
        summary="Search the directory",
        parameters=[AgenciesQuery, IF_NONE_MATCH],
        responses=answers({200: shapes.AgenciesPage, 304: None}, "request.invalid"),
    )
    def get(self, request: Request) -> Response:
        """In order of code."""
        query = read(AgenciesQuery, request.query_params)
        rows = directory.search(query.get("q", ""), query.get("updated_since"))
        found = paging.page(rows, ("folded",), limit=query["limit"], cursor=query.get("cursor", ""))
        made = paging.answer(request, found, lambda rows: representation.many(shapes.AgencySerializer, rows))
        return conditional(request, made.data, headers=dict(made.headers))


class AgencyView(Endpoint):
    """GET /agencies/{code}."""

    required_scope = {"GET": ("directory",)}

    @extend_schema(
        operation_id="get_agency",
        tags=["directory"],
        summary="One agency by code",
        parameters=[IF_NONE_MATCH],
        responses=answers({200: shapes.AgencySerializer, 304: None}, "request.not-found"),
    )
    def get(self, request: Request, code: str) -> Response:
        """By its present code or any code that is valid now."""
        found = directory.agency_by_code(code, timezone.now())
        if found is None:
            raise Refused("request.not-found")
        return conditional(request, shapes.AgencySerializer(found).data)
