"""What was removed of the evidence, by which event, and the orders of two persons to do so."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from exchange.models.event import Event
from exchange.models.log import LogEntry
from exchange.models.package import Package


class Redacted(models.Model):
    """An entry of a log whose event lost its bytes; `by` is the `Redaction` event that names its index."""

    entry = models.OneToOneField(LogEntry, models.PROTECT, primary_key=True, related_name="redacted")
    by = models.ForeignKey(Event, models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("nội dung đã xóa")
        verbose_name_plural = _("nội dung đã xóa")

    def __str__(self) -> str:
        return str(self.entry_id)


class RedactionOrder(models.Model):
    """An order to remove the event bodies of a package, and perhaps its original bytes. One person enters
    it, another one confirms it, which carries it out, or drops it. Names are those of accounts."""

    package = models.ForeignKey(Package, models.PROTECT, related_name="+", verbose_name=_("gói tin"))
    content = models.BooleanField(_("xóa cả bản gốc của gói tin"), default=False)
    reason = models.TextField(_("căn cứ, lý do"))
    entered_by = models.CharField(_("người lập"), max_length=150)
    entered_at = models.DateTimeField(_("lập lúc"))
    decided_by = models.CharField(_("người quyết định"), max_length=150, blank=True)
    decided_at = models.DateTimeField(_("quyết định lúc"), null=True, blank=True)
    carried_out = models.BooleanField(_("đã thực hiện"), default=False)

    class Meta:
        verbose_name = _("lệnh xóa nội dung")
        verbose_name_plural = _("lệnh xóa nội dung")
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("order_redaction", "Can order the removal of evidence, and confirm another's order")]
        constraints = [
            models.CheckConstraint(
                condition=Q(decided_at=None, decided_by="", carried_out=False)
                | (Q(decided_at__isnull=False) & ~Q(decided_by="")),
                name="redactionorder_decided_whole",
            ),
            models.CheckConstraint(
                condition=Q(carried_out=False) | ~Q(decided_by=F("entered_by")),
                name="redactionorder_two_persons",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {self.package_id}"
