"""How things look in JSON. No logic: names, order, and where each value comes from."""

from typing import Any

from django.db.models import Choices
from rest_framework import serializers

from agencies.directory import Agency
from exchange.api import problems
from exchange.api.pdf_shapes import PdfReportSerializer
from exchange.envelope.package import Note
from exchange.log import Receipt
from exchange.models import (
    Answer,
    BusinessType,
    Delivery,
    Kind,
    Outcome,
    Package,
    Request,
    RequestState,
    SignatureState,
    State,
)

IN_TIME = "Whether this reply came by the day asked for; null when it is no reply or no day was asked"


class NamedChoice(serializers.ChoiceField):
    """One of the values of a model's choices, under their name in the description."""

    def __init__(self, choices: type[Choices], *, optional: bool = False, **kwargs: Any) -> None:
        self.name = choices.__name__ if not optional else f"{choices.__name__}OrNone"
        super().__init__([*choices.choices, ("", "")] if optional else choices.choices, **kwargs)


class ProblemPlaceSerializer(serializers.Serializer[Any]):
    """One problem: what, and where (xpath and line in a package, pointer in a query or JSON body)."""

    code = serializers.CharField()
    detail = serializers.CharField()
    xpath = serializers.CharField(required=False)
    line = serializers.IntegerField(required=False)
    pointer = serializers.CharField(required=False)


class ProblemSerializer(serializers.Serializer[Any]):
    """Why the hub says no (RFC 9457)."""

    type = serializers.URLField(help_text="A page on this hub that describes the code")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="Vietnamese; English with Accept-Language: en")
    code = serializers.CharField(help_text="From the catalogue of refusals; never reused")
    errors = ProblemPlaceSerializer(many=True)  # type: ignore[assignment]
    request_id = serializers.CharField()


class ReceiptSerializer(serializers.Serializer[Receipt]):
    """An event signed by the hub: keep both, they verify offline."""

    event = serializers.SerializerMethodField(help_text="The exact text that was signed")
    jws = serializers.CharField(help_text="Detached JWS (RFC 7515, appendix F), ES256, with x5c")

    def get_event(self, receipt: Receipt) -> str:
        """The bytes of the event, which are UTF-8."""
        return receipt.raw.decode()


class WarningSerializer(serializers.Serializer[Note]):
    """Something the sender should know; the package is accepted all the same."""

    code = serializers.CharField()
    detail = serializers.SerializerMethodField()

    def get_detail(self, note: Note) -> str:
        """The text in the language of the answer."""
        return note.detail_en if problems.language() == "en" else note.detail_vi


class PackageDeliverySerializer(serializers.Serializer[Delivery]):
    """One recipient of a package."""

    id = serializers.UUIDField()
    recipient = serializers.CharField(source="recipient_code", help_text="The code written in the package")
    recipient_name = serializers.CharField(source="recipient.name")
    state = NamedChoice(State)
    answer = NamedChoice(Answer)
    request = NamedChoice(Request)
    request_state = NamedChoice(RequestState)


class DeadlineDeliverySerializer(PackageDeliverySerializer):
    """One recipient of a package, with what it should answer by when."""

    request_due_at = serializers.DateTimeField(
        allow_null=True, help_text="Until when the recipient should answer the sender's request"
    )
    requested_by = serializers.UUIDField(
        source="requested_by.package_id",
        allow_null=True,
        help_text="The package that carries the request",
    )
    held = serializers.BooleanField(
        source="awaits_report",
        help_text="Whether it waits for the report on PDF signatures, as the recipient refuses broken ones",
    )
    receipt_due_at = serializers.DateTimeField(
        allow_null=True, help_text="Until when the recipient should confirm the receipt of a document"
    )
    first_answered_at = serializers.DateTimeField(allow_null=True, help_text="When it did, with any answer")
    reminded_at = serializers.DateTimeField(allow_null=True, help_text="When it was reminded")


class SignatureSerializer(serializers.Serializer[Package]):
    """The hub's verdict on the package's signature."""

    state = NamedChoice(SignatureState, source="signature_state")
    signer = serializers.CharField(help_text="Who signed, as the certificate says")
    fingerprint = serializers.CharField(source="signer_fingerprint", help_text="SHA-256 of the certificate")
    problem = serializers.CharField(
        source="signature_problem", help_text="The code of what is wrong, or empty"
    )
    evidence = serializers.CharField(
        source="signature_evidence",
        help_text="What a valid verdict rested on, JSON; its SHA-256 stands in the event of acceptance",
    )


class PackageSerializer(serializers.Serializer[Package]):
    """A package without its deliveries."""

    id = serializers.UUIDField()
    kind = NamedChoice(Kind)
    business_type = NamedChoice(BusinessType, optional=True, help_text="Empty for a status")
    status_code = serializers.CharField(help_text="Empty for a document")
    document_id = serializers.CharField()
    code = serializers.CharField(help_text="Number and notation: 626/KH-UBND")
    promulgated_on = serializers.DateField(allow_null=True)
    subject = serializers.CharField()
    priority = serializers.IntegerField()
    about = serializers.UUIDField(source="about_id", allow_null=True, help_text="The document it answers")
    sha256 = serializers.CharField()
    size = serializers.IntegerField()
    accepted_at = serializers.DateTimeField()
    sender = serializers.CharField(source="sender_code", help_text="The code written in the package")
    sender_name = serializers.CharField(source="sender.name")
    signature = SignatureSerializer(source="*")


class PackageWithDeliveriesSerializer(PackageSerializer):
    """A package with those of its deliveries that the asking system may see."""

    deliveries = PackageDeliverySerializer(many=True)


class AboutSerializer(serializers.Serializer[Package]):
    """The package that another one answers or acts on."""

    id = serializers.UUIDField()
    kind = NamedChoice(Kind)
    business_type = NamedChoice(BusinessType, optional=True, help_text="Empty for a status")
    document_id = serializers.CharField()
    code = serializers.CharField(help_text="Number and notation: 626/KH-UBND")


class RelatedSerializer(AboutSerializer):
    """A package that answers or acts on another one: a reply, recall, update, replacement or status."""

    status_code = serializers.CharField(help_text="Empty for a document")
    sender = serializers.CharField(source="sender_code", help_text="The code written in the package")
    accepted_at = serializers.DateTimeField()
    in_time = serializers.BooleanField(allow_null=True, help_text=IN_TIME)


class DescribedPackageSerializer(PackageSerializer):
    """A package with its deliveries and relations, as far as the asking system may see them."""

    about = AboutSerializer(  # type: ignore[assignment]
        allow_null=True, help_text="The package that it answers or acts on"
    )
    due_on = serializers.DateField(allow_null=True, help_text="The day by which it asks for a reply")
    in_time = serializers.BooleanField(allow_null=True, help_text=IN_TIME)
    pdf_report = PdfReportSerializer(
        allow_null=True, help_text="On the signatures inside PDF attachments; null where there is none"
    )
    related = RelatedSerializer(source="answers", many=True, help_text="What is about it, oldest first")
    deliveries = DeadlineDeliverySerializer(many=True)


class AcceptanceSerializer(PackageWithDeliveriesSerializer):
    """What the sender of a package gets, at once and at every replay."""

    warnings = WarningSerializer(many=True)
    receipt = ReceiptSerializer()


class RecipientSerializer(serializers.Serializer[Agency]):
    """An agency that a package would go to."""

    code = serializers.CharField()
    name = serializers.CharField()


class ReportSerializer(serializers.Serializer[Any]):
    """What intake would say."""

    acceptable = serializers.BooleanField()
    refusals = ProblemPlaceSerializer(many=True)
    warnings = WarningSerializer(many=True)
    recipients = RecipientSerializer(many=True)


class InboxItemSerializer(serializers.Serializer[Delivery]):
    """A delivery waiting to be fetched and acknowledged."""

    delivery = serializers.UUIDField(source="id")
    package = serializers.UUIDField(source="package_id")
    kind = NamedChoice(Kind, source="package.kind")
    recipient = serializers.CharField(source="recipient_code")
    sender = serializers.CharField(source="package.sender_code")
    sender_name = serializers.CharField(source="package.sender.name")
    document_id = serializers.CharField(source="package.document_id")
    code = serializers.CharField(source="package.code")
    subject = serializers.CharField(source="package.subject")
    priority = serializers.IntegerField(source="package.priority")
    sha256 = serializers.CharField(source="package.sha256")
    size = serializers.IntegerField(source="package.size")
    queued_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    receipt_due_at = serializers.DateTimeField(allow_null=True, help_text="When to confirm the receipt by")
    reminded_at = serializers.DateTimeField(allow_null=True, help_text="Set when that is overdue")


class AttemptSerializer(serializers.Serializer[Any]):
    """One try to push; the recipient's address is its own business."""

    number = serializers.IntegerField()
    outcome = NamedChoice(Outcome)
    http_status = serializers.IntegerField(allow_null=True)
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField()


class DeliverySerializer(DeadlineDeliverySerializer):
    """A delivery with its times and attempts."""

    package = serializers.UUIDField(source="package_id")
    kind = NamedChoice(Kind, source="package.kind")
    sender = serializers.CharField(source="package.sender_code")
    document_id = serializers.CharField(source="package.document_id")
    code = serializers.CharField(source="package.code")
    sha256 = serializers.CharField(source="package.sha256")
    queued_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    handed_over_at = serializers.DateTimeField(allow_null=True)
    answered_at = serializers.DateTimeField(allow_null=True)
    attempts = AttemptSerializer(source="attempt_rows.all", many=True)


class HandoverSerializer(serializers.Serializer[Any]):
    """The proof that a delivery was handed over."""

    delivery = serializers.UUIDField()
    receipt = ReceiptSerializer()


class HandoverOutcomeSerializer(serializers.Serializer[Any]):
    """What became of one acknowledgement among several: a receipt or a refusal."""

    delivery = serializers.UUIDField()
    receipt = ReceiptSerializer(allow_null=True)
    refusal = ProblemPlaceSerializer(allow_null=True)


class HandoversSerializer(serializers.Serializer[Any]):
    """The outcomes of several acknowledgements, in the order given."""

    items = HandoverOutcomeSerializer(many=True)


class LineSerializer(serializers.Serializer[Any]):
    """One event of a trail."""

    name = serializers.CharField()
    at = serializers.DateTimeField()
    stream = serializers.UUIDField()
    seq = serializers.IntegerField()
    leaf = serializers.SerializerMethodField(help_text="SHA-256(0x00 ‖ event), in hex")
    event = serializers.SerializerMethodField(
        help_text="The exact text that is hashed and signed; null once it was removed by rule or order"
    )

    def get_leaf(self, line: Any) -> str:
        """The leaf hash, which stays for ever."""
        leaf: str = line.leaf.hex()
        return leaf

    def get_event(self, line: Any) -> str | None:
        """The bytes of the event, which are UTF-8."""
        return None if line.raw is None else line.raw.decode()


class PlaceSerializer(serializers.Serializer[Any]):
    """Where an event stands in the log; absent until it does, about a second after it happened."""

    log = serializers.CharField(required=False, help_text="Origin of the log")
    index = serializers.IntegerField(required=False)
    proof = serializers.CharField(required=False, help_text="c2sp.org/tlog-proof@v1, with the signed head")


class ProvedLineSerializer(LineSerializer, PlaceSerializer):
    """One event of a trail, with its place in the log."""


class ProvedReceiptSerializer(ReceiptSerializer, PlaceSerializer):
    """A receipt with its place in the log. `event`, `jws` and `proof` make a file that verifies offline."""


class TrailSerializer(serializers.Serializer[Any]):
    """Every event of a package and its deliveries, oldest first."""

    items = ProvedLineSerializer(many=True)


class ReceiptsSerializer(serializers.Serializer[Any]):
    """Every receipt of a package and its deliveries, oldest first."""

    items = ProvedReceiptSerializer(many=True)


class StatementSerializer(serializers.Serializer[Any]):
    """How many events a stream has at a size of the log: keep both fields, they verify offline."""

    statement = serializers.CharField(help_text="One line of JSON: the exact text that was sealed")
    jws = serializers.CharField(help_text="Detached JWS (RFC 7515, appendix F), ES256, with x5c")


class StatementsSerializer(serializers.Serializer[Any]):
    """One for the package, and one for each of its deliveries that the asking system may see."""

    items = StatementSerializer(many=True)


class ValiditySerializer(serializers.Serializer[Any]):
    """From when until when a code means the agency; empty: open."""

    code = serializers.CharField()
    valid_from = serializers.DateTimeField(allow_null=True)
    valid_until = serializers.DateTimeField(allow_null=True)


class AgencySerializer(serializers.Serializer[Agency]):
    """An agency of the directory."""

    code = serializers.CharField(help_text="The present code")
    aliases = serializers.SerializerMethodField(help_text="Its other codes, old and new")
    name = serializers.CharField()
    name_en = serializers.CharField()
    parent = serializers.CharField(  # type: ignore[assignment]
        source="parent.code", allow_null=True, default=None
    )
    validity = ValiditySerializer(source="aliases.all", many=True)
    reachable = serializers.BooleanField(help_text="Whether documents can be sent to it now")
    updated_at = serializers.DateTimeField()

    def get_aliases(self, agency: Agency) -> list[str]:
        """Every code but the present one."""
        codes = (alias.code for alias in agency.aliases.all())
        return [code for code in dict.fromkeys(codes) if code != agency.code]


def page_shape(name: str, item: type[serializers.Serializer[Any]]) -> Any:
    """The shape of a page of `item`: for the description only."""
    fields = {"items": item(many=True), "next": serializers.URLField(allow_null=True)}
    return type(name, (serializers.Serializer,), fields)


PackagesPage = page_shape("PackagesPage", PackageWithDeliveriesSerializer)
InboxPage = page_shape("InboxPage", InboxItemSerializer)
AgenciesPage = page_shape("AgenciesPage", AgencySerializer)
