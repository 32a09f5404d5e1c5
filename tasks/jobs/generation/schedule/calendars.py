"""Which days are working days: days of the week, Japanese holidays, closed periods, rain."""

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from typing import Final

from tasks.jobs.generation.schedule.project import Calendar, Rain, Weekday

DAY: Final = timedelta(days=1)
_WEEK: Final = tuple(Weekday)


@cache
def japanese_holidays(year: int) -> dict[date, str]:
    """The public holidays of a year, substitute holidays included, with their Japanese names.

    Source of the rules: 国民の祝日に関する法律 (昭和23年法律第178号), as the package `holidays` has them.
    """
    import holidays  # noqa: PLC0415  (takes a moment, and not every project has holidays)

    return {
        day: str(name) for day, name in holidays.country_holidays("JP", years=year, language="ja").items()
    }


class WorkingDays:
    """Answers whether work goes on, for one calendar; with `rain` for outdoor work."""

    def __init__(self, calendar: Calendar, rain: Rain | None = None) -> None:
        self._off = {_WEEK.index(day) for day in calendar.days_off}
        self._japan = calendar.holidays == "japan"
        self._closed = calendar.closed
        self._open = frozenset(calendar.open)
        self._rain = rain
        self._known_rain = frozenset(rain.days) if rain else frozenset()
        self._reserve: dict[tuple[int, int], frozenset[date]] = {}
        self._answers: dict[date, bool] = {}

    def __call__(self, day: date) -> bool:
        """Whether `day` is a working day."""
        answer = self._answers.get(day)
        if answer is None:
            answer = self._answers[day] = self._dry(day) and not self.is_rain(day)
        return answer

    def _dry(self, day: date) -> bool:
        if day in self._open:
            return True
        if day.weekday() in self._off or (self._japan and day in japanese_holidays(day.year)):
            return False
        return not any(period.first <= day <= period.last for period in self._closed)

    def is_rain(self, day: date) -> bool:
        """Whether `day` counts as lost to rain: known, or one of the month's reserve."""
        if self._rain is None:
            return False
        if day in self._known_rain:
            return True
        month = (day.year, day.month)
        if month not in self._reserve:
            self._reserve[month] = self._spread(*month)
        return day in self._reserve[month]

    def _spread(self, year: int, month: int) -> frozenset[date]:
        """The reserve of a month, spread evenly over its working days.

        Known rain days of that month count towards it. The whole month counts, so that moving the start of a
        project does not move the rain.
        """
        wanted = self._rain.reserve_per_month.get(month, 0) if self._rain else 0
        known = sum((day.year, day.month) == (year, month) for day in self._known_rain)
        days = [day for day in days_of(year, month) if day not in self._known_rain and self._dry(day)]
        count = min(max(0, wanted - known), len(days))
        return frozenset(days[(2 * k + 1) * len(days) // (2 * count)] for k in range(count))


def days_of(year: int, month: int) -> Iterator[date]:
    """All days of a month."""
    day = date(year, month, 1)
    while day.month == month:
        yield day
        day += DAY
