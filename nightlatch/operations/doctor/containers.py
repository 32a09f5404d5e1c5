"""What the containers need: a cluster, task definitions, and images that can be pulled."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from nightlatch.operations.doctor.finding import FAULT, OK, SKIPPED, Finding, deploy_again, is_local

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nightlatch.catalog import Catalog
    from nightlatch.operations.deployment import Deployment

# https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html
_ECR: Final = re.compile(
    r"(?P<registry>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/"
    r"(?P<repository>[^:@]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


def check_cluster(deployment: Deployment) -> Iterator[Finding]:
    """Where the tasks run."""
    name = deployment.installation.cluster
    found = deployment.clients.ecs.describe_clusters(clusters=[name])["clusters"]
    status = found[0]["status"] if found else "missing"
    if status != "ACTIVE":
        yield Finding("cluster", FAULT, f"{name} is {status.lower()}", deploy_again(deployment))
    else:
        yield Finding("cluster", OK, f"{name}, {found[0].get('runningTasksCount', 0)} tasks running")


def task_definitions(deployment: Deployment, catalog: Catalog) -> dict[str, Any]:
    """The task definition of every step, by family; None where there is none."""
    client = deployment.clients.ecs
    found: dict[str, Any] = {}
    for job in catalog.jobs.values():
        for step in job.steps:
            family = deployment.installation.family(job.name, step.name)
            try:
                reply = client.describe_task_definition(taskDefinition=family)
            except client.exceptions.ClientException:
                found[family] = None
            else:
                found[family] = reply["taskDefinition"]
    return found


def check_task_definitions(deployment: Deployment, catalog: Catalog | None) -> Iterator[Finding]:
    """Every step's."""
    if catalog is None:
        yield Finding("task definitions", SKIPPED, "needs the jobs file")
        return
    found = task_definitions(deployment, catalog)
    for family in [family for family, definition in found.items() if definition is None]:
        yield Finding("task definitions", FAULT, f"{family} does not exist", deploy_again(deployment))
    if good := sum(definition is not None for definition in found.values()):
        yield Finding("task definitions", OK, f"{good} in place")


def check_images(deployment: Deployment, catalog: Catalog | None) -> Iterator[Finding]:
    """Every image that a task definition names, as far as it lies in ECR."""
    if is_local(deployment):
        yield Finding("images", SKIPPED, "the local AWS runs programs of this machine")
        return
    if catalog is None:
        yield Finding("images", SKIPPED, "needs the jobs file")
        return
    definitions = [one for one in task_definitions(deployment, catalog).values() if one is not None]
    images = sorted({box["image"] for one in definitions for box in one["containerDefinitions"]})
    good = 0
    for image in images:
        address = _ECR.fullmatch(image)
        if address is None or address["region"] != deployment.clients.region:
            yield Finding("images", SKIPPED, f"{image} is not in this region's ECR: cannot look")
        elif not _is_there(deployment, address):
            yield Finding("images", FAULT, f"{image} does not exist", f"docker push {image.split('@')[0]}")
        else:
            good += 1
    if good:
        yield Finding("images", OK, f"{good} can be pulled")


def _is_there(deployment: Deployment, address: re.Match[str]) -> bool:
    client = deployment.clients.client("ecr")
    wanted = (
        {"imageDigest": address["digest"]} if address["digest"] else {"imageTag": address["tag"] or "latest"}
    )
    try:
        client.describe_images(
            registryId=address["registry"], repositoryName=address["repository"], imageIds=[wanted]
        )
    except (client.exceptions.ImageNotFoundException, client.exceptions.RepositoryNotFoundException):
        return False
    return True
