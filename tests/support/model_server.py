"""A real HTTP server that speaks OpenAI's chat completions, Bedrock's Converse and SearXNG, well and badly.

What it does to each request is decided by a function of the test; whoever asks cannot tell it from a provider
that has a bad day. It runs on a thread of its own.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable

Act = Literal[
    "answer",
    "not_json",  # the body is no JSON
    "bad_json",  # the model's text is no JSON, or not of the form
    "twice",  # the model's text is there twice
    "empty",
    "throttle",
    "hang",
    "drip",  # one byte now and then
    "die",  # the connection breaks off in mid-answer
    "fail",  # 500
    "refuse",  # the content filter
    "cut",  # the token limit
    "forbid",  # 401
    "unknown",  # 404
]


@dataclass
class Asked:
    """One request, as the server saw it."""

    number: int
    times: int  # how often this very section was asked for, this time included
    section: str
    body: dict[str, Any]


@dataclass
class ModelServer:
    """``with ModelServer() as server: ... server.url``."""

    behave: Callable[[Asked], Act] = lambda _: "answer"
    tokens_a_minute: float = 0
    retry_after: str = ""
    seconds: float = 0.0
    results: int = 3
    asked: list[Asked] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    throttled: int = 0
    most_at_once: int = 0
    searched: list[str] = field(default_factory=list)
    _at_once: int = 0
    _used: list[tuple[float, int]] = field(default_factory=list)

    def __enter__(self) -> Self:
        started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def _serve(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._run(started))
        self._loop.close()

    async def _run(self, started: threading.Event) -> None:
        self._end = asyncio.Event()
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/v1/chat/completions", self._openai)
        app.router.add_post("/model/{model}/converse", self._bedrock)
        app.router.add_get("/search", self._search)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        started.set()
        await self._end.wait()
        await runner.cleanup()

    async def _openai(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        user = body["messages"][-1]["content"]

        def answer(text: str, reason: str) -> Any:
            return {
                "model": body["model"],
                "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": reason}],
                "usage": {"prompt_tokens": len(user) // 4, "completion_tokens": len(text) // 4},
            }

        reasons = {"refuse": "content_filter", "cut": "length"}

        def refusal(status: int, kind: str) -> web.Response:
            headers = {"Retry-After": self.retry_after} if status == 429 and self.retry_after else {}
            return web.json_response(
                {"error": {"message": kind, "type": kind}}, status=status, headers=headers
            )

        return await self._act(request, body, user, schema, answer, reasons, refusal)

    async def _bedrock(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 ")
        body = await request.json()
        form = body.get("outputConfig", {}).get("textFormat", {}).get("structure", {}).get("jsonSchema", {})
        schema = json.loads(form["schema"]) if form else None
        user = body["messages"][-1]["content"][0]["text"]

        def answer(text: str, reason: str) -> Any:
            tokens = {"inputTokens": len(user) // 4, "outputTokens": len(text) // 4}
            return {
                "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
                "stopReason": reason,
                "usage": {**tokens, "totalTokens": sum(tokens.values())},
                "metrics": {"latencyMs": 1},
            }

        reasons = {"refuse": "guardrail_intervened", "cut": "max_tokens"}
        names = {
            429: "ThrottlingException",
            500: "InternalServerException",
            401: "AccessDeniedException",
            404: "ResourceNotFoundException",
        }

        def refusal(status: int, kind: str) -> web.Response:
            status_sent = 403 if status == 401 else status
            headers = {"x-amzn-ErrorType": names[status]}
            if status == 429 and self.retry_after:
                headers["Retry-After"] = self.retry_after
            return web.json_response({"message": kind}, status=status_sent, headers=headers)

        return await self._act(request, body, user, schema, answer, reasons, refusal, usual="end_turn")

    async def _act(
        self,
        request: web.Request,
        body: dict[str, Any],
        user: str,
        schema: dict[str, Any] | None,
        answer: Callable[[str, str], Any],
        reasons: dict[str, str],
        refusal: Callable[[int, str], web.Response],
        usual: str = "stop",
    ) -> web.StreamResponse:
        section = next(
            (line.removeprefix("Section: ") for line in user.splitlines() if line.startswith("Section: ")), ""
        )
        times = 1 + sum(one.section == section for one in self.asked)
        asked = Asked(len(self.asked) + 1, times, section, body)
        self.asked.append(asked)
        if self._over_limit(len(user) // 4):
            self.throttled += 1
            return refusal(429, "tokens per minute")
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self._misbehave(request, asked, schema, answer, reasons, refusal, usual)
        finally:
            self._at_once -= 1

    async def _misbehave(
        self,
        request: web.Request,
        asked: Asked,
        schema: dict[str, Any] | None,
        answer: Callable[[str, str], Any],
        reasons: dict[str, str],
        refusal: Callable[[int, str], web.Response],
        usual: str,
    ) -> web.StreamResponse:
        act = self.behave(asked)
        refusals = {"throttle": 429, "fail": 500, "forbid": 401, "unknown": 404}
        if act in refusals:
            self.throttled += act == "throttle"
            return refusal(refusals[act], act)
        if act == "hang":
            await asyncio.sleep(3600)
        if self.seconds:
            await asyncio.sleep(self.seconds)
        text = text_for(asked.section, schema)
        text = {"bad_json": "{not json", "empty": "", "twice": text + text}.get(act, text)
        whole = json.dumps(answer(text, reasons.get(act, usual))).encode()
        if act == "not_json":
            whole = b"<html>Bad gateway</html>"
        if act in {"drip", "die"}:
            response = web.StreamResponse(headers={"Content-Length": str(len(whole))})
            response.content_type = "application/json"
            await response.prepare(request)
            for at in range(len(whole)):
                await response.write(whole[at : at + 1])
                if act == "die":
                    assert request.transport is not None
                    request.transport.abort()
                    return response
                await asyncio.sleep(0.1)
            return response
        self.answered[asked.section] += act == "answer"
        return web.Response(body=whole, content_type="application/json")

    def _over_limit(self, tokens: int) -> bool:
        """Counted like providers count: over the last minute; here a minute is a second, not to wait long."""
        if not self.tokens_a_minute:
            return False
        now = time.monotonic()
        self._used = [(at, count) for at, count in self._used if now - at < 1]
        if sum(count for _, count in self._used) + tokens > self.tokens_a_minute / 60:
            return True
        self._used.append((now, tokens))
        return False

    async def _search(self, request: web.Request) -> web.StreamResponse:
        query = request.query["q"]
        self.searched.append(query)
        assert request.query["format"] == "json"
        asked = Asked(len(self.searched), self.searched.count(query), "", {})
        act = self.behave(asked) if self.results < 0 else "answer"
        if act == "hang":
            await asyncio.sleep(3600)
        if act != "answer":
            return web.Response(status={"throttle": 429, "forbid": 403}.get(act, 500), text=act)
        found = [
            {
                "url": f"https://example.org/{n}",
                "title": f"Page {n}",
                "content": f"{query} on page {n}.",
                "score": n,
            }
            for n in range(abs(self.results))
        ]
        return web.json_response({"query": query, "results": [*found, *found]})


def text_for(section: str, schema: dict[str, Any] | None) -> str:
    """The same section always gets the same text."""
    if schema is None:
        return f"### {section}\n\nDo what **{section}** says [1].\n"
    return json.dumps(_instance(schema, section))


def _instance(schema: dict[str, Any], about: str) -> Any:
    if schema["type"] == "object":
        return {name: _instance(form, f"{about} {name}") for name, form in schema["properties"].items()}
    if schema["type"] == "array":
        return [_instance(schema["items"], f"{about} {n}") for n in range(schema.get("minItems", 1))]
    return {"string": about, "integer": 1, "number": 1.5, "boolean": True}[schema["type"]]
