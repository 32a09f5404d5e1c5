from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import trio

from nightlatch.local.api_error import ApiError
from nightlatch.local.ecs.account_settings import AccountSettings
from nightlatch.local.ecs.clusters import Clusters
from nightlatch.local.ecs.definitions import Definitions
from nightlatch.local.ecs.docker_runner import DockerRunner
from nightlatch.local.ecs.images import HostImages
from nightlatch.local.ecs.lifecycle import Lifecycle
from nightlatch.local.ecs.logs import LogShipper
from nightlatch.local.ecs.metadata import answer
from nightlatch.local.ecs.names import Names
from nightlatch.local.ecs.process_runner import ProcessRunner, base_environment
from nightlatch.local.ecs.store import Store
from nightlatch.local.ecs.tags import Tags
from nightlatch.local.ecs.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nightlatch.local.aws import Caller
    from nightlatch.local.bus import EventBus
    from nightlatch.local.ecs.runner import Runner
    from nightlatch.local.ecs.task import Task
    from nightlatch.local.options import LocalOptions
    from statemachine.interpreter import Clock

PROVISIONING_SECONDS = 0.05
"""How long a task provisions; Fargate takes some tens of seconds."""

SHUTDOWN_SECONDS = 5.0
"""What a container gets between SIGTERM and SIGKILL when the local AWS itself ends."""

SHUT_DOWN = "The local AWS was shut down while this task was running"

TIDY_SECONDS = 3600.0
"""Between two rounds of forgetting old tasks."""

_CAPACITY_PROVIDERS = ("FARGATE", "FARGATE_SPOT")


class Ecs:
    """The ECS API of this process. Built by `create`.

    Args:
        state: The state directory.
        names: Region and account.
        endpoint: URL of the local AWS.
        runner: Runs containers.
        aws: For logs and secrets.
        bus: Hears of task state changes.
        clock: The time of day.
        provisioning_seconds: How long a task provisions.
        shutdown_seconds: What containers get to end when `run` is cancelled.
    """

    def __init__(
        self,
        *,
        state: Path,
        names: Names,
        endpoint: str,
        runner: Runner,
        aws: Caller,
        bus: EventBus,
        clock: Clock,
        provisioning_seconds: float = PROVISIONING_SECONDS,
        shutdown_seconds: float = SHUTDOWN_SECONDS,
    ) -> None:
        self._store = Store(state / "ecs.sqlite")
        self._directory = state.resolve() / "tasks"
        self._runner = runner
        self._shutdown_seconds = shutdown_seconds
        self._nursery: trio.Nursery | None = None
        tags = Tags(self._store)
        clusters = Clusters(self._store, names, tags)
        definitions = Definitions(self._store, names, tags, clock)
        self._tasks = Tasks(
            store=self._store,
            names=names,
            clusters=clusters,
            definitions=definitions,
            tags=tags,
            bus=bus,
            clock=clock,
            no_capacity=state / "no-capacity",
        )
        self._logs = LogShipper(self._store, aws, clock)
        self._lifecycle = Lifecycle(
            tasks=self._tasks,
            runner=runner,
            logs=self._logs,
            aws=aws,
            directory=self._directory,
            endpoint=endpoint,
            hold=state / "hold-provisioning",
            provisioning_seconds=provisioning_seconds,
            hurry_seconds=shutdown_seconds,
        )
        settings = AccountSettings(self._store, f"arn:aws:iam::{names.account}:root")
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "CreateCluster": clusters.create,
            "DescribeClusters": clusters.describe,
            "ListClusters": clusters.list_all,
            "UpdateCluster": clusters.update,
            "UpdateClusterSettings": clusters.update,
            "PutClusterCapacityProviders": clusters.put_capacity_providers,
            "DeleteCluster": clusters.delete,
            "DescribeCapacityProviders": _capacity_providers(names),
            "RegisterTaskDefinition": definitions.register,
            "DescribeTaskDefinition": definitions.describe,
            "ListTaskDefinitions": definitions.list_all,
            "ListTaskDefinitionFamilies": definitions.list_families,
            "DeregisterTaskDefinition": definitions.deregister,
            "DeleteTaskDefinitions": definitions.delete,
            "TagResource": tags.tag,
            "UntagResource": tags.untag,
            "ListTagsForResource": tags.list_all,
            "ListAccountSettings": settings.list_all,
            "PutAccountSetting": settings.put,
            "PutAccountSettingDefault": settings.put,
            "DeleteAccountSetting": settings.delete,
            "RunTask": lambda request: self._tasks.run(request, self._begin),
            "StopTask": self._tasks.stop,
            "DescribeTasks": self._tasks.describe,
            "ListTasks": self._tasks.list_all,
        }

    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one ECS operation, member names as in the API (``taskDefinition``).

        Raises:
            ApiError: The refusal that ECS would give.
        """
        carry_out = self._operations.get(operation)
        if carry_out is None:
            raise ApiError(
                "UnsupportedFeatureException",
                f"The local AWS does not offer ecs:{operation}, only {', '.join(sorted(self._operations))}.",
            )
        await trio.lowlevel.checkpoint()
        return carry_out(request)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled, then end every task in order.

        Tasks that an earlier process left unfinished are brought to STOPPED meanwhile; they show as such only
        when nothing of them is left.
        """
        async with trio.open_nursery() as outer:
            closing = trio.Event()
            outer.start_soon(self._close_when_cancelled, closing)
            async with trio.open_nursery() as inner:
                # Cancelling must not tear down the lives of tasks: they end by being stopped.
                inner.cancel_scope.shield = True
                inner.start_soon(self._runner.run)
                inner.start_soon(self._logs.run)
                inner.start_soon(self._tidy)
                async with trio.open_nursery() as lives:
                    self._nursery = lives
                    self._recover(lives)
                    task_status.started()
                    await closing.wait()
                    self._nursery = None
                with trio.move_on_after(self._shutdown_seconds):
                    await self._logs.ship_all()
                inner.cancel_scope.cancel()
        self._store.close()

    async def wait_stopped(self, task_arn: str) -> dict[str, Any]:
        """Wait until a task is STOPPED (no process of it is left) and return it as DescribeTasks does.

        Raises:
            ApiError: No such task.
        """
        task = self._tasks.find(task_arn)
        await task.stopped.wait()
        return self._tasks.shown(task, tags=True)

    def interrupt(self, task_arn: str) -> None:
        """Take a task away as Fargate Spot does; for tests and demonstrations.

        Raises:
            ApiError: No such task.
        """
        self._tasks.request_stop(
            self._tasks.find(task_arn), "SpotInterruption", "Your Spot Task was interrupted."
        )

    def metadata(self, path: str) -> tuple[int, dict[str, Any]]:
        """Answer the task metadata endpoint, version 4: HTTP status and JSON body for a path."""
        return answer(path, self._tasks.all)

    def _begin(self, task: Task) -> None:
        if self._nursery is None:
            raise RuntimeError("RunTask came before Ecs.run was started or after it was cancelled")
        self._nursery.start_soon(self._lifecycle.live, task)

    def _recover(self, lives: trio.Nursery) -> None:
        self._forget_old()
        unfinished = [task for task in self._tasks.all.values() if not task.stopped.is_set()]
        for task in unfinished:
            lives.start_soon(self._lifecycle.recover, task)
        waiting = {task.id for task in unfinished}
        for key in self._logs.keys():  # noqa: SIM118 - not a mapping
            if key.partition("/")[0] not in waiting:
                self._logs.close(key)

    async def _close_when_cancelled(self, closing: trio.Event) -> None:
        try:
            await trio.sleep_forever()
        finally:
            for task in self._tasks.all.values():
                if not task.stopped.is_set():
                    task.hurried.set()
                    self._tasks.request_stop(task, "InfrastructureHealth", SHUT_DOWN)
            closing.set()

    async def _tidy(self) -> None:
        while True:
            await trio.sleep(TIDY_SECONDS)
            self._forget_old()

    def _forget_old(self) -> None:
        for task_id in self._tasks.forget_old():
            shutil.rmtree(self._directory / task_id, ignore_errors=True)


def create(options: LocalOptions, *, endpoint: str, aws: Caller, bus: EventBus, clock: Clock) -> Ecs:
    """Build the service.

    Args:
        options: The server's: ``state``, ``region``, ``account``, ``runner``, ``images``, ``workdir``.
        endpoint: URL of this local AWS, which tasks get as ``AWS_ENDPOINT_URL``.
        aws: For logs, SSM parameters and secrets.
        bus: Receives "ECS Task State Change" events.
        clock: The time of day.
    """
    environment = base_environment(endpoint, options.region)
    runner: Runner
    if options.runner == "docker":
        runner = DockerRunner(environment)
    else:
        runner = ProcessRunner(HostImages(options.images, options.workdir), environment)
    return Ecs(
        state=options.state,
        names=Names(options.region, options.account),
        endpoint=endpoint,
        runner=runner,
        aws=aws,
        bus=bus,
        clock=clock,
    )


def _capacity_providers(names: Names) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def describe(request: dict[str, Any]) -> dict[str, Any]:
        wanted = request.get("capacityProviders") or _CAPACITY_PROVIDERS
        known = [
            {
                "capacityProviderArn": f"arn:aws:ecs:{names.region}:{names.account}:capacity-provider/{name}",
                "name": name,
                "status": "ACTIVE",
                "tags": [],
            }
            for name in _CAPACITY_PROVIDERS
            if name in wanted
        ]
        failures = [{"arn": name, "reason": "MISSING"} for name in wanted if name not in _CAPACITY_PROVIDERS]
        return {"capacityProviders": known, "failures": failures}

    return describe
