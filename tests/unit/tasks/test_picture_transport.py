"""The picture check's requests, against a real server that answers byte for byte what a test says."""

from collections.abc import Iterator

import pytest

from tasks.jobs.articles import connection as module
from tasks.jobs.articles.address_guard import AddressGuard
from tasks.jobs.articles.connection import LONGEST_HEADERS, Connection, Exchange, Place
from tasks.jobs.articles.picture_bytes import LONG_TAIL
from tasks.jobs.articles.probe import LONGEST_BODY, Answer, Ask, Trouble
from tasks.jobs.articles.transport import Timeouts, Transport
from tests.support.http_answers import CLOSE, HANG, PLAIN, RESET, ask, server

BOTH_ENDS = {"first": 0, "last": 2047, "tail": 64}
CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: "a"\r\n\r\n'


@pytest.fixture
def transport() -> Iterator[Transport]:
    with made() as transport:
        yield transport


def made(total: float = 20, most: int = 10) -> Transport:
    return Transport(AddressGuard(["127.0.0.0/8"]), Timeouts(5, total), "test/1", most)


# -- what is asked


def test_a_request_says_what_is_wanted_and_who_wants_it(transport: Transport) -> None:
    with server(PLAIN, PLAIN, PLAIN) as asked:
        known = Ask(asked.url + "?a=b", **BOTH_ENDS, etag='"x"', modified="Sun, 22 Nov 2026 07:30:00 GMT")
        ask(transport, known, Ask(asked.url, 5, 9), Ask(asked.url))

    host = asked.url.split("/")[2]
    first, second, third = (request.decode().split("\r\n") for request in asked.requests)
    assert first[:2] == ["GET /a.png?a=b HTTP/1.1", f"Host: {host}"]
    assert set(first[2:]) == {
        "Range: bytes=0-2047,-64",
        'If-None-Match: "x"',
        "If-Modified-Since: Sun, 22 Nov 2026 07:30:00 GMT",
        "User-Agent: test/1",
        "Accept: image/*,*/*;q=0.5",
        "Accept-Encoding: identity",
        "",
    }
    assert "Range: bytes=5-9" in second
    assert not any(line.startswith(("Range", "If-")) for line in third)
    assert asked.connections == 1


@pytest.mark.parametrize("etag", ['"a"\r\nX-Evil: 1', '"ü"', ""])
def test_what_a_server_sent_does_not_break_a_line(transport: Transport, etag: str) -> None:
    with server(PLAIN) as asked:
        ask(transport, Ask(asked.url, etag=etag, modified="yesterday"))

    assert b"If-Modified-Since: yesterday" in asked.requests[0]
    assert b"None-Match" not in asked.requests[0]
    assert b"Evil" not in asked.requests[0]


# -- headers


def test_an_answer_has_its_own_headers_and_not_those_of_hints_before_it(transport: Transport) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nContent-Type: text/early\r\nLocation: /early\r\n\r\n"
    with server(hints + hints + PLAIN) as asked:
        answer = ask(transport, Ask(asked.url, **BOTH_ENDS))[0]

    assert answer.status == 206
    assert answer.headers == {"content-length": "4", "etag": '"b"'}
    assert (answer.head, answer.length, answer.cut, answer.trouble) == (b"abcd", 4, False, None)


def test_headers_are_known_however_they_are_written(transport: Transport) -> None:
    written = b'eTAG:  "x"  \r\nCONTENT-type:image/png\r\nLocation: /\xe7\r\nLast-Modified: \xc3\xa9\r\n'
    with server(PLAIN.replace(b'ETag: "b"\r\n', written)) as asked:
        answer = ask(transport, Ask(asked.url))[0]

    assert answer.headers == {
        "content-length": "4",
        "etag": '"x"',
        "content-type": "image/png",
        "location": "/ç",
        "last-modified": "é",
    }


def test_long_lines_are_read_and_not_kept(transport: Transport) -> None:
    cookies = b"Set-Cookie: a=" + b"x" * 50_000 + b"\r\nX-" + b"y" * 50_000 + b": 1\r\n"
    with server(PLAIN.replace(b"ETag", cookies + b"ETag")) as asked:
        answer = ask(transport, Ask(asked.url, **BOTH_ENDS))[0]

    assert answer.header("etag") == '"b"'
    assert module._NAMES[b"ETag"] == "etag"
    assert max(map(len, module._NAMES)) < 20


def test_spellings_of_names_are_kept_up_to_a_number() -> None:
    names = module._Names()

    found = [names[b"x-%d" % number] for number in range(5_000)]

    assert set(found) == {""}
    assert len(names) == 1024
    assert names[b"EtAg"] == "etag"


def test_trailers_do_not_hide_the_headers(transport: Transport) -> None:
    with server(CHUNKED + b'4\r\nabcd\r\n0\r\nETag: "z"\r\nX-Sum: 1\r\n\r\n', PLAIN) as asked:
        answer, after = ask(transport, Ask(asked.url, **BOTH_ENDS), Ask(asked.url))

    assert (answer.status, answer.header("etag"), answer.head) == (200, '"a"', b"abcd")
    assert after.header("etag") == '"b"'
    assert asked.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 4\n\nabcd",
        b"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.0 200 OK\r\n\r\nabcd" + CLOSE,
        b"HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2,h2c\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n4 \r\nabcd\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Odd: \x01\xff\r\nContent-Length: 4\r\n\r\nabcd",
    ],
)
def test_odd_answers_that_browsers_read_are_read(transport: Transport, answer: bytes) -> None:
    with server(answer) as asked:
        found = ask(transport, Ask(asked.url))[0]

    assert (found.status, found.head, found.trouble, found.detail) == (200, b"abcd", None, "")


ENDLESS_LINES = b"X-More: " + b"x" * 2 * LONGEST_HEADERS


@pytest.mark.parametrize(
    "answer",
    [
        b"220 pictures.example ready\r\n",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"HTTP/1.1 200 OK\r\n" + ENDLESS_LINES,
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * (LONGEST_HEADERS // 20),
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
        CHUNKED + b"no length\r\nabcd\r\n",
        CHUNKED + b"4\r\nabcd\r\n0\r\n" + ENDLESS_LINES,
    ],
)
def test_what_is_no_http_is_garbled(transport: Transport, answer: bytes) -> None:
    with server(answer + HANG, PLAIN) as asked:
        garbled, after = ask(transport, Ask(asked.url), Ask(asked.url))

    assert garbled.trouble is Trouble.GARBLED
    assert garbled.detail
    assert after.head == b"abcd"
    assert asked.connections == 2


# -- bodies


@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found"])
@pytest.mark.parametrize(
    ("length", "most"),
    [(b"Content-Length: %d\r\n" % (LONG_TAIL + 1), 0), (b"Connection: close\r\n", 16 * LONG_TAIL)],
)
def test_all_of_a_long_file_is_not_read_where_two_ends_were_asked_for(
    transport: Transport, status: bytes, length: bytes, most: int
) -> None:
    long = b"HTTP/1.1 %b\r\n%b\r\n" % (status, length) + b"x" * (64 * LONG_TAIL)
    with server(long, PLAIN) as asked:
        answers = ask(transport, Ask(asked.url, **BOTH_ENDS), Ask(asked.url, 0, 2047))

    assert answers[0].cut
    assert answers[0].trouble is None
    assert answers[0].status == int(status[:3])
    assert answers[0].length <= most
    assert answers[1].head == b"abcd"  # the next request is not held to the limit of the last
    assert [b"bytes=0-2047,-64" in request for request in asked.requests] == [True, False]


def test_a_long_file_is_counted_to_its_end_where_it_was_asked_for(transport: Transport) -> None:
    body = b"head" + b"-" * (9 * LONG_TAIL) + b"tail"
    with server(
        PLAIN, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body), PLAIN
    ) as asked:
        first, long, last = ask(
            transport, Ask(asked.url, **BOTH_ENDS), Ask(asked.url), Ask(asked.url, **BOTH_ENDS)
        )

    assert (long.length, long.cut, long.head, long.tail) == (
        len(body),
        False,
        body[:LONG_TAIL],
        body[-LONG_TAIL:],
    )
    assert first.length == last.length == 4
    assert last.tail == b"abcd"  # nothing is left of the long one
    assert asked.connections == 1


def test_an_endless_file_is_left_at_the_limit(transport: Transport) -> None:
    endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * (LONGEST_BODY + 64 * LONG_TAIL)
    with server(endless) as asked:
        answer = ask(transport, Ask(asked.url))[0]

    assert answer.cut
    assert LONGEST_BODY < answer.length < LONGEST_BODY + 8 * LONG_TAIL
    assert len(answer.head) == len(answer.tail) == LONG_TAIL


def test_a_body_ends_with_the_connection_where_nothing_else_says_so(transport: Transport) -> None:
    with server(b"HTTP/1.1 200 OK\r\n\r\nabcd" + CLOSE) as asked:
        answer = ask(transport, Ask(asked.url))[0]

    assert (answer.status, answer.head, answer.length, answer.trouble) == (200, b"abcd", 4, None)


@pytest.mark.parametrize("status", [b"304 Not Modified", b"204 No Content"])
@pytest.mark.parametrize("length", [b"", b"Content-Length: 5000\r\n", b"Content-Length: 0\r\n"])
def test_an_answer_without_a_body_is_whole_whatever_length_it_states(
    transport: Transport, status: bytes, length: bytes
) -> None:
    with server(b"HTTP/1.1 %b\r\n%b\r\n" % (status, length), PLAIN) as asked:
        nothing, after = ask(transport, Ask(asked.url), Ask(asked.url))

    assert (nothing.status, nothing.length, nothing.trouble) == (int(status[:3]), 0, None)
    assert after.head == b"abcd"


# -- connections that end


@pytest.mark.parametrize(
    ("answer", "trouble", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd" + CLOSE, Trouble.PARTIAL, 200),
        (CHUNKED + b"4\r\nabcd\r\n" + CLOSE, Trouble.PARTIAL, 200),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nabcd" + CLOSE, Trouble.PARTIAL, 404),
        (b"HTTP/1.1 200 OK\r\nContent-Le" + CLOSE, Trouble.RESET, 0),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + CLOSE, Trouble.RESET, 0),
        (CLOSE, Trouble.RESET, 0),
        (RESET, Trouble.RESET, 0),
    ],
)
def test_a_server_that_hangs_up_too_early_is_told_from_one_that_is_done(
    transport: Transport, answer: bytes, trouble: Trouble, status: int
) -> None:
    with server(answer) as asked:
        found = ask(transport, Ask(asked.url))[0]

    assert (found.trouble, found.status) == (trouble, status)
    assert found.detail
    assert len(asked.requests) == 1


class Wire:
    """The other side of a connection, where a test has to say in which order things come."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def write(self, data: bytes) -> None:
        """A request; nobody reads it."""

    def abort(self) -> None:
        """We hang up."""

    def is_closing(self) -> bool:
        return False

    def ended(self, connection: Connection, exchange: Exchange, answer: Answer, *, keep: bool) -> None:
        assert not keep
        self.answers.append(answer)

    def unheard(self, exchange: Exchange) -> None:
        raise AssertionError(exchange)

    def lost(self, connection: Connection) -> None:
        """The connection is closed."""


@pytest.mark.parametrize("length", [b"Content-Length: 9\r\n", b""])
def test_a_reset_in_the_middle_of_a_body_is_no_end_of_it(length: bytes) -> None:
    wire = Wire()
    place = Place("127.0.0.1", "127.0.0.1", 80, tls=False)
    connection = Connection(wire, place)
    connection.connection_made(wire)  # type: ignore[arg-type]
    connection.send(Exchange(Ask("http://127.0.0.1/"), None, place, b"", 0.0))

    connection.data_received(b"HTTP/1.1 200 OK\r\n" + length + b"\r\nabcd")
    connection.connection_lost(ConnectionResetError("Connection reset by peer"))

    assert [(it.trouble, it.status, it.head) for it in wire.answers] == [(Trouble.RESET, 200, b"abcd")]


@pytest.mark.parametrize("end", [CLOSE, RESET])
def test_a_kept_connection_that_turns_out_to_be_closed_is_made_anew(transport: Transport, end: bytes) -> None:
    with server(PLAIN, end, PLAIN, end, end) as asked:
        answers = ask(transport, *[Ask(asked.url)] * 3)

    assert [answer.head for answer in answers] == [b"abcd", b"abcd", b""]
    assert answers[2].trouble is Trouble.RESET  # a new connection got no answer, either
    assert (len(asked.requests), asked.connections) == (5, 3)


def test_a_connection_that_the_server_closed_meanwhile_is_made_anew(transport: Transport) -> None:
    closing = PLAIN.replace(b"\r\nETag", b"\r\nConnection: close\r\nETag")
    with server(closing, PLAIN + CLOSE, PLAIN) as asked:
        answers = ask(transport, *[Ask(asked.url)] * 3)

    assert [answer.head for answer in answers] == [b"abcd"] * 3
    assert (len(asked.requests), asked.connections) == (3, 3)


@pytest.mark.parametrize("more", [PLAIN, b"garbage", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_what_nobody_asked_for_is_not_taken_for_the_next_answer(transport: Transport, more: bytes) -> None:
    poisoned = more.replace(b"abcd", b"evil")
    with server(PLAIN + poisoned, PLAIN) as asked:
        answers = ask(transport, Ask(asked.url), Ask(asked.url))

    assert [(answer.head, answer.trouble) for answer in answers] == [(b"abcd", None)] * 2
    assert asked.connections == 2


def test_no_more_connections_are_kept_than_there_may_be() -> None:
    with (
        server(*[PLAIN] * 2) as one,
        server(*[PLAIN] * 2, host="127.0.0.2") as two,
        server(*[PLAIN] * 4, host="127.0.0.3") as three,
        made(most=1) as transport,
    ):
        urls = [one.url, two.url, three.url]
        found = ask(transport, *[Ask(url) for url in [*urls, *urls, three.url, three.url]])

    assert [answer.head for answer in found] == [b"abcd"] * 8
    assert [it.connections for it in (one, two, three)] == [2, 2, 2]  # each had been idle for longest


# -- time


@pytest.mark.parametrize(
    ("answer", "status"),
    [(HANG, 0), (b"HTTP/1.1 200 OK\r\nContent-" + HANG, 0), (PLAIN[:-1] + HANG, 206)],
)
def test_a_request_ends_in_time_whatever_comes(answer: bytes, status: int) -> None:
    with made(total=0.1) as transport, server(answer, PLAIN) as asked:
        late = ask(transport, Ask(asked.url))[0]
        asked_again = ask(transport, Ask(asked.url))[0]

    assert (late.trouble, late.status, late.detail) == (Trouble.TIMEOUT, status, "no whole answer in 0.1 s")
    assert late.head == (b"abc" if status else b"")
    assert asked_again.head == b"abcd"  # on a connection of its own
    assert asked.connections == 2


def test_each_answer_comes_with_its_own_tag(transport: Transport) -> None:
    with server(PLAIN) as one, server(HANG, host="127.0.0.2") as two:
        transport.start(Ask(two.url), "hangs")
        transport.start(Ask(one.url), "answers")
        first = []
        while not first:
            first = transport.run(transport.wait(0.2))

        assert [(tag, answer.head) for tag, _, answer in first] == [("answers", b"abcd")]
        assert transport.active == 1


def test_leaving_with_requests_under_way_closes_their_connections() -> None:
    with server(HANG, HANG) as asked:
        with made() as transport:
            transport.start(Ask(asked.url), 1)
            transport.start(Ask(asked.url), 2)
            while len(asked.requests) < 2:
                transport.run(transport.wait(0.05))
            transport.start(Ask(asked.url), 3)
        assert asked.ended.acquire(timeout=10)
        assert asked.ended.acquire(timeout=10)
