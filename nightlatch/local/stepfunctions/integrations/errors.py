"""Error names and causes as Task states see them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, cast

from nightlatch.local.stepfunctions.integrations.casing import service_model
from statemachine.interpreter import TaskFailed

if TYPE_CHECKING:
    from nightlatch.local.api_error import ApiError

# Prefix of error names, name for unmodelled errors, and the service's name in the cause.
# DynamoDB: recorded against AWS. ECS: seen in public workflows (ECS.AmazonECSException). Others by analogy.
_OPTIMISED = {
    "dynamodb": ("DynamoDB", "AmazonDynamoDBException", "AmazonDynamoDBv2"),
    "ecs": ("ECS", "AmazonECSException", "AmazonECS"),
    "states": ("StepFunctions", "AWSStepFunctionsException", "AWSStepFunctions"),
    "sns": ("SNS", "AmazonSNSException", "AmazonSNS"),
    "sqs": ("SQS", "AmazonSQSException", "AmazonSQS"),
    "events": ("EventBridge", "AmazonEventBridgeException", "AmazonEventBridge"),
}


def optimised_failure(service: str, botocore_name: str, error: ApiError) -> TaskFailed:
    """What an optimised integration makes of a refusal: ``DynamoDB.ConditionalCheckFailedException``."""
    prefix, unmodelled, told = _OPTIMISED[service]
    modelled = _modelled(botocore_name, error.code)
    # DynamoDB's own validation is not in its API model, yet it is shown under its code (recorded).
    code = modelled or (error.code if service == "dynamodb" else unmodelled)
    if service in {"states", "sns"} and modelled and not code.endswith("Exception"):
        code += "Exception"
    details = "; ".join(
        [
            f"Service: {told}",
            f"Status Code: {error.status}",
            f"Error Code: {error.code}",
            f"Request ID: {uuid.uuid4()}",
            "Proxy: null",
        ]
    )
    return TaskFailed(f"{prefix}.{code}", f"{error.message} ({details})")


def sdk_failure(prefix: str, botocore_name: str, error: ApiError) -> TaskFailed:
    """What an aws-sdk integration makes of a refusal: ``Sfn.ExecutionDoesNotExistException``."""
    name = _modelled(botocore_name, error.code) or f"{prefix}Exception"
    if not name.endswith("Exception"):
        name += "Exception"
    details = f"Service: {prefix}, Status Code: {error.status}, Request ID: {uuid.uuid4()}"
    return TaskFailed(f"{prefix}.{name}", f"{error.message} ({details})")


def _modelled(botocore_name: str, code: str) -> str | None:
    """The exception's name in the API model, which is not always the code on the wire (SNS: ``NotFound``)."""
    model = service_model(botocore_name)
    if code in model.shape_names:
        return code
    # types-botocore has the argument as an int.
    shape: Any = model.shape_for_error_code(cast("Any", code))
    return None if shape is None else str(shape.name)
