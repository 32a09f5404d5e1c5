"""PostgreSQL's quick way to a sitemap gives the same bytes as the usual one, whatever the rows have."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.contract import exit_codes
from tasks.jobs.articles.database import open_database
from tasks.jobs.articles.sitemap_bulk import Blocks, pictures_if_plain
from tasks.jobs.articles.sitemap_copy import copied_rows, statement
from tasks.jobs.articles.sitemap_listing import Listing
from tasks.jobs.articles.sitemap_part import Limits
from tasks.jobs.articles.sitemap_source import open_source
from tasks.jobs.articles.sitemap_writer import SitemapWriter
from tasks.jobs.program import JobError
from tests.support.postgres import Postgres, postgres
from tests.support.streamed_xml import count

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
Row = tuple[Any, ...]
SITE = "https://www.example.com/"
TIME = datetime(2026, 11, 21, 21, tzinfo=UTC)
OLD = datetime(2026, 11, 1, 6, 30, 59, 999_999, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


def run(url: str, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tasks.jobs.articles.sitemap_refresh", "--database", url, *options],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def table(
    server: Postgres, rows: list[Row], images: str = "text[]", times: str = "timestamptz", database: str = ""
) -> str:
    """A database (a new one, or `database` with other rows) with these rows; its URL."""
    url = database or server.create_database(uuid.uuid4().hex)
    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE IF EXISTS nightlatch_articles")
        connection.execute(
            f"CREATE TABLE nightlatch_articles (id BIGINT, url TEXT, title TEXT, images {images},"
            f" videos JSONB, published_at {times}, updated_at {times})"
        )
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO nightlatch_articles VALUES (%s, %s, 't', %s, %s, %s, %s)", rows)
    return url


def both_ways(
    url: str, scratch: Path, limits: Limits | None = None, block: int = 500
) -> tuple[int, dict[str, bytes]]:
    """Write the sitemap by blocks and page by page; they must be the same. How many blocks were whole."""
    engine = open_database(url)
    whole = 0
    written: list[dict[str, bytes]] = []
    with open_source(engine) as source:
        for way in ("blocks", "pages"):
            writer = SitemapWriter(scratch / way, SITE, limits)
            listing = Listing(writer, SITE, "Example", "en")
            if way == "blocks":
                sql = statement(source, images=True, news_until=TIME)
                assert sql is not None
                blocks = Blocks(writer, SITE, listing.add, listing.add_news)
                for lines in copied_rows(source, sql, block):
                    blocks.take(lines, pictures_if_plain(lines))
                whole = blocks.whole
            else:
                for page in source.pages(images=True):
                    listing.add(page)
                for row in source.news(TIME):
                    listing.add_news(row)
            names = writer.finish()
            written.append({name: (scratch / way / name).read_bytes() for name in names})
            written[-1]["counts"] = repr((writer.urls, writer.images, writer.news, listing.left_out)).encode()
    engine.dispose()
    assert written[0] == written[1]
    return whole, written[0]


def unpack(body: bytes) -> bytes:
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


def rows_of(number: int) -> list[Row]:
    pictures = [f"https://img.example.com/{{}}.jpg?w=1&q={n}" for n in range(3)]
    return [
        (n, f"{SITE}articles/{n}?a='1'&b", [it.format(n) for it in pictures[: n % 4]], None, OLD, None)
        for n in range(number)
    ]


def test_clean_rows_are_taken_as_a_whole_and_give_the_same_bytes(server: Postgres, tmp_path: Path) -> None:
    url = table(server, rows_of(5_200))

    whole, files = both_ways(url, tmp_path, Limits(urls=2_000))

    assert whole >= 8  # of eleven; the first has to learn the picture host
    assert len([name for name in files if name.startswith("sitemap-")]) == 3


@pytest.mark.parametrize("images", ["text[]", "json", "jsonb", "varchar[]"])
@pytest.mark.parametrize("times", ["timestamptz", "timestamp"])
def test_every_type_of_column_goes_the_quick_way(
    server: Postgres, tmp_path: Path, images: str, times: str
) -> None:
    rows = [(n, u, json.dumps(i) if "json" in images else i, v, t, c) for n, u, i, v, t, c in rows_of(1_200)]

    whole, _ = both_ways(table(server, rows, images, times), tmp_path)

    assert whole >= 1


@pytest.mark.parametrize("size", [30_000, 61_111])
def test_blocks_keep_the_limit_of_bytes(server: Postgres, tmp_path: Path, size: int) -> None:
    _, files = both_ways(table(server, rows_of(1_500)), tmp_path, Limits(part_bytes=size))

    sizes = [len(unpack(body)) for name, body in files.items() if name.startswith("sitemap-")]
    assert max(sizes) <= size
    assert len(sizes) > 1


def test_news_come_with_the_pages_and_are_the_same(server: Postgres, tmp_path: Path) -> None:
    rows = rows_of(2_000)
    for number in range(600, 620):
        published = TIME - timedelta(days=2, microseconds=number - 610)  # the last nine are too old
        rows[number] = (*rows[number][:4], published, None)
    rows[1500] = (1500, "https://other.example.com/", [], '[{"title": "t"}]', TIME, TIME)

    whole, files = both_ways(table(server, rows), tmp_path, block=100)

    assert files["counts"].startswith(b"(1999, 3000, 11, ")
    assert whole == 20 - 3  # the first has to learn the picture host


def test_the_fraction_of_a_second_is_cut_off_and_not_rounded(server: Postgres, tmp_path: Path) -> None:
    rows = rows_of(300)
    for number, moment in enumerate(["0001-01-01", "1969-12-31", "1999-12-31", "2000-01-01", "9999-12-31"]):
        for fraction in range(3):
            time = f"{moment} 23:59:59.{['0', '000001', '999999'][fraction]}+00"
            rows[100 + 3 * number + fraction] = (*rows[100 + 3 * number + fraction][:4], None, time)

    whole, files = both_ways(table(server, rows), tmp_path, block=100)

    assert whole == 2
    [part] = [unpack(body) for name, body in files.items() if name.startswith("sitemap-")]
    assert part.count(b"<lastmod>1969-12-31T23:59:59+00:00</lastmod>") == 3
    assert part.count(b"<lastmod>2026-11-01T06:30:59+00:00</lastmod>") == 285


def test_a_database_in_another_encoding_gives_the_same_bytes(server: Postgres, tmp_path: Path) -> None:
    name = uuid.uuid4().hex
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'EUC_JP' LOCALE 'C'")
    rows = [(1, f"{SITE}記事", ["https://img.example.com/絵.png"], None, TIME, None)]

    _, files = both_ways(table(server, rows, database=f"{server.url.rpartition('/')[0]}/{name}"), tmp_path)

    [part] = [unpack(body) for name, body in files.items() if name.startswith("sitemap-")]
    assert b"<loc>https://www.example.com/%E8%A8%98%E4%BA%8B</loc>" in part
    assert b"<image:loc>https://img.example.com/%E7%B5%B5.png</image:loc>" in part


@pytest.mark.parametrize("odd", ["\x01", "\x02", "\x03", "\x04", "\x05", "\x04https://img.example.com/a\x05"])
@pytest.mark.parametrize("where", ["page", "picture", "both"])
def test_our_own_marks_in_an_address_break_no_entry(
    server: Postgres, tmp_path: Path, odd: str, where: str
) -> None:
    rows = rows_of(30)
    page = f"{SITE}a{odd}https://img.example.com/b" if where != "picture" else rows[21][1]
    pictures = [f"https://img.example.com/{odd}"] if where != "page" else rows[21][2]
    rows[21] = (21, page, pictures, None, OLD, None)
    engine = open_database(table(server, rows))
    with open_source(engine) as source:
        writer = SitemapWriter(tmp_path, SITE)
        listing = Listing(writer, SITE)
        blocks = Blocks(writer, SITE, listing.add, listing.add_news)
        for lines in copied_rows(source, statement(source, images=True) or "", 10):
            blocks.take(lines, pictures_if_plain(lines))
        [name, _] = writer.finish()
    engine.dispose()

    assert blocks.whole == 1
    assert count(tmp_path / name, "all.xsd", "url") == 30


ADDRESS = st.one_of(
    st.text(st.sampled_from("ab/%?&'.<>\"\\ 日\t\n+0:;#"), max_size=12),
    st.sampled_from(["+00", "a/../b", "?", "%E4", "\\N", "//x", "x" * 2030, "a+00\\t", "\u2028"]),
)
PICTURE = st.one_of(
    ADDRESS.map(lambda path: "https://img.example.com/" + path),
    ADDRESS.map(lambda path: "https://IMG.example.com/" + path),
    ADDRESS.map(lambda path: "https://other.example.com:8080/" + path),
    ADDRESS,
)
MOMENT = st.none() | st.integers(-30_000_000_000, 200_000_000_000).map(
    lambda seconds: TIME + timedelta(seconds=seconds, milliseconds=999)
)
ROW = st.tuples(
    ADDRESS.map(lambda path: SITE + path) | ADDRESS,
    st.lists(PICTURE, max_size=3),
    st.sampled_from([None, None, None, "[]", "[{}]"]),
    MOMENT,
    MOMENT,
)


ODD_ADDRESSES = [
    *(
        "a/../b",
        "a/./b",
        "a/.",
        "a/..",
        ".",
        "..",
        "?",
        "a?",
        "a?b?c",
        "#a",
        "a#",
        "a b",
        "a\tb",
        "a\nb",
        "a\\b",
    ),
    *(
        "日本",
        "%E4",
        "%",
        "'",
        "&amp;",
        "<",
        '"',
        "//a",
        "a+00",
        "a\x7f",
        "a\u2028",
        ";a",
        "a|b",
        "[a]",
        "{",
        "x" * 2023,
    ),
    *("x" * 2024, "@", ":80", "a?b=<>", "a?b='&'", "+00", "\\N", "\\t"),
]
ODD_ORIGINS = [
    "http://www.example.com/",
    "https://www.example.com",
    "https://www.example.com:443/",
    "//www.example.com/",
]
ODD_ORIGINS += [
    "https://WWW.example.com/",
    "https://www.example.com.evil.example/",
    "https://u@www.example.com/",
    "/",
    "",
]


@pytest.mark.parametrize("where", ["page", "picture"])
def test_one_odd_address_in_a_clean_block_gives_the_same_bytes(
    server: Postgres, tmp_path: Path, where: str
) -> None:
    """Blocks of three: what is odd stands between two clean rows, so it alone decides about them."""
    origin = SITE if where == "page" else "https://img.example.com/"
    odd = [origin + path for path in ODD_ADDRESSES]
    odd += [it.replace("www", "www" if where == "page" else "img") + "a" for it in ODD_ORIGINS]
    rows: list[Row] = []
    for address in ["clean", *odd]:
        page = address if where == "page" and address != "clean" else SITE + "odd"
        pictures = [address] if where == "picture" and address != "clean" else ["https://img.example.com/a"]
        rows += [(len(rows) + n, *row) for n, row in enumerate([it[1:] for it in rows_of(2)])]
        rows.insert(len(rows) - 1, (len(rows) - 1, page, pictures, None, OLD, None))
        rows[-1] = (len(rows) - 1, *rows[-1][1:])

    whole, _ = both_ways(table(server, rows), tmp_path, block=3)

    assert 0 < whole < len(odd)


@pytest.fixture(scope="module")
def one_database(server: Postgres) -> str:
    return server.create_database(uuid.uuid4().hex)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=st.lists(ROW, max_size=8), clean=st.integers(0, 60))
def test_hostile_rows_among_clean_ones_give_the_same_bytes_both_ways(
    server: Postgres,
    one_database: str,
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[Row],
    clean: int,
) -> None:
    rows = [*rows_of(clean), *((10_000 + number, *row) for number, row in enumerate(drawn))]

    both_ways(
        table(server, rows, database=one_database), tmp_path_factory.mktemp("both"), Limits(urls=40), block=7
    )


def test_sigterm_in_the_middle_ends_at_once_and_publishes_nothing(server: Postgres, tmp_path: Path) -> None:
    url = table(server, rows_of(60))
    slow = "SELECT a.* FROM nightlatch_articles a, LATERAL (SELECT pg_sleep(0.5 + 0 * a.id)) AS slow"
    job = subprocess.Popen(
        [
            *(sys.executable, "-m", "tasks.jobs.articles.sitemap_refresh", "--database", url),
            *("--output", str(tmp_path / "out"), "--publish", str(tmp_path / "site")),
        ],
        cwd=ROOT,
        env={**os.environ, "ARTICLES_SQL": slow},
        stdout=subprocess.PIPE,
        text=True,
    )
    give_up = time.monotonic() + 60
    with psycopg.connect(url, autocommit=True) as watching:
        copying = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND pid <> pg_backend_pid()"
        while watching.execute(copying).fetchone() != (1,):
            assert time.monotonic() < give_up
            time.sleep(0.05)

    job.send_signal(signal.SIGTERM)
    job.communicate(timeout=30)

    assert job.returncode == exit_codes.STOPPED
    assert not (tmp_path / "out" / "sitemap.xml").exists()
    assert not (tmp_path / "site").exists()


def test_a_broken_time_is_named(server: Postgres, tmp_path: Path) -> None:
    url = table(server, [(1, SITE, [], None, "infinity", None)])

    done = run(url, "--output", str(tmp_path))

    assert done.returncode == exit_codes.WRONG_INPUT
    assert "'infinity' in the articles is no ISO 8601 time" in done.stderr


def test_a_connection_that_breaks_in_the_middle_of_a_copy_is_temporary(server: Postgres) -> None:
    engine = open_database(
        table(server, [(n, SITE + "x" * 1000, [], None, TIME, None) for n in range(20_000)])
    )

    def read() -> None:
        with open_source(engine) as source:
            sql = statement(source, images=True)
            assert sql is not None
            blocks = copied_rows(source, sql)
            next(blocks)
            assert server.drop_connections() >= 1
            for _ in blocks:
                pass

    with pytest.raises(JobError, match="went away") as caught:
        read()

    assert caught.value.exit_code == exit_codes.TRY_AGAIN
    engine.dispose()


def test_a_copy_that_is_left_in_the_middle_leaves_the_engine_usable(server: Postgres) -> None:
    engine = open_database(table(server, rows_of(5_000)))
    with open_source(engine) as source:
        blocks = copied_rows(source, statement(source, images=True) or "")
        next(blocks)
        blocks.close()

    with open_source(engine) as source:
        assert source.count() == 5_000
    engine.dispose()


def test_a_statement_that_fails_while_it_is_copied_is_told_in_one_line(
    server: Postgres, tmp_path: Path
) -> None:
    url = table(server, rows_of(1_000))
    sql = "SELECT * FROM nightlatch_articles WHERE 1 / (id - 900) <> 7"

    done = run(url, "--output", str(tmp_path), ARTICLES_SQL=sql)

    assert done.returncode == exit_codes.WRONG_INPUT
    assert "refused: division by zero" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_whole_sitemap_is_one_snapshot(server: Postgres, tmp_path: Path) -> None:
    url = table(server, rows_of(3_000))
    engine = open_database(url)
    with open_source(engine) as source:
        assert source.count() == 3_000
        with psycopg.connect(url) as other:
            other.execute("DELETE FROM nightlatch_articles")
        copied = list(copied_rows(source, statement(source, images=True) or ""))
        assert sum(lines.rows for lines in copied) == 3_000
        assert b"".join(lines.text for lines in copied).count(b"\n") == 3_000
        assert sum(1 for _ in source.news(OLD)) == 3_000
    engine.dispose()
    assert run(url, "--output", str(tmp_path)).returncode == exit_codes.WRONG_INPUT
