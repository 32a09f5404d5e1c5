"""Keeping a lease alive from a background thread, for a holder that asked for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from lock import log
from lock.errors import LockError
from lock.results import Lost

if TYPE_CHECKING:
    from collections.abc import Callable

    from lock.client import LockTable
    from lock.model import Holder


RENEWALS_PER_LEASE: Final = 5
"""So many attempts fit into one lease."""

MARGIN: Final = 0.1
"""The last part of a lease, in which a holder that could not renew counts itself out."""


class Lease:
    """A holder's own idea of how long it holds, counted from before each request was sent.

    Args:
        table: the locks.
        key: which one.
        holder: me.
        sent_at: monotonic time just before the request that got the lock was sent.
        lost: set once the lock is lost.
        on_lost: called then, once.
    """

    def __init__(
        self,
        table: LockTable,
        key: str,
        holder: Holder,
        *,
        sent_at: float,
        lost: threading.Event,
        on_lost: Callable[[], None] | None,
    ) -> None:
        self._table = table
        self._key = key
        self._holder = holder
        self._seconds = (holder.lease_ms or 0) / 1000
        self._good_until = sent_at + self._seconds * (1 - MARGIN)
        self._lost = lost
        self._on_lost = on_lost
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def good(self) -> bool:
        """Whether the lease still runs, with the margin, and nobody said that it is lost."""
        return not self._lost.is_set() and self._table.clock.monotonic() < self._good_until

    def renew(self) -> bool:
        """Renew once; False if the lock is lost. Errors of the store pass through."""
        renewed = self._table.renew(self._key, self._holder)
        if isinstance(renewed, Lost):
            self._declare_lost()
            return False
        self._good_until = renewed.sent_at + self._seconds * (1 - MARGIN)
        return True

    def start(self) -> None:
        """Renew from a daemon thread until stopped or lost."""
        self._thread = threading.Thread(target=self.keep, name=f"renew {self._key}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; when this returns it sends nothing more."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def keep(self) -> None:
        """Renew, wait, and so on. A store that does not answer is asked again until the margin begins."""
        period = self._seconds / RENEWALS_PER_LEASE
        while not self._table.clock.wait(self._stop, period):
            try:
                if not self.renew():
                    return
            except LockError as error:
                log.warning("lock.renewal_failed", lock_key=self._key, error=str(error))
            if not self.good:
                self._declare_lost()
                return

    def _declare_lost(self) -> None:
        if not self._lost.is_set():
            self._lost.set()
            log.error("lock.lost", lock_key=self._key, owner=self._holder.owner)
            if self._on_lost is not None:
                self._on_lost()
