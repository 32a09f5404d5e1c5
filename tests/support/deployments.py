"""An environment made in moto by the real provisioning, and a clock that stands where the test puts it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3

from lock.client import LockTable
from lock.model import Kind
from nightlatch.catalog import Catalog, load_catalog
from nightlatch.installation import Installation
from nightlatch.local.provision import provision
from nightlatch.operations.clients import Clients
from nightlatch.operations.deployment import Deployment
from tests.support.jobs_file import write_jobs
from tests.support.own_account import mocked_aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ACCOUNT = "123456789012"  # moto's own
REGION = "ap-northeast-1"
JOBS = """\
  report:
    schedule: { cron: "cron(0 6 * * ? *)", timezone: Asia/Tokyo, alert_after_minutes: 30 }
    lock: { key: reports }
    steps:
      - { name: load, command: [load], timeout_minutes: 10 }
      - { name: send, command: [send], timeout_minutes: 10 }
  report-monthly:
    lock: { key: reports }
    steps:
      - { name: load, command: [load], timeout_minutes: 10 }
"""


class FakeClock:
    """The present, wherever the test puts it; sleeping moves it."""

    def __init__(self, now: datetime) -> None:
        self.present = now
        self.slept: list[Callable[[], None]] = []

    def now(self) -> datetime:
        return self.present

    def sleep(self, seconds: float) -> None:
        """Move on; then let the next thing happen that the test planned."""
        self.present += timedelta(seconds=seconds)
        if self.slept:
            self.slept.pop(0)()


class Environment:
    """A deployment in moto, with what a test needs to set the scene."""

    def __init__(self, catalog: Catalog, deployment: Deployment, clock: FakeClock) -> None:
        self.catalog = catalog
        self.deployment = deployment
        self.clock = clock

    def record(self, job: str, name: str, outcome: str, started: datetime, **more: Any) -> None:
        """Put a record into the runs table, as the state machine does."""
        key = more.get("run_key") or iso(started)
        values = {
            "job": job,
            "run": f"{key}#{name}",
            "name": name,
            "outcome": outcome,
            "execution_arn": self.deployment.installation.execution_arn(job, name),
            "started_at": iso(started),
            "ended_at": iso(started + timedelta(minutes=5)),
            "trigger": "schedule" if "run_key" in more else "operator",
            **more,
        }
        item = {key: _attribute(value) for key, value in values.items()}
        self.deployment.clients.dynamodb.put_item(
            TableName=self.deployment.installation.runs_table, Item=item
        )

    def mark(self, job: str, run: str, **values: str) -> None:
        item = {"job": {"S": job}, "run": {"S": run}} | {key: {"S": value} for key, value in values.items()}
        self.deployment.clients.dynamodb.put_item(
            TableName=self.deployment.installation.runs_table, Item=item
        )

    def hold(self, key: str, owner: str, **more: Any) -> int:
        """Let somebody hold a lock; the lock's fence."""
        table = LockTable.connect(
            self.deployment.installation.lock_table, client=self.deployment.clients.dynamodb
        )
        holder = table.new_holder(owner=owner, job="report", lease_ms=3_600_000, kind=Kind.SFN, **more)
        item = table.acquire(key, holder).item
        assert item is not None
        return item.fence

    def start(self, job: str, name: str, **given: Any) -> str:
        """Start an execution in moto, where it stays RUNNING."""
        reply = self.deployment.clients.stepfunctions.start_execution(
            stateMachineArn=self.deployment.installation.machine_arn(job), name=name, input=json.dumps(given)
        )
        return reply["executionArn"]

    def at(self, moment: datetime) -> Deployment:
        """The deployment at another moment."""
        self.clock.present = moment
        return self.deployment


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _attribute(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {"M": {key: _attribute(inner) for key, inner in value.items()}}
    return {"N": str(value)} if isinstance(value, int) else {"S": str(value)}


@cache
def _clients() -> Clients:
    """The same clients for every test: making one takes longer than all that a test asks of it."""
    return Clients(boto3.Session("made-up", "made-up", region_name=REGION))


@contextmanager
def moto_environment(folder: Path, jobs: str = JOBS) -> Iterator[Environment]:
    """Environment `dev` in moto, provisioned from a jobs file."""
    with mocked_aws():
        catalog = load_catalog(write_jobs(folder, jobs), "dev")
        clients = _clients()
        installation = Installation.conventional("dev", ACCOUNT, REGION)
        provision(catalog, installation, clients)
        clock = FakeClock(datetime.now(UTC))
        deployment = Deployment(installation.with_jobs(catalog.jobs), clients, clock.now)
        yield Environment(catalog, deployment, clock)
