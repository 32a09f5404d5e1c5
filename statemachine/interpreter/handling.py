"""Retry and Catch, the same for Task, Parallel and Map."""

from collections.abc import Awaitable, Callable
from random import Random

import trio

from statemachine.interpreter.failure import RUNTIME, StateFailedError, matches
from statemachine.interpreter.states import Catcher, Handling, Retrier, Task
from statemachine.interpreter.visit import Visit


async def with_handlers(
    visit: Visit, state: Handling, attempt: Callable[[Visit], Awaitable[None]]
) -> str | None:
    """Runs attempts until one succeeds or nothing retries; then the catchers.

    Returns:
        The name of the next state, or None at the graph's end.

    Raises:
        StateFailedError: no catcher matched, or the catcher's own fields failed.
    """
    counts = [0] * len(state.retry)
    visit.context["State"]["RetryCount"] = 0
    while True:
        try:
            await attempt(visit)
        except StateFailedError as failure:
            delay = _next_delay(state.retry, counts, failure, visit.run.random)
            if delay is None:
                return _catch(visit, state, failure)
        else:
            return state.next
        visit.context["State"]["RetryCount"] += 1
        await trio.sleep(delay)


def _next_delay(
    retriers: tuple[Retrier, ...], counts: list[int], failure: StateFailedError, random: Random
) -> float | None:
    """Seconds to wait before the next attempt; only the first retrier that matches has a say."""
    for index, retrier in enumerate(retriers):
        if matches(retrier.error_equals, failure):
            if counts[index] >= retrier.max_attempts:
                return None
            delay = backoff(retrier, counts[index])
            counts[index] += 1
            return random.uniform(0, delay) if retrier.full_jitter else delay
    return None


def backoff(retrier: Retrier, earlier: int) -> float:
    """The delay in seconds after so many earlier retries, before jitter."""
    try:
        delay = retrier.interval * retrier.backoff_rate**earlier
    except OverflowError:
        delay = float("inf")
    # Without a MaxDelaySeconds the delay still ends with the longest an execution lives.
    return min(delay, retrier.max_delay or 31_536_000)


def _catch(visit: Visit, state: Handling, failure: StateFailedError) -> str:
    branch = visit.branch
    # Only the containers have an event for their failure, and only once no retry is left; a Task's attempts
    # have each left theirs. States.Runtime leaves none (measured).
    failed_event = "" if isinstance(state, Task) or failure.error == RUNTIME else f"{state.type}StateFailed"
    before = branch.last
    catcher = _catcher(state.catch, failure)
    if failed_event:
        branch.emit(failed_event)
    if catcher is None:
        raise failure
    after, branch.last = branch.last, before
    output = failure.output()
    try:
        departure = visit.depart(output, catcher.assign, catcher.output, errorOutput=output)
    except StateFailedError:
        if failed_event:
            branch.emit(failed_event)
        raise
    branch.last = after
    visit.leave(departure)
    return catcher.next


def _catcher(catchers: tuple[Catcher, ...], failure: StateFailedError) -> Catcher | None:
    return next((catcher for catcher in catchers if matches(catcher.error_equals, failure)), None)
