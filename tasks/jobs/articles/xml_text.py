"""Text as XML 1.0 can hold it."""

import re
from datetime import UTC, date, datetime
from typing import Final

# XML 1.0 has no way to write these, not even escaped (https://www.w3.org/TR/xml/#charsets).
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A time is put together of these: isoformat() takes four times as long, once for every page of a site.
_DAYS: Final[dict[int, str]] = {}
_MOST_DAYS: Final = 10_000
_MINUTES: Final = [f"T{hour:02d}:{minute:02d}:" for hour in range(24) for minute in range(60)]
_SECONDS: Final = [f"{second:02d}+00:00" for second in range(60)]


def escape(text: str) -> str:
    """The five escapes. For text that is known to be XML's characters, such as a percent-encoded URL."""
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "'" in text:
        text = text.replace("'", "&apos;")
    # The others cannot stand in a percent-encoded URL; this costs next to nothing and trusts nobody.
    if "<" in text or ">" in text or '"' in text:
        text = text.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return text


def escape_any(text: str) -> str:
    """The same for any text; what XML cannot hold becomes U+FFFD."""
    return escape(_NOT_XML.sub("\ufffd", text))


def w3c(time: datetime) -> str:
    """A time as sitemaps want it, in UTC, so that the texts sort as the times do.

    Source: https://www.w3.org/TR/NOTE-datetime
    """
    if time.tzinfo is not UTC:
        time = time.astimezone(UTC)
    number = time.toordinal()
    day = _DAYS.get(number) or _day(number)
    return day + _MINUTES[time.hour * 60 + time.minute] + _SECONDS[time.second]


def _day(number: int) -> str:
    if len(_DAYS) > _MOST_DAYS:
        _DAYS.clear()
    return _DAYS.setdefault(number, date.fromordinal(number).isoformat())
