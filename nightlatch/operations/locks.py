"""Locks as operators see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lock.client import LockTable
from lock.model import Kind, LockItem
from nightlatch.operations.definitions import deployed_definition, parse
from nightlatch.operations.errors import OperationError, nearest
from nightlatch.operations.runs import as_moment

if TYPE_CHECKING:
    from datetime import datetime

    from nightlatch.operations.deployment import Deployment

FREE, HELD, STALE = "free", "held", "stale"


@dataclass(frozen=True)
class LockStatus:
    """One lock.

    Attributes:
        state: free, held, or stale: held by an execution that has ended, so that the next attempt takes
            it over.
        token: The holder's fencing token; None before its container has claimed, and while the lock is free.
        fence: The number a forced release must name. It grows with every change of ownership.
        since: When the holder got the lock.
        stale_tasks: How many tasks must be STOPPED before anybody else runs.
        waiting: Runs that wait, in order.
        last_by: Who released it, when that was not its owner.
    """

    key: str
    state: str
    fence: int
    token: int | None = None
    owner: str | None = None
    kind: str | None = None
    job: str | None = None
    run: str | None = None
    since: datetime | None = None
    claimed_at: datetime | None = None
    lease_expires_at: datetime | None = None
    task_arn: str | None = None
    stale_tasks: int = 0
    waiting: tuple[str, ...] = ()
    last_job: str | None = None
    last_run: str | None = None
    last_outcome: str | None = None
    last_at: datetime | None = None
    last_by: str | None = None
    last_reason: str | None = None
    last_run_key: str | None = None

    @property
    def held(self) -> bool:
        """Whether somebody is written down as the holder, dead or alive."""
        return self.state != FREE


def status_of(item: LockItem, *, holder_alive: bool = True) -> LockStatus:
    """The status of a lock item.

    Args:
        item: The item.
        holder_alive: Whether the holder's execution still runs.
    """
    holder, last = item.holder, item.last
    state = FREE if holder is None else (HELD if holder_alive else STALE)
    return LockStatus(
        key=item.lock_key,
        state=state,
        fence=item.fence,
        token=item.token,
        owner=holder.owner if holder else None,
        kind=holder.kind if holder else None,
        job=holder.job if holder else None,
        run=holder.run if holder else None,
        since=as_moment(item.held_since),
        claimed_at=as_moment(holder.claimed_at) if holder else None,
        lease_expires_at=as_moment(item.lease_expires_at),
        task_arn=holder.task_arn if holder else None,
        stale_tasks=len(item.stale_tasks),
        waiting=tuple(entry.run for entry in item.waiting),
        last_job=last.job if last else None,
        last_run=last.owner.rpartition(":")[2] if last else None,
        last_outcome=last.outcome if last else None,
        last_at=as_moment(last.at) if last else None,
        last_by=last.by if last else None,
        last_reason=last.reason if last else None,
        last_run_key=item.last_run_key or None,
    )


def lock_table(deployment: Deployment) -> LockTable:
    """The locks of the environment."""
    return LockTable.connect(deployment.installation.lock_table, client=deployment.clients.dynamodb)


def read_lock(deployment: Deployment, key: str, *, check_holder: bool = False) -> LockStatus | None:
    """The lock's status; None when it was never used.

    Args:
        deployment: The environment.
        key: The lock key.
        check_holder: Also ask Step Functions whether the holder lives.
    """
    item = lock_table(deployment).get(key)
    if item is None:
        return None
    return status_of(item, holder_alive=not check_holder or holder_alive(deployment, item))


def need_item(deployment: Deployment, key: str) -> LockItem:
    """The lock's item.

    Raises:
        OperationError: There is none (LOCK-001).
    """
    table = lock_table(deployment)
    item = table.get(key)
    if item is None:
        guess = nearest(key, [known.lock_key for known in table.list()])
        tries = [f"did you mean {guess}?"] if guess else []
        raise OperationError(
            "LOCK-001", f"no lock is called {key!r}", tries=[*tries, "nightlatch locks list"]
        )
    return item


def list_locks(deployment: Deployment, *, check_holders: bool = True) -> list[LockStatus]:
    """Every lock that was ever used and not yet collected, by key.

    Args:
        deployment: The environment.
        check_holders: Also ask Step Functions whether each holder lives.
    """
    return [
        status_of(item, holder_alive=not check_holders or holder_alive(deployment, item))
        for item in lock_table(deployment).list()
    ]


def holder_alive(deployment: Deployment, item: LockItem) -> bool:
    """Whether the holder may still be at work.

    An execution is asked for its status. For any other holder, and for an execution that Step Functions has
    forgotten, only the lease can tell.
    """
    if item.holder is None:
        return False
    alive: bool | None = None
    if item.holder.kind == Kind.SFN:
        client = deployment.clients.stepfunctions
        try:
            reply = client.describe_execution(executionArn=item.holder.owner)
        except (client.exceptions.ExecutionDoesNotExist, client.exceptions.InvalidArn):
            alive = None
        else:
            alive = reply["status"] in ("RUNNING", "PENDING_REDRIVE")
    return not lock_table(deployment).is_dead(item, alive=alive)


def lock_key_of(deployment: Deployment, job: str) -> str | None:
    """The lock key that the job's deployed state machine uses; for when there is no jobs file at hand."""
    return _find_lock_key(parse(deployed_definition(deployment, job)))


def _find_lock_key(value: Any) -> str | None:
    if isinstance(value, dict):
        key = value.get("lock_key")
        if isinstance(key, str) and "steps" in value:
            return key
        value = list(value.values())
    if isinstance(value, list):
        return next(filter(None, map(_find_lock_key, value)), None)
    return None
