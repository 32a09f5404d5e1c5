from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Literal, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nightlatch.schedules.cron import Cron
from nightlatch.schedules.faults import ScheduleError

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
_EXPRESSION = re.compile(r"(cron|rate|at)\((.*)\)", re.DOTALL)
_AT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")
_RATE = re.compile(r"([1-9]\d*)\s+(minute|hour|day)s?")


@dataclass(frozen=True)
class Anomaly:
    """A local time at which a change of clocks matters.

    Attributes:
        local: The local time, without zone.
        kind: ``skipped``: it does not exist and nothing fires; ``repeated``: it comes twice and fires once.
        fires_at: When it fires (UTC), the first of the two; nothing when skipped.
    """

    local: datetime
    kind: Literal["skipped", "repeated"]
    fires_at: datetime | None


class Expression(Protocol):
    """When a schedule fires. Moments are aware; answers are in UTC."""

    @property
    def once(self) -> bool:
        """Whether it fires at most once (``at``)."""
        ...

    def times(self, after: datetime) -> Iterator[datetime]:
        """The firing times after a moment, in order."""
        ...

    def next_times(self, after: datetime, count: int) -> list[datetime]:
        """The first firing times after a moment: ``count`` of them, or as many as there are."""
        ...

    def anomalies(self, after: datetime, until: datetime) -> list[Anomaly]:
        """Local times after ``after`` and up to ``until`` that a change of clocks skips or repeats."""
        ...


@dataclass(frozen=True)
class CronIn:
    """``cron(...)`` in a time zone."""

    cron: Cron
    zone: ZoneInfo
    once: Literal[False] = False

    def times(self, after: datetime) -> Iterator[datetime]:
        """As `Expression.times`. A skipped local time does not fire, a repeated one fires the first time."""
        for local in self.cron.after(after.astimezone(self.zone).replace(tzinfo=None)):
            moment = _moment(local, self.zone)
            # Within the second pass of a repeated hour, local times still to come fired in the first pass.
            if moment is not None and moment > after:
                yield moment

    def next_times(self, after: datetime, count: int) -> list[datetime]:
        """As `Expression.next_times`."""
        return list(islice(self.times(after), count))

    def anomalies(self, after: datetime, until: datetime) -> list[Anomaly]:
        """As `Expression.anomalies`."""
        end = until.astimezone(self.zone).replace(tzinfo=None)
        found = []
        for local in self.cron.after(after.astimezone(self.zone).replace(tzinfo=None)):
            if local > end:
                break
            moment = _moment(local, self.zone)
            if moment is None:
                found.append(Anomaly(local, "skipped", None))
            elif _comes_twice(local, self.zone):
                found.append(Anomaly(local, "repeated", moment))
        return found


@dataclass(frozen=True)
class Rate:
    """``rate(...)``: every so often, counted from an anchor. A day is 24 hours, whatever the clocks do.

    Attributes:
        interval: The distance between two firings.
        anchor: The first firing: the schedule's start date or creation.
    """

    interval: timedelta
    anchor: datetime
    once: Literal[False] = False

    def times(self, after: datetime) -> Iterator[datetime]:
        """As `Expression.times`."""
        anchor = self.anchor.astimezone(UTC)
        passed = (after - anchor) // self.interval + 1 if after >= anchor else 0
        while True:
            yield anchor + passed * self.interval
            passed += 1

    def next_times(self, after: datetime, count: int) -> list[datetime]:
        """As `Expression.next_times`."""
        return list(islice(self.times(after), count))

    def anomalies(self, after: datetime, until: datetime) -> list[Anomaly]:  # noqa: ARG002 - the protocol's
        """As `Expression.anomalies`: a rate knows no local time."""
        return []


@dataclass(frozen=True)
class At:
    """``at(...)``: once, at a local time."""

    local: datetime
    zone: ZoneInfo
    once: Literal[True] = True

    def times(self, after: datetime) -> Iterator[datetime]:
        """As `Expression.times`."""
        moment = _moment(self.local, self.zone)
        if moment is not None and moment > after:
            yield moment

    def next_times(self, after: datetime, count: int) -> list[datetime]:
        """As `Expression.next_times`."""
        return list(islice(self.times(after), count))

    def anomalies(self, after: datetime, until: datetime) -> list[Anomaly]:
        """As `Expression.anomalies`."""
        begin, end = (moment.astimezone(self.zone).replace(tzinfo=None) for moment in (after, until))
        moment = _moment(self.local, self.zone)
        if not begin < self.local <= end:
            return []
        if moment is None:
            return [Anomaly(self.local, "skipped", None)]
        return [Anomaly(self.local, "repeated", moment)] if _comes_twice(self.local, self.zone) else []


def parse(expression: str, timezone: str = "UTC", *, anchor: datetime | None = None) -> Expression:
    """Read a schedule expression.

    Args:
        expression: ``cron(0 6 * * ? *)``, ``rate(5 minutes)`` or ``at(2026-11-21T21:00:00)``.
        timezone: IANA name; ``rate`` has no use for it.
        anchor: First firing of a ``rate``: the schedule's start date, else its creation. The epoch when
            absent, so that times are at least evenly spaced.

    Raises:
        ScheduleError: What AWS would refuse, and why.
    """
    match = _EXPRESSION.fullmatch(expression.strip())
    if match is None:
        raise ScheduleError(
            f"{expression!r} is none of cron(...), rate(...) and at(...), such as cron(0 6 * * ? *)"
        )
    kind, body = match.groups()
    zone = _zone(timezone)
    if kind == "cron":
        return CronIn(Cron.parse(body), zone)
    if kind == "rate":
        rate = _RATE.fullmatch(body.strip())
        if rate is None:
            raise ScheduleError(f"{expression!r}: write rate(5 minutes), with minutes, hours or days")
        return Rate(int(rate[1]) * _UNITS[rate[2]], anchor or datetime.fromtimestamp(0, UTC))
    local = _local_time(body)
    if local is None:
        raise ScheduleError(f"{expression!r}: write at(yyyy-mm-ddThh:mm:ss), without a zone")
    return At(local, zone)


def _local_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if _AT.fullmatch(text) else None
    except ValueError:
        return None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ScheduleError(f"{name!r} is not a time zone of the IANA database, such as Asia/Tokyo") from None


def _moment(local: datetime, zone: ZoneInfo) -> datetime | None:
    """The moment of a local time, the first if it comes twice; nothing if it does not exist."""
    moment = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return moment if moment.astimezone(zone).replace(tzinfo=None) == local else None


def _comes_twice(local: datetime, zone: ZoneInfo) -> bool:
    return local.replace(tzinfo=zone, fold=0).utcoffset() != local.replace(tzinfo=zone, fold=1).utcoffset()
