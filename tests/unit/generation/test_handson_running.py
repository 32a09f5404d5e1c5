"""Running tasks that wait for each other: order, fairness, failures, stopping, going on."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.jobs.generation.handson.graph import Graph, graph_of
from tasks.jobs.generation.handson.project import Project
from tasks.jobs.generation.handson.remaining import done_and_all, duration, line_of, seconds_left
from tasks.jobs.generation.handson.running import Lane, Running, State, TaskFailed


def graph(
    after: Mapping[str, list[str]], name: str = "p", weights: Mapping[str, float] | None = None, **more: Any
) -> Graph:
    tasks = [
        {"id": one, "title": one, "instruction": one, "after": others, "weight": (weights or {}).get(one, 1)}
        for one, others in after.items()
    ]
    return graph_of(Project.model_validate({"id": name, "title": name, "tasks": tasks, **more}))


class World:
    """The work: notes who began and ended when, and fails where it is told to."""

    def __init__(self, failing: frozenset[str] = frozenset()) -> None:
        self.failing = failing
        self.began: list[str] = []
        self.kept: list[str] = []
        self.at_once = 0
        self.most_at_once = 0

    async def work(self, graph: Graph, name: str, inputs: Mapping[str, Any]) -> str:
        label = f"{graph.project.id}/{name}"
        assert set(inputs) == set(graph.tasks[name].after)
        assert all(value == f"result {other}" for other, value in inputs.items())
        self.began.append(label)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        for _ in range(sum(map(ord, label)) % 4):
            await asyncio.sleep(0)
        self.at_once -= 1
        if name in self.failing:
            raise TaskFailed(f"{name} broke", temporary=False)
        return f"result {name}"

    async def keep(self, graph: Graph, name: str, result: str, _seconds: float) -> str:
        await asyncio.sleep(0)
        self.kept.append(f"{graph.project.id}/{name}")
        return result


def run(world: World, *graphs: Graph, parallel: int = 3, finished: Any = None) -> list[Lane]:
    async def main() -> list[Lane]:
        running = Running(graphs, world.work, world.keep, parallel=parallel, finished=finished)
        await running.run()
        return running.lanes

    return asyncio.run(main())


@st.composite
def projects(draw: st.DrawFn) -> tuple[dict[str, list[str]], frozenset[str]]:
    size = draw(st.integers(1, 20))
    after = {
        f"t{number}": [f"t{other}" for other in draw(st.sets(st.integers(0, number - 1), max_size=3))]
        if number
        else []
        for number in range(size)
    }
    names = draw(st.permutations(list(after)))
    return {name: after[name] for name in names}, draw(st.frozensets(st.sampled_from(names), max_size=3))


@settings(max_examples=150, deadline=None)
@given(projects(), st.integers(1, 6))
def test_exactly_the_descendants_of_a_failed_task_are_skipped_and_the_rest_is_made(
    drawn: tuple[dict[str, list[str]], frozenset[str]], parallel: int
) -> None:
    after, failing = drawn
    one, other = graph(after, "one"), graph({"x": [], "y": ["x"]}, "other")
    world = World(failing)

    lane, beside = run(world, one, other, parallel=parallel)

    below = {name for broken in failing for name in one.descendants(broken)}
    states = {name: standing.state for name, standing in lane.standings.items()}
    assert {name for name in states if states[name] is State.SKIPPED} == below
    assert {name for name in states if states[name] is State.FAILED} == failing - below
    assert {name for name in states if states[name] is State.SUCCEEDED} == set(after) - failing - below
    assert beside.count(State.SUCCEEDED) == 2
    assert world.most_at_once <= parallel
    assert sorted(world.began) == sorted(set(world.began))
    for name in below:
        because = lane.standings[name].because
        assert because in failing
        assert name in one.descendants(because)
    # Another run makes only what is missing.
    finished = {"one": {name: f"result {name}" for name in states if states[name] is State.SUCCEEDED}}
    again = World()
    [whole, _] = run(again, one, other, parallel=parallel, finished=finished)
    assert whole.count(State.SUCCEEDED) == len(after)
    mine = {label.partition("/")[2] for label in again.began if label.startswith("one/")}
    assert mine == failing | below


def test_a_task_begins_only_after_what_it_waits_for_is_kept() -> None:
    world = World()
    lane = graph({"c": ["a", "b"], "a": [], "b": [], "d": ["c"]})
    order: list[str] = []

    async def keep(graph: Graph, name: str, result: str, seconds: float) -> str:
        for _ in range(5):
            await asyncio.sleep(0)
            assert "p/c" not in world.began or {"a", "b"} <= set(order)
        order.append(name)
        return await world.keep(graph, name, result, seconds)

    asyncio.run(Running([lane], world.work, keep, parallel=4).run())

    assert order[-2:] == ["c", "d"]


class Held:
    """Work that goes on until the test lets it."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    async def work(self, graph: Graph, name: str, _inputs: Mapping[str, Any]) -> str:
        label = f"{graph.project.id}/{name}"
        self.running.append(label)
        self.gates[label] = asyncio.Event()
        await self.gates[label].wait()
        self.running.remove(label)
        return name

    async def keep(self, _graph: Graph, _name: str, result: str, _seconds: float) -> str:
        return result

    async def let(self, label: str) -> None:
        """End one and wait until its place is taken again, if it can be."""
        self.gates[label].set()
        for _ in range(20):
            await asyncio.sleep(0)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def wide(name: str, size: int = 9, **more: Any) -> Graph:
    return graph({f"t{number}": [] for number in range(size)}, name, **more)


def shares(labels: list[str]) -> dict[str, int]:
    names = [label.partition("/")[0] for label in labels]
    return {name: names.count(name) for name in sorted(set(names))}


def test_places_are_shared_fairly_over_projects_and_by_priority() -> None:
    async def main() -> None:
        held = Held()
        running = Running([wide("a"), wide("b"), wide("c", priority=2)], held.work, held.keep, parallel=8)
        task = asyncio.create_task(running.run())
        await settle()
        assert shares(held.running) == {"a": 2, "b": 2, "c": 4}
        # A place that becomes free goes to the project that has too few.
        for _ in range(2):
            await held.let(next(label for label in held.running if label.startswith("c/")))
            assert shares(held.running) == {"a": 2, "b": 2, "c": 4}
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_late_project_is_not_kept_waiting_by_a_large_one() -> None:
    async def main() -> None:
        held = Held()
        small = graph({"first": [], "then": ["first"]}, "small")
        running = Running([wide("large", 40), small], held.work, held.keep, parallel=2)
        task = asyncio.create_task(running.run())
        await settle()
        assert "small/first" in held.running
        await held.let("small/first")
        assert "small/then" in held.running
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_the_longest_chain_goes_first() -> None:
    world = World()
    run(world, graph({"short": [], "long": [], "next": ["long"], "last": ["next"]}), parallel=1)

    assert world.began == ["p/long", "p/next", "p/short", "p/last"]
    heavy = World()
    run(heavy, graph({"light": [], "heavy": []}, weights={"heavy": 5}), parallel=1)
    assert heavy.began == ["p/heavy", "p/light"]


def test_a_slow_disk_leaves_no_place_idle_but_what_is_nearly_ready_keeps_its_turn() -> None:
    async def main() -> None:
        written = asyncio.Event()
        began: list[str] = []

        async def work(_graph: Graph, name: str, _inputs: Mapping[str, Any]) -> str:
            began.append(name)
            return name

        async def keep(_graph: Graph, _name: str, result: str, _seconds: float) -> str:
            await written.wait()
            return result

        chain = graph(
            {"one": [], "two": ["one"], "three": ["two"], "p": [], "q": []}, weights={"p": 4, "q": 1}
        )
        task = asyncio.create_task(Running([chain], work, keep, parallel=1).run())
        await settle()
        # p has more behind it than the chain, so it goes first; two, once one is written, has more than q.
        assert began == ["p", "one"]
        written.set()
        await task
        assert began in (["p", "one", "two", "q", "three"], ["p", "one", "two", "three", "q"])

    asyncio.run(main())


def test_after_a_stop_nothing_begins_and_what_is_about_to_end_may_end() -> None:
    async def main() -> None:
        held = Held()
        running = Running([wide("a", 5)], held.work, held.keep, parallel=2)
        task = asyncio.create_task(running.run())
        await settle()
        first, second = held.running
        running.stop()
        await held.let(first)
        assert held.running == [second]
        await task
        states = {f"a/{name}": standing.state for name, standing in running.lanes[0].standings.items()}
        assert states[first] is State.SUCCEEDED
        assert states[second] is State.PENDING
        assert sum(state is State.PENDING for state in states.values()) == 4

    asyncio.run(main())


def test_a_defect_ends_everything_and_is_not_hidden() -> None:
    cancelled: list[str] = []

    async def work(_graph: Graph, name: str, _inputs: Mapping[str, Any]) -> str:
        if name == "t0":
            await asyncio.sleep(0)
            raise ZeroDivisionError
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.append(name)
        return name

    with pytest.raises(ZeroDivisionError):
        asyncio.run(Running([wide("a", 3)], work, World().keep, parallel=3).run())
    assert sorted(cancelled) == ["t1", "t2"]


def lanes_at_work() -> list[Lane]:
    """Two projects: one with a chain of three and two beside it, one that has not begun."""
    one = graph({"a": [], "b": ["a"], "c": ["b"], "x": [], "y": []}, "one", {"c": 2})
    lanes = Running([one, wide("two", 2)], World().work, World().keep, parallel=2).lanes
    standings = lanes[0].standings
    standings["a"].state, standings["a"].seconds = State.SUCCEEDED, 10
    standings["x"].state, standings["x"].began = State.RUNNING, 100
    return lanes


def test_the_time_left_follows_from_what_was_measured() -> None:
    lanes = lanes_at_work()

    # One unit takes 10 s. The chain b, c: 30 s. All that is left at one place: 30 + 10 + (10 - 4) s.
    assert seconds_left(lanes, 2, now=104) == [46, 20]
    # With many places only the chain counts.
    assert seconds_left(lanes, 40, now=104) == [30, 10]
    assert done_and_all(lanes) == (1, 7)
    assert line_of(lanes, [46, None]) == "one 1/5, 1 running, 46 s left; two 0/2, time left not known yet"


def test_before_anything_was_measured_nothing_is_promised() -> None:
    lanes = Running([wide("a", 2)], World().work, World().keep, parallel=2).lanes

    assert seconds_left(lanes, 2, now=5) == [None]


def test_what_failed_is_not_waited_for() -> None:
    lanes = lanes_at_work()
    for name in ("b", "c", "x", "y"):
        lanes[0].standings[name].state = State.SKIPPED if name == "c" else State.FAILED

    assert seconds_left(lanes, 2, now=104)[0] == 0
    assert line_of(lanes[:1], [0.0]) == "one 1/5, 3 failed, 1 skipped"


def test_times_as_people_say_them() -> None:
    assert [duration(seconds) for seconds in (0.04, 4.2, 59, 90, 3_599, 7_500)] == [
        "0.0 s", "4.2 s", "59 s", "2 min", "1 h 0 min", "2 h 5 min",
    ]  # fmt: skip
