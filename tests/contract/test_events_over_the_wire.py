"""Schedules and rules defined over HTTP fire and reach queues; moto keeps their definitions."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.support.local_aws import ACCOUNT, REGION, ROLE, LocalAws
from tests.support.local_ecs import NETWORK, container, definition

if TYPE_CHECKING:
    from collections.abc import Callable

SEND = "arn:aws:scheduler:::aws-sdk:sqs:sendMessage"


@pytest.fixture
def name() -> str:
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def queue(local_aws: LocalAws, name: str) -> str:
    url: str = local_aws.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    return url


def arn_of(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def messages(server: LocalAws, url: str, until: Callable[[list[Any]], bool]) -> list[Any]:
    """The parsed messages of a queue, once they are as wanted."""
    client, found = server.client("sqs"), []
    give_up = time.monotonic() + 15
    while not until(found):
        assert time.monotonic() < give_up, found
        reply = client.receive_message(QueueUrl=url, WaitTimeSeconds=5, MaxNumberOfMessages=10)
        for message in reply.get("Messages", []):
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
    return found


def create_schedule(server: LocalAws, name: str, expression: str, **target: Any) -> None:
    server.client("scheduler").create_schedule(
        Name=name,
        ScheduleExpression=expression,
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"RoleArn": ROLE, **target},
    )


def fire(server: LocalAws, group: str, name: str, body: dict[str, str]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{server.url}/_nightlatch/schedules/{group}/{name}/fire", json.dumps(body).encode(), method="POST"
    )
    with urllib.request.urlopen(request, timeout=15) as reply:
        answer: dict[str, Any] = json.load(reply)
    return answer


def test_a_rate_fires_as_soon_as_it_is_created(local_aws: LocalAws, queue: str, name: str) -> None:
    create_schedule(
        local_aws,
        name,
        "rate(1 hour)",
        Arn=arn_of(name),
        Input='{"at": "<aws.scheduler.scheduled-time>", "from": "<aws.scheduler.schedule-arn>"}',
    )

    (message,) = messages(local_aws, queue, bool)

    assert message["from"] == f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{name}"
    assert message["at"].endswith("Z")


def test_fire_goes_the_same_way_with_the_time_it_is_given(local_aws: LocalAws, queue: str, name: str) -> None:
    payload = {"QueueUrl": queue, "MessageBody": '{"at": "<aws.scheduler.scheduled-time>"}'}
    create_schedule(local_aws, name, "cron(0 6 * * ? *)", Arn=SEND, Input=json.dumps(payload))

    reply = fire(local_aws, "default", name, {"scheduled_time": "2026-11-21T21:00:00Z"})

    assert reply["delivered"] is True
    assert messages(local_aws, queue, bool) == [{"at": "2026-11-21T21:00:00Z"}]


def test_a_schedule_that_does_not_exist_cannot_fire(local_aws: LocalAws, name: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        fire(local_aws, "default", name, {})
    refused.value.close()
    assert refused.value.code == 404


@pytest.mark.parametrize("expression", ["cron(0 6 * * * *)", "every day", "rate(0 days)"])
def test_a_wrong_expression_is_refused_at_creation(local_aws: LocalAws, name: str, expression: str) -> None:
    with pytest.raises(ClientError) as refused:
        create_schedule(local_aws, name, expression, Arn=arn_of(name))
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_a_rule_hears_of_tasks(local_aws: LocalAws, queue: str, name: str) -> None:
    events, ecs = local_aws.client("events"), local_aws.client("ecs")
    wanted = {
        "source": ["aws.ecs"],
        "detail-type": ["ECS Task State Change"],
        "detail": {"lastStatus": ["STOPPED"], "clusterArn": [{"suffix": f"cluster/{name}"}]},
    }
    events.put_rule(Name=name, EventPattern=json.dumps(wanted))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn_of(name), "InputPath": "$.detail"}])
    ecs.create_cluster(clusterName=name)
    ecs.register_task_definition(**definition(container("sh", "-c", "exit 7"), family=name))
    task = ecs.run_task(
        cluster=name, taskDefinition=name, launchType="FARGATE", networkConfiguration=NETWORK
    )["tasks"][0]

    (detail,) = messages(local_aws, queue, bool)

    assert (detail["taskArn"], detail["stopCode"]) == (task["taskArn"], "EssentialContainerExited")
    assert detail["containers"][0]["exitCode"] == 7
    events.remove_targets(Rule=name, Ids=["1"])
    events.delete_rule(Name=name)


def test_put_events_reaches_a_rule_through_its_transformer(
    local_aws: LocalAws, queue: str, name: str
) -> None:
    events = local_aws.client("events")
    events.put_rule(
        Name=name, EventPattern=json.dumps({"source": [name], "detail": {"n": [{"numeric": [">", 1]}]}})
    )
    transformer = {
        "InputPathsMap": {"n": "$.detail.n"},
        "InputTemplate": '{"number": <n>, "text": "n is <n>"}',
    }
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn_of(name), "InputTransformer": transformer}])
    entries = [{"Source": name, "DetailType": "t", "Detail": json.dumps({"n": n})} for n in (1, 2, 3)]

    assert events.put_events(Entries=entries)["FailedEntryCount"] == 0

    found = messages(local_aws, queue, lambda found: len(found) == 2)
    assert sorted(item["text"] for item in found) == ["n is 2", "n is 3"]


def test_what_cannot_be_delivered_lands_in_the_dead_letter_queue(
    local_aws: LocalAws, queue: str, name: str
) -> None:
    machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}"
    create_schedule(
        local_aws,
        name,
        "cron(0 6 * * ? *)",
        Arn=machine,
        Input='{"a": 1}',
        DeadLetterConfig={"Arn": arn_of(name)},
    )

    reply = fire(local_aws, "default", name, {})
    (message,) = messages(local_aws, queue, bool)

    assert (reply["delivered"], reply["error"]["code"]) == (False, "StateMachineDoesNotExist")
    assert message == {"a": 1}


def test_after_kill_9_a_rate_keeps_its_count_and_does_not_fire_again(
    own_local_aws: LocalAws, name: str
) -> None:
    url = own_local_aws.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    create_schedule(own_local_aws, name, "rate(1 hour)", Arn=arn_of(name), Input='"fired"')
    assert messages(own_local_aws, url, bool) == ["fired"]

    own_local_aws.kill()
    own_local_aws.start()

    # Fired by hand afterwards: had the restart fired it, that would have come first.
    fire(own_local_aws, "default", name, {})
    assert messages(own_local_aws, url, bool) == ["fired"]
    assert "Messages" not in own_local_aws.client("sqs").receive_message(QueueUrl=url)
