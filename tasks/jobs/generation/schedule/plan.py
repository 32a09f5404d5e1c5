"""A schedule in dates, with what people ask of it: how sure it is, where there is slack, who is busy."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from tasks.jobs.generation.schedule.calendars import DAY, WorkingDays
from tasks.jobs.generation.schedule.construct import Starts
from tasks.jobs.generation.schedule.project import Activity, Project
from tasks.jobs.generation.schedule.timetable import Timetable
from tasks.jobs.generation.schedule.verify import Placed, verify

_ENOUGH: Final = 5


class UnsoundPlanError(RuntimeError):
    """The verifier refuses a schedule: a defect of ours; nothing is published."""


@dataclass(frozen=True, slots=True)
class Line:
    """One activity of the plan. `slack` is how many days it alone may end later."""

    activity: Activity
    placed: Placed
    slack: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A verified schedule. `days`, `bound` and `greedy` count days on which anybody works."""

    project: Project
    digest: str
    lines: tuple[Line, ...]
    days: int
    bound: int
    greedy: int
    finish: date
    bound_finish: date
    ended_by: str

    @property
    def optimal(self) -> bool:
        """Whether nothing shorter exists."""
        return self.bound >= self.days

    @property
    def gap(self) -> float:
        """How much shorter it could be at most, as a share."""
        return (self.days - self.bound) / self.days if self.days else 0.0


def placed(table: Timetable, starts: Sequence[int]) -> dict[str, Placed]:
    """A schedule in dates, by the ids of activities."""
    found = {}
    for activity, start, end in zip(table.project.activities, starts, table.ends_of(starts), strict=True):
        first = table.days[start] if activity.duration else None
        found[activity.id] = Placed(first, table.boundary(end) - DAY)
    return found


def without_deadlines(project: Project) -> Project:
    """The same project with every deadline taken off."""
    activities = tuple(activity.model_copy(update={"deadline": None}) for activity in project.activities)
    return project.model_copy(update={"deadline": None, "activities": activities})


def make_plan(
    table: Timetable, starts: Starts, *, digest: str, bound: int, greedy: int, ended_by: str
) -> Plan:
    """Put a schedule into dates and have it verified.

    Raises:
        UnsoundPlanError: if it breaks a rule of the project.
    """
    dates = placed(table, starts)
    wrong = verify(table.project, dates)
    if wrong:
        raise UnsoundPlanError(f"the verifier refuses the schedule: {'; '.join(wrong[:_ENOUGH])}")
    slacks = slack(table, starts)
    lines = [
        Line(activity, dates[activity.id], slacks[number])
        for number, activity in enumerate(table.project.activities)
    ]
    days = max(table.ends_of(starts))
    return Plan(
        table.project,
        digest,
        tuple(lines),
        days,
        bound,
        greedy,
        table.boundary(days) - DAY,
        table.boundary(bound) - DAY,
        ended_by,
    )


def slack(table: Timetable, starts: Starts) -> list[int]:
    """By how many points each activity alone may end later, everything else staying where it is."""
    ends = table.ends_of(starts)
    makespan = max(ends)
    free = [table.capacity(resource) for resource in range(len(table.units))]

    def take(number: int, sign: int) -> None:
        for resource, units in table.jobs[number].needs:
            for point in range(starts[number], ends[number]):
                free[resource][point] -= sign * units

    def fits(number: int, start: int, end: int) -> bool:
        waits = all(
            wait.table[end if wait.from_end else start] <= (ends if wait.to_end else starts)[wait.after]
            for wait in table.after[number]
        )
        return waits and all(min(free[name][start:end]) >= units for name, units in table.jobs[number].needs)

    for number in range(len(starts)):
        take(number, 1)
    slacks = []
    for number, job in enumerate(table.jobs):
        take(number, -1)
        limit = makespan if job.due is None else min(makespan, job.due)
        index = job.shape.first_from(starts[number]) + 1
        while index < len(job.shape.ends) and job.shape.ends[index] <= limit:
            if not fits(number, job.shape.starts[index], job.shape.ends[index]):
                break
            index += 1
        slacks.append(job.shape.ends[index - 1] - ends[number])
        take(number, 1)
    return slacks


def use_of(plan: Plan, resource: str) -> dict[date, int]:
    """Units of a resource in use, for every day of the plan on which some are."""
    use: dict[date, int] = {}
    for line in plan.lines:
        units, day = line.activity.needs.get(resource, 0), line.placed.start
        while units and day is not None and day <= line.placed.finish:
            use[day] = use.get(day, 0) + units
            day += DAY
    return use


def working_days(project: Project, activity: Activity | None = None) -> WorkingDays:
    """The calendar of an activity, or the default one."""
    if activity is None:
        return WorkingDays(project.calendar("default"))
    return WorkingDays(project.calendar(activity.calendar), project.rain if activity.outdoor else None)
