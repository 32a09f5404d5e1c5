"""Several runs and one lock: duplicates, policies, queue, take-over."""

import pytest

from lock import events
from lock.model import Holder
from lock.rules import apply
from statemachine.interpreter import Behaviour as Engine
from tests.simulation.world.ecs import FOREVER, Behaviour
from tests.simulation.world.executions import Execution
from tests.simulation.world.faults import Planned
from tests.simulation.world.simulation import World, simulate
from tests.support.definitions import step

KEY = "2026-01-01T00:00:00Z"
LATER = "2026-01-02T00:00:00Z"


async def working(world: World, name: str) -> None:
    await world.until(lambda: world.holder() == name and world.observer.working() != [])


def test_two_deliveries_of_one_time_make_one_run() -> None:
    async def story(world: World) -> None:
        world.add_job(on_conflict="wait")
        first = world.scheduled("a", KEY)
        await working(world, "a")
        second = world.scheduled("b", KEY)
        await second.ended.wait()
        assert second.output["outcome"] == "duplicate"
        assert second.output["held_by"]["run"] == "a"
        await first.ended.wait()
        assert first.output["outcome"] == "succeeded"

    assert simulate(story).observer.entries == 1


def test_a_delivery_after_the_end_is_a_duplicate_and_says_of_what() -> None:
    async def story(world: World) -> None:
        world.add_job()
        await world.scheduled("a", KEY).ended.wait()
        await world.run("manual")
        late = world.scheduled("b", KEY)
        await late.ended.wait()
        assert late.output["outcome"] == "duplicate"
        assert late.output["held_by"]["run"] == "a"
        assert world.locks.items["articles"].last_run_key == KEY
        assert [record["outcome"] for record in world.runs.records()].count("duplicate") == 1
        assert world.services.published == []

    assert simulate(story).observer.entries == 2


def test_an_older_time_is_not_run_after_a_newer_one() -> None:
    async def story(world: World) -> None:
        world.add_job()
        await world.scheduled("b", LATER).ended.wait()
        late = world.scheduled("a", KEY)
        await late.ended.wait()
        assert late.output["outcome"] == "duplicate"

    simulate(story)


def test_skip_tells_who_holds_the_lock() -> None:
    async def story(world: World) -> None:
        world.add_job()
        first = world.start("a")
        await working(world, "a")
        second = await world.run("b")
        assert second.status == "SUCCEEDED"
        assert second.output["outcome"] == "skipped"
        held = second.output["held_by"]
        assert held["owner"] == first.arn
        assert held["job"] == "nightly"
        assert held["run"] == "a"
        assert held["task_arn"] in world.ecs.tasks
        assert held["token"] == world.locks.items["articles"].fence
        await first.ended.wait()
        records = {record["name"]: record for record in world.runs.records()}
        assert records["b"]["held_by"]["owner"] == first.arn

    simulate(story)


def test_fail_fails_loudly() -> None:
    async def story(world: World) -> None:
        world.add_job()
        first = world.start("a")
        await working(world, "a")
        second = await world.run("b", on_conflict="fail")
        assert second.result is not None
        assert second.result.error == "Nightlatch.LockHeld"
        assert second.report["held_by"]["run"] == "a"
        assert len(world.services.published) == 1
        await first.ended.wait()
        assert first.output["outcome"] == "succeeded"

    simulate(story)


def test_waiters_run_in_the_order_they_came() -> None:
    async def story(world: World) -> None:
        world.add_job(on_conflict="wait", max_waiters=3)
        runs = [world.start("first")]
        await working(world, "first")
        for name in ("second", "third", "fourth"):
            runs.append(world.start(name))
            await world.until(
                lambda name=name: name in [w.run for w in world.locks.items["articles"].waiting]
            )
        full = await world.run("fifth")
        assert full.output["outcome"] == "skipped"
        assert "3 are waiting already" in full.output["reason"]
        for run in runs:
            await run.ended.wait()
            assert run.output["outcome"] == "succeeded"
        order = [task.environment["NIGHTLATCH_RUN"] for task in world.ecs.tasks.values()]
        assert order == ["first", "second", "third", "fourth"]
        assert world.locks.items["articles"].holder is None

    simulate(story)


def test_a_newcomer_does_not_overtake_the_line() -> None:
    async def story(world: World) -> None:
        world.add_job(on_conflict="wait")
        world.start("a")
        await working(world, "a")
        world.start("b")
        await world.until(lambda: len(world.locks.items["articles"].waiting) == 1)
        await world.until(lambda: world.holder() != "a")
        assert world.holder() == "b"
        newcomer = await world.run("c", on_conflict="skip")
        assert newcomer.output["outcome"] == "skipped"
        assert newcomer.output["held_by"]["run"] == "b"

    simulate(story)


def test_waiting_has_an_end() -> None:
    async def story(world: World) -> None:
        world.add_job(steps=[step(timeout_seconds=4000)])
        world.behaviours = [Behaviour(work_seconds=3000)]
        first = world.start("a")
        await working(world, "a")
        second = await world.run("b", on_conflict="wait", max_wait_seconds=300)
        assert second.output["outcome"] == "skipped"
        assert "still held after 3" in second.output["reason"]
        assert 300 <= second.end - second.start < 310
        assert world.locks.items["articles"].waiting == ()
        await first.ended.wait()
        assert world.locks.items["articles"].holder is None
        assert world.locks.items["articles"].queue == ()

    simulate(story)


def test_a_time_done_while_waiting_is_not_done_again() -> None:
    async def story(world: World) -> None:
        world.add_job(on_conflict="wait")
        world.start("a")
        await working(world, "a")
        waiters = [world.scheduled("b", KEY), world.scheduled("c", KEY)]
        for run in waiters:
            await run.ended.wait()
        assert sorted(run.output["outcome"] for run in waiters) == ["duplicate", "succeeded"]
        assert world.locks.items["articles"].holder is None

    assert simulate(story).observer.entries == 2


def test_replace_stops_the_holder_and_runs_after_its_container_is_gone() -> None:
    async def story(world: World) -> None:
        world.add_job()
        world.behaviours = [Behaviour(work_seconds=FOREVER, ignores_sigterm=True)]
        first = world.start("a")
        await working(world, "a")
        second = await world.run("b", on_conflict="replace", requested_by="ann", reason="new data")
        assert first.status == "ABORTED"
        assert first.result is not None
        assert first.result.error == "Nightlatch.Replaced"
        assert "requested by ann: new data" in (first.result.cause or "")
        assert second.output["outcome"] == "succeeded"
        await world.until(lambda: len(world.runs.records()) == 2)
        records = {record["name"]: record for record in world.runs.records()}
        assert records["a"]["outcome"] == "stopped"
        assert "replaced by b" in records["a"]["reason"]

    simulate(story, engine=Engine(on_task_timeout="abandon", on_abort="abandon"))


def test_a_run_never_replaces_one_that_is_newer() -> None:
    async def story(world: World) -> None:
        world.add_job()
        runs = [world.start(f"r{n}", on_conflict="replace") for n in range(6)]
        for run in runs:
            await run.ended.wait()
        outcomes = [run.output["outcome"] for run in runs if run.status == "SUCCEEDED"]
        assert outcomes.count("succeeded") == 1
        assert all(run.status == "SUCCEEDED" for run in runs), "nobody was stopped by a twin"

    simulate(story)


def test_forty_starts_at_once_make_one_run() -> None:
    async def story(world: World) -> None:
        world.add_job()
        runs = [world.start(f"r{n}") for n in range(40)]
        for run in runs:
            await run.ended.wait()
        outcomes = [run.output["outcome"] for run in runs]
        assert outcomes.count("succeeded") == 1
        assert outcomes.count("skipped") == 39

    assert simulate(story).observer.entries == 1


@pytest.mark.parametrize("engine", ["drain", "stop", "abandon"])
def test_a_dead_holder_is_replaced_at_once(engine: str) -> None:
    async def story(world: World) -> None:
        world.add_job()
        world.behaviours = [Behaviour(work_seconds=FOREVER)]
        first = world.start("a")
        await working(world, "a")
        world.executions.stop(first.arn)
        await first.ended.wait()
        second = world.start("b")
        await world.until(lambda: world.holder() == "b", within=10)
        await second.ended.wait()
        assert second.output["outcome"] == "succeeded"
        assert "take_over" in world.locks.operations

    simulate(
        story,
        faults=Planned(event_at=[]),
        engine=Engine(on_task_timeout=engine, on_abort=engine),  # type: ignore[arg-type]
    )


def test_a_container_that_starts_after_its_run_died_does_not_work() -> None:
    """The plainest overlap of all: aborted while the task is still being provisioned."""

    async def story(world: World) -> None:
        world.add_job()
        world.behaviours = [Behaviour(provision_seconds=100), Behaviour(work_seconds=500)]
        first = world.start("a")
        await world.until(lambda: world.ecs.tasks != {})
        world.executions.stop(first.arn)
        await first.ended.wait()
        second = await world.run("b")
        assert second.output["outcome"] == "succeeded"
        assert ("a", "generate") not in world.observer.finished

    # ECS does not list the new task for minutes, so nobody can stop it either.
    simulate(
        story,
        faults=Planned(event_at=[], list_after=300),
        engine=Engine(on_task_timeout="abandon", on_abort="abandon"),
    )


def test_a_holder_nobody_can_ask_for_is_dead_only_after_its_lease() -> None:
    async def story(world: World) -> None:
        world.add_job(lease_seconds=700, run_timeout_seconds=650)
        world.behaviours = [Behaviour(work_seconds=FOREVER)]
        first = world.start("a")
        await working(world, "a")
        world.executions.cut_off()
        await first.ended.wait()
        del world.executions.all[first.arn]  # purged, or its machine was deleted
        early = await world.run("b")
        assert early.output["outcome"] == "skipped"
        lease_ends = (world.locks.items["articles"].lease_expires_at or 0) / 1000
        await world.until(lambda: world.clock.now() > lease_ends + 4)
        assert (await world.run("c")).output["outcome"] == "skipped", "clocks may differ by five seconds"
        await world.until(lambda: world.clock.now() > lease_ends + 6)
        assert (await world.run("d")).output["outcome"] == "succeeded"

    simulate(story, faults=Planned(event_at=[]))


async def two_behind_one(world: World) -> tuple[Execution, Execution, Execution]:
    """One that works for ever, and two that wait for it, in this order."""
    world.add_job(on_conflict="wait")
    world.behaviours = [Behaviour(work_seconds=FOREVER)]
    first = world.start("a")
    await working(world, "a")
    head = world.start("b")
    await world.until(lambda: len(world.locks.items["articles"].waiting) == 1)
    second = world.start("c")
    await world.until(lambda: len(world.locks.items["articles"].waiting) == 2)
    return first, head, second


def test_the_head_of_the_line_takes_over_from_a_dead_holder() -> None:
    async def story(world: World) -> None:
        first, head, second = await two_behind_one(world)
        world.executions.stop(first.arn)
        skipper = await world.run("d", on_conflict="skip")
        assert skipper.output["outcome"] == "skipped"
        await head.ended.wait()
        await second.ended.wait()
        assert "take_over_as_head" in world.locks.operations
        assert head.end < second.end
        assert (head.output["outcome"], second.output["outcome"]) == ("succeeded", "succeeded")

    simulate(story, faults=Planned(event_at=[]))


def test_a_dead_head_does_not_hold_up_the_line() -> None:
    async def story(world: World) -> None:
        first, head, second = await two_behind_one(world)
        world.executions.stop(head.arn)
        await head.ended.wait()
        world.executions.stop(first.arn)
        await second.ended.wait()
        assert second.output["outcome"] == "succeeded"
        assert world.locks.items["articles"].holder is None

    simulate(story, faults=Planned(event_at=[]))


def test_a_direct_holder_cannot_be_replaced_and_counts_by_its_lease() -> None:
    async def story(world: World) -> None:
        world.add_job()
        now = int(world.clock.now() * 1000)
        holder = Holder(owner="cli:desk:1:x", kind="cli", grant="g", job="by-hand", acquired_at=now)
        event = events.Acquire(holder=holder, expires_at=now + 600_000, now=now)
        item = apply(None, event, key="articles").item
        assert item is not None
        world.locks.items["articles"] = item
        refused = await world.run("a", on_conflict="replace")
        assert refused.result is not None
        assert refused.result.error == "Nightlatch.LockHeld"
        assert (await world.run("b")).output["held_by"]["run"] == "x"
        waited = await world.run("c", on_conflict="wait")
        assert waited.output["outcome"] == "succeeded"
        assert world.clock.now() * 1000 > now + 605_000

    simulate(story)
