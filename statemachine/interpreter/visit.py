"""What a running state stands on: its branch, its variables, its place in the history."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import trio

from statemachine.interpreter.clock import Clock, iso_time
from statemachine.interpreter.execution import Behaviour, ExecutionContext
from statemachine.interpreter.expression import NULL, EvaluationError, Frame, json_type
from statemachine.interpreter.failure import DATA_LIMIT, QUERY_EVALUATION, StateFailedError
from statemachine.interpreter.history import History
from statemachine.interpreter.integration import Integrations
from statemachine.interpreter.map_run import MapRunRecords
from statemachine.interpreter.states import State
from statemachine.interpreter.template import Template
from statemachine.interpreter.tokens import TaskTokens

# Hard quotas: a state's input, output, result, variable or Assign field; all variables of an execution.
DATA_BYTES = 262_144
ALL_VARIABLES_BYTES = 10 * 1024 * 1024
_UTF8_LONGEST = 4
_WHOLE: dict[str, Any] = {"truncated": False}


@dataclass(frozen=True, slots=True)
class Payload:
    """A JSON value with its text; each value is written out once and then handed on."""

    value: Any
    text: str


def dumps(value: Any) -> str:
    """JSON as Step Functions writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def payload(value: Any, owner: str) -> Payload:
    """A value within the data limit.

    Args:
        value: plain JSON.
        owner: the state or service that produced it, for the cause.

    Raises:
        StateFailedError: States.DataLimitExceeded.
    """
    text = dumps(value)
    if size_of(text) > DATA_BYTES:
        raise StateFailedError(
            DATA_LIMIT,
            f"The state/task '{owner}' returned a result with a size exceeding the maximum number of bytes "
            f"service limit.",
        )
    return Payload(value, text)


def size_of(text: str) -> int:
    """Bytes in UTF-8, counted only where it can matter."""
    return len(text) if len(text) * _UTF8_LONGEST <= DATA_BYTES or text.isascii() else len(text.encode())


@dataclass
class Run:
    """What all states of one execution share.

    Attributes:
        execution_context: the `Execution` and `StateMachine` members of the context object.
        background: where cancelled work is stopped if nobody waits for it.
        variable_bytes: the size of all variables.
    """

    context: ExecutionContext
    integrations: Integrations
    history: History
    clock: Clock
    tokens: TaskTokens
    random: Random
    behaviour: Behaviour
    functions: Frame
    map_runs: MapRunRecords
    background: trio.Nursery | None = None
    execution_context: dict[str, Any] = field(default_factory=dict)
    variable_bytes: int = 0

    def __post_init__(self) -> None:
        given = self.context
        self.execution_context = {
            "Execution": {
                "Id": given.execution_arn,
                "Input": given.input,
                "Name": given.name,
                "RoleArn": given.role_arn,
                "StartTime": iso_time(given.start_time),
                "RedriveCount": 0,
            },
            "StateMachine": {"Id": given.state_machine_arn, "Name": given.state_machine_name},
        }


class Scope:
    """The variables of one graph; reading falls through to the enclosing scopes.

    Args:
        parent: the frame of the enclosing scope, or of the functions.
    """

    __slots__ = ("frame", "sizes")

    def __init__(self, parent: Frame) -> None:
        self.frame = Frame(parent)
        self.sizes: dict[str, int] = {}

    def set(self, name: str, value: Any) -> None:
        """Assigns one variable."""
        self.frame.bindings[name] = NULL if value is None else value


class Branch:
    """One line of events: the execution's, a Parallel branch's or a Map iteration's.

    Attributes:
        last: the event that the next one of this line follows.
        item: the `Map` member of the context object, in Map iterations.
        current: the state being run.
        children: the unfinished lines that the current state has opened.
    """

    __slots__ = ("children", "current", "item", "last", "run", "scope")

    def __init__(self, run: Run, parent: Frame, last: int, item: dict[str, Any] | None = None) -> None:
        self.run = run
        self.scope = Scope(parent)
        self.last = last
        self.item = item
        self.current: Visit | None = None
        self.children: list[Branch] = []

    def emit(self, event_type: str, member: str = "", **details: Any) -> int:
        """Writes the line's next event."""
        self.last = self.run.history.emit(self.last, event_type, member, **details)
        return self.last


@dataclass(frozen=True, slots=True)
class Departure:
    """A state's evaluated output and variables, ready to be recorded."""

    output: Payload
    variables: Mapping[str, Payload]


class Visit:
    """One stay of an execution in one state, over all its retries.

    Args:
        branch: the line of events.
        state: the state entered.
        given: its input.
    """

    __slots__ = ("branch", "context", "entered", "given", "output", "run", "state")

    def __init__(self, branch: Branch, state: State, given: Payload) -> None:
        self.branch = branch
        self.run = branch.run
        self.state = state
        self.given = given
        self.output = given
        self.entered = branch.emit(
            f"{state.type}StateEntered",
            "stateEnteredEventDetails",
            name=state.name,
            input=given.text,
            inputDetails=_WHOLE,
        )
        self.context: dict[str, Any] = {
            **self.run.execution_context,
            "State": {"Name": state.name, "EnteredTime": iso_time(self.run.clock.now())},
        }
        if branch.item is not None:
            self.context["Map"] = branch.item

    def states(self, **more: Any) -> dict[str, Any]:
        """What `$states` holds."""
        return {"input": self.given.value, "context": self.context, **more}

    def cause(self, message: str) -> str:
        """A cause with the sentence that AWS opens with."""
        return (
            f"An error occurred while executing the state '{self.state.name}' "
            f"(entered at the event id #{self.entered}). {message}"
        )

    def evaluate(self, template: Template, **more: Any) -> Any:
        """Evaluates a field.

        Raises:
            StateFailedError: States.QueryEvaluationError, after the EvaluationFailed event.
        """
        if template.constant:
            return template.evaluate({}, None)
        try:
            return template.evaluate(self.states(**more), self.branch.scope.frame)
        except EvaluationError as error:
            raise self.evaluation_failed(str(error), error.location) from None

    def evaluation_failed(self, message: str, location: str) -> StateFailedError:
        """Writes EvaluationFailed and returns the failure to raise."""
        cause = self.cause(message)
        self.branch.emit(
            "EvaluationFailed",
            "evaluationFailedEventDetails",
            error=QUERY_EVALUATION,
            cause=cause,
            location=location,
            state=self.state.name,
        )
        return StateFailedError(QUERY_EVALUATION, cause)

    def expect(self, value: Any, expected: str, location: str) -> Any:
        """The value, if it is of the JSON type.

        Raises:
            StateFailedError: States.QueryEvaluationError.
        """
        found = json_type(value)
        if found == expected:
            return value
        raise self.evaluation_failed(
            f"The JSONata expression specified for the field '{location}' returned an unexpected "
            f"result type. Expected '{expected}', but was '{found}' for value: {dumps(value)[:1000]}",
            location,
        )

    def whole_number(self, template: Template, location: str, low: int, high: int) -> int:
        """A computed number of seconds or items.

        Raises:
            StateFailedError: States.QueryEvaluationError, also where it is out of range.
        """
        value = self.expect(self.evaluate(template), "number", location)
        if low <= value <= high and float(value).is_integer():
            return int(value)
        raise self.evaluation_failed(
            f"The value {value} specified for the field '{location}' is not a whole number "
            f"from {low} to {high}.",
            location,
        )

    def depart(
        self, default: Any, assign: Mapping[str, Template], output: Template | None, **more: Any
    ) -> Departure:
        """Evaluates a state's Output and Assign; nothing is recorded yet but failures.

        Args:
            default: the output where there is no Output field; a Payload is taken as it is.
            assign: one template per variable.
            output: the Output field.
            more: further members of `$states`.

        Raises:
            StateFailedError: States.QueryEvaluationError or States.DataLimitExceeded.
        """
        value = default if output is None else self.evaluate(output, **more)
        shown = value if isinstance(value, Payload) else payload(value, self.state.name)
        variables = {
            name: payload(self.evaluate(template, **more), self.state.name)
            for name, template in assign.items()
        }
        if variables:
            self._check_sizes(variables)
        return Departure(shown, variables)

    def _check_sizes(self, variables: Mapping[str, Payload]) -> None:
        sizes = {name: size_of(value.text) for name, value in variables.items()}
        old = self.branch.scope.sizes
        total = self.run.variable_bytes + sum(size - old.get(name, 0) for name, size in sizes.items())
        if sum(sizes.values()) > DATA_BYTES or total > ALL_VARIABLES_BYTES:
            raise StateFailedError(
                DATA_LIMIT,
                self.cause(
                    f"The assigned variables exceed the limit of {DATA_BYTES} bytes for one Assign field or "
                    f"{ALL_VARIABLES_BYTES} bytes for all variables."
                ),
            )

    def leave(self, departure: Departure) -> None:
        """Records the exit and makes the variables visible."""
        scope = self.branch.scope
        for name, value in departure.variables.items():
            size = size_of(value.text)
            self.run.variable_bytes += size - scope.sizes.get(name, 0)
            scope.sizes[name] = size
            scope.set(name, value.value)
        assigned: dict[str, Any] = {}
        if departure.variables:
            assigned = {
                "assignedVariables": {name: value.text for name, value in departure.variables.items()},
                "assignedVariablesDetails": _WHOLE,
            }
        self.branch.emit(
            f"{self.state.type}StateExited",
            "stateExitedEventDetails",
            name=self.state.name,
            output=departure.output.text,
            outputDetails=_WHOLE,
            **assigned,
        )
        self.output = departure.output
