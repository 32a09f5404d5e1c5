from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from nightlatch.operations.errors import OperationError
from nightlatch.operations.executions import find_run
from nightlatch.operations.locks import list_locks, lock_key_of, read_lock
from nightlatch.operations.release import ReleaseRequest, release_lock
from nightlatch.operations.runs import Outcome, from_execution
from nightlatch.operations.stop import How, StopRequest, stop_run

if TYPE_CHECKING:
    from nightlatch.operations.deployment import Deployment
    from tests.support.deployments import Environment

TASK = "arn:aws:ecs:ap-northeast-1:123456789012:task/nightlatch-dev/0123"


def test_a_run_without_a_container_is_stopped_as_an_execution(environment: Environment) -> None:
    environment.start("report", "report-1")
    run = find_run(environment.deployment, "report-1", ["report"])

    done = stop_run(
        environment.deployment,
        run,
        StopRequest(by="me@here", reason="wrong day", kill=True),
        sleep=environment.clock.sleep,
    )

    assert (done.how, done.run.outcome, done.task_arn) == (How.EXECUTION, Outcome.STOPPED, None)
    with pytest.raises(OperationError) as caught:
        stop_run(environment.deployment, done.run, StopRequest(by="me@here"))
    assert caught.value.code == "RUN-009"


class Machine:
    """A state machine with one container, which answers the container's end as the test says."""

    class exceptions:  # noqa: N801  boto3 names it so
        class ExecutionDoesNotExist(Exception):  # noqa: N818  the same
            pass

    def __init__(self, environment: Environment, *, goes_on: bool) -> None:
        self.environment = environment
        self.goes_on = goes_on
        self.status = "RUNNING"
        self.stopped_tasks: list[str] = []
        self.cause: dict[str, Any] = {}
        self.events = [self.event(1, "TaskScheduled", resource="runTask.sync", parameters="{}")]
        self.events.append(self.event(2, "TaskSubmitted", output=json.dumps({"Tasks": [{"TaskArn": TASK}]})))

    def event(self, number: int, kind: str, **details: Any) -> dict[str, Any]:
        name = f"{kind[0].lower()}{kind[1:]}EventDetails"
        base = {"id": number, "previousEventId": number - 1, "type": kind}
        return base | {"timestamp": self.environment.clock.present, name: details}

    def stop_task(self, *, cluster: str, task: str, reason: str) -> None:
        self.stopped_tasks.append(reason)

        def container_ends() -> None:
            self.events.append(self.event(3, "TaskFailed", error="States.TaskFailed", cause="{}"))
            if not self.goes_on:
                self.status = "FAILED"

        self.environment.clock.slept.append(container_ends)

    def get_execution_history(self, **_: Any) -> dict[str, Any]:
        return {"events": self.events[::-1]}

    def stop_execution(self, *, executionArn: str, error: str, cause: str) -> None:  # noqa: N803  boto3's name
        self.status, self.cause = "ABORTED", json.loads(cause)

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        reply = {"name": "report-1", "executionArn": "arn:x:execution:m:report-1", "status": self.status}
        return reply | {"startDate": self.environment.clock.present}


def staged(machine: Machine) -> Deployment:
    clients = SimpleNamespace(stepfunctions=machine, ecs=machine, endpoint_url=None)
    installation = machine.environment.deployment.installation
    return cast(
        "Deployment",
        SimpleNamespace(
            clients=clients, installation=installation, now=machine.environment.clock.now, interval=3.0
        ),
    )


def test_a_graceful_stop_ends_the_container_and_leaves_the_rest_to_the_machine(
    environment: Environment,
) -> None:
    machine = Machine(environment, goes_on=False)
    run = from_execution("report", machine.describe_execution())

    done = stop_run(
        staged(machine), run, StopRequest(by="me@here", reason="late"), sleep=environment.clock.sleep
    )

    assert (done.how, done.task_arn) == (How.CONTAINER, TASK)
    assert machine.stopped_tasks == ["stopped by me@here: late"]
    assert machine.cause == {}


def test_a_killed_run_is_stopped_as_an_execution_that_says_who_and_why(environment: Environment) -> None:
    machine = Machine(environment, goes_on=False)
    run = from_execution("report", machine.describe_execution())

    done = stop_run(
        staged(machine),
        run,
        StopRequest(by="me@here", reason="now", kill=True),
        sleep=environment.clock.sleep,
    )

    assert (done.how, machine.stopped_tasks) == (How.EXECUTION, [])
    assert machine.cause == {
        "outcome": "stopped",
        "job": "report",
        "run": "report-1",
        "reason": "stopped by me@here: now",
        "class": "stopped",
    }


def test_a_machine_that_goes_on_regardless_is_stopped_too(environment: Environment) -> None:
    machine = Machine(environment, goes_on=True)
    run = from_execution("report", machine.describe_execution())

    done = stop_run(
        staged(machine), run, StopRequest(by="me@here", reason="late"), sleep=environment.clock.sleep
    )

    assert (done.how, done.run.outcome) == (How.BOTH, Outcome.STOPPED)
    assert machine.cause["reason"] == "stopped by me@here: late"


def test_a_wait_that_ends_leaves_a_running_run(environment: Environment) -> None:
    machine = Machine(environment, goes_on=True)
    run = from_execution("report", machine.describe_execution())

    done = stop_run(
        staged(machine), run, StopRequest(by="me@here", wait_seconds=6), sleep=environment.clock.sleep
    )

    assert done.run.running
    assert machine.status == "RUNNING"


def request(token: int, **more: Any) -> ReleaseRequest:
    return ReleaseRequest(key="reports", expect_token=token, by="me@here", reason="gone", **more)


def test_locks_are_free_held_or_stale(environment: Environment) -> None:
    assert read_lock(environment.deployment, "reports") is None
    arn = environment.start("report", "report-1")
    environment.hold("reports", arn)

    [held] = list_locks(environment.deployment)
    environment.deployment.clients.stepfunctions.stop_execution(executionArn=arn)
    [stale] = list_locks(environment.deployment)

    assert (held.key, held.state, held.run, held.job) == ("reports", "held", "report-1", "report")
    assert stale.state == "stale"


def test_a_forced_release_is_decided_on_a_token(environment: Environment) -> None:
    token = environment.hold("reports", environment.start("report", "report-1"))

    with pytest.raises(OperationError) as changed:
        release_lock(environment.deployment, request(token - 1))
    done = release_lock(environment.deployment, request(token))
    with pytest.raises(OperationError) as free:
        release_lock(environment.deployment, request(token))

    assert (changed.value.code, free.value.code) == ("LOCK-002", "LOCK-004")
    assert done.before.run == "report-1"
    assert (done.after.state, done.after.last_by, done.after.last_reason) == ("free", "me@here", "gone")
    assert done.after.fence > token


def test_a_forced_release_can_stop_the_holder_first(environment: Environment) -> None:
    arn = environment.start("report", "report-1")
    token = environment.hold("reports", arn)

    done = release_lock(
        environment.deployment, request(token, stop_holder=True), sleep=environment.clock.sleep
    )

    assert done.after.state == "free"
    assert find_run(environment.deployment, "report-1", ["report"]).outcome is Outcome.STOPPED


def test_an_unknown_lock_gets_a_suggestion(environment: Environment) -> None:
    environment.hold("reports", environment.start("report", "report-1"))

    with pytest.raises(OperationError) as caught:
        release_lock(environment.deployment, ReleaseRequest("report", 1, "me", "x"))

    assert caught.value.code == "LOCK-001"
    assert "did you mean reports?" in caught.value.tries


def test_the_lock_key_is_known_without_a_jobs_file(environment: Environment) -> None:
    assert lock_key_of(environment.deployment, "report-monthly") == "reports"
