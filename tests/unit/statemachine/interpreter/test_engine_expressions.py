"""JSONata as Step Functions offers it: results, bounds, and the added functions."""

import hashlib
import json
import uuid
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statemachine.interpreter.expression import EvaluationError, Expression, ExpressionError
from statemachine.interpreter.functions import RANGE_LIMIT, functions_frame


class FixedClock:
    def now(self) -> float:
        return 1_767_225_600.5


def evaluate(text: str, given: Any = None, seed: int = 1) -> Any:
    frame = functions_frame(FixedClock(), Random(seed))
    return Expression(text).evaluate({"input": given}, frame, "Output")


def failure(text: str, given: Any = None) -> str:
    with pytest.raises(EvaluationError) as failed:
        evaluate(text, given)
    assert failed.value.location == "Output"
    return str(failed.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$range(1, 5, 2)", [1, 3, 5]),
        ("$range(5, 1, -2)", [5, 3, 1]),
        ("$range(-1.7, 2, 1)", [-1, 0, 1, 2]),
        ("$range(7, 7, 1)", 7),
        ("$partition([1..5], 2)", [[1, 2], [3, 4], [5]]),
        ("$partition([1..5], 2.9)", [[1, 2], [3, 4], [5]]),
        ("$hash('é', 'SHA-256')", hashlib.sha256("é".encode()).hexdigest()),
        ("$parse('{\"a\": [1, null]}')", {"a": [1, None]}),
        ("$parse('null')", None),
        ("$millis()", 1_767_225_600_500),
        ("$now()", "2026-01-01T00:00:00.500Z"),
        ("$now('[Y]')", "2026"),
        ("$fromMillis(0)", "1970-01-01T00:00:00.000Z"),
        ("$string({'é': 1.0, 'n': null})", '{"é":1,"n":null}'),
        ("[1, 2, 3] ~> $map($string)", ["1", "2", "3"]),
        ("$map(['a', 'b'], $hash(?, 'MD5')) ~> $count()", 2),
        ("[1..3]", [1, 2, 3]),
        ("$count([1..10])", 10),
        ("[1..(4 / 2)]", [1, 2]),
        ("[5..5]", [5]),
        ("10 / 4", 2.5),
        ("10 / 5", 2),
        ("$type(null)", "null"),
        ("{'kept': null, 'dropped': $states.input.no}", {"kept": None}),
    ],
)
def test_results(text: str, expected: Any) -> None:
    result = evaluate(text, {})

    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        "$states.input.no",
        "$range(3, 1, 1)",
        "$range(1, 3)",
        "$range(0, 4, 0)",
        "$partition([1], 0)",
        "$hash('a')",
    ],
)
def test_what_returns_nothing_fails(text: str) -> None:
    assert failure(text, {}) == (
        f"The JSONata expression '{text}' specified for the field 'Output' returned nothing (undefined)."
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("'a' + 1", "threw an error during evaluation. T2001"),
        ("$abs('x')", "T0410: Argument 1 of function abs does not match function signature"),
        ("$nothing(1)", "T1006"),
        ("$error('mine')", "D3137: mine"),
        ("$parse('{')", "the argument of $parse is not JSON"),
        ("$hash('a', 'CRC')", "'CRC' is not one of MD5"),
        ("function($x) { $x }", "unsupported result type"),
        ("{'f': $sum}", "unsupported result type"),
        (f"$range(1, {RANGE_LIMIT + 1}, 1)", "memory limit exceeded"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_failures_say_why(text: str, part: str) -> None:
    assert part in failure(text)


def test_nesting_is_bounded_at_a_hundred_levels_as_measured() -> None:
    """AWS accepts 100 terms and $f(31), which nests 98 deep, and refuses one more of each."""
    recursive = "($f := function($x) { $x = 0 ? 0 : 1 + $f($x - 1) }; $f(%d))"

    assert evaluate(" + ".join(["1"] * 100)) == 100
    assert evaluate(recursive % 31) == 31
    assert "Depth=101 max=100" in failure(" + ".join(["1"] * 101))
    assert "Depth=101 max=100" in failure(recursive % 32)


@pytest.mark.slow
def test_a_loop_without_an_end_is_ended() -> None:
    assert "timeout" in failure("($f := function($x) { $f($x) }; $f(1))")


@pytest.mark.parametrize(
    "text", ["", "a[1,2)", "(", "/(/", "1 +", "!", "{% 1 %}", "$$", "$", "field", "$eval('1')"]
)
def test_what_step_functions_refuses_at_creation(text: str) -> None:
    with pytest.raises(ExpressionError):
        Expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "$states.input.items[value > 3]",
        "$states.input.items[$ > 3]",
        "$states.input.items.{'k': value}",
        "$states.input.items^(value)",
        "$states.input.items{name: value}",
        "$map($v, function($x, $i) { $x.field[$i] })",
        "($y := $x; $y)",
        "$x ~> |a|{'b': c}|",
        "$states.input.errorOutput",
    ],
)
def test_field_names_are_fine_where_there_is_a_context(text: str) -> None:
    assert Expression(text).text == text


def test_chance_comes_from_the_given_source() -> None:
    text = "[$random(), $uuid(), $shuffle([1..20])]"

    assert evaluate(text, seed=5) == evaluate(text, seed=5)
    assert evaluate(text, seed=5) != evaluate(text, seed=6)
    assert uuid.UUID(evaluate("$uuid()")).version == 4
    assert evaluate("$random(7) = $random(7)") is True


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text()
    | st.floats(allow_nan=False, width=32),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


def whole_floats_as_integers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if isinstance(value, list):
        return [whole_floats_as_integers(member) for member in value]
    if isinstance(value, dict):
        return {name: whole_floats_as_integers(member) for name, member in value.items()}
    return value


@settings(max_examples=200, deadline=None)
@given(value=json_values)
def test_a_value_goes_through_an_expression_unchanged_and_unshared(value: Any) -> None:
    before = json.dumps(value)

    result = evaluate("{'v': $states.input.v}", {"v": value})

    assert json.dumps(value) == before
    finite = "Infinity" not in before
    if finite:
        assert json.dumps(result) == json.dumps({"v": whole_floats_as_integers(value)})


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="$ab.[](){}+-*/%^&|~>:=,?!'\"1<\\ ", max_size=25))
def test_any_text_is_refused_or_evaluated_or_fails_properly(text: str) -> None:
    try:
        evaluate(text, {"a": [1, {"b": 2}]})
    except (ExpressionError, EvaluationError) as error:
        assert str(error)  # noqa: PT017 - both outcomes are right, other exceptions are not
