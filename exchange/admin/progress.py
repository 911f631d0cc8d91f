"""How far a package has come with its recipients, in one sentence and one bar."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from django.db.models import Count
from django.http import HttpRequest
from django.utils.translation import gettext as _

from exchange.admin.scope import visible
from exchange.admin.standing import Phase, phase_sql
from exchange.models import Delivery, Kind, Package


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The deliveries of one package that somebody may see, counted by phase."""

    counts: Counter[Phase] = field(default_factory=Counter)
    is_status: bool = False

    @property
    def total(self) -> int:
        """All of them."""
        return self.counts.total()

    @property
    def done(self) -> int:
        """Those that have come as far as they go: a status is only handed over."""
        return self.counts[Phase.HANDED_OVER if self.is_status else Phase.ACCEPTED]

    @property
    def words(self) -> str:
        """“12/24 đã tiếp nhận, 2 từ chối, 1 lỗi”."""
        if not self.total:
            return _("Không có nơi nhận")
        verb = _("đã giao") if self.is_status else _("đã tiếp nhận")
        others = (
            (Phase.REFUSED, _("từ chối")),
            (Phase.FAILED, _("lỗi")),
            (Phase.LATE, _("quá hạn")),
            (Phase.ENDED, _("đã thu hồi")),
        )
        parts = [f"{self.done}/{self.total} {verb}"]
        return ", ".join(
            parts + [f"{self.counts[phase]} {what}" for phase, what in others if self.counts[phase]]
        )

    @property
    def tone(self) -> str:
        """The phase in whose colour the whole is shown: the worst that some are in."""
        if not self.total:
            return Phase.ENDED
        return next(phase for phase in Phase if self.counts[phase])

    @property
    def parts(self) -> list[tuple[Phase, int]]:
        """The phases that some are in, the good ones first, as a bar shows them."""
        return [(phase, self.counts[phase]) for phase in _BAR if self.counts[phase]]


_BAR = (
    Phase.ACCEPTED,
    Phase.HANDED_OVER,
    Phase.WAITING,
    Phase.LATE,
    Phase.REFUSED,
    Phase.FAILED,
    Phase.ENDED,
)


def attach(request: HttpRequest, packages: Sequence[Package]) -> None:
    """Give each package its `progress`, with one query for all of them."""
    found = _counted(request, packages)
    for package in packages:
        counts = found.get(package.pk, Counter())
        vars(package)["progress"] = Progress(counts=counts, is_status=package.kind == Kind.STATUS)


def of(package: Package) -> Progress:
    """What `attach` gave to `package`."""
    progress: Progress = vars(package)["progress"]
    return progress


def _counted(request: HttpRequest, packages: Sequence[Package]) -> dict[UUID, Counter[Phase]]:
    deliveries = visible(request, Delivery.objects.filter(package__in=[item.pk for item in packages]))
    rows = (
        deliveries.order_by()
        .annotate(phase=phase_sql(datetime.now(UTC)))
        .values_list("package", "phase")
        .annotate(Count("pk"))
    )
    found: dict[UUID, Counter[Phase]] = {}
    for package, phase, count in rows:
        found.setdefault(package, Counter())[Phase(phase)] += count
    return found
