"""The real client over DynamoDB, by random steps with faults, under a virtual clock.

Three programs use one lock. Their clocks differ by seconds; requests and replies get lost, come late, or are
throttled; holders die without a word; an operator forces the lock open or deletes it. After every step the
promises hold. A failing run is shrunk to a short story by Hypothesis.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from moto import mock_aws

from lock import (
    Acquired,
    Duplicate,
    Holder,
    Left,
    LockItem,
    LockTable,
    Lost,
    NotHeld,
    Queued,
    Released,
    StoreUnavailableError,
    VirtualClock,
)
from lock.renewal import MARGIN
from tests.support.lock_tables import TABLE, Wire, in_process_client, tell_time

KEY = "articles"
LEASE_MS = 30_000
NAMES = ("a", "b", "c")


class SkewedClock(VirtualClock):
    """A program's own clock: some seconds off, but running at the same speed."""

    def __init__(self, true: VirtualClock, ahead_ms: int) -> None:
        super().__init__()
        self._true = true
        self._ahead_ms = ahead_ms

    def now_ms(self) -> int:
        return self._true.now_ms() + self._ahead_ms

    def monotonic(self) -> float:
        return self._true.monotonic()


@dataclass
class Program:
    """One program: its client, and what it believes."""

    name: str
    table: LockTable
    wire: Wire
    asking: Holder | None = None
    held: LockItem | None = None
    good_until: float = 0.0
    waiting: bool = False
    giving_back: bool = False
    dead: LockItem | None = None
    token: int = 0
    lives: int = field(default=0)

    def forget(self) -> None:
        self.asking, self.held, self.waiting, self.good_until = None, None, False, 0.0
        self.giving_back, self.dead = False, None


class Bench:
    """Clients are slow to make, so all runs use the same ones."""

    aws = None

    def __init__(self, attempts: int) -> None:
        first = Bench.aws is None
        if first:
            Bench.aws = mock_aws()
            Bench.aws.start()
        self.clock = VirtualClock()
        self.programs: list[Program] = []
        for name, ahead_ms in zip(NAMES, (0, 2_000, -2_000), strict=True):
            client = in_process_client(attempts=attempts, create=first and name == "a")
            tell_time(client, self.clock.now_ms)
            table = LockTable.connect(TABLE, client=client, clock=SkewedClock(self.clock, ahead_ms))
            self.programs.append(Program(name, table, Wire(client)))
        self.raw = in_process_client(create=False)

    def reset(self) -> None:
        self.clock.advance(60)
        self.raw.delete_item(TableName=TABLE, Key={"lock_key": {"S": KEY}})
        for program in self.programs:
            program.forget()
            program.token = 0
            program.wire.settle()

    def item(self) -> LockItem | None:
        found = self.raw.get_item(TableName=TABLE, Key={"lock_key": {"S": KEY}}, ConsistentRead=True)
        return LockItem.decode(found["Item"]) if "Item" in found else None


programs = st.sampled_from(range(len(NAMES)))
Condition = Callable[[Program], bool]


def idle(program: Program) -> bool:
    return program.held is None and not program.waiting


def asks(program: Program) -> bool:
    return idle(program) and program.asking is not None


def has_verdict(program: Program) -> bool:
    return asks(program) and program.dead is not None


def holds(program: Program) -> bool:
    return program.held is not None


def works(program: Program) -> bool:
    """Who has once asked to give back does nothing but ask again: its first request may still arrive."""
    return holds(program) and not program.giving_back


def waits(program: Program) -> bool:
    return program.waiting and program.asking is not None


def lives(program: Program) -> bool:
    return program.asking is not None


def has_late(program: Program) -> bool:
    return bool(program.wire.late)


def is_same_hold(one: Holder | None, other: Holder | None) -> bool:
    """A renewal writes into the holder, so an item read earlier differs from a later one of the same hold."""
    return one is not None and other is not None and (one.owner, one.grant) == (other.owner, other.grant)


def some(condition: Condition) -> Callable[["LockMachine"], bool]:
    """Only steps that can do something are drawn."""
    return lambda machine: any(condition(program) for program in machine.world.programs)


class LockMachine(RuleBasedStateMachine):
    """The steps. Subclasses say whether the SDK repeats requests."""

    attempts = 1
    bench: Bench | None = None

    @initialize()
    def begin(self) -> None:
        cls = type(self)
        if cls.bench is None:
            cls.bench = Bench(cls.attempts)
        self.world = cls.bench
        self.world.reset()
        self.last_token = 0
        self.forces = self.deletions = 0

    # -- helpers ------------------------------------------------------------------------------------------

    def _pick(self, condition: Condition, number: int) -> Program:
        able = [program for program in self.world.programs if condition(program)]
        return able[number % len(able)]

    def _now(self) -> float:
        return self.world.clock.monotonic()

    def _believers(self) -> list[Program]:
        return [p for p in self.world.programs if p.held is not None and self._now() < p.good_until]

    def _got(self, program: Program, result: Acquired) -> None:
        """A program is told that the lock is its own."""
        item = self.world.item()
        assert item is not None
        assert item.holder is not None
        assert item.holder.owner == result.holder.owner, "told 'mine', but the item says otherwise"
        if result.token != program.token:
            assert result.token > self.last_token, f"token went from {self.last_token} to {result.token}"
        program.token = self.last_token = result.token
        program.held, program.waiting = result.item, False
        program.good_until = result.sent_at + LEASE_MS / 1000 * (1 - MARGIN)

    # -- what programs do ---------------------------------------------------------------------------------

    @precondition(some(idle))
    @rule(number=programs)
    def acquire(self, number: int) -> None:
        program = self._pick(idle, number)
        if program.asking is None:
            program.lives += 1
            owner = f"{program.name}{program.lives}"
            program.asking = program.table.new_holder(owner=owner, job="j", lease_ms=LEASE_MS)
            program.token = 0
        try:
            result = program.table.acquire(KEY, program.asking)
        except StoreUnavailableError:
            return  # it may be mine or not: it asks again
        assert not isinstance(result, Duplicate)
        if isinstance(result, Acquired):
            self._got(program, result)
        else:
            assert result.holder.owner != program.asking.owner, "told 'held' by itself"

    @precondition(some(asks))
    @rule(number=programs)
    def look_whether_the_holder_is_dead(self, number: int) -> None:
        program = self._pick(asks, number)
        assert program.asking is not None
        try:
            seen = program.table.get(KEY)
        except StoreUnavailableError:
            return
        if seen is not None and seen.holder is not None and seen.holder.owner != program.asking.owner:
            program.dead = seen if program.table.is_dead(seen) else None

    @precondition(some(has_verdict))
    @rule(number=programs)
    def take_over_what_was_seen_dead(self, number: int) -> None:
        program = self._pick(has_verdict, number)
        seen, program.dead = program.dead, None
        assert program.asking is not None
        assert seen is not None
        try:
            result = program.table.take_over(seen, program.asking)
        except StoreUnavailableError:
            return
        if isinstance(result, Acquired):
            self._got(program, result)

    @precondition(some(works))
    @rule(number=programs)
    def renew(self, number: int) -> None:
        program = self._pick(works, number)
        assert program.held is not None
        assert program.held.holder is not None
        try:
            result = program.table.renew(KEY, program.held.holder)
        except StoreUnavailableError:
            return
        if isinstance(result, Lost):
            program.forget()
        else:
            program.good_until = result.sent_at + LEASE_MS / 1000 * (1 - MARGIN)

    @precondition(some(holds))
    @rule(number=programs)
    def release(self, number: int) -> None:
        program = self._pick(holds, number)
        assert program.held is not None
        before, waiting = self.world.item(), []
        if before is not None and is_same_hold(before.holder, program.held.holder):
            waiting = [entry.owner for entry in before.waiting]
        program.good_until, program.giving_back = 0.0, True  # it has stopped working before it gives back
        try:
            result = program.table.release(program.held)
        except StoreUnavailableError:
            return  # it asks again
        if isinstance(result, Released) and not result.repeated:
            handed = result.handed_to.owner if result.handed_to else None
            assert handed == (waiting[0] if waiting else None), "not first in, first out"
        if isinstance(result, NotHeld) and not program.wire.late:
            assert self.world.item() == before, "a release that was refused changed the item"
        program.forget()

    @precondition(some(asks))
    @rule(number=programs)
    def wait_in_line(self, number: int) -> None:
        program = self._pick(asks, number)
        assert program.asking is not None
        try:
            result = program.table.enqueue(KEY, program.asking, max_waiters=2)
        except StoreUnavailableError:
            return
        program.waiting = isinstance(result, Queued)

    @precondition(some(waits))
    @rule(number=programs)
    def look_whether_it_is_mine(self, number: int) -> None:
        program = self._pick(waits, number)
        assert program.asking is not None
        item = self.world.item()
        if item is None or item.holder is None or program.asking.grant not in item.queue_ids:
            program.waiting = False
        if item is None or item.holder is None or item.holder.owner != program.asking.owner:
            return
        try:
            result = program.table.renew(KEY, item.holder)
        except StoreUnavailableError:
            program.waiting = True
            return
        if not isinstance(result, Lost):
            held = result.item.holder
            assert held is not None
            got = Acquired(item=result.item, holder=held, token=result.item.fence, sent_at=result.sent_at)
            self._got(program, got)

    @precondition(some(waits))
    @rule(number=programs)
    def leave_the_line(self, number: int) -> None:
        program = self._pick(waits, number)
        assert program.asking is not None
        try:
            result = program.table.leave(KEY, grant=program.asking.grant)
        except StoreUnavailableError:
            return
        if isinstance(result, Left):
            program.forget()

    @rule(number=programs)
    def drop_a_dead_head(self, number: int) -> None:
        program = self.world.programs[number]
        item = self.world.item()
        if item is None or not item.queue:
            return
        owners = {p.asking.owner for p in self.world.programs if p.asking is not None}
        if item.queue[0].owner in owners:
            return
        try:
            program.table.drop_head(item)
        except StoreUnavailableError:
            return

    # -- what goes wrong ----------------------------------------------------------------------------------

    @rule(
        number=programs,
        fault=st.sampled_from(["lose_replies", "lose_requests", "delay_requests", "throttle"]),
    )
    def something_goes_wrong(self, number: int, fault: str) -> None:
        getattr(self.world.programs[number].wire, fault)()

    @precondition(some(has_late))
    @rule(number=programs)
    def late_requests_arrive(self, number: int) -> None:
        self._pick(has_late, number).wire.deliver_late()

    @precondition(some(lives))
    @rule(number=programs)
    def a_program_dies(self, number: int) -> None:
        self._pick(lives, number).forget()

    @rule(seconds=st.sampled_from([1, 5, 14, 40]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.advance(seconds)

    @precondition(lambda self: self.forces < 1)
    @rule()
    def an_operator_forces_it_open(self) -> None:
        item = self.world.item()
        if item is None or item.holder is None:
            return
        self.forces += 1
        for program in self._believers():
            program.good_until = 0.0  # the operator has made sure that it does not run
        operator = LockTable.connect(TABLE, client=self.world.raw, clock=self.world.clock)
        result = operator.force_release(KEY, token=item.fence, by="ops", reason="test")
        assert isinstance(result, Released)

    @precondition(lambda self: self.deletions < 1 and not some(has_late)(self))
    @rule()
    def somebody_deletes_it(self) -> None:
        self.deletions += 1
        for program in self._believers():
            program.good_until = 0.0
        self.world.raw.delete_item(TableName=TABLE, Key={"lock_key": {"S": KEY}})
        # The seed of the next fence is its maker's clock, which may be seconds slow.
        self.world.clock.advance(5)

    # -- what must hold -----------------------------------------------------------------------------------

    @invariant()
    def the_promises_hold(self) -> None:
        if not hasattr(self, "world"):
            return
        believers = self._believers()
        assert len(believers) <= 1, [program.name for program in believers]
        item = self.world.item()
        for program in believers:
            assert item is not None
            assert item.holder is not None
            assert program.asking is not None
            assert item.holder.owner == program.asking.owner
            assert item.token == program.token
        if item is None:
            return
        if item.holder is None:
            assert not item.queue
            assert item.lease_expires_at is None
        else:
            assert item.ttl is None
            assert item.lease_expires_at is not None
        assert item.queue_ids <= {entry.grant for entry in item.queue}
        assert item.fence >= self.last_token


class WithoutRetries(LockMachine):
    """Every lost request or reply is an error that the program sees."""

    attempts = 1


class WithRetries(LockMachine):
    """The SDK repeats requests by itself."""

    attempts = 3


_SETTINGS = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
# A run takes seconds; a failing one is shrunk for minutes, and the story is worth the wait.
TestWithoutRetries = pytest.mark.timeout(600)(WithoutRetries.TestCase)
TestWithoutRetries.settings = _SETTINGS
TestWithRetries = pytest.mark.timeout(600)(WithRetries.TestCase)
TestWithRetries.settings = _SETTINGS
