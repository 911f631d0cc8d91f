"""The calls of the protocol, each answered by the stages that answer the native API."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from io import BytesIO
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from agencies import directory as registered
from exchange import axis, delivery, intake, isolation, vault
from exchange.body import read_package, wait_for
from exchange.envelope.codes import read_status
from exchange.envelope.fields import parse_moment
from exchange.envelope.trace import with_trace
from exchange.models import Delivery, Package
from exchange.models.delivery import DeliveryQuerySet
from exchange.refusals import Refused
from exchange.vxp import answers, directory, items, units
from exchange.vxp.authentication import Caller

_DOC_ID = ("docId", "docid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """How a call is answered, by which method, which parameters it acts on, its empty `data`, and whether it
    moves anything (and so waits for the end of read-only mode)."""

    answer: Callable[[Caller, HttpRequest], HttpResponseBase]
    acted_on: tuple[str, ...] = ()
    method: str = "POST"
    empty: Any = ""
    moves: bool = False


# --- the directory ------------------------------------------------------------------------------------


def _agencies(caller: Caller, request: HttpRequest) -> HttpResponseBase:
    return _unless_known(request, *directory.agencies(caller.parameters.get("level")))


def _all_agencies(_caller: Caller, request: HttpRequest) -> HttpResponseBase:
    return _unless_known(request, *directory.agencies())


def _units(_caller: Caller, request: HttpRequest) -> HttpResponseBase:
    return _unless_known(request, *directory.changes())


def _unless_known(request: HttpRequest, path: Any, version: str) -> HttpResponseBase:
    if request.headers.get("If-None-Match", "").strip() == f'"{version}"':
        return HttpResponse(status=304, headers={"ETag": f'"{version}"'})
    return answers.stored(path.open("rb"), version)


def _register(caller: Caller, request: HttpRequest) -> HttpResponseBase:
    units.register(caller, request)
    return answers.ok()


def _delete(caller: Caller, _request: HttpRequest) -> HttpResponseBase:
    units.close(caller, caller.parameters.get("AgencyCode"))
    return answers.ok()


# --- receiving ----------------------------------------------------------------------------------------


def _received(caller: Caller, _request: HttpRequest) -> HttpResponseBase:
    asked = caller.parameters.get("messagetype").lower()
    if asked not in items.MESSAGES:
        raise Refused("request.invalid", why="messagetype: edoc | status")
    delivery.note_question(caller.system, now=caller.now)
    return answers.listed(items.received(_within(caller, _waiting(caller, items.MESSAGES[asked]))))


def _waiting(caller: Caller, kind: str) -> DeliveryQuerySet:
    return Delivery.objects.waiting(caller.now).filter(system=caller.system, package__kind=kind)


def _within(caller: Caller, waiting: DeliveryQuerySet) -> DeliveryQuerySet:
    """Those queued from `fromDate` to the end of the day of `toDate`, where the client gives them."""
    if since := caller.parameters.get("fromDate"):
        waiting = waiting.filter(queued_at__gte=_day(since))
    if until := caller.parameters.get("toDate"):
        waiting = waiting.filter(queued_at__lt=_day(until) + timedelta(days=1))
    return waiting


def _day(text: str) -> datetime:
    found = parse_moment(text)
    if found is None:
        raise Refused("request.invalid", why="fromDate, toDate: yyyy/MM/dd")
    return found.replace(hour=0, minute=0, second=0)


def _count_documents(caller: Caller, _request: HttpRequest) -> HttpResponseBase:
    return answers.ok(count=_waiting(caller, "document").count())


def _count_statuses(caller: Caller, _request: HttpRequest) -> HttpResponseBase:
    return answers.ok(count=_waiting(caller, "status").count())


def _fetch(caller: Caller, _request: HttpRequest) -> HttpResponseBase:
    """The packet in base64. `filePath` is a place on the client's own disk: nothing here looks at it."""
    row = delivery.serve(_doc_id(caller), system=caller.system, now=caller.now)
    if not settings.ENVIRONMENT.vxp_trace:
        return answers.encoded(vault.open_bytes(row.package.sha256), row.package.size, str(row.id))
    # The hop has the time of acceptance, so that every copy has the same bytes.
    copy = with_trace(vault.get(row.package.sha256), settings.ENVIRONMENT.code, row.package.accepted_at)
    return answers.encoded(BytesIO(copy), len(copy), str(row.id))


def _download(caller: Caller, _request: HttpRequest) -> HttpResponseBase:
    """The original bytes, whatever copy `getEdoc` hands out."""
    row = delivery.serve(_doc_id(caller), system=caller.system, now=caller.now)
    name = f"{row.id}.edxml"
    return FileResponse(
        vault.open_bytes(row.package.sha256),
        as_attachment=True,
        filename=name,
        content_type="application/octet-stream",
        headers={"Content-Length": str(row.package.size)},
    )


def _settle(caller: Caller, _request: HttpRequest) -> HttpResponseBase:
    """What became of an item at the client. Again: the same; a code of the edXML list is an answer."""
    # `docid` first: a client that spells it so still carries the `docId` of its last getEdoc.
    doc_id, status = _uuid(caller.parameters.get("docid", "docId")), caller.parameters.get("status").lower()
    given: dict[str, Any] = {"system": caller.system, "now": caller.now}
    if status.isdigit():
        _answer(caller, doc_id, status)
    elif status == "done":
        delivery.take(doc_id, actor=caller.actor, **given)
    elif status == "fail":
        delivery.give_up(doc_id, actor=caller.actor, **given)
    elif status in ("processing", "initial"):
        seconds = settings.ENVIRONMENT.vxp_lease_seconds if status == "processing" else 0
        delivery.lease(doc_id, for_=timedelta(seconds=seconds), **given)
    else:
        raise Refused("status.unknown-code", status=status[:40])
    return answers.ok(DocId=str(doc_id))


def _answer(caller: Caller, doc_id: UUID, status: str) -> None:
    """One province's wrapper says the recipient's answers (01–06, 15, 16) in the same call."""
    try:
        code = read_status(status)
    except ValueError as error:
        raise Refused("status.unknown-code", status=status[:40]) from error
    mine = Delivery.objects.filter(id=doc_id, recipient__receives_through=caller.system)
    row = mine.select_related("package__sender", "package__about", "recipient").first()
    if row is None:
        raise Refused("request.not-found")
    intake.answer(
        row,
        code=code,
        description="",
        staff=None,
        at=None,
        system=caller.system,
        actor=caller.actor,
        now=caller.now,
    )


# --- sending ------------------------------------------------------------------------------------------


def _send(caller: Caller, request: HttpRequest) -> HttpResponseBase:
    with isolation.room(wait_for(request)):
        raw = _file(read_package(request, caller.system), caller.parameters.get("hash-file"))
        accepted = intake.accept(
            raw,
            system=caller.system,
            actor=caller.actor,
            now=caller.now,
            claimed=caller.parameters.get("from") or "(from)",
        )
    return answers.ok(DocId=str(accepted.package.id))


def _file(body: bytes, claimed: str) -> bytes:
    """The file in `body`, which comes with two bytes more at its end (CRLF): the hash tells."""
    for raw in (body.removesuffix(axis.TAIL), body):
        made = sha256(raw).digest()
        for digest in (axis.shortened(made), made.hex()):
            if hmac.compare_digest(digest.encode(), claimed.lower().encode()):
                return raw
    raise Refused("package.hash-mismatch")


def _sent(caller: Caller, _request: HttpRequest) -> HttpResponseBase:
    mine = registered.agencies_of(caller.system)
    package = Package.objects.filter(id=_doc_id(caller), sender__in=mine).first()
    if package is None:
        raise Refused("request.not-found")
    return answers.listed(items.sent(package))


# --- names of documents -------------------------------------------------------------------------------


def _doc_id(caller: Caller) -> UUID:
    return _uuid(caller.parameters.get(*_DOC_ID))


def _uuid(text: str) -> UUID:
    """The id in `text`; anything that is none names nothing here, whatever it looks like."""
    try:
        found = UUID(text)
    except ValueError as error:
        raise Refused("request.not-found") from error
    if str(found) != text.lower():
        raise Refused("request.not-found")
    return found


CALLS = {
    "getAgenciesList": Call(answer=_all_agencies, empty=[]),
    "getAgenciesListQD20": Call(answer=_agencies, acted_on=("level",), empty=[]),
    "getSynchronizeUnit": Call(answer=_units, empty=[]),
    "registerAgency": Call(answer=_register, moves=True),
    "deleteAgency": Call(answer=_delete, acted_on=("AgencyCode",), moves=True),
    "getReceivedEdocList": Call(answer=_received, acted_on=("messagetype", "fromDate", "toDate"), empty=[]),
    "getSentEdocList": Call(answer=_sent, acted_on=("docId",), empty=[]),
    "getEdoc": Call(answer=_fetch, acted_on=("docId",), moves=True),
    "downloadEdoc": Call(answer=_download, acted_on=("docId",), method="GET", moves=True),
    "sendEdoc": Call(answer=_send, acted_on=("hash-file", "from"), moves=True),
    "updateStatus": Call(answer=_settle, acted_on=("docId", "status"), moves=True),
    "countReceiveEdoc": Call(answer=_count_documents),
    "countReceiveStatus": Call(answer=_count_statuses),
}
