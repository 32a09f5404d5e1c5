"""sitemap-refresh from real databases: what the columns of the mapping do."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tasks.contract import exit_codes
from tasks.jobs.articles.database import open_database
from tests.support.postgres import Postgres, postgres
from tests.support.streamed_xml import count, entries

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SITE = "https://www.example.com/"
TIME = datetime(2026, 11, 21, 21, tzinfo=UTC)
SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
IMAGE = "{http://www.google.com/schemas/sitemap-image/1.1}"
NEWS = "{http://www.google.com/schemas/sitemap-news/0.9}"


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


def execute(database: str, statement: str, **values: Any) -> None:
    engine = open_database(database)
    with engine.begin() as connection:
        connection.execute(text(statement), values)
    engine.dispose()


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


def state(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "state" / "sitemap.json").read_text())
    return found


# -- the columns of the mapping

MAPPED = (
    "CREATE TABLE nightlatch_articles (id INTEGER, url TEXT, title TEXT, images TEXT, videos TEXT,"
    " news BOOLEAN, publication TEXT, language TEXT, published_at TIMESTAMP, updated_at TIMESTAMP)"
)
INSERT = (
    "INSERT INTO nightlatch_articles VALUES (:id, :url, :title, :images, :videos, :news, :publication,"
    " :language, :published, :updated)"
)


def article(database: str, number: int, published: datetime, **more: Any) -> None:
    values = {
        "id": number,
        "url": f"{SITE}{number}",
        "title": f"題 {number}",
        "images": None,
        "videos": None,
        "news": True,
        "publication": "例新聞",
        "language": "ja",
        "published": published.replace(tzinfo=None),
        "updated": None,
        **more,
    }
    execute(database, INSERT, **values)


def test_pictures_and_videos_come_from_their_columns_without_any_html(url: str, tmp_path: Path) -> None:
    execute(url, MAPPED)
    video = {"thumbnail_loc": "t.jpg", "title": "t", "description": "d", "content_loc": "v.mp4"}
    images = json.dumps(
        ["https://img.example.com/a?x=1&y", "絵.png", "data:image/png;base64,x", "ftp://x/y.png"]
    )
    article(url, 1, TIME, images=images, videos=json.dumps([video, {}]))
    article(url, 2, TIME, images="[]")

    done = run(url, "--output", str(tmp_path))

    assert done.returncode == 0, done.stderr
    found = state(tmp_path)
    assert (found["urls"], found["images"], found["videos"]) == (2, 2, 1)
    assert found["left_out"] == {
        "a video without thumbnail_loc, title, description, content_loc or player_loc": 1
    }
    [part] = [name for name in found["files"] if name.startswith("sitemap-")]
    first = next(entries(tmp_path / part, "all.xsd", "url"))
    assert [it.text for it in first.iter(f"{IMAGE}loc")] == [
        "https://img.example.com/a?x=1&y",
        SITE + "%E7%B5%B5.png",
    ]
    assert count(tmp_path / part, "all.xsd", "video") == 1


def test_pictures_that_are_no_list_are_wrong_input(url: str, tmp_path: Path) -> None:
    execute(url, MAPPED)
    article(url, 1, TIME, images="a.png b.png")

    done = run(url, "--output", str(tmp_path))

    assert done.returncode == exit_codes.WRONG_INPUT
    assert "'a.png b.png' in the column images is neither an array nor a JSON list" in done.stderr


def test_news_are_of_the_two_days_before_the_scheduled_time_to_the_second(url: str, tmp_path: Path) -> None:
    execute(url, MAPPED)
    two_days = timedelta(days=2)
    second = timedelta(seconds=1)
    for number, published in enumerate([TIME - two_days - second, TIME - two_days, TIME, TIME + second]):
        article(url, number, published)
    article(url, 10, TIME, news=False)
    article(url, 11, TIME, title=" ")
    article(url, 12, TIME, language="Japanese")
    article(url, 13, TIME, publication=None, language="en", url="https://other.example.com/")

    done = run(url, "--output", str(tmp_path), NIGHTLATCH_SCHEDULED_TIME="2026-11-21T21:00:00Z")

    assert done.returncode == 0, done.stderr
    found = state(tmp_path)
    [part] = [name for name in found["files"] if name.startswith("news-")]
    assert [it.findtext(f"{SITEMAP}loc") for it in entries(tmp_path / part, "all.xsd", "url")] == [
        f"{SITE}1",
        f"{SITE}2",
    ]
    assert found["left_out"] == {
        "news in no language of ISO 639": 1,
        "news without title": 1,
        "on another host": 1,
    }
    assert count(tmp_path / "sitemap.xml", "siteindex.xsd", "sitemap") == 2
    again = run(url, "--output", str(tmp_path / "again"), "--at", "2026-11-22T06:00:00+09:00")
    assert again.returncode == 0
    assert state(tmp_path / "again")["files"] == found["files"]


def test_one_publication_and_language_may_be_given_for_all(url: str, tmp_path: Path) -> None:
    execute(url, MAPPED)
    article(url, 1, TIME, publication=None, language=None)
    options = ("--output", str(tmp_path), "--at", TIME.isoformat())

    without = run(url, *options)
    assert state(tmp_path)["left_out"] == {"news without publication and language": 1}
    done = run(url, *options, "--publication", "一 & 二", "--language", "ja")

    assert (without.returncode, done.returncode) == (0, 0)
    [part] = [name for name in state(tmp_path)["files"] if name.startswith("news-")]
    [item] = [it.findtext(f".//{NEWS}name") for it in entries(tmp_path / part, "all.xsd", "url")]
    assert item == "一 & 二"


@pytest.mark.parametrize("wrong", ["yesterday", "2026-11-21T21:00:00"])
def test_a_time_without_a_zone_is_refused(tmp_path: Path, wrong: str) -> None:
    done = run(f"sqlite:///{tmp_path}/x", "--at", wrong)

    assert done.returncode == exit_codes.WRONG_INPUT
    assert "argument --at" in done.stderr


@pytest.mark.parametrize("time", ["NULL", "CAST(NULL AS TIMESTAMP)"])
def test_a_query_is_taken_as_it_is_written(url: str, tmp_path: Path, time: str) -> None:
    sql = (
        f"SELECT 1 AS id, '{SITE}a:b' AS url, '\\:x %s %' AS title, '[\":x.png\"]' AS images,"
        f" {time} AS published_at, {time} AS updated_at WHERE 'a:b%' LIKE '%:b%';\n"
    )

    done = run(url, "--output", str(tmp_path), ARTICLES_SQL=sql)
    without_pictures = run(url, "--output", str(tmp_path), "--no-images", ARTICLES_SQL=sql)

    assert (done.returncode, without_pictures.returncode) == (0, 0), done.stderr + without_pictures.stderr
    assert state(tmp_path)["urls"] == 1
