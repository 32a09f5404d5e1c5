"""What Task states do over real APIs, and how failures are named."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.machines import PASS, WAIT, create, definition, ended, one_state, task

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.local_aws import LocalAws

    Run = Callable[..., dict[str, Any]]


@pytest.fixture
def states(local_aws: LocalAws) -> Any:
    return local_aws.client("stepfunctions")


@pytest.fixture
def name() -> str:
    return f"i-{uuid.uuid4()}"


@pytest.fixture
def run(states: Any, name: str) -> Run:
    """Create a machine of one state, run it, and describe how it ended."""

    def run_it(state: dict[str, Any], given: Any = None) -> dict[str, Any]:
        arn = create(states, f"{name}-{uuid.uuid4().hex[:6]}", one_state(state))
        start = states.start_execution(stateMachineArn=arn, input=json.dumps(given or {}))
        return ended(states, start["executionArn"])

    return run_it


@pytest.fixture
def table(local_aws: LocalAws, name: str) -> str:
    local_aws.client("dynamodb").create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


def test_the_four_item_operations_and_a_failed_condition(run: Run, local_aws: LocalAws, table: str) -> None:
    key = {"k": {"S": "a"}}
    put = task(
        "dynamodb:putItem",
        {
            "TableName": table,
            "Item": {**key, "n": {"N": "1"}},
            "ConditionExpression": "attribute_not_exists(k)",
        },
    )
    assert run(put)["status"] == "SUCCEEDED"
    refused = run(put)
    assert refused["status"] == "FAILED"
    assert refused["error"] == "DynamoDB.ConditionalCheckFailedException"
    assert refused["cause"].startswith(
        "The conditional request failed (Service: AmazonDynamoDBv2; Status Code: 400; "
        "Error Code: ConditionalCheckFailedException; Request ID: "
    )
    update = run(
        task(
            "dynamodb:updateItem",
            {
                "TableName": table,
                "Key": key,
                "UpdateExpression": "ADD n :one",
                "ExpressionAttributeValues": {":one": {"N": "1"}},
                "ReturnValues": "ALL_NEW",
            },
        )
    )
    assert json.loads(update["output"])["Attributes"]["n"] == {"N": "2"}
    get = task("dynamodb:getItem", {"TableName": table, "Key": key, "ConsistentRead": True})
    assert json.loads(run(get)["output"])["Item"] == {**key, "n": {"N": "2"}}
    assert run(task("dynamodb:deleteItem", {"TableName": table, "Key": key}))["status"] == "SUCCEEDED"
    assert "Item" not in json.loads(run(get)["output"])
    assert local_aws.client("dynamodb").scan(TableName=table)["Items"] == []


def test_prefixes_differ_between_the_optimised_and_the_sdk_form(run: Run, table: str) -> None:
    put = {"TableName": table, "Item": {"k": {"S": "a"}}, "ConditionExpression": "attribute_exists(k)"}
    assert run(task("dynamodb:putItem", put))["error"] == "DynamoDB.ConditionalCheckFailedException"
    assert run(task("aws-sdk:dynamodb:putItem", put))["error"] == "DynamoDb.ConditionalCheckFailedException"
    gone = {**put, "TableName": "gone-table"}
    assert run(task("dynamodb:putItem", gone))["error"] == "DynamoDB.ResourceNotFoundException"
    assert run(task("aws-sdk:dynamodb:putItem", gone))["error"] == "DynamoDb.ResourceNotFoundException"


@pytest.mark.parametrize(
    ("resource", "arguments", "told"),
    [
        (
            "dynamodb:getItem",
            {"TableName": "t", "key": {}},
            'The field "key" is not supported by Step Functions',
        ),
        (
            "dynamodb:putItem",
            {"TableName": "t", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"},
            "not supported",
        ),
        (
            "ecs:runTask.sync",
            {"TaskDefinition": "t", "StartedBy": "me"},
            'The field "StartedBy" is not supported',
        ),
        ("ecs:runTask.sync", {"TaskDefinition": "t", "Count": 2}, 'The field "Count" is not supported'),
        (
            "ecs:runTask",
            {"TaskDefinition": "t", "Overrides": {"containerOverrides": []}},
            '"containerOverrides"',
        ),
        ("aws-sdk:sfn:describeExecution", {"executionArn": "x"}, 'The field "executionArn" is not supported'),
        ("aws-sdk:sfn:describeNothing", {}, "describeNothing"),
        ("dynamodb:getItem", {"TableName": 1}, "must be a string"),
    ],
)
def test_wrong_fields_fail_at_run_time_and_nothing_catches_them(
    run: Run, resource: str, arguments: dict[str, Any], told: str
) -> None:
    described = run(task(resource, arguments))
    assert described["status"] == "FAILED"
    assert described["error"] == "States.Runtime"
    assert told in described["cause"]


def test_sdk_calls_use_pascal_case_both_ways(run: Run, states: Any, name: str) -> None:
    machine = create(states, name, PASS)
    started = run(
        task("aws-sdk:sfn:startExecution", {"StateMachineArn": machine, "Name": "n", "Input": "{}"})
    )
    output = json.loads(started["output"])
    assert output["ExecutionArn"].endswith(f":{name}:n")
    assert output["StartDate"].endswith("Z")
    ended(states, output["ExecutionArn"])
    asked = {"ExecutionArn": output["ExecutionArn"], "IncludedData": "METADATA_ONLY"}
    described = json.loads(run(task("aws-sdk:sfn:describeExecution", asked))["output"])
    assert described["Status"] == "SUCCEEDED"
    assert described["RedriveCount"] == 0
    assert "Output" not in described
    missing = run(task("aws-sdk:sfn:describeExecution", {"ExecutionArn": output["ExecutionArn"] + "x"}))
    assert missing["error"] == "Sfn.ExecutionDoesNotExistException"
    assert missing["cause"].startswith("Execution Does Not Exist: ")


def test_ecs_errors_are_named_by_both_forms(run: Run, local_aws: LocalAws, name: str) -> None:
    nowhere = {"Cluster": name, "TaskDefinition": "no-such-family", "LaunchType": "FARGATE"}
    assert run(task("ecs:runTask.sync", nowhere))["error"] == "ECS.ClusterNotFoundException"
    local_aws.client("ecs").create_cluster(clusterName=name)
    network = {"AwsvpcConfiguration": {"Subnets": ["subnet-1"]}}
    arguments = {**nowhere, "NetworkConfiguration": network}
    assert run(task("ecs:runTask.sync", arguments))["error"] == "ECS.ClientException"
    assert run(task("aws-sdk:ecs:stopTask", {"Task": "0" * 32, "Cluster": "none"}))["error"].startswith(
        "Ecs."
    )


def test_a_message_may_be_json_and_reaches_the_queue(run: Run, local_aws: LocalAws, name: str) -> None:
    sqs, sns = local_aws.client("sqs"), local_aws.client("sns")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    published = run(task("sns:publish", {"TopicArn": topic, "Subject": "s", "Message": {"a": 1}}))
    message = json.loads(sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"])
    assert message["MessageId"] == json.loads(published["output"])["MessageId"]
    assert (message["Message"], message["Subject"]) == ('{"a":1}', "s")
    sent = run(task("sqs:sendMessage", {"QueueUrl": queue, "MessageBody": {"b": 2}}))
    assert sent["status"] == "SUCCEEDED"
    assert (
        run(task("sns:publish", {"TopicArn": topic + "x", "Message": "m"}))["error"]
        == "SNS.NotFoundException"
    )


def test_a_child_execution_is_waited_for_and_its_output_parsed(run: Run, states: Any, name: str) -> None:
    machine = create(states, name, PASS)
    parsed = json.loads(
        run(task("states:startExecution.sync:2", {"StateMachineArn": machine, "Input": {"a": 1}}))["output"]
    )
    assert (parsed["Status"], parsed["Output"], parsed["Input"]) == ("SUCCEEDED", {"done": True}, {"a": 1})
    assert isinstance(parsed["StartDate"], int)
    text = json.loads(run(task("states:startExecution.sync", {"StateMachineArn": machine}))["output"])
    assert json.loads(text["Output"]) == {"done": True}
    short = json.loads(
        run(task("states:startExecution", {"StateMachineArn": machine, "Name": "once"}))["output"]
    )
    assert set(short) == {"ExecutionArn", "StartDate"}
    again = run(task("states:startExecution", {"StateMachineArn": machine, "Name": "once"}))
    assert again["error"] in {"StepFunctions.ExecutionAlreadyExistsException", None}
    missing = run(task("states:startExecution", {"StateMachineArn": machine + "x"}))
    assert missing["error"] == "StepFunctions.StateMachineDoesNotExistException"


def test_a_failed_child_fails_its_parent_with_the_description(run: Run, states: Any, name: str) -> None:
    machine = create(states, name, one_state({"Type": "Fail", "Error": "Inner", "Cause": "why"}))
    described = run(task("states:startExecution.sync:2", {"StateMachineArn": machine}))
    assert described["error"] == "States.TaskFailed"
    cause = json.loads(described["cause"])
    assert (cause["Status"], cause["Error"], cause["Cause"]) == ("FAILED", "Inner", "why")


def test_stopping_the_parent_stops_the_child_first(states: Any, name: str) -> None:
    child = create(states, f"{name}-c", WAIT)
    parent = create(
        states,
        name,
        one_state(task("states:startExecution.sync:2", {"StateMachineArn": child, "Name": "kid"})),
    )
    execution = states.start_execution(stateMachineArn=parent)["executionArn"]
    kid = child.replace(":stateMachine:", ":execution:") + ":kid"
    _until_submitted(states, execution)
    states.stop_execution(executionArn=execution)
    assert ended(states, execution)["status"] == "ABORTED"
    described = states.describe_execution(executionArn=kid)
    assert described["status"] == "ABORTED"
    assert described["stopDate"] <= states.describe_execution(executionArn=execution)["stopDate"]


def test_the_history_of_a_sync_task_has_awss_events(states: Any, name: str) -> None:
    child = create(states, f"{name}-c", PASS)
    text = definition("Run", Run=task("states:startExecution.sync:2", {"StateMachineArn": child}))
    execution = states.start_execution(stateMachineArn=create(states, name, text))["executionArn"]
    ended(states, execution)
    types = [event["type"] for event in states.get_execution_history(executionArn=execution)["events"]]
    assert types == [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ]


def _until_submitted(states: Any, execution: str) -> None:
    while not any(
        event["type"] == "TaskSubmitted"
        for event in states.get_execution_history(executionArn=execution, maxResults=1000)["events"]
    ):
        pass
