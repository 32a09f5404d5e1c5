"""The whole product on what Terraform made: the configuration that goes to AWS, applied to the local AWS.

One test, because the applied state is one: an apply takes a minute, most of it the provider's own waiting.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nightlatch.local.terraform import TerraformError
from nightlatch.local.terraform_apply import LocalApply
from tests.support.installation import ROOT, Installation, until
from tests.support.terraform import need_provider

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.acceptance, pytest.mark.slow, pytest.mark.timeout(900)]

GOLDEN = Path(__file__).parents[1] / "golden" / "terraform_one_line_change.txt"
SCHEDULE = {"cron": "cron(0 6 * * ? *)", "timezone": "Asia/Tokyo", "alert_after_minutes": 60}
TIME = "2026-11-21T21:00:00Z"


@pytest.fixture
def house() -> Iterator[Installation]:
    """A local AWS with nothing on it, and a jobs file.

    Not below /tmp: the containers have a volume of their own there, and would not see the host's files.
    """
    need_provider()
    folder = Path(tempfile.mkdtemp(prefix="nightlatch-terraform-", dir="/var/tmp"))
    built = Installation(folder, up_options=["--no-provision"])
    built.add_job("nightly", {"name": "generate"}, {"name": "check"}, schedule=SCHEDULE)
    built.add_job("by-hand", {"worker": ["--gate", built.gate("by-hand")]})
    built.up()
    yield built
    built.down()
    shutil.rmtree(folder)


def test_terraform_makes_an_installation_that_works(house: Installation, tmp_path: Path) -> None:
    apply = LocalApply(ROOT, tmp_path, house.endpoint()["url"], house.jobs_file)
    apply.init()

    assert "aws_sfn_state_machine.jobs" in apply.plan()
    assert re.match(r"Apply complete! Resources: \d+ added, 0 changed, 0 destroyed\.", apply.apply())
    assert apply.plan() == "", "a second plan has nothing to change"

    house.cli("doctor")
    _an_operator_runs_a_job(house)
    _the_schedule_runs_a_job_once_for_each_time(house)
    _a_started_job_keeps_a_second_one_out(house)
    _the_sweep_and_the_watchdog_can_be_delivered(house)

    _a_machine_that_aws_would_refuse_fails_at_plan(apply)
    _a_one_line_change_shows_in_the_plan_as_such(apply, house)
    _a_paused_schedule_is_left_alone(apply, house)

    assert re.match(r"Destroy complete! Resources: \d+ destroyed\.", apply.destroy())
    assert _what_is_left(house) == []


def _an_operator_runs_a_job(house: Installation) -> None:
    house.cli("run", "nightly", "--wait")

    assert [event["step"] for event in house.events("nightly") if event["event"] == "start"] == [
        "generate",
        "check",
    ]
    assert house.lock_is_free("nightly")


def _the_schedule_runs_a_job_once_for_each_time(house: Installation) -> None:
    before = len(house.started("nightly"))
    _fire(house, "nightly", TIME)
    until(lambda: _outcomes(house, "nightly").count("succeeded") == 2, "the scheduled run to succeed")
    _fire(house, "nightly", TIME)
    until(lambda: "duplicate" in _outcomes(house, "nightly"), "the second delivery to be a duplicate")

    assert len([it for it in house.events("nightly") if it["event"] == "start"]) == before + 2


def _a_started_job_keeps_a_second_one_out(house: Installation) -> None:
    house.cli("run", "by-hand")
    house.started("by-hand")
    house.cli("run", "by-hand", "--wait", "--fail-on-skip", expect=11)
    house.gate("by-hand").touch()
    until(lambda: _outcomes(house, "by-hand") == ["skipped", "succeeded"], "both runs to be recorded")

    house.assert_never_two_at_once("by-hand")


def _the_sweep_and_the_watchdog_can_be_delivered(house: Installation) -> None:
    for schedule, machine in (("janitor-sweep", "janitor"), ("nightly-watchdog", "watchdog")):
        _fire(house, schedule, TIME)
        until(
            lambda machine=machine: _statuses(house, machine) == ["SUCCEEDED"],  # type: ignore[misc]
            f"the {machine} to finish",
        )


def _a_machine_that_aws_would_refuse_fails_at_plan(apply: LocalApply) -> None:
    definition = apply.copy / "statemachine" / "job.asl.json"
    good = definition.read_text(encoding="utf-8")
    definition.write_text(good.replace('"StartAt": "Begin"', '"StartAt": "Nowhere"', 1), encoding="utf-8")

    with pytest.raises(TerraformError, match="invalid Step Functions State Machine definition"):
        apply.plan()

    definition.write_text(good, encoding="utf-8")


def _a_one_line_change_shows_in_the_plan_as_such(apply: LocalApply, house: Installation) -> None:
    house.jobs["nightly"]["steps"][1]["timeout_minutes"] = 2
    house.write_jobs()

    # How much is left out depends on what else the definition holds.
    told = re.sub(r"# \(\d+ unchanged", "# (unchanged", apply.plan())

    if os.environ.get("NIGHTLATCH_WRITE_GOLDEN") == "1":
        GOLDEN.write_text(told + "\n", encoding="utf-8")
    assert told + "\n" == GOLDEN.read_text(encoding="utf-8"), "NIGHTLATCH_WRITE_GOLDEN=1 writes it anew"


def _a_paused_schedule_is_left_alone(apply: LocalApply, house: Installation) -> None:
    scheduler = house.client("scheduler")
    schedule = scheduler.get_schedule(GroupName="nightlatch-local", Name="nightly")
    writable = set(scheduler.meta.service_model.operation_model("UpdateSchedule").input_shape.members)
    kept = {key: value for key, value in schedule.items() if key in writable}
    scheduler.update_schedule(**{**kept, "State": "DISABLED"})

    assert re.match(r"Apply complete! Resources: 0 added, 1 changed, 0 destroyed\.", _applied(apply))
    state = scheduler.get_schedule(GroupName="nightlatch-local", Name="nightly")["State"]
    assert state == "DISABLED"


def _applied(apply: LocalApply) -> str:
    apply.plan()
    return apply.apply()


def _fire(house: Installation, schedule: str, scheduled_time: str) -> None:
    """Deliver one scheduled time, through the Scheduler's own delivery path."""
    request = urllib.request.Request(
        f"{house.endpoint()['url']}/_nightlatch/schedules/nightlatch-local/{schedule}/fire",
        data=json.dumps({"scheduled_time": scheduled_time}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        assert reply.status == 200


def _outcomes(house: Installation, job: str) -> list[str]:
    """The outcomes in the runs table, oldest first."""
    rows: list[dict[str, Any]] = house.client("dynamodb").query(
        TableName="nightlatch-local-runs",
        KeyConditionExpression="job = :j",
        ExpressionAttributeValues={":j": {"S": job}},
        ConsistentRead=True,
    )["Items"]
    ended = [row for row in rows if "ended_at" in row]
    return [row["outcome"]["S"] for row in sorted(ended, key=lambda row: row["ended_at"]["S"])]


def _statuses(house: Installation, machine: str) -> list[str]:
    arn = f"arn:aws:states:ap-northeast-1:000000000000:stateMachine:nightlatch-local-{machine}"
    found = house.client("stepfunctions").list_executions(stateMachineArn=arn)["executions"]
    return sorted({execution["status"] for execution in found})


def _what_is_left(house: Installation) -> list[str]:
    ecs = house.client("ecs")
    return [
        *house.client("dynamodb").list_tables()["TableNames"],
        *(it["name"] for it in house.client("stepfunctions").list_state_machines()["stateMachines"]),
        *(it["Name"] for it in house.client("scheduler").list_schedules()["Schedules"]),
        *(it["Name"] for it in house.client("s3").list_buckets()["Buckets"]),
        *(it["logGroupName"] for it in house.client("logs").describe_log_groups()["logGroups"]),
        *house.client("sns").list_topics()["Topics"],
        *house.client("sqs").list_queues().get("QueueUrls", []),
        *ecs.list_task_definitions(status="ACTIVE")["taskDefinitionArns"],
    ]
