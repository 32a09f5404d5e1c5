"""A step for each shard, over the local AWS with the real command line: again, killed, failed, resumed."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.installation import ROOT, Installation, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

PROGRAM = ROOT / "tests" / "acceptance" / "programs" / "sharded.py"
SHARDS = ["a", "b", "again", "c", "killed", "d", "e", "f"]


class Works(Installation):
    """An installation with jobs that fan out."""

    def add_sharded(self, job: str, shards: list[str]) -> None:
        def command(role: str, *more: str) -> list[str]:
            return ["--", "python", str(PROGRAM), role, str(self.ledger(job)), *more]

        fan_out = {
            "shards_from": "plan",
            "shard_timeout_minutes": 1,
            "max_concurrency": 3,
            "tolerated_failure_percentage": 0,
        }
        self.add_job(
            job,
            {"name": "plan", "command": command("plan", *shards)},
            {
                "name": "work",
                "command": command("work"),
                "timeout_minutes": 3,
                "fan_out": fan_out,
                "retry": {"exit_75": 2, "exit_137": 1},
            },
            {"name": "collect", "command": command("collect")},
        )

    def worked(self, job: str) -> list[dict[str, Any]]:
        return [event for event in self.events(job) if event["event"] == "work"]

    def published(self, job: str, run: str) -> int:
        s3 = self.client("s3")
        bucket = self.bucket()
        found = s3.list_objects_v2(Bucket=bucket, Prefix=f"outputs/{job}/work/{run}/").get("Contents", [])
        return sum(item["Key"].endswith("current.json") for item in found)

    def collected(self, job: str) -> list[dict[str, str]]:
        return [event["found"] for event in self.events(job) if event["event"] == "collect"]


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    built = Works(tmp_path_factory.mktemp("works"))
    built.add_sharded("sharded", SHARDS)
    built.add_sharded("mended", ["a", "broken", "b"])
    built.up()
    yield built
    built.down()


def test_every_shard_is_published_once_whatever_becomes_of_its_containers(works: Works) -> None:
    run = works.cli("run", "sharded").stdout.splitlines()[0]
    watching = works.start_cli("watch", run)

    hung = until(
        lambda: next((it for it in works.worked("sharded") if it["name"] == "killed"), None),
        "the shard that hangs",
    )
    seen = until(
        lambda: (shown := works.cli_json("show", run))["fan_outs"] and shown, "the fan-out in `show`"
    )
    (fan_out,) = seen["fan_outs"]
    assert (fan_out["step"], fan_out["status"], fan_out["shards"]) == ("work", "running", len(SHARDS))
    assert seen["phase"].startswith("step work: ")
    assert seen["progress"]["total"] == len(SHARDS)
    os.killpg(os.getpgid(hung["pid"]), signal.SIGKILL)  # the whole container: runtime and job

    told, errors = watching.communicate(timeout=120)
    assert watching.returncode == 0, told + errors
    assert f"{len(SHARDS)} of {len(SHARDS)} shards done" in told

    assert works.collected("sharded") == [{name: name for name in SHARDS}]
    tries = Counter(event["name"] for event in works.worked("sharded"))
    assert tries == {**dict.fromkeys(SHARDS, 1), "again": 2, "killed": 2}
    shown = works.cli_json("show", run)
    assert shown["outcome"] == "succeeded"
    assert (shown["fan_outs"][0]["succeeded"], shown["fan_outs"][0]["failed"]) == (len(SHARDS), 0)
    assert "8 of 8 shards done" in works.cli("show", run).stdout
    said = [json.loads(line) for line in works.cli("logs", run, "-o", "jsonl").stdout.splitlines()]
    containers = {(line["step"], line.get("shard"), line["attempt"]) for line in said}
    shards = {("work", number, 1) for number in range(len(SHARDS))} | {("work", 2, 2), ("work", 4, 2)}
    assert containers == {("plan", None, 1), *shards, ("collect", None, 1)}
    alone = works.cli("logs", run, "--shard", "4").stdout.splitlines()
    assert alone
    assert all(" work[4]/" in line for line in alone)
    assert works.lock_is_free("sharded")
    states = works.client("stepfunctions")
    arn = shown["execution_arn"]
    (map_run,) = states.list_map_runs(executionArn=arn)["mapRuns"]
    assert len(states.list_executions(mapRunArn=map_run["mapRunArn"])["executions"]) == len(SHARDS)
    assert works.published("sharded", run) == len(SHARDS)


def test_a_redrive_goes_on_with_the_shards_that_are_missing(works: Works) -> None:
    failed = works.cli("run", "mended", "--wait", expect=1)
    run = failed.stdout.splitlines()[0]
    assert "more shards failed than the 0 percent that are tolerated" in failed.stderr
    shown = works.cli_json("show", run)
    assert (shown["step"], shown["failure_class"]) == ("work", "shards")
    (failure,) = shown["fan_outs"][0]["failures"]
    assert (failure["index"], failure["failure_class"]) == (1, "exit_64")
    before = len(works.worked("mended"))
    # A container may have published just before the failure of another ended its child execution.
    finished = works.published("mended", run)

    mended: Path = works.root / "mended.ledger.mended"
    mended.touch()
    again = works.cli("redrive", run, "--wait")

    assert "succeeded" in again.stderr
    assert works.collected("mended") == [{name: name for name in ("a", "broken", "b")}]
    assert len(works.worked("mended")) - before == 3 - finished
    given = json.loads(
        works.client("stepfunctions").describe_execution(
            executionArn=works.cli_json("show", again.stdout.splitlines()[0])["execution_arn"]
        )["input"]
    )
    assert given["resume_of"] == run
