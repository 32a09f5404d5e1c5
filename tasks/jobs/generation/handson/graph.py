"""The tasks of a project as a graph: order, what hangs on what, and what is wrong with it."""

import graphlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.jobs.generation.handson.project import Project, Task


@dataclass(frozen=True)
class Graph:
    """A project whose tasks are known to have an order."""

    project: Project
    tasks: Mapping[str, Task]
    # Every task after all it waits for; otherwise as written.
    order: tuple[str, ...]
    # Who waits for a task, directly.
    followers: Mapping[str, tuple[str, ...]]
    # The weight of the longest chain from a task (itself included) to an end.
    tail: Mapping[str, float]
    # In which column of a picture it stands: the number of tasks in the longest chain before it.
    depth: Mapping[str, int]

    def descendants(self, task: str) -> frozenset[str]:
        """Everything that waits for `task`, directly or not."""
        found: set[str] = set()
        ahead = [task]
        while ahead:
            for follower in self.followers[ahead.pop()]:
                if follower not in found:
                    found.add(follower)
                    ahead.append(follower)
        return frozenset(found)


def graph_of(project: Project) -> Graph:
    """The graph of a project in which `mistakes` finds nothing."""
    tasks = {task.id: task for task in project.tasks}
    followers: dict[str, list[str]] = {name: [] for name in tasks}
    for task in project.tasks:
        for name in dict.fromkeys(task.after):
            followers[name].append(task.id)
    order = tuple(graphlib.TopologicalSorter({task.id: task.after for task in project.tasks}).static_order())
    tail: dict[str, float] = {}
    for name in reversed(order):
        tail[name] = tasks[name].weight + max((tail[other] for other in followers[name]), default=0.0)
    depth: dict[str, int] = {}
    for name in order:
        depth[name] = max((depth[other] + 1 for other in tasks[name].after), default=0)
    frozen = {name: tuple(names) for name, names in followers.items()}
    return Graph(project, tasks, order, frozen, tail, depth)


def mistakes(tasks: Sequence[Task]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What keeps the tasks from having an order: (place under ``tasks``, words)."""
    ids: dict[str, int] = {}
    for number, task in enumerate(tasks):
        if ids.setdefault(task.id, number) != number:
            yield (number, "id"), f"task {task.id} is there twice"
    unknown = False
    for number, task in enumerate(tasks):
        for index, name in enumerate(task.after):
            if name not in ids:
                unknown = True
                yield (number, "after", index), f"task {task.id} waits for {name}, which is not there"
    if unknown:
        return
    try:
        graphlib.TopologicalSorter({task.id: task.after for task in tasks}).prepare()
    except graphlib.CycleError as error:
        circle: list[str] = error.args[1]
        first = circle[0]
        if len(set(circle)) == 1:
            yield (ids[first], "after"), f"task {first} waits for itself"
        else:
            # graphlib lists a circle from what is waited for to who waits.
            chain = " waits for ".join(reversed(circle))
            yield (ids[first], "after"), f"the tasks wait for each other in a circle: {chain}"
