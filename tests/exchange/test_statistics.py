"""The counters: what is counted, when, for whom; and that they agree with the events."""

from collections import Counter
from datetime import date, timedelta
from io import StringIO
from itertools import pairwise
from threading import Thread

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from exchange import clocks, delivery, intake, lifecycle, log, recount, statistics
from exchange.models import Delivery, Direction, Measure, StatisticsDay, StatisticsDelta, bulk
from exchange.refusals import Refused
from exchange.statistics import Line, Sums
from tests.world import NOW, World, answer_to

TODAY = date(2026, 11, 23)  # NOW in Vietnam
LATER = NOW + timedelta(minutes=10)


def totals(hub: World, code: str) -> dict[str, Counter[str]]:
    """The numbers of agency `code`, by direction, without zeros."""
    lines = statistics.lines([hub.agencies[code].pk], date(2026, 1, 1), date(2027, 12, 31))
    return {line.direction: +line.counts for line in statistics.totals(lines)}


def acknowledge(hub: World, sent: intake.Acceptance, code: str, at: object = LATER) -> Delivery:
    row = next(item for item in sent.deliveries if item.recipient == hub.agencies[code])
    system, actor = hub.system_of(code), hub.actor_of(code)
    delivery.acknowledge(row.id, system=system, sha256=sent.package.sha256, actor=actor, now=at)  # type: ignore[arg-type]
    return row


def answer(hub: World, sent: intake.Acceptance, code: str, status: str, at: object = LATER) -> None:
    raw = hub.status(code, status, answer_to(sent), at=at)
    hub.accept(raw, code, at)  # type: ignore[arg-type]


def play(hub: World) -> intake.Acceptance:
    """One document to two agencies: one takes it, the other never fetches it."""
    sent = hub.send("H29", "H29.5", "H29.121")
    acknowledge(hub, sent, "H29.5")
    answer(hub, sent, "H29.5", "01")
    answer(hub, sent, "H29.5", "03", NOW + timedelta(hours=1))
    answer(hub, sent, "H29.5", "03", NOW + timedelta(hours=2))  # a repetition is a package, not an answer
    answer(hub, sent, "H29.5", "06", NOW + timedelta(days=2))
    clocks.remind(NOW + timedelta(days=1))
    clocks.warn(NOW + timedelta(days=28))
    delivery.expire(NOW + timedelta(days=31))
    return sent


def test_each_side_counts_what_happened_to_its_packages(hub: World) -> None:
    play(hub)
    sent = totals(hub, "H29")["sent"]
    assert sent == {
        "taken": 1,
        "deliveries": 2,
        "handed_over": 1,
        "answer_01": 1,
        "answer_03": 1,
        "answer_06": 1,
        "in_time": 1,
        "late": 1,
        "reminders": 1,
        "expiry_warnings": 1,
        "expired": 1,
    }
    received = totals(hub, "H29.121")["received"]
    assert received == {"deliveries": 1, "late": 1, "reminders": 1, "expiry_warnings": 1, "expired": 1}


def test_statuses_are_packages_of_a_type_of_their_own(hub: World) -> None:
    play(hub)
    lines = statistics.lines([hub.agencies["H29.5"].pk], TODAY, TODAY + timedelta(days=40))
    of_statuses = statistics.totals(line for line in lines if line.kind == "status")
    assert [(line.direction, line.counts["taken"]) for line in of_statuses] == [("sent", 4)]
    assert {line.kind for line in lines} == {"new", "status"}


def test_a_handover_confirmed_later_counts_once(hub: World) -> None:
    sent = hub.send("H29", "H29.5")
    answer(hub, sent, "H29.5", "01", NOW)  # proves the handover, at the very same moment
    acknowledge(hub, sent, "H29.5", NOW)
    assert totals(hub, "H29")["sent"]["handed_over"] == 1
    assert recount_agrees()


def test_an_answer_after_the_day_is_late_and_one_in_time_is_not(hub: World) -> None:
    early, late = hub.send("H29", "H29.5"), hub.send("H29", "H29.5")
    answer(hub, early, "H29.5", "02")
    answer(hub, late, "H29.5", "03", NOW + timedelta(days=1))
    line = statistics.totals(statistics.lines([hub.agencies["H29"].pk], TODAY, TODAY + timedelta(days=9)))[-1]
    assert (line.direction, line.in_time_share) == ("sent", 0.5)


def test_a_recipient_reminded_and_then_late_is_late_once(hub: World) -> None:
    sent = hub.send("H29", "H29.5")
    clocks.remind(NOW + timedelta(days=1))
    answer(hub, sent, "H29.5", "03", NOW + timedelta(days=2))
    received = totals(hub, "H29.5")["received"]
    assert (received["late"], received["in_time"], received["reminders"]) == (1, 0, 1)
    assert recount_agrees()


def test_a_withdrawn_delivery_is_counted(hub: World) -> None:
    sent = hub.send("H29", "H29.5")
    raw = hub.status("H29", "13", answer_to(sent, "H29.5"))
    hub.accept(raw, "H29")
    assert totals(hub, "H29.5")["received"]["withdrawn"] == 1
    assert recount_agrees()


def test_a_refused_package_counts_nothing(hub: World) -> None:
    with pytest.raises(Refused):
        hub.send("H29", "H29.404")
    assert not StatisticsDelta.objects.exists()


def test_a_day_is_a_day_in_vietnam(hub: World) -> None:
    evening = NOW.replace(hour=18)  # UTC: one o'clock in the night of the next day
    hub.send("H29", "H29.5", now=evening)
    [line] = statistics.lines([hub.agencies["H29"].pk], TODAY, TODAY + timedelta(days=9))
    assert line.day == TODAY + timedelta(days=1)


def test_times_run_from_the_hubs_acceptance(hub: World) -> None:
    for minutes in (1, 2, 3, 4, 60):
        sent = hub.send("H29", "H29.5")
        acknowledge(hub, sent, "H29.5", NOW + timedelta(minutes=minutes))
    [line] = statistics.lines([hub.agencies["H29"].pk], TODAY, TODAY)
    median, p95 = line.seconds(Measure.HANDED_OVER, 0.5), line.seconds(Measure.HANDED_OVER, 0.95)
    assert median == pytest.approx(180, rel=0.1)
    assert p95 == pytest.approx(3600, rel=0.1)
    assert line.seconds(Measure.ANSWER_06, 0.5) is None


@given(st.integers(0, 10**9))
def test_the_scale_is_right_within_ten_percent_and_in_order(milliseconds: int) -> None:
    took = timedelta(milliseconds=milliseconds)
    bucket = statistics.bucket_of(took)
    assert 0 <= bucket <= 127
    assert bucket <= statistics.bucket_of(took * 2)
    if milliseconds >= 125:
        assert statistics.seconds_of(bucket) == pytest.approx(milliseconds / 1000, rel=0.1)


def test_a_share_is_the_nearest_rank() -> None:
    line = Line(agency=NOW, direction="sent")  # type: ignore[arg-type]
    for seconds in range(1, 101):
        line.add(Measure.ANSWER_03, statistics.bucket_of(timedelta(seconds=seconds)), 1)
    shares = [line.seconds(Measure.ANSWER_03, share) or 0 for share in (0.01, 0.5, 0.95, 1)]
    assert shares == pytest.approx([1, 50, 95, 100], rel=0.1)
    assert all(one <= two for one, two in pairwise(shares))


# --- the roll-up --------------------------------------------------------------------------------------


def test_the_roll_up_moves_numbers_and_changes_none(hub: World) -> None:
    play(hub)
    before = {code: totals(hub, code) for code in hub.agencies}
    folded = statistics.fold()
    assert (folded > 0, StatisticsDelta.objects.count()) == (True, 0)
    hub.send("H29", "H29.5")
    statistics.fold()
    after = totals(hub, "H29")["sent"]
    assert after - before["H29"]["sent"] == Counter(taken=1, deliveries=1)
    assert totals(hub, "H29.121") == before["H29.121"]
    assert statistics.fold() == 0
    assert recount_agrees()


def test_a_transaction_inserts_its_deltas_by_one_statement_and_updates_no_counter(hub: World) -> None:
    raw = hub.document("H29", "H29.5", "H29.10", "H29.17", "H29.121")
    with CaptureQueriesContext(connection) as queries:
        hub.accept(raw)
    touching = [query["sql"] for query in queries if "exchange_statistics" in query["sql"]]
    assert [sql.split()[0] for sql in touching] == ["INSERT"]
    sender = StatisticsDelta.objects.get(
        agency=hub.agencies["H29"], direction=Direction.SENT, measure="deliveries"
    )
    assert sender.count == 4


@pytest.mark.postgresql
def test_a_delta_that_commits_late_is_neither_lost_nor_doubled(live_hub: World) -> None:
    agency = live_hub.agencies["H29"].pk
    with transaction.atomic():
        bulk.insert_all(statistics.deltas([happening(live_hub)]))  # takes its id now, commits last

        def meanwhile() -> None:
            bulk.insert_all(statistics.deltas([happening(live_hub)]))
            statistics.fold()
            connection.close()

        in_thread(meanwhile)
    assert StatisticsDelta.objects.count() == 1
    statistics.fold()
    [line] = statistics.totals(statistics.lines([agency], TODAY, TODAY))
    assert line.counts["taken"] == 2


@pytest.mark.postgresql
def test_two_roll_ups_at_once_fold_once(live_hub: World) -> None:
    bulk.insert_all(statistics.deltas([happening(live_hub)]))
    with transaction.atomic():
        assert statistics._fold_batch() == 1
        others: list[int] = []

        def other() -> None:
            others.append(statistics.fold())
            connection.close()

        in_thread(other)
    assert others == [0]
    assert StatisticsDay.objects.get().count == 1


def happening(hub: World) -> statistics.Happening:
    return statistics.Happening(
        event="SubmissionAcceptance", at=NOW, kind="new", sender=hub.agencies["H29"].pk, taken_at=NOW
    )


def in_thread(work: object) -> None:
    thread = Thread(target=work)  # type: ignore[arg-type]
    thread.start()
    thread.join()


# --- the proof ----------------------------------------------------------------------------------------


def recount_agrees() -> bool:
    """The counters and the events agree, inside the test's own transaction."""
    stored: Sums = statistics.sums_of(StatisticsDay.objects.all(), StatisticsDelta.objects.all())
    counted = recount.count_history()
    assert stored == counted
    return bool(counted)


def test_the_counters_agree_with_the_events(hub: World) -> None:
    play(hub)
    assert recount_agrees()
    statistics.fold()
    assert recount_agrees()


def test_events_without_state_change_nothing(hub: World) -> None:
    sent = hub.send("H29", "H29.5")
    before = totals(hub, "H29")
    row = Delivery.objects.select_related("package").get()
    change = lifecycle.Change(delivery=row, event="ConsignmentNotification")
    lifecycle.record([change], at=LATER, actor=log.HUB)
    assert totals(hub, "H29") == before
    assert recount_agrees()
    assert sent.deliveries[0].id == row.id


def test_the_command_proves_and_repairs(live_hub: World) -> None:
    live_hub.send("H29", "H29.5")
    statistics.fold()
    live_hub.send("H29", "H29.5")
    call_command("recount_statistics", stdout=StringIO())
    StatisticsDay.objects.filter(measure="taken").update(count=7)
    shown = StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("recount_statistics", stdout=shown)
    assert caught.value.code == 1
    assert "8 ≠ 2" in shown.getvalue()
    call_command("recount_statistics", "--fix", stdout=StringIO())
    call_command("recount_statistics", stdout=StringIO())
    assert totals(live_hub, "H29")["sent"]["taken"] == 2
