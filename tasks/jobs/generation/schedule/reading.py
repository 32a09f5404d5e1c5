"""Reading a project: JSON, CSV or PSPLIB, with the line of everything that is wrong."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any, Final

from pydantic import ValidationError

from tasks.contract import exit_codes
from tasks.jobs.generation.project_text import project_text
from tasks.jobs.generation.schedule.csv_form import read_csv
from tasks.jobs.generation.schedule.problems import Place, Problem, WrongProjectError, line_of
from tasks.jobs.generation.schedule.project import DEFAULT_CALENDAR, Activity, Project
from tasks.jobs.generation.schedule.psplib_form import read_psplib
from tasks.jobs.program import JobError

# A project of 10,000 activities has about 3 MB.
_LARGEST: Final = 64 * 1024 * 1024

Locate = Callable[[Place], str]


def read_project(location: str, start: date | None = None) -> Project:
    """Read and check the project at `location`: a path or ``s3://bucket/key``.

    ``.sm`` is PSPLIB's format, ``.csv`` the table of activities, everything else our JSON. `start` replaces
    the project's own first day; a CSV table needs it.

    Raises:
        WrongProjectError: with every problem, each with file and line.
        JobError: if there is no such file (64), or S3 does not answer (75).
    """
    name = location.rsplit("/", 1)[-1]
    text = project_text(location, _LARGEST)
    locate: Locate
    if name.lower().endswith(".sm"):
        members, locate = read_psplib(text, name, start)
    elif name.lower().endswith(".csv"):
        members, locate = read_csv(text, name, start, beside=lambda other: _beside(location, other))
    else:
        members, locate = _read_json(text, name), lambda place: f"{name}:{line_of(text, place)}"
        if start and isinstance(members, dict):
            members["start"] = start.isoformat()
    project = _validated(members, locate)
    problems = list(_references(project, locate))
    if problems:
        raise WrongProjectError(problems)
    return project


def digest(project: Project) -> str:
    """The identity of a project: equal for equal content, whatever format it was written in."""
    return hashlib.sha256(project.model_dump_json(by_alias=True).encode()).hexdigest()


def _read_json(text: str, name: str) -> Any:
    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [key for key, _ in pairs]
            twice = next(key for key in names if names.count(key) > 1)
            line = _second_mention(text, twice)
            raise WrongProjectError([Problem(f"{name}:{line}", f'"{twice}" is written twice in one object')])
        return found

    try:
        return json.loads(text, object_pairs_hook=members)
    except json.JSONDecodeError as error:
        raise WrongProjectError(
            [Problem(f"{name}:{error.lineno}", f"not JSON: {error.msg} (column {error.colno})")]
        ) from None
    except RecursionError:
        raise WrongProjectError([Problem(name, "nested too deeply")]) from None


def _second_mention(text: str, key: str) -> int:
    written = json.dumps(key, ensure_ascii=False)
    first = text.find(written)
    second = text.find(written, first + 1)
    return text.count("\n", 0, max(first, second)) + 1


def _validated(members: Any, locate: Locate) -> Project:
    try:
        return Project.model_validate(members)
    except ValidationError as error:
        problems = []
        for item in error.errors(include_url=False, include_context=False):
            place = [step for step in item["loc"] if step != "function-before[_link(), Link]"]
            words = ".".join(map(str, place)) or "the project"
            said = item["msg"].removeprefix("Value error, ")
            problems.append(Problem(locate(place), f"{words}: {said[:1].lower()}{said[1:]}"))
        raise WrongProjectError(problems) from None


def _references(project: Project, locate: Locate) -> "list[Problem]":
    """What one value says about another: ids that are unknown or twice there, needs above the units."""
    problems: list[Problem] = []

    def note(place: Place, what: str) -> None:
        problems.append(Problem(locate(place), what))

    units: dict[str, int] = {}
    for number, resource in enumerate(project.resources):
        if resource.id in units:
            note(("resources", number, "id"), f"resource {resource.id} is there twice")
        units[resource.id] = resource.units
    first: dict[str, int] = {}
    for number, activity in enumerate(project.activities):
        if first.setdefault(activity.id, number) != number:
            note(("activities", number, "id"), f"activity {activity.id} is there twice")
    for number, activity in enumerate(project.activities):
        for member, what in _check_activity(project, activity, set(first), units):
            note(("activities", number, *member), f"activity {activity.label}: {what}")
    return problems


def _check_activity(
    project: Project, activity: Activity, ids: set[str], units: Mapping[str, int]
) -> Iterator[tuple[Place, str]]:
    """What is wrong with an activity, and with which of its members."""
    if activity.calendar != DEFAULT_CALENDAR and activity.calendar not in project.calendars:
        yield ("calendar",), f"there is no calendar {activity.calendar}"
    for index, link in enumerate(activity.after):
        if link.activity not in ids:
            yield ("after", index), f"waits for {link.activity}, which is not there"
    for resource, count in activity.needs.items():
        if resource not in units:
            yield ("needs", resource), f"needs {resource}, which is not among the resources"
        elif count > units[resource]:
            yield ("needs", resource), f"needs {count} of {resource}, and there are only {units[resource]}"
    deadline = activity.deadline
    if deadline and activity.not_before and deadline < activity.not_before:
        yield ("deadline",), "its deadline is before it may begin"
    if deadline and activity.duration and deadline < project.start:
        yield ("deadline",), f"its deadline {deadline} is before the project begins ({project.start})"


def _beside(location: str, other: str) -> str | None:
    """The text of a file in the same folder, or None."""
    folder = location[: len(location) - len(location.rsplit("/", 1)[-1])]
    try:
        return project_text(folder + other, _LARGEST)
    except JobError as error:
        if error.exit_code == exit_codes.WRONG_INPUT:
            return None
        raise
