"""For whom an export is made, and what exists for that reader. Asked again whenever a job runs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from agencies import directory
from exchange.log import Actor
from exchange.models import Delivery, Event, ExportKind, Package
from exchange.refusals import Refused

if TYPE_CHECKING:
    from exchange.models.export import Order

READ_ALL = "exchange.read_all"
_NEEDS = {ExportKind.TRAIL: "exchange.view_event"}
_READS = "exchange.view_package"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who gets an export: `agencies` are those whose documents it may show, None for all of them."""

    actor: Actor
    agencies: QuerySet[directory.Agency] | None
    name: str = ""

    @property
    def reads_all(self) -> bool:
        """Whether nothing is hidden from this reader."""
        return self.agencies is None

    def deliveries(self) -> QuerySet[Delivery]:
        """The deliveries that exist for this reader."""
        if self.agencies is None:
            return Delivery.objects.all()
        return Delivery.objects.visible_to(self.agencies)

    def packages(self) -> QuerySet[Package]:
        """The packages that exist for this reader."""
        if self.agencies is None:
            return Package.objects.all()
        # By id: `visible_to` joins and needs DISTINCT, which would sort whole rows.
        seen = Package.objects.visible_to(self.agencies).order_by().values("pk")
        return Package.objects.filter(pk__in=seen)

    def events(self, package: Package) -> QuerySet[Event]:
        """The events about `package` that exist for this reader, oldest first."""
        streams = self.deliveries().filter(package=package).order_by().values("pk")
        mine = Q(stream=package.stream) | Q(stream__in=streams)
        return Event.objects.filter(mine, package=package.pk).order_by("id")


def of_user(user: User, kind: str = ExportKind.DELIVERIES, auth: str = "session") -> Reader:
    """A person: an account in use that may read documents, and for trails the log. Raises Refused
    export.not-allowed."""
    if not user.is_active or not user.has_perms([_READS, _NEEDS.get(ExportKind(kind), _READS)]):
        raise Refused("export.not-allowed")
    agencies = None if user.has_perm(READ_ALL) else directory.agencies_of_user(user)
    return Reader(actor=Actor("person", str(user.pk), auth), agencies=agencies, name=user.get_username())


def of_system(system: directory.System) -> Reader:
    """A connected system reads for its agencies. Raises Refused sender.suspended."""
    if system.suspended_at:
        raise Refused("sender.suspended", organ=system.name)
    actor = Actor("system", str(system.pk), "oauth2")
    return Reader(actor=actor, agencies=directory.agencies_of(system), name=system.name)


def of_order(order: "Order", auth: str = "session") -> Reader:
    """The reader of a job or schedule, as things are now. Raises Refused."""
    if order.system is not None:
        return of_system(order.system)
    if order.user is None:
        raise Refused("export.not-allowed")
    # A fresh row: permissions are cached on the object.
    return of_user(User.objects.get(pk=order.user.pk), order.kind, auth)
