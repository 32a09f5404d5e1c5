"""End a run.

Gracefully: its container is stopped (SIGTERM, the grace of its step, SIGKILL); the state machine sees
that, frees the lock and records the run, as after any other end. Only when there is no container to stop, or
when the machine goes on regardless, the execution itself is stopped; then the janitor drains and frees the
lock.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from nightlatch.operations.attempts import Attempt, HistoryReader
from nightlatch.operations.drain import stop_tasks
from nightlatch.operations.errors import OperationError
from nightlatch.operations.executions import read_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from nightlatch.operations.deployment import Deployment
    from nightlatch.operations.runs import Run

# ECS gives a container at most 120 seconds between SIGTERM and SIGKILL on Fargate; the rest is for the
# machine to see the end, free the lock and write its record.
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
GRACEFUL_WAIT = 150.0
# How long the machine may take from the end of the container to its own.
_SETTLE = 20.0
STOPPED_ERROR = "Nightlatch.Stopped"


class How(StrEnum):
    """How a run was stopped."""

    CONTAINER = "container"
    EXECUTION = "execution"
    BOTH = "container, then execution"


@dataclass(frozen=True)
class StopRequest:
    """What an operator asks for.

    Attributes:
        by: Who asks.
        reason: Why.
        kill: Do not wait for the container to end well.
        wait_seconds: Wait at most so long for the run to end.
    """

    by: str
    reason: str | None = None
    kill: bool = False
    wait_seconds: float = GRACEFUL_WAIT


@dataclass(frozen=True)
class Stopped:
    """What stopping came to.

    Attributes:
        run: The run as it was when the wait ended; `running` when it had not ended.
        how: What was stopped.
        task_arn: The container's task, when one was stopped.
    """

    run: Run
    how: How
    task_arn: str | None
    by: str
    reason: str | None


def stop_run(
    deployment: Deployment, run: Run, request: StopRequest, *, sleep: Callable[[float], None] = time.sleep
) -> Stopped:
    """Stop a run and wait until it has ended, or until the wait is over.

    Raises:
        OperationError: It had already ended (RUN-009).
    """
    if not run.running:
        raise OperationError(
            "RUN-009",
            f"{run.run} has already ended: {run.outcome.value}",
            tries=[f"nightlatch show {run.run}"],
        )
    history = HistoryReader(deployment, run.execution_arn)
    attempt = None if request.kill else history.read().current
    if attempt is None or attempt.task_arn is None:
        stop_execution(deployment, run.execution_arn, run.job, request)
        ended = _wait(deployment, run, request.wait_seconds, sleep)
        return Stopped(ended, How.EXECUTION, None, request.by, request.reason)
    stop_tasks(deployment, [attempt.task_arn], stop_text(request))
    ended, went_on = _wait_for_machine(deployment, run, attempt, history, request.wait_seconds, sleep)
    how = How.CONTAINER
    if went_on:
        how = How.BOTH
        stop_execution(deployment, run.execution_arn, run.job, request)
        ended = _wait(deployment, run, _SETTLE, sleep)
    return Stopped(ended, how, attempt.task_arn, request.by, request.reason)


def stop_text(request: StopRequest) -> str:
    """Who stopped it and why, as ECS keeps it."""
    return f"stopped by {request.by}" + (f": {request.reason}" if request.reason else "")


def stop_execution(deployment: Deployment, execution_arn: str, job: str, request: StopRequest) -> None:
    """Stop an execution; its error and cause say who did it and why, as a state machine would."""
    cause = {
        "outcome": "stopped",
        "job": job,
        "run": execution_arn.rpartition(":")[2],
        "reason": stop_text(request),
        "class": "stopped",
    }
    deployment.clients.stepfunctions.stop_execution(
        executionArn=execution_arn, error=STOPPED_ERROR, cause=json.dumps(cause)
    )


def _wait(deployment: Deployment, run: Run, seconds: float, sleep: Callable[[float], None]) -> Run:
    began = deployment.now()
    while run.running and (deployment.now() - began).total_seconds() < seconds:
        sleep(deployment.interval)
        run = read_run(deployment, run.job, run.run) or run
    return run


def _wait_for_machine(
    deployment: Deployment,
    run: Run,
    attempt: Attempt,
    history: HistoryReader,
    seconds: float,
    sleep: Callable[[float], None],
) -> tuple[Run, bool]:
    """The run when the wait ended, and whether the machine went on after the container had ended."""
    began = deployment.now()
    ended_at = None
    while (deployment.now() - began).total_seconds() < seconds:
        run = read_run(deployment, run.job, run.run) or run
        if not run.running:
            return run, False
        trail = history.read()
        if trail.current is not None and trail.current.task_arn != attempt.task_arn:
            return run, True
        if trail.current is None:
            ended_at = ended_at or deployment.now()
            if (deployment.now() - ended_at).total_seconds() > _SETTLE:
                return run, True
        sleep(deployment.interval)
    return run, False
