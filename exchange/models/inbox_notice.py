"""When a system that wants thin notices is told that something is in its inbox."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from agencies.models import WANTS_NOTICES, System
from exchange.models.circuit import Circuit
from exchange.models.delivery import Delivery

LOOK_AGAIN = timedelta(minutes=5)
TELL_AGAIN = timedelta(hours=1)


class InboxNoticeQuerySet(models.QuerySet["InboxNotice"]):
    """Questions about notices, and what others than their sender change of them."""

    def due(self, now: datetime) -> Self:
        """Those to be sent now: the system wants them, can be called, and something waits for it."""
        there = Delivery.objects.waiting(now).filter(system=OuterRef("pk"))
        systems = System.objects.filter(WANTS_NOTICES, Circuit.lets_through(now))
        return self.filter(Exists(there), due_at__lte=now, system__in=systems)

    def want(self, systems: Collection[UUID], now: datetime) -> bool:
        """Something came into the inboxes of `systems`; whether a notice is due that was not before.

        To be called when that is committed, outside of its transaction. Nothing is written for a system that
        is about to be told, or was told and has not asked since.
        """
        idle = self.filter(pk__in=systems, wanted_at=None)
        if not idle.exists():
            return False
        with transaction.atomic():
            # Whoever holds a row is telling the system, or serves its question: no need to wait for that.
            locked = idle.order_by("pk").select_for_update(skip_locked=True)
            keys = list(locked.values_list("pk", flat=True))
            return bool(self.filter(pk__in=keys, wanted_at=None).update(wanted_at=now, due_at=now))

    def asked(self, system: UUID, now: datetime, lease: timedelta) -> None:
        """`system` asks for its inbox, and takes what it finds for `lease`: it need not be told any more.

        To be called before the look: what is committed after it is told of again. One write in a while.
        """
        known = self.filter(Q(wanted_at__isnull=False) | Q(due_at__lt=now + LOOK_AGAIN / 2), pk=system)
        known.update(wanted_at=None, due_at=now + max(LOOK_AGAIN, lease), failures=0)

    def make_missing(self, now: datetime) -> None:
        """A row for each system that wants notices and has none yet."""
        new = System.objects.filter(WANTS_NOTICES, inbox_notice=None)
        self.bulk_create(
            [InboxNotice(pk=key, due_at=now) for key in new.values_list("pk", flat=True)],
            ignore_conflicts=True,
        )


class InboxNotice(models.Model):
    """The one notice of a system: wanted, told, or neither since the system last asked for its inbox.

    `due_at` is when to look next whether something is in the inbox, and to tell it; a lease and a retry both
    simply move it forward. It lies LOOK_AGAIN after the system asked, in case it left something or a wish got
    lost, and TELL_AGAIN after a notice that it took without asking.
    """

    system = models.OneToOneField(
        System,
        models.CASCADE,
        primary_key=True,
        related_name="inbox_notice",
        verbose_name=_("hệ thống kết nối"),
    )
    wanted_at = models.DateTimeField(_("có văn bản mới từ"), null=True)
    due_at = models.DateTimeField(_("báo lúc"))
    told_at = models.DateTimeField(_("báo được gần nhất lúc"), null=True)
    failures = models.PositiveIntegerField(_("số lần báo không được"), default=0)

    objects = InboxNoticeQuerySet.as_manager()

    class Meta:
        verbose_name = _("thông báo hộp thư")
        verbose_name_plural = _("thông báo hộp thư")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.system_id}: {self.wanted_at}"

    @property
    def unanswered(self) -> bool:
        """True when the system took the notice and has not asked for its inbox since."""
        return bool(self.wanted_at and self.told_at and self.told_at >= self.wanted_at)
