"""Schedules fire at their times, once, and are delivered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio

from nightlatch.local.api_error import ApiError
from tests.support.local_events import MACHINE, QUEUE, TOPIC, UNIVERSAL, Definitions, firing, utc, virtually

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3600.0
DAY = 24 * HOUR


def test_a_cron_in_tokyo_fires_daily_at_its_local_time(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, utc("2026-11-21T12:00:00")):
            definitions.put_schedule("nightly", "cron(0 6 * * ? *)", ScheduleExpressionTimezone="Asia/Tokyo")
            await trio.sleep(2 * DAY)

        assert definitions.times() == ["2026-11-21T21:00:00Z", "2026-11-22T21:00:00Z"]

    virtually(main)


def test_the_universal_target_gets_the_apis_members_and_the_context(tmp_path: Path) -> None:
    payload = {
        "StateMachineArn": MACHINE,
        "Name": "nightly-<aws.scheduler.execution-id>",
        "Input": '{"trigger":"schedule","scheduled_time":"<aws.scheduler.scheduled-time>",'
        '"from":"<aws.scheduler.schedule-arn>","attempt":"<aws.scheduler.attempt-number>"}',
    }

    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, utc("2026-11-21T20:59:30")):
            target = {"Arn": UNIVERSAL, "RoleArn": "r", "Input": json.dumps(payload)}
            definitions.put_schedule("nightly", "cron(0 21 * * ? *)", Target=target)
            await trio.sleep(60)

        (call,) = definitions.calls
        assert (call.service, call.operation) == ("stepfunctions", "StartExecution")
        assert call.params["stateMachineArn"] == MACHINE
        assert len(call.params["name"]) == len("nightly-") + 36
        assert json.loads(call.params["input"]) == {
            "trigger": "schedule",
            "scheduled_time": "2026-11-21T21:00:00Z",
            "from": "arn:aws:scheduler:ap-northeast-1:000000000000:schedule/nights/nightly",
            "attempt": "1",
        }

    virtually(main)


def test_a_rate_fires_at_once_and_then_at_its_distance(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, utc("2026-11-21T12:00:07")):
            definitions.put_schedule("often", "rate(10 minutes)")
            await trio.sleep(1300)

        assert definitions.times() == [f"2026-11-21T12:{minute}:07Z" for minute in ("00", "10", "20")]

    virtually(main)


def test_start_and_end_bound_a_schedule(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, utc("2026-11-21T00:30:00")):
            bounds = {
                "StartDate": utc("2026-11-21T03:00:00").timestamp(),
                "EndDate": utc("2026-11-21T05:00:00").timestamp(),
            }
            definitions.put_schedule("bounded", "cron(0 * * * ? *)", **bounds)
            await trio.sleep(DAY)

        assert definitions.times() == [f"2026-11-21T{hour}:00:00Z" for hour in ("03", "04", "05")]

    virtually(main)


def test_a_disabled_schedule_is_silent_and_does_not_catch_up_when_enabled(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, utc("2026-11-21T00:30:00")):
            definitions.put_schedule("hourly", "cron(0 * * * ? *)", State="DISABLED")
            await trio.sleep(5 * HOUR)
            assert definitions.calls == []
            definitions.put_schedule("hourly", "cron(0 * * * ? *)")
            await trio.sleep(HOUR)

        assert definitions.times() == ["2026-11-21T06:00:00Z"]

    virtually(main)


def test_a_changed_schedule_is_picked_up_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, utc("2026-11-21T00:30:00")):
            for name in ("a", "b", "c"):
                definitions.put_schedule(name, "cron(0 12 * * ? *)")
            await trio.sleep(1)
            definitions.put_schedule("a", "cron(31 * * * ? *)")
            await trio.sleep(100)

        assert definitions.times() == ["2026-11-21T00:31:00Z"]

    virtually(main)


def test_a_one_time_schedule_fires_once_and_is_deleted_if_it_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, utc("2026-11-21T00:30:00")):
            definitions.put_schedule("kept", "at(2026-11-21T01:00:00)")
            definitions.put_schedule("gone", "at(2026-11-21T02:00:00)", ActionAfterCompletion="DELETE")
            await trio.sleep(DAY)

        assert definitions.times() == ["2026-11-21T01:00:00Z", "2026-11-21T02:00:00Z"]
        assert [name for _, name in definitions.schedules] == ["kept"]

    virtually(main)


@pytest.mark.parametrize(
    ("target", "service", "operation", "params"),
    [
        ({"Arn": TOPIC}, "sns", "Publish", {"TopicArn": TOPIC, "Message": "{}"}),
        (
            {"Arn": QUEUE, "SqsParameters": {"MessageGroupId": "g"}},
            "sqs",
            "SendMessage",
            {"QueueUrl": "http://queue/letters", "MessageBody": "{}", "MessageGroupId": "g"},
        ),
        ({"Arn": MACHINE}, "stepfunctions", "StartExecution", {"stateMachineArn": MACHINE, "input": "{}"}),
    ],
)
def test_templated_targets_are_called(
    tmp_path: Path, target: dict[str, str], service: str, operation: str, params: dict[str, str]
) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, utc("2026-11-21T00:30:00")):
            definitions.put_schedule("one", "at(2026-11-21T01:00:00)", Target={**target, "Input": "{}"})
            await trio.sleep(HOUR)

        (call,) = definitions.calls
        assert (call.service, call.operation, call.params) == (service, operation, params)

    virtually(main)


def test_without_input_a_target_gets_a_scheduled_event(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, utc("2026-11-21T00:30:00")):
            definitions.put_schedule("one", "at(2026-11-21T01:00:00)", Target={"Arn": MACHINE})
            await trio.sleep(HOUR)

        (event,) = definitions.inputs()
        assert (event["source"], event["detail-type"]) == ("aws.scheduler", "Scheduled Event")
        assert (event["time"], event["detail"]) == ("2026-11-21T01:00:00Z", "{}")

    virtually(main)


def test_the_last_missed_firing_is_made_up_for_after_downtime(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, utc("2026-11-21T00:30:00")):
            definitions.put_schedule("hourly", "cron(0 * * * ? *)")
            await trio.sleep(HOUR)
        await trio.sleep(5 * HOUR)  # down from 01:30 to 06:30
        async with firing(tmp_path, definitions):
            await trio.sleep(HOUR)

        assert definitions.times() == [f"2026-11-21T{time}Z" for time in ("01:00:00", "06:30:00", "07:00:00")]

    virtually(main)


def test_a_firing_missed_for_longer_than_its_age_allows_is_not_made_up_for(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, utc("2026-11-21T00:30:00")):
            target = {"Arn": MACHINE, "Input": "{}", "RetryPolicy": {"MaximumEventAgeInSeconds": 1800}}
            definitions.put_schedule("daily", "cron(0 1 * * ? *)", Target=target)
            await trio.sleep(1)
        await trio.sleep(HOUR)
        async with firing(tmp_path, definitions):
            await trio.sleep(HOUR)
        assert definitions.calls == []

    virtually(main)


def test_a_firing_before_a_restart_does_not_fire_again(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, utc("2026-11-21T00:59:59")):
            definitions.put_schedule("hourly", "cron(0 * * * ? *)")
            await trio.sleep(2)
        async with firing(tmp_path, definitions):
            await trio.sleep(60)

        assert definitions.times() == ["2026-11-21T01:00:00Z"]

    virtually(main)


def test_a_throttled_delivery_is_tried_again_with_a_new_attempt_number(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        definitions.refusals = [ApiError("ThrottlingException", "slow down"), ApiError("Fault", "x", 500)]
        async with firing(tmp_path, definitions, utc("2026-11-21T00:30:00")):
            target = {"Arn": MACHINE, "Input": '{"attempt": <aws.scheduler.attempt-number>}'}
            definitions.put_schedule("one", "at(2026-11-21T01:00:00)", Target=target)
            await trio.sleep(HOUR)

        assert [call.operation for call in definitions.calls] == [
            "refused StartExecution",
            "refused StartExecution",
            "StartExecution",
        ]
        assert definitions.inputs() == [{"attempt": 3}]

    virtually(main)


def test_a_delivery_under_way_survives_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        definitions.refusals = [ApiError("ThrottlingException", "slow down")] * 3
        async with firing(tmp_path, definitions, utc("2026-11-21T00:59:59")):
            definitions.put_schedule("one", "at(2026-11-21T01:00:00)")
            await trio.sleep(1.2)
        assert definitions.inputs() == []
        async with firing(tmp_path, definitions):
            await trio.sleep(HOUR)

        assert definitions.inputs() == [{}]

    virtually(main)


@pytest.mark.parametrize(
    ("refusals", "policy", "code", "exhausted", "retries"),
    [
        ([ApiError("ExecutionAlreadyExists", "taken")], {}, "ExecutionAlreadyExists", None, "0"),
        (
            [ApiError("ThrottlingException", "slow")] * 3,
            {"MaximumRetryAttempts": 2},
            "ThrottlingException",
            "MaximumRetryAttempts",
            "2",
        ),
        (
            [ApiError("ThrottlingException", "slow")] * 99,
            {"MaximumEventAgeInSeconds": 60},
            "ThrottlingException",
            "MaximumEventAgeInSeconds",
            None,
        ),
    ],
)
def test_what_cannot_be_delivered_becomes_a_dead_letter(
    tmp_path: Path,
    refusals: list[ApiError],
    policy: dict[str, int],
    code: str,
    exhausted: str | None,
    retries: str | None,
) -> None:
    async def main() -> None:
        definitions = Definitions()

        async with firing(tmp_path, definitions, utc("2026-11-21T00:30:00")):
            target = {
                "Arn": MACHINE,
                "Input": '{"a": 1}',
                "RetryPolicy": policy,
                "DeadLetterConfig": {"Arn": QUEUE},
            }
            definitions.put_schedule("one", "at(2026-11-21T01:00:00)", Target=target)
            await trio.sleep(1)
            definitions.refuse_executions = list(refusals)
            await trio.sleep(HOUR)

        letter = definitions.calls[-1]
        assert letter.operation == "SendMessage"
        assert letter.params["MessageBody"] == '{"a": 1}'
        attributes = {
            name: value["StringValue"] for name, value in letter.params["MessageAttributes"].items()
        }
        assert attributes["ERROR_CODE"] == code
        assert attributes.get("EXHAUSTED_RETRY_CONDITION") == exhausted
        assert attributes["SCHEDULED_TIME"] == "2026-11-21T01:00:00Z"
        assert attributes["SCHEDULE_ARN"].endswith("schedule/nights/one")
        assert attributes["TARGET_ARN"] == MACHINE
        if retries is not None:
            assert attributes["RETRY_ATTEMPTS"] == retries
        assert definitions.inputs() == []

    virtually(main)


def test_fire_delivers_now_with_the_time_it_is_given(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, utc("2026-11-21T12:00:00")) as (events, _):
            target = {"Arn": MACHINE, "Input": '{"scheduled_time": "<aws.scheduler.scheduled-time>"}'}
            definitions.put_schedule("nightly", "cron(0 6 * * ? *)", Target=target, State="DISABLED")
            reply = await events.fire("nights", "nightly", "2026-11-21T06:00:00+09:00")

            assert reply["delivered"] is True
            assert reply["response"] == {"executionArn": "arn:execution"}
            assert reply["scheduled_time"] == "2026-11-20T21:00:00Z"
            assert definitions.inputs() == [{"scheduled_time": "2026-11-20T21:00:00Z"}]
            definitions.refuse_executions = [ApiError("StateMachineDoesNotExist", "gone")]
            reply = await events.fire("nights", "nightly")
            assert (reply["delivered"], reply["error"]["code"]) == (False, "StateMachineDoesNotExist")
            assert reply["scheduled_time"] == "2026-11-21T12:00:00Z"
            with pytest.raises(ApiError, match="ResourceNotFoundException"):
                await events.fire("nights", "nobody")
            with pytest.raises(ApiError, match="ValidationException"):
                await events.fire("nights", "nightly", "tonight")

    virtually(main)


@pytest.mark.parametrize(
    ("target", "payload", "message"),
    [
        (UNIVERSAL.replace("startExecution", "startEverything"), "{}", "is not an API"),
        (UNIVERSAL.replace("sfn", "nothing"), "{}", "is not an API"),
        (UNIVERSAL, '{"Nonsense": 1}', "has no member Nonsense"),
        (UNIVERSAL, "not json", "is not JSON"),
        ("arn:aws:lambda:r:a:function:f", "{}", "cannot call the target"),
    ],
)
def test_a_wrong_target_is_found_when_it_fires(
    tmp_path: Path, target: str, payload: str, message: str
) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, utc("2026-11-21T12:00:00")) as (events, _):
            definitions.put_schedule(
                "one", "rate(1 day)", State="DISABLED", Target={"Arn": target, "Input": payload}
            )
            reply = await events.fire("nights", "one")

            assert reply["error"]["code"] == "ValidationException"
            assert message in reply["error"]["message"]

    virtually(main)


@pytest.mark.parametrize(
    ("service", "operation", "params"),
    [
        ("scheduler", "CreateSchedule", {"ScheduleExpression": "cron(0 6 * * * *)"}),
        ("scheduler", "UpdateSchedule", {"ScheduleExpression": "rate(5)"}),
        (
            "scheduler",
            "CreateSchedule",
            {"ScheduleExpression": "rate(1 day)", "ScheduleExpressionTimezone": "Mars"},
        ),
        ("events", "PutRule", {"ScheduleExpression": "at(2026-11-21T12:00:00)"}),
        ("events", "PutRule", {"EventPattern": '{"source": "aws.ecs"}'}),
    ],
)
def test_what_aws_refuses_is_refused_before_it_is_kept(
    tmp_path: Path, service: str, operation: str, params: dict[str, str]
) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, utc("2026-11-21T12:00:00")) as (events, _):
            with pytest.raises(ApiError):
                events.check(service, operation, params)
            events.check("scheduler", "CreateSchedule", {"ScheduleExpression": "cron(0 6 * * ? *)"})

    virtually(main)
