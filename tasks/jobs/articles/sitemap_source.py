"""What sitemaps and feeds need of the articles, out of one snapshot: pages, news, and what is newest."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, bindparam, text

from tasks.jobs.articles.database import (
    COLUMNS,
    Article,
    articles_of,
    articles_query,
    as_time,
    explained,
    literal,
    literal_text,
)
from tasks.jobs.articles.extraction import find_pictures
from tasks.jobs.articles.urls import resolve
from tasks.jobs.program import JobError

NEWS_AGE: Final = timedelta(days=2)
"""Source: https://developers.google.com/search/docs/crawling-indexing/sitemaps/news-sitemap"""

# PostgreSQL's type numbers of timestamp without and with time zone.
TIMESTAMPS: Final = frozenset({1114, 1184})
_REQUIRED: Final = ("id", "url", "published_at", "updated_at")
_ROWS_AT_ONCE: Final = 500
# Pictures of the page itself; not those of its style or of previews elsewhere.
_KINDS: Final = {"img", "lazy"}


@dataclass(frozen=True, slots=True)
class Page:
    """A row for the sitemap. `images` and `videos` are as the database has them, `html` "" if not read."""

    url: str
    changed_at: datetime | None
    images: Sequence[str]
    videos: object
    html: str = ""


@dataclass(frozen=True, slots=True)
class NewsRow:
    """A row for the news; `publication` and `language` are "" where the mapping has no such column."""

    url: str
    title: str
    published_at: datetime
    publication: str
    language: str


class Source:
    """The articles as one moment saw them. `columns` has the mapping's columns and their types."""

    def __init__(self, connection: Connection, query: str) -> None:
        self.connection = connection
        self.query = query
        self.columns = self._read_columns()
        missing = [name for name in _REQUIRED if name not in self.columns]
        if missing:
            raise JobError(f"the articles query has no column {', '.join(missing)}")

    def estimate(self) -> int:
        """How many articles there are, as PostgreSQL's planner thinks: that takes no time."""
        sql = f"EXPLAIN (FORMAT JSON) SELECT 1 FROM ({self.query}) AS articles"  # noqa: S608  (the operator's own query)
        plan = self.connection.execute(literal(sql)).scalar_one()
        return int(plan[0]["Plan"]["Plan Rows"])

    def count(self) -> int:
        """How many articles there are."""
        counted = self.connection.execute(literal(f"SELECT count(*) FROM ({self.query}) AS counted"))  # noqa: S608  (the operator's own query)
        return int(counted.scalar_one())

    def require_titles(self) -> None:
        """Refuse a mapping without the column that news need.

        Raises:
            JobError: if there is no title.
        """
        if "title" not in self.columns:
            raise JobError("news need a title, and the articles query has no such column")

    def first_url(self) -> str:
        """The first article's address, "" if there is none."""
        sql = f"SELECT url FROM ({self.query}) AS articles ORDER BY id LIMIT 1"  # noqa: S608  (the operator's own query)
        return str(self.connection.execute(literal(sql)).scalar() or "")

    def pages(self, *, images: bool) -> Iterator[Page]:
        """Every article, in the order of the ids; without pictures where `images` is false."""
        read_html = images and "images" not in self.columns
        if read_html and "html" not in self.columns:
            raise JobError(
                "the articles query has neither images nor html; or leave pictures out: --no-images"
            )
        names = ["url", "published_at", "updated_at"]
        names += ["html"] if read_html else ["images"] if images else []
        names += ["videos"] if "videos" in self.columns else []
        for row in self._rows(names):
            yield Page(
                url=row["url"] or "",
                changed_at=as_time(row["updated_at"]) or as_time(row["published_at"]),
                images=_list_of_text(row.get("images")),
                videos=row.get("videos"),
                html=row.get("html") or "",
            )

    def news(self, until: datetime) -> Iterator[NewsRow]:
        """What was published in the two days that end at `until`."""
        since = until - NEWS_AGE
        optional = [name for name in ("publication", "language", "news") if name in self.columns]
        # The database need not hand over what is old; where its times are text, it is we who look.
        where = ""
        if self.columns["published_at"] in TIMESTAMPS:
            where = f" WHERE published_at BETWEEN '{since.isoformat()}' AND '{until.isoformat()}'"
        for row in self._rows(["url", "title", "published_at", *optional], where):
            published = as_time(row["published_at"])
            if published is None or not since <= published <= until or not row.get("news", True):
                continue
            yield NewsRow(
                url=row["url"] or "",
                title=row["title"] or "",
                published_at=published,
                publication=row.get("publication") or "",
                language=row.get("language") or "",
            )

    def moments(self) -> Iterator[tuple[Any, str, datetime | None]]:
        """Id, address and time of publication of every article: what is newest is found without the rest."""
        for row in self._rows(["id", "url", "published_at", "updated_at"]):
            yield row["id"], row["url"] or "", as_time(row["published_at"]) or as_time(row["updated_at"])

    def articles(self, ids: Sequence[Any]) -> list[Article]:
        """The articles with these ids, in no order."""
        missing = [name for name in COLUMNS if name not in self.columns]
        if missing:
            raise JobError(f"the articles query has no column {', '.join(missing)}")
        sql = f"SELECT {', '.join(COLUMNS)} FROM ({self.query}) AS articles WHERE id IN "  # noqa: S608  (the operator's own query)
        statement = text(literal_text(sql) + ":ids").bindparams(bindparam("ids", expanding=True))
        found: list[Article] = []
        for start in range(0, len(ids), _ROWS_AT_ONCE):
            some = list(ids[start : start + _ROWS_AT_ONCE])
            with self.connection.execute(statement, {"ids": some}) as rows:
                found += articles_of(rows)
        return found

    def _rows(self, names: list[str], where: str = "") -> Iterator[Any]:
        sql = f"SELECT {', '.join(names)} FROM ({self.query}) AS articles{where} ORDER BY id"  # noqa: S608  (the operator's own query)
        streamed = self.connection.execution_options(stream_results=True, yield_per=_ROWS_AT_ONCE)
        with streamed.execute(literal(sql)) as rows:
            yield from rows.mappings()

    def _read_columns(self) -> dict[str, object]:
        sql = f"SELECT * FROM ({self.query}) AS articles WHERE 1 = 0"  # noqa: S608  (the operator's own query)
        with self.connection.execute(literal(sql)) as rows:
            return {str(column[0]): column[1] for column in rows.cursor.description or ()}


@contextmanager
def open_source(engine: Engine, sql: str = "") -> Iterator[Source]:
    """A snapshot of the articles, for as long as the block lasts.

    Raises:
        JobError: exit code 75 if the connection breaks, 64 if the view or query is not as documented.
    """
    with explained(engine), engine.connect() as plain:
        connection = plain
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        else:
            connection = plain.execution_options(isolation_level="REPEATABLE READ")
            # Times without a zone are UTC, and PostgreSQL writes all of them so.
            connection.exec_driver_sql("SET TIME ZONE 'UTC'")
            connection.exec_driver_sql("SET datestyle = 'ISO'")
            if engine.dialect.driver == "psycopg":
                connection.exec_driver_sql("SET client_encoding = 'UTF8'")  # COPY's bytes are ours to read
        yield Source(connection, articles_query(sql))


def pictures_of(html: str, url: str) -> list[str]:
    """The addresses of the pictures in an article's page, each once, in order."""
    if "<img" not in html and "<IMG" not in html:
        return []
    base, references = find_pictures(html, url)
    found: dict[str, None] = {}
    for reference in references:
        if reference.kind in _KINDS:
            address = resolve(reference.written, base)
            if address is not None and not address.problem:
                found[address.url] = None
    return list(found)


def addresses(written: Sequence[str], base: str) -> list[str]:
    """The addresses that a column has, as they can be asked for; what is none is left out."""
    found = (resolve(one, base) for one in written)
    return [address.url for address in found if address is not None and not address.problem]


def at(scheduled_time: str) -> datetime:
    """The run's scheduled time, or now for a run that somebody started.

    Raises:
        ValueError: for text that is no ISO 8601 time with a zone.
    """
    if not scheduled_time:
        return datetime.now(UTC).replace(microsecond=0)
    time = datetime.fromisoformat(scheduled_time)
    if time.tzinfo is None:
        raise ValueError(scheduled_time)
    return time.astimezone(UTC)


def _list_of_text(column: Any) -> list[str]:
    if not column:
        return []
    try:
        listed = json.loads(column) if isinstance(column, str) else column
    except ValueError:
        listed = None
    if not isinstance(listed, list):
        raise JobError(f"{str(column)[:100]!r} in the column images is neither an array nor a JSON list")
    return [one for one in listed if isinstance(one, str)]
