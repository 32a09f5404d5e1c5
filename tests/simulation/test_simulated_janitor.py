"""Ends that no Catch sees, and who cleans up after them."""

import pytest

from lock import events
from lock.model import Holder
from lock.rules import apply
from statemachine.interpreter import Behaviour as Engine
from tests.simulation.world.ecs import FOREVER, Behaviour
from tests.simulation.world.faults import Call, Planned
from tests.simulation.world.simulation import World, simulate
from tests.support.definitions import step

KEY = "2026-01-01T00:00:00Z"
ABANDON = Engine(on_task_timeout="abandon", on_abort="abandon")
WAYS = [Engine(on_task_timeout=way, on_abort=way) for way in ("drain", "stop", "abandon")]  # type: ignore[arg-type]


async def aborted(world: World, **given: object) -> str:
    run = world.start("a", **given)
    await world.until(lambda: world.observer.working() != [])
    world.executions.stop(run.arn, "Operator", "enough")
    await run.ended.wait()
    return run.arn


def drains(call: Call) -> bool:
    return call.state == "ListTasks" and "janitor" not in call.by


def cleaned(world: World) -> bool:
    item = world.locks.items["articles"]
    return item.holder is None and not item.stale_tasks


@pytest.mark.parametrize("engine", WAYS, ids=lambda engine: engine.on_abort)
def test_an_aborted_run_is_drained_freed_recorded_and_told(engine: Engine) -> None:
    async def story(world: World) -> None:
        world.add_job()
        world.behaviours = [Behaviour(work_seconds=FOREVER, ignores_sigterm=True)]
        await aborted(world)
        await world.until(lambda: world.locks.items["articles"].holder is None)
        assert not world.ecs.alive(), "the lock is free only after the container is gone"
        await world.until(lambda: world.services.published != [])
        (record,) = world.runs.records()
        assert record["outcome"] == "stopped"
        assert record["reason"] == "the execution was stopped: enough"
        assert record["error"] == "Operator"
        assert record["run"] == f"{record['started_at']}#a"
        assert "nightly stopped" in world.services.published[0]["Message"]
        last = world.locks.items["articles"].last
        assert last is not None
        assert (last.outcome, last.by) == ("stopped", "janitor")

    simulate(story, engine=engine)


def test_a_run_out_of_its_time_is_recorded_as_that() -> None:
    """The machine's own timeout: no Catch runs. A drain that does not come to its end leads there."""

    async def story(world: World) -> None:
        assert isinstance(world.faults, Planned)
        world.faults.plan("lost request", drains, times=10_000)
        world.add_job(steps=[step(retry={})], run_timeout_seconds=170)
        world.behaviours = [Behaviour(exit_code=1)]
        run = world.scheduled("a", KEY)
        await run.ended.wait()
        assert run.status == "TIMED_OUT"
        await world.until(lambda: cleaned(world))
        await world.until(lambda: world.runs.records() != [])
        (record,) = world.runs.records()
        assert record["outcome"] == "timed_out"
        assert record["run"] == f"{KEY}#a"
        assert record["trigger"] == "schedule"
        assert world.locks.items["articles"].last_run_key == KEY

    simulate(story)


def test_without_the_event_the_sweep_does_it() -> None:
    async def story(world: World) -> None:
        world.add_job()
        await aborted(world)
        await world.sweep()
        assert cleaned(world)
        assert [record["outcome"] for record in world.runs.records()] == ["stopped"]
        assert len(world.services.published) == 1
        await world.sweep()
        assert len(world.services.published) == 1
        assert len(world.runs.records()) == 1

    simulate(story, faults=Planned(event_at=[]))


def test_the_event_may_come_twice_and_late() -> None:
    async def story(world: World) -> None:
        world.add_job()
        await aborted(world)
        second = await world.run("b")
        assert second.output["outcome"] == "succeeded"
        third = world.start("c")
        await world.until(lambda: len([e for e in world.executions.all.values() if "janitor" in e.name]) == 3)
        await third.ended.wait()
        assert third.output["outcome"] == "succeeded", "a late janitor must not touch a living run"
        await world.until(lambda: not world.executions.running())
        assert len(world.services.published) == 1
        assert len(world.runs.records()) == 3

    simulate(story, faults=Planned(event_at=[1.0, 2.0, 120.0]), engine=ABANDON)


def test_the_event_may_be_quicker_than_describe_execution() -> None:
    async def story(world: World) -> None:
        world.add_job()
        await aborted(world)
        await world.until(lambda: cleaned(world), within=100)
        await world.until(lambda: len(world.runs.records()) == 1, within=100)

    simulate(story, faults=Planned(event_at=[0.1], describe_after=30.0))


def test_a_run_that_never_held_the_lock_is_recorded_too() -> None:
    async def story(world: World) -> None:
        world.add_job(on_conflict="wait")
        first = world.start("a")
        await world.until(lambda: world.observer.working() != [])
        waiter = world.scheduled("b", KEY)
        await world.until(lambda: len(world.locks.items["articles"].waiting) == 1)
        world.executions.stop(waiter.arn)
        await world.until(lambda: len(world.runs.records()) == 1)
        (record,) = world.runs.records()
        assert (record["name"], record["outcome"], record["run"]) == ("b", "stopped", f"{KEY}#b")
        await first.ended.wait()
        assert first.output["outcome"] == "succeeded"
        await world.sweep()
        assert cleaned(world)
        assert world.locks.items["articles"].queue == ()

    simulate(story)


def test_a_failed_run_has_recorded_itself_and_is_not_told_twice() -> None:
    async def story(world: World) -> None:
        world.add_job(steps=[step(retry={})])
        world.behaviours = [Behaviour(exit_code=1)]
        await world.run("a")
        await world.until(lambda: any("janitor" in e.name for e in world.executions.all.values()))
        await world.until(lambda: not world.executions.running())
        await world.sweep()
        assert len(world.services.published) == 1
        (record,) = world.runs.records()
        assert "recorded_by" not in record

    simulate(story)


def test_a_run_whose_tasks_cannot_be_stopped_leaves_the_lock_to_the_janitor() -> None:
    async def story(world: World) -> None:
        assert isinstance(world.faults, Planned)
        world.faults.plan("lost request", drains, times=10_000)
        world.add_job(steps=[step(retry={})])
        world.behaviours = [Behaviour(exit_code=1)]
        run = await world.run("a")
        assert "LeaveToJanitor" in run.states
        assert "left to the janitor" in run.report["reason"]
        await world.until(lambda: cleaned(world))
        (record,) = world.runs.records()
        assert record["outcome"] == "failed"

    simulate(story)


def test_work_that_succeeded_is_never_called_failed_even_if_the_lock_cannot_be_released() -> None:
    def writes(call: Call) -> bool:
        return call.state in {"Release", "Free"} and "janitor" not in call.by

    async def story(world: World) -> None:
        assert isinstance(world.faults, Planned)
        world.faults.plan("lost request", writes, times=100)
        world.add_job()
        run = await world.run("a")
        assert run.report["outcome"] == "succeeded"
        await world.until(lambda: cleaned(world))
        (record,) = world.runs.records()
        assert record["outcome"] == "succeeded"

    simulate(story)


def test_a_record_that_cannot_be_written_is_made_good_by_the_janitor() -> None:
    async def story(world: World) -> None:
        assert isinstance(world.faults, Planned)
        world.faults.plan("lost request", lambda call: call.state == "RecordHeld", times=18)
        world.add_job()
        run = await world.run("a")
        assert run.status == "FAILED"
        assert run.report["outcome"] == "succeeded"
        assert len(world.services.published) == 1
        await world.until(lambda: len(world.runs.records()) == 1)
        assert world.runs.records()[0]["outcome"] == "succeeded"

    simulate(story)


def test_a_notification_that_fails_loses_no_record() -> None:
    async def story(world: World) -> None:
        assert isinstance(world.faults, Planned)
        world.faults.plan("lost request", lambda call: call.action == "publish", times=100)
        world.add_job(steps=[step(retry={})])
        world.behaviours = [Behaviour(exit_code=1)]
        run = await world.run("a")
        assert run.report["class"] == "exit_1"
        assert world.runs.records()[0]["outcome"] == "failed"
        assert cleaned(world)

    simulate(story)


def test_the_janitor_hands_over_to_the_line_past_the_dead() -> None:
    async def story(world: World) -> None:
        world.add_job(on_conflict="wait")
        world.behaviours = [Behaviour(work_seconds=FOREVER)]
        first = world.start("a")
        await world.until(lambda: world.observer.working() != [])
        for number, name in enumerate("bcd", start=1):
            world.start(name)
            await world.until(lambda n=number: len(world.locks.items["articles"].waiting) == n)
        for name in "bc":
            world.executions.stop(first.arn.removesuffix(":a") + f":{name}")
        world.executions.stop(first.arn)
        await world.sweep()
        assert world.holder() == "d"
        last = world.executions.all[first.arn.removesuffix(":a") + ":d"]
        await last.ended.wait()
        assert last.output["outcome"] == "succeeded"
        outcomes = {record["name"]: record["outcome"] for record in world.runs.records()}
        assert outcomes == {"a": "stopped", "b": "stopped", "c": "stopped", "d": "succeeded"}

    simulate(story, faults=Planned(event_at=[]), engine=ABANDON)


def test_one_lock_can_be_asked_for() -> None:
    async def story(world: World) -> None:
        world.add_job()
        world.add_job("weekly", lock_key="reports")
        await aborted(world)
        janitor = world.janitor({"lock_key": "articles"})
        await janitor.ended.wait()
        assert janitor.output["locks"][0]["lock_key"] == "articles"
        assert cleaned(world)

    simulate(story, faults=Planned(event_at=[]))


def test_a_crash_of_everything_leaves_nothing_behind() -> None:
    async def story(world: World) -> None:
        world.add_job(on_conflict="wait")
        world.start("a")
        world.start("b")
        await world.until(lambda: world.observer.working() != [])
        world.crash()
        await world.restart()
        await world.sweep()
        assert cleaned(world)
        assert {record["outcome"] for record in world.runs.records()} == {"stopped"}
        assert (await world.run("c")).output["outcome"] == "succeeded"

    simulate(story)


def test_a_janitor_that_cannot_clean_everything_fails_and_so_raises_the_alarm() -> None:
    async def story(world: World) -> None:
        assert isinstance(world.faults, Planned)
        world.add_job()
        await aborted(world)
        world.faults.plan("lost request", lambda call: call.state == "ReadRow", times=100)
        janitor = await world.sweep()
        assert janitor.result is not None
        assert janitor.result.error == "Nightlatch.JanitorIncomplete"
        assert [record["outcome"] for record in world.runs.records()] == ["stopped"], "the rest is still done"

    simulate(story, faults=Planned(event_at=[]))


def test_a_holder_from_the_command_line_is_freed_only_after_its_lease() -> None:
    async def story(world: World) -> None:
        now = int(world.clock.now() * 1000)
        holder = Holder(owner="cli:desk:1:x", kind="cli", grant="g", job="by-hand", acquired_at=now)
        item = apply(
            None, events.Acquire(holder=holder, expires_at=now + 60_000, now=now), key="articles"
        ).item
        assert item is not None
        world.locks.items["articles"] = item
        await world.sweep()
        assert world.holder() == "cli:desk:1:x"
        await world.until(lambda: world.clock.now() * 1000 > now + 66_000)
        await world.sweep()
        assert cleaned(world)
        assert world.runs.records() == []

    simulate(story)


def test_the_dead_of_another_machine_are_not_ours_to_record() -> None:
    async def story(world: World) -> None:
        janitor = world.janitor()
        await janitor.ended.wait()
        event = {"detail": {"executionArn": janitor.arn, "status": "FAILED"}}
        second = world.janitor(event)
        await second.ended.wait()
        assert second.status == "SUCCEEDED"
        assert world.runs.records() == []

    simulate(story)
