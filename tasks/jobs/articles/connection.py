"""A connection to a web server: one request after another, and each answer read as it comes.

asyncio brings the bytes, and llhttp, the parser of Node.js, takes an answer apart. What is here decides how
much of it is wanted, when it is over, and what it means that the other side hangs up.
"""

import asyncio
import codecs
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from tasks.jobs.articles.picture_bytes import LONG_TAIL
from tasks.jobs.articles.probe import LONGEST_BODY, Answer, Ask, Trouble

LONGEST_HEADERS: Final = 300_000
_WANTED: Final = frozenset(
    {
        *("content-range", "content-type", "content-length", "content-encoding", "transfer-encoding"),
        *("location", "retry-after", "etag", "last-modified"),
    }
)
_LONGEST_NAME: Final = max(map(len, _WANTED))
_SPELLINGS_KEPT: Final = 1024
_ELSE_LATIN: Final = "nightlatch-else-latin-1"
_OK, _REDIRECTION = 200, 300


@dataclass(slots=True, eq=False)
class Place:
    """Where requests go: a scheme, a host and a port. `netloc` is host and port as URLs have them."""

    netloc: str
    name: str
    port: int
    tls: bool
    idle: "list[Connection]" = field(default_factory=list)


class Exchange:
    """One request under way. `asked_at` is in monotonic seconds; `tag` belongs to who asked."""

    __slots__ = ("ask", "asked_at", "connection", "dialling", "place", "request", "tag")

    def __init__(self, ask: Ask, tag: object, place: Place, request: bytes, asked_at: float) -> None:
        self.ask = ask
        self.tag = tag
        self.place = place
        self.request = request
        self.asked_at = asked_at
        self.connection: Connection | None = None
        self.dialling: asyncio.Task[None] | None = None


class Owner(Protocol):
    """Who has connections, and is told how they fare."""

    def ended(self, connection: "Connection", exchange: Exchange, answer: Answer, *, keep: bool) -> None:
        """An answer is there; with `keep` the connection may be asked again."""

    def unheard(self, exchange: Exchange) -> None:
        """The other side had closed a kept connection before the request got there."""

    def lost(self, connection: "Connection") -> None:
        """The connection is closed."""


class Connection(asyncio.Protocol):
    """One connection to `place`. `exchange` is what it is busy with."""

    def __init__(self, owner: Owner, place: Place) -> None:
        self.place = place
        self.exchange: Exchange | None = None
        self._owner = owner
        self._transport: Any = None
        self._answers = 0
        self._headers: dict[bytes, bytes] = {}
        self._parser = HttpResponseParser(self)
        # Read as browsers read: a picture that they show is there. Nobody is between us and the server whom
        # two readings of one answer could deceive.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_chunked_length=True,
            lenient_version=True,
            lenient_optional_lf_after_cr=True,
            lenient_optional_cr_before_lf=True,
            lenient_optional_crlf_after_chunk=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._forget()

    def _forget(self) -> None:
        self._headers.clear()
        self._status = 0
        self._wanted: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._tail: bytearray | None = None
        self._length = 0
        self._most = LONG_TAIL
        self._besides = 0  # bytes that came with nothing of the body among them
        self._cut = self._whole = self._more = self._keep = False

    @property
    def on_header(self) -> Callable[[bytes, bytes], bytes]:
        """For the parser: a header. The cheapest callback there is, for the most frequent event."""
        return self._headers.setdefault

    def send(self, exchange: Exchange) -> bool:
        """Make a request; False if the connection is closed. It is idle."""
        if self._transport.is_closing():
            return False
        self._forget()
        self.exchange = exchange
        exchange.connection = self
        self._transport.write(exchange.request)
        return True

    def close(self) -> None:
        """Close it at once; what it is busy with is forgotten."""
        self.exchange = None
        if self._transport is not None:
            self._transport.abort()

    def so_far(self, trouble: Trouble | None = None, detail: str = "") -> Answer:
        """What has come of the answer."""
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return Answer(
            self._status,
            self._wanted,
            body[:LONG_TAIL],
            bytes(self._tail[-LONG_TAIL:]) if self._tail else body,
            self._length,
            self._cut,
            trouble,
            detail,
        )

    # -- called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Some more of an answer."""
        if self.exchange is None:
            self.close()  # nobody asked
            return
        before = self._length
        problem = ""
        try:
            self._parser.feed_data(data)
        except HttpParserCallbackError as error:
            raise (error.__context__ or error) from None
        except (HttpParserError, HttpParserUpgrade) as error:
            problem = str(error) or "it switches to another protocol"
        if self._whole:
            self._end(None, keep=self._keep and not self._more and not problem)
        elif self._cut:
            self._end(None)
        elif problem:
            self._end(Trouble.GARBLED, f"no HTTP: {problem}")
        elif self._length == before:
            self._besides += len(data)
            if self._besides > LONGEST_HEADERS:
                self._end(Trouble.GARBLED, f"headers of more than {LONGEST_HEADERS} bytes")

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side hung up, or we did."""
        self._owner.lost(self)
        exchange = self.exchange
        if exchange is None:
            return
        if self._status:
            self._hung_up(exc)
        elif self._answers and not self._besides:
            self.exchange = None
            self._owner.unheard(exchange)
        else:
            self._end(Trouble.RESET, str(exc or "the server hung up without an answer"))

    def _hung_up(self, exc: Exception | None) -> None:
        if exc is not None:
            self._end(Trouble.RESET, str(exc))
        elif "content-length" in self._wanted or "transfer-encoding" in self._wanted:
            self._end(Trouble.PARTIAL, f"the server hung up after {self._length} bytes")
        else:
            self._end(None)  # nothing else says where such a body ends

    def _end(self, trouble: Trouble | None, detail: str = "", *, keep: bool = False) -> None:
        exchange, self.exchange = self.exchange, None
        assert exchange is not None  # noqa: S101  (the callers have looked)
        self._answers += 1
        if not keep:
            self._transport.abort()
        self._owner.ended(self, exchange, self.so_far(trouble, detail), keep=keep)

    # -- called by the parser

    def on_message_begin(self) -> None:
        """An answer begins."""
        if self._whole:
            self._more = True  # nobody asked for it: not to be taken for the answer to the next request

    def on_headers_complete(self) -> None:
        """The headers are there."""
        status = self._parser.get_status_code()
        headers, wanted = self._headers, self._wanted
        if self._more:
            return
        if status < _OK:
            headers.clear()  # they announce the answer
            return
        self._status = status
        for name, value in headers.items():
            known = _NAMES[name]
            if known:
                wanted[known] = value.decode("utf-8", _ELSE_LATIN).rstrip()
        if self.exchange is not None and self.exchange.ask.tail:
            # Everything, where two ranges were asked for, is not worth reading.
            length = wanted.get("content-length", "")
            self._cut = length.isdecimal() and int(length) > LONG_TAIL
        elif status < _REDIRECTION:
            self._most = LONGEST_BODY  # else there is no picture in it

    def on_body(self, data: bytes) -> None:
        """Some of the body."""
        if self._cut or self._more:
            return
        before = self._length
        self._length = before + len(data)
        if before <= LONG_TAIL:
            self._pieces.append(data)
        if self._length > LONG_TAIL:
            if self._tail is None:
                self._tail = bytearray().join(self._pieces)
            else:
                self._tail += data
            if len(self._tail) > 4 * LONG_TAIL:
                del self._tail[:-LONG_TAIL]
            self._cut = self._length > self._most

    def on_message_complete(self) -> None:
        """The answer is whole, unless it only announced another."""
        if self._status:
            self._whole = True
            self._keep = self._parser.should_keep_alive()


class _Names(dict[bytes, str]):
    """The names of headers that are wanted, in lower case, by how they are written; "" for others."""

    def __missing__(self, name: bytes) -> str:
        lower = name.decode("latin-1").lower()
        known = lower if lower in _WANTED else ""
        if len(name) <= _LONGEST_NAME and len(self) < _SPELLINGS_KEPT:
            self[name] = known
        return known


_NAMES: Final = _Names()


def _as_latin(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101  (it is about decoding only)
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(_ELSE_LATIN, _as_latin)
