"""A definition that can run."""

from collections.abc import Iterator
from dataclasses import dataclass

from statemachine.interpreter.reading import read_definition
from statemachine.interpreter.states import DistributedMap, Graph, Map, Parallel, Task


@dataclass(frozen=True)
class Machine:
    """A parsed and checked definition.

    Attributes:
        graph: the outermost states.
        timeout_seconds: the whole execution's limit, or None.
    """

    graph: Graph
    timeout_seconds: int | None = None

    @staticmethod
    def parse(text: str) -> "Machine":
        """Reads and checks a definition.

        Args:
            text: Amazon States Language, JSON.

        Raises:
            DefinitionError: with every problem, each with its state's name.
        """
        return Machine(*read_definition(text))

    def tasks(self) -> Iterator[Task]:
        """Every Task state at any depth, so that an engine can refuse integrations that it lacks."""
        yield from _tasks(self.graph)


def _tasks(graph: Graph) -> Iterator[Task]:
    for state in graph.states.values():
        if isinstance(state, Task):
            yield state
        elif isinstance(state, Parallel):
            for branch in state.branches:
                yield from _tasks(branch)
        elif isinstance(state, (Map, DistributedMap)):
            yield from _tasks(state.processor)
