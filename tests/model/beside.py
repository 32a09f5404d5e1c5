"""What goes on beside the runs: their tasks, the sweep, and the faults of the world."""

from collections.abc import Iterator

from lock.events import (
    Claim,
    DropHead,
)
from tests.model.items import NONE
from tests.model.search import Step
from tests.model.world import (
    ENDED_WELL,
    PENDING,
    STOPPED,
    STOPPING,
    WORKING,
    Processes,
    Run,
    Sweeper,
    Task,
    World,
    owner,
)


class Beside(Processes):
    """Steps of tasks, sweep and world."""

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

    def _world_steps(self, world: World) -> Iterator[Step]:
        for place, key in enumerate(world.late):
            effect = self.items.arrive(world.item, key)
            late = world.late[:place] + world.late[place + 1 :]
            yield Step(
                f"the late {key[0]} arrives",
                world._replace(item=effect.item, late=late),
                False,
                effect.broken,
            )
        item = self.items[world.item]
        if item is None:
            return
        if self._may(world, "delete"):
            gone = world._replace(item=NONE, time=world.time + 1)
            yield Step("somebody deletes the item", self._spend(gone, "delete"), True)
        # TTL comes weeks after the release; no request is under way for so long.
        if item.ttl is not None and not world.late and self._may(world, "collect"):
            gone = world._replace(item=NONE, time=world.time + 1)
            broken = "I8 a lock in use is collected" if item.holder else None
            yield Step("TTL collects the item", self._spend(gone, "collect"), True, broken)
