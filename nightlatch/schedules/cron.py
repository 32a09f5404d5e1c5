"""The six fields of an AWS cron expression.

Source: EventBridge user guide, "Cron expressions reference": minutes, hours, day of month, month, day of
week (1 = SUN to 7 = SAT), year (1970 to 2199); ``, - * /`` everywhere, ``? L W`` for days of the month,
``? L #`` for days of the week; one of the two day fields must be ``?``.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nightlatch.schedules.faults import ScheduleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIRST_YEAR, LAST_YEAR = 1970, 2199
_MONTHS = dict(
    zip(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
        range(1, 13),
        strict=True,
    )
)
_WEEKDAYS = dict(zip(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), range(1, 8), strict=True))
_SATURDAY = 7
_FIELDS = 6


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    names: dict[str, int]
    increments: bool = True

    def value(self, text: str) -> int:
        number = self.names.get(text.upper(), int(text) if text.isdecimal() and text.isascii() else None)
        if number is None or not self.low <= number <= self.high:
            raise ScheduleError(f"{self.name}: {text!r} is not one of {self.low} to {self.high}")
        return number

    def values(self, text: str) -> list[int]:
        """The values of a list of numbers, ranges and increments, in order."""
        found: set[int] = set()
        for item in text.split(","):
            found.update(self._item(item))
        return sorted(found)

    def _item(self, item: str) -> list[int]:
        span, slash, step_text = item.partition("/")
        step = 1
        if slash:
            if not self.increments:
                raise ScheduleError(f"{self.name}: {item!r} has a slash, which this field does not take")
            if not (step_text.isdecimal() and step_text.isascii() and int(step_text) > 0):
                raise ScheduleError(f"{self.name}: {item!r} has no positive increment after the slash")
            step = int(step_text)
        start, dash, end = span.partition("-")
        if span == "*":
            return list(range(self.low, self.high + 1, step))
        if dash:
            first, last = self.value(start), self.value(end)
            if first <= last:
                return list(range(first, last + 1, step))
            # FRI-MON goes over the end of the week.
            size = self.high - self.low + 1
            return [self.low + (number - self.low) % size for number in range(first, last + size + 1, step)]
        return list(range(self.value(span), self.high + 1, step)) if slash else [self.value(span)]


_MINUTE = _Field("minutes", 0, 59, {})
_HOUR = _Field("hours", 0, 23, {})
_DAY = _Field("day of month", 1, 31, {})
_MONTH = _Field("month", 1, 12, _MONTHS)
_WEEKDAY = _Field("day of week", 1, 7, _WEEKDAYS, increments=False)
_YEAR = _Field("year", FIRST_YEAR, LAST_YEAR, {})


@dataclass(frozen=True)
class Cron:
    """A cron expression: which local times it means, without any time zone.

    Attributes:
        minutes: In order.
        hours: In order.
        months: In order.
        years: In order.
        days: Days of a given year and month, in order.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: tuple[int, ...]
    years: tuple[int, ...]
    days: Callable[[int, int], list[int]]

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Read the six fields (without ``cron(`` and ``)``).

        Raises:
            ScheduleError: AWS would refuse it.
        """
        fields = text.split()
        if len(fields) != _FIELDS:
            raise ScheduleError(
                f"a cron expression has six fields (minutes, hours, day of month, month, day of week, year),"
                f" this one has {len(fields)}: {text!r}"
            )
        minute, hour, day, month, weekday, year = fields
        if (day == "?") == (weekday == "?"):
            raise ScheduleError(f"exactly one of day of month and day of week must be '?': {text!r}")
        return cls(
            minutes=tuple(_MINUTE.values(minute)),
            hours=tuple(_HOUR.values(hour)),
            months=tuple(_MONTH.values(month)),
            years=tuple(_YEAR.values(year)),
            days=_days_of_week(weekday) if day == "?" else _days_of_month(day),
        )

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The local times after a moment (both without time zone), in order, until the year 2199."""
        for day in self._days_from(moment):
            for hour in self.hours:
                for minute in self.minutes:
                    time = day.replace(hour=hour, minute=minute)
                    if time > moment:
                        yield time

    def _days_from(self, moment: datetime) -> Iterator[datetime]:
        today = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        for year in self.years:
            if year < moment.year:
                continue
            for month in self.months:
                if (year, month) < (moment.year, moment.month):
                    continue
                for day in self.days(year, month):
                    date = datetime(year, month, day)  # noqa: DTZ001 - local times have no zone on purpose
                    if date >= today:
                        yield date


def _days_of_month(text: str) -> Callable[[int, int], list[int]]:
    upper = text.upper()
    if upper == "L":
        return lambda year, month: [_last(year, month)]
    if upper == "LW":
        return lambda year, month: [_nearest_weekday(year, month, _last(year, month))]
    if match := re.fullmatch(r"L-(\d{1,2})", upper):
        back = int(match[1])
        if not 1 <= back < _DAY.high:
            raise ScheduleError(f"day of month: {text!r} counts back 1 to {_DAY.high - 1} days from the last")
        return lambda year, month: [day for day in [_last(year, month) - back] if day >= 1]
    if upper.endswith("W"):
        wanted = _DAY.value(upper[:-1])
        return lambda year, month: (
            [_nearest_weekday(year, month, wanted)] if wanted <= _last(year, month) else []
        )
    days = _DAY.values(text)
    return lambda year, month: [day for day in days if day <= _last(year, month)]


def _days_of_week(text: str) -> Callable[[int, int], list[int]]:
    upper = text.upper()
    if upper == "L":
        return lambda year, month: _weekdays(year, month, {_SATURDAY})
    if "#" in upper:
        day_text, _, count_text = upper.partition("#")
        weekday = _WEEKDAY.value(day_text)
        if count_text not in {"1", "2", "3", "4", "5"}:
            raise ScheduleError(
                f"day of week: {text!r} must name the first to fifth (#1 to #5), and only one"
            )
        count = int(count_text)
        return lambda year, month: _weekdays(year, month, {weekday})[count - 1 : count]
    if upper.endswith("L"):
        last = _WEEKDAY.value(upper[:-1])
        return lambda year, month: _weekdays(year, month, {last})[-1:]
    weekdays = set(_WEEKDAY.values(text))
    return lambda year, month: _weekdays(year, month, weekdays)


def _last(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def _weekdays(year: int, month: int, weekdays: set[int]) -> list[int]:
    """Days of a month that fall on these days of the week (1 = Sunday)."""
    first = calendar.weekday(year, month, 1)  # 0 = Monday
    return [day for day in range(1, _last(year, month) + 1) if (first + day) % 7 + 1 in weekdays]


def _nearest_weekday(year: int, month: int, day: int) -> int:
    """Monday to Friday nearest to a day, in the same month."""
    date = datetime(year, month, day)  # noqa: DTZ001 - a calendar date
    shift = {5: -1, 6: 1}.get(date.weekday(), 0)
    moved = date + timedelta(days=shift)
    if moved.month != month:
        # The first is a Saturday, or the last a Sunday: over to the other side of the weekend.
        moved = date + timedelta(days=2 if shift < 0 else -2)
    return moved.day
