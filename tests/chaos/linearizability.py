"""Whether the calls of all processes can be put into one order that the lock's rules explain.

Every request to the lock table is a call: it took effect at one moment between its sending and its answer,
or, without an answer (its reply lost, its process killed), at one moment after its sending, or never. The
specification is `lock.rules.apply`, the product's own; an answer is explained only if accepted and item are
exactly those.

The search is Wing and Gong's, done just in time (Lowe, "Testing for linearizability", 2017): answers are gone
through in order of time, with the set of all configurations that explain what has been answered so far. A
configuration is an item and the calls already in it that are not answered yet. Of the calls that never will
be, only those are tried that can lead to the answer (`tests.chaos.open_calls`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lock.model import LockItem
from tests.chaos.history import decode_event
from tests.chaos.open_calls import Call, OpenCalls

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.chaos.history import Histories
    from tests.chaos.open_calls import Way


@dataclass(frozen=True)
class Verdict:
    """Of one lock. `stuck_at` is the first answer that no order explains, and `stories` what was possible."""

    key: str
    calls: int
    unanswered: int
    largest: int
    stuck_at: Call | None = None
    stories: tuple[str, ...] = ()


class Configuration(NamedTuple):
    """One explanation of what has been answered so far.

    Attributes:
        item: what the lock is by now.
        due: the calls that have happened although their answers are still to come.
        spent: the calls that have happened although they will never be answered.
    """

    item: LockItem | None
    due: frozenset[str]
    spent: frozenset[str]


class Kept:
    """Configurations without those that can do nothing that another cannot.

    Of two that agree in the item and in the calls that are due, the one that has spent fewer of the calls
    without an answer can do all that the other can.
    """

    def __init__(self) -> None:
        self._spent: dict[tuple[LockItem | None, frozenset[str]], list[frozenset[str]]] = {}

    def __iter__(self) -> Iterator[Configuration]:
        for (item, due), all_spent in self._spent.items():
            for spent in all_spent:
                yield Configuration(item, due, spent)

    def add(self, configuration: Configuration) -> bool:
        """False if one that is here can do all that it can."""
        item, due, spent = configuration
        others = self._spent.setdefault((item, due), [])
        if any(other <= spent for other in others):
            return False
        others[:] = [*(other for other in others if not spent <= other), spent]
        return True


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
    open_calls = OpenCalls()
    configurations = {Configuration(None, frozenset(), frozenset())}
    largest = 1
    for _, answered, call in moments:
        if not answered:
            open_calls.add(call)
            continue
        before = configurations
        kept = Kept()
        for configuration in before:
            for found in _including(call, configuration, open_calls):
                kept.add(found)
        configurations = set(kept)
        open_calls.remove(call.name)
        largest = max(largest, len(configurations))
        if not configurations:
            unknown = sum(c.answered is None for c in listed)
            return Verdict(key, len(listed), unknown, largest, call, tuple(_stories(before, open_calls)))
        configurations = _without_the_certain(configurations, open_calls)
    return Verdict(key, len(listed), sum(c.answered is None for c in listed), largest)


def _including(call: Call, configuration: Configuration, open_calls: OpenCalls) -> Iterator[Configuration]:
    """All configurations in which the call has happened, by way of any other open calls before it."""
    way = open_calls.way_to(call.item)
    configuration = _with_looks(configuration, way)
    if call.name in configuration.due:
        yield configuration._replace(due=configuration.due - {call.name})
        return
    if not way.leads_from(configuration.item):
        return
    kept = Kept()
    pending = deque([configuration])  # in order of what they have spent: the others are not kept
    while pending:
        for further in _one_further(pending.popleft(), way):
            reached = _with_looks(further, way)
            if call.name in reached.due:
                yield reached._replace(due=reached.due - {call.name})
            elif way.leads_from(reached.item) and kept.add(reached):
                pending.append(reached)


def _with_looks(configuration: Configuration, way: Way) -> Configuration:
    """With every call that has looked and saw this item: it may as well have looked now."""
    item, due, spent = configuration
    looked = {call.name for call in way.looks if call.item == item and call.effect(item)[1]}
    return configuration if looked <= due else Configuration(item, due | looked, spent)


def _one_further(configuration: Configuration, way: Way) -> Iterator[Configuration]:
    """What one more call makes of a configuration."""
    item, due, spent = configuration
    for call in way.calls_at(item):
        if call.name in due or call.name in spent:
            continue
        after, agrees = call.effect(item)
        # A call without an answer that changes nothing may as well not have happened.
        if not agrees or (call.answered is None and after == item):
            continue
        assert item is None or (after is not None and after.fence >= item.fence), "a way goes by that"
        if call.answered is None:
            yield Configuration(after, due, spent | {call.name})
        else:
            yield Configuration(after, due | {call.name}, spent)


def _without_the_certain(configurations: set[Configuration], open_calls: OpenCalls) -> set[Configuration]:
    """A call that has happened in every explanation is open no more."""
    certain = frozenset.intersection(*(configuration.spent for configuration in configurations))
    if not certain:
        return configurations
    for name in certain:
        open_calls.remove(name)
    return {Configuration(item, due, spent - certain) for item, due, spent in configurations}


def _stories(configurations: Iterable[Configuration], open_calls: Iterable[Call]) -> Iterator[str]:
    for item, _, _ in configurations:
        holder = item.holder.owner if item and item.holder else "nobody"
        yield f"held by {holder}, fence {item.fence if item else None}"
    yield from (f"under way: {call}" for call in open_calls)
