"""A run that fans out: plan, a container for each shard, collect."""

from collections.abc import Callable
from typing import Any

import pytest

from statemachine.interpreter import Behaviour as Engine
from tests.simulation.world.ecs import FOREVER, Behaviour
from tests.simulation.world.executions import Execution
from tests.simulation.world.faults import Planned
from tests.simulation.world.simulation import World, simulate
from tests.support.definitions import PREFIX, step

KEY = "2026-01-01T00:00:00Z"
SHARDS = ["a.example", {"host": 'b "quoted"', "pages": [1, 2]}, "c", "d", "e", "f", "g", "h"]
Act = Callable[[dict[str, str]], Behaviour]


def fan_out(**changes: Any) -> dict[str, Any]:
    return {
        "shards_from": "plan",
        "max_concurrency": 3,
        "tolerated_failure_percentage": 0,
        "shard_timeout_seconds": 300,
        **changes,
    }


def add_job(world: World, *, after: bool = True, work: dict[str, Any] | None = None, **changes: Any) -> None:
    steps = [step("plan"), step("work", fan_out=fan_out(**changes), timeout_seconds=2000, **(work or {}))]
    world.add_job(steps=[*steps, step("collect")] if after else steps)


def acting(world: World, act: Act = lambda _environment: Behaviour(), shards: list[Any] = SHARDS) -> None:
    def behave(_family: str, environment: dict[str, str]) -> Behaviour:
        if environment["NIGHTLATCH_STEP"] == "plan":
            return Behaviour(shards=shards)
        return act(environment) if "NIGHTLATCH_SHARD" in environment else Behaviour()

    world.behave = behave


def shard_tasks(world: World) -> list[dict[str, str]]:
    return [task.environment for task in world.ecs.tasks.values() if "NIGHTLATCH_SHARD" in task.environment]


def free(world: World) -> bool:
    item = world.locks.items["articles"]
    return item.holder is None and not item.stale_tasks and item.ttl is not None


def parents(world: World) -> list[Execution]:
    return [one for one in world.executions.all.values() if one.machine == f"{PREFIX}-nightly"]


def test_each_shard_has_a_container_and_the_next_step_is_told_where_they_published() -> None:
    async def story(world: World) -> None:
        add_job(world)
        acting(world)
        run = await world.run("run-1")
        assert run.output == {"outcome": "succeeded", "job": "nightly", "run": "run-1", "attempts": 3}
        shards = sorted(shard_tasks(world), key=lambda it: int(it["NIGHTLATCH_SHARD_INDEX"]))
        assert [it["NIGHTLATCH_SHARD"] for it in shards] == [
            '"a.example"',
            '{"host":"b \\"quoted\\"","pages":[1,2]}',
            *(f'"{name}"' for name in "cdefgh"),
        ]
        assert len({it["NIGHTLATCH_GRANT"] for it in shards}) == 1
        assert {it["NIGHTLATCH_CLAIM"] for it in shards} == {"verify"}
        assert {it["NIGHTLATCH_RUN"] for it in shards} == {"run-1"}
        assert all(it["NIGHTLATCH_OWNER"] == run.arn for it in shards)
        assert shards[4]["NIGHTLATCH_OUTPUT"].endswith("/outputs/nightly/work/run-1/4/")
        assert shards[4]["NIGHTLATCH_CHECKPOINT"].endswith("/checkpoints/nightly/run-1/work/4/")
        plan, *_, collect = (task.environment for task in world.ecs.tasks.values())
        assert plan["NIGHTLATCH_SHARD_LIST"].endswith("/shards/nightly/run-1/plan.json")
        assert plan["NIGHTLATCH_COLLECT"] == ""
        assert collect["NIGHTLATCH_COLLECT"].endswith("/outputs/nightly/work/run-1/")
        assert collect["NIGHTLATCH_COLLECT_LIST"] == plan["NIGHTLATCH_SHARD_LIST"]
        assert collect["NIGHTLATCH_SHARD_LIST"] == ""
        assert {task.group for task in world.ecs.tasks.values()} == {"nightlatch:run-1"}
        assert len(world.shards.published) == len(SHARDS)
        assert free(world)

    simulate(story)


def test_no_more_containers_run_at_once_than_the_step_allows() -> None:
    seen: list[int] = []

    async def story(world: World) -> None:
        add_job(world, max_concurrency=2)

        def act(_environment: dict[str, str]) -> Behaviour:
            seen.append(len(world.ecs.alive()))
            return Behaviour()

        acting(world, act)
        await world.run("run-1")

    simulate(story)
    assert max(seen) == 1  # besides the one that is being started
    assert len(seen) == len(SHARDS)


def test_a_fan_out_may_be_the_last_step() -> None:
    async def story(world: World) -> None:
        add_job(world, after=False)
        acting(world)
        run = await world.run("run-1")
        assert run.status == "SUCCEEDED", world.timeline.text()
        assert len(world.shards.published) == len(SHARDS)
        assert free(world)

    simulate(story)


def test_no_shards_are_fine() -> None:
    async def story(world: World) -> None:
        add_job(world)
        acting(world, shards=[])
        assert (await world.run("run-1")).status == "SUCCEEDED"

    simulate(story)


def test_a_list_that_is_not_there_fails_the_step_in_words() -> None:
    async def story(world: World) -> None:
        add_job(world)
        run = await world.run("run-1")
        assert run.report["class"] == "shards"
        assert run.report["step"] == "work"
        assert "the list of shards could not be read: S3.NoSuchKey" in run.report["reason"]
        assert free(world)

    simulate(story)


def test_a_shard_that_asks_to_be_tried_again_is() -> None:
    async def story(world: World) -> None:
        add_job(world)
        acting(
            world,
            lambda it: Behaviour(
                exit_code=75
                if (it["NIGHTLATCH_SHARD_INDEX"], it["NIGHTLATCH_ATTEMPT"]) in {("2", "1"), ("2", "2")}
                else 0
            ),
        )
        assert (await world.run("run-1")).status == "SUCCEEDED"
        tries = [it["NIGHTLATCH_ATTEMPT"] for it in shard_tasks(world) if it["NIGHTLATCH_SHARD_INDEX"] == "2"]
        assert tries == ["1", "2", "3"]
        assert len(shard_tasks(world)) == len(SHARDS) + 2

    simulate(story)


@pytest.mark.parametrize(("failing", "status"), [({"3"}, "SUCCEEDED"), ({"3", "5", "6"}, "FAILED")])
def test_failures_are_tolerated_up_to_the_percentage(failing: set[str], status: str) -> None:
    async def story(world: World) -> None:
        add_job(world, tolerated_failure_percentage=25)
        acting(world, lambda it: Behaviour(exit_code=64 if it["NIGHTLATCH_SHARD_INDEX"] in failing else 0))
        run = await world.run("run-1")
        assert run.status == status, world.timeline.text()
        steps = [task.environment["NIGHTLATCH_STEP"] for task in world.ecs.tasks.values()]
        assert ("collect" in steps) == (status == "SUCCEEDED")
        if status == "FAILED":
            assert run.report["class"] == "shards"
            assert run.report["outcome"] == "failed"
            assert run.report["reason"] == (
                "step work: more shards failed than the 25 percent that are tolerated"
            )
            (record,) = world.runs.records()
            assert record["class"] == "shards"
        assert free(world)
        assert world.ecs.alive() == []

    simulate(story)


def test_a_doubled_container_publishes_nothing_twice() -> None:
    faults = Planned()
    faults.plan("doubled", lambda call: call.state == "RunShard", times=2)

    async def story(world: World) -> None:
        add_job(world)
        acting(world)
        run = await world.run("run-1")
        assert run.status == "SUCCEEDED", world.timeline.text()
        assert len(world.ecs.tasks) == 2 + len(SHARDS) + 2
        assert len(world.shards.published) == len(SHARDS)
        assert world.shards.refused
        assert world.ecs.alive() == []

    simulate(story, faults=faults)


def test_a_container_left_over_from_a_lost_reply_is_drained_before_the_next_step() -> None:
    faults = Planned()
    faults.plan("lost reply", lambda call: call.state == "RunShard")

    async def story(world: World) -> None:
        add_job(world)
        lost: list[str] = []

        def act(it: dict[str, str]) -> Behaviour:
            first = not lost
            lost.append(it["NIGHTLATCH_SHARD_INDEX"])
            return Behaviour(work_seconds=FOREVER) if first else Behaviour()

        acting(world, act)
        run = await world.run("run-1")
        assert run.status == "SUCCEEDED", world.timeline.text()
        assert world.ecs.alive() == []

    simulate(story, faults=faults)


def test_a_step_that_takes_too_long_starts_no_more_shards_and_times_out() -> None:
    async def story(world: World) -> None:
        add_job(world, max_concurrency=1, tolerated_failure_percentage=100)
        acting(world, lambda _it: Behaviour(work_seconds=FOREVER, ignores_sigterm=True))
        before = world.clock.now()
        run = await world.run("run-1")
        assert world.clock.now() - before < 3000
        assert len(shard_tasks(world)) == 7  # 2000 seconds of 300 each
        # All failures are tolerated, so the collecting step has its say.
        assert run.status == "SUCCEEDED"

    simulate(story)


def test_shards_that_end_with_the_steps_time_are_a_timeout() -> None:
    async def story(world: World) -> None:
        add_job(world, max_concurrency=8, shard_timeout_seconds=2000)
        acting(world, lambda _it: Behaviour(work_seconds=FOREVER, ignores_sigterm=True))
        run = await world.run("run-1")
        assert run.report["outcome"] == "timed_out", world.timeline.text()
        assert run.report["step"] == "work"
        assert free(world)
        assert world.ecs.alive() == []

    simulate(story)


@pytest.mark.parametrize("on_abort", ["stop", "abandon"])
def test_an_abort_in_the_middle_drains_every_shard(on_abort: str) -> None:
    async def story(world: World) -> None:
        add_job(world)
        acting(world, lambda _it: Behaviour(work_seconds=FOREVER))
        run = world.start("run-1")
        await world.until(lambda: len(world.observer.working()) == 3)
        world.executions.stop(run.arn)
        await world.until(lambda: world.holder() is None)
        assert world.ecs.alive() == []
        assert free(world)
        acting(world)
        assert (await world.run("run-2")).status == "SUCCEEDED"

    simulate(story, engine=Engine(on_task_timeout="abandon", on_abort=on_abort))  # type: ignore[arg-type]


def test_a_take_over_in_the_middle_drains_every_shard_before_it_works() -> None:
    async def story(world: World) -> None:
        add_job(world)
        acting(world, lambda _it: Behaviour(work_seconds=FOREVER))
        run = world.start("run-1")
        await world.until(lambda: len(world.observer.working()) == 3)
        world.executions.stop(run.arn)
        acting(world)
        await run.ended.wait()
        second = await world.run("run-2")
        assert second.output["outcome"] == "succeeded"

    simulate(story, faults=Planned(event_at=[]), engine=Engine(on_task_timeout="abandon", on_abort="abandon"))


def test_a_resumed_run_works_only_on_what_was_not_published() -> None:
    async def story(world: World) -> None:
        add_job(world)
        acting(world, lambda it: Behaviour(exit_code=64 if it["NIGHTLATCH_SHARD_INDEX"] == "7" else 0))
        assert (await world.run("run-1")).status == "FAILED"
        done = len(world.shards.published)
        worked = world.observer.entries
        assert 0 < done < len(SHARDS)
        acting(world)
        resumed = await world.run("run-2", resume_from="work", resume_of="run-1")
        assert resumed.output["outcome"] == "succeeded", world.timeline.text()
        assert len(world.shards.published) == len(SHARDS)
        # The rest of the shards, and the collecting step.
        assert world.observer.entries - worked == len(SHARDS) - done + 1
        assert "plan" not in {
            task.environment["NIGHTLATCH_STEP"]
            for task in world.ecs.tasks.values()
            if task.environment["NIGHTLATCH_RUN"] == "run-2"
        }

    simulate(story)


def test_a_scheduled_run_keeps_its_shards_under_its_time() -> None:
    async def story(world: World) -> None:
        add_job(world)
        acting(world)
        run = world.scheduled("nightly-abc", KEY)
        await run.ended.wait()
        assert run.status == "SUCCEEDED"
        assert all(f"/outputs/nightly/work/{KEY}/" in it["NIGHTLATCH_OUTPUT"] for it in shard_tasks(world))

    simulate(story)


def test_a_map_run_that_outlives_its_lock_starts_nothing_more() -> None:
    async def story(world: World) -> None:
        add_job(world, max_concurrency=1)
        acting(world)
        run = world.start("run-1")
        await world.until(lambda: len(world.shards.published) == 2)
        # As if somebody had released the lock by force.
        world.locks.items["articles"] = world.locks.items["articles"].__class__(
            **{**vars_of(world.locks.items["articles"]), "holder": None}
        )
        await run.ended.wait()
        assert run.status == "FAILED"
        assert len(shard_tasks(world)) <= 3

    simulate(story)


def test_the_janitor_revokes_the_grant_before_it_looks_for_containers() -> None:
    async def story(world: World) -> None:
        add_job(world)
        acting(world, lambda _it: Behaviour(work_seconds=FOREVER, provision_seconds=200))
        run = world.start("run-1")
        await world.until(lambda: len(shard_tasks(world)) == 3)
        grant = shard_tasks(world)[0]["NIGHTLATCH_GRANT"]
        world.executions.stop(run.arn)
        await run.ended.wait()
        await world.until(lambda: world.holder() is None)
        assert world.locks.operations[-2:] == ["re_arm", "release_by_fence"]
        last = world.locks.items["articles"].last
        assert last is not None
        assert last.grant != grant
        assert world.ecs.alive() == []

    simulate(story, engine=Engine(on_task_timeout="abandon", on_abort="abandon"))


def vars_of(item: Any) -> dict[str, Any]:
    return {name: getattr(item, name) for name in item.__dataclass_fields__}


def test_a_fan_out_whose_grant_cannot_be_revoked_is_left_to_the_janitor_with_all_that_may_still_start() -> (
    None
):
    """Draining without revoking would miss a container that is about to verify."""

    async def story(world: World) -> None:
        assert isinstance(world.faults, Planned)
        world.faults.plan("lost request", lambda call: call.state == "Revoke" and "run-1" in call.by, times=7)
        add_job(world)
        acting(world)
        run = await world.run("run-1")
        assert "LeaveToJanitor" in run.states
        assert "Settle" not in run.states
        assert run.report["outcome"] == "failed", "the collecting step never ran"
        assert "left to the janitor" in run.report["reason"]
        await world.until(lambda: free(world))
        (record,) = world.runs.records()
        assert record["outcome"] == "failed"

    simulate(story)


def test_a_resumed_fan_out_has_a_grant_of_its_own() -> None:
    """The grant of an acquire left the fence where it was, where a janitor of before could still use it."""

    async def story(world: World) -> None:
        add_job(world, after=False)
        acting(world)
        await world.run("run-1")
        before = world.locks.items["articles"].fence
        run = await world.run("run-2", resume_from="work", resume_of="run-1")
        assert run.status == "SUCCEEDED"
        armed = run.states.index("Rearm")
        assert "RunShards" in run.states[armed:]
        assert "RunShards" not in run.states[:armed]
        assert world.locks.items["articles"].fence >= before + 3, "re-armed, revoked, released"

    simulate(story)
