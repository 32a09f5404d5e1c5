import gzip
import hashlib
import random
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from lxml import etree

from tasks.jobs.articles.sitemap_part import EntryTooLargeError, Limits, Parts, TooManyPartsError
from tasks.jobs.articles.sitemap_writer import News, SitemapWriter, is_language
from tests.support.streamed_xml import SCHEMAS, count, entries

SITE = "https://www.example.com/"
TIME = datetime(2026, 11, 21, 21, 0, 5, tzinfo=UTC)
SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
NEWS = "{http://www.google.com/schemas/sitemap-news/0.9}"
BYTES = 52_428_800


def parts(directory: Path) -> list[bytes]:
    return [gzip.decompress(path.read_bytes()) for path in sorted(directory.glob("*.xml.gz"))]


def check(text: bytes, schema: str) -> etree._Element:
    etree.XMLSchema(etree.parse(SCHEMAS / schema)).assertValid(etree.fromstring(text))
    return etree.fromstring(text)


def test_parts_and_index_keep_their_schemas(tmp_path: Path) -> None:
    writer = SitemapWriter(tmp_path, SITE, Limits(urls=2))
    writer.add(SITE + "a?x=1&y='2'", TIME, [SITE + "p1.png?a&b", SITE + "p2.png"])
    writer.add(SITE + "b", None)
    writer.add(SITE + "c", TIME.replace(year=2027).astimezone(timezone(timedelta(hours=9))))

    *names, last = writer.finish()

    assert [name[:13] for name in names] == ["sitemap-00001", "sitemap-00002"]
    assert last == "sitemap.xml"
    first, second = (check(text, "all.xsd") for text in parts(tmp_path))
    assert first.findtext(f".//{SITEMAP}loc") == SITE + "a?x=1&y='2'"
    assert [len(first), len(second)] == [2, 1]
    index = check((tmp_path / "sitemap.xml").read_bytes(), "siteindex.xsd")
    assert [item.text for item in index.iter(f"{SITEMAP}loc")] == [SITE + name for name in names]
    assert [item.text for item in index.iter(f"{SITEMAP}lastmod")] == [
        "2026-11-21T21:00:05+00:00",
        "2027-11-21T21:00:05+00:00",
    ]


def test_a_part_is_named_after_its_bytes_and_no_other_file_is_left(tmp_path: Path) -> None:
    writer = SitemapWriter(tmp_path, SITE, Limits(urls=1))
    writer.add(SITE + "1", TIME)
    writer.add(SITE + "2", TIME)

    names = writer.finish()

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    for name in names[:-1]:
        digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        assert name.split("-")[2] == f"{digest[:16]}.xml.gz"


def test_a_part_has_the_same_bytes_however_its_entries_came(tmp_path: Path) -> None:
    entries = b"".join(
        b"<url><loc>https://www.example.com/%s</loc></url>\n" % hashlib.sha256(b"%d" % n).hexdigest().encode()
        for n in range(40_000)
    )
    names = set()
    for seed in range(6):
        sizes = random.Random(seed)
        part = Parts(
            tmp_path, "sitemap", "<a>", "</a>", most_urls=999_999, limits=Limits(), beside=seed % 2 == 1
        )
        position = 0
        while position < len(entries):
            size = sizes.choice([100, 60_000, 130_000, 1_000_000])
            assert part.add_block(entries[position : position + size], 1, "")
            position += size
        [(name, _)] = part.finish()
        names.add(name)

    assert len(names) == 1


def news(number: int, title: str = "題 <&> \x0b") -> News:
    return News(f"{SITE}{number}", "例 & News", "ja", TIME, title)


def test_news_go_into_parts_of_a_thousand_of_their_own(tmp_path: Path) -> None:
    writer = SitemapWriter(tmp_path, SITE)
    writer.add(SITE, TIME)
    for number in range(1001):
        writer.add_news(news(number))

    names = writer.finish()

    assert [name[:10] for name in names] == ["sitemap-00", "news-00001", "news-00002", "sitemap.xm"]
    assert [count(tmp_path / name, "all.xsd", "news") for name in names[:-1]] == [0, 1000, 1]
    first = next(entries(tmp_path / names[1], "all.xsd", "url"))
    assert first.findtext(f".//{NEWS}title") == "題 <&> \ufffd"
    assert first.findtext(f".//{NEWS}publication/{NEWS}name") == "例 & News"
    assert first.findtext(f".//{NEWS}publication_date") == "2026-11-21T21:00:05+00:00"
    assert count(tmp_path / "sitemap.xml", "siteindex.xsd", "sitemap") == 3


@pytest.mark.parametrize("code", ["ja", "jpn", "zh-cn", "zh-tw"])
def test_a_language_is_of_iso_639(code: str) -> None:
    assert is_language(code)


@pytest.mark.parametrize("code", ["", "ja-JP", "JA", "j", "japanese", "zh-hk"])
def test_what_is_no_language_is_refused(code: str) -> None:
    assert not is_language(code)


def test_the_same_pages_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        writer = SitemapWriter(tmp_path / name, SITE)
        for number in range(5000):
            writer.add(f"{SITE}{number}", TIME, [f"{SITE}{number}.png"])
        writer.finish()

    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two


def test_a_part_is_full_at_exactly_its_bytes(tmp_path: Path) -> None:
    def sizes(limit: int, name: str) -> list[int]:
        writer = SitemapWriter(tmp_path / name, SITE, Limits(part_bytes=limit))
        for number in range(10, 20):
            writer.add(f"{SITE}{number}", TIME)
        writer.finish()
        return [len(text) for text in parts(tmp_path / name)]

    [everything] = sizes(52_428_800, "all")

    assert sizes(everything, "exact") == [everything]
    less = sizes(everything - 1, "less")
    assert len(less) == 2
    assert max(less) < everything


def test_a_part_is_full_at_exactly_its_urls(tmp_path: Path) -> None:
    for urls, expected in ((3, 1), (4, 2)):
        writer = SitemapWriter(tmp_path / str(urls), SITE, Limits(urls=3))
        for number in range(urls):
            writer.add(f"{SITE}{number}", None)
        writer.finish()
        assert len(parts(tmp_path / str(urls))) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("more", "expected"), [(0, [50_000]), (1, [50_000, 1])])
def test_fifty_thousand_urls_fill_a_part(tmp_path: Path, more: int, expected: list[int]) -> None:
    writer = SitemapWriter(tmp_path, SITE)
    for number in range(50_000 + more):
        writer.add(f"{SITE}{number}", TIME)

    names = writer.finish()

    assert [count(tmp_path / name, "all.xsd", "url") for name in names[:-1]] == expected


def frame_and_root(scratch: Path) -> tuple[int, int]:
    """How many bytes a part has without any page, and the page at the site's root."""
    for pages in (1, 2):
        writer = SitemapWriter(scratch / str(pages), SITE)
        for _ in range(pages):
            writer.add(SITE, None)
        writer.finish()
    one, two = (len(parts(scratch / str(pages))[0]) for pages in (1, 2))
    return 2 * one - two, two - one


@pytest.mark.slow
@pytest.mark.parametrize(("more", "expected"), [(0, [BYTES]), (1, None)])
def test_52_428_800_bytes_fill_a_part(tmp_path: Path, more: int, expected: list[int] | None) -> None:
    """Pages of 2,000 characters, and a last one that fills the part to its last byte, or is one too long."""
    frame, root = frame_and_root(tmp_path / "sample")
    writer = SitemapWriter(tmp_path / "full", SITE)
    left = BYTES - frame
    while left > 2 * (root + 2000):
        writer.add(SITE + "x" * 2000, None)
        left -= root + 2000
    for size in (left // 2, left - left // 2 + more):
        writer.add(SITE + "y" * (size - root), None)
    writer.finish()

    sizes = [len(text) for text in parts(tmp_path / "full")]

    if expected is not None:
        assert sizes == expected
    else:
        assert len(sizes) == 2
        assert sizes[0] < BYTES


def test_a_page_that_is_larger_than_a_part_is_refused(tmp_path: Path) -> None:
    writer = SitemapWriter(tmp_path, SITE, Limits(part_bytes=1000))
    writer.add(SITE, TIME)

    with pytest.raises(EntryTooLargeError):
        writer.add(SITE, TIME, [f"{SITE}{number}.png" for number in range(20)])

    writer.add(SITE + "2", TIME)
    writer.finish()
    assert [text.count(b"<url>") for text in parts(tmp_path)] == [2]


def test_an_index_larger_than_the_protocol_allows_is_refused(tmp_path: Path) -> None:
    writer = SitemapWriter(tmp_path, SITE + "x" * 900 + "/", Limits(part_bytes=1000))
    writer.add(SITE, TIME)

    with pytest.raises(TooManyPartsError):
        writer.finish()
    assert not (tmp_path / "sitemap.xml").exists()


def test_a_page_with_very_many_pictures_names_a_thousand(tmp_path: Path) -> None:
    writer = SitemapWriter(tmp_path, SITE)
    writer.add(SITE, TIME, [f"{SITE}{number}.png" for number in range(1001)])
    writer.finish()

    assert writer.images == 1000
    assert parts(tmp_path)[0].count(b"<image:loc>") == 1000


def test_a_site_too_large_for_the_protocol_is_refused(tmp_path: Path) -> None:
    writer = SitemapWriter(tmp_path, SITE, Limits(urls=1, parts=2))
    writer.add(SITE + "1", None)
    writer.add(SITE + "2", None)

    writer.add(SITE + "3", None)

    with pytest.raises(TooManyPartsError):
        writer.finish()
