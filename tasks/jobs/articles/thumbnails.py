"""Thumbnails of what is there where a picture breaks off: asked for again, a few, within a few seconds."""

import base64
import time
from collections.abc import Callable, Iterable
from typing import Final

from tasks.jobs.articles.picture_bytes import identify
from tasks.jobs.articles.probe import Ask
from tasks.jobs.articles.transport import Transport
from tasks.jobs.articles.verdicts import Verdict

# Something of a picture may be there.
PARTLY_THERE: Final = {Verdict.TRUNCATED, Verdict.ENDLESS}
MOST: Final = 200
_BYTES: Final = 32_768
_AT_ONCE: Final = 8
_TYPES: Final = {kind: f"image/{kind}" for kind in ("png", "jpeg", "gif", "webp", "avif", "bmp")}


async def fetch_thumbnails(
    pictures: Iterable[tuple[str, str]], transport: Transport, seconds: float, stop: Callable[[], bool]
) -> dict[str, str]:
    """The beginnings of `pictures` (url, where it was found) as data: URLs, by url.

    Browsers show a picture that breaks off as far as it goes.

    SVG is left out: it is a document, and this goes into a page for editors.
    """
    waiting = list(pictures)[:MOST][::-1]
    found: dict[str, str] = {}
    give_up = time.monotonic() + seconds
    while (waiting or transport.active) and time.monotonic() < give_up and not stop():
        while waiting and transport.active < _AT_ONCE:
            url, place = waiting.pop()
            transport.start(Ask(place, 0, _BYTES - 1), url)
        for url, _, answer in await transport.wait(0.2):
            kind = _TYPES.get(identify(answer.head))
            if kind and 200 <= answer.status < 300:  # noqa: PLR2004  (success)
                data = base64.b64encode(answer.head[:_BYTES]).decode("ascii")
                found[url] = f"data:{kind};base64,{data}"
    return found
