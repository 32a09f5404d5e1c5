"""Reads the fields of a definition one by one and notes everything that is wrong."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from statemachine.interpreter.clock import parse_iso_time
from statemachine.interpreter.expression import Expression, ExpressionError, compiled
from statemachine.interpreter.integration import Pattern
from statemachine.interpreter.states import Problem, Resource
from statemachine.interpreter.template import Template, compile_template, is_expression

# Fields that only JSONPath has, with their JSONata counterpart.
JSONPATH_FIELDS = {
    "InputPath": "Arguments or Output",
    "OutputPath": "Output",
    "ResultPath": "Output or Assign",
    "ResultSelector": "Output",
    "Parameters": "Arguments",
    "Result": "Output",
    "ItemsPath": "Items",
    "SecondsPath": "Seconds with an expression",
    "TimestampPath": "Timestamp with an expression",
    "TimeoutSecondsPath": "TimeoutSeconds with an expression",
    "HeartbeatSecondsPath": "HeartbeatSeconds with an expression",
    "MaxConcurrencyPath": "MaxConcurrency with an expression",
    "ErrorPath": "Error with an expression",
    "CausePath": "Cause with an expression",
    "Variable": "Condition",
}
MAX_SECONDS = 99_999_999
MAX_VARIABLE_NAME = 80
_VARIABLE = re.compile(r"[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*\Z")
_RESOURCE = re.compile(
    r"arn:aws[a-z-]*:states:[a-z0-9-]*:[0-9]*:(?P<sdk>aws-sdk:)?(?P<service>[a-zA-Z0-9]+):"
    r"(?P<action>[a-zA-Z0-9]+)(?P<pattern>\.sync|\.sync:2|\.waitForTaskToken)?\Z"
)
_PATTERNS: dict[str | None, Pattern] = {
    None: "request_response",
    ".sync": "sync",
    ".sync:2": "sync:2",
    ".waitForTaskToken": "task_token",
}
_KINDS: dict[type, str] = {dict: "an object", list: "an array", str: "a string", bool: "true or false"}


class DuplicateKeyError(ValueError):
    """A JSON object names a member twice."""


def load_json(text: str) -> Any:
    """Parses JSON and refuses duplicate members, one of which would be lost in silence.

    Raises:
        ValueError: not JSON, or a duplicate member.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise DuplicateKeyError(f"{twice!r} stands twice in one object")
        return members

    return json.loads(text, object_pairs_hook=unique)


class Notes:
    """Collects problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, where: str, message: str) -> None:
        """Notes one problem."""
        self.problems.append(Problem(where, message))


class Fields:
    """One JSON object of a definition, read with its place.

    Args:
        value: the object's members.
        where: its place, `/States/Acquire`.
        prefix: what precedes field names in evaluation errors: `` or `Catch[0]/`.
        error_output: whether expressions here may use `$states.errorOutput`.
    """

    def __init__(
        self,
        notes: Notes,
        value: Mapping[str, Any],
        where: str,
        *,
        prefix: str = "",
        error_output: bool = False,
    ) -> None:
        self.notes = notes
        self.value = value
        self.where = where
        self._prefix = prefix
        self._error_output = error_output

    def note(self, name: str, message: str) -> None:
        """Notes a problem with one field."""
        self.notes.add(f"{self.where}/{name}", message)

    def only(self, allowed: Iterable[str], what: str) -> None:
        """Notes every field that is not allowed here."""
        known = {*allowed, "Comment"}
        for name in self.value:
            if name in known:
                continue
            if name in JSONPATH_FIELDS:
                self.note(name, f"is a JSONPath field; JSONata has {JSONPATH_FIELDS[name]}")
            else:
                self.note(name, f"is not supported on {what}; possible are {', '.join(sorted(known))}")

    def get(self, name: str, kind: type, *, required: bool = False) -> Any:
        """A field of one JSON type, or None with a note."""
        if name not in self.value:
            if required:
                self.note(name, "is missing")
            return None
        value = self.value[name]
        if not isinstance(value, kind):
            self.note(name, f"must be {_KINDS[kind]}")
            return None
        return value

    def number(
        self, name: str, low: float, high: float, default: float | None = None, *, whole: bool = True
    ) -> Any:
        """A constant number within bounds, or the default with a note."""
        value = self.value.get(name, default)
        if name in self.value and not _is_number(value, low, high, whole=whole):
            self.note(name, f"must be {'a whole number' if whole else 'a number'} from {low} to {high}")
            return default
        return value

    def computed_number(self, name: str, low: int, high: int) -> Template | None:
        """A number within bounds, or an expression."""
        if name not in self.value:
            return None
        value = self.value[name]
        if not is_expression(value) and not _is_number(value, low, high, whole=True):
            self.note(name, f"must be a whole number from {low} to {high}, or a JSONata expression")
            return None
        return self.template(name)

    def computed_string(self, name: str) -> Template | None:
        """A string, or an expression."""
        return None if self.get(name, str) is None else self.template(name)

    def computed_time(self, name: str) -> Template | None:
        """A time stamp, or an expression."""
        value = self.get(name, str)
        if value is None:
            return None
        if not is_expression(value):
            try:
                parse_iso_time(value)
            except ValueError as error:
                self.note(name, str(error))
                return None
        return self.template(name)

    def template(self, name: str) -> Template | None:
        """Any JSON with expressions in it, or None where the field is absent."""
        if name not in self.value:
            return None
        return compile_template(self.value[name], f"{self._prefix}{name}", self._compiler())

    def assign(self) -> dict[str, Template]:
        """The `Assign` field: one template per variable."""
        variables = self.get("Assign", dict) or {}
        for name in variables:
            if not _VARIABLE.match(name) or len(name) > MAX_VARIABLE_NAME:
                self.note(
                    f"Assign/{name}", "a variable's name is a letter, then letters, digits or _; at most 80"
                )
            elif name == "states":
                self.note(f"Assign/{name}", "the name 'states' is reserved")
        return {
            name: compile_template(value, f"{self._prefix}Assign/{name}", self._compiler())
            for name, value in variables.items()
        }

    def errors(self) -> tuple[str, ...]:
        """The `ErrorEquals` field."""
        names = self.get("ErrorEquals", list, required=True)
        if names is None:
            return ()
        if not names or not all(isinstance(name, str) and name for name in names):
            self.note("ErrorEquals", "must be a non-empty array of error names")
            return ()
        if "States.ALL" in names and len(names) > 1:
            self.note("ErrorEquals", "States.ALL must stand alone")
        return tuple(names)

    def _compiler(self) -> Callable[[str, str], Expression]:
        def compile_expression(text: str, location: str) -> Expression:
            try:
                return compiled(text, error_output=self._error_output)
            except ExpressionError as error:
                short = location.removeprefix(self._prefix)
                self.note(short, f"the JSONata expression {text.strip()!r} is refused: {error}")
                return Expression("null")

        return compile_expression


def _is_number(value: Any, low: float, high: float, *, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return low <= value <= high and (not whole or float(value).is_integer())


def read_resource(fields: Fields) -> Resource | None:
    """The `Resource` of a Task, which must be a service integration."""
    arn = fields.get("Resource", str, required=True)
    if arn is None:
        return None
    parts = _RESOURCE.match(arn)
    if parts is None:
        advice = (
            "only service integrations run here: "
            "arn:aws:states:::SERVICE:ACTION[.sync|.sync:2|.waitForTaskToken]"
        )
        if is_expression(arn):
            advice = "must be a constant"
        elif ":lambda:" in arn or ":activity:" in arn:
            advice = "function and activity ARNs are not supported; use a service integration"
        fields.note("Resource", f"{arn!r}: {advice}")
        return None
    pattern = _PATTERNS[parts["pattern"]]
    if parts["sdk"] and pattern in {"sync", "sync:2"}:
        fields.note("Resource", f"{arn!r}: AWS SDK integrations have no .sync")
    return Resource(arn, parts["service"], parts["action"], bool(parts["sdk"]), pattern)
