"""Videos of an article for its sitemap entry.

The column `videos` has a JSON list of objects whose members are named as Google's tags. Source:
https://developers.google.com/search/docs/crawling-indexing/sitemaps/video-sitemaps
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from tasks.jobs.articles.urls import resolve
from tasks.jobs.articles.xml_text import escape, escape_any, w3c

_TITLE_CHARACTERS: Final = 100
_DESCRIPTION_CHARACTERS: Final = 2048
_LONGEST_SECONDS: Final = 28_800
_BEST_RATING: Final = 5
_MOST_TAGS: Final = 32


class WrongVideoError(Exception):
    """A video that cannot be in a sitemap; the text is the reason."""


def videos_of(column: object, page: str) -> tuple[list[str], list[str]]:
    """The elements of the column's videos, and the reasons why others are left out.

    `column` is JSON text, a list, or None; addresses in it may be relative to `page`.
    """
    if not column:
        return [], []
    try:
        listed = json.loads(column) if isinstance(column, str | bytes) else column
    except ValueError:
        return [], ["videos are no JSON"]
    if listed is None:
        return [], []
    if not isinstance(listed, list):
        return [], ["videos are no list"]
    elements, reasons = [], []
    for video in listed:
        try:
            elements.append(video_element(video, page))
        except WrongVideoError as error:
            reasons.append(str(error))
    return elements, reasons


def video_element(video: object, page: str) -> str:
    """One ``video:video`` element.

    Raises:
        WrongVideoError: if a required member is missing or any member is not as the tag wants it.
    """
    if not isinstance(video, dict):
        raise WrongVideoError("a video is no object")
    missing = [name for name in ("thumbnail_loc", "title", "description") if not video.get(name)]
    if not video.get("content_loc") and not video.get("player_loc"):
        missing.append("content_loc or player_loc")
    if missing:
        raise WrongVideoError(f"a video without {', '.join(missing)}")
    parts = ["<video:video>"]
    # In the order of the schema, which is a sequence.
    for name, write in _MEMBERS.items():
        value = video.get(name)
        if value is not None and value != "":
            try:
                parts.append(write(name, value, page))
            except (ValueError, TypeError, KeyError, OverflowError):
                raise WrongVideoError(f"a video's {name} is wrong") from None
    parts.append("</video:video>")
    return "".join(parts)


def _tag(name: str, text: str) -> str:
    return f"<video:{name}>{text}</video:{name}>"


def _address(name: str, value: Any, page: str) -> str:
    address = resolve(value, page)
    if address is None or address.problem or address.url == page:
        raise ValueError(value)
    return _tag(name, escape(address.url))


def _text(most: int) -> Callable[[str, Any, str], str]:
    def write(name: str, value: Any, _page: str) -> str:
        if not isinstance(value, str):
            raise TypeError(name)
        return _tag(name, escape_any(value[:most]))

    return write


def _number(least: int, most: float) -> Callable[[str, Any, str], str]:
    def write(name: str, value: Any, _page: str) -> str:
        number = int(value)
        if number != float(value) or not least <= number <= most:
            raise ValueError(value)
        return _tag(name, str(number))

    return write


def _rating(name: str, value: Any, _page: str) -> str:
    rating = float(value)
    if not 0 <= rating <= _BEST_RATING:
        raise ValueError(value)
    return _tag(name, f"{rating:.1f}")


def _time(name: str, value: Any, _page: str) -> str:
    time = datetime.fromisoformat(value)
    # Without a zone only the day is sure.
    return _tag(name, time.date().isoformat() if time.tzinfo is None else w3c(time))


def _yes_or_no(name: str, value: Any, _page: str) -> str:
    if not isinstance(value, bool):
        raise TypeError(name)
    return _tag(name, "yes" if value else "no")


def _tags(name: str, value: Any, _page: str) -> str:
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise TypeError(name)
    return "".join(_tag("tag", escape_any(tag)) for tag in value[:_MOST_TAGS])


def _related(member: str, allowed: Callable[[str], bool]) -> Callable[[str, Any, str], str]:
    """``{"relationship": "allow" or "deny", member: [...]}``."""

    def write(name: str, value: Any, _page: str) -> str:
        relationship, listed = value["relationship"], value[member]
        if relationship not in {"allow", "deny"} or not listed or not all(map(allowed, listed)):
            raise ValueError(value)
        return f'<video:{name} relationship="{relationship}">{" ".join(listed)}</video:{name}>'

    return write


def _is_country(code: str) -> bool:
    return len(code) == len("JP") and code.isascii() and code.isalpha() and code.isupper()


def _is_platform(name: str) -> bool:
    return name in {"web", "mobile", "tv"}


_MEMBERS: Final[dict[str, Callable[[str, Any, str], str]]] = {
    "thumbnail_loc": _address,
    "title": _text(_TITLE_CHARACTERS),
    "description": _text(_DESCRIPTION_CHARACTERS),
    "content_loc": _address,
    "player_loc": _address,
    "duration": _number(1, _LONGEST_SECONDS),
    "expiration_date": _time,
    "rating": _rating,
    "view_count": _number(0, float("inf")),
    "publication_date": _time,
    "tags": _tags,
    "family_friendly": _yes_or_no,
    "restriction": _related("countries", _is_country),
    "requires_subscription": _yes_or_no,
    "uploader": _text(255),
    "platform": _related("platforms", _is_platform),
    "live": _yes_or_no,
}
