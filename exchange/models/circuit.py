"""The circuit breaker of a system that is called: that packages are pushed to, or inbox notices sent."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agencies.models import System

TOLERATED = 5  # failures in a row
FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=10)


def pause(number: int) -> timedelta:
    """How long the `number`-th pause is: it doubles, with jitter."""
    doubled: timedelta = FIRST_PAUSE * 2 ** min(number - 1, 20)
    longest = min(LONGEST_PAUSE, doubled)
    share: float = random.uniform(0.5, 1)  # noqa: S311 - spreads load, keeps no secret
    return longest * share


class CircuitManager(models.Manager["Circuit"]):
    """Changes of circuits."""

    def note(self, system: UUID, waits: Sequence[timedelta | None], now: datetime) -> None:
        """So many more failures in a row of `system`, each with the wait that it asked for, if any.

        Beyond what is tolerated, or when asked to wait, the circuit opens until a probe.
        """
        circuit, _made = self.select_for_update().get_or_create(pk=system)
        circuit.failures += len(waits)
        wait = max((wait for wait in waits if wait), default=timedelta())
        if circuit.failures >= TOLERATED:
            circuit.opened_at, circuit.pauses = circuit.opened_at or now, circuit.pauses + 1
            wait = max(wait, pause(circuit.pauses))
        if wait:
            circuit.probe_at = now + wait
        circuit.save()


class Circuit(models.Model):
    """A system whose last pushes, or notices, failed. There is no row for one that answers well.

    Open: nothing is pushed before `probe_at`, then one delivery as a probe. An operator's pause is a thing of
    the registry (`System.paused_at`) and stands beside it.
    """

    system = models.OneToOneField(
        System, models.CASCADE, primary_key=True, related_name="circuit", verbose_name=_("hệ thống kết nối")
    )
    failures = models.PositiveIntegerField(_("số lần lỗi liên tiếp"), default=0)
    pauses = models.PositiveIntegerField(_("số lần tạm ngắt"), default=0)
    opened_at = models.DateTimeField(_("tạm ngắt từ"), null=True)
    probe_at = models.DateTimeField(_("thử lại lúc"), null=True)

    objects = CircuitManager()

    class Meta:
        verbose_name = _("tạm ngắt kết nối")
        verbose_name_plural = _("tạm ngắt kết nối")

    def __str__(self) -> str:
        return f"{self.system_id}: {self.failures}"

    @staticmethod
    def lets_through(now: datetime) -> Q:
        """Of systems: neither suspended nor paused, and the circuit is closed, or a probe is due."""
        closed = Q(circuit=None) | Q(circuit__probe_at=None) | Q(circuit__probe_at__lte=now)
        return closed & Q(paused_at=None, suspended_at=None)


LETS_THROUGH = (
    "s.paused_at IS NULL AND s.suspended_at IS NULL AND (c.probe_at IS NULL OR c.probe_at <= %(now)s)"
)
"""The same as `Circuit.lets_through` in a statement written by hand, of a system `s` and its circuit `c`."""
