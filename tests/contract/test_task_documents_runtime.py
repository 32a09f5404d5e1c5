"""A documents run under the runtime, as the state machine starts it: S3, checkpoints, lost containers."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tasks.contract import exit_codes, variables
from tests.support.container import RUN, Container, Site
from tests.support.documents import endpoint
from tests.support.lock_row import create_bucket, create_lock_table, metadata_endpoint
from tests.support.moto_server import moto_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


class Documents(Site):
    """The containers of one run of the three programs."""

    def __init__(self, aws: Any, metadata: str, tmp_path: Path, url: str) -> None:
        super().__init__(aws, metadata, tmp_path)
        self._logs = tmp_path
        self._url = url
        self.list = self.output.replace("/outputs/", "/shards/") + "plan.json"

    def program(self, name: str, **more: str) -> Container:
        told = {"LLM_ENGINE": "openai", "LLM_MODEL": "m", "LLM_BASE_URL": self._url, **more}
        grant, task = ("g2", "collect") if variables.COLLECT in more else ("g1", f"t-{name}")
        return Container([*RUN, name], self.environment(grant=grant, task=task, **told), self._logs)

    def plan(self, **params: str) -> Container:
        told = {**params, "labels": "red,green,blue"}
        return self.program(
            "documents-plan", **{variables.SHARD_LIST: self.list, variables.PARAMS: json.dumps(told)}
        )

    def work(self, index: int) -> Container:
        return self.program(
            "documents-work",
            **{
                variables.CLAIM: "verify",
                variables.SHARD: json.dumps(self.shards()[index]),
                variables.SHARD_INDEX: str(index),
                variables.OUTPUT: f"{self.output}work/{index}/",
                variables.CHECKPOINT: f"{self.checkpoint}{index}/",
            },
        )

    def collect(self) -> Container:
        self.hold("g2", fence=2000)
        return self.program(
            "documents-collect",
            **{
                variables.COLLECT: f"{self.output}work/",
                variables.COLLECT_LIST: self.list,
                variables.OUTPUT: f"{self.output}collect/",
            },
        )

    def body(self, location: str) -> bytes:
        key = location.removeprefix("s3://artifacts/")
        body: bytes = self.s3.get_object(Bucket="artifacts", Key=key)["Body"].read()
        return body

    def shards(self) -> list[Any]:
        found: list[Any] = json.loads(self.body(self.list))
        return found

    def collected(self, name: str) -> list[dict[str, Any]]:
        folder = f"{self.output}collect/"
        manifest = json.loads(self.body(folder + "current.json"))
        (key,) = [file["key"] for file in manifest["files"] if file["name"] == name]
        return [json.loads(line) for line in self.body(folder + key).splitlines()]


@pytest.fixture(scope="module")
def endpoints() -> Iterator[tuple[Any, str]]:
    with moto_server() as aws, metadata_endpoint() as metadata:
        create_lock_table(aws.client("dynamodb"))
        create_bucket(aws.client("s3"), "artifacts")
        yield aws, metadata


def test_from_documents_in_s3_to_results_in_s3_and_a_redrive(
    endpoints: tuple[Any, str], tmp_path: Path
) -> None:
    lines = [json.dumps({"id": f"d{n}", "text": f"document {n}"}) for n in range(90)]
    lines[5] = json.dumps({"id": "d5", "text": "BAD-ALWAYS"})
    with endpoint(latency=0.1) as url:
        run = Documents(*endpoints, tmp_path, url)
        run.hold("g1", fence=1000)
        run.s3.put_object(Bucket="artifacts", Key="in/news.jsonl", Body="\n".join(lines).encode())
        plan = run.plan(
            documents="s3://artifacts/in/news.jsonl",
            concurrency="2",
            tpm="60000000",
            **{"shard-documents": "60"},
        )
        assert plan.wait() == 0, plan.text
        assert [shard["documents"] for shard in run.shards()] == [60, 30]

        run.hold("g1", fence=1500)
        killed = run.work(0)
        progress = f"{run.checkpoint}0/".removeprefix("s3://artifacts/")
        killed.until(
            lambda: any(
                "/files/" in one["Key"]
                for one in run.s3.list_objects_v2(Bucket="artifacts", Prefix=progress).get("Contents", [])
            )
        )
        os.killpg(killed.process.pid, signal.SIGKILL)
        killed.wait()
        stopped = run.work(0)
        stopped.until(lambda: '"phase":"documents"' in stopped.text)
        stopped.process.send_signal(signal.SIGTERM)
        assert stopped.wait() == exit_codes.STOPPED, stopped.text
        for index in range(2):
            work = run.work(index)
            assert work.wait(60) == 0, work.text
            if index == 0:
                assert "are settled by former attempts" in work.text
        collect = run.collect()
        assert collect.wait() == 0, collect.text

        dead = run.collected("dead_letters.jsonl")
        assert [(one["id"], one["reason"]) for one in dead] == [("d5", "invalid_output")]
        assert sorted(one["id"] for one in run.collected("results.jsonl")) == sorted(
            f"d{n}" for n in range(90) if n != 5
        )

        again = Documents(*endpoints, tmp_path, url)
        again.hold("g1", fence=1000)
        plan = again.plan(redrive=f"{run.output}collect/current.json")
        assert plan.wait() == 0, plan.text
        assert [shard["documents"] for shard in again.shards()] == [1]
