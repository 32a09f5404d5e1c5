"""What an installation consists of, as requests to AWS: pure values, nothing is called here.

``terraform/modules/batch`` says the same for AWS itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lock.table import TIME_TO_LIVE, table_definition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nightlatch.catalog import Catalog, Job, Step
    from nightlatch.installation import Installation

Request = dict[str, Any]

OUR_ENTRY_POINT = ["python", "-m", "tasks", "run"]
"""How our task image starts: the runtime claims the lock, then runs the job as its child."""

OUR_IMAGE = "nightlatch"

RUNS_TIME_TO_LIVE = {"Enabled": True, "AttributeName": "ttl"}
LOCKS_TIME_TO_LIVE = dict(TIME_TO_LIVE)

_CLAIM_FOLDER = "/nightlatch"
_START_EXECUTION = "arn:{partition}:scheduler:::aws-sdk:sfn:startExecution"
_LONGEST_EVENT_AGE = 86400
_MOST_DELIVERY_ATTEMPTS = 185
_SWEEP = "rate(5 minutes)"


def locks_table(installation: Installation) -> Request:
    """The table of locks."""
    return table_definition(installation.lock_table)


def runs_table(installation: Installation) -> Request:
    """The table of run records: one item per execution, by job and time."""
    return {
        "TableName": installation.runs_table,
        "AttributeDefinitions": [
            {"AttributeName": "job", "AttributeType": "S"},
            {"AttributeName": "run", "AttributeType": "S"},
        ],
        "KeySchema": [
            {"AttributeName": "job", "KeyType": "HASH"},
            {"AttributeName": "run", "KeyType": "RANGE"},
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }


def role_arn(installation: Installation, name: str) -> str:
    """The ARN of one of the installation's roles. The local AWS asks for roles but has no use for them."""
    return f"arn:{installation.partition}:iam::{installation.account}:role/{installation.prefix}-{name}"


def task_definition(job: Job, step: Step, installation: Installation) -> Request:
    """The task definition of one step: what runs, with how much, for how long after SIGTERM."""
    logs = {
        "logDriver": "awslogs",
        "options": {
            "awslogs-group": installation.log_group,
            "awslogs-region": installation.region,
            "awslogs-stream-prefix": job.name,
            # A log service that stalls must not stall the job; the buffer holds the worst burst.
            "mode": "non-blocking",
            "max-buffer-size": "25m",
        },
    }
    container: Request = {
        "name": "job",
        "image": job.image,
        "essential": True,
        "command": list(step.command),
        "environment": [{"name": name, "value": value} for name, value in sorted(step.environment.items())],
        "stopTimeout": step.stop_grace_seconds,
        "logConfiguration": logs,
    }
    request: Request = {
        "family": installation.family(job.name, step.name),
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": str(step.cpu),
        "memory": str(step.memory),
        "executionRoleArn": role_arn(installation, "execution"),
        "taskRoleArn": role_arn(installation, "task"),
        "containerDefinitions": [container],
    }
    if job.claim_container:
        _claim_before(request, container, logs)
    else:
        container["entryPoint"] = OUR_ENTRY_POINT
    return request


def _claim_before(request: Request, container: Request, logs: Request) -> None:
    """Let a container of ours claim the lock before one that is not ours starts.

    The token lies in a file of the volume that both see.
    """
    mount = {"sourceVolume": "nightlatch", "containerPath": _CLAIM_FOLDER}
    claim = {
        "name": "claim",
        "image": OUR_IMAGE,
        "essential": False,
        "entryPoint": ["python", "-m", "tasks"],
        "command": ["claim", "--directory", _CLAIM_FOLDER],
        "mountPoints": [{**mount, "readOnly": False}],
        "logConfiguration": logs,
    }
    container["dependsOn"] = [{"containerName": "claim", "condition": "SUCCESS"}]
    container["mountPoints"] = [{**mount, "readOnly": True}]
    request["containerDefinitions"] = [claim, container]
    request["volumes"] = [{"name": "nightlatch"}]


def machine_values(installation: Installation) -> dict[str, str]:
    """The values of the definitions' placeholders. The network is made up: processes need none."""
    return {
        "partition": installation.partition,
        "region": installation.region,
        "account": installation.account,
        "prefix": installation.prefix,
        "lock_table": installation.lock_table,
        "runs_table": installation.runs_table,
        "cluster": installation.cluster,
        "topic_arn": installation.topic_arn,
        "bucket": installation.bucket,
        "subnet_ids": "subnet-00000000000000000",
        "security_group_ids": "sg-00000000000000000",
        "assign_public_ip": "DISABLED",
    }


def schedules(catalog: Catalog, installation: Installation) -> Iterator[Request]:
    """Every schedule: one and a watchdog per scheduled job, and the janitor's sweep."""
    for job in catalog.jobs.values():
        if job.schedule is None:
            continue
        timing = {
            "ScheduleExpression": job.schedule.expression,
            "ScheduleExpressionTimezone": job.schedule.timezone,
        }
        yield {
            **_schedule(installation, job.name, timing),
            "Target": _start(
                installation,
                installation.machine_arn(job.name),
                name=job.name,
                execution_input={"trigger": "schedule", "scheduled_time": "<aws.scheduler.scheduled-time>"},
                # What could not be started for so long is given up; the watchdog tells.
                give_up_after=job.schedule.max_lateness_minutes * 60,
            ),
        }
        yield {
            **_schedule(installation, f"{job.name}-watchdog", timing),
            "Target": _start(
                installation,
                installation.watchdog_arn,
                name=job.name,
                execution_input={
                    "job": job.name,
                    "scheduled_time": "<aws.scheduler.scheduled-time>",
                    "alert_after_minutes": job.schedule.alert_after_minutes,
                },
                give_up_after=_LONGEST_EVENT_AGE,
            ),
        }
    sweep = {"ScheduleExpression": _SWEEP, "ScheduleExpressionTimezone": "UTC"}
    yield {
        **_schedule(installation, "janitor-sweep", sweep),
        "Target": _start(
            installation,
            installation.janitor_arn,
            name="sweep",
            execution_input={"sweep": True},
            # The next sweep comes in five minutes.
            give_up_after=300,
        ),
    }


def _schedule(installation: Installation, name: str, timing: Request) -> Request:
    return {
        "Name": name,
        "GroupName": installation.schedule_group,
        **timing,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "State": "ENABLED",
    }


def _start(
    installation: Installation, machine: str, *, name: str, execution_input: Request, give_up_after: int
) -> Request:
    # json.dumps leaves < and > alone; the Scheduler substitutes only the bare form.
    request = {
        "StateMachineArn": machine,
        # Unique for each delivery; that two deliveries of one time are one run is the run key's work.
        "Name": f"{name}-<aws.scheduler.execution-id>",
        "Input": _compact(execution_input),
    }
    return {
        "Arn": _START_EXECUTION.format(partition=installation.partition),
        "RoleArn": role_arn(installation, "scheduler"),
        "Input": _compact(request),
        "RetryPolicy": {
            "MaximumEventAgeInSeconds": give_up_after,
            "MaximumRetryAttempts": _MOST_DELIVERY_ATTEMPTS,
        },
    }


def janitor_rule(installation: Installation) -> Request:
    """The rule that calls the janitor when an execution of one of the jobs' machines ends badly.

    The janitor's and the watchdog's own executions are left out: a janitor that fails must not call itself.
    """
    executions = installation.janitor_arn.replace(":stateMachine:", ":execution:").removesuffix("janitor")
    pattern = {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {
            "status": ["ABORTED", "FAILED", "TIMED_OUT"],
            "executionArn": [{"prefix": executions}],
            "stateMachineArn": [{"anything-but": [installation.janitor_arn, installation.watchdog_arn]}],
        },
    }
    return {
        "Name": f"{installation.prefix}-janitor",
        "Description": "A run ended badly: see that its lock is freed",
        "EventPattern": json.dumps(pattern, sort_keys=True),
        "State": "ENABLED",
    }


def janitor_target(installation: Installation) -> Request:
    """The rule's target. The janitor gets the whole event."""
    return {"Id": "janitor", "Arn": installation.janitor_arn, "RoleArn": role_arn(installation, "events")}


def _compact(value: Request) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
