"""handson-generate's runner: what a task costs beside its work, stopping, and going on after kills.

Tasks here do nothing, so that only the runner and the durable write of each result are measured. In the same
run and on the same disk: a bare asyncio runner on graphlib with one SQLite commit a task (WAL, synchronous
FULL), luigi, redun, and the fsync of one new file alone.
"""

from __future__ import annotations

import asyncio
import graphlib
import json
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.dag_peers.environments import VERSIONS, python_of
from bench.report import Report, median_ratio
from tasks.jobs.generation.handson.finished import Finished, Record, read_finished
from tasks.jobs.generation.handson.graph import Graph, graph_of
from tasks.jobs.generation.handson.reading import read_projects
from tasks.jobs.generation.handson.running import Running, State
from tests.support.model_server import ModelServer

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "handson" / "first-night.yaml"
# A reduced size for a quick look: BENCH_SMALL=1.
SMALL = bool(os.environ.get("BENCH_SMALL"))
PROJECTS = 10 if SMALL else 100
ROUNDS = 2 if SMALL else 5
PARALLEL = 5
# As long as a section of a guide.
OUTPUT = "x" * 1500
# Peers that take milliseconds a task get fewer of them.
PEER_PROJECTS = {"luigi": 2 if SMALL else 20, "redun": 1}


def graphs(count: int) -> list[Graph]:
    """The graph of the shipped example, so many times."""
    [example] = read_projects(str(EXAMPLE))
    return [graph_of(example.model_copy(update={"id": f"p{number}"})) for number in range(count)]


def ours(many: list[Graph], folder: Path, parallel: int) -> float:
    """Milliseconds a task."""
    finished = Finished(folder)

    async def work(_graph: Graph, _name: str, _inputs: Mapping[str, Any]) -> None:
        return None

    async def keep(graph: Graph, name: str, _result: None, seconds: float) -> Record:
        project = graph.project.id
        record = Record(key=f"{project}/{name}", project=project, task=name, output=OUTPUT, seconds=seconds)
        await finished.write(record)
        return record

    running = Running(many, work, keep, parallel=parallel)
    began = time.perf_counter()
    asyncio.run(running.run())
    gone = time.perf_counter() - began
    tasks = sum(len(graph.order) for graph in many)
    assert sum(lane.count(State.SUCCEEDED) for lane in running.lanes) == tasks
    assert len(read_finished(folder)) == tasks
    return gone / tasks * 1e3


def bare(many: list[Graph], folder: Path) -> float:
    """Milliseconds a task of the plainest durable runner: graphlib, asyncio, one commit a task."""
    database = sqlite3.connect(folder / "bare.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE finished (key TEXT PRIMARY KEY, output TEXT)")

    async def one(places: asyncio.Semaphore, graph: Graph) -> None:
        sorter = graphlib.TopologicalSorter({name: task.after for name, task in graph.tasks.items()})
        sorter.prepare()
        active: dict[asyncio.Task[None], str] = {}

        async def run(name: str) -> None:
            async with places:
                row = (f"{graph.project.id}/{name}", OUTPUT)
                database.execute("INSERT INTO finished VALUES (?, ?)", row)

        while sorter.is_active():
            active.update({asyncio.create_task(run(name)): name for name in sorter.get_ready()})
            done, _ = await asyncio.wait(active, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                sorter.done(active.pop(task))

    async def main() -> None:
        places = asyncio.Semaphore(PARALLEL)
        await asyncio.gather(*(one(places, graph) for graph in many))

    began = time.perf_counter()
    asyncio.run(main())
    gone = time.perf_counter() - began
    tasks = sum(len(graph.order) for graph in many)
    assert database.execute("SELECT count(*) FROM finished").fetchone() == (tasks,)
    database.close()
    return gone / tasks * 1e3


def one_fsync(folder: Path) -> float:
    """Milliseconds for one new file with its fsync: what the disk asks."""
    began = time.perf_counter()
    for number in range(100):
        with (folder / f"{number}").open("wb", buffering=0) as file:
            file.write(OUTPUT.encode())
            os.fsync(file.fileno())
    return (time.perf_counter() - began) * 10


def peer(name: str, python: Path, scratch: Path) -> float:
    """Milliseconds a task of a published runner."""
    graph, folder = scratch / f"{name}.json", Path(tempfile.mkdtemp(dir=scratch))
    chosen = graphs(PEER_PROJECTS[name])
    many = [{task.id: list(task.after) for task in each.project.tasks} for each in chosen]
    graph.write_text(json.dumps(many))
    driver = ROOT / "bench" / "dag_peers" / "driver.py"
    done = subprocess.run(
        [python, driver, name, graph, folder],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(json.loads(done.stdout.splitlines()[-1])["milliseconds"])


def measure_overhead(report: Report, scratch: Path) -> None:
    many = graphs(PROJECTS)
    mine, other, alone, disk = [], [], [], []
    for _ in range(ROUNDS):
        folders = [Path(tempfile.mkdtemp(dir=scratch)) for _ in range(4)]
        disk.append(one_fsync(folders[0]))
        mine.append(ours(many, folders[1], PARALLEL))
        other.append(bare(many, folders[2]))
        alone.append(ours(many[: max(1, PROJECTS // 10)], folders[3], 1))
    report.add("overhead_ms_a_task", statistics.median(mine), ("<=", 0.4))
    report.add("overhead_ms_a_task_one_at_a_time", statistics.median(alone))
    report.add("bare_asyncio_sqlite_ms_a_task", statistics.median(other))
    report.add("ours_to_bare_asyncio_sqlite", median_ratio(mine, other), ("<=", 1.0))
    report.add("one_fsync_of_a_new_file_ms", statistics.median(disk))
    report.note(
        f"{PROJECTS} projects of {len(many[0].order)} tasks, {PARALLEL} at once, {ROUNDS} rounds in turn; "
        "no task counts before its write is durable; tasks that end at one moment share one fsync"
    )
    for name, version in VERSIONS.items():
        python = python_of(name)
        if isinstance(python, str):
            report.note(f"{name} {version} was not measured: {python}")
        else:
            report.add(f"{name}_ms_a_task", peer(name, python, scratch))
            report.note(f"{name} {version}: {PEER_PROJECTS[name]} projects, its own way to remember results")


def start(server: ModelServer, scratch: Path, project: Path) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "NIGHTLATCH_CHECKPOINT_DIR": str(scratch / "checkpoint"),
        "NIGHTLATCH_OUTPUT_DIR": str(scratch / "output"),
        "LLM_ENGINE": "openai",
        "LLM_MODEL": "model",
        "LLM_BASE_URL": f"{server.url}/v1",
        "SEARCH_ENGINE": "searxng",
        "SEARCH_URL": server.url,
    }
    command = [sys.executable, "-m", "tasks.jobs.generation.handson.handson_generate", "--project", project]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def measure_stops(report: Report, scratch: Path) -> None:
    """SIGTERM and SIGKILL in turn while the model thinks, until everything is made."""
    chance, seconds, ends = random.Random(3), [], 0
    with ModelServer(seconds=0.1) as server:
        while True:
            asked = len(server.asked)
            job = start(server, scratch, EXAMPLE)
            while len(server.asked) == asked and job.poll() is None:
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.3))
            if ends == (2 if SMALL else 6) or job.poll() is not None:
                break
            began = time.perf_counter()
            job.send_signal(signal.SIGTERM if ends % 2 == 0 else signal.SIGKILL)
            job.communicate()
            if job.returncode == 143:
                seconds.append(time.perf_counter() - began)
            ends += 1
        text, _ = job.communicate()
        assert job.returncode == 0, text
        again = sum(server.answered.values()) - len(server.answered)
    parts = json.loads((scratch / "output" / "first-night" / "handson.json").read_text())["parts"]
    report.add("sigterm_to_exit_worst_seconds", max(seconds), ("<=", 2))
    report.add(
        "tasks_missing_after_stops_and_kills", sum(part["state"] != "succeeded" for part in parts), ("==", 0)
    )
    report.add("answers_paid_twice", again, ("<=", PARALLEL * ends))
    report.note(
        f"{ends} stops and kills in turn at random moments of one guide; what was under way is asked again"
    )


def main() -> None:
    report = Report("dag")
    with tempfile.TemporaryDirectory() as name:
        measure_overhead(report, Path(name))
        measure_stops(report, Path(name))
    report.finish()


if __name__ == "__main__":
    main()
