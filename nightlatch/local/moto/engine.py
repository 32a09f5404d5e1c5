from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
import time
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from nightlatch.local.http.routing import Route, route
from nightlatch.local.moto import compaction, determinism, wsgi
from nightlatch.local.moto.journal import Entry, Journal, StorageFullError
from nightlatch.local.moto.subject import subject

if TYPE_CHECKING:
    from pathlib import Path

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication

    from nightlatch.local.http.message import HttpReply, HttpRequest

# Headers that say nothing to moto and would only fill the journal.
_FORGOTTEN_HEADERS = frozenset(
    {"user-agent", "accept", "accept-encoding", "connection", "amz-sdk-invocation-id", "amz-sdk-request"}
)
_CLIENT_ERROR = range(400, 500)
# When the things that moto brings with it were made: any fixed time will do.
_EPOCH = 1_767_225_600.0


class MotoEngine:
    """moto, its journal and its replay, for one caller at a time.

    moto checks and writes without any lock and is not atomic across threads, so every request, of every
    service, has the engine to itself. Not for the trio thread: call from a worker.

    Args:
        path: The journal's file.
        account: The account of every ARN.
    """

    def __init__(self, path: Path, account: str) -> None:
        # moto looks here at every request.
        os.environ["MOTO_ACCOUNT_ID"] = account
        self._account = account
        self._journal = Journal(path)
        self._lock = threading.RLock()
        self._dispatcher: DomainDispatcherApplication | None = None
        self._modules = 0
        self._applications: dict[str, Any] = {}
        self._opened: set[tuple[str, str]] = set()
        self._plan = compaction.Plan()
        self.replayed = 0

    def load(self) -> None:
        """Import moto and bring back the state; afterwards it only waits its turn."""
        with self._lock:
            if self._dispatcher is not None:
                return
            from moto.moto_server.werkzeug_app import (  # noqa: PLC0415 - a second of imports, kept off the start
                DomainDispatcherApplication,
                create_backend_app,
            )

            self._dispatcher = DomainDispatcherApplication(create_backend_app)
            with determinism.replaying():
                self._replay()
            self._compact_if_due()

    def respond(self, request: HttpRequest, found: Route | None = None) -> tuple[HttpReply, bool]:
        """Carry out one request.

        Returns:
            The reply, and whether it acknowledges a write.

        Raises:
            StorageFullError: A write could not be journalled; nothing changed.
        """
        found = found or route(request)
        with self._lock:
            self.load()
            at, seed = time.time(), random.getrandbits(62)
            if not found.writes:
                return self._answer(request, found.region, at, seed), False
            entry = Entry(
                0,
                at,
                seed,
                found.service,
                found.operation,
                found.region,
                subject(found, request),
                _lean(request),
            )
            seq = self._journal.append(entry)
            reply = self._answer(request, found.region, at, seed)
            if reply.status in _CLIENT_ERROR or _took_nothing(found, reply):
                self._journal.withdraw(seq)
                return reply, False
            self._plan.note(found.service, found.operation)
            self._compact_if_due()
            return reply, True

    def _replay(self) -> None:
        for entry in self._journal.entries():
            self._plan.note(entry.service, entry.operation)
            reply = self._answer(entry.request, entry.region, entry.at, entry.seed)
            self.replayed += 1
            if reply.status not in range(200, 500):
                print(  # noqa: T201 - the server's own log
                    f"nightlatch: request {entry.seq} ({entry.service} {entry.operation}) was accepted "
                    f"earlier but answered {reply.status} when it was replayed",
                    file=sys.stderr,
                )

    def close(self) -> None:
        """Compact if it is worth it, and close the journal."""
        with self._lock:
            if self._dispatcher is not None and self._plan.worthwhile:
                self._compact()
            self._journal.close()

    def _answer(self, request: HttpRequest, region: str, at: float, seed: int) -> HttpReply:
        if self._dispatcher is None:
            raise RuntimeError("the engine answers only after load()")
        environ = wsgi.environ(request)
        prefix = request.header("x-amz-target").partition(".")[0]
        application = self._applications.get(prefix)
        if application is None:
            application = cast("Any", self._dispatcher.get_application(environ))
            if prefix:
                self._applications[prefix] = application
        if len(sys.modules) != self._modules:
            determinism.make_repeatable()
            self._modules = len(sys.modules)
        self._open(application.service, region)
        with determinism.held(at, seed):
            return wsgi.respond(application, environ)

    def _open(self, service: str, region: str) -> None:
        """Have moto make what a region has from the start (a default VPC), with identifiers of its own.

        Otherwise they would depend on which request happened to come first.
        """
        if (service, region) in self._opened:
            return
        self._opened.add((service, region))
        from moto.backends import get_backend  # noqa: PLC0415 - loaded with moto

        seed = zlib.crc32(f"{service}/{region}".encode())
        with determinism.held(_EPOCH, seed), contextlib.suppress(KeyError):
            get_backend(service)[self._account][region]  # type: ignore[call-overload]

    def _compact_if_due(self) -> None:
        if self._plan.due:
            self._compact()

    def _compact(self) -> None:
        def ask(request: HttpRequest) -> HttpReply:
            return self._answer(request, route(request).region, time.time(), 0)

        try:
            added = compaction.compact(self._journal, ask, now=time.time())
        except StorageFullError:
            # The long journal is as good as a short one; there may be room for a short one later.
            added = self._plan.foldable
        self._plan = compaction.Plan(dumped=added)


def _lean(request: HttpRequest) -> HttpRequest:
    kept = tuple(
        (name, value.partition(", SignedHeaders")[0] if name == "authorization" else value)
        for name, value in request.headers
        if name not in _FORGOTTEN_HEADERS
    )
    return replace(request, headers=kept)


def _took_nothing(found: Route, reply: HttpReply) -> bool:
    """An empty poll of a queue: nothing changed, and pollers come for ever."""
    return found.operation == "ReceiveMessage" and b"ReceiptHandle" not in reply.body
