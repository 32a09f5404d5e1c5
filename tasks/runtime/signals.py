"""SIGTERM and SIGINT, from the first moment on.

Before the job runs there is nothing to save, so a stop ends the preparation where it is (StoppedEarly out
of whatever was being done). While it runs, a stop is an event among others. While its output is being
published a stop waits: the work is done and only has to be put in place.
"""

import enum
import queue
import signal
import time
from types import FrameType
from typing import Final

from tasks.runtime.failures import StoppedEarly

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Event(enum.Enum):
    """What the supervisor waits for."""

    STOP = "stop"
    EXIT = "exit"
    LOCK_LOST = "lock_lost"


class StopSignals:
    """Turns stop signals into StoppedEarly or an event; `stopped_at` is the monotonic time of the first."""

    def __init__(self) -> None:
        # SimpleQueue.put may be called from a signal handler (it is reentrant).
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.stopped_at: float | None = None
        self._preparing = True
        for number in STOP_SIGNALS:
            signal.signal(number, self._handle)

    def preparation_is_over(self) -> None:
        """From here on a stop is an event and no exception.

        Raises:
            StoppedEarly: if one came just now.
        """
        self._preparing = False
        if self.stopped_at is not None:
            raise StoppedEarly("stopped before the job was started")

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (signal's interface)
        if self.stopped_at is not None:
            return
        self.stopped_at = time.monotonic()
        if self._preparing:
            raise StoppedEarly("stopped before the job was started")
        self.events.put(Event.STOP)

    def wait(self, timeout: float | None) -> Event | None:
        """The next event, or None after `timeout` seconds."""
        try:
            return self.events.get(timeout=timeout)
        except queue.Empty:
            return None
