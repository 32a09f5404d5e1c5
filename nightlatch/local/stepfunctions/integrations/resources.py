"""Which Task resources this engine carries out; everything else is refused when a machine is created."""

from __future__ import annotations

import re

# Service, action and the patterns of the optimised integrations, with the parameters that AWS accepts.
# dynamodb, sns, sqs, states: as LocalStack recorded them against AWS. ecs: Step Functions guide, connect-ecs.
_CONDITIONAL_WRITE = frozenset(
    {
        "TableName",
        "ConditionalOperator",
        "ConditionExpression",
        "Expected",
        "ExpressionAttributeNames",
        "ExpressionAttributeValues",
        "ReturnConsumedCapacity",
        "ReturnItemCollectionMetrics",
        "ReturnValues",
    }
)
PARAMETERS: dict[str, frozenset[str]] = {
    "dynamodb:getItem": frozenset(
        {
            "Key",
            "TableName",
            "AttributesToGet",
            "ConsistentRead",
            "ExpressionAttributeNames",
            "ProjectionExpression",
            "ReturnConsumedCapacity",
        }
    ),
    "dynamodb:putItem": _CONDITIONAL_WRITE | {"Item"},
    "dynamodb:deleteItem": _CONDITIONAL_WRITE | {"Key"},
    "dynamodb:updateItem": _CONDITIONAL_WRITE | {"Key", "AttributeUpdates", "UpdateExpression"},
    "ecs:runTask": frozenset(
        {
            "CapacityProviderStrategy",
            "Cluster",
            "EnableExecuteCommand",
            "Group",
            "LaunchType",
            "NetworkConfiguration",
            "Overrides",
            "PlacementConstraints",
            "PlacementStrategy",
            "PlatformVersion",
            "PropagateTags",
            "TaskDefinition",
        }
    ),
    "states:startExecution": frozenset({"StateMachineArn", "Input", "Name"}),
    "sns:publish": frozenset(
        {
            "Message",
            "MessageAttributes",
            "MessageStructure",
            "MessageDeduplicationId",
            "MessageGroupId",
            "PhoneNumber",
            "Subject",
            "TargetArn",
            "TopicArn",
        }
    ),
    "sqs:sendMessage": frozenset(
        {
            "DelaySeconds",
            "MessageAttributes",
            "MessageBody",
            "MessageDeduplicationId",
            "MessageGroupId",
            "QueueUrl",
        }
    ),
    "events:putEvents": frozenset({"Entries"}),
}
_PATTERNS = {
    "ecs:runTask": {"", ".sync", ".waitForTaskToken"},
    "states:startExecution": {"", ".sync", ".sync:2", ".waitForTaskToken"},
    "sns:publish": {"", ".waitForTaskToken"},
    "sqs:sendMessage": {"", ".waitForTaskToken"},
    "events:putEvents": {"", ".waitForTaskToken"},
}
# aws-sdk name, as ASL spells it, to botocore's name and the prefix of error names (that of the Java SDK).
SDK_SERVICES: dict[str, tuple[str, str]] = {
    "cloudwatch": ("cloudwatch", "CloudWatch"),
    "cloudwatchlogs": ("logs", "CloudWatchLogs"),
    "dynamodb": ("dynamodb", "DynamoDb"),
    "ec2": ("ec2", "Ec2"),
    "ecr": ("ecr", "Ecr"),
    "ecs": ("ecs", "Ecs"),
    "eventbridge": ("events", "EventBridge"),
    "kms": ("kms", "Kms"),
    "s3": ("s3", "S3"),
    "scheduler": ("scheduler", "Scheduler"),
    "secretsmanager": ("secretsmanager", "SecretsManager"),
    "sfn": ("stepfunctions", "Sfn"),
    "sns": ("sns", "Sns"),
    "sqs": ("sqs", "Sqs"),
    "ssm": ("ssm", "Ssm"),
    "sts": ("sts", "Sts"),
}
_RESOURCE = re.compile(
    r"^arn:[\w-]+:states:[\w-]*:\d*:(aws-sdk:)?([\w-]+):(\w+)(\.sync:2|\.sync|\.waitForTaskToken)?$"
)


def problem_of(resource: str) -> str | None:
    """What is wrong with a Task's resource, or None."""
    found = _RESOURCE.match(resource)
    if not found:
        return (
            f"The resource provided {resource} is not recognized. The value is not a valid resource ARN of a "
            "service integration; functions and activities are not offered here"
        )
    sdk, service, action, pattern = found[1], found[2], found[3], found[4] or ""
    return _sdk_problem(service, pattern) if sdk else _optimised_problem(f"{service}:{action}", pattern)


def _sdk_problem(service: str, pattern: str) -> str | None:
    if service not in SDK_SERVICES:
        return f"aws-sdk service {service} is not offered here; offered are {', '.join(SDK_SERVICES)}"
    if pattern not in {"", ".waitForTaskToken"}:
        return f"{pattern} is not supported by aws-sdk integrations"
    return None


def _optimised_problem(name: str, pattern: str) -> str | None:
    if name not in PARAMETERS:
        return f"integration {name} is not offered here; offered are aws-sdk: and {', '.join(PARAMETERS)}"
    if pattern not in _PATTERNS.get(name, {""}):
        return f"{name} does not support {pattern}"
    return None
