"""Pictures that a server sends packed although nobody asked for that."""

import gzip
import zlib

from tasks.jobs.articles.http_fields import unpacked
from tasks.jobs.articles.probe import Answer, Ask, Probe
from tasks.jobs.articles.verdicts import Finding

URL = "https://www.example.com/a.svg"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg">' + b"<g/>" * 2000 + b"</svg>"


def sent(body: bytes, encoding: str = "gzip", kind: str = "image/svg+xml") -> Answer:
    return Answer(200, {"content-encoding": encoding, "content-type": kind}, body, body, len(body))


def judged(answer: Answer) -> tuple[str, str]:
    found = Probe(URL).take(answer)
    assert isinstance(found, Finding)
    return found.verdict.value, found.kind


def test_what_is_in_it_counts() -> None:
    assert judged(sent(gzip.compress(SVG))) == ("ok", "svg")
    assert judged(sent(zlib.compress(SVG), "deflate")) == ("ok", "svg")
    assert judged(sent(gzip.compress(SVG)[:-10])) == ("truncated", "svg")
    assert judged(sent(gzip.compress(b"<html><p>Sorry"))) == ("not_image", "")
    assert judged(sent(SVG)) == ("not_image", ""), "says that it is packed, and is not"


def test_what_we_cannot_unpack_is_believed_only_if_it_is_called_a_picture() -> None:
    assert judged(sent(b"\x8b\x0a", "br")) == ("ok", "")
    assert judged(sent(b"\x8b\x0a", "br", "text/html")) == ("not_image", "")


def test_a_part_of_something_packed_says_little_so_all_is_asked_for() -> None:
    body = gzip.compress(SVG)
    headers = {"content-encoding": "gzip", "content-range": f"bytes 0-{len(body) - 1}/{len(body)}"}

    assert Probe(URL).take(Answer(206, headers, body, body, len(body))) == Ask(URL)


def test_a_little_that_unpacks_to_very_much_is_not_kept() -> None:
    bomb = gzip.compress(b"\0" * (64 << 20))
    assert len(bomb) < 65_536

    opened = unpacked(bomb, "gzip")

    assert opened is not None
    assert len(opened[0]) == 65_536
    assert unpacked(b"no gzip", "gzip") == (b"", False)
