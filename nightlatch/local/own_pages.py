from __future__ import annotations

import os
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from nightlatch.local.api_error import ApiError
from nightlatch.local.http.message import HttpReply, HttpRequest, json_reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import trio

    Fire = Callable[[str, str, str | None], Awaitable[dict[str, Any]]]

_FIRE_PARTS = 4


class OwnPages:
    """What the local AWS answers about itself, under ``/_nightlatch/``.

    Args:
        ready: Set when every service answers.
        details: More members for the health page.
        fire: Delivers a schedule now: group, name, scheduled time.
    """

    def __init__(self, *, ready: trio.Event, details: Callable[[], dict[str, Any]], fire: Fire) -> None:
        self._ready = ready
        self._details = details
        self._fire = fire
        self._started = time.monotonic()

    async def answer(self, request: HttpRequest) -> HttpReply:
        """Answer one request.

        Raises:
            ApiError: No such page.
        """
        parts = [unquote(part) for part in request.path.strip("/").split("/")[1:]]
        if parts == ["health"]:
            return json_reply(
                {
                    "ready": self._ready.is_set(),
                    "version": version("nightlatch"),
                    "pid": os.getpid(),
                    "uptime_seconds": round(time.monotonic() - self._started, 3),
                    **self._details(),
                }
            )
        if len(parts) == _FIRE_PARTS and parts[0] == "schedules" and parts[3] == "fire":
            await self._ready.wait()
            if request.method != "POST":
                raise ApiError("MethodNotAllowed", "A schedule is fired by POST.", 405)
            return json_reply(await self._fire(parts[1], parts[2], request.json().get("scheduled_time")))
        raise ApiError("NotFound", f"The local AWS has no page {request.path}.", 404)
