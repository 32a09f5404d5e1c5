"""xml-articles: the newest articles as an Atom feed (RFC 4287) and as RSS 2.0, for readers and partners.

Of every article only id, address and time are looked at, and the newest are then read: neither memory nor
traffic grows with the texts of the site. Archives of more than one document (RFC 5005) are written with
``--pages``: the first document is the feed, the others are its older pages, linked by ``prev-archive`` and
named after their content, so that who follows the links of an older feed finds what that feed meant.
"""

import hashlib
import heapq
import html
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from selectolax.lexbor import LexborHTMLParser

from tasks.contract import exit_codes, variables
from tasks.jobs.articles.database import Article, open_database
from tasks.jobs.articles.site_publication import RETIRED, publish_site
from tasks.jobs.articles.sitemap_source import Source, open_source
from tasks.jobs.articles.urls import resolve
from tasks.jobs.articles.xml_text import escape_any
from tasks.jobs.program import (
    JobError,
    Parser,
    ProgressLines,
    StopRequest,
    directory_option,
    run_program,
    say,
)

ATOM: Final = "articles.atom.xml"
RSS: Final = "articles.rss.xml"
_SUMMARY_CHARACTERS: Final = 300
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
KINDS: Final = frozenset({"articles"})
STATE: Final = "feeds.json"
Moment = tuple[Any, str, datetime | None]
Watch = Callable[[Iterator[Moment]], Iterator[Moment]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One article of a feed. Times are aware and in UTC."""

    url: str
    title: str
    summary: str
    published_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Feed:
    """What is said of the feed as a whole. `base_url` is where its documents will be."""

    title: str
    site: str
    base_url: str


def newest(
    source: Source, most: int, watched: Callable[[Iterator[Moment]], Iterator[Moment]]
) -> list[Article]:
    """The `most` newest articles, newest first; those of one moment in the order of their URLs."""

    def order(url: str, time: datetime | None) -> tuple[float, str]:
        return -(time or _EPOCH).timestamp(), url

    found = heapq.nsmallest(most, watched(source.moments()), key=lambda moment: order(moment[1], moment[2]))
    articles = source.articles([moment[0] for moment in found])
    return sorted(articles, key=lambda it: order(it.url, it.published_at or it.updated_at))


def entry_of(article: Article) -> Entry | None:
    """The article as an entry; None if it has no web address."""
    address = resolve(article.url, "")
    if address is None or address.problem:
        return None
    published = article.published_at or article.updated_at or _EPOCH
    return Entry(
        url=address.url,
        title=article.title or address.url,
        summary=summary_of(article.html),
        published_at=published,
        updated_at=article.updated_at or published,
    )


def summary_of(page: str) -> str:
    """The first words of an article, as plain text."""
    tree = LexborHTMLParser(page)
    for node in tree.css("script, style, nav, header, footer, template"):
        node.decompose()
    text = " ".join((tree.body.text(separator=" ") if tree.body else "").split())
    if len(text) <= _SUMMARY_CHARACTERS:
        return text
    return text[:_SUMMARY_CHARACTERS].rsplit(" ", 1)[0] + "…"


def atom(feed: Feed, entries: list[Entry], *, name: str, older: str = "") -> Iterator[str]:
    """An Atom document in pieces; `older` names the document with the older entries."""
    own = urljoin(feed.base_url, name)
    updated = max((entry.updated_at for entry in entries), default=_EPOCH)
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">\n'
    yield f"<title>{escape_any(feed.title)}</title><id>{escape_any(own)}</id>"
    yield f"<updated>{_atom_time(updated)}</updated>\n"
    yield f'<link rel="self" type="application/atom+xml" href="{escape_any(own)}"/>'
    yield f'<link rel="alternate" type="text/html" href="{escape_any(feed.site)}"/>\n'
    if older:
        yield f'<link rel="prev-archive" href="{escape_any(urljoin(feed.base_url, older))}"/>\n'
    yield f"<author><name>{escape_any(feed.title)}</name></author>\n"
    for entry in entries:
        yield (
            f"<entry><title>{escape_any(entry.title)}</title><id>{escape_any(entry.url)}</id>"
            f'<link rel="alternate" href="{escape_any(entry.url)}"/>'
            f"<published>{_atom_time(entry.published_at)}</published>"
            f"<updated>{_atom_time(entry.updated_at)}</updated>"
            f"<summary>{escape_any(entry.summary)}</summary></entry>\n"
        )
    yield "</feed>\n"


def rss(feed: Feed, entries: list[Entry]) -> Iterator[str]:
    """An RSS 2.0 document in pieces (https://www.rssboard.org/rss-specification)."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield '<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"><channel>\n'
    yield f"<title>{escape_any(feed.title)}</title><link>{escape_any(feed.site)}</link>"
    yield f"<description>{escape_any(feed.title)}</description>\n"
    own = escape_any(urljoin(feed.base_url, RSS))
    yield f'<atom:link rel="self" type="application/rss+xml" href="{own}"/>\n'
    for entry in entries:
        yield (
            f"<item><title>{escape_any(entry.title)}</title><link>{escape_any(entry.url)}</link>"
            f'<guid isPermaLink="true">{escape_any(entry.url)}</guid>'
            f"<pubDate>{format_datetime(entry.published_at, usegmt=True)}</pubDate>"
            f"<description>{escape_any(html.escape(entry.summary, quote=False))}</description></item>\n"
        )
    yield "</channel></rss>\n"


def job(stop: StopRequest) -> int:
    """The program; ends with the contract's exit codes."""
    options = _parser().read()
    output = Path(options.output or "nightlatch-output")
    engine = open_database(options.database)
    progress = ProgressLines()
    with open_source(engine) as source:
        total = source.count()

        def watched(moments: Iterator[Moment]) -> Iterator[Moment]:
            for done, moment in enumerate(moments, start=1):
                if stop.requested:
                    return
                progress.show("read", done, total)
                yield moment

        chosen = newest(source, options.entries * options.pages, watched)
    engine.dispose()
    if stop.requested:
        return exit_codes.STOPPED
    entries = [entry for article in chosen if (entry := entry_of(article)) is not None]
    if not entries:
        raise JobError("there is no article to put into a feed")
    site = options.site or "{0.scheme}://{0.netloc}/".format(urlsplit(entries[0].url))
    feed = Feed(options.title or urlsplit(site).netloc, site, options.feed_base or site)
    pages = [entries[start : start + options.entries] for start in range(0, len(entries), options.entries)]
    parts: list[str] = []
    # Older pages first: who reads the first finds the others.
    for number in range(len(pages), 1, -1):
        older = parts[-1] if parts else ""
        content = "".join(atom(feed, pages[number - 1], name="", older=older))
        name = f"articles-{number}-{hashlib.sha256(content.encode()).hexdigest()[:16]}.atom.xml"
        _write(output / name, atom(feed, pages[number - 1], name=name, older=older))
        parts.append(name)
    _write(output / ATOM, atom(feed, pages[0], name=ATOM, older=parts[-1] if parts else ""))
    _write(output / RSS, rss(feed, pages[0]))
    if options.publish:
        retired = _read_retired(options.previous)
        left = publish_site(options.publish, output, ATOM, parts, KINDS, retired)
        publish_site(options.publish, output, RSS, [], frozenset(), {})
        _write(output / "state" / STATE, [json.dumps({"schema_version": 1, RETIRED: left}, indent=1)])
    progress.show("write", len(entries), len(entries), last=True)
    say(f"{len(entries)} of {total} articles in {len(pages)} Atom documents and one RSS document")
    return exit_codes.DONE


def _write(path: Path, pieces: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    with beside.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _read_retired(previous: str) -> dict[str, str]:
    path = Path(previous) / STATE if previous else None
    return dict(json.loads(path.read_text())[RETIRED]) if path and path.is_file() else {}


def _atom_time(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _parser() -> Parser:
    parser = Parser(
        prog="xml-articles",
        description="Write the newest articles as an Atom feed and as RSS 2.0.",
        epilog="example: xml-articles --title 'Example News' --entries 50 --output /tmp/feeds",
    )
    parser.add_argument("--database", default="", help="default: $ARTICLES_URL, or SQLite")
    parser.add_argument(
        "--site", default="", metavar="URL", help="the site (default: that of the newest article)"
    )
    parser.add_argument("--title", default="", help="the feed's title (default: the site's host name)")
    parser.add_argument(
        "--feed-base", default="", metavar="URL", help="where the feeds will be (default: the site's root)"
    )
    parser.add_argument(
        "--entries", type=_positive, default=100, help="articles in a document (default: 100)"
    )
    parser.add_argument(
        "--pages", type=_positive, default=1, help="documents of older articles too (default: 1)"
    )
    parser.add_argument(
        "--publish",
        default="",
        metavar="PLACE",
        help="where the site serves its files from: s3://bucket/prefix/ or a directory",
    )
    directory_option(parser, "--output", variables.OUTPUT_DIR, "where the feeds go")
    directory_option(parser, "--previous", variables.PREVIOUS_DIR, "what the last run left for this one")
    return parser


if __name__ == "__main__":
    run_program(job)
