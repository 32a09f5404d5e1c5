"""Ways through the definitions that need a particular misfortune."""

import pytest

from lock import events
from lock.model import Holder
from lock.rules import apply
from statemachine.interpreter import Behaviour as Engine
from tests.simulation.world.ecs import FOREVER, Behaviour
from tests.simulation.world.faults import Planned
from tests.simulation.world.simulation import World, simulate
from tests.support.definitions import step

KEY = "2026-01-01T00:00:00Z"
LATER = "2026-01-02T00:00:00Z"


async def working(world: World) -> None:
    await world.until(lambda: world.observer.working() != [])


async def in_line(world: World, count: int) -> None:
    await world.until(lambda: len(world.locks.items["articles"].waiting) == count)


def lose(state: str, times: int = 100) -> Planned:
    faults = Planned()
    faults.plan("lost request", lambda call: call.state == state, times)
    return faults


def test_a_run_that_cannot_find_out_whether_its_time_is_done_says_so() -> None:
    async def story(world: World) -> None:
        world.add_job()
        await world.scheduled("a", KEY).ended.wait()
        late = world.scheduled("b", KEY)
        await late.ended.wait()
        assert "cannot tell whether" in late.report["reason"]
        assert world.locks.items["articles"].holder is None

    assert simulate(story, faults=lose("HasRun")).observer.entries == 1


def test_the_same_with_the_lock_in_hand() -> None:
    async def story(world: World) -> None:
        world.add_job()
        world.add_job("weekly")
        await world.scheduled("w", LATER, "weekly").ended.wait()
        late = world.scheduled("a", KEY)
        await late.ended.wait()
        assert "cannot tell whether" in late.report["reason"]
        assert world.locks.items["articles"].holder is None

    assert simulate(story, faults=lose("Confirm")).observer.entries == 1


@pytest.mark.parametrize("policy", ["skip", "wait"])
def test_jobs_that_share_a_lock_do_not_take_each_others_times_for_done(policy: str) -> None:
    async def story(world: World) -> None:
        for job in ("nightly", "weekly"):
            world.add_job(job, on_conflict=policy)
        first = world.scheduled("n", KEY)
        await working(world)
        second = world.scheduled("w", KEY, "weekly")
        await second.ended.wait()
        await first.ended.wait()
        if policy == "skip":
            assert second.output["outcome"] == "skipped"
            second = world.scheduled("w2", KEY, "weekly")
            await second.ended.wait()
        assert second.output["outcome"] == "succeeded"
        earlier = world.scheduled("w0", "2025-12-31T00:00:00Z", "weekly")
        await earlier.ended.wait()
        assert earlier.output["outcome"] == "duplicate", "weekly itself has run later than that"
        again = world.scheduled("n2", KEY)
        await again.ended.wait()
        assert again.output["outcome"] == "duplicate"
        assert again.output["held_by"] == {"owner": first.arn, "job": "nightly", "run": "n"}
        assert world.locks.items["articles"].last_run_key == KEY

    assert simulate(story).observer.entries == 2


def test_a_lock_that_cannot_be_re_armed_is_given_back() -> None:
    async def story(world: World) -> None:
        world.add_job()
        world.behaviours = [Behaviour(exit_code=75)]
        run = await world.run("a")
        assert "could not be re-armed" in run.report["reason"]
        assert world.locks.items["articles"].holder is None

    simulate(story, faults=lose("Rearm"))


def test_a_store_that_stays_away_while_contending_fails_the_run_and_not_the_holder() -> None:
    async def story(world: World) -> None:
        world.add_job()
        world.behaviours = [Behaviour(work_seconds=400)]
        first = world.start("a")
        await working(world)
        second = await world.run("b", on_conflict="wait")
        assert "finding out about the holder failed" in second.report["reason"]
        assert second.report["outcome"] == "failed"
        await first.ended.wait()
        assert first.output["outcome"] == "succeeded"

    simulate(story, faults=lose("Enqueue"))


def test_a_failure_that_cannot_be_recorded_is_told_and_made_good() -> None:
    async def story(world: World) -> None:
        world.add_job(steps=[step(retry={})])
        world.behaviours = [Behaviour(exit_code=1)]
        run = await world.run("a")
        assert "could not be recorded" in run.report["reason"]
        await world.until(lambda: len(world.runs.records()) == 1)
        (record,) = world.runs.records()
        assert (record["outcome"], record["class"], record["exit_code"]) == ("failed", "exit_1", 1)

    simulate(story, faults=lose("RecordHeld", 18))


@pytest.mark.parametrize("alive", [True, False])
def test_a_waiter_from_the_command_line_counts_by_its_lease(alive: bool) -> None:  # noqa: FBT001 - a parameter
    async def story(world: World) -> None:
        world.add_job(on_conflict="wait", max_wait_seconds=100)
        world.behaviours = [Behaviour(work_seconds=FOREVER)]
        first = world.start("a")
        await working(world)
        now = int(world.clock.now() * 1000)
        entry = Holder(
            owner="cli:desk:1:x",
            kind="cli",
            grant="g",
            job="by-hand",
            acquired_at=now,
            lease_ms=600_000 if alive else 1,
        )
        reply = apply(world.locks.items["articles"], events.Enqueue(entry=entry, limit=3))
        assert reply.item is not None
        world.locks.items["articles"] = reply.item
        await world.until(lambda: world.clock.now() * 1000 > now + 20_000)
        world.executions.stop(first.arn)
        second = await world.run("b")
        assert second.output["outcome"] == ("skipped" if alive else "succeeded")

    simulate(story, faults=Planned(event_at=[]))


def test_a_lock_freed_while_contending_is_simply_acquired() -> None:
    async def story(world: World) -> None:
        world.add_job()
        world.behaviours = [Behaviour(work_seconds=FOREVER)]
        first = world.start("a")
        await working(world)
        second = await world.run("b", on_conflict="replace")
        assert first.status == "ABORTED"
        assert second.output["outcome"] == "succeeded"
        assert second.states.count("Acquire") == 2

    simulate(story, faults=Planned(event_at=[0.1]), engine=Engine(on_abort="drain", on_task_timeout="drain"))


def test_who_waits_for_a_time_that_is_done_meanwhile_does_not_do_it_again() -> None:
    async def story(world: World) -> None:
        world.add_job(on_conflict="wait")
        world.start("x")
        await working(world)
        runs = [world.scheduled("later", LATER)]
        await in_line(world, 1)
        runs.append(world.start("manual"))
        await in_line(world, 2)
        runs.append(world.scheduled("earlier", KEY))
        await in_line(world, 3)
        for run in runs:
            await run.ended.wait()
        assert [run.output["outcome"] for run in runs] == ["succeeded", "succeeded", "duplicate"]
        assert runs[2].output["reason"] == f"{KEY} has already run"
        assert world.locks.items["articles"].holder is None
        assert world.locks.items["articles"].last_run_key == LATER

    simulate(story)


def test_a_run_without_a_lock_whose_event_outruns_describe_execution_is_recorded() -> None:
    async def story(world: World) -> None:
        world.add_job(on_conflict="wait")
        first = world.start("a")
        await working(world)
        waiter = world.start("b")
        await in_line(world, 1)
        world.executions.stop(waiter.arn)
        await world.until(lambda: len(world.runs.records()) == 1, within=100)
        assert world.runs.records()[0]["name"] == "b"
        await first.ended.wait()

    simulate(story, faults=Planned(event_at=[0.1], describe_after=30.0))


def test_a_janitor_that_cannot_record_fails_loudly_and_frees_the_lock_all_the_same() -> None:
    async def story(world: World) -> None:
        world.add_job()
        run = world.start("a")
        await working(world)
        world.executions.stop(run.arn)
        await run.ended.wait()
        janitor = await world.sweep()
        assert janitor.result is not None
        assert janitor.result.error == "Nightlatch.JanitorIncomplete"
        assert world.locks.items["articles"].holder is None

    faults = lose("PutRecord")
    faults.event_at = []
    simulate(story, faults=faults)


def test_the_lock_row_deleted_by_hand_ends_the_run_before_its_next_step() -> None:
    async def story(world: World) -> None:
        world.add_job(steps=[step("one"), step("two")])
        run = world.start("a")
        await working(world)
        del world.locks.items["articles"]
        await run.ended.wait()
        assert run.report["reason"] == "the lock was taken away before step two"
        assert ("a", "two") not in world.observer.finished

    simulate(story)


def test_a_lock_forced_open_is_drained_by_whoever_takes_it_next() -> None:
    async def story(world: World) -> None:
        world.add_job()
        world.behaviours = [Behaviour(work_seconds=300, ignores_sigterm=True)]
        world.start("a")
        await working(world)
        item = world.locks.items["articles"]
        assert item.holder is not None
        last = events.LastRun(owner=item.holder.owner, grant=item.holder.grant, outcome="forced", at=1)
        force = events.ReleaseByFence(
            held_by=item.holder.owner,
            fence=item.fence,
            last=last,
            last_run_key="",
            ttl=1,
            force=True,
            old_task=item.holder.traces,
        )
        freed = apply(item, force).item
        assert freed is not None
        world.locks.items["articles"] = freed
        second = await world.run("b")
        assert second.states[:4] == ["Begin", "Acquire", "Decide", "Settle"]
        assert second.output["outcome"] == "succeeded"

    simulate(story)
