"""What one happy run of a one-step job costs: state transitions and DynamoDB writes, counted.

The run is a real one: the command line starts it on a local AWS of its own, the container is a process. The
transitions are the states that the execution's history says were entered; the writes are the DynamoDB
requests that the local AWS acknowledged while the run went on, the container's claim included.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import boto3
from ruamel.yaml import YAML

from bench.report import Report

ROOT = Path(__file__).resolve().parent.parent
NIGHTLATCH = Path(sys.executable).with_name("nightlatch")
WRITES = ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem", "ExecuteStatement")
JOB = "one-step"


def write_jobs(path: Path) -> None:
    """The installation's own defaults, and one job that ends at once."""
    yaml = YAML()
    jobs: Any = yaml.load((ROOT / "jobs.yaml").read_text())
    step = {"name": "work", "command": ["--", "true"], "timeout_minutes": 1}
    jobs["jobs"] = {JOB: {"lock": {"key": JOB}, "steps": [step]}}
    with path.open("w") as out:
        yaml.dump(jobs, out)


def last_write(state: Path) -> int:
    """Number of the journal's newest request."""
    return int(journal(state, "SELECT coalesce(max(seq), 0) FROM request")[0][0])


def writes_since(state: Path, sequence: int) -> list[str]:
    """The DynamoDB writes that were acknowledged after that."""
    marks = ", ".join("?" for _ in WRITES)
    rows = journal(
        state,
        f"SELECT operation FROM request WHERE service = 'dynamodb' AND seq > ? AND operation IN ({marks})"  # noqa: S608
        " ORDER BY seq",
        sequence,
        *WRITES,
    )
    return [operation for (operation,) in rows]


def journal(state: Path, query: str, *values: object) -> list[Any]:
    """Read the local AWS's journal without disturbing it."""
    connection = sqlite3.connect(f"file:{state / 'journal.sqlite'}?mode=ro", uri=True)
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()


def nightlatch(*arguments: str, state: Path, jobs: Path) -> str:
    """Run the command line; its stdout."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "NIGHTLATCH_"))}
    return subprocess.run(
        [NIGHTLATCH, *arguments],
        env=clean | {"NIGHTLATCH_STATE": str(state), "NIGHTLATCH_FILE": str(jobs)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def states_entered(state: Path, execution_arn: str) -> list[str]:
    """The names of the states that the execution entered, in order."""
    endpoint = json.loads((state / "endpoint.json").read_text())["url"]
    client = boto3.client(
        "stepfunctions",
        endpoint_url=endpoint,
        region_name="ap-northeast-1",
        aws_access_key_id="bench",
        aws_secret_access_key="bench",
    )
    pages = client.get_paginator("get_execution_history").paginate(executionArn=execution_arn)
    events = [event for page in pages for event in page["events"]]
    return [
        event["stateEnteredEventDetails"]["name"]
        for event in events
        if event["type"].endswith("StateEntered")
    ]


def main() -> None:
    """Count one run."""
    report = Report("run")
    with tempfile.TemporaryDirectory() as folder:
        state, jobs = Path(folder) / "state", Path(folder) / "jobs.yaml"
        write_jobs(jobs)
        where = {"state": state, "jobs": jobs}
        nightlatch("local", "up", "--detach", "--port", "0", **where)
        try:
            before = last_write(state)
            nightlatch("run", JOB, "--wait", **where)
            shown = json.loads(nightlatch("history", JOB, "-o", "json", **where))["runs"][0]
            entered = states_entered(state, shown["execution_arn"])
            writes = writes_since(state, before)
        finally:
            nightlatch("local", "down", **where)
    report.add("transitions", len(entered), ("<=", 8))
    report.add("dynamodb_writes", len(writes), ("<=", 4))
    report.note(f"states entered: {' > '.join(entered)}")
    report.note(f"writes: {' > '.join(writes)} (acquire, claim, release, record)")
    report.note(f"outcome: {shown['outcome']}")
    report.finish()


if __name__ == "__main__":
    main()
