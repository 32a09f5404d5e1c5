"""Whether a holder is dead. First the oracle, then the lease."""

from lock.model import LockItem


def lease_expired(item: LockItem, *, now_ms: int, max_skew_ms: int) -> bool:
    """Whether the lease has ended for every clock that is right to within the allowed skew."""
    return item.lease_expires_at is not None and now_ms > item.lease_expires_at + max_skew_ms


def is_dead(
    item: LockItem, *, alive: bool | None, now_ms: int, max_skew_ms: int, clock_trusted: bool = True
) -> bool:
    """The verdict on the holder of an item as read.

    Args:
        item: as read; a free item has nobody to be dead.
        alive: what the oracle says (for an execution, by DescribeExecution: RUNNING or PENDING_REDRIVE is
            alive), or None where there is none or it cannot answer. Only then the lease counts.
        now_ms: epoch ms, corrected by the store's clock where that is known.
        max_skew_ms: allowance for clocks.
        clock_trusted: False when the local clock is too far off to judge a lease: then nobody is dead by it.
    """
    if item.holder is None:
        return False
    if alive is not None:
        return not alive
    return clock_trusted and lease_expired(item, now_ms=now_ms, max_skew_ms=max_skew_ms)
