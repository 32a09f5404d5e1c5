"""How a run gets the lock: acquire, describe the holder, take over, or wait in line."""

from collections.abc import Iterator

from lock.events import (
    Acquire,
    DropHead,
    Enqueue,
    Leave,
    TakeOver,
)
from tests.model.items import NONE
from tests.model.search import Step
from tests.model.world import (
    Processes,
    Run,
    World,
    owner,
)


class Getting(Processes):
    """Steps until the lock is mine, or not to be had."""

    def _acquire(self, world: World, number: int, run: Run) -> Iterator[Step]:
        def then(after: World, run: Run, accepted: bool, item: int) -> tuple[World, str | None]:  # noqa: FBT001
            if not accepted:
                return self._with(after, number, run._replace(status="duplicate")), None
            return self._with(after, number, self._mine_or_describe(number, run, item)), None

        holder, now = self._holder(number, run), world.time * 1000
        key = ("acquire", number, run.grant, now)
        yield from self._write(
            world,
            f"{owner(number)} acquires",
            key,
            lambda: Acquire(holder=holder, expires_at=0, now=now),
            then,
            run,
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
        if self._scene.resumed:
            run = run._replace(planned=True)
            if "re-arm before a fan-out" not in self._without:
                return run._replace(at="stop, then re-arm")
        drains = "drain when already mine" not in self._without
        if (found.stale_tasks or found.holder.task_arn) and drains:
            return run._replace(at="stop, then re-arm")
        return run._replace(at="run")

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
                yield Step(
                    f"{story}; it gives up",
                    self._with(world, number, run._replace(at="leave line", seen=NONE)),
                )
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
            yield Step(
                f"{story}, nor does the first in line",
                self._with(world, number, run._replace(at="drop head")),
            )
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
                return self._with(
                    after, number, run._replace(at="look" if run.in_line else "acquire", seen=NONE)
                ), None
            at = "run" if "take over first" in self._without else "stop, then run"
            if self._scene.resumed:
                run, at = run._replace(planned=True), "stop, then re-arm"
            # The mutant without stale_tasks still drains what it has read itself.
            seen_now = run.seen if "stale_tasks" in self._without else item
            return self._with(after, number, run._replace(at=at, seen=seen_now, in_line=False)), None

        holder = self._holder(number, run)
        task = old.traces if "stale_tasks" not in self._without else None
        head = run.grant if seen.queue and seen.queue[0].grant == run.grant else None
        event = TakeOver(
            holder=holder, expires_at=0, held_by=old.owner, fence=seen.fence,
            lease=seen.lease_expires_at or 0, old_task=task, head=head,
        )  # fmt: skip
        key = ("take-over", number, run.grant, run.seen)
        yield from self._write(
            world, f"{owner(number)} takes over from {old.owner}", key, lambda: event, then, run
        )

    def _drop_head(self, world: World, number: int, run: Run) -> Iterator[Step]:
        seen = self.items[run.seen]
        assert seen is not None
        head = seen.queue[0].grant

        def then(after: World, run: Run, accepted: bool, item: int) -> tuple[World, str | None]:  # noqa: FBT001
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
            world,
            f"{owner(number)} leaves the line",
            ("leaving", run.grant),
            lambda: Leave(grant=run.grant),
            then,
            run,
        )
