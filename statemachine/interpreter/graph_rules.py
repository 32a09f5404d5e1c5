"""Rules over whole graphs: where transitions lead, and which names variables may have."""

from collections.abc import Iterator

from statemachine.interpreter.fields import Notes
from statemachine.interpreter.states import (
    Choice,
    DistributedMap,
    Fail,
    Graph,
    Handling,
    Map,
    Parallel,
    State,
    Succeed,
)


def check_graph(graph: Graph, notes: Notes, where: str = "", outer: frozenset[str] = frozenset()) -> None:
    """Notes dangling and unreachable states, graphs that cannot end, and clashing variable names.

    Args:
        graph: the states of a machine, a branch or an item processor.
        notes: receives the problems.
        where: the place of the graph.
        outer: the variables that enclosing scopes assign; inner scopes may read them but neither assign
            them nor have one of the same name (workflow variables guide).
    """
    for state in graph.states.values():
        _check_state(state, graph, notes, f"{where}/States/{state.name}", outer)
    reached = _reachable(graph)
    for name in graph.states:
        if name not in reached:
            notes.add(f"{where}/States/{name}", "no state leads here")
    if not any(_ends(graph.states[name]) for name in reached):
        notes.add(f"{where}/States", "no path ends: a state with End, Succeed or Fail is missing")
    inner = outer.union(*(_assigned(state) for state in graph.states.values()))
    for state in graph.states.values():
        for path, child in _children(state):
            # A Distributed Map's children are executions of their own and see no outer variable.
            visible = frozenset[str]() if isinstance(state, DistributedMap) else inner
            check_graph(child, notes, f"{where}/States/{state.name}/{path}", visible)


def _check_state(state: State, graph: Graph, notes: Notes, where: str, outer: frozenset[str]) -> None:
    for field, target in _transitions(state):
        if target not in graph.states:
            notes.add(f"{where}/{field}", f"there is no state {target!r} in the same graph")
    for name in sorted(_assigned(state) & outer):
        notes.add(
            f"{where}/Assign/{name}",
            f"the variable {name!r} belongs to an outer scope; a branch or item processor cannot assign it "
            f"and hands values out with Output",
        )


def _transitions(state: State) -> Iterator[tuple[str, str]]:
    if state.next is not None:
        yield ("Default" if isinstance(state, Choice) else "Next"), state.next
    if isinstance(state, Choice):
        for index, rule in enumerate(state.rules):
            yield f"Choices[{index}]/Next", rule.next
    if isinstance(state, Handling):
        for index, catcher in enumerate(state.catch):
            yield f"Catch[{index}]/Next", catcher.next


def _assigned(state: State) -> set[str]:
    names = set(state.assign)
    if isinstance(state, Choice):
        for rule in state.rules:
            names.update(rule.assign)
    elif isinstance(state, Handling):
        for catcher in state.catch:
            names.update(catcher.assign)
    return names


def _reachable(graph: Graph) -> set[str]:
    reached: set[str] = set()
    waiting = [graph.start_at]
    while waiting:
        name = waiting.pop()
        if name in reached or name not in graph.states:
            continue
        reached.add(name)
        waiting.extend(target for _, target in _transitions(graph.states[name]))
    return reached


def _ends(state: State) -> bool:
    if isinstance(state, (Succeed, Fail)):
        return True
    return state.next is None and not isinstance(state, Choice)


def _children(state: State) -> Iterator[tuple[str, Graph]]:
    if isinstance(state, Parallel):
        for index, branch in enumerate(state.branches):
            yield f"Branches[{index}]", branch
    elif isinstance(state, (Map, DistributedMap)):
        yield "ItemProcessor", state.processor
