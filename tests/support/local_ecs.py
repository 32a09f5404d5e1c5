"""A local ECS for tests: real processes, recorded logs and events, and nothing else of the local AWS."""

from __future__ import annotations

import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from nightlatch.local.api_error import ApiError
from nightlatch.local.bus import EventBus
from nightlatch.local.ecs import Ecs
from nightlatch.local.ecs.images import HostImages
from nightlatch.local.ecs.names import Names
from nightlatch.local.ecs.process_runner import ProcessRunner, base_environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from nightlatch.local.ecs.runner import Runner

ENDPOINT = "http://127.0.0.1:4566"
GROUP = "/nightlatch-test/tasks"
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


class WallClock:
    """The time of day, or another day's."""

    def __init__(self, days: float = 0) -> None:
        self.days = days

    def now(self) -> float:
        return time.time() + self.days * 86_400


class RecordedLogs:
    """CloudWatch Logs, SSM and Secrets Manager in a few lines, with the errors that matter here."""

    def __init__(self) -> None:
        self.groups = {GROUP}
        self.streams: dict[tuple[str, str], list[str]] = {}
        self.parameters: dict[str, str] = {}
        self.refusals: list[ApiError] = []

    async def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        if operation == "GetParameter":
            if params["Name"] not in self.parameters:
                raise ApiError("ParameterNotFound", "no such parameter")
            return {"Parameter": {"Value": self.parameters[params["Name"]]}}
        if operation == "GetSecretValue":
            return {"SecretString": '{"password": "from-json"}', "SecretId": params["SecretId"]}
        if operation == "CreateLogGroup":
            self.groups.add(params["logGroupName"])
            return {}
        key = (params["logGroupName"], params["logStreamName"])
        if operation == "CreateLogStream":
            if key[0] not in self.groups:
                raise ApiError("ResourceNotFoundException", "The specified log group does not exist.")
            self.streams.setdefault(key, [])
            return {}
        assert (service, operation) == ("logs", "PutLogEvents")
        if self.refusals:
            raise self.refusals.pop(0)
        if key not in self.streams:
            raise ApiError("ResourceNotFoundException", "The specified log stream does not exist.")
        self.streams[key] += [event["message"] for event in params["logEvents"]]
        return {}

    def lines(self, stream: str) -> list[str]:
        return self.streams[GROUP, stream]


@dataclass
class Serving:
    """A running service and what it told the world."""

    ecs: Ecs
    logs: RecordedLogs
    events: list[dict[str, Any]] = field(default_factory=list)

    async def register(self, *containers: Mapping[str, Any], family: str = "work", **members: Any) -> str:
        reply = await self.ecs.call(
            "RegisterTaskDefinition", definition(*containers, family=family, **members)
        )
        return str(reply["taskDefinition"]["taskDefinitionArn"])

    async def run(self, *containers: Mapping[str, Any], **request: Any) -> dict[str, Any]:
        """Register the containers as a task definition and run one task of it."""
        arn = await self.register(*containers)
        reply = await self.ecs.call("RunTask", run_request(arn, **request))
        assert reply["failures"] == []
        task: dict[str, Any] = reply["tasks"][0]
        return task

    async def run_to_end(self, *containers: Mapping[str, Any], **request: Any) -> dict[str, Any]:
        task = await self.run(*containers, **request)
        with trio.fail_after(20):
            return await self.ecs.wait_stopped(task["taskArn"])

    async def describe(self, arn: str) -> dict[str, Any]:
        task: dict[str, Any] = (await self.ecs.call("DescribeTasks", {"tasks": [arn]}))["tasks"][0]
        return task

    async def told_statuses(self) -> list[str]:
        """The last statuses that the bus was told, up to STOPPED."""
        await until(lambda: bool(self.events) and self.events[-1]["detail"]["lastStatus"] == "STOPPED")
        return [event["detail"]["lastStatus"] for event in self.events]

    async def reaches(self, arn: str, status: str) -> dict[str, Any]:
        """Wait until a task has this last status."""
        found: dict[str, Any] = {}

        async def there() -> bool:
            found.update(await self.describe(arn))
            return bool(found["lastStatus"] == status)

        await until(there)
        return found


async def until(condition: Callable[[], Any], seconds: float = 15) -> None:
    """Wait until a condition (plain or async) holds."""
    with trio.fail_after(seconds):
        while True:
            holds = condition()
            if hasattr(holds, "__await__"):
                holds = await holds
            if holds:
                return
            await trio.sleep(0.01)


def python(program: str, *arguments: str, **members: Any) -> dict[str, Any]:
    """A container definition that runs a small Python program."""
    return container(sys.executable, "-c", program, *arguments, **members)


def container(*command: str, **members: Any) -> dict[str, Any]:
    return {"name": "job", "image": "nightlatch:test", "command": list(command), **members}


def awslogs(**options: str) -> dict[str, Any]:
    return {
        "logDriver": "awslogs",
        "options": {
            "awslogs-group": GROUP,
            "awslogs-region": "ap-northeast-1",
            "awslogs-stream-prefix": "nightly",
            **options,
        },
    }


def definition(*containers: Mapping[str, Any], **members: Any) -> dict[str, Any]:
    return {
        "family": "work",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": "arn:aws:iam::000000000000:role/execution",
        "containerDefinitions": [dict(item) for item in containers],
        **members,
    }


def run_request(definition_arn: str, **members: Any) -> dict[str, Any]:
    return {
        "taskDefinition": definition_arn,
        "launchType": "FARGATE",
        "networkConfiguration": NETWORK,
        **members,
    }


@asynccontextmanager
async def serving(
    state: Path,
    *,
    logs: RecordedLogs | None = None,
    runner: Runner | None = None,
    images: Mapping[str, Path] | None = None,
    clock: WallClock | None = None,
) -> AsyncIterator[Serving]:
    """Run the service on a state directory; leaving the context ends it in order."""
    logs = logs or RecordedLogs()
    bus = EventBus()
    ecs = Ecs(
        state=state,
        names=Names("ap-northeast-1", "000000000000"),
        endpoint=ENDPOINT,
        runner=runner
        or ProcessRunner(HostImages(images or {}, state), base_environment(ENDPOINT, "ap-northeast-1")),
        aws=logs,
        bus=bus,
        clock=clock or WallClock(),
        provisioning_seconds=0,
        shutdown_seconds=1,
    )
    served = Serving(ecs, logs)
    with bus.subscribe() as events:
        async with trio.open_nursery() as nursery:
            await nursery.start(ecs.run)
            await ecs.call("CreateCluster", {"clusterName": "default"})

            async def collect() -> None:
                async for event in events:
                    served.events.append(event)

            nursery.start_soon(collect)
            yield served
            nursery.cancel_scope.cancel()
