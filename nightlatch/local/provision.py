"""Makes an installation on the local AWS from a jobs file, through the same API calls as anyone's.

On AWS itself this is Terraform's work. Here it makes `nightlatch local up` independent of Terraform, and it
can be called again after every change of the jobs file: what is right already is left alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

import statemachine
from nightlatch.catalog import job_settings
from nightlatch.local import provision_definitions as wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nightlatch.catalog import Catalog
    from nightlatch.installation import ClientSource, Installation

Request = dict[str, Any]
Action = Literal["created", "updated", "removed"]

_LOG_RETENTION_DAYS = 30


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that :func:`provision` did."""

    action: Action
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.action} {self.kind} {self.name}"


def provision(catalog: Catalog, installation: Installation, clients: ClientSource) -> list[Change]:
    """Bring the local AWS to what the catalog says.

    Jobs that are no longer in the catalog lose their schedules, machines and task definitions; their run
    records and results stay. A schedule that an operator paused stays paused.

    Args:
        catalog: The jobs.
        installation: The names; its ``jobs`` are taken from the catalog.
        clients: Where AWS clients come from.

    Returns:
        What was changed, in order; nothing when everything was right already.

    Raises:
        botocore.exceptions.ClientError: AWS refused a request.
    """
    installation = installation.with_jobs(catalog.jobs)
    return list(_Provision(catalog, installation, clients).changes())


class _Provision:
    def __init__(self, catalog: Catalog, installation: Installation, clients: ClientSource) -> None:
        self.catalog = catalog
        self.it = installation
        self.aws = clients.client

    def changes(self) -> Iterator[Change]:
        yield from self._table(wanted.locks_table(self.it), wanted.LOCKS_TIME_TO_LIVE)
        yield from self._table(wanted.runs_table(self.it), wanted.RUNS_TIME_TO_LIVE)
        yield from self._bucket()
        yield from self._log_group()
        yield from self._cluster()
        yield from self._topic()
        yield from self._task_definitions()
        # Nothing may fire at a machine that is not there yet or no longer.
        yield from self._removed_schedules()
        yield from self._machines()
        yield from self._schedules()
        yield from self._janitor_rule()
        yield from self._parameter()

    def _table(self, definition: Request, time_to_live: Request) -> Iterator[Change]:
        dynamodb, name = self.aws("dynamodb"), definition["TableName"]
        if _found(dynamodb.describe_table, TableName=name) is None:
            dynamodb.create_table(**definition)
            dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
            yield Change("created", "table", name)
        state = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        if state["TimeToLiveStatus"] not in {"ENABLED", "ENABLING"}:
            dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=time_to_live)

    def _bucket(self) -> Iterator[Change]:
        s3, name = self.aws("s3"), self.it.bucket
        if _found(s3.head_bucket, Bucket=name) is not None:
            return
        # S3's oldest region takes no location constraint, every other one demands it.
        where = {} if self.it.region == "us-east-1" else {"LocationConstraint": self.it.region}
        s3.create_bucket(Bucket=name, **({"CreateBucketConfiguration": where} if where else {}))
        yield Change("created", "bucket", name)

    def _log_group(self) -> Iterator[Change]:
        logs, name = self.aws("logs"), self.it.log_group
        groups = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        if name not in {group["logGroupName"] for group in groups}:
            logs.create_log_group(logGroupName=name)
            logs.put_retention_policy(logGroupName=name, retentionInDays=_LOG_RETENTION_DAYS)
            yield Change("created", "log group", name)

    def _cluster(self) -> Iterator[Change]:
        ecs, name = self.aws("ecs"), self.it.cluster
        found = ecs.describe_clusters(clusters=[name])["clusters"]
        if not any(cluster["status"] == "ACTIVE" for cluster in found):
            ecs.create_cluster(clusterName=name)
            yield Change("created", "cluster", name)

    def _topic(self) -> Iterator[Change]:
        sns = self.aws("sns")
        if _found(sns.get_topic_attributes, TopicArn=self.it.topic_arn) is None:
            name = self.it.topic_arn.rpartition(":")[2]
            sns.create_topic(Name=name)
            yield Change("created", "topic", name)

    def _task_definitions(self) -> Iterator[Change]:
        ecs = self.aws("ecs")
        families = set()
        for job in self.catalog.jobs.values():
            for step in job.steps:
                request = wanted.task_definition(job, step, self.it)
                families.add(request["family"])
                found = _found(ecs.describe_task_definition, taskDefinition=request["family"])
                if found is None or not _covers(found["taskDefinition"], request):
                    ecs.register_task_definition(**request)
                    yield Change("updated" if found else "created", "task definition", request["family"])
        # The prefix ends in a hyphen and environments have none, so nobody else's families are meant.
        pages = ecs.get_paginator("list_task_definitions").paginate(status="ACTIVE")
        for arn in [arn for page in pages for arn in page["taskDefinitionArns"]]:
            family = arn.rpartition("/")[2].rpartition(":")[0]
            if family.startswith(f"{self.it.prefix}-") and family not in families:
                ecs.deregister_task_definition(taskDefinition=arn)
                yield Change("removed", "task definition", family)

    def _machines(self) -> Iterator[Change]:
        values = wanted.machine_values(self.it)
        definitions = {
            self.it.janitor_arn: statemachine.render_janitor(values),
            self.it.watchdog_arn: statemachine.render_watchdog(values),
        }
        for job in self.catalog.jobs.values():
            text = statemachine.render_job(job_settings(job, self.it), values)
            definitions[self.it.machine_arn(job.name)] = text
        stepfunctions = self.aws("stepfunctions")
        role = wanted.role_arn(self.it, "machine")
        for arn, text in definitions.items():
            name = arn.rpartition(":")[2]
            found = _found(stepfunctions.describe_state_machine, stateMachineArn=arn)
            if found is None:
                stepfunctions.create_state_machine(name=name, definition=text, roleArn=role, type="STANDARD")
                yield Change("created", "state machine", name)
            elif found["definition"] != text:
                stepfunctions.update_state_machine(stateMachineArn=arn, definition=text)
                yield Change("updated", "state machine", name)
        for page in stepfunctions.get_paginator("list_state_machines").paginate():
            for machine in page["stateMachines"]:
                arn, name = machine["stateMachineArn"], machine["name"]
                if name.startswith(f"{self.it.prefix}-") and arn not in definitions:
                    stepfunctions.delete_state_machine(stateMachineArn=arn)
                    yield Change("removed", "state machine", name)

    def _removed_schedules(self) -> Iterator[Change]:
        scheduler, group = self.aws("scheduler"), self.it.schedule_group
        if _found(scheduler.get_schedule_group, Name=group) is None:
            return
        names = {request["Name"] for request in wanted.schedules(self.catalog, self.it)}
        pages = scheduler.get_paginator("list_schedules").paginate(GroupName=group)
        for name in [schedule["Name"] for page in pages for schedule in page["Schedules"]]:
            if name not in names:
                scheduler.delete_schedule(GroupName=group, Name=name)
                yield Change("removed", "schedule", name)

    def _schedules(self) -> Iterator[Change]:
        scheduler, group = self.aws("scheduler"), self.it.schedule_group
        if _found(scheduler.get_schedule_group, Name=group) is None:
            scheduler.create_schedule_group(Name=group)
            yield Change("created", "schedule group", group)
        for request in wanted.schedules(self.catalog, self.it):
            name = request["Name"]
            found = _found(scheduler.get_schedule, GroupName=group, Name=name)
            if found is None:
                scheduler.create_schedule(**request)
                yield Change("created", "schedule", name)
                continue
            # Who paused a schedule wants it paused; UpdateSchedule replaces everything, the state included.
            request["State"] = found["State"]
            if not _covers(found, request):
                scheduler.update_schedule(**request)
                yield Change("updated", "schedule", name)

    def _janitor_rule(self) -> Iterator[Change]:
        events = self.aws("events")
        rule, target = wanted.janitor_rule(self.it), wanted.janitor_target(self.it)
        found = _found(events.describe_rule, Name=rule["Name"])
        targets = events.list_targets_by_rule(Rule=rule["Name"])["Targets"] if found else []
        if found is not None and _same_rule(found, rule) and any(_covers(it, target) for it in targets):
            return
        events.put_rule(**rule)
        events.put_targets(Rule=rule["Name"], Targets=[target])
        yield Change("updated" if found else "created", "rule", rule["Name"])

    def _parameter(self) -> Iterator[Change]:
        # Last: whoever reads it finds everything else in place.
        ssm, name, text = self.aws("ssm"), self.it.parameter_name(), self.it.to_json()
        found = _found(ssm.get_parameter, Name=name)
        if found is not None and found["Parameter"]["Value"] == text:
            return
        ssm.put_parameter(Name=name, Value=text, Type="String", Overwrite=True)
        yield Change("updated" if found else "created", "parameter", name)


# What the services call "there is none".
_ABSENT = frozenset(
    {
        "404",
        "ClientException",  # DescribeTaskDefinition
        "NoSuchBucket",
        "NotFound",
        "NotFoundException",
        "ParameterNotFound",
        "ResourceNotFoundException",
        "StateMachineDoesNotExist",
    }
)


def _found(ask: Callable[..., Any], **arguments: Any) -> Any:
    """The answer, or None where AWS says that there is no such thing."""
    try:
        return ask(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in _ABSENT:
            return None
        raise


def _covers(found: Any, request: Any) -> bool:
    """Whether what AWS has is what the request says; members that AWS adds do not count."""
    if isinstance(request, dict):
        return isinstance(found, dict) and all(_covers(found.get(key), it) for key, it in request.items())
    if isinstance(request, list):
        if not isinstance(found, list) or len(found) != len(request):
            return False
        return all(_covers(have, want) for have, want in zip(found, request, strict=True))
    return bool(found == request)


def _same_rule(found: Request, rule: Request) -> bool:
    same_pattern = json.loads(found.get("EventPattern") or "null") == json.loads(rule["EventPattern"])
    return same_pattern and all(found.get(key) == rule[key] for key in ("State", "Description"))
