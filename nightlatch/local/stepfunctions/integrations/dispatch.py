from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.stepfunctions.integrations.casing import (
    iso_times,
    millisecond_times,
    operation_model,
    pascal,
    to_api,
    to_asl,
)
from nightlatch.local.stepfunctions.integrations.child_execution import ChildExecution
from nightlatch.local.stepfunctions.integrations.ecs import RunTask, TaskWaiter
from nightlatch.local.stepfunctions.integrations.errors import optimised_failure, sdk_failure
from nightlatch.local.stepfunctions.integrations.resources import PARAMETERS, SDK_SERVICES
from statemachine.interpreter import TaskFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nightlatch.local.aws import Caller
    from statemachine.interpreter import TaskRequest

# Optimised integrations take JSON where the API wants a text.
_JSON_TEXT = {"sns:publish": ("Message",), "sqs:sendMessage": ("MessageBody",)}
_BOTOCORE = {"states": "stepfunctions"}


class ServiceIntegrations:
    """Carries out Task states over the AWS APIs of this process.

    Args:
        aws: Any API.
        tasks: Waits for ECS tasks.
        ended: Waits until an execution has ended.
    """

    def __init__(self, aws: Caller, *, tasks: TaskWaiter, ended: Callable[[str], Awaitable[None]]) -> None:
        self._aws = aws
        self._tasks = RunTask(aws, tasks)
        self._children = ChildExecution(aws, ended)

    async def submit(self, request: TaskRequest) -> Any:
        """As ``statemachine.interpreter.Integrations.submit``."""
        if request.service == "s3" and not request.sdk:
            return await self._read_items(request)
        return await (self._sdk(request) if request.sdk else self._optimised(request))

    async def wait(self, request: TaskRequest, submitted: Any) -> Any:
        """As ``statemachine.interpreter.Integrations.wait``."""
        if request.service == "ecs":
            return await self._tasks.wait(submitted)
        return await self._children.wait(request, submitted)

    async def cancel(self, request: TaskRequest, submitted: Any) -> None:
        """As ``statemachine.interpreter.Integrations.cancel``."""
        if request.service == "ecs":
            await self._tasks.cancel(request, submitted)
        else:
            await self._children.cancel(submitted)

    async def _sdk(self, request: TaskRequest) -> Any:
        service, prefix = SDK_SERVICES[request.service]
        operation = operation_model(service, request.action)
        if operation is None:
            raise TaskFailed(
                "States.Runtime",
                f"The action {request.action} of aws-sdk:{request.service} is not recognized",
            )
        shape = operation.input_shape
        params = to_api(request.arguments or {}, shape) if shape is not None else {}
        try:
            reply = await self._aws.call(service, operation.name, params)
        except ApiError as error:
            raise sdk_failure(prefix, service, error) from error
        return to_asl(reply, operation.output_shape, iso_times)

    async def _read_items(self, request: TaskRequest) -> Any:
        """What an ItemReader reads; no Task may use this resource."""
        operation = operation_model("s3", request.action)
        if operation is None or operation.input_shape is None:
            raise TaskFailed("States.Runtime", f"The action s3:{request.action} is not recognized")
        params = to_api(request.arguments or {}, operation.input_shape)
        try:
            reply = await self._aws.call("s3", operation.name, params)
        except ApiError as error:
            raise sdk_failure("S3", "s3", error) from error
        return to_asl(reply, operation.output_shape, millisecond_times)

    async def _optimised(self, request: TaskRequest) -> Any:
        name = f"{request.service}:{request.action}"
        arguments = request.arguments
        if not isinstance(arguments, dict):
            raise TaskFailed("States.Runtime", f"The arguments of {name} must be an object")
        for field in arguments:
            if field not in PARAMETERS[name]:
                raise TaskFailed("States.Runtime", f'The field "{field}" is not supported by Step Functions')
        service = _BOTOCORE.get(request.service, request.service)
        operation = operation_model(service, request.action)
        if operation is None or operation.input_shape is None:
            raise TaskFailed("States.Runtime", f"The action {name} is not recognized")
        try:
            if request.service == "states":
                reply = await self._children.submit(arguments)
            elif request.service == "ecs":
                reply = await self._tasks.submit(request, to_api(arguments, operation.input_shape))
            else:
                params = to_api(_as_text(name, arguments, request), operation.input_shape)
                reply = await self._aws.call(service, pascal(request.action), params)
        except ApiError as error:
            raise optimised_failure(request.service, service, error) from error
        if reply.get("FailedEntryCount"):
            raise TaskFailed("EventBridge.FailedEntry", json.dumps(reply, separators=(",", ":")))
        return to_asl(reply, operation.output_shape, millisecond_times)


def _as_text(name: str, arguments: dict[str, Any], request: TaskRequest) -> dict[str, Any]:
    """Turn JSON into the text that the API wants, and tell EventBridge who sends (recorded)."""
    if name == "events:putEvents":
        entries = arguments.get("Entries")
        if not isinstance(entries, list):
            return arguments
        machine = request.execution_arn.rpartition(":")[0].replace(":execution:", ":stateMachine:", 1)
        return {"Entries": [_event_entry(entry, [machine, request.execution_arn]) for entry in entries]}
    texts = {
        member: _text(arguments[member])
        for member in _JSON_TEXT.get(name, ())
        if arguments.get(member) is not None
    }
    return {**arguments, **texts}


def _event_entry(entry: Any, senders: list[str]) -> Any:
    if not isinstance(entry, dict):
        return entry
    result = {**entry, "Resources": [*entry.get("Resources", ()), *senders]}
    if "Detail" in entry:
        result["Detail"] = _text(entry["Detail"])
    return result


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
