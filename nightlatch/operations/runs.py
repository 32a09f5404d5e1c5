"""A run as operators see it, made from an execution of Step Functions or from its record."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCK_HELD = "Nightlatch.LockHeld"

_OUTCOME_OF_ERROR = {
    "Nightlatch.Failed": "failed",
    "Nightlatch.TimedOut": "timed_out",
    "Nightlatch.Stopped": "stopped",
    LOCK_HELD: "failed",
}
_OUTCOME_OF_STATUS = {
    "RUNNING": "running",
    "PENDING_REDRIVE": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "TIMED_OUT": "timed_out",
    "ABORTED": "stopped",
}


class Outcome(StrEnum):
    """How a run ended, or that it has not ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    STOPPED = "stopped"
    SKIPPED = "skipped"
    DUPLICATE = "duplicate"


@dataclass(frozen=True)
class HeldBy:
    """Who held the lock when a run was skipped or refused."""

    owner: str
    job: str | None = None
    run: str | None = None
    acquired_at: datetime | None = None
    task_arn: str | None = None
    token: int | None = None


@dataclass(frozen=True)
class Run:
    """One execution of one job's state machine.

    Attributes:
        run: The run id: the execution's name.
        reason: Why it ended as it did, in the machine's words.
        requested_reason: Why the operator started it, in the operator's words.
        failure_class: One of the failure classes of jobs.yaml's `retry`, when it failed.
        error: The error Step Functions reports, for example ``Nightlatch.LockHeld``.
        series: Under which name its checkpoints and shards lie: its scheduled time, or the first run of the
            redrives that it belongs to.
    """

    job: str
    run: str
    execution_arn: str
    outcome: Outcome
    started_at: datetime
    ended_at: datetime | None = None
    trigger: str | None = None
    scheduled_time: datetime | None = None
    requested_by: str | None = None
    requested_reason: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    step: str | None = None
    reason: str | None = None
    failure_class: str | None = None
    exit_code: int | None = None
    attempt_count: int | None = None
    held_by: HeldBy | None = None
    error: str | None = None
    series: str | None = None

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.outcome is Outcome.RUNNING

    @property
    def lock_held(self) -> bool:
        """Whether it ended because its policy is `fail` and another run held the lock."""
        return self.error == LOCK_HELD

    def seconds(self, now: datetime) -> float:
        """How long it took, or has taken so far."""
        return ((self.ended_at or now) - self.started_at).total_seconds()


def as_moment(value: Any) -> datetime | None:
    """A moment from ISO 8601 text, epoch milliseconds, or a datetime; None when there is none.

    Scheduler, the state machine and DynamoDB write moments in these different ways.
    """
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return None
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    return datetime.fromtimestamp(float(value) / 1000, UTC)


def as_object(text: Any) -> dict[str, Any]:
    """A JSON object from its text; empty when the text is something else."""
    if not isinstance(text, str):
        return {}
    try:
        parsed = json.loads(text)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def from_execution(job: str, described: Mapping[str, Any]) -> Run:
    """The run behind a reply of DescribeExecution.

    Args:
        job: The job's name.
        described: The reply.
    """
    given = as_object(described.get("input"))
    # What a successful execution puts in its output, a failed one puts in its cause.
    result = as_object(described.get("output")) or as_object(described.get("cause"))
    error = described.get("error")
    cause = described.get("cause")
    name = _OUTCOME_OF_ERROR.get(error or "") or _OUTCOME_OF_STATUS[described["status"]]
    if described["status"] != "RUNNING":
        name = result.get("outcome") or name
    return Run(
        job=job,
        run=described["name"],
        execution_arn=described["executionArn"],
        outcome=_outcome(name),
        started_at=described["startDate"].astimezone(UTC),
        ended_at=as_moment(described.get("stopDate")),
        trigger=given.get("trigger"),
        scheduled_time=as_moment(given.get("scheduled_time")),
        requested_by=given.get("requested_by"),
        requested_reason=given.get("reason"),
        params=given.get("params") or {},
        step=result.get("step") or None,
        reason=result.get("reason") or (cause if not result else None) or None,
        failure_class=result.get("class") or None,
        exit_code=_whole(result.get("exit_code")),
        attempt_count=_whole(result.get("attempts")),
        held_by=_held_by(result.get("held_by")),
        error=error,
        # As the state machine chooses it.
        series=given.get("scheduled_time") or given.get("resume_of") or described["name"],
    )


def from_record(item: Mapping[str, Any]) -> Run:
    """The run behind an item of the runs table, already in plain Python values."""
    started = as_moment(item.get("started_at"))
    return Run(
        job=str(item["job"]),
        run=str(item.get("name") or str(item["run"]).rpartition("#")[2]),
        execution_arn=str(item.get("execution_arn", "")),
        outcome=_outcome(item.get("outcome")),
        started_at=started or datetime.fromtimestamp(0, UTC),
        ended_at=as_moment(item.get("ended_at")),
        trigger=item.get("trigger"),
        scheduled_time=as_moment(item.get("run_key")),
        requested_by=item.get("requested_by"),
        requested_reason=item.get("request_reason"),
        step=item.get("step") or None,
        reason=item.get("reason") or item.get("cause") or None,
        failure_class=item.get("class") or None,
        exit_code=_whole(item.get("exit_code")),
        attempt_count=_whole(item.get("attempts")),
        held_by=_held_by(item.get("held_by")),
        error=item.get("error") or None,
    )


def _outcome(name: Any) -> Outcome:
    try:
        return Outcome(name)
    except ValueError:
        return Outcome.FAILED


def _whole(value: Any) -> int | None:
    try:
        return None if value is None or value == "" else int(value)
    except (TypeError, ValueError):
        return None


def _held_by(value: Any) -> HeldBy | None:
    if not isinstance(value, dict) or not value.get("owner"):
        return None
    owner = str(value["owner"])
    return HeldBy(
        owner=owner,
        job=value.get("job"),
        run=value.get("run") or run_of_owner(owner),
        acquired_at=as_moment(value.get("acquired_at")),
        task_arn=value.get("task_arn"),
        token=_whole(value.get("token")),
    )


def run_of_owner(owner: str) -> str | None:
    """The run id in a lock owner: the last part of an execution's ARN."""
    return owner.rpartition(":")[2] if ":execution:" in owner else None
