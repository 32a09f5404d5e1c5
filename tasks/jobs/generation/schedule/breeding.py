"""A population of schedules: two good ones make a third, and the worst goes.

The genetic algorithm over orders of activities is Hartmann's (1998), justifying every child that of Valls,
Ballestín and Quintanilla (2008). On hard projects it is ahead of a solver for the first minutes; what it
cannot do is prove that nothing is better.
"""

import random
from collections.abc import Callable, Sequence
from typing import Final

from tasks.jobs.generation.schedule.construct import Builder, Starts

_MEMBERS: Final = 40
# How far the first members stray from the rule of thumb, as a share of the makespan.
_SPREAD: Final = 0.08
# Share of the activities that change their place in a child, and how far at most.
_MUTATED: Final = 0.05
_FARTHEST: Final = 6
# So many children in a row that are no better than the worst member: the best begins with new ones.
_IDLE: Final = 60

Member = tuple[tuple[int, int], Starts]


class Population:
    """Schedules of one builder, the given one among them."""

    def __init__(self, builder: Builder, first: Starts, chance: random.Random) -> None:
        self._builder = builder
        self._chance = chance
        self._members: list[Member] = [(builder.value(first), first)]
        self._idle = 0  # children in a row that were no better than the worst

    @property
    def best(self) -> Member:
        """Value and starts of the best."""
        return min(self._members)

    def breed(self, *, enough: Callable[[], bool], found: Callable[[Starts], None]) -> None:
        """Go on until `enough`; `found` gets every schedule that is better than all before."""
        best = self.best[0]
        while not enough():
            if self._idle >= _IDLE:
                self._members = [self.best]  # all are kin by now
                self._idle = 0
            founding = len(self._members) < _MEMBERS
            member = self._built(self._founder() if founding else self._child())
            if member is None:
                continue
            if founding:
                self._members.append(member)
            else:
                self._replace_worst(member)
            if member[0] < best:
                best = member[0]
                found(member[1])

    def _built(self, priority: Sequence[float]) -> Member | None:
        """The schedule of an order, justified; None if an activity fits nowhere."""
        starts = self._builder.forward(priority)
        if starts is None:
            return None
        made = [(self._builder.value(starts), starts)]
        justified = self._builder.justify(starts)
        if justified is not None:
            made.append((self._builder.value(justified), justified))
        return min(made)

    def _founder(self) -> list[float]:
        spread = _SPREAD * max(self.best[0][1], 1)
        return [point + self._chance.gauss(0, spread) for point in self._builder.latest_ends]

    def _child(self) -> list[float]:
        """The mother's order, but for a stretch of it that is in the father's."""
        mother, father = self._parent(), self._parent()
        begin, end = sorted(self._chance.sample(range(len(mother) + 1), 2))
        order = mother[:begin]
        taken = set(order)
        order += [number for number in father if number not in taken][: end - begin]
        taken.update(order)
        order += [number for number in mother if number not in taken]
        places = [0.0] * len(order)
        for place, number in enumerate(order):
            moved = self._chance.random() < _MUTATED
            places[number] = place + (self._chance.uniform(-_FARTHEST, _FARTHEST) if moved else 0)
        return places

    def _parent(self) -> list[int]:
        """The order of the better of two members."""
        starts = min(self._chance.sample(self._members, 2))[1]
        return sorted(range(len(starts)), key=starts.__getitem__)

    def _replace_worst(self, member: Member) -> None:
        worst = max(range(len(self._members)), key=lambda at: self._members[at][0])
        if member[0] <= self._members[worst][0] and member not in self._members:
            self._idle = 0 if member[0] < self._members[worst][0] else self._idle + 1
            self._members[worst] = member
        else:
            self._idle += 1
