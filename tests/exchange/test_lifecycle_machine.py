"""Random legal and illegal steps from both sides, through the real stages; what must hold after each."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from exchange import delivery, intake, recount, statistics, vault
from exchange.envelope.package import Receiver
from exchange.evidence import events
from exchange.lifecycle import FOLLOWS, MOVES
from exchange.models import Answer, Delivery, Event, Outcome, Package, StatisticsDay, StatisticsDelta
from exchange.refusals import Refused
from tests.exchange.parties import acknowledge, push, recall, replace, say, say_json, serve, update
from tests.world import ACTOR, NOW, World

AGENCIES = ("H29.5", "H29.17", "H29.121")
some = st.lists(st.sampled_from(AGENCIES), min_size=1, max_size=2, unique=True)
pick = st.integers(min_value=0, max_value=30)
STATES = ("state", "answer", "request", "request_state")
HANDOVERS = {"ContentHandover", "ContentHandoverUnconfirmed"}


class Exchange(RuleBasedStateMachine):
    """One sender, three recipients (one of them by push), and every step that either side could try."""

    hub: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.documents: list[intake.Acceptance] = []
        self.packages: list[intake.Acceptance] = []

    # --- steps ----------------------------------------------------------------------------------------

    @initialize(to=some)
    def first(self, to: list[str]) -> None:
        self.send(to)

    @rule(to=some)
    def send(self, to: list[str]) -> None:
        self.attempt(lambda now: self.hub.send("H29", *to, now=now, at=now), document=True)

    @rule(which=pick)
    def fetch(self, which: int) -> None:
        self.attempt(lambda now: serve(self.hub, self.row(which), now))

    @rule(which=pick)
    def acknowledge(self, which: int) -> None:
        self.attempt(lambda now: acknowledge(self.hub, self.row(which), now))

    @rule(which=pick)
    def acknowledge_something_else(self, which: int) -> None:
        row = self.row(which)
        row.package.sha256 = "0" * 64
        self.attempt(lambda now: acknowledge(self.hub, row, now), always_refused=True)

    @rule(which=pick, outcome=st.sampled_from(Outcome))
    def push(self, which: int, outcome: Outcome) -> None:
        self.attempt(lambda now: push(self.row(which), outcome, now))

    @rule(which=pick, code=st.sampled_from(["01", "02", "03", "04", "05", "06", "15", "16"]))
    def answer(self, which: int, code: str) -> None:
        made = self.document(which)
        speaker = made.deliveries[which % len(made.deliveries)].recipient.code
        self.attempt(lambda now: say(self.hub, speaker, code, made, at=now))

    @rule(which=pick, code=st.sampled_from(["01", "02", "03", "05", "13", "15", "16"]))
    def answer_over_json(self, which: int, code: str) -> None:
        self.attempt(lambda now: say_json(self.hub, self.row(which), code, now))

    @rule(which=pick, to=some)
    def recall(self, which: int, to: list[str]) -> None:
        self.attempt(lambda now: recall(self.hub, self.document(which), *to, now=now))

    @rule(which=pick, organ=st.sampled_from(AGENCIES))
    def take_back(self, which: int, organ: str) -> None:
        self.attempt(lambda now: say(self.hub, "H29", "13", self.document(which), organ=organ, at=now))

    @rule(which=pick)
    def withdraw(self, which: int) -> None:
        self.attempt(lambda now: intake.withdraw(self.row(which), reason="nhầm", actor=ACTOR, now=now))

    @rule(which=pick, to=some, changed=st.sampled_from([None, "0", "1"]), organ=st.sampled_from(AGENCIES))
    def update(self, which: int, to: list[str], changed: str | None, organ: str) -> None:
        receivers = (Receiver(changed, organ),) if changed else ()
        self.attempt(
            lambda now: update(self.hub, self.document(which), *to, now=now, receivers=receivers),
            document=True,
        )

    @rule(which=pick, other=pick, to=some)
    def replace(self, which: int, other: int, to: list[str]) -> None:
        one, two = self.document(which), self.document(other)
        self.attempt(lambda now: replace(self.hub, "H29", to, (one, []), (two, to)), document=True)

    @rule()
    def wait_a_month(self) -> None:
        self.now += timedelta(days=31)
        self.attempt(delivery.expire)

    @rule(which=pick)
    def resend(self, which: int) -> None:
        self.attempt(lambda now: delivery.resend(self.row(which).id, actor=ACTOR, now=now, reason="thử lại"))

    # --- how a step is taken --------------------------------------------------------------------------

    def attempt(
        self,
        step: Callable[[datetime], object],
        *,
        document: bool = False,
        always_refused: bool = False,
    ) -> None:
        """Take `step`; if it is refused, nothing may have changed."""
        self.now += timedelta(minutes=1)
        before = self.everything()
        try:
            made = step(self.now)
        except Refused:
            assert self.everything() == before, "a refused step changes nothing"
            return
        assert not always_refused
        if isinstance(made, intake.Acceptance):
            self.packages.append(made)
            if document and made.deliveries:
                self.documents.append(made)

    def everything(self) -> list[object]:
        rows = Delivery.objects.filter(id__in=[row.id for row in self.rows()]).order_by("id")
        return [*rows.values_list(), Package.objects.count(), Delivery.objects.count()]

    def rows(self) -> list[Delivery]:
        mine = Delivery.objects.filter(package__in=[made.package for made in self.packages])
        return list(mine.select_related("package__sender", "recipient", "requested_by").order_by("id"))

    def row(self, which: int) -> Delivery:
        rows = self.rows()
        return rows[which % len(rows)]

    def document(self, which: int) -> intake.Acceptance:
        return self.documents[which % len(self.documents)]

    # --- what must hold -------------------------------------------------------------------------------

    @invariant()
    def no_state_without_its_event(self) -> None:
        for row in self.rows():
            trail = list(Event.objects.filter(stream=row.id).select_related("body").order_by("seq"))
            assert [event.seq for event in trail] == list(range(1, row.seq + 1))
            assert bytes(trail[-1].leaf) == bytes(row.head or b"")
            assert [getattr(trail[-1], name) for name in STATES] == [getattr(row, name) for name in STATES]
            for before, after in pairwise(trail):
                assert events.decode(bytes(after.body.raw)).prev == bytes(before.leaf).hex()
                self.moved_by_the_tables(before, after)
            if row.state == "handed_over":
                assert HANDOVERS & {event.name for event in trail}

    def moved_by_the_tables(self, before: Event, after: Event) -> None:
        if before.state != after.state:
            assert before.state in MOVES[after.name].before
            assert after.state == MOVES[after.name].after
        if before.answer != after.answer:
            assert Answer(after.answer) in FOLLOWS[Answer(before.answer)]
        changed = [name for name in STATES if getattr(before, name) != getattr(after, name)]
        assert changed or after.name in (*HANDOVERS, "ChangeRequested")

    @invariant()
    def nothing_accepted_is_lost(self) -> None:
        rows = {str(row.id): row for row in self.rows()}
        for made in self.packages:
            assert vault.get(made.package.sha256)
            accepted = events.decode(made.receipt.raw)
            assert set(accepted.deliveries or ()) <= rows.keys()
        later = self.now + timedelta(hours=7)  # after every lease and backoff
        queued = {row.id for row in rows.values() if row.state == "queued" and row.expires_at > later}
        assert (
            set(Delivery.objects.waiting(later).filter(id__in=queued).values_list("id", flat=True)) == queued
        )

    @invariant()
    def withdrawn_content_is_not_served(self) -> None:
        for row in self.rows():
            if row.state not in ("queued", "handed_over"):
                try:
                    serve(self.hub, row, self.now)
                except Refused as refused:
                    assert (refused.code == "delivery.withdrawn") == (row.state == "withdrawn")
                else:
                    raise AssertionError(f"{row.state} content was served")

    @invariant()
    def counters_equal_a_recount(self) -> None:
        kept = statistics.sums_of(StatisticsDay.objects.all(), StatisticsDelta.objects.all())
        assert +kept == +recount.count_history()

    @invariant()
    def both_sides_see_the_same(self) -> None:
        for row in self.rows():
            if row.request_state == "open" and row.requested_by:
                assert row.requested_by.recipient_id == row.recipient_id, "the recipient was asked"
            said = Event.objects.filter(stream=row.id, answer=row.answer).order_by("seq").first()
            if row.answer != "none" and said:
                message = events.decode(bytes(said.body.raw)).message
                told = Delivery.objects.get(package__id=str(message))
                assert told.recipient_id == row.package.sender_id, "the sender is told what is recorded"
                assert told.package.status_code == row.answer


def test_random_steps_from_both_sides_keep_the_books_right(hub: World) -> None:
    Exchange.hub = hub
    run_state_machine_as_test(
        Exchange,
        settings=settings(
            max_examples=int(os.environ.get("LIFECYCLE_EXAMPLES", "6")),
            stateful_step_count=15,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
