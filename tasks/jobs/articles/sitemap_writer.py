"""Writing sitemaps: parts of at most 50,000 URLs and 52,428,800 bytes, and their index.

Source of the limits: https://www.sitemaps.org/protocol.html and, for pictures,
https://developers.google.com/search/docs/crawling-indexing/sitemaps/image-sitemaps (1,000 a page; of the old
picture tags only ``image:loc`` is left). Written as text: a tree of a million pages would not fit, and a
serializer costs three times as much for what are five escapes.
"""

import gzip
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Final
from urllib.parse import urljoin

INDEX: Final = "sitemap.xml"
_HEAD: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
    ' xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">\n'
)
_FOOT: Final = "</urlset>\n"
_INDEX_HEAD: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
)
_INDEX_FOOT: Final = "</sitemapindex>\n"
_FLUSH_BYTES: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Limits:
    """What the protocol allows; smaller in tests."""

    urls: int = 50_000
    part_bytes: int = 52_428_800
    parts: int = 50_000
    images: int = 1_000
    url_characters: int = 2_047


class TooManyPartsError(Exception):
    """More than 50,000 parts: the protocol has no index of indexes."""


@dataclass(slots=True)
class _Part:
    """The part that is being written."""

    name: str
    raw: IO[bytes]
    packed: gzip.GzipFile
    size: int
    urls: int = 0
    newest: datetime | None = None


class SitemapWriter:
    """Writes parts into `directory` as pages come, and the index at the end.

    `base_url` is where the directory will be on the site. The same pages give the same bytes.
    """

    def __init__(self, directory: Path, base_url: str, limits: Limits | None = None) -> None:
        self._directory = directory
        self._base_url = base_url
        self._limits = limits or Limits()
        self._part: _Part | None = None
        self._pending: list[str] = []
        self._pending_size = 0
        self._done: list[tuple[str, datetime | None]] = []
        self.urls = 0
        self.images = 0
        directory.mkdir(parents=True, exist_ok=True)

    def add(self, url: str, changed_at: datetime | None, images: Sequence[str] = ()) -> None:
        """Add a page. `url` and `images` are absolute and percent-encoded, `changed_at` is aware.

        Raises:
            TooManyPartsError: if the site is larger than the protocol allows.
            OSError: disk full.
        """
        images = images[: self._limits.images]
        text = _entry(url, changed_at, images)
        size = len(text) if text.isascii() else len(text.encode())
        part = self._part
        if part is None or part.urls >= self._limits.urls or part.size + size > self._limits.part_bytes:
            part = self._next_part()
        part.urls += 1
        part.size += size
        if changed_at is not None and (part.newest is None or changed_at > part.newest):
            part.newest = changed_at
        self._pending.append(text)
        self._pending_size += size
        if self._pending_size >= _FLUSH_BYTES:
            self._flush(part)
        self.urls += 1
        self.images += len(images)

    def finish(self) -> list[str]:
        """Close the last part and write the index, in this order; returns the names of all files."""
        self._close_part()
        lines = [_INDEX_HEAD]
        for name, newest in self._done:
            loc = _escape(urljoin(self._base_url, name))
            lines.append(f"<sitemap><loc>{loc}</loc>{_lastmod(newest)}</sitemap>\n")
        lines.append(_INDEX_FOOT)
        beside = self._directory / (INDEX + ".tmp")
        with beside.open("wb") as file:
            file.write("".join(lines).encode())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._directory / INDEX)
        return [*(name for name, _ in self._done), INDEX]

    def _next_part(self) -> _Part:
        self._close_part()
        number = len(self._done) + 1
        if number > self._limits.parts:
            raise TooManyPartsError(f"more than {self._limits.parts} parts of {self._limits.urls} URLs")
        name = f"sitemap-{number:05d}.xml.gz"
        raw = (self._directory / (name + ".tmp")).open("wb")
        # No name and no time in the gzip header: the same pages give the same bytes.
        packed = gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=raw, mtime=0)
        self._part = _Part(name, raw, packed, size=len(_HEAD) + len(_FOOT))
        self._pending, self._pending_size = [_HEAD], 0
        return self._part

    def _flush(self, part: _Part) -> None:
        part.packed.write("".join(self._pending).encode())
        self._pending, self._pending_size = [], 0

    def _close_part(self) -> None:
        part = self._part
        if part is None:
            return
        self._pending.append(_FOOT)
        self._flush(part)
        part.packed.close()
        part.raw.flush()
        os.fsync(part.raw.fileno())
        part.raw.close()
        (self._directory / (part.name + ".tmp")).replace(self._directory / part.name)
        self._done.append((part.name, part.newest))
        self._part = None


def _entry(url: str, changed_at: datetime | None, images: Sequence[str]) -> str:
    pictures = "".join(
        f"<image:image><image:loc>{_escape(image)}</image:loc></image:image>" for image in images
    )
    return f"<url><loc>{_escape(url)}</loc>{_lastmod(changed_at)}{pictures}</url>\n"


def _lastmod(time: datetime | None) -> str:
    return "" if time is None else f"<lastmod>{time.isoformat(timespec='seconds')}</lastmod>"


def _escape(text: str) -> str:
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "'" in text:
        text = text.replace("'", "&apos;")
    # The others cannot stand in a percent-encoded URL; this costs next to nothing and trusts nobody.
    return text.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
