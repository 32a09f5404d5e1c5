"""The least that can be done: aiohttp, a session, so many coroutines. No retry, no check, nothing kept.

The same bodies as ours. Arguments: URL, number of requests, how many at once. Prints requests a second.
"""

import asyncio
import sys
import time

import aiohttp

from tasks.jobs.documents.question import Form, known_question

FORM = Form(known_question("topic", ["red", "green", "blue"]))
SCHEMA = FORM.schema_one


async def main(url: str, count: int, at_once: int) -> float:
    numbers = iter(range(count))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def worker() -> None:
            for number in numbers:
                body = {
                    "model": "m",
                    "messages": [
                        {"role": "system", "content": FORM.system_one},
                        {"role": "user", "content": FORM.user_one(f"document {number}")},
                    ],
                    "max_tokens": 64,
                    "temperature": 0.0,
                    "response_format": {
                        "type": "json_schema",
                        "json_schema": {"name": "answer", "schema": SCHEMA},
                    },
                }
                async with session.post(url + "/chat/completions", json=body) as reply:
                    told = await reply.json()
                    assert told["choices"][0]["message"]["content"]

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(at_once)))
        return count / (time.perf_counter() - began)


print(asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
