"""Answers of the picture server, written by hand: a server library would not let us break them."""

import asyncio
import re
import socket
from typing import Final

_REASONS: Final = {
    200: "OK",
    206: "Partial Content",
    301: "Moved Permanently",
    302: "Found",
    304: "Not Modified",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    410: "Gone",
    416: "Range Not Satisfiable",
    429: "Too Many Requests",
    503: "Service Unavailable",
}
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)\Z")
_TWO_RANGES: Final = re.compile(r"bytes=(\d*)-(\d*),\s*(\d*)-(\d*)\Z")
_BOUNDARY: Final = "3d6b6a416f9b5"


class Reply:
    """Writes one answer."""

    def __init__(self, writer: asyncio.StreamWriter, method: str) -> None:
        self._writer = writer
        self._silent = method == "HEAD"

    async def begin(self, status: int, headers: dict[str, str], *, end: bool = True) -> None:
        """Status line and headers; without `end` there may be more."""
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if "Content-Length" not in headers:
            lines.append("Connection: close")
        await self.write(("\r\n".join(lines) + "\r\n" + "\r\n" * end).encode("latin-1"))

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
        """A whole answer, or one or two parts of it as asked for (RFC 9110, 14.2)."""
        headers = {**headers, "Accept-Ranges": "bytes"}
        two = _TWO_RANGES.match(asked)
        if two is not None:
            return await self._send_parts(
                body, headers, [_bounds(two[at], two[at + 1], body) for at in (1, 3)]
            )
        matched = _RANGE.match(asked)
        if matched is None or asked == "bytes=-":
            return await self.send(200, body, headers)
        first, last = _bounds(matched[1], matched[2], body)
        if first > last:
            return await self.send(416, b"", {"Content-Range": f"bytes */{len(body)}"})
        part = {"Content-Range": f"bytes {first}-{last}/{len(body)}"}
        return await self.send(206, body[first : last + 1], {**headers, **part})

    async def _send_parts(self, body: bytes, headers: dict[str, str], bounds: list[tuple[int, int]]) -> bool:
        """Several parts in one answer (RFC 9110, 14.6); all of it if the parts are not less."""
        if any(first > last for first, last in bounds):
            return await self.send(416, b"", {"Content-Range": f"bytes */{len(body)}"})
        if sum(last - first + 1 for first, last in bounds) >= len(body):
            return await self.send(200, body, headers)
        kind = headers.get("Content-Type", "application/octet-stream")
        pieces: list[bytes] = []
        for first, last in bounds:
            said = f"Content-Type: {kind}\r\nContent-Range: bytes {first}-{last}/{len(body)}"
            pieces += [f"\r\n--{_BOUNDARY}\r\n{said}\r\n\r\n".encode("latin-1"), body[first : last + 1]]
        pieces.append(f"\r\n--{_BOUNDARY}--\r\n".encode())
        multipart = {"Content-Type": f"multipart/byteranges; boundary={_BOUNDARY}"}
        return await self.send(206, b"".join(pieces), {**headers, **multipart})

    def reset(self) -> None:
        """Break the connection with RST."""
        held = self._writer.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._writer.transport.abort()


def _bounds(first: str, last: str, body: bytes) -> tuple[int, int]:
    """First and last byte of one range; "" and a number are so many bytes of the end."""
    begin = int(first) if first else max(0, len(body) - int(last or 0))
    return begin, min(int(last) if first and last else len(body) - 1, len(body) - 1)
