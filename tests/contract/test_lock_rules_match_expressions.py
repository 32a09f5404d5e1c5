"""On random items and operations, `lock.rules` does what DynamoDB does with the expressions."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from lock.clock import SkewGauge, SystemClock
from lock.dynamodb import DynamoDBStore
from lock.events import (
    Acquire,
    Claim,
    DropHead,
    Enqueue,
    Event,
    HandOff,
    Leave,
    ReArm,
    Release,
    ReleaseByFence,
    Renew,
    TakeOver,
)
from lock.expressions import EXPRESSIONS
from lock.model import Holder, LastRun, LockItem, StaleTask
from lock.requests import expression_of
from lock.rules import apply
from tests.support.lock_tables import TABLE, in_process_client

KEY = "articles"

# Few values, so that what an operation names often is what the item holds.
owners = st.sampled_from(["me", "other"])
grants = st.sampled_from(["g1", "g2", "g3"])
tasks = st.sampled_from(["task/1", "task/2"])
fences = st.integers(5, 7)
times = st.integers(100, 103)
run_keys = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"])
stale = st.builds(StaleTask, task_arn=tasks, family=st.none() | st.just("f"), group=st.just("g"))
holders = st.builds(
    Holder,
    owner=owners,
    kind=st.just("sfn"),
    grant=grants,
    job=st.just("articles"),
    acquired_at=times,
    run_key=st.none() | run_keys,
    task_arn=st.none() | tasks,
    claimed_at=st.none() | times,
    grant_fence=st.none() | fences,
    heartbeat_at=st.none() | times,
    lease_ms=st.none() | st.just(1000),
    family=st.none() | st.just("f1"),
)
lasts = st.builds(LastRun, owner=owners, grant=grants, outcome=st.just("succeeded"), at=times)


@st.composite
def items(draw: st.DrawFn) -> LockItem:
    holder = draw(st.none() | holders)
    return LockItem(
        lock_key=KEY,
        fence=draw(fences),
        holder=holder,
        lease_expires_at=draw(times) if holder else None,
        stale_tasks=tuple(draw(st.lists(stale, max_size=2))),
        queue=tuple(draw(st.lists(holders, max_size=3))),
        queue_ids=draw(st.frozensets(grants)),
        last=draw(st.none() | lasts),
        last_run_key=draw(st.none() | run_keys | st.just("")),
        ttl=None if holder else draw(st.none() | times),
    )


maybe_task = st.none() | tasks
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Acquire, holder=holders, expires_at=times, now=times),
    st.builds(Claim, owner=owners, grant=grants, task_arn=tasks, now=times),
    st.builds(Renew, owner=owners, grant=grants, expires_at=times, now=times, task_arn=maybe_task),
    st.builds(
        TakeOver,
        holder=holders,
        expires_at=times,
        held_by=owners,
        fence=fences,
        lease=times,
        old_task=st.none() | stale,
        head=st.none() | grants,
    ),
    st.builds(
        ReArm,
        owner=owners,
        grant=grants,
        new_grant=st.just("g9"),
        family=st.just("f2"),
        expires_at=times,
        fence=fences,
    ),
    st.builds(
        ReArm,
        owner=owners,
        grant=grants,
        new_grant=st.just("g9"),
        family=st.just("f2"),
        expires_at=times,
        task_arn=tasks,
    ),
    st.builds(
        Release,
        owner=owners,
        grant=grants,
        last=lasts,
        last_run_key=run_keys,
        ttl=times,
        task_arn=maybe_task,
    ),
    st.builds(
        ReleaseByFence,
        held_by=owners,
        fence=fences,
        last=lasts,
        last_run_key=run_keys,
        ttl=times,
        force=st.booleans(),
        old_task=st.none() | stale,
    ),
    st.builds(
        HandOff,
        held_by=owners,
        fence=fences,
        head=grants,
        expires_at=times,
        last=lasts,
        last_run_key=run_keys,
        force=st.booleans(),
        old_task=st.none() | stale,
    ),
    st.builds(Enqueue, entry=holders, limit=st.integers(1, 3)),
    st.builds(Leave, grant=grants),
    st.builds(DropHead, head=grants),
)


@pytest.fixture(scope="module")
def store() -> Iterator[DynamoDBStore]:
    with mock_aws():
        yield DynamoDBStore(in_process_client(), TABLE, clock=SystemClock(), gauge=SkewGauge())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(item=st.none() | items(), event=events, data=st.data())
def test_rules_and_expressions_agree(
    store: DynamoDBStore, item: LockItem | None, event: Event, data: st.DataObject
) -> None:
    if item is not None and data.draw(st.integers(0, 3), label="aimed"):
        event = aimed(item, event, but=data.draw(st.none() | st.sampled_from(AIMS), label="but"))
    put(store, item)
    expected = apply(item, event, key=KEY)

    assert store.write(KEY, event) == expected
    assert store.read(KEY) == expected.item


def put(store: DynamoDBStore, item: LockItem | None) -> None:
    if item is None:
        store._client.delete_item(TableName=TABLE, Key={"lock_key": {"S": KEY}})
    else:
        store._client.put_item(TableName=TABLE, Item=item.encode())


AIMS = ("fence", "lease", "owner", "held_by", "grant", "task_arn", "head")


def aimed(item: LockItem, event: Event, but: str | None) -> Event:
    """The same operation with the item's own names in it, but for one: almost or wholly acceptable."""
    known: dict[str, object] = {"fence": item.fence, "lease": item.lease_expires_at}
    if item.holder:
        known |= {"owner": item.holder.owner, "held_by": item.holder.owner, "grant": item.holder.grant}
        known["task_arn"] = item.holder.task_arn
    if item.queue:
        known["head"] = item.queue[0].grant
    changes = {
        name: value
        for name, value in known.items()
        if name != but and value is not None and getattr(event, name, None) is not None
    }
    return type(event)(**{f: getattr(event, f) for f in event.__dataclass_fields__} | changes)


ME = Holder(owner="me", kind="sfn", grant="g1", job="articles", acquired_at=100)
OTHER = Holder(owner="other", kind="sfn", grant="g2", job="articles", acquired_at=100)
LAST = LastRun(owner="me", grant="g1", outcome="succeeded", at=100)
FREE = LockItem(lock_key=KEY, fence=5, last_run_key="2026-01-01T00:00:00Z")
HELD = replace(FREE, holder=ME, lease_expires_at=100)
CLAIMED = replace(HELD, holder=replace(ME, task_arn="task/1", grant_fence=4))
WAITED_FOR = replace(CLAIMED, queue=(OTHER,), queue_ids=frozenset({"g2"}))
END = {"last": LAST, "last_run_key": ""}
TAKE: dict[str, Any] = {
    "holder": OTHER,
    "expires_at": 101,
    "held_by": "me",
    "fence": 5,
    "lease": 100,
    "old_task": StaleTask(),
}
ARM = {"owner": "me", "grant": "g1", "new_grant": "g9", "family": "f", "expires_at": 101}
HAND: dict[str, Any] = {"held_by": "me", "fence": 5, "head": "g2", "expires_at": 101, **END}

ACCEPTED: dict[str, tuple[LockItem, Event]] = {
    "acquire": (FREE, Acquire(holder=ME, expires_at=101, now=100)),
    "claim": (HELD, Claim(owner="me", grant="g1", task_arn="task/1", now=100)),
    "renew": (CLAIMED, Renew(owner="me", grant="g1", task_arn="task/1", expires_at=101, now=100)),
    "renew_direct": (HELD, Renew(owner="me", grant="g1", expires_at=101, now=100)),
    "take_over": (CLAIMED, TakeOver(**TAKE)),
    "take_over_as_head": (WAITED_FOR, TakeOver(head="g2", **TAKE)),
    "re_arm": (CLAIMED, ReArm(fence=5, **ARM)),
    "re_arm_after_success": (CLAIMED, ReArm(task_arn="task/1", **ARM)),
    "release": (CLAIMED, Release(owner="me", grant="g1", task_arn="task/1", ttl=9, **END)),
    "release_direct": (HELD, Release(owner="me", grant="g1", ttl=9, **END)),
    "release_by_fence": (CLAIMED, ReleaseByFence(held_by="me", fence=5, ttl=9, **END)),
    "force_release": (CLAIMED, ReleaseByFence(held_by="me", fence=5, ttl=9, force=True, **END)),
    "hand_off": (WAITED_FOR, HandOff(**HAND)),
    "force_hand_off": (WAITED_FOR, HandOff(force=True, **HAND)),
    "enqueue": (CLAIMED, Enqueue(entry=OTHER, limit=1)),
    "leave": (WAITED_FOR, Leave(grant="g2")),
    "drop_head": (WAITED_FOR, DropHead(head="g2")),
}


def test_every_expression_has_a_case() -> None:
    assert set(ACCEPTED) == set(EXPRESSIONS)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_each_is_accepted_where_it_should_be(store: DynamoDBStore, name: str) -> None:
    item, event = ACCEPTED[name]
    assert expression_of(event) is EXPRESSIONS[name]
    store._client.put_item(TableName=TABLE, Item=item.encode())
    reply = store.write(KEY, event)
    assert reply.accepted
    assert reply == apply(item, event)


def near_events(event: Event) -> Iterator[Event]:
    """The operation, and the operation with one thing in it changed."""
    yield event
    for name in event.__dataclass_fields__:
        value = getattr(event, name)
        if name in {"force", "holder", "entry", "last", "old_task"} or value is None:
            continue
        for other in (value - 1, value + 1) if isinstance(value, int) else (value + "x",):
            yield replace(event, **{name: other})


def near_items(item: LockItem) -> Iterator[LockItem | None]:
    """The item, the item with one thing in it changed, and none."""
    yield item
    yield None
    third = replace(OTHER, grant="g3")
    changes: list[dict[str, object]] = [
        {"fence": item.fence - 1},
        {"fence": item.fence + 1},
        {"queue": ()},
        {"queue": (OTHER,)},
        {"queue": (third, OTHER)},
        {"queue_ids": frozenset()},
        {"queue_ids": frozenset({"g2"})},
        {"queue_ids": frozenset({"g3"})},
        {"queue_ids": frozenset({"g1", "g3"})},
        {"stale_tasks": (StaleTask(family="old"),)},
        {"last": None},
        {"last_run_key": None},
        {"last_run_key": ""},
        {"last_run_key": "~"},
        {"last_run_key": "2026-01-02T00:00:00Z"},
        {"ttl": 7},
    ]
    if item.holder is not None:
        changes += [{"lease_expires_at": lease} for lease in (None, 99, 101)]
        changes.append({"holder": None, "lease_expires_at": None})
        near_holder: list[dict[str, object]] = [
            {"owner": "other"},
            {"grant": "g3"},
            {"task_arn": None},
            {"task_arn": "task/2"},
            {"claimed_at": 50},
            {"grant_fence": None},
            {"grant_fence": 2},
            {"family": "f1"},
        ]
        changes += [{"holder": replace(item.holder, **change)} for change in near_holder]  # type: ignore[arg-type]
    for change in changes:
        yield replace(item, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_near_misses_are_judged_alike(store: DynamoDBStore, name: str) -> None:
    """Every single change of the operation or of the item, on both sides of every comparison."""
    item, event = ACCEPTED[name]
    cases = [(item, near) for near in near_events(event)] + [(near, event) for near in near_items(item)]
    if isinstance(event, Enqueue):
        full = replace(item, queue_ids=frozenset({"g3"}))
        cases += [(full, replace(event, limit=limit)) for limit in (1, 2, 3)]
        twice = replace(item, queue=(OTHER,), queue_ids=frozenset({"g2"}))
        cases.append((twice, replace(event, limit=3)))
    outcomes = set()
    for before, operation in cases:
        put(store, before)
        expected = apply(before, operation, key=KEY)
        assert store.write(KEY, operation) == expected, (before, operation)
        outcomes.add(expected.accepted)
    assert outcomes == {True, False}
