"""What may follow what: transport, answers and requests, as tables; and the one way to write a change.

A delivery has three fields that are never merged: `state` (where the bytes are), `answer` (the recipient's
last word on the document) and `request` with `request_state` (what the sender asks of it afterwards).
docs/lifecycle.md shows the tables as pictures.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any

from django.conf import settings

from exchange import log
from exchange.models import Answer, Delivery, Event, Holiday, Request, RequestState, State, bulk
from exchange.refusals import Refused
from exchange.workdays import add_working_days


class By(StrEnum):
    """Who brings a change about."""

    SENDER = "sender"
    RECIPIENT = "recipient"
    HUB = "hub"


@dataclass(frozen=True, slots=True)
class Move:
    """One event that moves the `state` of a delivery: whose word it is, from where to where, and when."""

    by: By
    before: frozenset[State]
    after: State
    when: str


NEVER_HANDED_OVER = frozenset({State.QUEUED, State.EXPIRED, State.UNDELIVERABLE})
_HELD = frozenset({State.HANDED_OVER})

MOVES: Mapping[str, Move] = {
    "ContentHandover": Move(
        By.RECIPIENT,
        NEVER_HANDED_OVER | {State.HANDED_OVER},
        State.HANDED_OVER,
        "its system acknowledged with the digest that it computed",
    ),
    "ContentHandoverUnconfirmed": Move(
        By.RECIPIENT, NEVER_HANDED_OVER, State.HANDED_OVER, "its system took the bytes, or answered first"
    ),
    "ContentHandoverFailure": Move(
        By.HUB,
        frozenset({State.QUEUED}),
        State.UNDELIVERABLE,
        "every attempt failed, or its recipient refuses the broken PDF signature",
    ),
    "RelayAcceptance": Move(
        By.HUB, NEVER_HANDED_OVER, State.HANDED_OVER, "the next hub took it, which hands it over from there"
    ),
    "RelayRejection": Move(
        By.HUB, frozenset({State.QUEUED}), State.UNDELIVERABLE, "the next hub refused it for good"
    ),
    "RelayFailure": Move(
        By.HUB, frozenset({State.QUEUED}), State.UNDELIVERABLE, "every attempt to relay failed"
    ),
    "AcceptanceRejectionExpiry": Move(
        By.HUB, frozenset({State.QUEUED}), State.EXPIRED, "not handed over in time"
    ),
    "Requeued": Move(
        By.SENDER, frozenset({State.EXPIRED, State.UNDELIVERABLE}), State.QUEUED, "asked to send again"
    ),
    "Recalled": Move(By.SENDER, NEVER_HANDED_OVER, State.WITHDRAWN, "recalled before the content was served"),
    "Superseded": Move(
        By.SENDER, NEVER_HANDED_OVER, State.SUPERSEDED, "updated or replaced before the content was served"
    ),
    "RecallAgreed": Move(By.RECIPIENT, _HELD, State.WITHDRAWN, "agreed to give the document back"),
    "ChangeAgreed": Move(By.RECIPIENT, _HELD, State.SUPERSEDED, "agreed to the update or replacement"),
}
# Nothing is asked of these, and nobody answers them, any more.
ENDED = frozenset({State.WITHDRAWN, State.SUPERSEDED})

# The recipient's answers (edXML 2.4): what may come after what. Steps may be left out, not undone.
FOLLOWS: Mapping[Answer, frozenset[Answer]] = {
    Answer.NONE: frozenset(set(Answer) - {Answer.NONE}),
    Answer.ARRIVED: frozenset(set(Answer) - {Answer.NONE, Answer.ARRIVED}),
    Answer.REFUSED: frozenset(),
    Answer.ACCEPTED: frozenset({Answer.ASSIGNED, Answer.IN_WORK, Answer.DONE}),
    Answer.ASSIGNED: frozenset({Answer.IN_WORK, Answer.DONE}),
    Answer.IN_WORK: frozenset({Answer.DONE}),
    Answer.DONE: frozenset(),
}
ANSWER_EVENTS: Mapping[Answer, str] = {
    Answer.ARRIVED: "Arrival",
    Answer.REFUSED: "ConsignmentRejection",
    Answer.ACCEPTED: "ConsignmentAcceptance",
    Answer.ASSIGNED: "Processing",
    Answer.IN_WORK: "Processing",
    Answer.DONE: "Processing",
}


@dataclass(frozen=True, slots=True)
class RequestRule:
    """The events of one kind of request, and which open requests it takes the place of."""

    requested: str
    agreed: str
    declined: str
    at_once: str
    over: frozenset[Request]


_CHANGES = frozenset({Request.UPDATE, Request.REPLACE})
_RECALL = RequestRule("RecallRequested", "RecallAgreed", "RecallRefused", "Recalled", _CHANGES)
_CHANGE = RequestRule("ChangeRequested", "ChangeAgreed", "ChangeRefused", "Superseded", _CHANGES)
REQUESTS: Mapping[Request, RequestRule] = {
    Request.RECALL: _RECALL,
    Request.TAKE_BACK: _RECALL,
    Request.UPDATE: _CHANGE,
    Request.REPLACE: _CHANGE,
}
AGREE, DECLINE = "15", "16"
# The codes that answer a request (edXML 2.4). 02 and 03 do so only once the recipient could see the request.
REPLIES: Mapping[str, RequestState] = {
    AGREE: RequestState.AGREED,
    Answer.ACCEPTED: RequestState.AGREED,
    DECLINE: RequestState.DECLINED,
    Answer.REFUSED: RequestState.DECLINED,
}

# A negative event must say why, and a person's words need a code to stand beside.
REASONS: Mapping[str, str] = {
    "ConsignmentRejection": "answer.refused",
    "RecallRefused": "answer.declined",
    "ChangeRefused": "answer.declined",
    "RecallRequested": "sender.asked",
    "ChangeRequested": "sender.asked",
    "Recalled": "sender.asked",
    "Superseded": "sender.asked",
}


class Verdict(Enum):
    """How an answer relates to the one recorded before."""

    ADVANCES = "advances"
    REPEATED = "repeated"
    LATE = "late"
    IMPOSSIBLE = "impossible"


# --- writing a change -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One event for one delivery that already holds its new state in memory."""

    delivery: Delivery
    event: str
    reason: str = ""
    text: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What brought a change about: the package that says it, who sent it, when, and its words."""

    message: str
    actor: log.Actor
    now: datetime
    text: str = ""


_WRITTEN = (
    "state", "answer", "request", "request_state", "due_at", "expires_at", "served_at", "handed_over_at",
    "answered_at", "first_answered_at", "requested_by_id", "request_due_at", "seq", "head",
)  # fmt: skip


def record(changes: Sequence[Change], *, at: datetime, actor: log.Actor) -> list[Event]:
    """Append the events of `changes` (distinct deliveries, locked by the caller) and write the rows."""
    entries = [
        log.Entry(
            row=change.delivery,
            package=change.delivery.package,
            event=change.event,
            reason=change.reason,
            text=change.text,
            facts=change.facts,
        )
        for change in changes
    ]
    made = log.append(entries, at=at, actor=actor)
    bulk.update(Delivery, _WRITTEN, [change.delivery for change in changes])
    return made


def move(delivery: Delivery, event: str, now: datetime) -> None:
    """Move `state` (in memory) as `event` does. Raises Refused (status.not-allowed) from a wrong state."""
    rule = MOVES[event]
    if delivery.state not in rule.before:
        raise not_allowed(event, delivery)
    if rule.after == State.HANDED_OVER and delivery.state != State.HANDED_OVER:
        delivery.handed_over_at = now
        delivery.served_at = delivery.served_at or now
    delivery.state = rule.after


def not_allowed(status: str, delivery: Delivery) -> Refused:
    """The refusal of `status`, naming the delivery's present state."""
    words = [delivery.state]
    if delivery.answer != Answer.NONE:
        words.append(f"answer {delivery.answer}")
    if delivery.request != Request.NONE:
        words.append(f"{delivery.request} {delivery.request_state}")
    return Refused("status.not-allowed", status=status, current=", ".join(words))


# --- what the recipient says ----------------------------------------------------------------------------


def judge(current: Answer, code: Answer) -> Verdict:
    """How answer `code` relates to the `current` one."""
    if code == current:
        return Verdict.REPEATED
    if code in FOLLOWS[current]:
        return Verdict.ADVANCES
    return Verdict.LATE if current in FOLLOWS[code] else Verdict.IMPOSSIBLE


def answer(delivery: Delivery, code: str, cause: Cause) -> Verdict:
    """Record the recipient's status `code` (01–06) on its document, and handover if that was not known.

    A repeated or late status changes nothing, nor does 02 or 03 once more after it settled a request.
    Raises Refused (status.not-allowed) for an impossible one.
    """
    if delivery.request_state == REPLIES.get(code):
        return Verdict.REPEATED
    status = Answer(code)
    verdict = judge(Answer(delivery.answer), status)
    if verdict is Verdict.IMPOSSIBLE or not answerable(delivery):
        raise not_allowed(code, delivery)
    prove_handover(delivery, cause)
    if verdict is Verdict.ADVANCES:
        delivery.answer, delivery.answered_at = status, cause.now
        delivery.first_answered_at = delivery.first_answered_at or cause.now
        _write(delivery, ANSWER_EVENTS[status], cause, status=code)
    return verdict


def answered(deliveries: Sequence[Delivery], code: str) -> Delivery:
    """Of one document's `deliveries`, oldest first, the one that the answer `code` (01–06) is about.

    The newest that still lives and that the answer fits; an update that the recipient turned down stands
    behind what it was to take the place of.
    """
    refused = {row.requested_by_id for row in deliveries if row.request_state == RequestState.DECLINED}
    newest_first = (standing(deliveries) or list(deliveries))[::-1]
    ranked = sorted(newest_first, key=lambda row: row.id in refused)
    status = Answer(code)
    fitting = (row for row in ranked if judge(Answer(row.answer), status) is not Verdict.IMPOSSIBLE)
    return next(fitting, ranked[0])


def settle(delivery: Delivery, code: str, cause: Cause) -> Verdict:
    """The recipient answers the request made of `delivery`: 15 (or 03) agrees, 16 (or 02) declines.

    The same answer again changes nothing. Raises Refused (status.not-allowed) when no request is open.
    """
    outcome = REPLIES[code]
    if delivery.request_state == outcome:
        return Verdict.REPEATED
    if delivery.request_state != RequestState.OPEN:
        raise not_allowed(code, delivery)
    rule = REQUESTS[Request(delivery.request)]
    carrier = delivery.requested_by
    for shown in [carrier, delivery] if carrier and carrier.begun else [delivery]:
        prove_handover(shown, cause)
    delivery.request_state = outcome
    event = rule.agreed if outcome == RequestState.AGREED else rule.declined
    if event in MOVES:
        move(delivery, event, cause.now)
    _write(delivery, event, cause, status=code)
    # Whoever answers a request has received the package that carried it.
    if carrier and carrier.first_answered_at is None:
        carrier.first_answered_at = cause.now
        carrier.save(update_fields=["first_answered_at"])
    return Verdict.ADVANCES


def answerable(delivery: Delivery) -> bool:
    """Not withdrawn or superseded; and what expired was at least served, so the recipient may hold it."""
    if delivery.state in (State.EXPIRED, State.UNDELIVERABLE):
        return delivery.begun
    return delivery.state not in ENDED


def prove_handover(delivery: Delivery, cause: Cause) -> None:
    """An answer that arrives before the acknowledgement also proves the handover: an event of its own."""
    if delivery.state in NEVER_HANDED_OVER:
        move(delivery, "ContentHandoverUnconfirmed", cause.now)
        _write(delivery, "ContentHandoverUnconfirmed", cause, digest=delivery.package.sha256)


# --- what the sender asks -------------------------------------------------------------------------------


def standing(deliveries: Iterable[Delivery]) -> list[Delivery]:
    """Those of which something may still be asked: neither withdrawn nor superseded."""
    return [item for item in deliveries if item.state not in ENDED]


def check_may_ask(delivery: Delivery, request: Request) -> None:
    """Raises Refused (status.not-allowed) when `delivery` has ended, or an open request stands in the way."""
    blocked = (
        delivery.request_state == RequestState.OPEN
        and Request(delivery.request) not in REQUESTS[request].over
    )
    if delivery.state in ENDED or blocked:
        raise not_allowed(request, delivery)


def ask(delivery: Delivery, request: Request, cause: Cause, by: Delivery | None = None) -> Change:
    """The sender asks to withdraw or supersede `delivery`; `by` is the delivery that carries the request.

    Settled at once when the content was never served; otherwise the recipient has to answer. The caller
    records the change. Raises Refused as `check_may_ask`.
    """
    check_may_ask(delivery, request)
    rule = REQUESTS[request]
    delivery.requested_by = by
    event = rule.requested if delivery.begun else rule.at_once
    if delivery.begun:
        delivery.request, delivery.request_state = request, RequestState.OPEN
        delivery.request_due_at = add_working_days(
            cause.now, settings.ENVIRONMENT.request_days, Holiday.objects.calendar()
        )
    else:
        move(delivery, event, cause.now)
    return _change(delivery, event, cause)


def _change(delivery: Delivery, event: str, cause: Cause, **facts: str) -> Change:
    return Change(
        delivery=delivery,
        event=event,
        reason=REASONS.get(event, ""),
        text=cause.text,
        facts={"message": cause.message, **facts},
    )


def _write(delivery: Delivery, event: str, cause: Cause, **facts: str) -> None:
    record([_change(delivery, event, cause, **facts)], at=cause.now, actor=cause.actor)
