"""What goes on beside the runs: their tasks, the sweep, and the faults of the world."""

from collections.abc import Callable, Iterator

from lock.events import (
    Claim,
    DropHead,
    ReArm,
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
        if task.phase == PENDING and task.shard:
            yield self._verify(world, number, task)
        elif task.phase == PENDING:
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

    def _verify(self, world: World, number: int, task: Task) -> Step:
        """A container of a fan-out only reads: all of them share one grant."""
        item = self.items[world.item]
        holder = item.holder if item else None
        mine = holder is not None and (holder.owner, holder.grant) == (owner(task.run), task.grant)
        if mine or "verify" in self._without:
            after = self._phase(world, number, WORKING)
            return Step(
                f"task {number} finds grant {task.grant} good and works", after, False, self._overlap(after)
            )
        return Step(f"task {number} finds grant {task.grant} worthless", self._phase(world, number, STOPPED))

    @staticmethod
    def _phase(world: World, number: int, phase: str) -> World:
        task = world.tasks[number]._replace(phase=phase)
        return world._replace(tasks=(*world.tasks[:number], task, *world.tasks[number + 1 :]))

    def _sweeper_steps(self, world: World) -> Iterator[Step]:
        steps: dict[str, Callable[[World, Sweeper], Iterator[Step]]] = {
            "idle": self._sweep_begins,
            "describe": self._sweep_asks,
            "revoke or stop": self._revoke_or_stop,
            "reread": self._sweep_reads_again,
            "stop": self._sweep_stops,
            "await": self._sweep_awaits,
            "end": self._sweep_ends,
        }
        yield from steps[world.sweeper.at](world, world.sweeper)

    def _sweep_begins(self, world: World, _: Sweeper) -> Iterator[Step]:
        item = self.items[world.item]
        if item is not None and item.holder is not None and self._may(world, "sweep"):
            reads = self._spend(world._replace(sweeper=Sweeper("describe", world.item)), "sweep")
            yield Step("the sweep reads", reads)

    def _sweep_asks(self, world: World, sweeper: Sweeper) -> Iterator[Step]:
        name, dead = self._dead(world, self.items[sweeper.seen])
        answers = [(dead, False)] + ([(not dead, True)] if self._may(world, "stale") else [])
        for answer, stale in answers:
            at = sweeper._replace(at="revoke or stop") if answer else Sweeper()
            if answer and "sweep stops tasks" in self._without:
                at = Sweeper("end", sweeper.seen)
            after = world._replace(sweeper=at)
            said = f"{'no' if answer else 'yes'}{' (a stale answer)' if stale else ''}"
            yield Step(
                f"the sweep asks whether {name} lives: {said}",
                self._spend(after, "stale") if stale else after,
                stale,
            )

    def _sweep_reads_again(self, world: World, sweeper: Sweeper) -> Iterator[Step]:
        item = self.items[world.item]
        held = item is not None and item.holder is not None
        after = sweeper._replace(at="describe", seen=world.item) if held else Sweeper()
        yield Step("the sweep reads again", world._replace(sweeper=after))

    def _sweep_stops(self, world: World, sweeper: Sweeper) -> Iterator[Step]:
        at = "end" if "await STOPPED" in self._without else "await"
        after = world._replace(tasks=self._stopped(world, sweeper.seen), sweeper=sweeper._replace(at=at))
        yield Step("the sweep tells the tasks to stop", after)

    def _sweep_awaits(self, world: World, sweeper: Sweeper) -> Iterator[Step]:
        if self._all_over(world, sweeper.seen):
            yield Step("the sweep sees them STOPPED", world._replace(sweeper=sweeper._replace(at="end")))

    def _sweep_ends(self, world: World, sweeper: Sweeper) -> Iterator[Step]:
        seen = self.items[sweeper.seen]
        assert seen is not None
        event = self._ending(seen)
        key = ("drop", seen.queue[0].grant) if isinstance(event, DropHead) else ("end", sweeper.seen)
        effect = self.items.perform(world.item, key, lambda: event)
        after = world._replace(item=effect.item, sweeper=Sweeper())
        done = "done" if effect.recognised else "refused"
        yield Step(f"the sweep gives the lock back: {done}", after, False, effect.broken)

    def _revoke_or_stop(self, world: World, sweeper: Sweeper) -> Iterator[Step]:
        """An unclaimed grant is taken away first: a container may be about to use it.

        Not on a row with leftovers: revoking would forget them, and a grant is told to the containers of a
        fan-out only after a re-arm, which clears them.
        """
        seen = self.items[sweeper.seen]
        assert seen is not None
        assert seen.holder is not None
        holder = seen.holder
        known = holder.task_arn or seen.stale_tasks or sweeper.revoked == holder.grant
        if known or "revoke before the clean-up" in self._without:
            yield Step("the sweep goes on", world._replace(sweeper=sweeper._replace(at="stop")))
            return
        event = ReArm(
            owner=holder.owner,
            grant=holder.grant,
            new_grant=f"sweep {seen.fence}",
            family="",
            expires_at=seen.lease_expires_at or 0,
            fence=seen.fence,
        )
        effect = self.items.perform(world.item, ("revoke", sweeper.seen), lambda: event)
        revoked = event.new_grant if effect.accepted else sweeper.revoked
        after = world._replace(item=effect.item, sweeper=sweeper._replace(at="reread", revoked=revoked))
        done = "done" if effect.accepted else "refused"
        yield Step(f"the sweep revokes {holder.grant}: {done}", after, False, effect.broken)

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
