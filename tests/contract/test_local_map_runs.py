"""Map runs and child executions over the wire: shown while they run, kept over restarts."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.support.machines import create, ended
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.local_aws import LocalAws

BUCKET = "shards"


def fanning(key: str, child: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "QueryLanguage": "JSONata",
        "StartAt": "Each",
        "States": {
            "Each": {
                "Type": "Map",
                "Label": "each",
                "ItemReader": {
                    "Resource": "arn:aws:states:::s3:getObject",
                    "ReaderConfig": {"InputType": "JSON"},
                    "Arguments": {"Bucket": BUCKET, "Key": key},
                },
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                    "StartAt": "Work",
                    "States": {
                        "Work": child,
                        "No": {"Type": "Fail", "Error": "No", "Cause": "no"},
                    },
                },
                "End": True,
                **changes,
            }
        },
    }


FAIL_ON_TWO = {
    "Type": "Choice",
    "Choices": [{"Condition": "{% $states.input = 2 %}", "Next": "No"}],
    "Default": "Yes",
}


def prepare(aws: LocalAws, key: str, items: list[Any]) -> None:
    s3 = aws.client("s3")
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"})
    s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(items))


def with_yes(machine: dict[str, Any]) -> dict[str, Any]:
    machine["States"]["Each"]["ItemProcessor"]["States"]["Yes"] = {
        "Type": "Pass",
        "Output": "{% $states.input * 10 %}",
        "End": True,
    }
    return machine


def test_a_map_run_and_its_children_can_be_seen_and_survive_a_kill(own_local_aws: LocalAws) -> None:
    aws = own_local_aws
    prepare(aws, "a.json", [1, 2, 3])
    states = aws.client("stepfunctions")
    machine = with_yes(fanning("a.json", FAIL_ON_TWO, ToleratedFailurePercentage=40, MaxConcurrency=1))
    arn = create(states, "fan", json.dumps(machine))
    execution = states.start_execution(stateMachineArn=arn, name="one")["executionArn"]
    done = ended(states, execution)
    assert done["status"] == "SUCCEEDED"
    assert json.loads(done["output"]) == [10, 30]
    aws.kill()
    aws.start()
    (run,) = states.list_map_runs(executionArn=execution)["mapRuns"]
    assert run["stateMachineArn"] == f"{arn}/each"
    shown = states.describe_map_run(mapRunArn=run["mapRunArn"])
    assert shown["status"] == "SUCCEEDED"
    assert (shown["maxConcurrency"], shown["toleratedFailurePercentage"]) == (1, 40)
    assert shown["itemCounts"] == {
        "pending": 0,
        "running": 0,
        "succeeded": 2,
        "failed": 1,
        "timedOut": 0,
        "aborted": 0,
        "total": 3,
        "resultsWritten": 0,
    }
    children = states.list_executions(mapRunArn=run["mapRunArn"])["executions"]
    assert [child["status"] for child in children] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    failed = states.list_executions(mapRunArn=run["mapRunArn"], statusFilter="FAILED")["executions"]
    child = states.describe_execution(executionArn=failed[0]["executionArn"])
    assert (child["error"], child["input"], child["mapRunArn"]) == ("No", "2", run["mapRunArn"])
    assert child["stopDate"] >= child["startDate"]
    events = states.get_execution_history(executionArn=child["executionArn"])["events"]
    assert events[0]["type"] == "ExecutionStarted"
    assert events[-1]["type"] == "ExecutionFailed"
    good = states.describe_execution(executionArn=children[0]["executionArn"])
    assert good["output"] == "30"
    # The machine's own list has the parent only.
    assert len(states.list_executions(stateMachineArn=arn)["executions"]) == 1


def test_a_map_run_that_a_kill_cut_off_is_aborted_with_its_children(own_local_aws: LocalAws) -> None:
    aws = own_local_aws
    prepare(aws, "b.json", [1, 2, 3])
    states = aws.client("stepfunctions")
    machine = fanning("b.json", {"Type": "Wait", "Seconds": 600, "End": True}, MaxConcurrency=2)
    del machine["States"]["Each"]["ItemProcessor"]["States"]["No"]
    execution = states.start_execution(stateMachineArn=create(states, "cut", json.dumps(machine)))[
        "executionArn"
    ]

    def running() -> Any:
        runs = states.list_map_runs(executionArn=execution)["mapRuns"]
        shown = runs and states.describe_map_run(mapRunArn=runs[0]["mapRunArn"])
        return shown if shown and shown["itemCounts"]["running"] == 2 else None

    run = until(running)
    assert (run["status"], run["itemCounts"]["pending"]) == ("RUNNING", 1)
    children = states.list_executions(mapRunArn=run["mapRunArn"], statusFilter="RUNNING")["executions"]
    assert len(children) == 2
    with pytest.raises(ClientError, match="does not stop one child"):
        states.stop_execution(executionArn=children[0]["executionArn"])
    with pytest.raises(ClientError, match="not offered by the local AWS"):
        states.update_map_run(mapRunArn=run["mapRunArn"], maxConcurrency=1)
    aws.kill()
    aws.start()
    after = states.describe_map_run(mapRunArn=run["mapRunArn"])
    assert after["status"] == "ABORTED"
    assert after["itemCounts"]["aborted"] == 3
    ended_children = states.list_executions(mapRunArn=run["mapRunArn"])["executions"]
    assert {child["status"] for child in ended_children} == {"ABORTED"}


def test_what_is_not_there_is_said_so(local_aws: LocalAws) -> None:
    states = local_aws.client("stepfunctions")
    prefix = "arn:aws:states:ap-northeast-1:000000000000"
    with pytest.raises(states.exceptions.ResourceNotFound):
        states.describe_map_run(mapRunArn=f"{prefix}:mapRun:m/l:0")
    with pytest.raises(states.exceptions.InvalidArn):
        states.describe_map_run(mapRunArn="no-arn")
    with pytest.raises(states.exceptions.ExecutionDoesNotExist):
        states.list_map_runs(executionArn=f"{prefix}:execution:m:none")
    with pytest.raises(ClientError, match="Exactly one"):
        states.list_executions()


def test_a_list_that_is_not_there_fails_the_map(local_aws: LocalAws) -> None:
    prepare(local_aws, "c.json", [1])
    states = local_aws.client("stepfunctions")
    machine = with_yes(fanning("missing.json", FAIL_ON_TWO))
    execution = states.start_execution(stateMachineArn=create(states, "gone", json.dumps(machine)))[
        "executionArn"
    ]
    done = ended(states, execution)
    assert done["error"] == "States.ItemReaderFailed"
    assert "NoSuchKey" in done["cause"]


def test_reading_items_is_no_task_of_its_own(local_aws: LocalAws) -> None:
    states = local_aws.client("stepfunctions")
    machine = {
        "QueryLanguage": "JSONata",
        "StartAt": "Read",
        "States": {
            "Read": {
                "Type": "Task",
                "Resource": "arn:aws:states:::s3:getObject",
                "Arguments": {"Bucket": "b", "Key": "k"},
                "End": True,
            }
        },
    }
    with pytest.raises(states.exceptions.InvalidDefinition, match="s3:getObject is not offered"):
        create(states, "reader", json.dumps(machine))
