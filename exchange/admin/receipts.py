"""The receipts of a document on its page: which there are, whether the log proves them, each as a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _

from exchange import log, proofs
from exchange.admin import events
from exchange.admin.confirm import require
from exchange.admin.looks import moment
from exchange.admin.scope import sees_content, visible
from exchange.evidence.receipts import Receipt
from exchange.models import Event, Package

ADDRESS = "exchange_package_receipt"
FEW = 6  # so many are shown without being asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipts:
    """The receipts that a person may have of one document; `words` says how far the log proves them."""

    words: str
    rows: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def few(self) -> bool:
        """Whether they fit the page without being unfolded."""
        return len(self.rows) <= FEW


def of(package: Package, rows: Sequence[Event], names: Mapping[UUID, str]) -> Receipts:
    """The receipts of `rows`, events of `package` that the person may see, oldest first.

    Nothing is signed or proved for this: one query. `names` are those of the recipients by delivery.
    """
    kept = [event for event in reversed(rows) if hasattr(event, "body")]
    sealed = proofs.sealed([event.pk for event in kept])
    return Receipts(
        words=_words(len(kept), len(sealed), len(rows) - len(kept)),
        rows=[
            {
                "name": events.name_of(event),
                "recipient": names.get(event.delivery, "") if event.delivery else "",
                "at": moment(event.at),
                "sealed": event.pk in sealed,
                "url": reverse(f"admin:{ADDRESS}", args=(package.pk, event.pk)),
            }
            for event in kept
        ],
    )


def _words(kept: int, sealed: int, removed: int) -> str:
    if not kept:
        return _("Nội dung sự kiện đã được xóa theo quy định: không còn biên nhận để tải.")
    told = [_("Trục đã ký %(count)s biên nhận.") % {"count": kept}]
    if sealed:
        told.append(_("%(count)s đã có bằng chứng nằm trong nhật ký niêm phong.") % {"count": sealed})
    if sealed < kept:
        told.append(_("%(count)s đang chờ niêm phong.") % {"count": kept - sealed})
    if removed:
        told.append(_("%(count)s sự kiện đã được xóa nội dung theo quy định.") % {"count": removed})
    return " ".join(told)


def give(request: HttpRequest, package_id: UUID, event_id: int) -> HttpResponseBase:
    """One receipt as a file that verifies offline; with its proof once the log is sealed over it.

    The same event gives the same receipt: nothing is written. Raises Http404, PermissionDenied; Altered when
    the stored bytes are not those that were appended.
    """
    require(request, "exchange.view_event")
    packages = visible(request, Package.objects.all())
    package = get_object_or_404(packages, pk=package_id) if sees_content(request) else None
    if package is None:
        raise Http404
    rows = visible(request, Event.objects.filter(package=package.pk))
    event = get_object_or_404(rows.select_related("body", "stored_receipt__header"), pk=event_id)
    if not hasattr(event, "body"):
        raise Http404(_("Nội dung sự kiện đã được xóa theo quy định: không còn biên nhận để tải."))
    found, place = log.receipt(event), proofs.places([event.pk]).get(event.pk)
    file = Receipt(found.raw, found.jws, place.proof if place else None)
    name = f"bien-nhan-{event.pk}-{event.name}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(bytes(file), content_type="application/json", headers=headers)
