from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable

    class Startable(Protocol):
        """A service's main loop."""

        def __call__(self, *, task_status: trio.TaskStatus[None]) -> Awaitable[None]:
            """Run until cancelled."""
            ...


class Stage:
    """Runs one service so that it ends when told to, and not together with everything else.

    What is started in an inner order must end in the reverse one: executions need tasks while they end.
    So a stage is shielded from the cancellation of its nursery; ``end`` cancels it and waits.
    """

    def __init__(self) -> None:
        self._scope = trio.CancelScope(shield=True)
        self._ended = trio.Event()
        self._started = False

    async def run(
        self, service: Startable, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run a service; give this to ``nursery.start``."""
        self._started = True
        try:
            with self._scope:
                await service(task_status=task_status)
        finally:
            self._ended.set()

    async def end(self) -> None:
        """Cancel the service and wait until it is done, however often this is cancelled itself."""
        self._scope.cancel()
        if self._started:
            with trio.CancelScope(shield=True):
                await self._ended.wait()
