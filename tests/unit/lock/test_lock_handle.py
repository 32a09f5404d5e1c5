"""`Lock`, the handle for one program, over the in-memory store and a virtual clock."""

import threading
from typing import TYPE_CHECKING

import pytest

from lock import (
    Acquired,
    Duplicate,
    Held,
    Holder,
    Kind,
    Lock,
    LockHeldError,
    LockLostError,
    LockTable,
    MemoryStore,
    NotHeld,
    Released,
    StaleTask,
    StaleTasksError,
    StoreUnavailableError,
    VirtualClock,
)
from lock.events import Event
from lock.model import LockItem
from lock.rules import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "reports"


class LivelyClock(VirtualClock):
    """While somebody waits, something else happens: one thing per wait."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: list[Callable[[], object]] = []

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return super().wait(event, seconds)


@pytest.fixture
def clock() -> LivelyClock:
    return LivelyClock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def table(store: MemoryStore, clock: LivelyClock) -> LockTable:
    return LockTable(store, clock=clock)


def test_with_holds_and_gives_back(table: LockTable) -> None:
    with Lock(KEY, table=table) as held:
        item = table.get(KEY)
        assert item is not None
        assert item.token == held.token
    item = table.get(KEY)
    assert item is not None
    assert item.holder is None
    assert item.last is not None
    assert item.last.outcome == "succeeded"


def test_with_passes_exceptions_on_and_still_gives_back(table: LockTable) -> None:
    with pytest.raises(ZeroDivisionError), Lock(KEY, table=table):
        _ = 1 / 0
    item = table.get(KEY)
    assert item is not None
    assert item.holder is None
    assert item.last is not None
    assert item.last.outcome == "failed"


def test_tokens_grow(table: LockTable) -> None:
    tokens = []
    for _ in range(3):
        with Lock(KEY, table=table) as held:
            tokens.append(held.token)
    assert tokens == sorted(set(tokens))


def test_with_refuses_to_run_unlocked(table: LockTable) -> None:
    with (
        Lock(KEY, table=table, job="nightly report"),
        pytest.raises(LockHeldError, match=r"held by cli:.* for 'nightly report'"),
        Lock(KEY, table=table),
    ):
        pytest.fail("the block ran without the lock")


def test_acquire_answers_instead(table: LockTable) -> None:
    first, second = Lock(KEY, table=table), Lock(KEY, table=table)
    assert isinstance(first.acquire(), Acquired)
    assert isinstance(first.acquire(), Acquired)
    assert isinstance(second.acquire(), Held)
    assert isinstance(second.release(), NotHeld)
    assert isinstance(first.release(), Released)
    assert isinstance(first.release(), NotHeld)
    assert isinstance(second.acquire(), Acquired)


def test_a_run_key_is_done_once(table: LockTable) -> None:
    with Lock(KEY, table=table, run_key="2026-11-21"):
        assert isinstance(Lock(KEY, table=table, run_key="2026-11-21").acquire(), Duplicate)
    assert isinstance(Lock(KEY, table=table, run_key="2026-11-21").acquire(), Duplicate)
    with (
        pytest.raises(LockHeldError, match="nothing left to do"),
        Lock(KEY, table=table, run_key="2026-11-21"),
    ):
        pytest.fail("ran twice")
    assert isinstance(Lock(KEY, table=table, run_key="2026-11-22").acquire(), Acquired)


@pytest.mark.parametrize(
    "wrong",
    [
        {"lease_seconds": 0},
        {"wait_seconds": -1},
        {"max_waiters": 0},
        {"poll_seconds": 11},
        {"run_key": ""},
        {"run_key": "~x"},
    ],
)
def test_wrong_settings_are_refused(table: LockTable, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        Lock(KEY, table=table, **wrong)  # type: ignore[arg-type]


def test_the_holder_stops_itself_before_its_lease_ends(table: LockTable, clock: LivelyClock) -> None:
    with Lock(KEY, table=table, lease_seconds=100) as held:
        clock.advance(89)
        held.check()
        clock.advance(2)
        with pytest.raises(LockLostError, match="about to"):
            held.check()
        held.renew()
        held.check()
    with pytest.raises(LockLostError, match="not held"):
        _ = held.token
    with pytest.raises(LockLostError, match="no longer held"):
        held.renew()


def test_a_lost_lock_is_noticed_and_its_release_harmless(table: LockTable, clock: LivelyClock) -> None:
    first, second = Lock(KEY, table=table, lease_seconds=10), Lock(KEY, table=table)
    first.acquire()
    clock.advance(16)
    result = second.acquire()
    assert isinstance(result, Acquired)
    assert result.took_over is not None
    with pytest.raises(LockLostError):
        first.renew()
    assert first.lost.is_set()
    assert isinstance(first.release(), NotHeld)
    assert isinstance(second.release(), Released)


class TestWaiting:
    def test_gets_the_lock_when_it_is_given_back(self, table: LockTable, clock: LivelyClock) -> None:
        first, second = Lock(KEY, table=table), Lock(KEY, table=table, wait_seconds=30)
        first.acquire()
        clock.meanwhile = [lambda: None, first.release]
        result = second.acquire()
        assert isinstance(result, Acquired)
        item = table.get(KEY)
        assert item is not None
        # The short lease of the hand-off has been renewed to the full one.
        assert item.lease_expires_at == clock.now_ms() + 60_000

    def test_is_bounded_and_leaves_the_line(self, table: LockTable, clock: LivelyClock) -> None:
        first, second = Lock(KEY, table=table, lease_seconds=600), Lock(KEY, table=table, wait_seconds=30)
        first.acquire()
        before = clock.monotonic()
        assert isinstance(second.acquire(), Held)
        assert 30 <= clock.monotonic() - before < 33
        item = table.get(KEY)
        assert item is not None
        assert item.waiting == ()
        released = first.release()
        assert isinstance(released, Released)
        assert released.handed_to is None

    def test_takes_the_lock_that_is_handed_over_while_it_gives_up(
        self, table: LockTable, clock: LivelyClock
    ) -> None:
        first = Lock(KEY, table=table, lease_seconds=600)
        second = Lock(KEY, table=table, wait_seconds=1, poll_seconds=2)
        first.acquire()
        original = table.leave

        class Late(LockTable):
            """The holder releases in the moment before the waiter leaves."""

            def leave(self, key: str, *, grant: str) -> object:  # type: ignore[override]
                first.release()
                return original(key, grant=grant)

        second._table = Late(table._store, clock=clock)
        assert isinstance(second.acquire(), Acquired)

    def test_stands_behind_others(self, table: LockTable, clock: LivelyClock) -> None:
        first = Lock(KEY, table=table, lease_seconds=600)
        first.acquire()
        other = table.new_holder(owner="other", job="j", lease_ms=600_000)
        table.enqueue(KEY, other, max_waiters=5)
        second = Lock(KEY, table=table, wait_seconds=20)
        clock.meanwhile = [first.release]
        result = second.acquire()
        assert isinstance(result, Held)
        assert result.holder.owner == "other"

    def test_ends_at_once_when_the_line_is_full(self, table: LockTable, clock: LivelyClock) -> None:
        Lock(KEY, table=table, lease_seconds=600).acquire()
        table.enqueue(KEY, table.new_holder(owner="o", job="j", lease_ms=1000), max_waiters=1)
        before = clock.monotonic()
        assert isinstance(Lock(KEY, table=table, wait_seconds=60, max_waiters=1).acquire(), Held)
        assert clock.monotonic() == before

    def test_drops_dead_waiters_before_it(self, table: LockTable, clock: LivelyClock) -> None:
        Lock(KEY, table=table, lease_seconds=10).acquire()
        for name in ("dead1", "dead2"):
            table.enqueue(KEY, table.new_holder(owner=name, job="j", lease_ms=600_000), max_waiters=5)
        before = clock.monotonic()
        assert isinstance(Lock(KEY, table=table, wait_seconds=600).acquire(), Acquired)
        # 10 s lease, 5 s for clocks, and 30 s of patience for each place in the line.
        assert 75 <= clock.monotonic() - before < 85

    def test_joins_the_line_again_when_it_was_dropped(self, table: LockTable, clock: LivelyClock) -> None:
        first, second = Lock(KEY, table=table), Lock(KEY, table=table, wait_seconds=30)
        first.acquire()

        def drop() -> None:
            item = table.get(KEY)
            assert item is not None
            assert item.waiting
            table.drop_head(item)

        clock.meanwhile = [drop, lambda: None, first.release]
        assert isinstance(second.acquire(), Acquired)

    def test_takes_a_deleted_lock(self, table: LockTable, store: MemoryStore, clock: LivelyClock) -> None:
        Lock(KEY, table=table, lease_seconds=600).acquire()
        clock.meanwhile = [lambda: store.delete(KEY)]
        assert isinstance(Lock(KEY, table=table, wait_seconds=30).acquire(), Acquired)

    def test_for_a_key_that_gets_done_meanwhile_is_a_duplicate(
        self, table: LockTable, clock: LivelyClock
    ) -> None:
        first = Lock(KEY, table=table, run_key="2026-11-22")
        second = Lock(KEY, table=table, run_key="2026-11-21", wait_seconds=30)
        first.acquire()
        clock.meanwhile = [first.release]
        assert isinstance(second.acquire(), Duplicate)
        item = table.get(KEY)
        assert item is not None
        assert item.holder is None


class TestOracle:
    def test_replaces_a_dead_holder_at_once(self, table: LockTable) -> None:
        Lock(KEY, table=table, lease_seconds=600).acquire()
        assert isinstance(Lock(KEY, table=table, alive=lambda _: False).acquire(), Acquired)

    def test_keeps_a_living_holder_whose_lease_is_over(self, table: LockTable, clock: LivelyClock) -> None:
        Lock(KEY, table=table, lease_seconds=10).acquire()
        clock.advance(3600)
        assert isinstance(Lock(KEY, table=table, alive=lambda _: True).acquire(), Held)
        assert isinstance(Lock(KEY, table=table, alive=lambda _: None).acquire(), Acquired)

    def test_drops_a_dead_head_at_once(self, table: LockTable, clock: LivelyClock) -> None:
        Lock(KEY, table=table, lease_seconds=600).acquire()
        table.enqueue(KEY, table.new_holder(owner="dead", job="j", lease_ms=1000), max_waiters=5)
        before = clock.monotonic()
        assert isinstance(Lock(KEY, table=table, alive=lambda _: False).acquire(), Acquired)
        assert clock.monotonic() == before


class TestStaleTasks:
    @pytest.fixture
    def forced_open(self, table: LockTable) -> None:
        holder = table.new_holder(owner="run", job="j", lease_ms=1000, kind=Kind.SFN, task_arn="task/1")
        mine = table.acquire(KEY, holder)
        assert isinstance(mine, Acquired)
        table.force_release(KEY, token=mine.token, by="ops", reason="stuck")

    def test_are_drained_first(self, table: LockTable, forced_open: None) -> None:
        drained: list[StaleTask] = []
        assert isinstance(Lock(KEY, table=table, drain=drained.append).acquire(), Acquired)
        assert drained == [StaleTask(task_arn="task/1")]

    def test_are_not_run_beside(self, table: LockTable, forced_open: None) -> None:
        with pytest.raises(StaleTasksError, match="drain"):
            Lock(KEY, table=table).acquire()
        item = table.get(KEY)
        assert item is not None
        assert item.holder is None
        assert item.stale_tasks == (StaleTask(task_arn="task/1"),)

    def test_stay_in_mind_when_they_cannot_be_stopped(self, table: LockTable, forced_open: None) -> None:
        def fails(_: StaleTask) -> None:
            raise ConnectionError("ECS does not answer")

        with pytest.raises(ConnectionError):
            Lock(KEY, table=table, drain=fails).acquire()
        item = table.get(KEY)
        assert item is not None
        assert item.holder is None
        assert item.stale_tasks == (StaleTask(task_arn="task/1"),)

    def test_of_a_dead_holder_are_left_to_those_who_can_drain(
        self, table: LockTable, clock: LivelyClock
    ) -> None:
        holder = table.new_holder(owner="run", job="j", lease_ms=1000, kind=Kind.SFN, task_arn="task/1")
        table.acquire(KEY, holder)
        clock.advance(60)
        assert isinstance(Lock(KEY, table=table).acquire(), Held)
        assert isinstance(Lock(KEY, table=table, drain=lambda _: None).acquire(), Acquired)


class Unreliable(MemoryStore):
    """A store whose replies can be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.losses = 0

    def write(self, key: str, event: Event) -> Reply:
        reply = super().write(key, event)
        if self.losses:
            self.losses -= 1
            raise StoreUnavailableError("UpdateItem", ConnectionError("reset"))
        return reply


def test_asking_again_after_an_error_is_the_same_owner(clock: LivelyClock) -> None:
    store = Unreliable()
    lock = Lock(KEY, table=LockTable(store, clock=clock), lease_seconds=100)
    store.losses = 1
    with pytest.raises(StoreUnavailableError, match="may have happened"):
        lock.acquire()
    clock.advance(30)
    assert isinstance(lock.acquire(), Acquired)
    # The lease began with the request whose reply was lost, 30 s ago.
    clock.advance(59)
    lock.check()
    clock.advance(2)
    with pytest.raises(LockLostError):
        lock.check()
    store.losses = 1
    with pytest.raises(StoreUnavailableError):
        lock.release()
    released = lock.release()
    assert isinstance(released, Released)
    assert released.repeated


class TestRenewing:
    def test_keeps_the_lease_and_notices_its_loss(self, clock: LivelyClock) -> None:
        """The thread's own loop, run here: six renewals, an error, then another holder."""
        store = Unreliable()
        table = LockTable(store, clock=clock)
        losses: list[str] = []
        lock = Lock(KEY, table=table, lease_seconds=100, on_lost=lambda: losses.append("lost"))
        lock.acquire()
        lease = lock._lease
        assert lease is not None

        def fail_once() -> None:
            store.losses = 1

        def steal() -> None:
            item = table.get(KEY)
            assert item is not None
            table.take_over(item, Holder(owner="x", kind="cli", grant="x", lease_ms=1000))

        nothing: Callable[[], object] = lambda: None  # noqa: E731
        clock.meanwhile = [nothing] * 6 + [fail_once, nothing, steal]
        lease.keep()
        assert losses == ["lost"]
        assert lock.lost.is_set()
        assert clock.monotonic() == pytest.approx(9 * 20)
        with pytest.raises(LockLostError):
            lock.check()

    def test_counts_itself_out_when_the_store_stays_silent(self, clock: LivelyClock) -> None:
        store = Unreliable()
        lock = Lock(KEY, table=LockTable(store, clock=clock), lease_seconds=100)
        lock.acquire()
        store.losses = 1000
        lease = lock._lease
        assert lease is not None
        lease.keep()
        assert lock.lost.is_set()
        assert clock.monotonic() == pytest.approx(100)

    def test_thread_ends_with_the_release(self) -> None:
        table = LockTable(MemoryStore())
        with Lock(KEY, table=table, lease_seconds=600, renew=True):
            assert any(thread.name == f"renew {KEY}" for thread in threading.enumerate())
        assert not any(thread.name == f"renew {KEY}" for thread in threading.enumerate())


def test_a_table_name_connects_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-northeast-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    lock = Lock(KEY, table="some-locks")
    assert lock._table._store.table == "some-locks"  # type: ignore[attr-defined]


def test_an_item_shows_its_holder(table: LockTable) -> None:
    item = LockItem(
        lock_key=KEY,
        fence=7,
        holder=Holder(
            owner="arn:aws:states:ap-northeast-1:1:execution:nightlatch-dev-a:run-1",
            kind="sfn",
            grant="g",
            group="x",
        ),
    )
    assert item.holder is not None
    assert item.holder.run == "run-1"
    assert item.token is None
