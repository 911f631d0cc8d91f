"""How much of something was used in the present window of time: the count that all web processes share."""

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _


class AllowanceQuerySet(models.QuerySet["Allowance"]):
    """The table as a whole."""

    @transaction.atomic
    def draw(self, key: str, *, window: int, wanted: int, limit: int) -> tuple[int, int]:
        """Take up to `wanted` of what is left of `limit` in `window`. Gives (granted, left).

        The row is locked for the moment, so all grants of one window together never exceed `limit`. A process
        whose clock is behind draws from the window that others have already begun.
        """
        row, _created = self.select_for_update().get_or_create(key=key, defaults={"window": window})
        if window > row.window:
            row.window, row.used = window, 0
        granted = max(0, min(wanted, limit - row.used))
        if granted:
            row.used += granted
            row.save(update_fields=["window", "used"])
        return granted, max(0, limit - row.used)


class Allowance(models.Model):
    """What was drawn under one key in one window. One row per system: it is reused for every window."""

    key = models.CharField(_("khóa"), max_length=200, primary_key=True)
    window = models.BigIntegerField(_("khoảng thời gian"))
    used = models.PositiveIntegerField(_("đã dùng"), default=0)

    objects = AllowanceQuerySet.as_manager()

    class Meta:
        verbose_name = _("hạn mức đã dùng")
        verbose_name_plural = _("hạn mức đã dùng")

    def __str__(self) -> str:
        return f"{self.key}: {self.used}"
