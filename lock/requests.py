"""An operation as the UpdateItem request that performs it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from lock import expressions
from lock.events import (
    Acquire,
    Claim,
    DropHead,
    Enqueue,
    Event,
    HandOff,
    Leave,
    ReArm,
    Release,
    ReleaseByFence,
    Renew,
    TakeOver,
)
from lock.expressions import Expression
from lock.model import StaleTask

AttributeValue = dict[str, Any]


def _text(value: str) -> AttributeValue:
    return {"S": value}


def _number(value: int) -> AttributeValue:
    return {"N": str(value)}


def _tasks(task: StaleTask | None) -> AttributeValue:
    return {"L": [{"M": task.encode()}] if task else []}


def _waiter(event: Enqueue | Leave | TakeOver | HandOff | DropHead) -> str:
    match event:
        case Enqueue():
            return event.entry.grant
        case Leave():
            return event.grant
        case _:
            return str(event.head)


# The expression of an operation; where it has several forms, the event says which.
_EXPRESSION: Final[Mapping[type, Callable[[Any], Expression]]] = MappingProxyType(
    {
        Acquire: lambda _: expressions.ACQUIRE,
        Claim: lambda _: expressions.CLAIM,
        Renew: lambda e: expressions.RENEW if e.task_arn is not None else expressions.RENEW_DIRECT,
        TakeOver: lambda e: expressions.TAKE_OVER_AS_HEAD if e.head is not None else expressions.TAKE_OVER,
        ReArm: lambda e: expressions.RE_ARM_AFTER_SUCCESS if e.task_arn is not None else expressions.RE_ARM,
        Release: lambda e: expressions.RELEASE if e.task_arn is not None else expressions.RELEASE_DIRECT,
        ReleaseByFence: lambda e: expressions.FORCE_RELEASE if e.force else expressions.RELEASE_BY_FENCE,
        HandOff: lambda e: expressions.FORCE_HAND_OFF if e.force else expressions.HAND_OFF,
        Enqueue: lambda _: expressions.ENQUEUE,
        Leave: lambda _: expressions.LEAVE,
        DropHead: lambda _: expressions.DROP_HEAD,
    }
)

# The value of every placeholder. An expression names the ones it uses, so a request carries exactly those.
_VALUE: Final[Mapping[str, Callable[[Any], AttributeValue]]] = MappingProxyType(
    {
        ":empty": lambda _: {"L": []},
        ":entry": lambda e: {"L": [{"M": e.entry.encode()}]},
        ":exp": lambda e: _number(e.expires_at),
        ":family": lambda e: _text(e.family),
        ":fence": lambda e: _number(e.fence),
        ":grant": lambda e: _text(e.entry.grant if isinstance(e, Enqueue) else e.grant),
        ":head": lambda e: _text(e.head),
        ":held_by": lambda e: _text(e.held_by),
        ":holder": lambda e: {"M": e.holder.encode()},
        ":ids": lambda e: {"SS": [_waiter(e)]},
        ":last": lambda e: {"M": e.last.encode()},
        ":lease": lambda e: _number(e.lease),
        ":lrk": lambda e: _text(e.last_run_key),
        ":max": lambda e: _number(e.limit),
        ":new_grant": lambda e: _text(e.new_grant),
        ":now": lambda e: _number(e.now),
        ":now_ms": lambda e: _number(e.now),
        ":old_task": lambda e: _tasks(e.old_task),
        ":one": lambda _: _number(1),
        ":owner": lambda e: _text(e.entry.owner if isinstance(e, Enqueue) else e.owner),
        ":rk": lambda e: _text(e.run_key),
        ":task": lambda e: _text(e.task_arn),
        ":ttl": lambda e: _number(e.ttl),
    }
)


def expression_of(event: Event) -> Expression:
    """The constant that performs this operation."""
    return _EXPRESSION[type(event)](event)


def update_request(table: str, key: str, event: Event) -> dict[str, Any]:
    """The arguments of `client.update_item` for an operation on one lock.

    The answer is the item either way: ALL_NEW when accepted, and ALL_OLD on the exception when refused, which
    spares the read after a lost race.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html
    """
    expression = expression_of(event)
    return {
        "TableName": table,
        "Key": {"lock_key": {"S": key}},
        "UpdateExpression": expression.update,
        "ConditionExpression": expression.condition,
        "ExpressionAttributeNames": dict(expression.names),
        "ExpressionAttributeValues": {name: _VALUE[name](event) for name in sorted(expression.values)},
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def read_request(table: str, key: str) -> dict[str, Any]:
    """The arguments of `client.get_item`; always consistent, because a verdict rests on it."""
    return {"TableName": table, "Key": {"lock_key": {"S": key}}, "ConsistentRead": True}
