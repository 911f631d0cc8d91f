"""Filters of the lists that people gave a name. The address stays what is passed on; a row is a bookmark."""

from typing import Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

LONGEST_NAME = 60
LONGEST_QUERY = 1000


class SavedFilterQuerySet(models.QuerySet["SavedFilter"]):
    """Questions about many of them."""

    def of(self, user: int, page: str) -> Self:
        """Those of one person for one list."""
        return self.filter(user=user, page=page)


class SavedFilter(models.Model):
    """One filter: `page` is the kind of row that its list shows, `query` is what `lists.checked` made."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        related_name="+",
        db_index=False,
        verbose_name=_("người lưu"),
    )
    page = models.CharField(_("trang"), max_length=20)
    name = models.CharField(_("tên"), max_length=LONGEST_NAME)
    query = models.CharField(_("bộ lọc"), max_length=LONGEST_QUERY)

    objects = SavedFilterQuerySet.as_manager()

    class Meta:
        verbose_name = _("bộ lọc đã lưu")
        verbose_name_plural = _("bộ lọc đã lưu")
        default_permissions = ()
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["user", "page", "name"], name="savedfilter_one_of_a_name")
        ]

    def __str__(self) -> str:
        return self.name
