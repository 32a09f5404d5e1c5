"""The calls to a lock that are under way, or will be for ever, and which of them can lead to an answer.

Calls that were never answered stay open for ever, and in a long fight they are many. But each of them needs
a name on the item, a grant or an owner, without which `lock.rules` refuses it, or it brings one there. And a
name that stands on the item goes away only by a call that names it. So what brings somebody onto the item who
does not stand in the answer, and whom no open call names, need not be tried.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lock import events
from lock.rules import apply

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lock.events import Event
    from lock.model import Holder, LockItem


@dataclass(frozen=True)
class Call:
    """One request. `event` None: a consistent read. `answered` None: nobody knows whether it happened."""

    name: str
    key: str
    event: Event | None
    sent: int
    answered: int | None = None
    accepted: bool = True
    item: LockItem | None = None

    @property
    def looked(self) -> bool:
        """Whether its answer shows that it changed nothing: it read, was refused, or found another holder."""
        if self.answered is None:
            return False
        if isinstance(self.event, events.Acquire) and self.item is not None:
            return self.item.holder != self.event.holder
        return self.event is None or not self.accepted

    def effect(self, item: LockItem | None) -> tuple[LockItem | None, bool]:
        """The item after it, and whether that agrees with its answer, if there was one."""
        if self.event is None:
            return item, self.answered is None or self.item == item
        reply = apply(item, self.event, key=self.key)
        after = reply.item if reply.accepted else item
        agrees = self.answered is None or (self.accepted, self.item) == (reply.accepted, reply.item)
        return after, agrees

    def __str__(self) -> str:
        what = "read" if self.event is None else type(self.event).__name__
        owner = getattr(self.event, "owner", None) or getattr(
            getattr(self.event, "holder", None), "owner", "?"
        )
        answer = "no answer" if self.answered is None else "accepted" if self.accepted else "refused"
        return f"{what} by {owner} ({answer}; call {self.name})"


class OpenCalls:
    """Those that were sent and not answered yet."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._due: dict[str, Call] = {}
        self._bringing: dict[str, tuple[Call, Holder]] = {}
        self._by_name: dict[str, dict[str, Call]] = {}
        self._removing: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls.values())

    def add(self, call: Call) -> None:
        """It was sent."""
        self._calls[call.name] = call
        named = _named(call.event)
        if not isinstance(call.event, _STAYING):
            self._removing.update(named)
        if call.answered is not None:
            self._due[call.name] = call
        elif isinstance(call.event, events.Acquire):
            self._bringing[call.name] = call, call.event.holder
        elif isinstance(call.event, events.Enqueue):
            self._bringing[call.name] = call, call.event.entry
        elif named:
            self._by_name.setdefault(named[0], {})[call.name] = call

    def remove(self, name: str) -> None:
        """It was answered, or it has happened in every explanation."""
        call = self._calls.pop(name)
        named = _named(call.event)
        if not isinstance(call.event, _STAYING):
            self._removing.subtract(named)
        if self._due.pop(name, None) is None and self._bringing.pop(name, None) is None:
            del self._by_name[named[0]][name]

    def way_to(self, goal: LockItem | None) -> Way:
        """The way to an item, of the calls that are open now."""
        return Way(goal, self._due, self._bringing.values(), self._by_name, self._removing)


class Way:
    """What may happen before the lock is as an answer says."""

    def __init__(
        self,
        goal: LockItem | None,
        due: Mapping[str, Call],
        bringing: Iterable[tuple[Call, Holder]],
        by_name: Mapping[str, Mapping[str, Call]],
        removing: Mapping[str, int],
    ) -> None:
        self._goal = goal
        self._grants = {holder.grant for holder in _standing(goal)}
        self._removing = removing
        self._by_name = by_name
        self.looks = [call for call in due.values() if call.looked]
        self._everywhere = [*due.values(), *(call for call, holder in bringing if self._passes(holder))]

    def leads_from(self, item: LockItem | None) -> bool:
        """Whether it may lead from this item to the goal. The fence never falls."""
        if item is None or self._goal is None:
            return item is None
        return item.fence <= self._goal.fence and all(self._passes(holder) for holder in _standing(item))

    def calls_at(self, item: LockItem | None) -> Iterator[Call]:
        """The calls that may come next; all others would be refused, or lead elsewhere."""
        yield from self._everywhere
        for name in {name for holder in _standing(item) for name in (holder.grant, holder.owner)}:
            yield from self._by_name.get(name, {}).values()

    def _passes(self, holder: Holder) -> bool:
        """Whether somebody may stand on the item: stands on the goal, too, or is named by an open call."""
        return (
            holder.grant in self._grants
            or self._removing.get(holder.grant, 0) > 0
            or self._removing.get(holder.owner, 0) > 0
        )


def _standing(item: LockItem | None) -> Iterator[Holder]:
    """Who holds the lock, and who stands in the line."""
    if item is not None:
        if item.holder is not None:
            yield item.holder
        yield from item.queue


def _named(event: Event | None) -> list[str]:
    """The names without which the rules refuse an operation."""
    return [name for attribute in _NAMES[type(event)] if (name := getattr(event, attribute)) is not None]


_NAMES: Final[Mapping[type, tuple[str, ...]]] = {
    type(None): (),
    events.Acquire: (),
    events.Claim: ("grant",),
    events.Renew: ("grant",),
    events.TakeOver: ("held_by", "head"),
    events.ReArm: ("grant",),
    events.Release: ("grant",),
    events.ReleaseByFence: ("held_by",),
    events.HandOff: ("held_by", "head"),
    events.Enqueue: (),
    events.Leave: ("grant",),
    events.DropHead: ("head",),
}
_STAYING = (events.Claim, events.Renew, events.Leave)
"""Whoever these name stands on the item afterwards, too."""
