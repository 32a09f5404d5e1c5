"""states:startExecution with its patterns: an execution that runs another and waits for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.stepfunctions.integrations.casing import millisecond_times, service_model, to_asl
from statemachine.interpreter import TaskFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nightlatch.local.aws import Caller
    from statemachine.interpreter import TaskRequest

_CAUSE_LIMIT = 32_768


class ChildExecution:
    """Starts executions for Task states, waits for them, stops them."""

    def __init__(self, aws: Caller, ended: Callable[[str], Awaitable[None]]) -> None:
        self._aws = aws
        self._ended = ended

    async def submit(self, params: dict[str, Any]) -> dict[str, Any]:
        """StartExecution; input that is no text is sent as JSON."""
        given = params.get("Input", {})
        text = (
            given if isinstance(given, str) else json.dumps(given, separators=(",", ":"), ensure_ascii=False)
        )
        request = {"stateMachineArn": params.get("StateMachineArn"), "input": text}
        if "Name" in params:
            request["name"] = params["Name"]
        return await self._aws.call("stepfunctions", "StartExecution", request)

    async def wait(self, request: TaskRequest, submitted: Any) -> dict[str, Any]:
        """Wait for the child's end and describe it; with ``.sync:2`` input and output are parsed.

        Raises:
            TaskFailed: ``States.TaskFailed`` with the description as JSON.
        """
        arn = submitted["ExecutionArn"]
        await self._ended(arn)
        reply = await self._aws.call("stepfunctions", "DescribeExecution", {"executionArn": arn})
        shape = service_model("stepfunctions").shape_for("DescribeExecutionOutput")
        shown: dict[str, Any] = to_asl(reply, shape, millisecond_times)
        if request.pattern == "sync:2":
            for member in ("Input", "Output"):
                if member in shown:
                    shown[member] = json.loads(shown[member])
        if shown["Status"] == "SUCCEEDED":
            return shown
        cause = json.dumps(shown, separators=(",", ":"), ensure_ascii=False)
        raise TaskFailed("States.TaskFailed", cause[:_CAUSE_LIMIT])

    async def cancel(self, submitted: Any) -> None:
        """Stop the child and wait until it has ended."""
        arn = submitted["ExecutionArn"]
        try:
            await self._aws.call("stepfunctions", "StopExecution", {"executionArn": arn})
        except ApiError as error:
            if error.code != "ExecutionDoesNotExist":
                raise
        await self._ended(arn)
