"""Past runs: the runs table and Step Functions, merged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlatch.operations.errors import OperationError
from nightlatch.operations.executions import list_runs, read_run
from nightlatch.operations.records import list_records

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from nightlatch.operations.deployment import Deployment
    from nightlatch.operations.runs import Outcome, Run

# Step Functions lists executions without their input and output. An execution that is not recorded is
# read in full, but not more than so many.
_READ_IN_FULL = 20


def job_history(
    deployment: Deployment,
    job: str,
    *,
    since: datetime | None = None,
    outcomes: Collection[Outcome] = (),
    limit: int = 20,
) -> list[Run]:
    """The job's runs, newest first.

    A run that is recorded is shown from its record, which outlives the execution; one that is running, or
    ended a moment ago, from Step Functions.

    Args:
        deployment: The environment.
        job: The job's name.
        since: Only runs that started at or after this moment.
        outcomes: Only these; all when empty.
        limit: At most so many.
    """
    # A filter by outcome looks further back, or it would find nothing among many good runs.
    reach = limit if not outcomes else max(limit * 10, 200)
    runs = {run.run: run for run in list_records(deployment, job, since=since, limit=reach)}
    unread = 0
    try:
        listed = list_runs(deployment, job, since=since, limit=reach)
    except OperationError:
        if not runs:
            raise
        # The machine is gone, its records are not.
        listed = []
    for run in listed:
        if run.run in runs:
            continue
        unread += 1
        full = read_run(deployment, job, run.run) if unread <= _READ_IN_FULL else None
        runs[run.run] = full or run
    return newest((run for run in runs.values() if not outcomes or run.outcome in outcomes), limit)


def history(
    deployment: Deployment,
    jobs: Iterable[str],
    *,
    since: datetime | None = None,
    outcomes: Collection[Outcome] = (),
    limit: int = 20,
) -> list[Run]:
    """The runs of several jobs, newest first. A job that is not deployed has none."""
    runs: list[Run] = []
    for job in jobs:
        try:
            runs += job_history(deployment, job, since=since, outcomes=outcomes, limit=limit)
        except OperationError as error:
            if error.code != "JOB-002":
                raise
    return newest(runs, limit)


def newest(runs: Iterable[Run], limit: int) -> list[Run]:
    """The newest runs by their start."""
    return sorted(runs, key=lambda run: run.started_at, reverse=True)[:limit]
