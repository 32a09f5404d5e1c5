"""Breadth-first search over every state a world can reach, with the shortest way to a broken promise.

A world is a set of processes that share one lock. Its states are hashable tuples; its successors come with
the step that leads to them and with the promise that the step breaks, if any. Visited states are remembered
by their 64-bit hash, so that millions fit into memory; the chance that two of n states share one is below
n**2 / 2**65 (1e-6 for five million), and a broken promise that is found is always replayed in full.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

State = tuple[Any, ...]


class Step(NamedTuple):
    """One atomic action: who does what, whether it is a fault, and the promise it breaks."""

    story: str
    state: State
    fault: bool = False
    broken: str | None = None


class World(Protocol):
    """Something to search."""

    def initial(self) -> State:
        """The first state."""

    def steps(self, state: State) -> Iterable[Step]:
        """Everything that can happen next."""

    def show(self, state: State) -> str:
        """The lock, in a few words, for the margin of a story."""


@dataclass(frozen=True)
class Outcome:
    """What a search found.

    Attributes:
        states: how many different states were seen.
        steps: how many steps between them.
        exhausted: whether there is nothing else within the world's bounds.
        broken: the first promise broken, by a shortest way.
        story: that way, one step a line.
    """

    states: int
    steps: int
    exhausted: bool
    broken: str | None
    story: tuple[str, ...]

    @property
    def length(self) -> int:
        """Steps to the broken promise."""
        return len(self.story)

    def told(self) -> str:
        """The story for people."""
        lines = [f"{number:3}. {line}" for number, line in enumerate(self.story, 1)]
        return "\n".join([*lines, f"     => {self.broken}"])


def search(world: World, *, at_most: int = 10_000_000) -> Outcome:
    """Look at every state, nearest first, until a promise is broken, all are seen, or there are too many."""
    first = world.initial()
    parents: dict[int, int] = {hash(first): 0}
    frontier = [first]
    taken = 0
    while frontier:
        following: list[State] = []
        for state in frontier:
            here = hash(state)
            for step in world.steps(state):
                taken += 1
                if step.broken is not None:
                    way = [*_way(world, parents, here), step]
                    told = tuple(_tell(world, way))
                    return Outcome(len(parents), taken, False, step.broken, told)
                there = hash(step.state)
                if there not in parents:
                    parents[there] = here
                    following.append(step.state)
        if len(parents) > at_most:
            return Outcome(len(parents), taken, False, None, ())
        frontier = following
    return Outcome(len(parents), taken, True, None, ())


def reaches(world: World, wanted: Callable[[State], bool]) -> bool:
    """Whether some state is as wanted."""
    first = world.initial()
    seen = {hash(first)}
    frontier = [first]
    while frontier:
        state = frontier.pop()
        if wanted(state):
            return True
        for step in world.steps(state):
            if hash(step.state) not in seen:
                seen.add(hash(step.state))
                frontier.append(step.state)
    return False


def _way(world: World, parents: dict[int, int], last: int) -> list[Step]:
    """The steps from the first state to the one with this hash, by walking them again."""
    hashes = [last]
    while parents[hashes[-1]]:
        hashes.append(parents[hashes[-1]])
    state = world.initial()
    way = []
    for wanted in reversed(hashes[:-1]):
        step = next(step for step in world.steps(state) if hash(step.state) == wanted)
        way.append(step)
        state = step.state
    return way


def _tell(world: World, way: list[Step]) -> Iterator[str]:
    for step in way:
        mark = "!" if step.fault else " "
        yield f"{mark} {step.story:<78} | {world.show(step.state)}"


def stuck_states(
    world: World, *, is_goal: Callable[[State], bool], at_most: int = 2_000_000
) -> tuple[int, State | None]:
    """Every state must have a way, without further faults, to a goal.

    Returns:
        How many states were seen, and one that has no such way, or None.
    """
    first = world.initial()
    numbers: dict[State, int] = {first: 0}
    order = [first]
    back: list[list[int]] = [[]]
    goals = []
    position = 0
    while position < len(order):
        state = order[position]
        if is_goal(state):
            goals.append(position)
        for step in world.steps(state):
            there = numbers.get(step.state)
            if there is None:
                there = numbers[step.state] = len(order)
                order.append(step.state)
                back.append([])
                if there > at_most:
                    raise MemoryError(f"more than {at_most} states: choose smaller bounds")
            if not step.fault:
                back[there].append(position)
        position += 1
    can = _backwards(goals, back)
    return len(order), next((order[number] for number in range(len(order)) if number not in can), None)


def _backwards(goals: list[int], back: list[list[int]]) -> set[int]:
    """The states from which some goal can be reached."""
    can = set(goals)
    pending = list(goals)
    while pending:
        for number in back[pending.pop()]:
            if number not in can:
                can.add(number)
                pending.append(number)
    return can
