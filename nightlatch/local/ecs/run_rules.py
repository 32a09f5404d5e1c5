"""What RunTask refuses.

Source: ECS API reference, RunTask; botocore ecs model. The wording follows what is publicly recorded.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_TASKS = 10
LONGEST_OVERRIDES = 8192
_STARTED_BY = re.compile(r"[A-Za-z0-9/_ -]{1,128}")
_CLIENT_TOKEN = re.compile(r"[!-~]{1,64}")


def check_run(request: Mapping[str, Any], definition: Mapping[str, Any]) -> None:
    """Refuse a RunTask request that AWS would refuse.

    Raises:
        ApiError: ``InvalidParameterException`` or ``ClientException``.
    """
    if definition["status"] != "ACTIVE":
        raise ApiError("ClientException", "TaskDefinition is inactive")
    if not 1 <= request.get("count", 1) <= MOST_TASKS:
        raise _invalid(f"Count must be between 1 and {MOST_TASKS}.")
    _check_placement(request, definition)
    started_by = request.get("startedBy")
    # Step Functions writes "AWS Step Functions"; a caller may not use spaces, which costs nothing to allow.
    if started_by and not _STARTED_BY.fullmatch(started_by):
        raise _invalid(
            "startedBy can contain up to 128 letters, numbers, hyphens, forward slash and underscores."
        )
    token = request.get("clientToken")
    if token and not _CLIENT_TOKEN.fullmatch(token):
        raise _invalid("clientToken must have 1 to 64 printable ASCII characters.")
    if request.get("propagateTags") == "SERVICE":
        raise _invalid("SERVICE is not a valid value for propagateTags with RunTask.")
    _check_overrides(request.get("overrides") or {}, definition)


def _check_placement(request: Mapping[str, Any], definition: Mapping[str, Any]) -> None:
    if request.get("launchType") and request.get("capacityProviderStrategy"):
        raise _invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one"
            " and try again."
        )
    launch_type = request.get("launchType")
    if launch_type not in {None, "FARGATE", "EC2", "EXTERNAL"}:
        raise _invalid(f"Invalid launch type: {launch_type}.")
    if launch_type == "FARGATE" and "FARGATE" not in definition["compatibilities"]:
        raise _invalid("Task definition does not support launch_type FARGATE.")
    network = (request.get("networkConfiguration") or {}).get("awsvpcConfiguration")
    if definition.get("networkMode") == "awsvpc":
        if not network or not network.get("subnets"):
            raise _invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    elif network:
        raise _invalid(
            "Network Configuration is not valid for the given networkMode of this task definition."
        )


def _check_overrides(overrides: Mapping[str, Any], definition: Mapping[str, Any]) -> None:
    length = len(json.dumps(overrides, separators=(",", ":"), ensure_ascii=False))
    if length > LONGEST_OVERRIDES:
        raise _invalid(f"Container Overrides length must be at most {LONGEST_OVERRIDES}")
    names = {container["name"] for container in definition["containerDefinitions"]}
    for container in overrides.get("containerOverrides") or []:
        if container.get("name") not in names:
            raise _invalid(
                f"Override for container named {container.get('name')} is not a container in the"
                " TaskDefinition."
            )


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterException", message)
