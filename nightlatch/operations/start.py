"""Start a run."""

from __future__ import annotations

import getpass
import json
import re
import secrets
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nightlatch.operations.errors import OperationError
from nightlatch.operations.executions import not_deployed, read_run
from nightlatch.operations.runs import as_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nightlatch.operations.deployment import Deployment

# An execution's name has 1 to 80 characters. Step Functions takes more kinds of characters, but a name
# with others cannot be logged.
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
NAME_LIMIT = 80
_NAME = re.compile(r"[0-9A-Za-z_-]+\Z")
# What must be equal for two requests with one id to be one request. Who asked and why may differ.
_IDENTITY = ("params", "on_conflict", "max_wait_seconds", "resume_from", "resume_of")


@dataclass(frozen=True)
class StartRequest:
    """What an operator asks for.

    Attributes:
        on_conflict: What to do when another run holds the lock; None leaves it to the job.
        max_wait_seconds: How long to wait for the lock at most, under `wait`.
        resume_from: The step to begin with; those before it are not run.
        resume_of: Under which name the run to go on with kept its checkpoints and shards.
        request_id: Names this request, so that repeating it starts nothing twice.
    """

    job: str
    params: Mapping[str, str] = field(default_factory=dict)
    on_conflict: str | None = None
    max_wait_seconds: int | None = None
    resume_from: str | None = None
    resume_of: str | None = None
    request_id: str | None = None
    reason: str | None = None
    requested_by: str | None = None


@dataclass(frozen=True)
class Started:
    """A run that was started, now or by an earlier request with the same id.

    Attributes:
        repeated: The request had been made before; nothing new was started.
    """

    job: str
    run: str
    execution_arn: str
    started_at: datetime
    repeated: bool = False


@dataclass(frozen=True)
class StartPlan:
    """The StartExecution request that would be sent."""

    state_machine_arn: str
    name: str
    input: dict[str, Any]


def operator_name() -> str:
    """Who asks: user and host of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def plan_start(deployment: Deployment, request: StartRequest) -> StartPlan:
    """The request to Step Functions, without sending it.

    Raises:
        OperationError: The request id cannot be part of an execution's name (USE-001).
    """
    given: dict[str, Any] = {
        "trigger": "operator",
        "requested_by": request.requested_by or operator_name(),
        "reason": request.reason,
        "params": dict(request.params) or None,
        "on_conflict": request.on_conflict,
        "max_wait_seconds": request.max_wait_seconds,
        "resume_from": request.resume_from,
        "resume_of": request.resume_of,
    }
    return StartPlan(
        state_machine_arn=deployment.installation.machine_arn(request.job),
        name=_run_name(request, deployment.now()),
        input={key: value for key, value in given.items() if value is not None},
    )


def _run_name(request: StartRequest, now: datetime) -> str:
    if request.request_id is None:
        moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        return f"{request.job}-{moment}-{secrets.token_hex(3)}"
    name = f"{request.job}-{request.request_id}"
    if not _NAME.match(request.request_id) or len(name) > NAME_LIMIT:
        room = NAME_LIMIT - len(request.job) - 1
        raise OperationError(
            "USE-001",
            f"the request id {request.request_id!r} cannot be part of a run id",
            facts=[("allowed", f"1 to {room} letters, digits, - and _")],
        )
    return name


def start_run(deployment: Deployment, request: StartRequest) -> Started:
    """Start a run of a job.

    Raises:
        OperationError: The job is not deployed (JOB-002), or the request id was used for something else
            (RUN-003).
    """
    plan = plan_start(deployment, request)
    client = deployment.clients.stepfunctions
    arn = deployment.installation.execution_arn(request.job, plan.name)
    if request.request_id is not None and (earlier := _earlier(deployment, request, plan, arn)) is not None:
        return earlier
    try:
        reply = client.start_execution(
            stateMachineArn=plan.state_machine_arn,
            name=plan.name,
            input=json.dumps(plan.input, sort_keys=True),
        )
    except client.exceptions.StateMachineDoesNotExist:
        raise not_deployed(deployment, request.job) from None
    except client.exceptions.ExecutionAlreadyExists:
        # Two callers with one request id at the same moment: the other one was first.
        earlier = _earlier(deployment, request, plan, arn)
        if earlier is None:
            raise
        return earlier
    return Started(request.job, plan.name, reply["executionArn"], reply["startDate"].astimezone(UTC))


def _earlier(deployment: Deployment, request: StartRequest, plan: StartPlan, arn: str) -> Started | None:
    run = read_run(deployment, request.job, plan.name)
    if run is None:
        return None
    client = deployment.clients.stepfunctions
    before = as_object(client.describe_execution(executionArn=arn).get("input"))
    differing = [key for key in _IDENTITY if before.get(key) != plan.input.get(key)]
    if differing:
        raise OperationError(
            "RUN-003",
            f"the request id {request.request_id} was used for a different request",
            facts=[("run", run.run), ("differs", ", ".join(differing))],
            tries=[f"nightlatch show {run.run}", "another --request-id"],
        )
    return Started(request.job, run.run, run.execution_arn, run.started_at, repeated=True)
