"""Parts of a sitemap: each as full as the protocol lets it be, packed, and named after what is in it.

A name is never used for other bytes, so a reader who has an old index finds what that index meant.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from isal import isal_zlib

_FLUSH_CHARACTERS: Final = 1 << 18
_GZIP: Final = (
    31  # zlib's way to say: 15 bits of window, with a gzip header (which holds no name and no time)
)
_HASH_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What the protocols allow; smaller in tests."""

    urls: int = 50_000
    part_bytes: int = 52_428_800
    parts: int = 50_000
    images: int = 1_000
    news: int = 1_000
    url_characters: int = 2_047


class TooManyPartsError(Exception):
    """More than 50,000 parts: the protocol has no index of indexes."""


class EntryTooLargeError(Exception):
    """One page alone would be larger than a part may be."""


class _Part:
    """The part that is being written, under a name beside its final one."""

    def __init__(self, path: Path, head: str) -> None:
        self.path = path
        self.urls = 0
        self.size = 0
        self.newest = ""
        self._file: IO[bytes] = path.open("wb")
        self._pack = isal_zlib.compressobj(1, isal_zlib.DEFLATED, _GZIP)
        self._hash = hashlib.sha256()
        self._pending = [head]
        self._pending_characters = 0

    def add(self, text: str) -> None:
        self._pending.append(text)
        self._pending_characters += len(text)
        if self._pending_characters >= _FLUSH_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        pending, self._pending, self._pending_characters = self._pending, [], 0
        if pending:
            self.write("".join(pending).encode())

    def write(self, text: bytes) -> None:
        self._put(self._pack.compress(text))

    def close(self, foot: str) -> str:
        """Finish the file; returns the hash of its bytes."""
        self._pending.append(foot)
        self.flush()
        self._put(self._pack.flush())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._hash.hexdigest()[:_HASH_CHARACTERS]

    def _put(self, packed: bytes) -> None:
        self._hash.update(packed)
        self._file.write(packed)


class Parts:
    """Writes the parts of one kind into `directory`: ``{kind}-00001-{hash}.xml.gz`` and so on.

    `head` and `foot` surround the entries of each; `most_urls` may be in one. `done` has the finished ones:
    name, and the newest time in it ("" if there is none).
    """

    def __init__(
        self, directory: Path, kind: str, head: str, foot: str, *, most_urls: int, limits: Limits
    ) -> None:
        self._directory = directory
        self._kind = kind
        self._head, self._foot = head, foot
        self._frame = len(head.encode()) + len(foot.encode())
        self._most_urls = most_urls
        self._limits = limits
        self._part: _Part | None = None
        self.done: list[tuple[str, str]] = []

    def add(self, entry: str, time: str) -> None:
        """Add one entry; `time` is its time as text that sorts, or "".

        Raises:
            EntryTooLargeError, TooManyPartsError: if it cannot be there.
            OSError: disk full.
        """
        size = len(entry) if entry.isascii() else len(entry.encode())
        part = self._part
        if part is None or part.urls >= self._most_urls or part.size + size > self._limits.part_bytes:
            if self._frame + size > self._limits.part_bytes:
                raise EntryTooLargeError(f"{size} bytes")
            part = self._next()
        part.urls += 1
        part.size += size
        part.newest = max(part.newest, time)
        part.add(entry)

    def make_room(self, entries: int, size: int) -> bool:
        """Whether so many entries of so many bytes go into one part; begins it if that is the time."""
        part = self._part
        if part is None or part.urls >= self._most_urls:
            part = self._next()
        return part.urls + entries <= self._most_urls and part.size + size <= self._limits.part_bytes

    def add_block(self, block: bytes, entries: int, newest: str) -> None:
        """Add entries that are written already; `make_room` has said that they fit."""
        part = self._part
        if part is None:
            raise ValueError("no part takes this block")
        part.flush()
        part.urls += entries
        part.size += len(block)
        part.newest = max(part.newest, newest)
        part.write(block)

    def finish(self) -> None:
        """Close the last part."""
        part = self._part
        if part is None:
            return
        name = f"{self._kind}-{len(self.done) + 1:05d}-{part.close(self._foot)}.xml.gz"
        part.path.replace(self._directory / name)
        self.done.append((name, part.newest))
        self._part = None

    def _next(self) -> _Part:
        self.finish()
        if len(self.done) >= self._limits.parts:
            raise TooManyPartsError(f"more than {self._limits.parts} parts of {self._most_urls} URLs")
        self._part = part = _Part(self._directory / f"{self._kind}.tmp", self._head)
        part.size = self._frame
        return part
