"""The picture check's requests, against a real server that answers byte for byte what a test says."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile

import pytest

from tasks.jobs.articles import transport as module
from tasks.jobs.articles.address_guard import AddressGuard
from tasks.jobs.articles.picture_bytes import LONG_TAIL
from tasks.jobs.articles.probe import LONGEST_BODY, Answer, Ask, Trouble
from tasks.jobs.articles.transport import Timeouts, Transport

BOTH_ENDS = {"first": 0, "last": 2047, "tail": 64}
PLAIN = b'HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\nETag: "b"\r\n\r\nabcd'


@contextmanager
def server(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Gives the answers one after another; yields its URL and the requests it got.

    A connection is closed after an answer that says so; else it is kept.
    """
    asked: list[bytes] = []
    left = iter(answers)

    class Answering(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while request := b"".join(takewhile(lambda line: line != b"\r\n", self.rfile)):
                asked.append(request)
                answer = next(left)
                with suppress(OSError):  # the other side may have had enough
                    self.wfile.write(answer)
                if b"Connection: close" in answer:
                    return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Answering) as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{made.server_address[1]}/a.png", asked
        finally:
            made.shutdown()


@pytest.fixture
def transport() -> Iterator[Transport]:
    with Transport(AddressGuard(["127.0.0.0/8"]), Timeouts(5, 20), "test/1", 10) as made:
        yield made


def ask(transport: Transport, *asks: Ask) -> list[Answer]:
    """The answers to requests made one after another."""
    found: list[Answer] = []
    for one in asks:
        transport.start(one, None)
        while transport.active:
            found += [answer for _, _, answer in transport.wait(0.2)]
    return found


def test_an_answer_has_its_own_headers_and_not_those_of_hints_before_it(transport: Transport) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nContent-Type: text/early\r\nLocation: /early\r\n\r\n"
    with server(hints + PLAIN) as (url, _):
        answer = ask(transport, Ask(url, **BOTH_ENDS))[0]

    assert answer.status == 206
    assert answer.headers == {":status": "206", "content-length": "4", "etag": '"b"'}
    assert (answer.head, answer.length, answer.cut, answer.trouble) == (b"abcd", 4, False, None)


def test_long_lines_are_read_and_not_kept(transport: Transport) -> None:
    cookie = b"Set-Cookie: a=" + b"x" * 50_000 + b"\r\n"
    with server(PLAIN.replace(b"ETag", cookie + b"ETag")) as (url, _):
        before = module._field.cache_info().currsize
        answer = ask(transport, Ask(url, **BOTH_ENDS))[0]

    assert answer.header("etag") == '"b"'
    assert module._field.cache_info().currsize == before


def test_trailers_do_not_hide_the_headers(transport: Transport) -> None:
    chunked = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: "a"\r\n\r\n'
    with server(chunked + b"4\r\nabcd\r\n0\r\nX-Sum: 1\r\n\r\n") as (url, _):
        answer = ask(transport, Ask(url, **BOTH_ENDS))[0]

    assert (answer.status, answer.header("etag"), answer.head) == (200, '"a"', b"abcd")


@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found"])
@pytest.mark.parametrize("length", [b"Content-Length: %d\r\n" % (LONG_TAIL + 1), b"Connection: close\r\n"])
def test_all_of_a_long_file_is_not_read_where_two_ends_were_asked_for(
    transport: Transport, status: bytes, length: bytes
) -> None:
    long = b"HTTP/1.1 %b\r\n%b\r\n" % (status, length) + b"x" * (4 * LONG_TAIL)
    with server(long, PLAIN) as (url, asked):
        answers = ask(transport, Ask(url, **BOTH_ENDS), Ask(url, 0, 2047))

    assert answers[0].cut
    assert answers[0].trouble is None
    assert answers[0].status == int(status[:3])
    assert answers[0].length <= LONG_TAIL
    assert answers[1].head == b"abcd"  # the next request is not held to the limit of the last
    assert [b"bytes=0-2047,-64" in request for request in asked] == [True, False]


def test_a_long_file_is_counted_to_its_end_where_it_was_asked_for(transport: Transport) -> None:
    body = b"head" + b"-" * (3 * LONG_TAIL) + b"tail"
    with server(PLAIN, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body), PLAIN) as (
        url,
        asked,
    ):
        first, long, last = ask(transport, Ask(url, **BOTH_ENDS), Ask(url), Ask(url, **BOTH_ENDS))

    assert (long.length, long.cut, long.head[:4], long.tail[-4:]) == (len(body), False, b"head", b"tail")
    assert first.length == last.length == 4
    assert last.tail == b"abcd"  # nothing is left of the long one
    assert b"Range" not in asked[1]


def test_an_endless_file_is_left_at_the_limit(transport: Transport) -> None:
    endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * (LONGEST_BODY + 2 * LONG_TAIL)
    with server(endless) as (url, _):
        answer = ask(transport, Ask(url))[0]

    assert answer.cut
    assert LONGEST_BODY < answer.length < LONGEST_BODY + 2 * LONG_TAIL


def test_a_connection_that_the_server_closed_meanwhile_is_made_anew(transport: Transport) -> None:
    closing = PLAIN.replace(b"\r\nETag", b"\r\nConnection: close\r\nETag")
    with server(closing, closing, PLAIN) as (url, asked):
        answers = ask(transport, *[Ask(url, **BOTH_ENDS)] * 3)

    assert [answer.head for answer in answers] == [b"abcd"] * 3
    assert len(asked) == 3


def test_what_was_asked_for_in_vain_does_not_spoil_the_next_answer(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        closed = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
    with server(PLAIN) as (url, _):
        blocked, refused, good = ask(
            transport, Ask("http://169.254.169.254/latest"), Ask(closed), Ask(url, **BOTH_ENDS)
        )

    assert refused.trouble is Trouble.REFUSED
    assert blocked.trouble is Trouble.BLOCKED
    assert (good.trouble, good.detail, good.head) == (None, "", b"abcd")
