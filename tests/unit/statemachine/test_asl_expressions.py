"""The definitions' own expressions, one by one, without a machine around them."""

import json
import random
from typing import Any

import pytest
import trio
import trio.testing

from statemachine.checks.states import expressions_of, read_graph
from statemachine.interpreter import TrioClock
from statemachine.interpreter.expression import Expression, Frame
from statemachine.interpreter.functions import functions_frame
from tests.support.definitions import definition, settings, step

TEXTS = {
    (name, f"{graph.place(state)}/{place}"): text
    for name in ("job", "janitor", "watchdog")
    for graph in read_graph(json.loads(definition(name))).walk()
    for state, body in graph.states.items()
    for place, text in expressions_of(body)
}


def evaluate(place: str, variables: dict[str, Any], name: str = "job", **states: Any) -> Any:
    """The value of the expression at a place such as `Settle/Classify/Assign/class`."""

    async def main() -> Any:
        frame = Frame(functions_frame(TrioClock(1_767_225_600.0), random.Random(1)))
        for variable, value in variables.items():
            frame.bind(variable, value)
        context = {"Execution": {"Id": "arn:me", "Name": "me", "StartTime": "2026-01-01T00:00:00.000Z"}}
        return Expression(TEXTS[name, place]).evaluate({"context": context, **states}, frame, place)

    return trio.run(main, clock=trio.testing.MockClock())


def cause(**members: Any) -> str:
    return json.dumps(
        {"TaskArn": "t", "StopCode": "EssentialContainerExited", "StoppedReason": "", **members}
    )


def job(code: int | None, reason: str | None = None) -> list[dict[str, Any]]:
    """Containers with a sidecar before and behind ours."""
    ours: dict[str, Any] = {"Name": "job"}
    if code is not None:
        ours["ExitCode"] = code
    if reason is not None:
        ours["Reason"] = reason
    guard = {"Name": "aws-guardduty-agent-1", "ExitCode": 0}
    return [guard, ours, {**guard, "ExitCode": 143}]


CLASSES: list[tuple[str, str, str]] = [
    # error, cause, class
    ("", "", ""),
    ("States.Timeout", "", "timeout"),
    ("States.HeartbeatTimeout", "", "timeout"),
    ("States.TaskFailed", cause(Containers=job(1)), "exit_1"),
    ("States.TaskFailed", cause(Containers=job(64)), "exit_64"),
    ("States.TaskFailed", cause(Containers=job(137)), "exit_137"),
    (
        "States.TaskFailed",
        cause(Containers=job(137, "OutOfMemoryError: container killed due to ...")),
        "out_of_memory",
    ),
    ("States.TaskFailed", cause(Containers=job(None)), "exit"),
    ("States.TaskFailed", cause(Containers=[]), "exit"),
    ("States.TaskFailed", cause(StopCode="SpotInterruption", Containers=job(143)), "spot"),
    ("States.TaskFailed", cause(StopCode="TerminationNotice", Containers=job(143)), "spot"),
    ("States.TaskFailed", cause(StopCode="InfrastructureHealth", Containers=job(137)), "infrastructure"),
    (
        "States.TaskFailed",
        cause(
            StoppedReason="ECS is performing maintenance on the underlying infrastructure hosting the task",
            Containers=job(143),
        ),
        "infrastructure",
    ),
    (
        "States.TaskFailed",
        cause(
            StopCode="TaskFailedToStart", StoppedReason="CannotPullContainerError: x", Containers=job(None)
        ),
        "start",
    ),
    (
        "States.TaskFailed",
        cause(
            StopCode="TaskFailedToStart", StoppedReason="ResourceInitializationError: x", Containers=job(None)
        ),
        "start",
    ),
    (
        "States.TaskFailed",
        cause(StopCode="TaskFailedToStart", StoppedReason="InternalError: x", Containers=job(None)),
        "infrastructure",
    ),
    (
        "States.TaskFailed",
        cause(StopCode="TaskFailedToStart", StoppedReason="Capacity is unavailable", Containers=job(None)),
        "infrastructure",
    ),
    ("States.TaskFailed", cause(StopCode="UserInitiated", Containers=job(143)), "stopped"),
    ("States.TaskFailed", cause(StopCode="ServiceSchedulerInitiated", Containers=job(0)), "stopped"),
    ("States.TaskFailed", "plain words", "infrastructure"),
    ("AmazonECS.Unknown", "Capacity is unavailable at this time.", "launch"),
    ("ECS.AmazonECSException", "Rate exceeded", "launch"),
    ("ECS.ServerException", "", "launch"),
    ("ECS.InvalidParameterException", "Error retrieving subnet information", "launch"),
    ("ECS.ClientException", "the limit of tasks in PROVISIONING", "launch"),
    ("ECS.AccessDeniedException", "", "start"),
    ("ECS.ClusterNotFoundException", "", "start"),
    ("States.Permissions", "", "start"),
    ("States.QueryEvaluationError", "", "start"),
]


@pytest.mark.parametrize(("error", "text", "expected"), CLASSES)
def test_a_failure_has_one_class(error: str, text: str, expected: str) -> None:
    task = json.loads(text) if text.startswith("{") else {}
    variables = {"err": {"error": error, "cause": text}, "task": task}
    assert evaluate("Settle/Classify/Assign/class", variables) == expected


@pytest.mark.parametrize(
    ("error", "text", "code", "told"),
    [
        ("States.Timeout", "", -1, "not finished within 600 seconds"),
        ("States.TaskFailed", cause(Containers=job(3)), 3, "exit code 3"),
        ("States.TaskFailed", cause(Containers=job(137, "OutOfMemoryError: x")), 137, "OutOfMemoryError: x"),
        (
            "States.TaskFailed",
            cause(StopCode="TaskFailedToStart", StoppedReason="CannotPull", Containers=job(None)),
            -1,
            "CannotPull",
        ),
        ("AmazonECS.Unknown", "no room", -1, "AmazonECS.Unknown: no room"),
        ("States.Permissions", "", -1, "States.Permissions"),
    ],
)
def test_a_failure_is_told_in_words(error: str, text: str, code: int, told: str) -> None:
    variables = {
        "err": {"error": error, "cause": text},
        "task": json.loads(text) if text.startswith("{") else {},
        "settings": settings(),
        "step": 0,
    }
    assert evaluate("Settle/Classify/Assign/detail", variables) == {"exit_code": code, "text": told}


@pytest.mark.parametrize(
    ("failure_class", "retry", "allowed"),
    [
        ("", {"exit": 3}, 0),
        ("launch", {"launch": 4}, 4),
        ("launch", {}, 0),
        ("exit_75", {"exit": 3, "exit_75": 1}, 1),
        ("exit_9", {"exit": 3}, 3),
        ("exit_9", {}, 0),
        ("exit_64", {"exit": 3}, 0),
        ("exit_70", {"exit": 3}, 0),
        ("exit_64", {"exit_64": 2}, 2),
        ("exit", {"exit": 3}, 3),
        ("out_of_memory", {"exit": 3}, 0),
        ("timeout", {"timeout": 1}, 1),
        ("stopped", {"exit": 3}, 0),
    ],
)
def test_how_often_a_class_may_be_retried(failure_class: str, retry: dict[str, int], allowed: int) -> None:
    variables = {"class": failure_class, "settings": settings(steps=[step(retry=retry)]), "step": 0}
    assert evaluate("Settle/Weigh/Assign/allowed", variables) == allowed


@pytest.mark.parametrize(("spent", "longest"), [(0, 10), (1, 30), (2, 60), (9, 60)])
def test_the_pause_grows_with_full_jitter_and_is_bounded(spent: int, longest: int) -> None:
    wait = {"first_seconds": 10, "rate": 3, "max_seconds": 60}
    variables = {
        "class": "launch",
        "used": {"launch": spent},
        "settings": settings(steps=[step(retry_wait=wait)]),
        "step": 0,
    }
    pause = evaluate("Settle/Weigh/Assign/backoff", variables)
    assert 1 <= pause <= longest
    assert isinstance(pause, int)


def row(**members: Any) -> dict[str, Any]:
    holder = {"owner": {"S": "arn:me"}, "acquired_at": {"N": "0"}, **members.pop("holder", {})}
    return {"holder": {"M": holder}, **members}


def look_for(seen: dict[str, Any], *, mine: bool) -> Any:
    return evaluate("Settle/FindTasks/Items", {"seen": seen, "mine": mine, "settings": settings(), "step": 0})


OWN = [
    {
        "arns": [],
        "family": "nightlatch-test-nightly-generate",
        "group": "nightlatch:me",
        "status": status,
        "fresh": False,
    }
    for status in ("RUNNING", "STOPPED")
]


def test_a_drain_looks_for_the_runs_own_tasks_and_all_that_the_row_names() -> None:
    stale = [
        {"M": {"task_arn": {"S": "old"}, "family": {"S": "f"}, "group": {"S": "g"}}},
        {"M": {"task_arn": {"S": "older"}}},
    ]
    seen = row(holder={"task_arn": {"S": "now"}}, stale_tasks={"L": stale})
    found = look_for(seen, mine=True)
    assert found[0]["arns"] == ["now", "old", "older"]
    assert found[1:3] == OWN
    assert [(one["family"], one["group"], one["status"]) for one in found[3:]] == [
        ("f", "g", "RUNNING"),
        ("f", "g", "STOPPED"),
    ]


def test_a_drain_does_not_touch_another_holders_tasks() -> None:
    seen = row(holder={"task_arn": {"S": "theirs"}}, stale_tasks={"L": [{"M": {"task_arn": {"S": "old"}}}]})
    assert look_for(seen, mine=False) == OWN
    assert look_for({}, mine=False) == OWN


@pytest.mark.parametrize(("claimed_ago", "fresh"), [(10, True), (299, True), (301, False)])
def test_a_task_that_claimed_of_late_is_not_gone_because_ecs_does_not_know_it(
    claimed_ago: int,
    fresh: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    claimed = 1_767_225_600_000 - claimed_ago * 1000
    seen = row(holder={"task_arn": {"S": "now"}, "claimed_at": {"N": str(claimed)}})
    assert look_for(seen, mine=True)[0]["fresh"] is fresh
    answer = {"Tasks": [], "Failures": [{"Arn": "now", "Reason": "MISSING"}]}
    found = evaluate(
        "Settle/FindTasks/DescribeTasks/Assign/found",
        {"found": [], "target": {"group": "", "fresh": fresh}},
        result=answer,
    )
    assert found == (["now"] if fresh else [])


@pytest.mark.parametrize(
    ("tasks", "found"),
    [
        ([], []),
        ([{"TaskArn": "a", "LastStatus": "STOPPED", "Group": "g"}], []),
        ([{"TaskArn": "a", "LastStatus": "DEPROVISIONING", "Group": "g"}], ["a"]),
        ([{"TaskArn": "a", "LastStatus": "RUNNING", "Group": "other"}], []),
        (
            [
                {"TaskArn": "a", "LastStatus": "RUNNING", "Group": "g"},
                {"TaskArn": "b", "LastStatus": "PENDING", "Group": "g"},
            ],
            ["a", "b"],
        ),
    ],
)
def test_only_this_groups_unstopped_tasks_are_found(tasks: list[dict[str, str]], found: list[str]) -> None:
    variables = {"found": [], "target": {"group": "g", "fresh": False}}
    answer = {"Tasks": tasks, "Failures": []}
    assert evaluate("Settle/FindTasks/DescribeTasks/Assign/found", variables, result=answer) == found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"trigger": "operator", "run_key": "", "params": {}, "max_wait_seconds": -1}),
        ("text", {"trigger": "operator", "run_key": "", "params": {}}),
        ([], {"trigger": "operator", "resume_from": ""}),
        (None, {"trigger": "operator", "resume_from": ""}),
        (
            {"trigger": "schedule", "scheduled_time": KEY} if (KEY := "2026-01-01T00:00:00Z") else {},
            {"run_key": KEY},
        ),
        (
            {"params": {"a": "1"}, "reason": 5, "requested_by": {"x": 1}},
            {"params": {"a": "1"}, "reason": "5"},
        ),
        ({"params": [1], "max_wait_seconds": "10"}, {"params": {}, "max_wait_seconds": -1}),
    ],
)
def test_any_input_can_be_read(given: Any, expected: dict[str, Any]) -> None:
    ask = evaluate("Begin/Assign/ask", {}, input=given)
    assert {key: ask[key] for key in expected} == expected
    assert set(ask) == {
        *("trigger", "run_key", "requested_by", "reason", "params"),
        *("on_conflict", "max_wait_seconds", "resume_from", "series"),
    }


async def _poll_seconds(now: float, seed: int) -> Any:
    frame = Frame(functions_frame(TrioClock(now), random.Random(seed)))
    frame.bind("until", 10**15)
    context = {"Execution": {"StartTime": "2026-01-01T00:00:00.000Z"}}
    return Expression(TEXTS["job", "Contend/Poll/Seconds"]).evaluate({"context": context}, frame, "")


def test_polling_for_a_day_stays_within_the_history() -> None:
    """A poll costs about 16 events of 25,000; a day of waiting must stay far below."""
    waited, polls = 0, 0
    while waited < 86_400:
        now = 1_767_225_600.0 + waited
        waited += trio.run(_poll_seconds, now, polls, clock=trio.testing.MockClock())
        polls += 1
    assert polls * 16 < 20_000
