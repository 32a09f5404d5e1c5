"""Finding every picture a page refers to, with a real HTML parser."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser, LexborNode

# Where lazy loading scripts keep the real address while src holds a placeholder.
_LAZY: Final = ("data-src", "data-original", "data-lazy-src", "data-lazy", "data-url", "data-original-src")
_LAZY_SETS: Final = ("data-srcset", "data-lazy-srcset", "data-original-set")
_BACKGROUND: Final = ("data-bg", "data-background", "data-background-image", "data-bg-src")
_SOCIAL: Final = {
    "og:image",
    "og:image:url",
    "og:image:secure_url",
    "twitter:image",
    "twitter:image:src",
}
_SELECTOR: Final = (
    "img, source[srcset], source[data-srcset], input[type=image][src], video[poster], meta[content], "
    "link[rel~=image_src][href], link[as=image][href], image, "
    "[style*=url i], style, [data-bg], [data-background], [data-background-image], [data-bg-src], [background]"
)
_CSS_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_CSS_IMPORT: Final = re.compile(r"@(?:import|namespace)\b[^;]*;?", re.IGNORECASE)
_CSS_FONT: Final = re.compile(r"@font-face\s*\{[^}]*\}", re.IGNORECASE)
_CSS_URL: Final = re.compile(
    r"""url\(\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|((?:[^\s"'()\\]|\\.)+))\s*\)""", re.IGNORECASE
)
_CSS_ESCAPE: Final = re.compile(r"\\([0-9a-fA-F]{1,6})\s?|\\(.)", re.DOTALL)
_NO_PICTURES: Final = (".css", ".woff", ".woff2", ".ttf", ".otf", ".eot")


@dataclass(frozen=True, slots=True)
class Reference:
    """One mention of a picture: the address as written, and where it was found (img, srcset, lazy, ...)."""

    written: str
    kind: str


def find_pictures(page: str, url: str) -> tuple[str, list[Reference]]:
    """Every mention of a picture in `page`, in order, and the base URL that they are relative to."""
    tree = LexborHTMLParser(page)
    base_node = tree.css_first("base[href]")
    base = url
    if base_node is not None:
        try:
            base = urljoin(url, (base_node.attributes.get("href") or "").strip())
        except ValueError:
            base = url
    found: dict[Reference, None] = {}
    for node in tree.css(_SELECTOR):
        for reference in _references(node):
            if reference.written.strip():
                found[reference] = None
    return base, list(found)


def _references(node: LexborNode) -> Iterator[Reference]:
    attributes = node.attributes
    tag = node.tag

    def one(name: str, kind: str) -> Iterator[Reference]:
        value = attributes.get(name)
        if value:
            yield Reference(value, kind)

    def many(name: str, kind: str) -> Iterator[Reference]:
        for written in parse_srcset(attributes.get(name) or ""):
            yield Reference(written, kind)

    if tag == "img":
        yield from one("src", "img")
        yield from many("srcset", "srcset")
        for name in _LAZY:
            yield from one(name, "lazy")
        for name in _LAZY_SETS:
            yield from many(name, "lazy")
    elif tag == "source":
        yield from many("srcset", "picture")
        yield from many("data-srcset", "lazy")
    elif tag == "input":
        yield from one("src", "input")
    elif tag == "video":
        yield from one("poster", "poster")
    elif tag == "meta":
        name = (attributes.get("property") or attributes.get("name") or "").lower()
        if name in _SOCIAL:
            yield from one("content", "og:image")
    elif tag == "link":
        yield from one("href", "link")
        yield from many("imagesrcset", "srcset")
    elif tag == "image":
        yield from one("href", "svg")
        yield from one("xlink:href", "svg")
    elif tag == "style":
        yield from (Reference(written, "css") for written in parse_css(node.text() or ""))
    if "style" in attributes:
        yield from (Reference(written, "css") for written in parse_css(attributes["style"] or ""))
    if tag != "img":
        for name in _BACKGROUND:
            yield from one(name, "lazy")
    if tag in {"body", "table", "td", "th", "tr"}:
        yield from one("background", "background")


def parse_srcset(text: str) -> Iterator[str]:
    """The addresses in a srcset attribute (HTML standard, "parse a srcset attribute").

    An address may contain commas; only one at its end, or white space, ends it.
    """
    at, end = 0, len(text)
    while at < end:
        while at < end and (text[at].isspace() or text[at] == ","):
            at += 1
        start = at
        while at < end and not text[at].isspace():
            at += 1
        written = text[start:at]
        if not written:
            return
        if written.endswith(","):
            yield written.rstrip(",")
            continue
        yield written
        depth = 0
        while at < end and (text[at] != "," or depth):
            depth += (text[at] == "(") - (text[at] == ")" and depth > 0)
            at += 1


def parse_css(text: str) -> Iterator[str]:
    """The pictures in a style sheet or style attribute: every url() that is no font and no other sheet."""
    text = _CSS_FONT.sub("", _CSS_IMPORT.sub("", _CSS_COMMENT.sub("", text)))
    for match in _CSS_URL.finditer(text):
        written = _CSS_ESCAPE.sub(_unescaped, "".join(match.groups("")))
        path = written.partition("?")[0].partition("#")[0].lower()
        if written and not path.endswith(_NO_PICTURES):
            yield written


def _unescaped(match: re.Match[str]) -> str:
    digits, character = match.groups()
    if digits:
        number = int(digits, 16)
        return chr(number) if 0 < number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"  # noqa: PLR2004  (Unicode)
    return str(character)
