"""The event feed: every event under the agencies that it concerns, in one numbered order."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agencies.models import Agency
from exchange.models.event import Event


class FeedEntry(models.Model):
    """One event as one agency sees it. `position` is given after the commit, by one writer at a time.

    Ids and times are given before a commit, so a reader that follows them misses whoever commits late.
    """

    position = models.BigIntegerField(_("vị trí"), null=True, blank=True)
    event = models.ForeignKey(
        Event, models.PROTECT, db_index=False, related_name="+", verbose_name=_("sự kiện")
    )
    agency = models.ForeignKey(
        # No constraint: the check would lock the agency's row in every transaction that appends.
        Agency,
        models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
        verbose_name=_("cơ quan"),
    )

    class Meta:
        verbose_name = _("mục của dòng sự kiện")
        verbose_name_plural = _("dòng sự kiện")
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["agency", "position"],
                condition=Q(position__isnull=False),
                name="feed_position_once_per_agency",
            )
        ]
        indexes = [
            models.Index(fields=["event"], condition=Q(position__isnull=True), name="feed_unplaced"),
        ]

    def __str__(self) -> str:
        return f"{self.position}: {self.event_id}"


class FeedHead(models.Model):
    """One row: the last position given. Its lock makes the one writer."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    position = models.BigIntegerField(_("vị trí"), default=0)

    class Meta:
        verbose_name = _("đầu dòng sự kiện")
        verbose_name_plural = _("đầu dòng sự kiện")

    def __str__(self) -> str:
        return str(self.position)
