"""Jobs as operators see them: when next, how last, running or not, lock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nightlatch.operations.errors import OperationError
from nightlatch.operations.executions import list_runs
from nightlatch.operations.firings import next_happening
from nightlatch.operations.history import job_history
from nightlatch.operations.locks import LockStatus, list_locks, lock_key_of
from nightlatch.operations.schedules import ENABLED, MISSING, read_schedule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from nightlatch.catalog import Catalog
    from nightlatch.operations.deployment import Deployment
    from nightlatch.operations.runs import Run


@dataclass(frozen=True)
class JobStatus:
    """One job at one moment.

    Attributes:
        steps: Names of its steps, when the jobs file is at hand.
        schedule_state: enabled, paused, disabled, missing (declared, not deployed), or None without a
            schedule.
        deployed: Whether the environment has its state machine; None when nobody asked.
        running: Runs that have not ended: one that works, and others that wait for the lock.
        last: The newest run that has ended.
    """

    job: str
    description: str | None = None
    steps: tuple[str, ...] = ()
    expression: str | None = None
    timezone: str | None = None
    schedule_state: str | None = None
    next_at: datetime | None = None
    paused_by: str | None = None
    paused_reason: str | None = None
    lock_key: str | None = None
    deployed: bool | None = None
    running: tuple[Run, ...] = ()
    last: Run | None = None
    lock: LockStatus | None = None


def declared_status(catalog: Catalog, job: str, now: datetime) -> JobStatus:
    """What the jobs file alone says of a job."""
    declared = catalog.jobs[job]
    schedule = declared.schedule
    coming = next_happening(schedule.expression, schedule.timezone, now) if schedule else None
    return JobStatus(
        job=job,
        description=declared.description or None,
        steps=tuple(step.name for step in declared.steps),
        expression=schedule.expression if schedule else None,
        timezone=schedule.timezone if schedule else None,
        next_at=coming.at if coming else None,
        lock_key=declared.lock.key,
    )


def list_jobs(deployment: Deployment, jobs: Sequence[str], catalog: Catalog | None) -> list[JobStatus]:
    """The status of these jobs, in their order.

    Args:
        deployment: The environment.
        jobs: Their names.
        catalog: The jobs file, when at hand.
    """
    locks = {status.key: status for status in list_locks(deployment)}
    return [_status(deployment, job, catalog, locks) for job in jobs]


def _status(
    deployment: Deployment, job: str, catalog: Catalog | None, locks: dict[str, LockStatus]
) -> JobStatus:
    known = catalog is not None and job in catalog.jobs
    status = declared_status(catalog, job, deployment.now()) if catalog and known else JobStatus(job)
    try:
        running = list_runs(deployment, job, status="RUNNING", limit=10)
    except OperationError as error:
        if error.code != "JOB-002":
            raise
        return replace(
            status, deployed=False, schedule_state=MISSING if status.expression else None, next_at=None
        )
    past = [run for run in job_history(deployment, job, limit=5 + len(running)) if not run.running]
    schedule = read_schedule(deployment, job)
    if schedule is not None:
        status = replace(
            status,
            expression=schedule.expression,
            timezone=schedule.timezone,
            schedule_state=schedule.state,
            next_at=schedule.next_at,
            paused_by=schedule.paused_by,
            paused_reason=schedule.paused_reason,
        )
    elif status.expression is not None:
        status = replace(status, schedule_state=MISSING, next_at=None)
    key = status.lock_key or lock_key_of(deployment, job)
    return replace(
        status,
        lock_key=key,
        deployed=True,
        running=tuple(running),
        last=past[0] if past else None,
        lock=locks.get(key or ""),
    )


def troubled(status: JobStatus) -> bool:
    """Whether the job needs a look: its last run did not end well, or its schedule does not fire."""
    ended_badly = status.last is not None and status.last.outcome.value in ("failed", "timed_out")
    return ended_badly or status.deployed is False or status.schedule_state not in (None, ENABLED)
