"""A write to the lock may be done and its reply lost, or be lost itself; a task may be launched twice."""

from collections.abc import Awaitable, Callable

import pytest

from tests.simulation.world.ecs import FOREVER, Behaviour
from tests.simulation.world.faults import Fault, Planned
from tests.simulation.world.simulation import World, simulate
from tests.support.definitions import step

Story = Callable[[World], Awaitable[None]]


async def two_steps(world: World) -> None:
    world.add_job(steps=[step("one"), step("two")])
    run = await world.run("a")
    assert run.output["outcome"] == "succeeded"


async def with_a_retry(world: World) -> None:
    world.add_job()
    world.behaviours = [Behaviour(exit_code=75)]
    run = await world.run("a")
    assert run.output["outcome"] == "succeeded"


async def with_a_failure(world: World) -> None:
    world.add_job()
    world.behaviours = [Behaviour(exit_code=1)]
    run = await world.run("a")
    assert run.report["class"] == "exit_1"


async def with_a_take_over(world: World) -> None:
    world.add_job()
    world.behaviours = [Behaviour(work_seconds=FOREVER)]
    first = world.start("a")
    await world.until(lambda: world.observer.working() != [])
    world.executions.stop(first.arn)
    await first.ended.wait()
    second = await world.run("b")
    assert second.output["outcome"] == "succeeded"


async def with_a_line(world: World) -> None:
    world.add_job(on_conflict="wait")
    runs = [world.start("a")]
    await world.until(lambda: world.observer.working() != [])
    runs.append(world.start("b"))
    for run in runs:
        await run.ended.wait()
        assert run.output["outcome"] == "succeeded"


async def with_one_who_leaves_the_line(world: World) -> None:
    world.add_job()
    world.behaviours = [Behaviour(work_seconds=300)]
    first = world.start("a")
    await world.until(lambda: world.observer.working() != [])
    second = await world.run("b", on_conflict="wait", max_wait_seconds=60)
    assert second.output["outcome"] == "skipped"
    await first.ended.wait()
    assert first.output["outcome"] == "succeeded"


async def with_a_head_that_takes_over(world: World) -> None:
    world.add_job(on_conflict="wait")
    world.behaviours = [Behaviour(work_seconds=FOREVER)]
    first = world.start("a")
    await world.until(lambda: world.observer.working() != [])
    second = world.start("b")
    third = world.start("c")
    await world.until(lambda: len(world.locks.items["articles"].waiting) == 2)
    head = world.locks.items["articles"].waiting[0].run
    world.executions.stop({"b": second, "c": third}[head].arn)
    world.executions.stop(first.arn)
    await second.ended.wait()
    await third.ended.wait()
    left = third if head == "b" else second
    assert left.output["outcome"] == "succeeded"


WRITES: list[tuple[str, Story]] = [
    ("Acquire", two_steps),
    ("claim", two_steps),
    ("Advance", two_steps),
    ("Release", two_steps),
    ("RecordHeld", two_steps),
    ("Rearm", with_a_retry),
    ("Free", with_a_failure),
    ("RecordHeld", with_a_failure),
    ("TakeOver", with_a_take_over),
    ("Enqueue", with_a_line),
    ("HandOff", with_a_line),
    ("Leave", with_one_who_leaves_the_line),
    ("DropHead", with_one_who_leaves_the_line),
    ("DropDeadHead", with_a_head_that_takes_over),
    ("TakeOverAsHead", with_a_head_that_takes_over),
]


@pytest.mark.parametrize("fault", ["lost reply", "lost request"])
@pytest.mark.parametrize(("write", "story"), WRITES, ids=[write for write, _ in WRITES])
def test_a_lost_message_changes_nothing_for_the_better_or_worse(
    write: str, story: Story, fault: Fault
) -> None:
    faults = Planned(event_at=[])
    faults.plan(fault, lambda call: call.action == "claim" if write == "claim" else call.state == write)

    async def told(world: World) -> None:
        await story(world)
        await world.sweep()
        item = world.locks.items["articles"]
        assert item.holder is None
        assert item.queue == ()
        names = {
            execution.name for execution in world.executions.all.values() if "janitor" not in execution.name
        }
        assert {record["name"] for record in world.runs.records()} == names

    simulate(told, faults=faults)
    assert len(faults.happened) == 1, "the story must lead through this write"


@pytest.mark.parametrize("fault", ["doubled", "lost reply"])
def test_a_task_launched_twice_or_unknowingly_works_once(fault: Fault) -> None:
    faults = Planned()
    faults.plan(fault, lambda call: call.state == "RunStep")

    async def story(world: World) -> None:
        world.add_job()
        run = await world.run("a")
        assert run.output["outcome"] == "succeeded"
        assert world.locks.items["articles"].holder is None
        await world.until(lambda: not world.ecs.alive())

    world = simulate(story, faults=faults)
    assert len(world.ecs.tasks) >= 2
    assert len(world.observer.finished) == 1


def test_a_store_that_stays_away_fails_the_run_and_leaves_nothing() -> None:
    faults = Planned()
    faults.plan("lost request", lambda call: call.state == "Acquire", times=100)

    async def story(world: World) -> None:
        world.add_job()
        run = await world.run("a")
        assert "the lock could not be acquired" in run.report["reason"]
        assert world.ecs.tasks == {}

    simulate(story, faults=faults)


def test_an_acquire_that_was_carried_out_unseen_is_given_back() -> None:
    faults = Planned()
    faults.plan("lost reply", lambda call: call.state == "Acquire", times=7)

    async def story(world: World) -> None:
        world.add_job()
        run = await world.run("a")
        assert "the lock could not be acquired" in run.report["reason"]
        assert world.locks.items["articles"].holder is None

    simulate(story, faults=faults)


def test_a_janitor_whose_record_was_written_unseen_still_tells() -> None:
    faults = Planned()
    faults.plan("lost reply", lambda call: call.state == "PutRecord")

    async def story(world: World) -> None:
        world.add_job()
        run = world.start("a")
        await world.until(lambda: world.observer.working() != [])
        world.executions.stop(run.arn)
        await world.until(lambda: len(world.services.published) == 1)

    simulate(story, faults=faults)
