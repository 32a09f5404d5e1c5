"""Reading projects: JSON or YAML, with the line of everything that is wrong."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from tasks.jobs.generation.handson.graph import mistakes
from tasks.jobs.generation.handson.outline import with_outline
from tasks.jobs.generation.handson.project import Project, Projects
from tasks.jobs.generation.project_text import project_text
from tasks.jobs.generation.schedule.problems import Place, Problem, WrongProjectError, line_of
from tasks.jobs.program import JobError

_LARGEST: Final = 16 * 1024 * 1024

Locate = Callable[[Place], str]


def locations_of(text: str) -> list[str]:
    """The locations in a text with commas between them."""
    return [part.strip() for part in text.split(",") if part.strip()]


def read_projects(locations: str) -> list[Project]:
    """The projects of all files in `locations`: paths or ``s3://bucket/key``, with commas between them.

    A file has one project, or several under ``projects``.

    Raises:
        WrongProjectError: with every problem of a file, each with its line.
        JobError: if there is no such file (64), or S3 does not answer (75).
    """
    projects: list[Project] = []
    home: dict[str, str] = {}
    for location in locations_of(locations):
        for project in _read(location):
            if project.id in home:
                raise JobError(
                    f"project {project.id} is there twice: in {home[project.id]} and in {location}"
                )
            home[project.id] = location
            projects.append(project)
    if not projects:
        raise JobError("which project? give --project PATH, or -p project=PATH to the run")
    return projects


def _read(location: str) -> tuple[Project, ...]:
    name = location.rsplit("/", 1)[-1]
    text = project_text(location, _LARGEST)
    members, locate = _parse_json(text, name) if name.endswith(".json") else _parse_yaml(text, name)
    several = isinstance(members, dict) and "projects" in members
    within: tuple[str | int, ...] = () if several else ("projects", 0)
    raw = members if several else {"projects": [members]}

    def here(place: Place) -> str:
        # A file with one project has no "projects": leave that part of the place out.
        return locate(tuple(place)[len(within) :])

    raw = {**raw, "projects": [with_outline(one) for one in raw["projects"]]} if _is_list(raw) else raw
    try:
        projects = Projects.model_validate(raw).projects
    except ValidationError as error:
        raise WrongProjectError(list(_invalid(error, here))) from None
    problems = list(_references(projects, here))
    if problems:
        raise WrongProjectError(problems)
    return projects


def _is_list(raw: Any) -> bool:
    return isinstance(raw.get("projects"), list)


def _invalid(error: ValidationError, here: Locate) -> Iterator[Problem]:
    items = error.errors(include_url=False, include_context=False)
    for item in items:
        inside = [other for other in items if len(other["loc"]) > len(item["loc"])]
        if item["type"] == "too_short" and any(o["loc"][: len(item["loc"])] == item["loc"] for o in inside):
            continue  # it is short only because what is in it is wrong
        words = ".".join(map(str, item["loc"])) or "the file"
        said = item["msg"].removeprefix("Value error, ")
        yield Problem(here(item["loc"]), f"{words}: {said[:1].lower()}{said[1:]}")


def _references(projects: tuple[Project, ...], here: Locate) -> Iterator[Problem]:
    ids: set[str] = set()
    for number, project in enumerate(projects):
        place: tuple[str | int, ...] = ("projects", number)
        if project.id in ids:
            yield Problem(here((*place, "id")), f"project {project.id} is there twice")
        ids.add(project.id)
        for where, what in mistakes(project.tasks):
            yield Problem(here((*place, "tasks", *where)), f"project {project.id}: {what}")
        for index, task in enumerate(project.tasks):
            wrong = _wrong_form(task.form) if task.form is not None else ""
            if wrong:
                said = f"project {project.id}: task {task.id}: the schema is wrong: {wrong}"
                yield Problem(here((*place, "tasks", index, "schema")), said)


def _wrong_form(form: dict[str, Any]) -> str:
    """What is wrong with a schema, "" if nothing is."""
    try:
        Draft202012Validator.check_schema(form)
    except SchemaError as error:
        return error.message
    lost = [reference for reference in _references_in(form) if not _leads_somewhere(form, reference)]
    return f"{lost[0]} leads nowhere in it (nothing is fetched from elsewhere)" if lost else ""


def _references_in(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name in {"$ref", "$dynamicRef"} and isinstance(value, str):
                yield value
            else:
                yield from _references_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references_in(value)


def _leads_somewhere(form: Any, reference: str) -> bool:
    if reference == "#":
        return True
    if not reference.startswith("#/"):
        return False
    for step in reference.removeprefix("#/").split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(form, dict) or name not in form:
            return False
        form = form[name]
    return True


def _parse_json(text: str, name: str) -> tuple[Any, Locate]:
    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [key for key, _ in pairs]
            twice = next(key for key in names if names.count(key) > 1)
            raise WrongProjectError([Problem(name, f'"{twice}" is written twice in one object')])
        return found

    try:
        parsed = json.loads(text, object_pairs_hook=members)
    except json.JSONDecodeError as error:
        where = f"{name}:{error.lineno}"
        raise WrongProjectError([Problem(where, f"not JSON: {error.msg} (column {error.colno})")]) from None
    except RecursionError:
        raise WrongProjectError([Problem(name, "nested too deeply")]) from None
    return parsed, lambda place: f"{name}:{line_of(text, place)}"


def _parse_yaml(text: str, name: str) -> tuple[Any, Locate]:
    yaml = YAML(typ="rt")
    try:
        parsed = yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}" if mark is not None else name
        said = (str(error.problem) or "").splitlines()[:1]
        raise WrongProjectError([Problem(where, f"not YAML: {' '.join(said)}")]) from None
    except (YAMLError, RecursionError, ValueError) as error:
        raise WrongProjectError([Problem(name, f"not YAML: {error}")]) from None

    def locate(place: Place) -> str:
        return f"{name}:{_yaml_line(parsed, place)}"

    return _plain(parsed), locate


def _yaml_line(node: Any, place: Place) -> int:
    line = 0
    for step in place:
        try:
            line = node.lc.key(step)[0] if isinstance(step, str) else node.lc.item(step)[0]
            node = node[step]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return int(line) + 1


def _plain(node: Any) -> Any:
    """The same without ruamel's own classes, and with texts as texts."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, str):
        return str(node)
    if isinstance(node, bool):
        return bool(node)
    if isinstance(node, int):
        return int(node)
    return float(node) if isinstance(node, float) else node
