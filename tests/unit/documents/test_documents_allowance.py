"""The shared allowance: what is given away over time, and what the two places that keep it do."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.jobs.documents.allowance import BURST, Limits, State, give_back, take
from tasks.jobs.documents.cells import FileCell, ObjectCell
from tasks.jobs.documents.pool import CeilingReachedError, Pool
from tests.support.lock_row import create_bucket
from tests.support.moto_server import moto_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tasks.jobs.documents.cells import Cell


@given(
    st.lists(
        st.tuples(st.floats(0, 30), st.integers(1, 50), st.integers(1, 5000), st.integers(0, 90)), max_size=60
    )
)
@settings(deadline=None)
def test_no_minute_gets_more_than_its_share_and_no_run_more_than_its_money(
    asked: list[tuple[float, int, int, int]],
) -> None:
    limits = Limits(requests_a_minute=600, tokens_a_minute=30_000, ceiling=1000)
    state, now, granted = State(), 1000.0, []
    for gap, requests, tokens, money in asked:
        now += gap
        state, block = take(
            state, limits, now, requests=requests, tokens=tokens, money=money, least_money=money
        )
        if block is None:
            assert state.money + money > limits.ceiling
            continue
        granted.append((now + block.wait, block.requests, block.tokens))
        assert state.money <= limits.ceiling
    for start, _, _ in granted:
        within = [one for one in granted if start <= one[0] <= start + 60]
        largest_r, largest_t = max(one[1] for one in within), max(one[2] for one in within)
        assert sum(one[1] for one in within) <= (60 + BURST) * 10 + largest_r + 1e-6
        assert sum(one[2] for one in within) <= (60 + BURST) * 500 + largest_t + 1e-6


def test_who_asks_at_the_same_moment_waits_in_line() -> None:
    limits = Limits(requests_a_minute=60, tokens_a_minute=6000)
    state, waits = State(), []
    for _ in range(20):
        state, block = take(state, limits, 100.0, requests=1, tokens=200, money=0, least_money=0)
        assert block is not None
        waits.append(block.wait)
    # 200 tokens are two seconds' worth, a request is one; the burst covers the first.
    assert waits == [max(0.0, 2.0 * n - BURST) for n in range(1, 21)]
    _, later = take(state, limits, 1000.0, requests=1, tokens=200, money=0, least_money=0)
    assert later is not None
    assert later.wait == 0


def test_money_that_is_given_back_can_be_taken_again() -> None:
    limits = Limits(ceiling=100)
    state, _ = take(State(), limits, 0, requests=0, tokens=0, money=80, least_money=80)
    assert take(state, limits, 0, requests=0, tokens=0, money=50, least_money=50)[1] is None
    state, block = take(give_back(state, 40), limits, 0, requests=0, tokens=0, money=70, least_money=50)
    assert block is not None
    assert block.money == 60, "as much as is left"


@pytest.fixture(scope="module")
def aws() -> Iterator[Any]:
    with moto_server() as server:
        create_bucket(server.client("s3"), "artifacts")
        yield server


@pytest.fixture(params=["file", "object"])
def cells(request: pytest.FixtureRequest, tmp_path: Path, aws: Any) -> list[Cell]:
    if request.param == "file":
        return [FileCell(tmp_path / "deep" / "budget.json") for _ in range(4)]
    return [ObjectCell(f"s3://artifacts/{tmp_path.name}/budget.json", aws.client("s3")) for _ in range(4)]


def test_changes_from_many_sides_are_all_counted(cells: list[Cell]) -> None:
    def work(cell: Cell) -> None:
        for _ in range(10):
            cell.update(lambda state: (State(money=state.money + 1), None))

    threads = [threading.Thread(target=work, args=(cell,)) for cell in cells]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert cells[0].update(lambda state: (state, state.money)) == 40


def test_pools_of_several_containers_never_hold_more_than_the_ceiling(tmp_path: Path) -> None:
    limits = Limits(ceiling=1000)
    cell = FileCell(tmp_path / "budget.json")

    async def container(pool: Pool) -> float:
        spent = 0.0
        while True:
            try:
                held = await pool.take(0, 7)
            except CeilingReachedError:
                await pool.close()
                return spent
            pool.settle(held, 0, 5)
            spent += 5

    async def main() -> list[float]:
        return await asyncio.gather(*(container(Pool(limits, cell, 3)) for _ in range(3)))

    spent = sum(asyncio.run(main()))
    assert 900 <= spent <= 1000
    assert cell.update(lambda state: (state, state.money)) == pytest.approx(spent)


def test_without_limits_nothing_is_shared(tmp_path: Path) -> None:
    pool = Pool(Limits(), FileCell(tmp_path / "none.json"), 1)
    asyncio.run(pool.take(1e9, 1e9))
    assert not (tmp_path / "none.json").exists()
