"""What runs containers: the seam between the ECS API and processes or Docker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

KILLED = 137
"""Exit code of a container that SIGKILL ended: 128 + 9."""

OUT_OF_MEMORY = "OutOfMemoryError: container killed due to memory usage"
"""Reason of a container that took more memory than it may (ECS developer guide, out-of-memory)."""


class StartError(Exception):
    """A container could not be started.

    Args:
        reason: In the words of ECS: ``CannotPullContainerError: ...``, ``CannotStartContainerError: ...``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class ContainerSpec:
    """One container to start.

    Attributes:
        task_id: The task it belongs to.
        name: The container's name in the task definition.
        image: As written in the task definition.
        entry_point: Empty for the image's own.
        command: Empty for the image's own.
        environment: The container's variables, without what every container gets from the runner.
        working_directory: As written in the task definition, or nothing.
        marker: Value of ``ECS_CONTAINER_METADATA_URI_V4``: every process of the container carries it.
        output: File that stdout and stderr are appended to.
        scratch: A directory of the task's own for temporary files.
        mounts: Path inside the container to the directory on this machine.
        cpu: CPU units of the task.
        memory: Hard limit of this container in MiB, or nothing.
        task_memory: Limit of all containers of the task together in MiB, or nothing.
        stop_seconds: What the container may take between SIGTERM and SIGKILL.
    """

    task_id: str
    name: str
    image: str
    entry_point: Sequence[str]
    command: Sequence[str]
    environment: Mapping[str, str]
    working_directory: str | None
    marker: str
    output: Path
    scratch: Path
    mounts: Mapping[str, Path] = field(default_factory=dict)
    cpu: int | None = None
    memory: int | None = None
    task_memory: int | None = None
    stop_seconds: float = 30


@dataclass(frozen=True)
class Exit:
    """How a container ended.

    Attributes:
        code: 0 to 255; 128 + n after signal n.
        reason: In the words of ECS, such as ``OUT_OF_MEMORY``.
    """

    code: int
    reason: str | None = None


class Running(Protocol):
    """A started container."""

    @property
    def trace(self) -> dict[str, Any]:
        """What a later process of ours needs to find the leftovers; JSON."""
        ...

    async def wait(self) -> Exit:
        """Wait until nothing of the container is left, and tell how it ended."""
        ...

    async def stop(self, seconds: float) -> None:
        """Ask it to end (SIGTERM), and end it (SIGKILL) when it has not within the time.

        ``wait`` returns afterwards; this may return earlier.
        """
        ...


class Runner(Protocol):
    """Starts containers and finds what an earlier process of ours left."""

    async def pull(self, image: str) -> None:
        """Make an image available.

        Raises:
            StartError: ``CannotPullContainerError``.
        """
        ...

    async def start(self, spec: ContainerSpec, on_started: Callable[[dict[str, Any]], None]) -> Running:
        """Start a container.

        Args:
            spec: What to start.
            on_started: Told the container's trace as soon as it exists, to be put on file.

        Raises:
            StartError: ``CannotStartContainerError``.
        """
        ...

    async def reap(self, task_id: str, traces: Sequence[dict[str, Any]], seconds: float) -> bool:
        """End whatever is left of a task whose containers nobody watches any more.

        Args:
            task_id: The task.
            traces: What its containers' ``on_started`` told, as far as it was put on file.
            seconds: Between SIGTERM and SIGKILL.

        Returns:
            Whether anything was found.
        """
        ...

    async def run(self) -> None:
        """What the runner does all the time, such as watching memory. Runs until cancelled."""
        ...
