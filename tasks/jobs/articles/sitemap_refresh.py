"""sitemap-refresh: the site's sitemaps from its articles, streamed, in constant memory."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tasks.contract import exit_codes, variables
from tasks.jobs.articles.database import Article, count_articles, open_database, stream_articles
from tasks.jobs.articles.extraction import find_pictures
from tasks.jobs.articles.sitemap_writer import Limits, SitemapWriter, TooManyPartsError
from tasks.jobs.articles.urls import resolve
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
# Pictures of the page itself; not those of its style or of previews elsewhere.
_KINDS: Final = {"img", "lazy"}


def page_address(article: Article, site: str, limits: Limits) -> tuple[str, str]:
    """The article's URL for the sitemap, or "" and the reason why it cannot be there.

    The protocol wants every URL of a sitemap on the sitemap's own host.
    """
    address = resolve(article.url, site)
    if address is None or address.problem:
        return "", "no web address"
    if urlsplit(address.url)[:2] != urlsplit(site)[:2]:
        return "", "on another host"
    if len(address.url) > limits.url_characters:
        return "", "address too long"
    return address.url, ""


def pictures_of(article: Article) -> list[str]:
    """The addresses of the article's pictures, each once, in order."""
    if "<img" not in article.html and "<IMG" not in article.html:
        return []
    base, references = find_pictures(article.html, article.url)
    found: dict[str, None] = {}
    for reference in references:
        if reference.kind in _KINDS:
            address = resolve(reference.written, base)
            if address is not None and not address.problem:
                found[address.url] = None
    return list(found)


def refuse_shrinking(previous: str, urls: int, most_loss: float) -> None:
    """Refuse a sitemap with far fewer pages than the last one: it is the database that is wrong.

    Raises:
        JobError: if more than the share `most_loss` is gone.
    """
    path = Path(previous) / STATE if previous else None
    before = json.loads(path.read_text())["urls"] if path and path.is_file() else 0
    if urls < before * (1 - most_loss):
        raise JobError(
            f"{urls} pages, but there were {before} the last time; if that is right, "
            "run it once with --most-loss 1 (or the parameter most-loss=1)"
        )


def job(stop: StopRequest) -> int:
    """The program; ends with the contract's exit codes."""
    options = _parser().read()
    limits = Limits()
    output = Path(options.output or "nightlatch-output")
    engine = open_database(options.database)
    progress = ProgressLines()
    total = count_articles(engine)
    writer: SitemapWriter | None = None
    site = options.site
    left_out: Counter[str] = Counter()
    for done, article in enumerate(stream_articles(engine), start=1):
        if stop.requested:
            return exit_codes.STOPPED
        if not site:
            site = "{0.scheme}://{0.netloc}/".format(urlsplit(article.url))
        if writer is None:
            writer = SitemapWriter(output, options.sitemap_base or site, limits)
        url, reason = page_address(article, site, limits)
        if reason:
            left_out[reason] += 1
            continue
        pictures = [] if options.no_images else pictures_of(article)
        try:
            writer.add(url, article.updated_at or article.published_at, pictures)
        except TooManyPartsError as error:
            raise JobError(str(error)) from None
        progress.show("write", done, total)
    engine.dispose()
    if writer is None or writer.urls == 0:
        raise JobError(
            f"no article can be in a sitemap of {site or 'this site'}: {dict(left_out) or 'there are none'}"
        )
    refuse_shrinking(options.previous, writer.urls, options.most_loss)
    files = writer.finish()
    summary: dict[str, Any] = {
        "schema_version": 1,
        "site": site,
        "urls": writer.urls,
        "images": writer.images,
        "files": files,
        "left_out": dict(sorted(left_out.items())),
    }
    _write_state(output / "state" / STATE, summary)
    progress.show("write", total, total, last=True)
    parts = len(files) - 1
    say(f"{writer.urls} pages, {writer.images} pictures, {parts} parts; left out: {dict(left_out) or 0}")
    return exit_codes.DONE


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
