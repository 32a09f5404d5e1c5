"""Many HTTP requests at once, through libcurl's multi interface in one thread."""

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

import pycurl

from tasks.jobs.articles.address_guard import AddressGuard
from tasks.jobs.articles.picture_bytes import LONG_TAIL
from tasks.jobs.articles.probe import LONGEST_BODY, Answer, Ask, Trouble
from tasks.jobs.articles.urls import host_of

_HEADERS_WANTED: Final = {"content-range", "content-type", "content-length", "location", "retry-after"}
_LONGEST_HEADERS: Final = 65_536
_TROUBLE: Final = {
    pycurl.E_OPERATION_TIMEDOUT: Trouble.TIMEOUT,
    pycurl.E_COULDNT_RESOLVE_HOST: Trouble.DNS,
    pycurl.E_COULDNT_CONNECT: Trouble.REFUSED,
    pycurl.E_PARTIAL_FILE: Trouble.PARTIAL,
    pycurl.E_SSL_CONNECT_ERROR: Trouble.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: Trouble.TLS,
    pycurl.E_SSL_CERTPROBLEM: Trouble.TLS,
    pycurl.E_SSL_CIPHER: Trouble.TLS,
    pycurl.E_SSL_CACERT_BADFILE: Trouble.TLS,
}
_OK_STATUS: Final = 200


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
        self._host = ""
        self._status = 0
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._head = bytearray()
        self._tail = bytearray()
        self._length = 0
        self._cut = False

    def begin(self, ask: Ask, tag: object) -> None:
        """Forget the last request."""
        self.ask, self.tag, self.asked_at = ask, tag, time.monotonic()
        self._host = host_of(ask.url).rpartition("]")[0].strip("[") or host_of(ask.url).partition(":")[0]
        self.blocked = self._cut = False
        self._status, self._headers, self._header_bytes, self._length = 0, {}, 0, 0
        self._head, self._tail = bytearray(), bytearray()

    def on_header(self, line: bytes) -> int:
        """For libcurl: one header line; -1 ends the request."""
        self._header_bytes += len(line)
        if self._header_bytes > _LONGEST_HEADERS:
            return -1
        if line.startswith(b"HTTP/"):
            self._headers.clear()  # those of a 1xx answer before the real one
            words = line.split(None, 2)
            self._status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
            return len(line)
        name, colon, value = line.partition(b":")
        if colon:
            key = name.strip().lower().decode("latin-1")
            if key in _HEADERS_WANTED:
                self._headers[key] = _text(value.strip())
        return len(line)

    def on_body(self, data: bytes) -> int:
        """For libcurl: some of the body; -1 ends the request."""
        self._length += len(data)
        room = LONG_TAIL - len(self._head)
        if room > 0:
            self._head += data[:room]
        if len(data) >= LONG_TAIL:
            self._tail = bytearray(data[-LONG_TAIL:])
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
        trouble: Trouble | None = None
        if error and not self._cut:
            trouble = Trouble.BLOCKED if self.blocked else _TROUBLE.get(error, Trouble.RESET)
        return Answer(
            status=self._status,
            headers=self._headers,
            head=bytes(self._head),
            tail=bytes(self._tail[-LONG_TAIL:]),
            length=self._length,
            cut=self._cut,
            trouble=trouble,
            detail=message if trouble else "",
        )

    def open_socket(self, guard: AddressGuard, address: Any) -> Any:
        """Called by libcurl with the very address it is about to connect to."""
        family, kind, protocol, target = address
        if not guard.permits(self._host, _text(target[0]) if isinstance(target[0], bytes) else target[0]):
            self.blocked = True
            return pycurl.SOCKET_BAD
        return socket.socket(family, kind, protocol)


class Transport:
    """Starts requests and yields answers. Use as a context manager."""

    def __init__(self, guard: AddressGuard, timeouts: Timeouts, user_agent: str, most: int) -> None:
        self._guard = guard
        self._timeouts = timeouts
        self._user_agent = user_agent
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, most * 2)
        self._idle: list[Transfer] = []
        self._busy: dict[pycurl.Curl, Transfer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for handle in list(self._busy):
            self._multi.remove_handle(handle)
            handle.close()
        for transfer in self._idle:
            transfer.handle.close()
        self._multi.close()

    @property
    def active(self) -> int:
        """How many requests are under way."""
        return len(self._busy)

    def start(self, ask: Ask, tag: object) -> None:
        """Begin a request; its answer comes with `tag`."""
        transfer = self._idle.pop() if self._idle else self._transfer()
        transfer.begin(ask, tag)
        handle = transfer.handle
        handle.setopt(pycurl.URL, ask.url)
        if ask.first is None:
            handle.unsetopt(pycurl.RANGE)
        else:
            handle.setopt(pycurl.RANGE, f"{ask.first}-{ask.last}")
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
        handle.setopt(pycurl.HTTPHEADER, ["Accept: image/*,*/*;q=0.5", "Accept-Encoding: identity"])
        handle.setopt(pycurl.CONNECTTIMEOUT_MS, int(self._timeouts.connect * 1000))
        handle.setopt(pycurl.TIMEOUT_MS, int(self._timeouts.total * 1000))
        handle.setopt(pycurl.HEADERFUNCTION, transfer.on_header)
        handle.setopt(pycurl.WRITEFUNCTION, transfer.on_body)
        handle.setopt(
            pycurl.OPENSOCKETFUNCTION, lambda _purpose, address: transfer.open_socket(guard, address)
        )
        return transfer

    def wait(self, seconds: float) -> Iterator[tuple[Any, float, Answer]]:
        """Let libcurl work, at most `seconds`; yields (tag, when it was asked, answer)."""
        self._multi.perform()
        finished = list(self._finished())
        if not finished and seconds > 0:
            if self._busy:
                self._multi.select(seconds)
            else:
                time.sleep(seconds)
            self._multi.perform()
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
        tag, asked_at, transfer.tag = transfer.tag, transfer.asked_at, None
        self._idle.append(transfer)
        return tag, asked_at, answer


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
