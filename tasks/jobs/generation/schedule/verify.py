"""An independent check of a schedule: dates against the project as it was written.

It shares nothing with the solver but the calendar's rules: it counts days one by one. Nothing is published
that it does not pass.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from tasks.jobs.generation.schedule.calendars import DAY, WorkingDays
from tasks.jobs.generation.schedule.project import DEFAULT_CALENDAR, Activity, Kind, Link, Project

_Works = Callable[[date], bool]


@dataclass(frozen=True, slots=True)
class Placed:
    """When an activity is done: its first and last day; a milestone is reached at the end of `finish`."""

    start: date | None
    finish: date

    @property
    def begins(self) -> date:
        """The day on whose morning it begins; for a milestone the morning after it is reached."""
        return self.finish + DAY if self.start is None else self.start

    @property
    def over(self) -> date:
        """The day on whose morning it is over."""
        return self.finish + DAY


def verify(project: Project, schedule: Mapping[str, Placed]) -> list[str]:
    """Everything that is wrong with `schedule`, in words; empty if it keeps every rule of the project."""
    ids = {activity.id for activity in project.activities}
    wrong = [f"{name} is not in the project" for name in schedule if name not in ids]
    wrong += [f"{name} is not in the schedule" for name in sorted(ids - set(schedule))]
    if wrong:
        return wrong
    everyday = WorkingDays(project.calendar(DEFAULT_CALENDAR))
    used = {(activity.calendar, activity.outdoor) for activity in project.activities if activity.duration}
    calendars = [everyday, *(_calendar(project, *key) for key in used)]

    def anybody(day: date) -> bool:
        return any(works(day) for works in calendars)

    for activity in project.activities:
        placed = schedule[activity.id]
        wrong += _check_place(project, activity, placed)
        for link in activity.after:
            wrong += _check_link(activity, placed, link, schedule[link.activity], everyday, anybody)
    if not wrong:
        wrong += _check_resources(project, schedule, anybody)
    return wrong


def _calendar(project: Project, name: str, outdoor: bool) -> WorkingDays:  # noqa: FBT001  (a key's members)
    return WorkingDays(project.calendar(name), project.rain if outdoor else None)


def _check_place(project: Project, activity: Activity, placed: Placed) -> list[str]:
    label, wrong = activity.label, []
    if (placed.start is None) != (activity.duration == 0):
        return [f"{label}: a milestone has no first day, and everything else has one"]
    if placed.start is not None:
        works = _calendar(project, activity.calendar, activity.outdoor)
        if placed.finish < placed.start:
            return [f"{label} ends before it begins"]
        wrong += [
            f"{label} {word} on {day}, which is no working day"
            for word, day in (("begins", placed.start), ("ends", placed.finish))
            if not works(day)
        ]
        count = _working(works, placed.start, placed.over)
        if count != activity.duration:
            wrong.append(f"{label} has {count} working days instead of {activity.duration}")
    if placed.begins < max(project.start, activity.not_before or project.start):
        wrong.append(f"{label} begins too early, on {placed.begins}")
    wrong += [
        f"{label} is finished on {placed.finish}, after the deadline {deadline}"
        for deadline in (activity.deadline, project.deadline)
        if deadline and placed.finish > deadline
    ]
    return wrong


def _working(works: _Works, first: date, end: date) -> int:
    """Working days from `first` to before `end`; negative if `end` comes before."""
    if end < first:
        return -_working(works, end, first)
    count, day = 0, first
    while day < end:
        count += works(day)
        day += DAY
    return count


def _check_link(
    activity: Activity, placed: Placed, link: Link, other: Placed, everyday: _Works, anybody: _Works
) -> list[str]:
    origin = other.over if link.kind in {Kind.FINISH_START, Kind.FINISH_FINISH} else other.begins
    point = placed.over if link.kind in {Kind.FINISH_FINISH, Kind.START_FINISH} else placed.begins
    if link.unit == "calendar":
        kept = (point - origin).days >= link.lag
    elif link.lag == 0:
        kept = _working(anybody, origin, point) >= 0
    else:
        kept = _working(everyday, origin, point) >= link.lag
    if kept:
        return []
    return [
        f"{activity.label} does not keep {link.kind} {link.lag:+d} {link.unit} days after {link.activity}"
    ]


def _check_resources(project: Project, schedule: Mapping[str, Placed], anybody: _Works) -> list[str]:
    """Units in use, day by day; on a day on which nobody works nobody misses anything."""
    use: dict[tuple[str, date], int] = {}
    for activity in project.activities:
        placed = schedule[activity.id]
        day = placed.start
        while day is not None and day <= placed.finish:
            for name, units in activity.needs.items():
                use[name, day] = use.get((name, day), 0) + units
            day += DAY
    wrong = []
    resources = {resource.id: resource for resource in project.resources}
    for (name, day), units in sorted(use.items()):
        resource = resources[name]
        gone = sum(p.units or resource.units for p in resource.unavailable if p.first <= day <= p.last)
        there = max(0, resource.units - gone)
        if units > there and anybody(day):
            wrong.append(f"{units} of {name} are in use on {day}, and there are {there}")
    return wrong
