"""What is taken out of the hub: export jobs, their schedules, codes of printed proofs, digests of files."""

from datetime import datetime
from typing import Self
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from agencies.models import Agency, System
from exchange.models.ids import uuid7
from exchange.models.package import Package


class ExportKind(models.TextChoices):
    """What an export shows."""

    TRAIL = "trail", _("Sự kiện")
    DELIVERIES = "deliveries", _("Lượt gửi")
    REGISTER_OUT = "register-out", _("Sổ đăng ký văn bản đi")
    REGISTER_IN = "register-in", _("Sổ đăng ký văn bản đến")


class ExportFormat(models.TextChoices):
    """The form of the file; JSON Lines come as a zip with the proofs."""

    JSONL = "jsonl", _("JSON Lines kèm bằng chứng (.zip)")
    CSV = "csv", _("CSV")
    XLSX = "xlsx", _("Excel (.xlsx)")
    PDF = "pdf", _("PDF")


class ExportState(models.TextChoices):
    """What became of a job."""

    WAITING = "waiting", _("Đang chờ")
    RUNNING = "running", _("Đang lập")
    DONE = "done", _("Đã xong")
    FAILED = "failed", _("Không lập được")
    CANCELLED = "cancelled", _("Đã hủy")


OPEN = (ExportState.WAITING, ExportState.RUNNING)


class Every(models.TextChoices):
    """How often a scheduled export is made; always of the period that has just ended."""

    DAY = "day", _("Hằng ngày")
    WEEK = "week", _("Hằng tuần")
    MONTH = "month", _("Hằng tháng")


class Order(models.Model):
    """What is asked for, and for whom: a person or a system. `query` is the filter as in a link."""

    kind = models.CharField(_("nội dung"), max_length=12, choices=ExportKind)
    format = models.CharField(_("định dạng"), max_length=5, choices=ExportFormat)
    query = models.TextField(_("bộ lọc"), blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("người lập"),
    )
    system = models.ForeignKey(
        System, models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("hệ thống")
    )

    class Meta:
        abstract = True


class ExportSchedule(Order):
    """An export made again and again, put into the installation's folder or mailed to the person."""

    every = models.CharField(_("chu kỳ"), max_length=5, choices=Every)
    by_mail = models.BooleanField(_("gửi qua thư điện tử"), default=False)
    next_at = models.DateTimeField(_("lần lập tới"))
    created_at = models.DateTimeField(_("tạo lúc"))

    class Meta:
        verbose_name = _("lịch xuất")
        verbose_name_plural = _("lịch xuất")
        ordering = ["-id"]
        indexes = [models.Index(fields=["next_at"], name="exportschedule_next")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.get_every_display()}"


class ExportQuerySet(models.QuerySet["Export"]):
    """Questions about many jobs."""

    def due(self, now: datetime) -> Self:
        """Those to be taken up: new, or left behind by a worker that died."""
        return self.filter(state__in=OPEN, due_at__lte=now)


class Export(Order):
    """One job and its file. `due_at` is when it may next be taken up: a lease simply moves it forward.

    `tries` tells the worker that holds it from one that lost it. The file and the row go at `expires_at`;
    what stays is the event with filter, rows and digest.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    schedule = models.ForeignKey(
        ExportSchedule, models.SET_NULL, null=True, blank=True, related_name="exports", verbose_name=_("lịch")
    )
    insist = models.BooleanField(default=False, editable=False)
    state = models.CharField(_("trạng thái"), max_length=9, choices=ExportState, default=ExportState.WAITING)
    problem = models.CharField(_("lý do"), max_length=40, blank=True)
    done = models.PositiveBigIntegerField(_("số dòng đã lập"), default=0)
    total = models.PositiveBigIntegerField(_("tổng số dòng"), null=True, blank=True)
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)
    size = models.BigIntegerField(_("dung lượng (byte)"), null=True, blank=True)
    tries = models.PositiveSmallIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(_("yêu cầu lúc"))
    finished_at = models.DateTimeField(_("xong lúc"), null=True, blank=True)
    due_at = models.DateTimeField(editable=False)
    expires_at = models.DateTimeField(_("giữ đến"))

    objects = ExportQuerySet.as_manager()

    class Meta:
        verbose_name = _("bản xuất")
        verbose_name_plural = _("bản xuất")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, system__isnull=True)
                | Q(user__isnull=True, system__isnull=False),
                name="export_for_one",
            ),
            models.CheckConstraint(
                condition=~Q(state="done") | (~Q(sha256="") & Q(total=F("done"), size__isnull=False)),
                name="export_done_has_file",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state__in=["waiting", "running"]), name="export_due"),
            models.Index(fields=["user", "-created_at"], name="export_of_user"),
            models.Index(fields=["expires_at"], name="export_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def file_name(self) -> str:
        """The name under which it is downloaded."""
        ending = "zip" if self.format == ExportFormat.JSONL else self.format
        return f"{self.kind}-{self.created_at:%Y%m%d-%H%M%S}.{ending}"

    @property
    def percent(self) -> int:
        """How far it is."""
        return 100 * self.done // self.total if self.total else 0

    @property
    def stream(self) -> UUID:
        """The stream of its event."""
        return self.id


class ProofCode(models.Model):
    """The code on a printed proof: random, 130 bits. With a delivery it shows that recipient only."""

    code = models.CharField(max_length=26, primary_key=True)
    package = models.ForeignKey(Package, models.CASCADE, related_name="+", db_index=False)
    recipient = models.ForeignKey(Agency, models.CASCADE, null=True, related_name="+", db_index=False)
    made_at = models.DateTimeField()

    class Meta:
        verbose_name = _("mã kiểm tra")
        verbose_name_plural = _("mã kiểm tra")
        constraints = [
            models.UniqueConstraint(
                fields=["package"], condition=Q(recipient__isnull=True), name="proofcode_of_sender"
            ),
            models.UniqueConstraint(
                fields=["package", "recipient"],
                condition=Q(recipient__isnull=False),
                name="proofcode_of_recipient",
            ),
        ]

    def __str__(self) -> str:
        return self.code


class AttachedFile(models.Model):
    """The digest of a file inside a package: most people hold the PDF, not the package."""

    package = models.ForeignKey(Package, models.CASCADE, related_name="files", db_index=False)
    sha256 = models.BinaryField("SHA-256", max_length=32)

    class Meta:
        verbose_name = _("tệp đính kèm")
        verbose_name_plural = _("tệp đính kèm")
        indexes = [models.Index(fields=["sha256"], name="attachedfile_by_digest")]

    def __str__(self) -> str:
        return f"{self.package_id}: {bytes(self.sha256).hex()}"
