"""Variables: visible from the next state, read inwards, assigned only where they live."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statemachine.interpreter import DefinitionError, Machine
from tests.support.asl import definition, play


def result_of(text: str, **more: Any) -> Any:
    ran = play(text, **more)
    assert ran.result is not None
    assert ran.result.status == "SUCCEEDED", ran.result
    return ran.result.output


def test_new_values_are_visible_from_the_next_state_on() -> None:
    states = {
        "A": {"Type": "Pass", "Assign": {"x": 1}, "Next": "B"},
        "B": {
            "Type": "Pass",
            "Assign": {"x": "{% $x + 1 %}", "y": "{% $x %}"},
            "Output": "{% $x %}",
            "Next": "C",
        },
        "C": {"Type": "Succeed", "Output": ["{% $x %}", "{% $y %}", "{% $states.input %}"]},
    }

    assert result_of(definition("A", states)) == [2, 1, 1]


def test_a_null_variable_exists() -> None:
    states = {
        "A": {"Type": "Pass", "Assign": {"x": None}, "Next": "B"},
        "B": {"Type": "Succeed", "Output": ["{% $exists($x) %}", "{% $x %}", "{% $exists($never) %}"]},
    }

    assert result_of(definition("A", states)) == [True, None, False]


def test_branches_read_outer_variables_and_keep_their_own() -> None:
    def branch(name: str) -> dict[str, Any]:
        return {
            "StartAt": f"{name}1",
            "States": {
                f"{name}1": {
                    "Type": "Pass",
                    "Assign": {"mine": f"{{% $outer & '{name}' %}}"},
                    "Next": f"{name}2",
                },
                f"{name}2": {"Type": "Pass", "Output": "{% $mine %}", "End": True},
            },
        }

    states = {
        "A": {"Type": "Pass", "Assign": {"outer": "o"}, "Next": "P"},
        "P": {
            "Type": "Parallel",
            "Branches": [branch("a"), branch("b")],
            "Assign": {"got": "{% $states.result %}"},
            "Next": "Z",
        },
        "Z": {"Type": "Succeed", "Output": ["{% $got %}", "{% $exists($mine) %}"]},
    }

    assert result_of(definition("A", states)) == [["oa", "ob"], False]


def test_a_retried_branch_starts_without_its_earlier_variables() -> None:
    states = {
        "P": {
            "Type": "Parallel",
            "Branches": [
                {
                    "StartAt": "I",
                    "States": {
                        "I": {
                            "Type": "Pass",
                            "Output": "{% $exists($seen) %}",
                            "Assign": {"seen": 1},
                            "Next": "F",
                        },
                        "F": {"Type": "Fail", "Error": "{% $string($states.input) %}"},
                    },
                }
            ],
            "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}],
            "End": True,
        }
    }

    ran = play(definition("P", states))

    assert ran.result is not None
    assert ran.result.error == "false"


def refused_places(text: str) -> list[str]:
    try:
        Machine.parse(text)
    except DefinitionError as error:
        return [problem.where for problem in error.problems]
    return []


names = st.sampled_from(["a", "b", "c"])


@settings(max_examples=60, deadline=None)
@given(
    outer=st.sets(names),
    inner=st.sets(names),
    where=st.sampled_from(["parallel", "map"]),
    by=st.sampled_from(["Assign", "Catch"]),
)
def test_an_inner_scope_may_not_name_an_outer_variable(
    outer: set[str], inner: set[str], where: str, by: str
) -> None:
    assign = {"Assign": dict.fromkeys(inner, 1)}
    if by == "Assign":
        graph = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True, **assign}}}
    else:
        catch = [{"ErrorEquals": ["E"], "Next": "J", **assign}]
        graph = {
            "StartAt": "I",
            "States": {
                "I": {
                    "Type": "Task",
                    "Resource": "arn:aws:states:::sns:publish",
                    "Catch": catch,
                    "Next": "J",
                },
                "J": {"Type": "Pass", "End": True},
            },
        }
    container: dict[str, Any] = (
        {"Type": "Parallel", "Branches": [graph]}
        if where == "parallel"
        else {"Type": "Map", "ItemProcessor": graph}
    )
    states = {
        "O": {"Type": "Pass", "Assign": dict.fromkeys(outer, 0), "Next": "S"},
        "S": {**container, "End": True},
    }

    places = refused_places(definition("O", states))

    assert {place.rpartition("/")[2] for place in places} == outer & inner
    assert all("/States/S/" in place for place in places)


def test_siblings_may_use_the_same_name() -> None:
    graph = {
        "StartAt": "%s",
        "States": {"%s": {"Type": "Pass", "Assign": {"x": "%s"}, "Output": "%s", "End": True}},
    }
    branches = [json.loads(json.dumps(graph).replace("%s", name)) for name in ("A", "B")]

    assert result_of(definition("P", {"P": {"Type": "Parallel", "Branches": branches, "End": True}})) == [
        "A",
        "B",
    ]


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.tuples(names, st.integers(0, 9)), min_size=1, max_size=8))
def test_a_chain_of_assignments_leaves_what_the_last_one_wrote(values: list[tuple[str, int]]) -> None:
    states: dict[str, Any] = {}
    for index, (name, value) in enumerate(values):
        states[f"S{index}"] = {"Type": "Pass", "Assign": {name: value}, "Next": f"S{index + 1}"}
    expected = dict(values)
    states[f"S{len(values)}"] = {"Type": "Succeed", "Output": {name: f"{{% ${name} %}}" for name in expected}}

    assert result_of(definition("S0", states)) == expected


@pytest.mark.parametrize(
    ("bytes_each", "count", "fits"),
    [(262_142, 1, True), (262_143, 1, False), (131_070, 2, True), (131_071, 2, False)],
)
def test_one_assign_field_holds_256_kib(bytes_each: int, count: int, *, fits: bool) -> None:
    text = "x" * bytes_each
    state = {"Type": "Pass", "Assign": {f"v{index}": text for index in range(count)}, "End": True}

    ran = play(definition("A", {"A": state}))

    assert ran.result is not None
    assert ran.result.error == (None if fits else "States.DataLimitExceeded")


def test_all_variables_together_hold_10_mib() -> None:
    text = "x" * 262_142
    states: dict[str, Any] = {
        f"S{index}": {
            "Type": "Pass",
            "Assign": {f"v{index}": "{% $states.context.Execution.Input %}"},
            "Output": 0,
            "Next": f"S{index + 1}",
        }
        for index in range(41)
    }
    states["S41"] = {"Type": "Succeed"}

    ran = play(definition("S0", states), given=text)

    assert ran.result is not None
    assert ran.result.error == "States.DataLimitExceeded"
    assert sum(kind == "PassStateExited" for kind in ran.types) == 40
