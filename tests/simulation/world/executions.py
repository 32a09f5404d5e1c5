"""Simulated Step Functions: real definitions, run by the interpreter, described with a lag."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import trio

from statemachine.interpreter import (
    Behaviour,
    Clock,
    ExecutionContext,
    ExecutionResult,
    HistoryEvent,
    Integrations,
    Machine,
    Stop,
    TaskTokens,
    iso_time,
    run,
)
from tests.simulation.world.errors import ServiceError
from tests.simulation.world.timeline import Timeline

ARN = "arn:aws:states:ap-northeast-1:000000000000"


@dataclass(eq=False)
class Execution:
    """One execution."""

    arn: str
    name: str
    machine: str
    input: Any
    start: float
    status: str = "RUNNING"
    result: ExecutionResult | None = None
    end: float = 0.0
    shown_ended_at: float = 0.0
    stop: Stop = field(default_factory=Stop)
    ended: trio.Event = field(default_factory=trio.Event)
    history: list[HistoryEvent] = field(default_factory=list)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    @property
    def states(self) -> list[str]:
        """Names of the states entered, in order."""
        return [
            event.details["stateEnteredEventDetails"]["name"]
            for event in self.history
            if event.type.endswith("StateEntered")
        ]

    @property
    def output(self) -> Any:
        """What it returned."""
        return self.result.output if self.result else None

    @property
    def report(self) -> dict[str, Any]:
        """The cause of a failed run, parsed."""
        found: dict[str, Any] = json.loads((self.result and self.result.cause) or "{}")
        return found


class Executions:
    """The service."""

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        clock: Clock,
        timeline: Timeline,
        seed: str,
        behaviour: Behaviour,
        describe_lag: Callable[[], float],
        on_end: Callable[[Execution], None],
    ) -> None:
        self._nursery = nursery
        self._clock = clock
        self._timeline = timeline
        self._seed = seed
        self._behaviour = behaviour
        self._describe_lag = describe_lag
        self._on_end = on_end
        self._tokens = TaskTokens()
        self.machines: dict[str, Machine] = {}
        self.all: dict[str, Execution] = {}
        self.integrations: Integrations

    def start(self, machine: str, name: str, given: Any) -> Execution:
        """StartExecution; the same name with the same input while it runs is the same execution."""
        arn = f"{ARN}:execution:{machine}:{name}"
        before = self.all.get(arn)
        if before is not None:
            if before.status == "RUNNING" and before.input == given:
                return before
            raise ServiceError("ExecutionAlreadyExists", arn)
        execution = Execution(arn, name, machine, given, self._clock.now())
        self.all[arn] = execution
        self._timeline.note(name, f"started {json.dumps(given)[:150]}")
        self._nursery.start_soon(self._run, execution)
        return execution

    def describe(self, arn: str, *, metadata_only: bool = False) -> dict[str, Any]:
        """DescribeExecution, which may lag behind."""
        execution = self._find(arn)
        shown = {
            "ExecutionArn": arn,
            "StateMachineArn": f"{ARN}:stateMachine:{execution.machine}",
            "Name": execution.name,
            "Status": self._status(execution),
            "StartDate": iso_time(execution.start),
        }
        if not metadata_only:
            shown["Input"] = json.dumps(execution.input)
        if shown["Status"] == "RUNNING" or execution.result is None:
            return shown
        shown["StopDate"] = iso_time(execution.end)
        result = execution.result
        if result.error is not None:
            shown |= {"Error": result.error, "Cause": result.cause or ""}
        if result.status == "SUCCEEDED" and not metadata_only:
            shown["Output"] = json.dumps(result.output)
        return shown

    def list_executions(self, machine_arn: str) -> dict[str, Any]:
        """ListExecutions, newest first."""
        found = [
            self.describe(execution.arn, metadata_only=True)
            for execution in reversed(self.all.values())
            if machine_arn.endswith(f":{execution.machine}")
        ]
        keys = ("ExecutionArn", "StateMachineArn", "Name", "Status", "StartDate", "StopDate")
        return {"Executions": [{key: one[key] for key in keys if key in one} for one in found]}

    def list_machines(self) -> dict[str, Any]:
        """ListStateMachines."""
        machines = [{"Name": name, "StateMachineArn": f"{ARN}:stateMachine:{name}"} for name in self.machines]
        return {
            "StateMachines": [*machines, {"Name": "other", "StateMachineArn": f"{ARN}:stateMachine:other"}]
        }

    def stop(self, arn: str, error: str | None = None, cause: str | None = None) -> dict[str, Any]:
        """StopExecution; for one that has ended it does nothing."""
        execution = self._find(arn)
        if execution.status == "RUNNING":
            self._timeline.note(execution.name, "StopExecution")
            execution.stop.request(error, cause)
        return {"StopDate": iso_time(self._clock.now())}

    def running(self) -> list[Execution]:
        """Those that run."""
        return [execution for execution in self.all.values() if execution.status == "RUNNING"]

    def cut_off(self) -> None:
        """The engine dies: nothing of an execution happens any more, and it counts as ABORTED later."""
        for execution in self.running():
            execution.scope.cancel()

    def _find(self, arn: str) -> Execution:
        if arn not in self.all:
            raise ServiceError("ExecutionDoesNotExistException", arn)
        return self.all[arn]

    def _status(self, execution: Execution) -> str:
        return execution.status if self._clock.now() >= execution.shown_ended_at else "RUNNING"

    async def _run(self, execution: Execution) -> None:
        context = ExecutionContext(
            execution_arn=execution.arn,
            name=execution.name,
            role_arn="arn:aws:iam::000000000000:role/simulated",
            start_time=execution.start,
            state_machine_arn=f"{ARN}:stateMachine:{execution.machine}",
            state_machine_name=execution.machine,
            input=execution.input,
        )
        result = ExecutionResult("ABORTED", error="Engine.Died", cause="the engine died")
        with execution.scope:
            result = await run(
                self.machines[execution.machine],
                context,
                self.integrations,
                clock=self._clock,
                on_event=execution.history.append,
                tokens=self._tokens,
                random=random.Random(f"{self._seed}/{execution.name}"),
                stop=execution.stop,
                behaviour=self._behaviour,
            )
        execution.result = result
        execution.status = result.status
        execution.end = self._clock.now()
        execution.shown_ended_at = execution.end + self._describe_lag()
        told = result.output if result.status == "SUCCEEDED" else f"{result.error} {result.cause}"
        self._timeline.note(execution.name, f"{result.status} {str(told)[:300]}")
        execution.ended.set()
        self._on_end(execution)
