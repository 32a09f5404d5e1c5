"""The operations on a lock item as values: what a caller wants written, without any I/O.

`lock.requests` makes an UpdateItem of an event, `lock.rules` applies it to a value, and a property test holds
the two together. What each is for, and why its condition is as it is, stands at its expression in
`lock.expressions`.
"""

from dataclasses import dataclass

from lock.expressions import NO_RUN_KEY
from lock.model import Holder, LastRun, StaleTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquire:
    """Take the lock if it is free; in any case learn who holds it."""

    holder: Holder
    expires_at: int
    now: int

    @property
    def run_key(self) -> str:
        """What is compared with the last run key."""
        return NO_RUN_KEY if self.holder.run_key is None else self.holder.run_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A task uses its grant."""

    owner: str
    grant: str
    task_arn: str
    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew:
    """Extend the lease. `task_arn` None: a direct holder."""

    owner: str
    grant: str
    expires_at: int
    now: int
    task_arn: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOver:
    """Replace a dead holder, on the item exactly as read.

    Attributes:
        holder: the taker.
        expires_at: end of its lease.
        held_by: owner as read.
        fence: as read.
        lease: `lease_expires_at` as read.
        old_task: what the dead holder may have left running.
        head: the taker's grant in the queue, if it is the first there.
    """

    holder: Holder
    expires_at: int
    held_by: str
    fence: int
    lease: int
    old_task: StaleTask | None
    head: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReArm:
    """Give the next attempt a grant of its own.

    Exactly one is set: `fence`, as read, after a drain; or `task_arn`, the tracked task, which ended well.
    """

    owner: str
    grant: str
    new_grant: str
    family: str
    expires_at: int
    fence: int | None = None
    task_arn: str | None = None

    def __post_init__(self) -> None:
        if (self.fence is None) == (self.task_arn is None):
            raise ValueError("a re-arm names either the fence as read or the task that ended well")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The usual end. `task_arn` None: a direct holder."""

    owner: str
    grant: str
    last: LastRun
    last_run_key: str
    ttl: int
    task_arn: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseByFence:
    """Every other end, after a drain. `force`: not drained, so the next holder must do it."""

    held_by: str
    fence: int
    last: LastRun
    last_run_key: str
    ttl: int
    force: bool = False
    old_task: StaleTask | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOff:
    """Give the lock to the first waiter. `force`: not drained, so the waiter must do it."""

    held_by: str
    fence: int
    head: str
    expires_at: int
    last: LastRun
    last_run_key: str
    force: bool = False
    old_task: StaleTask | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueue:
    """Wait in line, if there is a holder and room for one more than `limit` - 1."""

    entry: Holder
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Stop waiting."""

    grant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DropHead:
    """Remove the first entry, which left or is dead."""

    head: str


Event = (
    Acquire
    | Claim
    | Renew
    | TakeOver
    | ReArm
    | Release
    | ReleaseByFence
    | HandOff
    | Enqueue
    | Leave
    | DropHead
)
