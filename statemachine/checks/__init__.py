"""Static checks of a rendered definition. Needs the development packages (statelint, jsonata-python)."""

import json

from statemachine.checks.calls import check_calls
from statemachine.checks.expressions import check_expressions
from statemachine.checks.leaving import check_leaving
from statemachine.checks.lint import check_lint
from statemachine.checks.problem import Problem
from statemachine.checks.states import read_graph
from statemachine.interpreter import DefinitionError, Machine

__all__ = ["Problem", "check"]


def check(text: str) -> list[Problem]:
    """Every problem of a rendered definition.

    Args:
        text: the definition as `render_job` and its siblings return it.

    Returns:
        Problems in the order of their places; empty if there are none.
    """
    try:
        definition = json.loads(text)
    except ValueError as error:
        return [Problem("", "json", f"it is not JSON: {error}")]
    problems = set(check_lint(definition))
    try:
        Machine.parse(text)
    except DefinitionError as error:
        problems.update(Problem(found.where, "asl", found.message) for found in error.problems)
    try:
        machine = read_graph(definition)
    except (KeyError, TypeError, AttributeError):
        return sorted(problems)  # too broken to follow; the two above have said why
    for examine in (check_expressions, check_calls, check_leaving):
        problems.update(examine(machine))
    return sorted(problems)
