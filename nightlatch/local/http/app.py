from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.http.message import HttpReply, HttpRequest, error_reply, json_reply
from nightlatch.local.http.parameters import parameters
from nightlatch.local.http.routing import Route, route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Protocol

    import trio

    from nightlatch.local.aws import Aws

    class Moto(Protocol):
        """What answers for everything that is not ours."""

        async def handle(self, request: HttpRequest, found: Route | None = None) -> HttpReply:
            """Answer one request."""
            ...

    Handler = Callable[[HttpRequest], Awaitable[HttpReply]]
    Check = Callable[[str, str, dict[str, Any]], None]

OWN = "/_nightlatch/"


class App:
    """The ASGI application: finds out which API a request is for and has it answered.

    Args:
        aws: Knows the services of ours.
        moto: Answers for the others.
        ready: Set when every service has its state back; until then only our own pages are served.
        own: Answers paths under ``/_nightlatch/``.
        metadata: Answers paths under ``/v4/``, the task metadata endpoint.
        check: Refuses writes that AWS would refuse and moto would not, by raising ApiError.
    """

    def __init__(
        self, *, aws: Aws, moto: Moto, ready: trio.Event, own: Handler, metadata: Handler, check: Check
    ) -> None:
        self._aws = aws
        self._moto = moto
        self._ready = ready
        self._own = own
        self._metadata = metadata
        self._check = check

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection's request, as ASGI has it."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            request = await _read(scope, receive)
            if request is not None:
                await _write(await self.answer(request), send)

    async def answer(self, request: HttpRequest) -> HttpReply:
        """Answer any request; never raises for what a caller can do wrong."""
        try:
            if request.path.startswith(OWN):
                return await self._own(request)
            await self._ready.wait()
            if request.path.startswith("/v4/") and not request.header("authorization"):
                return await self._metadata(request)
            return await self._api(request)
        except ApiError as error:
            return error_reply(error, request)
        except Exception as error:  # noqa: BLE001 - one request's accident must not take the others down
            traceback.print_exc(file=sys.stderr)
            said = (
                f"The local AWS failed at this request ({type(error).__name__}: {error}). Its log has more."
            )
            return error_reply(ApiError("InternalFailure", said, 500), request)

    async def _api(self, request: HttpRequest) -> HttpReply:
        found = route(request)
        native = self._aws.native(found.service, found.operation)
        if native is not None:
            reply = await native.call(found.operation, request.json())
            return json_reply(
                reply, content_type=request.header("content-type") or "application/x-amz-json-1.1"
            )
        if found.writes and found.service in {"events", "scheduler"}:
            self._check(found.service, found.operation, parameters(request, found))
        return await self._moto.handle(request, found)


async def _read(scope: Any, receive: Any) -> HttpRequest | None:
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    query = scope["query_string"].decode("latin-1")
    target = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
    headers = tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]
    )
    return HttpRequest(scope["method"], target, headers, b"".join(chunks))


async def _write(reply: HttpReply, send: Any) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    if not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": False})


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
