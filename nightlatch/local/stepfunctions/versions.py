from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.stepfunctions.names import MachineArn, check_name, machine_arn
from nightlatch.local.stepfunctions.paging import page
from nightlatch.local.stepfunctions.store import Row, Store, dumps, present

if TYPE_CHECKING:
    from nightlatch.local.stepfunctions.machines import Machines
    from statemachine.interpreter import Clock

_WHOLE = 100
_MOST_ROUTES = 2


class Versions:
    """Published versions and the aliases that point at them."""

    def __init__(self, store: Store, clock: Clock, machines: Machines) -> None:
        self._store = store
        self._clock = clock
        self._machines = machines

    def publish(self, request: dict[str, Any]) -> dict[str, Any]:
        """PublishStateMachineVersion: idempotent for one revision."""
        machine = self._machines.unqualified(request)
        wanted = request.get("revisionId")
        current = self._machines.revision(machine["revision"])
        if wanted is not None and wanted != ("INITIAL" if current["first"] else current["id"]):
            raise ApiError(
                "ConflictException",
                f"The state machine is not at revision {wanted} any more; publish its current revision.",
            )
        arn, created = self._machines.publish(machine, request.get("description") or "")
        return {"stateMachineVersionArn": arn, "creationDate": created}

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListStateMachineVersions, newest first."""
        machine = self._machines.unqualified(request)
        rows = self._store.rows(
            "SELECT * FROM version WHERE machine = ? ORDER BY number DESC", machine["arn"]
        )
        versions = [
            {"stateMachineVersionArn": f"{row['machine']}:{row['number']}", "creationDate": row["created_at"]}
            for row in rows
        ]
        return page(versions, request, "stateMachineVersions")

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteStateMachineVersion: refused while an alias points at it; no error where there is none."""
        given = request.get("stateMachineVersionArn")
        arn = machine_arn(given)
        if arn.version is None:
            raise ApiError("ValidationException", f"'{given}' is not the ARN of a version.")
        for alias in self._store.rows("SELECT * FROM alias WHERE machine = ?", arn.arn):
            if any(route["stateMachineVersionArn"] == given for route in json.loads(alias["routing"])):
                raise ApiError(
                    "ConflictException",
                    f"Version to be deleted must not be referenced by an alias. Current list of aliases "
                    f"referencing this version: [{alias['name']}]",
                )
        with self._store.transaction():
            self._store.run("DELETE FROM version WHERE machine = ? AND number = ?", arn.arn, arn.version)
        return {}

    def create_alias(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreateStateMachineAlias: idempotent for an equal request."""
        name = check_name(request.get("name"))
        if name.isdecimal():
            raise ApiError("ValidationException", f"The alias name '{name}' must not be a number.")
        machine, routing = self._routing(request)
        arn, now = f"{machine}:{name}", self._clock.now()
        description = request.get("description") or ""
        found = self._store.row("SELECT * FROM alias WHERE arn = ?", arn)
        if found is not None:
            if (found["routing"], found["description"]) != (routing, description):
                raise ApiError(
                    "ConflictException", f"Failed to create alias because it already exists: '{arn}'"
                )
            return {"stateMachineAliasArn": arn, "creationDate": found["created_at"]}
        with self._store.transaction():
            self._store.insert(
                "alias",
                arn=arn,
                machine=machine,
                name=name,
                description=description,
                routing=routing,
                created_at=now,
                updated_at=now,
            )
        return {"stateMachineAliasArn": arn, "creationDate": now}

    def update_alias(self, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateStateMachineAlias."""
        found = self._alias(request)
        if "routingConfiguration" not in request and "description" not in request:
            raise ApiError(
                "ValidationException", "Either the description or the routing configuration must be given."
            )
        routing, now = found["routing"], self._clock.now()
        if "routingConfiguration" in request:
            machine, routing = self._routing(request)
            if machine != found["machine"]:
                raise ApiError("ValidationException", "An alias cannot move to another state machine.")
        with self._store.transaction():
            self._store.run(
                "UPDATE alias SET routing = ?, description = ?, updated_at = ? WHERE arn = ?",
                routing,
                request.get("description", found["description"]),
                now,
                found["arn"],
            )
        return {"updateDate": now}

    def describe_alias(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeStateMachineAlias."""
        found = self._alias(request)
        return present(
            stateMachineAliasArn=found["arn"],
            name=found["name"],
            description=found["description"] or None,
            routingConfiguration=json.loads(found["routing"]),
            creationDate=found["created_at"],
            updateDate=found["updated_at"],
        )

    def list_aliases(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListStateMachineAliases of a machine, or those that point at a version."""
        arn = machine_arn(request.get("stateMachineArn"))
        self._machines.machine(arn)
        rows = self._store.rows("SELECT * FROM alias WHERE machine = ? ORDER BY name", arn.arn)
        if arn.version is not None:
            rows = [row for row in rows if f'"{arn.arn}:{arn.version}"' in row["routing"]]
        aliases = [{"stateMachineAliasArn": row["arn"], "creationDate": row["created_at"]} for row in rows]
        return page(aliases, request, "stateMachineAliases")

    def delete_alias(self, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteStateMachineAlias."""
        found = self._alias(request)
        with self._store.transaction():
            self._store.run("DELETE FROM alias WHERE arn = ?", found["arn"])
        return {}

    def target(self, arn: MachineArn) -> tuple[str, str | None, str | None]:
        """What a start through this ARN runs: revision, version ARN, alias ARN.

        Raises:
            ApiError: ``StateMachineDoesNotExist``.
        """
        machine = self._machines.machine(arn)
        if not arn.qualified:
            return machine["revision"], None, None
        alias_arn = None
        if arn.alias is not None:
            alias_arn = f"{arn.arn}:{arn.alias}"
            alias = self._store.row("SELECT * FROM alias WHERE arn = ?", alias_arn)
            if alias is None:
                raise ApiError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{alias_arn}'")
            routes = json.loads(alias["routing"])
            chosen = random.choices(routes, [route["weight"] for route in routes])[0]
            arn = machine_arn(chosen["stateMachineVersionArn"])
        return self._machines.version(arn)["revision"], f"{arn.arn}:{arn.version}", alias_arn

    def _alias(self, request: dict[str, Any]) -> Row:
        given = request.get("stateMachineAliasArn")
        machine_arn(given)
        found = self._store.row("SELECT * FROM alias WHERE arn = ?", given)
        if found is None:
            raise ApiError(
                "ResourceNotFound", f"Request references a resource that does not exist: '{given}'"
            )
        return found

    def _routing(self, request: dict[str, Any]) -> tuple[str, str]:
        """The machine and the checked routing text of a request."""
        routes = request.get("routingConfiguration") or []
        if not 1 <= len(routes) <= _MOST_ROUTES or sum(route.get("weight", 0) for route in routes) != _WHOLE:
            raise ApiError(
                "ValidationException", "Routing names one or two versions whose weights sum up to 100."
            )
        arns = [machine_arn(route.get("stateMachineVersionArn")) for route in routes]
        if any(arn.version is None for arn in arns) or len({arn.arn for arn in arns}) != 1:
            raise ApiError("ValidationException", "Routing names versions of one state machine.")
        for arn in arns:
            self._machines.version(arn)
        return arns[0].arn, dumps(routes)
