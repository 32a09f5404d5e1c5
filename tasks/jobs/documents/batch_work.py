"""The documents of a shard through a provider's batch service: submit, poll, collect.

What was handed over is written down before and after, so that a container that comes later polls instead of
submitting again. What comes back without a usable answer, or not at all, is left open: the caller asks about
it one by one, with repair and retries.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeVar

from tasks.contract import exit_codes
from tasks.jobs.documents import places, settling
from tasks.jobs.documents.batch_service import BatchRequest, BatchService
from tasks.jobs.documents.journal import Journal
from tasks.jobs.documents.pool import CeilingReachedError, Held, Pool
from tasks.jobs.documents.question import Form
from tasks.jobs.documents.requests import request_for
from tasks.jobs.documents.settling import Settling
from tasks.jobs.documents.shard import Item, ShardInput
from tasks.jobs.documents.telemetry import Telemetry
from tasks.jobs.documents.terms import Terms
from tasks.jobs.program import JobError, say
from tasks.providers.chat import ProviderError

Told = TypeVar("Told")
_STATE: Final = "batches.json"
_TICK: Final = 0.1
_LONGEST_BACKOFF: Final = 30.0
# What requests in a batch cost of the usual price, at the providers whose services these are.
_DISCOUNT: Final = 0.5


@dataclass(slots=True)
class _Handed:
    """One batch: the places of its documents, the money held for it, its id once the service gave one."""

    token: str
    places: list[int]
    money: float
    id: str = ""
    collected: bool = False


class Batches:
    """One shard through one service."""

    def __init__(
        self,
        service: BatchService,
        terms: Terms,
        shard: ShardInput,
        journal: Journal,
        told: Settling,
        pool: Pool,
        telemetry: Telemetry,
        folder: Path,
        *,
        stop: Callable[[], bool],
    ) -> None:
        self._service = service
        self._terms = terms
        self._form = Form(terms.question)
        self._shard = shard
        self._journal = journal
        self._told = told
        self._pool = pool
        self._telemetry = telemetry
        self._path = folder / _STATE
        self._stop = stop
        self._cost = 0.0

    async def run(self) -> bool:
        """Until every batch is collected (True), or until told to stop (False); the service goes on then.

        Raises:
            JobError: 64 if the service refuses the batch, 75 if it cannot be reached.
        """
        handed = self._load()
        if handed is None:
            handed = await self._cut()
            self._save(handed)
        for batch in handed:
            if not batch.id and not await self._submit(batch, handed):
                return False
        for batch in handed:
            if not batch.collected and not (await self._wait(batch) and await self._collect(batch)):
                return False
            batch.collected = True
            self._pool.settle(Held(0, batch.money), 0, self._cost)
            self._cost = 0.0
            self._journal.rotate()
            self._save(handed)
        await self._pool.close()
        return True

    async def _cut(self) -> list[_Handed]:
        """All open documents that the money covers, in batches that the service takes."""
        chosen: list[int] = []
        held: dict[int, float] = {}
        works = hashlib.sha256()
        for place in self._journal.open_places():
            item = self._shard.item(place)
            if item.rejected:
                self._told.dead(item, item.rejected, item.detail)
                continue
            request = request_for(self._form, [item], self._terms)
            cost = self._terms.prices.cost(request.most_input, request.most_output) * _DISCOUNT
            try:
                await self._pool.take(0, cost)
            except CeilingReachedError:
                self._told.dead(item, settling.COST_CEILING, "the rest of the money does not cover it")
                continue
            works.update(item.work.encode())
            chosen.append(place)
            held[place] = cost
        self._told.flush()
        if len(chosen) < self._service.fewest:
            self._pool.settle(Held(0, sum(held.values())), 0, 0)
            return []
        size = self._service.most
        starts = range(0, len(chosen), size)
        parts = [chosen[start : start + size] for start in starts]
        if len(parts) > 1 and len(parts[-1]) < self._service.fewest:
            parts[-2:] = _halves(parts[-2] + parts[-1])
        token = works.hexdigest()[:40]
        return [
            _Handed(f"{token}-{number}", part, sum(held[place] for place in part))
            for number, part in enumerate(parts)
        ]

    async def _submit(self, batch: _Handed, handed: Sequence[_Handed]) -> bool:
        requests = [self._request(self._shard.item(place)) for place in batch.places]
        told = await self._patiently(lambda: self._service.submit(batch.token, requests))
        if told is None:
            return False
        batch.id = told
        self._save(handed)
        say(f"handed over {len(requests)} documents as batch {batch.id}")
        return True

    def _request(self, item: Item) -> BatchRequest:
        request = request_for(self._form, [item], self._terms)
        question = self._terms.question
        return BatchRequest(
            item.work, request.system, request.user, request.schema, request.most_output, question.temperature
        )

    async def _wait(self, batch: _Handed) -> bool:
        while True:
            state = await self._patiently(lambda: self._service.poll(batch.id))
            if state is None:
                return False
            if state.status == "done":
                return True
            if state.status == "failed":
                raise JobError(f"batch {batch.id} failed: {state.reason or 'the service does not say why'}")
            if not await self._sleep(self._terms.poll_seconds):
                return False

    async def _collect(self, batch: _Handed) -> bool:
        items = {}
        for place in batch.places:
            item = self._shard.item(place)
            items[item.work] = item
        return await self._patiently(lambda: self._take_in(batch, items)) is not None

    async def _take_in(self, batch: _Handed, items: dict[str, Item]) -> bool:
        """Settle what is usable; an answer that comes twice counts once."""
        prices = self._terms.prices
        async for answer in self._service.answers(batch.id):
            item = items.get(answer.key)
            if item is None or self._journal.is_settled(item.n):
                continue
            usage = answer.usage
            micros = prices.cost(usage.input_tokens, usage.output_tokens) * _DISCOUNT
            self._cost += micros
            self._telemetry.used(usage.input_tokens, usage.output_tokens, micros)
            found, problem = (None, answer.error) if answer.error else self._form.read_one(answer.text)
            if not problem:
                self._told.answer(item, found, (usage.input_tokens, usage.output_tokens), micros)
            self._telemetry.pulse()
        self._told.flush()
        return True

    async def _patiently(self, call: Callable[[], Awaitable[Told]]) -> Told | None:
        """The result of a call, repeated while the service is not there; None if told to stop meanwhile."""
        clock = asyncio.get_running_loop().time
        began, pause = clock(), 0.5
        while True:
            doing = asyncio.ensure_future(call())
            while not doing.done():
                await asyncio.wait({doing}, timeout=_TICK)
                self._telemetry.pulse()
                if self._stop() and not doing.done():
                    doing.cancel()
                    await asyncio.wait({doing})
                    return None
            try:
                return doing.result()
            except ProviderError as error:
                if not error.temporary:
                    raise JobError(f"the batch service refuses: {error}") from None
                if clock() - began > self._terms.outage_seconds:
                    raise JobError(f"the batch service is down: {error}", exit_codes.TRY_AGAIN) from None
            if not await self._sleep(pause):
                return None
            pause = min(_LONGEST_BACKOFF, pause * 2)

    async def _sleep(self, seconds: float) -> bool:
        """False if told to stop."""
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        while clock() < until:
            if self._stop():
                return False
            self._telemetry.pulse()
            await asyncio.sleep(min(_TICK, max(0.0, until - clock())))
        return not self._stop()

    def _load(self) -> list[_Handed] | None:
        try:
            return [_Handed(**one) for one in json.loads(self._path.read_bytes())]
        except FileNotFoundError:
            return None

    def _save(self, handed: Sequence[_Handed]) -> None:
        places.write_whole(self._path, json.dumps([asdict(one) for one in handed]).encode())


def _halves(together: list[int]) -> list[list[int]]:
    middle = len(together) // 2
    return [together[:middle], together[middle:]]
