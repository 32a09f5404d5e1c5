"""Checks of an environment: what is missing, what is wrong, and the one thing to do about it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from lock.errors import LockError
from nightlatch.operations.aws_errors import translate, translate_lock
from nightlatch.operations.errors import OperationError
from nightlatch.operations.locks import STALE, list_locks
from nightlatch.operations.schedules import DISABLED, MISSING, list_schedules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nightlatch.catalog import Catalog
    from nightlatch.operations.deployment import Deployment

OK, WARNING, FAULT, SKIPPED = "ok", "warning", "fault", "skipped"
# SigV4 refuses requests that are five minutes off; leases are compared with far less room.
_SKEW_SECONDS = 5.0


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        result: ok, warning, fault, or skipped because something it needs is at fault.
        found: What there is.
        fix: What to do; None when nothing is to be done.
    """

    check: str
    result: str
    found: str
    fix: str | None = None


def examine(deployment: Deployment, jobs: Sequence[str], catalog: Catalog | None) -> Iterator[Finding]:
    """Check an environment that was found, one finding after the other.

    Args:
        deployment: The environment.
        jobs: The jobs that should be there.
        catalog: The jobs file, when at hand.
    """
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("credentials", lambda: _credentials(deployment)),
        ("clock", lambda: _clock(deployment)),
        ("lock table", lambda: _table(deployment, "lock table", deployment.installation.lock_table)),
        ("runs table", lambda: _table(deployment, "runs table", deployment.installation.runs_table)),
        ("cluster", lambda: _cluster(deployment)),
        ("log group", lambda: _log_group(deployment)),
        ("machines", lambda: _machines(deployment, jobs)),
        ("task definitions", lambda: _task_definitions(deployment, catalog)),
        ("schedules", lambda: _schedules(deployment, jobs, catalog)),
        ("locks", lambda: _locks(deployment)),
    ]
    for name, check in checks:
        try:
            yield from check()
        except (BotoCoreError, ClientError) as error:
            told = translate(error, endpoint=deployment.clients.endpoint_url)
            yield Finding(name, FAULT, f"{told.message}: {error}", next(iter(told.tries), None))
        except LockError as error:
            told = translate_lock(error, endpoint=deployment.clients.endpoint_url)
            yield Finding(name, FAULT, told.message, _deploy(deployment))
        except OperationError as error:
            yield Finding(name, FAULT, error.message, next(iter(error.tries), None))


def _credentials(deployment: Deployment) -> Iterator[Finding]:
    identity = deployment.clients.sts.get_caller_identity()
    wanted = deployment.installation.account
    if identity["Account"] != wanted and not deployment.clients.endpoint_url:
        found = f"account {identity['Account']}, but the installation is in {wanted}"
        yield Finding("credentials", FAULT, found, "--profile NAME")
    else:
        yield Finding("credentials", OK, f"{identity['Arn']} in {deployment.clients.region}")


def _clock(deployment: Deployment) -> Iterator[Finding]:
    reply: Any = deployment.clients.sts.get_caller_identity()
    date = reply["ResponseMetadata"]["HTTPHeaders"].get("date")
    if not date:
        yield Finding("clock", SKIPPED, "the endpoint sends no Date header")
        return
    skew = (deployment.now() - parsedate_to_datetime(date)).total_seconds()
    if abs(skew) > _SKEW_SECONDS:
        yield Finding("clock", FAULT, f"{skew:+.0f} s from AWS", "set this machine's clock: chronyc makestep")
    else:
        yield Finding("clock", OK, f"within {_SKEW_SECONDS:.0f} s of AWS")


def _table(deployment: Deployment, check: str, name: str) -> Iterator[Finding]:
    client = deployment.clients.dynamodb
    try:
        table = client.describe_table(TableName=name)["Table"]
    except client.exceptions.ResourceNotFoundException:
        yield Finding(check, FAULT, f"{name} does not exist", _deploy(deployment))
        return
    replicas = [replica.get("RegionName", "?") for replica in table.get("Replicas", [])]
    if replicas and check == "lock table":
        # A global table evaluates conditions against its own region's copy: two regions could both acquire.
        found = f"{name} has replicas in {', '.join(replicas)}"
        yield Finding(check, FAULT, found, "keep locks in one region: remove the replicas")
        return
    ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if ttl.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
        yield Finding(check, WARNING, f"{name} never forgets: TTL is off", _deploy(deployment))
    else:
        yield Finding(check, OK, f"{name}, {table['TableStatus'].lower()}")


def _cluster(deployment: Deployment) -> Iterator[Finding]:
    name = deployment.installation.cluster
    found = deployment.clients.ecs.describe_clusters(clusters=[name])["clusters"]
    status = found[0]["status"] if found else "missing"
    if status != "ACTIVE":
        yield Finding("cluster", FAULT, f"{name} is {status.lower()}", _deploy(deployment))
    else:
        yield Finding("cluster", OK, f"{name}, {found[0].get('runningTasksCount', 0)} tasks running")


def _log_group(deployment: Deployment) -> Iterator[Finding]:
    name = deployment.installation.log_group
    groups = deployment.clients.logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    if any(group.get("logGroupName") == name for group in groups):
        yield Finding("log group", OK, name)
    else:
        yield Finding("log group", FAULT, f"{name} does not exist", _deploy(deployment))


def _machines(deployment: Deployment, jobs: Sequence[str]) -> Iterator[Finding]:
    client = deployment.clients.stepfunctions
    arns = {job: deployment.installation.machine_arn(job) for job in jobs}
    arns |= {
        "janitor": deployment.installation.janitor_arn,
        "watchdog": deployment.installation.watchdog_arn,
    }
    good = 0
    for name, arn in arns.items():
        try:
            machine = client.describe_state_machine(stateMachineArn=arn)
        except client.exceptions.StateMachineDoesNotExist:
            yield Finding("machines", FAULT, f"{name} has no state machine", _deploy(deployment))
            continue
        if machine.get("status", "ACTIVE") != "ACTIVE":
            yield Finding("machines", FAULT, f"{name} is {machine['status'].lower()}", _deploy(deployment))
        elif machine.get("type", "STANDARD") != "STANDARD":
            # The lock asks DescribeExecution whether a holder lives, and Express has no such answer.
            yield Finding("machines", FAULT, f"{name} is of type {machine['type']}", _deploy(deployment))
        else:
            good += 1
    if good:
        yield Finding("machines", OK, f"{good} of {len(arns)} in place")


def _task_definitions(deployment: Deployment, catalog: Catalog | None) -> Iterator[Finding]:
    if catalog is None:
        yield Finding("task definitions", SKIPPED, "needs the jobs file")
        return
    client = deployment.clients.ecs
    good = 0
    for job in catalog.jobs.values():
        for step in job.steps:
            family = deployment.installation.family(job.name, step.name)
            try:
                client.describe_task_definition(taskDefinition=family)
            except client.exceptions.ClientException:
                yield Finding("task definitions", FAULT, f"{family} does not exist", _deploy(deployment))
            else:
                good += 1
    if good:
        yield Finding("task definitions", OK, f"{good} in place")


def _schedules(deployment: Deployment, jobs: Sequence[str], catalog: Catalog | None) -> Iterator[Finding]:
    good = 0
    for status in list_schedules(deployment, jobs, catalog):
        if status.state == MISSING:
            yield Finding("schedules", FAULT, f"{status.job} is not deployed", _deploy(deployment))
        elif status.state == DISABLED:
            fix = f"nightlatch schedule resume {status.job}"
            yield Finding("schedules", WARNING, f"{status.job} is disabled, nobody said why", fix)
        elif status.paused_by is not None:
            found = f"{status.job} is paused by {status.paused_by}: {status.paused_reason}"
            yield Finding("schedules", WARNING, found, f"nightlatch schedule resume {status.job}")
        else:
            good += 1
    yield Finding("schedules", OK, f"{good} enabled")


def _locks(deployment: Deployment) -> Iterator[Finding]:
    found = list_locks(deployment)
    for status in found:
        if status.state == STALE:
            dead = f"{status.key} is held by {status.run}, which has ended"
            fix = f"nightlatch locks release {status.key} --expect-token {status.fence}"
            yield Finding("locks", WARNING, dead, fix)
    held = sum(status.held for status in found)
    yield Finding("locks", OK, f"{len(found)} known, {held} held")


def _deploy(deployment: Deployment) -> str:
    local = deployment.installation.environment == "local"
    return "nightlatch local up --detach" if local else "terraform apply"


def own_modules(owners: dict[str, str], expected: str) -> list[Finding]:
    """Whether the program's top-level packages are its own.

    They have plain names, and another distribution or a file beside a script may stand in their place.

    Args:
        owners: Package name to the folder it was imported from.
        expected: The folder that holds them all.
    """
    foreign = {name: place for name, place in owners.items() if place != expected}
    if not foreign:
        return [Finding("packages", OK, f"{', '.join(owners)} from {expected}")]
    return [
        Finding(
            "packages", FAULT, f"{name} comes from {place}", f"uninstall or rename it: {json.dumps(place)}"
        )
        for name, place in foreign.items()
    ]
