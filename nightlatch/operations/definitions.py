"""State machines made from the jobs file, or read back from AWS."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import statemachine
from nightlatch.catalog import job_settings
from nightlatch.local.provision_definitions import machine_values

if TYPE_CHECKING:
    from nightlatch.catalog import Catalog, Job
    from nightlatch.installation import Installation
    from nightlatch.operations.deployment import Deployment


@dataclass(frozen=True)
class DefinitionProblem:
    """A rule of Amazon States Language that a rendered definition breaks."""

    job: str
    message: str


def render_values(installation: Installation) -> dict[str, str]:
    """The values of a definition's placeholders, as far as an installation's names give them.

    The network is Terraform's business: its three values are empty here, except on the local AWS.
    """
    if installation.environment == "local":
        return machine_values(installation)
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
        "subnet_ids": "",
        "security_group_ids": "",
        "assign_public_ip": "DISABLED",
    }


def render_job(job: Job, installation: Installation) -> str:
    """The job's state machine as JSON text."""
    return statemachine.render_job(job_settings(job, installation), render_values(installation))


def deployed_definition(deployment: Deployment, job: str) -> str:
    """The job's state machine as it is on AWS now, as JSON text."""
    reply = deployment.clients.stepfunctions.describe_state_machine(
        stateMachineArn=deployment.installation.machine_arn(job)
    )
    return str(reply["definition"])


def check_definitions(catalog: Catalog, installation: Installation) -> list[DefinitionProblem]:
    """Every problem of every job's rendered state machine; empty when all are good."""
    return [
        DefinitionProblem(name, str(problem))
        for name, job in catalog.jobs.items()
        for problem in statemachine.check(render_job(job, installation))
    ]


def parse(text: str) -> dict[str, Any]:
    """A definition's JSON text as an object."""
    parsed: dict[str, Any] = json.loads(text)
    return parsed
