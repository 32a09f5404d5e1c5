"""One task: its document as the API shows it, and how it changes."""

from __future__ import annotations

import copy
import platform
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nightlatch.local.ecs.names import Names

# Members whose values are times: numbers in replies, ISO 8601 text in events.
TIMES = frozenset(
    {
        "createdAt",
        "connectivityAt",
        "pullStartedAt",
        "pullStoppedAt",
        "startedAt",
        "stoppingAt",
        "executionStoppedAt",
        "stoppedAt",
    }
)


@dataclass
class Task:
    """One task while this process knows it.

    Attributes:
        document: The task as DescribeTasks shows it, without tags.
        definition: The task definition it was made from.
        traces: Container name to what finds its processes again after a crash.
        stop_requested: Set once the task has to end; why is in the document.
        stopped: Set once it is STOPPED.
        hurried: Set once this process itself has to end and cannot wait for long stop timeouts.
    """

    document: dict[str, Any]
    definition: dict[str, Any]
    traces: dict[str, dict[str, Any]] = field(default_factory=dict)
    stop_requested: trio.Event = field(default_factory=trio.Event)
    stopped: trio.Event = field(default_factory=trio.Event)
    hurried: trio.Event = field(default_factory=trio.Event)

    @property
    def arn(self) -> str:
        """The task's ARN."""
        return str(self.document["taskArn"])

    @property
    def id(self) -> str:
        """The last part of the ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def cluster(self) -> str:
        """The name of the cluster."""
        return str(self.document["clusterArn"]).rpartition("/")[2]

    def container(self, name: str) -> dict[str, Any]:
        """The document of one container."""
        return next(item for item in self.document["containers"] if item["name"] == name)

    def saved(self) -> dict[str, Any]:
        """What is put on file."""
        return {"document": self.document, "definition": self.definition, "traces": self.traces}

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> Task:
        """A task from what was put on file."""
        task = cls(saved["document"], saved["definition"], saved["traces"])
        if task.document["desiredStatus"] == "STOPPED":
            task.stop_requested.set()
        if task.document["lastStatus"] == "STOPPED":
            task.stopped.set()
        return task


def new_document(
    names: Names, cluster: str, definition: Mapping[str, Any], request: Mapping[str, Any], now: float
) -> dict[str, Any]:
    """The document of a task that RunTask has just accepted.

    Args:
        names: Builds the ARNs.
        cluster: The cluster's name.
        definition: The task definition.
        request: The RunTask request.
        now: Epoch seconds.
    """
    task_id = uuid.uuid4().hex
    arn = names.task(cluster, task_id)
    overrides = request.get("overrides") or {}
    document: dict[str, Any] = {
        "taskArn": arn,
        "clusterArn": names.cluster(cluster),
        "taskDefinitionArn": definition["taskDefinitionArn"],
        "lastStatus": "PROVISIONING",
        "desiredStatus": "RUNNING",
        "group": request.get("group") or f"family:{definition['family']}",
        "availabilityZone": f"{names.region}a",
        "attributes": [{"name": "ecs.cpu-architecture", "value": _architecture()}],
        "attachments": _attachments(request),
        "containers": [
            {
                "containerArn": names.container(cluster, task_id),
                "taskArn": arn,
                "name": container["name"],
                "image": container["image"],
                "lastStatus": "PENDING",
                "networkInterfaces": [],
                "cpu": str(container.get("cpu", 0)),
                **({"memory": str(container["memory"])} if container.get("memory") else {}),
            }
            for container in definition["containerDefinitions"]
        ],
        "overrides": {
            **copy.deepcopy(dict(overrides)),
            "containerOverrides": copy.deepcopy(overrides.get("containerOverrides") or []),
            "inferenceAcceleratorOverrides": [],
        },
        "cpu": str(overrides.get("cpu") or definition.get("cpu") or 0),
        "memory": str(overrides.get("memory") or definition.get("memory") or _container_memory(definition)),
        "ephemeralStorage": overrides.get("ephemeralStorage")
        or definition.get("ephemeralStorage")
        or {"sizeInGiB": 20},
        "healthStatus": "UNKNOWN",
        "enableExecuteCommand": bool(request.get("enableExecuteCommand")),
        "inferenceAccelerators": [],
        "createdAt": now,
        "version": 1,
        "platformFamily": "Linux",
        "platformVersion": "1.4.0",
        **_placement(request),
    }
    if request.get("startedBy"):
        document["startedBy"] = request["startedBy"]
    return document


def iso_time(seconds: float) -> str:
    """A time as ECS writes it in events and metadata: ``2026-11-21T21:00:00.123Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event_detail(document: Mapping[str, Any]) -> dict[str, Any]:
    """The ``detail`` of "ECS Task State Change": the task with its times as text (ECS/ecs_task_events)."""
    detail = copy.deepcopy(dict(document))
    for name in TIMES & detail.keys():
        detail[name] = iso_time(detail[name])
    detail["updatedAt"] = iso_time(max(document[name] for name in TIMES & document.keys()))
    return detail


def _placement(request: Mapping[str, Any]) -> dict[str, Any]:
    strategy = request.get("capacityProviderStrategy") or []
    if strategy:
        first = max(strategy, key=lambda item: (item.get("base", 0), item.get("weight", 0)))
        return {"launchType": "FARGATE", "capacityProviderName": first["capacityProvider"]}
    return {"launchType": request.get("launchType") or "FARGATE"}


def _attachments(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    network = (request.get("networkConfiguration") or {}).get("awsvpcConfiguration")
    if not network:
        return []
    return [
        {
            "id": str(uuid.uuid4()),
            "type": "ElasticNetworkInterface",
            "status": "PRECREATED",
            "details": [
                {"name": "subnetId", "value": (network.get("subnets") or [""])[0]},
                {"name": "privateIPv4Address", "value": "127.0.0.1"},
            ],
        }
    ]


def _container_memory(definition: Mapping[str, Any]) -> int:
    return sum(
        container.get("memory") or container.get("memoryReservation") or 0
        for container in definition["containerDefinitions"]
    )


def _architecture() -> str:
    return "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"
