"""How many requests are on the wire: more while all goes well, half as many when throttled (AIMD)."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

_SHRINK: Final = 0.5
# Without a word from the provider, how long nothing new is sent after being throttled, in seconds.
_PAUSE: Final = 0.5
# No provider's wish stops everything for longer.
_LONGEST_PAUSE: Final = 120.0


class Gate:
    """Lets at most `limit` in. The limit doubles each round until the first throttling, then grows by one.

    Requests that were sent before the limit was cut tell nothing about the new limit: their being throttled
    too does not cut again.
    """

    def __init__(self, most: int, first: int, loop_time: Callable[[], float] = time.monotonic) -> None:
        self._most = max(1, most)
        self.limit = float(min(self._most, max(1, first)))
        self.inside = 0
        self.throttled_times = 0
        self._doubling = True
        self._round = 0
        self._clock = loop_time
        self._closed_until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    async def enter(self) -> int:
        """Wait for a place; returns the round, to be given back to `throttled`."""
        if self.inside >= int(self.limit) or self._clock() < self._closed_until or self._waiting:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            self._admit()
            try:
                await place
            except asyncio.CancelledError:
                if place.done() and not place.cancelled():
                    self.leave()
                raise
        else:
            self.inside += 1
        return self._round

    def stay(self) -> int | None:
        """Keep the place for another request at once: the round, as from `enter`; None if it must be left."""
        self._admit()
        if self.inside > int(self.limit) or self._clock() < self._closed_until:
            return None
        return self._round

    def leave(self) -> None:
        """Give the place back."""
        self.inside -= 1
        self._admit()

    def went_well(self) -> None:
        """One answer came."""
        step = 1.0 if self._doubling else 1.0 / self.limit
        self.limit = min(float(self._most), self.limit + step)

    def throttled(self, entered: int, retry_after: float | None) -> None:
        """One request was refused for coming too often."""
        self.throttled_times += 1
        pause = min(_LONGEST_PAUSE, _PAUSE if retry_after is None else retry_after)
        self._closed_until = max(self._closed_until, self._clock() + pause)
        if entered == self._round:
            self._round += 1
            self._doubling = False
            self.limit = max(1.0, self.limit * _SHRINK)

    def _admit(self) -> None:
        wait = self._closed_until - self._clock()
        if wait > 0:
            if self._waiting and self._alarm is None:
                self._alarm = asyncio.get_running_loop().call_later(wait + 0.001, self._wake)
            return
        while self._waiting and self.inside < int(self.limit):
            place = self._waiting.popleft()
            if not place.done():
                self.inside += 1
                place.set_result(None)

    def _wake(self) -> None:
        self._alarm = None
        self._admit()
