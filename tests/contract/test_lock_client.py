"""The operations of `LockTable`, the same over memory and over DynamoDB."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from lock import (
    Acquired,
    Armed,
    Claimed,
    Duplicate,
    Held,
    Holder,
    Kind,
    Left,
    LockItem,
    LockTable,
    Lost,
    MemoryStore,
    NotHeld,
    NotQueued,
    NotWaiting,
    Queued,
    Released,
    Renewed,
    StaleTask,
    VirtualClock,
)
from tests.support.lock_tables import TABLE, in_process_client, tell_time

KEY = "articles"
LEASE_MS = 60_000
FIRST, SECOND = "2026-11-21T21:00:00Z", "2026-11-22T21:00:00Z"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(params=["memory", "dynamodb"])
def table(request: pytest.FixtureRequest, clock: VirtualClock) -> Iterator[LockTable]:
    if request.param == "memory":
        yield LockTable(MemoryStore(), clock=clock)
        return
    with mock_aws():
        client = in_process_client()
        tell_time(client, clock.now_ms)
        yield LockTable.connect(TABLE, client=client, clock=clock)


def run(
    table: LockTable, name: str, *, run_key: str | None = None, kind: str = Kind.SFN, lease_ms: int = LEASE_MS
) -> Holder:
    family, group = ("family", f"nightlatch:{name}") if kind == Kind.SFN else (None, None)
    return table.new_holder(
        owner=name, job="articles", lease_ms=lease_ms, kind=kind, run_key=run_key, family=family, group=group
    )


def acquired(table: LockTable, holder: Holder) -> Acquired:
    result = table.acquire(KEY, holder)
    assert isinstance(result, Acquired)
    return result


def present(table: LockTable) -> LockItem:
    item = table.get(KEY)
    assert item is not None
    return item


def test_the_first_acquire_makes_the_item_and_seeds_the_fence_with_the_time(
    table: LockTable, clock: VirtualClock
) -> None:
    result = acquired(table, run(table, "a"))
    assert result.token == clock.now_ms()
    assert result.item == present(table)
    assert result.item.lease_expires_at == clock.now_ms() + LEASE_MS
    assert result.to_drain == ()


def test_a_held_lock_answers_with_its_holder_and_stays_as_it_is(table: LockTable) -> None:
    before = acquired(table, run(table, "a")).item
    result = table.acquire(KEY, run(table, "b"))
    assert isinstance(result, Held)
    assert result.holder.owner == "a"
    assert present(table) == before


def test_acquiring_again_is_mine_with_the_grant_that_is_stored(table: LockTable) -> None:
    first = acquired(table, run(table, "a"))
    again = acquired(table, run(table, "a"))
    assert again.holder.grant == first.holder.grant
    assert again.token == first.token


def test_acquiring_again_after_a_claim_says_what_must_be_drained(table: LockTable) -> None:
    holder = acquired(table, run(table, "a")).holder
    table.claim(KEY, owner="a", grant=holder.grant, task_arn="task/1")
    again = acquired(table, run(table, "a"))
    assert again.to_drain == (StaleTask(task_arn="task/1", family="family", group="nightlatch:a"),)


def test_a_whole_run(table: LockTable) -> None:
    mine = acquired(table, run(table, "a", run_key=FIRST))
    claimed = table.claim(KEY, owner="a", grant=mine.holder.grant, task_arn="task/1")
    assert isinstance(claimed, Claimed)
    assert claimed.token == mine.token + 1
    released = table.release(mine.item, outcome="succeeded", task_arn="task/1")
    assert isinstance(released, Released)
    item = released.item
    assert item.holder is None
    assert item.lease_expires_at is None
    assert item.fence == claimed.token + 1
    assert item.last_run_key == FIRST
    assert item.last is not None
    assert item.last.outcome == "succeeded"
    assert item.ttl is not None


def test_a_lock_in_use_has_no_ttl(table: LockTable) -> None:
    table.release(acquired(table, run(table, "a", kind=Kind.CLI)).item)
    assert present(table).ttl is not None
    assert acquired(table, run(table, "b")).item.ttl is None


def test_a_grant_is_claimed_by_one_task(table: LockTable) -> None:
    grant = acquired(table, run(table, "a")).holder.grant
    first = table.claim(KEY, owner="a", grant=grant, task_arn="task/1")
    assert isinstance(table.claim(KEY, owner="a", grant=grant, task_arn="task/2"), Lost)
    again = table.claim(KEY, owner="a", grant=grant, task_arn="task/1")
    assert isinstance(first, Claimed)
    assert isinstance(again, Claimed)
    assert again.token == first.token == present(table).token


def test_an_unknown_grant_claims_nothing(table: LockTable) -> None:
    assert table.claim(KEY, owner="a", grant="none", task_arn="task/1") == Lost(item=None)
    acquired(table, run(table, "a"))
    assert isinstance(table.claim(KEY, owner="a", grant="none", task_arn="task/1"), Lost)


def test_renewing_moves_the_lease_and_not_the_fence(table: LockTable, clock: VirtualClock) -> None:
    mine = acquired(table, run(table, "a", kind=Kind.CLI))
    clock.advance(10)
    renewed = table.renew(KEY, mine.holder)
    assert isinstance(renewed, Renewed)
    assert renewed.item.lease_expires_at == clock.now_ms() + LEASE_MS
    assert renewed.item.fence == mine.token
    table.release(mine.item)
    assert isinstance(table.renew(KEY, mine.holder), Lost)


def test_a_re_armed_grant_ends_the_old_one(table: LockTable) -> None:
    mine = acquired(table, run(table, "a"))
    old = mine.holder.grant
    table.claim(KEY, owner="a", grant=old, task_arn="task/1")
    armed = table.re_arm(present(table), owner="a", grant=old, family="next")
    assert isinstance(armed, Armed)
    assert isinstance(table.claim(KEY, owner="a", grant=old, task_arn="task/2"), Lost)
    claimed = table.claim(KEY, owner="a", grant=armed.grant, task_arn="task/2")
    assert isinstance(claimed, Claimed)
    assert claimed.item.holder is not None
    assert claimed.item.holder.family == "next"
    assert claimed.token == mine.token + 3


def test_re_arming_on_an_old_reading_is_refused(table: LockTable) -> None:
    mine = acquired(table, run(table, "a"))
    table.claim(KEY, owner="a", grant=mine.holder.grant, task_arn="task/1")
    assert isinstance(table.re_arm(mine.item, owner="a", grant=mine.holder.grant, family="f"), Lost)


def test_the_next_step_is_armed_by_the_task_that_ended_well(table: LockTable) -> None:
    mine = acquired(table, run(table, "a"))
    grant = mine.holder.grant
    table.claim(KEY, owner="a", grant=grant, task_arn="task/1")
    wrong = table.re_arm(mine.item, owner="a", grant=grant, family="next", succeeded="task/2")
    right = table.re_arm(mine.item, owner="a", grant=grant, family="next", succeeded="task/1")
    assert isinstance(wrong, Lost)
    assert isinstance(right, Armed)


def test_a_dead_holder_is_replaced_and_its_task_kept_in_mind(table: LockTable, clock: VirtualClock) -> None:
    grant = acquired(table, run(table, "a")).holder.grant
    table.claim(KEY, owner="a", grant=grant, task_arn="task/1")
    seen = present(table)
    taken = table.take_over(seen, run(table, "b"))
    assert isinstance(taken, Acquired)
    assert taken.took_over is not None
    assert taken.took_over.owner == "a"
    assert taken.to_drain == (StaleTask(task_arn="task/1", family="family", group="nightlatch:a"),)
    # The taker dies before it has drained anything: the next one knows of both.
    again = table.take_over(present(table), run(table, "c"))
    assert isinstance(again, Acquired)
    assert [task.group for task in again.to_drain] == ["nightlatch:a", "nightlatch:b"]


@pytest.mark.parametrize("change", ["claim", "renew", "take_over", "release"])
def test_taking_over_on_an_old_reading_is_refused(table: LockTable, clock: VirtualClock, change: str) -> None:
    kind = Kind.SFN if change == "claim" else Kind.CLI
    mine = acquired(table, run(table, "a", kind=kind))
    seen = present(table)
    clock.advance(1)
    if change == "claim":
        table.claim(KEY, owner="a", grant=mine.holder.grant, task_arn="task/1")
    elif change == "renew":
        table.renew(KEY, mine.holder)
    elif change == "take_over":
        table.take_over(seen, run(table, "c"))
    else:
        table.release(mine.item)
        assert isinstance(table.take_over(seen, run(table, "b")), Acquired)  # it was free, so it is mine
        return
    assert isinstance(table.take_over(seen, run(table, "b")), Held)


def test_a_run_key_that_is_done_is_a_duplicate(table: LockTable) -> None:
    table.release(acquired(table, run(table, "a", run_key=FIRST, kind=Kind.CLI)).item)
    assert isinstance(table.acquire(KEY, run(table, "b", run_key=FIRST)), Duplicate)
    # An operator's run without a key does not make it forgotten.
    table.release(acquired(table, run(table, "c", kind=Kind.CLI)).item)
    assert isinstance(table.acquire(KEY, run(table, "d", run_key=FIRST)), Duplicate)
    assert isinstance(table.acquire(KEY, run(table, "e", run_key=SECOND)), Acquired)


def test_taking_over_for_a_key_that_is_done_is_a_duplicate(table: LockTable) -> None:
    table.release(acquired(table, run(table, "a", run_key=SECOND, kind=Kind.CLI)).item)
    acquired(table, run(table, "b"))
    assert isinstance(table.take_over(present(table), run(table, "c", run_key=FIRST)), Duplicate)


def test_releasing_twice_is_recognised(table: LockTable) -> None:
    mine = acquired(table, run(table, "a", kind=Kind.CLI)).item
    assert table.release(mine) == Released(item=present(table))
    assert table.release(mine) == Released(item=present(table), repeated=True)


def test_only_the_holder_releases(table: LockTable) -> None:
    mine = acquired(table, run(table, "a"))
    table.claim(KEY, owner="a", grant=mine.holder.grant, task_arn="task/1")
    before = present(table)
    assert isinstance(table.release(mine.item, task_arn="task/2"), NotHeld)
    assert isinstance(table.release(mine.item), NotHeld)
    assert present(table) == before


def test_clean_up_frees_what_it_read_and_nothing_newer(table: LockTable) -> None:
    mine = acquired(table, run(table, "a", run_key=FIRST))
    seen = present(table)
    table.claim(KEY, owner="a", grant=mine.holder.grant, task_arn="task/1")
    assert isinstance(table.release_by_fence(seen, outcome="failed", by="janitor"), NotHeld)
    freed = table.release_by_fence(present(table), outcome="failed", by="janitor", reason="ABORTED")
    assert isinstance(freed, Released)
    assert freed.item.last is not None
    assert (freed.item.last.by, freed.item.last.reason) == ("janitor", "ABORTED")
    assert freed.item.last_run_key == FIRST


def test_forcing_needs_the_shown_token_and_keeps_the_task_in_mind(table: LockTable) -> None:
    mine = acquired(table, run(table, "a"))
    table.claim(KEY, owner="a", grant=mine.holder.grant, task_arn="task/1")
    token = present(table).fence
    wrong = table.force_release(KEY, token=mine.token, by="ops@host", reason="stuck")
    assert wrong == NotHeld(item=present(table))
    right = table.force_release(KEY, token=token, by="ops@host", reason="stuck")
    assert isinstance(right, Released)
    assert right.item.holder is None
    next_one = acquired(table, run(table, "b"))
    assert [task.task_arn for task in next_one.to_drain] == ["task/1"]


class TestQueue:
    def test_is_first_in_first_out_and_newcomers_do_not_overtake(self, table: LockTable) -> None:
        mine = acquired(table, run(table, "a", kind=Kind.CLI)).item
        waiters = [run(table, name) for name in "bcd"]
        for position, waiter in enumerate(waiters):
            queued = table.enqueue(KEY, waiter, max_waiters=5)
            assert isinstance(queued, Queued)
            assert queued.position == position
        released = table.release(mine)
        assert isinstance(released, Released)
        assert released.handed_to == waiters[0]
        for ended, following in zip("bc", "cd", strict=True):
            assert isinstance(table.acquire(KEY, run(table, "newcomer")), Held)
            seen = present(table)
            assert seen.holder is not None
            assert seen.holder.owner == ended
            result = table.release_by_fence(seen, outcome="succeeded")
            assert isinstance(result, Released)
            assert result.handed_to is not None
            assert result.handed_to.owner == following
        assert isinstance(table.release_by_fence(present(table), outcome="succeeded"), Released)
        assert present(table).holder is None

    def test_has_room_for_so_many(self, table: LockTable) -> None:
        acquired(table, run(table, "a"))
        assert isinstance(table.enqueue(KEY, run(table, "b"), max_waiters=1), Queued)
        refused = table.enqueue(KEY, run(table, "c"), max_waiters=1)
        assert isinstance(refused, NotQueued)
        assert refused.reason == "full"

    def test_stands_behind_a_holder_only(self, table: LockTable) -> None:
        free = table.enqueue(KEY, run(table, "b"), max_waiters=1)
        assert isinstance(free, NotQueued)
        assert free.reason == "free"
        acquired(table, run(table, "a"))
        mine = table.enqueue(KEY, run(table, "a"), max_waiters=1)
        assert isinstance(mine, NotQueued)
        assert mine.reason == "mine"

    def test_never_gives_the_lock_to_one_that_left(self, table: LockTable) -> None:
        mine = acquired(table, run(table, "a", kind=Kind.CLI)).item
        gone, stays = run(table, "b"), run(table, "c")
        for waiter in (gone, stays):
            table.enqueue(KEY, waiter, max_waiters=2)
        assert isinstance(table.leave(KEY, grant=gone.grant), Left)
        assert isinstance(table.leave(KEY, grant=gone.grant), Left)
        # The entry that left takes up no room.
        assert isinstance(table.enqueue(KEY, run(table, "d"), max_waiters=2), Queued)
        released = table.release(mine)
        assert isinstance(released, Released)
        assert released.handed_to == stays

    def test_tells_one_that_leaves_too_late(self, table: LockTable) -> None:
        mine = acquired(table, run(table, "a", kind=Kind.CLI)).item
        waiter = run(table, "b")
        table.enqueue(KEY, waiter, max_waiters=1)
        table.release(mine)
        late = table.leave(KEY, grant=waiter.grant)
        assert isinstance(late, NotWaiting)
        assert late.item is not None
        assert late.item.holder == waiter

    def test_lets_only_the_first_take_over(self, table: LockTable) -> None:
        acquired(table, run(table, "a"))
        first, second = run(table, "b"), run(table, "c")
        for waiter in (first, second):
            table.enqueue(KEY, waiter, max_waiters=2)
        seen = present(table)
        assert isinstance(table.take_over(seen, run(table, "newcomer")), Held)
        assert isinstance(table.take_over(seen, second), Held)
        taken = table.take_over(seen, first)
        assert isinstance(taken, Acquired)
        assert taken.item.waiting == (second,)

    def test_a_dead_head_can_be_dropped(self, table: LockTable) -> None:
        acquired(table, run(table, "a"))
        first, second = run(table, "b"), run(table, "c")
        for waiter in (first, second):
            table.enqueue(KEY, waiter, max_waiters=2)
        table.drop_head(present(table))
        assert isinstance(table.take_over(present(table), second), Acquired)

    def test_is_kept_by_force(self, table: LockTable) -> None:
        mine = acquired(table, run(table, "a"))
        waiter = run(table, "b")
        table.enqueue(KEY, waiter, max_waiters=1)
        forced = table.force_release(KEY, token=mine.token, by="ops", reason="stuck")
        assert isinstance(forced, Released)
        assert forced.handed_to == waiter
        assert [task.group for task in forced.item.stale_tasks] == ["nightlatch:a"]

    def test_a_process_that_waits_is_given_a_short_lease(self, table: LockTable, clock: VirtualClock) -> None:
        mine = acquired(table, run(table, "a", kind=Kind.CLI)).item
        table.enqueue(KEY, run(table, "b", kind=Kind.CLI, lease_ms=3_600_000), max_waiters=1)
        table.release(mine)
        assert present(table).lease_expires_at == clock.now_ms() + 30_000


def test_a_take_over_drops_entries_that_left(table: LockTable) -> None:
    acquired(table, run(table, "a"))
    gone = run(table, "b")
    table.enqueue(KEY, gone, max_waiters=2)
    table.leave(KEY, grant=gone.grant)
    assert isinstance(table.take_over(present(table), run(table, "c")), Acquired)


def test_an_expired_lease_is_judged_with_the_allowance_for_clocks(
    table: LockTable, clock: VirtualClock
) -> None:
    item = acquired(table, run(table, "a", kind=Kind.CLI)).item
    clock.advance(LEASE_MS / 1000 + 5)
    assert not table.is_dead(item)
    clock.advance(2)
    assert table.is_dead(item)
    assert not table.is_dead(item, alive=True)


def test_all_locks_are_listed_by_key(table: LockTable) -> None:
    for key in ("b", "a", "c"):
        table.acquire(key, run(table, "x"))
    assert [item.lock_key for item in table.list()] == ["a", "b", "c"]
    assert table.get("d") is None
