"""Event patterns: which events a rule wants.

Source: EventBridge user guide, "Creating event patterns" and "Comparison operators for use in event
patterns".
"""

from __future__ import annotations

import json
import operator
import re
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

_MISSING = object()
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


def parse_pattern(text: str) -> dict[str, Any]:
    """Read and check a pattern.

    Raises:
        ApiError: ``InvalidEventPatternException`` saying what is wrong.
    """
    try:
        pattern = json.loads(text)
    except ValueError as error:
        raise _invalid(f"it is not JSON: {error}") from error
    if not isinstance(pattern, dict) or not pattern:
        raise _invalid("it must be a JSON object with at least one member")
    _check(pattern, "")
    return pattern


def matches(pattern: dict[str, Any], event: Any) -> bool:
    """Whether an event (or a part of one) matches a pattern that `parse_pattern` accepted."""
    for name, wanted in pattern.items():
        if name == "$or" and isinstance(wanted, list):
            if not any(matches(alternative, event) for alternative in wanted):
                return False
            continue
        value = event.get(name, _MISSING) if isinstance(event, dict) else _MISSING
        if isinstance(wanted, dict):
            parts = value if isinstance(value, list) else [value]
            if not any(matches(wanted, part) for part in parts or [_MISSING]):
                return False
        elif not _any_matches(wanted, value):
            return False
    return True


def _any_matches(matchers: list[Any], value: Any) -> bool:
    if isinstance(value, list):
        # An empty list has no leaf: for the operators it is as absent.
        return any(_leaf_matches(matcher, item) for matcher in matchers for item in value or [_MISSING])
    return any(_leaf_matches(matcher, value) for matcher in matchers)


def _leaf_matches(matcher: Any, value: Any) -> bool:
    if not isinstance(matcher, dict):
        return _equal(matcher, value)
    name, argument = next(iter(matcher.items()))
    if name == "exists":
        return bool((value is not _MISSING and not isinstance(value, dict)) == argument)
    if value is _MISSING:
        return False
    return _OPERATORS[name](argument, value)


def _equal(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    return (type(wanted) in {int, float} and type(value) in {int, float} and wanted == value) or (
        type(wanted) is type(value) and wanted == value
    )


def _text(test: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    """A test of text that also takes ``{"equals-ignore-case": ...}`` as its argument."""

    def apply(argument: Any, value: Any) -> bool:
        if not isinstance(value, str):
            return False
        if isinstance(argument, dict):
            return test(argument["equals-ignore-case"].lower(), value.lower())
        return test(argument, value)

    return apply


def _anything_but(argument: Any, value: Any) -> bool:
    if isinstance(argument, dict):
        name, inner = next(iter(argument.items()))
        return not any(
            _OPERATORS[name](one, value) for one in (inner if isinstance(inner, list) else [inner])
        )
    return not any(_equal(one, value) for one in (argument if isinstance(argument, list) else [argument]))


def _numeric(argument: list[Any], value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return all(
        _COMPARISONS[comparison](value, bound)
        for comparison, bound in zip(argument[::2], argument[1::2], strict=True)
    )


def _wildcard(argument: str, value: Any) -> bool:
    # A backslash takes a star or a backslash literally.
    parts = re.findall(r"(\*)|\\([\\*])|([^\\*]+|\\)", argument)
    expression = "".join(".*" if star else re.escape(escaped or plain) for star, escaped, plain in parts)
    return isinstance(value, str) and re.fullmatch(expression, value, re.DOTALL) is not None


def _cidr(argument: str, value: Any) -> bool:
    try:
        return ip_address(value) in ip_network(argument, strict=False)
    except ValueError:
        return False


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "prefix": _text(lambda wanted, value: value.startswith(wanted)),
    "suffix": _text(lambda wanted, value: value.endswith(wanted)),
    "equals-ignore-case": _text(lambda wanted, value: value.lower() == wanted.lower()),
    "anything-but": _anything_but,
    "numeric": _numeric,
    "wildcard": _wildcard,
    "cidr": _cidr,
}


def _check(pattern: dict[str, Any], path: str) -> None:
    for name, wanted in pattern.items():
        here = f"{path}.{name}" if path else name
        if name == "$or" and isinstance(wanted, list) and all(isinstance(item, dict) for item in wanted):
            for alternative in wanted:
                _check(alternative, here)
        elif isinstance(wanted, dict):
            if not wanted:
                raise _invalid(f"{here} is an empty object")
            _check(wanted, here)
        elif not isinstance(wanted, list):
            raise _invalid(f"{here} must be an object or an array")
        else:
            for matcher in wanted:
                _check_matcher(matcher, here)


def _check_matcher(matcher: Any, path: str) -> None:
    if isinstance(matcher, list):
        raise _invalid(f"{path} has an array within an array")
    if not isinstance(matcher, dict):
        return
    if len(matcher) != 1:
        raise _invalid(f"{path}: only one operator is allowed in {json.dumps(matcher)}")
    name, argument = next(iter(matcher.items()))
    good = {
        "exists": lambda: isinstance(argument, bool),
        "numeric": lambda: _is_numeric(argument),
        "anything-but": lambda: _is_anything_but(argument),
        "wildcard": lambda: isinstance(argument, str),
        "cidr": lambda: isinstance(argument, str),
        "equals-ignore-case": lambda: isinstance(argument, str),
        "prefix": lambda: isinstance(argument, str) or _ignores_case(argument),
        "suffix": lambda: isinstance(argument, str) or _ignores_case(argument),
    }
    if name not in good:
        raise _invalid(f"{path}: unrecognized match type {name}")
    if not good[name]():
        raise _invalid(f"{path}: {name} cannot take {json.dumps(argument)}")


def _is_numeric(argument: Any) -> bool:
    return (
        isinstance(argument, list)
        and len(argument) in {2, 4}
        and all(comparison in _COMPARISONS for comparison in argument[::2])
        and all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in argument[1::2])
    )


def _is_anything_but(argument: Any) -> bool:
    if isinstance(argument, dict):
        return len(argument) == 1 and next(iter(argument)) in {
            "prefix",
            "suffix",
            "equals-ignore-case",
            "wildcard",
        }
    items = argument if isinstance(argument, list) else [argument]
    return bool(items) and all(isinstance(item, str | int | float) for item in items)


def _ignores_case(argument: Any) -> bool:
    return isinstance(argument, dict) and list(argument) == ["equals-ignore-case"]


def _invalid(reason: str) -> ApiError:
    return ApiError("InvalidEventPatternException", f"Event pattern is not valid. Reason: {reason}.")
