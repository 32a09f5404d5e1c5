"""Publishing to the place a site is served from: a bucket and a directory, one suite over both."""

import re
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.contract import exit_codes
from tasks.jobs.articles.site_publication import KEPT, Publication
from tasks.jobs.articles.site_store import ChangedError, DirectorySite, S3Site, Served, SiteStore, open_site
from tasks.jobs.articles.sitemap_part import Limits
from tasks.jobs.articles.sitemap_writer import INDEX, KINDS, SitemapWriter
from tasks.jobs.program import JobError
from tests.support.lock_row import create_bucket
from tests.support.moto_server import MotoServer, moto_server
from tests.support.streamed_xml import count

SITE = "https://www.example.com/"
TIME = datetime(2026, 11, 21, 21, tzinfo=UTC)
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def aws() -> Iterator[MotoServer]:
    with moto_server() as server:
        create_bucket(server.client("s3"), "site")
        yield server


@pytest.fixture(params=["directory", "s3"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> SiteStore:
    if request.param == "directory":
        return DirectorySite(tmp_path / "site")
    server: MotoServer = request.getfixturevalue("aws")
    return S3Site("site", uuid.uuid4().hex, server.client("s3"))


def sitemap(directory: Path, *pages: str) -> list[str]:
    """A sitemap with a part for each page; the names of its parts."""
    writer = SitemapWriter(directory, SITE, Limits(urls=1))
    for page in pages:
        writer.add(SITE + page, TIME)
    return writer.finish()[:-1]


def publish(site: SiteStore, directory: Path, parts: list[str], token: int) -> Publication:
    publication = Publication(site, directory, INDEX, token)
    publication.publish(parts)
    return publication


def named(body: bytes) -> list[str]:
    return [it.decode() for it in re.findall(rb"<loc>[^<]*/([^</]+)</loc>", body)]


def read(site: SiteStore) -> list[bytes]:
    """As a crawler does: the index, then every part it names; none may be missing."""
    index = site.read(INDEX)
    assert index is not None
    found = [site.read(name) for name in named(index.body)]
    assert None not in found
    return [part.body for part in found if part]


def test_parts_are_there_before_the_index_and_the_index_keeps_its_schema(
    site: SiteStore, tmp_path: Path
) -> None:
    parts = sitemap(tmp_path / "a", "1", "2")

    publish(site, tmp_path / "a", parts, 7)

    assert read(site) == [(tmp_path / "a" / part).read_bytes() for part in parts]
    index = site.read(INDEX)
    assert index is not None
    (tmp_path / "read.xml").write_bytes(index.body)
    assert count(tmp_path / "read.xml", "siteindex.xsd", "sitemap") == 2
    assert b"<!-- nightlatch token 7 -->" in index.body


def test_a_stale_run_cannot_publish_and_changes_nothing(site: SiteStore, tmp_path: Path) -> None:
    publish(site, tmp_path / "new", sitemap(tmp_path / "new", "new"), 8)
    before = site.names(), read(site)

    with pytest.raises(JobError, match="token 8, newer than ours \\(7\\)") as caught:
        publish(site, tmp_path / "old", sitemap(tmp_path / "old", "old"), 7)

    assert caught.value.exit_code == exit_codes.TRY_AGAIN
    assert (site.names(), read(site)) == before
    with pytest.raises(JobError, match="this run has none") as caught:
        publish(site, tmp_path / "old", sitemap(tmp_path / "old", "old"), 0)
    assert caught.value.exit_code == exit_codes.WRONG_INPUT


class Interrupted:
    """A site at which something happens just before the index is switched."""

    def __init__(
        self, site: SiteStore, then: Publication | None = None, parts: list[str] | None = None
    ) -> None:
        self._site = site
        self._then = then
        self._parts = parts or []
        self.location = site.location

    def read(self, name: str) -> Served | None:
        return self._site.read(name)

    def create(self, name: str, body: bytes) -> bool:
        return self._site.create(name, body)

    def switch(self, name: str, body: bytes, tag: str | None) -> None:
        then, self._then = self._then, None
        if then is not None:
            then.publish(self._parts)
        self._site.switch(name, body, tag)

    def names(self) -> list[str]:
        return self._site.names()

    def delete(self, names: list[str]) -> None:
        self._site.delete(names)


@pytest.mark.parametrize("page", ["1", "2"], ids=["same pages", "other pages"])
def test_who_is_overtaken_before_the_switch_is_refused_even_when_nothing_else_changed(
    site: SiteStore, tmp_path: Path, page: str
) -> None:
    publish(site, tmp_path / "first", sitemap(tmp_path / "first", "1"), 1)
    newer = sitemap(tmp_path / "newer", page)
    stale = Interrupted(site, Publication(site, tmp_path / "newer", INDEX, 3), newer)

    with pytest.raises(JobError, match="token 3, newer than ours"):
        publish(stale, tmp_path / "stale", sitemap(tmp_path / "stale", "stale"), 2)

    assert read(site) == [(tmp_path / "newer" / newer[0]).read_bytes()]


def test_who_is_overtaken_by_an_older_run_replaces_it(site: SiteStore, tmp_path: Path) -> None:
    older = sitemap(tmp_path / "older", "1")
    newer = Interrupted(site, Publication(site, tmp_path / "older", INDEX, 2), older)
    parts = sitemap(tmp_path / "newer", "2")

    publish(newer, tmp_path / "newer", parts, 3)

    assert read(site) == [(tmp_path / "newer" / parts[0]).read_bytes()]


def test_of_two_racing_publishers_the_newer_stays_and_readers_never_miss_a_part(
    site: SiteStore, tmp_path: Path
) -> None:
    runs = {
        token: (tmp_path / str(token), sitemap(tmp_path / str(token), f"{token}-a", f"{token}-b", "same"))
        for token in range(1, 7)
    }
    publish(site, *runs[1], 1)
    begin = threading.Barrier(3)
    failed: list[BaseException] = []

    def racing(tokens: list[int]) -> None:
        begin.wait()
        for token in tokens:
            try:
                publish(site, *runs[token], token)
            except JobError:
                continue  # refused: the other was newer
            except BaseException as error:  # noqa: BLE001  (shown by the test)
                failed.append(error)

    threads = [threading.Thread(target=racing, args=(tokens,)) for tokens in ([2, 4, 6], [3, 5])]
    for thread in threads:
        thread.start()
    begin.wait()
    seen = 0
    while any(thread.is_alive() for thread in threads):
        assert len(read(site)) == 3
        seen += 1
    for thread in threads:
        thread.join()

    assert failed == []
    assert seen
    assert read(site) == [(runs[6][0] / part).read_bytes() for part in runs[6][1]]


class LosesReplies(Interrupted):
    """A site whose writes arrive while the answers do not: the client's second try is refused."""

    def create(self, name: str, body: bytes) -> bool:
        super().create(name, body)
        return super().create(name, body)

    def switch(self, name: str, body: bytes, tag: str | None) -> None:
        super().switch(name, body, tag)
        raise ChangedError(name)


def test_lost_replies_are_recognised_as_our_own(site: SiteStore, tmp_path: Path) -> None:
    parts = sitemap(tmp_path / "a", "1", "2")

    publish(LosesReplies(site), tmp_path / "a", parts, 3)

    assert read(site) == [(tmp_path / "a" / part).read_bytes() for part in parts]


def test_what_did_not_change_is_not_written_again(site: SiteStore, tmp_path: Path) -> None:
    publish(site, tmp_path / "a", sitemap(tmp_path / "a", "1", "2"), 1)
    before = site.names()

    publish(site, tmp_path / "b", sitemap(tmp_path / "b", "1", "2"), 2)

    assert site.names() == before


def test_parts_go_when_no_index_has_named_them_for_long_and_others_files_stay(
    site: SiteStore, tmp_path: Path
) -> None:
    site.create("robots.txt", b"x")
    site.create("articles-2-0123456789abcdef.atom.xml", b"x")
    old = sitemap(tmp_path / "a", "1", "2")
    publish(site, tmp_path / "a", old, 1)
    new = publish(site, tmp_path / "b", sitemap(tmp_path / "b", "1", "3"), 2)

    retired = new.clear(KINDS, {}, NOW)
    assert list(retired) == [old[1]]
    assert new.clear(KINDS, retired, NOW + KEPT) == retired
    assert old[1] in site.names()
    assert new.clear(KINDS, retired, NOW + KEPT + timedelta(seconds=1)) == {}

    assert old[1] not in site.names()
    assert {"robots.txt", "articles-2-0123456789abcdef.atom.xml"} <= set(site.names())
    assert len(read(site)) == 2


def test_a_part_that_nothing_names_any_more_is_not_used_again(site: SiteStore, tmp_path: Path) -> None:
    """A run that was replaced may be about to remove it."""
    first = sitemap(tmp_path / "a", "1")
    publish(site, tmp_path / "a", first, 1)
    publish(site, tmp_path / "b", sitemap(tmp_path / "b", "2"), 2)

    publish(site, tmp_path / "a", first, 3)
    site.delete(first)

    index = site.read(INDEX)
    assert index is not None
    assert named(index.body) == [first[0].replace(".xml.gz", "-t3.xml.gz")]
    assert read(site) == [(tmp_path / "a" / first[0]).read_bytes()]
    publish(site, tmp_path / "a", first, 4)
    assert site.names() == sorted([*sitemap(tmp_path / "b2", "2"), *named(index.body), INDEX])


def test_a_sitemap_of_somebody_else_is_taken_over(site: SiteStore, tmp_path: Path) -> None:
    site.switch(INDEX, b"<urlset/>", None)

    publish(site, tmp_path / "a", sitemap(tmp_path / "a", "1"), 1)

    assert len(read(site)) == 1


def test_parts_may_be_kept_for_ever_and_the_index_may_not(aws: MotoServer, tmp_path: Path) -> None:
    client = aws.client("s3")
    site = S3Site("site", uuid.uuid4().hex, client)
    [part] = sitemap(tmp_path / "a", "1")
    publish(site, tmp_path / "a", [part], 1)
    prefix = site.location.removeprefix("s3://site/")

    heads = {name: client.head_object(Bucket="site", Key=prefix + name) for name in (part, INDEX)}

    assert (heads[part]["ContentType"], heads[INDEX]["ContentType"]) == (
        "application/gzip",
        "application/xml",
    )
    assert "immutable" in heads[part]["CacheControl"]
    assert heads[INDEX]["CacheControl"] == "public, max-age=300"


def test_a_bucket_that_is_not_there_is_said_in_one_line(aws: MotoServer, tmp_path: Path) -> None:
    site = S3Site("nowhere-at-all", "", aws.client("s3"))

    with pytest.raises(JobError, match="NoSuchBucket") as caught:
        publish(site, tmp_path / "a", sitemap(tmp_path / "a", "1"), 1)

    assert caught.value.exit_code == exit_codes.CANNOT_WRITE


@pytest.mark.parametrize("location", ["", "https://www.example.com/", "s3://", "ftp://x/y"])
def test_a_place_that_is_none_is_refused(location: str) -> None:
    with pytest.raises(JobError, match="neither s3://bucket/prefix/ nor a directory"):
        open_site(location)
