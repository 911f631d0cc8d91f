"""A hub filled in bulk holds what the guards and the counters demand, and is not filled twice."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from exchange.evidence import events
from exchange.models import Delivery, Event, Package, Pending
from tests.exchange.test_statistics import recount_agrees


def test_a_filled_hub_has_whole_chains_and_right_counters(db: None, keys: Any) -> None:
    call_command("fill_hub", documents=20, deliveries=150)
    assert (Package.objects.count(), Delivery.objects.count()) == (20, 150)
    for row in Delivery.objects.all():
        chain = list(Event.objects.filter(stream=row.id).order_by("seq").select_related("body"))
        assert [event.seq for event in chain] == list(range(1, row.seq + 1))
        for before, event in zip([None, *chain], chain, strict=False):
            said = events.decode(bytes(event.body.raw))
            assert said.prev == (bytes(before.leaf).hex() if before else None)
        assert chain[-1].state == row.state
    assert Pending.objects.count() >= Event.objects.exclude(package=None).count()
    assert recount_agrees()
    with pytest.raises(CommandError):
        call_command("fill_hub", documents=1, deliveries=1)
