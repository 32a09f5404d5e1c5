import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from tasks.jobs.articles.sitemap_writer import Limits, SitemapWriter, TooManyPartsError

SCHEMAS = Path(__file__).resolve().parents[2] / "support" / "schemas"
SITE = "https://www.example.com/"
TIME = datetime(2026, 11, 21, 21, 0, 5, tzinfo=UTC)
SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"


def parts(directory: Path) -> list[bytes]:
    return [gzip.decompress(path.read_bytes()) for path in sorted(directory.glob("*.xml.gz"))]


def check(text: bytes, schema: str) -> etree._Element:
    etree.XMLSchema(etree.parse(SCHEMAS / schema)).assertValid(etree.fromstring(text))
    return etree.fromstring(text)


def test_parts_and_index_keep_their_schemas(tmp_path: Path) -> None:
    writer = SitemapWriter(tmp_path, SITE, Limits(urls=2))
    writer.add(SITE + "a?x=1&y='2'", TIME, [SITE + "p1.png?a&b", SITE + "p2.png"])
    writer.add(SITE + "b", None)
    writer.add(SITE + "c", TIME.replace(year=2027))

    assert writer.finish() == ["sitemap-00001.xml.gz", "sitemap-00002.xml.gz", "sitemap.xml"]

    first, second = (check(text, "all.xsd") for text in parts(tmp_path))
    assert first.findtext(f".//{SITEMAP}loc") == SITE + "a?x=1&y='2'"
    assert [len(first), len(second)] == [2, 1]
    index = check((tmp_path / "sitemap.xml").read_bytes(), "siteindex.xsd")
    assert [item.text for item in index.iter(f"{SITEMAP}loc")] == [
        SITE + "sitemap-00001.xml.gz",
        SITE + "sitemap-00002.xml.gz",
    ]
    assert [item.text for item in index.iter(f"{SITEMAP}lastmod")] == [
        "2026-11-21T21:00:05+00:00",
        "2027-11-21T21:00:05+00:00",
    ]


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
    for count, expected in ((3, 1), (4, 2)):
        writer = SitemapWriter(tmp_path / str(count), SITE, Limits(urls=3))
        for number in range(count):
            writer.add(f"{SITE}{number}", None)
        writer.finish()
        assert len(parts(tmp_path / str(count))) == expected


@pytest.mark.slow
def test_the_real_limits_hold_at_their_edge(tmp_path: Path) -> None:
    long_path = "x" * 1990
    writer = SitemapWriter(tmp_path, SITE)
    for number in range(50_001):
        writer.add(f"{SITE}{number:05d}{long_path if number < 26_000 else ''}", TIME)
    writer.finish()

    texts = parts(tmp_path)
    assert all(len(text) <= 52_428_800 for text in texts)
    assert all(text.count(b"<url>") <= 50_000 for text in texts)
    assert sum(text.count(b"<url>") for text in texts) == 50_001
    assert 52_428_800 - len(texts[0]) < 2200  # full to the last URL that fits
    assert texts[1].count(b"<url>") < 50_000


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

    with pytest.raises(TooManyPartsError):
        writer.add(SITE + "3", None)
