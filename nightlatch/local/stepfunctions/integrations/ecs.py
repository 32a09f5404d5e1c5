"""ecs:runTask with its three patterns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from nightlatch.local.api_error import ApiError
from nightlatch.local.stepfunctions.integrations.casing import millisecond_times, service_model, to_asl
from statemachine.interpreter import TaskFailed

if TYPE_CHECKING:
    from nightlatch.local.aws import Caller
    from statemachine.interpreter import TaskRequest

# Recorded: `.sync` marks its tasks so, the other patterns do not.
STARTED_BY = "AWS Step Functions"
_CAUSE_LIMIT = 32_768


class TaskWaiter(Protocol):
    """Knows when an ECS task is really gone."""

    async def wait_stopped(self, task_arn: str) -> dict[str, Any]:
        """Wait until a task is STOPPED and return it as DescribeTasks does.

        Raises:
            ApiError: No such task.
        """
        ...


class RunTask:
    """Starts tasks for Task states, waits for them, stops them."""

    def __init__(self, aws: Caller, tasks: TaskWaiter) -> None:
        self._aws = aws
        self._tasks = tasks

    async def submit(self, request: TaskRequest, params: dict[str, Any]) -> dict[str, Any]:
        """RunTask.

        Raises:
            TaskFailed: ``AmazonECS.Unknown`` where nothing was started and the pattern waits.
            ApiError: ECS refused.
        """
        if request.pattern == "sync":
            params = {**params, "startedBy": STARTED_BY}
        reply = await self._aws.call("ecs", "RunTask", params)
        if request.pattern != "request_response" and reply.get("failures"):
            reasons = "; ".join(
                " ".join(filter(None, (failure.get("reason"), failure.get("detail"))))
                for failure in reply["failures"]
            )
            raise TaskFailed("AmazonECS.Unknown", reasons)
        return reply

    async def wait(self, submitted: Any) -> dict[str, Any]:
        """Wait for the task's end and give it in ASL's spelling.

        Raises:
            TaskFailed: ``States.TaskFailed`` with the task as JSON: an essential container did not exit
                with 0.
        """
        task = await self._tasks.wait_stopped(submitted["Tasks"][0]["TaskArn"])
        shown: dict[str, Any] = to_asl(task, service_model("ecs").shape_for("Task"), millisecond_times)
        essential = await self._essential(task)
        containers = [one for one in task.get("containers", ()) if one.get("name") in essential]
        if containers and all(one.get("exitCode") == 0 for one in containers):
            return shown
        cause = json.dumps(shown, separators=(",", ":"), ensure_ascii=False)
        raise TaskFailed("States.TaskFailed", cause[:_CAUSE_LIMIT])

    async def cancel(self, request: TaskRequest, submitted: Any) -> None:
        """Stop the task and wait until it is gone."""
        task = submitted["Tasks"][0]
        reason = (
            f"The Task state in AWS Step Functions execution [{request.execution_arn}] which was managing "
            "this resource was aborted"
        )
        try:
            await self._aws.call(
                "ecs", "StopTask", {"cluster": task["ClusterArn"], "task": task["TaskArn"], "reason": reason}
            )
            await self._tasks.wait_stopped(task["TaskArn"])
        except ApiError as error:
            # A task that ECS has forgotten by now has ended before.
            if error.code not in {"InvalidParameterException", "ResourceNotFoundException"}:
                raise

    async def _essential(self, task: dict[str, Any]) -> set[str]:
        """The names of the containers that decide; a container is essential unless it says otherwise."""
        definition = await self._aws.call(
            "ecs", "DescribeTaskDefinition", {"taskDefinition": task["taskDefinitionArn"]}
        )
        return {
            one["name"]
            for one in definition["taskDefinition"]["containerDefinitions"]
            if one.get("essential", True)
        }
