"""Why a project cannot be scheduled, in words that name activities and dates."""

from collections.abc import Sequence

from tasks.jobs.generation.schedule.calendars import DAY
from tasks.jobs.generation.schedule.construct import Builder, Starts
from tasks.jobs.generation.schedule.problems import Problem, WrongProjectError
from tasks.jobs.generation.schedule.project import Project
from tasks.jobs.generation.schedule.timetable import Timetable

# More names than that nobody reads in a sentence.
_MOST_NAMED = 12


def topological_order(project: Project) -> list[int]:
    """The activities so that none comes before one that it waits for.

    Raises:
        WrongProjectError: if activities wait for each other in a circle; the reason names the circle.
    """
    number = {activity.id: k for k, activity in enumerate(project.activities)}
    waits = [[number[link.activity] for link in activity.after] for activity in project.activities]
    state = [0] * len(waits)  # 0 untouched, 1 on the way, 2 done
    order: list[int] = []
    for root in range(len(waits)):
        if state[root]:
            continue
        state[root] = 1
        path = [(root, iter(waits[root]))]
        while path:
            here, rest = path[-1]
            follow = next(rest, None)
            if follow is None:
                state[here] = 2
                order.append(here)
                path.pop()
            elif state[follow] == 1:
                way = [step for step, _ in path]
                raise _circle(project, way[way.index(follow) :])
            elif not state[follow]:
                state[follow] = 1
                path.append((follow, iter(waits[follow])))
    return order


def _circle(project: Project, way: Sequence[int]) -> WrongProjectError:
    names = [project.activities[number].label for number in way]
    if len(names) == 1:
        return WrongProjectError([Problem("after", f"activity {names[0]} waits for itself")])
    shown = names if len(names) <= _MOST_NAMED else [*names[: _MOST_NAMED - 1], "…", names[-1]]
    chain = " waits for ".join([*shown, names[0]])
    return WrongProjectError([Problem("after", f"activities wait for each other in a circle: {chain}")])


def hopeless_deadline(timetable: Timetable, builder: Builder) -> WrongProjectError | None:
    """A deadline that cannot be kept even with endless crews, with the chain that leads there."""
    table = timetable
    shapes = [job.shape for job in table.jobs]
    late: tuple[int, int] | None = None
    ends = []
    for number, start in enumerate(builder.earliest):
        if start > table.horizon:
            return _never(table, number)
        ends.append(shapes[number].ends[shapes[number].first_from(start)])
    for number in table.order:
        due = table.jobs[number].due
        if due is not None and ends[number] > due and (late is None or ends[number] - due > late[0]):
            late = (ends[number] - due, number)
    if late is None:
        return None
    number = late[1]
    chain = [number]
    while (cause := _cause(table, builder.earliest, ends, chain[-1])) is not None:
        chain.append(cause)
    activity = table.project.activities[number]
    names = [table.project.activities[step].label for step in reversed(chain)]
    if len(names) > _MOST_NAMED:
        names = [*names[:3], "…", *names[3 - _MOST_NAMED :]]
    reach = table.boundary(ends[number]) - DAY
    own = activity.deadline is not None and table.last_end(activity.deadline) == table.jobs[number].due
    whose = "its deadline" if own else "the deadline of the project"
    limit = activity.deadline if own else table.project.deadline
    return WrongProjectError(
        [
            Problem(
                "deadline",
                f"{activity.label} cannot be finished before {reach}, even with crews and equipment without"
                f" limit, and {whose} is {limit}; what leads there: {' → '.join(names)}",
            )
        ]
    )


def _never(table: Timetable, number: int) -> WrongProjectError:
    label = table.project.activities[number].label
    return WrongProjectError(
        [Problem("activities", f"{label} cannot be placed: its calendar leaves no time for it")]
    )


def _cause(table: Timetable, starts: Starts, ends: Sequence[int], number: int) -> int | None:
    """The predecessor that keeps an activity from being earlier."""
    best: tuple[int, int] | None = None
    for wait in table.before[number]:
        reached = wait.table[ends[wait.before] if wait.from_end else starts[wait.before]]
        # How close it comes to where the activity is.
        room = (ends[number] if wait.to_end else starts[number]) - reached
        if best is None or room < best[0]:
            best = (room, wait.before)
    if best is None or starts[number] <= table.jobs[number].release:
        return None
    return best[1]


def nowhere(timetable: Timetable) -> WrongProjectError:
    """No place was found for an activity although the axis is long enough for all: units are never there."""
    table = timetable
    for number, job in enumerate(table.jobs):
        for resource, units in job.needs:
            line = table.capacity(resource)
            shape = job.shape
            if not any(
                min(line[start:end]) >= units for start, end in zip(shape.starts, shape.ends, strict=True)
            ):
                label = table.project.activities[number].label
                name = table.project.resources[resource].id
                return WrongProjectError(
                    [
                        Problem(
                            "needs",
                            f"{label} needs {units} of {name} without interruption, which is never there",
                        )
                    ]
                )
    return WrongProjectError([Problem("activities", "the activities fit nowhere")])


def missed_deadlines(timetable: Timetable, starts: Starts) -> WrongProjectError:
    """The deadlines that the best possible schedule still misses."""
    table = timetable
    missed = []
    for number, end in enumerate(table.ends_of(starts)):
        due = table.jobs[number].due
        if due is not None and end > due:
            activity = table.project.activities[number]
            day, limit = table.boundary(end) - DAY, table.boundary(due) - DAY
            missed.append(f"{activity.label} would be finished on {day} instead of {limit}")
    busiest = _busiest(table)
    return WrongProjectError(
        [
            Problem(
                "deadline",
                "with these crews and equipment the deadlines cannot all be kept (proved); at best "
                + ", ".join(missed[:_MOST_NAMED])
                + (f"; most in demand: {busiest}" if busiest else ""),
            )
        ]
    )


def _busiest(table: Timetable) -> str:
    demand = [0] * len(table.units)
    for number, job in enumerate(table.jobs):
        for resource, units in job.needs:
            demand[resource] += units * table.project.activities[number].duration
    loads = [
        (work / units, k) for k, (work, units) in enumerate(zip(demand, table.units, strict=True)) if units
    ]
    if not loads or not max(loads)[0]:
        return ""
    busiest = table.project.resources[max(loads)[1]]
    return busiest.name or busiest.id
