"""What RegisterTaskDefinition refuses.

Source: ECS developer guide, "Task definition parameters" and "for Fargate"; botocore ecs model. The wording
follows AWS where it is publicly recorded.
"""

from __future__ import annotations

from typing import Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.ecs.names import require_name
from nightlatch.local.ecs.sizes import cpu_units, memory_mib, require_fargate_size

Definition = dict[str, Any]
Container = dict[str, Any]

SHORTEST_STOP, LONGEST_STOP = 2, 120
MOST_CONTAINERS = 10
_CONDITIONS = {"START", "COMPLETE", "SUCCESS", "HEALTHY"}
_FARGATE_LOG_DRIVERS = {"awslogs", "splunk", "awsfirelens"}


def check_definition(request: Definition) -> None:
    """Refuse a task definition that AWS would refuse.

    Raises:
        ApiError: ``ClientException`` with the first fault found.
    """
    require_name(request.get("family"), "Family")
    containers = request.get("containerDefinitions") or []
    if not containers:
        raise _fault("Container list cannot be empty.")
    if len(containers) > MOST_CONTAINERS:
        raise _fault(f"Container definitions cannot be more than {MOST_CONTAINERS}.")
    fargate = "FARGATE" in (request.get("requiresCompatibilities") or [])
    if fargate:
        _check_fargate(request)
    for container in containers:
        _check_container(container, request, fargate=fargate)
    for volume in request.get("volumes") or []:
        require_name(volume.get("name"), "Volume name")
    names = [container["name"] for container in containers]
    if len(set(names)) != len(names):
        raise _fault("Container name must be unique within a task definition.")
    if not any(container.get("essential", True) for container in containers):
        raise _fault("At least one container in the task definition must be essential.")
    _check_dependencies(containers)


def _check_fargate(request: Definition) -> None:
    if request.get("networkMode") != "awsvpc":
        raise _fault("Fargate only supports network mode awsvpc.")
    for member in ("cpu", "memory"):
        if not request.get(member):
            raise _fault(f"Fargate requires that '{member}' be defined at the task level.")
    require_fargate_size(cpu_units(request["cpu"]), memory_mib(request["memory"]))
    for volume in request.get("volumes") or []:
        if (volume.get("host") or {}).get("sourcePath"):
            raise _fault("host.sourcePath should not be set for volumes in Fargate.")


def _check_container(container: Container, request: Definition, *, fargate: bool) -> None:
    name = require_name(container.get("name"), "Container name")
    if not container.get("image"):
        raise _fault("Container.image should not be null or empty.")
    if not request.get("memory") and not (container.get("memory") or container.get("memoryReservation")):
        raise _fault(
            f"Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be"
            " specified."
        )
    if request.get("memory") and (container.get("memory") or 0) > memory_mib(request["memory"]):
        raise _fault(f"Invalid setting for container '{name}'. The memory exceeds the task's memory.")
    stop = container.get("stopTimeout")
    if stop is not None and not SHORTEST_STOP <= stop <= LONGEST_STOP:
        raise _fault(
            f"Invalid 'stopTimeout' for container '{name}': it must be {SHORTEST_STOP} to {LONGEST_STOP}"
            " seconds."
        )
    _check_logging(container, request, fargate=fargate)
    volumes = {volume.get("name") for volume in request.get("volumes") or []}
    for mount in container.get("mountPoints") or []:
        if mount.get("sourceVolume") not in volumes:
            raise _fault(f"Unknown volume '{mount.get('sourceVolume')}'.")
    variables = [entry.get("name") for entry in container.get("environment") or []]
    secrets = [entry.get("name") for entry in container.get("secrets") or []]
    doubled = set(variables) & set(secrets)
    if doubled:
        raise _fault(
            "The secret name must be unique and not shared with any new or existing environment variables set"
            f" on the container, such as '{doubled.pop()}'."
        )


def _check_logging(container: Container, request: Definition, *, fargate: bool) -> None:
    logging = container.get("logConfiguration") or {}
    driver = logging.get("logDriver")
    if not driver:
        return
    if fargate and driver not in _FARGATE_LOG_DRIVERS:
        raise _fault(f"Log driver {driver} is not supported on Fargate.")
    if driver != "awslogs":
        return
    options = logging.get("options") or {}
    needed = ["awslogs-group", "awslogs-region", *(["awslogs-stream-prefix"] if fargate else [])]
    missing = [option for option in needed if not options.get(option)]
    if missing:
        raise _fault(f"Log driver awslogs requires options: {', '.join(missing)}.")
    if fargate and not request.get("executionRoleArn"):
        raise _fault(
            "Fargate requires task definition to have execution role ARN to support log driver awslogs."
        )


def _check_dependencies(containers: list[Container]) -> None:
    by_name = {container["name"]: container for container in containers}
    for container in containers:
        for dependency in container.get("dependsOn") or []:
            other, condition = dependency.get("containerName"), dependency.get("condition")
            if other not in by_name or other == container["name"]:
                raise _fault(f"Container '{container['name']}' depends on unknown container '{other}'.")
            if condition not in _CONDITIONS:
                raise _fault(f"Invalid dependency condition '{condition}'.")
            if condition in {"COMPLETE", "SUCCESS"} and by_name[other].get("essential", True):
                raise _fault(
                    f"A container with essential=true cannot be depended on with condition {condition}:"
                    f" '{other}'."
                )
            if condition == "HEALTHY":
                raise _fault(
                    "The local AWS runs no health checks: use the condition START, COMPLETE or SUCCESS"
                    f" in container '{container['name']}'."
                )
    _refuse_cycles(by_name)


def _refuse_cycles(by_name: dict[str, Container]) -> None:
    waits = {
        name: {dependency["containerName"] for dependency in container.get("dependsOn") or []}
        for name, container in by_name.items()
    }
    while ready := [name for name, others in waits.items() if not others]:
        waits = {name: others - set(ready) for name, others in waits.items() if name not in ready}
    if waits:
        raise _fault(f"There is a cycle in the container dependencies: {', '.join(sorted(waits))}.")


def _fault(message: str) -> ApiError:
    return ApiError("ClientException", message)
