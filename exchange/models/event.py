"""The audit log's rows. An event is insert-only; its exact bytes stand in a table of their own."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Event(models.Model):
    """One line of the audit log: its place in a stream and the hash of its bytes.

    The four state columns repeat those of the delivery after the event; the database refuses a delivery
    whose state differs from its last event (see guards.py).
    """

    id = models.BigAutoField(primary_key=True)
    stream = models.UUIDField(_("chuỗi"))
    seq = models.PositiveIntegerField(_("thứ tự"))
    name = models.CharField(_("sự kiện"), max_length=40)
    at = models.DateTimeField(_("thời điểm"))
    package = models.UUIDField(_("gói tin"), null=True, blank=True)
    delivery = models.UUIDField(_("lượt gửi"), null=True, blank=True)
    state = models.CharField(max_length=13, blank=True)
    answer = models.CharField(max_length=4, blank=True)
    request = models.CharField(max_length=9, blank=True)
    request_state = models.CharField(max_length=8, blank=True)
    leaf = models.BinaryField(_("giá trị băm"), max_length=32)

    # The bytes of an event that this process has just appended; of any other they are read with `body`.
    raw: bytes

    class Meta:
        verbose_name = _("sự kiện")
        verbose_name_plural = _("sự kiện")
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["stream", "seq"], name="event_once_in_stream")]
        indexes = [models.Index(fields=["package", "id"], name="event_of_package")]

    def __str__(self) -> str:
        return f"{self.name} {self.stream}/{self.seq}"


class EventBody(models.Model):
    """The exact bytes of an event: what is hashed, signed, exported and verified."""

    event = models.OneToOneField(Event, models.PROTECT, primary_key=True, related_name="body")
    raw = models.BinaryField()

    class Meta:
        verbose_name = _("nội dung sự kiện")
        verbose_name_plural = _("nội dung sự kiện")

    def __str__(self) -> str:
        return str(self.event_id)


class EventText(models.Model):
    """Free text of an event, which itself holds only SHA-256(salt ‖ text); may be deleted (redaction)."""

    event = models.OneToOneField(Event, models.PROTECT, primary_key=True, related_name="text")
    salt = models.BinaryField(max_length=16)
    text = models.TextField()

    class Meta:
        verbose_name = _("lời văn của sự kiện")
        verbose_name_plural = _("lời văn của sự kiện")

    def __str__(self) -> str:
        return self.text[:50]
