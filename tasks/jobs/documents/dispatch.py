"""Sending the documents of a shard to a language model: as many at once as it stands, each until settled."""

import asyncio
import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Final

from tasks.contract import exit_codes
from tasks.jobs.documents import settling
from tasks.jobs.documents.gate import Gate
from tasks.jobs.documents.journal import Journal
from tasks.jobs.documents.pool import CeilingReachedError, Held, Pool
from tasks.jobs.documents.question import Form
from tasks.jobs.documents.requests import Request, about_tokens, request_for, shares
from tasks.jobs.documents.settling import Settling
from tasks.jobs.documents.shard import Item, ShardInput
from tasks.jobs.documents.telemetry import Telemetry
from tasks.jobs.documents.terms import Terms
from tasks.jobs.program import JobError
from tasks.providers.chat import Chat, ProviderError, Reply

_TICK: Final = 0.1
# After so many requests a place is given up, so that whoever waits for one gets it.
_IN_A_ROW: Final = 32
_SEAL_PERIOD: Final = 1.0
_LONGEST_BACKOFF: Final = 30.0
# So many wrong requests and not one good answer: it is not the documents.
_HOPELESS: Final = 20
# A try that ended like this may have been billed: it counts as having cost its worst.
_MAYBE_BILLED: Final = {"timeout", "content"}


class Dispatcher:
    """One shard through one model. `run` may be called once."""

    def __init__(
        self,
        chat: Chat,
        terms: Terms,
        shard: ShardInput,
        journal: Journal,
        told: Settling,
        pool: Pool,
        telemetry: Telemetry,
        *,
        stop: Callable[[], bool],
        drain_seconds: float = 2.0,
        chance: random.Random | None = None,
    ) -> None:
        self._chat = chat
        self._terms = terms
        self._form = Form(terms.question)
        self._shard = shard
        self._journal = journal
        self._told = told
        self._pool = pool
        self._telemetry = telemetry
        self._stop = stop
        self._drain_seconds = drain_seconds
        self._chance = chance or random.Random()
        self._gate = Gate(terms.concurrency, terms.first)
        self._fresh: Iterator[int] = journal.open_places()
        self._again: list[tuple[float, int, list[Item]]] = []
        self._order = itertools.count()
        self._flying: set[asyncio.Task[None]] = set()
        self._landed = asyncio.Event()
        self._answer_tokens = float(terms.question.max_tokens)
        self._refusals = 0
        self._last_success = float("-inf")
        self._failing_since: float | None = None
        self._broken: BaseException | None = None
        self._flushing = False
        self._ending = False
        telemetry.in_flight = lambda: len(self._flying)

    async def run(self) -> bool:
        """Work until every document is settled (True), or until told to stop (False).

        Raises:
            JobError: if it is not the documents: 64 for wrong settings, 75 for an endpoint that is down.
        """
        feeder = asyncio.create_task(self._feed())
        sealed = asyncio.get_running_loop().time()
        try:
            while not feeder.done() and not self._stop() and self._broken is None:
                await asyncio.wait({feeder}, timeout=_TICK)
                self._telemetry.pulse()
                self._watch_for_outage()
                now = asyncio.get_running_loop().time()
                if now - sealed >= _SEAL_PERIOD:
                    self._journal.rotate()
                    sealed = now
        finally:
            await self._end(feeder)
        if self._broken is not None:
            raise self._broken
        if not feeder.cancelled() and (error := feeder.exception()) is not None:
            raise error
        return self._journal.count == len(self._shard)

    async def _end(self, feeder: "asyncio.Task[None]") -> None:
        """Send no more; give what is on the wire, and paid for, a moment to come back."""
        self._ending = True
        if not feeder.done():
            feeder.cancel()
            await asyncio.wait({feeder})
        if self._flying:
            await asyncio.wait(self._flying, timeout=self._drain_seconds)
        left = list(self._flying)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        self._told.flush()

    async def _feed(self) -> None:
        """Take documents as long as there are any, and send them as the pool and the gate allow."""
        loop = asyncio.get_running_loop()
        while True:
            batch = self._next(loop.time())
            if batch:
                if not self._pool.exhausted:
                    await self._launch(batch)
                else:
                    self._too_expensive(batch)
                    await asyncio.sleep(0)
                continue
            if not self._flying and not self._again:
                return
            self._landed.clear()
            wait = self._again[0][0] - loop.time() if self._again else None
            try:
                async with asyncio.timeout(wait):
                    await self._landed.wait()
            except TimeoutError:
                pass

    def _next(self, now: float) -> list[Item]:
        if self._again and self._again[0][0] <= now:
            return heapq.heappop(self._again)[2]
        batch = []
        for place in self._fresh:
            item = self._shard.item(place)
            if item.rejected:
                self._told.dead(item, item.rejected, item.detail)
                continue
            batch.append(item)
            if len(batch) == self._terms.batch:
                break
        return batch

    def _asked(self, batch: list[Item]) -> tuple[Request, float, float]:
        """The request about a batch, its tokens as estimated, and its money at worst."""
        request = request_for(self._form, batch, self._terms)
        tokens = 0.0
        if self._terms.limits.tokens_a_minute:
            words = about_tokens(request.system) + about_tokens(request.user)
            tokens = words + self._answer_tokens * len(batch)
        return request, tokens, self._terms.prices.cost(request.most_input, request.most_output)

    async def _launch(self, batch: list[Item]) -> None:
        request, tokens, money = self._asked(batch)
        try:
            held = await self._pool.take(tokens, money)
        except CeilingReachedError:
            self._too_expensive(batch)
            return
        try:
            entered = await self._gate.enter()
        except asyncio.CancelledError:
            self._pool.settle(held, 0, 0)
            raise
        task = asyncio.create_task(self._fly(batch, request, held, entered))
        self._flying.add(task)
        task.add_done_callback(self._land)

    async def _fly(self, batch: list[Item], request: Request, held: Held, entered: int) -> None:
        """Send a batch, and then others from the same place, as long as nobody has to wait for anything."""
        for _ in range(_IN_A_ROW):
            await self._send(batch, request, held, entered)
            stayed = None if self._ending else self._gate.stay()
            if stayed is None or not (batch := self._next(asyncio.get_running_loop().time())):
                return
            request, tokens, money = self._asked(batch)
            taken = self._pool.take_at_once(tokens, money)
            if taken is None:
                break
            held, entered = taken, stayed
        else:
            self._pool.settle(held, 0, 0)
        self._later(batch, 0.0)

    def _land(self, task: "asyncio.Task[None]") -> None:
        self._flying.discard(task)
        self._gate.leave()
        self._landed.set()
        if not task.cancelled() and (error := task.exception()) is not None and self._broken is None:
            self._broken = error

    async def _send(self, batch: list[Item], request: Request, held: Held, entered: int) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            reply = await self._chat.complete(
                system=request.system,
                user=request.user,
                max_tokens=request.most_output,
                temperature=self._terms.question.temperature,
                json_schema=dict(request.schema),
                deadline_seconds=self._terms.seconds,
            )
        except ProviderError as error:
            self._telemetry.request(loop.time() - began, failed=True, throttled=error.kind == "throttled")
            self._failing_since = self._failing_since or began
            self._unbilled(held, error)
            self._failed(batch, error, entered)
        except asyncio.CancelledError:
            self._pool.settle(held, held.tokens, held.money)
            raise
        else:
            self._telemetry.request(loop.time() - began)
            self._gate.went_well()
            self._last_success, self._failing_since = loop.time(), None
            self._received(batch, reply, held)
        if not self._flushing:
            # Once for all answers of one turn of the loop.
            self._flushing = True
            loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        self._told.flush()

    def _unbilled(self, held: Held, error: ProviderError) -> None:
        money = held.money if error.kind in _MAYBE_BILLED else 0.0
        self._pool.settle(held, held.tokens if money else 0.0, money)
        self._telemetry.used(0, 0, money)

    def _received(self, batch: list[Item], reply: Reply, held: Held) -> None:
        usage = reply.usage
        micros = self._terms.prices.cost(usage.input_tokens, usage.output_tokens)
        self._pool.settle(held, usage.total, micros)
        self._telemetry.used(usage.input_tokens, usage.output_tokens, micros)
        self._answer_tokens += 0.05 * (usage.output_tokens / len(batch) - self._answer_tokens)
        if len(batch) == 1:
            found = [self._form.read_one(reply.text)]
        else:
            found = self._form.read_many(reply.text, len(batch))
        parts = shares(usage.input_tokens, usage.output_tokens, len(batch))
        for item, (answer, problem), tokens in zip(batch, found, parts, strict=True):
            if not problem:
                self._told.answer(item, answer, tokens, self._terms.prices.cost(*tokens))
            elif item.problem:
                self._told.dead(item, settling.INVALID_OUTPUT, f"{problem}; before that: {item.problem}")
            else:
                item.problem, item.wrong = problem, reply.text if len(batch) == 1 else ""
                self._later([item], 0.0)

    def _failed(self, batch: list[Item], error: ProviderError, entered: int) -> None:
        if error.kind == "throttled":
            self._gate.throttled(entered, error.retry_after)
            self._later(batch, self._chance.uniform(0, 0.2))
        elif error.kind == "auth":
            raise JobError(f"the endpoint does not let us in: {error}")
        elif len(batch) > 1:
            # One of them may be the cause: from here on each on its own.
            for item in batch:
                self._later([item], 0.0)
        elif error.temporary:
            self._transient(batch[0], error)
        else:
            self._refusals += error.kind == "bad_request"
            if self._refusals >= _HOPELESS and self._last_success == float("-inf"):
                raise JobError(f"the endpoint takes none of our requests: {error}")
            reason = settling.REFUSED if error.kind == "content" else settling.BAD_REQUEST
            self._told.dead(batch[0], reason, str(error))

    def _transient(self, item: Item, error: ProviderError) -> None:
        item.tries += 1
        item.failed_at = item.failed_at or asyncio.get_running_loop().time()
        if item.tries < self._terms.tries:
            most = min(_LONGEST_BACKOFF, 0.25 * 2**item.tries)
            self._later([item], error.retry_after or self._chance.uniform(0, most))
        elif self._last_success > item.failed_at:
            self._told.dead(item, settling.GAVE_UP, f"{item.tries} tries, the last: {error}")
        else:
            # No other document succeeded meanwhile: the endpoint is down, and this one is not to blame.
            self._later([item], self._chance.uniform(1, _LONGEST_BACKOFF))

    def _later(self, batch: list[Item], seconds: float) -> None:
        due = asyncio.get_running_loop().time() + seconds
        heapq.heappush(self._again, (due, next(self._order), batch))
        self._landed.set()

    def _too_expensive(self, batch: list[Item]) -> None:
        for item in batch:
            self._told.dead(item, settling.COST_CEILING, "the rest of the money does not cover it")

    def _watch_for_outage(self) -> None:
        since = self._failing_since
        if since is None or self._broken is not None:
            return
        gone = asyncio.get_running_loop().time() - since
        if gone > self._terms.outage_seconds:
            self._broken = JobError(
                f"nothing has succeeded for {gone:.0f} s: the endpoint is down; what is done is safe",
                exit_codes.TRY_AGAIN,
            )
