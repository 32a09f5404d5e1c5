"""What the local AWS acknowledged is there after a restart and after kill -9."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from nightlatch.local.state_directory import is_running, read_endpoint
from tests.support.machines import PASS, WAIT, create, ended

if TYPE_CHECKING:
    from tests.support.local_aws import LocalAws


def _table(dynamodb: Any, name: str = "items") -> None:
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )


def _everything(aws: LocalAws) -> dict[str, Any]:
    """The state of many services, times and identifiers included."""
    s3, sqs, ec2, iam = (aws.client(name) for name in ("s3", "sqs", "ec2", "iam"))
    states = aws.client("stepfunctions")
    machines = states.list_state_machines()["stateMachines"]
    return {
        "tables": aws.client("dynamodb").describe_table(TableName="items")["Table"],
        "items": sorted(map(repr, aws.client("dynamodb").scan(TableName="items")["Items"])),
        "objects": s3.list_objects_v2(Bucket="bucket-1").get("Contents"),
        "versions": s3.list_object_versions(Bucket="bucket-2").get("Versions"),
        "body": s3.get_object(Bucket="bucket-1", Key="a b/ü.txt")["Body"].read(),
        "queues": sqs.list_queues()["QueueUrls"],
        "vpcs": ec2.describe_vpcs()["Vpcs"],
        "subnets": ec2.describe_subnets()["Subnets"],
        "groups": [group["GroupId"] for group in ec2.describe_security_groups()["SecurityGroups"]],
        "topics": aws.client("sns").list_topics()["Topics"],
        "subscriptions": aws.client("sns").list_subscriptions()["Subscriptions"],
        "parameter": aws.client("ssm").get_parameter(Name="/a/b")["Parameter"],
        "logs": aws.client("logs").get_log_events(logGroupName="/g", logStreamName="s")["events"],
        "role": iam.get_role(RoleName="r")["Role"],
        "schedule": {
            key: value
            for key, value in aws.client("scheduler").get_schedule(Name="s").items()
            if key != "ResponseMetadata"
        },
        "rules": aws.client("events").list_rules()["Rules"],
        "alarms": aws.client("cloudwatch").describe_alarms()["MetricAlarms"],
        "machines": machines,
        "executions": [
            states.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
            for machine in machines
        ],
    }


def _make_everything(aws: LocalAws) -> None:
    _table(aws.client("dynamodb"))
    aws.client("dynamodb").put_item(TableName="items", Item={"k": {"S": "1"}, "b": {"B": b"\x00\xff"}})
    s3 = aws.client("s3")
    for bucket in ("bucket-1", "bucket-2"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"})
    s3.put_bucket_versioning(Bucket="bucket-2", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="bucket-1", Key="a b/ü.txt", Body=b"x" * 70_000, Metadata={"under_score": "1"})
    for body in (b"1", b"2"):
        s3.put_object(Bucket="bucket-2", Key="k", Body=body)
    upload = s3.create_multipart_upload(Bucket="bucket-1", Key="big")["UploadId"]
    part = s3.upload_part(Bucket="bucket-1", Key="big", UploadId=upload, PartNumber=1, Body=b"p" * 100)
    s3.complete_multipart_upload(
        Bucket="bucket-1",
        Key="big",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    queue = aws.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    arn = aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    topic = aws.client("sns").create_topic(Name="t")["TopicArn"]
    aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])
    aws.client("sns").publish(TopicArn=topic, Message="kept")
    aws.client("ec2").describe_vpcs()  # a read comes first: the default VPC must not depend on that
    vpc = aws.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    aws.client("ec2").create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")
    aws.client("ssm").put_parameter(Name="/a/b", Value="v", Type="String")
    logs = aws.client("logs")
    logs.create_log_group(logGroupName="/g")
    logs.create_log_stream(logGroupName="/g", logStreamName="s")
    now = int(time.time() * 1000)
    logs.put_log_events(logGroupName="/g", logStreamName="s", logEvents=[{"timestamp": now, "message": "m"}])
    aws.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    aws.client("scheduler").create_schedule(
        Name="s",
        ScheduleExpression="cron(0 6 * * ? *)",
        ScheduleExpressionTimezone="Asia/Tokyo",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:sfn:startExecution",
            "RoleArn": "arn:aws:iam::0:role/r",
            "Input": "{}",
        },
    )
    aws.client("events").put_rule(Name="rule", EventPattern='{"source": ["aws.states"]}')
    aws.client("cloudwatch").put_metric_alarm(
        AlarmName="a",
        Namespace="N",
        MetricName="M",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        Statistic="Sum",
        ComparisonOperator="GreaterThanThreshold",
    )
    states = aws.client("stepfunctions")
    machine = create(states, "passing", PASS)
    ended(states, states.start_execution(stateMachineArn=machine, name="one")["executionArn"])


@pytest.mark.slow
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_every_service_has_the_same_state_identifiers_and_times_after_a_restart(
    own_local_aws: LocalAws, end: str
) -> None:
    aws = own_local_aws
    _make_everything(aws)
    before = _everything(aws)
    getattr(aws, end)()
    aws.start()
    assert _everything(aws) == before
    queue = before["queues"][0]
    assert "kept" in aws.client("sqs").receive_message(QueueUrl=queue)["Messages"][0]["Body"]


@pytest.mark.slow
def test_kill_9_in_the_middle_of_writes_loses_none_that_was_acknowledged(own_local_aws: LocalAws) -> None:
    aws = own_local_aws
    _table(aws.client("dynamodb"))
    acknowledged: list[str] = []
    enough = threading.Event()

    def write(worker: int) -> None:
        dynamodb = aws.client("dynamodb")
        for number in range(10_000):
            key = f"{worker}-{number}"
            try:
                dynamodb.put_item(TableName="items", Item={"k": {"S": key}})
            except Exception:  # noqa: BLE001 - the server was killed: this write is not acknowledged
                return
            acknowledged.append(key)
            if len(acknowledged) > 300:
                enough.set()

    workers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    assert enough.wait(30)
    aws.kill()
    for worker in workers:
        worker.join()
    aws.start()
    pages = aws.client("dynamodb").get_paginator("scan").paginate(TableName="items")
    kept = {item["k"]["S"] for page in pages for item in page["Items"]}
    assert set(acknowledged) - kept == set()
    assert len(kept) <= len(acknowledged) + 4


def test_an_execution_that_was_running_at_a_crash_is_aborted_and_says_why(own_local_aws: LocalAws) -> None:
    aws = own_local_aws
    states = aws.client("stepfunctions")
    machine = create(states, "waiting", WAIT)
    execution = states.start_execution(stateMachineArn=machine, name="cut", input='{"a":1}')["executionArn"]
    aws.kill()
    aws.start()
    states = aws.client("stepfunctions")
    described = states.describe_execution(executionArn=execution)
    assert described["status"] == "ABORTED"
    assert described["error"] == "Nightlatch.LocalRestart"
    assert described["input"] == '{"a":1}'
    events = states.get_execution_history(executionArn=execution)["events"]
    assert events[-1]["type"] == "ExecutionAborted"
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert aws.health()["aborted_executions"] == 1


def test_a_clean_stop_aborts_what_runs_and_leaves_no_endpoint(own_local_aws: LocalAws) -> None:
    aws = own_local_aws
    states = aws.client("stepfunctions")
    execution = states.start_execution(stateMachineArn=create(states, "waiting", WAIT))["executionArn"]
    assert aws.stop() == 0
    assert not (aws.state / "endpoint.json").exists()
    assert not is_running(aws.state)
    aws.start()
    described = aws.client("stepfunctions").describe_execution(executionArn=execution)
    assert (described["status"], described["error"]) == ("ABORTED", "Nightlatch.LocalShutdown")


def test_rules_hear_after_the_restart_of_executions_that_a_crash_ended(own_local_aws: LocalAws) -> None:
    aws = own_local_aws
    states, events, sqs = aws.client("stepfunctions"), aws.client("events"), aws.client("sqs")
    queue = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.states"], "detail": {"status": ["ABORTED"]}}
    events.put_rule(Name="aborted", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="aborted", Targets=[{"Id": "q", "Arn": arn}])
    execution = states.start_execution(stateMachineArn=create(states, "waiting", WAIT))["executionArn"]
    aws.kill()
    aws.start()
    messages = aws.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
    assert json.loads(messages[0]["Body"])["detail"]["executionArn"] == execution


def test_an_endpoint_file_of_a_dead_server_is_not_believed(own_local_aws: LocalAws) -> None:
    aws = own_local_aws
    told = (aws.state / "endpoint.json").read_text(encoding="utf-8")
    assert read_endpoint(aws.state) is not None
    aws.kill()
    (aws.state / "endpoint.json").write_text(told, encoding="utf-8")
    assert read_endpoint(aws.state) is None
