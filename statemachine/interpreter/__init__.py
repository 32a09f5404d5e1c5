"""Runs Amazon States Language definitions (JSONata) in-process, on trio, under any clock.

    machine = Machine.parse(text)
    result = await run(machine, context, integrations, clock=SystemClock(), on_event=events.append,
                       tokens=TaskTokens(), random=random.Random())

Everything outside the stated subset is refused by `Machine.parse` with the state's name and the reason.
"""

from statemachine.interpreter.clock import Clock, SystemClock, TrioClock, iso_time, parse_iso_time
from statemachine.interpreter.engine import run
from statemachine.interpreter.execution import Behaviour, ExecutionContext, ExecutionResult, Stop
from statemachine.interpreter.history import HistoryEvent
from statemachine.interpreter.integration import Integrations, TaskFailed, TaskRequest
from statemachine.interpreter.machine import DefinitionError, Machine, Problem
from statemachine.interpreter.map_run import ItemCounts, MapRun, MapRunRecords
from statemachine.interpreter.tokens import TaskTokens, TokenError

__all__ = [
    "Behaviour",
    "Clock",
    "DefinitionError",
    "ExecutionContext",
    "ExecutionResult",
    "HistoryEvent",
    "Integrations",
    "ItemCounts",
    "Machine",
    "MapRun",
    "MapRunRecords",
    "Problem",
    "Stop",
    "SystemClock",
    "TaskFailed",
    "TaskRequest",
    "TaskTokens",
    "TokenError",
    "TrioClock",
    "iso_time",
    "parse_iso_time",
    "run",
]
