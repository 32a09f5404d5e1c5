r"""Rows from PostgreSQL by COPY: the statement for a mapping, and its lines in blocks.

A line is made to become XML by replacing single characters, each of which stands in one place only::

    url TAB time \x03 NEWLINE                                    a page without pictures
    url TAB time \x04 picture \x01 picture \x05 NEWLINE          a page with pictures
    url TAB \x02 JSON NEWLINE                                    a page with more: a video, news, an odd time
"""

import json
import re
from collections.abc import Generator, Iterator
from datetime import datetime
from select import select
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import pq

from tasks.jobs.articles.database import as_time, trouble
from tasks.jobs.articles.sitemap_source import NEWS_AGE, TIMESTAMPS, NewsRow, Page, Source

# PostgreSQL's type numbers.
_ARRAYS: Final = frozenset({1009, 1015})  # of text, of varchar
_JSON: Final = {114: "json", 3802: "jsonb"}
ROWS_AT_ONCE: Final = 500
_WAIT_SECONDS: Final = 1.0
BETWEEN: Final = "\x01"
_MORE: Final = "\x02"
WITHOUT: Final = "\x03"
BEFORE: Final = "\x04"
AFTER: Final = "\x05"
_USUAL: Final = re.compile(r"([^\x03\x04]*)(?:\x03|\x04(.*)\x05)", re.DOTALL)
_DATE_BIN: Final = (14,)
_ESCAPED: Final = re.compile(rb"\\(.)")
_ESCAPES: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_NULL: Final = b"\\N"


class Lines(NamedTuple):
    """Whole lines, how many they are, and how many bytes the longest has."""

    text: bytes
    rows: int
    longest: int


_NOTHING: Final = Lines(b"", 0, 0)


def statement(source: Source, *, images: bool, news_until: datetime | None = None) -> str | None:
    """The COPY for this mapping, or None where only the usual way goes.

    With `news_until`, what is news of the two days before says so, see `page_and_news`.
    """
    columns = source.columns
    if source.connection.dialect.driver != "psycopg":
        return None
    if columns["published_at"] not in TIMESTAMPS or columns["updated_at"] not in TIMESTAMPS:
        return None
    pictures = "''"
    if images:
        kind = columns.get("images")
        if kind in _ARRAYS:
            pictures = "coalesce(array_to_string(images, chr(1)), '')"
        elif kind in _JSON:
            each = f"{_JSON[int(str(kind))]}_array_elements_text(images)"
            pictures = f"coalesce((SELECT string_agg(value, chr(1)) FROM {each}), '')"  # noqa: S608  (constants)
        else:
            return None
    version = source.connection.dialect.server_version_info or ()
    time = "coalesce(updated_at, published_at)::timestamptz"
    # Cutting the fraction of a second off; date_trunc does the same and takes several times as long.
    cut = f"date_bin('1 second', {time}, '0001-01-01 00:00:00+00'::timestamptz)"
    if version < _DATE_BIN:
        cut = f"date_trunc('second', {time})"
    usual = f"{cut}::text || coalesce(chr(4) || nullif({pictures}, '') || chr(5), chr(3))"
    odd = [f"({time} < '10000-01-01 00:00:00+00') IS NOT TRUE"]  # or null, or infinite
    odd += ["videos IS NOT NULL"] if "videos" in columns else []
    is_news = "false"
    if news_until is not None:
        since = news_until - NEWS_AGE
        is_news = f"published_at BETWEEN '{since.isoformat()}' AND '{news_until.isoformat()}'"
        odd.append(is_news)
    marked = "news" if "news" in columns else "true"
    texts = [
        f"{name}::text" if name in columns else "NULL::text"
        for name in ("videos", "published_at", "title", "publication", "language")
    ]
    more = ", ".join([f"{time}::text", pictures, is_news, marked, *texts])
    second = f"CASE WHEN {' OR '.join(odd)} THEN chr(2) || json_build_array({more})::text ELSE {usual} END"
    return f"COPY (SELECT url, {second} FROM ({source.query}) AS articles ORDER BY id) TO STDOUT"  # noqa: S608  (the operator's own query)


def page_and_news(line: bytes) -> tuple[Page, NewsRow | None]:
    """What one line says, without the line break at its end.

    Raises:
        JobError: for a time that is none.
    """
    url, rest = (_field(field) for field in line.split(b"\t"))
    usual = _USUAL.fullmatch(rest)
    if usual is not None and not rest.startswith(_MORE):
        return Page(url, as_time(usual[1]), _pictures(usual[2] or ""), ""), None
    more = json.loads(rest[1:])
    time, pictures, is_news, marked, videos, published, title, publication, language = more
    news = None
    published_at = as_time(published) if is_news and marked else None
    if published_at is not None:
        news = NewsRow(url, title or "", published_at, publication or "", language or "")
    return Page(url, as_time(time), _pictures(pictures), videos), news


def _pictures(field: str) -> list[str]:
    return field.split(BETWEEN) if field else []


def copied_rows(source: Source, sql: str, at_once: int = ROWS_AT_ONCE) -> Generator[Lines, None, None]:
    """The lines of a COPY, `at_once` at a time. Yields none now and then while there is nothing to read.

    Raises:
        JobError: exit code 75 if the connection breaks.
    """
    finished = False
    try:
        driver: Any = source.connection.connection.driver_connection
        yield from _copied_rows(driver.pgconn, sql, at_once)
        finished = True
    except psycopg.Error as error:
        raise trouble(source.connection.engine, error) from None
    finally:
        if not finished:
            source.connection.invalidate()  # it is in the middle of a COPY, or gone


def _copied_rows(copied: "pq.abc.PGconn", sql: str, at_once: int) -> Iterator[Lines]:
    yield from _begun(copied, sql)
    # One growing buffer, not a list of lines: that takes half the time.
    lines = bytearray()
    count = longest = 0
    read = copied.get_copy_data
    while True:
        size, line = read(1)
        if size > 0:
            lines += line
            count += 1
            if size > longest:  # noqa: PLR1730  (a call for each row)
                longest = size
            if count == at_once:
                yield Lines(bytes(lines), count, longest)
                lines.clear()
                count = longest = 0
        elif size == 0:
            if not select([copied.socket], [], [], _WAIT_SECONDS)[0]:
                yield _NOTHING
            copied.consume_input()
        else:
            break
    yield Lines(bytes(lines), count, longest)
    while result := copied.get_result():
        if result.status != pq.ExecStatus.COMMAND_OK:
            raise _error(result)


def _begun(copied: "pq.abc.PGconn", sql: str) -> Iterator[Lines]:
    copied.send_query(sql.encode())
    while not (result := _answer(copied)):
        yield _NOTHING
    if result.status != pq.ExecStatus.COPY_OUT:
        raise _error(result)


def _answer(copied: "pq.abc.PGconn") -> "pq.abc.PGresult | None":
    """The first answer to the statement, or None if there is none yet."""
    copied.consume_input()
    if copied.is_busy() and not select([copied.socket], [], [], _WAIT_SECONDS)[0]:
        return None
    copied.consume_input()
    return None if copied.is_busy() else copied.get_result()


def _error(result: "pq.abc.PGresult") -> psycopg.Error:
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    message = result.error_message.decode("utf-8", "replace")
    try:
        return psycopg.errors.lookup(state)(message)
    except KeyError:
        # The server ends: https://www.postgresql.org/docs/current/errcodes-appendix.html (class 57)
        return (psycopg.OperationalError if state[:2] in {"", "08", "57"} else psycopg.DatabaseError)(message)


def _field(text: bytes) -> str:
    """One field of a COPY line; NULL is "".

    Source: https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2
    """
    if text == _NULL:
        return ""
    if b"\\" in text:
        text = _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), text)
    return text.decode()
