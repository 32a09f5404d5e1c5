"""Rules: from an event on a bus to the calls of their targets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio

from nightlatch.local.api_error import ApiError
from nightlatch.local.bus import service_event
from tests.support.local_events import (
    ACCOUNT,
    MACHINE,
    QUEUE,
    REGION,
    TOPIC,
    Definitions,
    firing,
    utc,
    virtually,
)

if TYPE_CHECKING:
    from pathlib import Path

NOON = utc("2026-11-21T12:00:00")


def stopped(status: str = "FAILED") -> dict[str, Any]:
    return service_event(
        source="aws.states",
        detail_type="Step Functions Execution Status Change",
        detail={"status": status, "name": "nightly-1"},
        resources=["arn:execution"],
        account=ACCOUNT,
        region=REGION,
        at=NOON.timestamp(),
    )


PATTERN = {"source": ["aws.states"], "detail": {"status": ["FAILED", "TIMED_OUT", "ABORTED"]}}


def entry(**members: Any) -> dict[str, Any]:
    return {"Source": "nightlatch", "DetailType": "Told", "Detail": '{"a": 1}', **members}


def test_a_status_event_starts_the_janitor(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, NOON) as (_, bus):
            definitions.put_rule(
                "janitor",
                {"Arn": MACHINE},
                {"Arn": TOPIC, "InputPath": "$.detail.name"},
                EventPattern=PATTERN,
            )
            bus.publish(stopped("RUNNING"))
            bus.publish(stopped("FAILED"))
            await trio.sleep(1)

        assert [item["detail"]["status"] for item in definitions.inputs()] == ["FAILED"]
        assert [call.params["Message"] for call in definitions.calls if call.service == "sns"] == [
            '"nightly-1"'
        ]

    virtually(main)


def test_a_rule_counts_from_the_moment_it_was_written(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, NOON) as (_, bus):
            bus.publish(stopped())
            await trio.sleep(1)
            definitions.put_rule("janitor", {"Arn": MACHINE}, EventPattern=PATTERN)
            bus.publish(stopped())
            await trio.sleep(1)
            definitions.put_rule("janitor", {"Arn": MACHINE}, EventPattern=PATTERN, State="DISABLED")
            bus.publish(stopped())
            await trio.sleep(1)

        assert len(definitions.inputs()) == 1

    virtually(main)


def test_a_target_that_is_throttled_is_called_again(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        definitions.refuse_executions = [ApiError("ThrottlingException", "slow down")]
        async with firing(tmp_path, definitions, NOON) as (_, bus):
            definitions.put_rule("janitor", {"Arn": MACHINE}, EventPattern=PATTERN)
            bus.publish(stopped())
            await trio.sleep(60)

        assert len(definitions.inputs()) == 1

    virtually(main)


def test_a_target_that_is_gone_gets_a_dead_letter(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        definitions.refuse_executions = [ApiError("StateMachineDoesNotExist", "gone")]
        async with firing(tmp_path, definitions, NOON) as (_, bus):
            arn = definitions.put_rule(
                "janitor", {"Arn": MACHINE, "DeadLetterConfig": {"Arn": QUEUE}}, EventPattern=PATTERN
            )
            bus.publish(stopped())
            await trio.sleep(1)

        letter = definitions.calls[-1]
        assert letter.operation == "SendMessage"
        attributes = {
            name: value["StringValue"] for name, value in letter.params["MessageAttributes"].items()
        }
        assert (attributes["RULE_ARN"], attributes["ERROR_CODE"]) == (arn, "StateMachineDoesNotExist")
        assert json.loads(letter.params["MessageBody"])["detail"]["status"] == "FAILED"

    virtually(main)


def test_a_scheduled_rule_fires_in_utc_and_a_rate_after_its_first_interval(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, NOON):
            definitions.put_rule("often", {"Arn": MACHINE}, ScheduleExpression="rate(10 minutes)")
            definitions.put_rule("daily", {"Arn": TOPIC}, ScheduleExpression="cron(15 12 * * ? *)")
            await trio.sleep(1300)

        assert [(call.service, call.at[11:19]) for call in definitions.calls] == [
            ("stepfunctions", "12:10:00"),
            ("sns", "12:15:00"),
            ("stepfunctions", "12:20:00"),
        ]
        event = definitions.inputs()[0]
        assert (event["source"], event["detail-type"], event["detail"]) == (
            "aws.events",
            "Scheduled Event",
            {},
        )
        assert event["resources"][0].endswith("rule/often")

    virtually(main)


def test_put_events_reaches_the_rules_of_its_bus(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, NOON) as (events, _):
            wanted = {"source": ["nightlatch"]}
            definitions.put_rule("here", {"Arn": MACHINE, "Input": '"default"'}, EventPattern=wanted)
            definitions.put_rule(
                "there", {"Arn": MACHINE, "Input": '"other"'}, bus="other", EventPattern=wanted
            )
            reply = await events.call("PutEvents", {"Entries": [entry(EventBusName="other")]})
            assert reply["FailedEntryCount"] == 0
            await trio.sleep(1)
            assert definitions.inputs() == ["other"]
            await events.call("PutEvents", {"Entries": [entry(), entry()]})
            await trio.sleep(1)

        assert definitions.inputs() == ["other", "default", "default"]

    virtually(main)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ({"Source": ""}, "InvalidArgument"),
        ({"Detail": "no json"}, "MalformedDetail"),
        ({"Detail": "[1]"}, "MalformedDetail"),
        ({"Source": "aws.states"}, "NotAuthorizedForSourceException"),
    ],
)
def test_a_bad_entry_fails_alone(tmp_path: Path, bad: dict[str, str], code: str) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, NOON) as (events, _):
            reply = await events.call("PutEvents", {"Entries": [entry(), entry(**bad)]})

            assert reply["FailedEntryCount"] == 1
            assert "EventId" in reply["Entries"][0]
            assert reply["Entries"][1]["ErrorCode"] == code
            with pytest.raises(ApiError, match="ValidationException"):
                await events.call("PutEvents", {"Entries": []})

    virtually(main)


def test_a_pattern_can_be_tried(tmp_path: Path) -> None:
    async def main() -> None:
        definitions = Definitions()
        async with firing(tmp_path, definitions, NOON) as (events, _):
            asked = {"EventPattern": json.dumps(PATTERN), "Event": json.dumps(stopped())}
            assert await events.call("TestEventPattern", asked) == {"Result": True}
            with pytest.raises(ApiError, match="ValidationException"):
                await events.call("TestEventPattern", {**asked, "Event": "{"})

    virtually(main)
