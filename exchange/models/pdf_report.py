"""What the signatures inside the PDF attachments of a package are worth: one report for each such package."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from exchange.models.package import Package


class PdfVerdict(models.TextChoices):
    """What a report says in one word: of several signatures, the worst counts."""

    WAITING = "waiting", _("Đang kiểm tra")
    GOOD = "good", _("Chữ ký nguyên vẹn, chứng thư tin cậy")
    DOUBTFUL = "doubtful", _("Có chữ ký cần xem lại")
    BROKEN = "broken", _("Có chữ ký bị hỏng")
    UNSIGNED = "unsigned", _("Không có chữ ký")
    UNREADABLE = "unreadable", _("Có tệp không đọc được")


class PdfReportQuerySet(models.QuerySet["PdfReport"]):
    """Questions about many reports."""

    def due(self, now: datetime) -> Self:
        """Those still to be made that nobody works on, the longest waiting first."""
        return self.filter(checked_at=None, due_at__lte=now).order_by("due_at")


class PdfReport(models.Model):
    """Made at intake with the package, filled in the background (`exchange.pdfreports`), deleted with the
    package's content. `text` is the report as JSON; its SHA-256 stands in the event `SignatureReport`."""

    package = models.OneToOneField(
        Package, models.PROTECT, primary_key=True, related_name="pdf_report", verbose_name=_("gói tin")
    )
    verdict = models.CharField(_("kết luận"), max_length=10, choices=PdfVerdict, default=PdfVerdict.WAITING)
    text = models.TextField(_("báo cáo"), blank=True)
    tries = models.PositiveSmallIntegerField(_("số lần kiểm tra"), default=0)
    due_at = models.DateTimeField(_("kiểm tra từ lúc"))
    checked_at = models.DateTimeField(_("kiểm tra xong lúc"), null=True, blank=True)

    objects = PdfReportQuerySet.as_manager()

    class Meta:
        verbose_name = _("báo cáo chữ ký PDF")
        verbose_name_plural = _("báo cáo chữ ký PDF")
        constraints = [
            models.CheckConstraint(
                condition=Q(verdict="waiting", checked_at=None, text="")
                | (~Q(verdict="waiting") & Q(checked_at__isnull=False) & ~Q(text="")),
                name="pdfreport_whole",
            )
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(checked_at=None), name="pdfreport_due")]

    def __str__(self) -> str:
        return str(self.package_id)
