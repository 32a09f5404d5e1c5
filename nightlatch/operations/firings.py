"""When a schedule fires, before and after a moment, with marks where a change of clocks matters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from nightlatch.schedules import Rate, parse

if TYPE_CHECKING:
    from nightlatch.catalog import Job
    from nightlatch.schedules import Anomaly

SKIPPED = "skipped: the clocks go forward over it"
REPEATED = "fires once: the clocks go back over it"
_NOTES = {"skipped": SKIPPED, "repeated": REPEATED}

# Expressions look forward only, so the latest firing is looked for in ever longer windows before the moment.
_WINDOWS = (
    timedelta(hours=1),
    timedelta(days=1),
    timedelta(days=8),
    timedelta(days=32),
    timedelta(days=400),
    timedelta(days=5 * 366),
)
# How far ahead a skipped time is looked for when no further firing comes.
_HORIZON = timedelta(days=5 * 366)
_YEAR = timedelta(days=366)
_HOURLY = 24


@dataclass(frozen=True)
class Firing:
    """One firing.

    Attributes:
        at: The moment, in UTC. For a skipped one, when it would have been.
        local: The wall-clock time in the schedule's zone.
        note: What the change of clocks does to it; None on an ordinary day.
    """

    at: datetime
    local: str
    note: str | None = None

    @property
    def happens(self) -> bool:
        """Whether it fires at all."""
        return self.note != SKIPPED


def next_firings(
    expression: str, timezone: str, after: datetime, count: int, *, anchor: datetime | None = None
) -> list[Firing]:
    """The next firings, the skipped ones included and marked.

    Args:
        expression: ``cron(…)``, ``rate(…)`` or ``at(…)``.
        timezone: Its time zone; a rate has none.
        after: Only later ones.
        count: At most so many.
        anchor: When a rate began to count; by default `after`.

    Raises:
        ScheduleError: AWS would refuse the expression.
    """
    parsed = parse(expression, timezone, anchor=anchor or after)
    zone = ZoneInfo("UTC") if isinstance(parsed, Rate) else ZoneInfo(timezone)
    times = parsed.next_times(after, count)
    until = times[-1] if len(times) == count else after + _HORIZON
    return _marked(times, parsed.anomalies(after, until), zone)[:count]


def next_happening(
    expression: str, timezone: str, after: datetime, *, anchor: datetime | None = None
) -> Firing | None:
    """The next firing that really happens; None when there is none."""
    coming = next_firings(expression, timezone, after, 3, anchor=anchor)
    return next((firing for firing in coming if firing.happens), None)


def previous_firing(
    expression: str, timezone: str, before: datetime, *, anchor: datetime | None = None
) -> Firing | None:
    """The latest firing at or before a moment, skipped ones included; None when there was none.

    Args:
        expression: ``cron(…)``, ``rate(…)`` or ``at(…)``.
        timezone: Its time zone.
        before: The moment.
        anchor: When a rate began to count; without one, a rate has no past.
    """
    parsed = parse(expression, timezone, anchor=anchor)
    if isinstance(parsed, Rate):
        if anchor is None or before < anchor:
            return None
        return _plain(anchor + ((before - anchor) // parsed.interval) * parsed.interval, ZoneInfo("UTC"))
    zone = ZoneInfo(timezone)
    for window in _WINDOWS:
        after = before - window
        times = []
        for at in parsed.times(after):
            if at > before:
                break
            times.append(at)
        found = [it for it in _marked(times, parsed.anomalies(after, before), zone) if it.at <= before]
        if found:
            return found[-1]
    return None


def first_trick(job: Job, now: datetime) -> Firing | None:
    """The first firing of a job in the coming year that a change of clocks skips or repeats.

    A job that runs every hour or more often is not looked at: the next run does what one misses.
    """
    if job.schedule is None:
        return None
    parsed = parse(job.schedule.expression, job.schedule.timezone)
    day = parsed.next_times(now, _HOURLY)
    if len(day) == _HOURLY and day[-1] - now <= timedelta(days=1):
        return None
    anomalies = parsed.anomalies(now, now + _YEAR)
    if not anomalies:
        return None
    zone = ZoneInfo(job.schedule.timezone)
    times = [it.fires_at for it in anomalies if it.fires_at is not None]
    return _marked(times, anomalies, zone)[0]


def _marked(times: list[datetime], anomalies: list[Anomaly], zone: ZoneInfo) -> list[Firing]:
    repeated = {it.fires_at for it in anomalies if it.fires_at is not None}
    firings = [_plain(at, zone, REPEATED if at in repeated else None) for at in times]
    firings += [
        Firing(it.local.replace(tzinfo=zone).astimezone(UTC), f"{it.local:%Y-%m-%d %H:%M}", _NOTES[it.kind])
        for it in anomalies
        if it.fires_at is None
    ]
    return sorted(firings, key=lambda firing: firing.at)


def _plain(at: datetime, zone: ZoneInfo, note: str | None = None) -> Firing:
    return Firing(at.astimezone(UTC), f"{at.astimezone(zone):%Y-%m-%d %H:%M}", note)
