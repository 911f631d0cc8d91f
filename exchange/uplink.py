"""From a hub above: this hub as its client, over the protocol that `exchange.vxp` serves.

What goes up is pushed like everything else (`delivery`, `transport`). Here is what comes down: the list of
what waits is fetched item by item, admitted by intake like any other package, and settled above. A crash in
between fetches an item again, which intake knows by its bytes.
"""

import csv
import io
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import structlog
from django.conf import settings

from agencies import directory
from agencies.directory import System
from exchange import axis, intake, log, mode, registry, transport
from exchange.models import Package
from exchange.refusals import Refused
from exchange.transport import Unanswered

_DIRECTORY_BYTES = 256_000_000
_LIST_BYTES = 64_000_000
_SETTLED_BYTES = 64 * 1024
_LATER = (429, 503)  # the refusals that another time would not be one
_logger = structlog.get_logger(__name__)
Items = list[dict[str, Any]]


def collect_all() -> int:
    """Fetch what waits at every hub above; returns how many items were settled."""
    return sum(_each(collect))


def read_directories() -> int:
    """Register the agencies that the hubs above list and nobody here knows; returns how many."""
    return sum(_each(read_directory))


def _each(work: Callable[[System], int]) -> list[int]:
    """What `work` gave for every hub above; one that does not answer is logged and passed over."""
    done = []
    for system in directory.uplinks():
        if system.paused_at is None and mode.moving():
            try:
                done.append(work(system))
            except Unanswered as error:
                _logger.warning("uplink_unanswered", system=system.name, error=str(error)[:300])
    return done


def collect(system: System) -> int:
    """Take over what waits at `system` for this hub; raises Unanswered."""
    settled = 0
    for messagetype in ("edoc", "status"):
        asked = {"servicetype": "eDoc", "messagetype": messagetype}
        for item in _items(_ask(system, "getReceivedEdocList", asked, _LIST_BYTES)):
            settled += _take_over(system, str(item.get("docId") or ""), str(item.get("from") or ""))
    registry.saw(system, now=datetime.now(UTC))
    return settled


def _take_over(system: System, doc_id: str, sender: str) -> int:
    """Lease one item, fetch it, admit it, and say above what became of it."""
    if not (doc_id.isascii() and doc_id.isprintable() and doc_id):
        _logger.warning("uplink_item_unusable", system=system.name, doc_id=doc_id[:100])
        return 0
    _settle(system, doc_id, "processing")
    fetched = _ask(system, "getEdoc", {"docId": doc_id, "filePath": "-"}, _packet_bytes())
    verdict = _admit(system, _packet(fetched), sender)
    if verdict:
        _settle(system, doc_id, verdict)
    return bool(verdict)


def _admit(system: System, raw: bytes, sender: str) -> str:
    """What to say above: done, fail; nothing when this hub cannot take it now."""
    if Package.objects.filter(sha256=sha256(raw).hexdigest()).exists():
        return "done"  # taken before, or our own: the hub above delivers to everybody in To
    now = datetime.now(UTC)
    actor = log.Actor("system", str(system.id), "uplink")
    _know(sender, actor, now)
    try:
        intake.accept(raw, system=system, actor=actor, now=now)
    except Refused as refused:
        _logger.warning("uplink_package_refused", system=system.name, code=refused.code)
        return "" if refused.reason.status in _LATER else "fail"
    return "done"


def _know(code: str, actor: log.Actor, now: datetime) -> None:
    """A sender that the directory above has not told yet is registered by its code."""
    if directory.agency_by_code(code, now) is None:
        try:
            registry.register_agency(code, code, by=registry.Change(actor, now))
        except registry.EnrolmentError as error:
            _logger.warning("uplink_sender_unusable", code=code[:64], error=error.message_en)


# --- the directory ------------------------------------------------------------------------------------


def read_directory(system: System) -> int:
    """Register the agencies that `system` lists and nobody here knows, in one change; raises Unanswered."""
    now = datetime.now(UTC)
    listed = {
        str(item.get("code") or ""): item
        for item in _items(_ask(system, "getAgenciesList", {}, _DIRECTORY_BYTES))
    }
    known = directory.agencies_by_codes(listed, now)
    old = directory.agencies_by_codes((_old_code(item) for item in listed.values()), now)
    new = [item for code, item in listed.items() if code not in known and _old_code(item) not in old]
    by = registry.Change(log.Actor("system", str(system.id), "uplink"), now)
    report = registry.import_agencies(_lines(new), by=by)
    if report.errors:  # one bad row must not keep the others away
        bad = {line for line, _ in report.errors}
        _logger.warning("uplink_directory_rows_unusable", system=system.name, rows=len(bad))
        rest = [item for line, item in enumerate(new, 2) if line not in bad]
        report = registry.import_agencies(_lines(rest), by=by)
    return report.created


def _lines(items: Iterable[dict[str, Any]]) -> list[str]:
    """The rows of `agencies.bulk`: code, name, aliases."""
    rows = io.StringIO(newline="")
    writer = csv.writer(rows)
    writer.writerow(("code", "name", "aliases"))
    for item in items:
        name = " ".join(str(item.get("name") or item["code"]).split())
        writer.writerow((" ".join(str(item["code"]).split()), name, _old_code(item)))
    return rows.getvalue().splitlines(keepends=True)


def _old_code(item: dict[str, Any]) -> str:
    code = str(item.get("oldCode") or item.get("code102") or "").strip()
    return "" if code == item.get("code") else code


# --- the calls ----------------------------------------------------------------------------------------


def _ask(system: System, name: str, parameters: dict[str, str], limit: int) -> axis.Answer:
    """The answer of `system` that says yes; raises Unanswered for any other."""
    hub = transport.Upstream(
        url=system.callback_url,
        systemid=system.vxp_id or "",
        secret=bytes(system.vxp_secret),
        ca_pem=system.ca_pem,
        identity=bytes(system.push_identity),
    )
    answer = transport.ask(hub, name, parameters, limit=limit)
    if not answer.good:
        raise Unanswered(f"{name}: {answer.code} {answer.words[:200]}")
    return answer


def _settle(system: System, doc_id: str, status: str) -> None:
    _ask(system, "updateStatus", {"docId": doc_id, "status": status}, _SETTLED_BYTES)


def _items(answer: axis.Answer) -> Items:
    if not isinstance(answer.data, list) or not all(isinstance(item, dict) for item in answer.data):
        raise Unanswered("a list that is none")
    return answer.data


def _packet(answer: axis.Answer) -> bytes:
    try:
        return b64decode(str(answer.data), validate=True)
    except NotBase64 as error:
        raise Unanswered("a packet that is not base64") from error


def _packet_bytes() -> int:
    """Base64 of the largest package taken, and what stands around it."""
    return settings.ENVIRONMENT.max_package_bytes * 4 // 3 + _SETTLED_BYTES
