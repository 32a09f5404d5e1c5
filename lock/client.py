"""The operations on a lock, one call each, with results instead of exceptions for lost races.

Every operation recognises its own earlier write: after a lost reply, repeating it is safe and gives the
answer that was lost.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Self

from lock import log
from lock.clock import DEFAULT_MAX_SKEW_MS, SkewGauge, SystemClock
from lock.ending import Ending, collect_after, done_run_key
from lock.events import Acquire, Claim, DropHead, Enqueue, Event, Leave, ReArm, Release, Renew, TakeOver
from lock.model import Holder, Kind, LastRun, LockItem
from lock.results import (
    Acquired,
    Armed,
    Claimed,
    Dropped,
    Duplicate,
    Held,
    Left,
    Lost,
    NotHeld,
    NotQueued,
    NotWaiting,
    Queued,
    Released,
    Renewed,
)
from lock.rules import Reply, already_applied
from lock.verdict import is_dead

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from lock.clock import Clock
    from lock.store import Store


class LockTable:
    """The locks of one table.

    Args:
        store: where the items lie.
        clock: the local clock.
        gauge: what is known of the difference to the store's clock; a `DynamoDBStore` and its `LockTable`
            share one.

    Every method raises `TableMissingError`, `StoreUnavailableError` or `StoreRefusedError` when the store
    does not answer the question at all. Losing a race is a result.
    """

    def __init__(self, store: Store, *, clock: Clock | None = None, gauge: SkewGauge | None = None) -> None:
        self._store = store
        self.clock: Clock = clock or SystemClock()
        self.gauge = gauge or SkewGauge()

    @classmethod
    def connect(
        cls,
        table: str,
        *,
        client: DynamoDBClient | None = None,
        clock: Clock | None = None,
        max_skew_ms: int = DEFAULT_MAX_SKEW_MS,
    ) -> Self:
        """The locks of a DynamoDB table.

        Args:
            table: its name.
            client: a boto3 client; by default one with short timeouts and the SDK's standard retries, for the
                Region, credentials and endpoint of the environment.
            clock: the local clock.
            max_skew_ms: how far clocks may disagree before no lease is judged.
        """
        # Imported here: the SDK is slow to import, and not everybody who knows locks talks to DynamoDB.
        import boto3  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        from lock.dynamodb import DynamoDBStore  # noqa: PLC0415

        clock = clock or SystemClock()
        gauge = SkewGauge(max_skew_ms)
        if client is None:
            config = Config(
                connect_timeout=3,
                read_timeout=5,
                retries={"mode": "standard", "total_max_attempts": 5},
                # `lock.requests` makes the requests of typed values; what else could be wrong with them, such
                # as an empty key, DynamoDB refuses with a reason. The SDK's own look at each takes about as
                # long as all that this package does.
                parameter_validation=False,
                # Shown by CloudTrail beside each write. One that is given is also sent as it is, where the
                # SDK's own is put together anew for every request.
                user_agent=f"nightlatch-lock Boto3/{boto3.__version__}",
            )
            client = boto3.client("dynamodb", config=config)
        return cls(DynamoDBStore(client, table, clock=clock, gauge=gauge), clock=clock, gauge=gauge)

    # -- time ---------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Epoch milliseconds, corrected by the table's clock as far as that is known."""
        return self.clock.now_ms() + self.gauge.offset_ms

    def is_dead(self, item: LockItem, *, alive: bool | None = None) -> bool:
        """The verdict on the holder of an item as read; `alive` is the oracle's answer, None without one."""
        if alive is None and item.holder is not None and not self.gauge.trusted:
            log.warning("lock.clock_skew", offset_ms=self.gauge.offset_ms, lock_key=item.lock_key)
        return is_dead(
            item,
            alive=alive,
            now_ms=self.now_ms(),
            max_skew_ms=self.gauge.max_skew_ms,
            clock_trusted=self.gauge.trusted,
        )

    # -- reading ------------------------------------------------------------------------------------------

    def get(self, key: str) -> LockItem | None:
        """One lock, by a consistent read; None if it was never used, or collected."""
        return self._store.read(key)

    def list(self) -> list[LockItem]:
        """All locks of the table, by key."""
        return sorted(self._store.scan(), key=lambda item: item.lock_key)

    # -- taking -------------------------------------------------------------------------------------------

    def new_holder(self, *, owner: str, job: str, lease_ms: int, kind: str = Kind.CLI, **more: Any) -> Holder:
        """Somebody who may ask for a lock, with a fresh grant; `more` are other members of `Holder`."""
        return Holder(
            owner=owner,
            kind=kind,
            grant=new_grant(),
            job=job,
            acquired_at=self.now_ms(),
            lease_ms=lease_ms,
            **more,
        )

    def acquire(self, key: str, holder: Holder) -> Acquired | Held | Duplicate:
        """Take the lock if it is free; one write that also names the holder if it is not."""
        now, offset, sent_at = self.now_ms(), self.gauge.offset_ms, self.clock.monotonic()
        event = Acquire(holder=holder, expires_at=_lease_end(holder, now), now=now)
        reply = self._write(key, event)
        item = reply.item
        if item is None or item.holder is None or not reply.accepted:
            log.info("lock.duplicate", lock_key=key, owner=holder.owner, run_key=holder.run_key)
            return Duplicate(item=item, run_key=holder.run_key or "")
        if item.holder.owner != holder.owner:
            log.info("lock.held", lock_key=key, owner=holder.owner, held_by=item.holder.owner)
            return Held(item=item, holder=item.holder)
        if abs(self.gauge.offset_ms - offset) > self.gauge.max_skew_ms and item.holder.task_arn is None:
            # The reply taught us that our clock is wrong: the lease that we wrote is, too.
            renewed = self.renew(key, item.holder)
            if isinstance(renewed, Lost):
                return self._not_mine(key, renewed.item, holder)
            item, sent_at = renewed.item, renewed.sent_at
        elif item.lease_expires_at is not None:
            # An earlier request of ours got the lock, and its reply was lost: the lease began then.
            sent_at -= max(0, event.expires_at - item.lease_expires_at) / 1000
        log.info("lock.acquired", lock_key=key, owner=holder.owner, token=item.fence)
        return Acquired(item=item, holder=item.holder or holder, token=item.fence, sent_at=sent_at)

    def take_over(self, seen: LockItem, holder: Holder) -> Acquired | Held | Duplicate:
        """Replace the dead holder of an item as read, if nothing has changed since.

        When others wait, only the first of them can; entries that left are dropped on the way. The tasks of
        the dead holder are in the result's `to_drain`.
        """
        key, dead = seen.lock_key, seen.holder
        if dead is None or seen.lease_expires_at is None:
            raise ValueError(f"lock {key!r} has no holder to take over from: acquire it")
        if holder.run_key is not None and (seen.last_run_key or "") >= holder.run_key:
            return Duplicate(item=seen, run_key=holder.run_key)
        item: LockItem | None = seen
        for entry in seen.queue:
            if entry.grant in seen.queue_ids:
                break
            item = self._write(key, DropHead(head=entry.grant)).item
        head = seen.waiting[0].grant if seen.waiting else None
        if head not in {None, holder.grant}:
            return Held(item=item or seen, holder=dead)
        sent_at = self.clock.monotonic()
        event = TakeOver(
            holder=holder,
            expires_at=_lease_end(holder, self.now_ms()),
            held_by=dead.owner,
            fence=seen.fence,
            lease=seen.lease_expires_at,
            old_task=dead.traces,
            head=head,
        )
        reply = self._write(key, event)
        if not reply.accepted or reply.item is None:
            return self._not_mine(key, reply.item, holder)
        log.warning(
            "lock.taken_over", lock_key=key, owner=holder.owner, token=reply.item.fence, held_by=dead.owner
        )
        return Acquired(
            item=reply.item, holder=holder, token=reply.item.fence, sent_at=sent_at, took_over=dead
        )

    # -- holding ------------------------------------------------------------------------------------------

    def claim(self, key: str, *, owner: str, grant: str, task_arn: str) -> Claimed | Lost:
        """Use a grant, once, from inside the task and before any work. Lost: do not work."""
        event = Claim(owner=owner, grant=grant, task_arn=task_arn, now=self.now_ms())
        reply = self._write(key, event)
        if not reply.accepted or reply.item is None:
            log.warning("lock.claim_refused", lock_key=key, owner=owner, task_arn=task_arn)
            return Lost(item=reply.item)
        log.info("lock.claimed", lock_key=key, owner=owner, token=reply.item.fence, task_arn=task_arn)
        return Claimed(item=reply.item, token=reply.item.fence)

    def renew(self, key: str, holder: Holder) -> Renewed | Lost:
        """Extend the lease by its full length from now. For a task, `holder.task_arn` names it."""
        now, sent_at = self.now_ms(), self.clock.monotonic()
        event = Renew(
            owner=holder.owner,
            grant=holder.grant,
            expires_at=_lease_end(holder, now),
            now=now,
            task_arn=holder.task_arn,
        )
        reply = self._write(key, event)
        if not reply.accepted or reply.item is None:
            log.warning("lock.lost", lock_key=key, owner=holder.owner)
            return Lost(item=reply.item)
        return Renewed(item=reply.item, sent_at=sent_at)

    def re_arm(
        self, seen: LockItem, *, owner: str, grant: str, family: str, succeeded: str | None = None
    ) -> Armed | Lost:
        """Give the next attempt a grant of its own, after everything on the row is STOPPED.

        Args:
            seen: the item as read before the drain.
            owner: mine.
            grant: the present one.
            family: task definition family of the next attempt.
            succeeded: ARN of the tracked task, if the attempt ended well; then `seen` need not be fresh.
        """
        lease_ms = seen.holder.lease_ms if seen.holder else None
        event = ReArm(
            owner=owner,
            grant=grant,
            new_grant=new_grant(),
            family=family,
            expires_at=self.now_ms() + (lease_ms or 0),
            fence=seen.fence if succeeded is None else None,
            task_arn=succeeded,
        )
        reply = self._write(seen.lock_key, event)
        if not reply.accepted or reply.item is None:
            return Lost(item=reply.item)
        return Armed(item=reply.item, grant=event.new_grant)

    # -- giving back --------------------------------------------------------------------------------------

    def release(
        self, mine: LockItem, *, outcome: str = "succeeded", task_arn: str | None = None
    ) -> Released | NotHeld:
        """Give the lock back, or hand it to the first waiter.

        Args:
            mine: the item as the acquire, or the latest re-arm, returned it.
            outcome: how the run ended.
            task_arn: the tracked task that ended well; None for a direct holder.
        """
        holder = mine.holder
        if holder is None:
            return NotHeld(item=mine)
        last = self._last(holder, outcome)
        event = Release(
            owner=holder.owner,
            grant=holder.grant,
            last=last,
            last_run_key=done_run_key(mine),
            ttl=collect_after(self.now_ms()),
            task_arn=task_arn,
        )
        reply = self._write(mine.lock_key, event)
        item = reply.item
        if reply.accepted and item is not None:
            log.info("lock.released", lock_key=mine.lock_key, owner=holder.owner, outcome=outcome)
            return Released(item=item, repeated=reply.repeated)
        present = item.holder if item else None
        if item is None or present is None:
            return NotHeld(item=item)
        if (present.owner, present.grant, present.task_arn) != (holder.owner, holder.grant, task_arn):
            return NotHeld(item=item)
        return self._ending().end(item, last)

    def release_by_fence(
        self, seen: LockItem, *, outcome: str, by: str | None = None, reason: str | None = None
    ) -> Released | NotHeld:
        """End the hold of an item as read, after everything on the row is STOPPED.

        For a run that did not end well, the clean-up after dead holders, and operators who have drained.
        """
        if seen.holder is None:
            return NotHeld(item=seen)
        return self._ending().end(seen, self._last(seen.holder, outcome, by=by, reason=reason, seen=seen))

    def force_release(self, key: str, *, token: int, by: str, reason: str) -> Released | NotHeld:
        """Open a lock without draining it. Its tasks stay on the row for the next holder to stop.

        Args:
            key: the lock.
            token: the fence that the operator was shown; another one means that the holder has changed.
            by: who does it; recorded.
            reason: why; recorded.
        """
        seen = self.get(key)
        if seen is None or seen.holder is None or seen.fence != token:
            return NotHeld(item=seen)
        last = self._last(seen.holder, "stopped", by=by, reason=reason, seen=seen)
        log.warning("lock.forced", lock_key=key, held_by=seen.holder.owner, by=by, reason=reason)
        return self._ending(force=True).end(seen, last)

    # -- waiting ------------------------------------------------------------------------------------------

    def enqueue(self, key: str, entry: Holder, *, max_waiters: int) -> Queued | NotQueued:
        """Wait in line behind the present holder."""
        reply = self._write(key, Enqueue(entry=entry, limit=max_waiters))
        item = reply.item
        if reply.accepted and item is not None:
            position = next((i for i, e in enumerate(item.waiting) if e.grant == entry.grant), 0)
            log.info("lock.waiting", lock_key=key, owner=entry.owner, position=position)
            return Queued(item=item, position=position)
        if item is None or item.holder is None:
            return NotQueued(item=item, reason="free")
        return NotQueued(item=item, reason="mine" if item.holder.owner == entry.owner else "full")

    def leave(self, key: str, *, grant: str) -> Left | NotWaiting:
        """Stop waiting. `NotWaiting` may mean that the lock has just been handed over: look at the item."""
        reply = self._write(key, Leave(grant=grant))
        item = reply.item
        # A repeated request is refused, too; an entry without its id shows that the first one was accepted.
        left_before = item is not None and any(entry.grant == grant for entry in item.queue)
        return Left(item=item) if item and (reply.accepted or left_before) else NotWaiting(item=item)

    def drop_head(self, seen: LockItem) -> Dropped:
        """Remove the first entry of an item as read, because it left or is dead."""
        if not seen.queue:
            return Dropped(item=seen)
        return Dropped(item=self._write(seen.lock_key, DropHead(head=seen.queue[0].grant)).item)

    # -- inside -------------------------------------------------------------------------------------------

    def _write(self, key: str, event: Event) -> Reply:
        reply = self._store.write(key, event)
        if not reply.accepted and already_applied(event, reply.item):
            log.info("lock.lost_reply_recognised", lock_key=key, operation=type(event).__name__)
            return Reply(reply.item, accepted=True, repeated=True)
        return reply

    def _not_mine(self, key: str, item: LockItem | None, holder: Holder) -> Acquired | Held | Duplicate:
        """The answer to somebody whose write was refused: whoever holds it, or, if nobody, ask again."""
        if item is not None and item.holder is not None:
            return Held(item=item, holder=item.holder)
        return self.acquire(key, holder)

    def _ending(self, *, force: bool = False) -> Ending:
        return Ending(self._write, now_ms=self.now_ms(), force=force)

    def _last(
        self,
        holder: Holder,
        outcome: str,
        *,
        by: str | None = None,
        reason: str | None = None,
        seen: LockItem | None = None,
    ) -> LastRun:
        return LastRun(
            owner=holder.owner,
            grant=holder.grant,
            outcome=outcome,
            at=self.now_ms(),
            job=holder.job,
            fence=seen.fence if seen else None,
            run_key=holder.run_key,
            by=by,
            reason=reason,
        )


def new_grant() -> str:
    """A right that nobody can have by accident."""
    return secrets.token_hex(8)


def _lease_end(holder: Holder, now_ms: int) -> int:
    if holder.lease_ms is None:
        raise ValueError("a holder needs lease_ms: how long it may hold without a sign of life")
    return now_ms + holder.lease_ms
