"""Our dispatcher with everything it does: checks, journal, metrics, budget. Arguments as bare_loop."""

import asyncio
import hashlib
import sys
import tempfile
import time
from pathlib import Path

from tasks.jobs.documents.dispatch import Dispatcher
from tasks.jobs.documents.journal import Journal
from tasks.jobs.documents.pool import Pool
from tasks.jobs.documents.question import known_question
from tasks.jobs.documents.settling import Settling
from tasks.jobs.documents.shard import Item, ShardInput, shard_line
from tasks.jobs.documents.telemetry import Telemetry, Totals
from tasks.jobs.documents.terms import Terms
from tasks.providers.openai_chat import OpenAiChat


async def main(url: str, count: int, at_once: int, folder: Path) -> float:
    lines = [shard_line(Item(0, f"d{n}", f"{n:032x}", f"document {n}")) for n in range(count)]
    path = folder / "input.jsonl"
    path.write_bytes(b"".join(lines))
    question = known_question("topic", ["red", "green", "blue"])
    terms = Terms(question, "chat", "openai/m", time.time(), concurrency=at_once, first=at_once)
    shard = ShardInput(path, hashlib.sha256(path.read_bytes()).hexdigest(), terms.planned_at)
    journal = Journal(folder / "journal", "bench", count)
    telemetry = Telemetry(Totals(documents=count), {}, lambda: terms.planned_at, write=lambda _: None)
    told = Settling(journal, telemetry, terms.model)
    pool = Pool(terms.limits, None, 1)
    async with OpenAiChat("m", url) as chat:
        dispatcher = Dispatcher(chat, terms, shard, journal, told, pool, telemetry, stop=lambda: False)
        began = time.perf_counter()
        whole = await dispatcher.run()
        rate = count / (time.perf_counter() - began)
    assert whole
    assert telemetry.totals.answered == count
    return rate


with tempfile.TemporaryDirectory() as scratch:
    found = asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(scratch)))
    print()
    print(found)
