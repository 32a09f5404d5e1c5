"""Runs one execution of a machine."""

import dataclasses
import logging
from collections.abc import Callable
from random import Random

import trio

from statemachine.interpreter.clock import Clock, parse_iso_time
from statemachine.interpreter.distributed import run_distributed_map
from statemachine.interpreter.execution import Behaviour, ExecutionContext, ExecutionResult, Stop
from statemachine.interpreter.failure import RUNTIME, TIMEOUT, EventLimitReachedError, StateFailedError
from statemachine.interpreter.fan_out import run_map, run_parallel
from statemachine.interpreter.fields import MAX_SECONDS
from statemachine.interpreter.functions import functions_frame
from statemachine.interpreter.history import EVENT_LIMIT, History, HistoryEvent
from statemachine.interpreter.integration import Integrations
from statemachine.interpreter.machine import Machine
from statemachine.interpreter.map_run import ForgottenMapRuns, MapRunRecords
from statemachine.interpreter.states import (
    Choice,
    DistributedMap,
    Fail,
    Graph,
    Map,
    Parallel,
    Rule,
    State,
    Task,
    Wait,
)
from statemachine.interpreter.task import run_task
from statemachine.interpreter.tokens import TaskTokens
from statemachine.interpreter.visit import Branch, Payload, Run, Visit, payload

_LOG = logging.getLogger(__name__)
# Recorded on AWS: 24,855 days work, 24,856 fail.
_LONGEST_WAIT = 24_855 * 86_400 + 86_399


async def run(
    machine: Machine,
    context: ExecutionContext,
    integrations: Integrations,
    *,
    clock: Clock,
    on_event: Callable[[HistoryEvent], None],
    tokens: TaskTokens,
    random: Random,
    stop: Stop | None = None,
    behaviour: Behaviour | None = None,
    map_runs: MapRunRecords | None = None,
) -> ExecutionResult:
    """Runs an execution to its end.

    Args:
        machine: what to run; may be shared by many executions.
        context: who runs, with which input.
        integrations: the services behind Task states.
        clock: the time of day; trio's clock must move at the same pace.
        on_event: receives every history event at once, in order; must not block or raise.
        tokens: the engine's open task tokens.
        random: the source of jitter, tokens, `$random` and `$uuid`.
        stop: ends the execution from outside, as StopExecution does.
        behaviour: choices where AWS promises nothing; by default cancelled work is waited for.
        map_runs: keeps the map runs and child executions of Distributed Maps; by default nothing is kept.

    Returns:
        How it ended. ABORTED only through `stop`; if the surrounding scope is cancelled, `ExecutionAborted`
        is written and the cancellation passes on.
    """
    behaviour = behaviour or Behaviour()
    stop = stop or Stop()
    history = History(clock, on_event, limit=EVENT_LIMIT)
    shared = Run(
        context=context,
        integrations=integrations,
        history=history,
        clock=clock,
        tokens=tokens,
        random=random,
        behaviour=behaviour,
        functions=functions_frame(clock, random),
        map_runs=map_runs or ForgottenMapRuns(),
    )
    if "stop" in {behaviour.on_abort, behaviour.on_task_timeout}:
        async with trio.open_nursery() as background:
            shared.background = background
            return await _bounded(machine, shared, stop)
    return await _bounded(machine, shared, stop)


async def _bounded(machine: Machine, shared: Run, stop: Stop) -> ExecutionResult:
    """Runs within the machine's timeout and the reach of StopExecution."""
    history = shared.history
    try:
        with trio.CancelScope() as stopping:
            stop.bind(stopping)
            with trio.CancelScope() as limit:
                if machine.timeout_seconds is not None:
                    limit.deadline = trio.current_time() + machine.timeout_seconds
                return await _run_to_end(machine, shared)
            # No Catch runs, and neither an error nor a cause is shown (recorded); the event follows nothing.
            history.close(0, "ExecutionTimedOut", "executionTimedOutEventDetails", error=TIMEOUT)
            return ExecutionResult("TIMED_OUT")
    except BaseException:
        if not history.closed:
            _write_aborted(history, stop)
        raise
    _write_aborted(history, stop)
    return ExecutionResult("ABORTED", error=stop.error, cause=stop.cause)


async def _run_child(
    graph: Graph, context: ExecutionContext, parent: Run, on_event: Callable[[HistoryEvent], None]
) -> ExecutionResult:
    """Runs a child execution of a Distributed Map inside its parent's scope."""
    history = History(parent.clock, on_event, limit=EVENT_LIMIT)
    shared = dataclasses.replace(parent, context=context, history=history, variable_bytes=0)
    return await _bounded(Machine(graph), shared, Stop())


def _write_aborted(history: History, stop: Stop) -> None:
    history.close(0, "ExecutionAborted", "executionAbortedEventDetails", error=stop.error, cause=stop.cause)


async def _run_to_end(machine: Machine, shared: Run) -> ExecutionResult:
    history = shared.history
    line = Branch(shared, shared.functions, 0)
    try:
        given = payload(shared.context.input, shared.context.name)
        whole = {"truncated": False}
        history.emit(
            0,
            "ExecutionStarted",
            "executionStartedEventDetails",
            input=given.text,
            inputDetails=whole,
            roleArn=shared.context.role_arn,
        )
        output = await run_graph(machine.graph, given, line)
        details = {"output": output.text, "outputDetails": whole}
        history.close(line.last, "ExecutionSucceeded", "executionSucceededEventDetails", **details)
        return ExecutionResult("SUCCEEDED", output=output.value)
    except StateFailedError as failure:
        error, cause = failure.error, failure.cause
    except EventLimitReachedError:
        error = RUNTIME
        cause = f"The execution reached the maximum number of history events ({EVENT_LIMIT})."
    except Exception as fault:  # noqa: BLE001 - a fault of ours ends this execution, not all of them
        _LOG.exception("execution %s failed inside the engine", shared.context.execution_arn)
        error, cause = RUNTIME, f"The engine failed: {type(fault).__name__}: {fault}"
    history.close(line.last, "ExecutionFailed", "executionFailedEventDetails", error=error, cause=cause)
    return ExecutionResult("FAILED", error=error, cause=cause)


async def run_graph(graph: Graph, given: Payload, line: Branch) -> Payload:
    """Runs states one after another and returns the last one's output.

    Raises:
        StateFailedError: a state failed and nothing caught it.
        EventLimitReachedError: the history is full.
    """
    name: str | None = graph.start_at
    while name is not None:
        # A loop of states that never wait must not keep other executions from running.
        await trio.lowlevel.checkpoint()
        visit = Visit(line, graph.states[name], given)
        line.current = visit
        name = await _run_state(visit, visit.state)
        line.current = None
        given = visit.output
    return given


async def _run_state(visit: Visit, state: State) -> str | None:
    """Runs one state to its exit and returns the next one's name."""
    if isinstance(state, Task):
        return await run_task(visit, state)
    if isinstance(state, Parallel):
        return await run_parallel(visit, state, run_graph)
    if isinstance(state, Map):
        return await run_map(visit, state, run_graph)
    if isinstance(state, DistributedMap):
        return await run_distributed_map(visit, state, _run_child)
    if isinstance(state, Choice):
        return _choose(visit, state)
    if isinstance(state, Wait):
        await trio.sleep(_wait_seconds(visit, state))
    elif isinstance(state, Fail):
        raise _fail(visit, state)
    visit.leave(visit.depart(visit.given, state.assign, state.output))
    return state.next


def _choose(visit: Visit, state: Choice) -> str:
    chosen: Rule | Choice = state
    for index, rule in enumerate(state.rules):
        location = f"Choices[{index}]/Condition"
        if visit.expect(visit.evaluate(rule.condition), "boolean", location):
            chosen = rule
            break
    if chosen.next is None:
        # Recorded: not States.NoChoiceMatched, and so nothing can catch it.
        message = "Failed to transition out of the state. The state does not point to a next state."
        raise StateFailedError(RUNTIME, visit.cause(message))
    visit.leave(visit.depart(visit.given, chosen.assign, chosen.output))
    return chosen.next


def _wait_seconds(visit: Visit, state: Wait) -> float:
    if state.seconds is not None:
        return visit.whole_number(state.seconds, "Seconds", 0, MAX_SECONDS)
    assert state.timestamp is not None  # noqa: S101 - a Wait has one of the two
    text = visit.expect(visit.evaluate(state.timestamp), "string", "Timestamp")
    try:
        moment = parse_iso_time(text)
    except ValueError as error:
        raise visit.evaluation_failed(
            f"The value specified for the field 'Timestamp': {error}.", "Timestamp"
        ) from None
    seconds = moment - visit.run.clock.now()
    if seconds > _LONGEST_WAIT:
        raise StateFailedError(RUNTIME, visit.cause("Wait state delay is too long."))
    return max(0.0, seconds)


def _fail(visit: Visit, state: Fail) -> StateFailedError:
    error = cause = None
    if state.error is not None:
        error = visit.expect(visit.evaluate(state.error), "string", "Error")
    if state.cause is not None:
        cause = visit.expect(visit.evaluate(state.cause), "string", "Cause")
    return StateFailedError(error, cause)
