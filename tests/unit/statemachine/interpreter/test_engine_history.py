"""History events: types, order, links and details as recorded on or measured against AWS."""

from typing import Any

from statemachine.interpreter import TaskFailed
from statemachine.interpreter.testing import ScriptedIntegrations, Work
from tests.support.asl import CALL, SYNC, Ran, definition, play, task

WHOLE = {"truncated": False}
PASS = {"Type": "Pass", "End": True}
UNDEFINED = {"Type": "Pass", "Output": {"v": "{% $states.input.missing %}"}, "End": True}
BOOM = {"Type": "Fail", "Error": "MyError", "Cause": "my cause"}


def parallel(*branches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    graphs = [{"StartAt": next(iter(states)), "States": states} for states in branches]
    return {"Type": "Parallel", "Branches": graphs, "End": True, **fields}


def map_of(states: dict[str, Any], **fields: Any) -> dict[str, Any]:
    processor = {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": next(iter(states)), "States": states}
    return {"Type": "Map", "ItemProcessor": processor, "End": True, **fields}


def shape(ran: Ran) -> list[tuple[str, int]]:
    return list(zip(ran.types, ran.links, strict=True))


def test_ids_count_from_one_and_the_first_state_follows_nothing() -> None:
    ran = play(
        definition(
            "A",
            {
                "A": {"Type": "Pass", "Assign": {"x": "{% $states.input.n %}", "y": "t"}, "Next": "B"},
                "B": PASS,
            },
        ),
        given={"n": None},
    )

    assert [event.id for event in ran.events] == [1, 2, 3, 4, 5, 6]
    assert shape(ran) == [
        ("ExecutionStarted", 0),
        ("PassStateEntered", 0),
        ("PassStateExited", 2),
        ("PassStateEntered", 3),
        ("PassStateExited", 4),
        ("ExecutionSucceeded", 5),
    ]
    assert [event.details for event in ran.events[:3]] == [
        {
            "executionStartedEventDetails": {
                "input": '{"n":null}',
                "inputDetails": WHOLE,
                "roleArn": "arn:aws:iam::000000000000:role/machine",
            }
        },
        {"stateEnteredEventDetails": {"name": "A", "input": '{"n":null}', "inputDetails": WHOLE}},
        {
            "stateExitedEventDetails": {
                "name": "A",
                "output": '{"n":null}',
                "outputDetails": WHOLE,
                "assignedVariables": {"x": "null", "y": '"t"'},
                "assignedVariablesDetails": WHOLE,
            }
        },
    ]
    assert ran.details("ExecutionSucceeded") == {"output": '{"n":null}', "outputDetails": WHOLE}


def test_a_call_is_scheduled_started_and_succeeds() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply={"Item": {}})

    ran = play(definition("T", {"T": task(Arguments={"TableName": "t"}, TimeoutSeconds=5)}), services)

    assert shape(ran)[1:] == [
        ("TaskStateEntered", 0),
        ("TaskScheduled", 2),
        ("TaskStarted", 3),
        ("TaskSucceeded", 4),
        ("TaskStateExited", 5),
        ("ExecutionSucceeded", 6),
    ]
    assert ran.details("TaskScheduled") == {
        "resourceType": "dynamodb",
        "resource": "getItem",
        "region": "ap-northeast-1",
        "parameters": '{"TableName":"t"}',
        "timeoutInSeconds": 5,
    }
    assert ran.details("TaskStarted") == {"resourceType": "dynamodb", "resource": "getItem"}
    assert ran.details("TaskSucceeded")["output"] == '{"Item":{}}'


def test_a_sync_task_is_submitted_in_between() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply={"Tasks": [], "Failures": []}, work=Work(seconds=60, result={"TaskArn": "a"}))

    ran = play(definition("T", {"T": task(SYNC)}), services)

    assert ran.types[2:7] == [
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
        "TaskStateExited",
    ]
    assert ran.links[2:7] == [2, 3, 4, 5, 6]
    assert ran.details("TaskSubmitted") == {
        "resourceType": "ecs",
        "resource": "runTask.sync",
        "output": '{"Tasks":[],"Failures":[]}',
        "outputDetails": WHOLE,
    }
    assert ran.details("TaskSucceeded")["output"] == '{"TaskArn":"a"}'


def test_sdk_integrations_and_versioned_patterns_are_shown_by_their_names() -> None:
    services = ScriptedIntegrations()
    services.on("A")
    services.on("B")
    states = {
        "A": task("arn:aws:states:::aws-sdk:sfn:describeExecution", Next="B"),
        "B": task("arn:aws:states:::states:startExecution.sync:2"),
    }

    ran = play(definition("A", states), services)

    assert ran.details("TaskStarted", 0) == {"resourceType": "aws-sdk:sfn", "resource": "describeExecution"}
    assert ran.details("TaskStarted", 1) == {"resourceType": "states", "resource": "startExecution.sync:2"}


def test_a_refused_submit_is_a_failed_call_or_a_failed_submit() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply=TaskFailed("ECS.ClientException", "no"))

    call = play(definition("T", {"T": task(CALL)}), services)
    sync = play(definition("T", {"T": task(SYNC)}), services)

    assert call.types[2:] == ["TaskScheduled", "TaskStarted", "TaskFailed", "ExecutionFailed"]
    assert sync.types[2:] == ["TaskScheduled", "TaskStarted", "TaskSubmitFailed", "ExecutionFailed"]
    assert sync.details("TaskSubmitFailed") == {
        "resourceType": "ecs",
        "resource": "runTask.sync",
        "error": "ECS.ClientException",
        "cause": "no",
    }
    assert sync.details("ExecutionFailed") == {"error": "ECS.ClientException", "cause": "no"}


def test_retry_never_re_enters_the_state() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply=TaskFailed("E", "1"), times=1)
    services.on("T", reply={})

    ran = play(definition("T", {"T": task(Retry=[{"ErrorEquals": ["E"]}])}), services)

    assert shape(ran)[2:] == [
        ("TaskScheduled", 2),
        ("TaskStarted", 3),
        ("TaskFailed", 4),
        ("TaskScheduled", 5),
        ("TaskStarted", 6),
        ("TaskSucceeded", 7),
        ("TaskStateExited", 8),
        ("ExecutionSucceeded", 9),
    ]


def test_a_caught_error_is_the_states_output() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply=TaskFailed("E", "why"))
    caught = [
        {"ErrorEquals": ["States.ALL"], "Next": "D", "Assign": {"e": "{% $states.errorOutput.Error %}"}}
    ]

    ran = play(definition("T", {"T": task(Catch=caught), "D": PASS}), services)

    assert shape(ran)[4:8] == [
        ("TaskFailed", 4),
        ("TaskStateExited", 5),
        ("PassStateEntered", 6),
        ("PassStateExited", 7),
    ]
    exited = ran.details("TaskStateExited")
    assert exited["output"] == '{"Error":"E","Cause":"why"}'
    assert exited["assignedVariables"] == {"e": '"E"'}


def test_fail_states_have_no_exit() -> None:
    assert shape(play(definition("F", {"F": BOOM})))[1:] == [("FailStateEntered", 0), ("ExecutionFailed", 2)]
    empty = play(definition("F", {"F": {"Type": "Fail"}}))
    assert empty.events[-1].details == {"executionFailedEventDetails": {}}


def test_an_undefined_result_is_recorded_once_per_attempt() -> None:
    state = task(
        Arguments={"K": "{% $states.input.missing %}"},
        Retry=[{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}],
    )

    ran = play(definition("T", {"T": state}))

    assert shape(ran)[1:] == [
        ("TaskStateEntered", 0),
        ("EvaluationFailed", 2),
        ("EvaluationFailed", 3),
        ("ExecutionFailed", 4),
    ]
    cause = (
        "An error occurred while executing the state 'T' (entered at the event id #2). "
        "The JSONata expression '$states.input.missing' specified for the field 'Arguments/K' "
        "returned nothing (undefined)."
    )
    error = "States.QueryEvaluationError"
    assert ran.details("EvaluationFailed") == {
        "error": error,
        "cause": cause,
        "location": "Arguments/K",
        "state": "T",
    }
    assert ran.details("ExecutionFailed") == {"error": error, "cause": cause}


def test_branches_are_lines_of_their_own() -> None:
    ran = play(
        definition("P", {"P": parallel({"A": {"Type": "Wait", "Seconds": 5, "End": True}}, {"B": PASS})})
    )

    assert {("PassStateEntered", 3), ("WaitStateEntered", 3)} < set(shape(ran))
    last = next(event.id for event in ran.events if event.type == "WaitStateExited")
    assert shape(ran)[-3:] == [
        ("ParallelStateSucceeded", last),
        ("ParallelStateExited", last),
        ("ExecutionSucceeded", last + 2),
    ]


def test_a_failed_branch_fails_the_parallel() -> None:
    ran = play(definition("P", {"P": parallel({"F": BOOM})}))

    assert shape(ran) == [
        ("ExecutionStarted", 0),
        ("ParallelStateEntered", 0),
        ("ParallelStateStarted", 2),
        ("FailStateEntered", 3),
        ("ParallelStateFailed", 4),
        ("ExecutionFailed", 5),
    ]
    assert ran.events[4].details == {}
    assert ran.details("ExecutionFailed") == {"error": "MyError", "cause": "my cause"}


def test_a_retried_parallel_starts_again_and_fails_once() -> None:
    retried = parallel({"F": BOOM}, Retry=[{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}])

    ran = play(definition("P", {"P": retried}))

    assert shape(ran)[1:] == [
        ("ParallelStateEntered", 0),
        ("ParallelStateStarted", 2),
        ("FailStateEntered", 3),
        ("ParallelStateStarted", 4),
        ("FailStateEntered", 5),
        ("ParallelStateFailed", 6),
        ("ExecutionFailed", 7),
    ]


def test_a_caught_branch_failure_exits_the_parallel_with_the_error_output() -> None:
    caught = parallel({"U": UNDEFINED}, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "H"}])

    ran = play(definition("P", {"P": caught, "H": PASS}))

    assert shape(ran) == [
        ("ExecutionStarted", 0),
        ("ParallelStateEntered", 0),
        ("ParallelStateStarted", 2),
        ("PassStateEntered", 3),
        ("EvaluationFailed", 4),
        ("ParallelStateFailed", 5),
        ("ParallelStateExited", 6),
        ("PassStateEntered", 7),
        ("PassStateExited", 8),
        ("ExecutionSucceeded", 9),
    ]
    assert ran.details("EvaluationFailed")["state"] == "U"


def test_a_task_whose_failure_ends_its_branch_is_recorded_as_aborted() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply=TaskFailed("E", "c"))
    caught = parallel({"T": task()}, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "H"}])

    ran = play(definition("P", {"P": caught, "H": PASS}), services)

    assert shape(ran)[3:10] == [
        ("TaskStateEntered", 3),
        ("TaskScheduled", 4),
        ("TaskStarted", 5),
        ("TaskFailed", 6),
        ("TaskStateAborted", 7),
        ("ParallelStateFailed", 7),
        ("ParallelStateExited", 9),
    ]


def test_a_runtime_error_in_a_branch_leaves_no_further_events() -> None:
    nowhere = {"Type": "Choice", "Choices": [{"Condition": False, "Next": "E"}]}
    caught = parallel(
        {"C": nowhere, "E": {"Type": "Succeed"}}, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "H"}]
    )

    ran = play(definition("P", {"P": caught, "H": PASS}))

    assert shape(ran)[3:] == [("ChoiceStateEntered", 3), ("ExecutionFailed", 4)]


def test_a_catcher_that_fails_itself_fails_the_state_a_second_time() -> None:
    catchers = [
        {"ErrorEquals": ["Other"], "Next": "D"},
        {"ErrorEquals": ["States.ALL"], "Output": {"v": "{% $states.input.missing %}"}, "Next": "D"},
    ]

    ran = play(definition("P", {"P": parallel({"F": BOOM}, Catch=catchers), "D": PASS}))

    assert shape(ran)[2:] == [
        ("ParallelStateStarted", 2),
        ("FailStateEntered", 3),
        ("ParallelStateFailed", 4),
        ("EvaluationFailed", 4),
        ("ParallelStateFailed", 6),
        ("ExecutionFailed", 7),
    ]
    assert ran.details("EvaluationFailed")["location"] == "Catch[1]/Output/v"


def test_map_iterations_link_as_recorded() -> None:
    ran = play(definition("M", {"M": map_of({"I": PASS}, MaxConcurrency=1)}), given=[1, 2])

    assert shape(ran) == [
        ("ExecutionStarted", 0),
        ("MapStateEntered", 0),
        ("MapStateStarted", 2),
        ("MapIterationStarted", 3),
        ("PassStateEntered", 4),
        ("PassStateExited", 5),
        ("MapIterationSucceeded", 6),
        ("MapIterationStarted", 6),
        ("PassStateEntered", 8),
        ("PassStateExited", 9),
        ("MapIterationSucceeded", 10),
        ("MapStateSucceeded", 11),
        ("MapStateExited", 11),
        ("ExecutionSucceeded", 13),
    ]
    assert ran.details("MapStateStarted") == {"length": 2}
    assert ran.details("MapIterationStarted", 1) == {"name": "M", "index": 1}
    assert ran.details("MapIterationSucceeded", 1) == {"name": "M", "index": 1}


def test_a_map_over_nothing_exits_from_its_started_event() -> None:
    assert shape(play(definition("M", {"M": map_of({"I": PASS})}), given=[]))[2:] == [
        ("MapStateStarted", 2),
        ("MapStateSucceeded", 3),
        ("MapStateExited", 3),
        ("ExecutionSucceeded", 5),
    ]


def test_a_failed_iteration_fails_the_map() -> None:
    ran = play(definition("M", {"M": map_of({"U": UNDEFINED}, MaxConcurrency=1)}), given=[1, 2])

    assert shape(ran)[3:] == [
        ("MapIterationStarted", 3),
        ("PassStateEntered", 4),
        ("EvaluationFailed", 5),
        ("MapIterationFailed", 6),
        ("MapStateFailed", 6),
        ("ExecutionFailed", 8),
    ]


def test_iterations_that_a_failure_ends_are_recorded_as_aborted() -> None:
    """The four iterations of a Map time out at once, as in the recorded history."""
    services = ScriptedIntegrations()
    services.on("T", reply={}, work=Work(seconds=1e9))

    ran = play(definition("M", {"M": map_of({"T": task(SYNC, TimeoutSeconds=5)})}), services, given=[1, 2, 3])

    timed_out = next(event.id for event in ran.events if event.type == "TaskTimedOut")
    tail = [
        (kind, link) for kind, link in shape(ran) if kind.startswith(("MapIter", "TaskState", "MapStateF"))
    ][6:]
    assert tail == [
        ("MapIterationFailed", timed_out),
        ("TaskStateAborted", timed_out),
        ("MapIterationAborted", timed_out),
        ("TaskStateAborted", timed_out),
        ("MapIterationAborted", timed_out),
        ("TaskStateAborted", timed_out),
        ("MapStateFailed", timed_out),
    ]
    failed = ran.details("MapIterationFailed")["index"]
    aborted = {ran.details("MapIterationAborted", nth)["index"] for nth in (0, 1)}
    assert {failed} | aborted == {0, 1, 2}
    assert ran.details("ExecutionFailed") == {"error": "States.Timeout"}


def test_failing_items_are_recorded_before_the_map_starts() -> None:
    ran = play(definition("M", {"M": map_of({"I": PASS}, Items="{% $states.input.missing %}")}))

    assert shape(ran)[1:] == [
        ("MapStateEntered", 0),
        ("EvaluationFailed", 2),
        ("MapStateFailed", 3),
        ("ExecutionFailed", 4),
    ]
    assert ran.details("EvaluationFailed")["location"] == "Items"


def test_a_failing_selector_belongs_to_its_iteration() -> None:
    ran = play(
        definition(
            "M", {"M": map_of({"I": PASS}, ItemSelector={"v": "{% $states.input.no %}"}, MaxConcurrency=1)}
        ),
        given=[1],
    )

    assert shape(ran)[3:] == [
        ("MapIterationStarted", 3),
        ("EvaluationFailed", 4),
        ("MapIterationFailed", 5),
        ("MapStateFailed", 5),
        ("ExecutionFailed", 7),
    ]


def test_a_timed_out_machine_shows_one_event_that_follows_nothing() -> None:
    ran = play(definition("W", {"W": {"Type": "Wait", "Seconds": 100, "End": True}}, TimeoutSeconds=7))

    assert ran.result is not None
    assert (ran.result.status, ran.result.error, ran.result.cause) == ("TIMED_OUT", None, None)
    assert shape(ran)[-2:] == [("WaitStateEntered", 0), ("ExecutionTimedOut", 0)]
    assert ran.events[-1].details == {"executionTimedOutEventDetails": {"error": "States.Timeout"}}
    assert ran.at("ExecutionTimedOut") == [7.0]


def test_a_faulty_integration_in_a_branch_leaves_no_aborted_event() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply=lambda _: 1 // 0)

    ran = play(definition("P", {"P": parallel({"T": task()})}), services)

    assert ran.types[-3:] == ["TaskStarted", "TaskFailed", "ExecutionFailed"]
