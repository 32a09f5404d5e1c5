"""A whole simulated installation, under virtual time and a seed."""

import json
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import trio
import trio.testing

from lock.expressions import CLAIM
from statemachine.interpreter import Behaviour as EngineBehaviour
from statemachine.interpreter import Machine, TrioClock, iso_time
from tests.simulation.world.ecs import Behaviour, Ecs, Task
from tests.simulation.world.errors import ConditionFailedError
from tests.simulation.world.executions import Execution, Executions
from tests.simulation.world.faults import Call, Faults, Planned, through
from tests.simulation.world.lock_table import LockTable
from tests.simulation.world.observer import Observer
from tests.simulation.world.runs_table import RunsTable
from tests.simulation.world.services import Services
from tests.simulation.world.shards import Shards
from tests.simulation.world.timeline import Timeline
from tests.support.definitions import PREFIX, definition, settings

_REMEMBERED = 16


class Definitions:
    """The rendered machines, each parsed once.

    Args:
        change: breaks a definition on purpose: gets its name and its states.
    """

    def __init__(self, change: Callable[[str, dict[str, Any]], None] = lambda _name, _states: None) -> None:
        self._change = change
        # A parsed machine takes megabytes, and random nights have settings of their own.
        self._machine = lru_cache(maxsize=_REMEMBERED)(self._parse)

    def machine(self, name: str, **given: Any) -> Machine:
        """`job` with these settings, `janitor` or `watchdog`."""
        return self._machine(name, definition(name, **given))

    def _parse(self, name: str, text: str) -> Machine:
        parsed = json.loads(text)
        self._change(name, parsed["States"])
        return Machine.parse(json.dumps(parsed))


AS_SHIPPED = Definitions()


class World:
    """Everything of one installation.

    Attributes:
        behaviours: what the next tasks do.
        behave: what a task does when `behaviours` is empty, by family and environment.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        faults: Faults,
        seed: str,
        engine: EngineBehaviour,
        definitions: Definitions = AS_SHIPPED,
    ) -> None:
        self.definitions = definitions
        self.clock = TrioClock()
        self.faults = faults
        self.timeline = Timeline(self.clock.now)
        self.observer = Observer(self.timeline)
        self.locks = LockTable(self.observer.given_back)
        self.runs = RunsTable()
        self.shards = Shards()
        self.behaviours: list[Behaviour] = []
        self.behave: Callable[[str, dict[str, str]], Behaviour] = lambda _family, _environment: Behaviour()
        self.jobs: dict[str, dict[str, Any]] = {}
        self._nursery = nursery
        self._janitors = 0
        self.ecs = Ecs(
            nursery,
            now=self.clock.now,
            timeline=self.timeline,
            observer=self.observer,
            behave=self._next_behaviour,
            claim=self._claim,
            shards=self.shards,
            list_lag=faults.list_lag,
        )
        self.executions = Executions(
            nursery,
            clock=self.clock,
            timeline=self.timeline,
            seed=seed,
            behaviour=engine,
            describe_lag=faults.describe_lag,
            on_end=self._ended,
        )
        self.services = Services(
            locks=self.locks,
            runs=self.runs,
            ecs=self.ecs,
            executions=self.executions,
            shards=self.shards,
            faults=faults,
        )
        self.executions.integrations = self.services
        for name in ("janitor", "watchdog"):
            self.executions.machines[f"{PREFIX}-{name}"] = definitions.machine(name)

    def add_job(self, job: str = "nightly", **changes: Any) -> None:
        """Declare a job."""
        given = settings(job, **changes)
        self.jobs[job] = given
        self.executions.machines[f"{PREFIX}-{job}"] = self.definitions.machine("job", **given)

    def start(self, name: str, job: str = "nightly", **given: Any) -> Execution:
        """Start a run."""
        return self.executions.start(f"{PREFIX}-{job}", name, given)

    def scheduled(self, name: str, time: str, job: str = "nightly") -> Execution:
        """One delivery of the schedule."""
        return self.start(name, job, trigger="schedule", scheduled_time=time)

    async def run(self, name: str, job: str = "nightly", **given: Any) -> Execution:
        """Start a run and wait for its end."""
        execution = self.start(name, job, **given)
        await execution.ended.wait()
        return execution

    def janitor(self, given: Any = None) -> Execution:
        """Start a janitor: a sweep unless told otherwise."""
        self._janitors += 1
        return self.executions.start(
            f"{PREFIX}-janitor", f"janitor-{self._janitors}", given or {"sweep": True}
        )

    async def sweep(self) -> Execution:
        """A sweep, to its end."""
        execution = self.janitor()
        await execution.ended.wait()
        return execution

    async def watchdog(self, name: str, time: str, minutes: int, job: str = "nightly") -> Execution:
        """A delivery of the watchdog's schedule, to its end."""
        given = {"job": job, "scheduled_time": time, "alert_after_minutes": minutes}
        execution = self.executions.start(f"{PREFIX}-watchdog", name, given)
        await execution.ended.wait()
        return execution

    async def until(self, condition: Callable[[], bool], within: float = 7200) -> None:
        """Wait for something to become true, in virtual time."""
        with trio.move_on_after(within):
            while not condition():  # noqa: ASYNC110 - the condition is anything, and the time is virtual
                await trio.sleep(0.5)
            return
        raise AssertionError(f"it did not happen within {within} s:\n{self.timeline.text()}")

    def holder(self, key: str = "articles") -> str | None:
        """Name of the run that holds a lock."""
        item = self.locks.items.get(key)
        return item.holder.run if item and item.holder else None

    def crash(self) -> None:
        """The whole control plane and every container die at once."""
        self.timeline.note("WORLD", "crash")
        self.services.control_plane_is_down = True
        self.executions.cut_off()
        self.ecs.kill_all()

    async def restart(self) -> None:
        """After a crash, when all that died is gone."""
        for execution in self.executions.running():
            await execution.ended.wait()
        self.services.control_plane_is_down = False
        self.timeline.note("WORLD", "restarted")

    def _next_behaviour(self, family: str, environment: dict[str, str]) -> Behaviour:
        return self.behaviours.pop(0) if self.behaviours else self.behave(family, environment)

    async def _claim(self, task: Task) -> int | None:
        """As the runtime claims: again after a lost reply, until told yes or no."""
        environment = task.environment
        if environment.get("NIGHTLATCH_CLAIM") == "verify":
            return await self._verify(task)
        request = {
            "UpdateExpression": CLAIM.update,
            "ConditionExpression": CLAIM.condition,
            "ExpressionAttributeNames": dict(CLAIM.names),
            "Key": {"lock_key": {"S": environment["NIGHTLATCH_LOCK_KEY"]}},
            "ExpressionAttributeValues": {
                ":owner": {"S": environment["NIGHTLATCH_OWNER"]},
                ":grant": {"S": environment["NIGHTLATCH_GRANT"]},
                ":task": {"S": task.arn},
                ":one": {"N": "1"},
            },
            "ReturnValues": "ALL_NEW",
        }
        for _ in range(5):
            call = Call(task.name, "dynamodb", "claim")
            fault = await through(call, self.faults)
            if fault != "lost request":
                request["ExpressionAttributeValues"][":now"] = {"N": str(int(self.clock.now() * 1000))}
                try:
                    answer = self.locks.update(request)
                except ConditionFailedError:
                    return None
                await trio.sleep(self.faults.delay(call) / 2)
                if fault != "lost reply":
                    return int(answer["Attributes"]["fence"]["N"])
            await trio.sleep(1)
        return None

    async def _verify(self, task: Task) -> int | None:
        """As the runtime verifies a grant that a whole fan-out shares: by a consistent read."""
        await through(Call(task.name, "dynamodb", "verify"), self.faults)
        item = self.locks.items.get(task.environment["NIGHTLATCH_LOCK_KEY"])
        holder = item.holder if item else None
        wanted = (task.environment["NIGHTLATCH_OWNER"], task.environment["NIGHTLATCH_GRANT"])
        if item is None or holder is None or (holder.owner, holder.grant) != wanted:
            return None
        return item.fence

    def _ended(self, execution: Execution) -> None:
        job = execution.machine.removeprefix(f"{PREFIX}-")
        if job not in self.jobs:
            return
        if execution.status == "SUCCEEDED":
            key = self.jobs[job]["lock_key"]
            self.observer.succeeded(key, execution.name, still_held=self.holder(key) == execution.name)
            return
        if self.services.control_plane_is_down:
            return
        detail = {
            "executionArn": execution.arn,
            "stateMachineArn": f"arn:aws:states:ap-northeast-1:000000000000:stateMachine:{execution.machine}",
            "name": execution.name,
            "status": execution.status,
            "startDate": int(execution.start * 1000),
            "stopDate": int(execution.end * 1000),
        }
        event = {"source": "aws.states", "time": iso_time(execution.end), "detail": detail}
        for delay in self.faults.event_delays():
            self._nursery.start_soon(self._deliver, event, delay)

    async def _deliver(self, event: dict[str, Any], delay: float) -> None:
        await trio.sleep(delay)
        self.janitor(event)


@contextmanager
def _same_order_every_time(seed: str) -> Iterator[None]:
    """Trio shuffles what is ready to run; the shuffle comes from the seed."""
    core = trio._core._run
    before = core._r, core._ALLOW_DETERMINISTIC_SCHEDULING
    core._r, core._ALLOW_DETERMINISTIC_SCHEDULING = random.Random(seed), True  # type: ignore[misc]
    try:
        yield
    finally:
        core._r, core._ALLOW_DETERMINISTIC_SCHEDULING = before  # type: ignore[misc]


def run_in_virtual_time(
    story: Callable[[World], Awaitable[None]],
    *,
    faults: Faults,
    seed: str,
    engine: EngineBehaviour,
    definitions: Definitions = AS_SHIPPED,
) -> None:
    """Tells a story in a world of its own; whatever still runs at its end is dropped."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            world = World(nursery, faults=faults, seed=seed, engine=engine, definitions=definitions)
            await story(world)
            nursery.cancel_scope.cancel()

    with _same_order_every_time(seed):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def simulate(
    story: Callable[[World], Awaitable[None]],
    *,
    faults: Faults | None = None,
    seed: str = "0",
    engine: EngineBehaviour | None = None,
) -> World:
    """Tells a story and returns its world; fails if two containers ever worked side by side."""
    worlds: list[World] = []

    async def told(world: World) -> None:
        worlds.append(world)
        await story(world)

    default = EngineBehaviour(on_task_timeout="stop", on_abort="stop")
    run_in_virtual_time(told, faults=faults or Planned(), seed=seed, engine=engine or default)
    (world,) = worlds
    assert not world.observer.violations, world.timeline.text()
    return world
