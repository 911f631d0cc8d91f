"""The working-day calendar's exceptions: days off, and days of a weekend that are worked instead."""

from django.core.cache import cache
from django.db import models
from django.utils.translation import gettext_lazy as _

from exchange.workdays import Calendar

_CACHED = "working-day-calendar"
_SECONDS = 60


class HolidayQuerySet(models.QuerySet["Holiday"]):
    """The table as a whole."""

    def calendar(self) -> Calendar:
        """The exceptions as `exchange.workdays` takes them; a change is seen everywhere within a minute."""
        found: Calendar = cache.get_or_set(_CACHED, self._read, _SECONDS)  # type: ignore[assignment]
        return found

    def _read(self) -> Calendar:
        rows = list(self.values_list("day", "working"))
        return Calendar(
            holidays=frozenset(day for day, working in rows if not working),
            worked=frozenset(day for day, working in rows if working),
        )


class Holiday(models.Model):
    """One exception. `working`: the day is worked although it lies in a weekend."""

    day = models.DateField(_("ngày"), primary_key=True)
    name = models.CharField(_("tên"), max_length=200)
    working = models.BooleanField(_("ngày làm bù"), default=False)

    objects = HolidayQuerySet.as_manager()

    class Meta:
        verbose_name = _("ngày nghỉ, ngày làm bù")
        verbose_name_plural = _("ngày nghỉ, ngày làm bù")
        ordering = ["day"]

    def __str__(self) -> str:
        return f"{self.day:%d/%m/%Y} {self.name}"


def forget_calendar() -> None:
    """Let this process read the table again at once."""
    cache.delete(_CACHED)
