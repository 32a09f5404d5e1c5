"""The rendered job machine, alone on its lock."""

import pytest

from statemachine.interpreter import Behaviour as Engine
from tests.simulation.world.ecs import FOREVER, Behaviour
from tests.simulation.world.simulation import World, simulate
from tests.support.definitions import step

STEPS = [step("one"), step("two"), step("three")]
KEY = "2026-01-01T00:00:00Z"


def free(world: World, key: str = "articles") -> bool:
    item = world.locks.items[key]
    return item.holder is None and not item.stale_tasks and not item.queue and item.ttl is not None


def test_a_good_night_takes_eight_states_and_four_writes() -> None:
    async def story(world: World) -> None:
        world.add_job()
        run = await world.run("run-1")
        assert run.status == "SUCCEEDED"
        assert run.output == {"outcome": "succeeded", "job": "nightly", "run": "run-1", "attempts": 1}
        assert run.states == [
            *("Begin", "Acquire", "Decide", "RunStep"),
            *("Continue", "RecordHeld", "GiveBack", "Release"),
        ]
        assert world.locks.operations == ["acquire", "claim", "release"]
        assert world.locks.writes + world.runs.writes == 4
        assert free(world)
        (record,) = world.runs.records()
        assert record["outcome"] == "succeeded"
        assert record["run"] == f"{record['started_at']}#run-1"
        assert world.services.published == []

    world = simulate(story)
    assert world.observer.entries == 1


def test_a_scheduled_run_is_recorded_under_its_time_and_remembered() -> None:
    async def story(world: World) -> None:
        world.add_job()
        run = world.scheduled("nightly-abc", KEY)
        await run.ended.wait()
        (record,) = world.runs.records()
        assert record["run"] == f"{KEY}#nightly-abc"
        assert record["run_key"] == KEY
        assert record["trigger"] == "schedule"
        assert world.locks.items["articles"].last_run_key == KEY

    simulate(story)


def test_what_was_asked_for_reaches_the_container() -> None:
    seen: dict[str, str] = {}

    async def story(world: World) -> None:
        world.add_job()

        def behave(_family: str, environment: dict[str, str]) -> Behaviour:
            seen.update(environment)
            return Behaviour()

        world.behave = behave
        await world.run(
            "r1", params={"pages": "10", "who": "ü'\"<"}, requested_by="ann@desk", reason="because"
        )
        (record,) = world.runs.records()
        assert record["requested_by"] == "ann@desk"
        assert record["request_reason"] == "because"

    simulate(story)
    assert seen["NIGHTLATCH_PARAMS"] == '{"pages":"10","who":"ü\'\\"<"}'
    assert seen["NIGHTLATCH_JOB"] == "nightly"
    assert seen["NIGHTLATCH_ATTEMPT"] == "1"
    assert seen["NIGHTLATCH_RUN_KEY"] == ""
    assert seen["NIGHTLATCH_STOP_GRACE"] == "30"
    assert seen["NIGHTLATCH_CHECKPOINT"].endswith("/checkpoints/nightly/r1/generate/")
    assert seen["NIGHTLATCH_OUTPUT"].endswith("/outputs/nightly/generate/")


def test_steps_run_one_after_another_each_with_a_grant_of_its_own() -> None:
    async def story(world: World) -> None:
        world.add_job(steps=STEPS)
        run = await world.run("run-1")
        assert run.output["attempts"] == 3
        assert world.locks.operations == [
            *("acquire", "claim"),
            *("re_arm_after_success", "claim"),
            *("re_arm_after_success", "claim"),
            "release",
        ]
        assert [environment["NIGHTLATCH_STEP"] for environment in environments(world)] == [
            "one",
            "two",
            "three",
        ]
        assert len({environment["NIGHTLATCH_GRANT"] for environment in environments(world)}) == 3
        assert free(world)

    simulate(story)


def environments(world: World) -> list[dict[str, str]]:
    return [task.environment for task in world.ecs.tasks.values()]


@pytest.mark.parametrize(
    ("behaviour", "outcome", "error", "failure_class", "exit_code"),
    [
        (Behaviour(exit_code=1), "failed", "Nightlatch.Failed", "exit_1", 1),
        (Behaviour(exit_code=64), "failed", "Nightlatch.Failed", "exit_64", 64),
        (Behaviour(exit_code=70), "failed", "Nightlatch.Failed", "exit_70", 70),
        (
            Behaviour(
                exit_code=137, container_reason="OutOfMemoryError: container killed due to memory usage"
            ),
            "failed",
            "Nightlatch.Failed",
            "out_of_memory",
            137,
        ),
        (Behaviour(exit_code=137), "failed", "Nightlatch.Failed", "exit_137", 137),
        (Behaviour(work_seconds=FOREVER), "failed", "Nightlatch.Failed", "exit_143", 143),
        (
            Behaviour(work_seconds=FOREVER, ignores_sigterm=True),
            "timed_out",
            "Nightlatch.TimedOut",
            "timeout",
            None,
        ),
        (
            Behaviour(work_seconds=FOREVER, provision_seconds=FOREVER),
            "timed_out",
            "Nightlatch.TimedOut",
            "timeout",
            None,
        ),
    ],
)
def test_a_step_that_fails_ends_the_run_truthfully(
    behaviour: Behaviour, outcome: str, error: str, failure_class: str, exit_code: int | None
) -> None:
    async def story(world: World) -> None:
        world.add_job(steps=[step(retry={})])
        world.behaviours = [behaviour]
        run = await world.run("run-1")
        assert run.status == "FAILED"
        assert run.result is not None
        assert run.result.error == error
        assert run.report["outcome"] == outcome
        assert run.report["class"] == failure_class
        assert run.report.get("exit_code") == exit_code
        assert run.report["step"] == "generate"
        (record,) = world.runs.records()
        assert (record["outcome"], record["class"], record["attempts"]) == (outcome, failure_class, 1)
        assert record.get("exit_code") == exit_code
        assert free(world)
        (message,) = world.services.published
        assert "nightlatch why nightly --env test" in message["Message"]
        assert not world.ecs.alive()

    simulate(story)


@pytest.mark.parametrize("engine", ["drain", "stop", "abandon"])
def test_the_lock_is_free_only_after_a_hanging_container_is_gone(engine: str) -> None:
    """Whether Step Functions stops a timed-out task is not established: none of its three ways may matter."""

    async def story(world: World) -> None:
        world.add_job(steps=[step(retry={})])
        world.behaviours = [Behaviour(work_seconds=FOREVER, ignores_sigterm=True, provision_seconds=590)]
        run = world.start("run-1")
        await world.until(lambda: world.observer.working() != [])
        await world.until(lambda: world.locks.items["articles"].holder is None)
        assert world.observer.working() == []
        assert not world.ecs.alive()
        await run.ended.wait()
        assert run.report["class"] == "timeout"

    simulate(story, engine=Engine(on_task_timeout=engine, on_abort=engine))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("behaviour", "failure_class", "retries"),
    [
        (Behaviour(stop_code="SpotInterruption", exit_code=143), "spot", 2),
        (Behaviour(stop_code="TerminationNotice", exit_code=143), "spot", 2),
        (Behaviour(stop_code="InfrastructureHealth", exit_code=137), "infrastructure", 2),
        (Behaviour(start_failure="CannotPullContainerError: not found"), "start", 1),
        (Behaviour(start_failure="InternalError: could not"), "infrastructure", 2),
        (Behaviour(exit_code=75), "exit_75", 2),
        (Behaviour(exit_code=3), "exit", 1),
    ],
)
def test_each_class_is_retried_as_often_as_configured(
    behaviour: Behaviour, failure_class: str, retries: int
) -> None:
    retry = {"spot": 2, "infrastructure": 2, "start": 1, "exit_75": 2, "exit": 1}

    async def story(world: World) -> None:
        world.add_job(steps=[step(retry=retry)])
        world.behaviours = [behaviour] * (retries + 1)
        run = await world.run("run-1")
        assert run.report["attempts"] == retries + 1
        assert run.report["class"].startswith(failure_class)
        assert [e["NIGHTLATCH_ATTEMPT"] for e in environments(world)] == [
            str(n + 1) for n in range(retries + 1)
        ]
        assert len({e["NIGHTLATCH_GRANT"] for e in environments(world)}) == retries + 1
        assert free(world)

    async def better(world: World) -> None:
        world.add_job(steps=[step(retry=retry)])
        world.behaviours = [behaviour] * retries
        run = await world.run("run-1")
        assert run.output["outcome"] == "succeeded"
        assert run.output["attempts"] == retries + 1

    simulate(story)
    simulate(better)


def test_wrong_input_and_bugs_are_not_retried_by_the_general_exit_rule() -> None:
    async def story(world: World) -> None:
        world.add_job(steps=[step(retry={"exit": 3})])
        world.behaviours = [Behaviour(exit_code=64)]
        assert (await world.run("run-1")).report["attempts"] == 1
        world.behaviours = [Behaviour(exit_code=70)]
        assert (await world.run("run-2")).report["attempts"] == 1

    async def asked_for(world: World) -> None:
        world.add_job(steps=[step(retry={"exit_64": 1})])
        world.behaviours = [Behaviour(exit_code=64)]
        assert (await world.run("run-1")).output["attempts"] == 2

    simulate(story)
    simulate(asked_for)


@pytest.mark.parametrize(
    ("refusal", "failure_class", "attempts"),
    [
        ("failures", "launch", 3),
        ("AmazonECSException", "launch", 3),
        ("ServerException", "launch", 3),
        ("InvalidParameterException", "launch", 3),
        ("ClusterNotFoundException", "start", 1),
        ("AccessDeniedException", "start", 1),
    ],
)
def test_launches_that_are_refused(refusal: str, failure_class: str, attempts: int) -> None:
    async def story(world: World) -> None:
        world.add_job(steps=[step(retry={"launch": 2})])
        world.services.launch_refusals = [refusal] * 3
        run = await world.run("run-1")
        assert run.report["class"] == failure_class
        assert run.report["attempts"] == attempts
        assert free(world)

    simulate(story)


def test_a_later_step_fails_after_the_first_has_done_its_work() -> None:
    async def story(world: World) -> None:
        world.add_job(steps=STEPS)
        world.behaviours = [Behaviour(), Behaviour(exit_code=9)]
        run = await world.run("run-1")
        assert run.report["step"] == "two"
        assert run.report["class"] == "exit_9"
        assert ("run-1", "one") in world.observer.finished
        assert free(world)
        again = await world.run("run-2", resume_from="two")
        assert again.output["outcome"] == "succeeded"
        assert [e["NIGHTLATCH_STEP"] for e in environments(world)] == ["one", "two", "two", "three"]

    simulate(story)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"resume_from": "four"}, "the job has the steps one, two, three"),
        ({"on_conflict": "perhaps"}, "it must be skip, wait, replace or fail"),
    ],
)
def test_wrong_input_fails_before_any_work(given: dict[str, str], told: str) -> None:
    async def story(world: World) -> None:
        world.add_job(steps=STEPS)
        run = await world.run("run-1", **given)
        assert told in run.report["reason"]
        assert run.report["attempts"] == 0
        assert world.ecs.tasks == {}
        assert free(world)

    simulate(story)


def test_a_retry_that_no_longer_fits_is_not_begun() -> None:
    async def story(world: World) -> None:
        world.add_job(steps=[step(retry={"exit": 5}, timeout_seconds=600)], run_timeout_seconds=1500)
        world.behaviours = [Behaviour(exit_code=1, work_seconds=500)] * 6
        run = await world.run("run-1")
        assert run.status == "FAILED"
        assert run.report["attempts"] == 2
        assert "no time was left" in run.report["reason"]
        assert free(world)

    simulate(story)


def test_a_job_stopped_through_ecs_counts_as_stopped() -> None:
    async def story(world: World) -> None:
        world.add_job()
        run = world.start("run-1")
        await world.until(lambda: world.observer.working() != [])
        (arn,) = world.ecs.tasks
        world.ecs.stop(arn)
        await run.ended.wait()
        assert run.result is not None
        assert run.result.error == "Nightlatch.Stopped"
        assert run.report["outcome"] == "stopped"
        assert free(world)

    simulate(story)


def test_the_pause_between_attempts_grows_and_is_bounded() -> None:
    async def story(world: World) -> None:
        wait = {"first_seconds": 10, "rate": 3, "max_seconds": 60}
        world.add_job(steps=[step(retry={"exit": 6}, retry_wait=wait)])
        world.behaviours = [Behaviour(exit_code=1, work_seconds=1)] * 7
        run = await world.run("run-1")
        pauses = [event for event in run.history if event.type == "WaitStateEntered"]
        assert len(pauses) == 6
        assert world.clock.now() - run.start < 7 * 30 + 6 * 60

    simulate(story)
