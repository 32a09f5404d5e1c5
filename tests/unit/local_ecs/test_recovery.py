"""After kill -9 of the local AWS its tasks are reaped and reported honestly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import trio

from tests.support.local_ecs import RecordedLogs, python, serving, until
from tests.support.processes import is_alive

if TYPE_CHECKING:
    from pathlib import Path

# A server of its own that starts one task and then waits to be killed.
SERVER = """
import json, pathlib, sys, trio
from tests.support.local_ecs import awslogs, python, serving

state, marks, program = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]

async def main():
    async with serving(state) as service:
        task = await service.run(
            python(program, str(marks), stopTimeout=2, logConfiguration=awslogs()), clientToken="night"
        )
        (marks / "task.part").write_text(task["taskArn"])
        (marks / "task.part").rename(marks / "task")
        await trio.sleep_forever()

trio.run(main)
"""
STAYS = """
import os, pathlib, sys, time
marks = pathlib.Path(sys.argv[1])
if os.fork() == 0:
    os.setsid()
print("printed before the crash", flush=True)
(marks / f"pid-{os.getpid()}").touch()
while True:
    time.sleep(600)
"""


def start_and_kill(state: Path, marks: Path, program: str, ready: int) -> str:
    """Run the server until the task made its marks, kill -9 it, return the task's ARN."""
    marks.mkdir()
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(state), str(marks), program])
    try:

        async def wait() -> None:
            await until((marks / "task").exists)
            await until(lambda: len(list(marks.glob("pid-*"))) == ready)

        trio.run(wait)
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
    return (marks / "task").read_text()


def living(marks: Path) -> list[int]:
    pids = [int(path.name.removeprefix("pid-")) for path in marks.glob("pid-*")]
    return [pid for pid in pids if is_alive(pid)]


def test_orphans_of_a_crash_are_reaped_before_their_task_is_stopped(tmp_path: Path) -> None:
    state, marks = tmp_path / "state", tmp_path / "marks"
    arn = start_and_kill(state, marks, STAYS, ready=2)
    assert len(living(marks)) == 2

    async def main() -> None:
        logs = RecordedLogs()
        async with serving(state, logs=logs) as service:
            with trio.fail_after(15):
                task = await service.ecs.wait_stopped(arn)
            assert living(marks) == []
            assert task["stopCode"] == "InfrastructureHealth"
            assert task["stoppedReason"].startswith("The local AWS restarted")
            assert "exitCode" not in task["containers"][0]
            assert (await service.told_statuses())[-2:] == ["DEPROVISIONING", "STOPPED"]
            # What it printed was in its spool and is shipped now.
            task_id = arn.rpartition("/")[2]
            assert set(logs.lines(f"nightly/job/{task_id}")) == {"printed before the crash"}

    trio.run(main)


def test_a_task_killed_in_provisioning_is_never_started_twice(tmp_path: Path) -> None:
    state, marks = tmp_path / "state", tmp_path / "marks"
    state.mkdir()
    (state / "hold-provisioning").touch()
    arn = start_and_kill(state, marks, STAYS, ready=0)
    (state / "hold-provisioning").unlink()

    async def main() -> None:
        async with serving(state) as service:
            task = await service.ecs.wait_stopped(arn)

            assert task["stopCode"] == "InfrastructureHealth"
            assert "startedAt" not in task
            assert living(marks) == []
            # The client token is remembered as well: the same request still means the same task.
            assert (await service.ecs.call("ListTasks", {"desiredStatus": "STOPPED"}))["taskArns"] == [arn]

    trio.run(main)


def test_a_process_of_somebody_else_is_left_in_peace(tmp_path: Path) -> None:
    state, marks = tmp_path / "state", tmp_path / "marks"
    arn = start_and_kill(state, marks, STAYS, ready=2)
    other = {**os.environ, "ECS_CONTAINER_METADATA_URI_V4": "http://127.0.0.1:4566/v4/0123456789abcdef"}
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=other)

    async def main() -> None:
        async with serving(state) as service:
            with trio.fail_after(15):
                await service.ecs.wait_stopped(arn)

    try:
        trio.run(main)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_one_task_never_ends_the_processes_of_another(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as service:
            longer = await service.run(python("import time; time.sleep(600)"))
            await service.reaches(longer["taskArn"], "RUNNING")
            await service.run_to_end(python("import os; os.fork()"))

            assert (await service.describe(longer["taskArn"]))["lastStatus"] == "RUNNING"

    trio.run(main)
