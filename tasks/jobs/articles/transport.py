"""Many HTTP requests at once, in one thread: connections are kept, and every request has an end."""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Self, TypeVar

import uvloop

from tasks.jobs.articles.address_guard import AddressGuard
from tasks.jobs.articles.connection import Connection, Exchange, Place
from tasks.jobs.articles.dialling import DialError, Dialler
from tasks.jobs.articles.probe import Answer, Ask, Trouble

# Connections for each request under way: some are kept for the next one to their host.
OPEN_FOR_EACH: Final = 2
_PORTS: Final = {"http": 80, "https": 443}
_BEFORE_HOST: Final = len("https://")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `total` is for a whole request, however steadily it drips."""

    connect: float = 5.0
    total: float = 20.0


class Transport:
    """Starts requests and gives their answers. Use as a context manager.

    URLs are as `urls.resolve` makes them. `most` is how many requests there will be at once; OPEN_FOR_EACH
    times as many connections may be open.
    """

    def __init__(self, guard: AddressGuard, timeouts: Timeouts, user_agent: str, most: int) -> None:
        self._loop = uvloop.new_event_loop()
        self._loop.set_exception_handler(self._broken)
        self._dialler = Dialler(self._loop, guard)
        self._timeouts = timeouts
        self._most_open = OPEN_FOR_EACH * most
        self._always = (
            f"User-Agent: {user_agent}\r\nAccept: image/*,*/*;q=0.5\r\nAccept-Encoding: identity\r\n"
        )
        self._places: dict[str, Place] = {}
        self._busy: dict[Exchange, None] = {}  # in the order in which they began
        self._idle: dict[Connection, None] = {}  # the longest idle first
        self._finished: list[tuple[Any, float, Answer]] = []
        self._waiting: asyncio.Future[None] | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        for exchange in self._busy:
            if exchange.connection is not None:
                exchange.connection.close()
        for connection in list(self._idle):
            connection.close()
        if tasks:
            self._loop.run_until_complete(asyncio.wait(tasks))
        self._loop.run_until_complete(asyncio.sleep(0))  # what was closed is let go
        self._loop.close()

    @property
    def active(self) -> int:
        """How many requests are under way."""
        return len(self._busy)

    def start(self, ask: Ask, tag: object) -> None:
        """Begin a request; its answer comes with `tag`."""
        url = ask.url
        slash = url.index("/", _BEFORE_HOST)
        origin = url[:slash]
        place = self._places.get(origin) or self._place(origin)
        wanted = _wanted(ask.first, ask.last, ask.tail)
        if ask.etag or ask.modified:
            wanted += _conditions(ask)
        request = f"GET {url[slash:]} HTTP/1.1\r\nHost: {place.netloc}\r\n{wanted}{self._always}\r\n"
        exchange = Exchange(ask, tag, place, request.encode(), time.monotonic())
        self._busy[exchange] = None
        self._send(exchange)

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Do what starts requests and waits for their answers."""
        return self._loop.run_until_complete(work)

    async def wait(self, seconds: float) -> list[tuple[Any, float, Answer]]:
        """Let the requests go on, at most for `seconds`; the answers, as (tag, when it was asked, answer)."""
        seconds = min(seconds, self._expire())
        if seconds <= 0 or self._finished:
            await asyncio.sleep(0)
        elif self._error is None:
            self._waiting = self._loop.create_future()
            timer = self._loop.call_later(seconds, self._wake)
            await self._waiting
            timer.cancel()
        if self._error is not None:
            raise self._error
        finished, self._finished = self._finished, []
        return finished

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
            self._waiting = None

    # -- requests

    def _place(self, origin: str) -> Place:
        scheme, _, netloc = origin.partition("://")
        name, _, port = netloc.rpartition("]") if netloc.startswith("[") else netloc.partition(":")
        place = Place(netloc, name.strip("["), int(port.strip(":") or _PORTS[scheme]), scheme == "https")
        self._places[origin] = place
        return place

    def _send(self, exchange: Exchange) -> None:
        idle = exchange.place.idle
        while idle:
            connection = idle.pop()
            del self._idle[connection]
            if connection.send(exchange):
                return
        exchange.dialling = self._loop.create_task(self._dial(exchange))

    async def _dial(self, exchange: Exchange) -> None:
        connection = Connection(self, exchange.place)
        limit = self._timeouts.connect
        try:
            async with asyncio.timeout(limit):
                await self._dialler.dial(exchange.place, connection)
        except DialError as error:
            self._finish(exchange, Answer(trouble=error.trouble, detail=str(error)))
        except TimeoutError:
            self._finish(exchange, Answer(trouble=Trouble.TIMEOUT, detail=f"no connection in {limit:g} s"))
        except Exception as error:  # noqa: BLE001  (nobody waits for this task: `wait` raises it)
            self._fail(error)
        else:
            exchange.dialling = None
            if not connection.send(exchange):
                answer = Answer(trouble=Trouble.RESET, detail="the server hung up at once")
                self._finish(exchange, answer)

    def _expire(self) -> float:
        """End the requests that have lasted too long; returns the seconds until the next one has."""
        total, now = self._timeouts.total, time.monotonic()
        while self._busy:
            oldest = next(iter(self._busy))
            left = oldest.asked_at + total - now
            if left > 0:
                return left
            detail = f"no whole answer in {total:g} s"
            answer = Answer(trouble=Trouble.TIMEOUT, detail=detail)
            if oldest.dialling is not None:
                oldest.dialling.cancel()
            elif oldest.connection is not None:
                answer = oldest.connection.so_far(Trouble.TIMEOUT, detail)
                oldest.connection.close()
            self._finish(oldest, answer)
        return total

    def _finish(self, exchange: Exchange, answer: Answer) -> None:
        del self._busy[exchange]
        self._finished.append((exchange.tag, exchange.asked_at, answer))
        if self._waiting is not None:
            self._wake()  # after what has happened on other connections meanwhile

    # -- told by connections

    def ended(self, connection: Connection, exchange: Exchange, answer: Answer, *, keep: bool) -> None:
        """An answer is there; with `keep` the connection may be asked again."""
        if keep:
            connection.place.idle.append(connection)
            self._idle[connection] = None
            if len(self._idle) + len(self._busy) > self._most_open:
                oldest = next(iter(self._idle))
                self.lost(oldest)
                oldest.close()
        self._finish(exchange, answer)

    def unheard(self, exchange: Exchange) -> None:
        """The other side had closed a kept connection before the request got there: it is made again."""
        exchange.connection = None
        self._send(exchange)

    def lost(self, connection: Connection) -> None:
        """A connection is closed."""
        if connection in self._idle:
            del self._idle[connection]
            connection.place.idle.remove(connection)

    # -- what must not happen

    def _broken(self, _loop: object, context: dict[str, Any]) -> None:
        self._fail(context.get("exception") or RuntimeError(context["message"]))

    def _fail(self, error: BaseException) -> None:
        self._error = error
        self._wake()


@lru_cache(1024)
def _wanted(first: int | None, last: int | None, tail: int) -> str:
    """The header that says which bytes are wanted (RFC 9110, 14.2)."""
    if first is None:
        return ""
    return f"Range: bytes={first}-{last}{f',-{tail}' if tail else ''}\r\n"


def _conditions(ask: Ask) -> str:
    """The headers that ask for a change only (RFC 9110, 13.1); what a server sent is not to break a line."""
    wanted = (("If-None-Match", ask.etag), ("If-Modified-Since", ask.modified))
    return "".join(
        f"{name}: {value}\r\n" for name, value in wanted if value and value.isascii() and value.isprintable()
    )
