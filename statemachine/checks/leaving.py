"""No way through a run leaves the lock held, except where that is the safe thing to do.

Followed from the state that acquires. A way is fine when it goes through a write that gives the lock up, or
along an edge where the lock is known not to be ours, or through a state that leaves it to the janitor on
purpose. On all other ways nothing may fail uncaught.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from statemachine.checks.problem import Problem
from statemachine.checks.states import Graph, edges, texts

LEFT_TO_JANITOR: Final[Mapping[str, str]] = {
    "LeaveToJanitor": "what may still run could not be stopped, or the row not be written, after many tries:"
    " freeing the lock could put two containers side by side",
}
"""States that end with the lock held, and why."""

NOT_HELD: Final[Mapping[tuple[str, str], str]] = {
    ("Acquire", "HasRun"): "the acquire was refused because a run of this time or a later one is done",
    ("Planned", "Record"): "the row as read names another holder, or none",
    ("Contended", "Record"): "the row as read names another holder",
}
"""Edges on which the lock is not ours, and how that is known."""

_TAKES: Final = "SET #holder = if_not_exists(#holder, :holder)"
_GIVES_UP: Final = re.compile(r"REMOVE #holder\b|^SET #holder = #queue\[0\]")
_SAME: Final = r"\$[a-z_]+(?:\.[a-z_]+)? = '[a-z_]*'"
_PLAIN: Final = re.compile(rf"{_SAME}(?: (?:or|and) {_SAME})*|\$[a-z_]+")


def check_leaving(machine: Graph) -> Iterator[Problem]:
    """Problems with the ways that a run may take once it may hold the lock."""
    for start in (name for name, state in machine.states.items() if _update(state).startswith(_TAKES)):
        yield from _follow(machine, start)


def _follow(graph: Graph, start: str) -> Iterator[Problem]:
    seen = {start}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        state = graph.states.get(name)
        if state is None:
            continue  # reported as a transition to nowhere
        yield from _check_state(graph, name)
        for edge in edges(state):
            if _gives_up(state) and edge.field in {"Next", "End"}:
                continue
            if edge.target is None:
                yield Problem(
                    graph.place(name),
                    "left-held",
                    "a run can end here while it holds the lock: release it first, or list the state in"
                    " LEFT_TO_JANITOR with the reason",
                )
            elif not _known_not_held(name, edge.target) and edge.target not in seen:
                seen.add(edge.target)
                waiting.append(edge.target)


def _gives_up(state: Mapping[str, Any]) -> bool:
    return bool(_GIVES_UP.search(_update(state)))


def _known_not_held(name: str, target: str) -> bool:
    return target in LEFT_TO_JANITOR or (name, target) in NOT_HELD


def _check_state(graph: Graph, name: str) -> Iterator[Problem]:
    state = graph.states[name]
    if state["Type"] in {"Task", "Parallel", "Map"}:
        caught = [error for catcher in state.get("Catch", ()) for error in catcher["ErrorEquals"]]
        if "States.ALL" not in caught:
            yield Problem(
                graph.place(name), "left-held", "it may fail while the lock is held: catch States.ALL"
            )
        return
    # A Choice, Pass or Wait cannot catch, so what it evaluates must not be able to fail.
    for place, text in texts({k: v for k, v in state.items() if k != "Comment"}, graph.place(name)):
        if not _PLAIN.fullmatch(text):
            yield Problem(
                place,
                "left-held",
                "this state cannot catch, so outside a block that does it may only compare variables:"
                " compute the value in an earlier task",
            )


def _update(state: Mapping[str, Any]) -> str:
    arguments = state.get("Arguments")
    return str(arguments.get("UpdateExpression", "")) if isinstance(arguments, Mapping) else ""
