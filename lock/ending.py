"""Giving a lock back when it is not the plain case: waiters, entries that left, clean-up, force."""

from collections.abc import Callable
from typing import Final

from lock import log
from lock.errors import StoreUnavailableError
from lock.events import DropHead, Event, HandOff, ReleaseByFence
from lock.model import FREE_ITEM_DAYS, Holder, Kind, LastRun, LockItem
from lock.results import NotHeld, Released
from lock.rules import Reply

HAND_OFF_GRACE_MS: Final = 30_000
"""A waiter that only its lease can speak for gets this long to notice that it has the lock and to renew."""

# Each refusal means that a waiter came or went in between; this many in a row does not happen.
_TRIES: Final = 100
_DAY_SECONDS: Final = 86_400


def done_run_key(item: LockItem) -> str:
    """The latest run key that is done once this item's holder ends; it never goes back."""
    return max((item.holder.run_key if item.holder else None) or "", item.last_run_key or "")


def collect_after(now_ms: int) -> int:
    """The `ttl` of an item freed now: epoch seconds."""
    return now_ms // 1000 + FREE_ITEM_DAYS * _DAY_SECONDS


def hand_off_lease_ms(head: Holder) -> int:
    """How long a waiter may hold that has just been given the lock.

    An execution that died waiting is recognised by asking Step Functions. Of a process only the lease tells,
    so it gets a short one and renews it when it notices; a dead waiter costs seconds and not a whole lease.
    """
    lease_ms = head.lease_ms or HAND_OFF_GRACE_MS
    return lease_ms if head.kind == Kind.SFN else min(lease_ms, HAND_OFF_GRACE_MS)


class Ending:
    """Ends one hold, conditional on the item as read.

    Args:
        write: performs an operation on a key, recognising its own earlier one.
        now_ms: epoch ms.
        force: the holder has not been drained; its tasks stay on the row.
    """

    def __init__(self, write: Callable[[str, Event], Reply], *, now_ms: int, force: bool = False) -> None:
        self._write = write
        self._now_ms = now_ms
        self._force = force

    def end(self, seen: LockItem, last: LastRun) -> Released | NotHeld:
        """To the first waiter, or free. `NotHeld`: the holder or the fence has changed since the read."""
        held_by = seen.holder.owner if seen.holder else None
        fence = seen.fence
        for _ in range(_TRIES):
            event = self._event(seen, last)
            reply = self._write(seen.lock_key, event)
            item = reply.item
            if item is None:
                return NotHeld(item=None)
            if reply.accepted and not isinstance(event, DropHead):
                log.info("lock.released", lock_key=item.lock_key, owner=last.owner, outcome=last.outcome)
                return Released(item=item, handed_to=item.holder, repeated=reply.repeated)
            if item.holder is None or item.holder.owner != held_by or item.fence != fence:
                return NotHeld(item=item)
            seen = item
        raise StoreUnavailableError("release", TimeoutError("waiters come and go too quickly"))

    def _event(self, seen: LockItem, last: LastRun) -> Event:
        holder = seen.holder
        old_task = holder.traces if holder and self._force else None
        if not seen.queue:
            return ReleaseByFence(
                held_by=last.owner,
                fence=seen.fence,
                last=last,
                last_run_key=done_run_key(seen),
                ttl=collect_after(self._now_ms),
                force=self._force,
                old_task=old_task,
            )
        head = seen.queue[0]
        if head.grant not in seen.queue_ids:
            return DropHead(head=head.grant)
        return HandOff(
            held_by=last.owner,
            fence=seen.fence,
            head=head.grant,
            expires_at=self._now_ms + hand_off_lease_ms(head),
            last=last,
            last_run_key=done_run_key(seen),
            force=self._force,
            old_task=old_task,
        )
