"""How the picture check comes by its connections: names, addresses, certificates, and what forbids them."""

import asyncio
import os
import resource
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
import uvloop

from tasks.contract import exit_codes
from tasks.jobs.articles.address_guard import AddressGuard
from tasks.jobs.articles.connection import Connection, Exchange, Place
from tasks.jobs.articles.dialling import Dialler
from tasks.jobs.articles.probe import Answer, Ask, Trouble
from tasks.jobs.articles.transport import Timeouts, Transport
from tasks.jobs.program import JobError
from tests.support.http_answers import CLOSE, PLAIN, ask, server

LOOPBACK = ("127.0.0.0/8", "::1/128")


@contextmanager
def transport(*allow: str, connect: float = 5) -> Iterator[Transport]:
    with Transport(AddressGuard(allow or LOOPBACK), Timeouts(connect, 20), "test/1", 10) as made:
        yield made


# -- names and addresses


@pytest.mark.parametrize("name", ["nobody.invalid", "a" * 64 + ".invalid", "a..invalid"])
def test_a_name_that_does_not_exist_is_a_trouble_of_dns(name: str) -> None:
    with transport() as it:
        answers = ask(it, *[Ask(f"http://{name}/a.png")] * 2)

    assert [answer.trouble for answer in answers] == [Trouble.DNS] * 2
    assert all(answer.detail for answer in answers)


def test_an_address_at_which_nobody_listens_is_refused() -> None:
    with socket.socket() as bound, transport() as it:
        bound.bind(("127.0.0.1", 0))
        answer = ask(it, Ask(f"http://127.0.0.1:{bound.getsockname()[1]}/"))[0]

    assert answer.trouble is Trouble.REFUSED
    assert answer.detail


def test_a_name_with_two_addresses_is_reached_at_the_one_that_answers() -> None:
    with server(PLAIN) as asked, transport() as it:
        found = ask(it, Ask(asked.url.replace("127.0.0.1", "localhost")))[0]

    assert found.head == b"abcd"


def test_two_ports_of_one_name_are_two_places_though_urls_write_them_alike() -> None:
    """As http and https at the same name: neither port is written."""

    async def dialled(loop: asyncio.AbstractEventLoop, ports: list[int]) -> list[int]:
        dialler = Dialler(loop, AddressGuard(LOOPBACK))
        reached = []
        for port in ports:
            connection = ConnectionWithPeer(NoOwner(), Place("localhost", "localhost", port, tls=False))
            await dialler.dial(connection.place, connection)
            reached.append(connection.peer[1])
            connection.close()
        return reached

    with server() as one, server() as two:
        ports = [int(asked.url.split(":")[2].split("/")[0]) for asked in (one, two)]
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            reached = runner.run(dialled(runner.get_loop(), ports))

    assert reached == ports


class ConnectionWithPeer(Connection):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.peer: tuple[str, int] = transport.get_extra_info("peername")


class NoOwner:
    """Nobody is told anything."""

    def ended(self, connection: Connection, exchange: Exchange, answer: Answer, *, keep: bool) -> None: ...

    def unheard(self, exchange: Exchange) -> None: ...

    def lost(self, connection: Connection) -> None: ...


def test_an_address_of_ipv6_is_asked() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6 here")
    with server(PLAIN, host="::1") as asked, transport() as it:
        found = ask(it, Ask(asked.url))[0]

    assert found.head == b"abcd"
    assert b"Host: [::1]:" in asked.requests[0]


def test_only_what_is_permitted_is_connected_to() -> None:
    with server(PLAIN) as asked, transport("127.0.0.0/8") as it:
        urls = ["http://169.254.169.254/latest", "http://[::1]:1/", "http://10.0.0.1/"]
        blocked = ask(it, *map(Ask, urls))
        name = ask(it, Ask(asked.url.replace("127.0.0.1", "localhost")))[0]

    assert [answer.trouble for answer in blocked] == [Trouble.BLOCKED] * 3
    assert name.head == b"abcd"  # the address of the name that is permitted


def test_a_guard_that_forbids_the_address_of_a_name_is_heeded_before_anybody_is_asked() -> None:
    with server(PLAIN) as asked, transport("127.0.0.2") as it:
        answers = ask(it, Ask(asked.url), Ask(asked.url.replace("127.0.0.1", "localhost")))

    assert [answer.trouble for answer in answers] == [Trouble.BLOCKED] * 2
    assert asked.connections == 0


class BrokenGuard(AddressGuard):
    """Stands for any mistake of ours on the way to a connection."""

    def permits(self, host: str, address: str) -> bool:
        raise LookupError(f"{host} {address}")


def test_a_mistake_of_ours_is_no_verdict() -> None:
    with (
        pytest.raises(LookupError, match=r"127\.0\.0\.1"),
        Transport(BrokenGuard(), Timeouts(), "test/1", 1) as it,
    ):
        ask(it, Ask("http://127.0.0.1/"))


def test_a_process_that_may_open_nothing_more_says_so_and_gives_no_verdict() -> None:
    async def ask_with_no_file_left(it: Transport) -> None:
        lowest = os.dup(0)
        os.close(lowest)
        may, may_become = resource.getrlimit(resource.RLIMIT_NOFILE)
        it.start(Ask("http://127.0.0.1:1/"), None)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, may_become))
        try:
            while it.active:
                assert await it.wait(0.2) == []
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (may, may_become))

    with transport() as it, pytest.raises(JobError, match="Too many open files") as raised:
        it.run(ask_with_no_file_left(it))

    assert raised.value.exit_code == exit_codes.TRY_AGAIN


# -- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def served_by(issuer: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return authority


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_secured_connection_is_made_and_kept(trusted: trustme.CA, host: str) -> None:
    with server(PLAIN, PLAIN, tls=served_by(trusted, host)) as asked, transport() as it:
        answers = ask(it, *[Ask(asked.url.replace("127.0.0.1", host))] * 2)

    assert [(answer.head, answer.trouble) for answer in answers] == [(b"abcd", None)] * 2
    assert (len(asked.requests), asked.connections) == (2, 1)


def test_a_secured_answer_without_a_length_ends_with_the_connection(trusted: trustme.CA) -> None:
    body = b"x" * 100_000
    answer = b"HTTP/1.1 200 OK\r\n\r\n" + body + CLOSE
    with server(answer, tls=served_by(trusted, "127.0.0.1")) as asked, transport() as it:
        found = ask(it, Ask(asked.url))[0]

    assert (found.trouble, found.length) == (None, len(body))


def test_a_certificate_of_a_stranger_is_not_believed(authority: trustme.CA) -> None:
    with server(PLAIN, tls=served_by(authority, "127.0.0.1")) as asked, transport() as it:
        answer = ask(it, Ask(asked.url))[0]

    assert answer.trouble is Trouble.TLS
    assert "certificate" in answer.detail
    assert asked.requests == []


def test_a_certificate_for_another_name_is_not_believed(trusted: trustme.CA) -> None:
    with server(PLAIN, tls=served_by(trusted, "www.example.com")) as asked, transport() as it:
        answer = ask(it, Ask(asked.url))[0]

    assert answer.trouble is Trouble.TLS
    assert asked.requests == []


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_server_that_knows_no_tls_is_a_trouble_of_tls(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, transport() as it:

        def refuse() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(answer)

        refusing = threading.Thread(target=refuse)
        refusing.start()
        found = ask(it, Ask(f"https://127.0.0.1:{listening.getsockname()[1]}/"))[0]
        refusing.join()

    assert found.trouble is Trouble.TLS


def test_a_handshake_that_hangs_ends_with_the_time_for_connecting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, transport(connect=0.1) as it:
        answer = ask(it, Ask(f"https://127.0.0.1:{silent.getsockname()[1]}/"))[0]

    assert (answer.trouble, answer.detail) == (Trouble.TIMEOUT, "no connection in 0.1 s")
