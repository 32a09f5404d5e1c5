"""What every Step Functions engine must do: ours always, and those named in NIGHTLATCH_STATES_ENGINES.

    NIGHTLATCH_STATES_ENGINES=aws=http://127.0.0.1:8083,moto+jsonpath=http://127.0.0.1:5000

An engine is given by a name, `+jsonpath` where it knows no JSONata, and its URL. Its Task states must reach a
DynamoDB at the address in NIGHTLATCH_STATES_DYNAMODB (its own by default).
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.local_aws import REGION, LocalAws
from tests.support.machines import ROLE, ended

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMED = dict(
    pair.split("=", 1) for pair in os.environ.get("NIGHTLATCH_STATES_ENGINES", "").split(",") if pair
)


@dataclass
class Engine:
    states: Any
    dynamodb: Any
    jsonata: bool = True

    def create(self, start_at: str, /, **states: dict[str, Any]) -> str:
        """Make a machine; where the engine speaks JSONPath, Arguments become Parameters."""
        body = {"StartAt": start_at, "States": states}
        if self.jsonata:
            body["QueryLanguage"] = "JSONata"
        else:
            for state in states.values():
                if "Arguments" in state:
                    state["Parameters"] = state.pop("Arguments")
        made = self.states.create_state_machine(
            name=f"e-{uuid.uuid4()}", definition=json.dumps(body), roleArn=ROLE, type="STANDARD"
        )
        arn: str = made["stateMachineArn"]
        return arn

    def run(self, start_at: str, /, **states: dict[str, Any]) -> dict[str, Any]:
        started = self.states.start_execution(
            stateMachineArn=self.create(start_at, **states), name=f"x-{uuid.uuid4()}", input="{}"
        )
        return ended(self.states, started["executionArn"])


def _client(service: Any, url: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(params=["ours", "ours behind --states-endpoint", *NAMED])
def engine(request: pytest.FixtureRequest, local_aws: LocalAws) -> Engine:
    if request.param == "ours":
        return Engine(local_aws.client("stepfunctions"), local_aws.client("dynamodb"))
    if request.param in NAMED:
        url = NAMED[request.param]
        dynamodb = _client("dynamodb", os.environ.get("NIGHTLATCH_STATES_DYNAMODB", url))
        return Engine(_client("stepfunctions", url), dynamodb, "+jsonpath" not in request.param)
    front = request.getfixturevalue("front")
    return Engine(front.client("stepfunctions"), local_aws.client("dynamodb"))


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory, local_aws: LocalAws) -> Iterator[LocalAws]:
    """A local AWS that leaves Step Functions to the other one."""
    server = LocalAws(tmp_path_factory.mktemp("front") / "state", "--states-endpoint", local_aws.url)
    server.start()
    yield server
    server.stop()


def test_pass_choice_and_succeed(engine: Engine) -> None:
    described = engine.run("A", A={"Type": "Pass", "Next": "B"}, B={"Type": "Succeed"})
    assert described["status"] == "SUCCEEDED"
    assert json.loads(described["output"]) == {}


def test_fail_gives_its_error_and_cause(engine: Engine) -> None:
    described = engine.run("A", A={"Type": "Fail", "Error": "Mine", "Cause": "why"})
    assert (described["status"], described["error"], described["cause"]) == ("FAILED", "Mine", "why")


def test_a_failed_condition_has_dynamodbs_name_and_is_caught(engine: Engine) -> None:
    table = f"e-{uuid.uuid4()}"
    engine.dynamodb.create_table(
        TableName=table,
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    put = {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:putItem",
        "Arguments": {
            "TableName": table,
            "Item": {"k": {"S": "a"}},
            "ConditionExpression": "attribute_not_exists(k)",
        },
    }
    handled = {"ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"], "Next": "Held"}
    described = engine.run(
        "First",
        First={**put, "Next": "Again"},
        Again={**put, "Next": "Wrong", "Catch": [handled]},
        Wrong={"Type": "Fail", "Error": "Wrong"},
        Held={"Type": "Fail", "Error": "Held"},
    )
    assert described["error"] == "Held"


def test_the_machines_timeout_ends_the_execution_as_timed_out(engine: Engine) -> None:
    body = {
        "StartAt": "A",
        "TimeoutSeconds": 1,
        "States": {"A": {"Type": "Wait", "Seconds": 60, "End": True}},
    }
    if engine.jsonata:
        body["QueryLanguage"] = "JSONata"
    arn = engine.states.create_state_machine(
        name=f"e-{uuid.uuid4()}", definition=json.dumps(body), roleArn=ROLE, type="STANDARD"
    )["stateMachineArn"]
    execution = engine.states.start_execution(stateMachineArn=arn, name="late", input="{}")["executionArn"]
    assert ended(engine.states, execution)["status"] == "TIMED_OUT"


def test_one_name_and_input_is_one_execution_and_a_stop_aborts_it(engine: Engine) -> None:
    arn = engine.create("A", A={"Type": "Wait", "Seconds": 60, "End": True})
    first = engine.states.start_execution(stateMachineArn=arn, name="n", input="{}")
    again = engine.states.start_execution(stateMachineArn=arn, name="n", input="{}")
    assert first["executionArn"] == again["executionArn"]
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        engine.states.start_execution(stateMachineArn=arn, name="n", input='{"other": 1}')
    engine.states.stop_execution(executionArn=first["executionArn"])
    assert ended(engine.states, first["executionArn"])["status"] == "ABORTED"


def test_history_has_awss_events_in_awss_order(engine: Engine) -> None:
    arn = engine.create("A", A={"Type": "Pass", "Next": "B"}, B={"Type": "Succeed"})
    execution = engine.states.start_execution(stateMachineArn=arn, name="h", input="{}")["executionArn"]
    ended(engine.states, execution)
    events = engine.states.get_execution_history(executionArn=execution)["events"]
    assert [(event["id"], event["previousEventId"], event["type"]) for event in events] == [
        (1, 0, "ExecutionStarted"),
        (2, 0, "PassStateEntered"),
        (3, 2, "PassStateExited"),
        (4, 3, "SucceedStateEntered"),
        (5, 4, "SucceedStateExited"),
        (6, 5, "ExecutionSucceeded"),
    ]


def test_an_unknown_execution_does_not_exist(engine: Engine) -> None:
    arn = engine.create("A", A={"Type": "Succeed"}).replace(":stateMachine:", ":execution:")
    with pytest.raises(ClientError, match="ExecutionDoesNotExist"):
        engine.states.describe_execution(executionArn=f"{arn}:none")


def test_an_engine_that_does_not_answer_is_named(tmp_path: Path) -> None:
    server = LocalAws(tmp_path / "state", "--states-endpoint", "http://127.0.0.1:9")
    server.start()
    try:
        with pytest.raises(ClientError, match=r"ServiceUnavailable.*http://127\.0\.0\.1:9 does not answer"):
            server.client("stepfunctions").list_state_machines()
    finally:
        server.stop()
