from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from nightlatch.operations.errors import OperationError
from nightlatch.operations.job_status import list_jobs, troubled
from nightlatch.operations.schedules import list_schedules, pause_schedule, resume_schedule
from nightlatch.operations.why import Explanation, Verdict, explain
from tests.support.deployments import Environment, iso

# The schedule fires at 21:00 UTC. It was made when the test began, so this firing is a later one.
FIRED = (datetime.now(UTC) + timedelta(days=2)).replace(hour=21, minute=0, second=0, microsecond=0)
LATER = FIRED + timedelta(hours=3)


def ask(environment: Environment, moment: datetime = LATER, **more: datetime) -> Explanation:
    return explain(environment.at(moment), "report", lock_key="reports", **more)


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        ("succeeded", Verdict.SUCCEEDED),
        ("failed", Verdict.FAILED),
        ("timed_out", Verdict.TIMED_OUT),
        ("stopped", Verdict.STOPPED),
        ("skipped", Verdict.SKIPPED),
    ],
)
def test_a_recorded_run_is_the_answer(environment: Environment, outcome: str, verdict: Verdict) -> None:
    held = {"held_by": {"owner": "cli:h:1:u", "run": "report-0"}} if outcome == "skipped" else {}
    environment.record("report", "report-1", outcome, FIRED, run_key=iso(FIRED), **held)

    told = ask(environment)

    assert told.verdict is verdict
    assert told.run is not None
    assert told.run.run == "report-1"
    assert told.tries


def test_a_fan_out_that_failed_sends_to_the_logs_of_its_shards(environment: Environment) -> None:
    failure = {"step": "send", "class": "shards", "reason": "more shards failed than the 0 percent"}
    environment.record("report", "report-1", "failed", FIRED, run_key=iso(FIRED), **failure)

    assert "nightlatch logs report-1 --step send" in ask(environment).tries


def test_of_two_deliveries_the_one_that_worked_is_the_answer(environment: Environment) -> None:
    environment.record("report", "report-1", "duplicate", FIRED, run_key=iso(FIRED))
    environment.record("report", "report-2", "succeeded", FIRED, run_key=iso(FIRED))

    assert ask(environment).verdict is Verdict.SUCCEEDED


def test_nothing_was_started(environment: Environment) -> None:
    environment.record(
        "report", "report-1", "succeeded", FIRED - timedelta(days=1), run_key=iso(FIRED - timedelta(days=1))
    )

    told = ask(environment)

    assert (told.verdict, told.run, told.good) == (Verdict.NEVER_STARTED, None, False)
    assert told.firing is not None
    assert told.firing.at == FIRED
    assert "nightlatch doctor" in told.tries


def test_a_firing_of_a_moment_ago_may_still_be_on_its_way(environment: Environment) -> None:
    assert ask(environment, FIRED + timedelta(seconds=30)).verdict is Verdict.JUST_NOW


def test_a_paused_schedule_says_who_and_why_and_comes_back(environment: Environment) -> None:
    paused = pause_schedule(
        environment.at(FIRED - timedelta(hours=1)), "report", by="me@here", reason="moving"
    )

    told = ask(environment)
    listed = list_schedules(environment.deployment, ["report", "report-monthly"], environment.catalog)
    status = list_jobs(environment.deployment, ["report"], environment.catalog)[0]

    assert told.verdict is Verdict.PAUSED
    assert "paused by me@here: moving" in told.evidence
    assert (paused.state, paused.next_at) == ("paused", None)
    assert [(entry.job, entry.paused_reason) for entry in listed] == [("report", "moving")]
    assert (status.schedule_state, status.paused_by, troubled(status)) == ("paused", "me@here", True)
    watchdog = environment.deployment.clients.scheduler.get_schedule(
        GroupName="nightlatch-dev", Name="report-watchdog"
    )
    assert watchdog["State"] == "DISABLED"
    assert watchdog["Target"]["RoleArn"]

    resumed = resume_schedule(environment.deployment, "report")

    assert (resumed.state, resumed.paused_by) == ("enabled", None)
    assert resumed.next_at is not None


def test_the_local_aws_was_down(environment: Environment) -> None:
    assert ask(environment, local_up_since=FIRED + timedelta(minutes=1)).verdict is Verdict.DOWN


def test_a_schedule_that_is_younger_than_the_firing_is_no_fault(environment: Environment) -> None:
    now = datetime.now(UTC)

    assert ask(environment, now).verdict in (Verdict.NEWER, Verdict.NO_FIRING)


def test_a_running_run_works_or_waits(environment: Environment) -> None:
    now = datetime.now(UTC)
    fired = now.replace(hour=21, minute=0, second=0, microsecond=0)
    fired -= timedelta(days=0 if fired <= now else 1)
    environment.start("report", "report-1", trigger="schedule", scheduled_time=iso(fired))

    works = ask(environment, now)
    environment.hold("reports", environment.start("report-monthly", "report-monthly-1"))
    waits = ask(environment, now)

    assert (works.verdict, waits.verdict) == (Verdict.RUNNING, Verdict.WAITING)
    assert works.tries == ("nightlatch watch report-1",)


def test_a_job_without_a_schedule_or_a_machine(environment: Environment) -> None:
    assert (
        explain(environment.deployment, "report-monthly", lock_key="reports").verdict is Verdict.NO_SCHEDULE
    )
    assert explain(environment.deployment, "unknown", lock_key=None).verdict is Verdict.NOT_DEPLOYED
    with pytest.raises(OperationError) as caught:
        pause_schedule(environment.deployment, "report-monthly", by="me", reason="x")
    assert caught.value.code == "SCHED-001"


def test_a_lock_held_by_the_dead_is_mentioned(environment: Environment) -> None:
    arn = environment.start("report", "report-dead")
    environment.hold("reports", arn)
    environment.deployment.clients.stepfunctions.stop_execution(executionArn=arn)

    told = ask(environment)

    assert told.lock is not None
    assert told.lock.state == "stale"
    assert any("report-dead" in line for line in told.evidence)
