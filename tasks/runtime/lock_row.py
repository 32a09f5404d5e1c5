"""The two things a container does with the lock row: claim its grant, or verify a shared one."""

import time
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lock.expressions import CLAIM
from tasks.contract import Claimable
from tasks.runtime.failures import CannotWriteError, LockLostError, RuntimeFailure, TemporaryError

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

CONFIG: Final = Config(
    connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 5}
)
_LASTING: Final = {"AccessDeniedException", "ResourceNotFoundException", "ValidationException"}


def claim_grant(wanted: Claimable, task_arn: str, client: "DynamoDBClient | None" = None) -> int:
    """Claim the grant for the task; returns the fencing token. The same task may ask again.

    Raises:
        LockLostError: if another owner or task holds the lock, or the grant was replaced.
        TemporaryError, CannotWriteError: if DynamoDB does not do its work.
    """
    table = client or boto3.client("dynamodb", config=CONFIG)
    try:
        reply = table.update_item(
            TableName=wanted.table,
            Key={"lock_key": {"S": wanted.key}},
            UpdateExpression=CLAIM.update,
            ConditionExpression=CLAIM.condition,
            ExpressionAttributeNames=dict(CLAIM.names),
            ExpressionAttributeValues={
                ":owner": {"S": wanted.owner},
                ":grant": {"S": wanted.grant},
                ":task": {"S": task_arn},
                ":now": {"N": str(int(time.time() * 1000))},
                ":one": {"N": "1"},
            },
            ReturnValues="ALL_NEW",
        )
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException":
            raise LockLostError(_refusal(table, wanted)) from None
        raise _explained(error, wanted) from None
    except BotoCoreError as error:
        raise TemporaryError(f"cannot claim lock {wanted.key!r}: {error}") from None
    return int(reply["Attributes"]["fence"]["N"])


def verify_grant(wanted: Claimable, client: "DynamoDBClient | None" = None) -> int:
    """Make sure, without writing, that the grant is the holder's; returns the fence as the token.

    Raises:
        LockLostError: if it is not.
        TemporaryError, CannotWriteError: if DynamoDB does not do its work.
    """
    table = client or boto3.client("dynamodb", config=CONFIG)
    try:
        reply = table.get_item(
            TableName=wanted.table, Key={"lock_key": {"S": wanted.key}}, ConsistentRead=True
        )
    except ClientError as error:
        raise _explained(error, wanted) from None
    except BotoCoreError as error:
        raise TemporaryError(f"cannot read lock {wanted.key!r}: {error}") from None
    item = reply.get("Item", {})
    holder = item.get("holder", {}).get("M", {})
    if holder.get("owner") != {"S": wanted.owner} or holder.get("grant") != {"S": wanted.grant}:
        raise LockLostError(_refusal(table, wanted))
    return int(item["fence"]["N"])


def _refusal(table: "DynamoDBClient", wanted: Claimable) -> str:
    """Say who holds the lock instead; the answer is for a person, so a failed read only shortens it."""
    text = f"the grant of this attempt on lock {wanted.key!r} was refused"
    try:
        reply = table.get_item(
            TableName=wanted.table, Key={"lock_key": {"S": wanted.key}}, ConsistentRead=True
        )
    except (ClientError, BotoCoreError):
        return text
    holder = reply.get("Item", {}).get("holder", {}).get("M", {})
    if not holder:
        return f"{text}: the lock is free, so this run is over"
    owner, task = holder.get("owner", {}).get("S", ""), holder.get("task_arn", {}).get("S", "")
    if owner != wanted.owner:
        return f"{text}: {owner} holds it"
    if holder.get("grant") != {"S": wanted.grant}:
        return f"{text}: a newer attempt of this run has been given its own"
    return f"{text}: task {task} has claimed it"


def _explained(error: ClientError, wanted: Claimable) -> RuntimeFailure:
    code = error.response.get("Error", {}).get("Code", "unknown")
    message = error.response.get("Error", {}).get("Message", "")
    text = f"cannot use lock {wanted.key!r} in table {wanted.table}: DynamoDB answered {code}: {message}"
    return CannotWriteError(text) if code in _LASTING else TemporaryError(text)
