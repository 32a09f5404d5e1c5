"""Making connections: a name is looked up, every address is judged, and the first that answers is taken."""

import asyncio
import errno
import resource
import socket
import ssl
import threading
from contextlib import suppress
from typing import Any, Final

from aiohappyeyeballs import start_connection

from tasks.contract import exit_codes
from tasks.jobs.articles.address_guard import AddressGuard
from tasks.jobs.articles.connection import Connection, Place
from tasks.jobs.articles.probe import Trouble
from tasks.jobs.program import JobError

# Seconds for which the addresses of a name are kept.
_KEPT: Final = 60.0
# So many names are looked up at once: each takes a thread, for as long as a name server is silent.
_LOOKED_UP_AT_ONCE: Final = 64
# Source: RFC 8305, 5 (the pause before another address of a name is tried beside the first)
_NEXT_ADDRESS_SECONDS: Final = 0.25
_TOO_MANY_FILES: Final = {errno.EMFILE, errno.ENFILE}
# Databases, pipes, what a name server is asked through.
_OTHER_FILES: Final = 128

_Addresses = list[tuple[Any, ...]]


def make_room(connections: int) -> None:
    """See to it that this process may open so many connections.

    Raises:
        JobError: if it may not.
    """
    wanted = connections + _OTHER_FILES
    may, may_become = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY not in {may, may_become} and may_become < wanted:
        raise JobError(
            f"so many requests at once take {wanted} open files, and this process may have {may_become}: "
            "take a smaller --concurrency, or raise the limit (ulimit -n)"
        )
    if may != resource.RLIM_INFINITY and may < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, may_become))


class DialError(Exception):
    """There is no connection; `trouble` says why."""

    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(detail)
        self.trouble = trouble


class Dialler:
    """Makes connections to addresses that `guard` permits."""

    def __init__(self, loop: asyncio.AbstractEventLoop, guard: AddressGuard) -> None:
        self._loop = loop
        self._guard = guard
        self._tls: ssl.SSLContext | None = None
        self._known: dict[tuple[str, int], tuple[float, asyncio.Future[_Addresses]]] = {}
        self._lookups = asyncio.Semaphore(_LOOKED_UP_AT_ONCE)

    async def dial(self, place: Place, connection: Connection) -> None:
        """Connect `connection` to `place`.

        Raises:
            DialError: if there is no connection to be had.
            JobError: if this process, or the machine, has too many files open.
        """
        try:
            addresses = await self._addresses(place)
        except (OSError, UnicodeError) as error:
            _see_to_files(error)
            raise DialError(Trouble.DNS, str(error)) from None
        # Judged is the very address that is connected to: a name that changes its answer gains nothing.
        permitted = [it for it in addresses if self._guard.permits(place.name, it[4][0])]
        if not permitted:
            raise DialError(Trouble.BLOCKED, "")
        try:
            opened = await start_connection(
                permitted, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, loop=self._loop
            )
        except (OSError, RuntimeError) as error:  # uvloop has a RuntimeError for some
            _see_to_files(error)
            raise DialError(Trouble.REFUSED, str(error)) from None
        try:
            await self._loop.create_connection(
                lambda: connection,
                sock=opened,
                ssl=self._context() if place.tls else None,
                server_hostname=place.name if place.tls else None,
            )
        except OSError as error:
            connection.close()
            raise DialError(Trouble.TLS if place.tls else Trouble.REFUSED, str(error)) from None
        except BaseException:
            connection.close()
            raise

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    async def _addresses(self, place: Place) -> _Addresses:
        """The addresses of a place. Who asks while they are being looked up waits for the same answer."""
        key = place.name, place.port  # not the netloc: it is the same for http and https
        until, found = self._known.get(key, (0.0, None))
        if found is None or (found.done() and self._loop.time() >= until):
            found = self._loop.create_task(self._look_up(place))
            found.add_done_callback(lambda done: self._keep(place, done))
            self._known[key] = (0.0, found)
        return await asyncio.shield(found)

    def _keep(self, place: Place, done: "asyncio.Future[_Addresses]") -> None:
        if done.cancelled() or done.exception() is not None:
            del self._known[place.name, place.port]
        else:
            self._known[place.name, place.port] = (self._loop.time() + _KEPT, done)

    async def _look_up(self, place: Place) -> _Addresses:
        async with self._lookups:
            answer: asyncio.Future[_Addresses] = self._loop.create_future()
            # A daemon: a name server that is silent must not keep the process from ending.
            threading.Thread(target=self._ask, args=(place, answer), daemon=True).start()
            return await answer

    def _ask(self, place: Place, answer: "asyncio.Future[_Addresses]") -> None:
        found: _Addresses | OSError | UnicodeError
        try:
            found = list(socket.getaddrinfo(place.name, place.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found = error
        with suppress(RuntimeError):  # the check has ended meanwhile
            self._loop.call_soon_threadsafe(_tell, answer, found)


def _see_to_files(error: Exception) -> None:
    """Too many open files are our trouble, and no verdict on the other side."""
    if isinstance(error, OSError) and error.errno in _TOO_MANY_FILES:
        raise JobError(f"cannot open a connection: {error}", exit_codes.TRY_AGAIN) from None


def _tell(answer: "asyncio.Future[_Addresses]", found: _Addresses | Exception) -> None:
    if answer.done():
        return  # cancelled
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)
