"""Runs, their tasks, and the clean-up, as the state machine does it, in steps that each touch the lock once.

A run is an execution of `job.asl.json`: acquire, describe a holder, take over, drain, re-arm, run a task,
release, wait in line. A task is a container: it claims before it works. The sweeper is `janitor.asl.json`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from lock.events import (
    Acquire,
    Claim,
    DropHead,
    Enqueue,
    Event,
    HandOff,
    Leave,
    ReArm,
    Release,
    ReleaseByFence,
    TakeOver,
)
from lock.model import Holder, LastRun, LockItem, StaleTask
from tests.model.items import NONE, Items, Rules, sound_rules
from tests.model.search import State, Step

ALL_PROMISES = frozenset({"I1", "I2", "I4", "I5", "I6", "I8", "I9", "I11"})
FAULTS = (
    "abort", "redrive", "timeout", "double", "lost", "late", "stale", "fail", "delete", "collect", "sweep"
)  # fmt: skip

# Phases of a task. A working task is in the section; so is one that was told to stop and has not stopped yet.
PENDING, WORKING, STOPPING, ENDED_WELL, STOPPED = "pending", "working", "stopping", "ended well", "stopped"
IN_SECTION = frozenset({WORKING, STOPPING})
OVER = frozenset({ENDED_WELL, STOPPED})


class Run(NamedTuple):
    """One execution: `at` is where it stands, `seen` the item that it read, by number."""

    status: str = "running"
    at: str = "acquire"
    grant: str = ""
    seen: int = NONE
    task: int = -1
    attempts: int = 0
    in_line: bool = False


class Task(NamedTuple):
    """One container: whose, with which grant, and how far."""

    run: int
    grant: str
    phase: str = PENDING


class Sweeper(NamedTuple):
    """The clean-up: what it is about to do, with the item that it read."""

    at: str = "idle"
    seen: int = NONE


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
        faults: how often each fault may happen; see `FAULTS`.
        without: rules that the processes leave out; see `tests/model/mutants.py`.
        rules: what operations do to items.
        promises: what is checked.
    """

    runs: tuple[str, ...] = ("skip", "skip")
    keys: tuple[str | None, ...] = (None, None, None)
    attempts: int = 2
    faults: dict[str, int] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    rules: Rules = sound_rules
    promises: frozenset[str] = ALL_PROMISES


Then = Callable[[World, Run, bool, int], tuple[World, str | None]]


def owner(run: int) -> str:
    return f"run {'ABC'[run]}"


class Runs:
    """The world to search."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._without = scene.without
        self.items = Items(scene.rules, scene.promises)
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
            if run.status == "running":
                yield from self._run_steps[run.at](world, number, run)
                if self._may(world, "abort"):
                    gone = run._replace(status="aborted")
                    yield Step(
                        f"{owner(number)} is aborted", self._spend(self._with(world, number, gone), "abort"), True
                    )
            elif run.status == "aborted" and self._may(world, "redrive"):
                # Redrive goes on at the state that was interrupted; a running task is run again.
                back = run._replace(status="running", at="run" if run.at == "running" else run.at)
                again = self._spend(self._with(world, number, back), "redrive")
                yield Step(f"{owner(number)} is redriven", again, True)
        for number, task in enumerate(world.tasks):
            yield from self._task_steps(world, number, task)
        yield from self._sweeper_steps(world)
        yield from self._world_steps(world)

    # -- faults of the world ------------------------------------------------------------------------------

    def _world_steps(self, world: World) -> Iterator[Step]:
        for place, key in enumerate(world.late):
            effect = self.items.arrive(world.item, key)
            late = world.late[:place] + world.late[place + 1 :]
            yield Step(f"the late {key[0]} arrives", world._replace(item=effect.item, late=late), False, effect.broken)
        item = self.items[world.item]
        if item is None:
            return
        if self._may(world, "delete"):
            gone = world._replace(item=NONE, time=world.time + 1)
            yield Step("somebody deletes the item", self._spend(gone, "delete"), True)
        if item.ttl is not None and self._may(world, "collect"):
            gone = world._replace(item=NONE, time=world.time + 1)
            broken = "I8 a lock in use is collected" if item.holder else None
            yield Step("TTL collects the item", self._spend(gone, "collect"), True, broken)

    def _may(self, world: World, fault: str) -> bool:
        return world.left[FAULTS.index(fault)] > 0

    def _spend(self, world: World, fault: str) -> World:
        place = FAULTS.index(fault)
        return world._replace(left=(*world.left[:place], world.left[place] - 1, *world.left[place + 1 :]))

    @staticmethod
    def _with(world: World, number: int, run: Run) -> World:
        return world._replace(runs=(*world.runs[:number], run, *world.runs[number + 1 :]))

    def _write(
        self, world: World, story: str, key: tuple[Any, ...], event: Callable[[], Event], then: Then, run: Run
    ) -> Iterator[Step]:
        """One write: it is answered, or its reply is lost, or it is delayed; in the last two its sender repeats it."""
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

    # -- a run --------------------------------------------------------------------------------------------

    def _holder(self, number: int, run: Run) -> Holder:
        return Holder(owner=owner(number), kind="sfn", grant=run.grant, run_key=self._scene.keys[number])

    def _acquire(self, world: World, number: int, run: Run) -> Iterator[Step]:
        def then(after: World, run: Run, accepted: bool, item: int) -> tuple[World, str | None]:  # noqa: FBT001
            if not accepted:
                return self._with(after, number, run._replace(status="duplicate")), None
            return self._with(after, number, self._mine_or_describe(number, run, item)), None

        holder, now = self._holder(number, run), world.time * 1000
        key = ("acquire", number, run.grant, now)
        yield from self._write(
            world, f"{owner(number)} acquires", key, lambda: Acquire(holder=holder, expires_at=0, now=now), then, run
        )

    def _mine_or_describe(self, number: int, run: Run, item: int) -> Run:
        found = self.items[item]
        assert found is not None
        assert found.holder is not None
        if found.holder.owner != owner(number) or "recognise what is mine" in self._without:
            still = run.in_line and run.grant in found.queue_ids
            return run._replace(at="describe", seen=item, in_line=still)
        run = run._replace(grant=found.holder.grant, seen=item, in_line=False)
        if self._key_is_done(number, found):
            return run._replace(at="stop, then end")
        drains = "drain when already mine" not in self._without
        if (found.stale_tasks or found.holder.task_arn) and drains:
            return run._replace(at="stop, then re-arm")
        return run._replace(at="run")

    def _key_is_done(self, number: int, item: LockItem) -> bool:
        key = self._scene.keys[number]
        return key is not None and (item.last_run_key or "") >= key

    def _dead(self, world: World, item: LockItem | None) -> tuple[str, bool]:
        assert item is not None
        assert item.holder is not None
        return item.holder.owner, self._is_dead(world, item.holder.owner)

    def _is_dead(self, world: World, name: str) -> bool:
        return world.runs["ABC".index(name[-1])].status != "running"

    def _describe(self, world: World, number: int, run: Run) -> Iterator[Step]:
        seen = self.items[run.seen]
        name, dead = self._dead(world, seen)
        if name == owner(number) and "I5" in self._scene.promises:
            broken = "I5 the holder is told that the lock is held by another"
            yield Step(f"{name} asks whether {name} lives", world, False, broken)
        yield from self._verdict(world, number, run, name, dead=dead)
        if self._may(world, "stale"):
            for step in self._verdict(self._spend(world, "stale"), number, run, name, dead=not dead):
                yield step._replace(story=f"{step.story} (a stale answer)", fault=True)

    def _verdict(self, world: World, number: int, run: Run, name: str, *, dead: bool) -> Iterator[Step]:
        seen = self.items[run.seen]
        assert seen is not None
        me = owner(number)
        if not dead:
            key, theirs = self._scene.keys[number], seen.holder.run_key if seen.holder else None
            story = f"{me} asks whether {name} lives: yes"
            if key is not None and theirs == key:
                at = "leave line" if run.in_line else "acquire"
                status = "running" if run.in_line else "duplicate"
                yield Step(story, self._with(world, number, run._replace(at=at, status=status)))
            elif run.in_line:
                yield Step(story, self._with(world, number, run._replace(at="look", seen=NONE)))
                yield Step(f"{story}; it gives up", self._with(world, number, run._replace(at="leave line", seen=NONE)))
            elif self._scene.runs[number] == "wait":
                yield Step(story, self._with(world, number, run._replace(at="join line", seen=NONE)))
            else:
                yield Step(story, self._with(world, number, run._replace(status="skipped")))
            return
        story = f"{me} asks whether {name} lives: no"
        if self._key_is_done(number, seen):
            at, status = ("leave line", "running") if run.in_line else ("acquire", "duplicate")
            yield Step(story, self._with(world, number, run._replace(at=at, status=status)))
            return
        first = seen.queue[0] if seen.queue else None
        if first is None or first.grant == run.grant or "take-over behind the line" in self._without:
            drains_first = "take over first" in self._without
            at = "stop, then take over" if drains_first else "take over"
            yield Step(story, self._with(world, number, run._replace(at=at)))
        elif first.grant not in seen.queue_ids or self._is_dead(world, first.owner):
            yield Step(f"{story}, nor does the first in line", self._with(world, number, run._replace(at="drop head")))
        else:
            at, status = ("look", "running") if run.in_line else ("acquire", "skipped")
            yield Step(
                f"{story}; the first in line will see to it",
                self._with(world, number, run._replace(at=at, status=status, seen=NONE)),
            )

    def _take_over(self, world: World, number: int, run: Run) -> Iterator[Step]:
        seen = self.items[run.seen]
        assert seen is not None
        assert seen.holder is not None
        old = seen.holder

        def then(after: World, run: Run, accepted: bool, item: int) -> tuple[World, str | None]:  # noqa: FBT001
            if not accepted:
                return self._with(after, number, run._replace(at="look" if run.in_line else "acquire", seen=NONE)), None
            at = "run" if "take over first" in self._without else "stop, then run"
            # The mutant without stale_tasks still drains what it has read itself.
            seen_now = run.seen if "stale_tasks" in self._without else item
            return self._with(after, number, run._replace(at=at, seen=seen_now, in_line=False)), None

        holder = self._holder(number, run)
        task = StaleTask(task_arn=old.task_arn) if old.task_arn and "stale_tasks" not in self._without else None
        head = run.grant if seen.queue and seen.queue[0].grant == run.grant else None
        event = TakeOver(
            holder=holder, expires_at=0, held_by=old.owner, fence=seen.fence,
            lease=seen.lease_expires_at or 0, old_task=task, head=head,
        )  # fmt: skip
        key = ("take-over", number, run.grant, run.seen)
        yield from self._write(world, f"{owner(number)} takes over from {old.owner}", key, lambda: event, then, run)

    def _drop_head(self, world: World, number: int, run: Run) -> Iterator[Step]:
        seen = self.items[run.seen]
        assert seen is not None
        head = seen.queue[0].grant

        def then(after: World, run: Run, accepted: bool, item: int) -> tuple[World, str | None]:  # noqa: FBT001, ARG001
            at = "look" if run.in_line else "acquire"
            return self._with(after, number, run._replace(at=at, seen=NONE)), None

        yield from self._write(
            world, f"{owner(number)} drops {head}", ("drop", head), lambda: DropHead(head=head), then, run
        )

    def _join_line(self, world: World, number: int, run: Run) -> Iterator[Step]:
        def then(after: World, run: Run, accepted: bool, item: int) -> tuple[World, str | None]:  # noqa: FBT001
            found = self.items[item]
            if accepted:
                return self._with(after, number, run._replace(at="look", in_line=True)), None
            if found is not None and found.holder is not None and found.holder.owner != owner(number):
                return self._with(after, number, run._replace(status="skipped")), None
            return self._with(after, number, run._replace(at="acquire")), None

        entry = self._holder(number, run)
        key = ("joining", number, run.grant)
        yield from self._write(
            world, f"{owner(number)} joins the line", key, lambda: Enqueue(entry=entry, limit=2), then, run
        )

    def _look(self, world: World, number: int, run: Run) -> Iterator[Step]:
        item = self.items[world.item]
        if item is None or item.holder is None:
            after = run._replace(at="acquire", in_line=False, seen=NONE)
        else:
            after = self._mine_or_describe(number, run, world.item)
        yield Step(f"{owner(number)} looks", self._with(world, number, after))

    def _leave_line(self, world: World, number: int, run: Run) -> Iterator[Step]:
        def then(after: World, run: Run, accepted: bool, item: int) -> tuple[World, str | None]:  # noqa: FBT001
            found = self.items[item]
            left = accepted or (found is not None and any(e.grant == run.grant for e in found.queue))
            if left:
                return self._with(after, number, run._replace(status="skipped", in_line=False)), None
            return self._with(after, number, run._replace(at="look", seen=NONE)), None

        yield from self._write(
            world, f"{owner(number)} leaves the line", ("leaving", run.grant), lambda: Leave(grant=run.grant), then, run
        )

    def _stop(self, world: World, number: int, run: Run) -> Iterator[Step]:
        tasks = self._stopped(world, run.seen)
        at = run.at.replace("stop", "await")
        if "await STOPPED" in self._without:
            at = at.removeprefix("await, then ")
        yield Step(
            f"{owner(number)} tells the old tasks to stop",
            self._with(world._replace(tasks=tasks), number, run._replace(at=at)),
        )

    def _to_drain(self, seen: int) -> frozenset[str]:
        item = self.items[seen]
        return frozenset(task.task_arn for task in item.to_drain if task.task_arn) if item else frozenset()

    def _stopped(self, world: World, seen: int) -> tuple[Task, ...]:
        drained = self._to_drain(seen)
        told = {PENDING: STOPPED, WORKING: STOPPING}
        return tuple(
            task._replace(phase=told.get(task.phase, task.phase)) if f"task {place}" in drained else task
            for place, task in enumerate(world.tasks)
        )

    def _await(self, world: World, number: int, run: Run) -> Iterator[Step]:
        if self._all_over(world, run.seen):
            at = run.at.removeprefix("await, then ")
            yield Step(f"{owner(number)} sees them STOPPED", self._with(world, number, run._replace(at=at)))

    def _all_over(self, world: World, seen: int) -> bool:
        return all(world.tasks[int(arn.split()[1])].phase in OVER for arn in self._to_drain(seen))

    def _re_arm(self, world: World, number: int, run: Run) -> Iterator[Step]:
        seen = self.items[run.seen]
        assert seen is not None
        new_grant = f"{'ABC'[number]}.{run.attempts}"
        if "re-arm" in self._without:
            yield Step(f"{owner(number)} goes on with its grant", self._with(world, number, run._replace(at="run")))
            return

        def then(after: World, run: Run, accepted: bool, item: int) -> tuple[World, str | None]:  # noqa: FBT001, ARG001
            if not accepted:
                return self._with(after, number, run._replace(at="read", seen=NONE)), None
            return self._with(after, number, run._replace(at="run", grant=new_grant, seen=NONE)), None

        event = ReArm(
            owner=owner(number), grant=run.grant, new_grant=new_grant, family="", expires_at=0, fence=seen.fence
        )
        key = ("re-arm", number, run.grant, new_grant, seen.fence)
        yield from self._write(world, f"{owner(number)} re-arms to {new_grant}", key, lambda: event, then, run)

    def _run_task(self, world: World, number: int, run: Run) -> Iterator[Step]:
        if run.attempts >= self._scene.attempts:
            at = run._replace(at="read", seen=NONE, task=-1)
            yield Step(f"{owner(number)} has no attempts left", self._with(world, number, at))
            return
        task = Task(number, run.grant)
        place = len(world.tasks)
        started = run._replace(at="running", attempts=run.attempts + 1, task=place, seen=NONE)
        one = self._with(world._replace(tasks=(*world.tasks, task)), number, started)
        yield Step(f"{owner(number)} runs task {place} with grant {run.grant}", one)
        if self._may(world, "double"):
            two = self._spend(one._replace(tasks=(*one.tasks, task)), "double")
            yield Step(f"{owner(number)} runs task {place}, doubled by RunTask as task {place + 1}", two, True)

    def _running(self, world: World, number: int, run: Run) -> Iterator[Step]:
        phase = world.tasks[run.task].phase
        if phase in OVER:
            at = "release" if phase == ENDED_WELL else "read"
            yield Step(
                f"{owner(number)} hears that task {run.task} {'ended well' if at == 'release' else 'failed'}",
                self._with(world, number, run._replace(at=at)),
            )
        elif self._may(world, "timeout"):
            after = self._with(world, number, run._replace(at="read"))
            yield Step(f"{owner(number)}'s attempt times out", self._spend(after, "timeout"), True)

    def _read(self, world: World, number: int, run: Run) -> Iterator[Step]:
        item = self.items[world.item]
        me = owner(number)
        if item is None or item.holder is None or item.holder.owner != me:
            # Lost. It may have been its own release whose reply did not come; else it asks again, or fails.
            last = item.last if item else None
            if last is not None and (last.owner, last.grant) == (me, run.grant):
                yield Step(f"{me} reads: released", self._with(world, number, run._replace(status="failed")))
                return
            if run.attempts < self._scene.attempts:
                again = run._replace(at="acquire", grant=f"{'ABC'[number]}.{run.attempts}", seen=NONE, task=-1)
                yield Step(f"{me} reads: lost, and asks again", self._with(world, number, again))
            yield Step(f"{me} reads: lost", self._with(world, number, run._replace(status="failed", seen=NONE)))
            return
        mine = run._replace(grant=item.holder.grant, seen=world.item)
        if run.attempts < self._scene.attempts:
            yield Step(f"{me} reads", self._with(world, number, mine._replace(at="stop, then re-arm")))
        yield Step(f"{me} reads, to end", self._with(world, number, mine._replace(at="stop, then end")))

    def _release(self, world: World, number: int, run: Run) -> Iterator[Step]:
        me, arn = owner(number), f"task {run.task}"

        def then(after: World, run: Run, accepted: bool, item: int) -> tuple[World, str | None]:  # noqa: FBT001
            found = self.items[item]
            if accepted:
                return self._succeeded(after, number, run)
            if found is None or found.holder is None or found.holder.owner != me:
                return self._with(after, number, run._replace(status="failed")), None
            if found.queue and found.holder.task_arn == arn:
                return self._with(after, number, run._replace(at="hand off", seen=item)), None
            return self._with(after, number, run._replace(at="stop, then end", seen=item)), None

        event = Release(
            owner=me, grant=run.grant, task_arn=arn, last=self._last(number, run.grant),
            last_run_key=self._scene.keys[number] or self._known_key(world), ttl=1,
        )  # fmt: skip
        key = ("release", number, run.grant, arn, event.last_run_key)
        yield from self._write(world, f"{me} releases after {arn}", key, lambda: event, then, run)

    def _known_key(self, world: World) -> str:
        item = self.items[world.item]
        return (item.last_run_key if item else None) or ""

    @staticmethod
    def _last(number: int, grant: str) -> LastRun:
        return LastRun(owner=owner(number), grant=grant, outcome="", at=0)

    def _succeeded(self, after: World, number: int, run: Run) -> tuple[World, str | None]:
        key = self._scene.keys[number]
        broken = "I11 a scheduled time succeeds twice" if key in after.done else None
        if broken is not None and "I11" not in self._scene.promises:
            broken = None
        done = after.done | {key} if key is not None else after.done
        return self._with(after._replace(done=done), number, run._replace(status="succeeded")), broken

    def _end(self, world: World, number: int, run: Run) -> Iterator[Step]:
        me = owner(number)

        def then(after: World, run: Run, accepted: bool, item: int) -> tuple[World, str | None]:  # noqa: FBT001
            if dropping:
                return self._with(after, number, run._replace(at="read" if run.at == "end" else "release")), None
            if accepted:
                if run.at == "hand off":
                    return self._succeeded(after, number, run)
                return self._with(after, number, run._replace(status="failed", seen=NONE)), None
            at = "release" if run.at == "hand off" else "read"
            return self._with(after, number, run._replace(at=at, seen=NONE)), None

        seen = self.items[run.seen]
        assert seen is not None
        event = self._ending(seen)
        dropping = isinstance(event, DropHead)
        key = ("end", run.seen) if not dropping else ("drop", seen.queue[0].grant)
        yield from self._write(world, f"{me} gives back by the fence as read", key, lambda: event, then, run)

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

    # -- a task -------------------------------------------------------------------------------------------

    def _task_steps(self, world: World, number: int, task: Task) -> Iterator[Step]:
        if task.phase == PENDING:
            yield from self._claim(world, number, task)
        elif task.phase == WORKING:
            yield Step(f"task {number} ends well", self._phase(world, number, ENDED_WELL))
        elif task.phase == STOPPING:
            yield Step(f"task {number} is gone", self._phase(world, number, STOPPED))
        if task.phase in {PENDING, WORKING} and self._may(world, "fail"):
            yield Step(f"task {number} dies", self._spend(self._phase(world, number, STOPPED), "fail"), True)

    def _claim(self, world: World, number: int, task: Task) -> Iterator[Step]:
        if "claim" in self._without:
            after = self._phase(world, number, WORKING)
            yield Step(f"task {number} begins to work", after, False, self._overlap(after))
            return

        def then(after: World, _: Run, accepted: bool, item: int) -> tuple[World, str | None]:  # noqa: FBT001
            if not accepted:
                return self._phase(after, number, STOPPED), None
            found = self.items[item]
            assert found is not None
            broken = None
            if found.fence <= after.token and "I2" in self._scene.promises:
                broken = f"I2 the token went from {after.token} to {found.fence}"
            after = self._phase(after._replace(token=found.fence), number, WORKING)
            return after, self._overlap(after) or broken

        claim = Claim(owner=owner(task.run), grant=task.grant, task_arn=f"task {number}", now=0)
        key = ("claim", task.run, task.grant, number)
        yield from self._write(
            world, f"task {number} claims {task.grant}", key, lambda: claim, then, world.runs[task.run]
        )

    @staticmethod
    def _phase(world: World, number: int, phase: str) -> World:
        task = world.tasks[number]._replace(phase=phase)
        return world._replace(tasks=(*world.tasks[:number], task, *world.tasks[number + 1 :]))

    def _overlap(self, world: World) -> str | None:
        working = [f"task {n}" for n, task in enumerate(world.tasks) if task.phase in IN_SECTION]
        if len(working) > 1 and "I1" in self._scene.promises:
            return f"I1 {' and '.join(working)} work at the same time"
        return None

    # -- the clean-up -------------------------------------------------------------------------------------

    def _sweeper_steps(self, world: World) -> Iterator[Step]:
        sweeper = world.sweeper
        if sweeper.at == "idle":
            item = self.items[world.item]
            if item is not None and item.holder is not None and self._may(world, "sweep"):
                reads = self._spend(world._replace(sweeper=Sweeper("describe", world.item)), "sweep")
                yield Step("the sweep reads", reads)
            return
        if sweeper.at == "describe":
            name, dead = self._dead(world, self.items[sweeper.seen])
            answers = [(dead, False)] + ([(not dead, True)] if self._may(world, "stale") else [])
            for answer, stale in answers:
                at = Sweeper("stop", sweeper.seen) if answer else Sweeper()
                if answer and "sweep stops tasks" in self._without:
                    at = Sweeper("end", sweeper.seen)
                after = world._replace(sweeper=at)
                said = f"{'no' if answer else 'yes'}{' (a stale answer)' if stale else ''}"
                yield Step(
                    f"the sweep asks whether {name} lives: {said}",
                    self._spend(after, "stale") if stale else after,
                    stale,
                )
        elif sweeper.at == "stop":
            at = "end" if "await STOPPED" in self._without else "await"
            after = world._replace(tasks=self._stopped(world, sweeper.seen), sweeper=sweeper._replace(at=at))
            yield Step("the sweep tells the tasks to stop", after)
        elif sweeper.at == "await":
            if self._all_over(world, sweeper.seen):
                yield Step("the sweep sees them STOPPED", world._replace(sweeper=sweeper._replace(at="end")))
        else:
            seen = self.items[sweeper.seen]
            assert seen is not None
            event = self._ending(seen)
            key = ("drop", seen.queue[0].grant) if isinstance(event, DropHead) else ("end", sweeper.seen)
            effect = self.items.perform(world.item, key, lambda: event)
            after = world._replace(item=effect.item, sweeper=Sweeper())
            done = "done" if effect.recognised else "refused"
            yield Step(f"the sweep gives the lock back: {done}", after, False, effect.broken)


def bounded(scene: Scene, **faults: int) -> Scene:
    """The scene with these faults."""
    return replace(scene, faults=faults)
