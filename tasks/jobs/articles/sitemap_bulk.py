"""The quick way from PostgreSQL: COPY, and whole blocks of rows turned into XML at once.

The rows of a clean block become entries by splitting and joining; looking at each row costs ten times that.
Which blocks are clean is decided by counting: every character is one that needs no thought, every page is on
the site, every picture is on a host whose name has been looked at before. Any other block is worked on row by
row, by the same code that serves other databases, and both give the same bytes.
"""

import re
from collections.abc import Callable, Generator, Iterator
from select import select
from typing import Any, Final

import psycopg
from psycopg import pq

from tasks.jobs.articles.database import as_time, trouble
from tasks.jobs.articles.sitemap_source import TIMESTAMPS, Page, Source
from tasks.jobs.articles.sitemap_writer import AFTER_IMAGE, BEFORE_IMAGE, SitemapWriter
from tasks.jobs.articles.urls import LONGEST, resolve

# PostgreSQL's type numbers.
_ARRAYS: Final = frozenset({1009, 1015})  # of text, of varchar
_JSON: Final = {114: "json", 3802: "jsonb"}
ROWS_AT_ONCE: Final = 500
_MOST_ORIGINS: Final = 32
_WAIT_SECONDS: Final = 1.0
_TIME: Final = b"2026-11-22T07:30:00+00"
# Between the pictures of a row: a character that no address has and that COPY writes as it is.
_BETWEEN: Final = "\x01"
_BETWEEN_BYTES: Final = b"\x01"
# What an address may have and `resolve` leaves alone, and what stands between addresses.
_CLEAN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/%:@!$&'()*+,;=~._-?\t\n \x01"
_ORIGIN: Final = re.compile(r"https?://[^/]+/")
_ESCAPED: Final = re.compile(rb"\\(.)")
_ESCAPES: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_NULL: Final = b"\\N"
_ZONE_END: Final = b":00"
_WITHOUT_IMAGES: Final = _ZONE_END + b"</lastmod>"
_WITH_IMAGES: Final = _WITHOUT_IMAGES + f"{BEFORE_IMAGE}%b{AFTER_IMAGE}".encode()
_BETWEEN_IMAGES: Final = (AFTER_IMAGE + BEFORE_IMAGE).encode()


def statement(source: Source, *, images: bool) -> str | None:
    """The COPY for this mapping, or None where only the usual way goes."""
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
    # The empty first field keeps an address apart from the end of the line before it.
    videos = "coalesce(videos::text, '')" if "videos" in columns else "''"
    time = "date_trunc('second', coalesce(updated_at, published_at)::timestamptz)"
    rows = f"SELECT '', url, {time}, {pictures}, {videos} FROM ({source.query}) AS articles ORDER BY id"  # noqa: S608  (the operator's own query)
    return f"COPY ({rows}) TO STDOUT"


def copied_rows(source: Source, sql: str, at_once: int = ROWS_AT_ONCE) -> Generator[bytes, None, None]:
    """The lines of a COPY, `at_once` at a time. Yields b"" now and then while there is nothing to read.

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


def _copied_rows(copied: "pq.abc.PGconn", sql: str, at_once: int) -> Iterator[bytes]:
    copied.send_query(sql.encode())
    while not (result := _answer(copied)):
        yield b""
    if result.status != pq.ExecStatus.COPY_OUT:
        raise _error(result)
    # One growing buffer, not a list of lines: that takes half the time.
    lines = bytearray()
    count = 0
    read = copied.get_copy_data
    while True:
        size, line = read(1)
        if size > 0:
            lines += line
            count += 1
            if count == at_once:
                yield bytes(lines)
                lines.clear()
                count = 0
        elif size == 0:
            if not select([copied.socket], [], [], _WAIT_SECONDS)[0]:
                yield b""
            copied.consume_input()
        else:
            break
    yield bytes(lines)
    while result := copied.get_result():
        if result.status != pq.ExecStatus.COMMAND_OK:
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


class Blocks:
    """Turns blocks of copied rows into entries of `writer`; `add` takes each page of the others."""

    def __init__(self, writer: SitemapWriter, site: str, add: Callable[[Page], None]) -> None:
        self._writer = writer
        self._add = add
        self._site = b"\n" + site.encode()
        self._origins: set[bytes] = set()
        self.whole = 0

    def take(self, block: bytes) -> int:
        """Add the lines of a block; returns how many there are.

        Raises:
            JobError: for a time that is none.
            TooManyPartsError, OSError: as SitemapWriter.add.
        """
        count = block.count(b"\n")  # COPY writes the line breaks of a text as two other characters
        if count and not self._take_whole(block, count):
            for line in block.split(b"\n")[:-1]:
                self._add(self._page(line))
        return count

    def _take_whole(self, block: bytes, count: int) -> bool:
        between = block.count(_BETWEEN_BYTES)
        if not self._is_plain(block, count) or between >= self._writer.limits.images:
            return False
        # The times have the only spaces. `<` is none of the characters, so no tag is taken for a text.
        block = block.replace(b" ", b"T").replace(b"&", b"&amp;").replace(b"'", b"&apos;")
        fields = block.split(b"\t")
        urls, times, images = fields[1::4], fields[2::4], fields[3::4]
        if len(fields) != 4 * count + 1 or fields[4::4] != [b"\n"] * count or not _are_times(times):
            return False
        if not self._are_pages(urls) or max(map(len, images)) > LONGEST:
            return False
        pictures = count - images.count(b"") + between
        if self._known(images) != pictures:
            return False
        entries = _entries(urls, times, images)
        if not self._writer.pages.add_block(entries, count, (max(times) + _ZONE_END).decode()):
            return False
        self._writer.images += pictures
        self.whole += 1
        return True

    def _is_plain(self, block: bytes, count: int) -> bool:
        """Whether the block has nothing but characters, and sequences of them, that need no change."""
        return not (
            block.translate(None, _CLEAN)
            or block.count(b" ") != count
            or b"/." in block
            or (b"?" in block and (b"?\t" in block or b"?\x01" in block))
        )

    def _are_pages(self, urls: list[bytes]) -> bool:
        """Whether every address is one of the site, and not too long."""
        if max(map(len, urls)) > self._writer.limits.url_characters:
            return False
        return (b"\n" + b"\n".join(urls)).count(self._site) == len(urls)

    def _known(self, images: list[bytes]) -> int:
        """How many pictures are on hosts whose name needs no change."""
        each = _BETWEEN_BYTES + _BETWEEN_BYTES.join(images)
        return sum(each.count(_BETWEEN_BYTES + origin) for origin in self._origins)

    def _page(self, line: bytes) -> Page:
        _, url, time, images, videos = (_field(field) for field in line.split(b"\t"))
        listed = images.split(_BETWEEN) if images else []
        for image in listed:
            self._learn(image)
        return Page(url, as_time(time), listed, videos)

    def _learn(self, image: str) -> None:
        """Remember the origin of a picture if it needs no change, for the blocks to come."""
        origin = _ORIGIN.match(image)
        if origin is None or len(self._origins) >= _MOST_ORIGINS or "&" in origin[0] or "'" in origin[0]:
            return
        address = resolve(origin[0], "")
        if address is not None and not address.problem and address.url == origin[0]:
            self._origins.add(origin[0].encode())


def _are_times(times: list[bytes]) -> bool:
    """Whether every time is ``2026-11-22T07:30:00+00``, as PostgreSQL writes a time in UTC."""
    joined = b"".join(times)
    count = len(times)
    return (
        max(map(len, times)) == min(map(len, times)) == len(_TIME)
        and joined[4 :: len(_TIME)] == b"-" * count
        and joined[10 :: len(_TIME)] == b"T" * count
        and joined[19 :: len(_TIME)] == b"+" * count
        and joined[20 :: len(_TIME)] == joined[21 :: len(_TIME)] == b"0" * count
    )


def _entries(urls: list[bytes], times: list[bytes], images: list[bytes]) -> bytes:
    count = len(urls)
    if any(images):
        images = b"\t".join(images).replace(_BETWEEN_BYTES, _BETWEEN_IMAGES).split(b"\t")
    pieces = [b"<url><loc>"] * (count * 6)
    pieces[1::6] = urls
    pieces[2::6] = [b"</loc><lastmod>"] * count
    pieces[3::6] = times
    pieces[4::6] = [_WITH_IMAGES % image if image else _WITHOUT_IMAGES for image in images]
    pieces[5::6] = [b"</url>\n"] * count
    return b"".join(pieces)


def _field(text: bytes) -> str:
    """One field of a COPY line; NULL is "".

    Source: https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2
    """
    if text == _NULL:
        return ""
    if b"\\" in text:
        text = _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), text)
    return text.decode()
