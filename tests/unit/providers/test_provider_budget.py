"""Requests and tokens a minute, on a clock that the test moves."""

import asyncio

import pytest

from tasks.providers.budget import Budget, estimated_tokens


class Minutes:
    """A clock that stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def wait(budget: Budget, tokens: int) -> float:
    """Seconds that a request would have to wait now."""
    return budget._wait(tokens)


def take(budget: Budget, tokens: int) -> None:
    asyncio.run(asyncio.wait_for(budget.take(tokens), 1))


def test_tokens_come_back_evenly_over_the_minute() -> None:
    clock = Minutes()
    budget = Budget(6_000, clock=clock)
    take(budget, 6_000)

    assert wait(budget, 500) == pytest.approx(5)
    clock.now += 5
    assert wait(budget, 500) == 0
    assert wait(budget, 600) == pytest.approx(1)


def test_requests_are_counted_beside_tokens() -> None:
    clock = Minutes()
    budget = Budget(1_000_000, 30, clock)
    for _ in range(30):
        take(budget, 1)

    assert wait(budget, 1) == pytest.approx(2)


def test_an_estimate_is_corrected_by_what_was_used() -> None:
    clock = Minutes()
    budget = Budget(6_000, clock=clock)
    take(budget, 6_000)
    budget.correct(6_000, 1_000)

    assert wait(budget, 5_000) == 0
    budget.correct(0, 5_500)
    assert wait(budget, 100) == pytest.approx(6)


def test_a_request_larger_than_a_minute_goes_when_everything_is_there() -> None:
    clock = Minutes()
    budget = Budget(600, clock=clock)

    take(budget, 900)

    assert wait(budget, 600) == pytest.approx(90)


def test_without_limits_nothing_waits() -> None:
    budget = Budget()

    take(budget, 10**12)

    assert wait(budget, 10**12) == 0


def test_a_japanese_character_is_about_a_token_and_four_english_ones_are() -> None:
    assert estimated_tokens("") == 0
    assert estimated_tokens("abcdefgh") == 2
    assert estimated_tokens("手順書") == 3
