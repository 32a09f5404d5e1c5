"""Calls that block, beside the event loop."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

Told = TypeVar("Told")


async def aside(function: Callable[[], Told]) -> Told:
    """Call `function` in a thread of its own.

    Not asyncio's threads: their end is waited for when the program ends, and one stuck request would use up
    the time between SIGTERM and SIGKILL.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Told] = loop.create_future()

    def tell(told: Told | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(told)  # type: ignore[arg-type]  # without an error it was told

    def work() -> None:
        told: Told | None = None
        failure: BaseException | None = None
        try:
            told = function()
        except BaseException as error:  # noqa: BLE001  (raised again where it is awaited)
            failure = error
        try:
            loop.call_soon_threadsafe(tell, told, failure)
        except RuntimeError:
            return  # the loop has ended; nobody waits

    threading.Thread(target=work, daemon=True).start()
    return await future
