"""Time, and how far this machine's idea of it is from the lock table's.

DynamoDB has no `now()`, but every reply carries a `Date` header. Verdicts on leases are corrected by it, and
refused when the two clocks are too far apart.
"""

import threading
import time
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final, Protocol

DEFAULT_MAX_SKEW_MS: Final = 5_000
"""How far clocks may disagree; added to every lease before it counts as expired."""

_HEADER_RESOLUTION_MS: Final = 1_000


class Clock(Protocol):
    """Passed in everywhere, so that tests need no real time."""

    def now_ms(self) -> int:
        """Epoch milliseconds by the local clock."""

    def monotonic(self) -> float:
        """Seconds that never jump; for measuring one's own lease."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set or the time is over; whether it is set."""


class SystemClock:
    """The real one."""

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for real."""
        return event.wait(seconds)


class VirtualClock:
    """A clock that moves only when it is told to, or when somebody waits. For tests and simulations."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self._now_ms = now_ms
        self._start_ms = now_ms

    def now_ms(self) -> int:
        """Virtual epoch milliseconds."""
        return self._now_ms

    def monotonic(self) -> float:
        """Virtual seconds since the clock was made."""
        return (self._now_ms - self._start_ms) / 1000

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Jump ahead, unless the event is set."""
        if not event.is_set():
            self.advance(seconds)
        return event.is_set()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_ms += round(seconds * 1000)


@lru_cache(maxsize=4)
def _epoch_ms(date_header: str) -> int:
    """Remembered, because replies within one second carry the same text."""
    return int(parsedate_to_datetime(date_header).timestamp()) * 1000


class SkewGauge:
    """The difference between the local clock and the store's, from the last reply.

    A reply sent and received at local times s and r with header D (whole seconds) says that the offset lies
    between D - r and D + 1 s - s. Zero is kept while it is possible, so an exact clock shows no noise.
    """

    def __init__(self, max_skew_ms: int = DEFAULT_MAX_SKEW_MS) -> None:
        self.max_skew_ms = max_skew_ms
        self.offset_ms = 0

    def observe(self, date_header: str | None, *, sent_ms: int, received_ms: int) -> None:
        """Take note of a reply; one without a readable `Date` changes nothing."""
        if date_header is None:
            return
        try:
            server_ms = _epoch_ms(date_header)
        except ValueError:
            return
        lowest, highest = server_ms - received_ms, server_ms + _HEADER_RESOLUTION_MS - sent_ms
        self.offset_ms = max(lowest, min(highest, 0))

    @property
    def trusted(self) -> bool:
        """Whether the clocks agree well enough to judge a lease."""
        return abs(self.offset_ms) <= self.max_skew_ms
