"""JSON with expressions in it: `Arguments`, `Output`, `Assign` and the other computed fields."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from statemachine.interpreter.expression import Expression, Frame


class Template(ABC):
    """A field's value, compiled once per machine.

    Attributes:
        constant: True where it holds no expression.
    """

    __slots__ = ()
    constant = False

    @abstractmethod
    def evaluate(self, states: Mapping[str, Any], frame: Frame) -> Any:
        """The plain JSON value. The caller must not change it: constants are shared.

        Raises:
            EvaluationError: an expression in it failed.
        """


class _Constant(Template):
    __slots__ = ("value",)
    constant = True

    def __init__(self, value: Any) -> None:
        self.value = value

    def evaluate(self, _states: Mapping[str, Any], _frame: Frame) -> Any:
        return self.value


class _Computed(Template):
    __slots__ = ("expression", "location")

    def __init__(self, expression: Expression, location: str) -> None:
        self.expression = expression
        self.location = location

    def evaluate(self, states: Mapping[str, Any], frame: Frame) -> Any:
        return self.expression.evaluate(states, frame, self.location)


class _Object(Template):
    __slots__ = ("members",)

    def __init__(self, members: dict[str, Template]) -> None:
        self.members = members

    def evaluate(self, states: Mapping[str, Any], frame: Frame) -> Any:
        return {name: member.evaluate(states, frame) for name, member in self.members.items()}


class _Array(Template):
    __slots__ = ("members",)

    def __init__(self, members: list[Template]) -> None:
        self.members = members

    def evaluate(self, states: Mapping[str, Any], frame: Frame) -> Any:
        return [member.evaluate(states, frame) for member in self.members]


def is_expression(value: Any) -> bool:
    """Whether a JSON value is a string of the exact form `{%…%}`; blanks outside make it a constant."""
    return isinstance(value, str) and len(value) >= len("{%%}") and value[:2] == "{%" and value[-2:] == "%}"


def compile_template(
    value: Any, location: str, compile_expression: Callable[[str, str], Expression]
) -> Template:
    """Compiles a field.

    Args:
        value: the parsed JSON.
        location: the field's name as AWS shows it in errors; members extend it: `Output/a/b[0]`.
        compile_expression: receives the inner text and its location; may note a problem and raise nothing.
    """
    if is_expression(value):
        return _Computed(compile_expression(value[2:-2], location), location)
    if isinstance(value, dict):
        members = {
            name: compile_template(member, f"{location}/{name}", compile_expression)
            for name, member in value.items()
        }
        if any(not member.constant for member in members.values()):
            return _Object(members)
    elif isinstance(value, list):
        elements = [
            compile_template(member, f"{location}[{index}]", compile_expression)
            for index, member in enumerate(value)
        ]
        if any(not element.constant for element in elements):
            return _Array(elements)
    return _Constant(value)
