"""ECS as boto3 sees it, with the real log group behind it and over a crash of the server."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.local_aws import REGION, LocalAws
from tests.support.local_ecs import NETWORK, definition, python
from tests.support.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNTS = """
import os, pathlib, sys, time
marks = pathlib.Path(sys.argv[1])
(marks / f"pid-{os.getpid()}").touch()
for number in range(2000):
    print("line", number, flush=True)
(marks / "printed").touch()
time.sleep(600)
"""
READS_ITS_METADATA = """
import os, urllib.request
print(urllib.request.urlopen(os.environ["ECS_CONTAINER_METADATA_URI_V4"] + "/task").read().decode())
"""


@pytest.fixture
def name() -> str:
    return f"t{uuid.uuid4().hex[:12]}"


def start(server: LocalAws, name: str, job: dict[str, Any]) -> str:
    ecs = server.client("ecs")
    server.client("logs").create_log_group(logGroupName=f"/{name}")
    ecs.create_cluster(clusterName=name)
    options = {"awslogs-group": f"/{name}", "awslogs-region": REGION, "awslogs-stream-prefix": "p"}
    ecs.register_task_definition(
        **definition(job | {"logConfiguration": {"logDriver": "awslogs", "options": options}}, family=name)
    )
    reply = ecs.run_task(
        cluster=name, taskDefinition=name, launchType="FARGATE", networkConfiguration=NETWORK
    )
    arn: str = reply["tasks"][0]["taskArn"]
    return arn


def stopped(server: LocalAws, name: str, arn: str) -> dict[str, Any]:
    def there() -> dict[str, Any] | None:
        task: dict[str, Any] = server.client("ecs").describe_tasks(cluster=name, tasks=[arn])["tasks"][0]
        return task if task["lastStatus"] == "STOPPED" else None

    return eventually(there)


def lines(server: LocalAws, name: str, arn: str) -> list[str]:
    pages = server.client("logs").get_paginator("filter_log_events")
    stream = f"p/job/{arn.rpartition('/')[2]}"
    found = pages.paginate(logGroupName=f"/{name}", logStreamNames=[stream])
    return [event["message"] for page in found for event in page["events"]]


def eventually(there: Callable[[], Any]) -> Any:
    give_up = time.monotonic() + 20
    while not (found := there()):
        assert time.monotonic() < give_up
        time.sleep(0.02)
    return found


def test_a_task_reads_its_own_metadata_and_its_output_is_there_when_it_is_stopped(
    local_aws: LocalAws, name: str
) -> None:
    arn = start(local_aws, name, python(READS_ITS_METADATA))

    task = stopped(local_aws, name, arn)

    assert task["containers"][0]["exitCode"] == 0
    (line,) = lines(local_aws, name, arn)
    assert json.loads(line)["TaskARN"] == arn


def test_kill_9_of_the_server_loses_no_line_and_leaves_no_process(
    own_local_aws: LocalAws, name: str, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    arn = start(own_local_aws, name, python(COUNTS, str(marks), stopTimeout=2))
    eventually((marks / "printed").exists)

    own_local_aws.kill()
    own_local_aws.start()
    task = stopped(own_local_aws, name, arn)

    assert task["stoppedReason"].startswith("The local AWS restarted")
    (mark,) = marks.glob("pid-*")
    assert not is_alive(int(mark.name.removeprefix("pid-")))
    # At least once and in order: a batch may have been sent again, but no line is missing.
    wanted = [f"line {number}" for number in range(2000)]
    eventually(lambda: set(lines(own_local_aws, name, arn)) >= set(wanted))
