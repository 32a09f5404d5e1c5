"""Text as XML 1.0 can hold it."""

import re
from datetime import UTC, datetime
from typing import Final

# XML 1.0 has no way to write these, not even escaped (https://www.w3.org/TR/xml/#charsets).
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escape(text: str) -> str:
    """The five escapes. For text that is known to be XML's characters, such as a percent-encoded URL."""
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "'" in text:
        text = text.replace("'", "&apos;")
    # The others cannot stand in a percent-encoded URL; this costs next to nothing and trusts nobody.
    return text.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def escape_any(text: str) -> str:
    """The same for any text; what XML cannot hold becomes U+FFFD."""
    return escape(_NOT_XML.sub("\ufffd", text))


def w3c(time: datetime) -> str:
    """A time as sitemaps want it, in UTC, so that the texts sort as the times do.

    Source: https://www.w3.org/TR/NOTE-datetime
    """
    return time.astimezone(UTC).isoformat(timespec="seconds")
