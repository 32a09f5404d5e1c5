"""From articles to the pictures that they mention: the first part of every check."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from tasks.contract import exit_codes
from tasks.jobs.articles.database import Article, count_articles, stream_articles
from tasks.jobs.articles.extraction import Reference, find_pictures
from tasks.jobs.articles.urls import Address, resolve
from tasks.jobs.articles.work import Work
from tasks.jobs.program import JobError, ProgressLines


def all_hosts(host: str) -> bool:  # noqa: ARG001  (one of a family)
    """Every host's pictures."""
    return True


def extract(
    engine: Engine,
    work: Work,
    progress: ProgressLines,
    stop: Callable[[], bool],
    wanted: Callable[[str], bool] = all_hosts,
) -> None:
    """Read every article and note its pictures; of `wanted` hosts only, where that is given."""
    total = count_articles(engine)
    done = 0
    for done, article in enumerate(stream_articles(engine), start=1):
        if stop():
            return
        pictures = [found for found in _pictures(article) if wanted(found[0].host)]
        if pictures or wanted is all_hosts:
            work.add_article(article, pictures)
        progress.show("extract", done, total)
    counts = work.counts()
    message = f"{counts['pictures']} pictures in {counts['references']} mentions"
    progress.show("extract", done, done, message, last=True)


def _pictures(article: Article) -> Iterator[tuple[Address, Reference]]:
    base, references = find_pictures(article.html, article.url)
    for reference in references:
        address = resolve(reference.written, base)
        if address is not None:
            yield address, reference


@contextmanager
def scratch_work() -> Iterator[tuple[Path, Work]]:
    """A directory that is there for a while, and a Work in it.

    Raises:
        JobError: if it cannot be written to.
    """
    with tempfile.TemporaryDirectory(prefix="missing-images-", ignore_cleanup_errors=True) as name:
        try:
            work = Work(Path(name, "work.sqlite"))
            yield Path(name), work
            work.close()
        except sqlite3.OperationalError as error:
            raise JobError(f"cannot write to {name}: {error}", exit_codes.CANNOT_WRITE) from None
