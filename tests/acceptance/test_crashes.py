"""kill -9 of the local AWS, of a job, of both; then a restart: nothing lost, nothing twice, the lock free."""

from __future__ import annotations

import os
import random
import signal
import threading
from typing import TYPE_CHECKING

import botocore.exceptions
import pytest

from tests.support.installation import Installation, until
from tests.support.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.acceptance, pytest.mark.slow, pytest.mark.timeout(300)]

JOB = "crashing"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Installation]:
    built = Installation(tmp_path)
    built.add_job(JOB, {"name": "first"}, {"name": "second", "worker": ["--gate", built.gate(JOB)]})
    built.up()
    yield built
    built.gate(JOB).touch()
    built.down()


def moment(house: Installation, name: str) -> None:
    """Wait for the moment at which to strike."""
    row = house.lock
    if name == "acquired":
        until(lambda: "holder" in row(JOB), name)
    elif name == "claimed":
        until(lambda: "task_arn" in row(JOB).get("holder", {}).get("M", {}), name)
    elif name == "between the steps":
        until(lambda: any(event["event"] == "end" for event in house.events(JOB)), name)
    else:
        house.started(JOB, 2)


@pytest.mark.parametrize(
    ("when", "also_the_job"),
    [
        ("acquired", False),
        ("claimed", True),
        ("between the steps", False),
        ("in the second step", False),
        ("in the second step", True),
    ],
)
def test_after_a_crash_the_run_is_aborted_its_processes_are_gone_and_the_next_run_works(
    house: Installation, when: str, *, also_the_job: bool
) -> None:
    run = house.cli_json("run", JOB)["run"]
    moment(house, when)
    house.kill_server()
    before = [event["pid"] for event in house.events(JOB) if event["event"] == "start"]
    if also_the_job:
        for pid in before:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)

    house.up()

    until(lambda: not any(map(is_alive, before)), "the orphaned processes to be reaped")
    until(lambda: house.lock_is_free(JOB), "the janitor to free the lock")
    shown = house.cli_json("show", run)
    assert shown["outcome"] == "stopped"
    house.gate(JOB).touch()
    house.cli("run", JOB, "--wait")
    house.assert_never_two_at_once(JOB)


def test_no_acknowledged_write_is_lost_by_kill_9_at_a_random_moment(house: Installation) -> None:
    chosen = random.Random(20261122)
    acknowledged: list[str] = []
    for round_number in range(3):
        table = house.client("dynamodb")
        enough, target = threading.Event(), len(acknowledged) + chosen.randint(20, 120)
        stop = threading.Event()

        def write(
            table: object = table,
            round_number: int = round_number,
            enough: threading.Event = enough,
            stop: threading.Event = stop,
            target: int = target,
        ) -> None:
            number = 0
            while not stop.is_set():
                number += 1
                name = f"{round_number}-{number}"
                try:
                    table.put_item(  # type: ignore[attr-defined]
                        TableName="nightlatch-local-runs", Item={"job": {"S": "written"}, "run": {"S": name}}
                    )
                except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                    return
                acknowledged.append(name)
                if len(acknowledged) >= target:
                    enough.set()

        writer = threading.Thread(target=write)
        writer.start()
        assert enough.wait(60)
        house.kill_server()
        stop.set()
        writer.join(60)
        house.up()

    pages = house.client("dynamodb").get_paginator("query")
    kept = {
        row["run"]["S"]
        for page in pages.paginate(
            TableName="nightlatch-local-runs",
            KeyConditionExpression="job = :j",
            ExpressionAttributeValues={":j": {"S": "written"}},
        )
        for row in page["Items"]
    }
    assert set(acknowledged) - kept == set()


def test_a_second_up_on_the_same_state_is_refused_and_a_stale_endpoint_is_not_believed(
    house: Installation,
) -> None:
    up = ("local", "up", "--detach", "--port", "0", "--state", str(house.state))

    again = house.cli(*up, expect=None)
    assert str(house.endpoint()["pid"]) in again.stdout + again.stderr

    house.kill_server()
    unreachable = house.cli("jobs", expect=None)
    assert unreachable.returncode != 0
    assert "local up" in unreachable.stderr

    house.cli(*up)
    house.cli("jobs")
