"""Working days of Vietnam's administration, and the deadlines that are counted in them. Pure.

Weekends do not work, nor do the holidays of the calendar; a Saturday or Sunday that is worked instead of
another day (hoán đổi ngày làm việc) does. A day is a day in Vietnam, whatever zone a time comes in.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
_DAY = timedelta(days=1)
_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Calendar:
    """The exceptions from Monday–Friday: days off, and days worked although they are in a weekend."""

    holidays: frozenset[date] = frozenset()
    worked: frozenset[date] = frozenset()


def day_of(at: datetime) -> date:
    """The day in Vietnam of the aware time `at`."""
    return at.astimezone(VIETNAM).date()


def is_working_day(day: date, calendar: Calendar) -> bool:
    """Whether offices are open on `day`."""
    if day in calendar.worked:
        return True
    return day.weekday() < _SATURDAY and day not in calendar.holidays


def end_of_working_day(at: datetime, calendar: Calendar) -> datetime:
    """The last moment of the day of `at`, or of the next working day when that one is none."""
    day = day_of(at)
    while not is_working_day(day, calendar):
        day += _DAY
    return _end(day)


def add_working_days(at: datetime, days: int, calendar: Calendar) -> datetime:
    """The last moment of the `days`-th working day after the day of `at`; 0 is `end_of_working_day`.

    Raises ValueError for a negative number.
    """
    if days < 0:
        raise ValueError(f"{days} working days")
    found = end_of_working_day(at, calendar)
    # What comes on a day off counts as come on the day before the next working day's count begins.
    left = days if is_working_day(day_of(at), calendar) else max(days - 1, 0)
    for _ in range(left):
        found = end_of_working_day(found + _DAY, calendar)
    return found


def receipt_due(at: datetime, calendar: Calendar, *, urgent_within: timedelta | None = None) -> datetime:
    """When the receipt of a document that came at `at` is to be confirmed (NĐ 30/2020, Điều 21.2, 4.2).

    Within the same working day; an urgent one at once: `urgent_within` after it came, on any day.
    """
    return end_of_working_day(at, calendar) if urgent_within is None else at + urgent_within


def _end(day: date) -> datetime:
    return datetime.combine(day, time.max, tzinfo=VIETNAM)
