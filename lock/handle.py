"""One lock for one program: take it, hold it, give it back.

from lock import Lock

with Lock("reports", table="locks", lease_seconds=600) as held:
    write_report(token=held.token)
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from typing import TYPE_CHECKING, Self

from lock import log
from lock.client import LockTable
from lock.ending import HAND_OFF_GRACE_MS
from lock.errors import LockHeldError, LockLostError, StaleTasksError
from lock.model import Kind
from lock.renewal import Lease
from lock.results import Acquired, Duplicate, Held, NotHeld, Released
from lock.waiting import Acquisition

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from lock.model import Holder, StaleTask


def process_owner() -> str:
    """A name for this use of this process that no other has: host, process id, and a random part."""
    return f"cli:{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"


class Lock:
    """A lock held by this process itself, for any Python program.

    The lease must be longer than the work, or `renew=True` must be asked for. A holder that is paused for
    longer than its lease loses the lock without noticing in time; give the `token` to what you write to
    (`lock.fence`) where that matters.

    Args:
        key: name of the lock.
        table: name of the DynamoDB table, or a `LockTable`.
        lease_seconds: how long the lock stays held without a sign of life.
        job: what is shown to others as the holder's work; the key by default.
        run_key: a text that grows from run to run, such as the scheduled time; a key that is done is not
            done again. Texts from `~` on are not allowed.
        wait_seconds: how long to wait, in line, for a lock that is held. 0: not at all.
        max_waiters: how many may wait.
        poll_seconds: how often a waiter looks; at most 10, a third of the hand-off grace.
        renew: renew the lease from a background thread.
        on_lost: called from that thread once the lock is lost.
        alive: asks whether a holder lives: True, False, or None if it cannot be told. Without it, and with
            None, the lease decides.
        drain: stops a task of an earlier holder and returns when it is STOPPED.
    """

    def __init__(
        self,
        key: str,
        *,
        table: str | LockTable,
        lease_seconds: float = 60.0,
        job: str | None = None,
        run_key: str | None = None,
        wait_seconds: float = 0.0,
        max_waiters: int = 10,
        poll_seconds: float = 2.0,
        renew: bool = False,
        on_lost: Callable[[], None] | None = None,
        alive: Callable[[Holder], bool | None] | None = None,
        drain: Callable[[StaleTask], None] | None = None,
    ) -> None:
        if lease_seconds <= 0 or wait_seconds < 0 or max_waiters < 1:
            raise ValueError("lease_seconds and max_waiters must be positive, wait_seconds not negative")
        if not 0 < poll_seconds * 1000 <= HAND_OFF_GRACE_MS / 3:
            raise ValueError(f"poll_seconds must be above 0 and at most {HAND_OFF_GRACE_MS / 3000:g}")
        if run_key is not None and not "" < run_key < "~":
            raise ValueError("run_key must not be empty and must sort before '~'")
        self.key = key
        self.lost = threading.Event()
        self._table = table if isinstance(table, LockTable) else LockTable.connect(table)
        self._lease_ms = round(lease_seconds * 1000)
        self._job = job or key
        self._run_key = run_key
        self._wait_seconds = wait_seconds
        self._max_waiters = max_waiters
        self._poll_seconds = poll_seconds
        self._renews = renew
        self._on_lost = on_lost
        self._alive = alive
        self._drain = drain
        self._asking: Holder | None = None
        self._held: Acquired | None = None
        self._lease: Lease | None = None

    def acquire(self) -> Acquired | Held | Duplicate:
        """Take the lock, waiting for it as long as was asked for.

        After an error of the store, asking again is safe: it is the same owner that asks.

        Raises:
            StaleTasksError: the row names tasks of an earlier holder, and there is no `drain`.
        """
        if self._held is not None:
            return self._held
        if self._asking is None:
            self._asking = self._table.new_holder(
                owner=process_owner(),
                job=self._job,
                lease_ms=self._lease_ms,
                kind=Kind.CLI,
                host=socket.gethostname(),
                run_key=self._run_key,
            )
        result = Acquisition(
            self._table,
            self.key,
            self._asking,
            wait_seconds=self._wait_seconds,
            max_waiters=self._max_waiters,
            poll_seconds=self._poll_seconds,
            alive=self._alive,
            can_drain=self._drain is not None,
        ).run()
        self._asking = None
        if not isinstance(result, Acquired):
            return result
        self._empty(result)
        self.lost.clear()
        self._held = result
        self._lease = Lease(
            self._table,
            self.key,
            result.holder,
            sent_at=result.sent_at,
            lost=self.lost,
            on_lost=self._on_lost,
        )
        if not self._lease.good and not self._lease.renew():
            # The answer took as long as the lease, and somebody else was quicker.
            self._held = None
            return self.acquire()
        if self._renews:
            self._lease.start()
        return result

    def release(self, outcome: str = "succeeded") -> Released | NotHeld:
        """Give the lock back, or hand it to the first waiter. `NotHeld`: it had been lost."""
        if self._lease is not None:
            self._lease.stop()
        if self._held is None:
            return NotHeld(item=None)
        result = self._table.release(self._held.item, outcome=outcome)
        self._held = None
        self._lease = None
        if isinstance(result, NotHeld):
            log.warning("lock.was_lost", lock_key=self.key)
        return result

    def renew(self) -> None:
        """Extend the lease by its full length from now.

        Raises:
            LockLostError: somebody else has the lock.
        """
        if self._lease is None or not self._lease.renew():
            raise LockLostError(f"lock {self.key!r} is no longer held: stop working and look who has it.")

    def check(self) -> None:
        """Go on only while the lease runs.

        Raises:
            LockLostError: it has ended, or is about to, or the lock was lost.
        """
        if self._lease is None or not self._lease.good:
            raise LockLostError(
                f"the lease of lock {self.key!r} has ended, or is about to. Stop working; "
                "a longer lease_seconds or renew=True keeps it."
            )

    @property
    def token(self) -> int:
        """The fencing token: grows with every holder of this lock.

        Raises:
            LockLostError: the lock is not held.
        """
        if self._held is None:
            raise LockLostError(f"lock {self.key!r} is not held, so there is no token: acquire it first.")
        return self._held.token

    def __enter__(self) -> Self:
        result = self.acquire()
        if isinstance(result, Held):
            raise LockHeldError(
                f"lock {self.key!r} is held by {result.holder.owner} for {result.holder.job!r}. "
                "Wait for it (wait_seconds=...), or use acquire(), which answers instead of raising."
            )
        if isinstance(result, Duplicate):
            raise LockHeldError(
                f"run key {result.run_key!r} of lock {self.key!r} is done, or being done, by another run. "
                "There is nothing left to do."
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release("succeeded" if kind is None else "failed")

    def _empty(self, got: Acquired) -> None:
        """Stop what earlier holders may have left running; if that fails, the row keeps it in mind."""
        if not got.to_drain:
            return
        try:
            if self._drain is None:
                raise StaleTasksError(self.key)  # noqa: TRY301 -- given back like any other failure to drain
            for task in got.to_drain:
                self._drain(task)
        except BaseException:
            self._table.force_release(
                self.key, token=got.item.fence, by=got.holder.owner, reason="tasks could not be stopped"
            )
            raise
