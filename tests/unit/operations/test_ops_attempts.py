from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from nightlatch.operations.attempts import HistoryReader, trail

if TYPE_CHECKING:
    from nightlatch.operations.deployment import Deployment

BEGAN = datetime(2026, 11, 21, 21, 0, tzinfo=UTC)
TASK = "arn:aws:ecs:ap-northeast-1:000000000000:task/nightlatch-local/0123"


def event(number: int, previous: int, kind: str, **details: Any) -> dict[str, Any]:
    made = {
        "id": number,
        "previousEventId": previous,
        "type": kind,
        "timestamp": BEGAN + timedelta(seconds=number),
    }
    if details:
        name = "stateEntered" if kind.endswith("StateEntered") else kind[0].lower() + kind[1:]
        made[f"{name}EventDetails"] = details
    return made


def scheduled(number: int, step: str, attempt: int) -> dict[str, Any]:
    pairs = [
        {"Name": "NIGHTLATCH_STEP", "Value": step},
        {"Name": "NIGHTLATCH_ATTEMPT", "Value": str(attempt)},
    ]
    overrides = {"ContainerOverrides": [{"Name": "job", "Environment": pairs}]}
    parameters = json.dumps({"Overrides": overrides})
    return event(
        number,
        number - 1,
        "TaskScheduled",
        resourceType="ecs",
        resource="runTask.sync",
        parameters=parameters,
    )


def submitted(number: int, task: str = TASK) -> dict[str, Any]:
    return event(number, number - 1, "TaskSubmitted", output=json.dumps({"Tasks": [{"TaskArn": task}]}))


def ended(code: int | None, reason: str) -> str:
    container = {"Name": "job"} if code is None else {"Name": "job", "ExitCode": code}
    return json.dumps({"TaskArn": TASK, "StoppedReason": reason, "Containers": [container]})


def test_steps_and_attempts_are_read_from_what_each_container_was_told() -> None:
    told = trail(
        [
            event(1, 0, "ExecutionStarted"),
            event(2, 1, "TaskStateEntered", name="RunStep"),
            scheduled(3, "load", 1),
            event(4, 3, "TaskStarted"),
            submitted(5),
            event(
                6, 5, "TaskFailed", error="States.TaskFailed", cause=ended(75, "Essential container exited")
            ),
            scheduled(7, "load", 2),
            event(8, 7, "TaskStarted"),
            submitted(9, TASK + "4"),
            event(10, 9, "TaskSucceeded", output=ended(0, "")),
            scheduled(11, "send", 1),
            event(12, 11, "TaskStarted"),
        ]
    )

    assert [(it.step, it.number, it.result, it.exit_code) for it in told.attempts] == [
        ("load", 1, "failed", 75),
        ("load", 2, "succeeded", 0),
        ("send", 1, "running", None),
    ]
    first, second, third = told.attempts
    assert first.reason == "Essential container exited"
    assert (first.task_id, second.task_id, third.task_id) == ("0123", "01234", None)
    assert told.current is third
    assert told.state == "RunStep"


def test_a_container_that_never_started_has_no_exit_code_and_keeps_the_reason() -> None:
    told = trail(
        [
            scheduled(1, "load", 1),
            event(
                2, 1, "TaskFailed", error="States.TaskFailed", cause=ended(None, "CannotPullContainerError")
            ),
        ]
    )

    assert (told.attempts[0].exit_code, told.attempts[0].reason) == (None, "CannotPullContainerError")


def test_a_start_that_ecs_refused_keeps_the_error() -> None:
    told = trail([scheduled(1, "load", 1), event(2, 1, "TaskFailed", error="ECS.AccessDenied", cause="no")])

    assert told.attempts[0].reason == "no"


def test_a_timeout_and_an_abort_end_the_attempt() -> None:
    timed_out = trail([scheduled(1, "load", 1), event(2, 1, "TaskTimedOut", error="States.Timeout")])
    aborted = trail([scheduled(1, "load", 1), submitted(2), event(3, 0, "ExecutionAborted")])

    assert timed_out.attempts[0].result == "timed_out"
    assert (aborted.attempts[0].result, aborted.current, aborted.state) == ("stopped", None, None)


def test_other_tasks_of_the_machine_are_no_attempts() -> None:
    write = event(1, 0, "TaskScheduled", resourceType="dynamodb", resource="updateItem", parameters="{}")

    assert trail([write, event(2, 1, "TaskSucceeded", output="{}")]).attempts == ()


class Growing:
    """GetExecutionHistory of an execution that writes an event whenever it is asked."""

    class exceptions:  # noqa: N801  boto3 names it so
        class ExecutionDoesNotExist(Exception):  # noqa: N818  the same
            pass

    def __init__(self) -> None:
        self.events = [event(number, number - 1, "PassStateEntered", name="x") for number in range(1, 8)]
        self.asked = 0

    def get_execution_history(self, **request: Any) -> dict[str, Any]:
        self.asked += 1
        offset = int(request.get("nextToken", "0"))
        # Three a page, newest first, and the offset counts from the newest: new events shift the pages.
        page = self.events[::-1][offset : offset + 3]
        reply: dict[str, Any] = {"events": page}
        if offset + 3 < len(self.events):
            reply["nextToken"] = str(offset + 3)
        number = len(self.events) + 1
        self.events.append(event(number, number - 1, "PassStateEntered", name="x"))
        return reply


def test_a_history_that_grows_while_it_is_read_leaves_no_gap() -> None:
    client = Growing()
    clients = SimpleNamespace(stepfunctions=client)
    reader = HistoryReader(cast("Deployment", SimpleNamespace(clients=clients)), "arn")

    first = reader.read()
    asked = client.asked
    second = reader.read()

    assert first.events >= 7
    assert second.events == len(client.events) - (client.asked - asked)
    assert client.asked - asked <= 3, "the second look must not read everything again"
