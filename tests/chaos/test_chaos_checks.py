"""The checks can fail: hand-written histories, each with something that must not be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lock import Holder, LastRun, LockItem
from lock.events import Acquire, Event, Release, TakeOver
from lock.rules import apply
from tests.chaos import checks
from tests.chaos.history import Histories, History, decode_event, encode_event
from tests.chaos.linearizability import calls_of, check
from tests.chaos.open_calls import Call

SECOND = 1_000_000_000


def line(seconds: float, what: str, **details: Any) -> dict[str, Any]:
    return {"at": int(seconds * SECOND), "pid": 1, "by": "w", "what": what, "key": "k", **details}


def entered(seconds: float, pid: int, token: int, *, lease: float | None = None) -> dict[str, Any]:
    ends = None if lease is None else int(lease * SECOND)
    return line(seconds, "enter", pid=pid, owner=f"o{pid}", token=token, lease_ends=ends)


def left(seconds: float, pid: int, what: str = "exit") -> dict[str, Any]:
    return line(seconds, what, **({"pid": pid} if what == "exit" else {"process": pid}))


def kinds(found: Any) -> list[str]:
    return [anomaly.kind for anomaly in found]


class TestOverlap:
    def test_one_after_the_other_is_well(self) -> None:
        lines = [entered(1, 1, 7), left(2, 1), entered(3, 2, 8), left(4, 2)]
        assert kinds(checks.overlaps(Histories(lines, []))) == []

    def test_two_at_once_are_found(self) -> None:
        lines = [entered(1, 1, 7), entered(2, 2, 8), left(3, 1), left(4, 2)]
        assert kinds(checks.overlaps(Histories(lines, []))) == ["overlap"]

    def test_a_lease_that_still_runs_is_no_excuse(self) -> None:
        lines = [entered(1, 1, 7, lease=3), entered(2, 2, 8, lease=4), left(3, 1), left(4, 2)]
        assert kinds(checks.overlaps(Histories(lines, []))) == ["overlap"]

    def test_a_lease_that_was_renewed_is_no_excuse(self) -> None:
        holds = line(2.5, "holds", lease_ends=4 * SECOND)
        lines = [entered(1, 1, 7, lease=3), holds, entered(3.5, 2, 8, lease=5.5), left(6, 1)]
        assert kinds(checks.overlaps(Histories(lines, []))) == ["overlap"]

    @pytest.mark.parametrize(
        ("slept", "kind"), [(True, "overlap_after_pause"), (False, "overlap_past_lease")]
    )
    def test_whoever_is_past_its_lease_is_classified(self, *, slept: bool, kind: str) -> None:
        paused = [line(1.5, "paused", process=1)] if slept else []
        lines = [entered(1, 1, 7, lease=3), *paused, entered(4, 2, 8, lease=6), left(5, 1), left(5.5, 2)]
        assert kinds(checks.overlaps(Histories(lines, []))) == [kind]

    def test_the_killed_work_until_they_are_gone_and_the_lost_for_ever(self) -> None:
        lines = [entered(1, 1, 7), left(2, 1, "gone"), entered(3, 2, 8), entered(90, 3, 9)]
        assert kinds(checks.overlaps(Histories(lines, []))) == ["overlap"]


class TestTokens:
    def test_they_grow(self) -> None:
        assert kinds(checks.tokens(Histories([entered(1, 1, 7), entered(2, 2, 8)], []))) == []

    def test_going_back_and_standing_still_are_found(self) -> None:
        lines = [entered(1, 1, 8), entered(2, 2, 7), entered(3, 3, 8)]
        assert sorted(kinds(checks.tokens(Histories(lines, [])))) == ["token_order", "token_reused"]

    def test_one_that_slept_between_getting_and_entering_is_classified(self) -> None:
        lines = [entered(5, 2, 8, lease=7), entered(6, 1, 7, lease=3)]
        assert kinds(checks.tokens(Histories(lines, []))) == ["entered_past_lease"]


class TestWrites:
    def write(self, seconds: float, token: int, *, accepted: bool | None, **more: Any) -> dict[str, Any]:
        began = int((seconds - 0.1) * SECOND)
        details = {"resource": "item", "token": token, "accepted": accepted, "began": began, **more}
        return line(seconds, "write", **details)

    def test_a_stale_write_that_was_accepted_is_found(self) -> None:
        lines = [self.write(1, 8, accepted=True), self.write(2, 7, accepted=True)]
        assert kinds(checks.writes(Histories(lines, []))) == ["stale_write_accepted"]

    def test_a_stale_write_that_was_refused_is_counted(self) -> None:
        lines = [self.write(1, 8, accepted=True), self.write(2, 7, accepted=False)]
        assert kinds(checks.writes(Histories(lines, []))) == ["stale_write_refused_by_item"]

    def test_a_refusal_for_nothing_is_found(self) -> None:
        lines = [self.write(1, 7, accepted=True), self.write(2, 8, accepted=False)]
        assert kinds(checks.writes(Histories(lines, []))) == ["refused_without_reason"]

    def test_at_the_same_time_either_may_come_first(self) -> None:
        lines = [self.write(1, 8, accepted=True), self.write(1.05, 7, accepted=True)]
        assert kinds(checks.writes(Histories(lines, []))) == []

    def test_an_error_is_kept_with_its_class(self) -> None:
        lines = [self.write(1, 8, accepted=None, error="ReadTimeoutError: slow")]
        (found,) = checks.writes(Histories(lines, []))
        assert (found.kind, found.violation) == ("write_without_answer", False)
        assert "ReadTimeoutError" in found.text

    def test_postgres_tells_it_too(self) -> None:
        assert kinds(checks.postgres_order({"k": [7, 7, 9, 8]})) == ["stale_write_accepted"]


class Table:
    """Makes calls with the answers that a lock table gives, and lets a test lose or forge some."""

    def __init__(self) -> None:
        self.item: LockItem | None = None
        self.calls: list[Call] = []

    def call(self, event: Event, sent: float, answered: float | None, *, happens: bool = True) -> Call:
        reply = apply(self.item, event, key="k")
        if happens and reply.accepted:
            self.item = reply.item
        at = None if answered is None else int(answered * SECOND)
        call = Call(
            str(len(self.calls)),
            "k",
            event,
            int(sent * SECOND),
            at,
            reply.accepted,
            reply.item if at else None,
        )
        self.calls.append(call)
        return call

    def forge(self, **changes: Any) -> None:
        self.calls[-1] = replace(self.calls[-1], **changes)

    @property
    def linearizable(self) -> bool:
        return check("k", self.calls).stuck_at is None


def holder(name: str) -> Holder:
    return Holder(owner=name, kind="cli", grant=f"g-{name}", lease_ms=1000)


def acquire(name: str) -> Acquire:
    return Acquire(holder=holder(name), expires_at=1000, now=100)


def release(name: str) -> Release:
    last = LastRun(owner=name, grant=f"g-{name}", outcome="succeeded", at=5)
    return Release(owner=name, grant=f"g-{name}", last=last, last_run_key="", ttl=9)


class TestLinearizability:
    def test_the_order_of_answers_is_not_the_order_of_effects(self) -> None:
        table = Table()
        table.call(acquire("a"), 1, 9)
        table.call(release("a"), 1, 2)
        table.call(acquire("b"), 1, 3)
        assert table.linearizable

    def test_a_refusal_may_have_come_long_before_its_answer(self) -> None:
        table = Table()
        table.call(acquire("a"), 1, 2)
        table.call(release("b"), 3, 9)  # refused while a held it; told when c did
        table.call(release("a"), 4, 5)
        table.call(acquire("c"), 6, 7)
        assert table.linearizable

    def test_two_owners_are_not_explained(self) -> None:
        table = Table()
        table.call(acquire("a"), 1, 2)
        table.item = None
        table.call(acquire("b"), 3, 4)
        verdict = check("k", table.calls)
        assert verdict.stuck_at == table.calls[1]
        assert "held by a, fence 100" in verdict.stories

    def test_a_lost_reply_may_have_happened(self) -> None:
        table = Table()
        table.call(acquire("a"), 1, None)
        table.call(acquire("b"), 5, 6)  # it names a as the holder
        assert table.item is not None
        assert table.linearizable

    def test_and_may_never_have_happened(self) -> None:
        table = Table()
        table.call(acquire("a"), 1, None, happens=False)
        table.call(acquire("b"), 5, 6)
        table.call(release("b"), 7, 8)
        assert table.linearizable

    def test_and_may_happen_much_later(self) -> None:
        table = Table()
        table.call(acquire("b"), 5, 6)
        table.call(release("b"), 7, 8)
        table.call(acquire("a"), 1, None)
        table.call(acquire("c"), 9, 10)
        assert table.linearizable

    def test_but_not_before_it_was_sent(self) -> None:
        table = Table()
        table.call(acquire("a"), 9, None)
        table.call(acquire("b"), 5, 6)
        assert not table.linearizable

    def test_and_not_twice(self) -> None:
        table = Table()
        table.call(acquire("a"), 1, 2)
        table.call(release("a"), 3, None)
        table.call(acquire("b"), 5, 6)
        table.call(release("b"), 7, 8)
        table.item = apply(table.item, acquire("a")).item
        table.call(release("a"), 9, 10)
        assert not table.linearizable

    def test_a_read_of_the_past_is_not_explained(self) -> None:
        table = Table()
        old = table.call(acquire("a"), 1, 2).item
        table.call(release("a"), 3, 4)
        stale = Call("read", "k", None, 5 * SECOND, 6 * SECOND, accepted=True, item=old)
        assert check("k", [*table.calls, replace(stale, item=table.item)]).stuck_at is None
        assert check("k", [*table.calls, stale]).stuck_at == stale

    def test_an_accepted_write_that_the_rules_refuse_is_not_explained(self) -> None:
        table = Table()
        seen = table.call(acquire("a"), 1, 2).item
        assert seen is not None
        take = TakeOver(holder=holder("b"), expires_at=9, held_by="a", fence=99, lease=1000, old_task=None)
        table.call(take, 3, 4)
        assert table.linearizable
        table.forge(accepted=True, item=replace(seen, holder=holder("b"), fence=101, lease_expires_at=9))
        assert not table.linearizable

    def test_calls_are_read_back_from_the_lines(self, tmp_path: Any) -> None:
        history = History(tmp_path, "w")
        item = apply(None, acquire("a"), key="k").item
        assert item is not None
        history.note("sent", call="1", key="k", event=encode_event(acquire("a")))
        history.note("answered", call="1", accepted=True, item=item.encode())
        history.note("sent", call="2", key="k", event=encode_event(release("a")))
        history.note("sent", call="3", key="k", event=None)
        (one, two) = calls_of(Histories.read(tmp_path))["k"]
        assert (one.event, one.item, one.accepted) == (acquire("a"), item, True)
        assert (two.event, two.answered) == (release("a"), None)


def test_a_line_cut_short_by_a_kill_is_kept_as_an_anomaly(tmp_path: Any) -> None:
    History(tmp_path, "w").note("killed", process=3)
    (tmp_path / "x.jsonl").write_text('{"at": 1, "wh')
    found = list(checks.faults(Histories.read(tmp_path)))
    assert kinds(found) == ["killed", "torn_line"]
    assert not any(anomaly.violation for anomaly in found)


def test_every_operation_survives_the_history() -> None:
    for event in (acquire("a"), release("a")):
        assert decode_event(encode_event(event)) == event
