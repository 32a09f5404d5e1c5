"""Fenced writes to DynamoDB."""

from typing import Any

from lock.expressions import FENCED_CONDITION, FENCED_NAMES, VERIFY_CONDITION, VERIFY_NAMES


def lock_check(table: str, key: str, *, grant: str, token: int) -> dict[str, Any]:
    """An entry for `TransactItems` of `transact_write_items`, beside the writes of data.

    The whole transaction is refused (`TransactionCanceledException`) unless this very grant holds the lock
    and the token is the latest. This is the strongest form: it asks the lock itself; data needs no column.
    """
    return {
        "ConditionCheck": {
            "TableName": table,
            "Key": {"lock_key": {"S": key}},
            "ConditionExpression": FENCED_CONDITION,
            "ExpressionAttributeNames": dict(FENCED_NAMES),
            "ExpressionAttributeValues": {":grant": {"S": grant}, ":token": {"N": str(token)}},
        }
    }


def grant_check(table: str, key: str, *, owner: str, grant: str) -> dict[str, Any]:
    """The same for a container of a fan-out, which shares its grant with its siblings and has no token."""
    return {
        "ConditionCheck": {
            "TableName": table,
            "Key": {"lock_key": {"S": key}},
            "ConditionExpression": VERIFY_CONDITION,
            "ExpressionAttributeNames": dict(VERIFY_NAMES),
            "ExpressionAttributeValues": {":owner": {"S": owner}, ":grant": {"S": grant}},
        }
    }


TOKEN_CONDITION = "attribute_not_exists(#fence_token) OR #fence_token <= :fence_token"  # noqa: S105 -- no secret
"""For an item that carries its own token, where the lock lies elsewhere; write `fence_token` with it."""


def token_condition(token: int) -> dict[str, Any]:
    """Arguments to merge into `put_item` or `update_item` of an item that stores `fence_token`."""
    return {
        "ConditionExpression": TOKEN_CONDITION,
        "ExpressionAttributeNames": {"#fence_token": "fence_token"},
        "ExpressionAttributeValues": {":fence_token": {"N": str(token)}},
    }
