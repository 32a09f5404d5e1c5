"""A project as numbers: days on which anybody works are counted 0, 1, 2, … and tables say what follows what.

A *point* p of this axis is the morning of day p; an activity occupies the days from its start to before its
end. Days on which nobody works do not exist here, so that one calendar for all makes an ordinary
resource-constrained project (and a PSPLIB file stays exactly what it was).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from typing import Final

from tasks.jobs.generation.schedule.calendars import DAY, WorkingDays
from tasks.jobs.generation.schedule.problems import Problem, WrongProjectError
from tasks.jobs.generation.schedule.project import DEFAULT_CALENDAR, Activity, Kind, Link, Project

# Nobody plans longer; and a calendar without a working day in so many days has none.
_LONGEST_YEARS: Final = 60
_LONGEST: Final = 366 * _LONGEST_YEARS


@dataclass(frozen=True, slots=True)
class Shape:
    """Where an activity may start and where it then ends; `ends` belongs to `starts`, both ascend."""

    starts: Sequence[int]
    ends: Sequence[int]

    def first_from(self, point: int) -> int:
        """Index of the first start at or after `point` (may be past the last)."""
        return bisect_left(self.starts, point)

    def first_ending_from(self, point: int) -> int:
        """Index of the first start whose end is at or after `point`."""
        return bisect_left(self.ends, point)

    def last_ending_by(self, point: int) -> int:
        """Index of the last start whose end is at or before `point`, or -1."""
        return bisect_right(self.ends, point) - 1


@dataclass(frozen=True, slots=True)
class Wait:
    """Successor `after` may begin (or end) only at `table[p]`, where p is where `before` begins (or ends)."""

    before: int
    after: int
    from_end: bool
    to_end: bool
    table: Sequence[int]


@dataclass(frozen=True, slots=True)
class Job:
    """One activity in numbers. `due` is the latest end, or None."""

    shape: Shape
    needs: tuple[tuple[int, int], ...]
    release: int
    due: int | None


class Timetable:
    """The compiled project. `horizon` is the last point; every serial schedule fits before it."""

    def __init__(self, project: Project, order: Sequence[int]) -> None:
        """Compile; `order` is a topological order of the activities.

        Raises:
            WrongProjectError: if a calendar has no working days, or the plan is longer than can be planned.
        """
        self.project = project
        self.order = list(order)
        self._calendars = self._working_days(project)
        everyday = self._calendars[DEFAULT_CALENDAR, False]
        needed = self._days_needed(project)
        self.days: list[date] = []
        day = project.start
        last_named = self._last_named_day(project)
        named = 0
        while len(self.days) < named + needed:
            if (day - project.start).days > _LONGEST:
                raise WrongProjectError(
                    [
                        Problem(
                            project.name or "the project",
                            f"cannot be planned: it would take more than {_LONGEST_YEARS} years",
                        )
                    ]
                )
            if any(works(day) for works in self._calendars.values()):
                self.days.append(day)
            if day <= last_named:
                named = len(self.days)
            day += DAY
        self.horizon = len(self.days)
        self._everyday_before = [0, *accumulate(everyday(day) for day in self.days)]
        self._shapes: dict[tuple[str, bool, int], Shape] = {}
        self._tables: dict[tuple[bool, bool, int, str], list[int]] = {}
        self.number = {activity.id: k for k, activity in enumerate(project.activities)}
        self.resources = {resource.id: k for k, resource in enumerate(project.resources)}
        self.units = [resource.units for resource in project.resources]
        self.jobs = [self._job(activity) for activity in project.activities]
        self.waits = [self._wait(k, link) for k, a in enumerate(project.activities) for link in a.after]
        self.before: list[list[Wait]] = [[] for _ in self.jobs]
        self.after: list[list[Wait]] = [[] for _ in self.jobs]
        for wait in self.waits:
            self.before[wait.after].append(wait)
            self.after[wait.before].append(wait)

    @staticmethod
    def _working_days(project: Project) -> dict[tuple[str, bool], WorkingDays]:
        used = {(a.calendar, a.outdoor) for a in project.activities if a.duration} | {
            (DEFAULT_CALENDAR, False)
        }
        made = {
            (name, outdoor): WorkingDays(project.calendar(name), project.rain if outdoor else None)
            for name, outdoor in sorted(used)
        }
        for (name, outdoor), works in made.items():
            span = (project.start + timedelta(days=k) for k in range(366))
            if not any(works(day) for day in span):
                lost = " once the rain is taken off" if outdoor else ""
                raise WrongProjectError(
                    [Problem(f"calendar {name}", f"has no working day in the first year{lost}")]
                )
        return made

    def _days_needed(self, project: Project) -> int:
        """More points than any schedule needs that does one thing after the other."""
        work = sum(activity.duration for activity in project.activities)
        lags = sum(abs(link.lag) for activity in project.activities for link in activity.after)
        # A calendar may work on fewer days than others do: count by the rarest, over two years.
        span = [project.start + timedelta(days=k) for k in range(731)]
        anybody = sum(any(works(day) for works in self._calendars.values()) for day in span)
        rarest = min(max(1, sum(works(day) for day in span)) for works in self._calendars.values())
        return int((work + lags + 2) * max(1.0, anybody / rarest) * 1.1) + 30

    @staticmethod
    def _last_named_day(project: Project) -> date:
        """After this day nothing special happens."""
        named = [project.start]
        named += [a.not_before for a in project.activities if a.not_before]
        named += [period.last for resource in project.resources for period in resource.unavailable]
        return max(named)

    def boundary(self, point: int) -> date:
        """The day from which work that ended at `point` is over: the day after its last day."""
        return self.days[point - 1] + DAY if point else self.project.start

    def first_morning(self, day: date) -> int:
        """The first point whose morning is on or after `day`."""
        return bisect_left(self.days, day)

    def first_boundary(self, day: date) -> int:
        """The first point whose boundary is on or after `day`."""
        return 0 if day <= self.project.start else bisect_left(self.days, day - DAY) + 1

    def last_end(self, deadline: date) -> int:
        """The last point at which work can end and be finished on `deadline`."""
        return bisect_right(self.days, deadline)

    def _job(self, activity: Activity) -> Job:
        release = 0
        if activity.not_before:
            find = self.first_morning if activity.duration else self.first_boundary
            release = find(activity.not_before)
        limits = [day for day in (activity.deadline, self.project.deadline) if day]
        needs = tuple((self.resources[name], count) for name, count in activity.needs.items() if count)
        due = self.last_end(min(limits)) if limits else None
        return Job(self._shape(activity), needs if activity.duration else (), release, due)

    def _shape(self, activity: Activity) -> Shape:
        key = (activity.calendar, activity.outdoor, activity.duration)
        if key not in self._shapes:
            self._shapes[key] = self._make_shape(*key)
        return self._shapes[key]

    def _make_shape(self, calendar: str, outdoor: bool, duration: int) -> Shape:  # noqa: FBT001  (a key's members)
        if duration == 0:
            points = range(self.horizon + 1)
            return Shape(points, points)
        works = self._calendars[calendar, outdoor]
        working = [point for point, day in enumerate(self.days) if works(day)]
        starts = working[: max(0, len(working) - duration + 1)]
        return Shape(starts, [working[k + duration - 1] + 1 for k in range(len(starts))])

    def _wait(self, after: int, link: Link) -> Wait:
        before = self.number[link.activity]
        from_end = link.kind in {Kind.FINISH_START, Kind.FINISH_FINISH}
        to_end = link.kind in {Kind.FINISH_FINISH, Kind.START_FINISH}
        activities = self.project.activities
        # A milestone is reached at the end of a day: both of its ends count as ends.
        ends = (from_end or not activities[before].duration, to_end or not activities[after].duration)
        key = (*ends, link.lag, link.unit)
        if key not in self._tables:
            self._tables[key] = [self._reached(point, *key) for point in range(self.horizon + 1)]
        return Wait(before, after, from_end, to_end, self._tables[key])

    def _reached(self, point: int, from_end: bool, to_end: bool, lag: int, unit: str) -> int:  # noqa: FBT001  (a key's members)
        """The first point allowed by a lag counted from `point`; past the horizon if there is none."""
        if unit == "working":
            if lag == 0:
                return point
            return bisect_left(self._everyday_before, self._everyday_before[point] + lag)
        if not from_end and point >= self.horizon:
            return self.horizon + 1
        origin = self.boundary(point) if from_end else self.days[point]
        wanted = origin + timedelta(days=lag)
        return self.first_boundary(wanted) if to_end else self.first_morning(wanted)

    def capacity(self, resource: int) -> list[int]:
        """Units of a resource that are there, for every point before the horizon."""
        there = [self.units[resource]] * self.horizon
        for period in self.project.resources[resource].unavailable:
            gone = period.units or self.units[resource]
            for point in range(
                self.first_morning(period.first), min(self.last_end(period.last), self.horizon)
            ):
                there[point] = max(0, there[point] - gone)
        return there

    def ends_of(self, starts: Sequence[int]) -> list[int]:
        """The ends that belong to allowed starts."""
        shapes = (job.shape for job in self.jobs)
        return [shape.ends[shape.first_from(start)] for start, shape in zip(starts, shapes, strict=True)]
