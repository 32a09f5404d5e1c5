"""xml-articles: feeds of the real manual and of nasty articles, read back by an XML parser."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from lxml import etree

from tasks.contract import exit_codes, variables
from tasks.jobs.articles.corpus import Page, locate, read_pages
from tasks.jobs.articles.database import open_database
from tasks.jobs.articles.load_articles import load
from tests.support.streamed_xml import count

ROOT = Path(__file__).resolve().parents[2]
SITE = "https://www.example.com/"
TIME = datetime(2026, 11, 1, tzinfo=UTC)
ATOM = "{http://www.w3.org/2005/Atom}"


def write(
    tmp_path: Path, pages: list[Page], *options: str, token: str = ""
) -> "subprocess.CompletedProcess[str]":
    url = f"sqlite:///{tmp_path}/articles.sqlite"
    engine = open_database(url)
    load(engine, pages, TIME)
    engine.dispose()
    return subprocess.run(
        [
            *(sys.executable, "-m", "tasks.jobs.articles.xml_articles", "--database", url),
            *("--output", str(tmp_path / "out"), *options),
        ],
        cwd=ROOT,
        env={**os.environ, variables.TOKEN: token},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def parse(path: Path) -> etree._Element:
    schema, entry = ("rss.xsd", "item") if path.name.endswith(".rss.xml") else ("atom.xsd", "entry")
    assert count(path, schema, entry) > 0
    return etree.parse(path).getroot()


def test_the_newest_articles_of_the_real_manual_are_in_both_feeds(tmp_path: Path) -> None:
    pages = list(read_pages(locate(), SITE))

    done = write(tmp_path, pages, "--entries", "20", "--title", "Manual")

    assert done.returncode == 0, done.stderr
    expected = [page.url for page in sorted(pages, key=lambda page: page.published_at, reverse=True)[:20]]
    feed = parse(tmp_path / "out" / "articles.atom.xml")
    assert [entry.findtext(f"{ATOM}id") for entry in feed.iter(f"{ATOM}entry")] == expected
    for name in ("title", "id", "updated", "author/{http://www.w3.org/2005/Atom}name"):
        assert feed.findtext(ATOM + name)
    channel = parse(tmp_path / "out" / "articles.rss.xml").find("channel")
    assert channel is not None
    assert [item.findtext("link") for item in channel.iter("item")] == expected
    times = [parsedate_to_datetime(item.findtext("pubDate") or "") for item in channel.iter("item")]
    assert times == sorted(times, reverse=True)


def test_what_xml_cannot_hold_does_not_break_the_feed(tmp_path: Path) -> None:
    title = "五月 <&> \"'\x08\x0b \ufffe 😀 ]]>"
    body = "<body><script>no()</script><p>a &lt;b&gt;\x01 & c</p><p>" + "語 " * 400

    done = write(tmp_path, [Page(SITE + "五月?a=1&b", title, body, TIME, TIME, "1")])

    assert done.returncode == 0, done.stderr
    entry = parse(tmp_path / "out" / "articles.atom.xml").find(f"{ATOM}entry")
    assert entry is not None
    assert entry.findtext(f"{ATOM}title") == "五月 <&> \"'\ufffd\ufffd \ufffd 😀 ]]>"
    assert entry.findtext(f"{ATOM}id") == SITE + "%E4%BA%94%E6%9C%88?a=1&b"
    summary = entry.findtext(f"{ATOM}summary") or ""
    assert summary.startswith("a <b>")
    assert summary.endswith("語…")
    assert "no()" not in summary
    item = parse(tmp_path / "out" / "articles.rss.xml").find("channel/item/description")
    assert item is not None
    assert (item.text or "").startswith("a &lt;b&gt;")  # RSS descriptions are HTML


def test_older_articles_follow_in_documents_of_their_own(tmp_path: Path) -> None:
    pages = [Page(f"{SITE}{n}", "t", "", TIME + timedelta(days=n), TIME, str(n)) for n in range(5)]

    done = write(tmp_path, pages, "--entries", "2", "--pages", "9", "--feed-base", SITE + "feeds/")

    assert done.returncode == 0, done.stderr
    name, seen = "articles.atom.xml", []
    while name:
        feed = parse(tmp_path / "out" / name)
        seen += [entry.findtext(f"{ATOM}id") for entry in feed.iter(f"{ATOM}entry")]
        links = [link.get("href") for link in feed.iter(f"{ATOM}link") if link.get("rel") == "prev-archive"]
        name = links[0].removeprefix(SITE + "feeds/") if links else ""
    assert seen == [f"{SITE}{n}" for n in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize("pages", [[], [Page("mailto:x@y", "t", "", TIME, TIME, "1")]])
def test_without_an_article_there_is_no_feed(tmp_path: Path, pages: list[Page]) -> None:
    done = write(tmp_path, pages)

    assert done.returncode == exit_codes.WRONG_INPUT
    assert "no article" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_feed_and_its_older_pages_are_published_and_old_links_lead_on(tmp_path: Path) -> None:
    site = tmp_path / "site"
    options = ("--entries", "2", "--pages", "9", "--publish", str(site))
    pages = [Page(f"{SITE}{n}", f"題 {n}", "", TIME + timedelta(days=n), TIME, str(n)) for n in range(7)]

    first = write(tmp_path, pages[:5], *options)
    before = follow(site, "articles.atom.xml")
    older = previous(parse(site / "articles.atom.xml"))
    second = write(tmp_path, pages, *options)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert before == [f"{SITE}{n}" for n in (4, 3, 2, 1, 0)]
    assert follow(site, "articles.atom.xml") == [f"{SITE}{n}" for n in (6, 5, 4, 3, 2, 1, 0)]
    # Who has the feed of yesterday still finds what it meant.
    assert follow(site, older) == [f"{SITE}{n}" for n in (2, 1, 0)]
    rss = [item.findtext("link") for item in parse(site / "articles.rss.xml").iter("item")]
    assert rss == [SITE + "6", SITE + "5"]


def test_a_stale_run_cannot_publish_its_feed(tmp_path: Path) -> None:
    pages = [Page(SITE, "new", "", TIME, TIME, "1")]
    assert write(tmp_path, pages, "--publish", str(tmp_path / "site"), token="9").returncode == 0
    before = (tmp_path / "site" / "articles.atom.xml").read_bytes()

    done = write(
        tmp_path, [Page(SITE, "old", "", TIME, TIME, "2")], "--publish", f"{tmp_path}/site", token="8"
    )

    assert done.returncode == exit_codes.TRY_AGAIN
    assert "token 9, newer than ours (8)" in done.stderr
    assert (tmp_path / "site" / "articles.atom.xml").read_bytes() == before


def previous(feed: etree._Element) -> str:
    links = [link.get("href") for link in feed.iter(f"{ATOM}link") if link.get("rel") == "prev-archive"]
    return str(links[0]).removeprefix(SITE) if links else ""


def follow(site: Path, name: str) -> list[str | None]:
    """The articles of a document and of those it leads to."""
    feed = parse(site / name)
    older = previous(feed)
    return [it.findtext(f"{ATOM}id") for it in feed.iter(f"{ATOM}entry")] + (
        follow(site, older) if older else []
    )
