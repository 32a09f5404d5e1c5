"""Making sure, again and again, that a grant that many containers share is still the holder's.

One container's claim is a write that a drain can see. A fan-out's containers share a grant and only read, so
each looks again every half minute: one that nobody could find ends by itself soon after the lock went on.
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tasks.runtime.failures import LockLostError, RuntimeFailure

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

PERIOD: Final = 30.0


class Verification:
    """Calls `verify` every `period` seconds in a thread, until `finish` or until the grant is lost.

    A table that does not answer proves nothing, so the job goes on meanwhile.
    """

    def __init__(
        self,
        verify: Callable[[], object],
        log: "FilteringBoundLogger",
        on_lock_lost: Callable[[], None],
        period: float = PERIOD,
    ) -> None:
        self._verify = verify
        self._log = log
        self._on_lock_lost = on_lock_lost
        self._period = period
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="verification", daemon=True)
        self.lock_lost: LockLostError | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self) -> None:
        """End; a look that is under way is not waited for."""
        self._end.set()

    def _run(self) -> None:
        while not self._end.wait(self._period):
            try:
                self._verify()
            except LockLostError as error:
                self.lock_lost = error
                self._on_lock_lost()
                return
            except RuntimeFailure as error:
                self._log.warning("the grant could not be verified", reason=str(error))
