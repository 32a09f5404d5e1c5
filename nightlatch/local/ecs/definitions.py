from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.ecs.definition_rules import check_definition
from nightlatch.local.ecs.names import Names, family_and_revision
from nightlatch.local.ecs.paging import page
from nightlatch.local.ecs.sizes import cpu_units, memory_mib

if TYPE_CHECKING:
    from nightlatch.local.ecs.store import Store
    from nightlatch.local.ecs.tags import Tags
    from statemachine.interpreter import Clock

# Members that are kept as they were sent.
_KEPT = (
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "pidMode",
    "ipcMode",
    "proxyConfiguration",
    "ephemeralStorage",
    "runtimePlatform",
    "enableFaultInjection",
)
_CONTAINER_DEFAULTS: dict[str, Any] = {
    "cpu": 0,
    "portMappings": [],
    "essential": True,
    "environment": [],
    "mountPoints": [],
    "volumesFrom": [],
    "systemControls": [],
}


class Definitions:
    """Task definitions: families of numbered revisions, ACTIVE until deregistered."""

    def __init__(self, store: Store, names: Names, tags: Tags, clock: Clock) -> None:
        self._store = store
        self._names = names
        self._tags = tags
        self._clock = clock
        self._families: dict[str, dict[int, dict[str, Any]]] = {}
        for definition in store.all("definition").values():
            self._families.setdefault(definition["family"], {})[definition["revision"]] = definition

    def register(self, request: dict[str, Any]) -> dict[str, Any]:
        """RegisterTaskDefinition: a new revision, even if nothing changed."""
        check_definition(request)
        family = request["family"]
        revision = max(self._families.get(family, {}), default=0) + 1
        required = request.get("requiresCompatibilities") or []
        definition: dict[str, Any] = {
            "taskDefinitionArn": self._names.definition(family, revision),
            "family": family,
            "revision": revision,
            "status": "ACTIVE",
            "containerDefinitions": [
                {**copy.deepcopy(_CONTAINER_DEFAULTS), **container}
                for container in request["containerDefinitions"]
            ],
            "volumes": request.get("volumes") or [],
            "placementConstraints": request.get("placementConstraints") or [],
            "requiresAttributes": [],
            "compatibilities": ["EC2", "FARGATE"] if "FARGATE" in required else ["EXTERNAL", "EC2"],
            "registeredAt": round(self._clock.now(), 3),
            "registeredBy": f"arn:aws:iam::{self._names.account}:root",
        }
        if required:
            definition["requiresCompatibilities"] = list(required)
        for member in _KEPT:
            if request.get(member) is not None:
                definition[member] = request[member]
        if request.get("cpu"):
            definition["cpu"] = str(cpu_units(request["cpu"]))
        if request.get("memory"):
            definition["memory"] = str(memory_mib(request["memory"]))
        tags = request.get("tags") or []
        self._tags.replace(definition["taskDefinitionArn"], tags)
        self._save(definition)
        return {"taskDefinition": copy.deepcopy(definition), "tags": tags}

    def find(self, reference: str) -> dict[str, Any] | None:
        """The definition of a family, ``family:revision`` or ARN; without revision the latest ACTIVE."""
        family, revision = family_and_revision(reference)
        revisions = self._families.get(family, {})
        if revision is not None:
            definition = revisions.get(revision)
            return definition if definition is not None and definition["status"] != "DELETED" else None
        active = [number for number, item in revisions.items() if item["status"] == "ACTIVE"]
        return revisions[max(active)] if active else None

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeTaskDefinition."""
        definition = self._require(request)
        reply: dict[str, Any] = {"taskDefinition": copy.deepcopy(definition)}
        if "TAGS" in (request.get("include") or []):
            reply["tags"] = self._tags.of(definition["taskDefinitionArn"])
        return reply

    def deregister(self, request: dict[str, Any]) -> dict[str, Any]:
        """DeregisterTaskDefinition: INACTIVE; tasks of it keep running."""
        if family_and_revision(request.get("taskDefinition", ""))[1] is None:
            raise ApiError("ClientException", "Revision is required: write family:revision.")
        definition = self._require(request)
        definition["status"] = "INACTIVE"
        definition["deregisteredAt"] = round(self._clock.now(), 3)
        self._save(definition)
        return {"taskDefinition": copy.deepcopy(definition)}

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteTaskDefinitions: only INACTIVE ones, which are gone at once."""
        deleted, failures = [], []
        for reference in request.get("taskDefinitions") or []:
            definition = self.find(reference)
            if definition is None:
                failures.append({"arn": reference, "reason": "MISSING"})
            elif definition["status"] == "ACTIVE":
                failures.append(
                    {
                        "arn": definition["taskDefinitionArn"],
                        "reason": "TaskDefinition must be INACTIVE: deregister it first.",
                    }
                )
            else:
                # The number stays taken: AWS never gives a revision twice.
                self._save({**definition, "status": "DELETED"})
                self._tags.forget(definition["taskDefinitionArn"])
                deleted.append({**definition, "status": "DELETE_IN_PROGRESS"})
        return {"taskDefinitions": deleted, "failures": failures}

    def list_all(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListTaskDefinitions."""
        status = request.get("status") or "ACTIVE"
        prefix = request.get("familyPrefix")
        found = [
            (definition["family"], definition["revision"], definition["taskDefinitionArn"])
            for family, revisions in self._families.items()
            for definition in revisions.values()
            if definition["status"] == status and prefix in {None, family}
        ]
        found.sort(reverse=request.get("sort") == "DESC")
        return page([arn for *_, arn in found], request, "taskDefinitionArns")

    def list_families(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListTaskDefinitionFamilies."""
        status, prefix = request.get("status") or "ALL", request.get("familyPrefix") or ""
        wanted = {"ACTIVE", "INACTIVE"} if status == "ALL" else {status}
        found = []
        for family, revisions in self._families.items():
            statuses = {item["status"] for item in revisions.values()} - {"DELETED"}
            status = "ACTIVE" if "ACTIVE" in statuses else "INACTIVE"
            if statuses and family.startswith(prefix) and status in wanted:
                found.append(family)
        return page(sorted(found), request, "families")

    def _require(self, request: dict[str, Any]) -> dict[str, Any]:
        definition = self.find(request.get("taskDefinition") or "")
        if definition is None:
            raise ApiError("ClientException", "Unable to describe task definition.")
        return definition

    def _save(self, definition: dict[str, Any]) -> None:
        self._store.put("definition", definition["taskDefinitionArn"], definition)
        self._families.setdefault(definition["family"], {})[definition["revision"]] = definition
