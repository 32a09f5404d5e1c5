from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from nightlatch.catalog import load_catalog
from nightlatch.operations.deployment import Deployment
from nightlatch.operations.doctor import examine, own_modules
from tests.support.deployments import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.deployments import Environment

IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/nightlatch:good"
JOBS = ["report", "report-monthly"]


def findings(environment: Environment) -> list[Any]:
    return list(examine(environment.deployment, JOBS, environment.catalog))


def results(environment: Environment) -> dict[str, set[str]]:
    seen: dict[str, set[str]] = {}
    for finding in findings(environment):
        seen.setdefault(finding.check, set()).add(finding.result)
    return seen


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


@pytest.fixture
def complete(environment: Environment) -> Environment:
    """With what Terraform makes beside it: roles, alarms, an image, and somebody who listens."""
    clients, names = environment.deployment.clients, environment.deployment.installation
    iam, ecr = clients.client("iam"), clients.client("ecr")
    services = {"machine": "states", "task": "ecs-tasks", "execution": "ecs-tasks", "scheduler": "scheduler"}
    for role, service in services.items():
        policy = trust(f"{service}.amazonaws.com")
        iam.create_role(RoleName=f"{names.prefix}-{role}", AssumeRolePolicyDocument=policy)
    for job in JOBS:
        clients.client("cloudwatch").put_metric_alarm(
            AlarmName=f"{names.prefix}-{job}-failed",
            AlarmActions=[names.topic_arn],
            Namespace="AWS/States",
            MetricName="ExecutionsFailed",
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            EvaluationPeriods=1,
            Period=300,
            Statistic="Sum",
            Threshold=1,
        )
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:people"
    clients.client("sns").subscribe(TopicArn=names.topic_arn, Protocol="sqs", Endpoint=queue)
    ecr.create_repository(repositoryName="nightlatch")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"digest": "sha256:" + "0" * 64},
        "layers": [],
    }
    ecr.put_image(repositoryName="nightlatch", imageTag="good", imageManifest=json.dumps(manifest))
    for job in environment.catalog.jobs.values():
        for step in job.steps:
            change_image(environment, names.family(job.name, step.name), IMAGE)
    return environment


def change_image(environment: Environment, family: str, image: str) -> None:
    ecs = environment.deployment.clients.ecs
    known = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
    containers = [{**container, "image": image} for container in known["containerDefinitions"]]
    ecs.register_task_definition(
        family=family,
        containerDefinitions=containers,  # type: ignore[arg-type]
        taskRoleArn=known["taskRoleArn"],
        executionRoleArn=known["executionRoleArn"],
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
    )


def test_a_complete_environment_is_well(complete: Environment) -> None:
    assert {name: found for name, found in results(complete).items() if found != {"ok"}} == {}
    assert {"roles", "images", "alarms"} <= set(results(complete))


def test_each_fault_names_one_fix_and_the_other_checks_go_on(complete: Environment) -> None:
    clients = complete.deployment.clients
    names = complete.deployment.installation
    clients.dynamodb.delete_table(TableName=names.runs_table)
    clients.logs.delete_log_group(logGroupName=names.log_group)
    clients.scheduler.delete_schedule(GroupName=names.schedule_group, Name="report")
    clients.ecs.delete_cluster(cluster=names.cluster)
    arn = complete.start("report", "report-1")
    complete.hold("reports", arn)
    clients.stepfunctions.stop_execution(executionArn=arn)

    found = findings(complete)

    faults = {finding.check: finding.fix for finding in found if finding.result == "fault"}
    assert faults == dict.fromkeys(("runs table", "log group", "schedules", "cluster"), "terraform apply")
    [warning] = [finding for finding in found if finding.result == "warning"]
    assert warning.check == "locks"
    assert "report-1, which has ended" in warning.found
    assert {"credentials", "clock", "machines"} <= {
        finding.check for finding in found if finding.result == "ok"
    }


def _no_role(environment: Environment) -> None:
    environment.deployment.clients.client("iam").delete_role(RoleName="nightlatch-dev-task")


def _a_role_for_somebody_else(environment: Environment) -> None:
    environment.deployment.clients.client("iam").update_assume_role_policy(
        RoleName="nightlatch-dev-machine", PolicyDocument=trust("lambda.amazonaws.com")
    )


def _no_image(environment: Environment) -> None:
    change_image(environment, "nightlatch-dev-report-load", IMAGE.replace("good", "deleted"))


def _no_alarm(environment: Environment) -> None:
    environment.deployment.clients.client("cloudwatch").delete_alarms(
        AlarmNames=["nightlatch-dev-report-failed"]
    )


def _a_muted_alarm(environment: Environment) -> None:
    environment.deployment.clients.client("cloudwatch").disable_alarm_actions(
        AlarmNames=["nightlatch-dev-report-failed"]
    )


def _a_ringing_alarm(environment: Environment) -> None:
    environment.deployment.clients.client("cloudwatch").set_alarm_state(
        AlarmName="nightlatch-dev-report-failed", StateValue="ALARM", StateReason="a run failed"
    )


def _nobody_listens(environment: Environment) -> None:
    sns = environment.deployment.clients.client("sns")
    for subscription in sns.list_subscriptions()["Subscriptions"]:
        sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])


def _an_older_machine(environment: Environment) -> None:
    states, arn = (
        environment.deployment.clients.stepfunctions,
        environment.deployment.installation.janitor_arn,
    )
    definition = json.loads(states.describe_state_machine(stateMachineArn=arn)["definition"])
    definition["Comment"] = "as it was last year"
    states.update_state_machine(stateMachineArn=arn, definition=json.dumps(definition))


@pytest.mark.parametrize(
    ("breaks", "check", "result", "found", "fix"),
    [
        (_no_role, "roles", "fault", "nightlatch-dev-task does not exist", "terraform apply"),
        (
            _a_role_for_somebody_else,
            "roles",
            "fault",
            "nightlatch-dev-machine cannot be taken by states.amazonaws.com",
            "terraform apply",
        ),
        (_no_image, "images", "fault", "nightlatch:deleted does not exist", "docker push"),
        (_no_alarm, "alarms", "fault", "no alarm watches report", "terraform apply"),
        (_a_muted_alarm, "alarms", "warning", "report-failed is muted", "enable-alarm-actions"),
        (_a_ringing_alarm, "alarms", "warning", "report-failed is ringing", "nightlatch why report"),
        (_nobody_listens, "alarms", "warning", "nobody listens to nightlatch-dev", "aws sns subscribe"),
        (_an_older_machine, "machines", "warning", "janitor is of another version", "terraform apply"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_a_planted_fault_is_found_and_nothing_else(
    complete: Environment,
    breaks: Callable[[Environment], None],
    check: str,
    result: str,
    found: str,
    fix: str,
) -> None:
    breaks(complete)

    [told] = [finding for finding in findings(complete) if finding.result not in ("ok", "skipped")]
    assert (told.check, told.result) == (check, result)
    assert found in told.found
    assert told.fix is not None
    assert fix in told.fix


def test_a_machine_that_runs_an_older_jobs_file_is_named_with_the_difference(
    complete: Environment, tmp_path: Path
) -> None:
    changed = (
        (tmp_path / "jobs.yaml")
        .read_text(encoding="utf-8")
        .replace("timeout_minutes: 10 }", "timeout_minutes: 25 }", 1)
    )
    (tmp_path / "jobs.yaml").write_text(changed, encoding="utf-8")

    found = list(examine(complete.deployment, JOBS, load_catalog(tmp_path / "jobs.yaml", "dev")))

    [told] = [finding for finding in found if finding.result not in ("ok", "skipped")]
    assert told.found.startswith("report differs from the jobs file: ")
    assert told.result == "warning"


def test_what_one_may_not_look_at_is_skipped_with_the_reason(complete: Environment) -> None:
    stubbed = complete.deployment.clients.client("iam")

    def refuse(**_: Any) -> None:
        raise stubbed.exceptions.ClientError(
            {"Error": {"Code": "AccessDenied", "Message": "not authorized to perform iam:GetRole"}}, "GetRole"
        )

    stubbed.meta.events.register("before-call.iam.GetRole", refuse)
    try:
        told = {finding.check: finding for finding in findings(complete)}
    finally:
        stubbed.meta.events.unregister("before-call.iam.GetRole", refuse)

    assert told["roles"].result == "skipped"
    assert "iam:GetRole" in told["roles"].found
    assert told["locks"].result == "ok"


def test_the_local_aws_needs_neither_roles_nor_alarms_nor_images(environment: Environment) -> None:
    there = environment.deployment
    here = Deployment(replace(there.installation, environment="local"), there.clients, there.now)

    told = {finding.check: finding.result for finding in examine(here, JOBS, environment.catalog)}

    assert {told[check] for check in ("roles", "alarms", "images")} == {"skipped"}


def test_a_foreign_package_of_the_same_name_is_found() -> None:
    good = own_modules({"lock": "/ours", "tasks": "/ours"}, "/ours")
    bad = own_modules({"lock": "/ours", "tasks": "/elsewhere"}, "/ours")

    assert [finding.result for finding in good] == ["ok"]
    assert [(finding.result, finding.found) for finding in bad] == [("fault", "tasks comes from /elsewhere")]
