"""Schedules: as declared, as deployed, paused by whom and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightlatch.operations.errors import OperationError
from nightlatch.operations.firings import next_firings, next_happening
from nightlatch.operations.records import PAUSE, read_mark
from nightlatch.operations.runs import as_moment
from nightlatch.operations.text_of_time import iso

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from nightlatch.catalog import Catalog
    from nightlatch.operations.deployment import Deployment

ENABLED, PAUSED, DISABLED, MISSING = "enabled", "paused", "disabled", "missing"
_PAUSE_MARK = f"{PAUSE}schedule"
# What UpdateSchedule takes. It replaces the whole schedule: a member that is not sent is reset to its
# default.
# https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html
_UPDATABLE = (
    "ActionAfterCompletion",
    "Description",
    "EndDate",
    "FlexibleTimeWindow",
    "GroupName",
    "KmsKeyArn",
    "Name",
    "ScheduleExpression",
    "ScheduleExpressionTimezone",
    "StartDate",
    "State",
    "Target",
)


@dataclass(frozen=True)
class ScheduleStatus:
    """One job's schedule.

    Attributes:
        state: enabled, paused (by an operator, with a reason), disabled (by something else), or missing:
            the jobs file declares it and the environment does not have it.
        next_at: The next firing; None when there is none, or when the schedule does not fire.
        changed_at: When the deployed schedule was last changed.
    """

    job: str
    expression: str
    timezone: str
    state: str
    next_at: datetime | None = None
    created_at: datetime | None = None
    changed_at: datetime | None = None
    paused_by: str | None = None
    paused_at: datetime | None = None
    paused_reason: str | None = None


@dataclass(frozen=True)
class DatedFiring:
    """One coming firing of one job."""

    job: str
    at: datetime
    local: str
    timezone: str
    note: str | None


def read_schedule(deployment: Deployment, job: str) -> ScheduleStatus | None:
    """The job's schedule as deployed; None when there is none."""
    deployed = _deployed(deployment, job)
    if deployed is None:
        return None
    mark = read_mark(deployment, job, _PAUSE_MARK) if deployed.get("State") == "DISABLED" else None
    expression = str(deployed["ScheduleExpression"])
    timezone = str(deployed.get("ScheduleExpressionTimezone") or "UTC")
    state = ENABLED if deployed.get("State", "ENABLED") == "ENABLED" else (PAUSED if mark else DISABLED)
    created = deployed.get("CreationDate")
    coming = (
        next_happening(expression, timezone, deployment.now(), anchor=created) if state == ENABLED else None
    )
    return ScheduleStatus(
        job=job,
        expression=expression,
        timezone=timezone,
        state=state,
        next_at=coming.at if coming else None,
        created_at=created,
        changed_at=deployed.get("LastModificationDate"),
        paused_by=mark.get("requested_by") if mark else None,
        paused_at=as_moment(mark.get("paused_at")) if mark else None,
        paused_reason=mark.get("reason") if mark else None,
    )


def list_schedules(
    deployment: Deployment, jobs: Sequence[str], catalog: Catalog | None
) -> list[ScheduleStatus]:
    """The schedules of these jobs, in their order; jobs without one are left out."""
    found = []
    for job in jobs:
        status = read_schedule(deployment, job)
        declared = catalog.jobs[job].schedule if catalog is not None and job in catalog.jobs else None
        if status is None and declared is not None:
            status = ScheduleStatus(job, declared.expression, declared.timezone, MISSING)
        if status is not None:
            found.append(status)
    return found


def coming_firings(
    schedules: Sequence[tuple[str, str, str]], after: datetime, count: int
) -> list[DatedFiring]:
    """The next firings of several schedules, in the order of time.

    Args:
        schedules: Job, expression and time zone of each.
        after: Only later ones.
        count: At most so many of each job.
    """
    dated = [
        DatedFiring(job, firing.at, firing.local, timezone, firing.note)
        for job, expression, timezone in schedules
        for firing in next_firings(expression, timezone, after, count)
    ]
    return sorted(dated, key=lambda firing: firing.at)


def pause_schedule(deployment: Deployment, job: str, *, by: str, reason: str) -> ScheduleStatus:
    """Hold a job's schedule back, with its watchdog, and write down who did it and why.

    Raises:
        OperationError: The job has no schedule here (SCHED-001).
    """
    _need(deployment, job)
    # The reason first: a paused schedule without one would look like a fault.
    deployment.clients.dynamodb.put_item(
        TableName=deployment.installation.runs_table,
        Item={
            "job": {"S": job},
            "run": {"S": _PAUSE_MARK},
            "requested_by": {"S": by},
            "reason": {"S": reason},
            "paused_at": {"S": iso(deployment.now())},
        },
    )
    _set_state(deployment, job, "DISABLED")
    return _read_again(deployment, job)


def resume_schedule(deployment: Deployment, job: str) -> ScheduleStatus:
    """Let a job's schedule fire again. Firings that were missed are not made up for.

    Raises:
        OperationError: The job has no schedule here (SCHED-001).
    """
    _need(deployment, job)
    _set_state(deployment, job, "ENABLED")
    deployment.clients.dynamodb.delete_item(
        TableName=deployment.installation.runs_table, Key={"job": {"S": job}, "run": {"S": _PAUSE_MARK}}
    )
    return _read_again(deployment, job)


def _need(deployment: Deployment, job: str) -> dict[str, Any]:
    deployed = _deployed(deployment, job)
    if deployed is None:
        raise OperationError(
            "SCHED-001",
            f"{job} has no schedule in {deployment.installation.environment}",
            tries=["nightlatch schedule list"],
        )
    return deployed


def _read_again(deployment: Deployment, job: str) -> ScheduleStatus:
    status = read_schedule(deployment, job)
    if status is None:
        _need(deployment, job)
        raise AssertionError
    return status


def _set_state(deployment: Deployment, job: str, state: str) -> None:
    # A paused job must not be reported as late, so its watchdog rests with it.
    for name in (job, f"{job}-watchdog"):
        deployed = _deployed(deployment, name)
        if deployed is None or deployed.get("State") == state:
            continue
        request = {key: deployed[key] for key in _UPDATABLE if key in deployed}
        update: Any = deployment.clients.scheduler.update_schedule
        update(**{**request, "State": state})


def _deployed(deployment: Deployment, name: str) -> dict[str, Any] | None:
    client = deployment.clients.scheduler
    try:
        reply = client.get_schedule(GroupName=deployment.installation.schedule_group, Name=name)
    except client.exceptions.ResourceNotFoundException:
        return None
    return dict(reply)
