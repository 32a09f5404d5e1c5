"""The local installation against moto: what is made, that a second time changes nothing, what goes away."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.events.models import EventPattern

from nightlatch.catalog import job_settings, load_catalog
from nightlatch.installation import Installation
from nightlatch.local.provision import Change, provision
from nightlatch.local.provision_definitions import machine_values
from statemachine import render_job
from tests.support.jobs_file import write_jobs
from tests.support.own_account import mocked_aws

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACCOUNT = "123456789012"  # moto's own
JOBS = """\
  nightly:
    description: Runs at night
    schedule:
      cron: "cron(0 6 * * ? *)"
      timezone: Asia/Tokyo
      alert_after_minutes: 90
      max_lateness_minutes: 20
    lock: { key: night }
    steps:
      - name: load
        command: [load, "--all"]
        timeout_minutes: 10
        stop_grace_seconds: 45
        environment: { B: "2", A: "1" }
      - { name: send, command: ["--", sh, -c, "exit 0"], timeout_minutes: 5, cpu: 512, memory: 1024 }
  by-hand:
    lock: { key: hand }
    image: registry.example/news@sha256:0123
    claim_container: true
    steps:
      - { name: go, command: [go], timeout_minutes: 1 }
"""
PREFIX = "nightlatch-dev"


@pytest.fixture
def session() -> Iterator[boto3.Session]:
    with mocked_aws():
        yield boto3.Session("made-up", "made-up", region_name="ap-northeast-1")


class House:
    def __init__(self, folder: Path, session: boto3.Session) -> None:
        self.folder = folder
        self.session = session
        self.installation = Installation.conventional("dev", ACCOUNT, "ap-northeast-1")

    def client(self, service: str) -> Any:
        return self.session.client(service)  # type: ignore[call-overload]

    def provision(self, jobs: str = JOBS) -> list[Change]:
        catalog = load_catalog(write_jobs(self.folder, jobs), "dev")
        return provision(catalog, self.installation, self.session)


@pytest.fixture
def house(tmp_path: Path, session: boto3.Session) -> House:
    return House(tmp_path, session)


def _told(changes: list[Change]) -> set[str]:
    return {str(change) for change in changes}


def test_the_first_time_makes_everything_and_the_second_nothing(house: House) -> None:
    first = house.provision()

    assert _told(first) == {
        f"created table {PREFIX}-locks",
        f"created table {PREFIX}-runs",
        f"created bucket {PREFIX}-artifacts-{ACCOUNT}",
        f"created log group /{PREFIX}/tasks",
        f"created cluster {PREFIX}",
        f"created topic {PREFIX}-notifications",
        f"created task definition {PREFIX}-nightly-load",
        f"created task definition {PREFIX}-nightly-send",
        f"created task definition {PREFIX}-by-hand-go",
        f"created state machine {PREFIX}-janitor",
        f"created state machine {PREFIX}-watchdog",
        f"created state machine {PREFIX}-nightly",
        f"created state machine {PREFIX}-by-hand",
        f"created schedule group {PREFIX}",
        "created schedule nightly",
        "created schedule nightly-watchdog",
        "created schedule janitor-sweep",
        f"created rule {PREFIX}-janitor",
        "created parameter /nightlatch/dev/installation",
    }
    assert house.provision() == []


def test_the_tables_are_keyed_as_agreed_and_expire_items(house: House) -> None:
    house.provision()
    dynamodb = house.client("dynamodb")

    keys = {}
    for name in (f"{PREFIX}-locks", f"{PREFIX}-runs"):
        table = dynamodb.describe_table(TableName=name)["Table"]
        keys[name] = [(it["AttributeName"], it["KeyType"]) for it in table["KeySchema"]]
        ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", "ttl")
    assert keys == {
        f"{PREFIX}-locks": [("lock_key", "HASH")],
        f"{PREFIX}-runs": [("job", "HASH"), ("run", "RANGE")],
    }


def test_a_task_definition_says_what_runs(house: House) -> None:
    house.provision()

    reply = house.client("ecs").describe_task_definition(taskDefinition=f"{PREFIX}-nightly-load")

    definition = reply["taskDefinition"]
    assert (definition["cpu"], definition["memory"], definition["networkMode"]) == ("256", "512", "awsvpc")
    (container,) = definition["containerDefinitions"]
    assert container["name"] == "job"
    assert container["image"] == "nightlatch"
    assert container["entryPoint"] == ["python", "-m", "tasks", "run"]
    assert container["command"] == ["load", "--all"]
    assert container["stopTimeout"] == 45
    assert {it["name"]: it["value"] for it in container["environment"]} == {
        "A": "1",
        "B": "2",
        "LANG": "C.UTF-8",
    }
    options = container["logConfiguration"]["options"]
    assert options["awslogs-group"] == f"/{PREFIX}/tasks"
    assert options["awslogs-stream-prefix"] == "nightly"


def test_an_image_that_is_not_ours_starts_behind_a_container_that_claims(house: House) -> None:
    house.provision()

    reply = house.client("ecs").describe_task_definition(taskDefinition=f"{PREFIX}-by-hand-go")

    claim, job = reply["taskDefinition"]["containerDefinitions"]
    assert (claim["name"], claim["image"], claim["essential"]) == ("claim", "nightlatch", False)
    assert [*claim["entryPoint"], *claim["command"]] == [
        *("python", "-m", "tasks", "claim", "--directory", "/nightlatch"),
    ]
    assert (job["name"], job["image"]) == ("job", "registry.example/news@sha256:0123")
    assert job["dependsOn"] == [{"containerName": "claim", "condition": "SUCCESS"}]
    assert "entryPoint" not in job
    assert [mount["readOnly"] for mount in (*claim["mountPoints"], *job["mountPoints"])] == [False, True]


def test_a_machine_has_its_jobs_settings_as_a_literal(house: House) -> None:
    house.provision()

    found = house.client("stepfunctions").describe_state_machine(
        stateMachineArn=house.installation.machine_arn("nightly")
    )

    catalog = load_catalog(house.folder / "jobs.yaml", "dev")
    settings = job_settings(catalog.jobs["nightly"], house.installation)
    assert found["definition"] == render_job(settings, machine_values(house.installation))
    assert json.loads(found["definition"])["TimeoutSeconds"] == settings["run_timeout_seconds"]


def test_a_schedule_starts_the_machine_with_the_scheduled_time(house: House) -> None:
    house.provision()

    schedule = house.client("scheduler").get_schedule(GroupName=PREFIX, Name="nightly")

    assert schedule["ScheduleExpression"] == "cron(0 6 * * ? *)"
    assert schedule["ScheduleExpressionTimezone"] == "Asia/Tokyo"
    assert schedule["Target"]["Arn"] == "arn:aws:scheduler:::aws-sdk:sfn:startExecution"
    assert schedule["Target"]["RetryPolicy"]["MaximumEventAgeInSeconds"] == 1200
    request = json.loads(schedule["Target"]["Input"])
    assert request["StateMachineArn"] == house.installation.machine_arn("nightly")
    assert request["Name"] == "nightly-<aws.scheduler.execution-id>"
    assert json.loads(request["Input"]) == {
        "trigger": "schedule",
        "scheduled_time": "<aws.scheduler.scheduled-time>",
    }
    # The Scheduler substitutes the bare form only.
    assert "\\u003c" not in schedule["Target"]["Input"]


def test_the_watchdog_comes_at_the_same_times_and_knows_the_deadline(house: House) -> None:
    house.provision()

    schedule = house.client("scheduler").get_schedule(GroupName=PREFIX, Name="nightly-watchdog")

    assert schedule["ScheduleExpression"] == "cron(0 6 * * ? *)"
    assert schedule["ScheduleExpressionTimezone"] == "Asia/Tokyo"
    request = json.loads(schedule["Target"]["Input"])
    assert request["StateMachineArn"] == house.installation.watchdog_arn
    assert json.loads(request["Input"]) == {
        "job": "nightly",
        "scheduled_time": "<aws.scheduler.scheduled-time>",
        "alert_after_minutes": 90,
    }


def test_the_janitor_hears_of_every_bad_end_but_its_own(house: House) -> None:
    house.provision()
    events = house.client("events")

    rule = events.describe_rule(Name=f"{PREFIX}-janitor")
    (target,) = events.list_targets_by_rule(Rule=f"{PREFIX}-janitor")["Targets"]
    pattern = EventPattern.load(rule["EventPattern"])

    def heard(status: str, machine: str) -> bool:
        event: Any = {
            "id": "1",
            "account": ACCOUNT,
            "region": "ap-northeast-1",
            "time": "2026-11-21T21:00:00Z",
            "source": "aws.states",
            "detail-type": "Step Functions Execution Status Change",
            "resources": [],
            "detail": {
                "status": status,
                "stateMachineArn": f"arn:aws:states:ap-northeast-1:{ACCOUNT}:stateMachine:{machine}",
                "executionArn": f"arn:aws:states:ap-northeast-1:{ACCOUNT}:execution:{machine}:x",
            },
        }
        return bool(pattern.matches_event(event))

    assert target["Arn"] == house.installation.janitor_arn
    assert all(heard(status, f"{PREFIX}-nightly") for status in ("ABORTED", "FAILED", "TIMED_OUT"))
    assert not heard("SUCCEEDED", f"{PREFIX}-nightly")
    assert not heard("FAILED", f"{PREFIX}-janitor")
    assert not heard("FAILED", f"{PREFIX}-watchdog")
    assert not heard("FAILED", "nightlatch-prod-nightly")
    assert not heard("FAILED", "somebody-elses")


def test_the_parameter_tells_everything(house: House) -> None:
    house.provision()

    loaded = Installation.load(house.session, "dev")

    assert loaded == house.installation.with_jobs(["nightly", "by-hand"])


def test_a_changed_timeout_changes_the_machine_only(house: House) -> None:
    house.provision()

    changes = house.provision(JOBS.replace("timeout_minutes: 10", "timeout_minutes: 11"))

    assert _told(changes) == {f"updated state machine {PREFIX}-nightly"}
    assert house.provision(JOBS.replace("timeout_minutes: 10", "timeout_minutes: 11")) == []


def test_a_changed_command_changes_the_task_definition_only(house: House) -> None:
    house.provision()

    changes = house.provision(JOBS.replace('[load, "--all"]', "[load]"))

    assert _told(changes) == {f"updated task definition {PREFIX}-nightly-load"}


def test_a_paused_schedule_stays_paused_when_it_is_changed(house: House) -> None:
    house.provision()
    scheduler = house.client("scheduler")
    schedule = scheduler.get_schedule(GroupName=PREFIX, Name="nightly")
    kept = ("GroupName", "Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")
    scheduler.update_schedule(
        **{key: schedule[key] for key in kept}, ScheduleExpressionTimezone="Asia/Tokyo", State="DISABLED"
    )

    assert house.provision() == []
    changes = house.provision(JOBS.replace("cron(0 6", "cron(0 7"))

    assert _told(changes) == {"updated schedule nightly", "updated schedule nightly-watchdog"}
    after = scheduler.get_schedule(GroupName=PREFIX, Name="nightly")
    assert (after["State"], after["ScheduleExpression"]) == ("DISABLED", "cron(0 7 * * ? *)")


def test_a_job_without_schedule_has_none(house: House) -> None:
    house.provision()

    changes = house.provision(
        JOBS.replace("    schedule:\n", "    environments: { dev: { schedule: null } }\n    schedule:\n")
    )

    assert _told(changes) == {"removed schedule nightly", "removed schedule nightly-watchdog"}


def test_a_vanished_job_loses_what_could_start_it(house: House) -> None:
    house.provision()
    only_by_hand = "  by-hand:" + JOBS.partition("  by-hand:")[2]
    neighbour = house.client("stepfunctions").create_state_machine(
        name="nightlatch-development", definition="{}", roleArn=f"arn:aws:iam::{ACCOUNT}:role/x"
    )

    changes = house.provision(only_by_hand)

    assert _told(changes) == {
        "removed schedule nightly",
        "removed schedule nightly-watchdog",
        f"removed state machine {PREFIX}-nightly",
        f"removed task definition {PREFIX}-nightly-load",
        f"removed task definition {PREFIX}-nightly-send",
        "updated parameter /nightlatch/dev/installation",
    }
    machines = house.client("stepfunctions").list_state_machines()["stateMachines"]
    assert neighbour["stateMachineArn"] in {it["stateMachineArn"] for it in machines}
    assert house.provision(only_by_hand) == []
    # And it can come back.
    assert f"created state machine {PREFIX}-nightly" in _told(house.provision())
