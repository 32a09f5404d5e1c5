"""Runs, their tasks, and the clean-up, as the state machine does it, in steps that each touch the lock once.

A run is an execution of `job.asl.json`: acquire, describe a holder, take over, drain, re-arm, run a task,
release, wait in line. A task is a container: it claims before it works. The sweeper is `janitor.asl.json`.
"""

from collections.abc import Callable, Iterator

from tests.model.beside import Beside
from tests.model.getting import Getting
from tests.model.holding import Holding
from tests.model.items import NONE
from tests.model.search import State, Step
from tests.model.world import (
    FAULTS,
    Run,
    Scene,
    Sweeper,
    World,
    owner,
)


class Runs(Getting, Holding, Beside):
    """The world to search."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._run_steps: dict[str, Callable[[World, int, Run], Iterator[Step]]] = {
            "acquire": self._acquire,
            "describe": self._describe,
            "take over": self._take_over,
            "drop head": self._drop_head,
            "join line": self._join_line,
            "look": self._look,
            "leave line": self._leave_line,
            "stop, then run": self._stop,
            "stop, then re-arm": self._stop,
            "stop, then end": self._stop,
            "stop, then take over": self._stop,
            "await, then run": self._await,
            "await, then re-arm": self._await,
            "await, then end": self._await,
            "await, then take over": self._await,
            "re-arm": self._re_arm,
            "run": self._run_task,
            "running": self._running,
            "advance": self._advance,
            "fanning": self._fanning,
            "revoke": self._revoke,
            "read": self._read,
            "release": self._release,
            "hand off": self._end,
            "end": self._end,
        }

    def initial(self) -> State:
        """Nobody has asked yet."""
        runs = tuple(Run(grant=f"{'ABC'[n]}.0") for n in range(len(self._scene.runs)))
        left = tuple(self._scene.faults.get(name, 0) for name in FAULTS)
        return World(NONE, runs, (), Sweeper(), (), left, 1, 0, frozenset())

    def show(self, state: State) -> str:
        """The lock."""
        item = self.items[state[0]]
        if item is None:
            return "no item"
        who = "free" if item.holder is None else f"{item.holder.owner}, grant {item.holder.grant}"
        task = f", {item.holder.task_arn}" if item.holder and item.holder.task_arn else ""
        line = f", waiting: {' '.join(e.grant for e in item.queue)}" if item.queue else ""
        return f"{who}{task}, fence {item.fence}{line}"

    def is_free(self, state: State) -> bool:
        """The goal of liveness: free, with nobody waiting."""
        item = self.items[state[0]]
        return item is None or item.holder is None

    def steps(self, state: State) -> Iterator[Step]:
        """Everything that can happen next."""
        world = World(*state)
        for number, run in enumerate(world.runs):
            yield from self._map_steps(world, number, run)
            if run.status == "running":
                yield from self._run_steps[run.at](world, number, run)
                if self._may(world, "abort"):
                    gone = run._replace(status="aborted")
                    yield Step(
                        f"{owner(number)} is aborted",
                        self._spend(self._with(world, number, gone), "abort"),
                        True,
                    )
            elif run.status == "aborted" and self._may(world, "redrive"):
                # Redrive goes on at the state that was interrupted: a task is run again, a map run goes on.
                at = "run" if run.at == "running" else run.at
                back = run._replace(status="running", at=at)
                again = self._spend(self._with(world, number, back), "redrive")
                yield Step(f"{owner(number)} is redriven", again, True)
        for number, task in enumerate(world.tasks):
            yield from self._task_steps(world, number, task)
        yield from self._sweeper_steps(world)
        yield from self._world_steps(world)
