"""Keeping tasks within their memory, as the kernel does for a container on AWS."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from nightlatch.local.ecs.processes import mark_of

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1024 * 1024
_LOOKS = 4
_VMSTAT = Path("/proc/vmstat")
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess)


@dataclass
class Watched:
    """One container whose memory counts.

    Attributes:
        task_id: Containers of one task share its limit.
        mark: The container's mark, see `processes`.
        limit: Its own limit in MiB, or nothing.
        task_limit: The limit of the whole task in MiB, or nothing.
        exceeded: Called when this container must end.
    """

    task_id: str
    mark: str
    limit: int | None
    task_limit: int | None
    exceeded: Callable[[], None]


@dataclass
class MemoryWatch:
    """Measures the watched containers and names those that are over a limit."""

    _watched: dict[str, Watched] = field(default_factory=dict)
    _marks: dict[int, str] = field(default_factory=dict)
    _strangers: dict[int, int] = field(default_factory=dict)

    def add(self, watched: Watched) -> None:
        """Watch a container from now on."""
        self._watched[watched.mark] = watched

    def remove(self, mark: str) -> None:
        """Watch a container no longer."""
        self._watched.pop(mark, None)

    def any(self) -> bool:
        """Whether there is anything to measure."""
        return bool(self._watched)

    def over_limit(self) -> list[Watched]:
        """The containers that must end now. Blocks for milliseconds; may run in a thread.

        Resident memory is quick to read but counts a page once per process that shares it, so a container
        that looks too big is measured again by its proportional share before it is named.
        """
        watched = dict(self._watched)
        members = self._members(watched)
        used = {mark: _sum(processes, _resident) for mark, processes in members.items()}
        over = self._over(watched, used)
        if not over:
            return []
        suspects = {item.task_id for item in over}
        used = {
            mark: _sum(processes, _proportional)
            for mark, processes in members.items()
            if watched[mark].task_id in suspects
        }
        return self._over(watched, used)

    def usage(self, mark: str) -> int:
        """Resident bytes of one container now."""
        if mark not in self._watched:
            return 0
        return _sum(self._members(self._watched).get(mark, []), _resident)

    def _over(self, watched: dict[str, Watched], used: dict[str, int]) -> list[Watched]:
        over = [
            item
            for mark, item in watched.items()
            if item.limit is not None and used.get(mark, 0) > item.limit * MIB
        ]
        tasks: dict[str, list[Watched]] = {}
        for mark, item in watched.items():
            if mark in used and item.task_limit is not None:
                tasks.setdefault(item.task_id, []).append(item)
        for items in tasks.values():
            limit = items[0].task_limit
            if limit is not None and sum(used[item.mark] for item in items) > limit * MIB:
                # The kernel takes the largest; so do we.
                largest = max(items, key=lambda item: used[item.mark])
                if largest not in over:
                    over.append(largest)
        return over

    def _members(self, watched: dict[str, Watched]) -> dict[str, list[psutil.Process]]:
        """Living processes by mark. The mark of a pid is read once: children inherit it at birth.

        A process without a mark is looked at a few times more, since one that was only just forked still
        shows the environment of this process.
        """
        members: dict[str, list[psutil.Process]] = {}
        marks: dict[int, str] = {}
        strangers: dict[int, int] = {}
        for process in psutil.process_iter():
            pid = process.pid
            looks = self._strangers.get(pid, 0)
            if looks >= _LOOKS:
                strangers[pid] = looks
                continue
            mark = self._marks.get(pid) or mark_of(process)
            if mark is None:
                strangers[pid] = looks + 1
                continue
            marks[pid] = mark
            if mark in watched:
                members.setdefault(mark, []).append(process)
        self._marks, self._strangers = marks, strangers
        return members


def kernel_kills(vmstat: Path = _VMSTAT) -> int | None:
    """How many processes this kernel has killed for memory so far; nothing where it does not say."""
    try:
        for line in vmstat.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    except (OSError, ValueError):
        return None
    return None


def _sum(processes: list[psutil.Process], measure: Callable[[psutil.Process], int]) -> int:
    total = 0
    for process in processes:
        try:
            total += measure(process)
        except _GONE:
            continue
    return total


def _resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _proportional(process: psutil.Process) -> int:
    full = process.memory_full_info()
    return int(getattr(full, "pss", None) or full.uss)
