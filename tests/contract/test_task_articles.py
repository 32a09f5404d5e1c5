"""Articles in SQLite and in a real PostgreSQL: one suite over both, and the sitemap made of them."""

import gzip
import hashlib
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from lxml import etree
from sqlalchemy import text

from tasks.contract import exit_codes
from tasks.jobs.articles.corpus import Page, locate, read_pages
from tasks.jobs.articles.database import Article, as_time, count_articles, open_database, stream_articles
from tasks.jobs.articles.load_articles import load
from tasks.jobs.program import JobError
from tests.support.postgres import Postgres, postgres
from tests.support.streamed_xml import SCHEMAS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SITE = "https://www.example.com/"
THEN = datetime(2026, 10, 1, 12, tzinfo=UTC)
NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
LOC = "{http://www.sitemaps.org/schemas/sitemap/0.9}loc"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/articles.sqlite"
    running: Postgres = request.getfixturevalue("server")
    return running.create_database(uuid.uuid4().hex)


def page(number: int, body: str = "", path: str = "") -> Page:
    address = SITE + (path or f"articles/{number}")
    return Page(
        address, f"記事 {number} <&> ' 😀", body, THEN, THEN, hashlib.sha256(body.encode()).hexdigest()
    )


def loaded(url: str, pages: list[Page], now: datetime = NOW) -> dict[str, int]:
    engine = open_database(url)
    try:
        return load(engine, pages, now)
    finally:
        engine.dispose()


def read(url: str, sql: str = "") -> list[Article]:
    engine = open_database(url)
    try:
        return list(stream_articles(engine, sql))
    finally:
        engine.dispose()


def execute(url: str, statement: str) -> None:
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def run(job: str, url: str, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", f"tasks.jobs.articles.{job}", "--database", url, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_articles_come_back_as_they_were_loaded(url: str) -> None:
    body = "<p>\u2028 '; DROP TABLE articles; -- 漢字 \U0001f600 \\ %s {} :x"
    loaded(url, [page(1, body), page(2)])

    first, second = read(url)

    assert first == Article("1", SITE + "articles/1", "記事 1 <&> ' 😀", body, THEN, THEN)
    assert second.id == "2"


def test_loading_again_changes_nothing_and_a_change_has_its_time(url: str) -> None:
    assert loaded(url, [page(1), page(2), page(3)]) == {
        "added": 3,
        "changed": 0,
        "removed": 0,
        "unchanged": 0,
    }
    assert loaded(url, [page(1), page(2), page(3)]) == {
        "added": 0,
        "changed": 0,
        "removed": 0,
        "unchanged": 3,
    }

    counts = loaded(url, [page(1), page(2, "new text"), page(4)])

    assert counts == {"added": 1, "changed": 1, "removed": 1, "unchanged": 1}
    times = {article.url[-1]: article.updated_at for article in read(url)}
    assert times == {"1": THEN, "2": NOW, "4": THEN}


def test_the_real_manual_is_loaded_whole(url: str) -> None:
    pages = list(read_pages(locate(), SITE))

    loaded(url, pages)

    articles = read(url)
    assert [article.html for article in articles] == [page.html for page in pages]
    assert all(article.title for article in articles)
    assert list(read_pages(locate(), SITE)) == pages


def test_an_existing_schema_is_read_through_a_view_or_a_query(url: str) -> None:
    execute(
        url,
        "CREATE TABLE posts (slug TEXT, headline TEXT, body TEXT, created_at TIMESTAMP, changed TIMESTAMP)",
    )
    execute(url, "INSERT INTO posts VALUES ('a-1', NULL, '<p>', '2026-10-01 21:00:00', NULL)")
    query = (
        "SELECT slug AS id, 'https://www.example.com/' || slug AS url, headline AS title, body AS html, "
        "created_at AS published_at, changed AS updated_at FROM posts ORDER BY slug"
    )
    expected = [Article("a-1", SITE + "a-1", "", "<p>", datetime(2026, 10, 1, 21, tzinfo=UTC), None)]

    assert read(url, query) == expected
    execute(url, f"CREATE VIEW nightlatch_articles AS {query}")
    assert read(url) == expected
    engine = open_database(url)
    assert count_articles(engine) == count_articles(engine, query) == 1
    engine.dispose()


def test_a_query_without_a_column_names_it(url: str) -> None:
    with pytest.raises(JobError, match="no column url, title, html, published_at, updated_at"):
        read(url, "SELECT 1 AS id")


def test_a_missing_view_says_what_to_do(url: str) -> None:
    with pytest.raises(JobError, match="load articles") as caught:
        read(url)

    assert caught.value.exit_code == exit_codes.WRONG_INPUT
    assert "\n" not in str(caught.value)


def test_streaming_takes_memory_for_a_few_rows_only(url: str) -> None:
    loaded(url, [page(number, "x" * 100_000) for number in range(600)])
    program = (
        "import resource, sys\n"
        "from tasks.jobs.articles.database import open_database, stream_articles\n"
        "engine = open_database(sys.argv[1])\n"
        "next(stream_articles(engine)); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert sum(1 for _ in stream_articles(engine)) == 600\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, url], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert int(done.stdout) < 40  # MiB; all of it would be 60


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("2026-11-22T07:30:00+09:00", datetime(2026, 11, 21, 22, 30, tzinfo=UTC)),
        ("2026-11-22 07:30:00", NOW),
        (NOW.replace(tzinfo=None), NOW),
    ],
)
def test_times_are_made_aware(value: object, expected: datetime | None) -> None:
    assert as_time(value) == expected


@pytest.mark.parametrize("value", ["yesterday", 17])
def test_what_is_no_time_is_named(value: object) -> None:
    with pytest.raises(JobError, match="time"):
        as_time(value)


@pytest.mark.parametrize("wrong", ["nonsense", "mysql://x/y", "oracle+nothing://x", "sqlite"])
def test_a_wrong_database_url_is_explained(wrong: str) -> None:
    with pytest.raises(JobError, match="write sqlite:////path or postgresql://"):
        open_database(wrong)


# -- PostgreSQL only


def test_a_server_that_is_not_there_is_temporary(tmp_path: Path) -> None:
    done = run(
        "sitemap_refresh", "postgresql://nobody:secret@127.0.0.1:9/x", "--output", str(tmp_path / "out")
    )

    assert done.returncode == exit_codes.TRY_AGAIN
    assert "went away" in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_connection_that_breaks_in_the_middle_is_temporary(server: Postgres) -> None:
    url = server.create_database(uuid.uuid4().hex)
    loaded(url, [page(number, "x" * 50_000) for number in range(1000)])
    engine = open_database(url)
    rows = stream_articles(engine)
    next(rows)

    assert server.drop_connections() >= 1
    with pytest.raises(JobError, match="went away") as caught:
        for _ in rows:
            pass

    assert caught.value.exit_code == exit_codes.TRY_AGAIN
    engine.dispose()


def test_reading_is_one_snapshot_whatever_is_written_meanwhile(server: Postgres) -> None:
    url = server.create_database(uuid.uuid4().hex)
    loaded(url, [page(number) for number in range(1000)])
    engine = open_database(url)
    rows = stream_articles(engine)
    next(rows)

    with psycopg.connect(url) as other:
        other.execute("DELETE FROM articles")

    assert sum(1 for _ in rows) == 999
    engine.dispose()


# -- sitemap-refresh


def sitemap(directory: Path) -> tuple[etree._Element, list[etree._Element]]:
    index = etree.parse(directory / "sitemap.xml").getroot()
    etree.XMLSchema(etree.parse(SCHEMAS / "siteindex.xsd")).assertValid(index)
    schema = etree.XMLSchema(etree.parse(SCHEMAS / "all.xsd"))
    parts = []
    for path in sorted(directory.glob("sitemap-*.xml.gz")):
        part = etree.fromstring(gzip.decompress(path.read_bytes()))
        schema.assertValid(part)
        parts.append(part)
    return index, parts


def test_the_sitemap_of_the_real_manual_is_valid_and_complete(url: str, tmp_path: Path) -> None:
    pages = list(read_pages(locate(), SITE))
    loaded(url, pages)

    done = run("sitemap_refresh", url, "--output", str(tmp_path / "out"))

    assert done.returncode == 0, done.stderr
    _, [part] = sitemap(tmp_path / "out")
    assert [item.findtext(LOC) for item in part] == [page.url for page in pages]
    assert json.loads((tmp_path / "out" / "state" / "sitemap.json").read_text())["urls"] == len(pages)
    again = run("sitemap_refresh", url, "--output", str(tmp_path / "again"))
    assert again.returncode == 0
    for path in (tmp_path / "out").rglob("*"):
        twin = tmp_path / "again" / path.relative_to(tmp_path / "out")
        assert path.is_dir() or path.read_bytes() == twin.read_bytes()


def test_nasty_addresses_are_escaped_and_foreign_ones_left_out(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/articles.sqlite"
    nasty = "五月/a b&c<d>'\"?x=1&y=日本#part"
    pages = [page(1, "<img src='絵 1.png?a&b'>", nasty), page(2), page(3, path="y" * 2030)]
    foreign = Page("https://other.example.com/x", "t", "", THEN, THEN, "s")
    loaded(url, [*pages, foreign, Page("mailto:x@example.com", "t", "", THEN, THEN, "s")])

    done = run("sitemap_refresh", url, "--output", str(tmp_path / "out"))

    assert done.returncode == 0, done.stderr
    _, [part] = sitemap(tmp_path / "out")
    assert [item.findtext(LOC) for item in part] == [
        SITE + "%E4%BA%94%E6%9C%88/a%20b&c%3Cd%3E'%22?x=1&y=%E6%97%A5%E6%9C%AC",
        SITE + "articles/2",
    ]
    summary = json.loads((tmp_path / "out" / "state" / "sitemap.json").read_text())
    assert summary["left_out"] == {"address too long": 1, "no web address": 1, "on another host": 1}


def test_a_sitemap_that_would_lose_most_pages_is_not_written_without_leave(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/articles.sqlite"
    loaded(url, [page(number) for number in range(79)])
    (tmp_path / "previous").mkdir()
    (tmp_path / "previous" / "sitemap.json").write_text('{"urls": 100}')
    options = ("--output", str(tmp_path / "out"), "--previous", str(tmp_path / "previous"))

    refused = run("sitemap_refresh", url, *options)

    assert refused.returncode == exit_codes.WRONG_INPUT
    assert "79 pages, but there were 100 the last time" in refused.stderr
    assert not (tmp_path / "out" / "sitemap.xml").exists()
    assert run("sitemap_refresh", url, *options, "--most-loss", "1").returncode == 0
    assert run("sitemap_refresh", url, *options, "--most-loss", "0.21").returncode == 0


def test_without_an_article_there_is_no_sitemap(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/articles.sqlite"
    loaded(url, [])

    done = run("sitemap_refresh", url, "--output", str(tmp_path / "out"))

    assert done.returncode == exit_codes.WRONG_INPUT
    assert "there are none" in done.stderr


@pytest.mark.parametrize("job", ["sitemap_refresh", "missing_images"])
def test_a_full_disk_is_said_in_one_line(tmp_path: Path, job: str) -> None:
    url = f"sqlite:///{tmp_path}/articles.sqlite"
    names = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(20_000)]
    loaded(url, [page(0, f"<img src='ftp://x/{name}.png'>", name) for name in names])
    words = ["sh", "-c", 'ulimit -f 200; exec "$@"', "sh", sys.executable, "-m", f"tasks.jobs.articles.{job}"]

    done = subprocess.run(
        [*words, "--database", url, "--output", str(tmp_path / "out")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == exit_codes.CANNOT_WRITE, done.stderr
    assert "Traceback" not in done.stderr
    assert "cannot write" in done.stderr


# -- load-articles


def test_load_articles_reads_dates_titles_and_old_encodings(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "a.html").write_bytes(
        "<meta charset=shift_jis><title>一\n 二</title>"
        '<meta property="article:published_time" content="2026-05-01T09:00:00+09:00">'
        '<meta property="article:modified_time" content="2026-06-01">'.encode("shift_jis")
    )
    (folder / "b c.htm").write_text("<p>no title")
    (folder / "ignored.txt").write_text("x")

    first, second = read_pages(folder, SITE)

    assert (first.title, first.published_at, first.updated_at) == (
        "一 二",
        datetime(2026, 5, 1, tzinfo=UTC),
        datetime(2026, 6, 1, tzinfo=UTC),
    )
    assert (second.url, second.title) == (SITE + "b%20c.htm", "b c.htm")
    assert second.published_at.year == 2025


@pytest.mark.parametrize(
    ("folder", "says"), [("/nowhere/at/all", "is not a folder"), ("", "has no HTML files")]
)
def test_a_folder_without_articles_is_explained(tmp_path: Path, folder: str, says: str) -> None:
    done = run("load_articles", f"sqlite:///{tmp_path}/a.sqlite", "--folder", folder or str(tmp_path))

    assert done.returncode == exit_codes.WRONG_INPUT
    assert says in done.stderr
