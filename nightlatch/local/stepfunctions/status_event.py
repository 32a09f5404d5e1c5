from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightlatch.local.bus import Event, service_event

if TYPE_CHECKING:
    from nightlatch.local.stepfunctions.store import Row

# Input and output are left out of the event when they are larger together, escaped ("Event delivery").
_LARGEST_DATA = 248 * 1024


def status_event(row: Row) -> Event:
    """The "Step Functions Execution Status Change" event of an execution as it stands.

    Every member is there on AWS, empty ones as null; times are epoch milliseconds.
    """
    given, output = row["input"], row["output"]
    included = len(given.encode()) + len((output or "").encode()) <= _LARGEST_DATA
    detail: dict[str, Any] = {
        "executionArn": row["arn"],
        "stateMachineArn": row["machine"],
        "name": row["name"],
        "status": row["status"],
        "startDate": _milliseconds(row["start_at"]),
        "stopDate": None if row["stop_at"] is None else _milliseconds(row["stop_at"]),
        "input": given if included else None,
        "inputDetails": {"included": included},
        "output": output if included else None,
        "outputDetails": None if output is None else {"included": included},
        "error": row["error"],
        "cause": row["cause"],
        "stateMachineVersionArn": row["version"],
        "stateMachineAliasArn": row["alias"],
        "redriveCount": 0,
        "redriveDate": None,
        "redriveStatus": "NOT_REDRIVABLE",
        "redriveStatusReason": not_redrivable(row["status"]),
    }
    _, _, _, region, account, *_ = row["arn"].split(":")
    return service_event(
        source="aws.states",
        detail_type="Step Functions Execution Status Change",
        detail=detail,
        resources=[row["arn"]],
        account=account,
        region=region,
        at=row["stop_at"] or row["start_at"],
    )


def not_redrivable(status: str) -> str:
    """Why an execution cannot be redriven."""
    if status in {"RUNNING", "SUCCEEDED"}:
        return f"Execution is {status} and cannot be redriven"
    return "The local AWS redrives nothing: a redrive would go on without the lock. Start a new run instead."


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
