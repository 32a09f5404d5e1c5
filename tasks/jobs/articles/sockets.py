"""Waiting for the sockets of many requests: only those on which something has happened are looked at.

libcurl's own way of waiting looks at every request under way each time, which with a thousand of them costs
more than answering.
"""

import select
import time
from typing import Final

import pycurl

_WANTED: Final = {
    pycurl.POLL_IN: select.POLLIN,
    pycurl.POLL_OUT: select.POLLOUT,
    pycurl.POLL_INOUT: select.POLLIN | select.POLLOUT,
}
# epoll on Linux; poll, which has the same masks, elsewhere.
_EPOLL: Final = hasattr(select, "epoll")
_UNITS: Final = 1 if _EPOLL else 1000
_AT_ONCE: Final = 0.0


class Sockets:
    """Drives a multi handle by what happens on its sockets."""

    def __init__(self, multi: pycurl.CurlMulti) -> None:
        self._multi = multi
        self._poll = select.epoll() if _EPOLL else select.poll()
        self._watched: set[int] = set()
        # When libcurl wants to be called although nothing has happened: monotonic seconds.
        self._wake_at: float | None = None
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)

    def close(self) -> None:
        """After the multi handle was closed."""
        close = getattr(self._poll, "close", None)  # only epoll has one
        if close is not None:
            close()

    def run(self, seconds: float) -> None:
        """Wait for something to happen, at most `seconds`, and let libcurl act on it."""
        act = self._multi.socket_action
        if self._wake_at is not None:
            seconds = 0.0 if self._wake_at == _AT_ONCE else self._until(seconds)
        for socket, happened in self._poll.poll(seconds * _UNITS):
            act(socket, pycurl.CSELECT_IN if happened == select.POLLIN else _bits(happened))
        if self._wake_at is not None and self._wake_at <= time.monotonic():
            self._wake_at = None
            act(pycurl.SOCKET_TIMEOUT, 0)

    def _watch(self, what: int, socket: int, _multi: object, _data: object) -> None:
        """For libcurl: what it waits for on a socket."""
        if what == pycurl.POLL_REMOVE:
            self._watched.discard(socket)
            self._poll.unregister(socket)
        elif socket in self._watched:
            self._poll.modify(socket, _WANTED[what])
        else:
            self._watched.add(socket)
            self._poll.register(socket, _WANTED[what])

    def _set_timer(self, milliseconds: int) -> None:
        """For libcurl: when it wants to be called at the latest; -1: not at all."""
        if milliseconds == 0:
            self._wake_at = _AT_ONCE
        else:
            self._wake_at = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000

    def _until(self, seconds: float) -> float:
        """`seconds`, or less if libcurl wants to be called before."""
        assert self._wake_at is not None  # noqa: S101  (the caller has looked)
        return min(seconds, max(0.0, self._wake_at - time.monotonic()))


def _bits(happened: int) -> int:
    bits = 0
    if happened & (select.POLLIN | select.POLLHUP):
        bits |= pycurl.CSELECT_IN
    if happened & select.POLLOUT:
        bits |= pycurl.CSELECT_OUT
    if happened & select.POLLERR:
        bits |= pycurl.CSELECT_ERR
    return bits
