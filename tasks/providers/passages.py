"""Cutting files into passages under their headings: what a search finds and a reader can cite."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from selectolax.lexbor import LexborHTMLParser

HTML: Final = frozenset({".html", ".htm", ".xhtml"})
TEXT: Final = frozenset({".md", ".markdown", ".txt", ".rst"})

# A passage ends at the next heading, or when it has this many characters.
_LONG: Final = 1_200
_SHORTEST: Final = 20
# Elements that begin a line of their own.
_BLOCKS: Final = frozenset(
    [
        *("address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption", "figure"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "main", "ol", "p", "pre", "section", "table", "td"),
        *("th", "tr", "ul"),
    ]
)
_HEADING: Final = re.compile(r"h[1-6]")
_UNREAD: Final = "script, style, nav, header, footer, template, noscript, svg, form"
# A line that begins so stands for itself; any other goes on with the line before.
_OWN_LINE: Final = re.compile(r"\s{4}|\s*(?:[-*+|>#]|\d+[.)]\s|```)")
_MARKDOWN_HEADING: Final = re.compile(r"#{1,6}\s+(.*?)\s*#*$")


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a file: the file's title, the heading it stands under ("" if none), its text."""

    title: str
    heading: str
    text: str


def passages_of(path: Path) -> Iterator[Passage]:
    """The passages of one file.

    Raises:
        OSError: if it cannot be read.
    """
    text = path.read_bytes().decode("utf-8", errors="replace").removeprefix("\ufeff")
    title, lines = _html(text) if path.suffix.lower() in HTML else _plain(text)
    title = title or path.stem
    heading, kept, size = "", list[str](), 0
    for is_heading, line in lines:
        if is_heading or size >= _LONG:
            yield from _passage(title, heading, kept)
            kept, size = [], 0
        if is_heading:
            heading = line
        else:
            kept.append(line)
            size += len(line)
    yield from _passage(title, heading, kept)


def _passage(title: str, heading: str, lines: list[str]) -> Iterator[Passage]:
    text = "\n".join(lines).strip()
    if len(text) >= _SHORTEST:
        yield Passage(title, "" if heading == title else heading, text)


def _html(text: str) -> tuple[str, list[tuple[bool, str]]]:
    """Title, and the lines of the body, each with whether it is a heading."""
    tree = LexborHTMLParser(text)
    named = tree.css_first("title")
    title = " ".join(named.text().split()) if named is not None else ""
    body = tree.body
    if body is None:
        return title, []
    for node in tree.css(_UNREAD):
        node.decompose()
    lines: list[tuple[bool, str]] = []
    parts: list[str] = []
    is_heading = preformatted = False

    def end_line() -> None:
        whole = "".join(parts)
        # Preformatted text keeps its lines, everything else is one.
        cut = whole.splitlines() if preformatted else [" ".join(whole.split())]
        lines.extend((is_heading, line.rstrip()) for line in cut if line.strip())
        parts.clear()

    for node in body.traverse(include_text=True):
        if node.tag == "-text":
            parts.append(node.text(deep=False) or "")
        elif node.tag in _BLOCKS:
            end_line()
            is_heading = _HEADING.fullmatch(node.tag) is not None
            preformatted = node.tag == "pre"
    end_line()
    return title, lines


def _plain(text: str) -> tuple[str, list[tuple[bool, str]]]:
    """The same for text and Markdown; the title is the first heading or a first line that stands alone."""
    lines: list[tuple[bool, str]] = []
    title, inside_code, goes_on = "", False, False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            inside_code, goes_on = not inside_code, False
            continue
        heading = None if inside_code else _MARKDOWN_HEADING.fullmatch(line)
        if heading:
            title = title or heading[1]
            lines.append((True, heading[1]))
            goes_on = False
        elif not line.strip():
            goes_on = False
        elif goes_on and not inside_code and not _OWN_LINE.match(line):
            lines[-1] = (False, f"{lines[-1][1]} {line.strip()}")
        else:
            lines.append((False, line.rstrip()))
            goes_on = not inside_code
    return title, lines
