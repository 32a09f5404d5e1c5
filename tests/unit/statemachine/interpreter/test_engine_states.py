"""Each state type does what the Amazon States Language says."""

import json
from typing import Any

import pytest

from statemachine.interpreter import TaskFailed
from statemachine.interpreter.testing import ScriptedIntegrations, Work
from tests.support.asl import CALL, EXECUTION, Ran, definition, play, task


def output_of(state: dict[str, Any], given: Any = None) -> Any:
    ran = play(definition("S", {"S": {"Type": "Pass", "End": True, **state}}), given=given)
    assert ran.result is not None
    assert ran.result.status == "SUCCEEDED", ran.result
    return ran.result.output


def failure_of(ran: Ran) -> tuple[str | None, str | None]:
    assert ran.result is not None
    assert ran.result.status == "FAILED", ran.result
    return ran.result.error, ran.result.cause


def test_pass_hands_on_its_input_and_its_output_field_replaces_it() -> None:
    assert output_of({}, {"a": [1, None]}) == {"a": [1, None]}
    assert output_of({"Output": {"b": "{% $states.input.a[1] %}", "c": "text"}}, {"a": [1, 2]}) == {
        "b": 2,
        "c": "text",
    }


@pytest.mark.parametrize(
    "constant", [" {% $x %} ", "$states.input", "{%", "%}", "{% $x %} ", "$.a", {"a.$": "$"}, None, 0.5, []]
)
def test_what_is_not_exactly_an_expression_is_a_constant(constant: Any) -> None:
    assert output_of({"Output": {"v": constant}}) == {"v": constant}


def test_the_context_object_names_execution_machine_and_state() -> None:
    seen = output_of({"Output": "{% $states.context %}"}, {"n": 1})

    assert seen == {
        "Execution": {
            "Id": EXECUTION,
            "Input": {"n": 1},
            "Name": "run-1",
            "RoleArn": "arn:aws:iam::000000000000:role/machine",
            "StartTime": "2026-01-01T00:00:00.000Z",
            "RedriveCount": 0,
        },
        "StateMachine": {
            "Id": "arn:aws:states:ap-northeast-1:000000000000:stateMachine:machine",
            "Name": "machine",
        },
        "State": {"Name": "S", "EnteredTime": "2026-01-01T00:00:00.000Z"},
    }


def test_wait_sleeps_for_seconds_or_until_a_time() -> None:
    states = {
        "ByNumber": {"Type": "Wait", "Seconds": 10, "Next": "ByExpression"},
        "ByExpression": {"Type": "Wait", "Seconds": "{% $states.input.n * 2 %}", "Next": "ByTime"},
        "ByTime": {"Type": "Wait", "Timestamp": "2026-01-01T09:01:00+09:00", "Next": "Past"},
        "Past": {"Type": "Wait", "Timestamp": "{% '2020-01-01T00:00:00Z' %}", "End": True},
    }

    ran = play(definition("ByNumber", states), given={"n": 15})

    assert ran.at("WaitStateExited") == [10.0, 40.0, 60.0, 60.0]


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("Seconds", "{% 'ten' %}", "States.QueryEvaluationError"),
        ("Seconds", "{% -1 %}", "States.QueryEvaluationError"),
        ("Seconds", "{% 1.5 %}", "States.QueryEvaluationError"),
        ("Timestamp", "{% 'tomorrow' %}", "States.QueryEvaluationError"),
        ("Timestamp", "{% '2026-01-01T00:00:00' %}", "States.QueryEvaluationError"),
        ("Timestamp", "2094-01-20T00:00:00Z", "States.Runtime"),
    ],
)
def test_wait_refuses_what_is_no_time(field: str, value: str, error: str) -> None:
    ran = play(definition("W", {"W": {"Type": "Wait", field: value, "End": True}}))

    assert failure_of(ran)[0] == error


def test_choice_takes_the_first_true_rule_with_its_assign_and_output() -> None:
    states = {
        "C": {
            "Type": "Choice",
            "Choices": [
                {"Condition": "{% $states.input.n > 10 %}", "Next": "End", "Output": "big"},
                {
                    "Condition": "{% $states.input.n > 5 %}",
                    "Next": "Show",
                    "Assign": {"v": "{% $states.input.n %}"},
                    "Output": "middle",
                },
                {"Condition": True, "Next": "End", "Output": "late"},
            ],
            "Default": "End",
        },
        "Show": {"Type": "Pass", "Output": "{% $states.input & ' ' & $string($v) %}", "Next": "End"},
        "End": {"Type": "Succeed"},
    }

    outputs = [play(definition("C", states), given={"n": n}).result for n in (11, 7, 1)]

    assert [result.output for result in outputs if result] == ["big", "middle 7", "late"]


def test_choice_default_uses_the_states_own_assign_and_output() -> None:
    states = {
        "C": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% false %}", "Next": "D"}],
            "Default": "D",
            "Assign": {"v": 3},
            "Output": "own",
        },
        "D": {"Type": "Succeed", "Output": "{% $states.input & $string($v) %}"},
    }

    result = play(definition("C", states)).result

    assert result is not None
    assert result.output == "own3"


def test_choice_without_a_match_fails_as_recorded() -> None:
    states = {
        "C": {"Type": "Choice", "Choices": [{"Condition": False, "Next": "D"}]},
        "D": {"Type": "Succeed"},
    }

    cause = (
        "An error occurred while executing the state 'C' (entered at the event id #2). "
        "Failed to transition out of the state. The state does not point to a next state."
    )
    assert failure_of(play(definition("C", states))) == ("States.Runtime", cause)


def test_choice_condition_must_be_a_boolean() -> None:
    states = {
        "C": {"Type": "Choice", "Choices": [{"Condition": "{% 1 %}", "Next": "D"}]},
        "D": {"Type": "Succeed"},
    }

    error, cause = failure_of(play(definition("C", states)))

    assert error == "States.QueryEvaluationError"
    assert cause is not None
    assert "Expected 'boolean', but was 'number' for value: 1" in cause


def test_fail_states_pass_their_error_and_cause_through() -> None:
    fail = {"F": {"Type": "Fail", "Error": "{% 'My' & 'Error' %}", "Cause": "why"}}

    assert failure_of(play(definition("F", fail))) == ("MyError", "why")
    assert failure_of(play(definition("F", {"F": {"Type": "Fail"}}))) == (None, None)


def test_parallel_collects_outputs_in_order_and_gives_every_branch_the_arguments() -> None:
    states = {
        "P": {
            "Type": "Parallel",
            "Arguments": {"n": "{% $states.input.n + 1 %}"},
            "Branches": [
                {
                    "StartAt": "A",
                    "States": {
                        "A": {"Type": "Wait", "Seconds": 5, "Next": "A2"},
                        "A2": {"Type": "Pass", "Output": "{% $states.input.n %}", "End": True},
                    },
                },
                {"StartAt": "B", "States": {"B": {"Type": "Pass", "Output": "b", "End": True}}},
            ],
            "Output": {"all": "{% $states.result %}", "was": "{% $states.input.n %}"},
            "End": True,
        }
    }

    ran = play(definition("P", states), given={"n": 1})

    assert ran.result is not None
    assert ran.result.output == {"all": [2, "b"], "was": 1}
    assert ran.ended_at == 5.0


def map_state(**fields: Any) -> dict[str, Any]:
    processor = {"StartAt": "I", "States": {"I": {"Type": "Wait", "Seconds": 10, "End": True}}}
    return {"M": {"Type": "Map", "ItemProcessor": processor, "End": True, **fields}}


def test_map_keeps_order_and_bounds_its_concurrency() -> None:
    def longest(**fields: Any) -> tuple[Any, float]:
        ran = play(definition("M", map_state(**fields)), given=list(range(5)))
        assert ran.result is not None
        return ran.result.output, ran.ended_at

    assert longest() == ([0, 1, 2, 3, 4], 10.0)
    assert longest(MaxConcurrency=1) == ([0, 1, 2, 3, 4], 50.0)
    assert longest(MaxConcurrency="{% 1 + 1 %}") == ([0, 1, 2, 3, 4], 30.0)


def test_an_inline_map_runs_at_most_forty_items_at_once() -> None:
    ran = play(definition("M", map_state()), given=list(range(41)))

    assert ran.ended_at == 20.0


def test_map_selector_sees_index_value_and_variables() -> None:
    selector = {
        "i": "{% $states.context.Map.Item.Index %}",
        "v": "{% $states.context.Map.Item.Value * $factor %}",
        "all": "{% $count($states.input.items) %}",
    }
    inner = {
        "StartAt": "I",
        "States": {
            "I": {
                "Type": "Pass",
                "Output": {"given": "{% $states.input %}", "value": "{% $states.context.Map.Item.Value %}"},
                "End": True,
            }
        },
    }
    states = {
        "A": {"Type": "Pass", "Assign": {"factor": 10}, "Next": "M"},
        "M": {
            "Type": "Map",
            "Items": "{% $states.input.items %}",
            "ItemSelector": selector,
            "ItemProcessor": inner,
            "End": True,
        },
    }

    ran = play(definition("A", states), given={"items": [3, 4]})

    assert ran.result is not None
    assert ran.result.output == [
        {"given": {"i": 0, "v": 30, "all": 2}, "value": 3},
        {"given": {"i": 1, "v": 40, "all": 2}, "value": 4},
    ]


def test_map_over_nothing_succeeds_and_over_no_array_fails() -> None:
    empty = play(definition("M", map_state()), given=[])
    assert empty.result is not None
    assert empty.result.output == []

    error, cause = failure_of(play(definition("M", map_state()), given=1))
    assert error == "States.QueryEvaluationError"
    assert cause is not None
    assert cause.endswith("Map state input must be an array but was: 1")


def test_a_task_gets_its_arguments_and_its_result_becomes_the_output() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply={"Item": {"n": {"N": "1"}}, "Whole": 2.0, "Nothing": None})
    arguments = {"TableName": "t", "Key": {"k": {"S": "{% $states.input.key %}"}}}

    ran = play(definition("T", {"T": task(CALL, Arguments=arguments)}), services, given={"key": "a"})

    assert ran.result is not None
    assert ran.result.output == {"Item": {"n": {"N": "1"}}, "Whole": 2, "Nothing": None}
    request = services.calls[0].request
    assert (request.service, request.action, request.sdk, request.pattern) == (
        "dynamodb",
        "getItem",
        False,
        "request_response",
    )
    assert request.arguments == {"TableName": "t", "Key": {"k": {"S": "a"}}}
    assert (request.execution_arn, request.state_name, request.token) == (EXECUTION, "T", None)


def test_a_result_beyond_the_data_limit_is_not_caught_by_states_all() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply="x" * 262_143)
    caught = {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "D"}]}
    states = {"T": task(**caught), "D": {"Type": "Succeed"}}

    error, cause = failure_of(play(definition("T", states), services))

    assert error == "States.DataLimitExceeded"
    assert cause is not None
    assert "'dynamodb' returned a result with a size exceeding" in cause


def test_the_data_limit_counts_bytes_not_characters() -> None:
    fits, too_large = "é" * 131_071, "é" * 131_072

    assert len(output_of({}, fits).encode()) == 262_142
    ran = play(
        definition("S", {"S": {"Type": "Pass", "Output": {"v": "{% $states.input %}"}, "End": True}}),
        given=fits,
    )
    assert failure_of(ran)[0] == "States.DataLimitExceeded"
    assert failure_of(play(definition("S", {"S": {"Type": "Succeed"}}), given=too_large))[0] == (
        "States.DataLimitExceeded"
    )


def test_a_faulty_integration_fails_its_execution_only() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply=lambda _: 1 // 0)

    error, cause = failure_of(play(definition("T", {"T": task()}), services))

    assert error == "States.Runtime"
    assert cause is not None
    assert "ZeroDivisionError" in cause


def test_an_endless_loop_ends_with_the_event_limit() -> None:
    states = {
        "A": {"Type": "Pass", "Next": "B"},
        "B": {"Type": "Choice", "Choices": [{"Condition": False, "Next": "E"}], "Default": "A"},
        "E": {"Type": "Succeed"},
    }

    ran = play(definition("A", states))

    assert failure_of(ran) == (
        "States.Runtime",
        "The execution reached the maximum number of history events (25000).",
    )
    assert len(ran.events) == 25_000
    assert ran.types[-1] == "ExecutionFailed"


def test_the_event_limit_inside_a_task_stops_the_work_it_started() -> None:
    loop = {
        "A": {"Type": "Pass", "Next": "B"},
        "B": {"Type": "Choice", "Choices": [{"Condition": False, "Next": "E"}], "Default": "A"},
        "E": {"Type": "Succeed"},
    }
    services = ScriptedIntegrations()
    services.on("Job", work=Work(seconds=1e9, stop_seconds=30))
    job = {"StartAt": "Job", "States": {"Job": task("arn:aws:states:::ecs:runTask.sync")}}
    both = {"Type": "Parallel", "Branches": [job, {"StartAt": "A", "States": loop}], "End": True}

    ran = play(definition("P", {"P": both}), services)

    assert failure_of(ran)[0] == "States.Runtime"
    assert services.calls[0].gone_at == 30.0


def test_json_in_and_out_stays_json() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply=TaskFailed("Made.Up", json.dumps({"é": 1}, ensure_ascii=False)))

    assert failure_of(play(definition("T", {"T": task()}), services)) == ("Made.Up", '{"é": 1}')


def test_a_parallel_inside_an_iteration_still_sees_the_item() -> None:
    leaf = {"Type": "Pass", "Output": "{% $states.context.Map.Item %}", "End": True}
    inner = {"Type": "Parallel", "Branches": [{"StartAt": "L", "States": {"L": leaf}}], "End": True}
    processor = {"StartAt": "I", "States": {"I": inner}}

    ran = play(definition("M", map_state(ItemProcessor=processor)), given=["a", "b"])

    assert ran.result is not None
    assert ran.result.output == [[{"Index": 0, "Value": "a"}], [{"Index": 1, "Value": "b"}]]
