"""A run that is missing, late or bad by its deadline is noticed, once."""

import pytest

from tests.simulation.world.ecs import Behaviour
from tests.simulation.world.faults import Planned
from tests.simulation.world.simulation import World, simulate
from tests.support.definitions import step

KEY = "2026-01-01T00:00:00Z"


def told(world: World) -> list[str]:
    return [
        message["Message"]
        for message in world.services.published
        if message["MessageAttributes"]["outcome"]["StringValue"] == "missing"
    ]


def test_a_good_night_says_nothing() -> None:
    async def story(world: World) -> None:
        world.add_job()
        world.scheduled("a", KEY)
        dog = await world.watchdog("w", KEY, 150)
        assert dog.output == {"verdict": "well"}
        assert world.clock.now() - dog.start == pytest.approx(150 * 60, abs=5)
        assert told(world) == []

    simulate(story)


def test_a_run_that_never_started_is_told_with_what_to_type() -> None:
    async def story(world: World) -> None:
        world.add_job()
        await world.watchdog("w", KEY, 30)
        (message,) = told(world)
        assert f"nightly of {KEY} is not done 30 minutes after its time: no run of it is known" in message
        assert "nightlatch run nightly --env test" in message

    simulate(story)


def test_however_often_the_watchdog_is_started_it_tells_once() -> None:
    async def story(world: World) -> None:
        world.add_job()

        async def deliver(name: str) -> None:
            await world.watchdog(name, KEY, 30)

        await deliver("w1")
        await deliver("w2")
        assert len(told(world)) == 1

    faults = Planned()
    faults.plan("lost reply", lambda call: call.state == "MarkTold")
    simulate(story, faults=faults)


def test_a_failed_run_is_told_with_its_reason() -> None:
    async def story(world: World) -> None:
        world.add_job(steps=[step(retry={})])
        world.behaviours = [Behaviour(exit_code=3)]
        world.scheduled("nightly-1", KEY)
        await world.watchdog("w", KEY, 30)
        (message,) = told(world)
        assert "it failed (step generate: exit code 3)" in message
        assert "nightlatch redrive nightly-1 --env test" in message

    simulate(story)


def test_a_run_that_is_still_on_is_told_as_such() -> None:
    async def story(world: World) -> None:
        world.add_job(steps=[step(timeout_seconds=4000)])
        world.behaviours = [Behaviour(work_seconds=3600)]
        world.scheduled("nightly-1", KEY)
        await world.watchdog("w", KEY, 30)
        (message,) = told(world)
        assert "it is still running as nightly-1" in message
        assert "nightlatch watch nightly-1 --env test" in message

    simulate(story)


def test_a_skipped_run_is_not_a_good_one() -> None:
    async def story(world: World) -> None:
        world.add_job(steps=[step(timeout_seconds=4000)])
        world.behaviours = [Behaviour(work_seconds=3600)]
        world.start("by-hand")
        await world.until(lambda: world.observer.working() != [])
        world.scheduled("nightly-1", KEY)
        await world.watchdog("w", KEY, 30)
        (message,) = told(world)
        assert "it was skipped (the lock is held)" in message

    simulate(story)


def test_only_the_success_of_this_time_counts() -> None:
    async def story(world: World) -> None:
        world.add_job()
        world.scheduled("before", "2025-12-31T00:00:00Z")
        await world.watchdog("w", KEY, 30)
        assert len(told(world)) == 1

    simulate(story)


def test_a_watchdog_that_cannot_tell_fails() -> None:
    faults = Planned()
    faults.plan("lost request", lambda call: call.action == "publish", times=100)

    async def story(world: World) -> None:
        world.add_job()
        dog = await world.watchdog("w", KEY, 30)
        assert dog.status == "FAILED"

    simulate(story, faults=faults)
