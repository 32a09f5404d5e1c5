"""sitemap-refresh: the site's sitemaps from its articles, streamed, in constant memory."""

import json
import os
from argparse import Namespace
from collections import Counter
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tasks.contract import Assignment, exit_codes, variables
from tasks.jobs.articles.database import open_database
from tasks.jobs.articles.site_publication import RETIRED, publish_site
from tasks.jobs.articles.sitemap_bulk import Blocks, copied_rows, statement
from tasks.jobs.articles.sitemap_part import EntryTooLargeError, Limits, TooManyPartsError
from tasks.jobs.articles.sitemap_source import Page, Source, addresses, at, open_source, pictures_of
from tasks.jobs.articles.sitemap_writer import INDEX, KINDS, News, SitemapWriter, is_language
from tasks.jobs.articles.urls import resolve
from tasks.jobs.articles.videos import videos_of
from tasks.jobs.program import (
    JobError,
    Parser,
    ProgressLines,
    StopRequest,
    directory_option,
    run_program,
    say,
)

STATE: Final = "sitemap.json"


def page_address(url: str, site: str, limits: Limits) -> tuple[str, str]:
    """A page's URL for the sitemap, or "" and the reason why it cannot be there.

    The protocol wants every URL of a sitemap on the sitemap's own host.
    """
    address = resolve(url, site)
    if address is None or address.problem:
        return "", "no web address"
    if not address.url.startswith(site):
        return "", "on another host"
    if len(address.url) > limits.url_characters:
        return "", "address too long"
    return address.url, ""


def site_of(url: str) -> str:
    """Scheme and host of an address, with a slash, as `resolve` writes them; "" if it is no web address."""
    address = resolve(url, "")
    return (
        "" if address is None or address.problem else "{0.scheme}://{0.netloc}/".format(urlsplit(address.url))
    )


class Refresh:
    """Pages and news of one source into one writer; `left_out` counts what could not go in, by reason."""

    def __init__(self, source: Source, writer: SitemapWriter, site: str, *, images: bool) -> None:
        self._source = source
        self._writer = writer
        self._site = site
        self._images = images
        self.left_out: Counter[str] = Counter()

    def write_pages(self, stop: StopRequest, progress: ProgressLines) -> bool:
        """Write every page; False if it was stopped."""
        total = self._source.count()
        done = 0
        sql = statement(self._source, images=self._images)
        if sql is not None:
            blocks = Blocks(self._writer, self._site, self.add)
            for block in copied_rows(self._source, sql):
                if stop.requested:
                    return False
                done += blocks.take(block)
                progress.show("write", done, total)
        else:
            for done, page in enumerate(self._source.pages(images=self._images), start=1):
                if stop.requested:
                    return False
                self.add(page)
                progress.show("write", done, total)
        progress.show("write", done, total, last=True)
        return True

    def add(self, page: Page) -> None:
        """Add one page, or count why it is left out."""
        url, reason = page_address(page.url, self._site, self._writer.limits)
        if reason:
            self.left_out[reason] += 1
            return
        images = pictures_of(page.html, url) if page.html else addresses(page.images, url)
        videos, wrong = videos_of(page.videos, url)
        self.left_out.update(wrong)
        try:
            self._writer.add(url, page.changed_at, images, videos)
        except EntryTooLargeError:
            self.left_out["entry too large"] += 1

    def write_news(self, options: Namespace, stop: StopRequest) -> bool:
        """Write the news of two days, if the publication has a name; False if it was stopped."""
        if not options.publication and "publication" not in self._source.columns:
            return True
        for row in self._source.news(options.at):
            if stop.requested:
                return False
            url, reason = page_address(row.url, self._site, self._writer.limits)
            news = News(
                url,
                row.publication or options.publication,
                row.language or options.language,
                row.published_at,
                row.title,
            )
            # Why the page cannot be there has been counted already.
            said = {"publication": news.publication, "language": news.language, "title": news.title}
            lacking = [name for name, text in said.items() if not text.strip()]
            if not reason and lacking:
                self.left_out[f"news without {' and '.join(lacking)}"] += 1
            elif not reason and not is_language(news.language):
                self.left_out["news in no language of ISO 639"] += 1
            elif not reason:
                self._writer.add_news(news)
        return True


def refuse_shrinking(previous: dict[str, Any], urls: int, most_loss: float) -> None:
    """Refuse a sitemap with far fewer pages than the last one: it is the database that is wrong.

    Raises:
        JobError: if more than the share `most_loss` is gone.
    """
    before = previous.get("urls", 0)
    if urls < before * (1 - most_loss):
        raise JobError(
            f"{urls} pages, but there were {before} the last time; if that is right, "
            "run it once with --most-loss 1 (or the parameter most-loss=1)"
        )


def job(stop: StopRequest) -> int:
    """The program; ends with the contract's exit codes."""
    options = _parser().read()
    output = Path(options.output or "nightlatch-output")
    engine = open_database(options.database)
    progress = ProgressLines()
    with open_source(engine) as source:
        first = source.first_url()
        site = site_of(options.site or first)
        if not site:
            given = options.site or first
            why = f"{given!r} is no web address" if given else "there are none"
            raise JobError(f"no article can be in a sitemap: {why}")
        writer = SitemapWriter(output, options.sitemap_base or site)
        refresh = Refresh(source, writer, site, images=not options.no_images)
        try:
            if not refresh.write_pages(stop, progress) or not refresh.write_news(options, stop):
                return exit_codes.STOPPED
            if writer.urls == 0:
                left_out = dict(refresh.left_out) or "there are none"
                raise JobError(f"no article can be in a sitemap of {site}: {left_out}")
            previous = _read_state(options.previous)
            refuse_shrinking(previous, writer.urls, options.most_loss)
            files = writer.finish()
        except TooManyPartsError as error:
            raise JobError(str(error)) from None
    engine.dispose()
    summary: dict[str, Any] = {
        "schema_version": 1,
        "site": site,
        "urls": writer.urls,
        "images": writer.images,
        "videos": writer.videos,
        "news": writer.news,
        "files": files,
        "left_out": dict(sorted(refresh.left_out.items())),
    }
    if options.publish:
        summary[RETIRED] = publish_site(
            options.publish, output, INDEX, files[:-1], KINDS, previous.get(RETIRED, {})
        )
    _write_state(output / "state" / STATE, summary)
    counted = f"{writer.urls} pages, {writer.images} pictures, {writer.videos} videos, {writer.news} news"
    say(f"{counted}, {len(files) - 1} parts; left out: {dict(refresh.left_out) or 0}")
    return exit_codes.DONE


def _read_state(previous: str) -> dict[str, Any]:
    path = Path(previous) / STATE if previous else None
    state: dict[str, Any] = json.loads(path.read_text()) if path and path.is_file() else {}
    return state


def _write_state(path: Path, summary: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    beside.write_text(json.dumps(summary, indent=1))
    beside.replace(path)


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise ValueError(text)
    return share


def _parser() -> Parser:
    parser = Parser(
        prog="sitemap-refresh",
        description="Write the site's sitemaps; the same articles give the same bytes.",
        epilog="example: sitemap-refresh --site https://www.example.com/ --output /tmp/sitemaps",
    )
    parser.add_argument("--database", default="", help="default: $ARTICLES_URL, or SQLite")
    parser.add_argument(
        "--site", default="", metavar="URL", help="the site (default: that of the first article)"
    )
    parser.add_argument(
        "--sitemap-base",
        default="",
        metavar="URL",
        help="where the sitemaps will be (default: the site's root)",
    )
    parser.add_argument("--no-images", action="store_true", help="leave the pictures out")
    parser.add_argument(
        "--publication",
        default="",
        metavar="NAME",
        help="name of the publication; without it there are no news",
    )
    parser.add_argument("--language", default="", metavar="CODE", help="language of the news, such as ja")
    parser.add_argument(
        "--at",
        type=at,
        default=Assignment.read(os.environ).scheduled_time,
        metavar="TIME",
        help=f"news are of the two days before (default: ${variables.SCHEDULED_TIME}, or now)",
    )
    parser.add_argument(
        "--publish",
        default="",
        metavar="PLACE",
        help="where the site serves its files from: s3://bucket/prefix/ or a directory",
    )
    parser.add_argument(
        "--most-loss",
        type=_share,
        default=0.2,
        metavar="SHARE",
        help="refuse when more than this share of the last run's pages is gone (default: 0.2)",
    )
    directory_option(parser, "--output", variables.OUTPUT_DIR, "where the sitemaps go")
    directory_option(parser, "--previous", variables.PREVIOUS_DIR, "what the last run left for this one")
    return parser


if __name__ == "__main__":
    run_program(job)
