"""Containers by the ``docker`` command, for those who want the very image that runs on AWS."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import structlog
import trio

from nightlatch.local.ecs.processes import MARK
from nightlatch.local.ecs.runner import KILLED, OUT_OF_MEMORY, ContainerSpec, Exit, Running, StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TASK_LABEL = "nightlatch.task"
"""Label of every container, whose value is the task's id."""

_NO_DOCKER = 127
_NO_DOCKER_WORDS = (
    b"there is no docker command on PATH: install Docker, or start the local AWS without --runner docker"
)

_log = structlog.get_logger(__name__)


class _Docker:
    """The command line of Docker."""

    def __init__(self, program: str) -> None:
        self.program = program

    async def call(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run one command to its end. A missing program looks like a failed command."""
        argv = [self.program, *arguments]
        try:
            return await trio.run_process(argv, capture_stdout=True, capture_stderr=True, check=False)
        except FileNotFoundError:
            return subprocess.CompletedProcess(argv, _NO_DOCKER, b"", _NO_DOCKER_WORDS)


class DockerRunner:
    """Runs each container by Docker, on the host's network, so that it reaches the local AWS on loopback.

    Args:
        base_environment: Variables that every container gets, before its own.
        program: The command; another one that understands the same arguments, such as ``podman``, may do.
    """

    def __init__(self, base_environment: Mapping[str, str], program: str = "docker") -> None:
        self._docker = _Docker(program)
        # HOME, LANG and the like describe this machine; an image has its own.
        self._base = {name: value for name, value in base_environment.items() if name.startswith("AWS_")}

    async def pull(self, image: str) -> None:
        """As `Runner.pull`: an image that is there already is taken as it is."""
        present = await self._docker.call("image", "inspect", image)
        if present.returncode != 0:
            pulled = await self._docker.call("pull", "--quiet", image)
            if pulled.returncode != 0:
                raise StartError(f"CannotPullContainerError: {_words(pulled.stderr)}")

    async def start(self, spec: ContainerSpec, on_started: Callable[[dict[str, Any]], None]) -> Running:
        """As `Runner.start`."""
        name = f"nightlatch-{spec.task_id}-{spec.name}"
        # Created and then started, so that its name is on file before anything of it runs.
        created = await self._docker.call("create", *self._arguments(spec, name))
        if created.returncode != 0:
            raise StartError(f"CannotStartContainerError: {_words(created.stderr)}")
        on_started({"container": name})
        started = await self._docker.call("start", name)
        if started.returncode != 0:
            await self._docker.call("rm", "--force", name)
            raise StartError(f"CannotStartContainerError: {_words(started.stderr)}")
        with spec.output.open("ab") as output:
            follower = await trio.lowlevel.open_process(
                [self._docker.program, "logs", "--follow", name],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return _RunningContainer(self._docker, name, follower)

    async def reap(self, task_id: str, traces: Sequence[dict[str, Any]], seconds: float) -> bool:
        """As `Runner.reap`: found by label, so that traces are not needed."""
        del traces
        listed = await self._docker.call(
            "ps", "--all", "--quiet", "--filter", f"label={TASK_LABEL}={task_id}"
        )
        found = listed.stdout.decode().split()
        if found:
            await self._docker.call("stop", "--time", str(int(seconds)), *found)
            await self._docker.call("rm", "--force", *found)
        return bool(found)

    async def run(self) -> None:
        """As `Runner.run`: Docker watches by itself."""
        await trio.sleep_forever()

    def _arguments(self, spec: ContainerSpec, name: str) -> list[str]:
        arguments = ["--name", name, "--label", f"{TASK_LABEL}={spec.task_id}", "--network", "host"]
        for variable, value in {**self._base, **spec.environment, MARK: spec.marker}.items():
            arguments += ["--env", f"{variable}={value}"]
        for inside, directory in spec.mounts.items():
            arguments += ["--volume", f"{directory}:{inside}"]
        memory = spec.memory or spec.task_memory
        if memory:
            arguments += ["--memory", f"{memory}m"]
        if spec.cpu:
            arguments += ["--cpus", str(spec.cpu / 1024)]
        if spec.working_directory:
            arguments += ["--workdir", spec.working_directory]
        command = list(spec.command)
        if spec.entry_point:
            arguments += ["--entrypoint", spec.entry_point[0]]
            command = [*spec.entry_point[1:], *command]
        return [*arguments, spec.image, *command]


class _RunningContainer:
    """A container that Docker runs; `Running`."""

    def __init__(self, docker: _Docker, name: str, follower: trio.Process) -> None:
        self._docker = docker
        self._name = name
        self._follower = follower
        self.trace = {"container": name}

    async def wait(self) -> Exit:
        """As `Running.wait`: the container is removed when this returns."""
        waited = await self._docker.call("wait", self._name)
        await self._follower.wait()
        inspected = await self._docker.call("inspect", "--format", "{{.State.OOMKilled}}", self._name)
        out_of_memory = inspected.stdout.strip() == b"true"
        removed = await self._docker.call("rm", "--force", self._name)
        if removed.returncode != 0:
            _log.warning("container not removed", container=self._name, reason=_words(removed.stderr))
        if out_of_memory:
            return Exit(KILLED, OUT_OF_MEMORY)
        try:
            return Exit(int(waited.stdout))
        except ValueError:
            return Exit(KILLED, f"DockerStateError: {_words(waited.stderr)}")

    async def stop(self, seconds: float) -> None:
        """As `Running.stop`."""
        await self._docker.call("stop", "--time", str(int(seconds)), self._name)


def _words(text: bytes) -> str:
    return " ".join(text.decode(errors="replace").split())
