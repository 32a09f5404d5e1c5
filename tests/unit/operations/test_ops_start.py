from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from nightlatch.operations.errors import OperationError
from nightlatch.operations.executions import find_run, job_of_run, list_runs
from nightlatch.operations.history import history, job_history
from nightlatch.operations.runs import Outcome
from nightlatch.operations.start import NAME_LIMIT, StartRequest, plan_start, start_run

if TYPE_CHECKING:
    from tests.support.deployments import Environment

NOW = datetime(2026, 11, 21, 21, 0, 5, tzinfo=UTC)
JOBS = ("report", "report-monthly")


def test_an_operator_run_is_named_after_job_and_moment_and_carries_who_and_why(
    environment: Environment,
) -> None:
    request = StartRequest(
        "report",
        params={"day": "2026-11-20"},
        on_conflict="wait",
        max_wait_seconds=60,
        resume_from="send",
        reason="late data",
        requested_by="me@here",
    )

    plan = plan_start(environment.at(NOW), request)

    assert plan.name.startswith("report-20261121T210005Z-")
    assert len(plan.name.rpartition("-")[2]) == 6
    assert plan.input == {
        "trigger": "operator",
        "requested_by": "me@here",
        "reason": "late data",
        "params": {"day": "2026-11-20"},
        "on_conflict": "wait",
        "max_wait_seconds": 60,
        "resume_from": "send",
    }


def test_what_was_not_asked_for_is_not_sent(environment: Environment) -> None:
    plan = plan_start(environment.deployment, StartRequest("report", requested_by="me@here"))

    assert plan.input == {"trigger": "operator", "requested_by": "me@here"}


@pytest.mark.parametrize("identity", ["", "a b", "ä", "x" * NAME_LIMIT])
def test_a_request_id_must_fit_into_a_run_id(environment: Environment, identity: str) -> None:
    with pytest.raises(OperationError) as caught:
        start_run(environment.deployment, StartRequest("report", request_id=identity))

    assert caught.value.code == "USE-001"


def test_a_repeated_request_is_one_request(environment: Environment) -> None:
    request = StartRequest("report", request_id="ci-1", params={"n": "1"})

    first = start_run(environment.deployment, request)
    again = start_run(
        environment.deployment, StartRequest("report", request_id="ci-1", params={"n": "1"}, reason="x")
    )

    assert (first.run, first.repeated) == ("report-ci-1", False)
    assert (again.execution_arn, again.repeated) == (first.execution_arn, True)
    assert len(list_runs(environment.deployment, "report")) == 1


def test_a_request_id_cannot_mean_two_things(environment: Environment) -> None:
    start_run(environment.deployment, StartRequest("report", request_id="ci-1", params={"n": "1"}))

    with pytest.raises(OperationError) as caught:
        start_run(environment.deployment, StartRequest("report", request_id="ci-1", params={"n": "2"}))

    assert (caught.value.code, int(caught.value.exit_code)) == ("RUN-003", 3)
    assert ("differs", "params") in caught.value.facts


def test_a_job_that_is_not_deployed_is_said_so(environment: Environment) -> None:
    with pytest.raises(OperationError) as caught:
        start_run(environment.deployment, StartRequest("unknown"))

    assert caught.value.code == "JOB-002"


def test_a_run_belongs_to_the_longest_job_name_it_begins_with() -> None:
    assert job_of_run("report-monthly-20261121T210005Z-ab12cd", JOBS) == "report-monthly"
    assert job_of_run("report-ci-1", JOBS) == "report"
    assert job_of_run("other-1", JOBS) is None


def test_a_run_is_found_by_id_by_arn_and_by_job(environment: Environment) -> None:
    arn = environment.start("report", "report-1", trigger="operator", params={"a": "b"})

    found = [find_run(environment.deployment, text, JOBS) for text in ("report-1", arn, "report")]

    assert {run.execution_arn for run in found} == {arn}
    assert found[0].params == {"a": "b"}


def test_a_run_that_step_functions_has_forgotten_is_found_in_the_records(environment: Environment) -> None:
    environment.record("report", "report-old", "succeeded", NOW)

    assert find_run(environment.deployment, "report-old", JOBS).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("text", "code"), [("report-1x", "RUN-001"), ("report", "RUN-002"), ("nothing-1", "JOB-001")]
)
def test_what_is_not_found_has_a_code(environment: Environment, text: str, code: str) -> None:
    with pytest.raises(OperationError) as caught:
        find_run(environment.deployment, text, JOBS)

    assert (caught.value.code, int(caught.value.exit_code)) == (code, 5)


def test_a_nearly_right_run_id_gets_a_suggestion(environment: Environment) -> None:
    environment.start("report", "report-20261121T210005Z-ab12cd")

    with pytest.raises(OperationError) as caught:
        find_run(environment.deployment, "report-20261121T210005Z-ab12ce", JOBS)

    assert "did you mean report-20261121T210005Z-ab12cd?" in caught.value.tries


def test_history_merges_records_and_executions_newest_first(environment: Environment) -> None:
    environment.record(
        "report", "report-a", "failed", datetime(2026, 1, 1, tzinfo=UTC), step="load", reason="no"
    )
    environment.record("report", "report-b", "succeeded", datetime(2026, 1, 2, tzinfo=UTC), attempts=3)
    environment.mark("report", "watchdog#2026-01-02T00:00:00Z")
    environment.mark("report", "pause#schedule", reason="x")
    environment.start("report", "report-c", trigger="operator")
    environment.record("report-monthly", "report-monthly-a", "skipped", datetime(2026, 1, 3, tzinfo=UTC))

    runs = job_history(environment.deployment, "report")

    assert [(run.run, run.outcome.value) for run in runs] == [
        ("report-c", "running"),
        ("report-b", "succeeded"),
        ("report-a", "failed"),
    ]
    assert (runs[1].attempt_count, runs[2].reason) == (3, "no")
    failed = job_history(environment.deployment, "report", outcomes=[Outcome.FAILED])
    assert [run.run for run in failed] == ["report-a"]
    assert [run.run for run in job_history(environment.deployment, "report", limit=1)] == ["report-c"]
    since = job_history(environment.deployment, "report", since=datetime(2026, 1, 2, tzinfo=UTC))
    assert [run.run for run in since] == ["report-c", "report-b"]
    assert [run.run for run in history(environment.deployment, [*JOBS, "gone"])][1] == "report-monthly-a"


def test_a_recorded_run_is_not_listed_twice(environment: Environment) -> None:
    environment.start("report", "report-1")
    environment.record("report", "report-1", "succeeded", environment.clock.present)

    assert [run.outcome for run in job_history(environment.deployment, "report")] == [Outcome.SUCCEEDED]


def test_the_input_is_what_the_state_machine_reads(environment: Environment) -> None:
    started = start_run(environment.deployment, StartRequest("report", params={"a": "1"}))

    sent = environment.deployment.clients.stepfunctions.describe_execution(executionArn=started.execution_arn)
    assert json.loads(sent["input"])["params"] == {"a": "1"}
