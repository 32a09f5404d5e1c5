"""Schedules by construction: one activity after the other, each as early (or as late) as it fits.

The serial schedule generation scheme by latest finish time is Kolisch's (1996); improving by shifting right,
then left, is the double justification of Valls, Ballestín and Quintanilla (2005).
"""

import heapq
from bisect import bisect_right
from collections.abc import Sequence

from tasks.jobs.generation.schedule.timetable import Job, Timetable

Starts = list[int]


class Builder:
    """Builds schedules for one timetable. Not thread-safe: one builder a thread."""

    def __init__(self, timetable: Timetable) -> None:
        self._table = timetable
        self._capacity = [timetable.capacity(resource) for resource in range(len(timetable.units))]
        self._position = {number: place for place, number in enumerate(timetable.order)}
        self.earliest = self._earliest()
        self.latest_ends = self._latest_ends()

    def _earliest(self) -> Starts:
        """The earliest starts if crews and equipment were without limit; past the horizon if never."""
        table = self._table
        starts = [0] * len(table.jobs)
        ends = [0] * len(table.jobs)
        for number in table.order:
            index = self._first_index(number, starts, ends)
            shape = table.jobs[number].shape
            there = index < len(shape.starts)
            starts[number] = shape.starts[index] if there else table.horizon + 1
            ends[number] = shape.ends[index] if there else table.horizon + 1
        return starts

    def _first_index(self, number: int, starts: Sequence[int], ends: Sequence[int]) -> int:
        """Index of the first start that the predecessors and the release allow."""
        job = self._table.jobs[number]
        start, end = job.release, 0
        beyond = self._table.horizon
        for wait in self._table.before[number]:
            point = ends[wait.before] if wait.from_end else starts[wait.before]
            reached = wait.table[point] if point <= beyond else beyond + 1
            if wait.to_end:
                end = max(end, reached)
            else:
                start = max(start, reached)
        return max(job.shape.first_from(start), job.shape.first_ending_from(end))

    def _latest_ends(self) -> list[int]:
        """The latest ends that deadlines and successors leave, by precedence alone."""
        table = self._table
        lates = [job.due if job.due is not None else table.horizon for job in table.jobs]
        for number in reversed(table.order):
            lates[number] = self._last(number, lates[number], lates)[1]
        return lates

    def _last(
        self, number: int, limit: int, ends: Sequence[int], starts: Starts | None = None
    ) -> tuple[int, int]:
        """Start and end of the last place that the successors' (latest) ends and starts leave."""
        table = self._table
        shape = table.jobs[number].shape
        index = shape.last_ending_by(min(limit, table.horizon))
        for wait in table.after[number]:
            follower = table.jobs[wait.after].shape
            if wait.to_end:
                bound = ends[wait.after]
            elif starts is not None:
                bound = starts[wait.after]
            else:
                place = follower.last_ending_by(ends[wait.after])
                bound = follower.starts[place] if place >= 0 else 0
            point = bisect_right(wait.table, bound) - 1
            index = min(
                index, shape.last_ending_by(point) if wait.from_end else bisect_right(shape.starts, point) - 1
            )
        if index < 0:
            return -1, 0
        return shape.starts[index], shape.ends[index]

    def forward(self, priority: Sequence[float]) -> Starts | None:
        """Every activity as early as it fits, small `priority` first; None if one fits nowhere."""
        table = self._table
        free = [list(capacity) for capacity in self._capacity]
        starts, ends = [0] * len(table.jobs), [0] * len(table.jobs)
        for number in self._ordered(priority):
            job = table.jobs[number]
            index = self._first_index(number, starts, ends)
            while index < len(job.shape.starts):
                clash = _last_clash(free, job, job.shape.starts[index], job.shape.ends[index])
                if clash is None:
                    break
                index = job.shape.first_from(clash + 1)
            else:
                return None
            starts[number], ends[number] = job.shape.starts[index], job.shape.ends[index]
            _take(free, job, starts[number], ends[number])
        return starts

    def backward(self, priority: Sequence[float], makespan: int) -> Starts | None:
        """Every activity as late as it fits before `makespan` and its deadline; large priorities first."""
        table = self._table
        free = [list(capacity) for capacity in self._capacity]
        starts, ends = [0] * len(table.jobs), [0] * len(table.jobs)
        for number in self._ordered([-value for value in priority], backwards=True):
            job = table.jobs[number]
            limit = makespan if job.due is None else min(makespan, job.due)
            start, end = self._last(number, limit, ends, starts)
            while start >= job.release:
                clash = _first_clash(free, job, start, end)
                if clash is None:
                    break
                index = job.shape.last_ending_by(clash)
                if index < 0:
                    return None
                start, end = job.shape.starts[index], job.shape.ends[index]
            else:
                return None
            starts[number], ends[number] = start, end
            _take(free, job, start, end)
        return starts

    def _ordered(self, priority: Sequence[float], *, backwards: bool = False) -> list[int]:
        """By priority, but never an activity before one that it waits for (in the given direction)."""
        table = self._table
        links = table.before if backwards else table.after
        open_links = [len(table.after[k] if backwards else table.before[k]) for k in range(len(table.jobs))]
        ready = [(priority[k], k) for k, count in enumerate(open_links) if not count]
        heapq.heapify(ready)
        order = []
        while ready:
            _, number = heapq.heappop(ready)
            order.append(number)
            for wait in links[number]:
                other = wait.before if backwards else wait.after
                open_links[other] -= 1
                if not open_links[other]:
                    heapq.heappush(ready, (priority[other], other))
        return order

    def greedy(self) -> Starts | None:
        """The schedule by latest finish time."""
        return self.forward(self.latest_ends)

    def settle(self, starts: Starts) -> Starts:
        """The same schedule with everything as early as it goes; nothing ends later."""
        return self.forward(starts) or starts

    def justify(self, starts: Starts) -> Starts | None:
        """Shift everything late, then early again: never longer, often shorter."""
        ends = self._table.ends_of(starts)
        late = self.backward(ends, max(ends))
        return None if late is None else self.forward(late)

    def polish(self, starts: Starts) -> Starts:
        """Settle, and justify as long as that helps: what a solver finds has often still some air in it."""
        best = min(self.settle(starts), starts, key=self.value)
        while (better := self.justify(best)) is not None and self.value(better) < self.value(best):
            best = better
        return best

    def lateness(self, starts: Starts) -> int:
        """Points by which deadlines are missed, together."""
        ends = self._table.ends_of(starts)
        dues = (job.due for job in self._table.jobs)
        return sum(max(0, end - due) for end, due in zip(ends, dues, strict=True) if due is not None)

    def value(self, starts: Starts) -> tuple[int, int]:
        """What is compared: first the lateness, then the makespan."""
        return self.lateness(starts), max(self._table.ends_of(starts))


def _last_clash(free: list[list[int]], job: Job, start: int, end: int) -> int | None:
    """The last point in the span at which units are missing."""
    last = -1
    for resource, units in job.needs:
        line = free[resource]
        for point in range(end - 1, max(start, last + 1) - 1, -1):
            if line[point] < units:
                last = point
                break
    return None if last < 0 else last


def _first_clash(free: list[list[int]], job: Job, start: int, end: int) -> int | None:
    first = end
    for resource, units in job.needs:
        line = free[resource]
        for point in range(start, first):
            if line[point] < units:
                first = point
                break
    return None if first == end else first


def _take(free: list[list[int]], job: Job, start: int, end: int) -> None:
    for resource, units in job.needs:
        line = free[resource]
        for point in range(start, end):
            line[point] -= units
