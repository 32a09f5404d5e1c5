"""The life of a task: PROVISIONING, PENDING, RUNNING, DEACTIVATING, STOPPING, DEPROVISIONING, STOPPED.

Source: ECS developer guide, "Amazon ECS task lifecycle". One coroutine lives each task from beginning to end.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from nightlatch.local.ecs.plan import DEFAULT_STOP_SECONDS, Planned, plan
from nightlatch.local.ecs.runner import Exit, Runner, StartError
from nightlatch.local.ecs.secret_values import secret_values

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from nightlatch.local.aws import Caller
    from nightlatch.local.ecs.logs import LogShipper
    from nightlatch.local.ecs.task import Task
    from nightlatch.local.ecs.tasks import Tasks

HOLD_LOOK_SECONDS = 0.02
"""Between two looks whether tasks are still held in PROVISIONING."""

LOG_PATIENCE_SECONDS = 2.0
"""How long STOPPED waits for the last lines to reach CloudWatch Logs. They arrive later otherwise."""

RESTARTED = (
    "The local AWS restarted while this task was not stopped yet: its remaining processes were ended, and how"
    " they ended is not known"
)


@dataclass
class _Progress:
    started: trio.Event = field(default_factory=trio.Event)
    ended: trio.Event = field(default_factory=trio.Event)
    exit: Exit | None = None


class Lifecycle:
    """Lives tasks.

    Args:
        tasks: Where changes go.
        runner: Starts containers.
        logs: Ships output.
        aws: For secrets.
        directory: Where each task gets a directory.
        endpoint: URL of the local AWS.
        hold: While this file exists, tasks stay in PROVISIONING.
        provisioning_seconds: How long a task provisions otherwise.
        hurry_seconds: The longest stop timeout once this process itself has to end.
    """

    def __init__(
        self,
        *,
        tasks: Tasks,
        runner: Runner,
        logs: LogShipper,
        aws: Caller,
        directory: Path,
        endpoint: str,
        hold: Path,
        provisioning_seconds: float,
        hurry_seconds: float,
    ) -> None:
        self._tasks = tasks
        self._runner = runner
        self._logs = logs
        self._aws = aws
        self._directory = directory
        self._endpoint = endpoint
        self._hold = hold
        self._provisioning_seconds = provisioning_seconds
        self._hurry_seconds = hurry_seconds

    async def live(self, task: Task) -> None:
        """Live a new task to its end."""
        await self._provision(task)
        if not task.stop_requested.is_set():
            try:
                planned = await self._prepare(task)
            except StartError as failure:
                for container in task.document["containers"]:
                    container["reason"] = failure.reason
                self._tasks.request_stop(task, "TaskFailedToStart", failure.reason)
            else:
                await self._run(task, planned)
        await self._finish(task)

    async def recover(self, task: Task) -> None:
        """Bring a task that an earlier process left unfinished to its end."""
        self._tasks.request_stop(task, "InfrastructureHealth", RESTARTED)
        stop_seconds = max(
            container.get("stopTimeout") or DEFAULT_STOP_SECONDS
            for container in task.definition["containerDefinitions"]
        )
        reap = partial(self._runner.reap, task.id, list(task.traces.values()))
        await self._end(task, reap, stop_seconds)
        for container in task.document["containers"]:
            if container["lastStatus"] != "STOPPED" and container["name"] in task.traces:
                container["reason"] = RESTARTED
        await self._finish(task)

    async def _provision(self, task: Task) -> None:
        with trio.move_on_after(self._provisioning_seconds):
            await task.stop_requested.wait()
        while self._hold.exists() and not task.stop_requested.is_set():  # noqa: ASYNC110 - a file tells
            await trio.sleep(HOLD_LOOK_SECONDS)

    async def _prepare(self, task: Task) -> list[Planned]:
        now = self._tasks.now()
        self._tasks.changed(
            task, lastStatus="PENDING", connectivity="CONNECTED", connectivityAt=now, pullStartedAt=now
        )
        definitions = task.definition["containerDefinitions"]
        for image in {container["image"] for container in definitions}:
            await self._runner.pull(image)
        task.document["pullStoppedAt"] = self._tasks.now()
        secrets = {item["name"]: await secret_values(item, self._aws) for item in definitions}
        directory = self._directory / task.id
        planned = plan(task, directory, self._endpoint, secrets)
        for container in planned:
            _make_directories(container)
            if container.log_options is not None:
                await self._logs.open(
                    container.log_key,
                    container.spec.output,
                    dict(container.log_options),
                    container.log_stream,
                )
        return planned

    async def _run(self, task: Task, planned: list[Planned]) -> None:
        progress = {container.name: _Progress() for container in planned}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_stopping, task, progress)
            for container in planned:
                nursery.start_soon(self._container, task, container, planned, progress)

    async def _tell_stopping(self, task: Task, progress: dict[str, _Progress]) -> None:
        await task.stop_requested.wait()
        if any(one.started.is_set() and not one.ended.is_set() for one in progress.values()):
            self._tasks.changed(task, lastStatus="DEACTIVATING")
            self._tasks.changed(task, lastStatus="STOPPING")

    async def _container(
        self, task: Task, container: Planned, planned: list[Planned], progress: dict[str, _Progress]
    ) -> None:
        document, mine = task.container(container.name), progress[container.name]
        try:
            document.update(await self._start_and_wait(task, container, planned, progress))
        except StartError as failure:
            document["reason"] = failure.reason
            if container.essential:
                self._tasks.request_stop(task, "TaskFailedToStart", failure.reason)
        document["lastStatus"] = "STOPPED"
        mine.ended.set()
        self._tasks.save(task)
        if container.essential:
            self._tasks.request_stop(task, "EssentialContainerExited", "Essential container in task exited")

    async def _start_and_wait(
        self, task: Task, container: Planned, planned: list[Planned], progress: dict[str, _Progress]
    ) -> dict[str, Any]:
        """Run one container to its end; the members that its document gains."""
        unmet = await _unmet_dependency(task, container, progress)
        if unmet is not None:
            return {"reason": unmet}
        if task.stop_requested.is_set():
            return {}

        def started(trace: dict[str, Any]) -> None:
            task.traces[container.name] = trace
            task.container(container.name).update(
                lastStatus="RUNNING", runtimeId=f"{task.id}-{container.name}"
            )
            self._tasks.save(task)

        running = await self._runner.start(container.spec, started)
        progress[container.name].started.set()
        essential = [progress[one.name].started for one in planned if one.essential]
        if all(event.is_set() for event in essential) and not task.stop_requested.is_set():
            self._tasks.changed(task, lastStatus="RUNNING", startedAt=self._tasks.now())
        async with trio.open_nursery() as nursery:

            async def stop_when_asked() -> None:
                await task.stop_requested.wait()
                await self._end(task, running.stop, container.spec.stop_seconds)

            nursery.start_soon(stop_when_asked)
            end = await running.wait()
            nursery.cancel_scope.cancel()
        progress[container.name].exit = end
        return {"exitCode": end.code, **({"reason": end.reason} if end.reason else {})}

    async def _end(self, task: Task, end: Callable[[float], Awaitable[Any]], seconds: float) -> None:
        """End something within its time, or sooner when this process itself has to end meanwhile."""
        short = min(seconds, self._hurry_seconds)
        if task.hurried.is_set():
            await end(short)
            return
        async with trio.open_nursery() as nursery:

            async def sooner() -> None:
                await task.hurried.wait()
                await end(short)

            nursery.start_soon(sooner)
            await end(seconds)
            nursery.cancel_scope.cancel()

    async def _finish(self, task: Task) -> None:
        for container in task.document["containers"]:
            container["lastStatus"] = "STOPPED"
        if task.traces:
            task.document["executionStoppedAt"] = self._tasks.now()
        self._tasks.changed(task, lastStatus="DEPROVISIONING")
        shipped = [self._logs.close(f"{task.id}/{item['name']}") for item in task.document["containers"]]
        with trio.move_on_after(LOG_PATIENCE_SECONDS):
            for event in shipped:
                await event.wait()
        for leftover in ("tmp", "volumes"):
            directory = self._directory / task.id / leftover
            await trio.to_thread.run_sync(partial(shutil.rmtree, directory, ignore_errors=True))
        self._tasks.changed(task, lastStatus="STOPPED", desiredStatus="STOPPED", stoppedAt=self._tasks.now())
        task.stopped.set()


def _make_directories(container: Planned) -> None:
    try:
        for directory in (container.spec.scratch, *container.spec.mounts.values()):
            directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"CannotCreateVolumeError: {error}") from error


async def _unmet_dependency(task: Task, container: Planned, progress: dict[str, _Progress]) -> str | None:
    """Wait for what a container depends on. Returns why it can never start, if so."""
    for other, condition in container.depends_on.items():
        theirs = progress[other]
        await _either(
            theirs.started if condition == "START" else theirs.ended, task.stop_requested, theirs.ended
        )
        if task.stop_requested.is_set():
            return None
        if condition == "START" and not theirs.started.is_set():
            return f"Container dependency failed: {other} could not be started"
        if condition == "SUCCESS" and (theirs.exit is None or theirs.exit.code != 0):
            how = "did not start" if theirs.exit is None else f"exited with {theirs.exit.code}"
            return f"Container dependency failed: {other} did not exit successfully ({how})"
    return None


async def _either(*events: trio.Event) -> None:
    """Wait until one of the events is set."""
    async with trio.open_nursery() as nursery:

        async def watch(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        for event in events:
            nursery.start_soon(watch, event)
