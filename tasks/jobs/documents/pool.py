"""One container's part of the shared allowance: taken in blocks, used request by request."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from tasks.jobs.documents.allowance import Block, Limits, State, give_back, take
from tasks.jobs.documents.cells import Cell
from tasks.jobs.documents.threads import aside

# How much a block holds, in seconds of this container's even share. Longer: fewer writes, coarser sharing.
BLOCK_SECONDS: Final = 2.0
# The ceiling is handed out in so many parts for each container.
_PARTS: Final = 20


class CeilingReachedError(Exception):
    """What is left of the money does not cover the worst case of one more request."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars for a million tokens; so a token costs as many millionths of a dollar."""

    input: float = 0.0
    output: float = 0.0

    def cost(self, input_tokens: float, output_tokens: float) -> float:
        """Millionths of a dollar."""
        return input_tokens * self.input + output_tokens * self.output


@dataclass(frozen=True, slots=True)
class Held:
    """What a request was given: tokens as estimated, and money for its worst case."""

    tokens: float
    money: float


class Pool:
    """Requests, tokens and money of this container. For one event loop."""

    def __init__(
        self, limits: Limits, cell: Cell | None, containers: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._limits = limits
        self._cell = cell if limits.any else None
        self._containers = max(1, containers)
        self._clock = clock
        self._requests = 0.0
        self._tokens = 0.0
        self._money = 0.0
        self._turn = asyncio.Lock()
        self.spent = 0.0
        self.exhausted = False

    def money_only(self) -> "Pool":
        """A pool of the same money, for requests that the limits a minute do not concern."""
        return Pool(
            replace(self._limits, requests_a_minute=0.0, tokens_a_minute=0.0), self._cell, self._containers
        )

    async def take(self, tokens: float, money: float) -> Held:
        """Wait until a request of about `tokens` tokens may go; `money` is what it costs at worst.

        In the order of asking.

        Raises:
            CeilingReachedError: if the money does not reach.
            JobError: 75, from the cell.
        """
        if self._cell is None:
            return Held(tokens, money)
        async with self._turn:
            while not self._enough(tokens, money):
                await self._refill(self._cell, tokens, money)
            return self._use(tokens, money)

    def take_at_once(self, tokens: float, money: float) -> Held | None:
        """As `take`, without waiting; None if it would have to wait."""
        if self._cell is None:
            return Held(tokens, money)
        if self._turn.locked() or not self._enough(tokens, money):
            return None
        return self._use(tokens, money)

    def _use(self, tokens: float, money: float) -> Held:
        if self._limits.requests_a_minute:
            self._requests -= 1
        if self._limits.tokens_a_minute:
            self._tokens -= tokens
        if self._limits.ceiling:
            self._money -= money
        return Held(tokens, money)

    def settle(self, held: Held, tokens: float, money: float) -> None:
        """Replace what a request was given by what it used. One whose use is not known used all of it."""
        self.spent += money
        if self._limits.tokens_a_minute:
            self._tokens += held.tokens - tokens
        if self._limits.ceiling:
            self._money += held.money - money

    async def close(self) -> None:
        """Give the money back that was not spent. Without it, it counts as spent."""
        if self._cell is not None and self._limits.ceiling and self._money > 0:
            money, self._money = self._money, 0.0
            cell = self._cell
            await aside(lambda: cell.update(lambda state: (give_back(state, money), None)))

    def _enough(self, tokens: float, money: float) -> bool:
        limits = self._limits
        return (
            (not limits.requests_a_minute or self._requests >= 1)
            and (not limits.tokens_a_minute or self._tokens >= tokens)
            and (not limits.ceiling or self._money >= money)
        )

    async def _refill(self, cell: Cell, tokens: float, money: float) -> None:
        if self.exhausted:
            raise CeilingReachedError
        limits, share = self._limits, BLOCK_SECONDS / 60.0 / self._containers
        requests = max(0.0, max(1.0, limits.requests_a_minute * share) - self._requests)
        wanted = max(0.0, max(tokens, limits.tokens_a_minute * share) - self._tokens)
        least = max(0.0, money - self._money) if limits.ceiling else 0.0
        part = max(least, limits.ceiling / self._containers / _PARTS) if least else 0.0

        def change(state: State) -> tuple[State, Block | None]:
            return take(
                state,
                limits,
                self._clock(),
                requests=requests if limits.requests_a_minute else 0.0,
                tokens=wanted if limits.tokens_a_minute else 0.0,
                money=part,
                least_money=least,
            )

        block = await aside(lambda: cell.update(change))
        if block is None:
            self.exhausted = True
            raise CeilingReachedError
        self._money += block.money
        if block.wait > 0:
            await asyncio.sleep(block.wait)
        self._requests += block.requests
        self._tokens += block.tokens
