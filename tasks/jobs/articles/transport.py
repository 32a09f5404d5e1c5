"""Many HTTP requests at once, through libcurl's multi interface in one thread."""

import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Self

import pycurl

from tasks.jobs.articles.address_guard import AddressGuard
from tasks.jobs.articles.picture_bytes import LONG_TAIL
from tasks.jobs.articles.probe import LONGEST_BODY, Answer, Ask, Trouble
from tasks.jobs.articles.sockets import Sockets
from tasks.jobs.articles.urls import host_of

_FIELD: Final = re.compile(
    r"(?i:(content-(?:range|type|length|encoding)|location|retry-after|etag|last-modified))"
    r"[ \t]*:[ \t]*([^\r\n]*)"
)
_STATUS: Final = re.compile(r"HTTP/[\d.]+ +(\d+)")
# In place of the name of a header; no header has a colon in its name.
_STATUS_NAME: Final = ":status"
_END_OF_HEADERS: Final = b"\r\n"
# A server's answers have most of their lines in common: each is read once, unless one of them is so long that
# keeping such lines would take much memory.
_LINES_KEPT: Final = 4096
_LONGEST_KEPT: Final = 1000
_TROUBLE: Final = {
    pycurl.E_OPERATION_TIMEDOUT: Trouble.TIMEOUT,
    pycurl.E_COULDNT_RESOLVE_HOST: Trouble.DNS,
    pycurl.E_COULDNT_CONNECT: Trouble.REFUSED,
    pycurl.E_PARTIAL_FILE: Trouble.PARTIAL,
    pycurl.E_UNSUPPORTED_PROTOCOL: Trouble.GARBLED,  # no HTTP at all
    pycurl.E_FTP_WEIRD_SERVER_REPLY: Trouble.GARBLED,
    pycurl.E_SSL_CONNECT_ERROR: Trouble.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: Trouble.TLS,
    pycurl.E_SSL_CERTPROBLEM: Trouble.TLS,
    pycurl.E_SSL_CIPHER: Trouble.TLS,
    pycurl.E_SSL_CACERT_BADFILE: Trouble.TLS,
}
_OK_STATUS: Final = 200
# libcurl has no code of its own for headers that do not end.
_TOO_LONG: Final = "Too large response headers"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `total` is for a whole request, however steadily it drips."""

    connect: float = 5.0
    total: float = 20.0


class Transfer:
    """One request under way, and what has come of it so far."""

    def __init__(self, handle: pycurl.Curl) -> None:
        self.handle = handle
        self.ask = Ask("")
        self.tag: Any = None
        self.asked_at = 0.0
        self.blocked = False
        self.conditional = False
        # libcurl appends to these lists itself: the cheapest callbacks there are. It ends the request when
        # the headers are longer than 300 kB.
        self.lines: list[bytes] = []
        self.pieces: list[bytes] = []
        self._status = 0
        self._tail = bytearray()
        self._length = 0
        self._cut = False
        self.opened: list[socket.socket] = []

    def begin(self, ask: Ask, tag: object) -> None:
        """Forget the last request."""
        self.ask, self.tag, self.asked_at = ask, tag, time.monotonic()
        self.lines.clear()
        self.pieces.clear()
        if self._length or self.blocked:
            self.blocked = self._cut = False
            self._status = self._length = 0
            self._tail.clear()

    def on_body(self, data: bytes) -> int:
        """For libcurl: some of a body that may be long; -1 ends the request."""
        if self._length == 0:
            self._status = int(_headers(self.lines).get(_STATUS_NAME, 0))
        if self._length <= LONG_TAIL:
            self.pieces.append(data)
        self._length += len(data)
        if self._length > LONG_TAIL:
            if not self._tail:
                self._tail += b"".join(self.pieces)
            else:
                self._tail += data
            if len(self._tail) > 4 * LONG_TAIL:
                del self._tail[:-LONG_TAIL]
        if self._length > self._most():
            self._cut = True
            return -1
        return len(data)

    def _most(self) -> int:
        """A refused request has no picture in it: what else it says is not read."""
        return LONGEST_BODY if _OK_STATUS <= self._status < _OK_STATUS + 100 else LONG_TAIL

    def answer(self, error: int, message: str) -> Answer:
        """The finished request as an Answer."""
        headers = _headers(self.lines)
        pieces = self.pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        status = int(headers.get(_STATUS_NAME, 0))
        if not error and not self._length:
            return Answer(status, headers, body[:LONG_TAIL], body, len(body))
        # Everything, where two ranges were asked for, was not worth reading.
        cut = self._cut or error == pycurl.E_FILESIZE_EXCEEDED
        trouble: Trouble | None = None
        if error and not cut:
            trouble = Trouble.BLOCKED if self.blocked else _TROUBLE.get(error, Trouble.RESET)
            if _TOO_LONG in message:
                trouble = Trouble.GARBLED
        return Answer(
            status,
            headers,
            head=body[:LONG_TAIL],
            tail=bytes(self._tail[-LONG_TAIL:]) if self._tail else body,
            length=self._length or len(body),
            cut=cut,
            trouble=trouble,
            detail=message if trouble else "",
        )

    def open_socket(self, guard: AddressGuard, address: Any) -> Any:
        """Called by libcurl with the very address it is about to connect to."""
        family, kind, protocol, target = address
        netloc = host_of(self.ask.url)
        host = netloc.rpartition("]")[0].strip("[") or netloc.partition(":")[0]
        if not guard.permits(host, _text(target[0]) if isinstance(target[0], bytes) else target[0]):
            self.blocked = True
            return pycurl.SOCKET_BAD
        opened = socket.socket(family, kind, protocol)
        self.opened.append(opened)
        return opened

    def close_sockets(self) -> None:
        """Pycurl works on a copy of the socket that it was given; the original is closed here."""
        for opened in self.opened:
            opened.close()
        self.opened.clear()


class Transport:
    """Starts requests and yields answers. Use as a context manager."""

    def __init__(self, guard: AddressGuard, timeouts: Timeouts, user_agent: str, most: int) -> None:
        self._guard = guard
        self._timeouts = timeouts
        self._user_agent = user_agent
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, most * 2)
        self._sockets = Sockets(self._multi)
        self._idle: list[Transfer] = []
        self._busy: dict[pycurl.Curl, Transfer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for handle, transfer in self._busy.items():
            self._multi.remove_handle(handle)
            handle.close()
            transfer.close_sockets()
        for transfer in self._idle:
            transfer.handle.close()
        self._multi.close()
        self._sockets.close()

    @property
    def active(self) -> int:
        """How many requests are under way."""
        return len(self._busy)

    def start(self, ask: Ask, tag: object) -> None:
        """Begin a request; its answer comes with `tag`."""
        transfer = self._idle.pop() if self._idle else self._transfer()
        before = transfer.ask
        transfer.begin(ask, tag)
        handle = transfer.handle
        handle.setopt(pycurl.URL, ask.url)
        if ask.first != before.first or ask.last != before.last or ask.tail != before.tail:
            _set_ranges(transfer)  # mostly those of the last request
        if ask.etag or ask.modified or transfer.conditional:
            conditions = _conditions(ask)
            transfer.conditional = bool(conditions)
            handle.setopt(pycurl.HTTPHEADER, [*_HEADERS_SENT, *conditions])
        self._busy[handle] = transfer
        self._multi.add_handle(handle)

    def _transfer(self) -> Transfer:
        handle = pycurl.Curl()
        transfer = Transfer(handle)
        guard = self._guard
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.FOLLOWLOCATION, 0)  # by hand: every address is judged
        handle.setopt(pycurl.PROXY, "")  # through a proxy the address we judge would be the proxy's
        handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        handle.setopt(pycurl.PATH_AS_IS, 1)
        handle.setopt(pycurl.USERAGENT, self._user_agent)
        handle.setopt(pycurl.HTTPHEADER, _HEADERS_SENT)
        handle.setopt(pycurl.CONNECTTIMEOUT_MS, int(self._timeouts.connect * 1000))
        handle.setopt(pycurl.TIMEOUT_MS, int(self._timeouts.total * 1000))
        handle.setopt(pycurl.HEADERFUNCTION, transfer.lines.append)
        handle.setopt(pycurl.WRITEFUNCTION, transfer.on_body)
        handle.setopt(
            pycurl.OPENSOCKETFUNCTION, lambda _purpose, address: transfer.open_socket(guard, address)
        )
        return transfer

    def wait(self, seconds: float) -> Iterator[tuple[Any, float, Answer]]:
        """Let libcurl work, at most `seconds`; yields (tag, when it was asked, answer)."""
        self._sockets.run(0.0)
        finished = list(self._finished())
        if not finished and seconds > 0:
            self._sockets.run(seconds)
            finished = list(self._finished())
        yield from finished

    def _finished(self) -> Iterator[tuple[Any, float, Answer]]:
        while True:
            left, good, bad = self._multi.info_read()
            for handle in good:
                yield self._end(handle, 0, "")
            for handle, error, message in bad:
                yield self._end(handle, error, message)
            if not left:
                return

    def _end(self, handle: pycurl.Curl, error: int, message: str) -> tuple[Any, float, Answer]:
        self._multi.remove_handle(handle)
        transfer = self._busy.pop(handle)
        answer = transfer.answer(error, message)
        if transfer.opened:
            transfer.close_sockets()
        tag, asked_at, transfer.tag = transfer.tag, transfer.asked_at, None
        self._idle.append(transfer)
        return tag, asked_at, answer


_HEADERS_SENT: Final = ["Accept: image/*,*/*;q=0.5", "Accept-Encoding: identity"]


def _conditions(ask: Ask) -> list[str]:
    """The headers that ask for a change only (RFC 9110, 13.1); what a server sent is not to break a line."""
    wanted = (("If-None-Match", ask.etag), ("If-Modified-Since", ask.modified))
    return [f"{name}: {value}" for name, value in wanted if value and value.isascii() and value.isprintable()]


def _set_ranges(transfer: Transfer) -> None:
    """Tell libcurl which bytes are wanted, and how it hands them over."""
    ask, handle = transfer.ask, transfer.handle
    if ask.first is None:
        handle.unsetopt(pycurl.RANGE)
    elif ask.tail:
        handle.setopt(pycurl.RANGE, f"{ask.first}-{ask.last},-{ask.tail}")
    else:
        handle.setopt(pycurl.RANGE, f"{ask.first}-{ask.last}")
    if ask.tail:  # two short pieces; libcurl itself ends what turns out to be more
        handle.setopt(pycurl.MAXFILESIZE, LONG_TAIL)
        handle.setopt(pycurl.WRITEFUNCTION, transfer.pieces.append)
    else:
        handle.setopt(pycurl.MAXFILESIZE, 0)
        handle.setopt(pycurl.WRITEFUNCTION, transfer.on_body)


def _headers(lines: list[bytes]) -> dict[str, str]:
    """The headers that are wanted, and the status, of the last answer: others before it are 1xx."""
    if lines.count(_END_OF_HEADERS) > 1:
        ends = [at for at, line in enumerate(lines) if line == _END_OF_HEADERS]
        begins = [at + 1 for at in ends if lines[at + 1 : at + 2] and lines[at + 1].startswith(b"HTTP/")]
        lines = lines[begins[-1] :] if begins else lines
    read = _field if max(map(len, lines), default=0) <= _LONGEST_KEPT else _field.__wrapped__
    return dict(filter(None, map(read, lines)))


@lru_cache(_LINES_KEPT)
def _field(line: bytes) -> tuple[str, str] | None:
    """Name, in lower case, and value of a header that is wanted."""
    text = _text(line)
    matched = _FIELD.match(text)
    if matched is not None:
        return matched[1].lower(), matched[2].rstrip()
    matched = _STATUS.match(text)
    return (_STATUS_NAME, matched[1]) if matched else None


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
