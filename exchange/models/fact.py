"""What one process of the hub tells the others, and whoever watches: alive, the mode, the last backup."""

from typing import Any

from django.db import models


class Fact(models.Model):
    """The newest word under one name; each new word replaces the last one."""

    name = models.CharField(primary_key=True, max_length=60)
    at = models.DateTimeField()
    value: "models.JSONField[dict[str, Any]]" = models.JSONField(default=dict)

    class Meta:
        verbose_name = "fact"

    def __str__(self) -> str:
        return f"{self.name}: {self.at:%F %T}"
