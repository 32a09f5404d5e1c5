"""Distributed Map: a child execution per item, items from S3, and failures tolerated up to a threshold.

Not established, so nothing of ours should rely on it: the results of a run with tolerated failures hold
the succeeded children only, in the items' order; and when the parent ends early its children are stopped and
drained here, while AWS lets a map run go on.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from statemachine.interpreter.execution import ExecutionContext, ExecutionResult
from statemachine.interpreter.failure import RUNTIME, StateFailedError
from statemachine.interpreter.fields import MAX_SECONDS
from statemachine.interpreter.handling import with_handlers
from statemachine.interpreter.history import HistoryEvent
from statemachine.interpreter.integration import TaskFailed, TaskRequest
from statemachine.interpreter.map_run import MapRun
from statemachine.interpreter.states import DistributedMap, Graph, ItemReader
from statemachine.interpreter.task import guarded
from statemachine.interpreter.visit import Payload, Run, Visit, payload

READER_FAILED = "States.ItemReaderFailed"
THRESHOLD_EXCEEDED = "States.ExceedToleratedFailureThreshold"
# MaxConcurrency 0 or absent (distributed Map guide).
DISTRIBUTED_CONCURRENCY = 10_000
_PERCENT = 100

RunChild = Callable[
    [Graph, ExecutionContext, Run, Callable[[HistoryEvent], None]], Awaitable[ExecutionResult]
]


async def run_distributed_map(visit: Visit, state: DistributedMap, run_child: RunChild) -> str | None:
    """Runs a Distributed Map state and returns the next state's name."""

    async def attempt(visit: Visit) -> None:
        await _Attempt(visit, state, run_child).run()

    return await with_handlers(visit, state, attempt)


class _Attempt:
    """One map run."""

    def __init__(self, visit: Visit, state: DistributedMap, run_child: RunChild) -> None:
        self._visit = visit
        self._state = state
        self._run: Run = visit.run
        self._run_child = run_child
        self._results: dict[int, Any] = {}

    async def run(self) -> None:
        """Runs all children and records the state's success.

        Raises:
            StateFailedError: too many children failed, or the items could not be read.
        """
        visit, state = self._visit, self._state
        branch = visit.branch
        items = None if state.reader is not None else self._given_items()
        bounds = self._bounds()
        branch.emit("MapStateStarted", "mapStateStartedEventDetails", length=len(items or []))
        map_run = self._new_map_run(*bounds)
        started = branch.emit("MapRunStarted", "mapRunStartedEventDetails", mapRunArn=map_run.arn)
        try:
            if items is None:
                assert state.reader is not None  # noqa: S101 - without items there is a reader
                items = await self._read(state.reader)
            inputs = [self._select(index, value) for index, value in enumerate(items)]
            await self._run_children(map_run, inputs)
        except StateFailedError as failure:
            self._close(map_run, "FAILED")
            branch.emit("MapRunFailed", "mapRunFailedEventDetails", error=failure.error, cause=failure.cause)
            raise
        except BaseException:
            self._close(map_run, "ABORTED")
            raise
        self._close(map_run, "SUCCEEDED")
        results = [self._results[index] for index in sorted(self._results)]
        # Measured: the exit follows MapRunStarted, past both Succeeded events.
        branch.emit("MapRunSucceeded")
        branch.emit("MapStateSucceeded")
        departure = visit.depart(results, state.assign, state.output, result=results)
        branch.last = started
        visit.leave(departure)

    def _given_items(self) -> list[Any]:
        visit, items = self._visit, self._state.items
        value = visit.given.value if items is None else visit.evaluate(items)
        return list(visit.expect(value, "array", "Items"))

    def _bounds(self) -> tuple[int, int, float]:
        """MaxConcurrency, ToleratedFailureCount and ToleratedFailurePercentage."""
        visit, state = self._visit, self._state
        concurrency = count = 0
        percentage = 0.0
        if state.max_concurrency is not None:
            concurrency = visit.whole_number(state.max_concurrency, "MaxConcurrency", 0, MAX_SECONDS)
        if state.tolerated_count is not None:
            count = visit.whole_number(state.tolerated_count, "ToleratedFailureCount", 0, MAX_SECONDS)
        if state.tolerated_percentage is not None:
            location = "ToleratedFailurePercentage"
            percentage = float(visit.expect(visit.evaluate(state.tolerated_percentage), "number", location))
            if not 0 <= percentage <= _PERCENT:
                raise visit.evaluation_failed(f"The value {percentage} is not from 0 to 100.", location)
        return concurrency, count, percentage

    def _new_map_run(self, concurrency: int, count: int, percentage: float) -> MapRun:
        given = self._run.context
        label = self._state.label or f"{self._run.random.getrandbits(64):016x}"
        run_id = f"{self._run.random.getrandbits(128):032x}"
        machine = f"{given.state_machine_name}/{label}"
        prefix = ":".join(given.execution_arn.split(":")[:5])
        map_run = MapRun(
            arn=f"{prefix}:mapRun:{machine}:{run_id}",
            execution_arn=given.execution_arn,
            state_machine_arn=f"{prefix}:stateMachine:{machine}",
            max_concurrency=concurrency,
            tolerated_failure_count=count,
            tolerated_failure_percentage=percentage,
            started_at=self._run.clock.now(),
        )
        self._run.map_runs.map_run_changed(map_run)
        return map_run

    async def _read(self, reader: ItemReader) -> list[Any]:
        """The items in an S3 object that holds a JSON array.

        Raises:
            StateFailedError: States.ItemReaderFailed.
        """
        request = TaskRequest(
            resource=reader.resource.arn,
            service=reader.resource.service,
            action=reader.resource.action,
            sdk=False,
            pattern="request_response",
            arguments=self._visit.evaluate(reader.arguments),
            execution_arn=self._run.context.execution_arn,
            state_name=self._state.name,
            token=None,
        )
        try:
            reply = await guarded(self._run.integrations.submit(request), request)
            items = json.loads(reply["Body"])
        except TaskFailed as failed:
            if failed.error == RUNTIME:
                raise StateFailedError(RUNTIME, failed.cause) from failed
            raise StateFailedError(READER_FAILED, f"{failed.error}: {failed.cause}") from failed
        except (ValueError, TypeError, KeyError) as error:
            raise StateFailedError(READER_FAILED, f"The object is not JSON: {error}") from error
        if not isinstance(items, list):
            raise StateFailedError(READER_FAILED, "The object does not hold a JSON array.")
        if reader.max_items is not None:
            limit = self._visit.whole_number(
                reader.max_items, "ItemReader/ReaderConfig/MaxItems", 0, MAX_SECONDS
            )
            items = items[:limit] if limit else items
        return items

    def _select(self, index: int, value: Any) -> Payload:
        selector = self._state.item_selector
        if selector is not None:
            context = {**self._visit.context, "Map": {"Item": {"Index": index, "Value": value}}}
            value = self._visit.evaluate(selector, context=context)
        return payload(value, self._state.name)

    async def _run_children(self, map_run: MapRun, inputs: list[Payload]) -> None:
        counts = map_run.counts
        counts.pending = len(inputs)
        self._run.map_runs.map_run_changed(map_run)
        waiting = iter(enumerate(inputs))
        exceeded = False
        async with trio.open_nursery() as nursery:

            async def work() -> None:
                nonlocal exceeded
                for index, given in waiting:
                    if exceeded:
                        return
                    await self._run_one(map_run, index, given)
                    if _too_many_failed(map_run, self._state, len(inputs)):
                        exceeded = True
                        nursery.cancel_scope.cancel()

            limit = map_run.max_concurrency or DISTRIBUTED_CONCURRENCY
            for _ in range(min(limit, DISTRIBUTED_CONCURRENCY, len(inputs))):
                nursery.start_soon(work)
        if exceeded:
            raise StateFailedError(
                THRESHOLD_EXCEEDED, "The specified tolerated failure threshold was exceeded"
            )

    async def _run_one(self, map_run: MapRun, index: int, given: Payload) -> None:
        run, counts, records = self._run, map_run.counts, self._run.map_runs
        context = self._child_context(map_run, given)
        result = ExecutionResult("ABORTED")
        counts.pending -= 1
        counts.running += 1
        records.map_run_changed(map_run)
        try:
            on_event = records.child_started(map_run, context)
            result = await self._run_child(self._state.processor, context, run, on_event)
        finally:
            counts.running -= 1
            name = result.status.lower()
            setattr(counts, name, getattr(counts, name) + 1)
            records.child_ended(map_run, context, result)
            records.map_run_changed(map_run)
        if result.status == "SUCCEEDED":
            self._results[index] = result.output

    def _child_context(self, map_run: MapRun, given: Payload) -> ExecutionContext:
        parent = self._run.context
        # ARNs of children carry the label behind the machine's name.
        machine = map_run.state_machine_arn.rpartition(":")[2]
        prefix = ":".join(parent.execution_arn.split(":")[:5])
        name = f"{self._run.random.getrandbits(128):032x}"
        return ExecutionContext(
            execution_arn=f"{prefix}:execution:{machine}:{name}",
            name=name,
            role_arn=parent.role_arn,
            start_time=self._run.clock.now(),
            state_machine_arn=map_run.state_machine_arn,
            state_machine_name=machine,
            input=given.value,
        )

    def _close(self, map_run: MapRun, status: Any) -> None:
        counts = map_run.counts
        counts.aborted += counts.pending
        counts.pending = 0
        map_run.status = status
        map_run.stopped_at = self._run.clock.now()
        self._run.map_runs.map_run_changed(map_run)


def _too_many_failed(map_run: MapRun, state: DistributedMap, total: int) -> bool:
    """Whether a threshold is passed; only given ones count, and without any no failure is tolerated."""
    failed = map_run.counts.failed + map_run.counts.timed_out
    by_percentage = failed * _PERCENT > map_run.tolerated_failure_percentage * total
    by_count = failed > map_run.tolerated_failure_count
    if state.tolerated_count is None:
        return by_percentage
    return by_count if state.tolerated_percentage is None else by_count or by_percentage
