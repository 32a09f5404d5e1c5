"""What a run does with the lock: drain, re-arm, run a task, and give the lock back."""

from collections.abc import Iterator

from lock.events import (
    DropHead,
    ReArm,
    Release,
)
from tests.model.items import NONE
from tests.model.search import Step
from tests.model.world import (
    ENDED_WELL,
    OVER,
    Processes,
    Run,
    Task,
    World,
    owner,
)


class Holding(Processes):
    """Steps while the lock is mine."""

    def _stop(self, world: World, number: int, run: Run) -> Iterator[Step]:
        tasks = self._stopped(world, run.seen)
        at = run.at.replace("stop", "await")
        if "await STOPPED" in self._without:
            at = at.removeprefix("await, then ")
        yield Step(
            f"{owner(number)} tells the old tasks to stop",
            self._with(world._replace(tasks=tasks), number, run._replace(at=at)),
        )

    def _await(self, world: World, number: int, run: Run) -> Iterator[Step]:
        if self._all_over(world, run.seen):
            at = run.at.removeprefix("await, then ")
            yield Step(f"{owner(number)} sees them STOPPED", self._with(world, number, run._replace(at=at)))

    def _re_arm(self, world: World, number: int, run: Run) -> Iterator[Step]:
        seen = self.items[run.seen]
        assert seen is not None
        new_grant = f"{'ABC'[number]}.{run.attempts}"
        if "re-arm" in self._without:
            yield Step(
                f"{owner(number)} goes on with its grant", self._with(world, number, run._replace(at="run"))
            )
            return

        def then(after: World, run: Run, accepted: bool, item: int) -> tuple[World, str | None]:  # noqa: FBT001
            if not accepted:
                return self._with(after, number, run._replace(at="read", seen=NONE)), None
            return self._with(after, number, run._replace(at="run", grant=new_grant, seen=NONE)), None

        event = ReArm(
            owner=owner(number),
            grant=run.grant,
            new_grant=new_grant,
            family="",
            expires_at=0,
            fence=seen.fence,
        )
        key = ("re-arm", number, run.grant, new_grant, seen.fence)
        yield from self._write(
            world, f"{owner(number)} re-arms to {new_grant}", key, lambda: event, then, run
        )

    def _run_task(self, world: World, number: int, run: Run) -> Iterator[Step]:
        if run.attempts >= self._scene.attempts:
            at = run._replace(at="read", seen=NONE, task=-1)
            yield Step(f"{owner(number)} has no attempts left", self._with(world, number, at))
            return
        if run.planned:
            fanning = run._replace(
                at="fanning",
                attempts=run.attempts + 1,
                map_grant=run.grant,
                map_left=self._scene.shards,
                seen=NONE,
            )
            yield Step(f"{owner(number)} fans out with grant {run.grant}", self._with(world, number, fanning))
            return
        task = Task(number, run.grant)
        place = len(world.tasks)
        started = run._replace(at="running", attempts=run.attempts + 1, task=place, seen=NONE)
        one = self._with(world._replace(tasks=(*world.tasks, task)), number, started)
        yield Step(f"{owner(number)} runs task {place} with grant {run.grant}", one)
        if self._may(world, "double"):
            two = self._spend(one._replace(tasks=(*one.tasks, task)), "double")
            yield Step(
                f"{owner(number)} runs task {place}, doubled by RunTask as task {place + 1}", two, True
            )

    def _running(self, world: World, number: int, run: Run) -> Iterator[Step]:
        phase = world.tasks[run.task].phase
        if phase in OVER:
            well = "advance" if self._scene.shards else "release"
            at = well if phase == ENDED_WELL else "read"
            yield Step(
                f"{owner(number)} hears that task {run.task} {'ended well' if at == well else 'failed'}",
                self._with(world, number, run._replace(at=at)),
            )
        elif self._may(world, "timeout"):
            after = self._with(world, number, run._replace(at="read"))
            yield Step(f"{owner(number)}'s attempt times out", self._spend(after, "timeout"), True)

    def _advance(self, world: World, number: int, run: Run) -> Iterator[Step]:
        """The next step's grant, for which the row must name the very task that has ended."""
        arn, new_grant = f"task {run.task}", f"{'ABC'[number]}.{run.attempts}"

        def then(after: World, run: Run, accepted: bool, item: int) -> tuple[World, str | None]:  # noqa: FBT001
            if not accepted:
                return self._with(after, number, run._replace(at="read", seen=NONE, planned=True)), None
            armed = run._replace(at="run", grant=new_grant, planned=True, task=-1)
            return self._with(after, number, armed), None

        event = ReArm(
            owner=owner(number), grant=run.grant, new_grant=new_grant, family="", expires_at=0, task_arn=arn
        )
        key = ("re-arm", number, run.grant, new_grant, arn)
        yield from self._write(
            world, f"{owner(number)} advances to {new_grant}", key, lambda: event, then, run
        )

    def _map_steps(self, world: World, number: int, run: Run) -> Iterator[Step]:
        """The map run starts its containers, whatever has become of the execution."""
        if run.map_left:
            place = len(world.tasks)
            shard = Task(number, run.map_grant, shard=True)
            started = world._replace(tasks=(*world.tasks, shard))
            after = self._with(started, number, run._replace(map_left=run.map_left - 1))
            yield Step(f"{owner(number)}'s map run starts task {place} with grant {run.map_grant}", after)

    def _fanning(self, world: World, number: int, run: Run) -> Iterator[Step]:
        mine = [task for task in world.tasks if (task.run, task.grant) == (number, run.map_grant)]
        at = "read" if "revoke after a fan-out" in self._without else "revoke"
        if not run.map_left and all(task.phase in OVER for task in mine):
            after = self._with(world, number, run._replace(at=at, seen=world.item))
            yield Step(f"{owner(number)} hears that its fan-out has ended", after)
        elif self._may(world, "timeout"):
            after = self._with(world, number, run._replace(at=at, seen=world.item))
            yield Step(f"{owner(number)}'s fan-out times out", self._spend(after, "timeout"), True)

    def _revoke(self, world: World, number: int, run: Run) -> Iterator[Step]:
        """Nobody is told the new grant, so no container of the fan-out passes its verification any more."""
        seen = self.items[run.seen]
        grant = f"{'ABC'[number]}.{run.attempts}r"

        def then(after: World, run: Run, accepted: bool, item: int) -> tuple[World, str | None]:  # noqa: FBT001
            return self._with(after, number, run._replace(at="read", seen=NONE)), None

        event = ReArm(
            owner=owner(number),
            grant=run.grant,
            new_grant=grant,
            family="",
            expires_at=0,
            fence=seen.fence if seen else 0,
        )
        key = ("re-arm", number, run.grant, grant, event.fence)
        yield from self._write(world, f"{owner(number)} revokes {run.grant}", key, lambda: event, then, run)

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
                again = run._replace(
                    at="acquire", grant=f"{'ABC'[number]}.{run.attempts}", seen=NONE, task=-1
                )
                yield Step(f"{me} reads: lost, and asks again", self._with(world, number, again))
            yield Step(
                f"{me} reads: lost", self._with(world, number, run._replace(status="failed", seen=NONE))
            )
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
                return self._with(
                    after, number, run._replace(at="read" if run.at == "end" else "release")
                ), None
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
