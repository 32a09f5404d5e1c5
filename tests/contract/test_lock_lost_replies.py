"""Requests and replies that get lost, on every write: the answer is the one that was lost."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import pytest
from moto import mock_aws

from lock import (
    Acquired,
    Armed,
    Claimed,
    Holder,
    Kind,
    Left,
    LockItem,
    LockTable,
    Lost,
    Queued,
    Released,
    Renewed,
    StoreRefusedError,
    StoreUnavailableError,
    TableMissingError,
    VirtualClock,
)
from tests.support.lock_tables import TABLE, Wire, in_process_client, tell_time

KEY = "articles"
T = TypeVar("T")


@dataclass
class Scene:
    """A lock table behind a wire."""

    table: LockTable
    wire: Wire
    clock: VirtualClock

    def holder(self, owner: str, kind: str = Kind.CLI) -> Holder:
        return self.table.new_holder(owner=owner, job="articles", lease_ms=60_000, kind=kind)

    def acquired(self, owner: str = "a") -> Acquired:
        result = self.table.acquire(KEY, self.holder(owner))
        assert isinstance(result, Acquired)
        return result

    def item(self) -> LockItem:
        item = self.table.get(KEY)
        assert item is not None
        return item


@pytest.fixture(params=[1, 3], ids=["no retries", "the SDK retries"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    clock = VirtualClock()
    with mock_aws():
        client = in_process_client(attempts=request.param)
        tell_time(client, clock.now_ms)
        wire = Wire(client)
        yield Scene(LockTable.connect(TABLE, client=client, clock=clock), wire, clock)


def insist(scene: Scene, ask: Callable[[], T]) -> T:
    """Ask, and where the SDK has given up, ask again: the reply of the first request never came."""
    scene.wire.lose_replies()
    scene.wire.sent.clear()
    try:
        answer = ask()
    except StoreUnavailableError:
        answer = ask()
    assert scene.wire.sent[:2] == ["UpdateItem", "UpdateItem"]
    return answer


def test_acquire(scene: Scene) -> None:
    holder = scene.holder("a")
    result = insist(scene, lambda: scene.table.acquire(KEY, holder))
    assert isinstance(result, Acquired)
    assert result.holder == holder
    assert scene.item() == result.item


def test_claim_returns_the_same_token(scene: Scene) -> None:
    mine = scene.acquired()
    claim = lambda: scene.table.claim(KEY, owner="a", grant=mine.holder.grant, task_arn="task/1")  # noqa: E731
    result = insist(scene, claim)
    assert isinstance(result, Claimed)
    assert result.token == mine.token + 1 == scene.item().fence


def test_renew(scene: Scene) -> None:
    mine = scene.acquired()
    assert isinstance(insist(scene, lambda: scene.table.renew(KEY, mine.holder)), Renewed)


def test_take_over(scene: Scene) -> None:
    seen, taker = scene.acquired().item, scene.holder("b")
    result = insist(scene, lambda: scene.table.take_over(seen, taker))
    assert isinstance(result, Acquired)
    assert result.holder == taker
    assert result.token == seen.fence + 1


def test_release(scene: Scene) -> None:
    mine = scene.acquired().item
    result = insist(scene, lambda: scene.table.release(mine))
    assert isinstance(result, Released)
    assert result.repeated
    assert scene.item().holder is None


def test_enqueue_stands_in_line_once(scene: Scene) -> None:
    scene.acquired()
    waiter = scene.holder("b")
    result = insist(scene, lambda: scene.table.enqueue(KEY, waiter, max_waiters=3))
    assert isinstance(result, Queued)
    assert scene.item().queue == (waiter,)


def test_leave(scene: Scene) -> None:
    scene.acquired()
    waiter = scene.holder("b")
    scene.table.enqueue(KEY, waiter, max_waiters=3)
    assert isinstance(insist(scene, lambda: scene.table.leave(KEY, grant=waiter.grant)), Left)


def test_drop_head_drops_one(scene: Scene) -> None:
    scene.acquired()
    for name in "bc":
        scene.table.enqueue(KEY, scene.holder(name), max_waiters=3)
    seen = scene.item()
    insist(scene, lambda: scene.table.drop_head(seen))
    assert [entry.owner for entry in scene.item().queue] == ["c"]


# These make a new grant or a new time of their own on every call, so it is the SDK that repeats the request.
@pytest.mark.parametrize("scene", [3], indirect=True)
class TestRepeatedBySdk:
    def test_re_arm(self, scene: Scene) -> None:
        seen = scene.acquired().item
        assert seen.holder is not None
        grant = seen.holder.grant
        result = insist(scene, lambda: scene.table.re_arm(seen, owner="a", grant=grant, family="f"))
        assert isinstance(result, Armed)
        held = scene.item().holder
        assert held is not None
        assert held.grant == result.grant

    def test_release_by_fence(self, scene: Scene) -> None:
        seen = scene.acquired().item
        result = insist(scene, lambda: scene.table.release_by_fence(seen, outcome="failed"))
        assert isinstance(result, Released)

    def test_hand_off(self, scene: Scene) -> None:
        scene.acquired()
        waiter = scene.holder("b")
        scene.table.enqueue(KEY, waiter, max_waiters=1)
        seen = scene.item()
        result = insist(scene, lambda: scene.table.release_by_fence(seen, outcome="failed"))
        assert isinstance(result, Released)
        assert result.handed_to == waiter


@pytest.mark.parametrize("scene", [1], indirect=True)
class TestLate:
    """A request that seemed lost arrives after everything else."""

    def test_a_late_claim_does_not_move_the_token(self, scene: Scene) -> None:
        mine = scene.acquired()
        scene.wire.delay_requests()
        with pytest.raises(StoreUnavailableError):
            scene.table.claim(KEY, owner="a", grant=mine.holder.grant, task_arn="task/1")
        claimed = scene.table.claim(KEY, owner="a", grant=mine.holder.grant, task_arn="task/1")
        scene.wire.deliver_late()
        assert isinstance(claimed, Claimed)
        assert scene.item().token == claimed.token

    def test_a_late_release_frees_nobody_elses_lock(self, scene: Scene) -> None:
        mine = scene.acquired()
        scene.wire.delay_requests()
        with pytest.raises(StoreUnavailableError):
            scene.table.release(mine.item)
        scene.table.release(mine.item)
        scene.acquired("b")
        before = scene.item()
        scene.wire.deliver_late()
        assert scene.item() == before

    def test_a_late_acquire_is_a_holder_that_the_next_one_finds_dead(self, scene: Scene) -> None:
        ghost = scene.holder("ghost")
        scene.wire.delay_requests()
        with pytest.raises(StoreUnavailableError):
            scene.table.acquire(KEY, ghost)
        scene.wire.deliver_late()
        scene.clock.advance(66)
        seen = scene.item()
        assert scene.table.is_dead(seen)
        assert isinstance(scene.table.take_over(seen, scene.holder("b")), Acquired)


@pytest.mark.parametrize("scene", [1], indirect=True)
class TestClocks:
    def test_seconds_of_skew_are_corrected(self, scene: Scene) -> None:
        scene.acquired()
        slow = VirtualClock(scene.clock.now_ms() - 4_000)
        other = LockTable.connect(TABLE, client=scene.table._store._client, clock=slow)  # type: ignore[attr-defined]
        other.get(KEY)
        assert other.gauge.trusted
        assert abs(other.now_ms() - scene.clock.now_ms()) <= 1_000

    def test_a_clock_too_far_off_judges_nobody(self, scene: Scene) -> None:
        item = scene.acquired().item
        fast = VirtualClock(scene.clock.now_ms() + 3_600_000)
        other = LockTable.connect(TABLE, client=scene.table._store._client, clock=fast)  # type: ignore[attr-defined]
        assert other.is_dead(item)  # it has not heard of the difference yet
        other.get(KEY)
        assert not other.gauge.trusted
        assert not other.is_dead(item)

    @pytest.mark.parametrize("offset_ms", [-3_600_000, 3_600_000])
    def test_a_lease_written_by_a_wrong_clock_is_put_right(self, scene: Scene, offset_ms: int) -> None:
        wrong = VirtualClock(scene.clock.now_ms() + offset_ms)
        other = LockTable.connect(TABLE, client=scene.table._store._client, clock=wrong)  # type: ignore[attr-defined]
        result = other.acquire(KEY, scene.holder("a"))
        assert isinstance(result, Acquired)
        lease = scene.item().lease_expires_at
        assert lease is not None
        assert abs(lease - (scene.clock.now_ms() + 60_000)) <= 1_000


def test_a_missing_table_is_named() -> None:
    with mock_aws():
        table = LockTable.connect("no-such-table", client=in_process_client(create=False))
        holder = table.new_holder(owner="a", job="j", lease_ms=1000)
        with pytest.raises(TableMissingError, match=r"no-such-table.*does not exist.*Terraform"):
            table.acquire(KEY, holder)
        with pytest.raises(TableMissingError):
            table.list()


def test_another_refusal_is_an_error_and_not_a_lost_race() -> None:
    with mock_aws():
        client = in_process_client()
        table = LockTable.connect(TABLE, client=client)
        holder = {"M": {"owner": {"S": "a"}, "grant": {"S": "g"}}}
        client.put_item(TableName=TABLE, Item={"lock_key": {"S": KEY}, "fence": {"S": "x"}, "holder": holder})
        with pytest.raises(StoreRefusedError, match="ValidationException"):
            table.claim(KEY, owner="a", grant="g", task_arn="task/1")


def test_a_refused_claim_without_an_item_is_lost(scene: Scene) -> None:
    assert scene.table.claim(KEY, owner="a", grant="g", task_arn="t") == Lost(item=None)
