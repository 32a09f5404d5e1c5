"""Distributed Map: children, thresholds, items from S3, records."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from statemachine.interpreter import (
    DefinitionError,
    ExecutionContext,
    ExecutionResult,
    HistoryEvent,
    Machine,
    MapRun,
    Stop,
    TaskFailed,
    TaskRequest,
    TaskTokens,
    TrioClock,
    run,
)
from statemachine.interpreter.testing import ScriptedIntegrations, Work
from tests.support.asl import START, SYNC, Ran, context, definition, task

READER = {
    "Resource": "arn:aws:states:::s3:getObject",
    "ReaderConfig": {"InputType": "JSON"},
    "Arguments": {"Bucket": "b", "Key": "{% 'shards/' & $states.input.run & '.json' %}"},
}


@dataclass
class Records:
    runs: list[MapRun] = field(default_factory=list)
    children: dict[str, ExecutionContext] = field(default_factory=dict)
    histories: dict[str, list[HistoryEvent]] = field(default_factory=dict)
    results: dict[str, ExecutionResult] = field(default_factory=dict)
    most_running: int = 0

    def map_run_changed(self, map_run: MapRun) -> None:
        if map_run not in self.runs:
            self.runs.append(map_run)
        self.most_running = max(self.most_running, map_run.counts.running)

    def child_started(self, map_run: MapRun, context: ExecutionContext) -> Callable[[HistoryEvent], None]:
        self.children[context.execution_arn] = context
        self.histories[context.execution_arn] = []
        return self.histories[context.execution_arn].append

    def child_ended(self, map_run: MapRun, context: ExecutionContext, result: ExecutionResult) -> None:
        self.results[context.execution_arn] = result


def fan_out(states: dict[str, Any], **fields: Any) -> dict[str, Any]:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": next(iter(states)),
        "States": states,
    }
    return {"Type": "Map", "ItemProcessor": processor, "End": True, **fields}


def play(
    state: dict[str, Any],
    services: ScriptedIntegrations | None = None,
    *,
    given: Any = None,
    stop_after: float | None = None,
    **others: Any,
) -> tuple[Ran, Records]:
    ran, records = Ran(services=services or ScriptedIntegrations()), Records()
    stop = Stop()

    async def stopper() -> None:
        if stop_after is not None:
            await trio.sleep(stop_after)
            stop.request()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stopper)
            ran.result = await run(
                Machine.parse(definition("M", {"M": state, **others})),
                context({} if given is None else given),
                ran.services,
                clock=TrioClock(START),
                on_event=ran.events.append,
                tokens=TaskTokens(),
                random=Random(1),
                stop=stop,
                map_runs=records,
            )
            ran.ended_at = trio.current_time()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return ran, records


PASS = {"I": {"Type": "Pass", "Output": "{% $states.input * 10 %}", "End": True}}
JOB = {"Job": task(SYNC, Arguments={"shard": "{% $states.input.shard %}"})}


def shards(count: int) -> list[dict[str, int]]:
    return [{"shard": number} for number in range(count)]


def failing_shards(failing: set[int], seconds: float = 10) -> ScriptedIntegrations:
    """Jobs of which some fail; shard n takes n seconds longer."""
    services = ScriptedIntegrations()

    def result(request: TaskRequest) -> Any:
        number = request.arguments["shard"]
        return TaskFailed("States.TaskFailed", "{}") if number in failing else {"done": number}

    services.on("Job", reply={}, work=Work(seconds, result, stop_seconds=5))
    return services


def test_every_item_is_an_execution_of_its_own() -> None:
    ran, records = play(fan_out(PASS, Label="shards"), given=[1, 2])

    assert list(zip(ran.types, ran.links, strict=True)) == [
        ("ExecutionStarted", 0),
        ("MapStateEntered", 0),
        ("MapStateStarted", 2),
        ("MapRunStarted", 3),
        ("MapRunSucceeded", 4),
        ("MapStateSucceeded", 5),
        ("MapStateExited", 4),
        ("ExecutionSucceeded", 7),
    ]
    assert ran.result is not None
    assert ran.result.output == [10, 20]
    (map_run,) = records.runs
    assert map_run.arn == ran.details("MapRunStarted")["mapRunArn"]
    assert map_run.arn.startswith("arn:aws:states:ap-northeast-1:000000000000:mapRun:machine/shards:")
    assert (map_run.status, map_run.counts.succeeded, map_run.counts.total) == ("SUCCEEDED", 2, 2)
    prefix = "arn:aws:states:ap-northeast-1:000000000000:execution:machine/shards:"
    assert all(arn.startswith(prefix) for arn in records.children)
    histories = [[event.type for event in events] for events in records.histories.values()]
    assert (
        histories
        == [
            ["ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"],
        ]
        * 2
    )


def test_items_come_from_a_json_object_in_s3_through_the_selector() -> None:
    services = failing_shards(set())
    services.on("M", reply={"Body": json.dumps(["a", "b", "c"]), "ContentType": "application/json"})
    selector = {"shard": "{% $states.context.Map.Item.Value & $string($states.context.Map.Item.Index) %}"}
    reader = {**READER, "ReaderConfig": {"InputType": "JSON", "MaxItems": 2}}

    ran, _ = play(fan_out(JOB, ItemReader=reader, ItemSelector=selector), services, given={"run": "r"})

    assert ran.result is not None
    assert ran.result.output == [{"done": "a0"}, {"done": "b1"}]
    read = services.calls_of("M")[0].request
    assert (read.service, read.action, read.arguments) == (
        "s3",
        "getObject",
        {"Bucket": "b", "Key": "shards/r.json"},
    )
    assert ran.details("MapStateStarted") == {"length": 0}


@pytest.mark.parametrize(
    "reply", [TaskFailed("S3.NoSuchKeyException", "gone"), {"Body": "{"}, {"Body": '{"a": 1}'}, {}]
)
def test_items_that_cannot_be_read_fail_the_run(reply: Any) -> None:
    services = ScriptedIntegrations()
    services.on("M", reply=reply)
    state = fan_out(JOB, ItemReader=READER, Catch=[{"ErrorEquals": ["States.ItemReaderFailed"], "Next": "D"}])

    ran, records = play(state, services, given={"run": "r"}, D={"Type": "Succeed"})

    assert ran.types[2:7] == [
        "MapStateStarted",
        "MapRunStarted",
        "MapRunFailed",
        "MapStateFailed",
        "MapStateExited",
    ]
    assert ran.details("MapRunFailed")["error"] == "States.ItemReaderFailed"
    assert records.runs[0].status == "FAILED"


def test_concurrency_is_bounded() -> None:
    ran, records = play(fan_out(JOB, MaxConcurrency=3), failing_shards(set()), given=shards(7))

    assert records.most_running == 3
    assert ran.ended_at == 30.0


@pytest.mark.parametrize(
    ("tolerated", "failing", "succeeds"),
    [
        ({}, set(), True),
        ({}, {3}, False),
        ({"ToleratedFailureCount": 1}, {3}, True),
        ({"ToleratedFailureCount": 1}, {3, 5}, False),
        ({"ToleratedFailurePercentage": 20}, {3, 5}, True),
        ({"ToleratedFailurePercentage": "{% 20 %}"}, {3, 5, 6}, False),
        ({"ToleratedFailurePercentage": 100, "ToleratedFailureCount": 1}, {3, 5}, False),
    ],
)
def test_failures_are_tolerated_up_to_the_threshold(
    tolerated: dict[str, Any], failing: set[int], *, succeeds: bool
) -> None:
    ran, records = play(fan_out(JOB, **tolerated), failing_shards(failing), given=shards(10))

    assert ran.result is not None
    if succeeds:
        assert ran.result.output == [{"done": number} for number in range(10) if number not in failing]
        assert records.runs[0].counts.failed == len(failing)
    else:
        assert ran.result.error == "States.ExceedToleratedFailureThreshold"
        assert ran.types[-3:] == ["MapRunFailed", "MapStateFailed", "ExecutionFailed"]


def test_a_passed_threshold_stops_and_drains_the_other_children() -> None:
    services = ScriptedIntegrations()
    services.on("Job", reply={}, work=Work(10, TaskFailed("States.TaskFailed", "{}")), times=1)
    services.on("Job", reply={}, work=Work(1e9, {}, stop_seconds=30))

    ran, records = play(fan_out(JOB, MaxConcurrency=3), services, given=shards(5))

    assert ran.ended_at == 40.0
    assert len(services.calls) == 3
    assert not [call for call in services.calls if call.running]
    counts = records.runs[0].counts
    assert (counts.failed, counts.aborted, counts.running, counts.pending) == (1, 4, 0, 0)
    endings = sorted(events[-1].type for events in records.histories.values())
    assert endings == ["ExecutionAborted", "ExecutionAborted", "ExecutionFailed"]


def test_stopping_the_parent_ends_the_children_first() -> None:
    services = ScriptedIntegrations()
    services.on("Job", reply={}, work=Work(1e9, {}, stop_seconds=30))

    ran, records = play(fan_out(JOB), services, given=shards(2), stop_after=100)

    assert ran.result is not None
    assert ran.result.status == "ABORTED"
    assert ran.ended_at == 130.0
    assert records.runs[0].status == "ABORTED"
    assert [result.status for result in records.results.values()] == ["ABORTED", "ABORTED"]


def test_children_cannot_see_the_parents_variables_but_may_use_their_names() -> None:
    inner = {
        "I": {"Type": "Pass", "Assign": {"x": 1}, "Output": "{% $exists($x) %}", "Next": "J"},
        "J": {
            "Type": "Pass",
            "Output": "{% [$states.input, $x, $states.context.Execution.Input] %}",
            "End": True,
        },
    }
    states = {
        "A": {"Type": "Pass", "Assign": {"x": "outer"}, "Next": "M"},
        "M": fan_out(inner, Items=[5]),
    }
    machine = Machine.parse(definition("A", states))
    seen: list[ExecutionResult] = []

    async def main() -> None:
        seen.append(
            await run(
                machine,
                context({}),
                ScriptedIntegrations(),
                clock=TrioClock(START),
                on_event=lambda _event: None,
                tokens=TaskTokens(),
                random=Random(1),
            )
        )

    trio.run(main, clock=MockClock(autojump_threshold=0))

    assert seen[0].output == [[False, 1, 5]]


def test_no_items_make_an_empty_run() -> None:
    ran, records = play(fan_out(PASS), given=[])

    assert ran.result is not None
    assert ran.result.output == []
    assert records.runs[0].status == "SUCCEEDED"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"ItemBatcher": {"MaxItemsPerBatch": 2}}, "/States/M/ItemBatcher"),
        ({"ResultWriter": {}}, "/States/M/ResultWriter"),
        ({"Label": "x" * 41}, "/States/M/Label"),
        ({"ToleratedFailurePercentage": 101}, "/States/M/ToleratedFailurePercentage"),
        ({"Items": [1], "ItemReader": READER}, "/States/M/ItemReader"),
        (
            {"ItemReader": {**READER, "ReaderConfig": {"InputType": "CSV"}}},
            "/States/M/ItemReader/ReaderConfig/InputType",
        ),
        (
            {"ItemReader": {**READER, "Resource": "arn:aws:states:::s3:listObjectsV2"}},
            "/States/M/ItemReader/Resource",
        ),
        (
            {"ItemReader": {"Resource": READER["Resource"], "ReaderConfig": {"InputType": "JSON"}}},
            "/States/M/ItemReader/Arguments",
        ),
    ],
)
def test_parts_that_do_not_run_here_are_named(change: dict[str, Any], where: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        Machine.parse(definition("M", {"M": fan_out(PASS, **change)}))

    assert [problem.where for problem in refused.value.problems] == [where]


def test_express_children_are_refused() -> None:
    state = fan_out(PASS)
    state["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] = "EXPRESS"

    with pytest.raises(DefinitionError, match="EXPRESS does not run here"):
        Machine.parse(definition("M", {"M": state}))
