"""Task patterns, timeouts, tokens, and what happens to work whose state ends early."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from statemachine.interpreter import Behaviour, TaskFailed, TaskRequest, TokenError
from statemachine.interpreter.testing import ScriptedIntegrations, Work
from tests.support.asl import CALLBACK, SYNC, Ran, definition, play, task

HANGS = Work(seconds=math.inf, stop_seconds=30)


def hanging() -> ScriptedIntegrations:
    services = ScriptedIntegrations()
    services.on("T", reply={"Tasks": []}, work=HANGS)
    return services


def ended(ran: Ran) -> tuple[str, Any, Any]:
    assert ran.result is not None
    return ran.result.status, ran.result.error, ran.result.cause


def test_a_timeout_fails_the_state_only_when_the_work_is_gone() -> None:
    ran = play(definition("T", {"T": task(SYNC, TimeoutSeconds=100)}), hanging())

    call = ran.services.calls[0]
    assert (call.stop_asked_at, call.gone_at) == (100.0, 130.0)
    assert ran.at("TaskTimedOut") == [130.0]
    assert ended(ran) == ("FAILED", "States.Timeout", None)


def test_the_timeout_may_be_computed_and_counts_the_submit_call() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply={}, work=HANGS, seconds=40)

    ran = play(definition("T", {"T": task(SYNC, TimeoutSeconds="{% 50 %}")}), services)

    assert services.calls[0].stop_asked_at == 50.0
    assert ran.details("TaskScheduled")["timeoutInSeconds"] == 50


def test_a_submit_that_outlives_the_timeout_is_still_answered_and_its_work_stopped() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply={}, work=HANGS, seconds=60)

    ran = play(definition("T", {"T": task(SYNC, TimeoutSeconds=50)}), services)

    assert (services.calls[0].stop_asked_at, services.calls[0].gone_at) == (60.0, 90.0)
    assert ended(ran)[1] == "States.Timeout"


@pytest.mark.parametrize("value", ["{% 0 %}", "{% 'ten' %}", "{% 1.5 %}", "{% 100000000 %}"])
def test_a_computed_timeout_must_be_a_whole_number_in_range(value: str) -> None:
    ran = play(definition("T", {"T": task(SYNC, TimeoutSeconds=value)}))

    assert ended(ran)[1] == "States.QueryEvaluationError"
    assert ran.details("EvaluationFailed")["location"] == "TimeoutSeconds"


def test_a_slow_request_response_call_times_out_too() -> None:
    services = ScriptedIntegrations()
    services.on("T", seconds=60)

    ran = play(definition("T", {"T": task(TimeoutSeconds=5)}), services)

    assert ran.types[-2:] == ["TaskTimedOut", "ExecutionFailed"]
    assert ran.ended_at == 5.0


@pytest.mark.parametrize(
    ("choice", "stop_asked_at", "goes_on_at"),
    [("drain", 10.0, 40.0), ("stop", 10.0, 10.0), ("abandon", None, 10.0)],
)
def test_simulations_may_choose_a_harsher_timeout(
    choice: Any, stop_asked_at: float | None, goes_on_at: float
) -> None:
    states = {
        "T": task(SYNC, TimeoutSeconds=10, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "D"}]),
        "D": {"Type": "Succeed"},
    }

    ran = play(definition("T", states), hanging(), behaviour=Behaviour(on_task_timeout=choice))

    assert ran.services.calls[0].stop_asked_at == stop_asked_at
    assert ran.at("SucceedStateEntered") == [goes_on_at]
    assert ended(ran)[0] == "SUCCEEDED"


def test_stopping_ends_the_work_before_the_execution() -> None:
    async def stop(ran: Ran) -> None:
        await trio.sleep(20)
        ran.stop.request("Operator", "no longer needed")
        ran.stop.request("Late", "the first request counts")

    ran = play(definition("T", {"T": task(SYNC)}), hanging(), meanwhile=stop)

    assert ended(ran) == ("ABORTED", "Operator", "no longer needed")
    assert ran.services.calls[0].gone_at == 50.0
    assert ran.at("ExecutionAborted") == [50.0]
    assert ran.events[-1].previous_event_id == 0
    assert ran.details("ExecutionAborted") == {"error": "Operator", "cause": "no longer needed"}
    assert "TaskTimedOut" not in ran.types


def test_no_catch_and_no_retry_runs_for_a_stop_or_the_machines_timeout() -> None:
    async def stop(ran: Ran) -> None:
        await trio.sleep(20)
        ran.stop.request()

    handlers = {
        "Retry": [{"ErrorEquals": ["States.ALL"]}],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "D"}],
    }
    states = {"T": task(SYNC, **handlers), "D": {"Type": "Succeed"}}

    stopped = play(definition("T", states), hanging(), meanwhile=stop)
    timed_out = play(definition("T", states, TimeoutSeconds=20), hanging())

    assert ended(stopped) == ("ABORTED", None, None)
    assert stopped.events[-1].details == {"executionAbortedEventDetails": {}}
    assert ended(timed_out) == ("TIMED_OUT", None, None)
    assert [len(ran.services.calls) for ran in (stopped, timed_out)] == [1, 1]


def test_a_stop_while_a_timed_out_task_drains_still_aborts() -> None:
    async def stop(ran: Ran) -> None:
        await trio.sleep(15)
        ran.stop.request()

    ran = play(definition("T", {"T": task(SYNC, TimeoutSeconds=10)}), hanging(), meanwhile=stop)

    assert ended(ran)[0] == "ABORTED"
    assert ran.ended_at == 40.0


def test_a_timeout_that_falls_into_the_draining_of_a_stop_does_not_count() -> None:
    async def stop(ran: Ran) -> None:
        await trio.sleep(5)
        ran.stop.request()

    states = {
        "T": task(SYNC, TimeoutSeconds=10, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "D"}]),
        "D": {"Type": "Succeed"},
    }
    ran = play(definition("T", states), hanging(), meanwhile=stop)

    assert ended(ran)[0] == "ABORTED"
    assert "TaskTimedOut" not in ran.types


def test_cancelling_the_surrounding_scope_writes_the_abort_and_passes_on() -> None:
    seen: list[Ran] = []

    async def leave(ran: Ran) -> None:
        seen.append(ran)
        await trio.sleep(20)
        raise RuntimeError("the house is closing")

    with pytest.raises(ExceptionGroup):
        play(definition("T", {"T": task(SYNC)}), hanging(), meanwhile=leave)

    assert seen[0].result is None
    assert seen[0].types[-1] == "ExecutionAborted"
    assert seen[0].services.calls[0].gone_at == 50.0


def test_a_stop_before_the_start_runs_nothing() -> None:
    services = hanging()

    async def stop(inner: Ran) -> None:
        inner.stop.request("early")
        await trio.lowlevel.checkpoint()

    aborted = play(
        definition("T", {"T": {"Type": "Wait", "Seconds": 9, "Next": "U"}, "U": task(SYNC)}),
        services,
        meanwhile=stop,
    )

    assert ended(aborted) == ("ABORTED", "early", None)
    assert services.calls == []


def test_a_failing_sibling_drains_the_others_first() -> None:
    branches = [
        {"StartAt": "T", "States": {"T": task(SYNC)}},
        {
            "StartAt": "W",
            "States": {
                "W": {"Type": "Wait", "Seconds": 12, "Next": "F"},
                "F": {"Type": "Fail", "Error": "Sibling"},
            },
        },
    ]
    states = {
        "P": {
            "Type": "Parallel",
            "Branches": branches,
            "End": True,
            "Catch": [{"ErrorEquals": ["Sibling"], "Next": "D"}],
        },
        "D": {"Type": "Succeed"},
    }

    ran = play(definition("P", states), hanging())

    assert ran.services.calls[0].gone_at == 42.0
    assert ran.at("ParallelStateFailed") == [42.0]
    assert [kind for kind in ran.types if kind.endswith("Aborted")] == ["TaskStateAborted"]
    assert ended(ran)[0] == "SUCCEEDED"


def test_nested_lines_are_aborted_from_the_inside_out() -> None:
    inner = {"Type": "Parallel", "End": True, "Branches": [{"StartAt": "T", "States": {"T": task(SYNC)}}]}
    branches = [
        {"StartAt": "Inner", "States": {"Inner": inner}},
        {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "Next": "F"}, "F": {"Type": "Fail"}}},
    ]

    ran = play(definition("P", {"P": {"Type": "Parallel", "Branches": branches, "End": True}}), hanging())

    failing = next(event.id for event in ran.events if event.type == "FailStateEntered")
    assert list(zip(ran.types, ran.links, strict=True))[-4:-1] == [
        ("TaskStateAborted", failing),
        ("ParallelStateAborted", failing),
        ("ParallelStateFailed", failing),
    ]


def test_work_that_cannot_be_stopped_does_not_hide_the_timeout() -> None:
    class Stubborn(ScriptedIntegrations):
        async def cancel(self, request: TaskRequest, submitted: Any) -> None:
            await super().cancel(request, submitted)
            raise OSError("no permission")

    services = Stubborn()
    services.on("T", work=HANGS)

    assert ended(play(definition("T", {"T": task(SYNC, TimeoutSeconds=5)}), services))[1] == "States.Timeout"


def with_token(act: Callable[[Ran, str], Awaitable[None]], **fields: Any) -> Ran:
    services = ScriptedIntegrations()
    services.on("T", reply={"MessageId": "1"})

    async def meanwhile(ran: Ran) -> None:
        await wait_all_tasks_blocked()
        token = services.calls[0].request.token
        assert token is not None
        assert services.calls[0].request.arguments == {"Token": token}
        await act(ran, token)

    state = task(CALLBACK, Arguments={"Token": "{% $states.context.Task.Token %}"}, **fields)
    return play(definition("T", {"T": state}), services, meanwhile=meanwhile)


def test_a_callback_waits_for_its_token() -> None:
    async def act(ran: Ran, token: str) -> None:
        await trio.sleep(99)
        ran.tokens.send_success(token, '{"ok": 1.0}')

    ran = with_token(act)

    assert ran.types[2:7] == [
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
        "TaskStateExited",
    ]
    assert ran.details("TaskStarted")["resource"] == "sendMessage.waitForTaskToken"
    assert ran.result is not None
    assert ran.result.output == {"ok": 1}


def test_a_callback_may_fail_with_its_own_error() -> None:
    async def act(ran: Ran, token: str) -> None:
        ran.tokens.send_failure(token, "Job.BadInput", "line 7")
        with pytest.raises(TokenError) as late:
            ran.tokens.send_success(token, "{}")
        assert late.value.code == "TaskTimedOut"
        await trio.lowlevel.checkpoint()

    assert ended(with_token(act)) == ("FAILED", "Job.BadInput", "line 7")


def test_heartbeats_keep_a_task_alive_until_one_is_missed() -> None:
    async def act(ran: Ran, token: str) -> None:
        for _ in range(3):
            await trio.sleep(9)
            ran.tokens.send_heartbeat(token)

    ran = with_token(act, HeartbeatSeconds=10)

    assert ran.at("TaskTimedOut") == [37.0]
    assert ran.details("TaskTimedOut")["error"] == "States.Timeout"
    assert ran.details("TaskScheduled")["heartbeatInSeconds"] == 10
    assert ended(ran) == ("FAILED", "States.Timeout", None)


@pytest.mark.parametrize("name", ["States.HeartbeatTimeout", "States.Timeout"])
def test_a_missed_heartbeat_is_caught_under_both_names(name: str) -> None:
    services = hanging()
    states = {
        "T": task(SYNC, HeartbeatSeconds=10, Catch=[{"ErrorEquals": [name], "Next": "D"}]),
        "D": {"Type": "Succeed"},
    }

    ran = play(definition("T", states), services)

    assert ended(ran)[0] == "SUCCEEDED"
    assert services.calls[0].gone_at == 40.0


def test_a_token_ends_a_sync_task_and_leaves_its_work_alone() -> None:
    services = hanging()

    async def meanwhile(ran: Ran) -> None:
        await trio.sleep(5)
        token = services.calls[0].request.token
        assert token is not None
        ran.tokens.send_failure(token, "Job.Known", "cause")

    ran = play(definition("T", {"T": task(SYNC)}), services, meanwhile=meanwhile)

    assert ended(ran) == ("FAILED", "Job.Known", "cause")
    assert services.calls[0].stop_asked_at is None


@pytest.mark.parametrize(
    ("token", "code"), [("", "InvalidToken"), ("x" * 1025, "InvalidToken"), ("unknown", "TaskDoesNotExist")]
)
def test_unknown_tokens_are_refused(token: str, code: str) -> None:
    with pytest.raises(TokenError) as refused:
        Ran().tokens.send_heartbeat(token)
    assert refused.value.code == code


def test_a_token_is_refused_after_its_state_has_ended() -> None:
    late: list[str] = []

    async def act(ran: Ran, token: str) -> None:
        await trio.sleep(60)
        with pytest.raises(TokenError) as refused:
            ran.tokens.send_success(token, "{}")
        late.append(refused.value.code)

    with_token(act, TimeoutSeconds=30)

    assert late == ["TaskTimedOut"]


def test_a_token_answer_must_be_json() -> None:
    async def act(ran: Ran, token: str) -> None:
        with pytest.raises(TokenError) as refused:
            ran.tokens.send_success(token, "{")
        assert refused.value.code == "InvalidOutput"
        ran.tokens.send_success(token, "1")
        await trio.lowlevel.checkpoint()

    assert ended(with_token(act))[0] == "SUCCEEDED"


def test_every_attempt_has_a_token_of_its_own() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply=TaskFailed("E"))

    play(definition("T", {"T": task(SYNC, Retry=[{"ErrorEquals": ["E"], "MaxAttempts": 2}])}), services)

    tokens = {call.request.token for call in services.calls}
    assert len(tokens) == 3
    assert None not in tokens


def test_work_is_stopped_when_watching_it_breaks() -> None:
    services = ScriptedIntegrations()
    services.on("T", reply={}, work=Work(seconds=10, result=lambda _: 1 // 0, stop_seconds=5))

    ran = play(definition("T", {"T": task(SYNC)}), services)

    assert ended(ran)[:2] == ("FAILED", "States.Runtime")
    assert services.calls[0].stop_asked_at == 10.0
