"""The timetable as a CP-SAT model."""

from collections.abc import Sequence
from typing import Any

from ortools.sat.python import cp_model

from tasks.jobs.generation.schedule.construct import Builder, Starts
from tasks.jobs.generation.schedule.timetable import Timetable, Wait

# A variable of the model, or an expression of one.
Term = Any


class Model:
    """Minimises the makespan with hard deadlines, or (`soft`) how late deadlines are missed together."""

    def __init__(self, table: Timetable, builder: Builder, limit: int, *, soft: bool = False) -> None:
        """Build; nothing may end after `limit`."""
        self._table = table
        self._limit = limit
        self.model = cp_model.CpModel()
        self.starts: list[cp_model.IntVar] = []
        self._ends: list[Term] = []
        # The length of each activity on the axis, or None where it depends on the start.
        self._sizes: list[int | None] = []
        self.impossible = False
        for number in range(len(table.jobs)):
            self._add_activity(number, builder.earliest[number], soft=soft)
        if self.impossible:
            return
        for wait in table.waits:
            self._add_wait(wait)
        self._add_resources()
        self._add_objective(soft=soft)

    def _add_activity(self, number: int, earliest: int, *, soft: bool) -> None:
        job = self._table.jobs[number]
        latest = self._limit if soft or job.due is None else min(self._limit, job.due)
        first, last = job.shape.first_from(max(earliest, job.release)), job.shape.last_ending_by(latest)
        if first > last:
            self.impossible = True
            return
        starts, ends = job.shape.starts[first : last + 1], job.shape.ends[first : last + 1]
        start = self.model.new_int_var_from_domain(cp_model.Domain.from_values(list(starts)), f"s{number}")
        sizes = {end - begin for begin, end in zip(starts, ends, strict=True)}
        self.starts.append(start)
        if len(sizes) == 1:
            (size,) = sizes
            self._ends.append(start + size)
            self._sizes.append(size)
            return
        end = self.model.new_int_var_from_domain(cp_model.Domain.from_values(list(ends)), f"e{number}")
        # The table has a value for every point; the start's domain says which count.
        table = [
            ends[min(job.shape.first_from(p) - first, len(ends) - 1)]
            for p in range(starts[0], starts[-1] + 1)
        ]
        self.model.add_element(start - starts[0], table, end)
        self._ends.append(end)
        self._sizes.append(None)

    def _add_wait(self, wait: Wait) -> None:
        point = self._ends[wait.before] if wait.from_end else self.starts[wait.before]
        held = self._ends[wait.after] if wait.to_end else self.starts[wait.after]
        table = wait.table[: self._limit + 1]
        shifts = {reached - at for at, reached in enumerate(table) if 0 < reached <= self._limit}
        if len(shifts) <= 1:
            shift = shifts.pop() if shifts else table[0]
            self.model.add(held >= point + shift)
            return
        reached = self.model.new_int_var(0, self._table.horizon + 1, "")
        self.model.add_element(point, table, reached)
        self.model.add(held >= reached)

    def _add_resources(self) -> None:
        table = self._table
        for resource, units in enumerate(table.units):
            intervals, demands = [], []
            for number, job in enumerate(table.jobs):
                need = dict(job.needs).get(resource, 0)
                if need:
                    start, end = self.starts[number], self._ends[number]
                    size = self._sizes[number]
                    if size is None:
                        length = self.model.new_int_var(1, self._limit, "")
                        interval = self.model.new_interval_var(start, length, end, "")
                    else:
                        interval = self.model.new_fixed_size_interval_var(start, size, "")
                    intervals.append(interval)
                    demands.append(need)
            if sum(demands) <= min(table.capacity(resource), default=0):
                continue
            for first, last, gone in _gaps(table.capacity(resource)[: self._limit], units):
                intervals.append(self.model.new_fixed_size_interval_var(first, last - first, ""))
                demands.append(gone)
            self.model.add_cumulative(intervals, demands, units)

    def _add_objective(self, *, soft: bool) -> None:
        self.makespan = self.model.new_int_var(0, self._limit, "makespan")
        for end in self._ends:
            self.model.add(self.makespan >= end)
        if not soft:
            self.model.minimize(self.makespan)
            return
        lates = []
        for number, job in enumerate(self._table.jobs):
            if job.due is not None:
                late = self.model.new_int_var(0, self._limit, "")
                self.model.add(late >= self._ends[number] - job.due)
                lates.append(late)
        self.model.minimize(sum(lates))

    def hint(self, starts: Sequence[int]) -> None:
        """Tell the solver a complete schedule to begin with."""
        self.model.clear_hints()  # type: ignore[no-untyped-call]  # has no annotations
        ends = self._table.ends_of(starts)
        for variable, start in zip(self.starts, starts, strict=True):
            self.model.add_hint(variable, start)
        for number, end in enumerate(ends):
            if self._sizes[number] is None:
                self.model.add_hint(self._ends[number], end)
        self.model.add_hint(self.makespan, max(ends))

    def read(self, value: Any) -> Starts:
        """The starts of a solution; `value` gives the value of a variable."""
        return [int(value(variable)) for variable in self.starts]


def _gaps(capacity: Sequence[int], units: int) -> list[tuple[int, int, int]]:
    """Spans in which units are not there: first point, end point, how many."""
    found: list[tuple[int, int, int]] = []
    for point, there in enumerate(capacity):
        if there == units:
            continue
        gone = units - there
        if found and found[-1][1] == point and found[-1][2] == gone:
            found[-1] = (found[-1][0], point + 1, gone)
        else:
            found.append((point, point + 1, gone))
    return found
