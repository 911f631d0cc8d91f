"""/inbox and /deliveries: fetch, acknowledge, answer."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agencies import directory
from exchange import delivery, intake, log
from exchange.api import problems, representation, shapes
from exchange.api.content import answer_bytes
from exchange.api.endpoint import Endpoint, Input, conditional, posted, read
from exchange.api.packages import acceptance
from exchange.api.paging import DEFAULT, MOST
from exchange.api.schema import CONTENT, IF_NONE_MATCH, OF_PACKAGES, answers
from exchange.envelope.package import Staff
from exchange.models import Delivery, Kind
from exchange.plan import TAKE_BACK
from exchange.refusals import Refused

_NOT_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


class InboxQuery(Input):
    """What GET /inbox takes."""

    limit = serializers.IntegerField(min_value=1, max_value=MOST, default=DEFAULT)
    wait = serializers.IntegerField(
        min_value=0, max_value=30, default=0, help_text="Seconds to wait while it is empty"
    )
    lease = serializers.IntegerField(
        min_value=0, max_value=600, default=0, help_text="Seconds to hide the items from other pollers"
    )
    kind = shapes.NamedChoice(Kind, required=False)


class AckBody(Input):
    """The digest that the recipient computed itself, over the bytes it received."""

    sha256 = serializers.CharField(max_length=200)


class AckedBody(Input):
    """One of several deliveries, and the digest of what was received of it."""

    delivery = serializers.UUIDField()
    sha256 = serializers.CharField(max_length=200)


class AckAllBody(Input):
    """What was received, of several deliveries."""

    deliveries = serializers.ListField(child=AckedBody(), allow_empty=False, max_length=MOST)

    def validate_deliveries(self, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Two digests of one delivery say nothing. Raises ValidationError."""
        if len({one["delivery"] for one in given}) < len(given):
            raise serializers.ValidationError("a delivery is named twice")
        return given


class XmlText(serializers.CharField):
    """Text that can stand in the XML which the hub writes from it (XML 1.0, 2.2)."""

    def to_internal_value(self, data: Any) -> str:
        """The text, or ValidationError for characters that XML cannot hold."""
        text: str = super().to_internal_value(data)
        if _NOT_XML.search(text):
            raise serializers.ValidationError("characters that XML does not allow")
        return text


class StaffBody(Input):
    """The person behind an answer (edXML StaffInfo)."""

    department = XmlText(max_length=200, required=False, allow_blank=True)
    department_id = XmlText(max_length=100, required=False, allow_blank=True)
    staff = XmlText(max_length=200, required=False, allow_blank=True, help_text="Name")
    staff_id = XmlText(max_length=100, required=False, allow_blank=True)
    mobile = XmlText(max_length=50, required=False, allow_blank=True)
    email = XmlText(max_length=200, required=False, allow_blank=True)


class StatusBody(Input):
    """An answer to a document; the hub writes the edXML."""

    code = serializers.CharField(max_length=10, help_text="01–06, 15, 16 by the recipient; 13 by the sender")
    description = XmlText(max_length=1000, required=False, allow_blank=True, default="")
    staff = StaffBody(required=False, allow_null=True)
    at = serializers.DateTimeField(required=False, allow_null=True, help_text="When it happened; else now")


class InboxView(Endpoint):
    """GET /inbox."""

    required_scope = {"GET": ("receive",)}

    @extend_schema(
        operation_id="get_inbox",
        tags=["deliveries"],
        summary="What waits for my agencies",
        parameters=[InboxQuery],
        responses=answers({200: shapes.InboxPage}, "request.invalid"),
    )
    def get(self, request: Request) -> Response:
        """Most urgent first, then oldest. `next` is where to ask again at once when the answer is full."""
        query = read(InboxQuery, request.query_params)
        found = delivery.wait_for_inbox(
            self.principal.system,
            wait=timedelta(seconds=query["wait"]),
            limit=query["limit"],
            kind=query.get("kind", ""),
            lease=timedelta(seconds=query["lease"]),
        )
        full = len(found) == query["limit"]
        return Response(
            {
                "items": representation.many(shapes.InboxItemSerializer, found),
                "next": settings.ENVIRONMENT.base_url.rstrip("/") + request.get_full_path() if full else None,
            },
            headers={"Cache-Control": "no-store"},
        )


class DeliveryView(Endpoint):
    """GET /deliveries/{id}."""

    required_scope = {"GET": ("send", "receive")}

    @extend_schema(
        operation_id="get_delivery",
        tags=["deliveries"],
        summary="Describe a delivery",
        parameters=[IF_NONE_MATCH],
        responses=answers({200: shapes.DeliverySerializer, 304: None}, "request.not-found"),
    )
    def get(self, request: Request, delivery_id: UUID) -> Response:
        """Its state, times and attempts, for the sender and the recipient."""
        return conditional(request, shapes.DeliverySerializer(one(self.principal.system, delivery_id)).data)


class DeliveryContentView(Endpoint):
    """GET /deliveries/{id}/content."""

    required_scope = {"GET": ("receive",)}

    @extend_schema(
        operation_id="get_delivery_content",
        tags=["deliveries"],
        summary="The bytes to fetch",
        parameters=[IF_NONE_MATCH],
        responses=answers(CONTENT, "request.not-found", "delivery.withdrawn", "delivery.closed"),
    )
    def get(self, request: Request, delivery_id: UUID) -> HttpResponseBase:
        """Byte for byte as sent, for the recipient. From now on a recall becomes a request."""
        served = delivery.serve(delivery_id, system=self.principal.system, now=timezone.now())
        return answer_bytes(request, served.package)


class AckView(Endpoint):
    """POST /deliveries/{id}/ack."""

    required_scope = {"POST": ("receive",)}

    @extend_schema(
        operation_id="acknowledge_delivery",
        tags=["deliveries"],
        summary="Confirm what was received",
        request=AckBody,
        responses=answers(
            {200: shapes.HandoverSerializer},
            "request.invalid",
            "request.not-found",
            "delivery.digest-mismatch",
            "delivery.withdrawn",
            "delivery.closed",
        ),
        examples=[OpenApiExample("ack", {"sha256": "9f86d081…0a08"}, request_only=True)],
    )
    def post(self, request: Request, delivery_id: UUID) -> Response:
        """The receipt of the handover; again, the same receipt."""
        given = posted(AckBody, request)
        receipt = delivery.acknowledge(
            delivery_id,
            system=self.principal.system,
            sha256=given["sha256"],
            actor=self.principal.actor,
            now=timezone.now(),
        )
        return Response({"delivery": delivery_id, "receipt": shapes.ReceiptSerializer(receipt).data})


class AckAllView(Endpoint):
    """POST /deliveries/ack."""

    required_scope = {"POST": ("receive",)}

    @extend_schema(
        operation_id="acknowledge_deliveries",
        tags=["deliveries"],
        summary="Confirm what was received of several deliveries",
        request=AckAllBody,
        responses=answers({200: shapes.HandoversSerializer}, "request.invalid"),
    )
    def post(self, request: Request) -> Response:
        """Each has an outcome of its own, in the order given: the receipt of its handover, or its refusal."""
        given = posted(AckAllBody, request)["deliveries"]
        outcomes = delivery.acknowledge_all(
            {one["delivery"]: one["sha256"] for one in given},
            system=self.principal.system,
            actor=self.principal.actor,
            now=timezone.now(),
        )
        return Response({"items": [_outcome(*pair) for pair in outcomes.items()]})


def _outcome(key: UUID, outcome: log.Receipt | Refused) -> dict[str, Any]:
    if isinstance(outcome, Refused):
        problems.count(outcome)
        refusal = problems.item(outcome.problems[0], problems.language())
        return {"delivery": key, "receipt": None, "refusal": refusal}
    return {
        "delivery": key,
        "receipt": representation.one(shapes.ReceiptSerializer, outcome),
        "refusal": None,
    }


class StatusView(Endpoint):
    """POST /deliveries/{id}/status."""

    required_scope = {"POST": ("receive", "send")}

    @extend_schema(
        operation_id="answer_delivery",
        tags=["deliveries"],
        summary="Answer a document",
        request=StatusBody,
        responses=answers(
            {201: shapes.AcceptanceSerializer}, "request.invalid", "request.not-found", *OF_PACKAGES
        ),
        examples=[
            OpenApiExample("accepted", {"code": "03", "description": "Đã tiếp nhận"}, request_only=True)
        ],
    )
    def post(self, request: Request, delivery_id: UUID) -> Response:
        """The hub writes and seals the edXML status message and routes it to the document's sender.

        Code 13 needs the scope `send`, the answers of a recipient need `receive`.
        """
        given = posted(StatusBody, request)
        self.principal.need("send" if given["code"].strip() == TAKE_BACK else "receive")
        accepted = intake.answer(
            one(self.principal.system, delivery_id),
            code=given["code"],
            description=given["description"],
            staff=_staff(given.get("staff")),
            at=given.get("at"),
            system=self.principal.system,
            actor=self.principal.actor,
            now=timezone.now(),
        )
        return acceptance(accepted)


def one(system: directory.System, delivery_id: UUID) -> Delivery:
    """A delivery from or to an agency of `system`. Raises Refused request.not-found."""
    rows = Delivery.objects.visible_to(directory.agencies_of(system)).prefetch_related("attempt_rows")
    found = rows.select_related("package__sender", "recipient", "requested_by").filter(pk=delivery_id).first()
    if found is None:
        raise Refused("request.not-found")
    return found


def _staff(given: dict[str, Any] | None) -> Staff | None:
    return Staff(**given) if given else None
