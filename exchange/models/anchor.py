"""Anchors of the log outside the hub, and the heads of other logs that this hub vouches for."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from exchange.models.log import Checkpoint


class AnchorKind(models.TextChoices):
    """Who vouches for a checkpoint."""

    TIME_STAMP = "time-stamp", _("Dấu thời gian (RFC 3161)")
    WITNESS = "witness", _("Nhân chứng (C2SP)")


class Anchor(models.Model):
    """Somebody outside saw a checkpoint: a time-stamp token over the bytes of its note, or the signature
    line of a witness. `by` is the address of the authority, or the verifier key of the witness."""

    checkpoint = models.ForeignKey(
        Checkpoint, models.PROTECT, related_name="anchors", verbose_name=_("checkpoint")
    )
    kind = models.CharField(_("loại"), max_length=10, choices=AnchorKind)
    by = models.CharField(_("bên xác nhận"), max_length=300)
    at = models.DateTimeField(_("theo giờ của bên xác nhận"))
    value = models.BinaryField()

    class Meta:
        verbose_name = _("neo nhật ký")
        verbose_name_plural = _("neo nhật ký")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["checkpoint", "kind", "by"], name="anchor_once")]

    def __str__(self) -> str:
        return f"{self.checkpoint}: {self.kind}"


class WitnessedLog(models.Model):
    """The head of another hub's log that this hub cosigned last (c2sp.org/tlog-witness): it only grows."""

    origin = models.CharField(_("tên nhật ký"), max_length=200, unique=True)
    size = models.PositiveBigIntegerField(_("số sự kiện"), default=0)
    root = models.BinaryField(max_length=32)
    note = models.TextField(_("nội dung ký"), blank=True)
    at = models.DateTimeField(_("xác nhận lúc"))

    class Meta:
        verbose_name = _("nhật ký được xác nhận")
        verbose_name_plural = _("nhật ký được xác nhận")
        ordering = ["origin"]

    def __str__(self) -> str:
        return f"{self.origin}: {self.size}"
