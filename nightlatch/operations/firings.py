"""When a schedule fires, and when the clock plays a trick on it.

EventBridge Scheduler reads an expression in the schedule's time zone. A wall-clock time that does not
exist on the day the clocks go forward is skipped; one that comes twice on the day they go back fires
once. https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#daylist-savings-time
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aws_croniter import AwsCroniter

if TYPE_CHECKING:
    from collections.abc import Iterator

_FORM = re.compile(r"(cron|rate|at)\((.*)\)\Z")
_UNITS = {"minute": 60, "hour": 3600, "day": 86400}
# Longer than any leap-year pattern of a cron expression that still fires.
_SEARCH = 5000

SKIPPED = "skipped: the clocks go forward over it"
REPEATED = "fires once: the clocks go back over it"


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
    """
    kind, inner = _parts(expression)
    if kind == "rate":
        return list(islice(_rate(inner, after, anchor or after), count))
    zone = ZoneInfo(timezone)
    walls = (
        _walls_after(inner, after.astimezone(zone))
        if kind == "cron"
        else iter([datetime.fromisoformat(inner)])
    )
    found: list[Firing] = []
    for wall in walls:
        firing = _firing(wall, zone)
        if firing.at > after:
            found.append(firing)
        if len(found) >= count:
            break
    return found


def next_happening(
    expression: str, timezone: str, after: datetime, *, anchor: datetime | None = None
) -> Firing | None:
    """The next firing that really happens; None when there is none."""
    coming = next_firings(expression, timezone, after, 3, anchor=anchor)
    return next((firing for firing in coming if firing.happens), None)


def previous_firing(
    expression: str, timezone: str, before: datetime, *, anchor: datetime | None = None
) -> Firing | None:
    """The latest firing at or before a moment, skipped ones included; None when there was none."""
    kind, inner = _parts(expression)
    if kind == "rate":
        if anchor is None or before < anchor:
            return None
        period = _period(inner)
        return _plain(anchor + ((before - anchor) // period) * period)
    zone = ZoneInfo(timezone)
    if kind == "at":
        only = _firing(datetime.fromisoformat(inner), zone)
        return only if only.at <= before else None
    here = before.astimezone(zone).replace(tzinfo=UTC)
    walls = [here.replace(second=0, microsecond=0), *islice(_walls_before(inner, here), 8)]
    cron = AwsCroniter(inner)
    if not cron.get_next(walls[0] - timedelta(minutes=1), n=1) or _next(cron, walls[0]) != walls[0]:
        walls = walls[1:]
    for wall in walls:
        firing = _firing(wall.replace(tzinfo=None), zone)
        if firing.at <= before:
            return firing
    return None


def _next(cron: AwsCroniter, wall: datetime) -> datetime | None:
    found = cron.get_next(wall - timedelta(seconds=1), n=1)
    return found[0] if found else None


def _parts(expression: str) -> tuple[str, str]:
    match = _FORM.match(expression)
    if match is None:
        raise ValueError(f"not a schedule expression: {expression}")
    return match[1], match[2]


def _period(inner: str) -> timedelta:
    number, unit = inner.split()
    return timedelta(seconds=int(number) * _UNITS[unit.removesuffix("s")])


def _rate(inner: str, after: datetime, anchor: datetime) -> Iterator[Firing]:
    period = _period(inner)
    at = anchor if anchor > after else anchor + ((after - anchor) // period + 1) * period
    while True:
        yield _plain(at)
        at += period


def _plain(at: datetime) -> Firing:
    return Firing(at.astimezone(UTC), at.astimezone(UTC).strftime("%Y-%m-%d %H:%M"))


def _walls_after(inner: str, here: datetime) -> Iterator[datetime]:
    # The expression is about wall clocks, so it is walked as if the wall clock were UTC, which has no tricks.
    cron = AwsCroniter(inner)
    wall = here.replace(tzinfo=UTC) - timedelta(hours=3)
    for _ in range(_SEARCH):
        found = cron.get_next(wall, n=1)
        if not found or found[0] is None:
            return
        wall = found[0]
        yield wall.replace(tzinfo=None)


def _walls_before(inner: str, here: datetime) -> Iterator[datetime]:
    cron = AwsCroniter(inner)
    wall = here
    for _ in range(_SEARCH):
        found = cron.get_prev(wall, n=1)
        if not found or found[0] is None:
            return
        wall = found[0]
        yield wall


def _firing(wall: datetime, zone: ZoneInfo) -> Firing:
    first = wall.replace(tzinfo=zone, fold=0)
    second = wall.replace(tzinfo=zone, fold=1)
    at = first.astimezone(UTC)
    note = None
    if first.utcoffset() != second.utcoffset():
        exists = at.astimezone(zone).replace(tzinfo=None) == wall
        note = REPEATED if exists else SKIPPED
    return Firing(at, wall.strftime("%Y-%m-%d %H:%M"), note)
