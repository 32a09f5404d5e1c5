"""Whole nights under virtual time: hangs of hours, many executions at once, harsh endings."""

import json
import math
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from statemachine.interpreter import (
    Behaviour,
    ExecutionResult,
    HistoryEvent,
    Machine,
    Stop,
    TaskFailed,
    TaskTokens,
    TrioClock,
    run,
)
from statemachine.interpreter.testing import ScriptedIntegrations, Work
from tests.support.asl import START, SYNC, context, definition, play, task

FIFTEEN_HOURS = 54_000


def night(**job: Any) -> str:
    """Take something, work, and give it back on every path."""
    states = {
        "Take": task("arn:aws:states:::dynamodb:updateItem", Next="Try"),
        "Try": {
            "Type": "Parallel",
            "Branches": [{"StartAt": "Job", "States": {"Job": task(SYNC, **job)}}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Give back"}],
            "Next": "Give back",
        },
        "Give back": task("arn:aws:states:::dynamodb:updateItem"),
    }
    return definition("Take", states)


def services_with(work: Work) -> ScriptedIntegrations:
    services = ScriptedIntegrations()
    services.on("dynamodb:updateItem", reply={"Attributes": {}})
    services.on("Job", reply={"Tasks": [{"TaskArn": "t"}], "Failures": []}, work=work)
    return services


def test_a_hang_of_fifteen_hours_is_ended_and_drained_before_the_lock_is_given_back() -> None:
    services = services_with(Work(seconds=math.inf, stop_seconds=120))

    ran = play(night(TimeoutSeconds=FIFTEEN_HOURS), services)

    assert ran.ended_at == FIFTEEN_HOURS + 120
    (job,) = services.calls_of("Job")
    (given_back,) = services.calls_of("Give back")
    assert job.gone_at == given_back.submitted_at == FIFTEEN_HOURS + 120


def test_where_the_engine_does_not_wait_the_lock_is_given_back_while_the_job_still_runs() -> None:
    """The harsher world that AWS allows: a definition must drain by itself, the engine's waiting hides it."""
    services = services_with(Work(seconds=math.inf, stop_seconds=120))

    play(night(TimeoutSeconds=FIFTEEN_HOURS), services, behaviour=Behaviour(on_task_timeout="stop"))

    (job,) = services.calls_of("Job")
    (given_back,) = services.calls_of("Give back")
    assert given_back.submitted_at == FIFTEEN_HOURS
    assert job.gone_at == FIFTEEN_HOURS + 120


def test_an_abandoned_job_runs_on_after_its_execution() -> None:
    services = services_with(Work(seconds=math.inf))

    play(
        night(TimeoutSeconds=60), services, behaviour=Behaviour(on_task_timeout="abandon", on_abort="abandon")
    )

    assert services.calls_of("Job")[0].running


def test_a_thousand_executions_share_one_machine_and_keep_apart() -> None:
    machine = Machine.parse(
        definition(
            "A",
            {
                "A": {"Type": "Pass", "Assign": {"n": "{% $states.input.n %}"}, "Next": "W"},
                "W": {"Type": "Wait", "Seconds": "{% $n %}", "Next": "Z"},
                "Z": {"Type": "Succeed", "Output": "{% $n * 2 %}"},
            },
        )
    )
    results: dict[int, ExecutionResult] = {}

    async def one(number: int) -> None:
        results[number] = await run(
            machine,
            context({"n": number}),
            ScriptedIntegrations(),
            clock=TrioClock(START),
            on_event=lambda _event: None,
            tokens=TaskTokens(),
            random=Random(number),
        )

    async def main() -> float:
        async with trio.open_nursery() as nursery:
            for number in range(1000):
                nursery.start_soon(one, number)
        return trio.current_time()

    trio.run(main, clock=MockClock(autojump_threshold=0))

    assert {number: result.output for number, result in results.items()} == {n: n * 2 for n in range(1000)}


@pytest.mark.parametrize("seed", range(40))
def test_random_endings_never_leave_work_behind(seed: int) -> None:
    """Stops, timeouts and failures at random moments of a random tree of tasks."""
    chance = Random(seed)
    services = ScriptedIntegrations()
    counter = iter(range(1000))

    def tree(depth: int) -> dict[str, Any]:
        name = f"S{next(counter)}"
        kind = chance.choice(
            ["task", "task", "wait", "fail", "parallel", "map"] if depth else ["task", "wait"]
        )
        if kind == "parallel":
            state = {"Type": "Parallel", "Branches": [tree(depth - 1) for _ in range(chance.randint(1, 3))]}
        elif kind == "map":
            state = {"Type": "Map", "Items": [1, 2, 3], "ItemProcessor": tree(depth - 1)}
        elif kind == "wait":
            state = {"Type": "Wait", "Seconds": chance.randint(0, 50)}
        elif kind == "fail":
            return {
                "StartAt": f"{name}W",
                "States": {
                    f"{name}W": {"Type": "Wait", "Seconds": chance.randint(0, 50), "Next": name},
                    name: {"Type": "Fail", "Error": "Random"},
                },
            }
        else:
            state = task(SYNC, TimeoutSeconds=chance.randint(1, 60))
            result = chance.choice([{}, TaskFailed("States.TaskFailed", "{}")])
            seconds = chance.choice([1, 20, math.inf])
            services.on(name, reply={}, work=Work(seconds, result, stop_seconds=chance.randint(0, 40)))
        if kind in {"task", "parallel", "map"} and chance.random() < 0.3:
            state["Retry"] = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}]
        return {"StartAt": name, "States": {name: {**state, "End": True}}}

    graph = tree(3)
    text = json.dumps({"QueryLanguage": "JSONata", **graph, "TimeoutSeconds": chance.randint(20, 200)})
    stop, events, seen = Stop(), list[HistoryEvent](), list[ExecutionResult]()

    async def main() -> None:
        async with trio.open_nursery() as nursery:

            async def stopper() -> None:
                await trio.sleep(chance.choice([5, 30, 1000]))
                stop.request()

            nursery.start_soon(stopper)
            seen.append(
                await run(
                    Machine.parse(text),
                    context({}),
                    services,
                    clock=TrioClock(START),
                    on_event=events.append,
                    tokens=TaskTokens(),
                    random=chance,
                    stop=stop,
                )
            )
            assert not [call for call in services.calls if call.running]
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))

    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert all(event.previous_event_id < event.id for event in events)
    endings = {
        "SUCCEEDED": "ExecutionSucceeded",
        "FAILED": "ExecutionFailed",
        "TIMED_OUT": "ExecutionTimedOut",
    }
    assert events[-1].type == endings.get(seen[0].status, "ExecutionAborted")
    assert sum(event.type.startswith("Execution") for event in events) == 2
