"""How far a package has come with its recipients, in one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils.translation import gettext as _

from exchange.admin.scope import visible
from exchange.models import Answer, Delivery, Kind, Package, State

ACCEPTED = (Answer.ACCEPTED, Answer.ASSIGNED, Answer.IN_WORK, Answer.DONE)
FAILED = (State.EXPIRED, State.UNDELIVERABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The deliveries of one package that somebody may see, counted."""

    total: int = 0
    handed_over: int = 0
    accepted: int = 0
    refused: int = 0
    failed: int = 0
    withdrawn: int = 0
    is_status: bool = False

    @property
    def words(self) -> str:
        """“12/24 đã tiếp nhận, 2 từ chối, 1 lỗi”."""
        if not self.total:
            return _("Không có nơi nhận")
        done, verb = (
            (self.handed_over, _("đã giao")) if self.is_status else (self.accepted, _("đã tiếp nhận"))
        )
        parts = [f"{done}/{self.total} {verb}"]
        others = (
            (self.refused, _("từ chối")),
            (self.failed, _("lỗi")),
            (self.withdrawn, _("đã thu hồi")),
        )
        return ", ".join(parts + [f"{count} {what}" for count, what in others if count])

    @property
    def tone(self) -> str:
        """Red for trouble, the colour of a level once all have reached it, else that of being on the way."""
        if self.failed or self.refused:
            return "danger"
        if self.withdrawn == self.total:
            return "default"
        if self.is_status:
            return "info" if self.handed_over == self.total else "warning"
        return "success" if self.accepted + self.withdrawn == self.total else "warning"


def attach(request: HttpRequest, packages: Sequence[Package]) -> None:
    """Give each package its `progress`, with one query for all of them."""
    found = _counted(request, packages)
    for package in packages:
        is_status = package.kind == Kind.STATUS
        vars(package)["progress"] = Progress(is_status=is_status, **found.get(package.pk, {}))


def of(package: Package) -> Progress:
    """What `attach` gave to `package`."""
    progress: Progress = vars(package)["progress"]
    return progress


def _counted(request: HttpRequest, packages: Sequence[Package]) -> dict[UUID, dict[str, int]]:
    deliveries = visible(request, Delivery.objects.filter(package__in=[item.pk for item in packages]))
    rows = (
        deliveries.order_by()
        .values("package")
        .annotate(
            total=Count("pk"),
            handed_over=Count("pk", filter=Q(state=State.HANDED_OVER)),
            accepted=Count("pk", filter=Q(answer__in=ACCEPTED)),
            refused=Count("pk", filter=Q(answer=Answer.REFUSED)),
            failed=Count("pk", filter=Q(state__in=FAILED)),
            withdrawn=Count("pk", filter=Q(state__in=(State.WITHDRAWN, State.SUPERSEDED))),
        )
    )
    return {row.pop("package"): row for row in rows}
