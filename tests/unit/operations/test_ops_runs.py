from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nightlatch.operations.runs import Outcome, as_moment, from_execution, from_record, run_of_owner

NOW = datetime(2026, 11, 21, 21, 0, tzinfo=UTC)
ARN = "arn:aws:states:ap-northeast-1:000000000000:execution:nightlatch-local-report:report-1"


def described(status: str, **more: Any) -> dict[str, Any]:
    return {"name": "report-1", "executionArn": ARN, "status": status, "startDate": NOW, **more}


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (described("RUNNING"), Outcome.RUNNING),
        (described("SUCCEEDED", output='{"outcome":"succeeded"}'), Outcome.SUCCEEDED),
        (described("SUCCEEDED", output='{"outcome":"skipped"}'), Outcome.SKIPPED),
        (described("SUCCEEDED", output='{"outcome":"duplicate"}'), Outcome.DUPLICATE),
        (described("FAILED", error="Nightlatch.Failed", cause='{"outcome":"failed"}'), Outcome.FAILED),
        (described("FAILED", error="Nightlatch.TimedOut", cause="{}"), Outcome.TIMED_OUT),
        (described("FAILED", error="Nightlatch.Stopped", cause="{}"), Outcome.STOPPED),
        (described("FAILED", error="Nightlatch.LockHeld", cause='{"outcome":"failed"}'), Outcome.FAILED),
        (described("FAILED", error="States.Runtime", cause="an expression failed"), Outcome.FAILED),
        (described("TIMED_OUT"), Outcome.TIMED_OUT),
        (described("ABORTED"), Outcome.STOPPED),
        (described("ABORTED", error="Nightlatch.Replaced", cause="replaced by report-2"), Outcome.STOPPED),
    ],
)
def test_every_end_of_an_execution_is_an_outcome(reply: dict[str, Any], outcome: Outcome) -> None:
    assert from_execution("report", reply).outcome is outcome


def test_a_failed_execution_tells_its_story() -> None:
    cause = {
        "outcome": "failed",
        "reason": "step load: exit code 3",
        "step": "load",
        "class": "exit_3",
        "exit_code": 3,
        "attempts": 2,
    }
    given = {
        "trigger": "schedule",
        "scheduled_time": "2026-11-21T21:00:00Z",
        "params": {"a": "b"},
        "requested_by": "me@here",
        "reason": "because",
    }

    run = from_execution(
        "report",
        described(
            "FAILED",
            error="Nightlatch.Failed",
            cause=json.dumps(cause),
            input=json.dumps(given),
            stopDate=NOW + timedelta(seconds=90),
        ),
    )

    assert (run.step, run.failure_class, run.exit_code, run.attempt_count) == ("load", "exit_3", 3, 2)
    assert (run.trigger, run.scheduled_time, run.params) == ("schedule", NOW, {"a": "b"})
    assert (run.requested_by, run.requested_reason, run.reason) == ("me@here", "because", cause["reason"])
    assert run.seconds(NOW) == 90


def test_a_refusal_because_of_the_lock_names_the_holder() -> None:
    held = {"owner": ARN.replace("report-1", "report-0"), "acquired_at": 1_795_000_000_000, "token": 118}
    cause = json.dumps({"outcome": "failed", "held_by": held})

    run = from_execution("report", described("FAILED", error="Nightlatch.LockHeld", cause=cause))

    assert run.lock_held
    assert run.held_by is not None
    assert (run.held_by.run, run.held_by.token) == ("report-0", 118)
    assert run.held_by.acquired_at == datetime.fromtimestamp(1_795_000_000, UTC)


def test_a_cause_that_is_not_ours_is_shown_as_it_is() -> None:
    reply = described("ABORTED", error="Nightlatch.Replaced", cause="replaced by report-2")

    assert from_execution("report", reply).reason == "replaced by report-2"


def test_a_record_outlives_its_execution() -> None:
    run = from_record(
        {
            "job": "report",
            "run": "2026-11-21T21:00:00Z#report-1",
            "name": "report-1",
            "outcome": "skipped",
            "started_at": "2026-11-21T21:00:01.123Z",
            "ended_at": "2026-11-21T21:00:02Z",
            "run_key": "2026-11-21T21:00:00Z",
            "held_by": {"owner": ARN},
        }
    )

    assert (run.run, run.outcome, run.scheduled_time) == ("report-1", Outcome.SKIPPED, NOW)
    assert run.held_by is not None
    assert run.held_by.run == "report-1"


def test_moments_come_in_many_shapes() -> None:
    assert as_moment(None) is None
    assert as_moment("") is None
    assert as_moment("not a time") is None
    assert as_moment(NOW.timestamp() * 1000) == NOW
    assert as_moment("2026-11-22T06:00:00+09:00") == NOW


def test_an_owner_that_is_no_execution_has_no_run() -> None:
    assert run_of_owner("cli:host:1:uuid") is None
    assert run_of_owner(ARN) == "report-1"
