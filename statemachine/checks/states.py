"""A definition as a tree of graphs of states, and the expressions in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Body = Mapping[str, Any]

# Fields of a state that hold states, or that are read on their own.
_NOT_EXPRESSIONS: Final = frozenset(
    {"Assign", "Branches", "Catch", "Choices", "Comment", "ItemProcessor", "Next", "Retry", "Type"}
)


@dataclass(frozen=True)
class Graph:
    """The states of a machine, a branch or an item processor.

    Attributes:
        where: names of the states around it, joined by `/`; empty for the machine itself.
        start_at: name of the first state.
        states: bodies by name.
        inner: graphs inside a state, by that state's name.
    """

    where: str
    start_at: str
    states: Mapping[str, Body]
    inner: Mapping[str, tuple["Graph", ...]] = field(default_factory=dict)

    def place(self, name: str) -> str:
        """The path of one of its states."""
        return f"{self.where}/{name}" if self.where else name

    def walk(self) -> Iterator["Graph"]:
        """This graph and every one inside it."""
        yield self
        for graphs in self.inner.values():
            for graph in graphs:
                yield from graph.walk()


def read_graph(body: Body, where: str = "") -> Graph:
    """The graph that `StartAt` and `States` describe."""
    inner: dict[str, tuple[Graph, ...]] = {}
    for name, state in body["States"].items():
        place = f"{where}/{name}" if where else name
        parts = [*state.get("Branches", ()), *([state["ItemProcessor"]] if "ItemProcessor" in state else ())]
        if parts:
            inner[name] = tuple(read_graph(part, place) for part in parts)
    return Graph(where, body["StartAt"], body["States"], inner)


def is_distributed(state: Body) -> bool:
    """Whether a state is a Map whose items are executions of their own."""
    processor = state.get("ItemProcessor")
    config = processor.get("ProcessorConfig") if isinstance(processor, Mapping) else None
    return isinstance(config, Mapping) and config.get("Mode") == "DISTRIBUTED"


@dataclass(frozen=True)
class Edge:
    """One way out of a state.

    Attributes:
        target: the next state; None where the graph ends.
        field: which field leads there: `Next`, `End`, `Catch[0]`, `Choices[1]`, `Default`.
        assigns: the variables that it assigns.
    """

    target: str | None
    field: str
    assigns: frozenset[str]


def edges(state: Body) -> Iterator[Edge]:
    """Every way out of a state."""
    assigned = frozenset(state.get("Assign", {}))
    for index, rule in enumerate(state.get("Choices", ())):
        yield Edge(rule.get("Next"), f"Choices[{index}]", frozenset(rule.get("Assign", {})))
    for index, catcher in enumerate(state.get("Catch", ())):
        yield Edge(catcher.get("Next"), f"Catch[{index}]", frozenset(catcher.get("Assign", {})))
    if "Default" in state:
        yield Edge(state["Default"], "Default", assigned)
    if "Next" in state:
        yield Edge(state["Next"], "Next", assigned)
    if state.get("End") or state["Type"] in {"Succeed", "Fail"}:
        yield Edge(None, "End", assigned)


def texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Every `{% … %}` in a value, with its place; without the marks."""
    if isinstance(value, str):
        if value.startswith("{%") and value.endswith("%}"):
            yield where, value[2:-2].strip()
    elif isinstance(value, Mapping):
        for key, member in value.items():
            yield from texts(member, f"{where}/{key}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from texts(member, f"{where}[{index}]")


def expressions_of(state: Body) -> Iterator[tuple[str, str]]:
    """Every expression of one state, not of the states inside it."""
    for key, value in state.items():
        if key not in _NOT_EXPRESSIONS or key == "Assign":
            yield from texts(value, key)
        elif key in {"Catch", "Choices"}:
            for index, member in enumerate(value):
                yield from texts({k: v for k, v in member.items() if k != "Next"}, f"{key}[{index}]")
