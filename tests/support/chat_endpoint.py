"""A language model's endpoint that is not friendly: OpenAI's chat completions over real HTTP, with faults.

What is answered follows from the document alone, so that a test knows it. Faults are asked for by words in
the document, or come at random. As a process of its own, given a `Character` as JSON, it prints its address.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

LABELS = ("red", "green", "blue")
_DOCUMENT = re.compile(r'<document(?: number="(\d+)")?>\n(.*?)\n</document>', re.DOTALL)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 429: "Too Many Requests", 500: "Server Error"}


@dataclass
class Character:
    """How the endpoint behaves: `latency` (and a spread) in seconds, a limit, shares of random faults."""

    latency: float = 0.01
    spread: float = 0.0
    tokens_a_minute: float = 0.0
    bad_json: float = 0.0
    twice: float = 0.0
    failing: float = 0.0
    dropping: float = 0.0
    unauthorized: bool = False
    seed: int = 1


def right_label(text: str) -> str:
    """The answer that the endpoint gives about a document."""
    return LABELS[zlib.crc32(text.encode()) % len(LABELS)]


class Endpoint:
    """Counts what it is asked. `tokens` as it counts them: four characters each."""

    def __init__(self, character: Character) -> None:
        self.character = character
        self.requests = 0
        self.answered = 0
        self.throttled = 0
        self.tokens = 0
        self.most_at_once = 0
        self.at_once = 0
        self.asked: Counter[str] = Counter()
        self.moments: list[tuple[float, int]] = []
        self._chance = random.Random(character.seed)
        self._level = character.tokens_a_minute / 12
        self._filled = time.monotonic()

    def answer(self, path: str, body: bytes) -> tuple[float, int, dict[str, str], bytes] | None:
        """(delay, status, headers, body); None to drop the connection; a delay below 0 to hang for ever."""
        if path == "/stats":
            told = {name: getattr(self, name) for name in ("requests", "answered", "throttled", "tokens")}
            told["most_at_once"] = self.most_at_once
            return 0.0, 200, {}, json.dumps(told).encode()
        self.requests += 1
        asked = json.loads(body)
        user = asked["messages"][-1]["content"]
        system = asked["messages"][0]["content"]
        documents = _DOCUMENT.findall(user)
        used = (len(user) + len(system)) // 4
        refused = self._refused(used)
        if refused is not None:
            return refused
        chance, character = self._chance, self.character
        delay = character.latency + chance.uniform(0, character.spread)
        for _, text in documents:
            self.asked[text] += 1
        fault = self._fault(documents)
        if fault == "drop":
            return None
        if fault == "hang":
            return -1.0, 200, {}, b""
        if fault:
            return delay, int(fault), {}, json.dumps({"error": {"message": f"as asked: {fault}"}}).encode()
        self.answered += 1
        content = self._content(documents, repairing="You answered:" in user)
        told = {
            "model": asked["model"],
            "choices": [{"message": _message(content), "finish_reason": "stop"}],
            "usage": {"prompt_tokens": used, "completion_tokens": len(content) // 4 + 1},
        }
        self.tokens += used + len(content) // 4 + 1
        self.moments.append((time.monotonic(), used + len(content) // 4 + 1))
        return delay, 200, {}, json.dumps(told).encode()

    def _refused(self, used: int) -> tuple[float, int, dict[str, str], bytes] | None:
        character = self.character
        if character.unauthorized:
            return 0.0, 401, {}, b'{"error": {"message": "no such key"}}'
        if character.tokens_a_minute:
            now = time.monotonic()
            a_second = character.tokens_a_minute / 60
            self._level = min(character.tokens_a_minute / 12, self._level + (now - self._filled) * a_second)
            self._filled = now
            if self._level < used:
                self.throttled += 1
                return 0.0, 429, {"Retry-After": "0.2"}, b'{"error": {"message": "too many tokens"}}'
            self._level -= used
        return None

    def _fault(self, documents: list[tuple[str, str]]) -> str:
        for _, text in documents:
            first = self.asked[text] == 1
            for word, fault in (("DROP-ONCE", "drop"), ("HANG-ONCE", "hang"), ("500-ONCE", "500")):
                if word in text and first:
                    return fault
            for word, fault in (("ALWAYS-500", "500"), ("ALWAYS-400", "400")):
                if word in text:
                    return fault
        if self._chance.random() < self.character.dropping:
            return "drop"
        return "500" if self._chance.random() < self.character.failing else ""

    def _content(self, documents: list[tuple[str, str]], *, repairing: bool) -> str:
        chance, character = self._chance, self.character
        if any("REFUSE" in text for _, text in documents):
            return ""
        broken = any("BAD-ALWAYS" in text for _, text in documents)
        once = any("BAD-ONCE" in text for _, text in documents) and not repairing
        if broken or once or chance.random() < character.bad_json:
            return chance.choice(('{"label": "re', "I think it is red.", '{"label": "purple"}', "[]"))
        answers = [
            {"number": int(number or 1), "answer": {"label": right_label(text)}} for number, text in documents
        ]
        if not documents[0][0]:
            return json.dumps(answers[0]["answer"])
        if chance.random() < character.twice:
            answers += answers[:1]
        return json.dumps({"answers": answers})


def _message(content: str) -> dict[str, Any]:
    return {"content": content} if content else {"content": None, "refusal": "I had rather not."}


class _Connection(asyncio.Protocol):
    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._held = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        while True:
            end = self._held.find(b"\r\n\r\n")
            if end < 0:
                return
            found = _LENGTH.search(self._held, 0, end)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self._held) < whole:
                return
            head, body, self._held = self._held[:end], self._held[end + 4 : whole], self._held[whole:]
            self._serve(head.split(b" ", 2)[1].decode(), body)

    def _serve(self, path: str, body: bytes) -> None:
        endpoint = self._endpoint
        endpoint.at_once += path != "/stats"
        endpoint.most_at_once = max(endpoint.most_at_once, endpoint.at_once)
        told = endpoint.answer(path, body)
        if told is None:
            endpoint.at_once -= 1
            self._transport.abort()
            return
        delay, status, headers, content = told
        if delay < 0:
            endpoint.at_once -= 1
            return
        asyncio.get_running_loop().call_later(delay, self._reply, path, status, headers, content)

    def _reply(self, path: str, status: int, headers: dict[str, str], content: bytes) -> None:
        self._endpoint.at_once -= path != "/stats"
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
            f"{more}Content-Length: {len(content)}\r\n\r\n"
        )
        if not self._transport.is_closing():
            self._transport.write(head.encode() + content)


async def serve(character: Character, port: int = 0) -> tuple[Endpoint, asyncio.Server, str]:
    """The endpoint, its server (in the running loop) and the base URL."""
    endpoint = Endpoint(character)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(endpoint), "127.0.0.1", port, backlog=2048
    )
    return endpoint, server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def _main() -> None:
    told = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    port = told.pop("port", 0)
    _, server, url = await serve(Character(**told), port)
    print(url, flush=True)  # noqa: T201  (whoever started it reads the address)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
