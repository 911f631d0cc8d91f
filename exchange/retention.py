"""What is removed of the evidence, by rule or by order: bodies of events go, proofs stay.

The leaf hash of an event, its row and its receipts' signatures stay for ever. A `Redaction` event names the
indices first; only then does the database let the bytes go (models/guards.py). Original bytes of packages
follow a rule of their own and leave a `ContentRemoval` event. Rules count calendar years: what was written
in 2026 and is kept for 10 years may go on 1 January 2037.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import BinaryIO
from uuid import UUID, uuid5

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from exchange import log, vault
from exchange.models import (
    Delivery,
    Event,
    EventBody,
    EventText,
    Kind,
    LogEntry,
    Package,
    PdfReport,
    Pending,
    Redacted,
    RedactionOrder,
    State,
)
from exchange.refusals import Refused

STREAM = uuid5(UUID(int=0), "retention")
"""The stream of removals and of the orders for them."""
KINDS = ("document", "status", "hub")
KEPT = ("NewLog", "KeyRotation", "Redaction")
"""Events whose bodies are never removed: the other proofs lean on them."""
BATCH = 2000
AGAIN = timedelta(days=7)


class NotPossible(Exception):
    """An order that cannot be carried out, or not now; says why in Vietnamese and English."""


@dataclass(frozen=True, slots=True)
class Removed:
    """How many event bodies and how many packages' bytes were, or would be, removed."""

    bodies: int
    packages: int


# --- by rule ------------------------------------------------------------------------------------------


def apply_rules(now: datetime, *, dry_run: bool = False) -> Removed:
    """Remove whatever the rules of the settings no longer keep (`HUB_KEEP_EVENTS`, `HUB_KEEP_PACKAGES`)."""
    bodies = sum(
        _bodies(kind, _until(now, years), now, dry_run) for kind, years in settings.ENVIRONMENT.keep_events
    )
    packages = sum(
        _contents(kind, _until(now, years), now, dry_run)
        for kind, years in settings.ENVIRONMENT.keep_packages
    )
    if not dry_run:
        _sweep(now)
    return Removed(bodies, packages)


def _until(now: datetime, years: int) -> datetime:
    return datetime(now.astimezone(UTC).year - years, 1, 1, tzinfo=UTC)


def _bodies(kind: str, until: datetime, now: datetime, dry_run: bool) -> int:
    found = _of_kind(kind).filter(_sealed(), body__isnull=False, at__lt=until)
    found = found.exclude(name__in=KEPT).order_by("pk")
    if dry_run:
        return found.count()
    removed = 0
    while batch := list(found.values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            _remove_bodies(batch, actor=log.HUB, now=now, reason=f"retention.{kind}")
        removed += len(batch)
    return removed


def _sealed() -> Q:
    """The event stands in a log and waits for no other."""
    entries = LogEntry.objects.filter(event=OuterRef("pk"))
    return Exists(entries) & ~Exists(Pending.objects.filter(event=OuterRef("pk")))


def _of_kind(kind: str) -> QuerySet[Event]:
    """Events about packages of `kind`; "hub": the others."""
    about = Package.objects.filter(pk=OuterRef("package"))
    if kind == "hub":
        return Event.objects.filter(~Exists(about))
    return Event.objects.filter(Exists(about.filter(kind=Kind(kind))))


def _contents(kind: str, until: datetime, now: datetime, dry_run: bool) -> int:
    gone = Event.objects.filter(name="ContentRemoval").values("stream")
    waiting = Delivery.objects.filter(state=State.QUEUED).values("package")
    old = Package.objects.filter(kind=Kind(kind), accepted_at__lt=until).exclude(pk__in=gone)
    old = old.exclude(pk__in=waiting).order_by("pk")
    if dry_run:
        return old.count()
    removed = 0
    while batch := list(old.values_list("pk", flat=True)[:BATCH]):
        for key in batch:
            with transaction.atomic():
                _remove_content(key, actor=log.HUB, now=now, reason=f"retention.{kind}")
        removed += len(batch)
    return removed


def _sweep(now: datetime) -> None:
    """Bytes whose removal is committed, and that a crash left: once more."""
    recent = Event.objects.filter(name="ContentRemoval", at__gte=now - AGAIN).values("stream")
    for sha256 in Package.objects.filter(pk__in=recent).values_list("sha256", flat=True):
        _delete_bytes(sha256)


# --- by order -----------------------------------------------------------------------------------------


@transaction.atomic
def order(package: Package, *, reason: str, content: bool, actor: log.Actor, now: datetime) -> RedactionOrder:
    """Enter an order to remove what the log says of `package`; nothing is removed yet."""
    made = RedactionOrder.objects.create(
        package=package, content=content, reason=reason, entered_by=actor.id, entered_at=now
    )
    _note(made, "redaction.ordered", actor, now)
    return made


@transaction.atomic
def confirm(made: RedactionOrder, *, actor: log.Actor, now: datetime) -> int:
    """Another person confirms: the bodies go at once. Returns how many. Raises NotPossible."""
    if actor.id == made.entered_by:
        raise NotPossible(
            "Người lập lệnh không được tự xác nhận. / Whoever entered an order must not confirm it."
        )
    _decide(made, actor, now, carried_out=True)
    about = Event.objects.filter(package=made.package_id)
    if about.exclude(_sealed()).exists():
        raise NotPossible(
            "Có sự kiện chưa vào nhật ký; hãy thử lại sau ít phút. / "
            "An event is not in the log yet; try again in a minute."
        )
    found = about.filter(body__isnull=False).exclude(name__in=KEPT).order_by("pk")
    removed = list(found.values_list("pk", flat=True))
    for start in range(0, len(removed), BATCH):
        _remove_bodies(
            removed[start : start + BATCH], actor=actor, now=now, reason="order.confirmed", text=made.reason
        )
    if made.content:
        _remove_content(made.package_id, actor=actor, now=now, reason="order.confirmed", text=made.reason)
    return len(removed)


@transaction.atomic
def drop(made: RedactionOrder, *, actor: log.Actor, now: datetime) -> None:
    """The order is not carried out. Raises NotPossible when it was decided before."""
    _decide(made, actor, now, carried_out=False)
    _note(made, "redaction.dropped", actor, now)


def _decide(made: RedactionOrder, actor: log.Actor, now: datetime, *, carried_out: bool) -> None:
    open_ = RedactionOrder.objects.filter(pk=made.pk, decided_at=None)
    if open_.update(decided_by=actor.id, decided_at=now, carried_out=carried_out) != 1:
        raise NotPossible("Lệnh này đã được quyết định. / This order was decided before.")


def _note(made: RedactionOrder, what: str, actor: log.Actor, now: datetime) -> None:
    log.note(
        STREAM,
        "PolicyChange",
        actor=actor,
        at=now,
        what=what,
        target=str(made.package_id),
        reason="operator.stated",
        text=made.reason,
    )


# --- removing -----------------------------------------------------------------------------------------


def _remove_bodies(
    events: Sequence[int], *, actor: log.Actor, now: datetime, reason: str, text: str = ""
) -> None:
    """Name the indices of `events` in every log that has them, then let their bytes and free text go,
    and with them the reports on PDF signatures of their packages."""
    entries = LogEntry.objects.filter(event__in=events, redacted=None).select_related("log")
    by_log: defaultdict[str, list[LogEntry]] = defaultdict(list)
    for entry in entries.order_by("log", "index"):
        by_log[entry.log.origin].append(entry)
    for origin, found in by_log.items():
        said = log.note(
            STREAM,
            "Redaction",
            actor=actor,
            at=now,
            reason=reason,
            text=text,
            target=origin,
            indices=tuple(entry.index for entry in found),
        )
        Redacted.objects.bulk_create([Redacted(entry=entry, by=said) for entry in found])
    EventText.objects.filter(event__in=events).delete()
    # One that is still to be made stays: deliveries may wait for it.
    PdfReport.objects.exclude(checked_at=None).filter(
        package__in=Event.objects.filter(pk__in=events).values("package")
    ).delete()
    EventBody.objects.filter(event__in=events).delete()


def _remove_content(key: UUID, *, actor: log.Actor, now: datetime, reason: str, text: str = "") -> None:
    """Append the event that the bytes of a package were removed, and remove them after the commit."""
    package = Package.objects.select_for_update().get(pk=key)
    if Delivery.objects.filter(package=package, state=State.QUEUED).exists():
        raise NotPossible(
            "Gói tin còn lượt gửi chưa giao. / A delivery of the package still waits in the queue."
        )
    if content_removed(package):
        return
    entry = log.Entry(row=package, event="ContentRemoval", package=package, reason=reason, text=text)
    log.append([entry], at=now, actor=actor)
    package.save(update_fields=["seq", "head"])
    PdfReport.objects.filter(package=package).delete()
    transaction.on_commit(lambda: _delete_bytes(package.sha256))


def content_removed(package: Package) -> bool:
    """Whether the bytes of `package` were removed by rule or order."""
    return Event.objects.filter(stream=package.id, name="ContentRemoval").exists()


def open_content(package: Package) -> BinaryIO:
    """The bytes of `package`. Raises Refused package.removed; vault.Missing otherwise is an incident."""
    try:
        return vault.open_bytes(package.sha256)
    except vault.Missing:
        if content_removed(package):
            raise Refused("package.removed") from None
        raise


def _delete_bytes(sha256: str) -> None:
    """Delete bytes that no package needs any more: two senders may have sent the same."""
    gone = Event.objects.filter(name="ContentRemoval").values("stream")
    if not Package.objects.filter(sha256=sha256).exclude(pk__in=gone).exists():
        vault.delete(sha256)
