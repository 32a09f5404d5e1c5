"""The openai SDK, as its README shows it for many requests at once. Arguments as bare_loop."""

import asyncio
import sys
import time

import openai


async def main(url: str, count: int, at_once: int) -> float:
    numbers = iter(range(count))
    client = openai.AsyncOpenAI(base_url=url, api_key="none")

    async def worker() -> None:
        for number in numbers:
            told = await client.chat.completions.create(
                model="m",
                messages=[
                    {"role": "system", "content": "Say which one of the topics the document is about."},
                    {"role": "user", "content": f"<document>\ndocument {number}\n</document>"},
                ],
                max_tokens=64,
                temperature=0.0,
            )
            assert told.choices[0].message.content

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return count / (time.perf_counter() - began)


print(asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
