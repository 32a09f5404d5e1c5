"""Every task calls what we know and grant, with arguments that the service knows.

Step Functions finds a wrong resource or a misspelt argument only when the state runs.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from statemachine.checks.expressions import parse
from statemachine.checks.problem import Problem
from statemachine.checks.states import Graph

_DYNAMODB_WRITE: Final = frozenset(
    {
        "TableName",
        "ConditionExpression",
        "ExpressionAttributeNames",
        "ExpressionAttributeValues",
        "ReturnValues",
    }
)
# What an optimised integration accepts; None for everything that the API has. Anything else fails at run
# time. Sources: https://docs.aws.amazon.com/step-functions/latest/dg/connect-ecs.html, connect-ddb.html and
# what public histories and compilers show. ClientToken, StartedBy, Tags and Count are left out on purpose.
ALLOWED: Final[Mapping[str, frozenset[str] | None]] = {
    "ecs:runTask.sync": frozenset(
        {
            "Cluster",
            "EnableExecuteCommand",
            "Group",
            "LaunchType",
            "NetworkConfiguration",
            "Overrides",
            "PlatformVersion",
            "PropagateTags",
            "TaskDefinition",
        }
    ),
    "dynamodb:getItem": frozenset(
        {"TableName", "Key", "ConsistentRead", "ProjectionExpression", "ExpressionAttributeNames"}
    ),
    "dynamodb:putItem": _DYNAMODB_WRITE | {"Item"},
    "dynamodb:updateItem": _DYNAMODB_WRITE | {"Key", "UpdateExpression"},
    "s3:getObject": frozenset({"Bucket", "Key"}),
    "sns:publish": frozenset({"TopicArn", "Message", "Subject", "MessageAttributes"}),
    "aws-sdk:dynamodb:query": None,
    "aws-sdk:dynamodb:scan": None,
    "aws-sdk:ecs:describeTasks": None,
    "aws-sdk:ecs:listTasks": None,
    "aws-sdk:ecs:stopTask": None,
    "aws-sdk:sfn:describeExecution": None,
    "aws-sdk:sfn:listExecutions": None,
    "aws-sdk:sfn:listStateMachines": None,
    "aws-sdk:sfn:stopExecution": None,
}
"""The resources that our machines may use, and what is established about their arguments."""

_RESOURCE: Final = re.compile(r"arn:(?:aws[a-z-]*|\$\{partition\}):states:::(.+)")
_API: Final = {"sfn": "stepfunctions"}
_LITERALS: Final = {"string": str, "boolean": bool, "integer": int, "long": int}


def check_calls(machine: Graph) -> Iterator[Problem]:
    """Problems with the resources and arguments of tasks."""
    for graph in machine.walk():
        for name, state in graph.states.items():
            if state["Type"] == "Task":
                yield from _check_task(graph.place(name), state)
            elif "ItemReader" in state:
                yield from _check_task(f"{graph.place(name)}/ItemReader", state["ItemReader"])


def _check_task(where: str, state: Mapping[str, Any]) -> Iterator[Problem]:
    resource = str(state.get("Resource", ""))
    found = _RESOURCE.fullmatch(resource)
    if found is None or found[1] not in ALLOWED:
        yield Problem(
            f"{where}/Resource",
            "resource",
            f"{resource!r} is not among the resources in use: {', '.join(sorted(ALLOWED))}",
        )
        return
    allowed = ALLOWED[found[1]]
    operation = _operation(found[1])
    if operation.input_shape is None or "Arguments" not in state:
        yield Problem(where, "arguments", "a task needs Arguments")
        return
    arguments = state["Arguments"]
    place = f"{where}/Arguments"
    for member in _members(arguments):
        if allowed is not None and member not in allowed:
            yield Problem(
                f"{place}/{member}",
                "arguments",
                f"{found[1]} does not accept {member}, or that is not established",
            )
    yield from _check_value(place, arguments, operation.input_shape)


@cache
def _operation(resource: str) -> OperationModel:
    parts = resource.removeprefix("aws-sdk:").split(".")[0].split(":")
    model = botocore.session.get_session().get_service_model(_API.get(parts[0], parts[0]))
    return model.operation_model(parts[1][0].upper() + parts[1][1:])


def _members(arguments: Any) -> set[str]:
    if isinstance(arguments, Mapping):
        return set(arguments)
    return {key for built in _built_objects(_tree(arguments)) for key in built}


def _check_value(where: str, value: Any, shape: Shape) -> Iterator[Problem]:
    if isinstance(value, str) and value.startswith("{%"):
        yield from _check_tree(where, _tree(value), shape)
    elif isinstance(shape, StructureShape | MapShape):
        if isinstance(value, Mapping):
            yield from _check_members(where, value, shape)
        else:
            yield Problem(where, "arguments", f"{shape.name} is an object")
    elif isinstance(shape, ListShape):
        if isinstance(value, list):
            for index, member in enumerate(value):
                yield from _check_value(f"{where}[{index}]", member, shape.member)
        else:
            yield Problem(where, "arguments", f"{shape.name} is a list")
    elif not isinstance(value, _LITERALS.get(shape.type_name, object)):
        yield Problem(where, "arguments", f"{shape.name} is a {shape.type_name}, not {value!r}")


def _check_members(
    where: str, value: Mapping[str, Any], shape: StructureShape | MapShape
) -> Iterator[Problem]:
    if isinstance(shape, StructureShape):
        yield from _check_names(where, set(value), shape)
    for key, member in value.items():
        inner = _member(shape, key)
        if inner is not None:
            yield from _check_value(f"{where}/{key}", member, inner)


def _check_names(where: str, names: set[str], shape: StructureShape) -> Iterator[Problem]:
    known = {_pascal(name) for name in shape.members}
    for name in sorted(names - known):
        hint = f": write {_pascal(name)}" if _pascal(name) in known else ""
        yield Problem(f"{where}/{name}", "arguments", f"{shape.name} has no {name}{hint}")
    for name in sorted({_pascal(name) for name in shape.required_members} - names):
        yield Problem(where, "arguments", f"{shape.name} needs {name}")


def _member(shape: Shape, name: str) -> Shape | None:
    if isinstance(shape, MapShape):
        return shape.value
    members = shape.members if isinstance(shape, StructureShape) else {}
    return next((inner for key, inner in members.items() if _pascal(key) == name), None)


def _pascal(name: str) -> str:
    return name[:1].upper() + name[1:]


def _tree(text: str) -> Any:
    try:
        return parse(text[2:-2].strip())
    except ValueError:
        return None  # reported by the check of expressions


def _check_tree(where: str, tree: Any, shape: Shape) -> Iterator[Problem]:
    """As far as an expression shows the object it makes."""
    built = _built_objects(tree)
    if not built:
        return
    if isinstance(shape, StructureShape):
        yield from _check_names(where, {key for members in built for key in members}, shape)
    for members in built:
        for key, member in members.items():
            inner = _member(shape, key)
            if inner is not None:
                yield from _check_tree(f"{where}/{key}", member, inner)


def _built_objects(tree: Any) -> list[dict[str, Any]]:
    """The object constructors that make up an expression's result: `{…}`, `a ? {…} : {…}`, `$merge([…])`."""
    kind = getattr(tree, "type", None)
    if kind == "unary" and tree.value == "{":
        return [{key.value: value for key, value in tree.lhs_object if key.type == "string"}]
    if kind == "block":
        return _built_objects(tree.expressions[-1])
    if kind == "condition":
        return _built_objects(tree.then) + _built_objects(tree._else)  # noqa: SLF001 - the library's field
    if kind == "function" and getattr(tree.procedure, "value", None) == "merge":
        (parts,) = tree.arguments
        return [built for part in parts.expressions or () for built in _built_objects(part)]
    return []
