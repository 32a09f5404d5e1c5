"""Free a lock by force."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lock.results import Released
from nightlatch.operations.drain import stop_tasks, tasks_of, wait_stopped
from nightlatch.operations.errors import OperationError
from nightlatch.operations.locks import LockStatus, lock_table, need_item, status_of
from nightlatch.operations.stop import StopRequest, stop_execution, stop_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from lock.model import LockItem
    from nightlatch.operations.deployment import Deployment

# SIGTERM, at most 120 seconds of grace on Fargate, and the time ECS takes to say STOPPED.
DRAIN_SECONDS = 180.0


@dataclass(frozen=True)
class ReleaseRequest:
    """What an operator asks for.

    Attributes:
        expect_token: The lock's fence as the operator saw it; any other value means that the holder has
            changed.
        stop_holder: Stop the holder's execution and containers first, and free the lock when they are gone.
    """

    key: str
    expect_token: int
    by: str
    reason: str
    stop_holder: bool = False
    wait_seconds: float = DRAIN_SECONDS


@dataclass(frozen=True)
class ForcedRelease:
    """What a forced release came to.

    Attributes:
        before: The lock as it was taken away.
        after: The lock now.
        handed_to: The waiting run that has it now.
        stopped_tasks: The tasks that were stopped first.
        freed_by_others: While its holder was being stopped, the state machine or the janitor freed it.
    """

    before: LockStatus
    after: LockStatus
    handed_to: str | None
    stopped_tasks: tuple[str, ...]
    freed_by_others: bool


def release_lock(
    deployment: Deployment, request: ReleaseRequest, *, sleep: Callable[[float], None] = time.sleep
) -> ForcedRelease:
    """Take a lock away from its holder.

    Without `stop_holder` the holder's tasks stay on the lock's row, and whoever holds it next stops them
    before it starts its own.

    Raises:
        OperationError: No such lock (LOCK-001), nobody holds it (LOCK-004), it changed (LOCK-002), or the
            holder's containers did not stop in time (LOCK-005).
    """
    table = lock_table(deployment)
    seen = need_item(deployment, request.key)
    before = status_of(seen)
    if seen.holder is None:
        raise OperationError(
            "LOCK-004", f"nobody holds {request.key}", tries=[f"nightlatch locks show {request.key}"]
        )
    if seen.fence != request.expect_token:
        raise _changed(request, seen)
    stopped: tuple[str, ...] = ()
    if request.stop_holder:
        stopped = _stop_holder(deployment, seen, request, sleep)
        latest = need_item(deployment, request.key)
        if latest.holder is None or latest.holder.owner != seen.holder.owner:
            handed = latest.holder.run if latest.holder else None
            return ForcedRelease(before, status_of(latest), handed, stopped, freed_by_others=True)
        seen = latest
    result = table.force_release(request.key, token=seen.fence, by=request.by, reason=request.reason)
    if not isinstance(result, Released):
        raise _changed(request, result.item or seen)
    handed_to = result.handed_to.run if result.handed_to else None
    return ForcedRelease(before, status_of(result.item), handed_to, stopped, freed_by_others=False)


def _changed(request: ReleaseRequest, item: LockItem) -> OperationError:
    now = f"held by {item.holder.run}" if item.holder else "free"
    return OperationError(
        "LOCK-002",
        f"{request.key} has changed: token {item.fence}, not {request.expect_token}",
        facts=[("now", now)],
        tries=[f"nightlatch locks show {request.key}"],
    )


def _stop_holder(
    deployment: Deployment, seen: LockItem, request: ReleaseRequest, sleep: Callable[[float], None]
) -> tuple[str, ...]:
    told = StopRequest(by=request.by, reason=f"lock {request.key} released: {request.reason}")
    tasks = tasks_of(deployment, seen.to_drain)
    if seen.holder is not None and ":execution:" in seen.holder.owner:
        # First the execution, so that it does not answer the end of its container with another attempt.
        stop_execution(deployment, seen.holder.owner, seen.holder.job, told)
    stop_tasks(deployment, tasks, stop_text(told))
    left = wait_stopped(deployment, tasks, request.wait_seconds, sleep)
    if left:
        raise OperationError(
            "LOCK-005",
            f"{len(left)} of the holder's containers did not stop within {request.wait_seconds:.0f} s",
            facts=[("task", arn) for arn in left],
            tries=[
                "the same command again",
                "the same command without --stop-holder: the next run stops them",
            ],
        )
    return tuple(tasks)
