"""Trying again after a failure that may go away: backoff with jitter, or as long as the provider asks."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from tasks.providers.chat import ProviderError

Result = TypeVar("Result")
Sleep = Callable[[float], Awaitable[None]]
OnWait = Callable[[int, float, ProviderError], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to keep trying: at most `tries`, and no wait that would end after `total_seconds`.

    Before repetition n it waits between half of and the whole of ``first_seconds * 2**(n-1)``, at most
    `longest_seconds`; a provider's own Retry-After counts instead if it is longer.
    """

    tries: int = 6
    first_seconds: float = 1.0
    longest_seconds: float = 60.0
    total_seconds: float = 900.0

    def wait(self, repetition: int, error: ProviderError, chance: random.Random) -> float:
        """Seconds before repetition number `repetition` (from 1)."""
        ceiling = min(self.longest_seconds, self.first_seconds * 2.0 ** min(repetition - 1, 30))
        own = ceiling * chance.uniform(0.5, 1.0)
        asked = error.retry_after
        # A crowd that was told the same moment must not come back at the same moment.
        return own if asked is None or asked < own else asked + own * 0.1


async def repeat(
    call: Callable[[], Awaitable[Result]],
    patience: Patience,
    *,
    chance: random.Random | None = None,
    sleep: Sleep = asyncio.sleep,
    on_wait: OnWait | None = None,
) -> Result:
    """The result of `call`, tried again while its `ProviderError` is temporary.

    `on_wait` is told before every wait: which repetition (from 1), how many seconds, after what.

    Raises:
        ProviderError: the last one.
    """
    dice = chance or random.Random()

    def wait(state: tenacity.RetryCallState) -> float:
        return patience.wait(state.attempt_number, _error_of(state), dice)

    def before_sleep(state: tenacity.RetryCallState) -> None:
        if on_wait is not None:
            on_wait(state.attempt_number, state.upcoming_sleep, _error_of(state))

    retrying = tenacity.AsyncRetrying(
        sleep=sleep,
        stop=tenacity.stop_after_attempt(patience.tries) | tenacity.stop_before_delay(patience.total_seconds),
        wait=wait,
        retry=tenacity.retry_if_exception(_is_temporary),
        before_sleep=before_sleep,
        reraise=True,
    )

    async def once() -> Result:
        # tenacity awaits only what it recognises as a coroutine function, and a lambda is none.
        return await call()

    return await retrying(once)


def _is_temporary(error: BaseException) -> bool:
    return isinstance(error, ProviderError) and error.temporary


def _error_of(state: tenacity.RetryCallState) -> ProviderError:
    error = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(error, ProviderError)  # noqa: S101  (only these are repeated)
    return error
