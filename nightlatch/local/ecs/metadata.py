"""The task metadata endpoint, version 4 (ECS developer guide, task-metadata-endpoint-v4-fargate)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightlatch.local.ecs.task import iso_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nightlatch.local.ecs.task import Task

_NOT_FOUND = 404
_OK = 200


def answer(path: str, tasks: Mapping[str, Task]) -> tuple[int, dict[str, Any]]:
    """Answer a GET under ``/v4/``.

    Args:
        path: ``/v4/{task id}[-{container number}]`` and then nothing, ``/task``, ``/taskWithTags``,
            ``/stats`` or ``/task/stats``.
        tasks: Tasks by id.

    Returns:
        HTTP status and JSON body.
    """
    identifier, _, what = path.partition("/v4/")[2].strip("/").partition("/")
    task_id, _, number = identifier.partition("-")
    task = tasks.get(task_id)
    index = int(number) if number.isdigit() else 0
    if task is None or index >= len(task.document["containers"]):
        return _NOT_FOUND, {"message": f"V4 metadata: no task for {identifier!r}."}
    if what == "":
        return _OK, _container(task, index)
    if what in {"task", "taskWithTags"}:
        return _OK, _task(task)
    if what in {"stats", "task/stats"}:
        # Statistics of a container come from Docker; processes of this machine have none in its format.
        return _OK, {}
    return _NOT_FOUND, {"message": f"V4 metadata: unknown path {path!r}."}


def _task(task: Task) -> dict[str, Any]:
    document = task.document
    body: dict[str, Any] = {
        "Cluster": document["clusterArn"],
        "TaskARN": task.arn,
        "Family": task.definition["family"],
        "Revision": str(task.definition["revision"]),
        "DesiredStatus": document["desiredStatus"],
        "KnownStatus": document["lastStatus"],
        "Limits": {"CPU": int(document["cpu"]) / 1024, "Memory": int(document["memory"])},
        "AvailabilityZone": document["availabilityZone"],
        "LaunchType": document["launchType"],
        "Containers": [_container(task, index) for index in range(len(document["containers"]))],
    }
    for member, name in (("PullStartedAt", "pullStartedAt"), ("PullStoppedAt", "pullStoppedAt")):
        if name in document:
            body[member] = iso_time(document[name])
    return body


def _container(task: Task, index: int) -> dict[str, Any]:
    container = task.document["containers"][index]
    definition = task.definition["containerDefinitions"][index]
    body: dict[str, Any] = {
        "DockerId": container.get("runtimeId", ""),
        "Name": container["name"],
        "DockerName": container["name"],
        "Image": container["image"],
        "ImageID": "",
        "Labels": {
            "com.amazonaws.ecs.cluster": task.document["clusterArn"],
            "com.amazonaws.ecs.container-name": container["name"],
            "com.amazonaws.ecs.task-arn": task.arn,
            "com.amazonaws.ecs.task-definition-family": task.definition["family"],
            "com.amazonaws.ecs.task-definition-version": str(task.definition["revision"]),
        },
        "DesiredStatus": task.document["desiredStatus"],
        "KnownStatus": container["lastStatus"],
        "Limits": {"CPU": int(container["cpu"])},
        "CreatedAt": iso_time(task.document["createdAt"]),
        "Type": "NORMAL",
        "ContainerARN": container["containerArn"],
    }
    if "startedAt" in task.document:
        body["StartedAt"] = iso_time(task.document["startedAt"])
    logging = definition.get("logConfiguration") or {}
    if logging.get("logDriver") == "awslogs":
        options = logging["options"]
        prefix = options.get("awslogs-stream-prefix")
        body["LogDriver"] = "awslogs"
        body["LogOptions"] = {
            "awslogs-group": options["awslogs-group"],
            "awslogs-region": options["awslogs-region"],
            "awslogs-stream": f"{prefix}/{container['name']}/{task.id}" if prefix else task.id,
        }
    return body
