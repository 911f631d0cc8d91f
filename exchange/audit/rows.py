"""The rows beside the logs: events that wait or are lost, states, and stored receipts."""

from datetime import datetime, timedelta

from django.db.models import Exists, Min, OuterRef, Q

from exchange import sealing
from exchange.audit.lines import BATCH
from exchange.audit.report import Result
from exchange.evidence import receipts
from exchange.models import Delivery, Event, LogCheck, LogEntry, Package, Pending, StoredReceipt, guards

MOST = 100  # findings of one kind that are listed
PATIENCE = timedelta(seconds=60)  # how long an event may wait for the sealer


def oldest_since(last: LogCheck | None) -> int:
    """The lowest row of an event that was not yet covered by `last`: 0 for all of them."""
    if last is None or last.log_id is None:
        return 0
    new = LogEntry.objects.filter(Q(log=last.log_id, index__gte=last.size) | Q(log__gt=last.log_id))
    lowest = [new.aggregate(low=Min("event"))["low"], Pending.objects.aggregate(low=Min("event"))["low"]]
    newest: int = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    return int(min([newest, *(key for key in lowest if key is not None)]))


def waiting(result: Result, now: datetime) -> None:
    """The sealer keeps up."""
    oldest = sealing.oldest_pending()
    if oldest and now - oldest > PATIENCE:
        result.say("waiting", f"{Pending.objects.count()}", f"the oldest since {oldest.isoformat()}")


def lost(result: Result, since: int) -> None:
    """Events that are in no log and do not wait for one. Looks back further than `since`, by BATCH rows:
    the row of an event whose pending row is gone stands before the rows that still wait.
    """
    beside = Event.objects.filter(pk__gte=since - BATCH, entries=None, pending=None).order_by("pk")
    for event in beside[:MOST]:
        result.say("lost", f"{event.stream}/{event.seq}", event.name)


def states(result: Result, since: int) -> None:
    """Rows whose place in their stream, or state, is not that of their last event."""
    last = Event.objects.filter(stream=OuterRef("pk"), seq=OuterRef("seq"), leaf=OuterRef("head"))
    later = Event.objects.filter(stream=OuterRef("pk"), seq__gt=OuterRef("seq"))
    same = last.filter(**{name: OuterRef(name) for name in guards.STATE})
    recent = Event.objects.filter(pk__gte=since - BATCH)
    deliveries = Delivery.objects.filter(~Exists(same) | Exists(later))
    packages = Package.objects.filter(~Exists(last) | Exists(later))
    if since:
        deliveries = deliveries.filter(pk__in=recent.exclude(delivery=None).values("delivery"))
        packages = packages.filter(pk__in=recent.exclude(package=None).values("package"))
    for row in (*deliveries.order_by("pk")[:MOST], *packages.order_by("pk")[:MOST]):
        result.say("state", f"{row._meta.model_name} {row.pk}", "not as its last event says")


def receipts_stored(result: Result, since: int) -> None:
    """Stored receipts verify over the stored bytes; whose certificate it is, is the auditor's question."""
    stored = StoredReceipt.objects.filter(event__gte=since, event__body__isnull=False).select_related(
        "header", "event__body"
    )
    for row in stored.order_by("event").iterator(chunk_size=BATCH):
        raw, jws, at = bytes(row.event.body.raw), row.jws, row.event.at
        where = f"{row.event.stream}/{row.event.seq}"
        result.expect("receipt", where, lambda: receipts.verify(raw, jws, None, at))  # noqa: B023 (runs at once)
