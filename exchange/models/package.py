"""A package as it was accepted: one edXML file, byte for byte, and what was read from it. Immutable."""

from collections.abc import Iterable
from typing import Self
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from agencies.models import Agency, System
from agencies.search import fold_text
from exchange.models.ids import uuid7

LONGEST_QUESTION = 200
MOST_WORDS = 12


class Kind(models.TextChoices):
    """What a package is: a document, or a status that answers one."""

    DOCUMENT = "document", _("Văn bản")
    STATUS = "status", _("Trạng thái")


class BusinessType(models.TextChoices):
    """What a document does (edXML 2.2.1 BussinessDocType)."""

    NEW = "new", _("Văn bản mới")
    RECALL = "recall", _("Thu hồi")
    UPDATE = "update", _("Cập nhật")
    REPLACE = "replace", _("Thay thế")


class SignatureState(models.TextChoices):
    """The verdict on the package's signature."""

    VALID = "valid", _("Hợp lệ")
    ABSENT = "absent", _("Không ký")
    INVALID = "invalid", _("Chữ ký không hợp lệ")
    BY_HUB = "by-hub", _("Trục ký thay")


class PackageQuerySet(models.QuerySet["Package"]):
    """Questions about many packages."""

    def visible_to(self, agencies: models.QuerySet[Agency]) -> Self:
        """Those sent by, or on their way to, one of `agencies`."""
        return self.filter(Q(sender__in=agencies) | Q(deliveries__recipient__in=agencies)).distinct()

    def search(self, question: str) -> Self:
        """Those in whose number, subject, DocumentId or agencies every word of `question` occurs."""
        found = self
        for word in fold_text(question[:LONGEST_QUESTION]).split()[:MOST_WORDS]:
            found = found.filter(search_text__contains=word)
        return found

    def replies(self) -> Self:
        """Documents that answer an earlier one (ResponseFor)."""
        return self.filter(business_type=BusinessType.NEW, about__isnull=False)


class Package(models.Model):
    """One edXML file. The bytes are in the vault under `sha256`."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    sha256 = models.CharField("SHA-256", max_length=64)
    size = models.BigIntegerField(_("dung lượng (byte)"))
    kind = models.CharField(_("loại gói tin"), max_length=8, choices=Kind)
    business_type = models.CharField(_("nghiệp vụ"), max_length=8, choices=BusinessType, blank=True)
    status_code = models.CharField(_("mã trạng thái"), max_length=2, blank=True)
    sender = models.ForeignKey(Agency, models.PROTECT, related_name="packages", verbose_name=_("nơi gửi"))
    sender_code = models.CharField(_("mã nơi gửi ghi trong gói tin"), max_length=64)
    system = models.ForeignKey(
        System, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("gửi qua hệ thống")
    )
    document_id = models.CharField(_("mã văn bản"), max_length=500, blank=True)
    number = models.CharField(_("số"), max_length=100, blank=True)
    notation = models.CharField(_("ký hiệu"), max_length=100, blank=True)
    code_folded = models.CharField(max_length=201, blank=True, editable=False)
    search_text = models.TextField(blank=True, default="", editable=False)
    promulgated_on = models.DateField(_("ngày ban hành"), null=True, blank=True)
    subject = models.TextField(_("trích yếu"), blank=True)
    type_name = models.CharField(_("tên loại"), max_length=500, blank=True)
    priority = models.PositiveSmallIntegerField(_("độ khẩn"), default=0)
    due_on = models.DateField(_("hạn trả lời"), null=True, blank=True)
    about = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="answers", verbose_name=_("về văn bản")
    )
    signature_state = models.CharField(_("chữ ký"), max_length=8, choices=SignatureState)
    signature_problem = models.CharField(_("lỗi chữ ký"), max_length=40, blank=True)
    signer_fingerprint = models.CharField(_("dấu vân tay chứng thư"), max_length=64, blank=True)
    signer = models.CharField(_("người ký số"), max_length=500, blank=True)
    signature_evidence = models.TextField(_("căn cứ kiểm tra chữ ký"), blank=True, default="", db_default="")
    signed_by = models.CharField(_("người ký"), max_length=200, blank=True, default="", db_default="")
    copies = models.PositiveIntegerField(_("số lượng bản"), null=True, blank=True)
    accepted_at = models.DateTimeField(_("trục nhận lúc"))
    seq = models.PositiveIntegerField(default=0, editable=False)
    head = models.BinaryField(null=True, editable=False)

    objects = PackageQuerySet.as_manager()

    class Meta:
        verbose_name = _("gói tin")
        verbose_name_plural = _("gói tin")
        ordering = ["-accepted_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["sender", "sha256"], name="package_same_bytes_once"),
            models.CheckConstraint(
                condition=Q(kind=Kind.DOCUMENT, status_code="") | Q(kind=Kind.STATUS, business_type=""),
                name="package_document_or_status",
            ),
        ]
        indexes = [
            models.Index(fields=["sender", "document_id"], name="package_by_document_id"),
            models.Index(fields=["sender", "code_folded"], name="package_by_code"),
            models.Index(fields=["-accepted_at", "-id"], name="package_newest_first"),
            models.Index(fields=["sender", "-accepted_at", "-id"], name="package_sent_newest_first"),
        ]

    def __str__(self) -> str:
        return self.code or self.document_id or str(self.id)

    @property
    def code(self) -> str:
        """Number and notation as people write them: `626/KH-UBND`."""
        return "/".join(part for part in (self.number, self.notation) if part)

    def searched(self, agencies: Iterable[Agency]) -> str:
        """The text in which the package is found: what it says of itself, and `agencies`, its parties."""
        parties = (word for agency in agencies for word in (agency.code, agency.name))
        return fold_text(" ".join((self.code, self.document_id, self.subject, self.type_name, *parties)))

    @property
    def stream(self) -> UUID:
        """The stream of this row's events."""
        return self.id

    @property
    def root_id(self) -> UUID:
        """The package whose document this is about: that of an update, a recall or a take-back is another."""
        own = self.business_type in (BusinessType.NEW, BusinessType.REPLACE)
        return self.id if own or self.about_id is None else self.about_id

    @property
    def in_time(self) -> bool | None:
        """Whether this reply came by the day that the document it answers asked for; None when none was."""
        asked = self.about if self.business_type == BusinessType.NEW else None
        if asked is None or asked.due_on is None:
            return None
        return timezone.localdate(self.accepted_at) <= asked.due_on
