"""Items, clocks and verdicts as values."""

import pytest

from lock import Holder, ItemError, LastRun, LockItem, SkewGauge, StaleTask, VirtualClock
from lock.events import ReArm
from lock.expressions import EXPRESSIONS
from lock.table import table_definition
from lock.verdict import is_dead

FULL = LockItem(
    lock_key="articles",
    fence=7,
    holder=Holder(owner="a", kind="sfn", grant="g", job="j", acquired_at=1, run_key="k", task_arn="t"),
    lease_expires_at=1_000,
    stale_tasks=(StaleTask(task_arn="t0"), StaleTask(family="f", group="g")),
    queue=(Holder(owner="b", kind="cli", grant="h"),),
    queue_ids=frozenset({"h"}),
    last=LastRun(owner="z", grant="y", outcome="failed", at=5, by="janitor"),
    last_run_key="j",
    ttl=9,
)


def test_an_item_survives_dynamodb_json() -> None:
    assert LockItem.decode(FULL.encode()) == FULL
    bare = LockItem(lock_key="k", fence=1)
    assert bare.encode() == {"lock_key": {"S": "k"}, "fence": {"N": "1"}}
    assert LockItem.decode(bare.encode()) == bare


def test_members_of_a_later_version_are_ignored() -> None:
    attributes = FULL.encode()
    attributes["colour"] = {"S": "blue"}
    attributes["holder"]["M"]["mood"] = {"S": "good"}
    assert LockItem.decode(attributes) == FULL


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"lock_key": None}, "it has no lock_key"),
        ({"fence": None}, "it has no fence"),
        ({"fence": {"S": "7"}}, "fence has type S"),
        ({"holder": {"M": {"owner": {"S": "a"}, "kind": {"S": "sfn"}}}}, "holder has no grant"),
        ({"holder": {"M": {"owner": {"N": "1"}}}}, "owner has type N"),
        ({"holder": {"S": "a"}}, "holder has type S"),
    ],
)
def test_an_item_that_cannot_be_ours_is_named(change: dict[str, object], problem: str) -> None:
    attributes = {name: value for name, value in (FULL.encode() | change).items() if value is not None}
    with pytest.raises(ItemError, match=problem):
        LockItem.decode(attributes)  # type: ignore[arg-type]


def test_the_token_exists_only_after_the_claim() -> None:
    assert FULL.token == 7
    unclaimed = LockItem(
        lock_key="k", fence=7, holder=Holder(owner="a", kind="sfn", grant="g", family="f", group="r")
    )
    assert unclaimed.token is None
    direct = LockItem(lock_key="k", fence=7, holder=Holder(owner="a", kind="cli", grant="g"))
    assert direct.token == 7
    assert LockItem(lock_key="k", fence=7).token is None


def test_held_since_the_hand_off() -> None:
    holder = Holder(owner="a", kind="sfn", grant="g", acquired_at=100)
    assert LockItem(lock_key="k", fence=7, holder=holder).held_since == 100
    last = LastRun(owner="z", grant="y", outcome="failed", at=500)
    assert LockItem(lock_key="k", fence=7, holder=holder, last=last).held_since == 500
    assert LockItem(lock_key="k", fence=7).held_since is None


@pytest.mark.parametrize(
    ("alive", "now_ms", "trusted", "dead"),
    [
        (True, 999_999, True, False),
        (False, 0, False, True),
        (None, 1_005, True, False),
        (None, 1_006, True, True),
        (None, 999_999, False, False),
    ],
)
def test_first_the_oracle_then_the_lease(
    *, alive: bool | None, now_ms: int, trusted: bool, dead: bool
) -> None:
    verdict = is_dead(FULL, alive=alive, now_ms=now_ms, max_skew_ms=5, clock_trusted=trusted)
    assert verdict is dead


def test_nobody_is_dead_on_a_free_lock() -> None:
    assert not is_dead(LockItem(lock_key="k", fence=1), alive=False, now_ms=9, max_skew_ms=0)


DATE, DATE_MS = "Sun, 22 Nov 2026 03:00:00 GMT", 1_795_316_400_000


@pytest.mark.parametrize(
    ("sent", "received", "offset"),
    [
        (DATE_MS + 100, DATE_MS + 120, 0),
        (DATE_MS + 990, DATE_MS + 1_010, 0),
        (DATE_MS - 10_000, DATE_MS - 9_900, 9_900),
        (DATE_MS + 10_000, DATE_MS + 10_100, -9_000),
    ],
)
def test_the_gauge_reads_the_date_header(sent: int, received: int, offset: int) -> None:
    gauge = SkewGauge()
    gauge.observe(DATE, sent_ms=sent, received_ms=received)
    assert gauge.offset_ms == offset
    assert gauge.trusted is (offset == 0)


@pytest.mark.parametrize("header", [None, "", "yesterday"])
def test_a_reply_without_a_date_teaches_nothing(header: str | None) -> None:
    gauge = SkewGauge()
    gauge.observe(header, sent_ms=0, received_ms=0)
    assert gauge.offset_ms == 0


def test_the_virtual_clock_moves_when_told() -> None:
    clock = VirtualClock(1_000)
    clock.advance(1.5)
    assert (clock.now_ms(), clock.monotonic()) == (2_500, 1.5)


def test_a_re_arm_names_what_it_rests_on() -> None:
    names = {"owner": "a", "grant": "g", "new_grant": "h", "family": "f"}
    with pytest.raises(ValueError, match="either"):
        ReArm(**names, expires_at=1)
    with pytest.raises(ValueError, match="either"):
        ReArm(**names, expires_at=1, fence=1, task_arn="t")


def test_every_expression_has_a_condition_and_names_every_attribute() -> None:
    for name, expression in EXPRESSIONS.items():
        assert expression.condition, name
        assert all(value == placeholder[1:] for placeholder, value in expression.names.items())
        for placeholder in expression.values:
            assert placeholder in f"{expression.update} {expression.condition}", name


def test_the_table_has_one_key_and_no_index() -> None:
    definition = table_definition("x-locks", deletion_protection=True)
    assert [entry["AttributeName"] for entry in definition["KeySchema"]] == ["lock_key"]
    assert "GlobalSecondaryIndexes" not in definition
    assert definition["DeletionProtectionEnabled"] is True
