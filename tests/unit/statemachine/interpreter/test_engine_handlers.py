"""Retry and Catch: which errors they match, when attempts happen, and what a catcher sees."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statemachine.interpreter import TaskFailed
from statemachine.interpreter.failure import StateFailedError, matches
from statemachine.interpreter.testing import ScriptedIntegrations, Work
from tests.support.asl import SYNC, Ran, definition, play, task


@pytest.mark.parametrize(
    ("names", "error", "expected"),
    [
        (["States.ALL"], "Any.Thing", True),
        (["States.ALL"], None, True),
        (["States.ALL"], "States.Timeout", True),
        (["States.ALL"], "States.QueryEvaluationError", True),
        (["States.ALL"], "States.DataLimitExceeded", False),
        (["States.ALL"], "States.Runtime", False),
        (["States.Runtime"], "States.Runtime", False),
        (["States.DataLimitExceeded"], "States.DataLimitExceeded", True),
        (["States.TaskFailed"], "DynamoDB.ConditionalCheckFailedException", True),
        (["States.TaskFailed"], "States.Timeout", False),
        (["DynamoDb.X"], "DynamoDB.X", False),
        (["A", "B"], "B", True),
        (["A"], None, False),
    ],
)
def test_error_names_match_by_awss_rules(names: list[str], error: str | None, *, expected: bool) -> None:
    assert matches(names, StateFailedError(error)) is expected


def failing(retry: list[dict[str, Any]], errors: list[str], *, seed: int = 1) -> Ran:
    """A task that fails with each error in turn and then succeeds."""
    services = ScriptedIntegrations()
    for error in errors:
        services.on("T", reply=TaskFailed(error), times=1)
    services.on("T", reply="done")
    return play(definition("T", {"T": task(Retry=retry)}), services, seed=seed)


def test_defaults_are_one_second_doubling_three_times() -> None:
    ran = failing([{"ErrorEquals": ["E"]}], ["E"] * 5)

    assert ran.at("TaskScheduled") == [0, 1, 3, 7]
    assert ran.result is not None
    assert ran.result.status == "FAILED"


@settings(max_examples=25, deadline=None)
@given(
    interval=st.integers(1, 1000),
    rate=st.floats(1, 4),
    longest=st.none() | st.integers(1, 5000),
    attempts=st.integers(0, 6),
)
def test_attempts_happen_when_the_fields_say(
    interval: int, rate: float, longest: int | None, attempts: int
) -> None:
    retrier: dict[str, Any] = {
        "ErrorEquals": ["E"],
        "IntervalSeconds": interval,
        "BackoffRate": rate,
        "MaxAttempts": attempts,
    }
    if longest is not None:
        retrier["MaxDelaySeconds"] = interval + longest

    ran = failing([retrier], ["E"] * attempts)

    expected, now = [0.0], 0.0
    for number in range(attempts):
        delay = interval * rate**number
        now += delay if longest is None else min(delay, interval + longest)
        expected.append(now)
    assert ran.at("TaskScheduled") == pytest.approx(expected, rel=1e-6, abs=1e-3)
    assert ran.result is not None
    assert ran.result.output == "done"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_full_jitter_draws_between_nothing_and_the_delay_from_the_given_source(seed: int) -> None:
    retrier = {"ErrorEquals": ["E"], "IntervalSeconds": 100, "MaxAttempts": 2, "JitterStrategy": "FULL"}

    first, second = failing([retrier], ["E"] * 2, seed=seed), failing([retrier], ["E"] * 2, seed=seed)

    chance = Random(seed)
    waits = [chance.uniform(0, 100), chance.uniform(0, 200)]
    assert first.at("TaskScheduled") == pytest.approx([0, waits[0], sum(waits)], abs=1e-3)
    assert first.at("TaskScheduled") == second.at("TaskScheduled")


def test_each_retrier_counts_for_itself_and_the_first_match_decides() -> None:
    retry = [
        {"ErrorEquals": ["A"], "IntervalSeconds": 10, "MaxAttempts": 2, "BackoffRate": 1},
        {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 2, "BackoffRate": 1},
    ]

    assert failing(retry, ["A", "B", "A", "B"]).at("TaskScheduled") == [0, 10, 11, 21, 22]
    exhausted = failing(retry, ["A", "A", "A"])
    assert exhausted.at("TaskScheduled") == [0, 10, 20]
    assert exhausted.result is not None
    assert exhausted.result.error == "A"


def test_zero_attempts_means_never() -> None:
    assert failing([{"ErrorEquals": ["E"], "MaxAttempts": 0}], ["E"]).at("TaskScheduled") == [0]


def test_a_rate_that_overflows_still_ends() -> None:
    retrier = {
        "ErrorEquals": ["E"],
        "IntervalSeconds": 1,
        "MaxAttempts": 3,
        "BackoffRate": 99999999,
        "MaxDelaySeconds": 60,
    }

    assert failing([retrier], ["E"] * 3).at("TaskScheduled") == [0, 1, 61, 121]


def test_the_retry_count_is_in_the_context() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply=TaskFailed("E"), times=2)
    services.on("T")
    state = task(Arguments={"n": "{% $states.context.State.RetryCount %}"}, Retry=[{"ErrorEquals": ["E"]}])

    play(definition("T", {"T": state}), services)

    assert [call.request.arguments["n"] for call in services.calls] == [0, 1, 2]


def caught(error: TaskFailed, catcher: dict[str, Any]) -> Ran:
    services = ScriptedIntegrations()
    services.on("T", reply=error)
    states = {
        "T": task(Catch=[{"ErrorEquals": ["States.ALL"], "Next": "D", **catcher}]),
        "D": {
            "Type": "Succeed",
            "Output": {"in": "{% $states.input %}", "v": "{% $exists($v) ? $v : 'none' %}"},
        },
    }
    return play(definition("T", states), services, given={"a": 1})


def test_a_catcher_sees_error_and_cause_and_may_assign_and_answer() -> None:
    ran = caught(
        TaskFailed("E", '{"ExitCode":3}'),
        {
            "Assign": {"v": "{% $parse($states.errorOutput.Cause).ExitCode %}"},
            "Output": "{% $states.input.a %}",
        },
    )

    assert ran.result is not None
    assert ran.result.output == {"in": 1, "v": 3}


def test_a_missing_cause_is_absent_and_a_nameless_failure_is_null() -> None:
    without_cause = caught(TaskFailed("E"), {})
    nameless = caught(TaskFailed(None), {})

    assert without_cause.result is not None
    assert without_cause.result.output["in"] == {"Error": "E"}
    assert nameless.result is not None
    assert nameless.result.output["in"] == {"Error": None, "Cause": None}
    assert nameless.details("TaskFailed") == {"resourceType": "dynamodb", "resource": "getItem"}


def test_error_and_cause_are_cut_to_awss_lengths() -> None:
    ran = caught(TaskFailed("E" * 300, "c" * 40_000), {})

    assert ran.result is not None
    assert len(ran.result.output["in"]["Error"]) == 256
    assert len(ran.result.output["in"]["Cause"]) == 32_768


def test_a_one_branch_parallel_catches_what_choice_pass_and_wait_cannot() -> None:
    states = {
        "Try": {
            "Type": "Parallel",
            "Branches": [
                {
                    "StartAt": "C",
                    "States": {
                        "C": {
                            "Type": "Choice",
                            "Choices": [{"Condition": "{% $states.input.no %}", "Next": "E"}],
                            "Default": "E",
                        },
                        "E": {"Type": "Succeed"},
                    },
                }
            ],
            "Catch": [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "D"}],
            "End": True,
        },
        "D": {"Type": "Succeed", "Output": "caught"},
    }

    ran = play(definition("Try", states))

    assert ran.result is not None
    assert ran.result.output == "caught"


def test_an_output_that_fails_after_the_call_is_retried_and_caught_too() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply={})
    state = task(
        Output="{% $states.result.missing %}",
        Retry=[{"ErrorEquals": ["States.QueryEvaluationError"], "MaxAttempts": 1}],
        Catch=[{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "D"}],
    )

    ran = play(definition("T", {"T": state, "D": {"Type": "Succeed", "Output": 1}}), services)

    assert ran.result is not None
    assert ran.result.output == 1
    assert len(services.calls) == 2


def test_states_timeout_is_not_a_task_failure() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply={}, work=Work(seconds=1e9))
    catchers = [
        {"ErrorEquals": ["States.TaskFailed"], "Next": "Wrong"},
        {"ErrorEquals": ["States.Timeout"], "Next": "Right"},
    ]
    states = {
        "T": task(SYNC, TimeoutSeconds=3, Catch=catchers),
        "Wrong": {"Type": "Succeed", "Output": "wrong"},
        "Right": {"Type": "Succeed", "Output": "{% $states.input %}"},
    }

    ran = play(definition("T", states), services)

    assert ran.result is not None
    assert json.dumps(ran.result.output) == '{"Error": "States.Timeout"}'
