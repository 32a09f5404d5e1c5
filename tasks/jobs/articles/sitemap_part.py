"""Parts of a sitemap: each as full as the protocol lets it be, packed, and named after what is in it.

A name is never used for other bytes, so a reader who has an old index finds what that index meant.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from isal import isal_zlib

# Entries are joined and packed so many at a time.
_AT_ONCE: Final = 256
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

    def __init__(self, path: Path, head: bytes) -> None:
        self.path = path
        self.urls = 0
        self.size = 0
        self.newest = ""
        self._file: IO[bytes] = path.open("wb")
        self._pack = isal_zlib.compressobj(1, isal_zlib.DEFLATED, _GZIP)
        self._hash = hashlib.sha256()
        self.write(head)

    def write(self, text: bytes) -> None:
        self.size += len(text)
        self._put(self._pack.compress(text))

    def close(self, foot: bytes) -> str:
        """Finish the file; returns the hash of its bytes."""
        self.write(foot)
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
        self._head, self._foot = head.encode(), foot.encode()
        self._most_urls = most_urls
        self._limits = limits
        self._most_bytes = limits.part_bytes - len(self._foot)
        self._entry_bytes = self._most_bytes - len(self._head)
        self._part: _Part | None = None
        self._closed = 0
        self._entries: list[str] = []
        self._times: list[str] = []
        self.done: list[tuple[str, str]] = []

    @property
    def entries(self) -> int:
        """How many entries there are in all parts."""
        return self._closed + (self._part.urls if self._part else 0) + len(self._entries)

    def add(self, entry: str, time: str) -> None:
        """Add one entry; `time` is its time as text that sorts, or "". It is written with others that follow.

        Raises:
            EntryTooLargeError, TooManyPartsError: if it, or one before it, cannot be there.
            OSError: disk full.
        """
        # No character has more than four bytes, so most entries need not be counted.
        if len(entry) * 4 > self._entry_bytes and len(entry.encode()) > self._entry_bytes:
            raise EntryTooLargeError(f"{len(entry.encode())} bytes")
        self._entries.append(entry)
        self._times.append(time)
        if len(self._entries) == _AT_ONCE:
            self._write_entries()

    def add_block(self, block: bytes, entries: int, newest: str) -> bool:
        """Add entries that are written already, if they go into one part; False if they do not.

        Raises:
            TooManyPartsError, OSError: as add.
        """
        self._write_entries()
        return self._take(block, entries, newest)

    def finish(self) -> None:
        """Close the last part.

        Raises:
            TooManyPartsError, OSError: as add.
        """
        self._write_entries()
        part = self._part
        if part is None:
            return
        name = f"{self._kind}-{len(self.done) + 1:05d}-{part.close(self._foot)}.xml.gz"
        part.path.replace(self._directory / name)
        self.done.append((name, part.newest))
        self._closed += part.urls
        self._part = None

    def _write_entries(self) -> None:
        if not self._entries:
            return
        entries, times = self._entries, self._times
        self._entries, self._times = [], []
        if self._take("".join(entries).encode(), len(entries), max(times)):
            return
        for entry, time in zip(entries, times, strict=True):
            text = entry.encode()
            if not self._take(text, 1, time):
                self.finish()
                self._take(text, 1, time)

    def _take(self, block: bytes, entries: int, newest: str) -> bool:
        part = self._part
        if part is None or part.urls >= self._most_urls:
            part = self._next()
        if part.urls + entries > self._most_urls or part.size + len(block) > self._most_bytes:
            return False
        part.urls += entries
        part.newest = max(part.newest, newest)
        part.write(block)
        return True

    def _next(self) -> _Part:
        self.finish()
        if len(self.done) >= self._limits.parts:
            raise TooManyPartsError(f"more than {self._limits.parts} parts of {self._most_urls} URLs")
        self._part = part = _Part(self._directory / f"{self._kind}.tmp", self._head)
        return part
