"""Finding and ending processes by the mark in their environment.

A process may leave its group and its session (``setsid``, double fork), but not the environment that it was
started with. The mark is ``ECS_CONTAINER_METADATA_URI_V4``, which every process of a task inherits.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable

MARK = "ECS_CONTAINER_METADATA_URI_V4"
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess)


def mark_of(process: psutil.Process) -> str | None:
    """The mark of a living process; nothing for one without, one that is not ours to read, or a zombie."""
    try:
        return process.environ().get(MARK)
    except (*_GONE, OSError):
        return None


def started_at(pid: int) -> float | None:
    """When a living process started, in the machine's own reckoning; with the pid it names the process."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except _GONE:
        return None


def find(belongs: Callable[[str], bool], sessions: frozenset[int] = frozenset()) -> list[psutil.Process]:
    """Every living process whose mark belongs, or which is in one of the sessions. Blocks for milliseconds.

    Args:
        belongs: Tells whether a mark is one of those looked for.
        sessions: Session ids that are known to be still ours.
    """
    found = []
    for pid in psutil.pids():
        if pid == os.getpid():
            continue
        # Not process_iter: it keeps its objects, and one of an earlier owner of the pid refuses to signal.
        try:
            process = psutil.Process(pid)
        except _GONE:
            continue
        mark = mark_of(process)
        if (mark is not None and belongs(mark)) or _session(process.pid) in sessions:
            with suppress(*_GONE):
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
    return found


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Signal each of them; one that is gone meanwhile is left in peace (psutil checks its start time)."""
    for process in processes:
        with suppress(*_GONE):
            process.send_signal(number)


def send_to_group(group: int, number: signal.Signals) -> None:
    """Signal a process group, if any of it is left."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def belongs_to_task(task_id: str) -> Callable[[str], bool]:
    """A test for the marks of all containers of one task."""
    tail = f"/v4/{task_id}"
    return lambda mark: mark.endswith(tail) or f"{tail}-" in mark


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None
