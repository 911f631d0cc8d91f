"""PostgreSQL is given values as they are, in JSON: no model that is written so may need more."""

import pytest
from django.db.models import JSONField, Model

from exchange.models import (
    AttachedFile,
    Attempt,
    Delivery,
    Event,
    EventBody,
    EventText,
    FeedEntry,
    Package,
    PdfReport,
    Pending,
    StatisticsDelta,
)

WRITTEN = (
    AttachedFile, Attempt, Delivery, Event, EventBody, EventText, FeedEntry, Package, PdfReport, Pending,
    StatisticsDelta,
)  # fmt: skip


@pytest.mark.parametrize("model", WRITTEN)
def test_no_column_has_a_preparation_of_its_own(model: type[Model]) -> None:
    for field in model._meta.concrete_fields:
        assert type(field).__module__.startswith("django.db.models."), field
        assert not isinstance(field, JSONField), field
