"""Programs that hold the lock themselves, in a world with time: leases, clocks, pauses, and a resource.

Nobody can be asked whether a program lives, so only the lease tells. A program counts its own lease from
before it sent the request, on its own monotonic clock, and is out of the section when it ends, unless it is
paused. The resource remembers the greatest token that it was shown.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lock.events import (
    Acquire,
    DropHead,
    Enqueue,
    Event,
    HandOff,
    Leave,
    Release,
    Renew,
    TakeOver,
)
from lock.model import Holder, LastRun, LockItem
from lock.verdict import lease_expired
from tests.model.items import NONE, Items, Rules, sound_rules
from tests.model.search import State, Step

PROMISES = frozenset({"I1", "I2", "I3", "I4", "I6", "I8", "I9"})
FAULTS = ("crash", "pause", "lost", "late")


class Program(NamedTuple):
    """One program. `sent_at` and `good_until` are real time; it measures both on its own monotonic clock."""

    at: str = "acquire"
    seen: int = NONE
    sent_at: int = 0
    asked_lease: int = 0
    good_until: int = 0
    token: int = 0
    in_line: bool = False
    paused: bool = False


class World(NamedTuple):
    """Everything at one moment. `shown` is the greatest token the resource has seen."""

    item: int
    programs: tuple[Program, ...]
    late: tuple[Any, ...]
    left: tuple[int, ...]
    time: int
    token: int
    shown: int


@dataclass(frozen=True)
class Scene:
    """What is searched; times in ticks.

    Attributes:
        policies: `skip` or `wait` for each program.
        clocks: how far each program's clock is ahead.
        lease: its length.
        grace: lease of a waiter that has just been given the lock.
        skew: the allowance for clocks.
        renewals: whether holders renew.
        until: when time ends.
        faults: how often each may happen.
        without: rules left out.
        rules: what operations do to items.
        promises: what is checked.
    """

    policies: tuple[str, ...] = ("skip", "skip")
    clocks: tuple[int, ...] = (0, 1, 0)
    lease: int = 3
    grace: int = 2
    skew: int = 1
    renewals: bool = False
    until: int = 9
    faults: dict[str, int] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    rules: Rules = sound_rules
    promises: frozenset[str] = PROMISES


def name(number: int) -> str:
    return f"program {'ABC'[number]}"


class Programs:
    """The world to search."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._without = scene.without
        self.items = Items(scene.rules, scene.promises)
        self._steps: dict[str, Callable[[World, int, Program], Iterator[Step]]] = {
            "acquire": self._send,
            "acquiring": self._acquire,
            "judge": self._judge,
            "taking over": self._take_over,
            "joining": self._join,
            "waiting": self._look,
            "leaving": self._leave,
            "confirm": self._send,
            "confirming": self._renew,
            "renewing": self._renew,
            "show token": self._show_token,
            "work": self._work,
            "release": self._release,
        }

    def initial(self) -> State:
        """Nobody has asked yet."""
        programs = tuple(Program() for _ in self._scene.policies)
        left = tuple(self._scene.faults.get(fault, 0) for fault in FAULTS)
        return World(NONE, programs, (), left, 0, 0, 0)

    def show(self, state: State) -> str:
        """The lock and the time."""
        world = World(*state)
        item = self.items[world.item]
        if item is None:
            return f"t={world.time}: no item"
        who = "free" if item.holder is None else f"{item.holder.owner} until {item.lease_expires_at}"
        line = f", waiting: {' '.join(e.grant for e in item.queue)}" if item.queue else ""
        return f"t={world.time}: {who}, fence {item.fence}{line}"

    def is_free(self, state: State) -> bool:
        """The goal of liveness."""
        item = self.items[state[0]]
        return item is None or item.holder is None

    def steps(self, state: State) -> Iterator[Step]:
        """Everything that can happen next."""
        world = World(*state)
        for number, program in enumerate(world.programs):
            if program.paused:
                woken = self._with(world, number, program._replace(paused=False))
                yield Step(f"{name(number)} wakes up", woken)
                continue
            if program.at in self._steps:
                yield from self._steps[program.at](world, number, program)
                yield from self._faults(world, number, program)
        for place, key in enumerate(world.late):
            effect = self.items.arrive(world.item, key)
            late = world.late[:place] + world.late[place + 1 :]
            arrived = world._replace(item=effect.item, late=late)
            yield Step(f"the late {key[0]} arrives", arrived, False, effect.broken)
        if world.time < self._scene.until and all(self._lets_time_pass(world, p) for p in world.programs):
            yield Step("time passes", world._replace(time=world.time + 1))

    @staticmethod
    def _lets_time_pass(world: World, program: Program) -> bool:
        """A program that is not paused leaves the section before its lease is over."""
        return program.paused or program.at not in {"work", "renewing"} or world.time < program.good_until

    def _faults(self, world: World, number: int, program: Program) -> Iterator[Step]:
        if self._may(world, "crash"):
            dead = self._spend(self._with(world, number, Program(at="dead")), "crash")
            yield Step(f"{name(number)} is killed", dead, True)
        if self._may(world, "pause") and program.at in {"work", "show token"}:
            paused = self._spend(self._with(world, number, program._replace(paused=True)), "pause")
            yield Step(f"{name(number)} is paused", paused, True)

    def _may(self, world: World, fault: str) -> bool:
        return world.left[FAULTS.index(fault)] > 0

    def _spend(self, world: World, fault: str) -> World:
        place = FAULTS.index(fault)
        return world._replace(left=(*world.left[:place], world.left[place] - 1, *world.left[place + 1 :]))

    @staticmethod
    def _with(world: World, number: int, program: Program) -> World:
        programs = (*world.programs[:number], program, *world.programs[number + 1 :])
        return world._replace(programs=programs)

    def _write(
        self,
        world: World,
        story: str,
        key: tuple[Any, ...],
        event: Event,
        then: Callable[[World, bool, int], tuple[World, str | None]],
    ) -> Iterator[Step]:
        effect = self.items.perform(world.item, key, lambda: event)
        after, broken = then(world._replace(item=effect.item), effect.recognised, effect.item)
        done = "done" if effect.recognised else "refused"
        yield Step(f"{story}: {done}", after, False, effect.broken or broken)
        if effect.item != world.item and self._may(world, "lost"):
            lost = self._spend(world._replace(item=effect.item), "lost")
            yield Step(f"{story}: done, but the reply is lost", lost, True, effect.broken)
        if self._may(world, "late"):
            self.items.remember(key, lambda: event)
            late = self._spend(world._replace(late=tuple(sorted((*world.late, key), key=repr))), "late")
            yield Step(f"{story}: seems lost, and is on its way", late, True)

    def _now(self, world: World, number: int) -> int:
        return world.time + self._scene.clocks[number]

    def _holder(self, number: int) -> Holder:
        return Holder(owner=name(number), kind="cli", grant="ABC"[number])

    # -- getting the lock ---------------------------------------------------------------------------------

    def _send(self, world: World, number: int, program: Program) -> Iterator[Step]:
        """A request leaves; the lease that it asks for is counted from here."""
        at = {"acquire": "acquiring", "confirm": "confirming"}[program.at]
        sent = program._replace(
            at=at, sent_at=world.time, asked_lease=self._now(world, number) + self._scene.lease
        )
        yield Step(f"{name(number)} sends a request", self._with(world, number, sent))

    def _acquire(self, world: World, number: int, program: Program) -> Iterator[Step]:
        def then(after: World, accepted: bool, item: int) -> tuple[World, str | None]:  # noqa: FBT001
            return self._mine_or_judge(after, number, program, item)

        event = Acquire(
            holder=self._holder(number), expires_at=program.asked_lease, now=1000 * (1 + program.sent_at)
        )
        key = ("acquire", number, program.asked_lease)
        yield from self._write(world, f"{name(number)} acquires", key, event, then)

    def _mine_or_judge(
        self, world: World, number: int, program: Program, seen: int
    ) -> tuple[World, str | None]:
        item = self.items[seen]
        assert item is not None
        assert item.holder is not None
        if item.holder.owner == name(number):
            return self._granted(world, number, program, item)
        still = program.in_line and "ABC"[number] in item.queue_ids
        return self._with(world, number, program._replace(at="judge", seen=seen, in_line=still)), None

    def _granted(
        self, world: World, number: int, program: Program, item: LockItem
    ) -> tuple[World, str | None]:
        """Mine. The lease ends when the item says, or earlier; on the holder's own clock."""
        lease = self._scene.lease
        start = world.time if "count from before the request" in self._without else program.sent_at
        if item.lease_expires_at != program.asked_lease:
            start -= max(0, program.asked_lease - (item.lease_expires_at or 0))
        broken = None
        if item.fence <= world.token and item.fence != program.token and "I2" in self._scene.promises:
            broken = f"I2 the token went from {world.token} to {item.fence}"
        at = "work" if "show the token first" in self._without else "show token"
        mine = program._replace(
            at=at, seen=NONE, good_until=start + lease, token=item.fence, in_line=False, asked_lease=0
        )
        after = self._with(world._replace(token=max(world.token, item.fence)), number, mine)
        return after, broken or (self._overlap(after) if at == "work" else None)

    def _expired(self, world: World, number: int, item: LockItem, patience: int = 0) -> bool:
        allowance = 0 if "allowance for clocks" in self._without else self._scene.skew
        return lease_expired(item, now_ms=self._now(world, number), max_skew_ms=allowance + patience)

    def _judge(self, world: World, number: int, program: Program) -> Iterator[Step]:
        item = self.items[program.seen]
        assert item is not None
        assert item.holder is not None
        me, grant = name(number), "ABC"[number]
        waiting = [entry.grant for entry in item.waiting]
        place = waiting.index(grant) if grant in waiting else len(waiting)
        if self._expired(world, number, item):
            if place == 0 and (not item.queue or item.queue[0].grant == grant):
                sent = program._replace(
                    at="taking over",
                    sent_at=world.time,
                    asked_lease=self._now(world, number) + self._scene.lease,
                )
                yield Step(f"{me} finds the lease over", self._with(world, number, sent))
                return
            head = item.queue[0].grant
            if head not in waiting or self._expired(world, number, item, place * self._scene.grace):
                effect = self.items.perform(world.item, ("drop", head), lambda: DropHead(head=head))
                at = program._replace(at="waiting" if program.in_line else "acquire", seen=NONE)
                after = self._with(world._replace(item=effect.item), number, at)
                yield Step(f"{me} drops {head}, which lets a dead holder lie", after, False, effect.broken)
                return
        if program.in_line:
            yield Step(
                f"{me} goes on waiting", self._with(world, number, program._replace(at="waiting", seen=NONE))
            )
            yield Step(f"{me} gives up", self._with(world, number, program._replace(at="leaving", seen=NONE)))
        elif self._scene.policies[number] == "wait":
            yield Step(
                f"{me} will wait", self._with(world, number, program._replace(at="joining", seen=NONE))
            )
        else:
            yield Step(f"{me} goes away", self._with(world, number, Program(at="over")))

    def _take_over(self, world: World, number: int, program: Program) -> Iterator[Step]:
        item = self.items[program.seen]
        assert item is not None
        assert item.holder is not None
        grant = "ABC"[number]

        def then(after: World, accepted: bool, new: int) -> tuple[World, str | None]:  # noqa: FBT001
            found = self.items[new]
            if accepted and found is not None:
                return self._granted(after, number, program, found)
            at = "waiting" if program.in_line else "acquire"
            return self._with(after, number, program._replace(at=at, seen=NONE)), None

        head = grant if item.queue and item.queue[0].grant == grant else None
        event = TakeOver(
            holder=self._holder(number),
            expires_at=program.asked_lease,
            held_by=item.holder.owner,
            fence=item.fence,
            lease=item.lease_expires_at or 0,
            old_task=None,
            head=head,
        )
        key = ("take-over", number, program.asked_lease, program.seen)
        yield from self._write(world, f"{name(number)} takes over from {item.holder.owner}", key, event, then)

    # -- waiting ------------------------------------------------------------------------------------------

    def _join(self, world: World, number: int, program: Program) -> Iterator[Step]:
        def then(after: World, accepted: bool, new: int) -> tuple[World, str | None]:  # noqa: FBT001
            item = self.items[new]
            if accepted:
                return self._with(after, number, program._replace(at="waiting", in_line=True)), None
            mine_or_free = item is None or item.holder is None or item.holder.owner == name(number)
            at = program._replace(at="acquire") if mine_or_free else Program(at="over")
            return self._with(after, number, at), None

        event = Enqueue(entry=self._holder(number), limit=2)
        yield from self._write(world, f"{name(number)} joins the line", ("joining", number), event, then)

    def _look(self, world: World, number: int, program: Program) -> Iterator[Step]:
        item = self.items[world.item]
        me = name(number)
        if item is None or item.holder is None:
            after = self._with(world, number, program._replace(at="acquire", in_line=False))
        elif item.holder.owner == me:
            at = "confirm"
            if "renew what was handed over" in self._without:
                # It takes the lock for a full lease, counted from now.
                program = program._replace(sent_at=world.time, asked_lease=item.lease_expires_at or 0)
                after, broken = self._granted(world, number, program, item)
                yield Step(f"{me} finds itself the holder", after, False, broken)
                return
            after = self._with(world, number, program._replace(at=at, in_line=False))
        else:
            still = program.in_line and "ABC"[number] in item.queue_ids
            after = self._with(world, number, program._replace(at="judge", seen=world.item, in_line=still))
        yield Step(f"{me} looks", after)

    def _leave(self, world: World, number: int, program: Program) -> Iterator[Step]:
        def then(after: World, accepted: bool, new: int) -> tuple[World, str | None]:  # noqa: FBT001
            item = self.items[new]
            left = accepted or (item is not None and any(e.grant == "ABC"[number] for e in item.queue))
            at = Program(at="over") if left else program._replace(at="waiting")
            return self._with(after, number, at), None

        event = Leave(grant="ABC"[number])
        yield from self._write(world, f"{name(number)} leaves the line", ("leaving", number), event, then)

    # -- holding ------------------------------------------------------------------------------------------

    def _renew(self, world: World, number: int, program: Program) -> Iterator[Step]:
        confirming = program.at == "confirming"

        def then(after: World, accepted: bool, new: int) -> tuple[World, str | None]:  # noqa: FBT001
            item = self.items[new]
            if not accepted or item is None:
                lost = program._replace(at="waiting", token=0) if confirming else Program(at="over")
                return self._with(after, number, lost), None
            if confirming:
                return self._granted(after, number, program, item)
            longer = program._replace(at="work", good_until=program.sent_at + self._scene.lease)
            return self._with(after, number, longer), None

        event = Renew(owner=name(number), grant="ABC"[number], expires_at=program.asked_lease, now=0)
        key = ("renewal", number, program.asked_lease)
        yield from self._write(world, f"{name(number)} renews", key, event, then)

    def _show_token(self, world: World, number: int, program: Program) -> Iterator[Step]:
        """Before its first use the resource learns the token; if it knows a greater one, this is stale."""
        if program.token < world.shown:
            yield Step(f"{name(number)}'s token is refused", self._with(world, number, Program(at="over")))
            return
        if world.time >= program.good_until:
            yield Step(f"{name(number)} finds its lease over", self._with(world, number, Program(at="over")))
            return
        after = self._with(world._replace(shown=program.token), number, program._replace(at="work"))
        yield Step(
            f"{name(number)} shows token {program.token} and works", after, False, self._overlap(after)
        )

    def _work(self, world: World, number: int, program: Program) -> Iterator[Step]:
        me = name(number)
        refused = program.token < world.shown and "resource compares" not in self._without
        if refused:
            yield Step(f"{me}'s write is refused", self._with(world, number, Program(at="over")))
        else:
            newer = [p.token for p in world.programs if p.at == "work" and p.token > program.token]
            broken = None
            if (newer or program.token < world.shown) and "I3" in self._scene.promises:
                newest = max(newer, default=world.shown)
                broken = f"I3 a write with token {program.token} is accepted while token {newest} is in use"
            written = world._replace(shown=max(world.shown, program.token))
            if broken is not None or written != world:
                yield Step(f"{me} writes with token {program.token}", written, False, broken)
        if world.time >= program.good_until:
            # It only goes on here after a pause: it finds its lease over.
            yield Step(f"{me} finds its lease over", self._with(world, number, Program(at="over")))
            return
        yield Step(f"{me} has finished", self._with(world, number, program._replace(at="release")))
        if self._scene.renewals:
            sent = program._replace(
                at="renewing", sent_at=world.time, asked_lease=self._now(world, number) + self._scene.lease
            )
            if sent.sent_at + self._scene.lease > program.good_until:
                yield Step(f"{me} sends a renewal", self._with(world, number, sent))

    def _overlap(self, world: World) -> str | None:
        """Two in the section, neither of them paused beyond its lease, which nothing can prevent."""
        inside = [
            name(number)
            for number, program in enumerate(world.programs)
            if program.at in {"work", "renewing"} and world.time <= program.good_until
            and not (program.paused and world.time >= program.good_until)
        ]  # fmt: skip
        if len(inside) > 1 and "I1" in self._scene.promises:
            return f"I1 {' and '.join(inside)} work at the same time"
        return None

    def _release(self, world: World, number: int, program: Program) -> Iterator[Step]:
        me, grant = name(number), "ABC"[number]
        item = self.items[world.item]
        last = LastRun(owner=me, grant=grant, outcome="", at=0)

        def then(after: World, accepted: bool, new: int) -> tuple[World, str | None]:  # noqa: FBT001
            return self._with(after, number, Program(at="over")), None

        if item is not None and item.queue and item.holder and item.holder.owner == me:
            # What `lock.ending` does after the refusal, in one step: the fence makes sure of it.
            yield from self._pass_on(world, number, item, last)
            return
        event = Release(owner=me, grant=grant, last=last, last_run_key="", ttl=1)
        yield from self._write(world, f"{me} releases", ("release", number), event, then)

    def _pass_on(self, world: World, number: int, item: LockItem, last: LastRun) -> Iterator[Step]:
        me = name(number)
        head = item.queue[0].grant
        if head not in item.queue_ids:
            effect = self.items.perform(world.item, ("drop", head), lambda: DropHead(head=head))
            dropped = world._replace(item=effect.item)
            yield Step(f"{me} drops {head}, which left", dropped, False, effect.broken)
            return

        def then(after: World, accepted: bool, new: int) -> tuple[World, str | None]:  # noqa: FBT001
            return self._with(after, number, Program(at="over")), None

        expires = self._now(world, number) + self._scene.grace
        event = HandOff(
            held_by=me, fence=item.fence, head=head, expires_at=expires, last=last, last_run_key=""
        )
        key = ("hand-off", number, head, item.fence, expires)
        yield from self._write(world, f"{me} hands over to {head}", key, event, then)
