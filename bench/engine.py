"""The state machine engine: what an execution costs, and what a hang of hours costs in virtual time."""

from __future__ import annotations

import json
import math
import statistics
import time
from random import Random
from typing import Any

import trio
from trio.testing import MockClock

from bench.engine_endpoint import add_endpoint_figures
from bench.report import Report
from statemachine.interpreter import (
    ExecutionContext,
    ExecutionResult,
    Machine,
    SystemClock,
    TaskTokens,
    TrioClock,
    run,
)
from statemachine.interpreter.testing import ScriptedIntegrations, Work

HANG_SECONDS = 54_000
WAITING = 100
REPETITIONS = 50


def machine(start: str, states: dict[str, Any]) -> Machine:
    return Machine.parse(json.dumps({"QueryLanguage": "JSONata", "StartAt": start, "States": states}))


async def execute(definition: Machine, services: ScriptedIntegrations, clock: Any) -> ExecutionResult:
    context = ExecutionContext(
        execution_arn="arn:aws:states:ap-northeast-1:000000000000:execution:bench:one",
        name="one",
        role_arn="arn:aws:iam::000000000000:role/bench",
        start_time=clock.now(),
        state_machine_arn="arn:aws:states:ap-northeast-1:000000000000:stateMachine:bench",
        state_machine_name="bench",
        input={"job": "bench"},
    )
    events: list[object] = []
    return await run(
        definition,
        context,
        services,
        clock=clock,
        on_event=events.append,
        tokens=TaskTokens(),
        random=Random(1),
    )


def hang_in_virtual_time() -> float:
    """Seconds of real time that a job of 15 virtual hours takes, until it is timed out and drained."""
    definition = machine(
        "Job",
        {
            "Job": {
                "Type": "Task",
                "Resource": "arn:aws:states:::ecs:runTask.sync",
                "TimeoutSeconds": HANG_SECONDS,
                "End": True,
            }
        },
    )
    services = ScriptedIntegrations()
    services.on("Job", reply={"Tasks": []}, work=Work(seconds=math.inf, stop_seconds=120))

    async def main() -> None:
        result = await execute(definition, services, TrioClock())
        assert result.error == "States.Timeout"
        assert services.calls[0].gone_at == HANG_SECONDS + 120

    began = time.perf_counter()
    trio.run(main, clock=MockClock(autojump_threshold=0))
    return time.perf_counter() - began


def waits_at_once() -> float:
    """Seconds until 100 executions that each wait 2 s have all ended, started at once."""
    definition = machine("Wait", {"Wait": {"Type": "Wait", "Seconds": 2, "End": True}})

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(WAITING):
                nursery.start_soon(execute, definition, ScriptedIntegrations(), SystemClock())

    began = time.perf_counter()
    trio.run(main)
    return time.perf_counter() - began


def five_states() -> float:
    """Median seconds of an execution of five states with two calls that answer at once."""
    arguments = {"TableName": "t", "Key": {"k": {"S": "{% $key %}"}}}
    call = {"Type": "Task", "Resource": "arn:aws:states:::dynamodb:updateItem", "Arguments": arguments}
    definition = machine(
        "Begin",
        {
            "Begin": {"Type": "Pass", "Assign": {"key": "{% $states.input.job %}"}, "Next": "First"},
            "First": {**call, "Next": "Look"},
            "Look": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $exists($states.input.Attributes) %}", "Next": "Second"}],
                "Default": "End",
            },
            "Second": {**call, "Next": "End"},
            "End": {"Type": "Succeed"},
        },
    )
    services = ScriptedIntegrations()
    services.on("dynamodb:updateItem", reply={"Attributes": {"k": {"S": "bench"}}})

    async def main() -> float:
        durations = []
        for _ in range(REPETITIONS):
            began = time.perf_counter()
            result = await execute(definition, services, SystemClock())
            durations.append(time.perf_counter() - began)
            assert result.status == "SUCCEEDED"
        return statistics.median(durations)

    return trio.run(main)


def main() -> None:
    report = Report("engine")
    hang_in_virtual_time()  # the first run pays for imports
    report.add("hang_15_hours_virtual_seconds", hang_in_virtual_time(), ("<=", 0.1))
    report.add("waits_100_in_process_seconds", waits_at_once(), ("<=", 2.3))
    report.add("five_states_in_process_milliseconds", five_states() * 1000)
    report.note("The hang: a .sync task that never ends, its timeout after 15 h, and a drain of 120 s.")
    report.note("100 executions with a 2 s Wait, started at once; 2 s is ideal.")
    report.note("Five states with two calls that answer at once: what the engine itself costs.")
    add_endpoint_figures(report)
    report.finish()


if __name__ == "__main__":
    main()
