"""Runs Amazon States Language definitions (JSONata) in-process, on trio, under any clock.

    machine = Machine.parse(text)
    result = await run(machine, context, integrations, clock=SystemClock(), on_event=events.append,
                       tokens=TaskTokens(), random=random.Random())

Runs: Pass, Task, Choice, Wait, Succeed, Fail, Parallel, Map (inline and distributed); variables, Arguments
and Output; Retry and Catch with all their fields; timeouts and heartbeats; request-response, `.sync`,
`.sync:2` and `.waitForTaskToken`; AWS's context object, error names, limits and history events.

Refused by `Machine.parse`, with the state's name and the reason: JSONPath, function and activity ARNs,
Credentials, Express children, ItemBatcher, ResultWriter, items in other forms than a JSON array, and
whatever is no Amazon States Language.

Differs from AWS, on purpose:

- A state ends only after the work it cancelled is gone (see `Behaviour` for the harsher choices). AWS stops
  work as well as it can and promises nothing after a task's own timeout; no definition of ours may rely on
  more.
- An expression is ended by the number of its steps, not by the clock, so that a simulation repeats itself.
- There is no redrive.
"""

from statemachine.interpreter.clock import Clock, SystemClock, TrioClock, iso_time, parse_iso_time
from statemachine.interpreter.engine import run
from statemachine.interpreter.execution import Behaviour, ExecutionContext, ExecutionResult, Stop
from statemachine.interpreter.history import HistoryEvent
from statemachine.interpreter.integration import Integrations, TaskFailed, TaskRequest
from statemachine.interpreter.machine import Machine
from statemachine.interpreter.map_run import ItemCounts, MapRun, MapRunRecords
from statemachine.interpreter.states import DefinitionError, Problem
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
