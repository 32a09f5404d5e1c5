"""A folder of HTML pages with pictures, as articles.

The default is the illustrated manual that comes with pygame-ce, which somebody else wrote: real pages, real
pictures, installed by pip on any system. Any folder with ``*.html`` files will do (on Debian:
``/usr/share/doc/debian-handbook/html/en-US``).
"""

import hashlib
import html
import re
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote, urljoin

from selectolax.lexbor import LexborHTMLParser

from tasks.jobs.program import JobError

DEFAULT_PACKAGE: Final = "pygame-ce"
_DEFAULT_PARTS: Final = ("pygame", "docs", "generated")
# A page that does not say when it was written gets a date of its own in this year, the same everywhere.
_FIRST_DATE: Final = datetime(2025, 1, 1, 9, tzinfo=UTC)
_DAYS: Final = 365
_DATE_TAGS: Final = {
    "published": ("article:published_time", "date", "dcterms.created", "dc.date"),
    "updated": ("article:modified_time", "last-modified", "dcterms.modified"),
}


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a folder, ready to be an article."""

    url: str
    title: str
    html: str
    published_at: datetime
    updated_at: datetime
    sha256: str


def locate(folder: str = "") -> Path:
    """The folder to read: `folder`, or the default corpus.

    Raises:
        JobError: if it is not there or has no page.
    """
    if folder:
        path = Path(folder)
        if not path.is_dir():
            raise JobError(f"{folder} is not a folder; give one with HTML files in it")
    else:
        roots = [Path(entry) for entry in (sysconfig.get_path("platlib"), *sys.path) if entry]
        found = (root.joinpath(*_DEFAULT_PARTS) for root in roots)
        path = next((candidate for candidate in found if candidate.is_dir()), Path())
        if path == Path():
            raise JobError(
                f"the default articles are part of the package {DEFAULT_PACKAGE}, which is not installed; "
                "install it, or give a folder of HTML files of your own"
            )
    if next(_files(path), None) is None:
        raise JobError(f"{path} has no HTML files")
    return path


def read_pages(folder: Path, base_url: str) -> Iterator[Page]:
    """Every page below `folder`, in the order of their names, as it would stand below `base_url`."""
    for path in _files(folder):
        body = path.read_bytes()
        text = body.decode(_encoding(body), errors="replace").replace("\x00", "")
        name = path.relative_to(folder).as_posix()
        tree = LexborHTMLParser(text)
        published = _date(tree, "published") or _made_up_date(name)
        yield Page(
            url=urljoin(base_url, quote(name)),
            title=_title(tree) or name,
            html=text,
            published_at=published,
            updated_at=_date(tree, "updated") or published,
            sha256=hashlib.sha256(body).hexdigest(),
        )


def _files(folder: Path) -> Iterator[Path]:
    pages = (path for path in folder.rglob("*") if path.suffix.lower() in {".html", ".htm", ".xhtml"})
    yield from sorted(path for path in pages if path.is_file())


def _encoding(body: bytes) -> str:
    declared = re.search(rb"""charset\s*=\s*["']?([A-Za-z0-9_.:-]+)""", body[:2048])
    if body.startswith(b"\xef\xbb\xbf") or declared is None:
        return "utf-8-sig"
    name = declared.group(1).decode("ascii")
    try:
        "".encode(name)
    except LookupError:
        return "utf-8-sig"
    return name


def _title(tree: LexborHTMLParser) -> str:
    node = tree.css_first("title")
    return "" if node is None else " ".join(html.unescape(node.text()).split())


def _date(tree: LexborHTMLParser, which: str) -> datetime | None:
    for name in _DATE_TAGS[which]:
        node = tree.css_first(f'meta[property="{name}" i], meta[name="{name}" i]')
        content = node.attributes.get("content") if node is not None else None
        if content:
            try:
                said = datetime.fromisoformat(content.strip())
            except ValueError:
                continue
            return said.replace(tzinfo=UTC) if said.tzinfo is None else said.astimezone(UTC)
    return None


def _made_up_date(name: str) -> datetime:
    # Not the file's own time: installing the package changes that, and every sitemap with it.
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")
    return _FIRST_DATE + timedelta(days=number % _DAYS, minutes=number // _DAYS % 600)
