"""What every operation does to a lock item, as a pure function.

The model checker searches over it, the in-memory store is made of it, and a property test shows on random
items that it does what DynamoDB does with the expressions.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from lock.events import (
    Acquire,
    Claim,
    DropHead,
    Enqueue,
    Event,
    HandOff,
    Leave,
    ReArm,
    Release,
    ReleaseByFence,
    Renew,
    TakeOver,
)
from lock.model import LockItem, StaleTask


class Reply(NamedTuple):
    """The item after the operation, as ALL_NEW, or as it is when the condition refused it, as ALL_OLD.

    `repeated`: refused by its own earlier success, whose reply was lost, and so accepted after all.
    """

    item: LockItem | None
    accepted: bool
    repeated: bool = False


def apply(item: LockItem | None, event: Event, *, key: str = "") -> Reply:
    """Apply one operation.

    Args:
        item: the stored item, or None where there is none.
        event: what to do.
        key: the lock key, for an item that an acquire creates.
    """
    if isinstance(event, Acquire):
        return _acquire(item, event, key)
    if item is None:
        return Reply(None, accepted=False)
    after = _TRANSITION[type(event)](item, event)
    return Reply(item, accepted=False) if after is None else Reply(after, accepted=True)


def already_applied(event: Event, item: LockItem | None) -> bool:
    """Whether the item says that a refused operation had been applied before: its reply was lost.

    Acquire, claim and renew need no such test: their expressions accept a repetition.
    """
    if item is None:
        return False
    holder = item.holder
    held_as = (holder.owner, holder.grant) if holder else None
    match event:
        case TakeOver():
            applied = held_as == (event.holder.owner, event.holder.grant)
        case ReArm():
            applied = held_as == (event.owner, event.new_grant)
        case Release():
            last = item.last
            applied = last is not None and (last.owner, last.grant) == (event.owner, event.grant)
        case ReleaseByFence() | HandOff():
            applied = item.last == event.last
        case Enqueue():
            applied = event.entry.grant in item.queue_ids
        case _:
            applied = False
    return applied


def _acquire(item: LockItem | None, event: Acquire, key: str) -> Reply:
    if item is None:
        created = LockItem(
            lock_key=key, fence=event.now, holder=event.holder, lease_expires_at=event.expires_at
        )
        return Reply(created, accepted=True)
    if item.last_run_key is not None and not item.last_run_key < event.run_key:
        return Reply(item, accepted=False)
    lease = event.expires_at if item.lease_expires_at is None else item.lease_expires_at
    return Reply(
        replace(item, holder=item.holder or event.holder, lease_expires_at=lease, ttl=None), accepted=True
    )


def _claim(item: LockItem, event: Claim) -> LockItem | None:
    holder = item.holder
    if holder is None or (holder.owner, holder.grant) != (event.owner, event.grant):
        return None
    if holder.task_arn not in {None, event.task_arn}:
        return None
    before = item.fence if holder.grant_fence is None else holder.grant_fence
    claimed_at = event.now if holder.claimed_at is None else holder.claimed_at
    claimed = replace(holder, task_arn=event.task_arn, claimed_at=claimed_at, grant_fence=before)
    return replace(item, holder=claimed, fence=before + 1)


def _renew(item: LockItem, event: Renew) -> LockItem | None:
    holder = item.holder
    if holder is None or (holder.owner, holder.grant, holder.task_arn) != (
        event.owner,
        event.grant,
        event.task_arn,
    ):
        return None
    return replace(item, holder=replace(holder, heartbeat_at=event.now), lease_expires_at=event.expires_at)


def _take_over(item: LockItem, event: TakeOver) -> LockItem | None:
    if not _as_read(item, event.held_by, event.fence) or item.lease_expires_at != event.lease:
        return None
    if event.head is None and item.queue:
        return None
    if event.head is not None:
        if not (item.queue and item.queue[0].grant == event.head):
            return None
        item = replace(_without_id(item, event.head), queue=item.queue[1:])
    return replace(
        item,
        holder=event.holder,
        lease_expires_at=event.expires_at,
        fence=item.fence + 1,
        stale_tasks=_with_task(item, event.old_task),
    )


def _re_arm(item: LockItem, event: ReArm) -> LockItem | None:
    holder = item.holder
    if holder is None or (holder.owner, holder.grant) != (event.owner, event.grant):
        return None
    if event.task_arn is not None and holder.task_arn != event.task_arn:
        return None
    if event.fence is not None and item.fence != event.fence:
        return None
    armed = replace(
        holder,
        grant=event.new_grant,
        family=event.family,
        task_arn=None,
        claimed_at=None,
        grant_fence=None,
    )
    return replace(
        item, holder=armed, lease_expires_at=event.expires_at, fence=item.fence + 1, stale_tasks=()
    )


def _release(item: LockItem, event: Release) -> LockItem | None:
    holder = item.holder
    if holder is None or item.queue:
        return None
    if (holder.owner, holder.grant, holder.task_arn) != (event.owner, event.grant, event.task_arn):
        return None
    return _freed(item, event, stale_tasks=())


def _release_by_fence(item: LockItem, event: ReleaseByFence) -> LockItem | None:
    if not _as_read(item, event.held_by, event.fence) or item.queue:
        return None
    return _freed(item, event, stale_tasks=_with_task(item, event.old_task) if event.force else ())


def _hand_off(item: LockItem, event: HandOff) -> LockItem | None:
    if not _as_read(item, event.held_by, event.fence):
        return None
    if not (item.queue and item.queue[0].grant == event.head and event.head in item.queue_ids):
        return None
    return replace(
        _without_id(item, event.head),
        holder=item.queue[0],
        queue=item.queue[1:],
        lease_expires_at=event.expires_at,
        fence=item.fence + 1,
        last=event.last,
        last_run_key=event.last_run_key,
        stale_tasks=_with_task(item, event.old_task) if event.force else (),
    )


def _enqueue(item: LockItem, event: Enqueue) -> LockItem | None:
    entry = event.entry
    if item.holder is None or item.holder.owner == entry.owner:
        return None
    if item.queue_ids and (entry.grant in item.queue_ids or len(item.queue_ids) >= event.limit):
        return None
    return replace(item, queue=(*item.queue, entry), queue_ids=item.queue_ids | {entry.grant})


def _as_read(item: LockItem, owner: str, fence: int) -> bool:
    return item.holder is not None and item.holder.owner == owner and item.fence == fence


def _with_task(item: LockItem, task: StaleTask | None) -> tuple[StaleTask, ...]:
    return (*item.stale_tasks, task) if task else item.stale_tasks


def _without_id(item: LockItem, grant: str) -> LockItem:
    return replace(item, queue_ids=item.queue_ids - {grant})


def _freed(
    item: LockItem, event: Release | ReleaseByFence, *, stale_tasks: tuple[StaleTask, ...]
) -> LockItem:
    return LockItem(
        lock_key=item.lock_key,
        fence=item.fence + 1,
        stale_tasks=stale_tasks,
        last=event.last,
        last_run_key=event.last_run_key,
        ttl=event.ttl,
    )


def _leave(item: LockItem, event: Leave) -> LockItem | None:
    return _without_id(item, event.grant) if event.grant in item.queue_ids else None


def _drop_head(item: LockItem, event: DropHead) -> LockItem | None:
    if not (item.queue and item.queue[0].grant == event.head):
        return None
    return replace(_without_id(item, event.head), queue=item.queue[1:])


_TRANSITION: Final[Mapping[type, Callable[[LockItem, Any], LockItem | None]]] = MappingProxyType(
    {
        Claim: _claim,
        Renew: _renew,
        TakeOver: _take_over,
        ReArm: _re_arm,
        Release: _release,
        ReleaseByFence: _release_by_fence,
        HandOff: _hand_off,
        Enqueue: _enqueue,
        Leave: _leave,
        DropHead: _drop_head,
    }
)
