from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from nightlatch.local.api_error import ApiError

if TYPE_CHECKING:
    from nightlatch.local.aws import Caller
    from nightlatch.local.bus import EventBus
    from nightlatch.local.options import LocalOptions
    from statemachine.interpreter import Clock


class Ecs:
    """The ECS API of this process. Built by `create`."""

    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one ECS operation, member names as in the API (``taskDefinition``).

        Raises:
            ApiError: The refusal that ECS would give.
        """
        raise ApiError("InvalidAction", f"ECS operation {operation} is not offered here ({len(request)} members).")

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Reap what a crash left behind, then serve until cancelled."""
        task_status.started()
        await trio.sleep_forever()

    async def wait_stopped(self, task_arn: str) -> dict[str, Any]:
        """Wait until a task is STOPPED (no process of it is left) and return it as DescribeTasks does.

        Raises:
            ApiError: No such task.
        """
        raise ApiError("InvalidParameterException", f"The referenced task was not found: {task_arn}.")

    def metadata(self, path: str) -> tuple[int, dict[str, Any]]:
        """Answer the task metadata endpoint, version 4: HTTP status and JSON body for a path under ``/v4/``."""
        return 404, {"message": f"unknown path {path}"}


def create(options: LocalOptions, *, endpoint: str, aws: Caller, bus: EventBus, clock: Clock) -> Ecs:
    """Build the service.

    Args:
        options: The server's options; ``state``, ``region``, ``account``, ``runner``, ``images``, ``workdir``.
        endpoint: URL of this local AWS, which tasks get as ``AWS_ENDPOINT_URL``.
        aws: For logs, SSM parameters and secrets.
        bus: Receives "ECS Task State Change" events.
        clock: The time of day.
    """
    del options, endpoint, aws, bus, clock
    return Ecs()
