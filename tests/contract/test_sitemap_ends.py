"""How sitemap-refresh ends when it cannot go on: nothing half-done stays, and what was published stays."""

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tasks.contract import exit_codes
from tests.support.postgres import Postgres, postgres
from tests.support.waiting import until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SITE = "https://www.example.com/"
ROWS = 52_000
# The second part has been begun when it becomes slow. What is slow is worked out after the rows are in order.
SLOW = (
    "SELECT id, url || CASE WHEN id > 51000 THEN pg_sleep(0.2)::text ELSE '' END AS url, title, images,"
    " published_at, updated_at FROM nightlatch_articles ORDER BY id"
)
LIMITED = (
    "import resource, runpy, sys; most = int(sys.argv.pop(1));"
    " resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY));"
    " runpy.run_module('tasks.jobs.articles.sitemap_refresh', run_name='__main__')"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(scope="module")
def many(server: Postgres) -> str:
    return database(server, ROWS)


def database(server: Postgres, rows: int) -> str:
    url = server.create_database(uuid.uuid4().hex)
    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE TABLE nightlatch_articles AS SELECT id, 'title' AS title,"
            " 'https://www.example.com/' || md5(id::text) AS url,"
            " ARRAY['https://img.example.com/' || md5((-id)::text)] AS images,"
            " now() AS published_at, now() AS updated_at FROM generate_series(1, %s) AS id",
            [rows],
        )
    return url


def command(url: str, out: Path, *options: str) -> list[str]:
    module = ("-m", "tasks.jobs.articles.sitemap_refresh")
    return [sys.executable, *module, "--database", url, "--output", str(out), *options]


def run(words: list[str], **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def limited(most: int, words: list[str]) -> list[str]:
    """The same with a disk on which no file has more than `most` bytes."""
    return [words[0], "-c", LIMITED, str(most), *words[3:]]


def contents(directory: Path) -> dict[str, bytes]:
    return {it.name: it.read_bytes() for it in directory.iterdir() if it.is_file()}


def assert_nothing_half_done(out: Path) -> None:
    """Parts that are whole may be there: nobody reads them without the index."""
    names = {it.name for it in out.iterdir()}
    assert all(re.fullmatch(r"(sitemap|news)-\d{5}-[0-9a-f]{16}\.xml\.gz", name) for name in names), names


@pytest.fixture(scope="module")
def night(many: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an undisturbed night writes and publishes."""
    folder = tmp_path_factory.mktemp("night")
    done = run(command(many, folder / "out", "--publish", str(folder / "site")))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL", "dropped"])
def test_what_ends_in_the_second_part_publishes_nothing_and_the_next_night_is_whole(
    server: Postgres, many: str, night: Path, tmp_path: Path, end: str
) -> None:
    out = tmp_path / "out"
    words = command(many, out, "--publish", str(tmp_path / "site"))
    job = subprocess.Popen(
        words, cwd=ROOT, env={**os.environ, "ARTICLES_SQL": SLOW}, stderr=subprocess.PIPE, text=True
    )
    until(
        lambda: list(out.glob("sitemap-00001-*.xml.gz")) and list(out.glob("sitemap-00002.tmp")), seconds=60
    )

    if end == "dropped":
        assert server.drop_connections() >= 1
    else:
        job.send_signal(signal.Signals[end])
    _, complaint = job.communicate(timeout=30)

    expected = {"SIGTERM": exit_codes.STOPPED, "SIGKILL": -signal.SIGKILL, "dropped": exit_codes.TRY_AGAIN}
    assert job.returncode == expected[end], complaint
    assert ("went away" in complaint) == (end == "dropped")
    assert "Traceback" not in complaint
    assert not (tmp_path / "site").exists()
    if end != "SIGKILL":
        assert_nothing_half_done(out)
    done = run(words)
    assert done.returncode == 0, done.stderr
    assert contents(out) == contents(night / "out")


@pytest.mark.parametrize("most", [0, 100_000, -1])
def test_a_disk_that_is_full_in_the_middle_of_a_part_or_at_its_end_leaves_nothing(
    many: str, night: Path, tmp_path: Path, most: int
) -> None:
    """At its very beginning, in the thread that packs, or when the last bytes of a part are written."""
    largest = max(len(body) for name, body in contents(night / "out").items() if name.endswith(".gz"))

    done = run(limited(most if most >= 0 else largest + most, command(many, tmp_path / "out")))

    assert done.returncode == exit_codes.CANNOT_WRITE, done.stderr
    assert done.stderr == "cannot write: File too large\n"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_disk_that_is_full_at_the_index_leaves_the_published_one(server: Postgres, tmp_path: Path) -> None:
    # With so long a place the index has more bytes than its part.
    base = f"--sitemap-base={SITE}{'x' * 1000}/"
    out, site = tmp_path / "out", tmp_path / "site"
    assert run(command(database(server, 3), out, base, "--publish", str(site))).returncode == 0
    before = contents(site)
    index = len((out / "sitemap.xml").read_bytes())
    changed = database(server, 2)

    unwritten = run(limited(index - 1, command(changed, tmp_path / "1", base, "--publish", str(site))))
    unpublished = run(limited(index, command(changed, tmp_path / "2", base, "--publish", str(site))))

    codes = (unwritten.returncode, unpublished.returncode)
    assert codes == (exit_codes.CANNOT_WRITE, exit_codes.CANNOT_WRITE), unwritten.stderr + unpublished.stderr
    assert "Traceback" not in unwritten.stderr + unpublished.stderr
    assert_nothing_half_done(tmp_path / "1")
    assert (tmp_path / "2" / "sitemap.xml").exists()
    after = contents(site)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 1  # the part that no index names yet
    again = run(command(changed, tmp_path / "3", base, "--publish", str(site)))
    assert again.returncode == 0, again.stderr
    assert contents(site)["sitemap.xml"] != before["sitemap.xml"]
