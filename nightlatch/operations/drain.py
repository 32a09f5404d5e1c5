"""Stop ECS tasks and wait until they are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lock.model import StaleTask
    from nightlatch.operations.deployment import Deployment

# DescribeTasks takes at most 100 tasks; a stop reason has at most 1024 characters in the API, and the console
# shows 255. https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html
_BATCH = 100
REASON_LIMIT = 255


def tasks_of(deployment: Deployment, traces: Iterable[StaleTask]) -> list[str]:
    """The ARNs of the tasks that a lock's row names, directly or by family and group."""
    cluster = deployment.installation.cluster
    found: dict[str, None] = {}
    for trace in traces:
        if trace.task_arn:
            found[trace.task_arn] = None
        if trace.family and trace.group:
            pages = deployment.clients.ecs.get_paginator("list_tasks").paginate(
                cluster=cluster, family=trace.family, desiredStatus="RUNNING"
            )
            arns = [arn for page in pages for arn in page["taskArns"]]
            for task in _described(deployment, arns):
                if task.get("group") == trace.group:
                    found[str(task["taskArn"])] = None
    return list(found)


def stop_tasks(deployment: Deployment, arns: Iterable[str], reason: str) -> None:
    """Ask ECS to stop these tasks; one that ECS no longer knows is gone."""
    client = deployment.clients.ecs
    for arn in arns:
        try:
            client.stop_task(cluster=deployment.installation.cluster, task=arn, reason=reason[:REASON_LIMIT])
        except client.exceptions.InvalidParameterException:
            # "The referenced task was not found": ECS forgets a task about an hour after it stopped.
            continue


def wait_stopped(
    deployment: Deployment, arns: Sequence[str], seconds: float, sleep: Callable[[float], None]
) -> list[str]:
    """Wait until all are STOPPED or unknown; those that are not when the wait is over."""
    began = deployment.now()
    left = list(arns)
    while True:
        left = [
            str(task["taskArn"])
            for task in _described(deployment, left)
            if task.get("lastStatus") != "STOPPED"
        ]
        if not left or (deployment.now() - began).total_seconds() >= seconds:
            return left
        sleep(deployment.interval)


def _described(deployment: Deployment, arns: Sequence[str]) -> list[dict[str, object]]:
    tasks: list[dict[str, object]] = []
    for start in range(0, len(arns), _BATCH):
        reply = deployment.clients.ecs.describe_tasks(
            cluster=deployment.installation.cluster, tasks=list(arns[start : start + _BATCH])
        )
        tasks += [dict(task) for task in reply["tasks"]]
    return tasks
