"""sitemap-refresh: the site's sitemaps from its articles, streamed, in constant memory."""

import json
import os
from pathlib import Path
from typing import Any, Final

from tasks.contract import Assignment, exit_codes, variables
from tasks.jobs.articles.database import open_database
from tasks.jobs.articles.site_publication import RETIRED, publish_site
from tasks.jobs.articles.sitemap_listing import Listing, site_of
from tasks.jobs.articles.sitemap_pages import write_rows
from tasks.jobs.articles.sitemap_part import TooManyPartsError
from tasks.jobs.articles.sitemap_source import Source, at, open_source
from tasks.jobs.articles.sitemap_writer import INDEX, KINDS, SitemapWriter, write_index
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
    with open_source(engine) as source:
        site = _site(options.site, source)
        base = options.sitemap_base or site
        try:
            with SitemapWriter(output, base, beside=True) as writer:
                written = write_rows(
                    source,
                    Listing(writer, site, options.publication, options.language),
                    ProgressLines(),
                    lambda: stop.requested,
                    images=not options.no_images,
                    news_until=options.at if options.publication or "publication" in source.columns else None,
                )
            if written is None:
                return exit_codes.STOPPED
            if written.urls == 0:
                raise JobError(
                    f"no article can be in a sitemap of {site}: {written.left_out or 'there are none'}"
                )
            previous = _read_state(options.previous)
            refuse_shrinking(previous, written.urls, options.most_loss)
            files = write_index(output, base, written.parts)
        except TooManyPartsError as error:
            raise JobError(str(error)) from None
    engine.dispose()
    summary: dict[str, Any] = {
        "schema_version": 1,
        "site": site,
        "urls": written.urls,
        "images": written.images,
        "videos": written.videos,
        "news": written.news,
        "files": files,
        "left_out": dict(sorted(written.left_out.items())),
    }
    if options.publish:
        summary[RETIRED] = publish_site(
            options.publish, output, INDEX, files[:-1], KINDS, previous.get(RETIRED, {})
        )
    _write_state(output / "state" / STATE, summary)
    counted = f"{written.urls} pages, {written.images} pictures, {written.videos} videos, {written.news} news"
    say(f"{counted}, {len(files) - 1} parts; left out: {written.left_out or 0}")
    return exit_codes.DONE


def _site(given: str, source: Source) -> str:
    first = given or source.first_url()
    site = site_of(first)
    if not site:
        why = f"{first!r} is no web address" if first else "there are none"
        raise JobError(f"no article can be in a sitemap: {why}")
    return site


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
