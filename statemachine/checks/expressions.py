"""Every expression parses, and every variable in it is assigned on every way that leads to it."""

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from jsonata.jexception import JException
from jsonata.jsonata import Jsonata

from statemachine.checks.problem import Problem
from statemachine.checks.states import Graph, edges, expressions_of, is_distributed

# What Step Functions adds to JSONata; `$eval` it takes away.
# Source: https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
_ADDED: Final = frozenset({"parse", "partition", "range", "hash", "random", "uuid", "states"})
_BUILT_IN: Final = (frozenset(Jsonata.static_frame.bindings) | _ADDED) - {"eval"}
_PARTS: Final = (
    "lhs",
    "rhs",
    "expression",
    "expressions",
    "arguments",
    "procedure",
    "body",
    "condition",
    "then",
    "_else",
    "lhs_object",
    "rhs_object",
    "steps",
    "predicate",
    "stages",
    "group",
    "terms",
    "expr",
    "pattern",
    "update",
    "delete",
)


@cache
def parse(text: str) -> Any:
    """The syntax tree of an expression.

    Raises:
        ValueError: it is not JSONata; says why.
    """
    try:
        return Jsonata(text).ast
    except JException as error:
        raise ValueError(f"{error.error}: {error}") from error
    except (RecursionError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(str(error)) from error


def nodes(node: Any) -> Iterator[Any]:
    """A node of a syntax tree and all below it."""
    if node is None or isinstance(node, str | int | float | bool):
        return
    if isinstance(node, list | tuple):
        for member in node:
            yield from nodes(member)
        return
    yield node
    for part in _PARTS:
        yield from nodes(getattr(node, part, None))


def free_variables(text: str) -> frozenset[str]:
    """The variables that an expression expects from outside."""
    used: set[str] = set()
    bound: set[str] = set()
    for node in nodes(parse(text)):
        kind = getattr(node, "type", None)
        if kind == "bind":
            bound.add(node.lhs.value)
        elif kind == "lambda":
            bound.update(argument.value for argument in node.arguments)
        elif kind == "variable" and node.value:
            used.add(node.value)
    return frozenset(used - bound - _BUILT_IN)


def check_expressions(machine: Graph) -> Iterator[Problem]:
    """Problems with the text of expressions and with their variables."""
    yield from _check_graph(machine, frozenset())


def _check_graph(graph: Graph, outer: frozenset[str]) -> Iterator[Problem]:
    known = _assigned_at_entry(graph, outer)
    for name, state in graph.states.items():
        for place, text in expressions_of(state):
            where = f"{graph.place(name)}/{place}"
            try:
                missing = free_variables(text) - known.get(name, outer)
            except ValueError as error:
                yield Problem(where, "expression", f"it is not JSONata: {error}")
                continue
            for variable in sorted(missing):
                yield Problem(
                    where,
                    "variable",
                    f"${variable} is not assigned on every way to this state: assign it in an earlier state"
                    " (a state sees only what earlier ones assigned)",
                )
        # The children of a Distributed Map are executions of their own: they see no variable of the run.
        visible = frozenset[str]() if is_distributed(state) else known.get(name, outer)
        for inner in graph.inner.get(name, ()):
            yield from _check_graph(inner, visible)


def _assigned_at_entry(graph: Graph, outer: frozenset[str]) -> dict[str, frozenset[str]]:
    """For every reachable state, the variables that all ways to it have assigned."""
    known = {graph.start_at: outer}
    waiting = [graph.start_at]
    while waiting:
        name = waiting.pop()
        for edge in edges(graph.states[name]):
            if edge.target is None or edge.target not in graph.states:
                continue
            arriving = known[name] | edge.assigns
            before = known.get(edge.target)
            after = arriving if before is None else before & arriving
            if after != before:
                known[edge.target] = after
                waiting.append(edge.target)
    return known
