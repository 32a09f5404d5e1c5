"""From a task to the containers that are to be started for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightlatch.local.ecs.runner import ContainerSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nightlatch.local.ecs.task import Task

DEFAULT_STOP_SECONDS = 30
"""``stopTimeout`` of a container that does not say (ECS API reference, ContainerDefinition)."""


@dataclass(frozen=True)
class Planned:
    """One container of a task, ready to be started.

    Attributes:
        spec: For the runner.
        essential: Whether the task ends with it.
        depends_on: Container name to the condition that it must meet first.
        log_options: The ``awslogs-`` options, or nothing when the output is shipped nowhere.
        log_stream: Name of the log stream, where there are options.
    """

    spec: ContainerSpec
    essential: bool
    depends_on: Mapping[str, str]
    log_options: Mapping[str, str] | None
    log_stream: str

    @property
    def name(self) -> str:
        """The container's name."""
        return self.spec.name

    @property
    def log_key(self) -> str:
        """What names the container's output."""
        return f"{self.spec.task_id}/{self.spec.name}"


def plan(
    task: Task, directory: Path, endpoint: str, secrets: Mapping[str, Mapping[str, str]]
) -> list[Planned]:
    """Work out the containers of a task.

    Args:
        task: The task.
        directory: The task's own directory.
        endpoint: URL of the local AWS.
        secrets: Container name to the values of its secrets.
    """
    containers = task.definition["containerDefinitions"]
    overrides = {item["name"]: item for item in task.document["overrides"]["containerOverrides"]}
    volumes = {
        volume["name"]: directory / "volumes" / volume["name"]
        for volume in task.definition.get("volumes") or []
    }
    return [
        _planned(
            task,
            container,
            overrides.get(container["name"], {}),
            directory=directory,
            marker=marker(endpoint, task.id, number, len(containers)),
            secrets=secrets.get(container["name"], {}),
            volumes=volumes,
        )
        for number, container in enumerate(containers)
    ]


def marker(endpoint: str, task_id: str, number: int, containers: int) -> str:
    """``ECS_CONTAINER_METADATA_URI_V4`` of a container: its task's id, and its number if it has siblings."""
    suffix = f"-{number}" if containers > 1 else ""
    return f"{endpoint.rstrip('/')}/v4/{task_id}{suffix}"


def _planned(
    task: Task,
    container: Mapping[str, Any],
    override: Mapping[str, Any],
    *,
    directory: Path,
    marker: str,
    secrets: Mapping[str, str],
    volumes: Mapping[str, Path],
) -> Planned:
    name = container["name"]
    variables = {item["name"]: item.get("value", "") for item in container.get("environment") or []}
    variables.update(secrets)
    variables.update({item["name"]: item.get("value", "") for item in override.get("environment") or []})
    logging = container.get("logConfiguration") or {}
    options = logging.get("options") or {} if logging.get("logDriver") == "awslogs" else None
    prefix = (options or {}).get("awslogs-stream-prefix")
    stop_seconds = container.get("stopTimeout")
    return Planned(
        spec=ContainerSpec(
            task_id=task.id,
            name=name,
            image=container["image"],
            entry_point=container.get("entryPoint") or [],
            command=override.get("command") or container.get("command") or [],
            environment=variables,
            working_directory=container.get("workingDirectory"),
            marker=marker,
            output=directory / f"{name}.log",
            scratch=directory / "tmp",
            mounts={
                mount["containerPath"]: volumes[mount["sourceVolume"]]
                for mount in container.get("mountPoints") or []
            },
            cpu=int(task.document["cpu"]) or None,
            memory=override.get("memory") or container.get("memory"),
            task_memory=int(task.document["memory"]) or None,
            stop_seconds=DEFAULT_STOP_SECONDS if stop_seconds is None else stop_seconds,
        ),
        essential=container.get("essential", True),
        depends_on={item["containerName"]: item["condition"] for item in container.get("dependsOn") or []},
        log_options=options,
        log_stream=f"{prefix}/{name}/{task.id}" if prefix else task.id,
    )
