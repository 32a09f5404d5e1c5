"""The command line against a local AWS, as an operator uses it: a process of its own, real runs."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.installation import ROOT, Installation, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

COUNTER = ROOT / "tests" / "acceptance" / "programs" / "counter.py"
SCHEDULE = {"cron": "cron(30 2 * * ? *)", "timezone": "Europe/Berlin", "alert_after_minutes": 30}


class Desk(Installation):
    """An installation with jobs that count as far as the test lets them."""

    def units(self, job: str) -> Path:
        folder = self.root / f"{job}.units"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def allow(self, job: str, *units: int) -> None:
        for unit in units:
            (self.units(job) / str(unit)).touch()

    def add_counter(self, job: str, *, total: int = 2, code: int = 0, **more: Any) -> None:
        command = ["--", "python", str(COUNTER), str(self.units(job)), str(total), "--exit", str(code)]
        self.add_job(job, {"command": command, "stop_grace_seconds": 5}, **more)

    def run_id(self, *arguments: str) -> str:
        return self.cli("run", *arguments).stdout.splitlines()[0]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    built = Desk(tmp_path_factory.mktemp("desk"))
    for job in ("counted", "watched", "logged", "stopped", "killed", "held", "taken", "drained", "repeated"):
        built.add_counter(job)
    built.add_counter("broken", total=1, code=3)
    built.add_counter("planned", schedule=SCHEDULE)
    built.allow("counted", 1, 2)
    built.allow("repeated", 1, 2)
    built.allow("broken", 1)
    built.up()
    yield built
    built.down()


def test_a_run_prints_its_id_first_and_ends_with_its_own_status(desk: Desk) -> None:
    done = desk.cli("run", "counted", "--wait", "-p", "day=2026-11-21", "--reason", "to see it")

    run, *rest = done.stdout.splitlines()
    assert run.startswith("counted-20")
    assert rest == []
    assert f"{run} succeeded" in done.stderr
    shown = desk.cli_json("show", run)
    assert shown["schema_version"] == 1
    assert shown["outcome"] == "succeeded"
    assert shown["params"] == {"day": "2026-11-21"}
    assert shown["requested_reason"] == "to see it"
    assert "@" in shown["requested_by"]
    [attempt] = shown["attempts"]
    assert (attempt["step"], attempt["number"], attempt["result"]) == ("work", 1, "succeeded")
    assert "parameters" in desk.cli("logs", run).stdout
    assert desk.cli("history", "counted", "-o", "name").stdout.splitlines() == [run]


def test_a_failed_run_says_what_why_and_what_to_try(desk: Desk) -> None:
    done = desk.cli("run", "broken", "--wait", expect=1)

    run = done.stdout.splitlines()[0]
    lines = done.stderr.splitlines()
    assert f"error[RUN-005]: {run} failed" in lines
    assert "  class     exit_3" in lines
    assert f"  try       nightlatch logs {run}" in lines
    assert "  more      nightlatch explain RUN-005" in lines
    assert "Traceback" not in done.stderr
    status = desk.cli("status", "broken").stdout
    assert f"broken: {run} failed" in status
    assert [job["job"] for job in desk.cli_json("jobs", "--failing")["jobs"]] == ["broken"]


def test_a_redrive_begins_at_the_failed_step_with_the_same_parameters(desk: Desk) -> None:
    failed = desk.cli("run", "broken", "--wait", "-p", "a=b", expect=1).stdout.splitlines()[0]

    again = desk.cli("redrive", failed, "--wait", expect=1).stdout.splitlines()[0]

    shown = desk.cli_json("show", again)
    assert shown["params"] == {"a": "b"}
    assert failed in shown["requested_reason"]


def test_watching_prints_one_line_per_change_with_progress_lock_and_token(desk: Desk) -> None:
    watching = desk.start_cli("run", "watched", "--watch")
    desk.allow("watched", 1)
    until(lambda: "is running" in desk.cli("status", "watched").stdout, "the run to show")
    [run] = desk.cli("history", "watched", "-o", "name").stdout.splitlines()
    until(lambda: (desk.cli_json("show", run)["progress"] or {}).get("done") == 1, "progress")

    desk.allow("watched", 2)
    told, _ = watching.communicate(timeout=60)

    assert watching.returncode == 0
    assert "50 % · count · 1 of 2" in told
    assert "lock watched claimed, token 1" in told
    assert "step work, attempt 1: succeeded after" in told
    assert told.splitlines()[-1].split("  ")[1].startswith("succeeded after")


def test_ctrl_c_detaches_and_never_stops_the_run(desk: Desk) -> None:
    run = desk.run_id("held")
    watching = desk.start_cli("watch", run, "-o", "jsonl")
    assert watching.stdout is not None
    first = json.loads(watching.stdout.readline())

    watching.send_signal(signal.SIGINT)
    _, talk = watching.communicate(timeout=30)

    assert first["run"] == run
    assert watching.returncode == 130
    assert f"nightlatch stop {run}" in talk
    assert desk.cli_json("show", run)["outcome"] == "running"
    late = desk.cli("watch", run, "--timeout", "1s", expect=8)
    assert "error[RUN-004]" in late.stderr
    refused = desk.cli("run", "held", "--on-conflict", "fail", "--wait", expect=3)
    assert "error[LOCK-003]: held was not started: its lock is held" in refused.stderr
    assert run in refused.stderr
    desk.allow("held", 1, 2)
    desk.cli("watch", run)


def test_logs_follow_a_run_to_its_end(desk: Desk) -> None:
    run = desk.run_id("logged")
    following = desk.start_cli("logs", run, "-f", "-o", "name")
    assert following.stdout is not None
    desk.allow("logged", 1)
    seen = until(
        lambda: line if "unit 1" in (line := following.stdout.readline()) else None, "the first unit"
    )

    desk.allow("logged", 2)
    rest, _ = following.communicate(timeout=60)

    assert json.loads(seen)["done"] == 1
    assert following.returncode == 0
    assert "counted" in rest.splitlines()
    assert desk.cli("logs", run, "--tail", "1").stdout.count("\n") <= 1
    assert desk.cli("logs", run, "--step", "nope", expect=5).stderr.startswith("error[LOG-001]")


def test_stop_is_graceful_and_records_who_and_why(desk: Desk) -> None:
    run = desk.run_id("stopped")
    # Its first line shows that the job itself is at work, not only the runtime that claimed for it.
    until(lambda: "parameters" in desk.cli("logs", run, expect=None).stdout, "the job to work")

    done = desk.cli_json("stop", run, "--reason", "wrong day", "--yes")

    assert done["run"]["outcome"] == "stopped"
    assert done["how"] == "container"
    shown = desk.cli_json("show", run)
    assert "wrong day" in shown["reason"]
    assert shown["attempts"][0]["exit_code"] == 143
    assert desk.lock_is_free("stopped")
    assert desk.cli("stop", run, "--yes", expect=3).stderr.startswith("error[RUN-009]")


def test_a_destructive_command_without_a_terminal_wants_yes(desk: Desk) -> None:
    run = desk.run_id("killed")

    refused = desk.cli("stop", run, "--kill", expect=2)
    killed = desk.cli_json("stop", run, "--kill", "--yes", "--reason", "now")

    assert "error[USE-002]" in refused.stderr
    assert killed["how"] == "execution"
    assert killed["run"]["outcome"] == "stopped"
    until(lambda: desk.lock_is_free("killed"), "the janitor to free the lock")


def test_a_forced_release_needs_the_token_that_was_seen(desk: Desk) -> None:
    run = desk.run_id("taken")
    until(lambda: desk.lock("taken").get("holder", {}).get("M", {}).get("task_arn"), "the claim")
    lock = desk.cli_json("locks", "show", "taken")
    token = str(lock["fence"])

    bare = desk.cli("locks", "release", "taken", "--yes", "--reason", "x", expect=2)
    old = desk.cli("locks", "release", "taken", "--yes", "--reason", "x", "--expect-token", "1", expect=3)
    forced = desk.cli("locks", "release", "taken", "--yes", "--reason", "gone", "--expect-token", token)

    assert (lock["run"], lock["state"], str(lock["token"])) == (run, "held", token)
    assert "--expect-token" in bare.stderr
    assert "error[LOCK-002]" in old.stderr
    assert "alive" in forced.stderr
    after = desk.cli_json("locks", "show", "taken")
    assert (after["state"], after["last_reason"]) == ("free", "gone")
    assert after["fence"] > lock["fence"]
    desk.cli("stop", run, "--yes", "--kill", expect=None)


def test_a_forced_release_can_stop_the_holder_first(desk: Desk) -> None:
    run = desk.run_id("drained")
    until(lambda: desk.lock("drained").get("holder", {}).get("M", {}).get("task_arn"), "the claim")
    token = str(desk.cli_json("locks", "show", "drained")["fence"])

    desk.cli(
        "locks", "release", "drained", "--expect-token", token, "--stop-holder", "--yes", "--reason", "hangs"
    )

    assert desk.lock_is_free("drained")
    assert desk.cli_json("show", run)["outcome"] == "stopped"
    tasks = desk.client("ecs").list_tasks(cluster="nightlatch-local", family="nightlatch-local-drained-work")
    assert tasks["taskArns"] == []


def test_a_request_id_names_one_request(desk: Desk) -> None:
    first = desk.cli("run", "repeated", "--request-id", "ci-1", "--wait", "-p", "n=1")
    second = desk.cli("run", "repeated", "--request-id", "ci-1", "--wait", "-p", "n=1")
    other = desk.cli("run", "repeated", "--request-id", "ci-1", "-p", "n=2", expect=3)

    assert first.stdout == second.stdout == "repeated-ci-1\n"
    assert "made before" in second.stderr
    assert "error[RUN-003]" in other.stderr
    assert len(desk.cli_json("history", "repeated")["runs"]) == 1


def test_a_paused_schedule_says_who_and_why_everywhere(desk: Desk) -> None:
    desk.cli("schedule", "pause", "planned", "--reason", "the host moves")

    [listed] = desk.cli_json("schedule", "list")["schedules"]
    assert (listed["state"], listed["paused_reason"], listed["next_at"]) == ("paused", "the host moves", None)
    assert "the host moves" in desk.cli("status", "planned").stdout
    scheduler = desk.client("scheduler")
    for name in ("planned", "planned-watchdog"):
        assert scheduler.get_schedule(GroupName="nightlatch-local", Name=name)["State"] == "DISABLED"
    desk.cli("local", "up", "--detach")
    assert desk.cli_json("schedule", "list")["schedules"][0]["state"] == "paused"
    desk.cli("schedule", "resume", "planned")
    assert desk.cli_json("schedule", "list")["schedules"][0]["state"] == "enabled"
    assert desk.cli("schedule", "resume", "counted", expect=5).stderr.startswith("error[SCHED-001]")


def test_why_explains_a_run_that_did_not_happen(desk: Desk) -> None:
    told = desk.cli_json("why", "planned")

    assert told["verdict"] == "its schedule was made or changed after that time"
    assert desk.cli_json("why", "counted")["verdict"] == "it has no schedule"


def test_doctor_finds_nothing_wrong_and_then_a_fault(desk: Desk) -> None:
    well = desk.cli_json("doctor")
    assert {finding["result"] for finding in well["findings"]} <= {"ok", "warning", "skipped"}
    skipped = {finding["check"] for finding in well["findings"] if finding["result"] == "skipped"}
    assert skipped == {"alarms", "images", "roles"}, "what the local AWS does without"

    desk.client("stepfunctions").delete_state_machine(
        stateMachineArn="arn:aws:states:ap-northeast-1:000000000000:stateMachine:nightlatch-local-watchdog"
    )
    ill = desk.cli("doctor", "-o", "json", expect=12)
    desk.cli("local", "up", "--detach")

    faults = [finding for finding in json.loads(ill.stdout)["findings"] if finding["result"] == "fault"]
    assert [(fault["check"], fault["fix"]) for fault in faults] == [
        ("machines", "nightlatch local up --detach")
    ]
    desk.cli("doctor")


def test_names_that_are_nearly_right_get_a_suggestion(desk: Desk) -> None:
    assert "did you mean counted?" in desk.cli("run", "countet", expect=5).stderr
    assert "did you mean held?" in desk.cli("locks", "show", "helt", expect=5).stderr
    assert "error[RUN-001]" in desk.cli("show", "counted-20200101T000000Z-abcdef", expect=5).stderr


def test_the_local_aws_goes_up_down_and_away(tmp_path: Path) -> None:
    house = Installation(tmp_path)
    house.add_job("only")
    house.up()

    again = house.cli("local", "up", "--detach")
    status = house.cli_json("local", "status")
    house.cli("local", "down")
    down = house.cli("jobs", expect=5)
    listed = house.cli("jobs", "--offline", "-o", "name")
    asked = house.cli("local", "reset", expect=2)
    house.cli("local", "reset", "--yes")

    assert "already running" in again.stderr
    assert status["running"] is True
    assert "error[LOCAL-001]" in down.stderr
    assert listed.stdout == "only\n"
    assert "error[USE-002]" in asked.stderr
    assert not house.state.exists()


def test_in_the_foreground_ctrl_c_ends_the_local_aws(tmp_path: Path) -> None:
    house = Installation(tmp_path)
    house.add_job("only")
    house.write_jobs()
    server = house.start_cli("local", "up", "--port", "0")
    until((house.state / "endpoint.json").exists, "the local AWS to start")
    until(lambda: house.cli("jobs", expect=None).returncode == 0, "the jobs to be in place")

    server.send_signal(signal.SIGINT)
    try:
        server.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        server.kill()
        raise

    assert server.returncode == 0
    assert house.cli("local", "status", expect=5).stderr.startswith("error[LOCAL-001]")
