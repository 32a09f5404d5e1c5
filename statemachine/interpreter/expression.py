"""JSONata expressions: parsed once, checked, and evaluated with AWS's bounds and results.

`jsonata-python` is a port of the JavaScript reference implementation. What this module adds is what
Step Functions does around it: plain JSON in and out, undefined results refused, the functions replaced by
those of `functions`, and bounds on depth and work.
"""

import math
import threading
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from jsonata.jexception import JException
from jsonata.jsonata import Jsonata
from jsonata.utils import Utils

# Measured on AWS: one expression may nest 100 levels, `1+1+…+1` with 101 terms is refused.
DEPTH_LIMIT = 100
# AWS ends an evaluation by the clock. Counting steps instead keeps simulations deterministic and still ends a
# recursion without a base case (a tail call loops, it does not nest) after a second or two.
STEP_LIMIT = 250_000
# Beyond this a whole number is a double on AWS and stays one here.
_INTEGER_LIMIT = 2**63

Frame: TypeAlias = Jsonata.Frame
NULL = Utils.NULL_VALUE


class ExpressionError(Exception):
    """An expression is not JSONata, or uses what Step Functions does not offer. The message says why."""


class EvaluationError(Exception):
    """An evaluation failed: `States.QueryEvaluationError`.

    Attributes:
        location: the field, as AWS names it: `Output/result`, `Catch[0]/Assign/x`.
    """

    def __init__(self, message: str, location: str) -> None:
        super().__init__(message)
        self.location = location


class _Bounds:
    """Counts what one evaluation does."""

    __slots__ = ("depth", "steps")

    def __init__(self) -> None:
        self.depth = 0
        self.steps = 0

    def enter(self, _expression: object, _input: object, _frame: object) -> None:
        self.depth += 1
        self.steps += 1
        if self.depth > DEPTH_LIMIT:
            raise _LimitError(
                f"Stack overflow error: check for non-terminating recursive function. "
                f"Depth={self.depth} max={DEPTH_LIMIT}"
            )
        if self.steps > STEP_LIMIT:
            raise _LimitError("Expression evaluation timeout: check for infinite loop")

    def leave(self, _expression: object, _input: object, _frame: object, _result: object) -> None:
        self.depth -= 1


class _LimitError(Exception):
    pass


class NotJsonError(Exception):
    """A value holds something that JSON has not: a function, a date, bytes."""


class Expression:
    """A checked JSONata expression.

    Args:
        text: the expression between `{%` and `%}`.
        error_output: whether `$states.errorOutput` exists here, as in a catcher's Assign and Output.

    Raises:
        ExpressionError: bad syntax, or something that Step Functions refuses at creation.
    """

    __slots__ = ("_jsonata", "text")

    def __init__(self, text: str, *, error_output: bool = False) -> None:
        self.text = text.strip()
        try:
            self._jsonata = Jsonata(self.text)
        except JException as error:
            raise ExpressionError(f"{error.error}: {error}") from error
        except Exception as error:
            # The parser leaves some malformed input (a bad regular expression, a stray `!`) to Python.
            raise ExpressionError(f"it cannot be parsed: {error!r}") from error
        _check(self._jsonata.ast, error_output=error_output)

    def evaluate(self, states: Mapping[str, Any], parent: Frame, location: str) -> Any:
        """The result as plain JSON.

        Args:
            states: what `$states` holds.
            parent: the frame with the variables and functions in reach.
            location: the field that the expression stands in, for the error.

        Raises:
            EvaluationError: it threw, returned nothing, returned something that is not JSON, or ran too deep
                or too long.
        """
        if not hasattr(Jsonata.CURRENT, "jsonata"):
            # A thread that evaluates before it has parsed would borrow the parser of another thread.
            Jsonata("null")
        bounds = _Bounds()
        frame = Frame(parent)
        frame.bindings = {
            "states": states,
            "__evaluate_entry": bounds.enter,
            "__evaluate_exit": bounds.leave,
        }
        try:
            result = self._jsonata.eval(self._jsonata.ast, None, frame)
            if result is not None:
                return plain(result)
        except JException as error:
            problem = f"threw an error during evaluation. {error.error}: {_message(error)}"
        except (_LimitError, RecursionError, ValueError) as error:
            problem = f"threw an error during evaluation: {error}"
        except NotJsonError:
            problem = "returned an unsupported result type."
        except Exception as error:  # noqa: BLE001 - the library lets Python errors out where JavaScript has none
            problem = f"threw an error during evaluation: {type(error).__name__}: {error}"
        else:
            problem = "returned nothing (undefined)."
        raise EvaluationError(
            f"The JSONata expression '{self.text}' specified for the field '{location}' {problem}", location
        )


def compiled(text: str, *, error_output: bool) -> Expression:
    """The expression of a text, parsed once: the machines of one installation hold the same texts.

    Arguments and errors as for `Expression`.
    """
    return _compiled(text.strip(), error_output, threading.get_ident())


@lru_cache(maxsize=2048)
def _compiled(text: str, error_output: bool, _thread: int) -> Expression:  # noqa: FBT001 - a key of the cache
    # The library keeps the state of an evaluation in the expression, so threads do not share one.
    return Expression(text, error_output=error_output)


def _message(error: JException) -> str:
    # The port renamed "function" to "Object" in these texts.
    return (
        str(error).replace(" of Object ", " of function ").replace("match Object sig", "match function sig")
    )


def plain(value: Any) -> Any:
    """A copy made of nothing but JSON: the library's list subclasses, null marker and whole floats go.

    Raises:
        NotJsonError: there is a function or another thing in it that JSON has not.
    """
    kind = type(value)
    if kind is str or kind is bool or kind is int:
        return value
    if value is None or value is NULL:
        return None
    if kind is float:
        if not math.isfinite(value):
            # JSON has no such numbers; AWS writes them by their JavaScript names.
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return int(value) if value.is_integer() and abs(value) < _INTEGER_LIMIT else value
    if isinstance(value, dict):
        return {str(name): plain(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(member) for member in value]
    raise NotJsonError


def json_type(value: Any) -> str:
    """The name that AWS's messages use for a JSON value's type."""
    if value is None:
        return "null"
    for kind, name in ((bool, "boolean"), ((int, float), "number"), (str, "string"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "object"


def _check(node: Any, *, error_output: bool) -> None:
    """Refuses what Step Functions refuses when a machine is created.

    An expression has no context item, so a bare field name, `$` and `$$` name nothing at its top level;
    `$eval` does not exist; `$states.errorOutput` exists in catchers only.
    """
    for found, in_context in _walk(node, in_context=False):
        kind = getattr(found, "type", None)
        if kind == "variable":
            if found.value == "$":
                raise ExpressionError("a reference to '$$' is not supported")
            if found.value == "" and not in_context:
                raise ExpressionError(
                    "a reference to '$' at the top level is not supported; use $states.input"
                )
            if found.value == "eval":
                raise ExpressionError("$eval does not exist in Step Functions; $parse reads JSON text")
        elif kind == "name" and not in_context:
            raise ExpressionError(
                f"a reference to '{found.value}' at the top level is not supported; "
                f"write $states.input.{found.value} or, for a variable, ${found.value}"
            )
        elif kind == "path" and not error_output and _names_error_output(found):
            raise ExpressionError("$states.errorOutput exists only in the Assign and Output of a Catch")


def _names_error_output(path: Any) -> bool:
    first, *rest = path.steps
    return (
        bool(rest)
        and getattr(first, "type", None) == "variable"
        and first.value == "states"
        and getattr(rest[0], "value", None) == "errorOutput"
    )


# Where the parts of a node see the context that the node sees …
_SAME_CONTEXT = (
    *(
        "lhs",
        "rhs",
        "expression",
        "expressions",
        "arguments",
        "procedure",
        "body",
        "condition",
        "then",
        "_else",
    ),
    *("lhs_object", "rhs_object"),
)
# … and where they see an item of the value before them.
_OWN_CONTEXT = ("predicate", "stages", "group", "terms", "expr", "pattern", "update", "delete")


def _walk(node: Any, *, in_context: bool) -> Iterator[tuple[Any, bool]]:
    """Every node, with whether there is a context item."""
    if node is None or isinstance(node, (str, int, float, bool)):
        return
    if isinstance(node, (list, tuple)):
        for member in node:
            yield from _walk(member, in_context=in_context)
        return
    yield node, in_context
    for name in _SAME_CONTEXT:
        yield from _walk(getattr(node, name, None), in_context=in_context)
    steps = getattr(node, "steps", None) or []
    yield from _walk(steps[:1], in_context=in_context)
    yield from _walk(steps[1:], in_context=True)
    for name in _OWN_CONTEXT:
        yield from _walk(getattr(node, name, None), in_context=True)
