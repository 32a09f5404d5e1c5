"""A simulated ECS: tasks that provision, claim, work, and stop only when they are gone."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import trio

from tests.simulation.world.errors import ServiceError
from tests.simulation.world.observer import Observer
from tests.simulation.world.shards import Shards
from tests.simulation.world.timeline import Timeline

# The runtime tells the job to stop one grace before the deadline and kills it this long after.
OVERDUE_SECONDS = 5.0
FOREVER = 10.0**9


@dataclass(frozen=True)
class Behaviour:
    """What one task does.

    Attributes:
        provision_seconds: until its container runs.
        boot_seconds: from then until it claims.
        work_seconds: how long the job works if let; `FOREVER` for one that hangs.
        exit_code: of the job.
        container_reason: what ECS says beside the exit code.
        start_failure: the reason if the container never runs.
        stop_code: what ended it if that was not the job: `SpotInterruption`, `InfrastructureHealth`.
        ignores_sigterm: works on until it is killed.
        term_seconds: how long it takes to stop when told to.
        shards: what it plans, for a step that a fan-out follows.
    """

    provision_seconds: float = 20.0
    boot_seconds: float = 1.0
    work_seconds: float = 60.0
    exit_code: int = 0
    container_reason: str | None = None
    start_failure: str | None = None
    stop_code: str | None = None
    ignores_sigterm: bool = False
    term_seconds: float = 2.0
    shards: list[Any] | None = None


@dataclass(eq=False)
class Task:
    """One task, as DescribeTasks would show it and as it is."""

    arn: str
    family: str
    group: str
    environment: dict[str, str]
    behaviour: Behaviour
    visible_at: float
    last_status: str = "PROVISIONING"
    desired_status: str = "RUNNING"
    exit_code: int | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    stop_requested: trio.Event = field(default_factory=trio.Event)
    stopped: trio.Event = field(default_factory=trio.Event)
    container: trio.CancelScope = field(default_factory=trio.CancelScope)

    @property
    def name(self) -> str:
        """Short, for the timeline."""
        return f"task {self.arn.rsplit('/', 1)[-1]}"

    def shown(self) -> dict[str, Any]:
        """As the API shows it."""
        container: dict[str, Any] = {"Name": "job", "LastStatus": self.last_status}
        if self.exit_code is not None:
            container["ExitCode"] = self.exit_code
        if self.behaviour.container_reason is not None and self.exit_code is not None:
            container["Reason"] = self.behaviour.container_reason
        guard = {"Name": "aws-guardduty-agent-x", "LastStatus": self.last_status, "ExitCode": 0}
        shown = {
            "TaskArn": self.arn,
            "Group": self.group,
            "LastStatus": self.last_status,
            "DesiredStatus": self.desired_status,
            "Containers": [guard, container],
            "Overrides": {"ContainerOverrides": []},
        }
        if self.stop_code is not None:
            shown |= {"StopCode": self.stop_code, "StoppedReason": self.stopped_reason or ""}
        return shown


class Ecs:
    """The cluster.

    Args:
        nursery: where tasks live, independently of who started them.
        behave: decides what a new task does.
        claim: writes a container's claim; returns the token, or None when refused.
        list_lag: seconds until ListTasks and DescribeTasks know a new task.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        now: Callable[[], float],
        timeline: Timeline,
        observer: Observer,
        behave: Callable[[str, dict[str, str]], Behaviour],
        claim: Callable[[Task], Awaitable[int | None]],
        shards: Shards,
        list_lag: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._nursery = nursery
        self._now = now
        self._timeline = timeline
        self._observer = observer
        self._behave = behave
        self._claim = claim
        self._shards = shards
        self._list_lag = list_lag
        self.tasks: dict[str, Task] = {}

    def run(self, request: dict[str, Any]) -> Task:
        """RunTask."""
        (override,) = request["Overrides"]["ContainerOverrides"]
        environment = {pair["Name"]: pair["Value"] for pair in override["Environment"]}
        assert all(isinstance(value, str) for value in environment.values()), environment
        family = request["TaskDefinition"]
        number = len(self.tasks) + 1
        step, attempt = environment["NIGHTLATCH_STEP"], environment["NIGHTLATCH_ATTEMPT"]
        task = Task(
            arn=f"arn:aws:ecs:ap-northeast-1:000000000000:task/{request['Cluster']}/{number:03d}-{step}-{attempt}",
            family=family,
            group=request["Group"],
            environment=environment,
            behaviour=self._behave(family, environment),
            visible_at=self._now() + self._list_lag(),
        )
        self.tasks[task.arn] = task
        self._timeline.note(task.name, f"launched for {environment['NIGHTLATCH_RUN']}")
        self._nursery.start_soon(self._live, task)
        return task

    def stop(self, arn: str) -> dict[str, Any]:
        """StopTask."""
        task = self.tasks.get(arn)
        if task is None:
            raise ServiceError("InvalidParameterException", "The referenced task was not found.")
        if task.desired_status != "STOPPED":
            self._timeline.note(task.name, "told to stop")
            task.desired_status = "STOPPED"
            task.stop_code, task.stopped_reason = "UserInitiated", "Task stopped by user"
            task.stop_requested.set()
        return {"Task": task.shown()}

    def describe(self, arns: list[str]) -> dict[str, Any]:
        """DescribeTasks."""
        if not arns:
            raise ServiceError("ClientException", "Tasks cannot be empty.")
        assert len(arns) <= 100
        known = {arn: self.tasks[arn] for arn in arns if arn in self.tasks and self._visible(self.tasks[arn])}
        missing = [{"Arn": arn, "Reason": "MISSING"} for arn in arns if arn not in known]
        return {"Tasks": [task.shown() for task in known.values()], "Failures": missing}

    def list_tasks(self, family: str, desired: str) -> dict[str, Any]:
        """ListTasks."""
        found = [
            task.arn
            for task in self.tasks.values()
            if task.family == family and task.desired_status == desired and self._visible(task)
        ]
        return {"TaskArns": found}

    def kill_all(self) -> None:
        """What a crash of the machine does to its processes."""
        for task in self.tasks.values():
            if not task.stopped.is_set():
                task.stop_code, task.stopped_reason = "InfrastructureHealth", "the host went away"
                task.desired_status = "STOPPED"
                task.container.cancel()

    def alive(self) -> list[Task]:
        """The tasks that are not STOPPED."""
        return [task for task in self.tasks.values() if not task.stopped.is_set()]

    def _visible(self, task: Task) -> bool:
        return self._now() >= task.visible_at

    async def _live(self, task: Task) -> None:
        try:
            with task.container:
                await self._run(task)
        finally:
            if task.last_status == "RUNNING" and task.exit_code is None:
                task.exit_code = 137
            task.last_status = task.desired_status = "STOPPED"
            if task.stop_code is None:
                task.stop_code = "EssentialContainerExited"
                task.stopped_reason = "Essential container in task exited"
            self._timeline.note(task.name, f"STOPPED {task.stop_code} exit {task.exit_code}")
            task.stopped.set()

    async def _run(self, task: Task) -> None:
        does = task.behaviour
        with trio.move_on_after(does.provision_seconds):
            await task.stop_requested.wait()
            await trio.sleep(2)
            return
        if does.start_failure is not None:
            task.stop_code, task.stopped_reason = "TaskFailedToStart", does.start_failure
            return
        task.last_status = "RUNNING"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._kill_after_grace, task, nursery.cancel_scope)
            code = await self._work(task)
            if does.stop_code is not None and task.stop_code is None and code == does.exit_code:
                task.stop_code, task.stopped_reason = does.stop_code, "Your Spot Task was interrupted."
            task.exit_code = code
            nursery.cancel_scope.cancel()

    async def _kill_after_grace(self, task: Task, container: trio.CancelScope) -> None:
        await task.stop_requested.wait()
        await trio.sleep(float(task.environment["NIGHTLATCH_STOP_GRACE"]))
        container.cancel()

    async def _work(self, task: Task) -> int:
        does = task.behaviour
        await trio.sleep(does.boot_seconds)
        token = await self._claim(task)
        if token is None:
            self._timeline.note(task.name, "claim refused, ends without working")
            return 75
        key = task.environment["NIGHTLATCH_LOCK_KEY"]
        deadline = int(task.environment["NIGHTLATCH_DEADLINE"]) / 1000
        grace = float(task.environment["NIGHTLATCH_STOP_GRACE"])
        fan_out = task.environment.get("NIGHTLATCH_CLAIM") == "verify"
        if fan_out and task.environment["NIGHTLATCH_OUTPUT"] in self._shards.published:
            self._timeline.note(task.name, "its shard is published already")
            return 0
        entered = self._now()
        if fan_out:
            self._observer.enter_shard(key, task.name, task.environment["NIGHTLATCH_RUN"])
        else:
            self._observer.enter(key, task.name, token)
        try:
            code = await self._job(task, deadline - grace, deadline + OVERDUE_SECONDS)
        finally:
            self._observer.leave(key, task.name)
            # One that claims after its deadline is told to stop at once and has its grace from then on.
            late = self._now() - max(deadline, entered) - grace - OVERDUE_SECONDS
            if late > 0:
                self._observer.overdue(task.name, late)
        if code == 0 and fan_out:
            self._shards.publish(task.environment["NIGHTLATCH_OUTPUT"], task.name)
        if code == 0 and does.shards is not None:
            self._shards.write_list(task.environment["NIGHTLATCH_SHARD_LIST"], does.shards)
        if code == 0:
            self._observer.finished.add(
                (task.environment["NIGHTLATCH_RUN"], task.environment["NIGHTLATCH_STEP"])
            )
        return code

    async def _job(self, task: Task, told_at: float, killed_at: float) -> int:
        does = task.behaviour
        ends_at = self._now() + does.work_seconds
        with trio.move_on_after(max(0.0, min(ends_at, told_at) - self._now())):
            await task.stop_requested.wait()
        if self._now() >= ends_at:
            return does.exit_code
        # Told to stop, from outside or by the runtime; the runtime kills it when its grace is over.
        grace = float(task.environment["NIGHTLATCH_STOP_GRACE"])
        killed = self._now() + grace if task.stop_requested.is_set() else killed_at
        wanted = ends_at if does.ignores_sigterm else self._now() + does.term_seconds
        await trio.sleep(max(0.0, min(wanted, killed) - self._now()))
        return does.exit_code if does.ignores_sigterm and self._now() >= ends_at else 143
