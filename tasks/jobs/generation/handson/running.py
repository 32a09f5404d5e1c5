"""Running the tasks of several projects: each after what it waits for, a few at once, fairly.

What a task does is the caller's: `Work` is awaited, and what it returns is kept by `Keep` before anything
that waits for the task begins.
"""

import asyncio
import heapq
import operator
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from tasks.jobs.generation.handson.graph import Graph

# After SIGTERM, how long a task that may be about to end is waited for.
LAST_MOMENT: Final = 1.0
# Results that may wait for the disk while others are worked on: a slow disk leaves no place idle.
_UNWRITTEN: Final = 64
# The rank of a project that has no use for a place now.
NOTHING: Final = (float("inf"), 0.0, False)
_RANK: Final = operator.attrgetter("rank")


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
    # Tasks whose work is done and whose result is on its way to the disk.
    writing: set[str] = field(default_factory=set)

    # Who gets the next free place: the least. Set anew by `set_rank` whenever something changed.
    rank: tuple[float, float, bool] = NOTHING

    def set_rank(self) -> None:
        """The share of the places it has, for its priority, and whether its next task is only nearly ready.

        What is nearly ready (it waits for a result that is being written) keeps its turn if more hangs on it
        than on what is ready: the write takes milliseconds, the other task minutes.
        """
        followers = {follower for name in self.writing for follower in self.graph.followers[name]}
        tails = [self.graph.tail[name] for name in followers if self._lacks_only_writing(name)]
        coming, ready = max(tails, default=0.0), -self.ready[0][0] if self.ready else 0.0
        if not coming and not ready:
            self.rank = NOTHING
        else:
            priority = self.graph.project.priority
            self.rank = (self.running / priority, self.started / priority, coming > ready)

    def _lacks_only_writing(self, name: str) -> bool:
        lacking = [
            other
            for other in self.graph.tasks[name].after
            if self.standings[other].state is not State.SUCCEEDED
        ]
        return self.standings[name].state is State.PENDING and all(other in self.writing for other in lacking)

    def count(self, state: State) -> int:
        """How many tasks are in `state`."""
        return sum(standing.state is state for standing in self.standings.values())


Work = Callable[[Graph, str, Mapping[str, Any]], Awaitable[Any]]
Keep = Callable[[Graph, str, Any, float], Awaitable[Any]]
OnChange = Callable[[Lane, str], None]


class Running:
    """The tasks of `graphs`, at most `parallel` of them worked on at once.

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
        self._working = 0
        self._wake = asyncio.Event()
        self._places = {
            graph.project.id: dict(zip(graph.order, range(len(graph.order)), strict=True)) for graph in graphs
        }
        self.lanes = [_lane(graph, (finished or {}).get(graph.project.id, {})) for graph in graphs]
        for lane in self.lanes:
            for name in lane.graph.order:
                if not lane.missing[name]:
                    self._make_ready(lane, name)
            lane.set_rank()

    async def run(self) -> None:
        """Run until nothing is left that can be run, or until `stop`.

        Raises:
            Exception: what `work` raised other than TaskFailed, or `keep` raised. Other tasks are cancelled.
        """
        tasks: dict[asyncio.Task[None], None] = {}
        try:
            while True:
                self._wake.clear()
                while len(tasks) < self._parallel + _UNWRITTEN and (chosen := self._choose()) is not None:
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
        if self._stopping or self._working >= self._parallel:
            return None
        lane = min(self.lanes, key=_RANK)
        if lane.rank == NOTHING or lane.rank[2]:
            return None
        name = heapq.heappop(lane.ready)[2]
        self._working += 1
        lane.running += 1
        lane.started += 1
        lane.set_rank()
        return lane, name

    async def _one(self, lane: Lane, name: str) -> None:
        standing = lane.standings[name]
        standing.state, standing.began = State.RUNNING, time.monotonic()
        self._on_change(lane, name)
        inputs = {other: lane.standings[other].result for other in lane.graph.tasks[name].after}
        try:
            try:
                result = await self._work(lane.graph, name, inputs)
            finally:
                standing.seconds = time.monotonic() - standing.began
                self._working -= 1
                lane.running -= 1
                lane.set_rank()
                self._wake.set()
            lane.writing.add(name)
            lane.set_rank()
            standing.result = await self._keep(lane.graph, name, result, standing.seconds)
        except TaskFailed as failure:
            standing.state, standing.reason = State.FAILED, str(failure)
            standing.temporary = failure.temporary
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
            lane.writing.discard(name)
            lane.set_rank()
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
