"""Find and read executions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightlatch.operations.errors import OperationError, nearest, no_such_job
from nightlatch.operations.records import find_record
from nightlatch.operations.runs import Run, from_execution

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from nightlatch.operations.deployment import Deployment

_PAGE = 100


def job_of_run(run: str, jobs: Collection[str]) -> str | None:
    """The job a run id belongs to: the longest job name it begins with."""
    fitting = [job for job in jobs if run.startswith(f"{job}-")]
    return max(fitting, key=len, default=None)


def read_run(deployment: Deployment, job: str, run: str) -> Run | None:
    """The run as Step Functions knows it, or None when it knows none."""
    client = deployment.clients.stepfunctions
    try:
        reply = client.describe_execution(executionArn=deployment.installation.execution_arn(job, run))
    except client.exceptions.ExecutionDoesNotExist:
        return None
    return from_execution(job, reply)


def list_runs(
    deployment: Deployment,
    job: str,
    *,
    status: str | None = None,
    since: datetime | None = None,
    limit: int = 20,
) -> list[Run]:
    """The job's executions, newest first, without input and output.

    Args:
        deployment: The environment.
        job: The job's name.
        status: Only these, in Step Functions' words (``RUNNING``).
        since: Only those that started at or after this moment.
        limit: At most so many.

    Raises:
        OperationError: The job has no state machine here (JOB-002).
    """
    found: list[Run] = []
    for entry in _listed(deployment, job, status):
        if since is not None and entry["startDate"] < since:
            break
        found.append(from_execution(job, entry))
        if len(found) >= limit:
            break
    return found


def _listed(deployment: Deployment, job: str, status: str | None) -> Iterator[dict[str, Any]]:
    client = deployment.clients.stepfunctions
    request: dict[str, Any] = {
        "stateMachineArn": deployment.installation.machine_arn(job),
        "maxResults": _PAGE,
    }
    if status is not None:
        request["statusFilter"] = status
    while True:
        try:
            reply = client.list_executions(**request)
        except client.exceptions.StateMachineDoesNotExist:
            raise not_deployed(deployment, job) from None
        yield from (dict(entry) for entry in reply["executions"])
        token = reply.get("nextToken")
        if not token:
            return
        request["nextToken"] = token


def not_deployed(deployment: Deployment, job: str) -> OperationError:
    """The error for a job without a state machine in this environment."""
    environment = deployment.installation.environment
    fix = "nightlatch local up --detach" if environment == "local" else "terraform apply"
    return OperationError(
        "JOB-002",
        f"{job} is not deployed in {environment}",
        facts=[("machine", deployment.installation.machine_arn(job))],
        tries=[fix],
    )


def latest_run(deployment: Deployment, job: str) -> Run | None:
    """The job's running execution, or else its newest one, in full; None when it never ran."""
    for status in ("RUNNING", None):
        listed = list_runs(deployment, job, status=status, limit=1)
        if listed:
            return read_run(deployment, job, listed[0].run) or listed[0]
    return None


def find_run(deployment: Deployment, text: str, jobs: Collection[str]) -> Run:
    """The run that `text` means: a run id, an execution's ARN, or a job (its running or newest run).

    Raises:
        OperationError: Nothing fits (JOB-001, RUN-001, RUN-002).
    """
    if text in jobs:
        run = latest_run(deployment, text)
        if run is None:
            raise OperationError(
                "RUN-002",
                f"{text} has never run in {deployment.installation.environment}",
                tries=[f"nightlatch run {text}"],
            )
        return run
    name = text.rpartition(":")[2]
    job = job_of_run(name, jobs)
    if job is None:
        raise no_such_job(text, jobs)
    found = read_run(deployment, job, name) or find_record(deployment, job, name)
    if found is None:
        known = [entry.run for entry in list_runs(deployment, job, limit=50)]
        guess = nearest(name, known)
        raise OperationError(
            "RUN-001",
            f"no run is called {name}",
            facts=[("job", job)],
            tries=[*([f"did you mean {guess}?"] if guess else []), f"nightlatch history {job}"],
        )
    return found
