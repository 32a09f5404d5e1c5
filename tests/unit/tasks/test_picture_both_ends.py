"""Both ends of a picture in one request, and asking for a change only."""

import pytest

from tasks.jobs.articles.http_fields import byte_ranges, part_type
from tasks.jobs.articles.probe import Answer, Ask, Patience, Probe
from tasks.jobs.articles.verdicts import Finding, Verdict

URL = "https://www.example.com/a.jpg"
JPEG = b"\xff\xd8\xff\xda\0\2" + b"s" * 5000 + b"\xff\xd9"
BOTH = Ask(URL, 0, 2047, 64)
TYPE = 'multipart/byteranges; boundary="x y"'


def multipart(data: bytes, *bounds: tuple[int, int], kind: str = "image/jpeg") -> bytes:
    body = b""
    for first, last in bounds:
        said = f"Content-Type: {kind}\r\nContent-Range: bytes {first}-{last}/{len(data)}"
        body += f"\r\n--x y\r\n{said}\r\n\r\n".encode() + data[first : last + 1]
    return body + b"\r\n--x y--\r\n"


def two_parts(data: bytes, kind: str = "image/jpeg") -> Answer:
    body = multipart(data, (0, 2047), (len(data) - 64, len(data) - 1), kind=kind)
    return Answer(206, {"content-type": TYPE, "etag": '"1"'}, body, body, len(body))


def verdict(outcome: object) -> str:
    assert isinstance(outcome, Finding), outcome
    return outcome.verdict.value


def test_both_ends_come_in_one_answer() -> None:
    probe = Probe(URL, both_ends=True)

    assert probe.start() == BOTH
    found = probe.take(two_parts(JPEG))
    assert found == Finding(Verdict.OK, 206, "jpeg", len(JPEG), etag='"1"')


def test_an_end_that_is_not_there_is_looked_for_further() -> None:
    probe = Probe(URL, both_ends=True)
    cut = JPEG[:-2]

    assert probe.take(two_parts(cut)) == Ask(URL, 0, len(cut) - 1)
    headers = {"content-range": f"bytes 0-{len(cut) - 1}/{len(cut)}"}
    assert verdict(probe.take(Answer(206, headers, cut, cut, len(cut)))) == "truncated"


def test_a_page_in_two_parts_is_no_picture() -> None:
    found = Probe(URL, both_ends=True).take(two_parts(b"<html>" + b"x" * 5000, kind="text/html; charset=x"))

    assert isinstance(found, Finding)
    assert (found.verdict, found.detail) == (Verdict.NOT_IMAGE, "an HTML page, sent as text/html")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(416),
        Answer(400),
        Answer(200, {"content-length": "9000000"}, JPEG[:2000], JPEG[:2000], 2000, cut=True),
        Answer(206, {"content-type": TYPE}, b"", b"", 0),
        Answer(206, {"content-type": "multipart/byteranges"}, b"--x y", b"--x y", 5),
    ],
)
def test_a_server_that_does_not_give_two_ranges_is_asked_for_one(answer: Answer) -> None:
    probe = Probe(URL, both_ends=True)

    assert probe.take(answer) == Ask(URL, 0, 2047)
    assert probe.both_ends is False


def test_a_server_that_gives_the_first_of_two_ranges_is_asked_for_the_second() -> None:
    probe = Probe(URL, both_ends=True)
    headers = {"content-range": f"bytes 0-2047/{len(JPEG)}"}

    assert probe.take(Answer(206, headers, JPEG[:2048], JPEG[:2048], 2048)) == Ask(
        URL, len(JPEG) - 64, len(JPEG) - 1
    )


def test_another_part_than_was_asked_for_says_nothing() -> None:
    probe = Probe(URL)
    headers = {"content-range": f"bytes 9-5007/{len(JPEG)}"}

    assert probe.take(Answer(206, headers, JPEG[9:], JPEG[9:], len(JPEG) - 9)) == Ask(URL)


def test_parts_that_lie_about_their_length_are_not_believed() -> None:
    body = multipart(JPEG, (0, 2047), (4944, 5007))
    assert [(first, total) for first, total, _ in byte_ranges(body, TYPE)] == [(0, 5008), (4944, 5008)]
    assert [part[2] for part in byte_ranges(body, TYPE)] == [JPEG[:2048], JPEG[4944:]]
    assert byte_ranges(body[:1000], TYPE) == []
    assert len(byte_ranges(body[:2250], TYPE)) == 1
    assert byte_ranges(body, "multipart/byteranges") == []
    assert byte_ranges(body, "multipart/byteranges; boundary=other") == []
    assert byte_ranges(b"--x y\r\nContent-Range: bytes a-b/c\r\n\r\n", TYPE) == []
    assert part_type(body) == "image/jpeg"
    assert part_type(b"nothing") == ""


def test_parts_are_told_by_the_boundary_of_the_content_type_alone() -> None:
    body = multipart(JPEG, (0, 2047), (4944, 5007)).replace(b"--x y", b"--byte")

    assert len(byte_ranges(body, "multipart/byteranges; boundary=byte")) == 2
    assert byte_ranges(body, "multipart/byteranges") == []
    assert byte_ranges(body, "multipart/byteranges; boundary=ranges") == []


def test_what_stands_before_the_first_part_does_not_matter() -> None:
    preamble = b"A note -- for readers\r\n--not a part\r\n"
    body = preamble + multipart(JPEG, (0, 2047), (4944, 5007))

    assert [part[2] for part in byte_ranges(body, TYPE)] == [JPEG[:2048], JPEG[4944:]]


def test_a_part_may_have_headers_of_any_length() -> None:
    body = multipart(JPEG, (0, 2047), (4944, 5007))
    long = body.replace(b"Content-Type", b"X-Note: " + b"n" * 3000 + b"\r\nContent-Type")

    assert len(long) > len(body) + 6000
    assert [part[2] for part in byte_ranges(long, TYPE)] == [JPEG[:2048], JPEG[4944:]]


@pytest.mark.parametrize("said", ["9" * 5000 + "-1/2", "0-1/" + "9" * 5000, "5-3/9", "5-4/9"])
def test_a_range_that_cannot_be_is_no_part(said: str) -> None:
    assert byte_ranges(f"--x y\r\nContent-Range: bytes {said}\r\n\r\nabc".encode(), TYPE) == []


# -- asking for a change only

KNOWN = Finding(Verdict.OK, 206, "jpeg", 5008, etag='"1"', modified="Thu, 01 Jan 1970 00:00:00 GMT")


def test_what_was_good_and_has_not_changed_is_good() -> None:
    probe = Probe(URL, known=KNOWN)

    assert probe.start() == Ask(URL, 0, 2047, etag=KNOWN.etag, modified=KNOWN.modified)
    assert probe.take(Answer(304)) == KNOWN


def test_what_has_changed_is_looked_at_anew() -> None:
    probe = Probe(URL, known=KNOWN, both_ends=True)

    assert verdict(probe.take(two_parts(JPEG[:-2] + b"\xff\xd9"))) == "ok"
    assert verdict(Probe(URL, known=KNOWN).take(Answer(404))) == "missing"


def test_a_busy_server_is_asked_for_a_change_again() -> None:
    later = Probe(URL, Patience(), KNOWN).take(Answer(503))

    assert later.ask == Ask(URL, 0, 2047, etag=KNOWN.etag, modified=KNOWN.modified)  # type: ignore[union-attr]


def test_a_moved_picture_is_asked_for_a_change_where_it_is() -> None:
    moved = Finding(Verdict.REDIRECTED, 206, "jpeg", 5008, "https://www.example.com/b.jpg", etag='"1"')
    probe = Probe(URL, known=moved)

    assert probe.start() == Ask(URL, 0, 2047)
    assert probe.take(Answer(301, {"location": "/b.jpg"})) == Ask(moved.final_url, 0, 2047, etag='"1"')
    assert probe.take(Answer(304)) == moved


def test_not_modified_without_having_been_asked_is_no_picture() -> None:
    assert verdict(Probe(URL).take(Answer(304))) == "empty"
