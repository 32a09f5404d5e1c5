from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import trio

from nightlatch.local.http.message import HttpRequest
from nightlatch.local.http.parameters import parameters
from nightlatch.local.http.routing import Route, route
from nightlatch.local.moto.botocore_caller import BotocoreCaller
from nightlatch.local.moto.engine import MotoEngine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nightlatch.local.http.message import HttpReply

_POLL_SECONDS = 0.1
_LONGEST_POLL_SECONDS = 20


class MotoBridge:
    """moto for the trio thread: one request at a time, each in a worker thread.

    Args:
        path: The journal's file.
        account: The account of every ARN.
        region: For calls from inside the process.
        host: Address and port of the endpoint, which moto writes into URLs that it hands out.
    """

    def __init__(self, path: Path, *, account: str, region: str, host: str = "127.0.0.1") -> None:
        self._engine = MotoEngine(path, account)
        self._turn = trio.CapacityLimiter(1)
        self._caller = BotocoreCaller(self._engine, region, host)
        self._written: Callable[[str, str, dict[str, Any]], None] = lambda _service, _operation, _params: None

    @property
    def replayed(self) -> int:
        """How many journalled requests were carried out again at the start."""
        return self._engine.replayed

    def on_write(self, written: Callable[[str, str, dict[str, Any]], None]) -> None:
        """Have ``written(service, operation, params)`` called after each acknowledged write."""
        self._written = written

    async def load(self) -> None:
        """Import moto and replay the journal."""
        await trio.to_thread.run_sync(self._engine.load, limiter=self._turn)

    async def handle(self, request: HttpRequest, found: Route | None = None) -> HttpReply:
        """Answer one request that came over the wire."""
        found = found or route(request)
        if found.service == "sqs" and found.operation == "ReceiveMessage":
            return await self._poll(request, found)
        return await self._respond(request, found)

    async def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """As ``nightlatch.local.aws.Caller.call``, in process."""
        reply, wrote = await trio.to_thread.run_sync(
            self._caller.call, service, operation, params, limiter=self._turn
        )
        if wrote:
            self._written(service, operation, params)
        return reply

    async def close(self) -> None:
        """Compact and close the journal, after the request that is on."""
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._engine.close, limiter=self._turn)

    async def _respond(self, request: HttpRequest, found: Route) -> HttpReply:
        reply, wrote = await trio.to_thread.run_sync(self._engine.respond, request, found, limiter=self._turn)
        if wrote:
            self._written(found.service, found.operation, parameters(request, found))
        return reply

    async def _poll(self, request: HttpRequest, found: Route) -> HttpReply:
        """Wait for a message without keeping everybody else waiting: moto would sleep inside the request."""
        body = parameters(request, found)
        patience = min(float(body.get("WaitTimeSeconds") or 0), _LONGEST_POLL_SECONDS)
        if body:
            now = json.dumps({**body, "WaitTimeSeconds": 0}).encode()
            request = HttpRequest(request.method, request.target, request.headers, now)
        give_up = time.monotonic() + patience
        while True:
            reply = await self._respond(request, found)
            if b"ReceiptHandle" in reply.body or time.monotonic() >= give_up:
                return reply
            await trio.sleep(_POLL_SECONDS)
