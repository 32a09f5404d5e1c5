"""Whole blocks of COPY lines turned into XML at once, for pages that need no thought.

A clean block becomes entries by replacing single characters, see sitemap_copy; looking at each row costs ten
times that. Which blocks are clean is decided by counting: every character is one that needs no thought, what
stands between addresses is in its order, every page is on the site, every picture is on a host whose name
has been looked at before. Any other block is worked on row by row, by the same code that serves other
databases, and both give the same bytes.
"""

import re
from collections.abc import Callable
from typing import Final

from tasks.jobs.articles.sitemap_copy import AFTER, BEFORE, BETWEEN, WITHOUT, Lines, page_and_news
from tasks.jobs.articles.sitemap_source import NewsRow, Page
from tasks.jobs.articles.sitemap_writer import AFTER_IMAGE, BEFORE_IMAGE, SitemapWriter
from tasks.jobs.articles.urls import LONGEST, resolve

_MOST_ORIGINS: Final = 32
# What an address may have and `resolve` leaves alone; times have nothing else but a space.
_CLEAN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/%:@!$&'()*+,;=~._-?"
_EMPTY_QUERY: Final = re.compile(rb"\?[\t\x01\x05]")  # which `resolve` takes away
_ORIGIN: Final = re.compile(r"https?://[^/]+/")
_BETWEEN, _BEFORE, _AFTER, _WITHOUT = (mark.encode() for mark in (BETWEEN, BEFORE, AFTER, WITHOUT))
_SECOND_BYTES: Final = len(b"2026-11-22 07:30:00")
_ZONE: Final = "+00:00"
_BEFORE_URL: Final = b"<url><loc>"
# In this order: what is replaced must not be in what replaced another.
_REPLACED: Final = (
    (b" ", b"T"),
    (b"&", b"&amp;"),
    (b"'", b"&apos;"),
    (b"\n", b"</url>\n" + _BEFORE_URL),
    (b"\t", b"</loc><lastmod>"),
    (_WITHOUT, b":00</lastmod>"),
    (_BEFORE, f":00</lastmod>{BEFORE_IMAGE}".encode()),
    (_BETWEEN, f"{AFTER_IMAGE}{BEFORE_IMAGE}".encode()),
    (_AFTER, AFTER_IMAGE.encode()),
)


def pictures_if_plain(lines: Lines) -> int | None:
    """How many pictures there are, or None if anything is in the lines that may need a change."""
    text, rows, longest = lines
    marks = text.translate(None, _CLEAN)
    # Each of these tokens is counted, they do not overlap, and together they are all there is.
    without, some = marks.count(b"\t " + _WITHOUT + b"\n"), marks.count(b"\t " + _BEFORE)
    ends, more = marks.count(_AFTER + b"\n"), marks.count(_BETWEEN)
    if without + some != rows or some != ends or len(marks) != 4 * without + 5 * some + more:
        return None
    # No address of a page has any of them: the lines begin with a tab.
    if not marks.startswith(b"\t") or marks.count(b"\n\t") != rows - 1:
        return None
    if longest > LONGEST or _EMPTY_QUERY.search(text):
        return None
    return some + more


class Blocks:
    """Turns blocks of lines into entries of `writer`; `add` and `add_news` take the rows of the others."""

    def __init__(
        self,
        writer: SitemapWriter,
        site: str,
        add: Callable[[Page], None],
        add_news: Callable[[NewsRow], None],
    ) -> None:
        self._writer = writer
        self._add = add
        self._add_news = add_news
        self._site = b"\n" + site.encode()
        self._origins: set[bytes] = set()
        self.whole = 0

    def take(self, lines: Lines, pictures: int | None) -> None:
        """Add the lines of a block; `pictures` as `pictures_if_plain` has found them.

        Raises:
            JobError: for a time that is none.
            TooManyPartsError, OSError: as SitemapWriter.add.
        """
        if pictures is not None and lines.rows and self._take_whole(lines, pictures):
            return
        for line in lines.text.split(b"\n")[:-1]:
            page, news = page_and_news(line)
            for image in page.images:
                self._learn(image)
            self._add(page)
            if news is not None:
                self._add_news(news)

    def _take_whole(self, lines: Lines, pictures: int) -> bool:
        text = lines.text
        if pictures >= self._writer.limits.images + lines.rows or not self._are_pages(lines):
            return False
        known = (text.count(_BEFORE + origin) + text.count(_BETWEEN + origin) for origin in self._origins)
        if pictures and sum(known) != pictures:
            return False
        before_first, *times = text.split(b"\t")
        newest = max(times)[:_SECOND_BYTES].replace(b" ", b"T").decode()
        del before_first, times
        for mark, replacement in _REPLACED:
            text = text.replace(mark, replacement)
        entries = _BEFORE_URL + text.removesuffix(_BEFORE_URL)
        if not self._writer.pages.add_block(entries, lines.rows, newest + _ZONE):
            return False
        self._writer.images += pictures
        self.whole += 1
        return True

    def _are_pages(self, lines: Lines) -> bool:
        """Whether every address is one of the site, and not too long."""
        text, rows, longest = lines
        if not text.startswith(self._site[1:]) or text.count(self._site) != rows - 1:
            return False
        most = self._writer.limits.url_characters
        return longest <= most or all(line.find(b"\t") <= most for line in text.split(b"\n"))

    def _learn(self, image: str) -> None:
        """Remember the origin of a picture if it needs no change, for the blocks to come."""
        origin = _ORIGIN.match(image)
        if origin is None or len(self._origins) >= _MOST_ORIGINS or "&" in origin[0] or "'" in origin[0]:
            return
        address = resolve(origin[0], "")
        if address is not None and not address.problem and address.url == origin[0]:
            self._origins.add(origin[0].encode())
