"""The search for an order finds what trying every order finds, also where nobody could try them all."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lock import Holder, LastRun, LockItem, StaleTask
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
    Renew,
    TakeOver,
)
from lock.rules import apply
from tests.chaos.linearizability import check
from tests.chaos.open_calls import Call

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ("a", "b", "c")


def holder(name: str, grant: str = "") -> Holder:
    return Holder(owner=name, kind="cli", grant=grant or f"g-{name}", lease_ms=1000)


def last(name: str) -> LastRun:
    return LastRun(owner=name, grant=f"g-{name}", outcome="succeeded", at=5)


def acquire(name: str) -> Acquire:
    return Acquire(holder=holder(name), expires_at=1000, now=100)


def release(name: str) -> Release:
    return Release(owner=name, grant=f"g-{name}", last=last(name), last_run_key="", ttl=9)


def enqueue(name: str, limit: int = 4) -> Enqueue:
    return Enqueue(entry=holder(name), limit=limit)


class Table:
    """Makes calls one after the other, with the answers that a lock table gives."""

    def __init__(self) -> None:
        self.item: LockItem | None = None
        self.calls: list[Call] = []

    def call(self, event: Event, *, lost: bool, happens: bool = True) -> None:
        reply = apply(self.item, event, key="k")
        if happens and reply.accepted:
            self.item = reply.item
        self._note(event, reply.item, accepted=reply.accepted, lost=lost)

    def read(self) -> None:
        self._note(None, self.item)

    def _note(
        self, event: Event | None, item: LockItem | None, *, accepted: bool = True, lost: bool = False
    ) -> None:
        sent = 2 * len(self.calls)
        answered = None if lost else sent + 1
        self.calls.append(Call(f"c{sent}", "k", event, sent, answered, accepted, item))


def tried_in_every_order(calls: list[Call]) -> bool:
    """Whether they are linearizable, by the definition."""
    hopeless: set[tuple[LockItem | None, frozenset[str]]] = set()

    def search(item: LockItem | None, left: dict[str, Call]) -> bool:
        if all(call.answered is None for call in left.values()):
            return True
        state = (item, frozenset(left))
        if state in hopeless:
            return False
        for call in left.values():
            if any(other.answered is not None and other.answered < call.sent for other in left.values()):
                continue  # that one was over before this was sent
            after, agrees = call.effect(item)
            if agrees and search(after, {name: c for name, c in left.items() if name != call.name}):
                return True
        hopeless.add(state)
        return False

    return search(None, {call.name: call for call in calls})


def random_event(dice: random.Random, seen: list[LockItem]) -> Event:
    """An operation as somebody might ask for it who has once seen the item, mostly not long ago."""
    name = dice.choice(NAMES)
    if not seen:
        return acquire(name)
    item = seen[-1] if dice.random() < 0.8 else dice.choice(seen)
    held = item.holder or holder(name)
    head = item.queue[0].grant if item.queue else f"g-{dice.choice(NAMES)}"
    task = StaleTask(task_arn="t1") if dice.random() < 0.3 else None
    entered = holder(name, head if dice.random() < 0.3 else "")
    kinds: list[Callable[[], Event]] = [
        lambda: acquire(name),
        lambda: acquire(name),
        lambda: enqueue(name, dice.choice((1, 2, 4))),
        lambda: Claim(owner=held.owner, grant=held.grant, task_arn=dice.choice(("t1", "t2")), now=7),
        lambda: Renew(
            owner=held.owner,
            grant=held.grant,
            expires_at=dice.choice((2000, 3000)),
            now=8,
            task_arn=held.task_arn,
        ),
        lambda: TakeOver(
            holder=entered,
            expires_at=4000,
            held_by=held.owner,
            fence=item.fence,
            lease=item.lease_expires_at or 1000,
            old_task=task,
            head=head if item.queue else None,
        ),
        lambda: ReArm(
            owner=held.owner,
            grant=held.grant,
            new_grant=f"{held.grant}+",
            family="f",
            expires_at=5000,
            fence=item.fence,
        ),
        lambda: replace(release(held.owner), grant=held.grant, task_arn=held.task_arn),
        lambda: ReleaseByFence(
            held_by=held.owner, fence=item.fence, last=last(held.owner), last_run_key="", ttl=9, old_task=task
        ),
        lambda: HandOff(
            held_by=held.owner,
            fence=item.fence,
            head=head,
            expires_at=6000,
            last=last(held.owner),
            last_run_key="",
        ),
        lambda: Leave(grant=head),
        lambda: DropHead(head=head),
    ]
    return dice.choice(kinds)()


def random_calls(dice: random.Random, count: int) -> list[Call]:
    """Calls that overlap, of which many were never answered; in half of the cases one answer is forged."""
    item: LockItem | None = None
    seen: list[LockItem] = []
    calls: list[Call] = []
    for number in range(count):
        event = None if dice.random() < 0.1 else random_event(dice, seen)
        moment = 10 * number
        sent, answered = moment - dice.randrange(25), moment + dice.randrange(25)
        lost = event is not None and dice.random() < 0.45
        reply = apply(item, event, key="k") if event else None
        if reply and reply.accepted and not (lost and dice.random() < 0.4):
            item = reply.item
            seen += [item] if item else []
        answer = reply.item if reply else item
        accepted = reply.accepted if reply else True
        calls.append(Call(f"c{number}", "k", event, sent, None if lost else answered, accepted, answer))
    answers = [index for index, call in enumerate(calls) if call.answered is not None]
    if answers and dice.random() < 0.5:
        index = dice.choice(answers)
        forged = replace(calls[index], item=calls[dice.choice(answers)].item)
        if dice.random() < 0.3:
            forged = replace(calls[index], accepted=not calls[index].accepted)
        calls[index] = forged
    return calls


@pytest.mark.parametrize("seed", range(10))
def test_it_finds_what_trying_every_order_finds(seed: int) -> None:
    dice = random.Random(seed)
    found = {True: 0, False: 0}
    for _ in range(300):
        calls = random_calls(dice, dice.randint(3, 8))
        verdict = check("k", calls)
        expected = tried_in_every_order(calls)
        assert (verdict.stuck_at is None) == expected, calls
        found[expected] += 1
    assert min(found.values()) > 30, "both must come up often"


class TestManyCallsWithoutAnAnswer:
    """As a long fight leaves them: too many for every order of them to be tried."""

    def line(self, *names: str) -> tuple[list[Call], Table]:
        """One holds; hundreds that nobody heard of again asked for the lock, or for a place in the line."""
        table = Table()
        table.call(acquire("holder"), lost=False)
        for number in range(200):
            table.call(acquire(f"taker-{number}"), lost=True, happens=False)
            table.call(enqueue(f"waiter-{number}"), lost=True, happens=f"waiter-{number}" in names)
        for now in range(20):
            table.call(Renew(owner="holder", grant="g-holder", expires_at=now + 1000, now=now), lost=True)
        return table.calls, table

    def test_those_that_happened_are_found_out(self) -> None:
        calls, table = self.line("waiter-7", "waiter-150")
        table.read()
        table.call(DropHead(head="g-waiter-7"), lost=False)
        table.call(DropHead(head="g-waiter-150"), lost=True)
        table.call(release("holder"), lost=True)
        table.call(acquire("taker-44"), lost=True)
        table.call(release("taker-44"), lost=True)
        table.call(acquire("next"), lost=False)
        verdict = check("k", calls)
        assert (verdict.stuck_at, verdict.unanswered) == (None, 424)

    def test_one_that_never_asked_is_not_explained(self) -> None:
        calls, table = self.line("waiter-7", "waiter-150")
        assert table.item is not None
        table.item = replace(table.item, queue=(*table.item.queue, holder("stranger")))
        table.read()
        assert check("k", calls).stuck_at == calls[-1]

    def test_an_order_that_nobody_can_have_stood_in_is_not_explained(self) -> None:
        calls, table = self.line("waiter-7", "waiter-150")
        table.read()
        assert table.item is not None
        table.item = replace(table.item, queue=table.item.queue[::-1])
        table.read()
        assert check("k", calls).stuck_at == calls[-1]

    def test_one_that_has_happened_for_certain_does_not_happen_again(self) -> None:
        table = Table()
        table.call(acquire("a"), lost=False)
        table.call(release("a"), lost=True)
        table.call(acquire("b"), lost=False)
        table.call(release("b"), lost=False)
        table.call(acquire("a"), lost=False)
        assert check("k", table.calls).stuck_at is None
        table.item = apply(table.item, release("a"), key="k").item
        table.read()
        assert check("k", table.calls).stuck_at == table.calls[-1]

    @pytest.mark.parametrize("turned", [False, True])
    def test_of_two_ways_none_is_forgotten_that_leaves_another_call_open(self, *, turned: bool) -> None:
        table = Table()
        table.call(acquire("a"), lost=False)
        by_fence = ReleaseByFence(held_by="a", fence=100, last=last("a"), last_run_key="", ttl=9)
        lost: list[Event] = [release("a"), by_fence]
        for event in reversed(lost) if turned else lost:
            table.call(event, lost=True)
        table.call(acquire("b"), lost=False)
        table.call(release("b"), lost=False)
        table.call(acquire("a"), lost=False)
        # The first release was that by fence, then; the other does not fit any more.
        table.item = apply(table.item, release("a"), key="k").item
        table.read()
        assert check("k", table.calls).stuck_at is None

    def test_a_renewal_that_would_change_nothing_now_may_yet_change_something(self) -> None:
        def renewal(expires_at: int) -> Renew:
            return Renew(owner="a", grant="g-a", expires_at=expires_at, now=8)

        table = Table()
        table.call(acquire("a"), lost=False)
        table.call(renewal(2000), lost=True)
        table.read()
        late = len(table.calls)
        table.call(renewal(2000), lost=False)
        table.read()
        table.call(renewal(3000), lost=False)
        table.item = apply(table.item, renewal(2000), key="k").item
        table.read()
        # The renewal of the middle came last, and so did its answer.
        table.calls[late] = replace(table.calls[late], answered=2 * len(table.calls))
        assert check("k", table.calls).stuck_at is None
        assert check("k", [call for call in table.calls if call.name != table.calls[late].name]).stuck_at
