"""The tables that hold locks and records, and the log group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlatch.operations.doctor.finding import FAULT, OK, WARNING, Finding, deploy_again

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nightlatch.operations.deployment import Deployment


def check_table(deployment: Deployment, check: str, name: str) -> Iterator[Finding]:
    """One table: there, in one region only, and forgetting what is old."""
    client = deployment.clients.dynamodb
    try:
        table = client.describe_table(TableName=name)["Table"]
    except client.exceptions.ResourceNotFoundException:
        yield Finding(check, FAULT, f"{name} does not exist", deploy_again(deployment))
        return
    replicas = [replica.get("RegionName", "?") for replica in table.get("Replicas", [])]
    if replicas and check == "lock table":
        # A global table evaluates conditions against its own region's copy: two regions could both acquire.
        found = f"{name} has replicas in {', '.join(replicas)}"
        yield Finding(check, FAULT, found, "keep locks in one region: remove the replicas")
        return
    ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if ttl.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
        yield Finding(check, WARNING, f"{name} never forgets: TTL is off", deploy_again(deployment))
    else:
        yield Finding(check, OK, f"{name}, {table['TableStatus'].lower()}")


def check_log_group(deployment: Deployment) -> Iterator[Finding]:
    """Where the containers' output goes."""
    name = deployment.installation.log_group
    groups = deployment.clients.logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    if any(group.get("logGroupName") == name for group in groups):
        yield Finding("log group", OK, name)
    else:
        yield Finding("log group", FAULT, f"{name} does not exist", deploy_again(deployment))
