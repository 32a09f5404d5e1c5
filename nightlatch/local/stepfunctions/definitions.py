"""What is refused when a machine is created, beyond what the interpreter itself refuses."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.stepfunctions.integrations.resources import problem_of
from statemachine.interpreter import DefinitionError, Machine, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST_DEFINITION = 1_048_576


@lru_cache(maxsize=256)
def parse(definition: str) -> Machine:
    """The machine of a definition that was accepted.

    Raises:
        DefinitionError: It never should have been.
    """
    return Machine.parse(definition)


def problems(definition: object) -> list[Problem]:
    """Everything that is wrong with a definition."""
    if not isinstance(definition, str) or len(definition.encode()) > _LARGEST_DEFINITION:
        return [Problem("", "The definition must be a text of at most 1,048,576 bytes.")]
    try:
        parse(definition)
    except DefinitionError as error:
        return error.problems
    return [
        Problem(f"{where}/Resource", wrong)
        for where, resource in _resources(json.loads(definition), "")
        if (wrong := problem_of(resource)) is not None
    ]


def check(definition: object) -> str:
    """Accept a definition or refuse it as CreateStateMachine does.

    Raises:
        ApiError: ``InvalidDefinition``, with every problem.
    """
    found = problems(definition)
    if found:
        listed = "; ".join(
            f"SCHEMA_VALIDATION_FAILED: {problem.message} at {problem.where}" for problem in found
        )
        raise ApiError("InvalidDefinition", f"Invalid State Machine Definition: '{listed}'")
    return str(definition)


def _resources(node: Any, where: str) -> Iterator[tuple[str, str]]:
    """The Task states of a definition, with the place where each stands."""
    for name, state in node.get("States", {}).items():
        here = f"{where}/States/{name}"
        if state.get("Type") == "Task":
            yield here, state.get("Resource", "")
        for index, branch in enumerate(state.get("Branches", ())):
            yield from _resources(branch, f"{here}/Branches[{index}]")
        yield from _resources(state.get("ItemProcessor", {}), f"{here}/ItemProcessor")
