"""Answers of the picture server that come to a bad end, or to none."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tasks.jobs.articles.http_reply import Reply

_BLOCK: Final = 1 << 18
_A_LINE: Final = b"X-And-More: "


async def _hang(reply: Reply, body: bytes, headers: dict[str, str]) -> None:  # noqa: ARG001  (one of a family)
    await asyncio.sleep(3600)


async def _reset(reply: Reply, body: bytes, headers: dict[str, str]) -> None:  # noqa: ARG001  (one of a family)
    reply.reset()


async def _drip(reply: Reply, body: bytes, headers: dict[str, str]) -> None:
    await reply.begin(200, {**headers, "Content-Length": str(len(body))})
    for byte in body:
        await reply.write(bytes([byte]))
        await asyncio.sleep(1)


async def _endless(reply: Reply, body: bytes, headers: dict[str, str]) -> None:
    await reply.begin(200, headers)
    block = body * (1 + _BLOCK // max(1, len(body)))
    while True:
        await reply.write(block)


async def _garbage(reply: Reply, body: bytes, headers: dict[str, str]) -> None:  # noqa: ARG001  (one of a family)
    await reply.write(b"220 pictures.example ready\r\n")


async def _endless_headers(reply: Reply, body: bytes, headers: dict[str, str]) -> None:  # noqa: ARG001  (one of a family)
    await reply.begin(200, headers, end=False)
    while True:
        await reply.write(_A_LINE + b"x" * 60_000 + b"\r\n")


async def _dripping_headers(reply: Reply, body: bytes, headers: dict[str, str]) -> None:  # noqa: ARG001  (one of a family)
    await reply.begin(200, headers, end=False)
    while True:
        await reply.write(_A_LINE + b"x\r\n")
        await asyncio.sleep(1)


async def _short_body(reply: Reply, body: bytes, headers: dict[str, str]) -> None:
    await reply.begin(200, {**headers, "Content-Length": str(len(body) + 1000)})
    await reply.write(body)


async def _cut_off(reply: Reply, body: bytes, headers: dict[str, str]) -> None:
    await reply.begin(200, {**headers, "Content-Length": str(len(body))})
    await reply.write(body[: len(body) // 2])


async def _hangs_after_404(reply: Reply, body: bytes, headers: dict[str, str]) -> None:  # noqa: ARG001  (one of a family)
    await reply.begin(404, {"Content-Type": "text/html", "Content-Length": "5000"})
    await asyncio.sleep(3600)


BADLY_ENDED: Final[Mapping[str, Callable[[Reply, bytes, dict[str, str]], Awaitable[None]]]] = {
    "hang": _hang,
    "reset": _reset,
    "drip": _drip,
    "endless": _endless,
    "garbage": _garbage,
    "endless-headers": _endless_headers,
    "dripping-headers": _dripping_headers,
    "short-body": _short_body,
    "cut-off": _cut_off,
    "hangs-after-404": _hangs_after_404,
}
"""By kind of misbehaviour; afterwards the connection is closed."""
