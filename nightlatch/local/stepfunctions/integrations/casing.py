"""From ASL's PascalCase to an API's own member names and back, along botocore's shapes."""

from __future__ import annotations

import base64
import datetime as dt
from functools import cache
from typing import TYPE_CHECKING, Any

from statemachine.interpreter import TaskFailed, iso_time, parse_iso_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.model import OperationModel, ServiceModel, Shape

    Time = Callable[[float], Any]


@cache
def service_model(service: str) -> ServiceModel:
    """Botocore's model of a service."""
    from botocore.loaders import Loader  # noqa: PLC0415 - loaded on first use, after the server has started
    from botocore.model import ServiceModel  # noqa: PLC0415 - the same

    loader = Loader(include_default_search_paths=True)
    return ServiceModel(loader.load_service_model(service, "service-2"), service_name=service)


def operation_model(service: str, action: str) -> OperationModel | None:
    """The operation that an ASL action (``updateItem``) names, if there is one."""
    model = service_model(service)
    name = action[:1].upper() + action[1:]
    return model.operation_model(name) if name in model.operation_names else None


def pascal(name: str) -> str:
    """A member's name in ASL."""
    return name[:1].upper() + name[1:]


def to_api(value: Any, shape: Shape) -> Any:
    """An argument with the API's member names.

    Raises:
        TaskFailed: ``States.Runtime``: an unknown field, or a value of another kind.
    """
    kind = shape.type_name
    if kind == "structure":
        return _structure(value, shape)
    if kind == "list":
        if not isinstance(value, list):
            raise _unfit(value, shape, "an array")
        return [to_api(item, shape.member) for item in value]  # type: ignore[attr-defined]
    if kind == "map":
        if not isinstance(value, dict):
            raise _unfit(value, shape, "an object")
        return {key: to_api(item, shape.value) for key, item in value.items()}  # type: ignore[attr-defined]
    return _scalar(value, shape)


def _structure(value: Any, shape: Shape) -> Any:
    if getattr(shape, "is_document_type", False):
        return value
    if not isinstance(value, dict):
        raise _unfit(value, shape, "an object")
    members = {pascal(name): name for name in shape.members}  # type: ignore[attr-defined]
    result = {}
    for key, item in value.items():
        name = members.get(key)
        if name is None:
            raise TaskFailed("States.Runtime", f'The field "{key}" is not supported by Step Functions')
        if item is not None:
            result[name] = to_api(item, shape.members[name])  # type: ignore[attr-defined]
    return result


def _scalar(value: Any, shape: Shape) -> Any:
    kind = shape.type_name
    if kind == "string" and not isinstance(value, str):
        raise _unfit(value, shape, "a string")
    if kind == "boolean" and not isinstance(value, bool):
        raise _unfit(value, shape, "a boolean")
    if kind in {"integer", "long"}:
        if isinstance(value, bool) or not isinstance(value, int | float) or int(value) != value:
            raise _unfit(value, shape, "an integer")
        return int(value)
    if kind in {"float", "double"} and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise _unfit(value, shape, "a number")
    if kind == "blob":
        return _blob(value, shape)
    if kind == "timestamp":
        try:
            return parse_iso_time(value) if isinstance(value, str) else float(value)
        except (TypeError, ValueError) as error:
            raise _unfit(value, shape, "a time stamp") from error
    return value


def _blob(value: Any, shape: Shape) -> bytes:
    if not isinstance(value, str):
        raise _unfit(value, shape, "a string")
    if _streams(shape):
        return value.encode()
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise _unfit(value, shape, "base64 text") from error


def _unfit(value: Any, shape: Shape, wanted: str) -> TaskFailed:
    return TaskFailed(
        "States.Runtime", f"The argument of type {shape.name} must be {wanted} but was: {value!r:.200}"
    )


def iso_times(seconds: float) -> str:
    """How aws-sdk integrations show a time."""
    return iso_time(seconds)


def millisecond_times(seconds: float) -> int:
    """How optimised integrations show a time."""
    return round(seconds * 1000)


def to_asl(value: Any, shape: Shape | None, time: Time) -> Any:
    """A reply with PascalCase members and plain JSON values; what is absent or null stays away."""
    if shape is None:
        return {}
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        if getattr(shape, "is_document_type", False):
            return value
        members = shape.members  # type: ignore[attr-defined]
        return {
            pascal(name): to_asl(item, members[name], time) if name in members else item
            for name, item in value.items()
            if item is not None
        }
    if kind == "list":
        return [to_asl(item, shape.member, time) for item in value]  # type: ignore[attr-defined]
    if kind == "map":
        return {key: to_asl(item, shape.value, time) for key, item in value.items()}  # type: ignore[attr-defined]
    return _scalar_to_asl(value, shape, time)


def _scalar_to_asl(value: Any, shape: Shape, time: Time) -> Any:
    if shape.type_name == "timestamp":
        return time(value.timestamp() if isinstance(value, dt.datetime) else float(value))
    if isinstance(value, bytes):
        # A streaming body (S3) is text in a state machine, any other blob (DynamoDB's B) base64.
        return value.decode("utf-8", "replace") if _streams(shape) else base64.b64encode(value).decode()
    return value


def _streams(shape: Shape) -> bool:
    return bool(shape.serialization.get("streaming"))
