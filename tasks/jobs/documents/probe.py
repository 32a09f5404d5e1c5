"""How many documents go into one request: measured before the run, on a few of its documents."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from tasks.jobs.documents.linear import LinearModel
from tasks.jobs.documents.pool import CeilingReachedError, Pool
from tasks.jobs.documents.question import Form
from tasks.jobs.documents.requests import about_tokens, request_for
from tasks.jobs.documents.shard import Item
from tasks.jobs.documents.terms import Terms
from tasks.providers.chat import Chat, ProviderError

CHAT_SIZES: Final = (1, 4, 16)
LINEAR_SIZES: Final = (1, 16, 256, 1024)
DOCUMENTS: Final = 16
# Below so many documents the probe costs more than it can save.
WORTH: Final = 500
# A larger batch must be this much faster, and its answers as usable.
_FASTER: Final = 1.1
_AS_GOOD: Final = 0.95


@dataclass(frozen=True, slots=True)
class Measured:
    """One size: documents a second in one slot, share of usable answers, tokens a document."""

    size: int
    rate: float
    usable: float
    tokens: float

    def members(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def best(measured: Sequence[Measured]) -> int:
    """The size to work with: the smallest that no other beats by a tenth with answers as good."""
    chosen = measured[0]
    for other in measured[1:]:
        if other.rate > chosen.rate * _FASTER and other.usable >= measured[0].usable * _AS_GOOD:
            chosen = other
    return chosen.size


def probe_linear(model: LinearModel, texts: Sequence[str]) -> list[Measured]:
    """Each size on the same texts."""
    found = []
    for size in LINEAR_SIZES:
        some = texts[: max(size, 64)]
        times = []
        for _ in range(3):
            began = time.perf_counter()
            for start in range(0, len(some), size):
                model.predict(some[start : start + size])
            times.append(time.perf_counter() - began)
        found.append(Measured(size, round(len(some) / max(1e-9, statistics.median(times)), 1), 1.0, 0.0))
    return found


async def probe_chat(chat: Chat, terms: Terms, items: Sequence[Item], pool: Pool) -> list[Measured]:
    """Each size on documents of its own, so that no cache of the provider helps the later ones.

    It stops at the money's end; a size that was not measured is not chosen.
    """
    form = Form(terms.question)
    found = []
    for turn, size in enumerate(CHAT_SIZES):
        some = [items[(turn * DOCUMENTS + k) % len(items)] for k in range(DOCUMENTS)]
        batches = [some[start : start + size] for start in range(0, DOCUMENTS, size)]
        try:
            told = await asyncio.gather(*(_one(chat, form, terms, batch, pool) for batch in batches))
        except CeilingReachedError:
            break
        usable = sum(count for count, _, _ in told)
        seconds = sum(gone for _, gone, _ in told)
        tokens = sum(used for _, _, used in told)
        found.append(
            Measured(size, round(DOCUMENTS / max(1e-9, seconds), 3), usable / DOCUMENTS, tokens / DOCUMENTS)
        )
    return found or [Measured(1, 0.0, 0.0, 0.0)]


async def _one(
    chat: Chat, form: Form, terms: Terms, batch: Sequence[Item], pool: Pool
) -> tuple[int, float, int]:
    """(usable answers, seconds, tokens) of one request; a failed one has no usable answer."""
    request = request_for(form, batch, terms)
    tokens = about_tokens(request.user) + terms.question.max_tokens
    held = await pool.take(tokens, terms.prices.cost(request.most_input, request.most_output))
    began = time.perf_counter()
    try:
        reply = await chat.complete(
            system=request.system,
            user=request.user,
            max_tokens=request.most_output,
            temperature=terms.question.temperature,
            json_schema=dict(request.schema),
            deadline_seconds=terms.seconds,
        )
    except ProviderError:
        pool.settle(held, held.tokens, held.money)
        return 0, time.perf_counter() - began, 0
    gone = time.perf_counter() - began
    usage = reply.usage
    pool.settle(held, usage.total, terms.prices.cost(usage.input_tokens, usage.output_tokens))
    many = form.read_many(reply.text, len(batch)) if len(batch) > 1 else [form.read_one(reply.text)]
    return sum(not problem for _, problem in many), gone, usage.total
