"""Executions in virtual time: their status events, their end with the server, and after a crash."""

from __future__ import annotations

import json
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock

from nightlatch.local.api_error import ApiError
from nightlatch.local.bus import EventBus
from nightlatch.local.stepfunctions import StepFunctions
from statemachine.interpreter import TrioClock
from tests.support.machines import PASS, ROLE, WAIT, one_state, task

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

RUN_TASK = one_state(task("ecs:runTask.sync", {"Cluster": "c", "TaskDefinition": "f"}))


class Tasks:
    """An ECS in which tasks run until they are stopped, and take some time for that."""

    STOP_SECONDS = 30

    def __init__(self) -> None:
        self.told: list[str] = []
        self._stopping = trio.Event()

    async def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        self.told.append(operation)
        if operation == "RunTask":
            return {"tasks": [{"taskArn": "task", "clusterArn": "c"}], "failures": []}
        if operation == "StopTask":
            self._stopping.set()
        return {}

    async def wait_stopped(self, task_arn: str) -> dict[str, Any]:
        await self._stopping.wait()
        await trio.sleep(self.STOP_SECONDS)
        self.told.append("gone")
        return {"taskArn": task_arn}


class Bench:
    def __init__(self, path: Path) -> None:
        self.bus = EventBus()
        self.tasks = Tasks()
        self.clock = TrioClock()
        self.states = StepFunctions(
            path / "executions.sqlite",
            region="ap-northeast-1",
            account="000000000000",
            aws=self.tasks,
            bus=self.bus,
            clock=self.clock,
            tasks=self.tasks,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.states.run)
            yield
            nursery.cancel_scope.cancel()

    async def start(self, text: str, name: str = "one") -> str:
        made = await self.states.call(
            "CreateStateMachine", {"name": f"m-{name}", "definition": text, "roleArn": ROLE}
        )
        started = await self.states.call(
            "StartExecution", {"stateMachineArn": made["stateMachineArn"], "name": name, "input": '{"a":1}'}
        )
        arn: str = started["executionArn"]
        return arn

    async def status(self, arn: str) -> dict[str, Any]:
        return await self.states.call("DescribeExecution", {"executionArn": arn})


def virtual(main: Any) -> None:
    """Run in virtual time: sleeping takes none."""
    trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize(
    ("text", "status", "error"),
    [
        (PASS, "SUCCEEDED", None),
        (one_state({"Type": "Fail", "Error": "E", "Cause": "c"}), "FAILED", "E"),
        (json.dumps({**json.loads(WAIT), "TimeoutSeconds": 60}), "TIMED_OUT", None),
    ],
)
def test_every_change_of_status_is_an_event_in_awss_shape(
    tmp_path: Path, text: str, status: str, error: str | None
) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        with bench.bus.subscribe() as events:
            async with bench.running():
                arn = await bench.start(text)
                began, over = await events.receive(), await events.receive()
        assert began["source"] == "aws.states"
        assert began["detail-type"] == "Step Functions Execution Status Change"
        assert began["resources"] == [arn]
        assert began["region"] == "ap-northeast-1"
        detail = began["detail"]
        assert (detail["status"], detail["input"], detail["stopDate"]) == ("RUNNING", '{"a":1}', None)
        assert isinstance(detail["startDate"], int)
        detail = over["detail"]
        assert (detail["status"], detail["error"], detail["name"]) == (status, error, "one")
        assert detail["stopDate"] >= detail["startDate"]
        assert (detail["output"] is not None) == (status == "SUCCEEDED")
        assert set(detail) == set(began["detail"])

    virtual(main)


def test_data_too_large_for_an_event_is_left_out(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        big = json.dumps("x" * 255_000)
        with bench.bus.subscribe() as events:
            async with bench.running():
                arn = await bench.start(PASS)
                machine = arn.replace(":execution:", ":stateMachine:").rpartition(":")[0]
                await bench.states.call(
                    "StartExecution", {"stateMachineArn": machine, "name": "big", "input": big}
                )
                sizes = {}
                for _ in range(4):
                    detail = (await events.receive())["detail"]
                    sizes[detail["name"]] = (detail["input"] is None, detail["inputDetails"])
        assert sizes == {"one": (False, {"included": True}), "big": (True, {"included": False})}

    virtual(main)


def test_a_stop_shows_running_until_the_task_is_gone(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        async with bench.running():
            arn = await bench.start(RUN_TASK)
            await trio.sleep(5)
            await bench.states.call("StopExecution", {"executionArn": arn, "error": "Op", "cause": "why"})
            await trio.sleep(Tasks.STOP_SECONDS - 1)
            assert (await bench.status(arn))["status"] == "RUNNING"
            await trio.sleep(2)
            described = await bench.status(arn)
        assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "Op", "why")
        assert bench.tasks.told == ["RunTask", "StopTask", "gone"]

    virtual(main)


def test_when_the_server_ends_tasks_are_stopped_and_the_event_waits_for_the_next_start(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        first = Bench(tmp_path)
        with first.bus.subscribe() as events:
            async with first.running():
                arn = await first.start(RUN_TASK)
                await trio.sleep(5)
            assert first.tasks.told == ["RunTask", "StopTask", "gone"]
            assert (await events.receive())["detail"]["status"] == "RUNNING"
            with pytest.raises(trio.WouldBlock):
                events.receive_nowait()
        with pytest.raises(ApiError, match="shutting down"):
            await first.start(PASS, "late")
        first.states.close()
        second = Bench(tmp_path)
        with second.bus.subscribe() as events:
            second.states.announce()
            second.states.announce()
            detail = events.receive_nowait()["detail"]
            with pytest.raises(trio.WouldBlock):
                events.receive_nowait()
        assert (detail["executionArn"], detail["status"]) == (arn, "ABORTED")
        assert detail["error"] == "Nightlatch.LocalShutdown"

    virtual(main)


def test_what_a_crash_left_running_is_aborted_at_the_next_start(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "living").mkdir()
        first = Bench(tmp_path / "living")
        async with first.running():
            arn = await first.start(WAIT)
            await trio.sleep(1)
            # The files as a crash at this moment would leave them.
            left = tmp_path / "left"
            shutil.copytree(tmp_path / "living", left)
            second = Bench(left)
            assert second.states.aborted == 1
            with second.bus.subscribe() as events:
                second.states.announce()
                detail = events.receive_nowait()["detail"]
            assert (detail["executionArn"], detail["status"]) == (arn, "ABORTED")
            assert detail["error"] == "Nightlatch.LocalRestart"
            history = await second.states.call("GetExecutionHistory", {"executionArn": arn})
            assert [event["id"] for event in history["events"]] == list(range(1, len(history["events"]) + 1))
            assert history["events"][-1]["type"] == "ExecutionAborted"

    virtual(main)


def test_a_name_is_free_again_after_ninety_days(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        async with bench.running():
            arn = await bench.start(PASS)
            await trio.sleep(89 * 86_400)
            with pytest.raises(ApiError, match="ExecutionAlreadyExists"):
                await bench.start(PASS)
            await trio.sleep(2 * 86_400)
            assert await bench.start(PASS) == arn
            await trio.sleep(1)
            history = await bench.states.call("GetExecutionHistory", {"executionArn": arn})
            assert len(history["events"]) == 4

    virtual(main)


def test_an_alias_sends_starts_to_its_versions_by_weight(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        async with bench.running():
            call = bench.states.call
            made = await call(
                "CreateStateMachine", {"name": "m", "definition": PASS, "roleArn": ROLE, "publish": True}
            )
            machine = made["stateMachineArn"]
            await call(
                "UpdateStateMachine", {"stateMachineArn": machine, "definition": WAIT, "publish": True}
            )
            routing = [
                {"stateMachineVersionArn": f"{machine}:1", "weight": 50},
                {"stateMachineVersionArn": f"{machine}:2", "weight": 50},
            ]
            alias = await call("CreateStateMachineAlias", {"name": "live", "routingConfiguration": routing})
            for _ in range(64):
                await call("StartExecution", {"stateMachineArn": alias["stateMachineAliasArn"]})
            listed = [
                await call("ListExecutions", {"stateMachineArn": f"{machine}:{number}"}) for number in (1, 2)
            ]
        counts = [len(one["executions"]) for one in listed]
        assert sum(counts) == 64
        assert min(counts) > 0

    virtual(main)
