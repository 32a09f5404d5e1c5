"""A real HTTP server for a folder of articles and pictures, of which a stated share misbehaves.

    python -m tasks.jobs.articles.picture_server --root DIR --port 0 --misbehave 0.3

prints one JSON line with its URL once it listens. Pages are served well; pictures misbehave in ways chosen by
their path, so two runs see the same. ``/_truth`` tells what ought to be said of every picture below the root,
``/kinds/KIND/PATH`` serves a picture with a chosen misbehaviour, ``/_asked`` tells how often pictures were
asked for, how many of the answers were "not modified", and how many requests were being answered at once.
"""

import argparse
import asyncio
import contextlib
import gzip
import hashlib
import json
import mimetypes
import signal
import socket
import sys
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from tasks.contract import exit_codes
from tasks.jobs.articles.bad_ends import BADLY_ENDED
from tasks.jobs.articles.corpus import locate
from tasks.jobs.articles.http_reply import Reply
from tasks.jobs.articles.misbehaviour import FORCED, GOOD, KINDS, kind_of, true_verdict

PICTURES: Final = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".avif", ".bmp", ".ico"}
_PAGE: Final = b"<!DOCTYPE html><html><title>Sorry</title><p>We looked everywhere.</html>"
_TLS_HANDSHAKE: Final = b"\x16"
_LONGEST_REQUEST: Final = 32_768
_MOST_HOSTS: Final = 254
_LITTLE: Final = 20_000
_CLOSED_PORTS: Final = 97
# A part of a name has 63 characters at most (RFC 1035): this one is unknown without asking anybody.
_TOO_LONG: Final = "-is-unknown-to-everybody" * 3


@dataclass(frozen=True, slots=True)
class Manner:
    """How the server behaves: the share of pictures that misbehave, in which ways, and how slow slow is."""

    share: float = 0.0
    kinds: tuple[str, ...] = KINDS
    seed: str = "nightlatch"
    slow_seconds: float = 1.0
    retry_after: int = 1


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for. `path` is decoded and begins with "/"."""

    method: str
    path: str
    headers: dict[str, str]


class PictureServer:
    """Serves `root` on loopback. `address` is known after `start`."""

    def __init__(self, root: Path, manner: Manner) -> None:
        self._root = root.resolve()
        self._manner = manner
        self._asked: dict[str, int] = {}
        self._requests = self._unchanged = self._at_once = self._most_at_once = 0
        self._connections: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        # Bound and never listening: connections to them are refused for as long as we live. Many, because a
        # host to which many requests fail is soon not asked any more.
        self._closed_ports = [socket.socket() for _ in range(_CLOSED_PORTS)]
        self.url = ""

    async def start(self, port: int, hosts: int = 1) -> None:
        """Listen on `port` (0: a free one) of so many loopback addresses, 127.0.0.1 and the next.

        Raises:
            OSError: if the port is taken, or there is no such address here.
        """
        for closed in self._closed_ports:
            closed.bind(("127.0.0.1", 0))
        for number in range(1, hosts + 1):
            server = await asyncio.start_server(self._converse, f"127.0.0.{number}", port, backlog=512)
            self._servers.append(server)
            port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"

    async def stop(self) -> None:
        """Stop listening and drop every conversation."""
        for server in self._servers:
            server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        for closed in self._closed_ports:
            closed.close()

    def truth(self) -> dict[str, dict[str, str]]:
        """For every picture below the root: its kind of (mis)behaviour and the true verdict, by URL path."""
        names = (path.relative_to(self._root) for path in sorted(self._root.rglob("*")) if path.is_file())
        pictures = ("/" + quote(name.as_posix()) for name in names if name.suffix.lower() in PICTURES)
        kinds = ((path, self._kind(path)) for path in pictures)
        return {path: {"kind": kind, "verdict": true_verdict(kind).value} for path, kind in kinds}

    def asked(self) -> dict[str, int]:
        """How often pictures were asked for so far, were as before, and how many were asked for at once."""
        return {
            "requests": self._requests,
            "unchanged": self._unchanged,
            "most_at_once": self._most_at_once,
        }

    def _kind(self, path: str) -> str:
        plain = unquote(path)
        if Path(plain).suffix.lower() not in PICTURES:
            return GOOD
        manner = self._manner
        return kind_of(plain, manner.share, manner.kinds, manner.seed)

    # -- conversation

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (asyncio runs us in one)
        self._connections.add(task)
        try:
            while await self._one_request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass  # the client went away, or was none
        except asyncio.CancelledError:
            pass  # we are stopping; asyncio's stream callback would log it as an error
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first = await reader.readexactly(1)
        if first == _TLS_HANDSHAKE:
            return False
        head = first + await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        if len(head) > _LONGEST_REQUEST or len(words) != 3:  # noqa: PLR2004  (method, target, version)
            return False
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        path = unquote(urlsplit(words[1]).path)
        return await self._answer(Request(words[0], path, headers), Reply(writer, words[0]))

    async def _answer(self, request: Request, reply: Reply) -> bool:
        if request.method not in {"GET", "HEAD"}:
            return await reply.send(405)
        if request.path == "/_truth":
            body = json.dumps(self.truth(), indent=1).encode()
            return await reply.send(200, body, {"Content-Type": "application/json"})
        if request.path == "/_asked":
            body = json.dumps(self.asked()).encode()
            return await reply.send(200, body, {"Content-Type": "application/json"})
        kind, path = self._kind(request.path), request.path
        if path.startswith(f"/{FORCED}/"):
            kind, _, rest = path.removeprefix(f"/{FORCED}/").partition("/")
            path = "/" + rest
        elif path.startswith("/_well/"):
            kind, path = GOOD, path.removeprefix("/_well")
        file = (self._root / path.lstrip("/")).resolve()
        if not file.is_relative_to(self._root) or not file.is_file():
            return await reply.send(404, _PAGE, {"Content-Type": "text/html"})
        body = await asyncio.to_thread(file.read_bytes)
        self._asked[request.path] = self._asked.get(request.path, 0) + 1
        self._requests += 1
        self._at_once += 1
        self._most_at_once = max(self._most_at_once, self._at_once)
        try:
            return await self._misbehave(kind, request, reply, body, path)
        finally:
            self._at_once -= 1

    async def _misbehave(self, kind: str, request: Request, reply: Reply, body: bytes, path: str) -> bool:
        headers = {
            "Content-Type": mimetypes.guess_type(path)[0] or "application/octet-stream",
            "ETag": f'"{hashlib.sha256(body).hexdigest()[:16]}"',
            "Last-Modified": formatdate(0, usegmt=True),
        }
        redirect = self._redirects(path, request.headers.get("host", "")).get(kind)
        if kind.startswith("redirect-chain"):
            number = int(kind.removeprefix("redirect-chain").strip("-") or 0)
            redirect = f"/{FORCED}/redirect-chain-{number + 1}{quote(path)}"
        if redirect is not None:
            permanent = kind != "redirect-temporary"
            return await reply.send(301 if permanent else 302, b"", {"Location": redirect})
        refusal = self._refusals(request.path).get(kind)
        if refusal is not None:
            status, more = refusal
            return await reply.send(status, _PAGE, {"Content-Type": "text/html", **more})
        if kind in BADLY_ENDED:
            await BADLY_ENDED[kind](reply, body, headers)
            return False
        return await self._serve(kind, request, reply, body, headers)

    async def _serve(
        self, kind: str, request: Request, reply: Reply, body: bytes, headers: dict[str, str]
    ) -> bool:
        if kind in _SPOILT:
            body, headers = _SPOILT[kind](body, headers)
        if kind == "wrong-range" and "range" in request.headers:
            part = {"Content-Range": f"bytes 9-{len(body) - 1}/{len(body)}"}
            return await reply.send(206, body[9:], {**headers, **part})
        if kind == "head-405" and request.method == "HEAD":
            return await reply.send(405)
        if kind == "slow":
            await asyncio.sleep(self._manner.slow_seconds)
        asked = request.headers.get("range", "")
        if asked and (kind == "range-refused" or (kind == "two-ranges-refused" and "," in asked)):
            return await reply.send(416, b"", {})
        if kind in _WITHOUT_RANGE:
            return await reply.send(200, body, headers, length=kind != "no-length")
        if request.headers.get("if-none-match", "") == headers["ETag"]:
            self._unchanged += 1
            return await reply.send(304, b"", {"ETag": headers["ETag"]})
        if kind == "one-range":
            asked = asked.partition(",")[0]
        return await reply.send_range(body, headers, asked)

    def _redirects(self, path: str, host: str) -> dict[str, str]:
        well = "/_well" + quote(path)
        digest = hashlib.sha256(path.encode()).hexdigest()[:12]
        closed = self._closed_ports[int(digest, 16) % _CLOSED_PORTS].getsockname()[1]
        return {
            "redirect": well,
            "redirect-temporary": well,
            "redirect-loop": f"/{FORCED}/redirect-loop-2{quote(path)}",
            "redirect-loop-2": f"/{FORCED}/redirect-loop{quote(path)}",
            "redirect-nowhere": "ftp://pictures.invalid/a.png",
            "redirect-inside": "http://169.254.169.254/latest/meta-data/",
            "redirect-unknown-host": f"http://{digest}{_TOO_LONG}.invalid/a.png",
            "redirect-refused": f"http://127.0.0.1:{closed}/a.png",
            "redirect-no-tls": f"https://{host}/a.png",
        }

    def _refusals(self, asked: str) -> dict[str, tuple[int, dict[str, str]]]:
        wait = {"Retry-After": str(self._manner.retry_after)}
        refusals: dict[str, tuple[int, dict[str, str]]] = {
            "missing": (404, {}),
            "gone": (410, {}),
            "forbidden": (403, {}),
            "soft-404": (200, {}),
            "unavailable": (503, {}),
            "too-many": (429, {"Retry-After": "3600"}),
        }
        times = self._asked.get(asked, 0)
        if times <= 2:  # noqa: PLR2004  (as its name says)
            refusals["unavailable-twice"] = (503, {})
        if times <= 1:
            refusals["too-many-once"] = (429, wait)
        return refusals


def _cut_in_half(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return body[: len(body) // 2], headers


def _a_page(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:  # noqa: ARG001  (one of a family)
    return _PAGE, headers


def _some_text(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:  # noqa: ARG001  (one of a family)
    return b"This picture is for subscribers only.\n", {**headers, "Content-Type": "text/plain"}


def _nothing(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:  # noqa: ARG001  (one of a family)
    return b"", headers


def _unnamed(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return body, {**headers, "Content-Type": "application/octet-stream"}


def _packed(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    return gzip.compress(body, 6, mtime=0), {**headers, "Content-Encoding": "gzip"}


def _packed_cut(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    packed, headers = _packed(body[:_LITTLE], headers)
    return packed[:-20], headers


def _packed_page(body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:  # noqa: ARG001  (one of a family)
    return _packed(_PAGE, headers)


_SPOILT: Final = {
    "packed": _packed,
    "packed-cut": _packed_cut,
    "packed-page": _packed_page,
    "truncated": _cut_in_half,
    "lie": _a_page,
    "text": _some_text,
    "empty": _nothing,
    "octet-stream": _unnamed,
}
_WITHOUT_RANGE: Final = {"no-range", "no-length", "range-refused"}


async def _serve(root: Path, port: int, hosts: int, manner: Manner) -> int:
    server = PictureServer(root, manner)
    try:
        await server.start(port, hosts)
    except OSError as error:
        sys.stderr.write(f"cannot listen on port {port}: {error.strerror}; --port 0 takes a free one\n")
        return exit_codes.TRY_AGAIN
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    sys.stdout.write(json.dumps({"url": server.url, "root": str(root), "misbehave": manner.share}) + "\n")
    sys.stdout.flush()
    await stopped.wait()
    await server.stop()
    return exit_codes.DONE


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(
        prog="picture_server", description="Serve a folder of articles and pictures; some pictures misbehave."
    )
    parser.add_argument(
        "--root", default="", help="the folder (default: the manual that comes with pygame-ce)"
    )
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument(
        "--hosts", type=int, default=1, metavar="N", help="listen on 127.0.0.1 to 127.0.0.N (default: 1)"
    )
    parser.add_argument("--misbehave", type=float, default=0.0, metavar="SHARE", help="0 to 1 (default: 0)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="ways to misbehave (default: all)")
    parser.add_argument("--seed", default="nightlatch", help="chooses which pictures misbehave, and how")
    parser.add_argument("--slow", type=float, default=1.0, help="seconds of a slow answer (default: 1)")
    options = parser.parse_args()
    kinds = tuple(kind for kind in options.kinds.split(",") if kind)
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown or not kinds or not 0 <= options.misbehave <= 1:
        parser.error(f"kinds are {', '.join(KINDS)}; the share is 0 to 1")
    if not 1 <= options.hosts <= _MOST_HOSTS:
        parser.error(f"hosts are 1 to {_MOST_HOSTS}")
    manner = Manner(options.misbehave, kinds, options.seed, options.slow)
    return asyncio.run(_serve(locate(options.root), options.port, options.hosts, manner))


if __name__ == "__main__":
    sys.exit(main())
