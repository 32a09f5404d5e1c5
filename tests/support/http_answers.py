"""A web server that answers byte for byte what a test says, and the picture check's way to ask it."""

import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import takewhile

from tasks.jobs.articles.probe import Answer, Ask
from tasks.jobs.articles.transport import Transport

PLAIN = b'HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\nETag: "b"\r\n\r\nabcd'
"""An answer after which the connection is kept."""
# Behind an answer: what the server does then. Else it keeps the connection.
CLOSE = b"<the server closes the connection>"
RESET = b"<the server resets the connection>"
HANG = b"<the server waits for the other side to hang up>"
_ENDS = (CLOSE, RESET, HANG)


@dataclass
class Asked:
    """What a server was asked, and over how many connections; `ended` counts those that are over."""

    answers: Iterator[bytes]
    tls: ssl.SSLContext | None
    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    ended: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


class _Answering(socketserver.StreamRequestHandler):
    server: "_Server"

    def setup(self) -> None:
        self.server.asked.connections += 1
        if self.server.asked.tls is not None:
            self.request = self.server.asked.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self) -> None:
        with suppress(OSError):  # the other side may have had enough
            while request := b"".join(takewhile(lambda line: line != b"\r\n", self.rfile)):
                self.server.asked.requests.append(request)
                if not self.answered(next(self.server.asked.answers)):
                    return

    def answered(self, answer: bytes) -> bool:
        """Give an answer; returns whether the connection is kept."""
        end = next((mark for mark in _ENDS if answer.endswith(mark)), b"")
        self.wfile.write(answer.removesuffix(end))
        if end == HANG:
            self.rfile.read(1)
        if end == RESET:  # https://man7.org/linux/man-pages/man7/socket.7.html, SO_LINGER
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.request.close()
        return not end

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()
        self.request.close()
        self.server.asked.ended.release()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, asked: Asked) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.asked = asked
        super().__init__((host, 0), _Answering)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        with suppress(OSError):
            super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Broken connections are what these tests are about."""


@contextmanager
def server(*answers: bytes, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Asked]:
    """Gives the answers one after another, whichever connection asks."""
    asked = Asked(iter(answers), tls)
    with _Server(host, asked) as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        named = f"[{host}]" if ":" in host else host
        asked.url = f"http{'s' if tls else ''}://{named}:{made.server_address[1]}/a.png"
        try:
            yield asked
        finally:
            made.shutdown()


def ask(transport: Transport, *asks: Ask) -> list[Answer]:
    """The answers to requests made one after another."""

    async def one_after_another() -> list[Answer]:
        found: list[Answer] = []
        for one in asks:
            transport.start(one, None)
            while transport.active:
                found += [answer for _, _, answer in await transport.wait(0.2)]
        return found

    return transport.run(one_after_another())
