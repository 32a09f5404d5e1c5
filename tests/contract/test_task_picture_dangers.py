"""missing-images where it could do harm or come to harm: inside the network, killed, on a full disk."""

import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tasks.contract import exit_codes
from tests.support.picture_site import ROOT, Checks, asked, picture_server, pictures

pytestmark = pytest.mark.slow

PNG, JPEG = "_images/project.png", "_images/camera_rgb.jpg"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with picture_server("", "--slow", "0.5", "--hosts", "3") as url:
        yield url


@pytest.fixture
def checks(tmp_path: Path) -> Checks:
    return Checks(tmp_path)


# -- inside the network


def test_a_name_is_judged_by_the_address_that_it_leads_to(checks: Checks, server: str) -> None:
    inside = server.replace("127.0.0.1", "localhost") + PNG
    checks.write_articles(pictures([inside]))

    code, text = checks.run("--timeout", "2")

    assert code == 0, text
    assert checks.verdicts() == {inside: "blocked"}
    assert asked(server)["requests"] == 0


def test_a_host_that_is_allowed_may_not_lead_to_one_that_is_not(checks: Checks, server: str) -> None:
    local = server.replace("127.0.0.1", "localhost")
    allowed, redirected = local + PNG, f"{local}kinds/redirect/{PNG}"
    elsewhere = [f"{local}kinds/{kind}/{PNG}" for kind in ("redirect-inside", "redirect-refused")]
    plain = server + PNG
    checks.write_articles(pictures([allowed, redirected, *elsewhere, plain]))

    code, text = checks.run("--timeout", "2", "--allow", "localhost")

    assert code == 0, text
    assert checks.verdicts() == {
        allowed: "ok",
        redirected: "redirected",
        plain: "blocked",
        **dict.fromkeys(elsewhere, "blocked"),
    }


# -- many requests at once


def test_a_host_is_not_asked_more_at_once_than_it_may_be(checks: Checks) -> None:
    with picture_server("", "--slow", "0.1") as url:
        checks.write_articles(pictures([f"{url}kinds/slow/{PNG}?{number}" for number in range(60)]))

        code, text = checks.run("--allow", "127.0.0.1", "--per-host", "5", "--concurrency", "50")

        assert code == 0, text
        assert asked(url)["most_at_once"] == 5


def test_a_body_that_drips_or_never_ends_takes_no_longer_than_a_request_may(
    checks: Checks, server: str
) -> None:
    bad = {
        f"{server}kinds/{kind}/{JPEG}": verdict
        for kind, verdict in (("drip", "timeout"), ("dripping-headers", "timeout"), ("endless", "endless"))
    }
    checks.write_articles(pictures(list(bad)))

    code, text = checks.run("--allow", "127.0.0.1", "--timeout", "1")

    assert code == 0, text
    assert checks.verdicts() == bad


def test_more_open_files_than_there_may_be_are_refused_before_anything_is_done(
    checks: Checks, server: str
) -> None:
    checks.write_articles(pictures([server + PNG]))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def run_with(files: str) -> "subprocess.CompletedProcess[str]":
        options = ("--allow", "127.0.0.1", "--concurrency", "100")
        return checks.run_in_shell(f"ulimit {files}", *options)

    refused = run_with("-n 200")
    assert refused.returncode == exit_codes.WRONG_INPUT
    assert refused.stdout == (
        "so many requests at once take 328 open files, and this process may have 200: "
        "take a smaller --concurrency, or raise the limit (ulimit -n)\n"
    )
    assert hard >= 328
    assert run_with("-Sn 200").returncode == 0  # it may raise this limit by itself
    assert checks.verdicts() == {server + PNG: "ok"}


# -- killed


def test_two_processes_killed_at_random_moments_leave_nobody_and_lose_one_batch(
    checks: Checks, server: str
) -> None:
    sites = [server.replace("127.0.0.1", f"127.0.0.{number}") for number in (1, 2, 3)]
    urls = [
        f"{site}{'kinds/slow/' if number % 2 == 0 else ''}{(PNG, JPEG)[number % 2]}?{number}"
        for site in sites
        for number in range(80)
    ]
    checks.write_articles(pictures(urls))
    chance = random.Random(20261122)
    fast = ("--allow", "127.0.0.0/8", "--timeout", "3", "--per-host", "3", "--processes", "2")
    safe: set[str] = set()
    for kind in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        process = checks.start(*fast)
        known = len(safe)
        _wait(
            lambda known=known, process=process: (
                len(checks.checkpointed()) > known or process.poll() is not None
            )
        )
        time.sleep(chance.uniform(0, 0.5))
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 2
        process.send_signal(kind)
        text, _ = process.communicate(timeout=20)
        if kind == signal.SIGTERM:
            assert process.returncode == exit_codes.STOPPED, text
        _wait(lambda family=family: not any(member.is_running() for member in family))
        assert safe <= checks.checkpointed()
        safe = checks.checkpointed()
    assert 0 < len(safe) < len(urls)

    code, text = checks.run(*fast, "--per-host", "8")

    assert code == 0, text
    assert f"going on after {len(safe)} pictures" in text
    assert checks.verdicts() == dict.fromkeys(urls, "ok")


def test_a_process_of_the_check_that_is_killed_is_tried_again_with_its_findings_safe(
    checks: Checks, server: str
) -> None:
    sites = [server.replace("127.0.0.1", f"127.0.0.{number}") for number in (1, 2)]
    urls = [f"{site}kinds/slow/{PNG}?{number}" for site in sites for number in range(30)]
    checks.write_articles(pictures(urls))
    fast = ("--allow", "127.0.0.0/8", "--timeout", "3", "--per-host", "4", "--processes", "2")
    process = checks.start(*fast)
    _wait(checks.checkpointed)

    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    workers[0].kill()
    text, _ = process.communicate(timeout=60)

    assert process.returncode == exit_codes.TRY_AGAIN, text
    assert "ended by signal 9; what was checked is safe" in text
    assert len(checks.checkpointed()) >= 30
    assert not (checks.folder / "output" / "missing-images.json").exists()
    code, text = checks.run(*fast)
    assert code == 0, text
    assert checks.verdicts() == dict.fromkeys(urls, "ok")


# -- a full disk

FILLS_THE_DISK = """
import resource, socket, sys
from contextlib import contextmanager
from pathlib import Path
from tasks.jobs.articles.address_guard import AddressGuard
from tasks.jobs.articles.database import Article
from tasks.jobs.articles.extraction import Reference
from tasks.jobs.articles.finding_files import FindingFiles
from tasks.jobs.articles.host import Politeness
from tasks.jobs.articles.picture_check import Means, check_in_processes
from tasks.jobs.articles.probe import Patience
from tasks.jobs.articles.transport import Timeouts
from tasks.jobs.articles.urls import resolve
from tasks.jobs.articles.work import Work
from tasks.jobs.program import ProgressLines, run_program

class FullWhileLent(Work):
    @contextmanager
    def lent(self):
        with super().lent():
            resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, resource.RLIM_INFINITY))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

def job(request):
    folder, processes = Path(sys.argv[1]), int(sys.argv[2])
    work = FullWhileLent(folder / "work.sqlite")
    urls = [f"http://127.0.0.{host}:9/{number}.png" for host in (1, 2) for number in range(50)]
    found = [(resolve(url, ""), Reference("src", url)) for url in urls]
    work.add_article(Article("1", "https://www.example.com/1", "t", "", None, None), found)
    means = Means(AddressGuard(), Timeouts(1, 1), "test", 10, Politeness(), Patience())
    files = FindingFiles(folder / "checkpoint")
    check_in_processes(work, files, folder / "checkpoint", means, processes, ProgressLines(), lambda: False)
    return 0

if __name__ == "__main__":
    run_program(job)
"""


@pytest.mark.parametrize("processes", ["1", "2"])
def test_findings_that_do_not_fit_on_the_disk_are_said_in_one_line(tmp_path: Path, processes: str) -> None:
    program = tmp_path / "fills.py"
    program.write_text(FILLS_THE_DISK)

    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path), processes],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == exit_codes.CANNOT_WRITE, done.stderr
    assert "Traceback" not in done.stderr
    assert "cannot write" in done.stderr
    assert list((tmp_path / "checkpoint").glob("findings-*")) == []


def _wait(seen: object) -> None:
    give_up = time.monotonic() + 30
    while not seen():  # type: ignore[operator]
        assert time.monotonic() < give_up
        time.sleep(0.02)
