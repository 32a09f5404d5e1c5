"""Whether the calls of all processes can be put into one order that the lock's rules explain.

Every request to the lock table is a call: it took effect at one moment between its sending and its answer,
or, without an answer (its reply lost, its process killed), at one moment after its sending, or never. The
specification is `lock.rules.apply`, the product's own; an answer is explained only if accepted and item are
exactly those.

The search is Wing and Gong's, done just in time (Lowe, "Testing for linearizability", 2017): answers are gone
through in order of time, with the set of all configurations that explain what has been answered so far. A
configuration is an item and the calls already in it that are not answered yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lock.model import LockItem
from lock.rules import apply
from tests.chaos.history import decode_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lock.events import Event
    from tests.chaos.history import Histories


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


@dataclass(frozen=True)
class Verdict:
    """Of one lock. `stuck_at` is the first answer that no order explains, and `stories` what was possible."""

    key: str
    calls: int
    unanswered: int
    largest: int
    stuck_at: Call | None = None
    stories: tuple[str, ...] = ()


Configuration = tuple[LockItem | None, frozenset[str]]


def calls_of(histories: Histories) -> dict[str, list[Call]]:
    """The calls of every lock, in the order of their sending."""
    answers: dict[str, dict[str, Any]] = {line["call"]: line for line in histories.of("answered")}
    calls: dict[str, list[Call]] = {}
    for line in histories.of("sent"):
        event = line["event"] and decode_event(line["event"])
        call = Call(line["call"], line["key"], event, line["at"])
        answer = answers.get(call.name)
        if answer:
            item = LockItem.decode(answer["item"]) if answer["item"] else None
            call = Call(call.name, call.key, event, call.sent, answer["at"], answer["accepted"], item)
        elif event is None:
            continue  # a read that nobody heard of has done nothing
        calls.setdefault(call.key, []).append(call)
    return calls


def check(key: str, calls: Iterable[Call]) -> Verdict:
    """Look for one order of the calls of one lock."""
    listed = sorted(calls, key=lambda call: call.sent)
    moments = sorted(
        [(call.sent, 0, call) for call in listed]
        + [(call.answered, 1, call) for call in listed if call.answered is not None],
        key=lambda moment: moment[:2],
    )
    open_calls: dict[str, Call] = {}
    configurations: set[Configuration] = {(None, frozenset())}
    largest = 1
    for _, answered, call in moments:
        if not answered:
            open_calls[call.name] = call
            continue
        before = configurations
        configurations = _fewest(
            (found for configuration in before for found in _including(call, configuration, open_calls)),
            open_calls,
        )
        del open_calls[call.name]
        largest = max(largest, len(configurations))
        if not configurations:
            unknown = sum(c.answered is None for c in listed)
            return Verdict(key, len(listed), unknown, largest, call, tuple(_stories(before, open_calls)))
    return Verdict(key, len(listed), sum(c.answered is None for c in listed), largest)


def _including(
    call: Call, configuration: Configuration, open_calls: dict[str, Call]
) -> Iterator[Configuration]:
    """All configurations in which the call has happened, by way of any other open calls before it."""
    seen: set[Configuration] = set()
    pending = [configuration]
    while pending:
        item, done = pending.pop()
        if call.name in done:
            yield item, done - {call.name}
            continue
        for other in open_calls.values():
            if other.name in done:
                continue
            after, agrees = other.effect(item)
            # A call without an answer that changes nothing may as well not have happened.
            if not agrees or (other.answered is None and after == item):
                continue
            reached = (after, done | {other.name})
            if reached not in seen:
                seen.add(reached)
                pending.append(reached)


def _fewest(configurations: Iterable[Configuration], open_calls: dict[str, Call]) -> set[Configuration]:
    """Without those that can do nothing that another cannot.

    Of two that agree in the item and in the calls whose answers are still to come, the one that has used
    fewer of the calls that will never be answered can do all that the other can.
    """
    kept: dict[tuple[LockItem | None, frozenset[str]], list[frozenset[str]]] = {}
    for item, done in configurations:
        due = frozenset(name for name in done if open_calls[name].answered is not None)
        maybe = done - due
        others = kept.setdefault((item, due), [])
        if not any(other <= maybe for other in others):
            kept[item, due] = [*(other for other in others if not maybe <= other), maybe]
    return {(item, due | maybe) for (item, due), all_maybe in kept.items() for maybe in all_maybe}


def _stories(configurations: Iterable[Configuration], open_calls: dict[str, Call]) -> Iterator[str]:
    for item, _ in configurations:
        holder = item.holder.owner if item and item.holder else "nobody"
        yield f"held by {holder}, fence {item.fence if item else None}"
    yield from (f"under way: {call}" for call in open_calls.values())
