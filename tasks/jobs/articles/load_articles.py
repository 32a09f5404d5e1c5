"""load-articles: put a folder of HTML pages into the articles database. Doing it again changes nothing."""

import os
from datetime import UTC, datetime

from sqlalchemy import (
    Column,
    DateTime,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    inspect,
    select,
    text,
)

from tasks.contract import exit_codes
from tasks.jobs.articles.corpus import Page, locate, read_pages
from tasks.jobs.articles.database import VIEW, explained, open_database
from tasks.jobs.program import Parser, ProgressLines, StopRequest, run_program, say

BASE_URL_VARIABLE = "ARTICLES_BASE_URL"
FOLDER_VARIABLE = "ARTICLES_FOLDER"
DEFAULT_BASE_URL = "http://127.0.0.1:8080/"
_ROWS_AT_ONCE = 200

METADATA = MetaData()
ARTICLES = Table(
    "articles",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("url", String(2048), nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("html", Text, nullable=False),
    Column("published_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("sha256", String(64), nullable=False),
)


def load(engine: Engine, pages: list[Page], now: datetime) -> dict[str, int]:
    """Bring the table to hold exactly `pages`. Returns how many were added, changed, removed, unchanged.

    A page whose text changed since the last time is `updated_at` `now`; one that did not keeps its time.
    All in one transaction: a reader sees the old articles or the new ones.
    """
    with explained(engine):
        METADATA.create_all(engine)
        with engine.begin() as connection:
            if VIEW not in inspect(connection).get_view_names():
                columns = "id, url, title, html, published_at, updated_at"
                connection.execute(text(f"CREATE VIEW {VIEW} AS SELECT {columns} FROM articles"))  # noqa: S608  (constants)
            known = {
                row.url: row.sha256 for row in connection.execute(select(ARTICLES.c.url, ARTICLES.c.sha256))
            }
            added = [_row(page) for page in pages if page.url not in known]
            changed = [
                {**_row(page), "updated_at": max(now, page.updated_at), "which": page.url}
                for page in pages
                if page.url in known and known[page.url] != page.sha256
            ]
            gone = [{"which": url} for url in known.keys() - {page.url for page in pages}]
            which = ARTICLES.c.url == bindparam("which")
            for start in range(0, len(added), _ROWS_AT_ONCE):
                connection.execute(ARTICLES.insert(), added[start : start + _ROWS_AT_ONCE])
            if changed:
                connection.execute(ARTICLES.update().where(which), changed)
            if gone:
                connection.execute(ARTICLES.delete().where(which), gone)
    unchanged = len(pages) - len(added) - len(changed)
    return {"added": len(added), "changed": len(changed), "removed": len(gone), "unchanged": unchanged}


def _row(page: Page) -> dict[str, object]:
    return {
        "url": page.url,
        "title": page.title,
        "html": page.html,
        "published_at": page.published_at,
        "updated_at": page.updated_at,
        "sha256": page.sha256,
    }


def job(stop: StopRequest) -> int:
    """The program; ends with the contract's exit codes."""
    parser = Parser(
        prog="load-articles",
        description="Load a folder of HTML articles into the database; a second time changes nothing.",
        epilog="example: load-articles --folder /srv/site --base-url https://www.example.com/",
    )
    parser.add_argument(
        "--folder",
        default=os.environ.get(FOLDER_VARIABLE, ""),
        help=f"where the pages are (default: ${FOLDER_VARIABLE}, or the manual that comes with pygame-ce)",
    )
    parser.add_argument(
        "--base-url",
        default=os.environ.get(BASE_URL_VARIABLE, DEFAULT_BASE_URL),
        help=f"URL of the folder on the site (default: ${BASE_URL_VARIABLE}, or {DEFAULT_BASE_URL})",
    )
    parser.add_argument("--database", default="", help="default: $ARTICLES_URL, or SQLite")
    options = parser.read()
    progress = ProgressLines()
    base_url = options.base_url.rstrip("/") + "/"
    pages: list[Page] = []
    for page in read_pages(locate(options.folder), base_url):
        if stop.requested:
            return exit_codes.STOPPED
        pages.append(page)
        progress.show("read", len(pages))
    engine = open_database(options.database)
    counts = load(engine, pages, datetime.now(UTC).replace(microsecond=0))
    engine.dispose()
    progress.show("load", len(pages), len(pages), last=True)
    say("articles: " + ", ".join(f"{number} {what}" for what, number in counts.items()))
    return exit_codes.DONE


if __name__ == "__main__":
    run_program(job)
