"""Containers as plain processes of this machine, each in its own session and process group."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from nightlatch.local.ecs import processes
from nightlatch.local.ecs.memory import MemoryWatch, Watched, kernel_kills
from nightlatch.local.ecs.runner import KILLED, OUT_OF_MEMORY, ContainerSpec, Exit, Running, StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nightlatch.local.ecs.images import HostImages

LOOK_SECONDS = 0.02
"""Between two looks for processes that were just killed."""

MEMORY_LOOK_SECONDS = 0.25
"""Between two measurements of the memory of running tasks."""


class ProcessRunner:
    """Runs each container as a process tree of this machine.

    Args:
        images: What stands for an image.
        base_environment: Variables that every container gets, before its own.
        kernel_kills: Counts the processes that the kernel killed for memory.
    """

    def __init__(
        self,
        images: HostImages,
        base_environment: Mapping[str, str],
        kernel_kills: Callable[[], int | None] = kernel_kills,
    ) -> None:
        self._images = images
        self._base = dict(base_environment)
        self._memory = MemoryWatch()
        self._kernel_kills = kernel_kills

    async def pull(self, image: str) -> None:
        """As `Runner.pull`: the directory that stands for the image must exist."""
        self._images.resolve(image)
        await trio.lowlevel.checkpoint()

    async def start(self, spec: ContainerSpec, on_started: Callable[[dict[str, Any]], None]) -> Running:
        """As `Runner.start`."""
        image = self._images.resolve(spec.image)
        argv = [_on_host(word, spec.mounts) for word in (*spec.entry_point, *spec.command)]
        if not argv:
            raise StartError("CannotStartContainerError: Error response from daemon: no command specified")
        environment = {
            **self._base,
            "PATH": image.path,
            "TMPDIR": str(spec.scratch),
            **{name: _on_host(value, spec.mounts) for name, value in spec.environment.items()},
            processes.MARK: spec.marker,
        }
        kills_before = self._kernel_kills()
        with spec.output.open("ab") as output:
            try:
                process = await trio.lowlevel.open_process(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=_directory(spec, image.directory),
                    env=environment,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                raise StartError(_cannot_start(argv[0], error)) from error

        def killed_by_kernel() -> bool:
            now = self._kernel_kills()
            return now is not None and kills_before is not None and now > kills_before

        running = _RunningProcess(process, spec, killed_by_kernel, self._memory)
        on_started(running.trace)
        return running

    async def reap(self, task_id: str, traces: Sequence[dict[str, Any]], seconds: float) -> bool:
        """As `Runner.reap`: found by mark, or by pid and start time."""
        sessions = [
            trace["pid"] for trace in traces if processes.started_at(trace["pid"]) == trace["started"]
        ]
        look = partial(_members, processes.belongs_to_task(task_id), sessions)
        found = await trio.to_thread.run_sync(look)
        if not found:
            return False
        processes.send(found, signal.SIGTERM)
        with trio.move_on_after(seconds):
            while found:
                await trio.sleep(LOOK_SECONDS)
                found = await trio.to_thread.run_sync(look)
        await _kill_until_gone(look)
        return True

    async def run(self) -> None:
        """As `Runner.run`: watches the memory of the containers."""
        while True:
            await trio.sleep(MEMORY_LOOK_SECONDS)
            if self._memory.any():
                for watched in await trio.to_thread.run_sync(self._memory.over_limit):
                    watched.exceeded()


class _RunningProcess:
    """A container that is a session of processes; `Running`."""

    def __init__(
        self,
        process: trio.Process,
        spec: ContainerSpec,
        killed_by_kernel: Callable[[], bool],
        memory: MemoryWatch,
    ) -> None:
        self._process = process
        self._spec = spec
        self._killed_by_kernel = killed_by_kernel
        self._memory = memory
        self._killed = False
        self._out_of_memory = False
        self._ended = trio.Event()
        self.trace = {"pid": process.pid, "started": processes.started_at(process.pid)}
        memory.add(Watched(spec.task_id, spec.marker, spec.memory, spec.task_memory, self._exceeded))

    async def wait(self) -> Exit:
        """As `Running.wait`.

        When the first process of a container ends, the kernel ends the others with SIGKILL; here that is our
        work, and it is not done before no process is left.
        """
        status = await self._process.wait()
        self._ended.set()
        self._memory.remove(self._spec.marker)
        await self._end_the_rest()
        if self._out_of_memory:
            return Exit(KILLED, OUT_OF_MEMORY)
        code = status if status >= 0 else 128 - status
        if code == KILLED and not self._killed and self._killed_by_kernel():
            return Exit(code, OUT_OF_MEMORY)
        return Exit(code)

    async def stop(self, seconds: float) -> None:
        """As `Running.stop`."""
        processes.send_to_group(self._process.pid, signal.SIGTERM)
        with trio.move_on_after(seconds):
            await self._ended.wait()
        if not self._ended.is_set():
            self._killed = True
            processes.send_to_group(self._process.pid, signal.SIGKILL)

    async def _end_the_rest(self) -> None:
        group = self._process.pid
        look = partial(_members, lambda mark: mark == self._spec.marker, [group])
        processes.send_to_group(group, signal.SIGKILL)
        await _kill_until_gone(look)

    def _exceeded(self) -> None:
        if not self._ended.is_set():
            self._out_of_memory = True
            processes.send_to_group(self._process.pid, signal.SIGKILL)


def _members(belongs: Callable[[str], bool], sessions: Sequence[int]) -> list[Any]:
    return processes.find(belongs, frozenset(sessions))


async def _kill_until_gone(look: Callable[[], list[Any]]) -> None:
    """Kill what a look finds until a look finds nothing.

    A process may fork and end while a look is under way, so that neither of the two is seen; when there was
    anything to kill, one empty look is not believed.
    """
    empty_looks, needed = 0, 1
    while True:
        found = await trio.to_thread.run_sync(look)
        if found:
            processes.send(found, signal.SIGKILL)
            empty_looks, needed = 0, 2
        else:
            empty_looks += 1
            if empty_looks >= needed:
                return
        await trio.sleep(LOOK_SECONDS)


def _directory(spec: ContainerSpec, home: Path) -> Path:
    """Where the container starts: its working directory, if this machine has something that stands for it."""
    wanted = spec.working_directory
    if not wanted:
        return home
    mounted = Path(_on_host(wanted, spec.mounts))
    inside = home / wanted.lstrip("/")
    for candidate in (mounted if str(mounted) != wanted else inside, inside):
        if candidate.is_dir():
            return candidate
    return home


def _on_host(text: str, mounts: Mapping[str, Path]) -> str:
    """The text with paths inside the container replaced by the directories that stand for them.

    Processes share this machine's file system, so a volume has no path of its own to be mounted at.
    """
    for inside in sorted(mounts, key=len, reverse=True):
        pattern = rf"(?<![\w./-]){re.escape(inside.rstrip('/'))}(?![\w.-])"
        text = str(mounts[inside]).join(re.split(pattern, text))
    return text


def _cannot_start(program: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        what = f'exec: "{program}": executable file not found in $PATH: unknown'
    elif isinstance(error, PermissionError):
        what = f'exec: "{program}": permission denied: unknown'
    else:
        what = f'exec: "{program}": {error}'
    return (
        "CannotStartContainerError: Error response from daemon: failed to create task for container: failed"
        f" to create shim task: OCI runtime create failed: unable to start container process: {what}"
    )


def base_environment(endpoint: str, region: str) -> dict[str, str]:
    """What every container finds in its environment, and nothing of this process's own secrets.

    Credentials are dummies: the local AWS takes any, and real ones must never reach a job by accident.

    Args:
        endpoint: URL of the local AWS.
        region: Its region.
    """
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "LC_ALL", "TZ", "USER") if name in os.environ}
    return {
        "LANG": "C.UTF-8",
        **kept,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
    }
