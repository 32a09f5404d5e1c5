"""Running the tasks of several projects: each after what it waits for, a few at once, fairly.

What a task does is the caller's: `Work` is awaited, and what it returns is kept by `Keep` before anything
that waits for the task begins.
"""

import asyncio
import heapq
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from tasks.jobs.generation.handson.graph import Graph

# After SIGTERM, how long a task that may be about to end is waited for.
LAST_MOMENT: Final = 1.0


class State(StrEnum):
    """What became of a task."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


class TaskFailed(Exception):  # noqa: N818  (an outcome of a task, not a defect)
    """A task did not succeed; the text says why. `temporary`: it may another time."""

    def __init__(self, reason: str, *, temporary: bool) -> None:
        super().__init__(reason)
        self.temporary = temporary


@dataclass
class Standing:
    """How one task stands. `because` is the failed task that a skipped one hangs on."""

    state: State = State.PENDING
    seconds: float = 0.0
    began: float = 0.0
    reason: str = ""
    temporary: bool = False
    because: str = ""
    result: Any = None
    # Finished in an earlier attempt or run.
    kept: bool = False


@dataclass
class Lane:
    """One project on its way."""

    graph: Graph
    standings: dict[str, Standing]
    missing: dict[str, int] = field(default_factory=dict)
    ready: list[tuple[float, int, str]] = field(default_factory=list)
    running: int = 0
    started: int = 0

    def count(self, state: State) -> int:
        """How many tasks are in `state`."""
        return sum(standing.state is state for standing in self.standings.values())


Work = Callable[[Graph, str, Mapping[str, Any]], Awaitable[Any]]
Keep = Callable[[Graph, str, Any, float], Awaitable[Any]]
OnChange = Callable[[Lane, str], None]


class Running:
    """The tasks of `graphs`, at most `parallel` at once.

    `finished` has the results of earlier attempts, by project and task: those tasks are not run again. A free
    place goes to the project that has the fewest running for its priority, then the fewest begun; within a
    project to the task with the longest chain of work behind it.
    """

    def __init__(
        self,
        graphs: Sequence[Graph],
        work: Work,
        keep: Keep,
        *,
        parallel: int,
        finished: Mapping[str, Mapping[str, Any]] | None = None,
        on_change: OnChange = lambda _lane, _task: None,
    ) -> None:
        self._work = work
        self._keep = keep
        self._parallel = parallel
        self._on_change = on_change
        self._stopping = False
        self._wake = asyncio.Event()
        self._places = {
            graph.project.id: dict(zip(graph.order, range(len(graph.order)), strict=True)) for graph in graphs
        }
        self.lanes = [_lane(graph, (finished or {}).get(graph.project.id, {})) for graph in graphs]
        for lane in self.lanes:
            for name in lane.graph.order:
                if not lane.missing[name]:
                    self._make_ready(lane, name)

    async def run(self) -> None:
        """Run until nothing is left that can be run, or until `stop`.

        Raises:
            Exception: what `work` raised other than TaskFailed, or `keep` raised. Other tasks are cancelled.
        """
        tasks: dict[asyncio.Task[None], None] = {}
        try:
            while True:
                self._wake.clear()
                while len(tasks) < self._parallel and (chosen := self._choose()) is not None:
                    task = asyncio.create_task(self._one(*chosen))
                    task.add_done_callback(lambda _: self._wake.set())
                    tasks[task] = None
                if not tasks:
                    return
                await self._wake.wait()
                for task in [task for task in tasks if task.done()]:
                    del tasks[task]
                    task.result()
                if self._stopping:
                    await asyncio.wait(tasks, timeout=LAST_MOMENT) if tasks else None
                    return
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        """Begin nothing more; give what runs a moment, then give it up."""
        self._stopping = True
        self._wake.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping

    def _choose(self) -> tuple[Lane, str] | None:
        if self._stopping:
            return None
        lanes = [lane for lane in self.lanes if lane.ready]
        if not lanes:
            return None
        lane = min(lanes, key=_share)
        name = heapq.heappop(lane.ready)[2]
        lane.running += 1
        lane.started += 1
        return lane, name

    async def _one(self, lane: Lane, name: str) -> None:
        standing = lane.standings[name]
        standing.state, standing.began = State.RUNNING, time.monotonic()
        self._on_change(lane, name)
        inputs = {other: lane.standings[other].result for other in lane.graph.tasks[name].after}
        try:
            result = await self._work(lane.graph, name, inputs)
            standing.seconds = time.monotonic() - standing.began
            standing.result = await self._keep(lane.graph, name, result, standing.seconds)
        except TaskFailed as failure:
            standing.state, standing.reason = State.FAILED, str(failure)
            standing.temporary = failure.temporary
            standing.seconds = time.monotonic() - standing.began
            for other in lane.graph.descendants(name):
                waiting = lane.standings[other]
                if waiting.state is State.PENDING:
                    waiting.state, waiting.because = State.SKIPPED, name
        except BaseException:
            standing.state = State.PENDING
            raise
        else:
            standing.state = State.SUCCEEDED
            for other in lane.graph.followers[name]:
                lane.missing[other] -= 1
                if not lane.missing[other] and lane.standings[other].state is State.PENDING:
                    self._make_ready(lane, other)
        finally:
            lane.running -= 1
            self._on_change(lane, name)

    def _make_ready(self, lane: Lane, name: str) -> None:
        if lane.standings[name].state is State.PENDING:
            place = self._places[lane.graph.project.id][name]
            heapq.heappush(lane.ready, (-lane.graph.tail[name], place, name))


def _lane(graph: Graph, finished: Mapping[str, Any]) -> Lane:
    standings = {name: Standing() for name in graph.order}
    for name, result in finished.items():
        standings[name] = Standing(State.SUCCEEDED, result=result, kept=True)
    missing = {
        name: sum(other not in finished for other in set(graph.tasks[name].after)) for name in graph.order
    }
    return Lane(graph, standings, missing)


def _share(lane: Lane) -> tuple[float, float]:
    priority = lane.graph.project.priority
    return lane.running / priority, lane.started / priority
