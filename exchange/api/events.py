"""/events: what happened to my agencies' packages and deliveries."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agencies import directory
from exchange import feed, waiting
from exchange.api import representation, shapes
from exchange.api.endpoint import Endpoint, Input, read
from exchange.api.paging import DEFAULT, MOST
from exchange.api.schema import answers
from exchange.models import Answer, Kind, RequestState, State
from exchange.models import Request as RequestKind


class EventsQuery(Input):
    """What GET /events takes."""

    after = serializers.RegexField(
        r"\A([0-9]{1,18}|latest)\Z",
        default="0",
        help_text="The cursor of the last event you have; 0: from the beginning; latest: only what comes",
    )
    wait = serializers.IntegerField(
        min_value=0, max_value=30, default=0, help_text="Seconds to wait while there is nothing new"
    )
    limit = serializers.IntegerField(min_value=1, max_value=MOST, default=DEFAULT)


class BySerializer(serializers.Serializer[Any]):
    """Who caused an event: a system, a person's account, or the hub."""

    kind = serializers.CharField()
    id = serializers.CharField()


class EventSerializer(serializers.Serializer[feed.Item]):
    """One event; the states are those right after it. `said` fields are empty when it was redacted."""

    cursor = serializers.CharField(source="position", help_text="For `after`; numbers of others are left out")
    event = serializers.CharField(source="event.name", help_text="From the catalogue: docs/audit-log.md")
    event_id = serializers.CharField(source="said.id", default="", help_text="As in its receipt")
    at = serializers.DateTimeField(source="event.at")
    package = serializers.UUIDField(source="event.package")
    kind = shapes.NamedChoice(Kind, source="package.kind")
    document_id = serializers.CharField(source="package.document_id")
    code = serializers.CharField(source="package.code")
    sender = serializers.CharField(source="package.sender_code")
    delivery = serializers.UUIDField(
        source="event.delivery", allow_null=True, help_text="Null: of the package"
    )
    recipient = serializers.CharField(source="said.recipient", default="")
    state = shapes.NamedChoice(State, optional=True, source="event.state")
    answer = shapes.NamedChoice(Answer, optional=True, source="event.answer")
    request = shapes.NamedChoice(RequestKind, optional=True, source="event.request")
    request_state = shapes.NamedChoice(RequestState, optional=True, source="event.request_state")
    message = serializers.CharField(source="said.message", default="", help_text="The package that said it")
    reason = serializers.CharField(source="said.reason.code", default="", help_text="Why not, as a code")
    by = BySerializer(source="said.actor", default=None, allow_null=True)


class EventsPage(serializers.Serializer[Any]):
    """Events in order. `next` is always there: the feed goes on."""

    items = EventSerializer(many=True)
    next = serializers.URLField(help_text="Where to ask for what comes after")


class EventsView(Endpoint):
    """GET /events."""

    required_scope = {"GET": ("send", "receive")}

    @extend_schema(
        operation_id="list_events",
        tags=["events"],
        summary="What happened to my packages and deliveries",
        parameters=[EventsQuery],
        responses=answers({200: EventsPage}, "request.invalid"),
    )
    def get(self, request: Request) -> Response:
        """In one order that never changes; ask again with the last cursor, and nothing is missed.

        The sender of a package sees all its events, a recipient those of its own delivery.
        """
        query = read(EventsQuery, request.query_params)
        agencies = list(directory.agencies_of(self.principal.system).values_list("pk", flat=True))
        after = waiting.once("latest", feed.last) if query["after"] == "latest" else int(query["after"])
        found = feed.wait_for(
            agencies, after=after, limit=query["limit"], wait=timedelta(seconds=query["wait"])
        )
        following = _address(request, found[-1].position if found else after)
        return Response(
            {"items": _shown(found), "next": following},
            headers={"Link": f'<{following}>; rel="next"', "Cache-Control": "no-store"},
        )


def _shown(found: Iterable[feed.Item]) -> Any:
    return representation.many(EventSerializer, found)


def _address(request: Request, after: int) -> str:
    query = {**request.query_params.dict(), "after": after}
    return f"{settings.ENVIRONMENT.base_url.rstrip('/')}{request.path}?{urlencode(query)}"
