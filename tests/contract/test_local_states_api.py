"""The Step Functions API as boto3 and Terraform use it."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.support.machines import PASS, ROLE, WAIT, create, definition, ended, one_state, task

if TYPE_CHECKING:
    from tests.support.local_aws import LocalAws


@pytest.fixture
def states(local_aws: LocalAws) -> Any:
    # AWS's host prefix for some calls would make a name of 127.0.0.1 that nobody can resolve.
    return local_aws.client("stepfunctions", inject_host_prefix=False)


@pytest.fixture
def name() -> str:
    return f"m-{uuid.uuid4()}"


def _refused(call: Any, **request: Any) -> str:
    with pytest.raises(ClientError) as refusal:
        call(**request)
    code: str = refusal.value.response["Error"]["Code"]
    assert refusal.value.response["Error"]["Message"]
    return code


def test_a_machine_is_created_once_described_updated_listed_and_deleted(states: Any, name: str) -> None:
    created = states.create_state_machine(
        name=name, definition=PASS, roleArn=ROLE, tags=[{"key": "a", "value": "b"}]
    )
    again = states.create_state_machine(name=name, definition=PASS, roleArn=ROLE)
    assert (again["stateMachineArn"], again["creationDate"]) == (
        created["stateMachineArn"],
        created["creationDate"],
    )
    assert (
        _refused(states.create_state_machine, name=name, definition=WAIT, roleArn=ROLE)
        == "StateMachineAlreadyExists"
    )
    arn = created["stateMachineArn"]
    assert arn == f"arn:aws:states:ap-northeast-1:000000000000:stateMachine:{name}"
    described = states.describe_state_machine(stateMachineArn=arn)
    assert described["definition"] == PASS
    assert described["status"] == "ACTIVE"
    assert described["type"] == "STANDARD"
    assert described["loggingConfiguration"] == {"level": "OFF", "includeExecutionData": False}
    assert described["tracingConfiguration"] == {"enabled": False}
    assert described["encryptionConfiguration"] == {"type": "AWS_OWNED_KEY"}
    assert states.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "b"}]
    updated = states.update_state_machine(stateMachineArn=arn, definition=WAIT)
    assert updated["revisionId"]
    assert states.describe_state_machine(stateMachineArn=arn)["definition"] == WAIT
    assert _refused(states.update_state_machine, stateMachineArn=arn) == "MissingRequiredParameter"
    pages = states.get_paginator("list_state_machines").paginate(PaginationConfig={"PageSize": 1})
    assert arn in {machine["stateMachineArn"] for page in pages for machine in page["stateMachines"]}
    states.delete_state_machine(stateMachineArn=arn)
    states.delete_state_machine(stateMachineArn=arn)
    assert _refused(states.describe_state_machine, stateMachineArn=arn) == "StateMachineDoesNotExist"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "JSON"),
        (definition("A", A={"Type": "Pass", "Next": "Nowhere"}), "Nowhere"),
        (definition("Nowhere", A={"Type": "Pass", "End": True}), "Nowhere"),
        (one_state(task("lambda:invoke", {"FunctionName": "f"})), "lambda:invoke"),
        (one_state(task("batch:submitJob.sync", {})), "batch:submitJob"),
        (one_state(task("aws-sdk:ecs:runTask.sync", {})), "sync"),
        (one_state(task("dynamodb:getItem", {}, Retries=[])), "Retries"),
    ],
)
def test_a_bad_definition_is_refused_at_create_and_by_validate(
    states: Any, name: str, text: str, told: str
) -> None:
    with pytest.raises(ClientError) as refusal:
        states.create_state_machine(name=name, definition=text, roleArn=ROLE)
    error = refusal.value.response["Error"]
    assert error["Code"] == "InvalidDefinition"
    assert told in error["Message"]
    verdict = states.validate_state_machine_definition(definition=text)
    assert verdict["result"] == "FAIL"
    assert told in json.dumps(verdict["diagnostics"])
    assert verdict["diagnostics"][0]["severity"] == "ERROR"


def test_validate_accepts_a_good_definition(states: Any) -> None:
    verdict = states.validate_state_machine_definition(definition=PASS)
    assert (verdict["result"], verdict["diagnostics"]) == ("OK", [])


def test_express_machines_names_and_roles_are_checked(states: Any, name: str) -> None:
    create_it = states.create_state_machine
    assert (
        _refused(create_it, name=name, definition=PASS, roleArn=ROLE, type="EXPRESS")
        == "StateMachineTypeNotSupported"
    )
    assert _refused(create_it, name="a b", definition=PASS, roleArn=ROLE) == "InvalidName"
    assert _refused(create_it, name=name, definition=PASS, roleArn="me") == "InvalidArn"


def test_versions_are_published_once_per_revision_and_guarded_by_aliases(states: Any, name: str) -> None:
    created = states.create_state_machine(name=name, definition=PASS, roleArn=ROLE, publish=True)
    arn, first = created["stateMachineArn"], created["stateMachineVersionArn"]
    assert first == f"{arn}:1"
    assert states.publish_state_machine_version(stateMachineArn=arn)["stateMachineVersionArn"] == first
    second = states.update_state_machine(stateMachineArn=arn, definition=WAIT, publish=True)[
        "stateMachineVersionArn"
    ]
    listed = states.list_state_machine_versions(stateMachineArn=arn)["stateMachineVersions"]
    assert [version["stateMachineVersionArn"] for version in listed] == [second, first]
    assert states.describe_state_machine(stateMachineArn=first)["definition"] == PASS
    routing = [{"stateMachineVersionArn": first, "weight": 100}]
    alias = states.create_state_machine_alias(name="live", routingConfiguration=routing)[
        "stateMachineAliasArn"
    ]
    assert alias == f"{arn}:live"
    assert states.describe_state_machine_alias(stateMachineAliasArn=alias)["routingConfiguration"] == routing
    aliases = states.list_state_machine_aliases(stateMachineArn=arn)["stateMachineAliases"]
    assert [one["stateMachineAliasArn"] for one in aliases] == [alias]
    assert _refused(states.delete_state_machine_version, stateMachineVersionArn=first) == "ConflictException"
    execution = states.start_execution(stateMachineArn=alias)["executionArn"]
    described = ended(states, execution)
    assert (described["stateMachineAliasArn"], described["stateMachineVersionArn"]) == (alias, first)
    assert described["status"] == "SUCCEEDED"
    by_alias = states.list_executions(stateMachineArn=alias)["executions"]
    assert [one["executionArn"] for one in by_alias] == [execution]
    states.update_state_machine_alias(
        stateMachineAliasArn=alias, routingConfiguration=[{"stateMachineVersionArn": second, "weight": 100}]
    )
    states.delete_state_machine_version(stateMachineVersionArn=first)
    assert _refused(states.describe_state_machine, stateMachineArn=first) == "StateMachineDoesNotExist"
    states.delete_state_machine_alias(stateMachineAliasArn=alias)
    assert _refused(states.describe_state_machine_alias, stateMachineAliasArn=alias) == "ResourceNotFound"


def test_the_same_name_and_input_while_running_is_one_start(states: Any, name: str) -> None:
    arn = create(states, name, WAIT)
    with ThreadPoolExecutor(16) as pool:
        starts = list(
            pool.map(
                lambda _: states.start_execution(stateMachineArn=arn, name="n", input='{"a":1}'), range(16)
            )
        )
    assert len({(start["executionArn"], start["startDate"]) for start in starts}) == 1
    start = {"stateMachineArn": arn, "name": "n"}
    assert _refused(states.start_execution, **start, input='{"a":2}') == "ExecutionAlreadyExists"
    execution = starts[0]["executionArn"]
    states.stop_execution(executionArn=execution, error="Why", cause="because")
    described = ended(states, execution)
    assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "Why", "because")
    assert "output" not in described
    assert _refused(states.start_execution, **start, input='{"a":1}') == "ExecutionAlreadyExists"
    assert states.stop_execution(executionArn=execution)["stopDate"] == described["stopDate"]


def test_what_a_start_may_not_say(states: Any, name: str) -> None:
    arn = create(states, name, PASS)
    start = states.start_execution
    assert _refused(start, stateMachineArn=arn, name="2026-11-21T21:00:00Z") == "InvalidName"
    assert _refused(start, stateMachineArn=arn, name="x" * 81) in {"InvalidName", "ParamValidation"}
    assert _refused(start, stateMachineArn=arn, input="{") == "InvalidExecutionInput"
    assert _refused(start, stateMachineArn=arn, input=json.dumps("x" * 262_144)) == "ValidationException"
    assert _refused(start, stateMachineArn=f"{arn}-gone") == "StateMachineDoesNotExist"
    assert _refused(start, stateMachineArn="nonsense") == "InvalidArn"
    assert _refused(
        states.describe_execution, executionArn=arn.replace("stateMachine", "execution") + ":no"
    ) == ("ExecutionDoesNotExist")
    assert _refused(states.start_sync_execution, stateMachineArn=arn) == "StateMachineTypeNotSupported"


def test_describe_execution_shows_or_hides_data_and_no_redrive(states: Any, name: str) -> None:
    execution = states.start_execution(stateMachineArn=create(states, name, PASS), input='{"a": 1}')[
        "executionArn"
    ]
    described = ended(states, execution)
    assert described["input"] == '{"a": 1}'
    assert json.loads(described["output"]) == {"done": True}
    assert described["stopDate"] >= described["startDate"]
    assert described["redriveStatus"] == "NOT_REDRIVABLE"
    short = states.describe_execution(executionArn=execution, includedData="METADATA_ONLY")
    assert "input" not in short
    assert "output" not in short
    assert _refused(states.redrive_execution, executionArn=execution) == "ExecutionNotRedrivable"
    machine = states.describe_state_machine_for_execution(executionArn=execution)
    assert (machine["definition"], machine["name"]) == (PASS, name)


def test_a_running_execution_keeps_its_definition_through_update_and_delete(states: Any, name: str) -> None:
    arn = create(states, name, WAIT)
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]
    states.update_state_machine(stateMachineArn=arn, definition=PASS)
    states.delete_state_machine(stateMachineArn=arn)
    assert states.describe_state_machine_for_execution(executionArn=execution)["definition"] == WAIT
    assert states.describe_execution(executionArn=execution)["status"] == "RUNNING"
    states.stop_execution(executionArn=execution)
    assert ended(states, execution)["status"] == "ABORTED"


def test_history_pages_forwards_and_backwards_with_and_without_data(states: Any, name: str) -> None:
    execution = states.start_execution(stateMachineArn=create(states, name, PASS), input='{"a":1}')[
        "executionArn"
    ]
    ended(states, execution)
    pages = states.get_paginator("get_execution_history").paginate(
        executionArn=execution, PaginationConfig={"PageSize": 1}
    )
    events = [event for page in pages for event in page["events"]]
    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ]
    assert [event["id"] for event in events] == [1, 2, 3, 4]
    assert events[0]["executionStartedEventDetails"]["input"] == '{"a":1}'
    backwards = states.get_execution_history(
        executionArn=execution, reverseOrder=True, includeExecutionData=False
    )
    assert [event["id"] for event in backwards["events"]] == [4, 3, 2, 1]
    assert "input" not in backwards["events"][-1]["executionStartedEventDetails"]
    assert _refused(states.get_execution_history, executionArn=execution, nextToken="bad") == "InvalidToken"


def test_executions_are_listed_newest_first_by_status_and_page(states: Any, name: str) -> None:
    arn = create(states, name, one_state({"Type": "Fail", "Error": "E", "Cause": "c"}))
    executions = [states.start_execution(stateMachineArn=arn)["executionArn"] for _ in range(5)]
    for execution in executions:
        described = ended(states, execution)
        assert (described["status"], described["error"], described["cause"]) == ("FAILED", "E", "c")
    pages = states.get_paginator("list_executions").paginate(
        stateMachineArn=arn, statusFilter="FAILED", PaginationConfig={"PageSize": 2}
    )
    listed = [one["executionArn"] for page in pages for one in page["executions"]]
    assert listed == executions[::-1]
    assert states.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"] == []


def test_a_callback_is_answered_beaten_and_too_late(states: Any, local_aws: LocalAws, name: str) -> None:
    queue = local_aws.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    body = {"token": "{% $states.context.Task.Token %}"}
    waiting = one_state(
        task("sqs:sendMessage.waitForTaskToken", {"QueueUrl": queue, "MessageBody": body}, TimeoutSeconds=30)
    )
    arn = create(states, name, waiting)

    def begin() -> tuple[str, str]:
        execution = states.start_execution(stateMachineArn=arn)["executionArn"]
        message = local_aws.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"][0]
        local_aws.client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return execution, json.loads(message["Body"])["token"]

    execution, token = begin()
    states.send_task_heartbeat(taskToken=token)
    assert _refused(states.send_task_success, taskToken=token, output="{") == "InvalidOutput"
    states.send_task_success(taskToken=token, output='{"ok":1}')
    assert json.loads(ended(states, execution)["output"]) == {"ok": 1}
    assert _refused(states.send_task_success, taskToken=token, output="{}") == "TaskTimedOut"
    execution, token = begin()
    states.send_task_failure(taskToken=token, error="Mine", cause="why")
    described = ended(states, execution)
    assert (described["error"], described["cause"]) == ("Mine", "why")
    assert _refused(states.send_task_heartbeat, taskToken="unknown") in {"TaskDoesNotExist", "InvalidToken"}


def test_what_is_not_offered_is_refused_by_name(states: Any) -> None:
    assert _refused(states.create_activity, name="a") == "ValidationException"
    assert states.list_activities()["activities"] == []
