"""The two sides of an exchange, as tests let them act: through the real stages, as their systems would."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from exchange import delivery, intake, log, pushing
from exchange.envelope import package as envelope
from exchange.envelope.codes import BusinessType
from exchange.envelope.package import Business
from exchange.evidence import events
from exchange.models import Delivery, Event, Outcome, Package
from exchange.transport import Result
from tests.world import NOW, World, answer_to


def to(made: intake.Acceptance, code: str) -> Delivery:
    """The delivery of `made` to agency `code`, as it is now."""
    return Delivery.objects.get(package=made.package, recipient__code=code)


def look(row: Delivery) -> tuple[str, str, str, str]:
    """The three fields (and what became of the request), as they are now."""
    row.refresh_from_db()
    return (row.state, row.answer, row.request, row.request_state)


def events_of(row: Delivery | Package) -> list[str]:
    """The names of the events of one stream, in order."""
    return list(Event.objects.filter(stream=row.id).order_by("seq").values_list("name", flat=True))


def last_event(row: Delivery) -> events.Event:
    """The last event of a delivery."""
    found = Event.objects.select_related("body").filter(stream=row.id).order_by("seq").last()
    assert found
    return events.decode(bytes(found.body.raw))


def serve(hub: World, row: Delivery, now: datetime = NOW) -> Delivery:
    """The recipient's system fetches the content."""
    return delivery.serve(row.id, system=hub.system_of(row.recipient.code), now=now)


def acknowledge(hub: World, row: Delivery, now: datetime = NOW) -> log.Receipt:
    """The recipient's system acknowledges the right digest."""
    code = row.recipient.code
    return delivery.acknowledge(
        row.id, system=hub.system_of(code), sha256=row.package.sha256, actor=hub.actor_of(code), now=now
    )


def hand_over(hub: World, row: Delivery, now: datetime = NOW) -> Delivery:
    """Fetched and acknowledged."""
    serve(hub, row, now)
    acknowledge(hub, row, now)
    return row


def push(row: Delivery, outcome: Outcome, now: datetime = NOW) -> None:
    """A worker claims the lane of `row` and every push in it ends with `outcome`."""
    claimed = pushing.claim(row.lane, now=now, limit=50)
    results = [
        Result(
            delivery=one.delivery,
            number=one.number,
            system=one.system,
            url="http://127.0.0.1/",
            outcome=outcome,
            http_status=None,
            detail="",
            started_at=now,
            finished_at=now,
        )
        for one in claimed
    ]
    pushing.settle(results, now=now)


def inbox(hub: World, code: str) -> list[Delivery]:
    """What waits for the agency `code`."""
    waiting = delivery.inbox(hub.system_of(code), limit=50, lease=timedelta(), now=NOW + timedelta(days=1))
    return [row for row in waiting if row.recipient.code == code]


def say(hub: World, speaker: str, code: str, about: intake.Acceptance, **facts: Any) -> intake.Acceptance:
    """A signed status message of `speaker` that names the document as it should."""
    organ = facts.pop("organ", None)
    now = facts.get("at", NOW)
    return hub.accept(hub.status(speaker, code, answer_to(about, organ), **facts), speaker, now)


def say_json(hub: World, row: Delivery, code: str, now: datetime = NOW) -> intake.Acceptance:
    """The same over the JSON call: the hub writes the message."""
    sender = code == "13"
    speaker = row.package.sender.code if sender else row.recipient.code
    return intake.answer(
        row,
        code=code,
        description="",
        staff=None,
        at=None,
        system=hub.system_of(speaker),
        actor=hub.actor_of(speaker),
        now=now,
    )


def again(
    hub: World, made: intake.Acceptance, kind: BusinessType, recipients: Sequence[str], **facts: Any
) -> intake.Acceptance:
    """A recall or update of `made`: its own header once more, to `recipients`."""
    package, now = made.package, facts.pop("now", NOW)
    identifier = facts.pop("identifier", package.document_id)
    code = facts.pop("code", envelope.Code(package.number, package.notation))
    business = Business(type=kind, reason="sai phụ lục", **facts)
    return hub.send(
        package.sender.code,
        *recipients,
        now=now,
        at=now,
        day=package.promulgated_on,
        code=code,
        identifier=identifier,
        business=business,
    )


def recall(hub: World, made: intake.Acceptance, *recipients: str, **facts: Any) -> intake.Acceptance:
    """Type 1."""
    return again(hub, made, BusinessType.RECALL, recipients, **facts)


def update(hub: World, made: intake.Acceptance, *recipients: str, **facts: Any) -> intake.Acceptance:
    """Type 2, naming the document as the regulation says."""
    facts.setdefault("document_id", made.package.document_id)
    return again(hub, made, BusinessType.UPDATE, recipients, **facts)


def replace(
    hub: World, sender: str, recipients: Sequence[str], *replaced: tuple[intake.Acceptance, Sequence[str]]
) -> intake.Acceptance:
    """Type 3: a new document for `recipients`; each of `replaced` with the organs that it names."""
    named = tuple(envelope.Replacement(old.package.document_id, tuple(organs)) for old, organs in replaced)
    return hub.send(sender, *recipients, business=Business(type=BusinessType.REPLACE, replacements=named))
