"""Answers of the picture server, written by hand: a server library would not let us break them."""

import asyncio
import re
import socket
from typing import Final

_REASONS: Final = {
    200: "OK",
    206: "Partial Content",
    302: "Found",
    301: "Moved Permanently",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    410: "Gone",
    416: "Range Not Satisfiable",
    429: "Too Many Requests",
    503: "Service Unavailable",
}
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)\Z")


class Reply:
    """Writes one answer."""

    def __init__(self, writer: asyncio.StreamWriter, method: str) -> None:
        self._writer = writer
        self._silent = method == "HEAD"

    async def begin(self, status: int, headers: dict[str, str]) -> None:
        """Status line and headers."""
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if "Content-Length" not in headers:
            lines.append("Connection: close")
        await self.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    async def write(self, data: bytes) -> None:
        """Some of the body."""
        self._writer.write(data)
        await self._writer.drain()

    async def send(
        self, status: int, body: bytes = b"", headers: dict[str, str] | None = None, *, length: bool = True
    ) -> bool:
        """A whole answer; returns whether the connection stays open (not without a length)."""
        more = {"Content-Length": str(len(body))} if length else {}
        await self.begin(status, {**(headers or {}), **more})
        if not self._silent:
            await self.write(body)
        return length

    async def send_range(self, body: bytes, headers: dict[str, str], asked: str) -> bool:
        """A whole answer, or the part of it that was asked for (RFC 9110, 14.2; one range)."""
        headers = {**headers, "Accept-Ranges": "bytes"}
        matched = _RANGE.match(asked)
        if matched is None or asked == "bytes=-":
            return await self.send(200, body, headers)
        first = int(matched[1]) if matched[1] else max(0, len(body) - int(matched[2]))
        last = min(int(matched[2]) if matched[1] and matched[2] else len(body) - 1, len(body) - 1)
        if first > last:
            return await self.send(416, b"", {"Content-Range": f"bytes */{len(body)}"})
        part = {"Content-Range": f"bytes {first}-{last}/{len(body)}"}
        return await self.send(206, body[first : last + 1], {**headers, **part})

    def reset(self) -> None:
        """Break the connection with RST."""
        held = self._writer.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._writer.transport.abort()
