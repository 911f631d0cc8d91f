"""The rows of the sealed log: what waits for the sealer, and the Merkle trees, one log after the other."""

from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from exchange.models.event import Event


class LogQuerySet(models.QuerySet["Log"]):
    """Questions about many logs."""

    def current(self) -> "Log | None":
        """The log that is being written: the one opened last."""
        return self.order_by("-id").first()


class Log(models.Model):
    """One log: one origin, one key, one growing tree. `size` is what is integrated, published or not;
    the receipts of the first `receipts` events are stored.

    A log ends when the next one is opened: with the calendar year (UTC), the log key, or after an incident.
    """

    origin = models.CharField(_("tên nhật ký"), max_length=100, unique=True)
    key = models.CharField(_("khóa kiểm tra"), max_length=200)
    year = models.PositiveSmallIntegerField(_("năm"))
    size = models.PositiveBigIntegerField(_("số sự kiện"), default=0)
    receipts = models.PositiveBigIntegerField(default=0, editable=False)
    opened_at = models.DateTimeField(_("mở lúc"))

    objects = LogQuerySet.as_manager()

    class Meta:
        verbose_name = _("nhật ký")
        verbose_name_plural = _("nhật ký")
        ordering = ["id"]

    def __str__(self) -> str:
        return self.origin

    def last_checkpoint(self) -> "Checkpoint | None":
        """The newest signed head."""
        return self.checkpoints.order_by("-size").first()


class Pending(models.Model):
    """An event that is committed but not yet in a log. Written with the event, deleted by the sealer."""

    event = models.OneToOneField(Event, models.PROTECT, primary_key=True, related_name="pending")

    class Meta:
        verbose_name = _("sự kiện chờ vào nhật ký")
        verbose_name_plural = _("sự kiện chờ vào nhật ký")

    def __str__(self) -> str:
        return str(self.event_id)


class LogEntry(models.Model):
    """The place of an event in a log. After a restored backup an event may stand in two logs."""

    log = models.ForeignKey(Log, models.PROTECT, related_name="entries", db_index=False)
    index = models.PositiveBigIntegerField(_("chỉ số"))
    event = models.ForeignKey(Event, models.PROTECT, related_name="entries", db_index=False)

    class Meta:
        verbose_name = _("dòng nhật ký")
        verbose_name_plural = _("dòng nhật ký")
        ordering = ["log", "index"]
        constraints = [
            models.UniqueConstraint(fields=["log", "index"], name="logentry_place_once"),
            models.UniqueConstraint(fields=["event", "log"], name="logentry_event_once"),
        ]

    def __str__(self) -> str:
        return f"{self.log_id}/{self.index}"


class TileQuerySet(models.QuerySet["Tile"]):
    """Questions about many tiles."""

    def at(self, level: int, index: int) -> Self:
        """The tile of that name, at most one in a log."""
        return self.filter(level=level, index=index)


class Tile(models.Model):
    """Up to 256 hashes of the tree (c2sp.org/tlog-tiles). It only grows, and a full one never changes."""

    log = models.ForeignKey(Log, models.PROTECT, related_name="tiles", db_index=False)
    level = models.PositiveSmallIntegerField()
    index = models.PositiveBigIntegerField()
    width = models.PositiveSmallIntegerField()
    data = models.BinaryField()

    objects = TileQuerySet.as_manager()

    class Meta:
        verbose_name = _("mảnh cây băm")
        verbose_name_plural = _("mảnh cây băm")
        constraints = [models.UniqueConstraint(fields=["log", "level", "index"], name="tile_once")]

    def __str__(self) -> str:
        return f"{self.log_id}/{self.level}/{self.index}.{self.width}"


class Checkpoint(models.Model):
    """A signed head of a log: `note` is the signed text (c2sp.org/tlog-checkpoint) byte for byte."""

    log = models.ForeignKey(Log, models.PROTECT, related_name="checkpoints", db_index=False)
    size = models.PositiveBigIntegerField(_("số sự kiện"))
    note = models.TextField(_("nội dung ký"))
    signed_at = models.DateTimeField(_("ký lúc"))

    class Meta:
        verbose_name = "checkpoint"
        verbose_name_plural = "checkpoint"
        ordering = ["log", "size"]
        constraints = [models.UniqueConstraint(fields=["log", "size"], name="checkpoint_once")]

    def __str__(self) -> str:
        return f"{self.log_id}: {self.size}"


class SealHeader(models.Model):
    """The protected header of receipts (algorithm and certificates), kept once for all that share it."""

    digest = models.CharField("SHA-256", max_length=64, unique=True)
    text = models.TextField()

    class Meta:
        verbose_name = _("phần đầu biên nhận")
        verbose_name_plural = _("phần đầu biên nhận")

    def __str__(self) -> str:
        return self.digest


class StoredReceipt(models.Model):
    """The hub's seal on an event, as it was issued: it stays the same whatever becomes of the key."""

    event = models.OneToOneField(Event, models.PROTECT, primary_key=True, related_name="stored_receipt")
    header = models.ForeignKey(SealHeader, models.PROTECT, related_name="+", db_index=False)
    signature = models.CharField(max_length=86)

    class Meta:
        verbose_name = _("biên nhận")
        verbose_name_plural = _("biên nhận")

    def __str__(self) -> str:
        return str(self.event_id)

    @property
    def jws(self) -> str:
        """The detached JWS."""
        return f"{self.header.text}..{self.signature}"


class LogCheck(models.Model):
    """What a check of the log found (audit.Finding as JSON), and how far it got: the next goes on there."""

    at = models.DateTimeField(_("kiểm tra lúc"))
    full = models.BooleanField(_("toàn bộ"))
    held = models.BooleanField(_("đều đúng"))
    log = models.ForeignKey(Log, models.PROTECT, null=True, related_name="+", db_index=False)
    size = models.PositiveBigIntegerField(_("đã kiểm tra tới"), default=0)
    events = models.PositiveBigIntegerField(_("số sự kiện đã kiểm tra"), default=0)
    findings = models.JSONField(_("phát hiện"), default=list)

    class Meta:
        verbose_name = _("lần kiểm tra nhật ký")
        verbose_name_plural = _("lần kiểm tra nhật ký")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.at:%F %T}: {len(self.findings)}"
