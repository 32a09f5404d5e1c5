"""What an operation on a lock came to. Losing a race is one of these, never an exception."""

from dataclasses import dataclass
from typing import Literal

from lock.model import Holder, LockItem, StaleTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquired:
    """The lock is mine.

    Attributes:
        item: as it is now.
        holder: me, with the grant to use: after a lost reply it may be an earlier one than was sent.
        token: the fencing token of a direct holder; a task gets its own from its claim.
        sent_at: monotonic seconds just before the lease was written: the holder counts from there.
        took_over: the dead holder that was replaced.
    """

    item: LockItem
    holder: Holder
    token: int
    sent_at: float
    took_over: Holder | None = None

    @property
    def to_drain(self) -> tuple[StaleTask, ...]:
        """Tasks that must be STOPPED before anything is run; then re-arm."""
        own = self.holder.traces if self.holder.task_arn is not None else None
        return (*self.item.stale_tasks, own) if own else self.item.stale_tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Somebody else holds it."""

    item: LockItem
    holder: Holder


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """The run key is done already, or another living run does it now."""

    item: LockItem | None
    run_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The grant is used by this task, and by no other."""

    item: LockItem
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """The lease ends later now; the holder counts from `sent_at`, monotonic seconds before the request."""

    item: LockItem
    sent_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """The next attempt has a grant of its own."""

    item: LockItem
    grant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The grant is worth nothing (any more); the item says who has the lock now."""

    item: LockItem | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The lock is free, or the next waiter's.

    Attributes:
        item: as it is now.
        handed_to: the waiter that has it now.
        repeated: it had been released by an earlier request of the same holder.
    """

    item: LockItem
    handed_to: Holder | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NotHeld:
    """There was nothing to release: not by this holder, or not with this token."""

    item: LockItem | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """Waiting in line; position 0 is next."""

    item: LockItem
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotQueued:
    """Not waiting: the line is full, or the lock is free, or it is mine already."""

    item: LockItem | None
    reason: Literal["full", "free", "mine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """No longer waiting: this waiter will not be given the lock."""

    item: LockItem


@dataclass(frozen=True, slots=True, kw_only=True)
class NotWaiting:
    """Was not waiting any more: it was dropped, or has the lock by now."""

    item: LockItem | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """The first entry is gone from the queue."""

    item: LockItem | None
