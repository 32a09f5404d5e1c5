"""One random night, from its name; and the promises that must hold in the morning."""

import json
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import trio

from statemachine.interpreter import Behaviour as EngineBehaviour
from statemachine.interpreter import iso_time
from tests.simulation.world.executions import Execution
from tests.simulation.world.morning import broken_promises
from tests.simulation.world.simulation import AS_SHIPPED, Definitions, World, run_in_virtual_time
from tests.simulation.world.weather import Weather, any_behaviour
from tests.support.definitions import PREFIX, step

JOBS = ("nightly", "weekly")
SLOTS = 2
SLOT_SECONDS = 1800
NIGHT_SECONDS = 5000.0
WATCH_MINUTES = 60


class NightFailedError(AssertionError):
    """A promise was broken. The message holds the night's name, what broke, and the whole timeline."""


@dataclass
class Night:
    """A night that went as promised."""

    name: str
    timeline: str
    figures: dict[str, int]


def play(name: str, definitions: Definitions = AS_SHIPPED) -> Night:
    """Plays the night of this name.

    Raises:
        NightFailedError: it broke a promise.
    """
    rng = random.Random(name)
    weather = Weather(random.Random(f"{name}/weather"))
    engine = EngineBehaviour(
        on_task_timeout=rng.choice(["drain", "stop", "abandon"]),  # type: ignore[arg-type]
        on_abort=rng.choice(["drain", "stop", "abandon"]),  # type: ignore[arg-type]
    )
    broken: list[str] = []
    world: World | None = None

    async def story(told: World) -> None:
        nonlocal world
        world = told
        await _Players(told, rng, weather).play()
        broken.extend(broken_promises(told))

    crash: BaseException | None = None
    try:
        run_in_virtual_time(story, faults=weather, seed=name, engine=engine, definitions=definitions)
    except BaseExceptionGroup as error:
        crash = error
    assert world is not None
    broken.extend(world.observer.violations)
    if broken or crash:
        what = broken[0] if broken else f"the simulation itself failed: {crash!r}"
        raise NightFailedError(
            f"night {name}: {what}\n"
            f"replay: python -m tests.simulation.nights --replay {name}\n"
            + "".join(f"  - {one}\n" for one in broken)
            + world.timeline.text()
        ) from crash
    return Night(name, world.timeline.text(), _figures(world, weather))


class _Players:
    """Everybody who does something in the night."""

    def __init__(self, world: World, rng: random.Random, weather: Weather) -> None:
        self.world = world
        self.rng = rng
        self.weather = weather
        self.start = world.clock.now()

    async def play(self) -> None:
        """The night, and then the morning: no more faults, and time to come to rest."""
        world, rng = self.world, self.rng
        self._declare_jobs()
        wildness = rng.choice([0.0, 0.2, 0.5])
        behaviours = random.Random(rng.random())
        world.behave = lambda _family, _environment: any_behaviour(behaviours, wildness)
        async with trio.open_nursery() as players:
            for slot in range(SLOTS):
                players.start_soon(self._schedule, "nightly", slot)
                players.start_soon(self._watch, "nightly", slot)
            if rng.random() < 0.5:
                players.start_soon(self._schedule, "weekly", 1)
            for number in range(rng.choice([0, 0, 1, 2, 5])):
                players.start_soon(self._operate, number)
            for _ in range(rng.choice([0, 0, 1, 2, 4])):
                players.start_soon(self._stop_something)
            for _ in range(rng.choice([0, 0, 1, 2])):
                players.start_soon(self._kill_something)
            if rng.random() < 0.08:
                players.start_soon(self._crash)
            if rng.random() < 0.1:
                players.start_soon(self._rush)
            players.start_soon(self._sweep)
        self.weather.calm = True
        world.timeline.note("WORLD", "morning: no more faults")
        await self._come_to_rest()

    def _declare_jobs(self) -> None:
        rng = self.rng
        for job in JOBS:
            classes = [
                "launch",
                "infrastructure",
                "spot",
                "start",
                "timeout",
                "exit",
                "exit_75",
                "out_of_memory",
            ]
            retry = {name: rng.choice([1, 2, 5]) for name in classes if rng.random() < 0.6}
            steps = [
                step(
                    name,
                    job,
                    timeout_seconds=rng.choice([300, 900]),
                    stop_grace_seconds=rng.choice([2, 30, 120]),
                    retry=retry,
                )
                for name in ("one", "two", "three")[: rng.choice([1, 1, 2, 3])]
            ]
            budget = rng.choice([1200, 4000, 9000])
            self.world.add_job(
                job,
                lock_key="articles",
                steps=steps,
                on_conflict=rng.choice(["skip", "skip", "wait", "replace", "fail"]),
                max_wait_seconds=rng.choice([120, 1500]),
                max_waiters=rng.choice([1, 3]),
                run_timeout_seconds=budget,
                lease_seconds=budget + 400,
            )

    async def _until(self, seconds: float) -> None:
        await trio.sleep(max(0.0, self.start + seconds - self.world.clock.now()))

    def _slot_time(self, slot: int) -> str:
        return iso_time(self.start + slot * SLOT_SECONDS)[:19] + "Z"

    async def _schedule(self, job: str, slot: int) -> None:
        """At least once, mostly."""
        rng = random.Random(f"{self.rng.random()}")
        deliveries = rng.choice([0, 1, 1, 1, 2, 3]) if rng.random() < 0.6 else 1
        await self._until(slot * SLOT_SECONDS)
        for number in range(deliveries):
            self.world.scheduled(f"{job}-{slot}-{number}", self._slot_time(slot), job)
            await trio.sleep(rng.choice([0.0, 1.0, 30.0, 600.0]) * rng.random())

    async def _watch(self, job: str, slot: int) -> None:
        rng = random.Random(f"{self.rng.random()}")
        await self._until(slot * SLOT_SECONDS)
        for number in range(rng.choice([1, 1, 2])):
            given = {
                "job": job,
                "scheduled_time": self._slot_time(slot),
                "alert_after_minutes": WATCH_MINUTES,
            }
            self.world.executions.start(f"{PREFIX}-watchdog", f"watch-{job}-{slot}-{number}", given)
            await trio.sleep(rng.random() * 20)

    async def _operate(self, number: int) -> None:
        rng = random.Random(f"{self.rng.random()}")
        job = rng.choice(JOBS)
        await self._until(rng.uniform(0, NIGHT_SECONDS * 0.8))
        given: dict[str, Any] = {"trigger": "operator", "requested_by": "op@desk"}
        if rng.random() < 0.7:
            given["on_conflict"] = rng.choice(["skip", "wait", "wait", "replace", "fail"])
        if rng.random() < 0.3:
            given["resume_from"] = rng.choice(["one", "two", "nowhere"])
        self.world.start(f"op-{number}", job, **given)

    async def _rush(self) -> None:
        """Many at once."""
        rng = random.Random(f"{self.rng.random()}")
        await self._until(rng.uniform(0, NIGHT_SECONDS * 0.6))
        for number in range(12):
            self.world.start(
                f"rush-{number}", rng.choice(JOBS), on_conflict=rng.choice(["skip", "wait", "replace"])
            )

    async def _stop_something(self) -> None:
        rng = random.Random(f"{self.rng.random()}")
        await self._until(rng.uniform(1, NIGHT_SECONDS * 0.9))
        aimed = rng.random() < 0.6  # the worst moment: a container is at work, and outlives its run
        while aimed and not self.world.observer.working():
            await trio.sleep(5)
            if self.world.clock.now() > self.start + NIGHT_SECONDS:
                return
        candidates = [run for run in self.world.executions.running() if not run.name.startswith("watch")]
        holding = [run for run in candidates if aimed and run.name == self.world.holder()]
        if candidates:
            self.world.executions.stop(rng.choice(holding or candidates).arn, "Night", "a hand in the dark")

    async def _kill_something(self) -> None:
        """kill -9 of a container, or StopTask by hand."""
        rng = random.Random(f"{self.rng.random()}")
        await self._until(rng.uniform(1, NIGHT_SECONDS * 0.9))
        alive = self.world.ecs.alive()
        if alive:
            task = rng.choice(alive)
            if rng.random() < 0.5:
                self.world.ecs.stop(task.arn)
            else:
                self.world.timeline.note(task.name, "killed")
                task.container.cancel()

    async def _crash(self) -> None:
        rng = random.Random(f"{self.rng.random()}")
        await self._until(rng.uniform(1, NIGHT_SECONDS * 0.8))
        self.world.crash()
        await self.world.restart()

    async def _sweep(self) -> None:
        rng = random.Random(f"{self.rng.random()}")
        while self.world.clock.now() < self.start + NIGHT_SECONDS:
            await trio.sleep(900 + rng.random())
            self.world.janitor()

    async def _come_to_rest(self) -> None:
        world = self.world
        for _ in range(20):
            with trio.move_on_after(1800):
                while _jobs_running(world) or world.ecs.alive():  # noqa: ASYNC110 - the same
                    await trio.sleep(10)
            await world.sweep()
            if not _jobs_running(world) and not world.ecs.alive():
                break
        await world.sweep()
        with trio.move_on_after(20_000):
            while world.executions.running():  # noqa: ASYNC110 - many ends, one condition
                await trio.sleep(10)


def _jobs_running(world: World) -> list[Execution]:
    return [run for run in world.executions.running() if run.machine.removeprefix(f"{PREFIX}-") in world.jobs]


def _figures(world: World, weather: Weather) -> dict[str, int]:
    figures: Counter[str] = Counter()
    for record in world.runs.records():
        figures[f"runs {record['outcome']}"] += 1
    for operation in world.locks.operations:
        figures[f"lock {operation}"] += 1
    figures["containers that worked"] = world.observer.entries
    figures["containers"] = len(world.ecs.tasks)
    figures["faults"] = weather.happened
    figures["notifications"] = len(world.services.published)
    figures["executions"] = len(world.executions.all)
    return dict(json.loads(json.dumps(figures)))
