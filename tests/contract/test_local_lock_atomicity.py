"""What a lock needs of DynamoDB with many at once: over HTTP, from machines, and beside transactions."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.support.machines import create, ended, one_state, task

if TYPE_CHECKING:
    from tests.support.local_aws import LocalAws

ROUNDS = 4


@pytest.fixture
def table(local_aws: LocalAws) -> str:
    name = f"lock-{uuid.uuid4()}"
    local_aws.client("dynamodb").create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


def _wins(dynamodb: Any, **request: Any) -> bool:
    try:
        dynamodb.put_item(**request)
    except dynamodb.exceptions.ConditionalCheckFailedException:
        return False
    return True


def test_of_forty_at_once_exactly_one_gets_the_lock(local_aws: LocalAws, table: str) -> None:
    dynamodb = local_aws.client("dynamodb")
    with ThreadPoolExecutor(40) as pool:
        for number in range(ROUNDS):
            request = {
                "TableName": table,
                "Item": {"k": {"S": str(number)}},
                "ConditionExpression": "attribute_not_exists(k)",
            }
            assert sum(pool.map(lambda _, sent=request: _wins(dynamodb, **sent), range(40))) == 1


def test_of_forty_executions_exactly_one_gets_the_lock(local_aws: LocalAws, table: str) -> None:
    states = local_aws.client("stepfunctions")
    arguments = {
        "TableName": table,
        "Item": {"k": {"S": "{% $states.input.key %}"}},
        "ConditionExpression": "attribute_not_exists(k)",
    }
    arn = create(states, f"lock-{uuid.uuid4()}", one_state(task("dynamodb:putItem", arguments)))
    with ThreadPoolExecutor(8) as pool:
        started = list(
            pool.map(
                lambda number: states.start_execution(
                    stateMachineArn=arn, input=f'{{"key": "{number % ROUNDS}"}}'
                )["executionArn"],
                range(40 * ROUNDS),
            )
        )
    statuses = [ended(states, execution)["status"] for execution in started]
    assert statuses.count("SUCCEEDED") == ROUNDS
    assert statuses.count("FAILED") == 39 * ROUNDS


def test_a_failing_transaction_undoes_nobody_elses_write(local_aws: LocalAws, table: str) -> None:
    dynamodb = local_aws.client("dynamodb")
    impossible = {
        "TransactItems": [
            {"Put": {"TableName": table, "Item": {"k": {"S": "never"}}}},
            {
                "ConditionCheck": {
                    "TableName": table,
                    "Key": {"k": {"S": "absent"}},
                    "ConditionExpression": "attribute_exists(k)",
                }
            },
        ]
    }

    def write(number: int) -> str | None:
        if number % 2:
            with pytest.raises(ClientError, match="TransactionCanceledException"):
                dynamodb.transact_write_items(**impossible)
            return None
        dynamodb.put_item(TableName=table, Item={"k": {"S": f"put-{number}"}})
        return f"put-{number}"

    with ThreadPoolExecutor(16) as pool:
        acknowledged = {key for key in pool.map(write, range(200)) if key}
    pages = dynamodb.get_paginator("scan").paginate(TableName=table)
    assert {item["k"]["S"] for page in pages for item in page["Items"]} == acknowledged
