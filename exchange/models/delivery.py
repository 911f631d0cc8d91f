"""One package on its way to one recipient agency: the row is the queue."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agencies.models import Agency, System
from exchange.models.ids import uuid7
from exchange.models.package import BusinessType, Package


class State(models.TextChoices):
    """Where the bytes are (transport)."""

    QUEUED = "queued", _("Chờ gửi")
    HANDED_OVER = "handed_over", _("Đã giao")
    WITHDRAWN = "withdrawn", _("Đã thu hồi")
    SUPERSEDED = "superseded", _("Đã được thay thế")
    EXPIRED = "expired", _("Hết hạn")
    UNDELIVERABLE = "undeliverable", _("Không giao được")


class Answer(models.TextChoices):
    """The recipient's last word on a document (edXML 2.4 StatusCode)."""

    NONE = "none", _("Chưa trả lời")
    ARRIVED = "01", _("Đã đến")
    REFUSED = "02", _("Từ chối tiếp nhận")
    ACCEPTED = "03", _("Đã tiếp nhận")
    ASSIGNED = "04", _("Phân công")
    IN_WORK = "05", _("Đang xử lý")
    DONE = "06", _("Hoàn thành")


class Request(models.TextChoices):
    """What the sender asks of a document already handed over."""

    NONE = "none", _("Không")
    RECALL = "recall", _("Thu hồi")
    UPDATE = "update", _("Cập nhật")
    REPLACE = "replace", _("Thay thế")
    TAKE_BACK = "take_back", _("Lấy lại")


GIVE_BACK = (Request.RECALL, Request.TAKE_BACK)


class RequestState(models.TextChoices):
    """What became of the request."""

    NONE = "none", _("Không")
    OPEN = "open", _("Đang chờ trả lời")
    AGREED = "agreed", _("Đồng ý")
    DECLINED = "declined", _("Từ chối")


class Rank(models.IntegerChoices):
    """The order of an inbox, most urgent first (edXML 2.2 Priority)."""

    STATUS = 0, _("Trạng thái")
    EXPRESS = 1, _("Hỏa tốc")
    VERY_URGENT = 2, _("Thượng khẩn")
    URGENT = 3, _("Khẩn")
    ORDINARY = 4, _("Thường")


class Lane(models.IntegerChoices):
    """The queues of the push workers: statuses never wait behind a fan-out."""

    STATUS = 0, _("Trạng thái")
    EXPRESS = 1, _("Hỏa tốc")
    URGENT = 2, _("Khẩn")
    NORMAL = 3, _("Thường")
    BULK = 4, _("Gửi nhiều nơi")


REMIND_EVERY = timedelta(hours=1)

# What the pages ask of deliveries; each has an index below.
FAILED = Q(state__in=["expired", "undeliverable"])
REFUSED = Q(answer="02")
ENDED = Q(state__in=["withdrawn", "superseded"])
UNACCEPTED = Q(state__in=["queued", "handed_over"], answer__in=["none", "01"], receipt_due_at__isnull=False)

_RECEIPT_OPEN = Q(
    state__in=[State.QUEUED, State.HANDED_OVER], first_answered_at__isnull=True, reminded_at__isnull=True
)


# With these in an index, PostgreSQL counts and lists the rows of an agency without reading the table.
_LISTED = ["recipient", "rank", "queued_at", "id"]


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Questions about many deliveries."""

    def queued(self) -> Self:
        """Those still to be handed over."""
        return self.filter(state=State.QUEUED)

    def waiting(self, now: datetime) -> Self:
        """Queued, due, not leased to anybody, not held. Nothing is late before it is said to be expired."""
        return self.queued().filter(due_at__lte=now, held=False)

    def in_order(self) -> Self:
        """Most urgent first, then oldest first."""
        return self.order_by("rank", "queued_at", "id")

    def carrying(self) -> Self:
        """Those that bring a document, not a request to give one back."""
        carriers = (BusinessType.NEW, BusinessType.UPDATE, BusinessType.REPLACE)
        return self.filter(package__business_type__in=carriers).exclude(requests__request__in=GIVE_BACK)

    def unanswered(self, now: datetime) -> Self:
        """Those whose sender asked for something and was not answered by the deadline."""
        return self.filter(request_state=RequestState.OPEN, request_due_at__lte=now)

    def visible_to(self, agencies: models.QuerySet[Agency]) -> Self:
        """Those sent by, or addressed to, one of `agencies`."""
        return self.filter(Q(package__sender__in=agencies) | Q(recipient__in=agencies))

    def overdue(self, now: datetime) -> Self:
        """Documents whose receipt should have been confirmed, and whose recipient was not reminded yet."""
        return self.filter(_RECEIPT_OPEN, receipt_due_at__lt=now)

    def late(self, now: datetime) -> Self:
        """Documents not accepted whose receipt should have been confirmed, reminded of or not."""
        return self.filter(UNACCEPTED, receipt_due_at__lt=now, first_answered_at__isnull=True)

    def remindable(self, now: datetime) -> Self:
        """Late, and not reminded within REMIND_EVERY."""
        return self.late(now).filter(Q(reminded_at__isnull=True) | Q(reminded_at__lte=now - REMIND_EVERY))

    def out_of_time(self, now: datetime) -> Self:
        """Those that were not handed over by their deadline, the longest ago first."""
        return self.queued().filter(expires_at__lte=now).order_by("expires_at")

    def expiring(self, now: datetime) -> Self:
        """Documents about to expire, whose sender was not warned yet."""
        return self.queued().filter(warn_at__lte=now, expires_at__gt=now)


class Delivery(models.Model):
    """One package, one recipient agency. Leases and retries are not states and make no event.

    `due_at` is when the delivery may next be claimed: a lease and a retry both simply move it forward.
    `system` and `push` repeat the recipient's present way of receiving, so that a claim reads one index;
    `exchange.registry` moves queued rows along when an agency changes its system. `held`: the recipient
    refuses broken PDF signatures, and the report on them is not made yet, or is why the row failed.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    package = models.ForeignKey(Package, models.PROTECT, related_name="deliveries", verbose_name=_("gói tin"))
    recipient = models.ForeignKey(
        Agency, models.PROTECT, related_name="deliveries", verbose_name=_("nơi nhận")
    )
    recipient_code = models.CharField(_("mã nơi nhận ghi trong gói tin"), max_length=64)
    state = models.CharField(_("trạng thái chuyển"), max_length=13, choices=State, default=State.QUEUED)
    answer = models.CharField(_("trả lời"), max_length=4, choices=Answer, default=Answer.NONE)
    request = models.CharField(_("đề nghị của nơi gửi"), max_length=9, choices=Request, default=Request.NONE)
    request_state = models.CharField(
        _("kết quả đề nghị"), max_length=8, choices=RequestState, default=RequestState.NONE
    )
    requested_by = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="requests",
        verbose_name=_("lượt gửi mang đề nghị"),
    )
    request_due_at = models.DateTimeField(_("hạn trả lời đề nghị"), null=True, blank=True)
    system = models.ForeignKey(System, models.PROTECT, related_name="+", verbose_name=_("giao cho hệ thống"))
    push = models.BooleanField(_("hub chủ động đẩy"), default=False)
    held = models.BooleanField(_("chờ báo cáo chữ ký PDF"), default=False, db_default=False)
    rank = models.PositiveSmallIntegerField(_("thứ tự ưu tiên"), choices=Rank)
    lane = models.PositiveSmallIntegerField(_("hàng đợi"), choices=Lane)
    queued_at = models.DateTimeField(_("vào hàng đợi lúc"))
    due_at = models.DateTimeField(_("lần gửi tới"))
    expires_at = models.DateTimeField(_("hết hạn lúc"))
    served_at = models.DateTimeField(_("bắt đầu giao lúc"), null=True, blank=True)
    handed_over_at = models.DateTimeField(_("giao lúc"), null=True, blank=True)
    answered_at = models.DateTimeField(_("trả lời lúc"), null=True, blank=True)
    receipt_due_at = models.DateTimeField(_("hạn xác nhận tiếp nhận"), null=True, blank=True)
    first_answered_at = models.DateTimeField(_("xác nhận lần đầu lúc"), null=True, blank=True)
    reminded_at = models.DateTimeField(_("đã nhắc lúc"), null=True, blank=True)
    warn_at = models.DateTimeField(_("báo sắp hết hạn lúc"), null=True, blank=True)
    attempts = models.PositiveIntegerField(_("số lần gửi"), default=0)
    seq = models.PositiveIntegerField(default=0, editable=False)
    head = models.BinaryField(null=True, editable=False)

    # State and answer as the last event has them; the statistics need to know what an event changed.
    recorded: tuple[str, str] = ("", Answer.NONE.value)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("lượt gửi")
        verbose_name_plural = _("lượt gửi")
        ordering = ["-queued_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["package", "recipient"], name="delivery_once_per_recipient"),
            models.CheckConstraint(
                condition=Q(request="none", request_state="none")
                | (~Q(request="none") & ~Q(request_state="none")),
                name="delivery_request_has_state",
            ),
            models.CheckConstraint(
                condition=~Q(state="handed_over") | Q(handed_over_at__isnull=False),
                name="delivery_handed_over_has_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["system", "lane", "due_at", "id"],
                condition=Q(state="queued", push=True),
                name="delivery_due_by_system",
            ),
            models.Index(
                fields=["system", "rank", "queued_at", "id"],
                condition=Q(state="queued"),
                name="delivery_inbox",
            ),
            models.Index(
                fields=["expires_at"],
                include=["package", "system", *_LISTED],
                condition=Q(state="queued"),
                name="delivery_expiry",
            ),
            models.Index(
                fields=["request_due_at"], condition=Q(request_state="open"), name="delivery_request_due"
            ),
            models.Index(
                fields=["receipt_due_at"],
                condition=_RECEIPT_OPEN & Q(receipt_due_at__isnull=False),
                name="delivery_receipt_due",
            ),
            models.Index(
                fields=["warn_at"],
                condition=Q(state="queued", warn_at__isnull=False),
                name="delivery_expiry_warning",
            ),
            models.Index(
                fields=["recipient", "-queued_at", "-id"], include=["package"], name="delivery_received"
            ),
            # What the pages count and list: few rows among many.
            models.Index(fields=["package"], include=_LISTED, condition=FAILED, name="delivery_failed"),
            models.Index(fields=["package"], include=_LISTED, condition=REFUSED, name="delivery_refused"),
            models.Index(fields=["package"], include=_LISTED, condition=ENDED, name="delivery_ended"),
            models.Index(
                fields=["receipt_due_at", "package"],
                include=[*_LISTED, "first_answered_at"],
                condition=UNACCEPTED,
                name="delivery_unaccepted",
            ),
            models.Index(fields=["-queued_at", "-id"], name="delivery_newest_first"),
        ]

    def __str__(self) -> str:
        return f"{self.package_id} → {self.recipient_code}"

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any]) -> Self:
        """Remember what is recorded."""
        row = super().from_db(db, field_names, values)
        row.note_recorded()
        return row

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        """The same after a fresh read."""
        super().refresh_from_db(*args, **kwargs)
        self.note_recorded()

    def note_recorded(self) -> None:
        """Take the present state and answer as recorded: they were read from the row, or have their event."""
        if {"state", "answer"} <= self.__dict__.keys():
            self.recorded = (self.state, self.answer)

    @property
    def stream(self) -> UUID:
        """The stream of this row's events."""
        return self.id

    @property
    def awaits_report(self) -> bool:
        """True while it may not be handed over for want of the report on PDF signatures."""
        return self.held and self.state == State.QUEUED

    @property
    def begun(self) -> bool:
        """True once the recipient may hold the content: it was served, or a push of it began."""
        return self.served_at is not None


class Outcome(models.TextChoices):
    """How an attempt ended."""

    CONFIRMED = "confirmed", _("Đã giao, khớp giá trị băm")
    UNCONFIRMED = "unconfirmed", _("Đã giao, chưa xác nhận giá trị băm")
    REJECTED = "rejected", _("Nơi nhận báo lỗi")
    GONE = "gone", _("Nơi nhận đóng địa chỉ (410)")
    UNREACHABLE = "unreachable", _("Không kết nối được")
    MISMATCH = "mismatch", _("Giá trị băm nơi nhận trả về không khớp")


class Attempt(models.Model):
    """One try to hand a delivery over by push, and what was answered."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    delivery = models.ForeignKey(
        Delivery, models.PROTECT, related_name="attempt_rows", verbose_name=_("lượt gửi")
    )
    number = models.PositiveIntegerField(_("lần thứ"))
    url = models.CharField(_("địa chỉ"), max_length=500)
    outcome = models.CharField(_("kết quả"), max_length=12, choices=Outcome)
    http_status = models.PositiveSmallIntegerField(_("mã HTTP"), null=True, blank=True)
    detail = models.TextField(_("chi tiết"), blank=True)
    started_at = models.DateTimeField(_("bắt đầu"))
    finished_at = models.DateTimeField(_("kết thúc"))

    class Meta:
        verbose_name = _("lần gửi")
        verbose_name_plural = _("lần gửi")
        ordering = ["delivery", "number"]
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="attempt_number_once")]

    def __str__(self) -> str:
        return f"{self.delivery_id} #{self.number}"
