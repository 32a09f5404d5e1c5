from __future__ import annotations

from typing import Any, Protocol


class Service(Protocol):
    """An AWS service that this process provides itself.

    Requests and replies carry the API's own member names (``taskDefinition`` for ECS, ``stateMachineArn``
    for Step Functions, ``ScheduleExpression`` for Scheduler) and wire values: timestamps are epoch seconds
    as numbers. A member without a value is absent, never ``None``.
    """

    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one operation, named as in the API (``RunTask``).

        Raises:
            ApiError: The refusal that the API would give.
        """
        ...
