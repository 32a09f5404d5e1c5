"""The runtime around a fan-out: plan, shards, collect; real processes, S3 and the lock row over the wire."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.contract import exit_codes, variables
from tests.support.container import Container, Site
from tests.support.lock_row import create_bucket, create_lock_table, metadata_endpoint, row
from tests.support.moto_server import moto_server

pytestmark = pytest.mark.slow

PLANS = """
import os, pathlib
pathlib.Path(os.environ["NIGHTLATCH_OUTPUT_DIR"], "shards.json").write_text(os.environ["SHARDS"])
"""
WORKS = """
import os, pathlib
out = pathlib.Path(os.environ["NIGHTLATCH_OUTPUT_DIR"])
(out / "deep").mkdir()
(out / "deep" / "result.txt").write_text(os.environ["NIGHTLATCH_SHARD"] + os.environ.get("SUFFIX", ""))
print("worked", flush=True)
"""
COLLECTS = """
import os, pathlib
shards = pathlib.Path(os.environ["NIGHTLATCH_SHARDS_DIR"])
print("list", (shards / "shards.json").read_text())
for path in sorted(shards.rglob("result.txt")):
    print("found", path.relative_to(shards), path.read_text())
"""
SHARDS: list[Any] = ["a", {"host": "b ü"}, "c"]


class FanOut(Site):
    """The containers of one run with a fan-out."""

    def location(self, *parts: str) -> str:
        return "/".join([self.output.rstrip("/"), *parts])

    def plan(self, shards: str, **more: str) -> Container:
        told = {variables.SHARD_LIST: self.location("lists", "plan.json"), "SHARDS": shards}
        return self.python(PLANS, grant="g1", **{**told, **more})

    def shard(self, index: int, *, grant: str = "g1", program: str = WORKS, **more: str) -> Container:
        told = {
            variables.CLAIM: "verify",
            variables.SHARD: json.dumps(SHARDS[index]),
            variables.SHARD_INDEX: str(index),
            variables.OUTPUT: self.location("work", str(index)) + "/",
            variables.CHECKPOINT: "",
        }
        return self.python(program, grant=grant, task=f"t{index}", **{**told, **more})

    def collect(self) -> Container:
        told = {
            variables.COLLECT: self.location("work") + "/",
            variables.COLLECT_LIST: self.location("lists", "plan.json"),
        }
        self.hold("g2", fence=2000)
        return self.python(COLLECTS, grant="g2", task="collect", **told)

    def object(self, *parts: str) -> bytes:
        key = self.location(*parts).removeprefix("s3://artifacts/")
        body: bytes = self.s3.get_object(Bucket="artifacts", Key=key)["Body"].read()
        return body


@pytest.fixture(scope="module")
def endpoints() -> Iterator[tuple[Any, str]]:
    with moto_server() as aws, metadata_endpoint() as metadata:
        create_lock_table(aws.client("dynamodb"))
        create_bucket(aws.client("s3"), "artifacts")
        yield aws, metadata


@pytest.fixture
def run(endpoints: tuple[Any, str], tmp_path: Path) -> FanOut:
    site = FanOut(*endpoints, tmp_path)
    site.hold("g1", fence=1000)
    return site


def ended_well(*containers: Container) -> None:
    for container in containers:
        assert container.wait() == 0, container.text


def test_a_plan_its_shards_and_the_collecting_step(run: FanOut) -> None:
    ended_well(run.plan(json.dumps(SHARDS)))
    assert json.loads(run.object("lists", "plan.json")) == SHARDS

    run.hold("g1", fence=1500)
    ended_well(run.shard(0), run.shard(1))
    assert "task_arn" not in row(run.dynamodb, run.key)["holder"]["M"], "a shard claims nothing"

    collector = run.collect()
    ended_well(collector)
    assert 'found 0/deep/result.txt "a"' in collector.text
    assert "found 1/deep/result.txt" in collector.text
    (line,) = [line for line in collector.text.splitlines() if line.startswith("list ")]
    assert json.loads(line.removeprefix("list ")) == [
        {"index": 0, "shard": "a", "published": True, "files": ["deep/result.txt"]},
        {"index": 1, "shard": {"host": "b ü"}, "published": True, "files": ["deep/result.txt"]},
        {"index": 2, "shard": "c", "published": False, "files": []},
    ]
    assert collector.records("shards collected")[0]["published"] == 2


def test_the_list_of_the_first_attempt_stays(run: FanOut) -> None:
    ended_well(run.plan('["first"]'))
    run.hold("g1", fence=1100)
    second = run.plan('["second"]', task="t2")
    ended_well(second)
    assert json.loads(run.object("lists", "plan.json")) == ["first"]
    assert second.records("the list of shards of an earlier attempt stays")


@pytest.mark.parametrize(
    ("shards", "says"),
    [
        ("{}", "must be a JSON list"),
        ("[1]", "must be a JSON list"),
        ("[", "cannot be read"),
        (json.dumps(["x" * 4000]), "shard 0 of shards.json has"),
        (json.dumps([""] * 10_001), "has 10001 shards"),
    ],
)
def test_a_list_that_no_fan_out_can_take_is_wrong_input(run: FanOut, shards: str, says: str) -> None:
    container = run.plan(shards)
    assert container.wait() == exit_codes.WRONG_INPUT, container.text
    assert says in container.records("finished")[0]["reason"]


def test_a_plan_without_a_list_is_wrong_input(run: FanOut) -> None:
    told = {variables.SHARD_LIST: run.location("lists", "plan.json")}
    container = run.python("print('no list')", grant="g1", **told)
    assert container.wait() == exit_codes.WRONG_INPUT
    assert "wrote no shards.json" in container.records("finished")[0]["reason"]


def test_a_published_shard_is_not_worked_on_again(run: FanOut) -> None:
    ended_well(run.shard(0))
    before = run.object("work", "0", "current.json")
    again = run.shard(0, SUFFIX=" again")
    ended_well(again)
    assert "worked" not in again.text
    assert run.object("work", "0", "current.json") == before


def test_a_shard_without_output_is_published_too(run: FanOut) -> None:
    ended_well(run.shard(0, program="pass"))
    assert json.loads(run.object("work", "0", "current.json"))["files"] == []


def test_of_two_containers_of_one_shard_the_first_publishes(run: FanOut, tmp_path: Path) -> None:
    gate = tmp_path / "go"
    waits = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.02)\n{WORKS}"
    late = run.shard(0, program=waits, SUFFIX=" late")
    late.until(lambda: late.records("started"))
    ended_well(run.shard(0))
    gate.touch()
    ended_well(late)
    assert "worked" in late.text
    assert late.records("another container of this shard has published")
    manifest = json.loads(run.object("work", "0", "current.json"))
    assert run.object("work", "0", manifest["files"][0]["key"]) == b'"a"'


def test_a_shard_whose_grant_was_replaced_does_not_work(run: FanOut) -> None:
    container = run.shard(0, grant="g0")
    assert container.wait() == exit_codes.TRY_AGAIN
    assert "worked" not in container.text


def test_a_shard_whose_grant_was_revoked_meanwhile_publishes_nothing(run: FanOut, tmp_path: Path) -> None:
    gate = tmp_path / "go"
    waits = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.02)\n{WORKS}"
    container = run.shard(0, program=waits)
    container.until(lambda: container.records("started"))
    run.hold("g9", fence=1001)
    gate.touch()
    assert container.wait() == exit_codes.TRY_AGAIN, container.text
    with pytest.raises(run.s3.exceptions.NoSuchKey):
        run.object("work", "0", "current.json")


def test_a_shard_killed_in_its_work_goes_on_from_its_own_checkpoint(run: FanOut) -> None:
    program = """
import os, pathlib, time
folder = pathlib.Path(os.environ["NIGHTLATCH_CHECKPOINT_DIR"])
found = sorted(path.name for path in folder.iterdir())
print("found", found, flush=True)
if not found:
    (folder / "half.tmp").write_text("half")
    (folder / "half.tmp").rename(folder / "half")
    time.sleep(60)
"""
    checkpoint = {variables.CHECKPOINT: run.checkpoint}
    killed = run.shard(0, program=program, **checkpoint)
    killed.until(lambda: run.checkpointed() == ["half"])
    os.killpg(killed.process.pid, signal.SIGKILL)
    killed.wait()
    again = run.shard(0, program=program, **checkpoint)
    ended_well(again)
    assert "found ['half']" in again.text
