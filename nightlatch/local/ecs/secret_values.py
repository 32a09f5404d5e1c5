"""Values of a container's ``secrets``, fetched when its task starts.

Source: ECS developer guide, "Specifying sensitive data".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.ecs.runner import StartError

if TYPE_CHECKING:
    from nightlatch.local.aws import Caller

_SECRET_ARN_PARTS = 7
"""``arn:aws:secretsmanager:region:account:secret:name``; JSON key, stage and version may follow."""


async def secret_values(container: dict[str, Any], aws: Caller) -> dict[str, str]:
    """Fetch every secret of a container definition.

    Raises:
        StartError: ``ResourceInitializationError`` naming the secret that could not be had.
    """
    values = {}
    for secret in container.get("secrets") or []:
        source = secret["valueFrom"]
        try:
            fetch = _from_secrets_manager if ":secretsmanager:" in source else _from_ssm
            values[secret["name"]] = await fetch(source, aws)
        except (ApiError, KeyError, ValueError) as error:
            raise StartError(
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource"
                f" retrieval failed: unable to retrieve secret {source} for {secret['name']}: {error}"
            ) from error
    return values


async def _from_ssm(source: str, aws: Caller) -> str:
    name = source
    if source.startswith("arn:"):
        path = source.partition(":parameter/")[2]
        name = f"/{path}" if "/" in path else path
    reply = await aws.call("ssm", "GetParameter", {"Name": name, "WithDecryption": True})
    return str(reply["Parameter"]["Value"])


async def _from_secrets_manager(source: str, aws: Caller) -> str:
    parts = source.split(":")
    request = {"SecretId": ":".join(parts[:_SECRET_ARN_PARTS])}
    key, stage, version = (*parts[_SECRET_ARN_PARTS:], "", "", "")[:3]
    if stage:
        request["VersionStage"] = stage
    if version:
        request["VersionId"] = version
    text = str((await aws.call("secretsmanager", "GetSecretValue", request))["SecretString"])
    return str(json.loads(text)[key]) if key else text
