from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.stepfunctions import definitions
from nightlatch.local.stepfunctions.names import MachineArn, check_name, check_role, machine_arn
from nightlatch.local.stepfunctions.paging import page
from nightlatch.local.stepfunctions.store import Row, Store, dumps, present

if TYPE_CHECKING:
    from nightlatch.local.stepfunctions.tags import Tags
    from statemachine.interpreter import Clock

_NO_LOGGING = {"level": "OFF", "includeExecutionData": False}
_NO_TRACING = {"enabled": False}
_OWNED_KEY = {"type": "AWS_OWNED_KEY"}


class Machines:
    """State machines.

    Args:
        store: Where they are kept.
        clock: The time of day.
        prefix: ARN up to ``stateMachine:``.
        tags: Keeps the tags.
    """

    def __init__(self, store: Store, clock: Clock, prefix: str, tags: Tags) -> None:
        self._store = store
        self._tags = tags
        self._clock = clock
        self._prefix = prefix

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreateStateMachine: idempotent for an equal request."""
        name = check_name(request.get("name"))
        role = check_role(request.get("roleArn"))
        if request.get("type", "STANDARD") != "STANDARD":
            raise ApiError(
                "StateMachineTypeNotSupported",
                "The local AWS runs STANDARD state machines only; Express workflows support neither .sync "
                "nor callbacks, which jobs need.",
            )
        if not request.get("publish") and request.get("versionDescription"):
            raise ApiError("ValidationException", "Version description can only be set when publish is true")
        definition = definitions.check(request.get("definition"))
        arn = f"{self._prefix}{name}"
        settings = _settings(request)
        found = self._store.row("SELECT * FROM machine WHERE arn = ?", arn)
        if found is not None:
            current = self.revision(found["revision"])
            same = definition == current["definition"] and settings == {key: current[key] for key in settings}
            if not same:
                raise ApiError("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")
            return {"stateMachineArn": arn, "creationDate": found["created_at"]}
        now = self._clock.now()
        with self._store.transaction():
            revision = self._add_revision(arn, now, definition, role, settings, first=True)
            self._store.insert("machine", arn=arn, name=name, created_at=now, revision=revision)
            self._tags.put(arn, request.get("tags") or [])
            version = (
                self._publish(arn, request.get("versionDescription", ""), now)
                if request.get("publish")
                else None
            )
        return present(stateMachineArn=arn, creationDate=now, stateMachineVersionArn=version)

    def update(self, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateStateMachine."""
        machine = self.unqualified(request)
        parts = (
            "definition",
            "roleArn",
            "loggingConfiguration",
            "tracingConfiguration",
            "encryptionConfiguration",
        )
        if not any(request.get(part) for part in parts) and not request.get("publish"):
            raise ApiError(
                "MissingRequiredParameter",
                "Either the definition, the role ARN, or another setting must be specified",
            )
        current = self.revision(machine["revision"])
        definition = (
            definitions.check(request["definition"]) if "definition" in request else current["definition"]
        )
        role = check_role(request["roleArn"]) if "roleArn" in request else current["role"]
        settings = {
            key: value if member in request else current[key]
            for (key, value), member in zip(_settings(request).items(), parts[2:], strict=True)
        }
        now = self._clock.now()
        with self._store.transaction():
            revision = self._add_revision(machine["arn"], now, definition, role, settings, first=False)
            self._store.run("UPDATE machine SET revision = ? WHERE arn = ?", revision, machine["arn"])
            version = (
                self._publish(machine["arn"], request.get("versionDescription", ""), now)
                if request.get("publish")
                else None
            )
        return present(updateDate=now, revisionId=revision, stateMachineVersionArn=version)

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeStateMachine, of a machine or of a version."""
        arn = machine_arn(request.get("stateMachineArn"))
        machine = self.machine(arn)
        revision_id, described, description = machine["revision"], arn.arn, None
        created = machine["created_at"]
        if arn.qualified:
            version = self.version(arn)
            revision_id, described, created = (
                version["revision"],
                f"{arn.arn}:{arn.version}",
                version["created_at"],
            )
            description = version["description"] or None
        return {
            "stateMachineArn": described,
            "name": machine["name"],
            "status": "ACTIVE",
            "type": "STANDARD",
            "creationDate": created,
            **present(description=description),
            **self.settings_of(self.revision(revision_id), request),
        }

    def settings_of(self, revision: Row, request: dict[str, Any]) -> dict[str, Any]:
        """What DescribeStateMachine and DescribeStateMachineForExecution say of a revision."""
        metadata_only = request.get("includedData") == "METADATA_ONLY"
        return present(
            definition=None if metadata_only else revision["definition"],
            roleArn=revision["role"],
            loggingConfiguration=json.loads(revision["logging"]),
            tracingConfiguration=json.loads(revision["tracing"]),
            encryptionConfiguration=json.loads(revision["encryption"]),
            revisionId=None if revision["first"] else revision["id"],
        )

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListStateMachines, by name."""
        machines = [
            {
                "stateMachineArn": row["arn"],
                "name": row["name"],
                "type": "STANDARD",
                "creationDate": row["created_at"],
            }
            for row in self._store.rows("SELECT * FROM machine ORDER BY name")
        ]
        return page(machines, request, "stateMachines")

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteStateMachine: running executions go on to their end; no error where none is."""
        arn = machine_arn(request.get("stateMachineArn")).arn
        with self._store.transaction():
            for table, column in (
                ("machine", "arn"),
                ("version", "machine"),
                ("alias", "machine"),
                ("tag", "arn"),
            ):
                self._store.run(f"DELETE FROM {table} WHERE {column} = ?", arn)  # noqa: S608 - our own names
        return {}

    def validate(self, request: dict[str, Any]) -> dict[str, Any]:
        """ValidateStateMachineDefinition; Terraform asks this at every plan."""
        found = definitions.problems(request.get("definition"))
        diagnostics = [
            {
                "severity": "ERROR",
                "code": "SCHEMA_VALIDATION_FAILED",
                "message": problem.message,
                "location": problem.where,
            }
            for problem in found[: request.get("maxResults") or None]
        ]
        return {
            "result": "FAIL" if found else "OK",
            "diagnostics": diagnostics,
            "truncated": len(diagnostics) < len(found),
        }

    def machine(self, arn: MachineArn) -> Row:
        """A machine's row.

        Raises:
            ApiError: ``StateMachineDoesNotExist``.
        """
        row = self._store.row("SELECT * FROM machine WHERE arn = ?", arn.arn)
        if row is None:
            raise ApiError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn.arn}'")
        return row

    def unqualified(self, request: dict[str, Any]) -> Row:
        """The machine of a request that may name neither version nor alias.

        Raises:
            ApiError: ``ValidationException`` or ``StateMachineDoesNotExist``.
        """
        arn = machine_arn(request.get("stateMachineArn"))
        if arn.qualified:
            raise ApiError(
                "ValidationException",
                f"The ARN '{request['stateMachineArn']}' names a version or an alias; this operation takes "
                "the state machine's own ARN.",
            )
        return self.machine(arn)

    def version(self, arn: MachineArn) -> Row:
        """A version's row.

        Raises:
            ApiError: ``StateMachineDoesNotExist``.
        """
        row = self._store.row("SELECT * FROM version WHERE machine = ? AND number = ?", arn.arn, arn.version)
        if row is None:
            raise ApiError(
                "StateMachineDoesNotExist",
                f"State Machine Does Not Exist: '{arn.arn}:{arn.version or arn.alias}'",
            )
        return row

    def revision(self, revision: str) -> Row:
        """A revision's row; revisions are kept for ever."""
        row = self._store.row("SELECT * FROM revision WHERE id = ?", revision)
        if row is None:
            raise LookupError(f"revision {revision} vanished from the store")
        return row

    def publish(self, machine: Row, description: str) -> tuple[str, float]:
        """Publish the current revision: the version's ARN and its creation date."""
        now = self._clock.now()
        with self._store.transaction():
            arn = self._publish(machine["arn"], description, now)
        return arn, self.version(machine_arn(arn))["created_at"]

    def _publish(self, arn: str, description: str, now: float) -> str:
        machine = self.machine(MachineArn(arn, ""))
        last = self._store.row("SELECT * FROM version WHERE machine = ? ORDER BY number DESC LIMIT 1", arn)
        if last is not None and last["revision"] == machine["revision"]:
            if description and description != last["description"]:
                raise ApiError(
                    "ConflictException",
                    f"Version {last['number']} of this revision exists already with another description.",
                )
            return f"{arn}:{last['number']}"
        number = machine["next_version"]
        self._store.insert(
            "version",
            machine=arn,
            number=number,
            revision=machine["revision"],
            description=description,
            created_at=now,
        )
        self._store.run("UPDATE machine SET next_version = ? WHERE arn = ?", number + 1, arn)
        return f"{arn}:{number}"

    def _add_revision(
        self, arn: str, now: float, definition: str, role: str, settings: dict[str, str], *, first: bool
    ) -> str:
        revision = str(uuid.uuid4())
        self._store.insert(
            "revision",
            id=revision,
            machine=arn,
            created_at=now,
            first=int(first),
            definition=definition,
            role=role,
            **settings,
        )
        return revision


def _settings(request: dict[str, Any]) -> dict[str, str]:
    return {
        "logging": dumps({**_NO_LOGGING, **(request.get("loggingConfiguration") or {})}),
        "tracing": dumps({**_NO_TRACING, **(request.get("tracingConfiguration") or {})}),
        "encryption": dumps(request.get("encryptionConfiguration") or _OWNED_KEY),
    }
