"""missing-images beside its peers: how fast, how right, in how much memory.

All servers are on loopback: nginx with real pictures, at once and with 50 ms of latency, and the picture
server that misbehaves. Rounds of ours and the peers are interleaved.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from bench.image_peers import runs
from bench.image_peers.origin import HOSTS, LATENCY_SECONDS, Origin, origin
from bench.image_peers.programs import AbsentError, Peers, all_peers
from bench.report import Report, median_ratio
from tasks.jobs.articles.address_guard import AddressGuard
from tasks.jobs.articles.corpus import locate
from tasks.jobs.articles.database import Article
from tasks.jobs.articles.extraction import Reference
from tasks.jobs.articles.finding_files import FindingFiles
from tasks.jobs.articles.host import Politeness
from tasks.jobs.articles.misbehaviour import GOOD, TRUTH, true_verdict
from tasks.jobs.articles.picture_check import Means, check_in_processes
from tasks.jobs.articles.picture_server import PICTURES
from tasks.jobs.articles.probe import Patience
from tasks.jobs.articles.transport import Timeouts
from tasks.jobs.articles.urls import Address, host_of
from tasks.jobs.articles.work import Work
from tasks.jobs.program import ProgressLines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROOT = Path(__file__).resolve().parent.parent
NEAR_HOSTS: Final = 10
FAR_CONNECTIONS: Final = 2000
FAR_PER_HOST: Final = 40
PROCESSES: Final = 2
_MEGABYTE: Final = 1e6
_LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int = 5
    near: int = 150_000
    lychee: int = 20_000
    wrk_seconds: int = 4
    far: int = 150_000
    sequential: int = 150
    names: int = 36
    timeout: float = 10.0
    many: int = 1_000_000
    pictures_an_article: int = 50


def ours(urls: Iterable[str], *, connections: int, per_host: int) -> float:
    """Full verdicts of different pictures, from the list of URLs to findings on disk: URLs a second."""
    with tempfile.TemporaryDirectory(prefix="nightlatch-bench-check-") as name:
        scratch = Path(name)
        work = Work(scratch / "work.sqlite")
        found = ((Address(url, host_of(url)), Reference("src", url)) for url in urls)
        work.add_article(Article("1", "https://www.example.com/1", "one", "", None, None), found)
        means = Means(
            AddressGuard(["127.0.0.0/8"]),
            Timeouts(5, 20),
            "nightlatch-bench/1",
            connections,
            Politeness(connections=per_host),
            Patience(),
        )
        files = FindingFiles(scratch / "checkpoint")
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            began = time.perf_counter()
            check_in_processes(
                work, files, scratch / "checkpoint", means, PROCESSES, ProgressLines(), lambda: False
            )
            took = time.perf_counter() - began
        verdicts, count = work.verdicts(), work.counts()["pictures"]
        work.close()
    assert verdicts == {"ok": count}, verdicts
    return count / took


def measure_near(peers: Peers, pictures: Origin, size: Size, report: Report) -> None:
    """Against the limit of the server, and against lychee."""
    mine: list[float] = []
    limit: list[float] = []
    others: list[float] = []
    absent: list[str] = []
    with tempfile.TemporaryDirectory(prefix="nightlatch-bench-peers-") as name:
        scratch = Path(name)
        for _ in range(size.rounds):
            urls = pictures.urls(size.near, NEAR_HOSTS)
            mine.append(ours(urls, connections=runs.CONNECTIONS, per_host=runs.CONNECTIONS))
            one = next(pictures.urls(1, 1))
            _try(limit, absent, partial(runs.wrk, peers, one, size.wrk_seconds, scratch))
            some = pictures.urls(size.lychee, NEAR_HOSTS)
            _try(others, absent, partial(runs.lychee, peers, some, scratch))
    report.add("full_verdicts_a_second", statistics.median(mine))
    if len(limit) == len(mine):
        report.add("wrk_ranged_gets_a_second", statistics.median(limit))
        report.add("full_verdicts_share_of_wrk", median_ratio(mine, limit), (">=", 0.25))
    if len(others) == len(mine):
        report.add("lychee_heads_a_second", statistics.median(others))
        report.add("full_verdicts_times_lychee", median_ratio(mine, others), (">=", 2))
    for reason in sorted(set(absent)):
        report.note(f"a peer is missing, its goal was not judged: {reason}")


def measure_far(peers: Peers, pictures: Origin, size: Size, report: Report) -> None:
    """With the latency of a network, against the loop that everybody writes first."""
    mine: list[float] = []
    others: list[float] = []
    absent: list[str] = []
    for _ in range(size.rounds):
        few = pictures.urls(size.sequential, HOSTS, far=True)
        _try(others, absent, partial(runs.sequential, peers, few))
        urls = pictures.urls(size.far, HOSTS, far=True)
        mine.append(ours(urls, connections=FAR_CONNECTIONS, per_host=FAR_PER_HOST))
    report.add("full_verdicts_a_second_at_50_ms", statistics.median(mine))
    if len(others) == len(mine):
        report.add("requests_loop_a_second_at_50_ms", statistics.median(others))
        report.add("full_verdicts_times_requests_loop_at_50_ms", median_ratio(mine, others), (">=", 800))
    for reason in sorted(set(absent)):
        report.note(f"a peer is missing, its goal was not judged: {reason}")


def _try(into: list[float], absent: list[str], measure: Callable[[], float]) -> None:
    try:
        into.append(measure())
    except AbsentError as error:
        absent.append(str(error))


# -- right or wrong


@contextlib.contextmanager
def misbehaving_server(hosts: int = 1) -> Iterator[str]:
    """The shipped picture server; the URL of its first host."""
    command = [sys.executable, "-m", "tasks.jobs.articles.picture_server", "--hosts", str(hosts)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def labelled(url: str, names: int) -> dict[str, str]:
    """URLs of real pictures, each served in every way the server knows, with the verdict that is true.

    Every picture has a host of its own: one that is busy so often is asked slowly.
    """
    folder = locate()
    paths = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.suffix in PICTURES]
    return {
        f"{url.replace('127.0.0.1', f'127.0.0.{host}')}kinds/{kind}/{path.as_posix()}": true_verdict(
            kind
        ).value
        for host, path in enumerate(paths[:names], start=1)
        for kind in (GOOD, *TRUTH)
    }


def measure_verdicts(size: Size, report: Report) -> dict[str, tuple[str, str]]:
    """How many verdicts are right; returns the wrong ones as URL: (found, true)."""
    with (
        tempfile.TemporaryDirectory(prefix="nightlatch-bench-labels-") as name,
        misbehaving_server(size.names) as url,
    ):
        true = labelled(url, size.names)
        write_articles(Path(name, "articles.sqlite"), list(true), size.pictures_an_article)
        options = ("--timeout", str(size.timeout), "--per-host", "64", "--host-budget", "1000000")
        run_job(Path(name), *options)
        lines = Path(name, "output", "findings.jsonl").read_text().splitlines()
    found = {members["url"]: members["verdict"] for members in map(json.loads, lines)}
    wrong = {url: (found.get(url, ""), said) for url, said in true.items() if found.get(url) != said}
    report.add("labelled_urls", len(true), (">=", 1_400))
    report.add("labelled_kinds", len(TRUTH) + 1, (">=", 29))
    report.add("labelled_right_share", 1 - len(wrong) / len(true), ("==", 1))
    for address, (said, truth) in list(wrong.items())[:10]:
        report.note(f"wrong: {address} is {truth}, said {said or 'nothing'}")
    return wrong


# -- memory


def write_articles(path: Path, urls: Iterable[str], pictures_an_article: int) -> None:
    """An articles database whose articles mention these pictures."""
    database = sqlite3.connect(path)
    database.execute(
        "CREATE TABLE nightlatch_articles"
        " (id INTEGER PRIMARY KEY, url, title, html, published_at, updated_at)"
    )
    insert = "INSERT INTO nightlatch_articles (url, title, html) VALUES (?, ?, ?)"
    body: list[str] = []
    with database:
        for number, url in enumerate(urls, start=1):
            body.append(f'<p>A picture:</p><img src="{url}" alt="">')
            if len(body) == pictures_an_article:
                database.execute(
                    insert, (f"https://www.example.com/{number}", f"Article {number}", "".join(body))
                )
                body.clear()
        if body:
            database.execute(insert, ("https://www.example.com/last", "The last article", "".join(body)))
    database.close()


@dataclass(slots=True)
class Memory:
    """The highest memory of a job's processes together, in bytes.

    `resident` counts pages that processes share for each of them, `proportional` once, as a container does.
    """

    resident: float = 0.0
    proportional: float = 0.0

    def look(self, job: psutil.Popen) -> None:
        """See how much it is now."""
        resident = proportional = 0.0
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in (job, *job.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    info = process.memory_full_info()
                    resident += info.rss
                    proportional += getattr(info, "pss", info.rss)
        self.resident = max(self.resident, resident)
        self.proportional = max(self.proportional, proportional)


def run_job(folder: Path, *options: str) -> Memory:
    """The whole job as a process; returns how much memory it took."""
    command = [
        *(sys.executable, "-m", "tasks.jobs.articles.missing_images"),
        *("--database", f"sqlite:///{folder}/articles.sqlite", "--allow", "127.0.0.0/8"),
        *("--output", str(folder / "output"), "--checkpoint", str(folder / "checkpoint")),
        *("--processes", str(PROCESSES), *options),
    ]
    job = psutil.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    memory = Memory()
    while job.poll() is None:
        memory.look(job)
        time.sleep(_LOOK_SECONDS)
    assert job.returncode == 0, job.returncode
    return memory


def measure_memory(pictures: Origin, size: Size, report: Report) -> None:
    """The whole job, from the articles to the report, over very many pictures."""
    with tempfile.TemporaryDirectory(prefix="nightlatch-bench-many-") as name:
        folder = Path(name)
        write_articles(folder / "articles.sqlite", pictures.urls(size.many, HOSTS), size.pictures_an_article)
        began = time.perf_counter()
        memory = run_job(folder, "--per-host", "16")
        took = time.perf_counter() - began
        summary = json.loads((folder / "output" / "missing-images.json").read_text())
    assert summary["verdicts"] == {"ok": size.many}, summary["verdicts"]
    report.add("many_urls", size.many)
    report.add("many_urls_peak_megabytes", memory.proportional / _MEGABYTE, ("<=", 150))
    report.add("many_urls_peak_resident_sum_megabytes", memory.resident / _MEGABYTE)
    report.add("many_urls_whole_job_a_second", size.many / took)


def main(size: Size | None = None) -> None:
    """Measure everything that can be measured here."""
    size = size or Size()
    report = Report("images")
    peers = all_peers()
    measure_verdicts(size, report)
    try:
        with origin(peers) as pictures:
            measure_near(peers, pictures, size, report)
            measure_far(peers, pictures, size, report)
            measure_memory(pictures, size, report)
    except AbsentError as error:
        report.note(f"there is no origin for speed and memory, so neither was measured: {error}")
    report.note(
        f"Full verdict: both ends of a picture by range, magic bytes, completeness; findings on disk. "
        f"{PROCESSES} processes; nginx with one worker shares the machine. Near: {runs.CONNECTIONS} "
        f"connections, {NEAR_HOSTS} hosts; wrk asks for the first kB of one picture, lychee for HEAD only."
    )
    report.note(
        f"At {LATENCY_SECONDS * 1000:g} ms: {HOSTS} hosts, {FAR_CONNECTIONS} connections, {FAR_PER_HOST} to "
        f"each; the loop is timed on {size.sequential} URLs with its connections kept."
    )
    report.note(
        "Memory: all processes of the job, shared pages counted once (proportional set size, what "
        "a container is charged); the resident sum counts those for each process."
    )
    report.finish()


if __name__ == "__main__":
    main()
