"""The world of runs, tasks and the sweep: its state, its bounds, and what its processes share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lock.events import (
    DropHead,
    Event,
    HandOff,
    ReleaseByFence,
)
from lock.model import Holder, LastRun, LockItem
from tests.model.items import NONE, Items, Rules, sound_rules
from tests.model.search import Step

ALL_PROMISES = frozenset({"I1", "I2", "I4", "I5", "I6", "I8", "I9", "I11"})
FAULTS = (
    "abort", "redrive", "timeout", "double", "lost", "late", "stale", "fail", "delete", "collect", "sweep"
)  # fmt: skip

UNLIMITED = 99
"""As often as one likes; for the sweep, when it is asked whether every state can be left."""

# Phases of a task. A working task is in the section; so is one that was told to stop and has not stopped yet.
PENDING, WORKING, STOPPING, ENDED_WELL, STOPPED = "pending", "working", "stopping", "ended well", "stopped"
IN_SECTION = frozenset({WORKING, STOPPING})
OVER = frozenset({ENDED_WELL, STOPPED})


class Run(NamedTuple):
    """One execution: `at` is where it stands, `seen` the item that it read, by number.

    Its map run, if its step fans out, is a process of its own, which can go on after its execution:
    `map_grant` is what its containers are told, `map_left` how many it has yet to start. An ordinary step
    comes before: `planned` says that it has ended well.
    """

    status: str = "running"
    at: str = "acquire"
    grant: str = ""
    seen: int = NONE
    task: int = -1
    attempts: int = 0
    in_line: bool = False
    planned: bool = False
    map_grant: str = ""
    map_left: int = 0


class Task(NamedTuple):
    """One container: whose, with which grant, and how far. One for a shard claims nothing: it verifies."""

    run: int
    grant: str
    phase: str = PENDING
    shard: bool = False


class Sweeper(NamedTuple):
    """The clean-up: what it is about to do, with the item that it read, and the grant it has put there."""

    at: str = "idle"
    seen: int = NONE
    revoked: str = ""


class World(NamedTuple):
    """Everything at one moment. `left` counts the faults still to come, in the order of `FAULTS`."""

    item: int
    runs: tuple[Run, ...]
    tasks: tuple[Task, ...]
    sweeper: Sweeper
    late: tuple[Any, ...]
    left: tuple[int, ...]
    time: int
    token: int
    done: frozenset[str]


@dataclass(frozen=True)
class Scene:
    """What is searched.

    Attributes:
        runs: for each run its policy, `skip` or `wait`.
        keys: for each run its run key, or None.
        attempts: how many tasks a run may start.
        shards: how many containers a second step fans out to; 0 for runs of one ordinary step.
        resumed: the runs begin with the second step.
        faults: how often each fault may happen; see `FAULTS`.
        most: how many may happen in all.
        without: rules that the processes leave out; see `tests/model/mutants.py`.
        rules: what operations do to items.
        promises: what is checked.
    """

    runs: tuple[str, ...] = ("skip", "skip")
    keys: tuple[str | None, ...] = (None, None, None)
    attempts: int = 2
    shards: int = 0
    resumed: bool = False
    faults: dict[str, int] = field(default_factory=dict)
    most: int = 99
    without: frozenset[str] = frozenset()
    rules: Rules = sound_rules
    promises: frozenset[str] = ALL_PROMISES


Then = Callable[[World, Run, bool, int], tuple[World, str | None]]


def owner(run: int) -> str:
    return f"run {'ABC'[run]}"


class Processes:
    """What every process of the world uses.

    Args:
        scene: what is searched.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._without = scene.without
        self._all_faults = sum(scene.faults.values())
        self.items = Items(scene.rules, scene.promises)

    def _may(self, world: World, fault: str) -> bool:
        if world.left[FAULTS.index(fault)] == 0:
            return False
        return self._all_faults - sum(world.left) < self._scene.most

    def _spend(self, world: World, fault: str) -> World:
        place = FAULTS.index(fault)
        if world.left[place] == UNLIMITED:
            return world
        return world._replace(left=(*world.left[:place], world.left[place] - 1, *world.left[place + 1 :]))

    @staticmethod
    def _with(world: World, number: int, run: Run) -> World:
        return world._replace(runs=(*world.runs[:number], run, *world.runs[number + 1 :]))

    def _write(
        self, world: World, story: str, key: tuple[Any, ...], event: Callable[[], Event], then: Then, run: Run
    ) -> Iterator[Step]:
        """One write: answered, or its reply is lost, or it is delayed; then its sender repeats it."""
        effect = self.items.perform(world.item, key, event)
        # The state machine does not examine a refused take-over or re-arm: it acquires, or reads, again.
        done = effect.accepted if key[0] in {"take-over", "re-arm"} else effect.recognised
        after, broken = then(world._replace(item=effect.item), run, done, effect.item)
        yield Step(f"{story}: {'done' if done else 'refused'}", after, False, effect.broken or broken)
        if effect.item != world.item and self._may(world, "lost"):
            lost = self._spend(world._replace(item=effect.item), "lost")
            yield Step(f"{story}: done, but the reply is lost", lost, True, effect.broken)
        if self._may(world, "late"):
            self.items.remember(key, event)
            late = self._spend(world._replace(late=tuple(sorted((*world.late, key), key=repr))), "late")
            yield Step(f"{story}: seems lost, and is on its way", late, True)

    def _holder(self, number: int, run: Run) -> Holder:
        return Holder(
            owner=owner(number),
            kind="sfn",
            grant=run.grant,
            run_key=self._scene.keys[number],
            group=owner(number) if self._scene.shards else None,
        )

    def _key_is_done(self, number: int, item: LockItem) -> bool:
        key = self._scene.keys[number]
        return key is not None and (item.last_run_key or "") >= key

    def _dead(self, world: World, item: LockItem | None) -> tuple[str, bool]:
        assert item is not None
        assert item.holder is not None
        return item.holder.owner, self._is_dead(world, item.holder.owner)

    def _is_dead(self, world: World, name: str) -> bool:
        return world.runs["ABC".index(name[-1])].status != "running"

    def _to_drain(self, world: World, seen: int) -> frozenset[int]:
        """The tasks that the row names, and those that a listing of the groups it names shows.

        A container that was only just started is not listed yet.
        """
        item = self.items[seen]
        if item is None:
            return frozenset()
        named = {int(task.task_arn.split()[1]) for task in item.to_drain if task.task_arn}
        groups = {task.group for task in item.to_drain if "drain the group" not in self._without}
        listed = {
            place
            for place, task in enumerate(world.tasks)
            if task.shard and task.phase != PENDING and owner(task.run) in groups
        }
        return frozenset(named | listed)

    def _stopped(self, world: World, seen: int) -> tuple[Task, ...]:
        drained = self._to_drain(world, seen)
        told = {PENDING: STOPPED, WORKING: STOPPING}
        return tuple(
            task._replace(phase=told.get(task.phase, task.phase)) if place in drained else task
            for place, task in enumerate(world.tasks)
        )

    def _all_over(self, world: World, seen: int) -> bool:
        return all(world.tasks[place].phase in OVER for place in self._to_drain(world, seen))

    @staticmethod
    def _last(number: int, grant: str) -> LastRun:
        return LastRun(owner=owner(number), grant=grant, outcome="", at=0)

    def _ending(self, seen: LockItem) -> Event:
        """By fence: to the first in line, or free; an entry that left is dropped first."""
        holder = seen.holder
        assert holder is not None
        last = LastRun(owner=holder.owner, grant=holder.grant, outcome="", at=seen.fence)
        done = max(holder.run_key or "", seen.last_run_key or "")
        if not seen.queue:
            return ReleaseByFence(held_by=holder.owner, fence=seen.fence, last=last, last_run_key=done, ttl=1)
        head = seen.queue[0].grant
        if head not in seen.queue_ids and "line of those who wait" not in self._without:
            return DropHead(head=head)
        return HandOff(
            held_by=holder.owner, fence=seen.fence, head=head, expires_at=0, last=last, last_run_key=done
        )

    def _overlap(self, world: World) -> str | None:
        inside = {n: task for n, task in enumerate(world.tasks) if task.phase in IN_SECTION}
        working = [f"task {n}" for n in inside]
        one_fan_out = len({(task.run, task.grant, task.shard) for task in inside.values()}) == 1
        if one_fan_out and all(task.shard for task in inside.values()):
            return None
        if len(working) > 1 and "I1" in self._scene.promises:
            return f"I1 {' and '.join(working)} work at the same time"
        return None
