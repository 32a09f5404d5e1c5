"""Lock items and operations as small numbers, and what each operation may do to an item.

The rules are the product's own (`lock.rules.apply`); nothing about the lock is modelled a second time. Each
pair of item and operation is worked out and checked once.
"""

from collections.abc import Callable, Hashable
from typing import NamedTuple

from lock.events import Claim, Enqueue, Event, HandOff, ReArm, Release, ReleaseByFence, Renew, TakeOver
from lock.model import LockItem
from lock.rules import Reply, already_applied, apply

KEY = "lock"
NONE = 0
"""The number of "there is no item"."""

Rules = Callable[[LockItem | None, Event], Reply]


def sound_rules(item: LockItem | None, event: Event) -> Reply:
    """The product's rules."""
    return apply(item, event, key=KEY)


class Effect(NamedTuple):
    """What an operation did: the new item, whether it was accepted, and a promise broken by it.

    `recognised`: accepted, or refused by an item that shows it as done before.
    """

    item: int
    accepted: bool
    recognised: bool
    broken: str | None


class Items:
    """All items that occur in one search.

    Args:
        rules: the product's, or a mutant's.
        promises: which promises are checked, by their first word; see `docs/lock/safety.md`.
    """

    def __init__(self, rules: Rules, promises: frozenset[str]) -> None:
        self._rules = rules
        self._promises = promises
        self._items: list[LockItem | None] = [None]
        self._numbers: dict[LockItem | None, int] = {None: NONE}
        self._effects: dict[tuple[int, Hashable], Effect] = {}
        self._events: dict[Hashable, Callable[[], Event]] = {}

    def __getitem__(self, number: int) -> LockItem | None:
        return self._items[number]

    def perform(self, item: int, key: Hashable, event: Callable[[], Event]) -> Effect:
        """Apply an operation; `key` identifies it, `event` makes it where it is new for this item."""
        effect = self._effects.get((item, key))
        if effect is None:
            self._events[key] = event
            effect = self._effects[item, key] = self._work_out(self._items[item], event())
        return effect

    def remember(self, key: Hashable, event: Callable[[], Event]) -> None:
        """Keep an operation that will arrive late."""
        self._events[key] = event

    def arrive(self, item: int, key: Hashable) -> Effect:
        """Apply an operation that was kept."""
        return self.perform(item, key, self._events[key])

    def _work_out(self, before: LockItem | None, event: Event) -> Effect:
        reply = self._rules(before, event)
        after = reply.item
        recognised = reply.accepted or already_applied(event, after)
        broken = self._broken(before, event, after) if reply.accepted else None
        if broken is not None and broken.split()[0] not in self._promises:
            broken = None
        number = self._numbers.get(after)
        if number is None:
            number = self._numbers[after] = len(self._items)
            self._items.append(after)
        return Effect(number, reply.accepted, recognised, broken)

    def _broken(self, before: LockItem | None, event: Event, after: LockItem | None) -> str | None:
        if after is None:
            return None
        findings = {
            "I4 somebody who does not hold the lock changed it": before is not None
            and not self._is_holders(before, event),
            "I6 somebody waits for a free lock, and nobody will give it to them": after.queue
            and after.holder is None,
            "I6 somebody waits twice": isinstance(event, Enqueue)
            and before is not None
            and event.entry.grant in before.queue_ids,
            "I8 a lock in use may be collected": after.holder is not None and after.ttl is not None,
            "I9 a repeated release is not recognised": isinstance(event, Release)
            and not already_applied(event, self._rules(after, event).item),
        }
        overtaken = self._overtaken(before, event) if before is not None else None
        return overtaken or next((finding for finding, found in findings.items() if found), None)

    @staticmethod
    def _is_holders(before: LockItem, event: Event) -> bool:
        holder = before.holder
        match event:
            case Claim() | Renew() | ReArm() | Release():
                return holder is not None and (holder.owner, holder.grant) == (event.owner, event.grant)
            case TakeOver() | ReleaseByFence() | HandOff():
                return holder is not None and (holder.owner, before.fence) == (event.held_by, event.fence)
            case _:
                return True

    @staticmethod
    def _overtaken(before: LockItem, event: Event) -> str | None:
        match event:
            case HandOff() if event.head not in before.queue_ids:
                return "I6 one that had left the line is given the lock"
            case HandOff() if before.waiting and before.waiting[0].grant != event.head:
                return "I6 the first in line is passed over"
            case TakeOver() if before.waiting and before.waiting[0].grant != event.holder.grant:
                return "I6 a newcomer overtakes the line"
            case ReleaseByFence() | Release() if before.waiting:
                return "I6 the lock is freed over the heads of those who wait"
            case _:
                return None
