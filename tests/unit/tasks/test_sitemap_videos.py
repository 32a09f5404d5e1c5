"""Videos of an article in its sitemap entry."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.jobs.articles.sitemap_writer import SitemapWriter
from tasks.jobs.articles.videos import videos_of
from tests.support.streamed_xml import count, entries

PAGE = "https://www.example.com/articles/1"
LEAST = {
    "thumbnail_loc": "/thumbs/五月.jpg",
    "title": "五月 <&> '\x0b",
    "description": "d",
    "content_loc": "https://media.example.com/v.mp4?a&b",
}
FULL = {
    **LEAST,
    "player_loc": "https://media.example.com/player?id=1",
    "duration": 600,
    "expiration_date": "2027-01-01T00:00:00+09:00",
    "rating": 4.25,
    "view_count": 12345,
    "publication_date": "2026-11-01",
    "tags": [f"札 {number}" for number in range(40)],
    "family_friendly": True,
    "restriction": {"relationship": "allow", "countries": ["JP", "US"]},
    "requires_subscription": False,
    "uploader": "編集部 & co",
    "platform": {"relationship": "deny", "platforms": ["tv"]},
    "live": False,
}


def written(tmp_path: Path, videos: list[dict[str, Any]]) -> Path:
    elements, reasons = videos_of(json.dumps(videos), PAGE)
    assert reasons == []
    writer = SitemapWriter(tmp_path, "https://www.example.com/")
    writer.add(PAGE, datetime(2026, 11, 1, tzinfo=UTC), [PAGE + ".jpg"], elements)
    return tmp_path / writer.finish()[0]


def test_the_least_and_the_fullest_video_keep_the_schema(tmp_path: Path) -> None:
    path = written(tmp_path, [LEAST, FULL])

    first, second = ({child.tag.split("}")[1]: child.text for child in it} for it in _kept(path))

    assert first == {
        "thumbnail_loc": "https://www.example.com/thumbs/%E4%BA%94%E6%9C%88.jpg",
        "title": "五月 <&> '\ufffd",
        "description": "d",
        "content_loc": "https://media.example.com/v.mp4?a&b",
    }
    assert second["expiration_date"] == "2026-12-31T15:00:00+00:00"
    assert (second["publication_date"], second["rating"]) == ("2026-11-01", "4.2")
    assert (second["restriction"], second["platform"], second["live"]) == ("JP US", "tv", "no")
    assert count(path, "all.xsd", "tag") == 32


def _kept(path: Path) -> list[Any]:
    return [copy.deepcopy(video) for video in entries(path, "all.xsd", "video")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"title": ""}, "a video without title"),
        ({"content_loc": None}, "a video without content_loc or player_loc"),
        ({"thumbnail_loc": None, "description": None}, "a video without thumbnail_loc, description"),
        ({"thumbnail_loc": "ftp://x/y"}, "a video's thumbnail_loc is wrong"),
        ({"title": 17}, "a video's title is wrong"),
        ({"duration": 0}, "a video's duration is wrong"),
        ({"duration": 28_801}, "a video's duration is wrong"),
        ({"duration": "1.5"}, "a video's duration is wrong"),
        ({"rating": 5.1}, "a video's rating is wrong"),
        ({"view_count": -1}, "a video's view_count is wrong"),
        ({"expiration_date": "tomorrow"}, "a video's expiration_date is wrong"),
        ({"tags": "one"}, "a video's tags is wrong"),
        ({"live": "no"}, "a video's live is wrong"),
        ({"restriction": {"relationship": "allow", "countries": ["jp"]}}, "a video's restriction is wrong"),
        ({"platform": {"relationship": "only", "platforms": ["tv"]}}, "a video's platform is wrong"),
        ({"platform": ["tv"]}, "a video's platform is wrong"),
    ],
)
def test_a_wrong_video_is_left_out_with_its_reason(change: dict[str, Any], reason: str) -> None:
    elements, reasons = videos_of([{**LEAST, **change}, LEAST], PAGE)

    assert reasons == [reason]
    assert len(elements) == 1


@pytest.mark.parametrize(
    ("column", "reasons"),
    [
        (None, []),
        ("", []),
        ("null", []),
        ([], []),
        ("[", ["videos are no JSON"]),
        ('{"title": 1}', ["videos are no list"]),
        ("[1]", ["a video is no object"]),
    ],
)
def test_a_column_without_videos_gives_none(column: object, reasons: list[str]) -> None:
    assert videos_of(column, PAGE) == ([], reasons)


def test_long_texts_are_cut_to_what_the_tags_allow(tmp_path: Path) -> None:
    path = written(tmp_path, [{**LEAST, "title": "題" * 101, "description": "<" * 2049}])

    [video] = _kept(path)

    assert [len(video[1].text), len(video[2].text)] == [100, 2048]
