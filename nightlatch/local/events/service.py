from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from nightlatch.local.api_error import ApiError

if TYPE_CHECKING:
    from nightlatch.local.aws import Caller
    from nightlatch.local.bus import EventBus
    from nightlatch.local.options import LocalOptions
    from statemachine.interpreter import Clock


class Events:
    """Schedules, rules and their targets. Built by `create`."""

    OPERATIONS = frozenset({"PutEvents", "TestEventPattern"})
    """The operations of the ``events`` API that are answered here; moto answers the others."""

    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out ``PutEvents`` or ``TestEventPattern``.

        Raises:
            ApiError: The refusal that EventBridge would give.
        """
        raise ApiError("InvalidAction", f"{operation} is not offered here ({len(request)} members).")

    def on_write(self, service: str, operation: str, params: dict[str, Any]) -> None:
        """Take note that a definition may have changed. Give this to ``Aws.on_write``."""

    def check(self, service: str, operation: str, params: dict[str, Any]) -> None:
        """Refuse what AWS refuses when a schedule or rule is written.

        Raises:
            ApiError: ``ValidationException`` or ``InvalidEventPatternException``.
        """

    async def fire(self, group: str, name: str, scheduled_time: str | None = None) -> dict[str, Any]:
        """Deliver a schedule now, on the same path as when its time comes.

        Args:
            group: The schedule group.
            name: The schedule.
            scheduled_time: ISO 8601 time that the delivery claims; now when absent.

        Returns:
            ``{"delivered": bool, "scheduled_time", "execution_id", "response" | "error"}`` after the first
            attempt; later attempts, if the policy allows them, go on behind.

        Raises:
            ApiError: No such schedule.
        """
        raise ApiError("ResourceNotFoundException", f"Schedule {group}/{name} does not exist.", 404)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Fire schedules and serve rules until cancelled."""
        task_status.started()
        await trio.sleep_forever()


def create(options: LocalOptions, *, aws: Caller, bus: EventBus, clock: Clock) -> Events:
    """Build the service.

    Args:
        options: The server's options; ``state``, ``region``, ``account``.
        aws: Reads the definitions, calls the targets.
        bus: Its events are matched against the rules; PutEvents puts events on it.
        clock: The time of day; waiting is ``trio.sleep``, so both can be virtual.
    """
    del options, aws, bus, clock
    return Events()
