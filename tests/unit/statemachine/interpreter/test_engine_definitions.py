"""Definitions outside the subset are refused at creation, with the state's name and the reason."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statemachine.interpreter import DefinitionError, Machine
from tests.support.asl import SYNC, definition, task

OK = {"Type": "Succeed"}


def problems(text: str) -> list[str]:
    with pytest.raises(DefinitionError) as refused:
        Machine.parse(text)
    return [str(problem) for problem in refused.value.problems]


def refused(state: dict[str, Any], **others: Any) -> str:
    """The one problem of a machine whose first state is the given one."""
    found = problems(definition("S", {"S": state, **others}))
    assert len(found) == 1, found
    return found[0]


def test_the_smallest_machine_is_accepted() -> None:
    assert Machine.parse(definition("S", {"S": OK}, Comment="c", Version="1.0")).timeout_seconds is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ("[" * 100_000, "nested too deeply"),
        (" " * 1_048_577, "at most 1 MB"),
        ('{"StartAt": "A"}', "/States: is missing"),
        (definition("A", {}), "at least one state"),
        (definition("A", {"B": OK}), "there is no state 'A'"),
        (definition("S", {"S": OK}, TimeoutSeconds="{% 1 %}"), "whole number from 1"),
        (definition("S", {"S": OK}, Version="2.0"), 'must be "1.0"'),
        (definition("S", {"S": OK}, Extra=1), "/Extra: is not supported on a state machine"),
        (
            definition(
                "S",
                {"S": {"Type": "Parallel", "End": True, "Branches": [{"StartAt": "S", "States": {"S": OK}}]}},
            ),
            "'S' is taken by /States/S",
        ),
    ],
)
def test_hostile_texts_are_refused(text: str, part: str) -> None:
    assert any(part in problem for problem in problems(text))


def test_deep_nesting_is_refused_not_crashed_on() -> None:
    state: dict[str, Any] = {"Type": "Succeed"}
    for depth in range(300):
        graph = {"StartAt": f"D{depth}", "States": {f"D{depth}": state}}
        state = {"Type": "Parallel", "Branches": [graph], "End": True}
    text = definition("S", {"S": state})

    assert Machine.parse(text).graph.start_at == "S"


def test_jsonpath_machines_and_states_are_refused_by_name() -> None:
    machine = json.dumps(
        {"StartAt": "First", "States": {"First": {"Type": "Pass", "Next": "Second"}, "Second": OK}}
    )
    found = problems(machine)

    assert len(found) == 2
    assert "state 'First' uses JSONPath, the default" in found[0]
    assert "state 'Second'" in found[1]
    assert "state 'S' uses JSONPath" in refused({"Type": "Succeed", "QueryLanguage": "JSONPath"})


def test_a_jsonpath_machine_whose_states_are_all_jsonata_runs() -> None:
    text = json.dumps({"StartAt": "S", "States": {"S": {"Type": "Succeed", "QueryLanguage": "JSONata"}}})

    assert Machine.parse(text).graph.start_at == "S"


@pytest.mark.parametrize(
    ("state", "where", "part"),
    [
        ({"Type": "Nope"}, "/States/S/Type", "not one of Pass, Task"),
        ({}, "/States/S/Type", "is missing"),
        (
            {"Type": "Pass", "End": True, "Result": 1},
            "/States/S/Result",
            "JSONPath field; JSONata has Output",
        ),
        ({"Type": "Pass", "End": True, "Parameters": {}}, "/States/S/Parameters", "JSONata has Arguments"),
        ({"Type": "Pass", "End": True, "Retry": []}, "/States/S/Retry", "not supported on a Pass state"),
        ({"Type": "Pass"}, "/States/S/Next", "either Next or End"),
        ({"Type": "Pass", "End": True, "Output": "{% a[ %}"}, "/States/S/Output", "S0203"),
        ({"Type": "Pass", "End": True, "Output": "{% phone %}"}, "/States/S/Output", "$states.input.phone"),
        ({"Type": "Pass", "End": True, "Output": "{% $$ %}"}, "/States/S/Output", "'$$' is not supported"),
        ({"Type": "Pass", "End": True, "Output": "{% $eval('1') %}"}, "/States/S/Output", "$parse"),
        ({"Type": "Pass", "End": True, "Output": {"a": ["{% ( %}"]}}, "/States/S/Output/a[0]", "refused"),
        (
            {"Type": "Pass", "End": True, "Output": "{% $states.errorOutput.Error %}"},
            "/States/S/Output",
            "only in the Assign and Output of a Catch",
        ),
        ({"Type": "Pass", "End": True, "Assign": {"a-b": 1}}, "/States/S/Assign/a-b", "a variable's name"),
        ({"Type": "Pass", "End": True, "Assign": {"states": 1}}, "/States/S/Assign/states", "reserved"),
        ({"Type": "Pass", "End": True, "Assign": 1}, "/States/S/Assign", "must be an object"),
        ({"Type": "Wait", "End": True}, "/States/S/Seconds", "exactly one of"),
        ({"Type": "Wait", "End": True, "Seconds": -1}, "/States/S/Seconds", "whole number from 0"),
        ({"Type": "Wait", "End": True, "Seconds": True}, "/States/S/Seconds", "whole number from 0"),
        ({"Type": "Wait", "End": True, "Timestamp": "soon"}, "/States/S/Timestamp", "not a time stamp"),
        (
            {"Type": "Wait", "End": True, "SecondsPath": "$.n", "Seconds": 1},
            "/States/S/SecondsPath",
            "JSONPath",
        ),
        ({"Type": "Fail", "Error": 1}, "/States/S/Error", "must be a string"),
        ({"Type": "Succeed", "Assign": {}}, "/States/S/Assign", "not supported on a Succeed state"),
        ({"Type": "Choice", "Choices": []}, "/States/S/Choices", "at least one rule"),
        (task("arn:aws:lambda:r:0:function:f"), "/States/S/Resource", "function and activity"),
        (task("{% 'x' %}"), "/States/S/Resource", "must be a constant"),
        (task("arn:aws:states:::aws-sdk:ecs:runTask.sync"), "/States/S/Resource", "have no .sync"),
        (task("arn:aws:states:::ecs:runTask.async"), "/States/S/Resource", "only service integrations"),
        (task(TimeoutSeconds=0), "/States/S/TimeoutSeconds", "whole number from 1"),
        (task(TimeoutSeconds="10"), "/States/S/TimeoutSeconds", "whole number from 1"),
        (
            task(HeartbeatSeconds=9, TimeoutSeconds=9),
            "/States/S/HeartbeatSeconds",
            "less than TimeoutSeconds",
        ),
        (task(Credentials={}), "/States/S/Credentials", "not supported on a Task state"),
        (task(Retry=[{}]), "/States/S/Retry[0]/ErrorEquals", "is missing"),
        (task(Retry=[{"ErrorEquals": []}]), "/States/S/Retry[0]/ErrorEquals", "non-empty"),
        (
            task(Retry=[{"ErrorEquals": ["E"], "IntervalSeconds": 0}]),
            "/States/S/Retry[0]/IntervalSeconds",
            "from 1",
        ),
        (
            task(Retry=[{"ErrorEquals": ["E"], "BackoffRate": 0.5}]),
            "/States/S/Retry[0]/BackoffRate",
            "a number",
        ),
        (
            task(Retry=[{"ErrorEquals": ["E"], "JitterStrategy": "full"}]),
            "/States/S/Retry[0]/JitterStrategy",
            "FULL",
        ),
        (
            task(Retry=[{"ErrorEquals": ["E"], "IntervalSeconds": 9, "MaxDelaySeconds": 9}]),
            "/States/S/Retry[0]/MaxDelaySeconds",
            "greater than",
        ),
        (task(Retry=[{"ErrorEquals": ["States.ALL", "E"]}]), "/States/S/Retry[0]/ErrorEquals", "stand alone"),
        (
            task(Retry=[{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["E"]}]),
            "/States/S/Retry[0]/ErrorEquals",
            "the last of Retry",
        ),
        ({"Type": "Parallel", "End": True, "Branches": []}, "/States/S/Branches", "at least one branch"),
        ({"Type": "Map", "End": True}, "/States/S/ItemProcessor", "is missing"),
    ],
)
def test_each_mistake_is_named_with_its_place(state: dict[str, Any], where: str, part: str) -> None:
    problem = refused(state)

    assert problem.startswith(f"{where}: ")
    assert part in problem


def test_dangling_unreachable_and_endless_graphs_are_refused() -> None:
    pass_to = {"Type": "Pass", "Next": "Gone"}
    assert "/States/S/Next: there is no state 'Gone' in the same graph" in problems(
        definition("S", {"S": pass_to})
    )
    assert refused(OK, Lost=OK) == "/States/Lost: no state leads here"
    assert "no path ends" in refused({"Type": "Pass", "Next": "S"})
    choice = {"Type": "Choice", "Choices": [{"Condition": True, "Next": "Gone"}], "Default": "E"}
    assert refused(choice, E=OK).startswith("/States/S/Choices[0]/Next: ")
    caught = task(Catch=[{"ErrorEquals": ["E"], "Next": "Gone"}])
    assert refused(caught).startswith("/States/S/Catch[0]/Next: ")


def test_a_branch_cannot_reach_outside() -> None:
    branch = {"StartAt": "I", "States": {"I": {"Type": "Pass", "Next": "E"}}}
    state = {"Type": "Parallel", "Branches": [branch], "Next": "E"}

    assert any(
        "/States/S/Branches[0]/States/I/Next" in found
        for found in problems(definition("S", {"S": state, "E": OK}))
    )


def processor(**fields: Any) -> dict[str, Any]:
    return {"Type": "Map", "End": True, "ItemProcessor": {"StartAt": "I", "States": {"I": OK}}, **fields}


@pytest.mark.parametrize(
    "field", ["ToleratedFailureCount", "ToleratedFailurePercentage", "ItemBatcher", "Label"]
)
def test_fields_of_a_distributed_map_are_refused_on_an_inline_one(field: str) -> None:
    assert f"/States/S/{field}: is not supported on a Map with an inline processor" in refused(
        processor(**{field: 1})
    )


def test_every_problem_is_told_at_once() -> None:
    states = {
        "A": {"Type": "Pass", "Next": "B", "Output": "{% ( %}"},
        "B": {"Type": "Wait", "Seconds": "x", "Next": "C"},
        "C": task("nothing", TimeoutSeconds=-1),
    }

    places = {problem.partition(": ")[0] for problem in problems(definition("A", states))}

    assert places == {
        "/States/A/Output",
        "/States/B/Seconds",
        "/States/C/Resource",
        "/States/C/TimeoutSeconds",
    }


def test_catchers_may_use_the_error_output() -> None:
    catcher = {
        "ErrorEquals": ["States.ALL"],
        "Assign": {"e": "{% $states.errorOutput.Error %}"},
        "Output": "{% $exists($states.errorOutput.Cause) %}",
        "Next": "E",
    }

    machine = Machine.parse(definition("S", {"S": task(SYNC, Catch=[catcher]), "E": OK}))

    assert [state.resource.action for state in machine.tasks()] == ["runTask"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    *("Type", "Next", "End", "Output", "Assign", "Choices", "Default", "Seconds", "Timestamp", "Resource"),
    *(
        "Arguments",
        "Retry",
        "Catch",
        "Branches",
        "ItemProcessor",
        "Items",
        "MaxConcurrency",
        "TimeoutSeconds",
    ),
]
TYPES = ["Pass", "Task", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map"]


@settings(max_examples=300, deadline=None)
@given(
    state=st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=6),
    kind=st.sampled_from(TYPES),
    language=st.sampled_from(["JSONata", "JSONPath", 1, None]),
)
def test_whatever_is_written_is_parsed_or_refused(state: dict[str, Any], kind: str, language: Any) -> None:
    text = json.dumps({"QueryLanguage": language, "StartAt": "S", "States": {"S": {**state, "Type": kind}}})

    try:
        started = Machine.parse(text).graph.start_at
    except DefinitionError as error:
        started = "S" if all(problem.message for problem in error.problems) else "refused without a reason"
    assert started == "S"
