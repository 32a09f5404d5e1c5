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
# Attributes with addresses in them, by tag: (name, kind of reference, whether it is a srcset).
_ANYWHERE: Final = tuple((name, "lazy", False) for name in _BACKGROUND)
_OLD_BACKGROUND: Final = (*_ANYWHERE, ("background", "background", False))
_ATTRIBUTES: Final[dict[str, tuple[tuple[str, str, bool], ...]]] = {
    "img": (
        ("src", "img", False),
        ("srcset", "srcset", True),
        *((name, "lazy", False) for name in _LAZY),
        *((name, "lazy", True) for name in _LAZY_SETS),
    ),
    "source": (("srcset", "picture", True), ("data-srcset", "lazy", True)),
    "input": (("src", "input", False),),
    "video": (("poster", "poster", False), *_ANYWHERE),
    "link": (("href", "link", False), ("imagesrcset", "srcset", True)),
    "image": (("href", "svg", False), ("xlink:href", "svg", False)),
    "meta": (),
    **dict.fromkeys(("body", "table", "td", "th", "tr"), _OLD_BACKGROUND),
}
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
    "[style*=url i], style, [data-bg], [data-background], [data-background-image], [data-bg-src], "
    "[background]"
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
    for name, kind, is_set in _ATTRIBUTES.get(node.tag or "", _ANYWHERE):
        value = attributes.get(name)
        if value:
            for written in parse_srcset(value) if is_set else (value,):
                yield Reference(written, kind)
    if node.tag == "meta":
        name = attributes.get("property") or attributes.get("name") or ""
        if name.lower() in _SOCIAL:
            yield Reference(attributes.get("content") or "", "og:image")
    css = (node.text() if node.tag == "style" else attributes.get("style")) or ""
    if css:
        yield from (Reference(written, "css") for written in parse_css(css))


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
