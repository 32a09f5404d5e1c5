"""Looking again and again at a shared grant."""

import queue
from typing import Any

import pytest
import structlog

from tasks.contract import Assignment, AssignmentError, variables
from tasks.runtime.failures import LockLostError, TemporaryError
from tasks.runtime.verification import Verification


def watching(answers: list[Exception | None]) -> tuple[Verification, "queue.SimpleQueue[str]"]:
    happened: queue.SimpleQueue[str] = queue.SimpleQueue()

    def verify() -> None:
        answer = answers.pop(0) if answers else None
        happened.put(type(answer).__name__)
        if answer is not None:
            raise answer

    log: Any = structlog.get_logger().bind()
    return Verification(verify, log, lambda: happened.put("told"), period=0.001), happened


def test_a_table_that_does_not_answer_proves_nothing_and_a_lost_grant_is_told_once() -> None:
    watch, happened = watching([None, TemporaryError("no answer"), None, LockLostError("gone")])
    watch.start()
    seen = [happened.get(timeout=5) for _ in range(5)]
    assert seen == ["NoneType", "TemporaryError", "NoneType", "LockLostError", "told"]
    assert str(watch.lock_lost) == "LOCK_LOST: gone"
    assert happened.empty()


def test_it_ends_when_the_job_has() -> None:
    watch, happened = watching([])
    watch.start()
    happened.get(timeout=5)
    watch.finish()
    assert watch.lock_lost is None


def test_the_contract_of_a_shard_is_read() -> None:
    told = Assignment.read(
        {variables.CLAIM: "verify", variables.SHARD: '{"a":1}', variables.SHARD_INDEX: "0"}
    )
    assert (told.verify, told.shard, told.shard_index) == (True, '{"a":1}', 0)
    assert Assignment.read({}).shard_index is None
    with pytest.raises(AssignmentError, match="must be empty or"):
        Assignment.read({variables.CLAIM: "perhaps"})
