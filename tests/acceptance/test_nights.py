"""Nights as they happen: real processes, the real command line, and a witness outside the product."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.support.installation import until
from tests.support.processes import is_alive

if TYPE_CHECKING:
    from tests.support.installation import Installation

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]


def fire(house: Installation, schedule: str, scheduled_time: str) -> None:
    """Deliver one scheduled time, through the Scheduler's own delivery path."""
    request = urllib.request.Request(
        f"{house.endpoint()['url']}/_nightlatch/schedules/nightlatch-local/{schedule}/fire",
        data=json.dumps({"scheduled_time": scheduled_time}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        assert reply.status == 200


def machine_arn(house: Installation, job: str) -> str:
    return f"arn:aws:states:ap-northeast-1:000000000000:stateMachine:nightlatch-local-{job}"


def executions(house: Installation, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = house.client("stepfunctions").list_executions(
        stateMachineArn=machine_arn(house, job)
    )["executions"]
    return found


def outcomes(house: Installation, job: str) -> list[str]:
    """The outcomes in the runs table, oldest first."""
    rows = house.client("dynamodb").query(
        TableName="nightlatch-local-runs",
        KeyConditionExpression="job = :j",
        ExpressionAttributeValues={":j": {"S": job}},
        ConsistentRead=True,
    )["Items"]
    rows = [row for row in rows if not row["run"]["S"].startswith("watchdog#")]
    return [row["outcome"]["S"] for row in sorted(rows, key=lambda row: row["ended_at"]["S"])]


def wait_for_outcomes(house: Installation, job: str, count: int) -> list[str]:
    return until(
        lambda: found if len(found := outcomes(house, job)) >= count else None,
        f"{count} recorded run(s) of {job}",
    )


def alive(events: list[dict[str, Any]]) -> list[int]:
    return [event["pid"] for event in events if is_alive(event["pid"])]


def test_a_normal_night_runs_both_steps_and_leaves_the_lock_free(house: Installation) -> None:
    fire(house, "two-steps", "2026-11-20T21:00:00Z")

    assert wait_for_outcomes(house, "two-steps", 1) == ["succeeded"]
    steps = [event["step"] for event in house.events("two-steps") if event["event"] == "start"]
    assert steps == ["generate", "check"]
    until(lambda: house.lock_is_free("two-steps"), "the lock to be free")
    assert house.lock("two-steps")["last_run_key"]["S"] == "2026-11-20T21:00:00Z"
    house.assert_never_two_at_once("two-steps")


def test_two_deliveries_of_one_time_give_one_run_and_a_late_third_is_a_duplicate(house: Installation) -> None:
    job, when = "delivered-twice", "2026-11-20T21:00:00Z"
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda _: fire(house, job, when), range(2)))
    house.started(job)
    assert wait_for_outcomes(house, job, 1) == ["duplicate"]
    house.gate(job).touch()
    assert wait_for_outcomes(house, job, 2) == ["duplicate", "succeeded"]

    fire(house, job, when)

    assert wait_for_outcomes(house, job, 3) == ["duplicate", "succeeded", "duplicate"]
    assert len(house.started(job)) == 1
    house.assert_never_two_at_once(job)


def test_an_operator_who_starts_a_running_job_is_told_who_holds_the_lock(house: Installation) -> None:
    job = "busy-skip"
    fire(house, job, "2026-11-20T21:00:00Z")
    [holder] = house.started(job)

    skipped = house.cli_json("run", job, "--wait")
    house.cli("run", job, "--wait", "--fail-on-skip", expect=11)
    told = house.cli("run", job, "--wait")

    assert skipped["outcome"] == "skipped"
    assert holder["run"] in json.dumps(skipped)
    assert holder["run"] in told.stdout + told.stderr
    house.gate(job).touch()
    assert "succeeded" in wait_for_outcomes(house, job, 4)
    house.assert_never_two_at_once(job)


def test_the_policy_fail_refuses_with_its_own_exit_code(house: Installation) -> None:
    job = "busy-fail"
    fire(house, job, "2026-11-20T21:00:00Z")
    house.started(job)

    refused = house.cli("run", job, "--wait", expect=3)

    assert "held" in refused.stderr
    house.gate(job).touch()
    until(lambda: house.lock_is_free(job), "the lock to be free")
    house.assert_never_two_at_once(job)


def test_the_policy_wait_runs_after_the_holder_in_order(house: Installation) -> None:
    job = "busy-wait"
    fire(house, job, "2026-11-20T21:00:00Z")
    [holder] = house.started(job)
    waiting = house.start_cli("run", job, "--wait", "-o", "json")
    until(lambda: house.lock(job).get("queue", {}).get("L"), "the second run to queue")

    house.gate(job).touch()
    told, _ = waiting.communicate(timeout=120)

    assert waiting.returncode == 0
    assert json.loads(told)["outcome"] == "succeeded"
    first, second = house.started(job, 2)
    assert first["run"] == holder["run"] != second["run"]
    house.assert_never_two_at_once(job)


def test_the_policy_replace_stops_the_holder_first(house: Installation) -> None:
    job = "busy-replace"
    fire(house, job, "2026-11-20T21:00:00Z")
    [old] = house.started(job)
    replacing = house.start_cli("run", job, "--wait", "-o", "json")
    new = house.started(job, 2)[-1]

    assert not is_alive(old["pid"])
    assert new["token"] > old["token"]
    house.gate(job).touch()
    told, _ = replacing.communicate(timeout=60)
    assert json.loads(told)["outcome"] == "succeeded"
    house.assert_never_two_at_once(job)


def test_of_forty_simultaneous_starts_exactly_one_runs(house: Installation) -> None:
    job = "stampede"
    states = house.client("stepfunctions")
    with ThreadPoolExecutor(40) as threads:
        list(
            threads.map(
                lambda n: states.start_execution(
                    stateMachineArn=machine_arn(house, job), name=f"{job}-{n}", input='{"trigger":"operator"}'
                ),
                range(40),
            )
        )
    house.started(job)
    assert wait_for_outcomes(house, job, 39) == ["skipped"] * 39

    house.gate(job).touch()

    assert sorted(wait_for_outcomes(house, job, 40)) == ["skipped"] * 39 + ["succeeded"]
    assert len(house.started(job)) == 1
    house.assert_never_two_at_once(job)


@pytest.mark.parametrize(
    ("job", "code", "attempts", "why"),
    [
        ("exits-1", 1, 1, "exit_1"),
        ("exits-64", 1, 1, "exit_64"),
        ("out-of-memory", 1, 0, "out_of_memory"),
        ("no-image", 1, 0, "start"),
    ],
)
def test_a_failure_is_told_by_its_cause_and_frees_the_lock(
    house: Installation, job: str, code: int, attempts: int, why: str
) -> None:
    house.cli("run", job, "--wait", expect=code)

    [run] = house.cli_json("history", job)["runs"]
    assert run["outcome"] == "failed"
    assert why in json.dumps(run)
    assert house.lock_is_free(job)
    assert len([event for event in house.events(job) if event["event"] == "start"]) == attempts
    house.assert_never_two_at_once(job)


def test_exit_75_is_tried_again_with_a_new_token(house: Installation) -> None:
    house.cli("run", "exits-75-once", "--wait")

    starts = house.started("exits-75-once", 2)
    assert [event["attempt"] for event in starts] == [1, 2]
    house.assert_never_two_at_once("exits-75-once")


@pytest.mark.parametrize("job", ["hangs", "ignores-term"])
def test_a_hang_is_ended_and_the_lock_is_free_only_after_every_process_is_gone(
    house: Installation, job: str
) -> None:
    running = house.start_cli("run", job, "--wait")
    [start] = house.started(job)
    task = until(lambda: house.lock(job).get("holder", {}).get("M", {}).get("task_arn"), "the claim")["S"]
    marker = task.rsplit("/", 1)[1]

    def freed_or_alive() -> bool:
        # Processes first: if the lock is free now, nothing may have been alive a moment before.
        working = [p for p in psutil.process_iter() if _belongs(p, marker)]
        free = house.lock_is_free(job)
        assert not (free and any(p.is_running() and _belongs(p, marker) for p in working))
        return free

    until(freed_or_alive, "the lock to be free")
    _, talk = running.communicate(timeout=60)

    assert running.returncode == 9, talk
    assert not is_alive(start["pid"])
    assert outcomes(house, job) == ["timed_out"]
    house.assert_never_two_at_once(job)


def _belongs(process: psutil.Process, marker: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and marker in process.environ().get(
            "ECS_CONTAINER_METADATA_URI_V4", ""
        )
    except psutil.Error:
        return False


def test_a_failed_second_step_names_itself_and_a_resumed_run_skips_the_first(house: Installation) -> None:
    house.cli("run", "step-two-fails", "--wait", expect=1)
    house.cli("run", "step-two-fails", "--wait", "--resume-from", "bad", expect=1)

    steps = [event["step"] for event in house.events("step-two-fails") if event["event"] == "start"]
    assert steps == ["good", "bad", "bad"]
    assert {run["step"] for run in house.cli_json("history", "step-two-fails")["runs"]} == {"bad"}
    house.assert_never_two_at_once("step-two-fails")


def test_a_stopped_run_ends_its_processes_frees_its_lock_and_keeps_who_and_why(house: Installation) -> None:
    running = house.start_cli("run", "stopped", "--wait")
    [start] = house.started("stopped")

    house.cli("stop", start["run"], "--reason", "wrong day", "--yes")
    running.communicate(timeout=60)

    assert running.returncode == 10
    assert not is_alive(start["pid"])
    assert wait_for_outcomes(house, "stopped", 1) == ["stopped"]
    until(lambda: house.lock_is_free("stopped"), "the lock to be free")
    assert "wrong day" in house.cli("show", start["run"]).stdout
    house.assert_never_two_at_once("stopped")


def test_kill_9_of_the_job_is_a_failure_with_exit_code_137(house: Installation) -> None:
    running = house.start_cli("run", "killed-from-outside", "--wait")
    [start] = house.started("killed-from-outside")

    os.kill(start["pid"], signal.SIGKILL)
    running.communicate(timeout=60)

    assert running.returncode == 1
    assert "137" in json.dumps(house.cli_json("history", "killed-from-outside")["runs"])
    assert house.lock_is_free("killed-from-outside")
    house.assert_never_two_at_once("killed-from-outside")


def test_an_execution_that_dies_while_its_task_is_provisioned_never_lets_the_old_container_work(
    house: Installation,
) -> None:
    job = "dies-provisioning"
    hold = house.state / "hold-provisioning"
    hold.touch()
    first = house.cli_json("run", job)["run"]
    family = f"nightlatch-local-{job}-work"
    until(
        lambda: house.client("ecs").list_tasks(cluster="nightlatch-local", family=family)["taskArns"],
        "the first task to be provisioned",
    )
    [running] = [run for run in executions(house, job) if run["status"] == "RUNNING"]
    house.client("stepfunctions").stop_execution(executionArn=running["executionArn"])
    hold.unlink()

    house.cli("run", job, "--wait")

    worked = {event["run"] for event in house.events(job) if event["event"] == "start"}
    assert len(worked) == 1
    assert first not in worked
    house.assert_never_two_at_once(job)


def test_the_watchdog_tells_once_that_a_night_is_missing(house: Installation) -> None:
    queues, topics = house.client("sqs"), house.client("sns")
    queue = queues.create_queue(QueueName="told")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topics.subscribe(
        TopicArn="arn:aws:sns:ap-northeast-1:000000000000:nightlatch-local-notifications",
        Protocol="sqs",
        Endpoint=arn,
    )

    fire(house, "absent-watchdog", "2026-11-19T21:00:00Z")
    fire(house, "absent-watchdog", "2026-11-19T21:00:00Z")
    watchdog = f"{machine_arn(house, 'watchdog')}"
    until(
        lambda: (
            len(
                house.client("stepfunctions").list_executions(
                    stateMachineArn=watchdog, statusFilter="SUCCEEDED"
                )["executions"]
            )
            >= 2
        ),
        "both watchdogs to end",
    )

    told: list[str] = []
    while messages := queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            told.append(message["Body"])
            queues.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    about = [text for text in told if re.search(r"\babsent\b", text) and "2026-11-19T21:00:00Z" in text]
    assert len(about) == 1
