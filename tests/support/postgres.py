"""A real PostgreSQL, started by the tests on a free port in a directory of their own."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

_PATIENCE_SECONDS = 60
_PLACES = ("/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt")


def find_program(name: str) -> str | None:
    """The program's path: on PATH, or where Debian and Homebrew put it; the newest version first."""
    found = shutil.which(name)
    if found:
        return os.path.realpath(found)
    for place in _PLACES:
        candidates = sorted(Path(place).glob(f"*/bin/{name}"), reverse=True)
        if candidates:
            return str(candidates[0])
    return None


class Postgres:
    """A running server; `url` for clients, `drop_connections` to break every one of them."""

    def __init__(self, url: str) -> None:
        self.url = url

    def drop_connections(self) -> int:
        """Break every other connection; returns how many there were."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            rows = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            ).fetchall()
        return len(rows)

    def create_database(self, name: str) -> str:
        """A fresh database; returns its URL."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url.rpartition("/")[0] + "/" + name


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start a server; skip the test where PostgreSQL is not installed (REQUIRE_POSTGRES=1: fail)."""
    programs = {name: find_program(name) for name in ("postgres", "initdb")}
    if not all(programs.values()):
        reason = "PostgreSQL is not installed (apt-get install postgresql), so nothing was tried against it"
        if os.environ.get("REQUIRE_POSTGRES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="nl-pg-", ignore_cleanup_errors=True) as folder:
        yield from _serve(Path(folder), str(programs["initdb"]), str(programs["postgres"]))


def _serve(folder: Path, initdb: str, server: str) -> Iterator[Postgres]:
    # PostgreSQL refuses to run as root: then it runs as nobody.
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        account = pwd.getpwnam(user)
        os.chown(folder, account.pw_uid, account.pw_gid)
    data = folder / "data"
    subprocess.run(
        [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
        user=user,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    port = _free_port()
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [server, "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder, "-F"],
            user=user,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        _wait_until_it_answers(url, process, log)
        yield Postgres(url)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up, log.read_text()
            time.sleep(0.05)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
