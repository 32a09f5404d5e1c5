"""Checks a jobs file against its models and tells each mistake in words, at its place."""

from __future__ import annotations

import re
import types
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from nightlatch.catalog.file_model import LONGEST_NAME, RETRY_CLASSES, JobsFile
from nightlatch.catalog.problems import CODES, Problem, choose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic_core import ErrorDetails

    from nightlatch.catalog.document import Document, Path_

_ON_KEY = "[key]"  # how pydantic says that a mapping's key is wrong, not its value

# pydantic's error type -> what the value should have been.
_TYPES = {
    "string_type": ("text", "write it in quotes"),
    "int_type": ("a whole number", "write the number without quotes"),
    "int_from_float": ("a whole number", "leave out the fraction"),
    "float_type": ("a number", "write the number without quotes"),
    "dict_type": ("a mapping", "write `key: value` lines below it, indented"),
    "model_type": ("a mapping", "write `key: value` lines below it, indented"),
    "bool_type": ("true or false", "write true or false without quotes"),
    "list_type": ("a list", "write it in brackets: [a, b]"),
}
_RANGES: dict[str, Callable[[dict[str, Any]], str]] = {
    "greater_than": lambda limit: f"it must be more than {limit['gt']:g}",
    "greater_than_equal": lambda limit: f"it must be at least {limit['ge']:g}",
    "less_than_equal": lambda limit: f"it may be at most {limit['le']:g}",
    "too_short": lambda limit: f"it needs at least {limit['min_length']} entry",
    "too_long": lambda limit: f"it may have at most {limit['max_length']}",
    "string_too_short": lambda _: "it must not be empty",
    "string_too_long": lambda limit: f"it may have at most {limit['max_length']} characters",
}
_NAME_RULE = f"small letters, digits and hyphens, a letter first, at most {LONGEST_NAME} characters"


def structural_problems(document: Document) -> Iterator[Problem]:
    """Everything that a single value of the file has wrong: type, range, spelling of keys."""
    try:
        JobsFile.model_validate(document.root.plain())
    except ValidationError as error:
        for details in error.errors(include_url=False):
            problem = _problem(document, details)
            if problem:
                yield problem


def _problem(document: Document, details: ErrorDetails) -> Problem | None:
    path: Path_ = tuple(details["loc"])
    on_key = bool(path) and path[-1] == _ON_KEY
    if on_key:
        path = path[:-1]
    kind = details["type"]
    context: dict[str, Any] = details.get("ctx") or {}
    # What was already reported as ambiguous is not reported again, nor is anything inside it.
    if any(path[: length + 1] in document.doubtful for length in range(len(path))):
        return None
    place = document.key_mark(path) if on_key or kind == "extra_forbidden" else document.mark(path)
    code, message, hint = _words(kind, path, details["input"], context, details["msg"], on_key=on_key)
    return Problem(document.file, *place, code, message, hint)


def _words(  # noqa: PLR0911 - one return for each kind of mistake reads best
    kind: str, path: Path_, value: object, context: dict[str, Any], message: str, *, on_key: bool
) -> tuple[str, str, str]:
    what = str(path[-1]) if path else "the file"
    if kind in CODES:
        return kind, message, str(context["hint"])
    if kind == "missing":
        return "JOBS-011", f"{_owner(path)} has no {what}", f"add {what}; there is no default for it"
    if kind == "extra_forbidden":
        return "JOBS-010", f"unknown key {what}", choose(what, _keys_at(path[:-1]))
    if kind in _TYPES:
        wanted, hint = _TYPES[kind]
        return "JOBS-012", f"{_spot(path)} must be {wanted}, not {_show(value)}", hint
    if kind == "literal_error":
        choices = re.findall(r"'?([^\s',]+)'?", str(context["expected"]).replace(" or ", ", "))
        hint = choose(str(value), choices) if isinstance(value, str) else f"known here: {', '.join(choices)}"
        return "JOBS-014", f"{_spot(path)} cannot be {_show(value)}", hint
    if kind == "string_pattern_mismatch" and on_key and len(path) > 1 and path[-2] == "retry":
        return "JOBS-010", f"unknown retry class {what}", choose(what, [*RETRY_CLASSES, "exit_1 to exit_255"])
    if kind == "string_pattern_mismatch":
        rule = _NAME_RULE if on_key and path[:1] == ("jobs",) else _name_rule(path, str(context["pattern"]))
        return "JOBS-015", f"malformed name {_show(what if on_key else value)}", rule
    if kind in _RANGES:
        return "JOBS-013", f"{_spot(path)} is {_show(value)}", _RANGES[kind](context)
    return "JOBS-012", f"{_spot(path)}: {message}", "see the schema named in the file's first line"


def _name_rule(path: Path_, pattern: str) -> str:
    if path[-1] == "name":
        return _NAME_RULE
    return f"it must match {pattern}"


def _owner(path: Path_) -> str:
    """Who lacks a key: the file, or the part named by the path without its last step."""
    owner = path[:-1]
    if len(owner) == 2 and owner[0] == "jobs":  # noqa: PLR2004 - jobs.NAME
        return str(owner[1])
    return _spot(owner) if owner else "the file"


def _spot(path: Path_) -> str:
    """A path in words: ``jobs.nightly.steps[0].cpu`` -> ``nightly: steps[0].cpu``."""
    inner = path[2:] if path[:1] == ("jobs",) and len(path) > 2 else path  # noqa: PLR2004 - jobs.NAME.rest
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in inner).lstrip(".")
    return f"{path[1]}: {text}" if inner != path else text or "the file"


def _show(value: object) -> str:
    shown = "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else None
    if value is None:
        return "empty"
    if isinstance(value, list | dict) and not value:
        return "empty"
    text = (
        repr(value)
        if isinstance(value, str)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
    return shown or (text if len(text) <= 60 else f"{text[:57]}...")  # noqa: PLR2004 - fits a line


def _keys_at(path: Path_) -> list[str]:
    """The keys that the model has at a place of the file."""
    annotation: Any = JobsFile
    for step in path:
        models = [
            part for part in _parts(annotation) if isinstance(part, type) and issubclass(part, BaseModel)
        ]
        if models:
            info = models[0].model_fields.get(str(step))
            annotation = info.annotation if info else None
        else:
            annotation = _inside(annotation)
    models = [part for part in _parts(annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
    return list(models[0].model_fields) if models else []


def _parts(annotation: Any) -> Iterator[Any]:
    """The annotation and, for a union, each member; metadata stripped."""
    if hasattr(annotation, "__metadata__"):
        yield from _parts(annotation.__origin__)
    elif isinstance(annotation, types.UnionType) or str(get_origin(annotation)) == "typing.Union":
        for member in get_args(annotation):
            yield from _parts(member)
    else:
        yield annotation


def _inside(annotation: Any) -> Any:
    """What a list or a mapping holds."""
    for part in _parts(annotation):
        if get_origin(part) in {list, dict}:
            return get_args(part)[-1]
    return None
