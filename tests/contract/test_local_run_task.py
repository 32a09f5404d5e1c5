"""ecs:runTask from a state machine: real processes, waited for, stopped, drained."""

from __future__ import annotations

import json
import os
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.machines import create, definition, ended, one_state, task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.local_aws import LocalAws

STUBBORN = (
    "import os, signal, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "open(sys.argv[1], 'w').write(str(os.getpid()))\n"
    "time.sleep(600)\n"
)


@pytest.fixture
def name() -> str:
    return f"t-{uuid.uuid4()}"


@pytest.fixture
def states(local_aws: LocalAws) -> Any:
    return local_aws.client("stepfunctions")


@pytest.fixture
def arguments(local_aws: LocalAws, name: str) -> Callable[..., dict[str, Any]]:
    """Register a task definition that runs a Python program, and give RunTask's arguments for it."""
    ecs = local_aws.client("ecs")
    ecs.create_cluster(clusterName=name)

    def make(program: str, *words: str) -> dict[str, Any]:
        ecs.register_task_definition(
            family=name,
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            containerDefinitions=[
                {
                    "name": "job",
                    "image": "nightlatch",
                    "command": ["python", "-c", program, *words],
                    "stopTimeout": 2,
                }
            ],
        )
        return {
            "Cluster": name,
            "TaskDefinition": name,
            "LaunchType": "FARGATE",
            "Group": f"nightlatch:{name}",
            "NetworkConfiguration": {"AwsvpcConfiguration": {"Subnets": ["subnet-1"]}},
            "Overrides": {
                "ContainerOverrides": [{"Name": "job", "Environment": [{"Name": "X", "Value": "7"}]}]
            },
        }

    return make


def _start(states: Any, name: str, text: str) -> str:
    execution: str = states.start_execution(stateMachineArn=create(states, name, text))["executionArn"]
    return execution


def test_a_container_that_exits_0_gives_the_task_in_pascal_case(
    states: Any, name: str, arguments: Callable[..., dict[str, Any]]
) -> None:
    given = arguments("import os, sys; sys.exit(0 if os.environ['X'] == '7' else 9)")
    described = ended(states, _start(states, name, one_state(task("ecs:runTask.sync", given))))
    assert described["status"] == "SUCCEEDED", described
    output = json.loads(described["output"])
    assert output["LastStatus"] == "STOPPED"
    assert output["StartedBy"] == "AWS Step Functions"
    assert output["StopCode"] == "EssentialContainerExited"
    assert output["Group"] == f"nightlatch:{name}"
    assert output["Containers"][0]["ExitCode"] == 0
    # Times are epoch milliseconds.
    assert abs(output["StoppedAt"] / 1000 - time.time()) < 60
    assert output["Overrides"]["ContainerOverrides"][0]["Environment"] == [{"Name": "X", "Value": "7"}]


def test_a_container_that_fails_is_task_failed_with_the_task_as_cause(
    states: Any, name: str, arguments: Callable[..., dict[str, Any]]
) -> None:
    given = arguments("import sys; sys.exit(75)")
    described = ended(states, _start(states, name, one_state(task("ecs:runTask.sync", given))))
    assert (described["status"], described["error"]) == ("FAILED", "States.TaskFailed")
    cause = json.loads(described["cause"])
    assert cause["Containers"][0]["ExitCode"] == 75
    assert cause["StopCode"] == "EssentialContainerExited"


def test_the_request_response_form_does_not_wait(
    states: Any, local_aws: LocalAws, name: str, arguments: Callable[..., dict[str, Any]]
) -> None:
    given = arguments("import time; time.sleep(600)")
    described = ended(states, _start(states, name, one_state(task("ecs:runTask", given))))
    output = json.loads(described["output"])
    assert output["Failures"] == []
    assert "StartedBy" not in output["Tasks"][0]
    local_aws.client("ecs").stop_task(cluster=name, task=output["Tasks"][0]["TaskArn"])


def _stubborn(tmp_path: Path, arguments: Callable[..., dict[str, Any]]) -> tuple[Path, dict[str, Any]]:
    witness = tmp_path / "pid"
    return witness, arguments(STUBBORN, str(witness))


def _pid(witness: Path) -> int:
    while not (witness.exists() and witness.read_text(encoding="utf-8")):
        time.sleep(0.01)
    return int(witness.read_text(encoding="utf-8"))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_timeout_ends_the_state_only_after_the_process_is_gone(
    states: Any, local_aws: LocalAws, name: str, tmp_path: Path, arguments: Callable[..., dict[str, Any]]
) -> None:
    witness, given = _stubborn(tmp_path, arguments)
    late = task(
        "ecs:runTask.sync",
        given,
        TimeoutSeconds=3,
        Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "Caught"}],
        Next="Caught",
    )
    text = definition("Run", Run=late, Caught={"Type": "Wait", "Seconds": 600, "End": True})
    execution = _start(states, name, text)
    pid = _pid(witness)
    while not any(
        event["type"] == "WaitStateEntered"
        for event in states.get_execution_history(executionArn=execution)["events"]
    ):
        time.sleep(0.01)
    assert not _alive(pid)
    tasks = local_aws.client("ecs").list_tasks(cluster=name, desiredStatus="STOPPED")["taskArns"]
    stopped = local_aws.client("ecs").describe_tasks(cluster=name, tasks=tasks)["tasks"][0]
    assert stopped["stopCode"] == "UserInitiated"
    assert stopped["containers"][0]["exitCode"] == 137
    assert stopped["stoppedReason"] == (
        f"The Task state in AWS Step Functions execution [{execution}] which was managing "
        "this resource was aborted"
    )
    states.stop_execution(executionArn=execution)


def test_a_stopped_execution_is_aborted_only_after_the_process_is_gone(
    states: Any, name: str, tmp_path: Path, arguments: Callable[..., dict[str, Any]]
) -> None:
    witness, given = _stubborn(tmp_path, arguments)
    execution = _start(states, name, one_state(task("ecs:runTask.sync", given)))
    pid = _pid(witness)
    states.stop_execution(executionArn=execution)
    assert ended(states, execution)["status"] == "ABORTED"
    assert not _alive(pid)
