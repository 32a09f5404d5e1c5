"""Calling what a schedule or a rule names as its target."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.events.casing import api_call

if TYPE_CHECKING:
    from nightlatch.local.aws import Caller
    from statemachine.interpreter import Clock

_UNIVERSAL = "arn:aws:scheduler:::aws-sdk:"
_ARN_PARTS = 6
_RETRYABLE_WORDS = ("throttl", "toomanyrequests", "limitexceeded", "serviceunavailable", "internal")


async def invoke(target: dict[str, Any], payload: str, aws: Caller, clock: Clock) -> dict[str, Any]:
    """Hand a payload to a target.

    Args:
        target: As in the schedule or rule: ``Arn`` and the parameters of its kind.
        payload: The text to hand over.
        aws: Reaches every API.
        clock: Stamps log events.

    Returns:
        What the called API replied.

    Raises:
        ApiError: The target's refusal, or ``ValidationException`` for a target that cannot be called here.
    """
    arn = target["Arn"]
    if arn.startswith(_UNIVERSAL):
        service, _, action = arn.removeprefix(_UNIVERSAL).partition(":")
        name, operation, request = api_call(service, action, _json(payload))
        return await aws.call(name, operation, request)
    parts = arn.split(":", _ARN_PARTS - 1)
    service, resource = (parts[2], parts[5]) if len(parts) == _ARN_PARTS else ("", "")
    if service == "states" and resource.startswith("stateMachine:"):
        _json(payload)
        return await aws.call("stepfunctions", "StartExecution", {"stateMachineArn": arn, "input": payload})
    if service == "sns":
        return await aws.call("sns", "Publish", {"TopicArn": arn, "Message": payload})
    if service == "sqs":
        group = (target.get("SqsParameters") or {}).get("MessageGroupId")
        return await send_to_queue(arn, payload, aws, group=group)
    if service == "events" and resource.startswith("event-bus/"):
        return await _put_event(target, payload, aws)
    if service == "logs" and resource.startswith("log-group:"):
        return await _put_log(resource.split(":")[1], payload, aws, clock)
    raise ApiError("ValidationException", f"The local AWS cannot call the target {arn}.")


async def send_to_queue(
    arn: str,
    body: str,
    aws: Caller,
    *,
    group: str | None = None,
    attributes: dict[str, dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Send a message to the queue of an ARN.

    Raises:
        ApiError: SQS refused.
    """
    url = (await aws.call("sqs", "GetQueueUrl", {"QueueName": arn.rpartition(":")[2]}))["QueueUrl"]
    request: dict[str, Any] = {"QueueUrl": url, "MessageBody": body}
    if group:
        request["MessageGroupId"] = group
    if attributes:
        request["MessageAttributes"] = attributes
    return await aws.call("sqs", "SendMessage", request)


def is_retryable(error: ApiError) -> bool:
    """Whether another attempt may succeed: throttling and faults of the service, but no refusal."""
    return error.status >= 500 or any(word in error.code.lower() for word in _RETRYABLE_WORDS)  # noqa: PLR2004 - HTTP


async def _put_event(target: dict[str, Any], payload: str, aws: Caller) -> dict[str, Any]:
    parameters = target.get("EventBridgeParameters")
    if parameters is None:  # a rule that forwards the event
        event = _json(payload)
        parameters = {"Source": event["source"], "DetailType": event["detail-type"]}
        payload = json.dumps(event["detail"])
    entry = {**parameters, "Detail": payload, "EventBusName": target["Arn"]}
    reply = await aws.call("events", "PutEvents", {"Entries": [entry]})
    if reply.get("FailedEntryCount"):
        failed = reply["Entries"][0]
        raise ApiError(failed["ErrorCode"], failed.get("ErrorMessage", ""))
    return reply


async def _put_log(group: str, payload: str, aws: Caller, clock: Clock) -> dict[str, Any]:
    stream = str(uuid.uuid4())
    await aws.call("logs", "CreateLogStream", {"logGroupName": group, "logStreamName": stream})
    events = [{"timestamp": int(clock.now() * 1000), "message": payload}]
    request = {"logGroupName": group, "logStreamName": stream, "logEvents": events}
    return await aws.call("logs", "PutLogEvents", request)


def _json(payload: str) -> Any:
    try:
        return json.loads(payload)
    except ValueError as error:
        raise ApiError("ValidationException", f"The target's input is not JSON: {error}.") from error
