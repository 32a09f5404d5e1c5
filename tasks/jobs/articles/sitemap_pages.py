"""Every row of the articles into the parts of a sitemap, by the quickest way that the database allows."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from tasks.jobs.articles.sitemap_bulk import Blocks, pictures_if_plain
from tasks.jobs.articles.sitemap_copy import copied_rows, statement
from tasks.jobs.articles.sitemap_listing import Listing, Written
from tasks.jobs.articles.sitemap_source import Source
from tasks.jobs.program import ProgressLines

_PHASE: Final = "write"
_SWITCH_SECONDS: Final = 0.0001


def write_rows(
    source: Source,
    listing: Listing,
    progress: ProgressLines,
    stop: Callable[[], bool],
    *,
    images: bool,
    news_until: datetime | None,
) -> Written | None:
    """Write every page, and the news of the two days before `news_until`; None if it was stopped.

    Raises:
        JobError: as Source's methods.
        TooManyPartsError, OSError: as SitemapWriter.add.
    """
    if news_until is not None:
        source.require_titles()
    sql = statement(source, images=images, news_until=news_until)
    if sql is not None:
        completed = _write_blocks(source, sql, listing, progress, stop)
    else:
        completed = _write_pages(source, listing, progress, stop, images=images)
        completed = completed and (news_until is None or _write_news(source, listing, stop, news_until))
    return listing.finish() if completed else None


def _write_blocks(
    source: Source, sql: str, listing: Listing, progress: ProgressLines, stop: Callable[[], bool]
) -> bool:
    total = source.estimate()
    blocks = Blocks(listing.writer, listing.site, listing.add, listing.add_news)
    done = 0
    with _quick_switches():
        for lines in copied_rows(source, sql):
            if stop():
                return False
            blocks.take(lines, pictures_if_plain(lines))
            done += lines.rows
            progress.show(_PHASE, done, max(done, total))
    progress.show(_PHASE, done, done, last=True)
    return True


@contextmanager
def _quick_switches() -> Iterator[None]:
    """The thread that packs needs the interpreter for moments, and is not to wait 5 ms for each of them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _write_pages(
    source: Source, listing: Listing, progress: ProgressLines, stop: Callable[[], bool], *, images: bool
) -> bool:
    total = source.count()
    done = 0
    for done, page in enumerate(source.pages(images=images), start=1):
        if stop():
            return False
        listing.add(page)
        progress.show(_PHASE, done, total)
    progress.show(_PHASE, done, total, last=True)
    return True


def _write_news(source: Source, listing: Listing, stop: Callable[[], bool], until: datetime) -> bool:
    for row in source.news(until):
        if stop():
            return False
        listing.add_news(row)
    return True
