"""The life of a document, by the front door: statuses, recall, take-back, update, replacement, replies."""

from datetime import UTC, datetime, timedelta

import pytest

from exchange import delivery, intake, pushing
from exchange.envelope import package as envelope
from exchange.envelope.package import Receiver
from exchange.models import Delivery, Event, EventText, Outcome, Package, SignatureState
from exchange.refusals import Refused
from tests.exchange.parties import (
    acknowledge,
    events_of,
    hand_over,
    inbox,
    last_event,
    look,
    push,
    recall,
    replace,
    say,
    say_json,
    serve,
    to,
    update,
)
from tests.world import ACTOR, DAY, NOW, World, answer_to

HOUR = timedelta(hours=1)
QUEUED = ("queued", "none", "none", "none")
WITHDRAWN_AT_ONCE = ("withdrawn", "none", "none", "none")


def refused(act: object, *arguments: object, **facts: object) -> Refused:
    """The refusal of a step, which must have changed nothing."""
    before = counted()
    with pytest.raises(Refused) as caught:
        act(*arguments, **facts)  # type: ignore[operator]
    assert counted() == before
    return caught.value


def counted() -> list[object]:
    rows = Delivery.objects.order_by("id").values_list(
        "id", "state", "answer", "request", "request_state", "seq"
    )
    return [list(rows), Package.objects.count()]


# --- answers ------------------------------------------------------------------------------------------

CODES = ("01", "02", "03", "04", "05", "06")
# What 01–06 do after each answer: advance, the same again, late, impossible.
ORDER = {
    "none": "AAAAAA",
    "01": "SAAAAA",
    "02": "LSXXXX",
    "03": "LXSAAA",
    "04": "LXLSAA",
    "05": "LXLLSA",
    "06": "LXLLLS",
}


@pytest.mark.parametrize("before", ORDER)
def test_what_may_follow_an_answer(hub: World, before: str) -> None:
    for code, verdict in zip(CODES, ORDER[before], strict=True):
        made = hub.send("H29", "H29.5")
        row = hand_over(hub, made.deliveries[0])
        if before != "none":
            say(hub, "H29.5", before, made)
        seq = Delivery.objects.get(id=row.id).seq
        if verdict == "X":
            refusal = refused(say, hub, "H29.5", code, made, at=NOW + HOUR)
            assert refusal.code == "status.not-allowed"
            assert refusal.problems[0].facts["current"] == f"handed_over, answer {before}"
            continue
        answered = say(hub, "H29.5", code, made, at=NOW + HOUR)
        moved = verdict == "A"
        assert look(row)[:2] == ("handed_over", code if moved else before)
        assert row.seq == seq + moved, "one event for a transition, none where nothing changes"
        assert [note.code for note in answered.warnings] == ([] if moved else ["status.no-change"])
        assert answered.package.about == made.package, "recorded in every case"
        assert [item.recipient.code for item in answered.deliveries] == ["H29"], "and passed on"


def test_each_answer_is_an_event_that_names_the_status_and_its_package(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    row = hand_over(hub, made.deliveries[0])
    names = []
    for code in ("01", "03", "04", "05", "06"):
        answered = say(hub, "H29.5", code, made)
        event = last_event(row)
        assert (event.status, event.message) == (code, str(answered.package.id))
        names.append(event.event)
    assert names == ["Arrival", "ConsignmentAcceptance", "Processing", "Processing", "Processing"]


def test_a_refusal_says_why_and_the_words_stand_beside_the_event(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    row = hand_over(hub, made.deliveries[0])
    say(hub, "H29.5", "02", made, description="Gửi nhầm nơi nhận")
    event = last_event(row)
    assert event.event == "ConsignmentRejection"
    assert event.reason and event.reason.code == "answer.refused" and event.reason.text_sha256
    assert EventText.objects.get(event__stream=row.id).text == "Gửi nhầm nơi nhận"


def test_handover_never_says_arrived(hub: World) -> None:
    row = hub.send("H29", "H29.5").deliveries[0]
    hand_over(hub, row)
    assert look(row) == ("handed_over", "none", "none", "none")


def test_an_answer_before_the_acknowledgement_proves_the_handover_too(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    row = made.deliveries[0]
    serve(hub, row)
    say(hub, "H29.5", "03", made)
    assert look(row)[:2] == ("handed_over", "03")
    assert events_of(row) == ["ContentConsignment", "ContentHandoverUnconfirmed", "ConsignmentAcceptance"]
    acknowledge(hub, row)
    assert look(row)[:2] == ("handed_over", "03")
    assert events_of(row)[-1] == "ContentHandover"


def test_answers_are_kept_per_recipient(hub: World) -> None:
    made = hub.send("H29", "H29.5", "H29.17")
    say(hub, "H29.5", "02", made)
    say(hub, "H29.17", "06", made)
    assert [look(to(made, code))[1] for code in ("H29.5", "H29.17")] == ["02", "06"]


def test_only_a_recipient_may_answer(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    assert refused(say, hub, "H29.17", "03", made).code == "document.not-found"


def test_the_json_call_and_the_signed_message_do_the_same(hub: World) -> None:
    row = hand_over(hub, hub.send("H29", "H29.5").deliveries[0])
    answered = say_json(hub, row, "03")
    assert (look(row)[1], answered.package.signature_state) == ("03", SignatureState.BY_HUB)
    assert say_json(hub, row, "03", NOW + HOUR).warnings[0].code == "status.no-change"
    assert refused(say_json, hub, row, "02").problems[0].facts["current"] == "handed_over, answer 03"


def test_status_14_is_read_as_15(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    row = hand_over(hub, made.deliveries[0])
    recall(hub, made, "H29.5")
    raw = envelope.build(
        envelope.status("15", sender=envelope.Organ("H29.5"), answers=answer_to(made), at=NOW)
    ).replace(b"StatusCode>15<", b"StatusCode>14<")
    assert b">14<" in raw
    assert hub.accept(hub.sign("H29.5", raw), "H29.5").package.status_code == "15"
    assert look(row)[0] == "withdrawn"


# --- recall -------------------------------------------------------------------------------------------


def test_a_recall_before_the_content_was_served_withdraws_at_once_and_nothing_travels(hub: World) -> None:
    made = hub.send("H29", "H29.5", "H29.17")
    asked = recall(hub, made, "H29.5", "H29.17")
    assert asked.deliveries == [] and asked.receipt
    assert [look(row) for row in made.deliveries] == [WITHDRAWN_AT_ONCE, WITHDRAWN_AT_ONCE]
    event = last_event(made.deliveries[0])
    assert (event.event, event.message) == ("Recalled", str(asked.package.id))
    assert event.reason and event.reason.code == "sender.asked"
    assert inbox(hub, "H29.5") == []


def test_a_recall_after_handover_is_a_request_with_a_deadline(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    row = hand_over(hub, made.deliveries[0])
    asked = recall(hub, made, "H29.5")
    assert look(row) == ("handed_over", "none", "recall", "open")
    assert row.requested_by == asked.deliveries[0]
    assert row.request_due_at and timedelta(days=2) < row.request_due_at - NOW < timedelta(days=6)
    assert last_event(row).event == "RecallRequested"
    assert [item.package for item in inbox(hub, "H29.5")] == [asked.package]
    assert not Delivery.objects.unanswered(NOW).exists()
    assert list(Delivery.objects.unanswered(row.request_due_at)) == [row]


@pytest.mark.parametrize("begin", [serve, hand_over])
def test_content_once_served_counts_as_handed_over(hub: World, begin: object) -> None:
    made = hub.send("H29", "H29.5")
    begin(hub, made.deliveries[0])  # type: ignore[operator]
    recall(hub, made, "H29.5")
    assert look(made.deliveries[0])[2:] == ("recall", "open")


def test_a_push_that_began_counts_as_handed_over(hub: World) -> None:
    made = hub.send("H29", "H29.17")
    assert pushing.claim(made.deliveries[0].lane, now=NOW, limit=1)
    recall(hub, made, "H29.17")
    assert look(made.deliveries[0])[2:] == ("recall", "open")


def test_a_recall_acts_on_each_recipient_for_itself(hub: World) -> None:
    made = hub.send("H29", "H29.5", "H29.17", "H29.121")
    hand_over(hub, to(made, "H29.5"))
    asked = recall(hub, made, "H29.5", "H29.17")
    assert [look(to(made, code))[0] for code in ("H29.5", "H29.17", "H29.121")] == [
        "handed_over",
        "withdrawn",
        "queued",
    ]
    assert [item.recipient.code for item in asked.deliveries] == ["H29.5"]


@pytest.mark.parametrize(
    ("code", "state", "outcome", "event"),
    [
        ("15", "withdrawn", "agreed", "RecallAgreed"),
        ("03", "withdrawn", "agreed", "RecallAgreed"),
        ("16", "handed_over", "declined", "RecallRefused"),
        ("02", "handed_over", "declined", "RecallRefused"),
    ],
)
def test_the_recipients_answer_closes_the_request(
    hub: World, code: str, state: str, outcome: str, event: str
) -> None:
    made = hub.send("H29", "H29.5")
    row = hand_over(hub, made.deliveries[0])
    asked = recall(hub, made, "H29.5")
    serve(hub, asked.deliveries[0])
    answered = say(hub, "H29.5", code, made)
    assert look(row) == (state, "none", "recall", outcome)
    assert (last_event(row).event, last_event(row).status) == (event, code)
    assert [item.recipient.code for item in answered.deliveries] == ["H29"]
    assert look(asked.deliveries[0])[0] == "handed_over", "the answer proves that the request arrived"
    say(hub, "H29.5", code, made, at=NOW + HOUR)
    assert look(row) == (state, "none", "recall", outcome), "the same answer again changes nothing"
    assert events_of(row).count(event) == 1


@pytest.mark.parametrize("code", ["02", "03"])
def test_02_and_03_are_the_documents_own_answer_while_the_request_was_not_seen(hub: World, code: str) -> None:
    made = hub.send("H29", "H29.5")
    row = hand_over(hub, made.deliveries[0])
    recall(hub, made, "H29.5")
    say(hub, "H29.5", code, made)
    assert look(row) == ("handed_over", code, "recall", "open")


def test_answers_go_on_while_a_request_is_open(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    row = hand_over(hub, made.deliveries[0])
    serve(hub, recall(hub, made, "H29.5").deliveries[0])
    say(hub, "H29.5", "05", made)
    assert look(row) == ("handed_over", "05", "recall", "open")


def test_the_request_itself_may_be_answered_over_json(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    row = hand_over(hub, made.deliveries[0])
    notice = recall(hub, made, "H29.5").deliveries[0]
    say_json(hub, hand_over(hub, notice), "15")
    assert look(row)[0] == "withdrawn"


def test_an_answer_to_an_older_request_means_the_one_that_is_open(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    row = hand_over(hub, made.deliveries[0])
    first = hand_over(hub, recall(hub, made, "H29.5").deliveries[0])
    say_json(hub, first, "16")
    recall(hub, made, "H29.5", now=NOW + HOUR)
    say_json(hub, first, "15", NOW + HOUR)
    assert look(row)[0] == "withdrawn"
    assert look(first)[1] == "none"


def test_withdrawn_content_is_no_longer_offered_but_its_history_is_kept(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    row = hand_over(hub, made.deliveries[0])
    say(hub, "H29.5", "01", made)
    recall(hub, made, "H29.5")
    say(hub, "H29.5", "15", made)
    for act in (serve, acknowledge):
        refusal = refused(act, hub, row)
        assert (refusal.code, refusal.reason.status) == ("delivery.withdrawn", 409)
    assert look(row) == ("withdrawn", "01", "recall", "agreed")
    assert events_of(row) == [
        "ContentConsignment",
        "ContentHandover",
        "Arrival",
        "RecallRequested",
        "RecallAgreed",
    ]


def test_nobody_answers_a_withdrawn_document(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    recall(hub, made, "H29.5")
    for code in ("03", "15"):
        assert refused(say, hub, "H29.5", code, made).problems[0].facts["current"] == "withdrawn"


def test_15_without_a_request_is_refused_and_so_is_the_opposite_of_what_was_said(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    hand_over(hub, made.deliveries[0])
    assert refused(say, hub, "H29.5", "15", made).problems[0].facts["current"] == "handed_over"
    recall(hub, made, "H29.5")
    say(hub, "H29.5", "16", made)
    current = refused(say, hub, "H29.5", "15", made).problems[0].facts["current"]
    assert current == "handed_over, recall declined"


def test_a_second_recall_is_refused_while_one_is_open_and_allowed_after_it_was_declined(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    row = hand_over(hub, made.deliveries[0])
    recall(hub, made, "H29.5")
    refusal = refused(recall, hub, made, "H29.5", now=NOW + HOUR)
    assert refusal.problems[0].facts == {"status": "recall", "current": "handed_over, recall open"}
    say(hub, "H29.5", "16", made)
    recall(hub, made, "H29.5", now=NOW + 2 * HOUR)
    assert look(row)[3] == "open"


def test_a_recall_is_refused_when_nobody_can_be_asked_and_else_warns(hub: World) -> None:
    made = hub.send("H29", "H29.5", "H29.17")
    recall(hub, made, "H29.5")
    assert refused(recall, hub, made, "H29.5", now=NOW + HOUR).code == "status.not-allowed"
    assert refused(recall, hub, made, "H29.121").code == "document.not-found"
    assert refused(recall, hub, made, "H29.404").code == "recipient.unknown"
    asked = recall(hub, made, "H29.5", "H29.17", "H29.121", now=NOW + HOUR)
    assert [note.code for note in asked.warnings] == ["status.not-allowed", "document.not-found"]
    assert look(to(made, "H29.17"))[0] == "withdrawn"


def test_a_recall_of_somebody_elses_or_of_an_unknown_document_says_what_was_searched_for(hub: World) -> None:
    theirs = hub.send("H29.5", "H29.17")
    identifier = theirs.package.document_id
    mine = hub.send("H29", "H29.17")
    refusal = refused(recall, hub, mine, "H29.17", identifier=identifier, code=envelope.Code("1", "QĐ"))
    assert refusal.code == "document.not-found"
    assert identifier in str(refusal.problems[0].facts["searched"])
    assert look(theirs.deliveries[0]) == QUEUED


def test_an_expired_delivery_that_was_never_served_is_withdrawn_at_once(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    later = NOW + timedelta(days=40)
    delivery.expire(later)
    recall(hub, made, "H29.5", now=later)
    assert look(made.deliveries[0]) == WITHDRAWN_AT_ONCE


def test_the_answer_to_a_recall_of_an_expired_delivery_that_was_served_proves_the_handover(
    hub: World,
) -> None:
    made = hub.send("H29", "H29.5")
    row = serve(hub, made.deliveries[0])
    later = NOW + timedelta(days=40)
    delivery.expire(later)
    recall(hub, made, "H29.5", now=later)
    say(hub, "H29.5", "15", made, at=later)
    assert events_of(row)[-3:] == ["RecallRequested", "ContentHandoverUnconfirmed", "RecallAgreed"]
    assert look(row)[0] == "withdrawn"


# --- take-back (13) -----------------------------------------------------------------------------------


def test_a_take_back_before_handover_withdraws_at_once(hub: World) -> None:
    made = hub.send("H29", "H29.5", "H29.17")
    asked = say(hub, "H29", "13", made, organ="H29.5", description="Gửi nhầm")
    assert asked.deliveries == [] and asked.package.about == made.package
    assert [look(row)[0] for row in made.deliveries] == ["withdrawn", "queued"]


@pytest.mark.parametrize("json", [False, True])
@pytest.mark.parametrize(("code", "state"), [("15", "withdrawn"), ("16", "handed_over")])
def test_a_take_back_after_handover_is_delivered_and_answered(
    hub: World, code: str, state: str, json: bool
) -> None:
    made = hub.send("H29", "H29.5", "H29.17")
    row = hand_over(hub, to(made, "H29.5"))
    asked = say(hub, "H29", "13", made, organ="H29.5")
    assert look(row)[2:] == ("take_back", "open")
    assert [item.package for item in inbox(hub, "H29.5")] == [asked.package]
    if json:
        say_json(hub, serve(hub, asked.deliveries[0]), code)
    else:
        say(hub, "H29.5", code, made)
    assert look(row)[0] == state
    assert look(to(made, "H29.17")) == QUEUED


def test_a_clerk_withdraws_and_the_hub_writes_the_take_back(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    row = hand_over(hub, made.deliveries[0])
    asked = intake.withdraw(row, reason="Gửi nhầm nơi nhận", actor=ACTOR, now=NOW)
    assert (asked.package.status_code, asked.package.signature_state) == ("13", SignatureState.BY_HUB)
    assert (asked.package.sender.code, asked.package.system) == ("H29", None)
    assert look(row)[2:] == ("take_back", "open")
    assert last_event(row).actor.id == ACTOR.id
    assert refused(intake.withdraw, row, reason="", actor=ACTOR, now=NOW).code == "status.not-allowed"


def test_the_hub_signs_only_for_an_agency_that_lets_it_and_is_not_suspended(hub: World) -> None:
    row = hub.send("H29", "H29.5").deliveries[0]
    office = hub.agencies["H29"]
    office.hub_may_sign = False
    office.save()
    row = Delivery.objects.get(id=row.id)
    assert refused(intake.withdraw, row, reason="", actor=ACTOR, now=NOW).code == "signature.missing"
    office.suspended_at = NOW
    office.save()
    row = Delivery.objects.get(id=row.id)
    assert refused(intake.withdraw, row, reason="", actor=ACTOR, now=NOW).code == "sender.suspended"


# --- update -------------------------------------------------------------------------------------------


def test_an_update_supersedes_what_was_not_handed_over_and_is_delivered(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    new = update(hub, made, "H29.5", now=NOW + HOUR)
    assert look(made.deliveries[0])[0] == "superseded"
    assert last_event(made.deliveries[0]).event == "Superseded"
    assert [row.package for row in inbox(hub, "H29.5")] == [new.package]
    assert refused(serve, hub, made.deliveries[0]).code == "delivery.closed"


@pytest.mark.parametrize(
    ("code", "old", "new"),
    [
        ("15", ("superseded", "03", "update", "agreed"), "none"),
        ("03", ("superseded", "03", "update", "agreed"), "03"),
        ("16", ("handed_over", "03", "update", "declined"), "none"),
        ("02", ("handed_over", "03", "update", "declined"), "02"),
    ],
)
def test_an_update_of_what_was_handed_over_awaits_the_answer(
    hub: World, code: str, old: tuple[str, ...], new: str
) -> None:
    made = hub.send("H29", "H29.5")
    row = hand_over(hub, made.deliveries[0])
    say(hub, "H29.5", "03", made)
    updated = update(hub, made, "H29.5", now=NOW + HOUR)
    assert look(row) == ("handed_over", "03", "update", "open")
    serve(hub, updated.deliveries[0])
    say(hub, "H29.5", code, made, at=NOW + HOUR)
    assert look(row) == old
    assert look(updated.deliveries[0]) == ("handed_over", new, "none", "none")
    say(hub, "H29.5", code, made, at=NOW + 2 * HOUR)
    assert (look(row), look(updated.deliveries[0])[1]) == (old, new), "again: nothing changes"


def test_02_to_an_update_refuses_the_update_also_when_the_document_itself_was_never_answered(
    hub: World,
) -> None:
    made = hub.send("H29", "H29.5")
    row = hand_over(hub, made.deliveries[0])
    updated = serve(hub, update(hub, made, "H29.5", now=NOW + HOUR).deliveries[0])
    say(hub, "H29.5", "02", made, at=NOW + HOUR)
    assert look(row) == ("handed_over", "none", "update", "declined")
    assert look(updated)[1] == "02"


def test_later_answers_are_about_the_version_that_stands(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    row = hand_over(hub, made.deliveries[0])
    say(hub, "H29.5", "03", made)
    updated = update(hub, made, "H29.5", now=NOW + HOUR).deliveries[0]
    serve(hub, updated)
    say(hub, "H29.5", "16", made)
    say(hub, "H29.5", "05", made)
    assert (look(row)[1], look(updated)[1]) == ("05", "none"), "the update was declined"
    newest = update(hub, made, "H29.5", now=NOW + 2 * HOUR).deliveries[0]
    serve(hub, newest)
    say(hub, "H29.5", "15", made)
    say(hub, "H29.5", "06", made)
    assert [look(item)[:2] for item in (row, updated, newest)] == [
        ("superseded", "05"),
        ("superseded", "none"),
        ("handed_over", "06"),
    ]


def test_an_update_that_nobody_answered_does_not_stop_the_next(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    row = hand_over(hub, made.deliveries[0])
    first = hand_over(hub, update(hub, made, "H29.5", now=NOW + HOUR).deliveries[0])
    second = update(hub, made, "H29.5", now=NOW + 2 * HOUR).deliveries[0]
    assert (look(row)[2:], look(first)[2:]) == (("update", "open"), ("update", "open"))
    serve(hub, second)
    say(hub, "H29.5", "03", made)
    assert [look(item)[0] for item in (row, first, second)] == ["superseded", "superseded", "handed_over"]


def test_a_recall_takes_back_the_document_and_its_updates(hub: World) -> None:
    made = hub.send("H29", "H29.5")
    row = hand_over(hub, made.deliveries[0])
    updated = update(hub, made, "H29.5", now=NOW + HOUR).deliveries[0]
    asked = recall(hub, made, "H29.5", now=NOW + 2 * HOUR)
    assert look(updated) == WITHDRAWN_AT_ONCE, "nobody saw the update"
    assert look(row)[2:] == ("recall", "open"), "the recall goes before the open update"
    serve(hub, asked.deliveries[0])
    say(hub, "H29.5", "15", made)
    assert look(row)[0] == "withdrawn"


def test_no_update_while_a_recall_is_open(hub: World) -> None:
    made = hub.send("H29", "H29.5", "H29.17")
    hand_over(hub, to(made, "H29.5"))
    recall(hub, made, "H29.5")
    refusal = refused(update, hub, made, "H29.5", "H29.17", now=NOW + HOUR)
    assert refusal.problems[0].facts["current"] == "handed_over, recall open"


def test_an_update_adds_and_removes_receivers(hub: World) -> None:
    made = hub.send("H29", "H29.5", "H29.17", "H29.121")
    hand_over(hub, to(made, "H29.17"))
    changed = update(
        hub,
        made,
        "H29.5",
        "H29.17",
        now=NOW + HOUR,
        receivers=(Receiver("0", "H29.10"), Receiver("1", "000.00.17.H29"), Receiver("1", "H29.121")),
    )
    assert {item.recipient.code for item in changed.deliveries} == {"H29.5", "H29.10", "H29.17"}
    assert look(to(made, "H29.5"))[0] == "superseded"
    assert look(to(made, "H29.121"))[0] == "withdrawn", "removed before anything was served"
    assert look(to(made, "H29.17"))[2:] == ("recall", "open"), "removed, though To repeats it"
    say(hub, "H29.17", "05", made)
    assert look(to(changed, "H29.17"))[1] == "none", "what tells it of the removal is no document to work on"
    say(hub, "H29.17", "15", made)
    assert look(to(made, "H29.17"))[:2] == ("withdrawn", "05")
    say(hub, "H29.10", "03", made)
    assert look(to(changed, "H29.10"))[1] == "03", "an added receiver answers the document by its id"


def test_the_sample_update_changes_content_and_adds_a_receiver(hub: World) -> None:
    first = hub.accept(hub.sign("H29", sample("document-new")))
    hand_over(hub, to(first, "H29.5"))
    second = hub.accept(hub.sign("H29", sample("document-update")))
    assert second.package.about == first.package
    assert {item.recipient.code for item in second.deliveries} == {"H29.5", "H29.17", "H29.121"}
    assert [look(to(first, code))[0] for code in ("H29.5", "H29.17")] == ["handed_over", "superseded"]
    third = hub.accept(hub.sign("H29", sample("document-replace")))
    assert third.package.about == first.package
    assert look(to(second, "H29.17"))[0] == "superseded"
    assert look(to(second, "H29.121")) == QUEUED, "not named by the replacement"


def test_the_samples_of_recall_and_take_back_act_on_the_sample_document(hub: World) -> None:
    first = hub.accept(hub.sign("H29", sample("document-new")))
    for row in first.deliveries:
        hand_over(hub, row)
    hub.accept(hub.sign("H29.5", sample("status-01-arrived")), "H29.5")
    hub.accept(hub.sign("H29.5", sample("status-03-accepted")), "H29.5")
    hub.accept(hub.sign("H29", sample("status-13-take-back")))
    assert look(to(first, "H29.5")) == ("handed_over", "03", "take_back", "open")
    hub.accept(hub.sign("H29.5", sample("status-16-declined")), "H29.5")
    assert look(to(first, "H29.5"))[3] == "declined"
    hub.accept(hub.sign("H29", sample("document-recall")))
    hub.accept(hub.sign("H29.5", sample("status-15-agreed")), "H29.5")
    assert look(to(first, "H29.5"))[0] == "withdrawn"


def sample(name: str) -> bytes:
    from pathlib import Path

    return (Path(__file__).parents[2] / "fixtures" / "accepted" / f"{name}.edxml").read_bytes()


# --- replacement --------------------------------------------------------------------------------------


def test_a_replacement_takes_the_place_of_several_documents_per_recipient(hub: World) -> None:
    one, two = hub.send("H29", "H29.5", "H29.17"), hub.send("H29", "H29.5", "H29.17")
    for made in (one, two):
        hand_over(hub, to(made, "H29.5"))
    new = replace(hub, "H29", ["H29.5", "H29.17"], (one, ["H29.5", "H29.17"]), (two, ["000.00.05.H29"]))
    carrier = to(new, "H29.5")
    assert [look(to(made, "H29.5"))[2:] for made in (one, two)] == [("replace", "open")] * 2
    assert look(to(one, "H29.17"))[0] == "superseded"
    assert look(to(two, "H29.17")) == QUEUED, "the second is replaced at one recipient only"
    assert set(carrier.requests.all()) == {to(one, "H29.5"), to(two, "H29.5")}, "seen from the new one"
    assert to(one, "H29.5").requested_by == carrier, "and from the old one"
    hand_over(hub, carrier)
    say(hub, "H29.5", "15", new)
    assert [look(to(made, "H29.5"))[0] for made in (one, two)] == ["superseded"] * 2
    assert look(carrier)[:2] == ("handed_over", "none")


def test_accepting_the_new_document_agrees_to_the_replacement(hub: World) -> None:
    old = hub.send("H29", "H29.5")
    hand_over(hub, to(old, "H29.5"))
    new = replace(hub, "H29", ["H29.5"], (old, []))
    say_json(hub, hand_over(hub, to(new, "H29.5")), "03")
    assert look(to(old, "H29.5"))[0] == "superseded"
    assert look(to(new, "H29.5"))[1] == "03"


def test_one_replaced_document_may_be_declined_by_its_own_name(hub: World) -> None:
    one, two = hub.send("H29", "H29.5"), hub.send("H29", "H29.5")
    for made in (one, two):
        hand_over(hub, to(made, "H29.5"))
    replace(hub, "H29", ["H29.5"], (one, []), (two, []))
    say(hub, "H29.5", "16", two)
    assert [look(to(made, "H29.5"))[3] for made in (one, two)] == ["open", "declined"]


def test_a_document_already_recalled_may_be_replaced(hub: World) -> None:
    old = hub.send("H29", "H29.5")
    recall(hub, old, "H29.5")
    new = replace(hub, "H29", ["H29.5"], (old, ["H29.5"]))
    assert new.package.about == old.package
    assert look(to(old, "H29.5")) == WITHDRAWN_AT_ONCE


def test_an_organ_that_does_not_get_the_new_document_keeps_the_old_one(hub: World) -> None:
    old = hub.send("H29", "H29.5", "H29.17")
    new = replace(hub, "H29", ["H29.5"], (old, ["H29.5", "H29.17"]))
    assert [note.code for note in new.warnings] == ["replacement.not-addressed"]
    assert look(to(old, "H29.17")) == QUEUED


def test_a_replacement_of_an_unknown_document_is_refused(hub: World) -> None:
    theirs = hub.send("H29.5", "H29.17")
    refusal = refused(replace, hub, "H29", ["H29.17"], (theirs, []))
    assert refusal.code == "document.not-found"
    assert theirs.package.document_id in str(refusal.problems[0].facts["searched"])


# --- replies, duplicates ------------------------------------------------------------------------------


def test_a_reply_is_linked_and_its_due_date_kept_or_late(hub: World) -> None:
    asked = hub.send("H29", "H29.5", due_date=DAY + timedelta(days=7))
    midnight = datetime(2026, 11, 27, 17, tzinfo=UTC)  # in Viet Nam
    for now, kept in ((NOW, True), (midnight - HOUR, True), (midnight, False)):
        made = hub.send("H29.5", "H29", responses=[answer_to(asked)], now=now)
        assert (made.package.about, made.package.in_time) == (asked.package, kept)
    assert Package.objects.replies().filter(about=asked.package).count() == 3
    assert asked.package.in_time is None


def test_a_reply_to_an_unknown_document_is_accepted_with_a_warning(hub: World) -> None:
    stranger = envelope.Response(organ_id="H29", code=envelope.Code("9", "QĐ"), document_id="x")
    made = hub.send("H29.5", "H29", responses=[stranger])
    assert (made.package.about, [note.code for note in made.warnings]) == (None, ["document.not-found"])


def test_an_id_may_be_used_again_once_every_delivery_of_it_is_withdrawn(hub: World) -> None:
    made = hub.send("H29", "H29.5", "H29.17", identifier="H29,2026,1")
    recall(hub, made, "H29.5")
    assert refused(hub.send, "H29", "H29.5", identifier="H29,2026,1").code == "document.id-reused"
    recall(hub, made, "H29.17")
    again = hub.send("H29", "H29.5", identifier="H29,2026,1", subject="Lần hai")
    assert again.warnings == ()


# --- resend -------------------------------------------------------------------------------------------


def resend(row: Delivery, **facts: object) -> Delivery:
    return delivery.resend(
        row.id, actor=ACTOR, now=NOW + timedelta(days=41), reason="Máy chủ đã sửa", **facts
    )


def test_resend_queues_an_expired_delivery_again_and_the_old_receipt_stays(hub: World) -> None:
    row = hub.send("H29", "H29.5").deliveries[0]
    delivery.expire(NOW + timedelta(days=40))
    resend(row)
    assert look(row)[0] == "queued"
    assert row.expires_at > NOW + timedelta(days=60)
    assert events_of(row) == ["ContentConsignment", "AcceptanceRejectionExpiry", "Requeued"]
    assert EventText.objects.get(event__name="Requeued").text == "Máy chủ đã sửa"
    hand_over(hub, row, NOW + timedelta(days=42))
    assert look(row)[0] == "handed_over"


def test_resend_follows_the_recipient_to_its_new_system(hub: World) -> None:
    row = hub.send("H29", "H29.5").deliveries[0]
    delivery.expire(NOW + timedelta(days=40))
    recipient = hub.agencies["H29.5"]
    recipient.receives_through = hub.systems["health"]
    recipient.save()
    resend(row)
    row.refresh_from_db()
    assert (row.system, row.push) == (hub.systems["health"], True)


@pytest.mark.parametrize("state", ["queued", "handed_over", "withdrawn"])
def test_only_what_expired_or_failed_is_sent_again(hub: World, state: str) -> None:
    made = hub.send("H29", "H29.5")
    if state == "handed_over":
        hand_over(hub, made.deliveries[0])
    if state == "withdrawn":
        recall(hub, made, "H29.5")
    assert refused(resend, made.deliveries[0]).problems[0].facts["current"] == state


def test_a_resend_of_what_could_not_be_delivered_has_as_many_attempts_again(hub: World) -> None:
    row = hub.send("H29", "H29.17").deliveries[0]
    Delivery.objects.filter(id=row.id).update(attempts=pushing.MAX_ATTEMPTS - 1)
    push(row, Outcome.UNREACHABLE)
    assert look(row)[0] == "undeliverable"
    assert last_event(row).event == "ContentHandoverFailure"
    resend(row)
    push(row, Outcome.UNREACHABLE, NOW + timedelta(days=42))
    assert look(row)[0] == "queued"
    push(row, Outcome.CONFIRMED, NOW + timedelta(days=43))
    assert look(row)[0] == "handed_over"


def test_a_resend_to_an_agency_without_a_system_is_refused(hub: World) -> None:
    row = hub.send("H29", "H29.5").deliveries[0]
    delivery.expire(NOW + timedelta(days=40))
    hub.agencies["H29.5"].receives_through = None
    hub.agencies["H29.5"].save()
    assert refused(resend, row).code == "recipient.not-connected"
    assert Event.objects.filter(stream=row.id).count() == 2
