from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nightlatch.local.api_error import ApiError
from nightlatch.local.stepfunctions.map_runs import MapRuns, map_run_arn
from nightlatch.local.stepfunctions.names import check_name, execution_arn, execution_of, machine_arn
from nightlatch.local.stepfunctions.paging import page_of, with_token
from nightlatch.local.stepfunctions.runner import KEPT_SECONDS
from nightlatch.local.stepfunctions.status_event import not_redrivable
from nightlatch.local.stepfunctions.store import Row, Store, present

if TYPE_CHECKING:
    from nightlatch.local.stepfunctions.machines import Machines
    from nightlatch.local.stepfunctions.runner import Runner
    from nightlatch.local.stepfunctions.versions import Versions
    from statemachine.interpreter import Clock

# Executions has a method named list.
_Words = list[str]
_LARGEST_INPUT = 262_144
_DATA_MEMBERS = frozenset(
    {"input", "inputDetails", "output", "outputDetails", "parameters", "assignedVariables"}
)
_STATUSES = frozenset({"RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE"})


class Executions:
    """Starts, stops and shows executions."""

    def __init__(
        self, store: Store, clock: Clock, machines: Machines, versions: Versions, runner: Runner
    ) -> None:
        self._store = store
        self._clock = clock
        self._machines = machines
        self._versions = versions
        self._runner = runner

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """StartExecution: the same name and input as one that is running is the same start."""
        arn = machine_arn(request.get("stateMachineArn"))
        given = _checked_input(request.get("input", "{}"))
        name = request.get("name")
        name = self._runner.new_name() if name is None else check_name(name)
        revision, version, alias = self._versions.target(arn)
        execution = execution_of(arn, name)
        self._forget(execution)
        found = self._store.row("SELECT * FROM execution WHERE arn = ?", execution)
        if found is not None:
            if found["status"] == "RUNNING" and found["input"] == given:
                return {"executionArn": execution, "startDate": found["start_at"]}
            raise ApiError("ExecutionAlreadyExists", f"Execution Already Exists: '{execution}'")
        self._runner.open()
        now = self._clock.now()
        with self._store.transaction():
            self._store.insert(
                "execution",
                arn=execution,
                name=name,
                machine=arn.arn,
                version=version,
                alias=alias,
                revision=revision,
                status="RUNNING",
                start_at=now,
                input=given,
                trace=request.get("traceHeader"),
            )
        self._runner.start(self._row(execution))
        return {"executionArn": execution, "startDate": now}

    def stop(self, request: dict[str, Any]) -> dict[str, Any]:
        """StopExecution: returns at once; the execution is ABORTED when its tasks are really gone.

        No error for one that has ended, as on AWS.
        """
        row = self._row(execution_arn(request.get("executionArn")))
        if row["stop_at"] is not None:
            return {"stopDate": row["stop_at"]}
        if self._map_run(row) is not None:
            raise ApiError(
                "ValidationException",
                "The local AWS does not stop one child of a map run: stop the execution that runs the map, "
                "or the child's ECS task.",
            )
        self._runner.stop(row["arn"], request.get("error"), request.get("cause"))
        return {"stopDate": self._clock.now()}

    def redrive(self, request: dict[str, Any]) -> dict[str, Any]:
        """RedriveExecution: always refused.

        Raises:
            ApiError: ``ExecutionNotRedrivable``.
        """
        row = self._row(execution_arn(request.get("executionArn")))
        raise ApiError("ExecutionNotRedrivable", not_redrivable(row["status"]))

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeExecution."""
        row = self._row(execution_arn(request.get("executionArn")))
        shown = request.get("includedData") != "METADATA_ONLY"
        whole = {"included": True} if shown else None
        return present(
            executionArn=row["arn"],
            stateMachineArn=row["machine"],
            mapRunArn=self._map_run(row),
            name=row["name"],
            status=row["status"],
            startDate=row["start_at"],
            stopDate=row["stop_at"],
            input=row["input"] if shown else None,
            inputDetails=whole,
            output=row["output"] if shown else None,
            outputDetails=None if row["output"] is None else whole,
            traceHeader=row["trace"],
            error=row["error"],
            cause=row["cause"],
            stateMachineVersionArn=row["version"],
            stateMachineAliasArn=row["alias"],
            redriveCount=0,
            redriveStatus="NOT_REDRIVABLE",
            redriveStatusReason=not_redrivable(row["status"]),
        )

    def describe_machine(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeStateMachineForExecution: the definition that this execution runs."""
        row = self._row(execution_arn(request.get("executionArn")))
        revision = self._machines.revision(row["revision"])
        return {
            "stateMachineArn": row["machine"],
            "name": row["machine"].rpartition(":")[2],
            "updateDate": revision["created_at"],
            **self._machines.settings_of(revision, request),
        }

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListExecutions of a machine, version, alias or map run, newest first."""
        status = request.get("statusFilter")
        if status is not None and status not in _STATUSES:
            raise ApiError(
                "ValidationException", f"statusFilter must be one of {', '.join(sorted(_STATUSES))}."
            )
        where, values = self._listed(request)
        if status is not None:
            where.append("status = ?")
            values.append(status)
        start, size = page_of(request)
        rows = self._store.rows(
            f"SELECT * FROM execution WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ? OFFSET ?",  # noqa: S608 - our own names
            *values,
            size + 1,
            start,
        )
        executions = [
            present(
                executionArn=row["arn"],
                stateMachineArn=row["machine"],
                mapRunArn=request.get("mapRunArn"),
                itemCount=None if request.get("mapRunArn") is None else 1,
                name=row["name"],
                status=row["status"],
                startDate=row["start_at"],
                stopDate=row["stop_at"],
                stateMachineVersionArn=row["version"],
                stateMachineAliasArn=row["alias"],
                redriveCount=0,
            )
            for row in rows
        ]
        return with_token(executions, "executions", start, size)

    def _listed(self, request: dict[str, Any]) -> tuple[_Words, _Words]:
        """Whose executions are wanted, as conditions and their values."""
        machine, map_run = request.get("stateMachineArn"), request.get("mapRunArn")
        if (machine is None) == (map_run is None):
            raise ApiError("ValidationException", "Exactly one of stateMachineArn and mapRunArn is wanted.")
        if map_run is not None:
            arn = MapRuns(self._store).row(map_run_arn(map_run))["arn"]
            return ["id IN (SELECT execution FROM map_run_item WHERE map_run = ?)"], [arn]
        wanted = machine_arn(machine)
        self._versions.target(wanted)
        where, values = ["machine = ?"], [wanted.arn]
        if wanted.version is not None:
            where.append("version = ?")
            values.append(f"{wanted.arn}:{wanted.version}")
        if wanted.alias is not None:
            where.append("alias = ?")
            values.append(f"{wanted.arn}:{wanted.alias}")
        return where, values

    def _map_run(self, row: Row) -> str | None:
        found = self._store.row("SELECT map_run FROM map_run_item WHERE execution = ?", row["id"])
        return None if found is None else str(found["map_run"])

    def history(self, request: dict[str, Any]) -> dict[str, Any]:
        """GetExecutionHistory."""
        row = self._row(execution_arn(request.get("executionArn")))
        self._runner.flush()
        start, size = page_of(request)
        order = "DESC" if request.get("reverseOrder") else "ASC"
        rows = self._store.rows(
            f"SELECT * FROM event WHERE execution = ? ORDER BY id {order} LIMIT ? OFFSET ?",  # noqa: S608 - two words
            row["id"],
            size + 1,
            start,
        )
        shown = request.get("includeExecutionData", True)
        return with_token([_event(event, shown=shown) for event in rows], "events", start, size)

    def _row(self, arn: str) -> Row:
        row = self._store.row("SELECT * FROM execution WHERE arn = ?", arn)
        if row is None:
            raise ApiError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        return row

    def _forget(self, arn: str) -> None:
        """Let a name be used again after its 90 days."""
        before = self._clock.now() - KEPT_SECONDS
        old = self._store.row("SELECT id FROM execution WHERE arn = ? AND stop_at < ?", arn, before)
        if old is not None:
            with self._store.transaction():
                self._store.run("DELETE FROM event WHERE execution = ?", old["id"])
                self._store.run("DELETE FROM execution WHERE id = ?", old["id"])


def _checked_input(given: object) -> str:
    if not isinstance(given, str):
        raise ApiError(
            "InvalidExecutionInput", "Invalid State Machine Execution Input: the input is not a text"
        )
    if len(given.encode()) > _LARGEST_INPUT:
        raise ApiError(
            "ValidationException",
            f"1 validation error detected: Value at 'input' failed to satisfy constraint: Member must have "
            f"length less than or equal to {_LARGEST_INPUT}",
        )
    try:
        json.loads(given)
    except ValueError as error:
        raise ApiError(
            "InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'"
        ) from error
    return given


def _event(row: Row, *, shown: bool) -> dict[str, Any]:
    details = json.loads(row["details"])
    if not shown:
        details = {
            member: {name: value for name, value in values.items() if name not in _DATA_MEMBERS}
            for member, values in details.items()
        }
    return {
        "timestamp": row["at"],
        "type": row["type"],
        "id": row["id"],
        "previousEventId": row["previous"],
        **details,
    }
