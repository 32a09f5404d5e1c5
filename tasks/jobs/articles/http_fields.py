"""Reading what servers say in headers that hold more than a word."""

import re
import zlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

# No bytes, however hostile, make an expression go over them twice; no number is longer than a file can be.
_PART_RANGE: Final = re.compile(
    rb"content-range:\s*bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18})(?!\d)", re.IGNORECASE
)
# As nearly all servers write it: found in a quarter of the time.
_USUAL_RANGE: Final = re.compile(rb"Content-Range: bytes (\d{1,18})-(\d{1,18})/(\d{1,18})(?!\d)")
_PART_TYPE: Final = re.compile(rb"content-type:\s*([^\r\n]+)", re.IGNORECASE)
_USUAL_TYPE: Final = "multipart/byteranges; boundary="
_BOUNDARY: Final = re.compile(r"""boundary=(?:"([^"]+)"|([^\s;]+))""", re.IGNORECASE)


def byte_ranges(body: bytes, content_type: str) -> list[tuple[int, int, bytes]]:
    """The parts of a multipart/byteranges body (RFC 9110, 14.6) as (first, total, bytes).

    A body that is not as it should be gives fewer parts.
    """
    boundary = content_type.removeprefix(_USUAL_TYPE)
    if boundary == content_type or not boundary.isalnum():
        found = _BOUNDARY.search(content_type)
        if found is None:
            return []
        boundary = found[1] or found[2]
    delimiter = b"--" + boundary.encode("latin-1", "replace")
    parts: list[tuple[int, int, bytes]] = []
    at = body.find(delimiter)
    while at >= 0:
        headers_end = body.find(b"\r\n\r\n", at)
        if headers_end < 0:
            break
        matched = _USUAL_RANGE.search(body, at, headers_end) or _PART_RANGE.search(body, at, headers_end)
        if matched is None:
            break
        first, last, total = map(int, matched.groups())
        begin = headers_end + 4
        end = begin + last - first + 1
        if end <= begin or end > len(body):
            break
        parts.append((first, total, body[begin:end]))
        at = body.find(delimiter, end)
    return parts


def retry_after(value: str) -> float | None:
    """Seconds of a Retry-After header, which holds a number or an HTTP date; None if neither."""
    value = value.strip()
    if value.isdecimal():
        return float(min(int(value[:99]), 10**9))  # int() refuses thousands of digits
    if not value:
        return None
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
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
