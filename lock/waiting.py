"""How a program gets a lock that somebody else holds: by a verdict, or by waiting in line."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from lock import log
from lock.ending import HAND_OFF_GRACE_MS
from lock.results import Acquired, Dropped, Duplicate, Held, Left, Lost, Queued
from lock.verdict import lease_expired

if TYPE_CHECKING:
    from collections.abc import Callable

    from lock.client import LockTable
    from lock.model import Holder, LockItem


class Acquisition:
    """One attempt to get one lock, bounded in time.

    Args:
        table: the locks.
        key: which one.
        holder: who asks, with the grant to use.
        wait_seconds: how long to wait for it.
        max_waiters: how long the line may be.
        poll_seconds: how often to look.
        alive: the oracle, if there is one.
        can_drain: whether tasks of a dead holder can be stopped; without that it is not replaced.
    """

    def __init__(
        self,
        table: LockTable,
        key: str,
        holder: Holder,
        *,
        wait_seconds: float,
        max_waiters: int,
        poll_seconds: float,
        alive: Callable[[Holder], bool | None] | None,
        can_drain: bool,
    ) -> None:
        self._table = table
        self._key = key
        self._holder = holder
        self._wait_seconds = wait_seconds
        self._max_waiters = max_waiters
        self._poll_seconds = poll_seconds
        self._alive = alive
        self._can_drain = can_drain
        self._queued = False

    def run(self) -> Acquired | Held | Duplicate:
        """Ask, replace a dead holder, or wait in line until the time is over."""
        clock = self._table.clock
        deadline = clock.monotonic() + self._wait_seconds
        result = self._table.acquire(self._key, self._holder)
        while isinstance(result, Held):
            seen = result.item
            replaced = self._replace_dead(seen)
            if replaced is not None:
                result = replaced
                continue
            if self._holder.run_key is not None and result.holder.run_key == self._holder.run_key:
                return self._give_up(Duplicate(item=seen, run_key=self._holder.run_key))
            left = deadline - clock.monotonic()
            if left <= 0:
                return self._give_up(result)
            if not self._queued:
                joined = self._table.enqueue(self._key, self._holder, max_waiters=self._max_waiters)
                if isinstance(joined, Queued):
                    self._queued = True
                elif joined.reason == "full":
                    return result
            clock.wait(threading.Event(), min(left, self._poll_seconds * random.uniform(0.5, 1.0)))
            result = self._judge(self._table.get(self._key))
        return result

    def _judge(self, item: LockItem | None) -> Acquired | Held | Duplicate:
        """What an item as read means to this waiter."""
        if item is None or item.holder is None:
            self._queued = False
            return self._table.acquire(self._key, self._holder)
        if item.holder.owner == self._holder.owner:
            return self._accept(item, item.holder)
        # Dropped from the line by somebody who took us for dead: join it again.
        self._queued = self._queued and self._holder.grant in item.queue_ids
        return Held(item=item, holder=item.holder)

    def _accept(self, item: LockItem, handed: Holder) -> Acquired | Held | Duplicate:
        """The lock was handed over: the lease that came with it is short, so renew it first."""
        self._queued = False
        run_key = self._holder.run_key
        if run_key is not None and (item.last_run_key or "") >= run_key:
            self._table.release(item, outcome="duplicate")
            return Duplicate(item=item, run_key=run_key)
        renewed = self._table.renew(self._key, handed)
        if isinstance(renewed, Lost):
            return self._judge(renewed.item)
        log.info("lock.acquired", lock_key=self._key, owner=handed.owner, token=item.fence)
        return Acquired(
            item=renewed.item,
            holder=renewed.item.holder or handed,
            token=item.fence,
            sent_at=renewed.sent_at,
        )

    def _give_up(self, answer: Held | Duplicate) -> Acquired | Held | Duplicate:
        """Leave the line; whoever is given the lock in this very moment has it."""
        if not self._queued:
            return answer
        gone = self._table.leave(self._key, grant=self._holder.grant)
        self._queued = False
        if isinstance(gone, Left) or gone.item is None or gone.item.holder is None:
            return answer
        if gone.item.holder.owner == self._holder.owner:
            return self._accept(gone.item, gone.item.holder)
        return answer

    def _replace_dead(self, seen: LockItem) -> Acquired | Held | Duplicate | None:
        """Take over from a dead holder, or bring the line forward; None if there is nothing to do."""
        if seen.holder is None or (seen.to_drain and not self._can_drain):
            return None
        if not self._dead(seen, seen.holder):
            return None
        waiting = seen.waiting
        position = next((i for i, e in enumerate(waiting) if e.grant == self._holder.grant), len(waiting))
        if position == 0:
            taken = self._table.take_over(seen, self._holder)
            # Refused with nothing changed means that somebody joined the line in between.
            return None if isinstance(taken, Held) and taken.item == seen else taken
        if not self._head_is_dead(seen, waiting[0], position):
            return None
        return self._dropped(self._table.drop_head(seen))

    def _dropped(self, dropped: Dropped) -> Acquired | Held | Duplicate:
        log.warning("lock.dead_waiter_dropped", lock_key=self._key)
        return self._judge(dropped.item)

    def _dead(self, seen: LockItem, holder: Holder) -> bool:
        alive = self._alive(holder) if self._alive else None
        if alive and self._expired(seen, 0):
            log.warning("lock.lease_overrun", lock_key=self._key, held_by=holder.owner)
        return self._table.is_dead(seen, alive=alive)

    def _head_is_dead(self, seen: LockItem, head: Holder, position: int) -> bool:
        """Whether the first waiter lives: by the oracle, or because it lets a dead holder lie.

        A living head takes over within a poll. The farther back, the more patience, so that a head that has
        only just moved up is not dropped by the one behind it.
        """
        alive = self._alive(head) if self._alive else None
        if alive is not None:
            return not alive
        return self._expired(seen, position * HAND_OFF_GRACE_MS)

    def _expired(self, seen: LockItem, patience_ms: int) -> bool:
        gauge = self._table.gauge
        return gauge.trusted and lease_expired(
            seen, now_ms=self._table.now_ms(), max_skew_ms=gauge.max_skew_ms + patience_ms
        )
