"""Counters of the statistics: rows that transactions insert, and the sums they are folded into."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from agencies.models import Agency


class Direction(models.TextChoices):
    """On which side of a package the agency stands."""

    SENT = "sent", _("Đi")
    RECEIVED = "received", _("Đến")


class Measure(models.TextChoices):
    """What is counted; taken by the hub, handed to a system, and handled by a person are never one."""

    TAKEN = "taken", _("Trục đã nhận")
    DELIVERIES = "deliveries", _("Lượt gửi")
    HANDED_OVER = "handed_over", _("Đã giao cho hệ thống")
    ANSWER_01 = "answer_01", _("01 Đã đến")
    ANSWER_02 = "answer_02", _("02 Từ chối tiếp nhận")
    ANSWER_03 = "answer_03", _("03 Đã tiếp nhận")
    ANSWER_04 = "answer_04", _("04 Phân công")
    ANSWER_05 = "answer_05", _("05 Đang xử lý")
    ANSWER_06 = "answer_06", _("06 Hoàn thành")
    WITHDRAWN = "withdrawn", _("Đã thu hồi")
    SUPERSEDED = "superseded", _("Đã được thay thế")
    EXPIRED = "expired", _("Hết hạn giao")
    UNDELIVERABLE = "undeliverable", _("Không giao được")
    REQUEUED = "requeued", _("Gửi lại")
    IN_TIME = "in_time", _("Xác nhận đúng hạn")
    LATE = "late", _("Xác nhận quá hạn")
    REMINDERS = "reminders", _("Lần nhắc")
    EXPIRY_WARNINGS = "expiry_warnings", _("Lần báo sắp hết hạn")


class Counted(models.Model):
    """A number of one measure: per day (in Vietnam), agency, direction, type of package.

    `bucket` is the time since the package was taken, on the scale of `exchange.statistics`; -1 for none.
    """

    day = models.DateField(_("ngày"))
    agency = models.ForeignKey(
        # No constraint: the check would lock the agency's row in every transaction that counts.
        Agency,
        models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
        verbose_name=_("cơ quan"),
    )
    direction = models.CharField(_("chiều"), max_length=8, choices=Direction)
    kind = models.CharField(_("loại"), max_length=8)
    measure = models.CharField(_("số đo"), max_length=15, choices=Measure)
    bucket = models.SmallIntegerField(_("khoảng thời gian"), default=-1)
    count = models.BigIntegerField(_("số lượng"))

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.day} {self.agency_id} {self.direction} {self.kind} {self.measure}: {self.count}"


class StatisticsDelta(Counted):
    """What one transaction adds; inserted with its events, deleted when it is folded."""

    class Meta:
        verbose_name = _("số liệu chờ cộng")
        verbose_name_plural = _("số liệu chờ cộng")


class StatisticsDay(Counted):
    """The sum of the folded deltas of one key. Only the roll-up writes here."""

    class Meta:
        verbose_name = _("số liệu theo ngày")
        verbose_name_plural = _("số liệu theo ngày")
        constraints = [
            models.UniqueConstraint(
                fields=["agency", "day", "direction", "kind", "measure", "bucket"], name="statistics_key_once"
            )
        ]
