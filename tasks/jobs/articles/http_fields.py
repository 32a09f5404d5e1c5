"""Reading what servers say in headers that hold more than a word."""

import re
import zlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_PART: Final = re.compile(
    rb"(?:\r\n)*--([^\r\n]+)\r\n(?:[^\r\n]+\r\n)*?"
    rb"(?i:content-range):[ \t]*bytes[ \t]+(\d+)-(\d+)/(\d+)[ \t]*\r\n(?:[^\r\n]+\r\n)*\r\n"
)
# A part's headers are not longer; it also bounds how long the expression above can look for their end.
_PART_HEADERS: Final = 1024
_PART_TYPE: Final = re.compile(rb"content-type:\s*([^\r\n]+)", re.IGNORECASE)


def byte_ranges(body: bytes, content_type: str) -> list[tuple[int, int, bytes]]:
    """The parts of a multipart/byteranges body (RFC 9110, 14.6) as (first, total, bytes).

    A body that is not as it should be gives fewer parts.
    """
    parts: list[tuple[int, int, bytes]] = []
    at = max(0, body.find(b"--"))
    while (matched := _PART.match(body, at, at + _PART_HEADERS)) is not None:
        delimiter, first, last, total = matched[1], int(matched[2]), int(matched[3]), int(matched[4])
        begin, at = matched.end(), matched.end() + last - first + 1
        if at <= begin or at > len(body) or delimiter.decode("latin-1") not in content_type:
            break
        parts.append((first, total, body[begin:at]))
    return parts


def retry_after(value: str) -> float | None:
    """Seconds of a Retry-After header, which holds a number or an HTTP date; None if neither."""
    value = value.strip()
    if value.isdecimal():
        return float(min(int(value), 10**9))
    if not value:
        return None
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def unpacked(data: bytes, encoding: str) -> tuple[bytes, bool] | None:
    """The beginning of what `data` unpacks to, at most 64 kB, and whether its end was there.

    None for an encoding that we cannot unpack. Pictures that are stored packed (SVG, above all) are sent so
    by servers that do not look whether that was asked for; browsers show them.
    """
    bits = _WINDOW_BITS.get(encoding.strip().lower())
    if bits is None:
        return None
    unpacker = zlib.decompressobj(bits)
    try:
        head = unpacker.decompress(data, _MOST_UNPACKED)
        while not unpacker.eof and unpacker.unconsumed_tail:  # a short file may unpack to any length
            unpacker.decompress(unpacker.unconsumed_tail, _MOST_UNPACKED)
    except zlib.error:
        return b"", False
    return head, unpacker.eof


_MOST_UNPACKED: Final = 65_536
_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}


def part_type(body: bytes) -> str:
    """The Content-Type of the first part of a multipart/byteranges body, or ""."""
    found = _PART_TYPE.search(body, 0, 1024)
    return found[1].decode("latin-1") if found else ""
