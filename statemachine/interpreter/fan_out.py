"""Parallel and inline Map: lines of states that run at once, and end together when one fails."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any

import trio

from statemachine.interpreter.failure import RUNTIME, EventLimitReachedError, StateFailedError
from statemachine.interpreter.fields import MAX_SECONDS
from statemachine.interpreter.handling import with_handlers
from statemachine.interpreter.states import Graph, Map, Parallel, Task
from statemachine.interpreter.visit import Branch, Payload, Visit, payload

# "Up to about 40" (inline Map guide).
INLINE_CONCURRENCY = 40
_WITH_ABORTED_EVENT = {"Task", "Wait", "Parallel", "Map"}

RunGraph = Callable[[Graph, Payload, Branch], Awaitable[Payload]]


async def run_parallel(visit: Visit, state: Parallel, run_graph: RunGraph) -> str | None:
    """Runs a Parallel state and returns the next state's name."""

    async def attempt(visit: Visit) -> None:
        branch = visit.branch
        given = visit.given
        if state.arguments is not None:
            given = payload(visit.evaluate(state.arguments), state.name)
        started = branch.emit("ParallelStateStarted")
        lines = [Branch(visit.run, branch.scope.frame, started, branch.item) for _ in state.branches]
        branch.children = list(lines)
        results: list[Any] = [None] * len(lines)

        async def work(index: int) -> None:
            results[index] = (await run_graph(state.branches[index], given, lines[index])).value

        try:
            await _together([partial(work, index) for index in range(len(lines))], lines)
        except _LineFailedError as failed:
            raise _end_lines(visit, failed) from failed.reason
        branch.children = []
        _succeed(visit, state, results, max(line.last for line in lines))

    return await with_handlers(visit, state, attempt)


async def run_map(visit: Visit, state: Map, run_graph: RunGraph) -> str | None:
    """Runs an inline Map state and returns the next state's name."""

    async def attempt(visit: Visit) -> None:
        branch = visit.branch
        items = visit.given.value if state.items is None else visit.evaluate(state.items)
        if not isinstance(items, list):
            if state.items is not None:
                visit.expect(items, "array", "Items")
            shown = visit.given.text[:1000]
            raise visit.evaluation_failed(f"Map state input must be an array but was: {shown}", "Items")
        limit = 0
        if state.max_concurrency is not None:
            limit = visit.whole_number(state.max_concurrency, "MaxConcurrency", 0, MAX_SECONDS)
        started = branch.emit("MapStateStarted", "mapStateStartedEventDetails", length=len(items))
        branch.children = []
        iterations = _Iterations(visit, state, items, started, run_graph)
        workers = min(limit or INLINE_CONCURRENCY, INLINE_CONCURRENCY, len(items))
        try:
            await _together([iterations.work] * workers, branch.children)
        except _LineFailedError as failed:
            raise _end_lines(visit, failed) from failed.reason
        _succeed(visit, state, iterations.results, iterations.last)

    return await with_handlers(visit, state, attempt)


class _Iterations:
    """The items of one attempt of a Map, taken by workers one after another."""

    def __init__(
        self, visit: Visit, state: Map, items: Sequence[Any], started: int, run_graph: RunGraph
    ) -> None:
        self._visit = visit
        self._state = state
        self._items: Iterator[tuple[int, Any]] = iter(enumerate(items))
        self._started = started
        self._run_graph = run_graph
        self.results: list[Any] = [None] * len(items)
        self.last = started

    async def work(self) -> None:
        """Runs iterations until none is left. A queued one follows the last event of the one before it."""
        visit, state = self._visit, self._state
        history = visit.run.history
        previous = self._started
        for index, value in self._items:
            item = {"Item": {"Index": index, "Value": value}}
            line = Branch(visit.run, visit.branch.scope.frame, previous, item)
            visit.branch.children.append(line)
            details = {"name": state.name, "index": index}
            line.emit("MapIterationStarted", "mapIterationStartedEventDetails", **details)
            try:
                given = self._select(line, value)
                self.results[index] = (await self._run_graph(state.processor, given, line)).value
            except Exception as error:
                raise _LineFailedError(line, error) from error
            visit.branch.children.remove(line)
            previous = line.last
            self.last = history.emit(
                line.last, "MapIterationSucceeded", "mapIterationSucceededEventDetails", **details
            )

    def _select(self, line: Branch, value: Any) -> Payload:
        selector = self._state.item_selector
        if selector is None:
            return payload(value, self._state.name)
        visit = self._visit
        context = {**visit.context, "Map": line.item}
        # The selector belongs to the Map state, but its failure to the iteration's line of events.
        before, visit.branch.last = visit.branch.last, line.last
        try:
            return payload(visit.evaluate(selector, context=context), self._state.name)
        finally:
            line.last, visit.branch.last = visit.branch.last, before


class _LineFailedError(Exception):
    """Wraps what ended a line, with the line."""

    def __init__(self, line: Branch, reason: Exception) -> None:
        super().__init__(str(reason))
        self.line = line
        self.reason = reason


async def _together(workers: Sequence[Callable[[], Awaitable[None]]], lines: Sequence[Branch]) -> None:
    """Runs workers at once; the first failure cancels the others and is raised after they have drained.

    Raises:
        _LineFailedError: a worker failed.
    """
    failures: list[_LineFailedError] = []
    async with trio.open_nursery() as nursery:

        async def guarded(index: int) -> None:
            try:
                await workers[index]()
            except _LineFailedError as failed:
                failures.append(failed)
                nursery.cancel_scope.cancel()
            except Exception as error:  # noqa: BLE001 - raised below, with its line
                failures.append(_LineFailedError(lines[index], error))
                nursery.cancel_scope.cancel()

        for index in range(len(workers)):
            nursery.start_soon(guarded, index)
    if failures:
        raise failures[0]


def _succeed(visit: Visit, state: Parallel | Map, results: list[Any], inner: int) -> None:
    """Records the success. The exit follows the last inner event, past the Succeeded event (recorded)."""
    branch = visit.branch
    branch.last = inner
    branch.emit(f"{state.type}StateSucceeded")
    departure = visit.depart(results, state.assign, state.output, result=results)
    branch.last = inner
    visit.leave(departure)


def _end_lines(visit: Visit, failed: _LineFailedError) -> Exception:
    """Records what the failure of one line did to all of them, and returns what to raise.

    In recorded histories these events all follow the failing line's last event. After States.Runtime there
    are none.
    """
    branch, line, reason = visit.branch, failed.line, failed.reason
    branch.last = line.last
    lines, branch.children = branch.children, []
    if isinstance(reason, EventLimitReachedError) or not isinstance(reason, StateFailedError):
        return reason
    if reason.error != RUNTIME:
        for other in sorted(lines, key=lambda each: each is not line):
            if other.item is not None and isinstance(visit.state, Map):
                _end_iteration(visit, other, line)
            _abort_state(other, line, failing=other is line)
    return reason


def _end_iteration(visit: Visit, line: Branch, failing: Branch) -> None:
    assert line.item is not None  # noqa: S101 - only iterations come here
    event = "MapIterationFailed" if line is failing else "MapIterationAborted"
    visit.run.history.emit(
        failing.last,
        event,
        f"m{event[1:]}EventDetails",
        name=visit.state.name,
        index=line.item["Item"]["Index"],
    )


def _abort_state(line: Branch, failing_line: Branch, *, failing: bool) -> None:
    visit = line.current
    if visit is None:
        return
    for child in line.children:
        _abort_state(child, failing_line, failing=False)
    if isinstance(visit.state, Task) or (not failing and visit.state.type in _WITH_ABORTED_EVENT):
        line.run.history.emit(failing_line.last, f"{visit.state.type}StateAborted")
