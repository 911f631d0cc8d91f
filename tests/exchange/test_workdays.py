"""The working-day calendar: weekends, holidays, worked Saturdays, and Vietnam's midnight."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import workdays
from exchange.workdays import VIETNAM, Calendar

pytestmark = pytest.mark.once

LIBERATION = Calendar(
    holidays=frozenset({date(2025, 4, 30), date(2025, 5, 1), date(2025, 5, 2)}),
    worked=frozenset({date(2025, 4, 26)}),
)
DAYS = st.dates(date(2024, 1, 1), date(2028, 12, 31))
TIMES = st.datetimes(datetime(2024, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC))
CALENDARS = st.builds(Calendar, st.frozensets(DAYS, max_size=20), st.frozensets(DAYS, max_size=20))


def local(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=VIETNAM)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("day", "works"),
    [
        (date(2025, 4, 25), True),  # Friday
        (date(2025, 4, 26), True),  # a Saturday worked instead of 2 May
        (date(2025, 4, 27), False),  # Sunday
        (date(2025, 4, 30), False),
        (date(2025, 5, 2), False),  # a Friday off
        (date(2025, 5, 3), False),  # Saturday
        (date(2025, 5, 5), True),
    ],
)
def test_weekends_and_holidays_do_not_work_and_a_swapped_saturday_does(day: date, works: bool) -> None:
    assert workdays.is_working_day(day, LIBERATION) is works


@pytest.mark.parametrize(
    ("came", "due"),
    [
        (local(2025, 4, 29, 9, 0), date(2025, 4, 29)),
        (local(2025, 4, 29, 23, 59), date(2025, 4, 29)),
        (local(2025, 4, 30, 0, 0), date(2025, 5, 5)),  # over the holidays and the weekend
        (local(2025, 5, 4, 8, 0), date(2025, 5, 5)),
        (local(2025, 4, 26, 8, 0), date(2025, 4, 26)),
        # 18:30 UTC on the 28th is half past one in the night of the 29th in Vietnam
        (datetime(2025, 4, 28, 18, 30, tzinfo=UTC), date(2025, 4, 29)),
    ],
)
def test_receipt_is_due_at_the_end_of_the_same_or_the_next_working_day(came: datetime, due: date) -> None:
    end = workdays.receipt_due(came, LIBERATION)
    assert workdays.day_of(end) == due
    assert workdays.day_of(end + timedelta(microseconds=1)) == due + timedelta(days=1)


def test_an_urgent_document_is_due_at_once_on_any_day() -> None:
    sunday = local(2025, 5, 4, 3, 0)
    due = workdays.receipt_due(sunday, LIBERATION, urgent_within=timedelta(minutes=30))
    assert due == sunday + timedelta(minutes=30)


@pytest.mark.parametrize(
    ("came", "days", "due"),
    [
        (local(2025, 4, 29, 9), 0, date(2025, 4, 29)),
        (local(2025, 4, 29, 9), 1, date(2025, 5, 5)),
        (local(2025, 4, 25, 9), 1, date(2025, 4, 26)),
        (local(2025, 4, 25, 9), 2, date(2025, 4, 28)),
        (local(2025, 5, 3, 9), 1, date(2025, 5, 5)),  # Saturday: the first working day after it
        (local(2025, 5, 3, 9), 2, date(2025, 5, 6)),
    ],
)
def test_working_days_are_counted_over_days_off(came: datetime, days: int, due: date) -> None:
    assert workdays.day_of(workdays.add_working_days(came, days, LIBERATION)) == due


def test_a_negative_number_of_working_days_is_an_error() -> None:
    with pytest.raises(ValueError, match="-1"):
        workdays.add_working_days(local(2025, 4, 29), -1, LIBERATION)


@given(at=TIMES, calendar=CALENDARS)
def test_the_end_is_a_working_day_and_none_lies_between(at: datetime, calendar: Calendar) -> None:
    end = workdays.end_of_working_day(at, calendar)
    assert end >= at
    assert workdays.is_working_day(workdays.day_of(end), calendar)
    between = (workdays.day_of(end) - workdays.day_of(at)).days
    skipped = [workdays.day_of(at) + timedelta(days=number) for number in range(between)]
    assert not any(workdays.is_working_day(day, calendar) for day in skipped)


@given(at=TIMES, calendar=CALENDARS, days=st.integers(1, 15))
def test_exactly_so_many_working_days_lie_in_the_span(at: datetime, calendar: Calendar, days: int) -> None:
    end = workdays.day_of(workdays.add_working_days(at, days, calendar))
    start = workdays.day_of(at)
    after = [start + timedelta(days=number) for number in range(1, (end - start).days + 1)]
    assert sum(workdays.is_working_day(day, calendar) for day in after) == days
