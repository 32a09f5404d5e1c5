"""Tasks of the local ECS are real processes with the life, codes and reasons of ECS."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from nightlatch.local.api_error import ApiError
from tests.support.local_ecs import Serving, WallClock, container, python, run_request, serving, until
from tests.support.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

LEAVES_GRANDCHILD = """
import os, subprocess, sys, time, pathlib
pid = os.fork()
if pid == 0:
    os.setsid()
    if os.fork() == 0:
        pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
os.waitpid(pid, 0)
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.01)
"""
IGNORES_SIGTERM = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).write_text("ready")
time.sleep(600)
"""
OBEYS_SIGTERM = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
pathlib.Path(sys.argv[1]).write_text("ready")
time.sleep(600)
"""


def with_service(state: Path, body: Callable[[Serving], Awaitable[None]]) -> None:
    async def main() -> None:
        async with serving(state) as service:
            await body(service)

    trio.run(main)


def test_a_task_that_succeeds_tells_its_whole_life(tmp_path: Path) -> None:
    async def body(service: Serving) -> None:
        task = await service.run_to_end(python("print('hello')"), startedBy="me", group="nightlatch:run-1")

        assert task["lastStatus"] == task["desiredStatus"] == "STOPPED"
        assert (task["stopCode"], task["stoppedReason"]) == (
            "EssentialContainerExited",
            "Essential container in task exited",
        )
        assert [(c["name"], c["exitCode"], c["lastStatus"]) for c in task["containers"]] == [
            ("job", 0, "STOPPED")
        ]
        assert (task["startedBy"], task["group"], task["launchType"]) == ("me", "nightlatch:run-1", "FARGATE")
        times = [
            "createdAt",
            "pullStartedAt",
            "pullStoppedAt",
            "startedAt",
            "stoppingAt",
            "executionStoppedAt",
        ]
        moments = [task[name] for name in [*times, "stoppedAt"]]
        assert moments == sorted(moments)
        statuses = await service.told_statuses()
        assert statuses == ["PROVISIONING", "PENDING", "RUNNING", "RUNNING", "DEPROVISIONING", "STOPPED"]
        assert [e["detail"]["version"] for e in service.events] == [1, 2, 3, 4, 5, 6]
        last = service.events[-1]
        assert (last["source"], last["detail-type"]) == ("aws.ecs", "ECS Task State Change")
        assert last["resources"] == [task["taskArn"]]
        assert last["detail"]["stoppedAt"].endswith("Z")

    with_service(tmp_path, body)


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("raise SystemExit(75)", 75),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 139),
    ],
)
def test_exit_codes_are_those_of_a_container(tmp_path: Path, program: str, code: int) -> None:
    async def body(service: Serving) -> None:
        task = await service.run_to_end(python(program))

        assert task["stopCode"] == "EssentialContainerExited"
        assert task["containers"][0]["exitCode"] == code
        assert "reason" not in task["containers"][0]

    with_service(tmp_path, body)


def test_a_container_gets_its_own_environment_and_not_the_servers(tmp_path: Path) -> None:
    os.environ["NIGHTLATCH_TEST_SECRET_OF_THE_SERVER"] = "do not leak"
    seen = tmp_path / "seen.json"
    program = f"import json, os; open({str(seen)!r}, 'w').write(json.dumps([dict(os.environ), os.getcwd()]))"

    async def body(service: Serving) -> None:
        overrides = {
            "containerOverrides": [{"name": "job", "environment": [{"name": "B", "value": "overridden"}]}]
        }
        task = await service.run_to_end(
            python(program, environment=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
            overrides=overrides,
        )
        variables, directory = json.loads(seen.read_text())

        task_id = task["taskArn"].rpartition("/")[2]
        assert (variables["A"], variables["B"]) == ("1", "overridden")
        assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
        assert variables["ECS_CONTAINER_METADATA_URI_V4"] == f"http://127.0.0.1:4566/v4/{task_id}"
        assert "NIGHTLATCH_TEST_SECRET_OF_THE_SERVER" not in variables
        assert directory == str(tmp_path)

    try:
        with_service(tmp_path, body)
    finally:
        del os.environ["NIGHTLATCH_TEST_SECRET_OF_THE_SERVER"]


def test_an_overridden_command_follows_the_entry_point(tmp_path: Path) -> None:
    seen = tmp_path / "seen"

    async def body(service: Serving) -> None:
        job = container("never", "run", entryPoint=["sh", "-c", 'echo "$0 $1" > ' + str(seen)])
        overrides = {"containerOverrides": [{"name": "job", "command": ["one", "two"]}]}
        await service.run_to_end(job, overrides=overrides)

        assert seen.read_text() == "one two\n"

    with_service(tmp_path, body)


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (container("true", image="postgres:16"), "CannotPullContainerError: "),
        (container("no-such-program"), "CannotStartContainerError: "),
        (container(), "CannotStartContainerError: "),
    ],
)
def test_a_container_that_cannot_start_never_had_an_exit_code(
    tmp_path: Path, job: dict[str, Any], reason: str
) -> None:
    async def body(service: Serving) -> None:
        task = await service.run_to_end(job)

        assert task["stopCode"] == "TaskFailedToStart"
        assert task["stoppedReason"].startswith(reason)
        assert task["containers"][0]["reason"].startswith(reason)
        assert "exitCode" not in task["containers"][0]
        assert "startedAt" not in task

    with_service(tmp_path, body)


def test_stop_is_sigterm_and_the_answer_of_the_container_counts(tmp_path: Path) -> None:
    ready = tmp_path / "ready"

    async def body(service: Serving) -> None:
        task = await service.run(python(OBEYS_SIGTERM, str(ready)))
        await until(ready.exists)

        stopping = await service.ecs.call("StopTask", {"task": task["taskArn"], "reason": "enough"})
        stopped = await service.ecs.wait_stopped(task["taskArn"])

        assert stopping["task"]["desiredStatus"] == "STOPPED"
        assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "enough")
        assert stopped["containers"][0]["exitCode"] == 143
        statuses = await service.told_statuses()
        assert statuses[-4:] == ["DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"]

    with_service(tmp_path, body)


def test_a_container_that_ignores_sigterm_is_killed_after_its_stop_timeout(tmp_path: Path) -> None:
    ready = tmp_path / "ready"

    async def body(service: Serving) -> None:
        task = await service.run(python(IGNORES_SIGTERM, str(ready), stopTimeout=2))
        await until(ready.exists)
        begin = trio.current_time()

        await service.ecs.call("StopTask", {"task": task["taskArn"]})
        stopped = await service.ecs.wait_stopped(task["taskArn"])

        assert trio.current_time() - begin >= 2
        assert stopped["containers"][0]["exitCode"] == 137
        assert stopped["stopCode"] == "UserInitiated"

    with_service(tmp_path, body)


def test_stopped_means_that_grandchildren_are_gone_too(tmp_path: Path) -> None:
    grandchild = tmp_path / "pid"

    async def body(service: Serving) -> None:
        task = await service.run_to_end(python(LEAVES_GRANDCHILD, str(grandchild)))

        assert task["containers"][0]["exitCode"] == 0
        assert not is_alive(int(grandchild.read_text()))

    with_service(tmp_path, body)


def test_a_task_over_its_memory_is_killed_for_it(tmp_path: Path) -> None:
    async def body(service: Serving) -> None:
        hungry = python("import time; b = bytearray(700 << 20); time.sleep(600)")
        task = await service.run_to_end(hungry)

        assert task["stopCode"] == "EssentialContainerExited"
        assert task["containers"][0]["exitCode"] == 137
        assert task["containers"][0]["reason"] == "OutOfMemoryError: container killed due to memory usage"

    with_service(tmp_path, body)


def test_a_task_held_in_provisioning_can_be_stopped_without_ever_running(tmp_path: Path) -> None:
    hold, ran = tmp_path / "hold-provisioning", tmp_path / "ran"
    hold.touch()

    async def body(service: Serving) -> None:
        task = await service.run(container("touch", str(ran)))
        await trio.testing.wait_all_tasks_blocked()
        assert (await service.describe(task["taskArn"]))["lastStatus"] == "PROVISIONING"

        await service.ecs.call("StopTask", {"task": task["taskArn"], "reason": "gone"})
        stopped = await service.ecs.wait_stopped(task["taskArn"])

        assert stopped["stopCode"] == "UserInitiated"
        assert "exitCode" not in stopped["containers"][0]
        assert not ran.exists()

    with_service(tmp_path, body)


def test_without_capacity_run_task_answers_with_a_failure(tmp_path: Path) -> None:
    (tmp_path / "no-capacity").touch()

    async def body(service: Serving) -> None:
        arn = await service.register(container("true"))
        reply = await service.ecs.call("RunTask", run_request(arn, clientToken="once"))

        assert reply["tasks"] == []
        assert reply["failures"][0]["reason"].startswith("Capacity is unavailable at this time")
        (tmp_path / "no-capacity").unlink()
        again = await service.ecs.call("RunTask", run_request(arn, clientToken="once"))
        assert len(again["tasks"]) == 1

    with_service(tmp_path, body)


def test_spot_takes_a_task_away(tmp_path: Path) -> None:
    async def body(service: Serving) -> None:
        task = await service.run(container("sleep", "600"))
        await service.reaches(task["taskArn"], "RUNNING")
        service.ecs.interrupt(task["taskArn"])
        stopped = await service.ecs.wait_stopped(task["taskArn"])

        assert stopped["stopCode"] == "SpotInterruption"
        assert stopped["stoppedReason"] == "Your Spot Task was interrupted."

    with_service(tmp_path, body)


def test_waiting_for_an_unknown_task_is_refused(tmp_path: Path) -> None:
    async def body(service: Serving) -> None:
        with pytest.raises(ApiError) as refused:
            await service.ecs.wait_stopped("arn:aws:ecs:r:a:task/default/none")
        assert refused.value.code == "InvalidParameterException"

    with_service(tmp_path, body)


def test_an_orderly_end_stops_every_task(tmp_path: Path) -> None:
    ready = tmp_path / "ready"

    async def main() -> None:
        async with serving(tmp_path) as service:
            task = await service.run(python(OBEYS_SIGTERM, str(ready)))
            await until(ready.exists)
        async with serving(tmp_path) as service:
            stopped = await service.describe(task["taskArn"])
            assert stopped["lastStatus"] == "STOPPED"
            assert stopped["stoppedReason"] == "The local AWS was shut down while this task was running"
            assert stopped["containers"][0]["exitCode"] == 143

    trio.run(main)


def test_an_orderly_end_does_not_wait_for_a_long_stop_timeout_that_has_begun(tmp_path: Path) -> None:
    ready = tmp_path / "ready"

    async def main() -> None:
        async with serving(tmp_path) as service:
            task = await service.run(python(IGNORES_SIGTERM, str(ready), stopTimeout=120))
            await until(ready.exists)
            await service.ecs.call("StopTask", {"task": task["taskArn"], "reason": "enough"})
            await service.reaches(task["taskArn"], "STOPPING")
        async with serving(tmp_path) as service:
            stopped = await service.describe(task["taskArn"])
            assert (stopped["lastStatus"], stopped["stoppedReason"]) == ("STOPPED", "enough")
            assert stopped["containers"][0]["exitCode"] == 137

    with_timeout(main)


def test_a_stopped_task_stays_visible_for_an_hour_and_not_for_ever(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as service:
            task = await service.run_to_end(container("true"))
        directory = tmp_path / "tasks" / task["taskArn"].rpartition("/")[2]
        async with serving(tmp_path, clock=WallClock(days=0.05)) as service:
            assert (await service.describe(task["taskArn"]))["lastStatus"] == "STOPPED"
            assert directory.exists()
        async with serving(tmp_path, clock=WallClock(days=2)) as service:
            gone = await service.ecs.call("DescribeTasks", {"tasks": [task["taskArn"]]})
            assert [failure["reason"] for failure in gone["failures"]] == ["MISSING"]
            assert not directory.exists()

    with_timeout(main)


def with_timeout(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with trio.fail_after(20):
            await main()

    trio.run(bounded)
