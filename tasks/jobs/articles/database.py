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
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import CursorResult, Engine, create_engine, event, text
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
    where = engine.url.render_as_string(hide_password=True)
    try:
        yield
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        if any(words in reason for words in _NO_ROOM):
            raise JobError(
                f"cannot write to the database {where}: {reason}", exit_codes.CANNOT_WRITE
            ) from None
        if error.connection_invalidated or _is_temporary(error):
            raise JobError(f"the database {where} went away: {reason}", exit_codes.TRY_AGAIN) from None
        raise JobError(f"the database {where} refused: {reason}{_hint(reason)}") from None
    except SQLAlchemyError as error:
        raise JobError(f"the database {where}: {error}") from None


def _is_temporary(error: DBAPIError) -> bool:
    # Both drivers raise OperationalError for a lost connection; SQLite also for a table that is missing.
    name = type(error.orig).__name__
    missing = "no such" in str(error.orig)
    return name in {"OperationalError", "AdminShutdown", "ConnectionTimeout", "CrashShutdown"} and not missing


def _hint(reason: str) -> str:
    if VIEW in reason or "no such table" in reason or "no such column" in reason:
        return f"; load articles (load-articles) or make the view {VIEW} described in docs"
    return ""


def stream_articles(engine: Engine, sql: str = "") -> Iterator[Article]:
    """All articles, by a server-side cursor in one snapshot: memory does not grow with their number.

    Raises:
        JobError: exit code 75 if the connection breaks, 64 if the view or query is not as documented.
    """
    query = sql or os.environ.get(SQL_VARIABLE, "") or DEFAULT_SQL
    with explained(engine), engine.connect() as plain:
        connection = plain
        if engine.dialect.name != "sqlite":
            connection = plain.execution_options(isolation_level="REPEATABLE READ")
        connection = connection.execution_options(stream_results=True, yield_per=_ROWS_AT_ONCE)
        with connection.execute(text(query)) as rows:
            yield from _articles(rows)


def _articles(rows: CursorResult[Any]) -> Iterator[Article]:
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
    query = sql or os.environ.get(SQL_VARIABLE, "") or "SELECT id FROM nightlatch_articles"
    with explained(engine), engine.connect() as connection:
        counted = connection.execute(text(f"SELECT count(*) FROM ({query}) AS counted"))  # noqa: S608  (the operator's own query)
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
