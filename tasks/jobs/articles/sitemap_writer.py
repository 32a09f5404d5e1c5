"""Writing sitemaps: pages with their pictures and videos, the news of two days, and the index of all parts.

Sources of the rules: https://www.sitemaps.org/protocol.html (50,000 URLs and 52,428,800 bytes a part) and
https://developers.google.com/search/docs/crawling-indexing/sitemaps/ for pictures (1,000 a page; of the old
tags only ``image:loc`` is left), news (1,000 a part, published within two days; of the old tags only
publication, date and title are left) and videos. Written as text: a tree of a million pages would not fit,
and a serializer costs several times as much for what are five escapes.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urljoin

from tasks.jobs.articles.sitemap_part import UNFINISHED, Limits, Parts, TooManyPartsError
from tasks.jobs.articles.xml_text import escape, escape_any, w3c

INDEX: Final = "sitemap.xml"
KINDS: Final = frozenset({"sitemap", "news"})
"""First words of the parts' names."""

DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_URLSET: Final = DECLARATION + '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
_PAGES_HEAD: Final = (
    _URLSET + ' xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"'
    ' xmlns:video="http://www.google.com/schemas/sitemap-video/1.1">\n'
)
_NEWS_HEAD: Final = _URLSET + ' xmlns:news="http://www.google.com/schemas/sitemap-news/0.9">\n'
_FOOT: Final = "</urlset>\n"
_INDEX_HEAD: Final = DECLARATION + '<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
_INDEX_FOOT: Final = "</sitemapindex>\n"

_LANGUAGE: Final = re.compile("zh-cn|zh-tw|[a-z]{2,3}")
BEFORE_IMAGE: Final = "<image:image><image:loc>"
AFTER_IMAGE: Final = "</image:loc></image:image>"
_BETWEEN_IMAGES: Final = AFTER_IMAGE + BEFORE_IMAGE


@dataclass(frozen=True, slots=True)
class News:
    """An article as news. `url` is percent-encoded, `published_at` aware, `language` an ISO 639 code."""

    url: str
    publication: str
    language: str
    published_at: datetime
    title: str


class SitemapWriter:
    """Writes parts into `directory` as pages come, and the index at the end.

    `base_url` is where the directory will be on the site. The same pages give the same bytes and names.
    `beside`: pack in a thread, which pays where pages come faster than one processor makes parts of them.
    """

    def __init__(
        self, directory: Path, base_url: str, limits: Limits | None = None, *, beside: bool = False
    ) -> None:
        self._directory = directory
        self._base_url = base_url
        self.limits = most = limits or Limits()
        self.pages = Parts(
            directory, "sitemap", _PAGES_HEAD, _FOOT, most_urls=most.urls, limits=most, beside=beside
        )
        self._news = Parts(directory, "news", _NEWS_HEAD, _FOOT, most_urls=most.news, limits=most)
        self._most_images = self.limits.images
        self.images = 0
        self.videos = 0
        directory.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing behind that is not finished."""
        self.pages.abandon()
        self._news.abandon()

    def add(
        self, url: str, changed_at: datetime | None, images: Sequence[str] = (), videos: Sequence[str] = ()
    ) -> None:
        """Add a page. `url` and `images` are absolute and percent-encoded, `changed_at` is aware.

        `videos` are elements as `videos.video_element` writes them.

        Raises:
            TooManyPartsError: if the site is larger than the protocol allows.
            EntryTooLargeError: if the page alone is larger than a part may be.
            OSError: disk full.
        """
        time = "" if changed_at is None else w3c(changed_at)
        lastmod = f"<lastmod>{time}</lastmod>" if time else ""
        pictures = elements = ""
        if images:
            if len(images) > self._most_images:
                images = images[: self._most_images]
            # No address has a line break, and one escape of all is cheaper than one of each.
            between = escape("\n".join(images)).replace("\n", _BETWEEN_IMAGES)
            pictures = f"{BEFORE_IMAGE}{between}{AFTER_IMAGE}"
        if videos:
            elements = "".join(videos)
        self.pages.add(f"<url><loc>{escape(url)}</loc>{lastmod}{pictures}{elements}</url>\n", time)
        self.images += len(images)
        self.videos += len(videos)

    @property
    def urls(self) -> int:
        """How many pages there are."""
        return self.pages.entries

    @property
    def news(self) -> int:
        """How many articles there are in the news parts."""
        return self._news.entries

    def add_news(self, news: News) -> None:
        """Add an article to the news parts.

        Raises:
            TooManyPartsError, EntryTooLargeError, OSError: as `add`.
        """
        time = w3c(news.published_at)
        self._news.add(
            f"<url><loc>{escape(news.url)}</loc><news:news><news:publication>"
            f"<news:name>{escape_any(news.publication)}</news:name>"
            f"<news:language>{escape_any(news.language)}</news:language></news:publication>"
            f"<news:publication_date>{time}</news:publication_date>"
            f"<news:title>{escape_any(news.title)}</news:title></news:news></url>\n",
            time,
        )

    def finish_parts(self) -> list[tuple[str, str]]:
        """Close the last parts; returns the names of all, each with the newest time in it ("" if none).

        Raises:
            TooManyPartsError, OSError: as `add`.
        """
        return [*self.pages.finish(), *self._news.finish()]

    def finish(self) -> list[str]:
        """Close the last parts and write the index, in this order; returns the names of all files.

        Raises:
            TooManyPartsError: if the index would be larger than the protocol allows.
            OSError: disk full.
        """
        return write_index(self._directory, self._base_url, self.finish_parts(), self.limits)


def write_index(
    directory: Path, base_url: str, parts: list[tuple[str, str]], limits: Limits | None = None
) -> list[str]:
    """Write the index of finished parts; returns the names of all files.

    Raises:
        TooManyPartsError: if the index would be larger than the protocol allows.
        OSError: disk full.
    """
    limits = limits or Limits()
    lines = [_INDEX_HEAD]
    for name, newest in parts:
        time = f"<lastmod>{newest}</lastmod>" if newest else ""
        lines.append(f"<sitemap><loc>{escape(urljoin(base_url, name))}</loc>{time}</sitemap>\n")
    lines.append(_INDEX_FOOT)
    index = "".join(lines).encode()
    if len(parts) > limits.parts or len(index) > limits.part_bytes:
        raise TooManyPartsError(f"{len(parts)} parts do not fit into one index of {len(index)} bytes")
    beside = directory / (INDEX + UNFINISHED)
    try:
        with beside.open("wb") as file:
            file.write(index)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(directory / INDEX)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    return [*(name for name, _ in parts), INDEX]


def is_language(code: str) -> bool:
    """Whether news may have this language: two or three letters of ISO 639, or one of the two Chinese."""
    return _LANGUAGE.fullmatch(code) is not None
