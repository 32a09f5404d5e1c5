"""The anytime search: on a thread of its own, so that the main thread hears SIGTERM at once.

A Python signal handler runs only when the main thread is back from C code: a solver on the main thread would
delay it until the solver is done, and ECS would send SIGKILL first.
"""

import math
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ortools.sat.python import cp_model

from tasks.jobs.generation.schedule.breeding import Population
from tasks.jobs.generation.schedule.construct import Builder, Starts
from tasks.jobs.generation.schedule.model import Model
from tasks.jobs.generation.schedule.timetable import Timetable

# How often the main thread looks up from its waiting.
_PULSE = 0.05
# Breeding comes first: the cheap progress. At most this share of the time, and no longer without finding
# anything than it has been going on (or than these seconds, more for a large project: a small one the solver
# proves at once).
_BREED_SHARE = 0.5
_STALE_SECONDS = 0.2
_STALE_SECONDS_A_JOB = 1 / 150
# How long a stopped solver may take to come back before it is left behind.
_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the search may use. `seed` makes a search with one worker repeatable."""

    seconds: float
    workers: int = 0
    seed: int = 1

    @property
    def threads(self) -> int:
        """Solver threads: as asked for, else one a core, and two at least."""
        return self.workers or max(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)


class Search:
    """Finds better and better schedules of one timetable.

    `found` is called on the search's thread with every better schedule, before anything better is looked for.
    """

    def __init__(
        self,
        table: Timetable,
        builder: Builder,
        first: Starts,
        found: Callable[[Starts], None],
        limits: Limits,
    ) -> None:
        self._table = table
        self._builder = builder
        self._found = found
        self._limits = limits
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._solver: cp_model.CpSolver | None = None
        self.best = first
        self.value = builder.value(first)
        self.bound = max(table.ends_of(builder.earliest)) if max(builder.earliest) <= table.horizon else 0
        self.bound = max(self.bound, self._work_bound())
        self.late_for_certain = False
        self.trouble: BaseException | None = None
        self._thread: threading.Thread | None = None

    def _work_bound(self) -> int:
        """The makespan below which a resource could not do its work."""
        demand = [0] * len(self._table.units)
        for number, job in enumerate(self._table.jobs):
            for resource, units in job.needs:
                demand[resource] += units * self._table.project.activities[number].duration
        pairs = zip(demand, self._table.units, strict=True)
        return max((-(-work // units) for work, units in pairs if units), default=0)

    @property
    def proved(self) -> bool:
        """Whether no schedule is shorter than the best."""
        return self.value[0] == 0 and self.bound >= self.value[1]

    def run(self, stop: Callable[[], bool], pulse: Callable[[float], None]) -> None:
        """Search until optimal, out of time, or `stop`; `pulse` gets the seconds gone, again and again."""
        began = time.monotonic()
        self._thread = thread = threading.Thread(target=self._work, name="solver", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(_PULSE)
            gone = time.monotonic() - began
            pulse(gone)
            if stop() or gone >= self._limits.seconds:
                break
        self._stop.set()
        give_up = time.monotonic() + _PATIENCE
        while thread.is_alive() and time.monotonic() < give_up:
            # Again and again: a stop that comes before the solver has begun is forgotten by it.
            if self._solver is not None:
                self._solver.stop_search()
            thread.join(_PULSE)
        if self.trouble is not None:
            raise self.trouble

    @property
    def left_behind(self) -> bool:
        """Whether the solver is still busy although it was told to stop; the process must then end hard."""
        return self._thread is not None and self._thread.is_alive()

    def snapshot(self) -> tuple[Starts, tuple[int, int], int]:
        """Best schedule, its lateness and makespan, and the bound, as of one moment."""
        with self._lock:
            return list(self.best), self.value, self.bound

    def _work(self) -> None:
        try:
            until = time.monotonic() + self._limits.seconds
            self._breed(_BREED_SHARE * self._limits.seconds)
            if self.value[0]:
                self._solve(until, soft=True)
            if not self.value[0] and not self.proved:
                self._solve(until, soft=False)
        except BaseException as error:  # noqa: BLE001  (raised again on the main thread)
            self.trouble = error

    def _breed(self, seconds: float) -> None:
        began = progress = time.monotonic()
        patience = _STALE_SECONDS + _STALE_SECONDS_A_JOB * len(self._table.jobs)

        def found(starts: Starts) -> None:
            nonlocal progress
            progress = time.monotonic()
            self._offer(starts)

        def enough() -> bool:
            now = time.monotonic()
            stale = now - progress > max(patience, progress - began)
            return self._stop.is_set() or self.proved or stale or now - began >= seconds

        population = Population(self._builder, self.best, random.Random(self._limits.seed))
        population.breed(enough=enough, found=found)

    def _offer(self, starts: Starts) -> None:
        """Take a schedule if it is better."""
        if self._stop.is_set():
            return
        settled = self._builder.polish(starts)
        value = self._builder.value(settled)
        if value >= self.value:
            return
        self._found(settled)
        with self._lock:
            self.best, self.value = settled, value

    def _solve(self, until: float, *, soft: bool) -> None:
        limit = self._table.horizon if soft else self.value[1]
        model = Model(self._table, self._builder, limit, soft=soft)
        if model.impossible or self._stop.is_set():
            self.late_for_certain = soft and model.impossible
            return
        model.hint(self.best)
        solver = cp_model.CpSolver()
        solver.parameters.max_time_in_seconds = max(0.1, until - time.monotonic())
        solver.parameters.num_workers = self._limits.threads
        solver.parameters.random_seed = self._limits.seed
        if not soft:
            solver.best_bound_callback = self._raise_bound
        listener = _Listener(model, self, stop_at_zero=soft)
        self._solver = solver
        status = solver.solve(model.model, listener)
        if soft:
            self.late_for_certain = status == cp_model.OPTIMAL and self.value[0] > 0
        elif status == cp_model.OPTIMAL:
            self._raise_bound(solver.objective_value)
        self._solver = None

    def _raise_bound(self, bound: float) -> None:
        with self._lock:
            self.bound = min(max(self.bound, math.ceil(bound - 1e-6)), self.value[1])


class _Listener(cp_model.CpSolverSolutionCallback):
    """Hears every solution of the solver."""

    def __init__(self, model: Model, search: Search, *, stop_at_zero: bool) -> None:
        super().__init__()
        self._model = model
        self._search = search
        self._stop_at_zero = stop_at_zero

    def on_solution_callback(self) -> None:
        """Called by the solver, on a thread of its own."""
        try:
            self._search._offer(self._model.read(self.value))  # noqa: SLF001  (one mechanism in two classes)
        except BaseException as error:  # noqa: BLE001  (must not pass through C++; raised on the main thread)
            self._search.trouble = error
            self.stop_search()
        value: Any = self.objective_value
        if self._stop_at_zero and value <= 0:
            self.stop_search()
