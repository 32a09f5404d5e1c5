"""State machines: there, of the right kind, and as this program would make them from the jobs file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import statemachine
from nightlatch.operations.definitions import render_job, render_values
from nightlatch.operations.doctor.finding import FAULT, OK, WARNING, Finding, deploy_again

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nightlatch.catalog import Catalog
    from nightlatch.operations.deployment import Deployment


def check_machines(deployment: Deployment, jobs: Sequence[str], catalog: Catalog | None) -> Iterator[Finding]:
    """Every job's machine, the janitor's and the watchdog's."""
    client = deployment.clients.stepfunctions
    arns = machine_arns(deployment, jobs)
    good = 0
    for name, arn in arns.items():
        try:
            machine = client.describe_state_machine(stateMachineArn=arn)
        except client.exceptions.StateMachineDoesNotExist:
            yield Finding("machines", FAULT, f"{name} has no state machine", deploy_again(deployment))
            continue
        if machine.get("status", "ACTIVE") != "ACTIVE":
            found = f"{name} is {machine['status'].lower()}"
            yield Finding("machines", FAULT, found, deploy_again(deployment))
        elif machine.get("type", "STANDARD") != "STANDARD":
            # The lock asks DescribeExecution whether a holder lives, and Express has no such answer.
            found = f"{name} is of type {machine['type']}"
            yield Finding("machines", FAULT, found, deploy_again(deployment))
        elif drift := _drift(deployment, name, machine["definition"], catalog):
            yield Finding("machines", WARNING, f"{name} {drift}", deploy_again(deployment))
        else:
            good += 1
    if good:
        yield Finding("machines", OK, f"{good} of {len(arns)} in place and up to date")


def machine_arns(deployment: Deployment, jobs: Sequence[str]) -> dict[str, str]:
    """Every machine of the installation, by the job's name or its own."""
    installation = deployment.installation
    own = {"janitor": installation.janitor_arn, "watchdog": installation.watchdog_arn}
    return {job: installation.machine_arn(job) for job in jobs} | own


def _drift(deployment: Deployment, name: str, deployed: str, catalog: Catalog | None) -> str | None:
    """In what the deployed machine differs from the one that would be deployed now; None if in nothing.

    The network is Terraform's business and not compared.
    """
    installation = deployment.installation
    there = json.loads(deployed)
    if name in ("janitor", "watchdog"):
        render = {"janitor": statemachine.render_janitor, "watchdog": statemachine.render_watchdog}[name]
        same = there == json.loads(render(render_values(installation)))
        return None if same else "is of another version of nightlatch"
    if catalog is None or name not in catalog.jobs:
        return None
    job = catalog.jobs[name]
    here = json.loads(render_job(job, installation))
    wanted, settings = _flat(_settings(here)), _flat(_settings(there))
    for path in sorted(wanted.keys() | settings.keys()):
        if wanted.get(path) != settings.get(path):
            was, is_now = json.dumps(settings.get(path)), json.dumps(wanted.get(path))
            return f"differs from the jobs file: {path} is {was} there and {is_now} here"
    if _without_network(there) != _without_network(here):
        return "is of another version of nightlatch"
    return None


def _settings(definition: dict[str, Any]) -> Any:
    """The job's literal, which every machine of a job begins with; taken out of the definition."""
    return definition["States"].get("Begin", {}).get("Assign", {}).pop("settings", {})


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Every leaf by its path, such as ``steps[0].timeout_seconds``."""
    if isinstance(value, dict):
        return {
            leaf: found
            for key, member in value.items()
            for leaf, found in _flat(member, f"{path}.{key}" if path else key).items()
        }
    if isinstance(value, list):
        return {
            leaf: found
            for number, member in enumerate(value)
            for leaf, found in _flat(member, f"{path}[{number}]").items()
        }
    return {path: value}


def _without_network(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_network(member) for key, member in value.items() if key != "AwsvpcConfiguration"
        }
    return [_without_network(member) for member in value] if isinstance(value, list) else value
