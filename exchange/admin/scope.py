"""Who sees what: the one function through which every page of the admin fetches its rows.

Permissions decide which kinds of record a person may open at all; this decides which of them exist for
that person. What is outside the scope is not found (404), never forbidden.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.http import HttpRequest

from agencies.models import Agency, Alias, Certificate, Credential, Membership, RevocationList, System
from exchange.models import Attempt, Delivery, Event, Export, ExportSchedule, Package, RedactionOrder

READ_ALL = "exchange.read_all"
WATCH_DELIVERIES = "exchange.watch_deliveries"
READ_PACKAGES = "exchange.view_package"

# The registry is the same for everybody who may open it.
_WHOLE = frozenset({Agency, Alias, Certificate, Credential, Membership, RevocationList, System})

Rows = TypeVar("Rows", bound=QuerySet[Any])


def visible(request: HttpRequest, queryset: Rows) -> Rows:
    """The rows of `queryset` that the person behind `request` may see.

    Auditors (permission `read_all`) see everything; others only what their agencies sent or received.
    The sender sees every delivery of its package, a recipient its own one only. Raises KeyError for a kind
    of row without a rule: a new page must say who may see it.
    """
    model: type[Model] = queryset.model
    if model in _WHOLE:
        return queryset
    narrow = _RULES[model]
    return queryset if request.user.has_perm(READ_ALL) else cast("Rows", narrow(request, queryset))


def sees_content(request: HttpRequest) -> bool:
    """Whether the person reads documents; an operator sees that deliveries move, not what they carry."""
    return request.user.has_perm(READ_PACKAGES)


def own_agencies(request: HttpRequest) -> QuerySet[Agency]:
    """The agencies that the person works for."""
    return Agency.objects.filter(memberships__user=request.user.pk)


def own_ids(request: HttpRequest) -> list[UUID]:
    """Their ids, asked for once in a request: the database plans better with values than with a question."""
    known: list[UUID] | None = vars(request).get("own_agency_ids")
    if known is None:
        known = vars(request)["own_agency_ids"] = list(
            own_agencies(request).order_by("pk").values_list("pk", flat=True)
        )
    return known


def sees_connection(request: HttpRequest, delivery: Delivery) -> bool:
    """Whether the person may see where the recipient's system stands and what it said: not the sender."""
    if request.user.has_perm(READ_ALL) or request.user.has_perm(WATCH_DELIVERIES):
        return True
    return own_agencies(request).filter(pk=delivery.recipient_id).exists()


def _packages(request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
    own = own_ids(request)
    received = Delivery.objects.filter(recipient__in=own).order_by().values("package")
    return queryset.filter(Q(sender__in=own) | Q(pk__in=received))


def _deliveries(request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
    # Whoever may read documents is held to those of the own agencies, even when also an operator.
    if request.user.has_perm(WATCH_DELIVERIES) and not sees_content(request):
        return queryset
    own = own_ids(request)
    sent = Package.objects.filter(sender__in=own).order_by().values("pk")
    return queryset.filter(Q(package__in=sent) | Q(recipient__in=own))


def _attempts(request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
    return queryset.filter(Exists(_deliveries(request, Delivery.objects.filter(pk=OuterRef("delivery")))))


def _events(request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
    """Events of one's own deliveries, and of packages as such; not those about other recipients."""
    # Asked of each event: the set of all deliveries that one may see takes a database minutes to make.
    deliveries = _deliveries(request, Delivery.objects.filter(pk=OuterRef("delivery")))
    packages = _packages(request, Package.objects.filter(pk=OuterRef("package")))
    return queryset.filter(Exists(deliveries) | Q(Exists(packages), delivery=None))


def _ids(queryset: QuerySet[Any]) -> QuerySet[Any, Any]:
    return queryset.order_by().values("pk")


_RULES: Mapping[type[Model], Callable[[HttpRequest, QuerySet[Any]], QuerySet[Any]]] = {
    Package: _packages,
    Delivery: _deliveries,
    Attempt: _attempts,
    Event: _events,
    Export: lambda request, queryset: queryset.filter(user=request.user.pk),
    ExportSchedule: lambda request, queryset: queryset.filter(user=request.user.pk),
    RedactionOrder: lambda request, queryset: queryset.filter(
        package__in=_ids(_packages(request, Package.objects.all()))
    ),
}
