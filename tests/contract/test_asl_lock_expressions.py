"""The state machines use the lock's expressions to the letter."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lock.expressions import EXPRESSIONS, Expression
from statemachine.checks.states import read_graph
from tests.support.definitions import VALUES, definition

OPERATIONS = {
    ("job", "Acquire"): "acquire",
    ("job", "Advance"): "re_arm_after_success",
    ("job", "Rearm"): "re_arm",
    ("job", "Revoke"): "re_arm",
    ("job", "Release"): "release",
    ("job", "Free"): "release_by_fence",
    ("job", "HandOff"): "hand_off",
    ("job", "DropHead"): "drop_head",
    ("job", "Contend/DropDeadHead"): "drop_head",
    ("job", "Contend/TakeOver"): "take_over",
    ("job", "Contend/TakeOverAsHead"): "take_over_as_head",
    ("job", "Contend/Enqueue"): "enqueue",
    ("job", "Contend/Leave"): "leave",
    ("janitor", "CleanLocks/CleanLock/Revoke"): "re_arm",
    ("janitor", "CleanLocks/CleanLock/Free"): "release_by_fence",
    ("janitor", "CleanLocks/CleanLock/HandOff"): "hand_off",
    ("janitor", "CleanLocks/CleanLock/DropHead"): "drop_head",
}


def lock_writes(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for graph in read_graph(json.loads(definition(name))).walk():
        for state, body in graph.states.items():
            arguments = body.get("Arguments")
            on_locks = isinstance(arguments, dict) and arguments.get("TableName") == VALUES["lock_table"]
            if on_locks and not body["Resource"].endswith((":getItem", ":scan")):
                yield graph.place(state), arguments


WRITES = {
    (name, place): found for name in ("job", "janitor", "watchdog") for place, found in lock_writes(name)
}


def test_every_write_to_a_lock_is_one_of_the_locks_own_operations() -> None:
    assert set(WRITES) == set(OPERATIONS)


@pytest.mark.parametrize(("where", "operation"), OPERATIONS.items(), ids=str)
def test_the_expressions_are_the_locks(where: tuple[str, str], operation: str) -> None:
    expression: Expression = EXPRESSIONS[operation]
    written = WRITES[where]
    assert written["UpdateExpression"] == expression.update
    assert written["ConditionExpression"] == expression.condition
    assert written["ExpressionAttributeNames"] == dict(expression.names)
    assert set(written["ExpressionAttributeValues"]) == expression.values
