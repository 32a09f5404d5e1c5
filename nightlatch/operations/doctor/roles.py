"""Roles: every one that something is to take exists, and its trust policy lets that service take it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightlatch.operations.doctor.containers import task_definitions
from nightlatch.operations.doctor.finding import FAULT, OK, SKIPPED, Finding, deploy_again, is_local
from nightlatch.operations.doctor.machines import machine_arns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nightlatch.catalog import Catalog
    from nightlatch.operations.deployment import Deployment

_STATES, _TASKS, _SCHEDULER = "states.amazonaws.com", "ecs-tasks.amazonaws.com", "scheduler.amazonaws.com"


def check_roles(deployment: Deployment, jobs: Sequence[str], catalog: Catalog | None) -> Iterator[Finding]:
    """The roles of the machines, of the tasks and of the schedules.

    Whether a role's policies suffice is seen only by running a job once.
    """
    good, missing = 0, []
    for role, service in _wanted(deployment, jobs, catalog):
        trusted = _trusted(deployment, role)
        if trusted is None:
            missing.append(role)
        elif service not in trusted:
            found = f"{_name(role)} cannot be taken by {service}"
            yield Finding("roles", FAULT, found, deploy_again(deployment))
        else:
            good += 1
    if missing and is_local(deployment):
        yield Finding("roles", SKIPPED, "the local AWS was set up without them")
    else:
        for role in missing:
            yield Finding("roles", FAULT, f"{_name(role)} does not exist", deploy_again(deployment))
    if good:
        yield Finding("roles", OK, f"{good} can be taken by those who need them")


def _wanted(deployment: Deployment, jobs: Sequence[str], catalog: Catalog | None) -> list[tuple[str, str]]:
    """Each role's ARN and the service that takes it. What is missing altogether others find."""
    clients, wanted = deployment.clients, set()
    for arn in machine_arns(deployment, jobs).values():
        try:
            machine = clients.stepfunctions.describe_state_machine(stateMachineArn=arn)
        except clients.stepfunctions.exceptions.StateMachineDoesNotExist:
            continue
        wanted.add((machine["roleArn"], _STATES))
    definitions = task_definitions(deployment, catalog).values() if catalog is not None else ()
    for definition in definitions:
        for name in ("taskRoleArn", "executionRoleArn"):
            if definition is not None and definition.get(name):
                wanted.add((definition[name], _TASKS))
    for job in jobs:
        group = deployment.installation.schedule_group
        try:
            schedule = clients.scheduler.get_schedule(GroupName=group, Name=job)
        except clients.scheduler.exceptions.ResourceNotFoundException:
            continue
        wanted.add((schedule["Target"]["RoleArn"], _SCHEDULER))
    return sorted(wanted)


def _trusted(deployment: Deployment, role: str) -> set[str] | None:
    """The services that may take a role; None if there is no such role."""
    iam = deployment.clients.client("iam")
    try:
        policy: Any = iam.get_role(RoleName=_name(role))["Role"]["AssumeRolePolicyDocument"]
    except iam.exceptions.NoSuchEntityException:
        return None
    services: set[str] = set()
    for statement in _list(policy["Statement"]):
        if statement["Effect"] == "Allow" and isinstance(statement["Principal"], dict):
            services.update(_list(statement["Principal"].get("Service", [])))
    return services


def _name(role: str) -> str:
    return role.rsplit("/", 1)[1]


def _list(value: Any) -> list[Any]:
    """A policy may have one thing where it may have many."""
    return value if isinstance(value, list) else [value]
