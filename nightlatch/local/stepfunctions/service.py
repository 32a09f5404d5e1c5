from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import trio

from nightlatch.local.api_error import ApiError
from nightlatch.local.stepfunctions.executions import Executions
from nightlatch.local.stepfunctions.integrations.dispatch import ServiceIntegrations
from nightlatch.local.stepfunctions.machines import Machines
from nightlatch.local.stepfunctions.map_runs import MapRuns
from nightlatch.local.stepfunctions.runner import Runner
from nightlatch.local.stepfunctions.store import Store
from nightlatch.local.stepfunctions.tags import Tags
from nightlatch.local.stepfunctions.versions import Versions
from statemachine.interpreter import TokenError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nightlatch.local.aws import Caller
    from nightlatch.local.bus import EventBus
    from nightlatch.local.stepfunctions.integrations.ecs import TaskWaiter
    from statemachine.interpreter import Clock

    Operation = Callable[[dict[str, Any]], dict[str, Any]]

_NOT_HERE = {
    "StartSyncExecution": ("StateMachineTypeNotSupported", "StartSyncExecution is for Express workflows."),
    "TestState": ("ValidationException", "TestState"),
    "CreateActivity": ("ValidationException", "Activities"),
    "GetActivityTask": ("ValidationException", "Activities"),
}


class StepFunctions:
    """The Step Functions API over the interpreter.

    Args:
        path: The SQLite file.
        region: The region of every ARN.
        account: The account of every ARN.
        aws: Carries out the Task states' calls.
        bus: Hears of status changes.
        clock: The time of day.
        tasks: Waits for ECS tasks.
        partition: First part of every ARN.
    """

    def __init__(
        self,
        path: Path,
        *,
        region: str,
        account: str,
        aws: Caller,
        bus: EventBus,
        clock: Clock,
        tasks: TaskWaiter,
        partition: str = "aws",
    ) -> None:
        self._store = Store(path)
        self._runner = Runner(self._store, clock, bus)
        tags = Tags(self._store)
        machines = Machines(
            self._store, clock, f"arn:{partition}:states:{region}:{account}:stateMachine:", tags
        )
        versions = Versions(self._store, clock, machines)
        executions = Executions(self._store, clock, machines, versions, self._runner)
        map_runs = MapRuns(self._store)
        self._runner.integrations = ServiceIntegrations(aws, tasks=tasks, ended=self._runner.ended)
        self._operations: dict[str, Operation] = {
            "CreateStateMachine": machines.create,
            "UpdateStateMachine": machines.update,
            "DescribeStateMachine": machines.describe,
            "ListStateMachines": machines.list,
            "DeleteStateMachine": machines.delete,
            "ValidateStateMachineDefinition": machines.validate,
            "TagResource": tags.tag,
            "UntagResource": tags.untag,
            "ListTagsForResource": tags.list,
            "PublishStateMachineVersion": versions.publish,
            "ListStateMachineVersions": versions.list,
            "DeleteStateMachineVersion": versions.delete,
            "CreateStateMachineAlias": versions.create_alias,
            "UpdateStateMachineAlias": versions.update_alias,
            "DescribeStateMachineAlias": versions.describe_alias,
            "ListStateMachineAliases": versions.list_aliases,
            "DeleteStateMachineAlias": versions.delete_alias,
            "StartExecution": executions.start,
            "StopExecution": executions.stop,
            "RedriveExecution": executions.redrive,
            "DescribeExecution": executions.describe,
            "ListExecutions": executions.list,
            "GetExecutionHistory": executions.history,
            "DescribeStateMachineForExecution": executions.describe_machine,
            "DescribeMapRun": map_runs.describe,
            "ListMapRuns": map_runs.list,
            "UpdateMapRun": map_runs.update,
            "SendTaskSuccess": self._send_success,
            "SendTaskFailure": self._send_failure,
            "SendTaskHeartbeat": self._send_heartbeat,
            "ListActivities": lambda _request: {"activities": []},
        }
        self.aborted = self._runner.abort_leftovers()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run executions until cancelled; then they end as ABORTED and their tasks are stopped first."""
        await self._runner.run(task_status=task_status)

    def announce(self) -> None:
        """Tell the bus of executions that a crash or a stop of the server ended; once rules listen."""
        self._runner.announce()

    def close(self) -> None:
        """Close the store, after ``run`` has ended."""
        with suppress(ApiError):
            self._runner.flush()
        self._store.close()

    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one operation.

        Raises:
            ApiError: The refusal that Step Functions would give.
        """
        await trio.lowlevel.checkpoint()
        known = self._operations.get(operation)
        if known is not None:
            return known(request)
        if operation in _NOT_HERE:
            code, what = _NOT_HERE[operation]
            raise ApiError(code, f"{what.rstrip('.')}: not offered by the local AWS.")
        raise ApiError(
            "UnknownOperationException", f"Step Functions operation {operation} is not offered here."
        )

    def _send_success(self, request: dict[str, Any]) -> dict[str, Any]:
        output = request.get("output", "")
        try:
            json.loads(output)
        except (ValueError, TypeError) as error:
            raise ApiError("InvalidOutput", f"Invalid Output: '{error}'") from error
        return self._send(lambda token: self._runner.tokens.send_success(token, output), request)

    def _send_failure(self, request: dict[str, Any]) -> dict[str, Any]:
        error, cause = request.get("error"), request.get("cause")
        return self._send(lambda token: self._runner.tokens.send_failure(token, error, cause), request)

    def _send_heartbeat(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._send(self._runner.tokens.send_heartbeat, request)

    @staticmethod
    def _send(send: Callable[[str], None], request: dict[str, Any]) -> dict[str, Any]:
        try:
            send(request.get("taskToken", ""))
        except TokenError as error:
            raise ApiError(error.code, str(error)) from error
        return {}
