"""Parts of a sitemap: each as full as the protocol lets it be, packed, and named after what is in it.

A name is never used for other bytes, so a reader who has an old index finds what that index meant.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from isal import isal_zlib

T = TypeVar("T")

# Entries are joined and packed so many at a time.
_AT_ONCE: Final = 256
_GZIP: Final = (
    31  # zlib's way to say: 15 bits of window, with a gzip header (which holds no name and no time)
)
# So much is handed to the thread that packs at once, and so often before it has to be done with the first.
_BYTES_AT_ONCE: Final = 1 << 19
_MOST_WAITING: Final = 4
_HASH_CHARACTERS: Final = 16
UNFINISHED: Final = ".tmp"
"""The end of the name of what is being written."""


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


class _Here(Executor):
    """Does at once what others do in a thread."""

    def submit(self, work: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        done: Future[T] = Future()
        done.set_result(work(*arguments, **named))
        return done


class _Part:
    """The part that is being written, under a name beside its final one.

    Packing, hashing and writing is done in `thread`, which needs the interpreter's lock for little of it.
    """

    def __init__(self, path: Path, head: bytes, thread: Executor) -> None:
        self.path = path
        self.urls = 0
        self.size = 0
        self.newest = ""
        self._thread = thread
        self._texts: list[bytes] = []
        self._kept = 0
        self._rest = b""
        self._packing: deque[Future[None]] = deque()
        self._file: IO[bytes] = path.open("wb", buffering=0)
        self._pack = isal_zlib.compressobj(1, isal_zlib.DEFLATED, _GZIP)
        self._hash = hashlib.sha256()
        self.write(head)

    def write(self, text: bytes) -> None:
        self.size += len(text)
        self._texts.append(text)
        self._kept += len(text)
        if self._kept >= _BYTES_AT_ONCE:
            self._hand_over()

    def close(self, foot: bytes, final: Callable[[str], Path]) -> Future[str]:
        """Finish the file, and give it the name that `final` makes of its bytes' hash."""
        self.write(foot)
        self._hand_over()
        return self._thread.submit(self._finish, [*self._packing], final)

    def _hand_over(self) -> None:
        self._packing.append(self._thread.submit(self._put, self._texts))
        self._texts, self._kept = [], 0
        if len(self._packing) > _MOST_WAITING:
            self._packing.popleft().result()

    def _put(self, texts: list[bytes]) -> None:
        # Pieces of one size: what is packed together makes a difference to the packed bytes, and how the text
        # came here must not. Large ones: who lets go of the interpreter's lock has to wait to get it back.
        text = b"".join([self._rest, *texts])
        whole = len(text) - len(text) % _BYTES_AT_ONCE
        for start in range(0, whole, _BYTES_AT_ONCE):
            self._write(self._pack.compress(text[start : start + _BYTES_AT_ONCE]))
        self._rest = text[whole:]

    def _finish(self, packing: list[Future[None]], final: Callable[[str], Path]) -> str:
        for done in packing:
            done.result()
        self._write(self._pack.compress(self._rest) + self._pack.flush())
        os.fsync(self._file.fileno())
        self._file.close()
        path = final(self._hash.hexdigest()[:_HASH_CHARACTERS])
        self.path.replace(path)
        return path.name

    def _write(self, packed: bytes) -> None:
        self._hash.update(packed)
        rest = memoryview(packed)
        while rest:
            rest = rest[self._file.write(rest) :]


class Parts:
    """Writes the parts of one kind into `directory`: ``{kind}-00001-{hash}.xml.gz`` and so on.

    `head` and `foot` surround the entries of each; `most_urls` may be in one. `beside`: pack in a thread,
    while the caller makes the next entries.
    """

    def __init__(
        self,
        directory: Path,
        kind: str,
        head: str,
        foot: str,
        *,
        most_urls: int,
        limits: Limits,
        beside: bool = False,
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
        # One thread, so everything is done in the order in which it is handed over.
        self._thread: Executor = ThreadPoolExecutor(1) if beside else _Here()
        self._finishing: list[tuple[Future[str], str]] = []
        self._entries: list[str] = []
        self._times: list[str] = []

    @property
    def entries(self) -> int:
        """How many entries there are in all parts."""
        return self._closed + (self._part.urls if self._part else 0) + len(self._entries)

    def add(self, entry: str, time: str) -> None:
        """Add one entry; `time` is its time as text that sorts, or "". It is written with others that follow.

        What a full disk refuses may be told by a later call, and by `finish` at the latest.

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

    def finish(self) -> list[tuple[str, str]]:
        """Close the last part; returns the names of all, each with the newest time in it ("" if none).

        Raises:
            TooManyPartsError, OSError: as add.
        """
        self._write_entries()
        self._close()
        return [(finishing.result(), newest) for finishing, newest in self._finishing]

    def abandon(self) -> None:
        """End the thread, and remove what is not finished: all if something went wrong, else nothing."""
        self._thread.shutdown(cancel_futures=True)
        for path in self._directory.glob(f"{self._kind}-*{UNFINISHED}"):
            path.unlink(missing_ok=True)

    def _close(self) -> None:
        part = self._part
        if part is None:
            return
        if self._finishing:
            self._finishing[-1][0].result()  # at most one part behind, and a full disk is told soon
        start = f"{self._kind}-{len(self._finishing) + 1:05d}-"
        finishing = part.close(self._foot, lambda digest: self._directory / f"{start}{digest}.xml.gz")
        self._finishing.append((finishing, part.newest))
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
                self._close()
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
        self._close()
        if len(self._finishing) >= self._limits.parts:
            raise TooManyPartsError(f"more than {self._limits.parts} parts of {self._most_urls} URLs")
        name = f"{self._kind}-{len(self._finishing) + 1:05d}{UNFINISHED}"
        self._part = part = _Part(self._directory / name, self._head, self._thread)
        return part
