"""Which rows go into a sitemap, and why others do not."""

from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlsplit

from tasks.jobs.articles.sitemap_part import EntryTooLargeError, Limits
from tasks.jobs.articles.sitemap_source import NewsRow, Page, addresses, pictures_of
from tasks.jobs.articles.sitemap_writer import News, SitemapWriter, is_language
from tasks.jobs.articles.urls import resolve
from tasks.jobs.articles.videos import videos_of


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


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: counts, the finished parts with the newest time in each, and what was left out."""

    urls: int
    images: int
    videos: int
    news: int
    parts: list[tuple[str, str]]
    left_out: dict[str, int]


class Listing:
    """Adds rows to `writer`; `left_out` counts what could not go in, by reason.

    `publication` and `language` are those of news whose row has none.
    """

    def __init__(self, writer: SitemapWriter, site: str, publication: str = "", language: str = "") -> None:
        self.writer = writer
        self.site = site
        self._publication = publication
        self._language = language
        self.left_out: Counter[str] = Counter()

    def add(self, page: Page) -> None:
        """Add one page, or count why it is left out.

        Raises:
            TooManyPartsError, OSError: as SitemapWriter.add.
        """
        url, reason = page_address(page.url, self.site, self.writer.limits)
        if reason:
            self.left_out[reason] += 1
            return
        images = pictures_of(page.html, url) if page.html else addresses(page.images, url)
        videos, wrong = videos_of(page.videos, url)
        self.left_out.update(wrong)
        try:
            self.writer.add(url, page.changed_at, images, videos)
        except EntryTooLargeError:
            self.left_out["entry too large"] += 1

    def add_news(self, row: NewsRow) -> None:
        """Add an article to the news, or count why it is left out.

        Raises:
            TooManyPartsError, OSError: as SitemapWriter.add.
        """
        url, reason = page_address(row.url, self.site, self.writer.limits)
        if reason:
            return  # why the page cannot be there has been counted already
        news = News(
            url,
            row.publication or self._publication,
            row.language or self._language,
            row.published_at,
            row.title,
        )
        said = {"publication": news.publication, "language": news.language, "title": news.title}
        lacking = [name for name, text in said.items() if not text.strip()]
        if lacking:
            self.left_out[f"news without {' and '.join(lacking)}"] += 1
        elif not is_language(news.language):
            self.left_out["news in no language of ISO 639"] += 1
        else:
            self.writer.add_news(news)

    def finish(self) -> Written:
        """Close the last parts.

        Raises:
            TooManyPartsError, OSError: as SitemapWriter.finish_parts.
        """
        writer = self.writer
        parts = writer.finish_parts()
        return Written(writer.urls, writer.images, writer.videos, writer.news, parts, dict(self.left_out))
