"""Articles in a database: SQLite by default, PostgreSQL by URL, streamed in either.

What a job reads is one view with fixed columns, so an existing schema is used without being changed::

    CREATE VIEW nightlatch_articles AS
    SELECT id, 'https://www.example.com/articles/' || slug AS url, title, body_html AS html,
           published_at, updated_at
    FROM articles WHERE state = 'published';

or a query with the same columns in ``ARTICLES_SQL``. Columns:

=============  ==========================================================================================
id             anything that orders and identifies articles
url            absolute URL of the page
title          text
html           the page or its body; picture addresses in it are relative to `url`
published_at   time (with zone, or UTC), may be null
updated_at     time (with zone, or UTC) of the last real change, may be null
=============  ==========================================================================================

The sitemap reads more, where the view or query has it; none of it is required:

=============  ==========================================================================================
images         addresses of the article's pictures: an array of text, or JSON. With it the sitemap does not
               read `html`, which is most of the database
videos         JSON: a list of objects, see videos.py
news           whether the article is news (default: all are)
publication    name of the publication, if there are several
language       ISO 639 code of the article's language, if there are several
=============  ==========================================================================================
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import CursorResult, Engine, TextClause, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from tasks.contract import exit_codes
from tasks.jobs.program import JobError

URL_VARIABLE: Final = "ARTICLES_URL"
SQL_VARIABLE: Final = "ARTICLES_SQL"
DEFAULT_URL: Final = "sqlite:///.nightlatch/articles.sqlite"
VIEW: Final = "nightlatch_articles"
DEFAULT_SQL: Final = (
    "SELECT id, url, title, html, published_at, updated_at FROM nightlatch_articles ORDER BY id"
)
COLUMNS: Final = ("id", "url", "title", "html", "published_at", "updated_at")
_ROWS_AT_ONCE: Final = 200
_NO_ROOM: Final = ("database or disk is full", "disk I/O error", "No space left")


@dataclass(frozen=True, slots=True)
class Article:
    """One article as a job sees it. Times are aware and in UTC."""

    id: str
    url: str
    title: str
    html: str
    published_at: datetime | None
    updated_at: datetime | None


def open_database(url: str = "") -> Engine:
    """Open the articles database; "" means ``ARTICLES_URL`` or the default.

    Raises:
        JobError: if the URL is none we can use.
    """
    given = url or os.environ.get(URL_VARIABLE, "") or DEFAULT_URL
    try:
        parsed = make_url(given)
        if parsed.drivername in {"postgres", "postgresql"}:
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
        raise JobError(
            f"cannot use {URL_VARIABLE}: {error}; write sqlite:////path or postgresql://host/database"
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: object) -> None:  # noqa: ARG001  (SQLAlchemy's interface)
    connection.execute("PRAGMA journal_mode = WAL")  # readers and a loader do not wait for each other
    connection.execute("PRAGMA busy_timeout = 10000")


@contextmanager
def explained(engine: Engine) -> Iterator[None]:
    """Turn a database's trouble into one line with the right exit code.

    A connection that breaks is temporary; a missing view or column is not.
    """
    try:
        yield
    except DBAPIError as error:
        raise trouble(engine, error.orig, lost=error.connection_invalidated) from None
    except SQLAlchemyError as error:
        raise JobError(f"the database {_where(engine)}: {error}") from None


def trouble(engine: Engine, error: BaseException | None, *, lost: bool = False) -> JobError:
    """What a driver's error means for the job; `lost` says that the connection is gone."""
    reason = " ".join(str(error).split())
    if any(words in reason for words in _NO_ROOM):
        return JobError(f"cannot write to the database {_where(engine)}: {reason}", exit_codes.CANNOT_WRITE)
    if lost or _is_temporary(error):
        return JobError(f"the database {_where(engine)} went away: {reason}", exit_codes.TRY_AGAIN)
    return JobError(f"the database {_where(engine)} refused: {reason}{_hint(reason)}")


def _where(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)


def _is_temporary(error: BaseException | None) -> bool:
    # Both drivers raise OperationalError for a lost connection; SQLite also for a table that is missing.
    name = type(error).__name__
    missing = "no such" in str(error)
    return name in {"OperationalError", "AdminShutdown", "ConnectionTimeout", "CrashShutdown"} and not missing


def _hint(reason: str) -> str:
    if VIEW in reason or "no such table" in reason or "no such column" in reason:
        return f"; load articles (load-articles) or make the view {VIEW} described in docs"
    return ""


def literal(sql: str) -> TextClause:
    """SQL as the operator wrote it: a colon in it is a colon, and a semicolon at its end does no harm."""
    return text(literal_text(sql))


def literal_text(sql: str) -> str:
    """The same as text, for a statement with parameters of its own after it."""
    return sql.replace(":", "\\:")


def articles_query(sql: str = "") -> str:
    """The mapping as a query to read from: `sql`, or ``ARTICLES_SQL``, or the view."""
    query = sql or os.environ.get(SQL_VARIABLE, "") or f"SELECT * FROM {VIEW}"  # noqa: S608  (a constant)
    return query.strip().rstrip(";")


def stream_articles(engine: Engine, sql: str = "") -> Iterator[Article]:
    """All articles, by a server-side cursor in one snapshot: memory does not grow with their number.

    Raises:
        JobError: exit code 75 if the connection breaks, 64 if the view or query is not as documented.
    """
    query = (sql or os.environ.get(SQL_VARIABLE, "") or DEFAULT_SQL).strip().rstrip(";")
    with explained(engine), engine.connect() as plain:
        connection = plain
        if engine.dialect.name != "sqlite":
            connection = plain.execution_options(isolation_level="REPEATABLE READ")
        connection = connection.execution_options(stream_results=True, yield_per=_ROWS_AT_ONCE)
        with connection.execute(literal(query)) as rows:
            yield from articles_of(rows)


def articles_of(rows: CursorResult[Any]) -> Iterator[Article]:
    """The rows as articles.

    Raises:
        JobError: if a column is missing or a time is none.
    """
    missing = [name for name in COLUMNS if name not in rows.keys()]  # noqa: SIM118  (not a mapping)
    if missing:
        raise JobError(
            f"the articles query has no column {', '.join(missing)}; it wants {', '.join(COLUMNS)}"
        )
    for row in rows.mappings():
        yield Article(
            id=str(row["id"]),
            url=row["url"] or "",
            title=row["title"] or "",
            html=row["html"] or "",
            published_at=as_time(row["published_at"]),
            updated_at=as_time(row["updated_at"]),
        )


def count_articles(engine: Engine, sql: str = "") -> int:
    """How many articles there are, for the progress display.

    Raises:
        JobError: as stream_articles.
    """
    query = articles_query(sql)
    with explained(engine), engine.connect() as connection:
        counted = connection.execute(literal(f"SELECT count(*) FROM ({query}) AS counted"))  # noqa: S608  (the operator's own query)
        return int(counted.scalar_one())


def as_time(value: object) -> datetime | None:
    """A column's time, made aware: text (SQLite) or datetime; without a zone it is UTC.

    Raises:
        JobError: for text that is no ISO 8601 time.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise JobError(f"{value!r} in the articles is no ISO 8601 time") from None
    if not isinstance(value, datetime):
        raise JobError(f"{value!r} in the articles is no time")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
