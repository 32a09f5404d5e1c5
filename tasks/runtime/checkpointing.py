"""Uploading checkpoints while the job runs."""

import threading
from typing import TYPE_CHECKING, Final

from tasks.runtime.failures import LockLostError, RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from tasks.runtime.checkpoint import Checkpoint

PERIOD: Final = 2.0


class Checkpointing:
    """Keeps `checkpoint` in step every `period` seconds, in a thread, until `finish`.

    A store that does not answer is tried again at the next round: the job goes on meanwhile.
    """

    def __init__(
        self,
        checkpoint: "Checkpoint",
        log: "FilteringBoundLogger",
        on_lock_lost: "Callable[[], None]",
        period: float = PERIOD,
    ) -> None:
        self._checkpoint = checkpoint
        self._log = log
        self._on_lock_lost = on_lock_lost
        self._period = period
        self._end = threading.Event()
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        self.lock_lost: LockLostError | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(self._period):
            if not self._sync():
                return

    def _sync(self) -> bool:
        """One round; False when the lock is lost and no further round makes sense."""
        try:
            changed = self._checkpoint.sync()
        except LockLostError as error:
            self.lock_lost = error
            self._on_lock_lost()
            return False
        except RuntimeFailure as error:
            if str(error) != self._trouble:  # one line for one trouble, not one every two seconds
                self._trouble = str(error)
                self._log.warning("checkpoint not uploaded", reason=self._trouble)
            return True
        self._trouble = ""
        if changed:
            self._log.debug("checkpoint uploaded", files=changed)
        return True

    def finish(self, timeout: float) -> bool:
        """Upload what is there for the last time, within `timeout` seconds; True if it is safe now."""
        self._end.set()
        if self.lock_lost is not None:
            return False
        # The last round runs in a thread of its own: a store that hangs must not use up the stop grace.
        last = threading.Thread(target=self._last, name="last-checkpoint", daemon=True)
        last.start()
        last.join(timeout)
        return not last.is_alive() and self._is_safe()

    def _is_safe(self) -> bool:
        return self.lock_lost is None and not self._trouble

    def _last(self) -> None:
        self._thread.join()
        if self.lock_lost is None:
            self._sync()
