"""Whether this machine reaches the environment as itself, in time, and with its own packages."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from nightlatch.operations.doctor.finding import FAULT, OK, SKIPPED, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nightlatch.operations.deployment import Deployment

# SigV4 refuses requests that are five minutes off; leases are compared with far less room.
_SKEW_SECONDS = 5.0


def check_credentials(deployment: Deployment) -> Iterator[Finding]:
    """Whose they are, and whether of the right account."""
    identity = deployment.clients.sts.get_caller_identity()
    wanted = deployment.installation.account
    if identity["Account"] != wanted and not deployment.clients.endpoint_url:
        found = f"account {identity['Account']}, but the installation is in {wanted}"
        yield Finding("credentials", FAULT, found, "--profile NAME")
    else:
        yield Finding("credentials", OK, f"{identity['Arn']} in {deployment.clients.region}")


def check_clock(deployment: Deployment) -> Iterator[Finding]:
    """How far this machine's clock is from the endpoint's."""
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
