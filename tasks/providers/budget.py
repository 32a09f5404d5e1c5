"""Keeping within requests and tokens a minute, in one process."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_MINUTE: Final = 60.0
# Of a text nobody counted: measured with the vocabularies of several models, English has about four
# characters in a token, Japanese about one.
_CHARACTERS_IN_A_TOKEN: Final = 4
_NARROW: Final = 0x2E80


def estimated_tokens(text: str) -> int:
    """About how many tokens `text` has, for a budget before the provider counts."""
    wide = sum(character >= chr(_NARROW) for character in text)
    return wide + (len(text) - wide + _CHARACTERS_IN_A_TOKEN - 1) // _CHARACTERS_IN_A_TOKEN


@dataclass
class _Bucket:
    """Refills evenly to what a minute allows; may be overdrawn by a correction."""

    a_minute: float
    level: float
    at: float

    def refill(self, now: float) -> None:
        self.level = min(self.a_minute, self.level + (now - self.at) * self.a_minute / _MINUTE)
        self.at = now

    def seconds_until(self, amount: float) -> float:
        # A request larger than a whole minute's allowance goes when the bucket is full.
        missing = min(amount, self.a_minute) - self.level
        return max(0.0, missing * _MINUTE / self.a_minute)


class Budget:
    """Tokens and requests a minute (0: no limit). In the order of asking: a large one is never starved."""

    def __init__(
        self,
        tokens_a_minute: float = 0,
        requests_a_minute: float = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        now = clock()
        self._tokens = _Bucket(tokens_a_minute, tokens_a_minute, now) if tokens_a_minute else None
        self._requests = _Bucket(requests_a_minute, requests_a_minute, now) if requests_a_minute else None
        self._turn = asyncio.Lock()

    async def take(self, tokens: int) -> None:
        """Wait until one request of about `tokens` tokens is within the limits, and count it."""
        if self._tokens is None and self._requests is None:
            return
        async with self._turn:
            while (wait := self._wait(tokens)) > 0:  # noqa: ASYNC110  (time refills it; nobody could set an event)
                await asyncio.sleep(wait)
            if self._tokens is not None:
                self._tokens.level -= tokens
            if self._requests is not None:
                self._requests.level -= 1

    def correct(self, taken: int, used: int) -> None:
        """Replace the estimate that was taken by what the request really used."""
        if self._tokens is not None:
            self._tokens.level += taken - used

    def _wait(self, tokens: int) -> float:
        now, waits = self._clock(), [0.0]
        for bucket, amount in ((self._tokens, tokens), (self._requests, 1)):
            if bucket is not None:
                bucket.refill(now)
                waits.append(bucket.seconds_until(amount))
        return max(waits)
