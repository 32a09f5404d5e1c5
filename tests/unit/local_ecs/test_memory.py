"""Who takes too much memory is named, and a kill by the kernel is recognised."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from nightlatch.local.ecs.images import HostImages
from nightlatch.local.ecs.memory import MemoryWatch, Watched, kernel_kills
from nightlatch.local.ecs.process_runner import ProcessRunner, base_environment
from nightlatch.local.ecs.processes import MARK
from nightlatch.local.ecs.runner import OUT_OF_MEMORY, Exit
from tests.support.local_ecs import ENDPOINT, python, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLDS = "import sys; held = bytearray(int(sys.argv[1]) << 20); print('ready', flush=True); sys.stdin.read()"


@pytest.fixture
def holders() -> Iterator[list[str]]:
    """Two processes with 20 and 60 MiB more than Python needs, by their marks."""
    marks = [f"{ENDPOINT}/v4/memory{os.getpid()}-{number}" for number in range(2)]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDS, size],
            env={**os.environ, MARK: mark},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for mark, size in zip(marks, ("20", "60"), strict=True)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    yield marks
    for process in started:
        process.communicate()


def watching(marks: list[str], limit: int | None, task_limit: int | None) -> list[str]:
    watch = MemoryWatch()
    for mark in marks:
        watch.add(Watched("task", mark, limit, task_limit, lambda: None))
    return [item.mark for item in watch.over_limit()]


def test_a_container_over_its_own_limit_is_named(holders: list[str]) -> None:
    assert watching(holders, 50, None) == [holders[1]]
    assert watching(holders, 500, None) == []


def test_of_a_task_over_its_limit_the_largest_container_is_named(holders: list[str]) -> None:
    assert watching(holders, None, 70) == [holders[1]]
    assert watching(holders, None, 500) == []


def test_the_kernel_is_asked_how_often_it_killed(tmp_path: Path) -> None:
    (tmp_path / "vmstat").write_text("pgfault 1\noom_kill 3\nother 9\n")

    assert kernel_kills(tmp_path / "vmstat") == 3
    assert kernel_kills(tmp_path / "none") is None


def test_a_kill_by_the_kernel_is_out_of_memory_and_any_other_is_not(tmp_path: Path) -> None:
    job = python("import os; os.kill(os.getpid(), 9)")

    async def main() -> None:
        counter = itertools.count()
        for kills, reason in ((counter.__next__, OUT_OF_MEMORY), (lambda: 7, None), (lambda: None, None)):
            runner = ProcessRunner(HostImages({}, tmp_path), base_environment(ENDPOINT, "r"), kills)
            async with serving(tmp_path, runner=runner) as service:
                (ended,) = (await service.run_to_end(job))["containers"]
                assert Exit(ended["exitCode"], ended.get("reason")) == Exit(137, reason)

    trio.run(main)
