"""From the members of a universal target's input to those of the API.

Scheduler and Step Functions write every member with a capital letter (``StateMachineArn``); the API itself
may not (``stateMachineArn``). botocore's model knows.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, StructureShape

from nightlatch.local.api_error import ApiError

if TYPE_CHECKING:
    from botocore.model import Shape

# Services whose name in a universal target differs from botocore's.
_SERVICES = {
    "sfn": "stepfunctions",
    "eventbridge": "events",
    "cloudwatchlogs": "logs",
    "elasticloadbalancingv2": "elbv2",
}


def api_call(service: str, action: str, arguments: Any) -> tuple[str, str, dict[str, Any]]:
    """The botocore service, operation and request that a universal target means.

    Args:
        service: As in ``arn:aws:scheduler:::aws-sdk:sfn:startExecution``: ``sfn``.
        action: ``startExecution``.
        arguments: The parsed input.

    Raises:
        ApiError: ``ValidationException`` for a service, action or member that does not exist.
    """
    name = _SERVICES.get(service.lower(), service.lower())
    model = _model(name)
    operations = {operation.lower(): operation for operation in model.operation_names} if model else {}
    operation = operations.get(action.lower())
    if model is None or operation is None:
        raise ApiError("ValidationException", f"aws-sdk:{service}:{action} is not an API that exists.")
    shape = model.operation_model(operation).input_shape
    request = {} if shape is None else _cased(arguments, shape, operation)
    return name, operation, request


def _cased(value: Any, shape: Shape, path: str) -> Any:
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        members = {member.lower(): member for member in shape.members}
        cased = {}
        for key, item in value.items():
            member = members.get(key.lower())
            if member is None:
                raise ApiError("ValidationException", f"{path} has no member {key}.")
            cased[member] = _cased(item, shape.members[member], f"{path}.{member}")
        return cased
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_cased(item, shape.member, path) for item in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {key: _cased(item, shape.value, path) for key, item in value.items()}
    return value


@cache
def _model(service: str) -> ServiceModel | None:
    loader = Loader()
    if service not in loader.list_available_services("service-2"):
        return None
    return ServiceModel(loader.load_service_model(service, "service-2"), service)
